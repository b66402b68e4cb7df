//! What `redis_exporter` calls the figures that it cannot have without walking a server: keys of
//! databases, sizes of keys that are asked for, groups of keys, streams. Off by default, because an
//! exporter that runs beside us has some of these series too.
//!
//! Names, labels and values are those of redis_exporter 1.69; our `master` label is there as well.
//! Names of consumer groups are not kept, so there is nothing for each group.

use std::sync::Arc;
use std::time::Duration;

use analyzer::value::Kind as Type;

use super::keyspace::Sample;
use super::text::{Kind, Text};
use crate::config::Named;
use crate::fleet::Master;
use crate::model::ask::{Answer, Ask, Facts, Looked, StreamFacts};

/// An owner that does not answer in this time is left out.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// What one master knows of the keys that are asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    keys: Vec<(Named, Facts)>,
    streams: Vec<(Named, StreamFacts)>,
}

impl Known {
    /// Asks a master.
    pub(super) async fn of(master: &Master, wanted: &[Named]) -> Known {
        let asked = tokio::time::timeout(ANSWER_MAX, ask(master, wanted));
        asked.await.ok().flatten().unwrap_or_default()
    }
}

async fn ask(master: &Master, wanted: &[Named]) -> Option<Known> {
    let keys = wanted.to_vec();
    let answer = master.ask(|reply| Ask::Facts { keys, reply }).await?;
    let found = wanted.iter().zip(loaded(answer)?);
    let mut known = Known::default();
    for (name, facts) in found {
        let Some(facts) = facts else { continue };
        known.keys.push((name.clone(), facts));
        if facts.kind != Type::Stream {
            continue;
        }
        let (db, key) = name.clone();
        let answer = master
            .ask(|reply| Ask::StreamInfo { db, key, reply })
            .await?;
        if let Some(Looked::Found(facts)) = loaded(answer) {
            known.streams.push((name.clone(), facts));
        }
    }
    Some(known)
}

fn loaded<T>(answer: Answer<T>) -> Option<T> {
    answer.fresh.generation.loaded().then_some(answer.value)
}

/// What every master knows, in the order of the samples.
pub(super) async fn ask_all(masters: &[Arc<Master>], wanted: &[Named]) -> Vec<Known> {
    let mut all = Vec::new();
    for master in masters {
        all.push(Known::of(master, wanted).await);
    }
    all
}

pub(super) fn write(samples: &[Sample], known: &[Known], text: &mut Text) {
    databases(samples, text);
    groups(samples, text);
    keys(samples, known, text);
    streams(samples, known, text);
}

fn named(db: u32) -> String {
    format!("db{db}")
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a figure in a scrape is a double"
)]
fn databases(samples: &[Sample], text: &mut Text) {
    type Figure = (
        &'static str,
        &'static str,
        fn(&crate::model::ask::DbTotal) -> f64,
    );
    let families: [Figure; 3] = [
        ("redis_db_keys", "Total number of keys by DB.", |db| {
            db.keys as f64
        }),
        (
            "redis_db_keys_expiring",
            "Total number of expiring keys by DB.",
            |db| db.expires as f64,
        ),
        ("redis_db_avg_ttl_seconds", "Avg TTL in seconds.", |db| {
            db.avg_ttl_ms as f64 / 1000.0
        }),
    ];
    for (name, help, figure) in families {
        let mut family = text.family(name, Kind::Gauge, help);
        for sample in samples {
            for db in &sample.dbs {
                family.put_of(&sample.labels, &[("db", &named(db.db))], figure(db));
            }
        }
    }
}

fn groups(samples: &[Sample], text: &mut Text) {
    type Figure = fn(&crate::watch::Group) -> u64;
    let families: [(&str, &str, Figure); 2] = [
        (
            "redis_key_group_count",
            "Count of keys in key group, of [[patterns.groups]].",
            |group| group.keys,
        ),
        (
            "redis_key_group_memory_usage_bytes",
            "Total memory usage of key group in bytes.",
            |group| group.bytes,
        ),
    ];
    for (name, help, figure) in families {
        let mut family = text.family(name, Kind::Gauge, help);
        for sample in samples {
            let ahead = sample.prospect.iter();
            for group in ahead.flat_map(|prospect| &prospect.groups) {
                let db = named(group.db);
                let labels = [("db", db.as_str()), ("key_group", &group.name)];
                family.put_of(&sample.labels, &labels, figure(group));
            }
        }
    }
}

fn keys(samples: &[Sample], known: &[Known], text: &mut Text) {
    type Figure = fn(&Facts) -> u64;
    let families: [(&str, &str, Figure); 2] = [
        ("redis_key_size", "The length or size of key.", |facts| {
            facts.count
        }),
        (
            "redis_key_memory_usage_bytes",
            "The memory usage of key in bytes.",
            |facts| facts.memory,
        ),
    ];
    for (name, help, figure) in families {
        let mut family = text.family(name, Kind::Gauge, help);
        for (sample, known) in samples.iter().zip(known) {
            for ((db, key), facts) in &known.keys {
                let (db, key) = (named(*db), crate::admin::readable(key));
                let labels = [("db", db.as_str()), ("key", &key)];
                family.put_of(&sample.labels, &labels, figure(facts));
            }
        }
    }
}

fn streams(samples: &[Sample], known: &[Known], text: &mut Text) {
    type Figure = fn(&StreamFacts) -> u64;
    // Of an id the exporter has the milliseconds.
    let families: [(&str, &str, Figure); 7] = [
        (
            "redis_stream_length",
            "The number of elements of the stream.",
            |stream| stream.length,
        ),
        ("redis_stream_groups", "Groups count of stream.", |stream| {
            stream.groups.len() as u64
        }),
        (
            "redis_stream_radix_tree_keys",
            "Radix tree keys count.",
            |stream| stream.nodes,
        ),
        (
            "redis_stream_radix_tree_nodes",
            "Radix tree nodes count.",
            |stream| stream.radix_nodes,
        ),
        (
            "redis_stream_first_entry_id",
            "The epoch timestamp (ms) of the first message.",
            |stream| stream.first.0,
        ),
        (
            "redis_stream_last_generated_id",
            "The epoch timestamp (ms) of the latest message on the stream.",
            |stream| stream.last.0,
        ),
        (
            "redis_stream_max_deleted_entry_id",
            "The epoch timestamp (ms) of last message was deleted from the stream.",
            |stream| stream.max_deleted.0,
        ),
    ];
    for (name, help, figure) in families {
        let mut family = text.family(name, Kind::Gauge, help);
        for (sample, known) in samples.iter().zip(known) {
            for ((db, key), stream) in &known.streams {
                let (db, key) = (named(*db), crate::admin::readable(key));
                let labels = [("db", db.as_str()), ("stream", &key)];
                family.put_of(&sample.labels, &labels, figure(stream));
            }
        }
    }
}
