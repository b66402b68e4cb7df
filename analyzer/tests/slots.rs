//! Keys and bytes by hash slot: kept by deltas, counted again by the audit and by a plain model.

mod kit;

use std::collections::BTreeMap;

use analyzer::input::Outcome;
use analyzer::profile::{Family, Version};
use analyzer::slots::SlotSum;
use analyzer::view::Cursor;
use analyzer::{Keyspace, Profile};
use kit::{Dice, Driver};

/// A slot function that is easy to foresee: the bytes of the name added up.
fn slot_of(name: &[u8]) -> u16 {
    let sum: u32 = name.iter().map(|&byte| u32::from(byte) * 37).sum();
    u16::try_from(sum % 16_384).expect("below 16384")
}

fn driver(cluster: bool) -> Driver {
    let mut profile = Profile::defaults(Family::Valkey, Version::new(9, 0));
    profile.cluster = cluster;
    let mut driver = Driver::on(profile);
    let keyspace = Keyspace::new(driver.keyspace.profile().clone(), 0x5eed);
    driver.keyspace = keyspace.with_slots(slot_of);
    driver
}

/// The sums of one database, from its keys.
fn recount(keyspace: &Keyspace, db: u32) -> Vec<(u16, SlotSum)> {
    let mut sums: BTreeMap<u16, SlotSum> = BTreeMap::new();
    let mut cursor = Cursor::db(db);
    while !keyspace.walk(&mut cursor, 100, &mut |item| {
        let sum = sums.entry(slot_of(item.name)).or_default();
        sum.keys += 1;
        sum.bytes += item.facts.bytes;
    }) {}
    sums.into_iter().collect()
}

#[track_caller]
fn check(driver: &Driver) {
    driver.keyspace.audit().expect("sums agree");
    for db in 0..3 {
        let slots = driver.keyspace.slots(db);
        let kept: Vec<_> = slots.map_or_else(Vec::new, |slots| slots.filled().collect());
        assert_eq!(kept, recount(&driver.keyspace, db), "db {db}");
    }
}

#[test]
fn random_writes_of_every_type_keep_the_sums() {
    let mut driver = driver(true);
    let mut dice = Dice(11);
    for round in 0..20_000 {
        driver.db = u32::try_from(dice.below(3)).expect("small");
        let (name, other) = (dice.below(300), dice.below(300));
        // Some names are too long for a record.
        let pad = "x".repeat(if name % 50 == 0 { 1500 } else { 0 });
        let line = match dice.below(11) {
            0 | 1 => format!(
                "SET k{name}{pad} {}",
                "v".repeat(usize::try_from(name).expect("small"))
            ),
            2 => format!("DEL k{name}{pad} k{other}"),
            3 => format!("RENAME k{name} k{other}"),
            4 => format!("HSET h{name} f{other} v{other}"),
            5 => format!("HDEL h{name} f{other}"),
            6 => format!("SADD s{name} m{other} n{round}"),
            7 => format!(
                "RPUSH l{name} {}",
                "e".repeat(usize::try_from(other).expect("small"))
            ),
            8 => format!("ZADD z{name} {other} m{other}"),
            9 => format!("PEXPIREAT k{name} {}", driver.now_ms + 5000),
            _ => format!("UNLINK h{name} s{name} l{name} z{other}"),
        };
        driver.line(&line);
        match round % 5000 {
            1000 => drop(driver.line("SWAPDB 0 1")),
            2500 => drop(driver.line("FLUSHDB")),
            4000 => drop(driver.line(&format!("CLUSTER FLUSHSLOT {}", slot_of(b"k17")))),
            _ => {}
        }
        if round % 2000 == 0 {
            check(&driver);
        }
    }
    check(&driver);
    driver.line("FLUSHALL");
    check(&driver);
}

#[test]
fn a_flushed_slot_is_empty_in_every_database() {
    let mut driver = driver(true);
    for db in [0, 2] {
        driver.db = db;
        driver.line("SET a 1");
        driver.line("SET b 1");
    }
    driver.line(&format!("CLUSTER FLUSHSLOT {}", slot_of(b"a")));
    check(&driver);
    assert_eq!(driver.names(0), [b"b"]);
    assert_eq!(driver.names(2), [b"b"]);
}

/// A cluster of Redis 8.4 moves slots at once, and tells replicas in one command what is gone.
#[test]
fn what_has_moved_away_is_trimmed_in_one_command() {
    let mut driver = driver(true);
    for n in 0..2000 {
        driver.line(&format!("SET k{n} v"));
    }
    driver.line("SET a 1");
    driver.line("SET z 1");
    let (low, high) = (slot_of(b"k0"), slot_of(b"k999"));
    let (a, z) = (slot_of(b"a"), slot_of(b"z"));
    let trim = format!("TRIMSLOTS RANGES 2 {low} {high} {a} {a}");
    for wrong in [
        trim.replace("S 2", "S 1"),
        trim.replace("S 2", "S 3"),
        format!("{trim} 7"),
        trim.replace(&format!("{low} {high}"), &format!("{high} {low}")),
        trim.replace(&format!(" {high} "), " 16384 "),
        trim.replace("RANGES", "SLOTS"),
        "TRIMSLOTS RANGES 0".to_owned(),
        "TRIMSLOTS".to_owned(),
        "SFLUSH".to_owned(),
        "SFLUSH 1 SYNC".to_owned(),
    ] {
        assert_eq!(driver.line(&wrong), Outcome::Malformed, "{wrong}");
    }
    assert_eq!(driver.keyspace.keys(), 2002);
    assert_eq!(driver.line(&trim), Outcome::Applied);
    check(&driver);
    let names = driver.names(0);
    let gone = |name: &[u8]| (low..=high).contains(&slot_of(name)) || slot_of(name) == a;
    assert!(names.len() < 2000 && !names.iter().any(|name| gone(name)));
    driver.now_ms += 1000;
    driver.keyspace.clock(driver.now_ms);
    let removed = driver.keyspace.flow_ever().removed;
    assert_eq!(removed, 2002 - names.len() as u64);
    assert_eq!(driver.line(&trim), Outcome::NoChange);
    assert_eq!(
        driver.line(&format!("SFLUSH {z} {z} ASYNC")),
        Outcome::Applied
    );
    assert_eq!(driver.names(0).len(), names.len() - 1);
    assert_eq!(driver.line("SFLUSH 0 16383"), Outcome::Applied);
    assert_eq!(driver.keyspace.keys(), 0);
    check(&driver);
}

#[test]
fn a_load_is_counted_and_a_repeated_name_once() {
    let mut driver = driver(true);
    driver.keyspace.begin_load(driver.now_ms);
    let long = vec![b'n'; 3000];
    for name in [&b"a"[..], b"b", b"a", &long, &long] {
        driver.load_str(1, name, 12, None);
    }
    driver.keyspace.commit_load(5);
    check(&driver);
    assert_eq!(driver.keyspace.counters().loaded_twice, 2);
    assert_eq!(driver.keyspace.keys(), 3);
}

#[test]
fn outside_of_cluster_mode_nothing_is_counted() {
    let mut driver = driver(false);
    driver.line("SET a 1");
    assert!(!driver.keyspace.counts_slots());
    assert_eq!(driver.keyspace.slots(0), None);
    // The server is restarted in cluster mode: what is there stays uncounted until the next load,
    // because counting it would be one long walk.
    let mut profile = driver.keyspace.profile().clone();
    profile.cluster = true;
    let weighs_alike = Profile::defaults(Family::Redis, Version::new(6, 0));
    driver.keyspace.set_profile(profile.clone());
    driver.keyspace.begin_load(driver.now_ms);
    driver.load_str(0, b"b", 12, None);
    driver.keyspace.commit_load(5);
    assert!(driver.keyspace.counts_slots());
    check(&driver);
    // Another version weighs every key anew.
    driver.keyspace.set_profile(Profile {
        cluster: true,
        ..weighs_alike
    });
    check(&driver);
}

#[test]
fn an_empty_model_counts_from_the_first_key_on() {
    let mut driver = driver(false);
    let mut profile = driver.keyspace.profile().clone();
    profile.cluster = true;
    driver.keyspace.set_profile(profile);
    driver.line("SET a 1");
    check(&driver);
    assert_eq!(
        driver.keyspace.slots(0).map(|s| s.get(slot_of(b"a")).keys),
        Some(1)
    );
}

#[test]
fn a_master_pays_for_the_slots_that_have_keys() {
    let mut driver = driver(true);
    let empty = driver.keyspace.heap_bytes();
    driver.line("SET a 1");
    let one = driver.keyspace.heap_bytes() - empty;
    // Of these 12 KiB are for what commands did to slots (KS.GROWTH).
    assert!(one < 40 * 1024, "{one} bytes for one key");
}
