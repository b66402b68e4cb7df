//! What is left of the keys' lives, by master. One whose keys are still being counted has no series.

use analyzer::census::{Expiries, LIVES, Portion};

use super::keyspace::Sample;
use super::text::{Kind, Text};

/// The windows of what expires soon, in minutes.
const WINDOWS: [(&str, usize); 3] = [("1m", 1), ("1h", 60), ("1d", 24 * 60)];

/// The figures of one master.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lives {
    lives: [Portion; LIVES.len()],
    windows: [Portion; WINDOWS.len()],
    fixed: Portion,
    expired: Portion,
    storms: usize,
}

impl Lives {
    pub(super) fn of(told: &Expiries) -> Lives {
        Lives {
            lives: told.lives,
            windows: WINDOWS.map(|(_, minutes)| told.within(0, minutes)),
            fixed: told.fixed,
            expired: told.expired,
            storms: told.storms().len(),
        }
    }
}

type Figure = (&'static str, &'static str, fn(&Lives) -> u64);

const FIGURES: [Figure; 5] = [
    ("keyscape_no_ttl_keys", "Keys without an expiry.", |lives| {
        lives.fixed.keys
    }),
    (
        "keyscape_no_ttl_memory_bytes",
        "Bytes of keys without an expiry.",
        |lives| lives.fixed.bytes,
    ),
    (
        "keyscape_expired_resident_keys",
        "Keys past the minute of their expiry that the server has not removed.",
        |lives| lives.expired.keys,
    ),
    (
        "keyscape_expired_resident_bytes",
        "Bytes of keys past the minute of their expiry that the server has not removed.",
        |lives| lives.expired.bytes,
    ),
    (
        "keyscape_expiry_storms",
        "Minutes of the next day in which very many keys or bytes expire (thresholds of rule TTL-04).",
        |lives| lives.storms as u64,
    ),
];

pub(super) fn write(samples: &[Sample], text: &mut Text) {
    for (name, help, figure) in FIGURES {
        let mut family = text.family(name, Kind::Gauge, help);
        for (sample, lives) in counted(samples) {
            family.put_of(&sample.labels, &[], figure(lives));
        }
    }
    let help = "Bytes of keys with an expiry, by what is left of their lives at most.";
    let mut family = text.family("keyscape_ttl_memory_bytes", Kind::Gauge, help);
    for (sample, lives) in counted(samples) {
        for (name, portion) in LIVES.iter().zip(lives.lives) {
            family.put_of(&sample.labels, &[("bucket", *name)], portion.bytes);
        }
    }
    let help = "Bytes of keys that expire from the minute under way on.";
    let mut family = text.family("keyscape_expiring_bytes", Kind::Gauge, help);
    for (sample, lives) in counted(samples) {
        for ((name, _), portion) in WINDOWS.iter().zip(lives.windows) {
            family.put_of(&sample.labels, &[("window", *name)], portion.bytes);
        }
    }
}

fn counted(samples: &[Sample]) -> impl Iterator<Item = (&Sample, &Lives)> {
    samples
        .iter()
        .filter_map(|sample| Some((sample, sample.lives.as_ref()?)))
}
