//! What `redis_exporter` calls the figures that it cannot have without walking a server: keys of
//! databases, sizes of keys that are asked for, groups of keys, streams. Off by default, because an
//! exporter that runs beside us has some of these series too.
//!
//! Names, labels and values are those of redis_exporter 1.69; our `master` label is there as well.
//! Names of consumer groups are not kept, so there is nothing for each group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use analyzer::value::Kind as Type;
use tokio::time::Instant;

use super::keyspace::Sample;
use super::text::{Kind, Text};
use crate::admin::ask_each_until;
use crate::config::Named;
use crate::fleet::Master;
use crate::model::ask::{Answer, Ask, Facts, Looked, StreamFacts};

/// Time for all owners together, for their keys and then for their streams: who does not answer in
/// it is left out.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// What one master knows of the keys that are asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    keys: Vec<(Named, Facts)>,
    streams: Vec<(Named, StreamFacts)>,
}

fn loaded<T>(answer: Option<Answer<T>>) -> Option<T> {
    let answer = answer.filter(|answer| answer.fresh.generation.loaded());
    answer.map(|answer| answer.value)
}

/// What every master knows, in the order of the samples. All of them have the same time to answer;
/// what came within it is kept, whatever else did not.
pub(super) async fn ask_all(masters: &[Arc<Master>], wanted: &[Named]) -> Vec<Known> {
    let begun = Instant::now();
    let all = masters.iter().map(|master| (master.clone(), ()));
    let facts = ask_each_until(begun + ANSWER_MAX, all.collect(), |(), reply| Ask::Facts {
        keys: wanted.to_vec(),
        reply,
    });
    let found = facts.await.into_iter().map(|(_, answer)| {
        let facts = loaded(answer).unwrap_or_default();
        let found = wanted.iter().cloned().zip(facts);
        Known {
            keys: found
                .filter_map(|(name, facts)| Some((name, facts?)))
                .collect(),
            streams: Vec::new(),
        }
    });
    let mut known: Vec<Known> = found.collect();
    let mut streams = Vec::new();
    for (at, (master, own)) in masters.iter().zip(&known).enumerate() {
        let own = own
            .keys
            .iter()
            .filter(|(_, facts)| facts.kind == Type::Stream);
        streams.extend(own.map(|(name, _)| (at, master.clone(), name.clone())));
    }
    let questions = streams
        .iter()
        .map(|(_, master, name)| (master.clone(), name.clone()));
    let told = ask_each_until(
        begun + 2 * ANSWER_MAX,
        questions.collect(),
        |(db, key), reply| Ask::StreamInfo { db, key, reply },
    );
    for ((at, _, name), (_, answer)) in streams.into_iter().zip(told.await) {
        if let Some(Looked::Found(facts)) = loaded(answer) {
            known[at].streams.push((name, facts));
        }
    }
    known
}

pub(super) fn write(samples: &[Sample], known: &[Known], text: &mut Text) {
    databases(samples, text);
    groups(samples, text);
    distinct_groups(samples, text);
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

/// Where a key is in one group at most, these are the exporter's figures.
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

/// How many groups have keys, as the exporter has it: `unclassified` is one of them.
fn distinct_groups(samples: &[Sample], text: &mut Text) {
    let mut family = text.family(
        "redis_number_of_distinct_key_groups",
        Kind::Gauge,
        "Number of distinct key groups.",
    );
    for sample in samples {
        let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
        let ahead = sample.prospect.iter();
        for group in ahead.flat_map(|prospect| &prospect.groups) {
            *counts.entry(group.db).or_default() += 1;
        }
        for (db, count) in counts {
            family.put_of(&sample.labels, &[("db", &named(db))], count);
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
    let families: [(&str, &str, Figure); 8] = [
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
            "redis_stream_last_entry_id",
            "The epoch timestamp (ms) of the last message.",
            |stream| stream.last_live.0,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Seat, testing};
    use crate::model::ask::{Freshness, Generation};

    fn fresh<T>(value: T) -> Answer<T> {
        let fresh = Freshness {
            replid: "".into(),
            offset: 0,
            generation: Generation::Current,
            detail: analyzer::keyspace::Detail::default(),
        };
        Answer { fresh, value }
    }

    fn stream() -> Facts {
        Facts {
            kind: Type::Stream,
            encoding: analyzer::value::Encoding::Stream,
            encoding_name: "stream",
            count: 3,
            memory: 100,
            expire_ms: None,
            doubt: analyzer::command::Doubt::None,
            idle_s: 0,
            freq: 0,
        }
    }

    /// Every key is a stream; one of them is not told of, as when its master is busy.
    async fn half_an_owner(mut seat: Seat) {
        while let Some(ask) = seat.asks.recv().await {
            if let Ask::Facts { keys, reply } = ask {
                let facts = keys.iter().map(|_| Some(stream())).collect();
                drop(reply.send(fresh(facts)));
            } else if let Ask::StreamInfo { key, reply, .. } = ask
                && key != b"lost"
            {
                drop(reply.send(fresh(Looked::Found(StreamFacts::default()))));
            }
        }
    }

    #[tokio::test]
    async fn one_silence_takes_nothing_else_with_it() {
        let (silent, _seat) = testing::master(0);
        let (half, seat) = testing::master(1);
        tokio::spawn(half_an_owner(seat));
        let wanted = [(0, b"lost".to_vec()), (0, b"told".to_vec())];
        let known = ask_all(&[silent.clone(), half, silent], &wanted).await;
        let counts = known.iter().map(|own| (own.keys.len(), own.streams.len()));
        assert_eq!(counts.collect::<Vec<_>>(), [(0, 0), (2, 1), (0, 0)]);
    }
}
