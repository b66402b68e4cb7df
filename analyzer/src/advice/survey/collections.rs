//! What collections are looked at for: the forms that other limits would give them.
//!
//! A collection in a table is weighed as a load would leave it on the same server, with limits of
//! four times as many entries, with limits of four times as long elements. Which of the three makes
//! it a packed blob says which rule it is for.

use super::walk::Looked;
use super::{Point, Survey};
use crate::profile::Profile;
use crate::value::{Encoding, Value};
use crate::whatif::Frame;

/// How far limits are thought to be raised.
pub(in crate::advice) const RAISED: u64 = 4;

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
                to.hash_entries_max *= RAISED;
                to.zset_entries_max *= RAISED;
            }),
            values: raised(|to| {
                to.hash_value_max *= RAISED;
                to.zset_value_max *= RAISED;
                to.set_value_max *= RAISED;
            }),
            intsets: raised(|to| to.set_intset_max *= RAISED),
            profile: profile.clone(),
        }
    }

    pub(super) fn look(&self, value: &Value, key: &Looked<'_>, survey: &mut Survey) {
        let profile = &self.profile;
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
