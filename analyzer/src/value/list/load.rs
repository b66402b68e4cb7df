//! Building a list from a loaded object.

use super::node::{End, Node};
use super::nodes::{Nodes, pays};
use super::rules::Rules;
use super::{Flags, List};
use crate::command::Malformed;
use crate::input::{Part, Source};
use crate::profile::Profile;

/// Takes the parts of a list.
#[derive(Debug)]
pub struct Builder {
    list: List,
    source: Source,
    seed: u64,
    profile: Profile,
    rules: Rules,
    /// The node that elements join; `None` before the first, as in a list that was stored without
    /// nodes (RDB type 1).
    open: Option<Node>,
}

impl Builder {
    /// A builder for one list.
    pub fn new(source: Source, profile: &Profile, seed: u64) -> Builder {
        Builder {
            list: List {
                nodes: Nodes::new(),
                count: 0,
                bare: false,
                flags: Flags::default(),
            },
            source,
            seed,
            profile: profile.clone(),
            rules: Rules::of(profile),
            open: None,
        }
    }

    /// Keeps fingerprints, or not; to be said before the first part.
    pub fn with_fingerprints(&mut self, keep: bool) {
        self.list.flags.prints = keep;
        self.list.flags.wants = keep;
    }

    /// Takes one part.
    ///
    /// # Errors
    /// If the part is not one of a list.
    pub fn part(&mut self, part: &Part<'_>) -> Result<(), Malformed> {
        match part {
            Part::Node {
                plain,
                bytes,
                compressed,
            } => {
                self.close();
                // A list stored without nodes has no blob to speak of.
                if *bytes > 0 {
                    let mut node = Node::with_bytes(self.list.flags.prints, *bytes);
                    if *plain {
                        node.set_plain();
                    }
                    node.set_compressed(compressed.filter(|&small| pays(small, *bytes)));
                    self.open = Some(node);
                }
                Ok(())
            }
            Part::Element(text) => {
                match &mut self.open {
                    Some(node) => node.append(&self.list.item(text, self.seed)),
                    None => self.list.push(
                        End::Tail,
                        std::slice::from_ref(text),
                        self.seed,
                        &self.profile,
                    ),
                }
                Ok(())
            }
            Part::Str { .. }
            | Part::Scored { .. }
            | Part::Field { .. }
            | Part::IntsetWidth(_)
            | Part::StreamNode { .. }
            | Part::StreamEntry { .. }
            | Part::StreamMeta { .. }
            | Part::Group { .. }
            | Part::Pending { .. }
            | Part::Consumer { .. }
            | Part::ConsumerPending(_)
            | Part::Module { .. } => Err(Malformed),
        }
    }

    /// The list; `None` if it has no elements, which servers take for no key.
    pub fn finish(mut self) -> Option<List> {
        self.close();
        let Builder {
            mut list,
            rules,
            source,
            ..
        } = self;
        if list.count == 0 {
            return None;
        }
        list.nodes.uncompress_ends(&rules);
        list.nodes.learn_ratio();
        if rules.small_lists
            && list.nodes.len() == 1
            && let Some(node) = list.nodes.get(0)
        {
            list.bare = rules.fits_bare(node, false);
            list.flags.open = source == Source::Image
                && !node.is_plain()
                && !rules.fits_bare(node, true)
                && !rules.surely_quicklist(node);
        }
        Some(list)
    }

    fn close(&mut self) {
        let Some(mut node) = self.open.take() else {
            return;
        };
        if node.count() == 0 {
            return;
        }
        if self.source == Source::Rebuilt && !self.rules.ziplist {
            // It may come as a ziplist, which the server turns into a listpack.
            node.set_bytes(node.fresh_bytes(&self.rules));
        }
        if self.rules.depth == 0 {
            node.set_compressed(None);
        }
        node.settle();
        self.list.count += node.count();
        let at = self.list.nodes.len();
        self.list.nodes.insert(at, node, &self.rules);
    }
}
