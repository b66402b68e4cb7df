//! KS.GROWTH by hash slot, against the keys of each slot.
//!
//! The rows of slots must sum up to those of types. From one point to the next the keys of a slot must
//! change by what its row does. What is in no slot's row may stand between the two: the rest, and what
//! was no command on a key. It may be another part of the same history at each point, because a minute
//! tells more slots one by one than its seconds did. So the bytes of both points are allowed for, and
//! where there are none every slot is exact.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::census::Census;
use super::{Change, Facts, number, rows, signed};
use crate::cluster::client::slot_of;

/// What KS.GROWTH and the keys say of slots.
#[derive(Debug, Clone, Default)]
pub(super) struct SlotChange {
    /// By slot, of the keys.
    naive: BTreeMap<u64, Change>,
    /// By slot, of the rows.
    told: BTreeMap<u64, Change>,
    /// The row of the rest.
    rest: Change,
    /// Bytes that came and went in no row of a slot.
    elsewhere: u64,
}

impl SlotChange {
    fn read(census: &Census, told: &Value) -> Self {
        let naive = census.by(|row| u64::from(slot_of(&row.name))).into_iter();
        let naive = naive.map(|(slot, (keys, bytes))| {
            let (keys, bytes) = (keys.cast_signed(), bytes.cast_signed());
            (slot, Change { keys, bytes })
        });
        let mut change = Self {
            naive: naive.collect(),
            ..Self::default()
        };
        let volume = |row: &Value| number(row, "bytes_in") + number(row, "bytes_out");
        for row in rows(told, "by_slot") {
            let sum = match row["slot"].as_u64() {
                Some(slot) => change.told.entry(slot).or_default(),
                None => {
                    change.elsewhere += volume(row);
                    &mut change.rest
                }
            };
            sum.keys += signed(row, "keys_change");
            sum.bytes += signed(row, "bytes_change");
        }
        let causes = rows(told, "by_cause").iter().map(volume);
        change.elsewhere += causes.sum::<u64>();
        change
    }

    /// By how much the keys of all slots went another way than their rows since then.
    fn astray(&self, before: &Self) -> u64 {
        let all = [&self.naive, &self.told, &before.naive, &before.told];
        let slots: BTreeSet<u64> = all.into_iter().flat_map(BTreeMap::keys).copied().collect();
        let by = |sums: &BTreeMap<u64, Change>, slot: &u64| {
            let sum = sums.get(slot);
            sum.map_or(0, |sum: &Change| sum.bytes)
        };
        let apart = |slot: &u64| {
            let came = by(&self.naive, slot) - by(&before.naive, slot);
            let said = by(&self.told, slot) - by(&before.told, slot);
            came.abs_diff(said)
        };
        slots.iter().map(apart).sum()
    }
}

/// Compares, if there are slots; `types` is the sum of the rows of types.
pub(super) fn compare(
    (census, told): (&Census, &Value),
    types: Change,
    before: &mut BTreeMap<String, SlotChange>,
    facts: &mut Facts<'_>,
) {
    if told["by_slot"].is_null() {
        return;
    }
    let now = SlotChange::read(census, told);
    let all = now.told.values().fold(now.rest, |sum, row| Change {
        keys: sum.keys + row.keys,
        bytes: sum.bytes + row.bytes,
    });
    facts.equal("by slot", types, all);
    if let Some(before) = before.insert(facts.scope.to_owned(), now.clone()) {
        let open = now.elsewhere.saturating_add(before.elsewhere);
        let astray = now.astray(&before);
        let words = format!("{astray} bytes astray, {open} in no row of a slot");
        facts.holds("slots since the last point", astray <= open, &words);
    }
}
