//! Keys and bytes by hash tag, by a walk over all keys: nothing is kept for it between two walks.
//!
//! There may be as many tags as keys, so the first round goes through a sketch. Where that had to
//! throw rows out, a second round counts the ones that are left exactly.

use std::collections::BTreeMap;

use super::sketch::{Row, Rows, Sketch, Write};
use super::{Work, hash_tag, of_db};
use crate::keyspace::Keyspace;
use crate::text;
use crate::view::{Cursor, Item};

/// Most buckets of the sketch: 4096 rows.
const BUCKETS: usize = 512;

/// Tags of the second round by bytes, and as many by keys.
const CANDIDATES: usize = 1000;

/// Keys and bytes of one hash tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagSum {
    /// Database.
    pub db: u32,
    /// The tag, or its first 128 bytes.
    pub tag: Vec<u8>,
    /// Bytes of the whole tag.
    pub tag_len: u64,
    /// Keys.
    pub keys: u64,
    /// Sum of their MEMORY USAGE.
    pub bytes: u64,
}

/// What a walk over all tags found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tagged {
    /// The tags with most bytes and those with most keys, by bytes.
    pub tags: Vec<TagSum>,
    /// Keys with a tag, of any tag.
    pub keys: u64,
    /// Sum of their MEMORY USAGE.
    pub bytes: u64,
    /// Most keys that a tag that is not listed can have.
    pub unlisted_keys: u64,
    /// Most bytes that a tag that is not listed can have.
    pub unlisted_bytes: u64,
}

/// The walk.
#[derive(Debug)]
pub struct TagWalk {
    cursor: Cursor,
    sketch: Sketch,
    /// The candidates and what they have, in the second round.
    second: Option<(Rows, BTreeMap<u64, Work>)>,
}

impl Default for TagWalk {
    fn default() -> TagWalk {
        TagWalk {
            cursor: Cursor::start(),
            sketch: Sketch::new(BUCKETS),
            second: None,
        }
    }
}

impl TagWalk {
    /// Looks at about so many keys more; true at the end.
    pub fn advance(&mut self, keyspace: &Keyspace, budget: usize) -> bool {
        let seed = keyspace.seed();
        if let Some((_, sums)) = &mut self.second {
            let mut take = |item: Item<'_>| {
                let tag = hash_tag(item.name).map(|tag| of_db(text::digest(tag, seed), item.db));
                if let Some(sum) = tag.and_then(|tag| sums.get_mut(&tag.max(1))) {
                    *sum = sum.plus(Work::one(item.facts.bytes));
                }
            };
            return keyspace.walk(&mut self.cursor, budget, &mut take);
        }
        let sketch = &mut self.sketch;
        let mut take = |item: Item<'_>| {
            if let Some(tag) = hash_tag(item.name) {
                sketch.add(&Write {
                    digest: of_db(text::digest(tag, seed), item.db),
                    db: item.db,
                    name: tag,
                    bytes: item.facts.bytes,
                });
            }
        };
        if !keyspace.walk(&mut self.cursor, budget, &mut take) {
            return false;
        }
        let rows = self.sketch.rows(CANDIDATES);
        let is_exact = rows.rows.iter().all(|row| row.error == Work::default());
        let sum = |row: &Row| match is_exact {
            true => (row.digest, row.work),
            false => (row.digest, Work::default()),
        };
        let sums = rows.rows.iter().map(sum).collect();
        self.second = Some((rows, sums));
        self.cursor = Cursor::start();
        is_exact
    }

    /// What was found, once `advance` came to the end.
    pub fn finish(self) -> Tagged {
        let total = self.sketch.total();
        let (rows, sums) = self.second.unwrap_or_default();
        let tags = rows.rows.into_iter().map(|row| {
            let sum = sums.get(&row.digest).copied().unwrap_or_default();
            TagSum {
                db: row.db,
                tag: row.name.into_vec(),
                tag_len: row.name_len,
                keys: sum.writes,
                bytes: sum.bytes,
            }
        });
        let mut tags: Vec<TagSum> = tags.filter(|tag| tag.keys > 0).collect();
        tags.sort_by(|a, b| (b.bytes, b.keys, &a.tag).cmp(&(a.bytes, a.keys, &b.tag)));
        Tagged {
            tags,
            keys: total.writes,
            bytes: total.bytes,
            unlisted_keys: rows.floor.writes,
            unlisted_bytes: rows.floor.bytes,
        }
    }
}
