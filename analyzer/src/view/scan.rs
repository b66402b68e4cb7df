//! Scans and walks: every key once, in pieces, while the keyspace changes in between.
//!
//! Keys are met in the order of the bit-reversed digest of their names. A page holds one range of
//! that order, whatever its neighbours are split or merged into, so a position in the order is a
//! cursor that no change can invalidate.

use crate::keyspace::Keyspace;
use crate::store::record::Record;
use crate::store::{ORDER_BITS, Table, order_of};
use crate::view::Facts;

/// Behind the last position.
const END: u64 = 1 << ORDER_BITS;

/// Most pages that one call visits for nothing: a table that was emptied is sparse for a moment.
const PAGES_MAX: usize = 1024;

/// A key as scans and walks show it.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Database.
    pub db: u32,
    /// Name.
    pub name: &'a [u8],
    /// What is known of it.
    pub facts: Facts,
}

/// Where a walk goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    only: Option<u32>,
    db: u32,
    order: u64,
}

impl Cursor {
    /// The beginning of all databases.
    pub fn start() -> Cursor {
        Cursor::default()
    }

    /// The beginning of one database, and nothing but it.
    pub fn db(db: u32) -> Cursor {
        Cursor {
            only: Some(db),
            db,
            order: 0,
        }
    }

    /// The page that comes next; `None` at the end of the databases.
    pub(crate) fn page<'a>(&mut self, keyspace: &'a Keyspace) -> Option<(u32, &'a Table, usize)> {
        let (number, db) = keyspace.live().from(self.db).next()?;
        if self.only.is_some_and(|only| only != number) {
            return None;
        }
        if number != self.db {
            (self.db, self.order) = (number, 0);
        }
        Some((number, &db.table, db.table.page_at(self.order).0))
    }

    /// Passes pages of the table by for which `pass` holds, at most so many and never the last one;
    /// says how many, and which page comes now.
    pub(crate) fn pass_by(
        &mut self,
        table: &Table,
        most: usize,
        pass: impl Fn(usize) -> bool,
    ) -> (usize, usize) {
        let mut passed = 0;
        loop {
            let (page, next) = table.page_at(self.order);
            if passed == most || next >= END || !pass(page) {
                return (passed, page);
            }
            self.order = next;
            passed += 1;
        }
    }

    /// Goes on behind the page that came last; false at the end of the databases.
    pub(crate) fn advance(&mut self, table: &Table) -> bool {
        let (_, next) = table.page_at(self.order);
        if next < END {
            self.order = next;
            return true;
        }
        self.order = 0;
        match self.db.checked_add(1) {
            Some(next) if self.only.is_none() => {
                self.db = next;
                true
            }
            _ => false,
        }
    }

    /// Where in the order it stands.
    pub(crate) fn order(&self) -> u64 {
        self.order
    }

    /// Goes on at a position inside the page that came last.
    pub(crate) fn pause(&mut self, order: u64) {
        self.order = order;
    }

    /// True if the record was not met before the cursor came to its page.
    pub(crate) fn is_new(&self, table: &Table, page: usize, record: &Record<'_>) -> bool {
        // Only after a merge of pages can a cursor stand inside one.
        table.starts_page(page, self.order) || order_of(table.digest_of(record)) >= self.order
    }
}

impl Keyspace {
    /// One page of SCAN: hands about `count` keys from `cursor` on to `sink`, each with its order,
    /// and returns the next cursor, 0 at the end. Cursors and orders are below 2^48; an order
    /// depends on the name and the seed alone.
    ///
    /// A key that is there from the first call to the last is met exactly once.
    pub fn scan(
        &self,
        db: u32,
        cursor: u64,
        count: usize,
        sink: &mut dyn FnMut(u64, Item<'_>),
    ) -> u64 {
        let Some(table) = self.live().db(db).map(|db| &db.table) else {
            return 0;
        };
        let mut cursor = cursor;
        let mut met = 0;
        for _ in 0..PAGES_MAX {
            if cursor >= END {
                return 0;
            }
            let (page, next) = table.page_at(cursor);
            let mut rows: Vec<(u64, Record<'_>)> = table
                .records(page)
                .map(|record| (order_of(table.digest_of(&record)), record))
                .filter(|row| row.0 >= cursor)
                .collect();
            rows.sort_unstable_by_key(|row| row.0);
            let mut last = None;
            for (order, record) in rows {
                if met >= count.max(1) && last != Some(order) {
                    return order;
                }
                let name = table.name(&record);
                let facts = self.facts_of(table, &record);
                sink(order, Item { db, name, facts });
                last = Some(order);
                met += 1;
            }
            cursor = next;
            if met >= count.max(1) {
                break;
            }
        }
        if cursor >= END { 0 } else { cursor }
    }

    /// Hands the next keys to `sink`, about `budget` of them, by whole pages; true at the end.
    pub fn walk(&self, cursor: &mut Cursor, budget: usize, sink: &mut dyn FnMut(Item<'_>)) -> bool {
        let mut met = 0;
        while met <= budget {
            let Some((db, table, page)) = cursor.page(self) else {
                return true;
            };
            for record in table.records(page) {
                if cursor.is_new(table, page, &record) {
                    let name = table.name(&record);
                    let facts = self.facts_of(table, &record);
                    sink(Item { db, name, facts });
                }
                met += 1;
            }
            // An empty page costs something, too.
            met += 1;
            if !cursor.advance(table) {
                return true;
            }
        }
        false
    }

    /// Seconds since the last write of a key, or since the access that its snapshot told of.
    pub(crate) fn idle_s(&self, record: &Record<'_>) -> u64 {
        u64::from(self.pulse().idle_s(record.lru))
    }

    pub(crate) fn facts_of(&self, table: &Table, record: &Record<'_>) -> Facts {
        let weight = table.weigh(record, self.scale());
        let pulse = self.pulse();
        Facts {
            kind: record.form.kind(),
            encoding: record.form.encoding(),
            count: weight.count,
            bytes: weight.bytes,
            expire_ms: record.expire_ms,
            doubt: record.doubt,
            idle_s: u64::from(pulse.idle_s(record.lru)),
            freq: pulse.freq(record.lru),
        }
    }
}
