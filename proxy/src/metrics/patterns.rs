//! Keys by pattern, as gathered last, for each deployment: the largest patterns, and the others as
//! one, so that sums are those of all keys that are counted.

use std::collections::BTreeMap;

use super::keyspace::Sample;
use super::text::{Kind, Text};
use crate::watch::{PatternSum, Patterns};

/// Patterns of one deployment that have a name.
const SHOWN: usize = 50;

type Figure = (&'static str, &'static str, fn(&PatternSum) -> u64);

const FIGURES: [Figure; 3] = [
    (
        "keyscape_pattern_keys",
        "Keys by the pattern of their names.",
        |sum| sum.keys,
    ),
    (
        "keyscape_pattern_memory_bytes",
        "Bytes of keys by pattern.",
        |sum| sum.bytes,
    ),
    (
        "keyscape_pattern_no_ttl_bytes",
        "Bytes of keys without an expiry, by pattern.",
        |sum| sum.fixed_bytes,
    ),
];

pub(super) fn write(samples: &[Sample], text: &mut Text) {
    let mut all: BTreeMap<String, Patterns> = BTreeMap::new();
    let help = "Patterns that keys are counted by.";
    let mut family = text.family("keyscape_patterns", Kind::Gauge, help);
    for sample in samples {
        let Some(prospect) = &sample.prospect else {
            continue;
        };
        family.put_of(&sample.labels, &[], prospect.patterns.count);
        let own = all.entry(sample.deployment()).or_default();
        for (name, sum) in &prospect.patterns.sums {
            own.sums.entry(name.clone()).or_default().add(*sum);
        }
    }
    for patterns in all.values_mut() {
        patterns.shorten(SHOWN);
    }
    for (name, help, figure) in FIGURES {
        let mut family = text.family(name, Kind::Gauge, help);
        for (head, patterns) in &all {
            for (pattern, sum) in &patterns.sums {
                family.put_of(head, &[("pattern", pattern)], figure(sum));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::OTHER;

    #[test]
    fn no_byte_is_lost_where_patterns_are_many() {
        let mut patterns = Patterns::default();
        for n in 0..300u64 {
            let sum = PatternSum {
                keys: 1,
                bytes: n,
                fixed_bytes: 2,
            };
            patterns.sums.insert(format!("p{n}:*"), sum);
        }
        patterns
            .sums
            .insert(OTHER.to_owned(), PatternSum::default());
        patterns.shorten(SHOWN);
        assert_eq!(patterns.sums.len(), SHOWN + 1);
        assert!(patterns.sums.contains_key("p299:*"));
        let mut sum = PatternSum::default();
        patterns.sums.values().for_each(|one| sum.add(*one));
        assert_eq!((sum.keys, sum.bytes, sum.fixed_bytes), (300, 44_850, 600));
    }
}
