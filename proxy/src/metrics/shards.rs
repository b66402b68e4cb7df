//! How a cluster's load is spread over its masters: by keys, bytes and writes, and the hash tags that
//! no move of slots can divide. Tags have no names here, because those are parts of key names:
//! KS.SLOTS HASHTAGS tells them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use cluster_map::Slot;

use super::keyspace::Sample;
use super::text::{Kind, Text};
use crate::watch::LargeTag;

/// Hash tags of each cluster that have series.
const TAGS_SHOWN: usize = 10;

pub(super) fn write(samples: &[Sample], text: &mut Text) {
    let shards = || samples.iter().filter(|sample| !sample.own.is_empty());
    let sums: Vec<(&Sample, u64, u64)> = shards().map(own).collect();
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
    #[expect(clippy::cast_precision_loss, reason = "a ratio of sums")]
    let keys = sums.iter().map(|(sample, keys, _)| (*sample, *keys as f64));
    skew(
        "keyscape_shard_keys_skew_ratio",
        "Keys of the master of a cluster with most, by the mean of those followed here.",
        (keys.collect(), text),
    );
    let writes = shards().filter_map(|sample| Some((sample, rate(sample)?)));
    skew(
        "keyscape_shard_writes_skew_ratio",
        "Writes of the master of a cluster with most, by the mean of those followed here.",
        (writes.collect(), text),
    );
    tags(samples, text);
}

/// Keys and bytes of a master in its own slots.
fn own(sample: &Sample) -> (&Sample, u64, u64) {
    let owns = |slot| Slot::new(slot).is_some_and(|slot| sample.own.contains(slot));
    let own = || sample.slots.iter().filter(|total| owns(total.slot));
    let keys = own().map(|total| total.keys).sum();
    (sample, keys, own().map(|total| total.memory).sum())
}

fn rate(sample: &Sample) -> Option<f64> {
    sample.prospect.as_ref()?.writes_per_s
}

/// The largest by the mean, by cluster.
fn skew(name: &str, help: &str, (loads, text): (Vec<(&Sample, f64)>, &mut Text)) {
    let mut sums: BTreeMap<&str, (f64, f64, f64)> = BTreeMap::new();
    for (sample, load) in loads {
        let (masters, sum, most) = sums.entry(&sample.cluster).or_default();
        *masters += 1.0;
        *sum += load;
        *most = most.max(load);
    }
    let mut family = text.family(name, Kind::Gauge, help);
    for (cluster, (masters, sum, most)) in sums.iter().filter(|(_, (_, sum, _))| *sum > 0.0) {
        let ratio = most * masters / sum;
        family.put(&[("cluster", cluster)], format!("{ratio:.4}"));
    }
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
