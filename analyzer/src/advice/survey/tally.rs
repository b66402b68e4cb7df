//! Sums over the keys that one rule is about, and the few that count most.

use super::super::finding::{Evidence, Subject};
use crate::value::{Encoding, Kind};

/// Keys that a tally names.
pub const TOP_KEYS: usize = 20;

/// A key that a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Database.
    pub db: u32,
    /// Name.
    pub name: Vec<u8>,
    /// Type.
    pub kind: Kind,
    /// Encoding.
    pub encoding: Encoding,
    /// Bytes of a string, elements of a collection.
    pub count: u64,
    /// A figure of the rule's own: the longest element, seconds, nodes.
    pub figure: u64,
    /// Bytes now.
    pub now: u64,
    /// Bytes as the remedy would leave it.
    pub then: u64,
}

impl Seen {
    /// As a row of evidence; `figure` says in words what [`Seen::figure`] is.
    pub fn evidence(&self, figure: impl Fn(&Seen) -> String) -> Evidence {
        Evidence {
            subject: Subject::Key {
                db: self.db,
                name: self.name.clone(),
            },
            seen: figure(self),
            bytes: self.now,
            saving: self.now.saturating_sub(self.then),
        }
    }
}

/// Sums over some keys, and those that count most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Keys.
    pub keys: u64,
    /// Their bytes now.
    pub now: u64,
    /// Their bytes as the remedy would leave them.
    pub then: u64,
    /// Largest count of one.
    pub most: u64,
    /// Largest figure of one.
    pub figure: u64,
    /// By rank, highest first; of one rank, those that came first.
    top: Vec<(u64, Seen)>,
}

impl Tally {
    /// Takes a key; the higher its rank, the sooner it is named.
    pub(super) fn take(&mut self, rank: u64, seen: Seen) {
        self.keys += 1;
        self.now += seen.now;
        self.then += seen.then;
        self.most = self.most.max(seen.count);
        self.figure = self.figure.max(seen.figure);
        let at = self.top.partition_point(|row| row.0 >= rank);
        if at < TOP_KEYS {
            self.top.insert(at, (rank, seen));
            self.top.truncate(TOP_KEYS);
        }
    }

    /// What is added up over keys.
    pub(super) fn sums(&mut self) -> [&mut u64; 3] {
        [&mut self.keys, &mut self.now, &mut self.then]
    }

    /// True if a key of that rank would be named.
    pub(super) fn names(&self, rank: u64) -> bool {
        self.top.len() < TOP_KEYS || self.top.last().is_some_and(|row| row.0 < rank)
    }

    /// Bytes that the remedy would give back.
    pub fn saving(&self) -> u64 {
        self.now.saturating_sub(self.then)
    }

    /// The keys that count most, highest rank first.
    pub fn top(&self) -> impl Iterator<Item = &Seen> {
        self.top.iter().map(|row| &row.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_ranks_are_named() {
        let mut tally = Tally::default();
        for rank in (0..100).map(|n| n * 37 % 100) {
            let seen = Seen {
                db: 0,
                name: rank.to_string().into_bytes(),
                kind: Kind::Hash,
                encoding: Encoding::Hashtable,
                count: rank,
                figure: 0,
                now: 10,
                then: 4,
            };
            tally.take(rank, seen);
        }
        let ranks: Vec<u64> = tally.top().map(|seen| seen.count).collect();
        let expected: Vec<u64> = (80..100).rev().collect();
        assert_eq!(ranks, expected);
        assert_eq!((tally.keys, tally.saving(), tally.most), (100, 600, 99));
        assert!(tally.names(81) && !tally.names(80));
    }
}
