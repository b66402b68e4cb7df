//! Building a set from a loaded object.

use super::{Form, INTSET_WIDTH, Set};
use crate::command::Malformed;
use crate::input::{Part, Shape, Source};
use crate::profile::Profile;
use crate::value::elements::{Elements, Member, Sizes, Table};

/// Takes the parts of a loaded set.
#[derive(Debug)]
pub struct Builder {
    shape: Shape,
    source: Source,
    seed: u64,
    sizes: Sizes,
    width: u8,
    /// Running sum of the shape: entry bytes or blocks.
    sum: u64,
    members: Elements<crate::value::elements::MemberRecord>,
}

impl Builder {
    /// Starts one.
    pub fn new(shape: Shape, source: Source, profile: &Profile, seed: u64) -> Builder {
        Builder {
            shape,
            source,
            seed,
            sizes: Sizes::of(profile),
            width: INTSET_WIDTH,
            sum: 0,
            members: Elements::new(),
        }
    }

    /// Gets ready for so many elements, see `Elements::expect`.
    pub(crate) fn expect(&mut self, count: u64, run: &mut Vec<u8>) {
        self.members.expect(count, run);
    }

    /// Takes the next part.
    ///
    /// # Errors
    /// If the part is not one of a set.
    pub fn part(&mut self, part: &Part<'_>) -> Result<(), Malformed> {
        match part {
            Part::Element(text) => {
                let member = Member::of(text);
                self.sum += if self.shape == Shape::SetTable {
                    self.sizes.member_block(&member.text)
                } else {
                    self.sizes.entry(&member.text)
                };
                self.members.add(text.digest(self.seed), &member.pack());
                Ok(())
            }
            Part::IntsetWidth(width) => {
                self.width = *width;
                Ok(())
            }
            Part::Str { .. }
            | Part::Scored { .. }
            | Part::Field { .. }
            | Part::Node { .. }
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

    /// The set; `None` if it has no members, which servers drop.
    pub fn finish(self, profile: &Profile) -> Option<Set> {
        let n = self.members.len() as u64;
        if n == 0 {
            return None;
        }
        let form = match self.shape {
            Shape::SetIntset => Form::Intset { width: self.width },
            Shape::SetListpack => Form::Listpack { bytes: self.sum },
            Shape::SetTable
            | Shape::String
            | Shape::List
            | Shape::HashTable
            | Shape::HashListpack
            | Shape::HashListpackEx
            | Shape::ZsetSkiplist
            | Shape::ZsetListpack
            | Shape::Stream
            | Shape::Module => Form::Hashtable {
                table: Table::in_image(self.sizes.kind, n, profile.reloaded),
                blocks: self.sum,
            },
        };
        let mut set = Set {
            form,
            members: self.members,
        };
        if self.source == Source::Rebuilt {
            set.reload(profile);
        }
        Some(set)
    }
}

impl Set {
    /// Re-encodes as a load does: a blob stays one unless it has too many entries, a table is built
    /// anew from its members.
    fn reload(&mut self, profile: &Profile) {
        match self.form {
            Form::Intset { .. } if self.count() > profile.set_intset_max => {
                self.become_table(0, profile);
            }
            Form::Listpack { .. } if self.count() > profile.set_listpack_max => {
                self.become_table(0, profile);
            }
            Form::Intset { .. } | Form::Listpack { .. } => {}
            Form::Hashtable { .. } => self.settle(profile),
        }
    }
}
