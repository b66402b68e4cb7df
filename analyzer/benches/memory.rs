//! What the model takes for a key and for an element of each encoding, and for the history of a master:
//! the tables of the README.
//!
//! `cargo bench -p analyzer --bench memory`. The figures depend on nothing but the code: no clock,
//! no allocator. Names have 20 bytes, elements 16; *Redis* is MEMORY USAGE of the same keys on 7.0.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use analyzer::census::Plan;
use analyzer::input::{Command, Key, Outcome, Shape};
use analyzer::profile::{Family, Version};
use analyzer::{Keyspace, Profile, Text};

/// Keys of small values, and elements of large ones.
const MANY: u64 = 200_000;

fn main() {
    println!("| keys | elements of each | B/key | B/element | of Redis 7.0 |");
    println!("| --- | --- | --- | --- | --- |");
    loaded("string embstr, loaded", 40, None);
    loaded("string embstr with an expiry, loaded", 40, Some(1 << 40));
    loaded("string raw, loaded", 100, None);
    written("string embstr", 1, &|key, _| {
        words(&["SET", key, &"v".repeat(40)])
    });
    written("string int", 1, &|key, _| words(&["SET", key, "12345678"]));
    written("list listpack", 10, &|key, n| {
        words(&["RPUSH", key, &element(n)])
    });
    written("list quicklist", 2_000, &|key, n| {
        words(&["RPUSH", key, &element(n)])
    });
    written("set intset", 10, &|key, n| {
        words(&["SADD", key, &(n * 1000).to_string()])
    });
    written("set hashtable", 10, &|key, n| {
        words(&["SADD", key, &element(n)])
    });
    written("set hashtable", 2_000, &|key, n| {
        words(&["SADD", key, &element(n)])
    });
    written("hash listpack", 10, &|key, n| {
        words(&["HSET", key, &element(n), "some value"])
    });
    written("hash hashtable", 2_000, &|key, n| {
        words(&["HSET", key, &element(n), "some value"])
    });
    written("zset listpack", 10, &|key, n| {
        words(&["ZADD", key, &(n * 7).to_string(), &element(n)])
    });
    written("zset skiplist", 2_000, &|key, n| {
        words(&["ZADD", key, &(n * 7).to_string(), &element(n)])
    });
    for count in [10, 2_000] {
        written("stream", count, &|key, n| {
            let id = format!("{}-0", 1_700_000_000_000 + n);
            words(&["XADD", key, &id, "field", "some value"])
        });
    }
    println!("\n| history of three days | patterns | slots | KB |");
    println!("| --- | --- | --- | --- |");
    for (what, patterns, slots) in [
        ("quiet: one pattern", 1, 0),
        ("single server", 200, 0),
        (
            "single server, as many patterns as may be counted",
            10_000,
            0,
        ),
        ("one of a hundred masters of a cluster", 200, 164),
        ("one of three masters of a cluster", 200, 5_461),
        ("a cluster's only master", 200, 16_384),
    ] {
        history(what, patterns, slots);
    }
}

/// A word for a number below 900: no place of a name may have many.
fn word(n: u64) -> String {
    let syllables = [
        "ba", "co", "du", "fe", "gi", "ha", "jo", "ku", "le", "mi", "na", "po", "ru", "se", "ti",
        "va", "wo", "yu", "ze", "bri", "cla", "dro", "fru", "gle", "pli", "sta", "tro", "vle",
        "kri", "sna",
    ];
    let syllable = |n: u64| syllables[usize::try_from(n % 30).unwrap_or(0)];
    format!("{}{}", syllable(n / 30), syllable(n))
}

/// The history of a master whose every pattern and slot was written in every second of two minutes,
/// minute of two hours and hour of three days.
fn history(what: &str, patterns: u64, slots: u64) {
    let profile = Profile {
        cluster: slots > 0,
        ..Profile::defaults(Family::Redis, Version::new(7, 0))
    };
    let plan = Plan {
        patterns_max: 10_000,
        ..Plan::default()
    };
    let mut keyspace = Keyspace::new(profile, 0x5eed)
        .with_slots(|name| {
            let number = name.rsplit(|&byte| byte == b':').next();
            let number = number.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
            number.unwrap_or(0)
        })
        .with_plan(plan);
    let mut now_ms = 1_699_999_200_000;
    keyspace.clock(now_ms);
    while !keyspace.recount(10_000) {}
    let mut offset = 0;
    let spans = [(72, 3_600_000), (120, 60_000), (120, 1000)];
    for span_ms in spans
        .iter()
        .flat_map(|(count, ms)| (0..*count).map(|_| *ms))
    {
        for n in 0..patterns.max(slots) {
            let pattern = n % patterns;
            let (first, second) = (word(pattern % 200), word(pattern / 200));
            let name = format!("{first}:{second}:{}", n % slots.max(1));
            offset += 1;
            keyspace.apply(&Command {
                db: 0,
                argv: &[&b"SET"[..], name.as_bytes(), b"some value"].map(Text::Bytes),
                now_ms,
                end_offset: offset,
            });
        }
        now_ms += span_ms;
        keyspace.clock(now_ms);
        // As the proxy does every half minute.
        keyspace.take_pattern_flows();
    }
    let bytes = keyspace.history_bytes();
    println!("| {what} | {patterns} | {slots} | {} |", bytes / 1000);
}

fn keyspace() -> Keyspace {
    Keyspace::new(Profile::defaults(Family::Redis, Version::new(7, 0)), 0x5eed)
}

fn name(n: u64) -> String {
    format!("user:{n:07}:session")
}

fn element(n: u64) -> String {
    format!("member:{n:09}")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn loaded(what: &str, len: u64, expire_ms: Option<i64>) {
    let mut keyspace = keyspace();
    keyspace.begin_load(1);
    keyspace.expect_keys(0, MANY);
    for n in 0..MANY {
        let name = name(n);
        let key = Key {
            db: 0,
            name: name.as_bytes(),
            shape: Shape::String,
            expire_ms,
            idle_s: None,
            freq: None,
            count_hint: 1,
        };
        keyspace.load_string(key, len, None);
    }
    keyspace.commit_load(1);
    report(what, &mut keyspace, (MANY, 1));
}

/// Keys of so many elements, each written one by one.
fn written(what: &str, elements: u64, command: &dyn Fn(&str, u64) -> Vec<String>) {
    let mut keyspace = keyspace();
    let keys = MANY / elements;
    for n in 0..elements {
        for key in 0..keys {
            let words = command(&name(key), n);
            let argv: Vec<Text<'_>> = words.iter().map(|w| Text::Bytes(w.as_bytes())).collect();
            let outcome = keyspace.apply(&Command {
                db: 0,
                argv: &argv,
                now_ms: 1_700_000_000_000,
                end_offset: 1,
            });
            assert_eq!(outcome, Outcome::Applied);
        }
    }
    report(what, &mut keyspace, (keys, elements));
}

fn report(what: &str, keyspace: &mut Keyspace, (keys, elements): (u64, u64)) {
    // Two rounds: what large values allocate is counted by the way.
    for _ in 0..2 {
        while !keyspace.tidy() {}
        while !keyspace.gauge() {}
    }
    let heap = keyspace.heap_bytes() as f64;
    let theirs: u64 = keyspace.dbs().iter().map(|db| db.bytes).sum();
    let per_element = match elements {
        1 => String::new(),
        _ => format!("{:.1}", heap / (keys * elements) as f64),
    };
    println!(
        "| {what} | {elements} | {:.1} | {per_element} | {:.0}% |",
        heap / keys as f64,
        heap / theirs as f64 * 100.0
    );
}
