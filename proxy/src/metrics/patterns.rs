//! Keys by pattern, as gathered last, for each deployment: the largest patterns, and the others as
//! one, so that sums are those of all keys that are counted. Counters of what commands did to them are
//! for fewer patterns, which keep their series while they are written.

use std::collections::BTreeMap;

use analyzer::flows::Flow;

use super::keyspace::Sample;
use super::text::{Kind, Text};
use crate::watch::{Counted, PatternSum, Patterns};

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
    let help =
        "1 if there are more patterns than may be counted, so that the other keys are one row.";
    let mut family = text.family("keyscape_patterns_overflowed", Kind::Gauge, help);
    for sample in samples {
        if let Some(prospect) = &sample.prospect {
            let overflowed = u8::from(prospect.patterns.overflowed);
            family.put_of(&sample.labels, &[], overflowed);
        }
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

/// What is counted of a flow: a value of the family's second label, if it has one, and the figure.
type Counter = (Option<&'static str>, fn(&Flow) -> u64);

/// Name, help, second label, series.
type Counters = (&'static str, &'static str, &'static str, &'static [Counter]);

const COUNTERS: [Counters; 4] = [
    (
        "keyscape_pattern_writes_total",
        "Writes to keys of the stream, by the pattern of their names.",
        "",
        &[(None, Flow::writes)],
    ),
    (
        "keyscape_pattern_created_total",
        "Keys that were not there before, by pattern.",
        "",
        &[(None, |flow| flow.created)],
    ),
    (
        "keyscape_pattern_deleted_total",
        "Keys that went, by pattern: by DEL or UNLINK (of a client or an eviction), by another command, expired.",
        "cause",
        &[
            (Some("deleted"), |flow| flow.deleted),
            (Some("removed"), |flow| flow.removed),
            (Some("expired"), |flow| flow.expired),
        ],
    ),
    (
        "keyscape_pattern_bytes_total",
        "Bytes of keys that came and that went, by pattern.",
        "direction",
        &[
            (Some("in"), |flow| flow.bytes_in),
            (Some("out"), |flow| flow.bytes_out),
        ],
    ),
];

/// What commands did to the keys of patterns, by deployment.
pub(super) fn counters(all: &BTreeMap<String, Counted>, text: &mut Text) {
    for (name, help, label, series) in COUNTERS {
        let mut family = text.family(name, Kind::Counter, help);
        for (head, counted) in all {
            for (pattern, flow) in counted.rows() {
                for (value, figure) in series {
                    let labels = [("pattern", pattern), (label, value.unwrap_or_default())];
                    let labels = &labels[..1 + usize::from(value.is_some())];
                    family.put_of(head, labels, figure(flow));
                }
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
