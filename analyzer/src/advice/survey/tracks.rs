//! What stays the same, or only grows, from one survey to the next: long collections and consumer
//! groups, of which a bounded number is remembered.

use std::collections::BTreeMap;

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

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracks {
    at_ms: i64,
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
        let (since_ms, first) = known
            .filter(|known| known.count <= key.count)
            .map_or((self.at_ms, key.count), |known| {
                (known.since_ms, known.first)
            });
        let track = Track {
            since_ms,
            first,
            count: key.count,
            bytes: key.bytes,
        };
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
