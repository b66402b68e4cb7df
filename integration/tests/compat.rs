//! Series by the names of redis_exporter, against the real one on the same server.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use integration::app::App;
use integration::child::Running;
use integration::server::free_addr;
use integration::{http, servers, wait};

use crate::scene::{self, PATIENCE};

/// What both must have, name by name. Times to live are looked at apart: they pass.
const SAME: [&str; 15] = [
    "redis_db_keys",
    "redis_db_keys_expiring",
    "redis_key_size",
    "redis_key_memory_usage_bytes",
    "redis_key_group_count",
    "redis_key_group_memory_usage_bytes",
    "redis_number_of_distinct_key_groups",
    "redis_stream_length",
    "redis_stream_groups",
    "redis_stream_radix_tree_keys",
    "redis_stream_radix_tree_nodes",
    "redis_stream_first_entry_id",
    "redis_stream_last_entry_id",
    "redis_stream_last_generated_id",
    "redis_stream_max_deleted_entry_id",
];

const KEYS: &str = "db0=user:1:x,db0=list,db0=events,db0=zset,db0=set,db0=hash,db1=other";

/// Series of a scrape by name and labels, without those that only one side can have.
fn series(body: &str) -> BTreeMap<String, f64> {
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    let parsed = lines.filter_map(|line| {
        let (head, value) = line.rsplit_once(' ')?;
        let (name, labels) = head.strip_suffix('}')?.split_once('{')?;
        let mut labels: Vec<&str> = labels.split(',').collect();
        labels.retain(|label| !label.starts_with("master="));
        labels.sort_unstable();
        let value: f64 = value.parse().ok()?;
        // Databases without keys have series there, and none here.
        let by_db = name.starts_with("redis_db_") || name.contains("_distinct_");
        let wanted = SAME.contains(&name) && !(by_db && value == 0.0);
        wanted.then(|| (format!("{name}{{{}}}", labels.join(",")), value))
    });
    parsed.collect()
}

#[test]
fn names_labels_and_values_are_those_of_the_exporter() {
    let server = scene::server("redis-7.0", &[]);
    let mut client = server.client().expect("connect");
    for line in [
        "SET user:1:x hello EX 5000",
        "SET user:2:y worlds",
        "RPUSH list a b c",
        "ZADD zset 1 a 2 b",
        "SADD set 1 2 3 4",
        "HSET hash f v g w",
        "XADD events 1500-1 f v",
        "XADD events 2500-1 f v",
        "XADD events 3500-7 f v",
        "XDEL events 2500-1",
        "XGROUP CREATE events readers 0",
        "SELECT 1",
        "SET other 12",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        client.ask(&words).expect(line);
    }
    let keys: Vec<String> = KEYS.split(',').map(|key| format!("'{key}'")).collect();
    let config = format!(
        "[metrics]\ncompat = true\ncompat_keys = [{}]\n[[patterns.groups]]\nname = 'user'\n\
         regex = '^user:[0-9]+:.*$'\n",
        keys.join(", ")
    );
    let app = scene::follow(&server, &config);
    scene::settle(&server, &app);
    let web = free_addr().expect("a port");
    let mut exporter = servers::tool("redis-exporter").expect("the exporter can be had");
    exporter.args(["--redis.addr", &server.url()]);
    exporter.args(["--web.listen-address", &web.to_string()]);
    exporter.args([
        "--check-single-keys",
        KEYS,
        "--check-single-streams",
        "db0=events",
    ]);
    exporter.args(["--check-key-groups", "^(user):[0-9]+:.*$"]);
    let _exporter = Running::start(&mut exporter).expect("the exporter starts");
    let mut both = (BTreeMap::new(), BTreeMap::new());
    // Groups are gathered every half minute.
    let same = wait::for_true(PATIENCE, "the same series", || {
        both.0 = series(&http::get(web, "/metrics")?.1);
        both.1 = series(&app.get("/metrics")?.1);
        Ok(both.0.len() > 20 && both.0 == both.1)
    });
    let differ = |a: &BTreeMap<String, f64>, b: &BTreeMap<String, f64>| -> Vec<String> {
        let only = a.iter().filter(|(name, value)| b.get(*name) != Some(value));
        only.map(|(name, value)| format!("{name} {value}"))
            .collect()
    };
    let (theirs, ours) = (differ(&both.0, &both.1), differ(&both.1, &both.0));
    assert!(same.is_ok(), "theirs: {theirs:#?}\nours: {ours:#?}");
    for name in SAME {
        assert!(both.0.keys().any(|key| key.starts_with(name)), "{name}");
    }
    expect_same_ttl(&app, web);
    // Nothing of it by default.
    let plain = scene::follow(&server, "");
    let (_, body) = plain.get("/metrics").expect("a scrape");
    assert!(!body.contains("redis_db_keys"), "{body}");
}

/// The mean time to live, within what passes between the one scrape and the other.
fn expect_same_ttl(app: &App, web: SocketAddr) {
    let ttl = |body: &str| {
        let line = body.lines().find(|line| {
            line.starts_with("redis_db_avg_ttl_seconds{") && line.contains("db=\"db0\"")
        });
        let value = line.and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        value.expect("a mean time to live")
    };
    let mut told = (0.0, 0.0);
    wait::for_true(PATIENCE, "the same time to live", || {
        let theirs = ttl(&http::get(web, "/metrics")?.1);
        told = (theirs, ttl(&app.get("/metrics")?.1));
        Ok((told.0 - told.1).abs() < 5.0)
    })
    .unwrap_or_else(|error| panic!("{error:#}: {told:?}"));
}
