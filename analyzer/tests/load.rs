//! Full syncs that no server writes: keys that come twice, databases that take turns, a profile
//! that changes on the way. Whatever comes, the later key stays and the sums agree.

mod kit;

use std::collections::BTreeMap;

use analyzer::input::{Key, Part, Shape};
use analyzer::profile::{Family, Version};
use analyzer::{Keyspace, Profile, Text};
use kit::{Dice, Driver, key};

/// Elements of a set that fits no record.
const LARGE: u64 = 700;

fn slot_of(name: &[u8]) -> u16 {
    let sum: u32 = name.iter().map(|&byte| u32::from(byte)).sum();
    u16::try_from(sum % 1000).expect("below 1000")
}

fn cluster() -> Keyspace {
    let mut profile = Profile::defaults(Family::Redis, Version::new(7, 0));
    profile.cluster = true;
    Keyspace::new(profile, 0x5eed).with_slots(slot_of)
}

/// A key's name; some are too long for a record.
fn name_of(n: u64) -> Vec<u8> {
    let mut name = format!("key:{n}").into_bytes();
    if n.is_multiple_of(97) {
        name.resize(1500, b'x');
    }
    name
}

/// What a key holds: bytes of a string, or elements of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Bytes(u64),
    Elements(u64),
}

fn load(keyspace: &mut Keyspace, db: u32, name: &[u8], holds: Holds) {
    match holds {
        Holds::Bytes(len) => keyspace.load_string(key(db, name, None), len, None),
        Holds::Elements(count) => {
            keyspace.load_key(Key {
                shape: Shape::SetTable,
                ..key(db, name, Some(1 << 40))
            });
            for n in 0..count {
                let text = format!("member {n}");
                keyspace.part(Part::Element(Text::Bytes(text.as_bytes())));
            }
            keyspace.end_key();
        }
    }
}

fn roll(dice: &mut Dice) -> Holds {
    match dice.below(200) {
        0 => Holds::Elements(LARGE),
        1..20 => Holds::Elements(1 + dice.below(20)),
        _ => Holds::Bytes(dice.below(300)),
    }
}

fn held(keyspace: &Keyspace, db: u32, name: &[u8]) -> Holds {
    let facts = keyspace.facts(db, name).expect("it was loaded");
    if facts.expire_ms.is_some() {
        Holds::Elements(facts.count)
    } else {
        Holds::Bytes(facts.count)
    }
}

/// Loads random keys, most of them several times, and compares with a map.
fn check_twice(names: u64, loads: u64, announced: u64, dbs: u64) {
    let mut keyspace = cluster();
    let mut dice = Dice(names + announced);
    let mut expected = BTreeMap::new();
    let mut twice = 0;
    keyspace.begin_load(1);
    for db in 0..dbs {
        keyspace.expect_keys(u32::try_from(db).expect("small"), announced);
    }
    for _ in 0..loads {
        let db = u32::try_from(dice.below(dbs)).expect("small");
        let name = name_of(dice.below(names));
        let holds = roll(&mut dice);
        load(&mut keyspace, db, &name, holds);
        twice += u64::from(expected.insert((db, name), holds).is_some());
    }
    assert_eq!(keyspace.loading_keys(), Some(loads));
    keyspace.commit_load(0);
    keyspace.audit().expect("sums agree");
    assert_eq!(keyspace.counters().loaded_twice, twice);
    assert_eq!(keyspace.keys(), expected.len() as u64);
    for ((db, name), holds) in &expected {
        assert_eq!(held(&keyspace, *db, name), *holds);
    }
}

#[test]
fn the_later_of_two_keys_stays() {
    check_twice(1, 50, 0, 1);
    check_twice(40_000, 100_000, 0, 1);
    check_twice(40_000, 100_000, 40_000, 1);
    check_twice(3_000, 60_000, 10_000_000, 1);
    check_twice(300, 3_000, 500, 3);
}

#[test]
fn a_profile_that_comes_late_weighs_all_keys() {
    let mut driver = Driver::new();
    driver.keyspace.begin_load(1);
    let mut dice = Dice(3);
    let loaded: Vec<Holds> = (0..20_000).map(|_| roll(&mut dice)).collect();
    for (n, holds) in (0..).zip(&loaded) {
        if n == 10_000 {
            let other = Profile::defaults(Family::Valkey, Version::new(9, 1));
            driver.keyspace.set_profile(other);
        }
        load(&mut driver.keyspace, 0, &name_of(n), *holds);
    }
    driver.keyspace.commit_load(0);
    driver.keyspace.audit().expect("sums agree");
    for (n, holds) in (0..).zip(&loaded) {
        assert_eq!(held(&driver.keyspace, 0, &name_of(n)), *holds);
    }
}
