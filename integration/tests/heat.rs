//! KS.HOT against what was really written, and clients that look for hot keys.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use integration::app::App;
use integration::cluster::campaign::CONFIG;
use integration::cluster::client::slot_of;
use integration::cluster::rebalance;
use integration::cluster::{AGREEMENT, Cluster, Shape, wait_up};
use integration::resp::Client;
use integration::{servers, wait};
use serde_json::Value;

use crate::admin::run;
use crate::clusters;
use crate::scene::{self, MAIN, PATIENCE, expect_equal_all};

/// Writes, and bytes of their commands.
type Tally = BTreeMap<String, (u64, u64)>;

fn count(tally: &mut Tally, name: &str, bytes: usize) {
    let sum = tally.entry(name.to_owned()).or_default();
    sum.0 += 1;
    sum.1 += bytes as u64;
}

/// An answer of Keyscape's as JSON.
pub(crate) fn json(app: &App, words: &[&str]) -> Value {
    let mut client = app.client().expect("connect");
    let words = [words, &["FORMAT", "JSON"]].concat();
    let reply = client.call(&words).expect("an answer").string();
    serde_json::from_str(&reply).unwrap_or_else(|error| panic!("{error}: {reply}"))
}

fn number(row: &Value, name: &str) -> u64 {
    row[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name} of {row}"))
}

/// Some thousand writes, most of them to few keys, by key and by command.
fn some_writes(seed: u64) -> (Vec<Vec<String>>, Tally, Tally) {
    let (mut keys, mut commands) = (Tally::new(), Tally::new());
    let mut dice = seed;
    let mut roll = move |below: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (dice >> 33) % below
    };
    let mut all = Vec::new();
    for _ in 0..30_000 {
        let octave = roll(14);
        let n = (1 << octave) + roll(1 << octave);
        let value = "v".repeat(usize::try_from(roll(300)).expect("small"));
        let words = match roll(3) {
            0 => vec!["SET".to_owned(), format!("s:{n}"), value],
            1 => vec![
                "HSET".to_owned(),
                format!("h:{n}"),
                "field".to_owned(),
                value,
            ],
            _ => vec!["INCR".to_owned(), format!("n:{n}")],
        };
        let bytes = words.iter().map(String::len).sum();
        count(&mut keys, &words[1], bytes);
        count(&mut commands, &words[0], bytes);
        all.push(words);
    }
    (all, keys, commands)
}

fn send(client: &mut Client, writes: &[Vec<String>]) {
    for batch in writes.chunks(500) {
        for words in batch {
            let words: Vec<Vec<u8>> = words.iter().map(|word| word.clone().into_bytes()).collect();
            client.push(&words);
        }
        client.flush().expect("send");
        for _ in batch {
            assert!(!client.read().expect("a reply").is_error());
        }
    }
}

#[test]
fn what_is_hot_lies_within_the_bounds_that_are_told() {
    let server = scene::server("redis-7.0", &[]);
    let app = scene::follow(&server, "");
    let (writes, keys, commands) = some_writes(1);
    let mut client = server.client().expect("connect");
    send(&mut client, &writes);
    scene::settle(&server, &app);
    let told = json(&app, &["KS.HOT", "COMMANDS", "WINDOW", "1h", "100"]);
    let rows = told["hot"].as_array().expect("rows");
    let rows = rows.iter().map(|row| {
        let name = row["command"].as_str().expect("a name").to_owned();
        (name, (number(row, "writes"), number(row, "written_bytes")))
    });
    assert_eq!(rows.collect::<Tally>(), commands);
    let told = json(&app, &["KS.HOT", "PATTERNS", "WINDOW", "1h", "1000"]);
    let rows = told["hot"].as_array().expect("rows").iter();
    let all: u64 = rows.map(|row| number(row, "writes")).sum();
    assert_eq!(all, 30_000, "{told}");
    let brought = ["KS.HOT", "PATTERNS", "BY", "BYTES", "WINDOW", "1h", "1000"];
    let rows = json(&app, &brought)["hot"].clone();
    let rows = rows.as_array().expect("rows");
    let bytes: Vec<u64> = rows.iter().map(|row| number(row, "bytes_in")).collect();
    let (_, named) = bytes.split_last().expect("a row of the rest");
    assert!(named.is_sorted_by(|a, b| a >= b), "{named:?}");
    let grown = json(&app, &["KS.GROWTH", "WINDOW", "1h"]);
    let types = grown["by_type"].as_array().expect("rows").iter();
    let types: u64 = types.map(|row| number(row, "bytes_in")).sum();
    assert_eq!(bytes.iter().sum::<u64>(), types, "{grown}");
    for by in ["WRITES", "BYTES"] {
        let told = json(&app, &["KS.HOT", "KEYS", "BY", by, "WINDOW", "1h", "1000"]);
        let covered = &told["covered"][0];
        assert_eq!(number(covered, "writes"), 30_000);
        let rows = told["hot"].as_array().expect("rows");
        assert!(rows.len() > 100, "{} rows", rows.len());
        for row in rows {
            let truth = keys[row["key"].as_str().expect("a name")];
            let writes = number(row, "writes");
            let bytes = number(row, "written_bytes");
            let writes = writes..=writes + number(row, "writes_error");
            let bytes = bytes..=bytes + number(row, "written_bytes_error");
            assert!(writes.contains(&truth.0), "{row} {truth:?}");
            assert!(bytes.contains(&truth.1), "{row} {truth:?}");
        }
        let measure = |sum: &(u64, u64)| if by == "WRITES" { sum.0 } else { sum.1 };
        let hottest = keys.values().map(measure).max().expect("a key");
        let first = measure(&keys[rows[0]["key"].as_str().expect("a name")]);
        assert!(first * 10 >= hottest * 9, "{first} {hottest}");
        let notes = told["notes"].to_string();
        assert!(notes.contains("reads are not"), "{notes}");
        expect_unlisted(&told, &keys);
        let few = ["KS.HOT", "KEYS", "BY", by, "WINDOW", "1h", "5"];
        expect_unlisted(&json(&app, &few), &keys);
    }
}

/// Every key that an answer of one master does not list had at most what it says.
fn expect_unlisted(told: &Value, keys: &Tally) {
    let rows = told["hot"].as_array().expect("rows").iter();
    let listed: BTreeSet<&str> = rows.filter_map(|row| row["key"].as_str()).collect();
    let most = |name: &str| number(&told["covered"][0], name);
    let (writes, bytes) = (most("unlisted_writes_max"), most("unlisted_bytes_max"));
    for (name, truth) in keys {
        let is_within = truth.0 <= writes && truth.1 <= bytes;
        assert!(listed.contains(&**name) || is_within, "{name} {truth:?}");
    }
}

#[test]
fn writes_by_slot_are_exact_on_a_cluster() {
    let install = servers::get("valkey-9.1").expect("the server can be had");
    let shape = Shape {
        masters: 3,
        replicas: 0,
    };
    let mut cluster = Cluster::start(&install, shape, &[]).expect("the cluster starts");
    let app = clusters::follow(&cluster, CONFIG);
    let (writes, _, _) = some_writes(2);
    let map = cluster.wait_agreed(AGREEMENT).expect("a map");
    let mut tally: BTreeMap<u64, u64> = BTreeMap::new();
    let mut shares: BTreeMap<SocketAddr, Vec<Vec<String>>> = BTreeMap::new();
    for words in writes {
        let slot = slot_of(words[1].as_bytes());
        *tally.entry(slot.into()).or_default() += 1;
        let owner = map.owner(slot).and_then(|seen| seen.addr);
        let share = shares.entry(owner.expect("an owner"));
        share.or_default().push(words);
    }
    for (addr, writes) in shares {
        let mut client = Client::connect(addr).expect("connect");
        wait_up(&mut client).expect("the cluster takes writes");
        send(&mut client, &writes);
    }
    expect_equal_all(&app, &clusters::masters(&mut cluster), 1, 1_000);
    let told = json(&app, &["KS.HOT", "SLOTS", "WINDOW", "1h", "1000"]);
    let rows = told["hot"].as_array().expect("rows");
    assert_eq!(rows.len(), 1000);
    for row in rows {
        assert_eq!(number(row, "writes"), tally[&number(row, "slot")], "{row}");
    }
    let told = json(&app, &["KS.SLOTS", "BY", "WRITES", "LIMIT", "1"]);
    let hottest = tally.values().max().expect("a slot");
    let first = number(&told["slots"][0], "slot");
    // Each is told by the time that its own master covers, and those do not tick together: of two
    // that are nearly as hot, either one may come first.
    assert!(tally[&first] * 10 >= hottest * 9, "{told}");
    let skew = told["largest_by_mean"][0]["writes"].as_f64();
    assert!(
        skew.is_some_and(|skew| (1.0..3.0).contains(&skew)),
        "{told}"
    );
    // What is ahead is gathered every half minute, after all is loaded.
    wait::for_true(PATIENCE, "the series of the masters", || {
        let (_, body) = app.get("/metrics")?;
        let series = |name: &str| body.lines().filter(|line| line.starts_with(name)).count();
        Ok(series("keyscape_shard_memory_bytes{") == 3
            && series("keyscape_shard_writes_per_second{") == 3
            && series("keyscape_shard_writes_skew_ratio{") == 1)
    })
    .expect("series");
}

#[test]
fn the_largest_hash_tags_are_told_with_all_their_keys() {
    let server = scene::quiet_server("redis-7.0");
    let app = scene::follow(&server, "");
    let mut client = server.client().expect("connect");
    let mut bytes = [0, 0];
    for n in 0..90 {
        let at = usize::from(n % 3 > 0);
        let key = format!("{{tag{at}}}:{n}");
        client
            .ask(&["SET", &key, &"v".repeat(500 * (n + 1))])
            .expect("SET");
        let usage = client
            .ask(&["MEMORY", "USAGE", &key])
            .expect("MEMORY USAGE");
        bytes[at] += usage.int().expect("a number").unsigned_abs();
    }
    scene::settle(&server, &app);
    let told = json(&app, &["KS.SLOTS", "HASHTAGS", "LIMIT", "1"]);
    assert_eq!(number(&told["tagged"][0], "unlisted_keys_max"), 30);
    assert_eq!(number(&told["tagged"][0], "unlisted_bytes_max"), bytes[0]);
    let told = json(&app, &["KS.SLOTS", "HASHTAGS", "BY", "BYTES"]);
    assert_eq!(number(&told["tagged"][0], "unlisted_keys_max"), 0);
    let rows = told["hashtags"].as_array().expect("rows");
    for (row, at, keys) in [(&rows[0], 1, 60), (&rows[1], 0, 30)] {
        assert_eq!(row["hashtag"], format!("tag{at}"), "{told}");
        assert_eq!(number(row, "keys"), keys, "{told}");
        assert_eq!(number(row, "bytes"), bytes[at], "{told}");
    }
}

#[test]
fn hotkeys_finds_the_key_that_is_written_most() {
    let server = scene::quiet_server("redis-7.0");
    let app = scene::follow(&server, "");
    let mut client = server.client().expect("connect");
    for name in MAIN {
        // Each time: what was written cools down.
        for _ in 0..5000 {
            client.push(&["INCR", "app:the:hot:one"]);
        }
        client.flush().expect("send");
        for _ in 0..5000 {
            client.read().expect("a reply");
        }
        scene::settle(&server, &app);
        let text = run(name, app.admin.port(), &["--hotkeys"]);
        let first = text
            .lines()
            .find(|line| line.contains("found with counter"));
        let first = first.unwrap_or_else(|| panic!("{name}: {text}"));
        assert!(first.contains("app:the:hot:one"), "{name}: {text}");
    }
}

#[test]
fn a_plan_of_moves_comes_out_as_predicted() {
    for name in ["redis-7.0", "valkey-9.1"] {
        let install = servers::get(name).expect("the server can be had");
        let outcome = rebalance::run(&install, 12_000);
        let outcome = outcome.unwrap_or_else(|error| panic!("{name}: {error:#}"));
        let lines = outcome.lines(name).join("\n");
        assert_eq!(outcome.missed(), 0, "{lines}");
        assert!(outcome.skew(|share| share.before) > 1.25, "{lines}");
        assert!(outcome.skew(|share| share.after) < 1.03, "{lines}");
        assert_eq!(outcome.moves_left, 0, "{lines}");
    }
}
