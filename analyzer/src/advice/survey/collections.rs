//! What collections are looked at for: the forms that other limits would give them.
//!
//! A collection in a table is weighed as a load would leave it on the same server, with limits of
//! four times as many entries, with limits of four times as long elements. Which of the three makes
//! it a packed blob says which rule it is for.

use super::bars::Bars;
use super::walk::Looked;
use super::{Point, Survey};
use crate::profile::Profile;
use crate::store::weigh::Seated;
use crate::value::hash::Hash;
use crate::value::string::{HLL_DENSE, Str};
use crate::value::zset::Zset;
use crate::value::{Encoding, Kind, Value};
use crate::whatif::Frame;

/// Elements in percent of a limit from which on a collection is close to it.
const NEAR_PERCENT: u64 = 90;

/// How far limits are thought to be raised.
const RAISED: u64 = 4;

/// The frames that keys are looked at through.
#[derive(Debug)]
pub(super) struct Lens {
    profile: Profile,
    /// The same server after reading its own snapshot.
    reload: Frame,
    /// With limits of more entries.
    entries: Frame,
    /// With limits of longer elements.
    values: Frame,
    /// With larger intsets.
    intsets: Frame,
    /// With nothing packed at all.
    tables: Frame,
}

/// The number of elements at which a packed collection becomes a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    /// The option that says so.
    pub(super) option: &'static str,
    /// Elements that may be packed.
    pub(super) limit: u64,
    /// What the key would take as a table, where it is close to that.
    pub(super) then: Option<u64>,
}

impl Lens {
    pub(super) fn new(profile: &Profile) -> Lens {
        let raised = |change: fn(&mut Profile)| {
            let mut to = profile.clone();
            change(&mut to);
            Frame::new(profile, &to)
        };
        Lens {
            reload: raised(|_| {}),
            entries: raised(|to| {
                to.hash_entries_max = to.hash_entries_max.saturating_mul(RAISED);
                to.zset_entries_max = to.zset_entries_max.saturating_mul(RAISED);
            }),
            values: raised(|to| {
                to.hash_value_max = to.hash_value_max.saturating_mul(RAISED);
                to.zset_value_max = to.zset_value_max.saturating_mul(RAISED);
                to.set_value_max = to.set_value_max.saturating_mul(RAISED);
            }),
            intsets: raised(|to| {
                to.set_intset_max = to.set_intset_max.saturating_mul(RAISED);
            }),
            tables: raised(|to| {
                to.hash_entries_max = 0;
                to.zset_entries_max = 0;
                to.set_listpack_max = 0;
                to.set_intset_max = 0;
            }),
            profile: profile.clone(),
        }
    }

    /// What a packed collection would become if it grew; `None` if it is none, or nothing limits it
    /// but bytes.
    pub(super) fn edge(&self, value: &Value, key: &Looked<'_>) -> Option<Edge> {
        let profile = &self.profile;
        let is_ints = key.encoding == Encoding::Intset;
        let (option, limit) = match value {
            Value::Hash(_) => ("hash-max-listpack-entries", profile.hash_entries_max),
            Value::Zset(_) => ("zset-max-listpack-entries", profile.zset_entries_max),
            Value::Set(_) if is_ints => ("set-max-intset-entries", profile.set_intset_max),
            Value::Set(_) => ("set-max-listpack-entries", profile.set_listpack_max),
            Value::String(_)
            | Value::List(_)
            | Value::Stream(_)
            | Value::Module(_)
            | Value::Bare(_) => return None,
        };
        let is_table = matches!(key.encoding, Encoding::Hashtable | Encoding::Skiplist);
        if is_table || key.count > limit {
            return None;
        }
        let is_near = key.count.saturating_mul(100) >= limit.saturating_mul(NEAR_PERCENT);
        let then = is_near.then(|| self.tables.collection(value, key.seated).memory);
        Some(Edge {
            option,
            limit,
            then,
        })
    }

    /// The server as it is.
    pub(super) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The same server after reading its own snapshot.
    pub(super) fn reload(&self) -> &Frame {
        &self.reload
    }

    pub(super) fn look(&self, value: &Value, key: &Looked<'_>, bars: &Bars, survey: &mut Survey) {
        let profile = &self.profile;
        if let Value::Hash(hash) = value
            && key.count > bars.shard_fields
        {
            self.shards(hash, key, survey);
        }
        if let Value::Zset(zset) = value
            && key.count >= bars.scored
            && is_timed(zset)
        {
            let seen = key.seen(0, key.bytes);
            survey.tally_mut(Point::TimeSeries).take(key.count, seen);
        }
        if key.kind == Kind::Set && key.count > bars.set_members {
            self.counted(key, survey);
        }
        match value {
            Value::Hash(_) if key.encoding == Encoding::Hashtable => {
                let points = [Point::HashEntries, Point::HashValue];
                self.table(value, key, (profile.hash_entries_max, points), survey);
            }
            Value::Zset(_) if key.encoding == Encoding::Skiplist => {
                let points = [Point::Zset; 2];
                self.table(value, key, (profile.zset_entries_max, points), survey);
            }
            Value::Set(_) if key.encoding == Encoding::Hashtable => self.set(value, key, survey),
            Value::Hash(_)
            | Value::Zset(_)
            | Value::Set(_)
            | Value::String(_)
            | Value::List(_)
            | Value::Stream(_)
            | Value::Module(_)
            | Value::Bare(_) => {}
        }
    }

    /// A hash or sorted set in a table: too many entries, or too long ones.
    fn table(
        &self,
        value: &Value,
        key: &Looked<'_>,
        (limit, [entries, values]): (u64, [Point; 2]),
        survey: &mut Survey,
    ) {
        if key.count > limit {
            if key.count <= limit.saturating_mul(RAISED) {
                self.packs(&self.entries, value, key, (entries, survey));
            }
        } else if !self.packs(&self.reload, value, key, (Point::Converted, survey)) {
            self.packs(&self.values, value, key, (values, survey));
        }
    }

    fn set(&self, value: &Value, key: &Looked<'_>, survey: &mut Survey) {
        let profile = &self.profile;
        let packed = if profile.small_sets() {
            profile.set_listpack_max.max(profile.set_intset_max)
        } else {
            profile.set_intset_max
        };
        if key.count <= packed && self.packs(&self.reload, value, key, (Point::Converted, survey)) {
            return;
        }
        if key.count <= profile.set_intset_max.saturating_mul(RAISED)
            && self.packs(&self.intsets, value, key, (Point::IntSet, survey))
        {
            return;
        }
        if profile.small_sets() && key.count <= profile.set_listpack_max {
            self.packs(&self.values, value, key, (Point::SetValue, survey));
        }
    }

    /// A large hash as many packed ones, each three quarters full on average, so that chance does not
    /// make one of them too large.
    fn shards(&self, hash: &Hash, key: &Looked<'_>, survey: &mut Survey) {
        let shards = shards(key.count, self.profile.hash_entries_max);
        let digits = u64::from(shards.ilog10()) + 1;
        let own = Seated {
            name: key.seated.name + 1 + digits,
            ..key.seated
        };
        let then = self.reload.shards(hash, own, shards);
        if let Some(then) = then.filter(|then| *then < key.bytes) {
            let seen = key.seen(shards, then);
            survey
                .tally_mut(Point::HugeHash)
                .take(key.bytes - then, seen);
        }
    }

    /// A set as a dense HyperLogLog.
    fn counted(&self, key: &Looked<'_>, survey: &mut Survey) {
        let then = self.reload.string(&Str::raw(HLL_DENSE), key.seated).memory;
        if then < key.bytes {
            let seen = key.seen(0, then);
            survey
                .tally_mut(Point::CountedSet)
                .take(key.bytes - then, seen);
        }
    }

    /// True if the frame packs the collection, which is then counted for the point.
    fn packs(
        &self,
        frame: &Frame,
        value: &Value,
        key: &Looked<'_>,
        (point, survey): (Point, &mut Survey),
    ) -> bool {
        let then = frame.collection(value, key.seated);
        let packed = then.encoding != key.encoding && then.memory < key.bytes;
        if packed {
            let seen = key.seen(longest(value), then.memory);
            let saving = key.bytes - then.memory;
            survey.tally_mut(point).take(saving, seen);
        }
        packed
    }
}

/// How many packed hashes take so many fields.
fn shards(fields: u64, limit: u64) -> u64 {
    fields.div_ceil((limit / 4 * 3).max(1)).max(1)
}

/// True if the scores of its first members are all times, in seconds or milliseconds of this
/// century.
fn is_timed(zset: &Zset) -> bool {
    const SECONDS: std::ops::Range<f64> = 978_307_200.0..4_102_444_800.0;
    const LOOKED_AT: u32 = 64;
    let (mut met, mut timed) = (0, 0);
    zset.some(|scored| {
        let score = scored.score;
        met += 1;
        timed += u32::from(SECONDS.contains(&score) || SECONDS.contains(&(score / 1000.0)));
        met < LOOKED_AT
    });
    met > 0 && timed == met
}

/// Bytes of a collection's longest element.
fn longest(value: &Value) -> u64 {
    let mut longest = 0;
    match value {
        Value::Hash(hash) => hash.some(|field| {
            longest = longest.max(field.name.len).max(field.value.len);
            true
        }),
        Value::Set(set) => set.some(|member| {
            longest = longest.max(member.text.len);
            true
        }),
        Value::Zset(zset) => zset.some(|scored| {
            longest = longest.max(scored.text.len);
            true
        }),
        Value::String(_)
        | Value::List(_)
        | Value::Stream(_)
        | Value::Module(_)
        | Value::Bare(_) => {}
    }
    longest
}
