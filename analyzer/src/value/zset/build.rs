//! Building a sorted set from a loaded object.

use super::{Form, Zset};
use crate::command::Malformed;
use crate::input::{Part, Shape, Source};
use crate::profile::Profile;
use crate::value::elements::{Elements, Scored, ScoredRecord, Sizes, Table};
use crate::value::info::Info;

/// Takes the parts of a loaded sorted set.
#[derive(Debug)]
pub struct Builder {
    listpack: bool,
    source: Source,
    seed: u64,
    sizes: Sizes,
    /// Running sum of the shape: entry bytes or thousandths of block bytes.
    sum: u64,
    members: Elements<ScoredRecord>,
}

impl Builder {
    /// Starts one.
    pub fn new(shape: Shape, source: Source, profile: &Profile, seed: u64) -> Builder {
        Builder {
            listpack: shape == Shape::ZsetListpack,
            source,
            seed,
            sizes: Sizes::of(profile),
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
    /// If the part is not one of a sorted set.
    pub fn part(&mut self, part: &Part<'_>) -> Result<(), Malformed> {
        let Part::Scored { member, score } = part else {
            return Err(Malformed);
        };
        let scored = Scored {
            text: Info::of(member),
            score: *score,
        };
        self.sum += if self.listpack {
            self.sizes.entry(&scored.text) + self.sizes.score_entry(*score)
        } else {
            self.sizes.node_block(&scored)
        };
        self.members.add(member.digest(self.seed), &scored.pack());
        Ok(())
    }

    /// The sorted set; `None` if it has no members, which servers drop.
    pub fn finish(self, profile: &Profile) -> Option<Zset> {
        let n = self.members.len() as u64;
        if n == 0 {
            return None;
        }
        let form = if self.listpack {
            Form::Listpack { bytes: self.sum }
        } else {
            Form::Skiplist {
                table: Table::in_image(self.sizes.kind, n, profile.reloaded),
                blocks: self.sum,
            }
        };
        let mut zset = Zset {
            form,
            members: self.members,
            order: None,
        };
        if self.source == Source::Rebuilt {
            zset.reload(profile);
        }
        Some(zset)
    }
}

impl Zset {
    /// Re-encodes as a load does: a blob stays one unless it has too many members, a skiplist
    /// becomes one if it may.
    fn reload(&mut self, profile: &Profile) {
        match self.form {
            Form::Listpack { .. } if self.count() <= profile.zset_entries_max => {}
            Form::Listpack { .. } => self.become_skiplist(0, profile),
            Form::Skiplist { .. } => self.settle(profile),
        }
    }
}
