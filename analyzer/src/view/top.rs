//! The largest keys, found by visiting only the pages that can hold one.
//!
//! Pages, and blocks of them, have bounds of what their keys weigh. The pages are passed in their order;
//! one whose bound is not above the smallest row kept so far is not looked into, so that after the
//! first few the walk costs one comparison per page. Of keys of one size, of which most keyspaces have millions, those
//! that are met first are named.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

use crate::keyspace::Keyspace;
use crate::store::Table;
use crate::store::bounds::Bounds;
use crate::value::Kind;
use crate::view::{Cursor, Facts};

/// What a page costs that is passed by, in keys.
const PASS_COST: usize = 1;

/// What "largest" means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// MEMORY USAGE.
    Bytes,
    /// Elements of collections, bytes of strings.
    Elements,
}

impl By {
    fn of(self, bounds: Bounds) -> u64 {
        match self {
            By::Bytes => bounds.bytes,
            By::Elements => bounds.count,
        }
    }
}

/// Which names count.
pub type Glob = Box<dyn Fn(&[u8]) -> bool + Send>;

/// A row of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopRow {
    /// Database.
    pub db: u32,
    /// Name.
    pub name: Vec<u8>,
    /// What is known of the key.
    pub facts: Facts,
}

/// A search under way.
pub struct Top {
    by: By,
    k: usize,
    kind: Option<Kind>,
    glob: Option<Glob>,
    cursor: Cursor,
    best: BinaryHeap<Reverse<Ranked>>,
}

/// A row in its place: by size, then the other way round by database and name.
#[derive(Debug)]
struct Ranked {
    size: u64,
    row: TopRow,
}

impl Ranked {
    fn key(&self) -> (u64, Reverse<u32>, Reverse<&[u8]>) {
        (self.size, Reverse(self.row.db), Reverse(&self.row.name))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl fmt::Debug for Top {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Top")
            .field("by", &self.by)
            .field("k", &self.k)
            .field("kind", &self.kind)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

impl Top {
    /// The `k` largest keys of all databases.
    pub fn new(by: By, k: usize) -> Top {
        Top {
            by,
            k,
            kind: None,
            glob: None,
            cursor: Cursor::start(),
            best: BinaryHeap::new(),
        }
    }

    /// Only in that database.
    pub fn db(self, db: Option<u32>) -> Top {
        Top {
            cursor: db.map_or_else(Cursor::start, Cursor::db),
            ..self
        }
    }

    /// Only of that type.
    pub fn kind(self, kind: Option<Kind>) -> Top {
        Top { kind, ..self }
    }

    /// Only with names for which `glob` holds.
    pub fn glob(self, glob: Glob) -> Top {
        Top {
            glob: Some(glob),
            ..self
        }
    }

    /// The rows found, largest first.
    pub fn rows(self) -> Vec<TopRow> {
        let mut ranked: Vec<Ranked> = self.best.into_iter().map(|row| row.0).collect();
        ranked.sort_unstable_by(|a, b| b.cmp(a));
        ranked.into_iter().map(|ranked| ranked.row).collect()
    }

    /// Keys of that size or less need not be looked at.
    fn floor(&self) -> Option<u64> {
        if self.best.len() < self.k {
            return None;
        }
        self.best.peek().map(|row| row.0.size)
    }

    fn look(&mut self, keyspace: &Keyspace, db: u32, table: &Table, page: usize) {
        for record in table.records(page) {
            let wanted = self.kind.is_none_or(|kind| kind == record.form.kind());
            if !wanted || !self.cursor.is_new(table, page, &record) {
                continue;
            }
            let facts = keyspace.facts_of(table, &record);
            let size = match self.by {
                By::Bytes => facts.bytes,
                By::Elements => facts.count,
            };
            if self.floor().is_some_and(|floor| size <= floor) {
                continue;
            }
            let name = table.name(&record);
            if self.glob.as_ref().is_some_and(|glob| !glob(name)) {
                continue;
            }
            let row = TopRow {
                db,
                name: name.to_vec(),
                facts,
            };
            self.best.push(Reverse(Ranked { size, row }));
            if self.best.len() > self.k {
                self.best.pop();
            }
        }
    }
}

impl Keyspace {
    /// Goes on with a search, looking at about `budget` keys; true when it is done.
    pub fn top(&mut self, search: &mut Top, budget: usize) -> bool {
        let mut spent = 0;
        if search.k == 0 {
            return true;
        }
        while spent <= budget {
            let Some((db, table, _)) = search.cursor.page(self) else {
                return true;
            };
            let (floor, by) = (search.floor(), search.by);
            let is_poor = |bounds: Bounds| floor.is_some_and(|floor| by.of(bounds) <= floor);
            let is_passed =
                |page| is_poor(table.bounds_around(page)) || is_poor(table.page(page).bounds);
            let (passed, page) = search.cursor.pass_by(table, budget - spent, is_passed);
            spent += (passed + 1) * PASS_COST;
            let visit = !is_passed(page);
            if visit {
                spent += table.page(page).len();
                search.look(self, db, table, page);
            }
            let more = search.cursor.advance(table);
            if visit {
                self.rebound(db, page);
            }
            if !more {
                return true;
            }
        }
        false
    }
}
