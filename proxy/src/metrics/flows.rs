//! What commands of the stream did to keys, since the model was made.

use analyzer::flows::Flow;

use super::keyspace::Sample;
use super::text::{Kind, Text};

type Figure = fn(&Flow) -> u64;

/// A family, and its series by one label.
type Split = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, Figure)],
);

const PLAIN: [(&str, &str, Figure); 4] = [
    (
        "keyscape_created_keys_total",
        "Keys that were not there before.",
        |flow| flow.created,
    ),
    (
        "keyscape_changed_keys_total",
        "Writes to keys that were there and still are.",
        |flow| flow.changed,
    ),
    (
        "keyscape_expiries_given_total",
        "Expiries given to keys that were there without one.",
        |flow| flow.ttl_given,
    ),
    (
        "keyscape_expired_keys_total",
        "Keys whose DEL or UNLINK came past their expiry; one of the causes of keyscape_gone_keys_total.",
        |flow| flow.expired,
    ),
];

const SPLIT: [Split; 3] = [
    (
        "keyscape_gone_keys_total",
        "Keys that went: by DEL or UNLINK (of a client or an eviction), by another command, expired.",
        "cause",
        &[
            ("deleted", |flow| flow.deleted),
            ("removed", |flow| flow.removed),
            ("expired", |flow| flow.expired),
        ],
    ),
    (
        "keyscape_key_bytes_total",
        "Bytes of keys that came and that went.",
        "direction",
        &[("in", |flow| flow.bytes_in), ("out", |flow| flow.bytes_out)],
    ),
    (
        "keyscape_expiries_lost_total",
        "Expiries that a key lost: written over without KEEPTTL (and maybe given another one by EXPIRE), or by PERSIST.",
        "cause",
        &[
            ("overwritten", |flow| flow.ttl_overwritten),
            ("persisted", |flow| flow.ttl_persisted),
        ],
    ),
];

pub(super) fn write(samples: &[Sample], text: &mut Text) {
    for (name, help, figure) in PLAIN {
        let mut family = text.family(name, Kind::Counter, help);
        for sample in samples {
            family.put_of(&sample.labels, &[], figure(&sample.status.flows));
        }
    }
    for (name, help, label, figures) in SPLIT {
        let mut family = text.family(name, Kind::Counter, help);
        for sample in samples {
            for (value, figure) in figures {
                let labels = [(label, *value)];
                family.put_of(&sample.labels, &labels, figure(&sample.status.flows));
            }
        }
    }
}
