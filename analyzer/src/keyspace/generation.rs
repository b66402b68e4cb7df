//! All databases of one generation: the live one, or the one that a full sync is building.

use std::collections::BTreeMap;

use crate::keyspace::db::Db;

/// Databases by number.
#[derive(Debug)]
pub(crate) struct Generation {
    seed: u64,
    dbs: BTreeMap<u32, Db>,
}

impl Generation {
    pub(crate) fn new(seed: u64) -> Generation {
        Generation {
            seed,
            dbs: BTreeMap::new(),
        }
    }

    /// The database, if it was ever used.
    pub(crate) fn db(&self, number: u32) -> Option<&Db> {
        self.dbs.get(&number)
    }

    /// The database, made if need be.
    pub(crate) fn db_mut(&mut self, number: u32) -> &mut Db {
        let seed = self.seed;
        self.dbs.entry(number).or_insert_with(|| Db::new(seed))
    }

    /// The databases from a number on, in order.
    pub(crate) fn from(&self, number: u32) -> impl Iterator<Item = (u32, &Db)> {
        self.dbs.range(number..).map(|(&number, db)| (number, db))
    }

    /// All databases, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, &Db)> {
        self.from(0)
    }

    /// All databases, in order, to be changed.
    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = (u32, &mut Db)> {
        self.dbs.iter_mut().map(|(&number, db)| (number, db))
    }

    /// Takes one database out.
    pub(crate) fn take(&mut self, number: u32) -> Option<Db> {
        self.dbs.remove(&number)
    }

    /// Takes every database out.
    pub(crate) fn take_all(&mut self) -> Vec<Db> {
        std::mem::take(&mut self.dbs).into_values().collect()
    }

    /// Exchanges two databases.
    pub(crate) fn swap(&mut self, a: u32, b: u32) {
        if a == b {
            return;
        }
        let (first, second) = (self.dbs.remove(&a), self.dbs.remove(&b));
        if let Some(db) = first {
            self.dbs.insert(b, db);
        }
        if let Some(db) = second {
            self.dbs.insert(a, db);
        }
    }

    /// Keys in all databases.
    pub(crate) fn keys(&self) -> u64 {
        self.dbs.values().map(|db| db.table.len()).sum()
    }
}
