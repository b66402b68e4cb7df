//! Keys by pattern and by group.

use crate::census::{Census, GroupRow};
use crate::keyspace::Keyspace;
use crate::patterns::{PatternName, PatternRow, Patterns};

impl Keyspace {
    /// True if keys are counted by pattern, or will be.
    pub fn counts_patterns(&self) -> bool {
        self.plan().patterns_max > 0
    }

    /// Every pattern of every database, in no order. Databases that are not counted yet are left
    /// out: [`Keyspace::counted`] says how far that is.
    pub fn patterns(&self) -> Vec<PatternRow> {
        let mut rows = Vec::new();
        for (db, patterns) in self.all_patterns() {
            rows.extend(
                patterns
                    .rows()
                    .into_iter()
                    .map(|row| PatternRow { db, ..row }),
            );
        }
        rows
    }

    /// Every group of every database, under the same reserve.
    pub fn groups(&self) -> Vec<GroupRow> {
        let mut rows = Vec::new();
        for (number, db) in self.live().all() {
            let groups = db.census.count().map(|count| count.groups.rows());
            let groups = groups.into_iter().flatten();
            rows.extend(groups.map(|row| GroupRow { db: number, ..row }));
        }
        rows
    }

    /// Keys of no group, by database, where there are groups; under the same reserve.
    pub fn ungrouped(&self) -> Vec<GroupRow> {
        let mut rows = Vec::new();
        for (number, db) in self.live().all() {
            let none = db.census.count().map(|count| count.groups.none());
            rows.extend(none.map(|row| GroupRow { db: number, ..row }));
        }
        rows
    }

    /// The pattern that a key is counted in; `None` if its database is not counted yet. A key that is
    /// not there may have none.
    pub fn pattern_of(&self, db: u32, name: &[u8]) -> Option<PatternName> {
        let db = self.live().db(db)?;
        patterns(&db.census)?.name_for(name)
    }

    /// The number of a key's pattern in its database, which holds until the tree of patterns changes;
    /// `None` if it has none, or its database is not counted yet.
    pub(crate) fn pattern_number(&self, db: u32, name: &[u8]) -> Option<u32> {
        patterns(&self.live().db(db)?.census)?.number_of(name)
    }

    /// Bytes that counting by pattern allocates.
    pub fn patterns_heap(&self) -> usize {
        let all = self.all_patterns();
        all.map(|(_, patterns)| patterns.heap_bytes()).sum()
    }

    fn all_patterns(&self) -> impl Iterator<Item = (u32, &Patterns)> {
        let all = self.live().all();
        all.filter_map(|(number, db)| Some((number, patterns(&db.census)?)))
    }
}

fn patterns(census: &Census) -> Option<&Patterns> {
    census.count()?.patterns.as_ref()
}
