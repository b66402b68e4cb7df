//! The keys of one pattern, met by a walk: those that lookups lead to its node.

use super::{PatternName, Patterns};
use crate::keyspace::Keyspace;
use crate::view::{Cursor, Item};

impl Patterns {
    /// The node of the pattern of that glob; `hint` is where it was the last time.
    fn node_of(&self, glob: &[u8], hint: Option<u32>) -> Option<u32> {
        let is_it =
            |node: &u32| self.tree.tally(*node).is_some() && self.name_of(*node).0.glob == glob;
        let nodes = 0..u32::try_from(self.tree.nodes.len()).unwrap_or(u32::MAX);
        hint.filter(|node| nodes.contains(node))
            .filter(is_it)
            .or_else(|| {
                let owned = self.tree.tallies.iter().map(|owned| owned.node);
                owned.filter(|node| nodes.contains(node)).find(is_it)
            })
    }
}

/// A pattern that is looked for in several databases.
#[derive(Clone, Debug)]
pub struct Only {
    glob: Vec<u8>,
    /// Where it was seen last.
    seen: Option<(u32, u32)>,
}

impl Only {
    /// The pattern of that glob, as KS.PATTERNS names it.
    pub fn new(glob: &[u8]) -> Only {
        Only {
            glob: glob.to_vec(),
            seen: None,
        }
    }
}

impl Keyspace {
    /// Hands the next keys of a pattern to `sink`, of about `budget` that are looked at; true at the
    /// end. Databases whose keys are not counted by pattern have none.
    pub fn walk_pattern(
        &self,
        only: &mut Only,
        cursor: &mut Cursor,
        budget: usize,
        sink: &mut dyn FnMut(Item<'_>),
    ) -> bool {
        // The node in the database of the last key, if it was looked for.
        let mut found: Option<(u32, Option<u32>)> = None;
        let seen = only.seen;
        let others = only.glob == PatternName::other().glob;
        let done = self.walk(cursor, budget, &mut |item| {
            let count = self.live().db(item.db).and_then(|db| db.census.count());
            let Some(patterns) = count.and_then(|count| count.patterns.as_ref()) else {
                return;
            };
            if found.is_none_or(|(db, _)| db != item.db) {
                let hint = seen.filter(|(db, _)| *db == item.db).map(|(_, node)| node);
                found = Some((item.db, patterns.node_of(&only.glob, hint)));
            }
            let node = found.and_then(|(_, node)| node);
            if patterns.find(item.name) == node && (node.is_some() || others) {
                sink(item);
            }
        });
        only.seen = found.and_then(|(db, node)| Some((db, node?)));
        done
    }
}
