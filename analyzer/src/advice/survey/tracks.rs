//! What stays the same, or only grows, from one survey to the next: long collections, consumer groups,
//! and how full the packed collections of a pattern are. A bounded number of each is remembered.

use std::collections::BTreeMap;

use super::groups::Groups;
use super::walk::Looked;
use crate::value::stream::GroupFacts;

/// Most collections, and most groups, that are remembered.
const TRACKS_MAX: usize = 1000;

type Name = (u32, Vec<u8>);

/// A collection that did not shrink since some survey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Track {
    /// When it was first seen so, unix milliseconds.
    pub since_ms: i64,
    /// Elements then.
    pub first: u64,
    /// Bytes then.
    pub first_bytes: u64,
    /// Elements now.
    pub count: u64,
    /// Bytes now.
    pub bytes: u64,
}

/// A consumer group that does not read though there is something to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// When it was first seen so, unix milliseconds.
    pub since_ms: i64,
    /// Where it stands.
    last: (u64, u64),
    /// Entries that it has pending.
    pub pending: u64,
    /// Bytes of the stream.
    pub bytes: u64,
}

/// How full the packed collections of a pattern were, since they did not become emptier in the mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filling {
    /// When that was first seen, unix milliseconds.
    pub since_ms: i64,
    /// Collections then.
    pub keys: u64,
    /// Their elements then.
    pub elements: u64,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracks {
    at_ms: i64,
    fillings: BTreeMap<Name, Filling>,
    collections: BTreeMap<Name, Track>,
    groups: BTreeMap<(Name, u64), Group>,
    before: Option<Box<Tracks>>,
}

impl Tracks {
    /// Those of a survey that begins now, with what the one before remembered.
    pub(super) fn beside(before: Option<&Tracks>, at_ms: i64) -> Tracks {
        let before = before.map(|before| Tracks {
            before: None,
            ..before.clone()
        });
        Tracks {
            at_ms,
            before: before.map(Box::new),
            ..Tracks::default()
        }
    }

    /// Nothing is compared any more.
    pub(super) fn end(&mut self) {
        self.before = None;
    }

    /// A long collection.
    pub(super) fn collection(&mut self, key: &Looked<'_>) {
        let name = (key.db, key.name.to_vec());
        let known = self.before.as_ref();
        let known = known.and_then(|before| before.collections.get(&name));
        if known.is_none() && self.collections.len() >= TRACKS_MAX {
            return;
        }
        let begins = Track {
            since_ms: self.at_ms,
            first: key.count,
            first_bytes: key.bytes,
            count: key.count,
            bytes: key.bytes,
        };
        let known = known.filter(|known| known.count <= key.count);
        let track = known.map_or(begins, |known| Track {
            count: key.count,
            bytes: key.bytes,
            ..*known
        });
        self.collections.insert(name, track);
    }

    /// A group that is behind its stream.
    pub(super) fn behind(&mut self, key: &Looked<'_>, group: &GroupFacts) {
        let name = ((key.db, key.name.to_vec()), group.name);
        let known = self.before.as_ref();
        let known = known.and_then(|before| before.groups.get(&name));
        if known.is_none() && self.groups.len() >= TRACKS_MAX {
            return;
        }
        let since_ms = known
            .filter(|known| known.last == group.last)
            .map_or(self.at_ms, |known| known.since_ms);
        let group = Group {
            since_ms,
            last: group.last,
            pending: group.pending,
            bytes: key.bytes,
        };
        self.groups.insert(name, group);
    }

    /// The patterns of a survey that has ended: no more of them than it had groups.
    pub(super) fn patterns(&mut self, groups: &Groups) {
        let packed = groups.all().filter(|(_, group)| group.packed.keys > 0);
        for (db, group) in packed {
            let name = (db, group.glob.clone());
            let (keys, elements) = (group.packed.keys, group.packed.elements);
            let fuller = |known: &&Filling| {
                let times = |a: u64, b: u64| u128::from(a) * u128::from(b);
                times(known.elements, keys) <= times(elements, known.keys)
            };
            let known = self.before.as_ref();
            let known = known.and_then(|before| before.fillings.get(&name));
            let begins = Filling {
                since_ms: self.at_ms,
                keys,
                elements,
            };
            let filling = known.filter(fuller).copied().unwrap_or(begins);
            self.fillings.insert(name, filling);
        }
    }

    /// How full the packed collections of a pattern were.
    pub fn filling(&self, db: u32, glob: &[u8]) -> Option<&Filling> {
        self.fillings.get(&(db, glob.to_vec()))
    }

    /// Collections by database and name.
    pub fn collections(&self) -> impl Iterator<Item = (u32, &[u8], &Track)> {
        let all = self.collections.iter();
        all.map(|((db, name), track)| (*db, &name[..], track))
    }

    /// Groups by database and name of their stream.
    pub fn groups(&self) -> impl Iterator<Item = (u32, &[u8], &Group)> {
        let all = self.groups.iter();
        all.map(|(((db, name), _), group)| (*db, &name[..], group))
    }
}
