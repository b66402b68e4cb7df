//! Random strings commands against the plainest model there is, and every sum against a recount.

mod kit;

use std::collections::BTreeMap;

use analyzer::input::{Key, Outcome, Part, Shape};
use analyzer::profile::{Family, Version};
use analyzer::value::{Encoding, Kind};
use analyzer::view::{By, Cursor, Top};
use analyzer::{Keyspace, Profile};
use kit::{Dice, Driver};

/// A key as the plain model knows it: the bytes themselves.
#[derive(Clone, Debug, PartialEq)]
struct Plain {
    text: Vec<u8>,
    expire_ms: Option<i64>,
}

type Model = BTreeMap<(u32, Vec<u8>), Plain>;

fn pick_name(dice: &mut Dice) -> Vec<u8> {
    let n = dice.below(400);
    // Some names are long, some longer than a record takes.
    let pad = match n % 40 {
        0 => 300,
        1 => 2000,
        _ => 0,
    };
    let mut name = format!("key:{n}").into_bytes();
    name.resize(name.len() + pad, b'x');
    name
}

fn pick_text(dice: &mut Dice) -> Vec<u8> {
    match dice.below(4) {
        0 => dice.below(1 << 40).to_string().into_bytes(),
        1 => vec![b'v'; usize::try_from(dice.below(300)).expect("small")],
        _ => vec![b'w'; usize::try_from(dice.below(60)).expect("small")],
    }
}

fn step(driver: &mut Driver, model: &mut Model, dice: &mut Dice) {
    driver.db = u32::try_from(dice.below(3)).expect("small");
    let (name, other) = (pick_name(dice), pick_name(dice));
    let id = (driver.db, name.clone());
    let text = pick_text(dice);
    let at = (driver.now_ms + 1_000_000).to_string();
    match dice.below(13) {
        0..4 => {
            driver.run(&[b"SET", &name, &text]);
            let plain = Plain {
                text,
                expire_ms: None,
            };
            model.insert(id, plain);
        }
        4 => {
            driver.run(&[b"set", &name, &text, b"PXAT", at.as_bytes()]);
            let plain = Plain {
                text,
                expire_ms: at.parse().ok(),
            };
            model.insert(id, plain);
        }
        5 => {
            driver.run(&[b"APPEND", &name, &text]);
            let plain = model.entry(id).or_insert(Plain {
                text: Vec::new(),
                expire_ms: None,
            });
            plain.text.extend(text);
        }
        6..11 => step_key(driver, model, dice, (name, other)),
        11 => {
            driver.run(&[b"SETRANGE", &name, b"70", &text]);
            if !text.is_empty() {
                let plain = model.entry(id).or_insert(Plain {
                    text: Vec::new(),
                    expire_ms: None,
                });
                let len = plain.text.len().max(70 + text.len());
                plain.text.resize(len, 0);
            }
        }
        _ => {
            driver.run(&[b"SWAPDB", b"0", b"1"]);
            let old = std::mem::take(model);
            for ((db, name), plain) in old {
                let db = [1, 0].get(db as usize).copied().unwrap_or(db);
                model.insert((db, name), plain);
            }
        }
    }
}

/// A command that does not look at the value.
fn step_key(driver: &mut Driver, model: &mut Model, dice: &mut Dice, names: (Vec<u8>, Vec<u8>)) {
    let (name, other) = names;
    let id = (driver.db, name.clone());
    let at = (driver.now_ms + 1_000_000).to_string();
    match dice.below(5) {
        0 | 1 => {
            driver.run(&[b"DEL", &name, &other]);
            model.remove(&id);
            model.remove(&(driver.db, other));
        }
        2 => {
            driver.run(&[b"PEXPIREAT", &name, at.as_bytes()]);
            if let Some(plain) = model.get_mut(&id) {
                plain.expire_ms = at.parse().ok();
            }
        }
        3 => {
            driver.run(&[b"RENAME", &name, &other]);
            if name != other
                && let Some(plain) = model.remove(&id)
            {
                model.insert((driver.db, other), plain);
            }
        }
        _ => {
            driver.run(&[b"COPY", &name, &name, b"DB", b"7", b"REPLACE"]);
            if let Some(plain) = model.get(&id).cloned() {
                model.insert((7, name), plain);
            }
        }
    }
}

fn compare(driver: &Driver, model: &Model) {
    driver.keyspace.audit().expect("sums agree");
    assert_eq!(driver.keyspace.keys(), model.len() as u64);
    for ((db, name), plain) in model {
        let facts = driver.keyspace.facts(*db, name).expect("the key is there");
        assert_eq!(facts.kind, Kind::String);
        assert_eq!(facts.count, plain.text.len() as u64);
        assert_eq!(facts.expire_ms, plain.expire_ms);
    }
    let mut met = Vec::new();
    let mut cursor = Cursor::start();
    while !driver.keyspace.walk(&mut cursor, 50, &mut |item| {
        met.push((item.db, item.name.to_vec()));
    }) {}
    met.sort();
    assert!(met.iter().eq(model.keys()), "a walk meets every key once");
}

#[test]
fn random_commands_agree_with_a_plain_model() {
    for version in [Version::new(6, 0), Version::new(7, 2)] {
        let mut driver = Driver::on(Profile::defaults(Family::Redis, version));
        let mut model = Model::new();
        let mut dice = Dice(7);
        for round in 0..40_000 {
            step(&mut driver, &mut model, &mut dice);
            if round % 4000 == 0 {
                compare(&driver, &model);
            }
        }
        compare(&driver, &model);
        driver.run(&[b"FLUSHALL"]);
        assert_eq!(driver.keyspace.keys(), 0);
        while !driver.keyspace.tidy() {}
    }
}

#[test]
fn a_scan_meets_every_key_that_stays_while_others_come_and_go() {
    let mut driver = Driver::new();
    for n in 0..3000 {
        driver.run(&[b"SET", format!("stay:{n}").as_bytes(), b"v"]);
    }
    let mut seen = BTreeMap::new();
    let (mut cursor, mut round) = (0, 0u64);
    loop {
        cursor = driver.keyspace.scan(0, cursor, 7, &mut |_, item| {
            *seen.entry(item.name.to_vec()).or_insert(0) += 1;
        });
        if cursor == 0 {
            break;
        }
        // The table grows by half and shrinks again, several times over the scan.
        for n in 0..20 {
            let name = format!("go:{}", (round * 20 + n) % 20_000);
            let verb: &[u8] = if round % 400 < 200 { b"SET" } else { b"DEL" };
            driver.run(&[verb, name.as_bytes(), b"v"]);
        }
        round += 1;
    }
    driver.keyspace.audit().expect("sums agree");
    for n in 0..3000 {
        let name = format!("stay:{n}").into_bytes();
        assert_eq!(seen.get(&name), Some(&1), "stay:{n}");
    }
}

#[test]
fn tables_grow_and_shrink_by_the_page() {
    let mut driver = Driver::new();
    for n in 0..30_000 {
        driver.run(&[b"SET", n.to_string().as_bytes(), b"12"]);
    }
    driver.keyspace.audit().expect("sums agree");
    assert_eq!(driver.names(0).len(), 30_000);
    let tables = |keyspace: &Keyspace| keyspace.heap_bytes() - keyspace.heat_bytes();
    let full = tables(&driver.keyspace);
    for n in 0..30_000 {
        if n % 100 != 0 {
            driver.run(&[b"UNLINK", n.to_string().as_bytes()]);
        }
    }
    driver.keyspace.audit().expect("sums agree");
    assert_eq!(driver.names(0).len(), 300);
    let left = tables(&driver.keyspace);
    assert!(left < full / 20, "{left} of {full} bytes are left");
}

#[test]
fn names_of_every_length_are_keys() {
    let mut driver = Driver::new();
    let lengths = [0, 1, 127, 128, 1023, 1024, 1025, 70_000, 20_000_000];
    for len in lengths {
        let name = vec![b'n'; len];
        driver.run(&[b"SET", &name, b"hello"]);
        driver.run(&[b"EXPIREAT", &name, b"1900000000"]);
        driver.run(&[b"APPEND", &name, b" world"]);
    }
    driver.keyspace.audit().expect("sums agree");
    for len in lengths {
        let facts = driver.keyspace.facts(0, &vec![b'n'; len]).expect("there");
        assert_eq!(facts.count, 11);
        assert_eq!(facts.expire_ms, Some(1_900_000_000_000));
        assert_eq!(facts.encoding, Encoding::Raw);
    }
    for len in lengths {
        assert_eq!(driver.run(&[b"DEL", &vec![b'n'; len]]), Outcome::Applied);
        assert_eq!(driver.run(&[b"DEL", &vec![b'n'; len]]), Outcome::NoChange);
    }
    driver.keyspace.audit().expect("sums agree");
}

#[test]
fn a_load_replaces_the_keyspace_at_its_commit_only() {
    let mut driver = Driver::new();
    driver.line("SET old 1");
    driver.keyspace.begin_load(driver.now_ms);
    for n in 0..1000u32 {
        driver.load_str(n % 2, format!("new:{n}").as_bytes(), 10, Some(i64::from(n)));
    }
    assert!(driver.keyspace.facts(0, b"old").is_some());
    driver.keyspace.commit_load(77);
    assert_eq!(driver.keyspace.applied(), 77);
    assert!(driver.keyspace.facts(0, b"old").is_none());
    assert_eq!(driver.keyspace.keys(), 1000);
    assert_eq!(driver.keyspace.dbs().len(), 2);
    // Ten bytes may be embedded or not: an RDB does not say.
    assert_eq!(driver.keyspace.doubts().probe, 1000);
    driver.keyspace.audit().expect("sums agree");
    while !driver.keyspace.tidy() {}

    driver.keyspace.begin_load(driver.now_ms);
    driver.load_str(0, b"half", 10, None);
    driver.keyspace.abort_load();
    assert_eq!(driver.keyspace.keys(), 1000);
}

#[test]
fn top_finds_the_largest_and_visits_few() {
    let mut driver = Driver::new();
    let mut dice = Dice(3);
    let mut sizes = Vec::new();
    for n in 0..20_000u64 {
        let len = dice.below(2000);
        let name = format!("k{n}");
        driver.run(&[
            b"SETRANGE",
            name.as_bytes(),
            len.to_string().as_bytes(),
            b"x",
        ]);
        sizes.push((len + 1, name.into_bytes()));
    }
    sizes.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for k in [1, 10, 100] {
        let mut search = Top::new(By::Elements, k).kind(Some(Kind::String));
        while !driver.keyspace.top(&mut search, 100) {}
        let rows = search.rows();
        let found: Vec<_> = rows
            .into_iter()
            .map(|row| (row.facts.count, row.name))
            .collect();
        // Which keys of the last size are named is left open.
        let last = sizes[k - 1].0;
        let sure = |rows: &[(u64, Vec<u8>)]| rows.partition_point(|row| row.0 > last);
        assert_eq!(found[..sure(&found)], sizes[..sure(&sizes)]);
        assert_eq!(found.len(), k);
        assert!(found.iter().all(|row| sizes.contains(row)));
    }
    let mut search = Top::new(By::Bytes, 5).glob(Box::new(|name| name.ends_with(b"7")));
    while !driver.keyspace.top(&mut search, 100) {}
    assert!(search.rows().iter().all(|row| row.name.ends_with(b"7")));
    driver.keyspace.audit().expect("bounds hold");
}

/// Pages are made for the keys that a snapshot announces; a wrong number may cost nothing but time.
#[test]
fn announced_keys_are_a_hint_only() {
    for announced in [0, 1, 95, 192, 500, 5000, 100_000, u64::MAX] {
        let mut driver = Driver::new();
        let keyspace = &mut driver.keyspace;
        keyspace.begin_load(1);
        for db in 0..3 {
            keyspace.expect_keys(db, announced);
        }
        for n in 0..5000 {
            let name = format!("key:{n}");
            keyspace.load_key(Key {
                db: 1,
                name: name.as_bytes(),
                shape: Shape::String,
                expire_ms: None,
                idle_s: None,
                freq: None,
                count_hint: 0,
            });
            keyspace.part(Part::Str { len: 9, int: None });
            keyspace.end_key();
        }
        keyspace.commit_load(0);
        keyspace.audit().expect("sums agree");
        assert!(keyspace.heap_bytes() < 16 << 20, "announced {announced}");
        let (mut cursor, mut met) = (0, 0);
        loop {
            cursor = keyspace.scan(1, cursor, 10, &mut |_, _| met += 1);
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(met, 5000, "announced {announced}");
        for n in 0..5000 {
            driver.db = 1;
            driver.run(&[b"DEL", format!("key:{n}").as_bytes()]);
        }
        assert_eq!(driver.keyspace.keys(), 0);
        driver.keyspace.audit().expect("sums agree");
    }
}
