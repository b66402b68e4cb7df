//! Keys by pattern, from the census, and an example of each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use analyzer::Keyspace;
use analyzer::census::{GroupRow, Progress};
use analyzer::patterns::PatternRow;
use analyzer::view::{Cursor, Item};

use crate::clock;
use crate::model::answer::send;
use crate::model::ask::{Freshness, Reply};

/// How long examples are looked for.
const SEARCH_MAX: Duration = Duration::from_millis(200);

/// Longest name that is given as an example, in bytes.
const EXAMPLE_MAX: usize = 128;

/// What is known, or how far the census has come.
pub type Told = Result<Counted, Progress>;

/// Keys by pattern and by group.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// Every pattern of every database; `None` if keys are not counted by pattern.
    pub patterns: Option<Vec<PatternRow>>,
    /// Every group of every database.
    pub groups: Vec<GroupRow>,
    /// Keys of no group, by database; none where there are no groups.
    pub ungrouped: Vec<GroupRow>,
}

/// A walk in search of keys.
pub(super) struct Job {
    wanted: BTreeSet<Vec<u8>>,
    depth: Option<usize>,
    cursor: Cursor,
    found: BTreeMap<Vec<u8>, Vec<u8>>,
    until: Instant,
    reply: Reply<BTreeMap<Vec<u8>, Vec<u8>>>,
}

fn counted(keyspace: &Keyspace) -> Result<(), Progress> {
    let progress = keyspace.counted(None);
    if progress.complete {
        Ok(())
    } else {
        Err(progress)
    }
}

/// Answers from the census. Where keys have no record, those that have one stand for them.
pub(super) fn all(keyspace: &Keyspace, reply: Reply<Told>, fresh: Freshness) {
    let scaled = |mut rows: Vec<PatternRow>| {
        rows.iter_mut().for_each(|row| row.scale(&fresh.detail));
        rows
    };
    let told = counted(keyspace).map(|()| Counted {
        patterns: keyspace
            .counts_patterns()
            .then(|| scaled(keyspace.patterns())),
        groups: scaled(keyspace.groups()),
        ungrouped: scaled(keyspace.ungrouped()),
    });
    send(reply, fresh, told);
}

/// Answers for single keys.
pub(super) fn of(
    keyspace: &Keyspace,
    keys: &[(u32, Vec<u8>)],
    reply: Reply<Result<Vec<Option<Vec<u8>>>, Progress>>,
    fresh: Freshness,
) {
    let pattern = |(db, key): &(u32, Vec<u8>)| {
        keyspace.facts(*db, key)?;
        Some(keyspace.pattern_of(*db, key)?.glob)
    };
    let told = counted(keyspace).map(|()| keys.iter().map(pattern).collect());
    send(reply, fresh, told);
}

impl Job {
    pub(super) fn new(
        wanted: BTreeSet<Vec<u8>>,
        depth: Option<usize>,
        reply: Reply<BTreeMap<Vec<u8>, Vec<u8>>>,
    ) -> Job {
        Job {
            wanted,
            depth,
            cursor: Cursor::start(),
            found: BTreeMap::new(),
            until: clock::now() + SEARCH_MAX,
            reply,
        }
    }

    pub(super) fn restart(&mut self) {
        self.cursor = Cursor::start();
        self.found.clear();
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Looks at about so many keys more; true at the end.
    pub(super) fn advance(&mut self, keyspace: &Keyspace, budget: usize) -> bool {
        let (wanted, found, depth) = (&self.wanted, &mut self.found, self.depth);
        let mut take = |item: Item<'_>| {
            if item.name.len() > EXAMPLE_MAX {
                return;
            }
            let Some(pattern) = keyspace.pattern_of(item.db, item.name) else {
                return;
            };
            let pattern = depth.map_or_else(|| pattern.clone(), |depth| pattern.rolled_up(depth));
            if wanted.contains(&pattern.glob) {
                found
                    .entry(pattern.glob)
                    .or_insert_with(|| item.name.to_vec());
            }
        };
        let done = keyspace.walk(&mut self.cursor, budget, &mut take);
        done || self.found.len() == self.wanted.len() || clock::now() >= self.until
    }

    pub(super) fn finish(self, fresh: Freshness) {
        send(self.reply, fresh, self.found);
    }
}
