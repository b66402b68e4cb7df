//! Keys and bytes as every model counts them all the time: by database, type and encoding.

use std::collections::BTreeMap;

use super::keyspace::Sample;
use super::text::{Kind, Text, seconds};
use crate::model::ask::{DbTotal, Total};

pub(super) fn write(samples: &[Sample], text: &mut Text) {
    databases(samples, text);
    types(samples, text);
    encodings(samples, text);
}

fn databases(samples: &[Sample], text: &mut Text) {
    type Value = fn(&DbTotal) -> f64;
    #[expect(clippy::cast_precision_loss, reason = "every sample is a double")]
    let families: [(&str, &str, Value); 4] = [
        ("keyscape_db_keys", "Keys of a database.", |db| {
            db.keys as f64
        }),
        (
            "keyscape_db_keys_expiring",
            "Keys of a database with an expiry.",
            |db| db.expires as f64,
        ),
        (
            "keyscape_db_avg_ttl_seconds",
            "Mean time to live of those.",
            |db| seconds(db.avg_ttl_ms),
        ),
        (
            "keyscape_db_memory_bytes",
            "Bytes of a database's keys.",
            |db| db.memory as f64,
        ),
    ];
    for (name, help, value) in families {
        let mut family = text.family(name, Kind::Gauge, help);
        for sample in samples {
            for db in &sample.dbs {
                let number = db.db.to_string();
                family.put_of(&sample.labels, &[("db", &number)], value(db));
            }
        }
    }
}

type Sums<G> = BTreeMap<G, [u64; 4]>;

/// Keys, bytes, elements and bytes of names by group.
fn grouped<G: Ord>(totals: &[Total], group: impl Fn(&Total) -> G) -> Sums<G> {
    let mut sums: Sums<G> = BTreeMap::new();
    for total in totals {
        let sum = sums.entry(group(total)).or_default();
        let figures = [total.keys, total.memory, total.elements, total.name_bytes];
        for (figure, more) in sum.iter_mut().zip(figures) {
            *figure += more;
        }
    }
    sums
}

fn types(samples: &[Sample], text: &mut Text) {
    let groups: Vec<_> = samples
        .iter()
        .map(|sample| {
            (
                sample,
                grouped(&sample.totals, |total| (total.db, total.kind.name())),
            )
        })
        .collect();
    let families = [
        ("keyscape_keys", "Keys by database and type."),
        (
            "keyscape_memory_bytes",
            "Bytes that the keys take on their master.",
        ),
        (
            "keyscape_elements",
            "Elements of collections, bytes of strings.",
        ),
        ("keyscape_key_name_bytes", "Bytes of the keys' names."),
    ];
    for (index, (name, help)) in families.into_iter().enumerate() {
        let mut family = text.family(name, Kind::Gauge, help);
        for (sample, sums) in &groups {
            for ((db, kind), figures) in sums {
                let db = db.to_string();
                let labels = [("db", db.as_str()), ("type", kind)];
                family.put_of(&sample.labels, &labels, figures[index]);
            }
        }
    }
}

fn encodings(samples: &[Sample], text: &mut Text) {
    let groups: Vec<_> = samples
        .iter()
        .map(|sample| {
            let group = |total: &Total| (total.kind.name(), total.encoding_name);
            (sample, grouped(&sample.totals, group))
        })
        .collect();
    let families = [
        ("keyscape_keys_by_encoding", "Keys by type and encoding."),
        (
            "keyscape_memory_bytes_by_encoding",
            "Bytes of keys by type and encoding.",
        ),
    ];
    for (index, (name, help)) in families.into_iter().enumerate() {
        let mut family = text.family(name, Kind::Gauge, help);
        for (sample, sums) in &groups {
            for ((kind, encoding), figures) in sums {
                let labels = [("type", *kind), ("encoding", *encoding)];
                family.put_of(&sample.labels, &labels, figures[index]);
            }
        }
    }
}
