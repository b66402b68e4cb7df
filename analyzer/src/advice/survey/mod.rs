//! One walk over all keys that gathers what the per-key rules need, in bounded memory.
//!
//! Every key is weighed as it is and, where a rule could hold, as the remedy would leave it, by the
//! frames of `crate::whatif`. What a rule keeps of that is a [`Tally`]: sums and the twenty keys that
//! count most, never a list of all. The walk goes in slices, while the keyspace changes in between,
//! so its sums are those of a keyspace that never was at one instant; a key that is there all along is
//! counted once. Where some keys have no record (`crate::keyspace::Detail`), the sums are extended to
//! all of them in the end.
//!
//! What grows without end is seen by comparing a survey with the one before: [`Tracks`].

mod bars;
mod collections;
mod groups;
mod lifetimes;
mod lists;
mod strings;
mod tags;
mod tally;
mod tracks;
mod walk;
mod whole;

use super::secrets::Secrets;
use crate::keyspace::Detail;
use crate::profile::Profile;

pub use groups::{Group as PatternGroup, Groups, Packed};
pub(super) use lists::STREAM_RAISED;
pub use tags::{TagSum, Tags};
pub use tally::{Seen, TOP_KEYS, Tally};
pub use tracks::{Filling, Group, Track, Tracks};
pub use walk::Surveyor;

/// What keys are gathered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Point {
    /// Hash tables of hashes with some more fields than a listpack may have.
    HashEntries,
    /// Hash tables of small hashes with a long element.
    HashValue,
    /// Skiplists that larger limits would pack.
    Zset,
    /// Hash tables of integers.
    IntSet,
    /// Hash tables of small sets with a long member.
    SetValue,
    /// What a reload alone would pack.
    Converted,
    /// Large hashes of small pairs.
    HugeHash,
    /// Large sets that are counted or asked for members only, perhaps.
    CountedSet,
    /// Lists of several nodes that are not compressed.
    Uncompressed,
    /// Lists whose nodes are nearly empty, or hold one element each.
    LooseList,
    /// Strings somewhat too long to be in their object's block.
    Cliff,
    /// Sorted sets scored by time.
    TimeSeries,
    /// Streams whose nodes are half empty.
    LooseStream,
    /// Long strings.
    BigString,
    /// Collections of many elements, or a hash of many bytes.
    BigCollection,
    /// Those with an expiry.
    BigExpiring,
    /// The largest keys.
    Largest,
    /// Keys that were not written for long.
    Cold,
    /// Streams that were never trimmed.
    Untrimmed,
    /// Streams with a group that has much pending.
    Pending,
    /// Keys past their expiry.
    Expired,
    /// Keys that expire in years.
    FarExpiry,
    /// Keys that expire at once.
    NearExpiry,
    /// Keys without an expiry that look as if they must not be evicted.
    Precious,
}

const POINTS: usize = Point::Precious as usize + 1;

/// What a walk found.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The server as it was weighed.
    pub profile: Profile,
    /// When the walk began, unix milliseconds.
    pub at_ms: i64,
    /// Keys met.
    pub keys: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Keys without an expiry.
    pub lasting_keys: u64,
    /// Their bytes.
    pub lasting_bytes: u64,
    /// Names that look like secrets.
    pub(super) secrets: Secrets,
    /// Keys and bytes by hash tag.
    pub tags: Tags,
    /// Collections and groups, as they were in this survey and those before.
    pub tracks: Tracks,
    /// Keys by pattern.
    pub groups: Groups,
    /// Keys whose pattern was not known.
    pub unnamed: u64,
    /// Streams of which nothing but their number of entries is known.
    pub bare_streams: u64,
    /// How many of all keys were met.
    met: Detail,
    tallies: [Tally; POINTS],
}

impl Survey {
    fn new(profile: Profile, at_ms: i64) -> Survey {
        Survey {
            profile,
            at_ms,
            keys: 0,
            bytes: 0,
            lasting_keys: 0,
            lasting_bytes: 0,
            secrets: Secrets::default(),
            tags: Tags::default(),
            tracks: Tracks::default(),
            groups: Groups::default(),
            unnamed: 0,
            bare_streams: 0,
            met: Detail::default(),
            tallies: Default::default(),
        }
    }

    /// Bytes of keys with an expiry.
    pub fn expiring_bytes(&self) -> u64 {
        self.bytes.saturating_sub(self.lasting_bytes)
    }

    /// Bytes of all keys, one of which has so many.
    pub(super) fn bytes_beside(&self, key: u64) -> u64 {
        self.met.beside(self.bytes, key)
    }

    /// Bytes of the largest key; 0 if there is none.
    pub fn largest_bytes(&self) -> u64 {
        let mut largest = self.tally(Point::Largest).top();
        largest.next().map_or(0, |seen| seen.now)
    }

    /// Keys by pattern, if most are.
    pub fn groups(&self) -> Option<&Groups> {
        (self.unnamed <= self.keys / 2).then_some(&self.groups)
    }

    /// What was gathered for a point.
    pub(super) fn tally(&self, point: Point) -> &Tally {
        &self.tallies[point as usize]
    }

    fn tally_mut(&mut self, point: Point) -> &mut Tally {
        &mut self.tallies[point as usize]
    }
}
