//! Building a stream from a loaded object.
//!
//! The fields that a node's entries need not repeat come as [`Part::Element`]s behind the
//! [`Part::StreamNode`]; without them the next XADD cannot tell whether it repeats them.

use super::Stream;
use super::edit::{add_field, fields_digest};
use super::group::{Group, Pending};
use super::node::{Node, join};
use super::rax::Shape;
use super::rules::Rules;
use crate::command::Malformed;
use crate::input::{Part, Source, StreamId};
use crate::profile::Profile;
use crate::text;

/// Takes the parts of a stream.
#[derive(Debug)]
pub struct Builder {
    stream: Stream,
    live: bool,
    seed: u64,
    rules: Rules,
    node: Option<Node>,
    /// Digest of the consumer whose pending ids follow.
    consumer: Option<u64>,
}

impl Builder {
    /// A builder for one stream.
    pub fn new(source: Source, profile: &Profile, seed: u64) -> Builder {
        Builder {
            stream: Stream::new(profile),
            live: source == Source::Image && !profile.reloaded,
            seed,
            rules: Rules::of(profile),
            node: None,
            consumer: None,
        }
    }

    /// Takes one part.
    ///
    /// # Errors
    /// If the part is not one of a stream, or not in its place.
    pub fn part(&mut self, part: &Part<'_>) -> Result<(), Malformed> {
        match part {
            Part::StreamNode { id, bytes } => {
                self.close();
                let block = self.rules.block(*bytes);
                self.node = Some(Node::new(key(*id), *bytes, block, fields_digest()));
                Ok(())
            }
            Part::Element(field) => {
                let node = self.node.as_mut().ok_or(Malformed)?;
                node.fields = add_field(node.fields, field, self.seed);
                Ok(())
            }
            Part::StreamEntry { id, deleted } => {
                let node = self.node.as_mut().ok_or(Malformed)?;
                node.append(key(*id), *deleted);
                Ok(())
            }
            Part::StreamMeta {
                length,
                last,
                first,
                max_deleted,
                entries_added,
            } => {
                self.close();
                self.stream.length = *length;
                self.stream.last = key(*last);
                // Unknown before RDB type 19.
                self.stream.first = match key(*first) {
                    0 => self.stream.first_live(),
                    first => first,
                };
                self.stream.max_deleted = key(*max_deleted);
                self.stream.entries_added = *entries_added;
                Ok(())
            }
            Part::Group { .. }
            | Part::Pending { .. }
            | Part::Consumer { .. }
            | Part::ConsumerPending(_) => self.group_part(part),
            Part::Str { .. }
            | Part::Scored { .. }
            | Part::Field { .. }
            | Part::Node { .. }
            | Part::IntsetWidth(_)
            | Part::Module { .. } => Err(Malformed),
        }
    }

    fn group_part(&mut self, part: &Part<'_>) -> Result<(), Malformed> {
        if let Part::Group {
            name,
            last,
            entries_read,
        } = part
        {
            let name = text::digest(name, self.seed);
            let group = Group::new(name, key(*last), *entries_read, &self.rules);
            self.stream.groups.push(group);
            self.consumer = None;
            return Ok(());
        }
        let group = self.stream.groups.last_mut().ok_or(Malformed)?;
        if let Part::Pending {
            id,
            delivered_ms,
            count,
        } = part
        {
            let pending = Pending {
                consumer: None,
                delivered_ms: *delivered_ms,
                count: *count,
            };
            group.put(key(*id), pending, &self.rules);
        } else if let Part::Consumer {
            name,
            seen_ms,
            active_ms,
        } = part
        {
            let digest = text::digest(name, self.seed);
            let consumer = group.consumer(digest, name.len() as u64, *seen_ms, &self.rules);
            // -1 is a consumer that never got an entry.
            consumer.active_ms = active_ms.filter(|&ms| ms >= 0);
            self.consumer = Some(digest);
        } else if let Part::ConsumerPending(id) = part {
            let consumer = self.consumer.ok_or(Malformed)?;
            group.give(key(*id), consumer, &self.rules);
        }
        Ok(())
    }

    /// The stream; `None` if the object ended before its numbers.
    pub fn finish(mut self) -> Option<Stream> {
        self.close();
        if self.live {
            self.guess_live();
        }
        Some(self.stream)
    }

    /// What an image does not say of a master that made the stream itself, and did not load it.
    fn guess_live(&mut self) {
        let (rules, nodes) = (self.rules, &mut self.stream.nodes);
        // The tail has the room it was made with.
        if let Some(at) = nodes.nodes.len().checked_sub(1) {
            let room = rules.new_block();
            nodes.edit(at, &rules, |node| node.block = node.block.max(room));
        } else if self.stream.entries_added > 0 {
            nodes.shape = Shape::emptied(&rules.meter);
        }
        for group in &mut self.stream.groups {
            group.guess_emptied(&rules);
        }
    }

    fn close(&mut self) {
        if let Some(mut node) = self.node.take() {
            let block = node.block;
            node.close(&self.rules);
            node.block = block;
            self.stream.nodes.push(node, &self.rules);
        }
    }
}

fn key(id: StreamId) -> u128 {
    join(id.0, id.1)
}
