//! The largest keys of each deployment, by rank. They have no names here: KS.TOP tells them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::keyspace::Sample;
use super::text::{Kind, Text};
use crate::watch::LargeKey;

/// Keys of each deployment that have series.
const SHOWN: usize = 10;

pub(super) fn write(samples: &[Sample], text: &mut Text) {
    let mut largest: BTreeMap<String, Vec<(&Sample, LargeKey)>> = BTreeMap::new();
    for sample in samples {
        let keys = sample.prospect.iter().flat_map(|prospect| &prospect.keys);
        let own = largest.entry(sample.deployment()).or_default();
        own.extend(keys.map(|key| (sample, *key)));
    }
    let help = "Bytes of the keys of a deployment with most, by rank; half a minute old at most.";
    let mut family = text.family("keyscape_top_key_bytes", Kind::Gauge, help);
    for keys in largest.values_mut() {
        keys.sort_by_key(|(_, key)| (Reverse(key.bytes), key.kind));
        for (rank, (sample, key)) in (1u32..).zip(keys.iter().take(SHOWN)) {
            let rank = rank.to_string();
            let labels = [("rank", rank.as_str()), ("type", key.kind)];
            family.put_of(&sample.labels, &labels, key.bytes);
        }
    }
}
