//! Keys by the groups that the user defined.

use std::sync::Arc;

use super::plan::Group;
use crate::patterns::{PatternRow, Tally};
use crate::store::weigh::Weight;

/// The sums of each group.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    groups: Arc<[Group]>,
    tallies: Vec<Tally>,
    /// Keys of no group, where there are groups.
    none: Tally,
}

/// What is known of the keys of a group.
pub type GroupRow = PatternRow;

impl Groups {
    pub(crate) fn new(groups: &Arc<[Group]>) -> Groups {
        Groups {
            groups: groups.clone(),
            tallies: groups.iter().map(|_| Tally::new()).collect(),
            none: Tally::new(),
        }
    }

    /// The same groups without keys.
    pub(crate) fn alike(&self) -> Groups {
        Groups::new(&self.groups)
    }

    /// Takes one key's change: `None` is "not there".
    #[inline]
    pub(crate) fn turn(&mut self, name: &[u8], before: Option<&Weight>, after: Option<&Weight>) {
        if self.tallies.is_empty() {
            return;
        }
        let mut is_in_one = false;
        for (group, tally) in self.groups.iter().zip(&mut self.tallies) {
            if (group.matches)(name) {
                tally.turn(name, before, after);
                is_in_one = true;
            }
        }
        if !is_in_one {
            self.none.turn(name, before, after);
        }
    }

    /// Every group, also one without keys.
    pub(crate) fn rows(&self) -> Vec<GroupRow> {
        let groups = self.groups.iter().zip(&self.tallies);
        groups
            .map(|(group, tally)| PatternRow::of_group(&group.name, tally))
            .collect()
    }

    /// Keys of no group; of none where there are no groups. It has the name that `redis_exporter` gives
    /// it.
    pub(crate) fn none(&self) -> GroupRow {
        PatternRow::of_group("unclassified", &self.none)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.tallies.capacity() * size_of::<Tally>()
            + self.tallies.iter().map(Tally::heap_bytes).sum::<usize>()
    }
}

impl PartialEq for Groups {
    fn eq(&self, other: &Groups) -> bool {
        let both = self.tallies.iter().zip(&other.tallies);
        self.tallies.len() == other.tallies.len()
            && both.into_iter().all(|(mine, its)| mine.counts_as(its))
            && self.none.counts_as(&other.none)
    }
}

impl Eq for Groups {}
