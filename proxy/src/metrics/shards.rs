//! How a cluster's load is spread over its masters: by keys, bytes and writes, and the hash tags that
//! no move of slots can divide. Tags have no names here, because those are parts of key names:
//! KS.SLOTS HASHTAGS tells them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use analyzer::slots::skew;
use cluster_map::Slot;

use super::keyspace::Sample;
use super::text::{Kind, Text};
use crate::watch::LargeTag;

/// Hash tags of each cluster that have series.
const TAGS_SHOWN: usize = 10;

pub(super) fn write(samples: &[Sample], text: &mut Text) {
    let shards = || samples.iter().filter(|sample| !sample.own.is_empty());
    let sums: Vec<(&Sample, u64, u64)> = shards().filter_map(own).collect();
    let mut family = text.family(
        "keyscape_shard_memory_bytes",
        Kind::Gauge,
        "Bytes of the keys in the slots of a cluster's master.",
    );
    for (sample, _, bytes) in &sums {
        family.put_of(&sample.labels, &[], bytes);
    }
    let mut family = text.family(
        "keyscape_shard_keys",
        Kind::Gauge,
        "Keys in the slots of a cluster's master.",
    );
    for (sample, keys, _) in &sums {
        family.put_of(&sample.labels, &[], keys);
    }
    let mut family = text.family(
        "keyscape_shard_writes_per_second",
        Kind::Gauge,
        "Writes to keys of a cluster's master, over the last ten minutes.",
    );
    for (sample, rate) in shards().filter_map(|sample| Some((sample, rate(sample)?))) {
        family.put_of(&sample.labels, &[], format!("{rate:.3}"));
    }
    skews(&sums, text);
    tags(samples, text);
}

/// Keys and bytes of a master in its own slots; nothing of one that does not answer or has no model
/// yet, which would pass for an empty one.
fn own(sample: &Sample) -> Option<(&Sample, u64, u64)> {
    let owns = |slot| Slot::new(slot).is_some_and(|slot| sample.own.contains(slot));
    let slots = sample.slots.as_ref()?;
    let own = || slots.iter().filter(|total| owns(total.slot));
    let keys = own().map(|total| total.keys).sum();
    Some((sample, keys, own().map(|total| total.memory).sum()))
}

fn rate(sample: &Sample) -> Option<f64> {
    sample.prospect.as_ref()?.writes_per_s
}

/// How uneven the masters of each cluster are, of those that are followed here: see
/// [`analyzer::slots::skew`].
fn skews(sums: &[(&Sample, u64, u64)], text: &mut Text) {
    type Load = fn(&(&Sample, u64, u64)) -> Option<u64>;
    let families: [(&str, &str, Load); 3] = [
        (
            "keyscape_shard_skew_ratio",
            "Bytes in the slots of the master of a cluster with most, by the mean of its masters with slots.",
            |(_, _, bytes)| Some(*bytes),
        ),
        (
            "keyscape_shard_keys_skew_ratio",
            "Keys in the slots of the master of a cluster with most, by the mean of its masters with slots.",
            |(_, keys, _)| Some(*keys),
        ),
        (
            "keyscape_shard_writes_skew_ratio",
            "Writes of the master of a cluster with most, by the mean of its masters with slots.",
            |(sample, ..)| rate(sample).map(thousandths),
        ),
    ];
    for (name, help, load) in families {
        let mut loads: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for own in sums {
            let cluster = loads.entry(&own.0.cluster).or_default();
            cluster.extend(load(own));
        }
        let mut family = text.family(name, Kind::Gauge, help);
        for (cluster, loads) in loads {
            if let Some(ratio) = skew(loads) {
                family.put(&[("cluster", cluster)], format!("{ratio:.4}"));
            }
        }
    }
}

/// A rate as a whole number, fine enough for a ratio.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is no less than nothing, and saturates"
)]
fn thousandths(rate: f64) -> u64 {
    (rate * 1000.0) as u64
}

/// The largest hash tags of each cluster.
fn tags(samples: &[Sample], text: &mut Text) {
    let mut largest: BTreeMap<&str, Vec<(&Sample, LargeTag)>> = BTreeMap::new();
    for sample in samples {
        let tags = sample.prospect.iter().flat_map(|prospect| &prospect.tags);
        let own = largest.entry(&sample.cluster).or_default();
        own.extend(tags.map(|tag| (sample, *tag)));
    }
    for tags in largest.values_mut() {
        tags.sort_by_key(|(_, tag)| (Reverse(tag.bytes), tag.slot));
        tags.truncate(TAGS_SHOWN);
    }
    type Value = fn(&LargeTag) -> u64;
    let families: [(&str, &str, Value); 2] = [
        (
            "keyscape_hashtag_memory_bytes",
            "Bytes of the hash tags of a cluster with most, by rank; five minutes old at most.",
            |tag| tag.bytes,
        ),
        (
            "keyscape_hashtag_keys",
            "Keys of the hash tags of a cluster with most bytes, by rank.",
            |tag| tag.keys,
        ),
    ];
    for (name, help, value) in families {
        let mut family = text.family(name, Kind::Gauge, help);
        for (rank, (sample, tag)) in largest.values().flat_map(|tags| (1..).zip(tags)) {
            let (rank, slot) = (u32::to_string(&rank), tag.slot.to_string());
            let labels = [("rank", rank.as_str()), ("slot", slot.as_str())];
            family.put_of(&sample.labels, &labels, value(tag));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cluster_map::Slots;

    use super::*;
    use crate::model::ask::SlotTotal;

    fn master(cluster: &str, own: Option<(u16, u16)>, slots: &[(u16, u64)]) -> Sample {
        let total = |(slot, memory): &(u16, u64)| SlotTotal {
            slot: *slot,
            keys: 1,
            memory: *memory,
        };
        let own = own.and_then(|(from, to)| Slot::new(from).zip(Slot::new(to)));
        let slots: Vec<SlotTotal> = slots.iter().map(total).collect();
        let status = crate::fleet::Status {
            key_bytes: slots.iter().map(|total| total.memory).sum(),
            ..crate::fleet::Status::default()
        };
        Sample {
            cluster: cluster.into(),
            labels: String::new(),
            own: Slots::from_ranges(own),
            status: Arc::new(status),
            slots: Some(slots),
            ..Sample::default()
        }
    }

    #[test]
    fn skew_is_of_masters_with_slots_and_of_what_is_in_them() {
        let samples = [
            master("c", Some((0, 99)), &[(5, 300), (200, 5_000)]),
            master("c", Some((100, 199)), &[(150, 100)]),
            master("c", None, &[]),
            // Masters of Sentinel have nothing to do with each other.
            master("s", None, &[(0, 900)]),
            master("s", None, &[(0, 1)]),
        ];
        let mut text = Text::new(String::new(), 0);
        write(&samples, &mut text);
        let lines = text.body.lines();
        let told: Vec<&str> = lines
            .filter(|line| line.starts_with("keyscape_shard_skew_ratio{"))
            .collect();
        assert_eq!(told, ["keyscape_shard_skew_ratio{cluster=\"c\"} 1.5000"]);
    }
}
