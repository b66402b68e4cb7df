//! Detail that was given up: what is left is right or in doubt, sums follow, and all of it can come
//! back.

mod kit;

use std::collections::BTreeMap;

use analyzer::Text;
use analyzer::census::Plan;
use analyzer::command::Doubt;
use analyzer::input::{Key, Part, Shape};
use analyzer::keyspace::{Counted, Need, Settled};
use analyzer::profile::{Family, Profile, Version};
use analyzer::value::{Encoding, Kind};
use kit::{Dice, Driver, command, key};

/// Gives up what is to be given up.
fn sweep(driver: &mut Driver) {
    while !driver.keyspace.sweep(1000) {}
    driver.keyspace.audit().expect("sums agree");
}

/// Every key with a record has the facts that `exact` has, or is in doubt; how many there are.
fn agree(exact: &Driver, degraded: &Driver) -> usize {
    let names = degraded.names(0);
    for name in &names {
        let (truth, said) = (
            exact.keyspace.facts(0, name),
            degraded.keyspace.facts(0, name).expect("it was named"),
        );
        if said.doubt == Doubt::Value {
            continue;
        }
        let truth = truth.unwrap_or_else(|| panic!("{name:?} is {said:?} and not there"));
        let bare = degraded.keyspace.bare_kind(0, name).is_some();
        assert_eq!(
            (said.kind, said.count),
            (truth.kind, truth.count),
            "{name:?}"
        );
        assert_eq!(said.expire_ms, truth.expire_ms, "{name:?}");
        assert!(
            bare || said.bytes == truth.bytes,
            "{name:?}: {said:?}, {truth:?}"
        );
    }
    names.len()
}

#[test]
fn what_is_kept_is_right_or_in_doubt() {
    for seed in 1..=12 {
        let (mut dice, mut exact, mut degraded) = (Dice(seed), Driver::new(), Driver::new());
        for round in 0..4000 {
            match round {
                1000 => degraded.keyspace.limit_elements(Some(0)),
                1500 => drop(degraded.keyspace.fold()),
                2500 => drop(degraded.keyspace.fold()),
                _ => {}
            }
            let line = command(&mut dice);
            exact.line(&line);
            degraded.line(&line);
            if round % 7 == 0 {
                degraded.keyspace.sweep(20);
            }
        }
        sweep(&mut degraded);
        let kept = agree(&exact, &degraded);
        let all = exact.names(0);
        let known = all.iter().filter(|name| degraded.keyspace.knows(0, name));
        let missing = known.filter(|name| degraded.keyspace.facts(0, name).is_none());
        assert_eq!(missing.count(), 0, "a key in the share is there");
        assert!((15..150).contains(&kept), "a quarter of 300, not {kept}");
    }
}

#[test]
fn sums_of_folded_keys_are_exact_until_they_are_written() {
    let mut driver = Driver::new();
    driver.keyspace.begin_load(1);
    for n in 0..20_000u64 {
        let expire_ms = n.is_multiple_of(4).then_some(1 << 41);
        driver.load_str(0, format!("key:{n}").as_bytes(), n % 90, expire_ms);
    }
    driver.keyspace.commit_load(0);
    let (dbs, totals) = (driver.keyspace.dbs(), driver.keyspace.totals());
    for _ in 0..3 {
        assert!(driver.keyspace.fold());
        sweep(&mut driver);
        assert_eq!(driver.keyspace.totals(), totals);
        let (was, is) = (dbs[0], driver.keyspace.dbs()[0]);
        assert_eq!(
            (was.keys, was.expires, was.bytes),
            (is.keys, is.expires, is.bytes)
        );
    }
    let detail = driver.keyspace.detail();
    assert_eq!(detail.one_in, 8);
    assert!((2200..2800).contains(&driver.keyspace.keys()), "an eighth");
    assert_eq!(detail.folded + driver.keyspace.keys(), 20_000);
    for n in 0..10_000 {
        driver.line(&format!("DEL key:{n}"));
    }
    let left = driver.keyspace.dbs()[0].keys;
    assert!((9_000..11_000).contains(&left), "{left} by the sample");
    let at = driver.offset;
    let told = BTreeMap::from([(0, (10_000, 2_500))]);
    driver.keyspace.take_counts(at, &told);
    let dbs = driver.keyspace.dbs();
    assert_eq!(
        (dbs[0].keys, dbs[0].expires),
        (10_000, 2_500),
        "the server's word"
    );
    driver.line("SET key:new 1");
    driver.line("FLUSHALL");
    assert!(!driver.keyspace.detail().is_degraded());
    driver.line("SET a 1");
    driver.line("SET b 1");
    assert_eq!(driver.keyspace.dbs()[0].keys, 2);
    assert!(driver.keyspace.knows(0, b"nothing"));
}

#[test]
fn keys_come_back_when_the_server_has_no_others() {
    let mut driver = Driver::new();
    for n in 0..1000 {
        driver.line(&format!("SET key:{n} 1"));
    }
    driver.keyspace.fold();
    sweep(&mut driver);
    for n in 0..1000 {
        driver.line(&format!("DEL key:{n}"));
    }
    assert!(driver.keyspace.detail().is_degraded());
    let now = driver.offset;
    driver.keyspace.take_counts(now - 10, &BTreeMap::new());
    assert!(
        driver.keyspace.detail().is_degraded(),
        "that was another time"
    );
    driver.keyspace.take_counts(now, &BTreeMap::new());
    assert!(!driver.keyspace.detail().is_degraded());
    assert_eq!(driver.keyspace.dbs(), []);
}

#[test]
fn a_load_that_does_not_fit_ends_with_sums() {
    let load = |driver: &mut Driver, from: u64, to: u64| {
        for n in from..to {
            driver.load_str(0, format!("key:{n}").as_bytes(), n % 90, None);
        }
    };
    let mut exact = Driver::new();
    exact.keyspace.begin_load(1);
    load(&mut exact, 0, 30_000);
    exact.keyspace.commit_load(1);

    // Announced, found out on the way, and both.
    for (announced, folds) in [(30_000, 0), (0, 2), (30_000, 1)] {
        let mut driver = Driver::new();
        driver.keyspace.set_room(400_000);
        driver.keyspace.begin_load(1);
        driver.keyspace.expect_keys(0, announced);
        load(&mut driver, 0, 15_000);
        for _ in 0..folds {
            assert!(driver.keyspace.fold());
        }
        load(&mut driver, 15_000, 30_000);
        driver.keyspace.commit_load(1);
        assert_eq!(driver.keyspace.totals(), exact.keyspace.totals());
        sweep(&mut driver);
        assert_eq!(driver.keyspace.totals(), exact.keyspace.totals());
        assert!(driver.keyspace.keys() < 30_000 / 3);
        agree(&exact, &driver);
        // Nothing of it lasts beyond the next load.
        driver.keyspace.set_room(u64::MAX);
        driver.keyspace.begin_load(2);
        load(&mut driver, 0, 30_000);
        driver.keyspace.commit_load(2);
        assert_eq!(driver.keyspace.keys(), 30_000);
        assert!(!driver.keyspace.detail().is_degraded());
        driver.keyspace.audit().expect("sums agree");
    }
}

#[test]
fn keys_of_a_first_database_count_once_when_a_second_is_announced() {
    let load = |driver: &mut Driver, db: u32, keys: u64| {
        for n in 0..keys {
            driver.load_str(db, format!("key:{n}").as_bytes(), 1, None);
        }
    };
    // A room that all keys fit into, and one for a quarter of the first database.
    for (room, one_in) in [(1_000_000, 1), (250_000, 4)] {
        let mut driver = Driver::new();
        driver.keyspace.set_room(room);
        driver.keyspace.begin_load(1);
        driver.keyspace.expect_keys(0, 20_000);
        load(&mut driver, 0, 20_000);
        // What is left: the first database took most of it.
        driver.keyspace.set_room(100_000);
        driver.keyspace.expect_keys(1, 10 * one_in);
        load(&mut driver, 1, 10 * one_in);
        // The share that was taken leaves most of these out, too.
        driver.keyspace.set_room(400);
        driver.keyspace.expect_keys(2, 10 * one_in);
        load(&mut driver, 2, 10 * one_in);
        driver.keyspace.commit_load(1);
        assert_eq!(driver.keyspace.detail().one_in, one_in);
    }
}

#[test]
fn sums_count_once_where_a_load_is_weighed_anew() {
    let loaded = |folds: bool| {
        let mut driver = Driver::new();
        driver.keyspace.begin_load(1);
        for n in 0..20_000u64 {
            if n == 10_000 {
                let valkey = Profile::defaults(Family::Valkey, Version::new(8, 1));
                driver.keyspace.set_profile(valkey);
                assert!(!folds || driver.keyspace.fold());
            }
            driver.load_str(0, format!("key:{n}").as_bytes(), n % 90, None);
        }
        driver.keyspace.commit_load(1);
        sweep(&mut driver);
        driver.keyspace
    };
    let (all, half) = (loaded(false), loaded(true));
    assert!(half.keys() < 11_000);
    assert_eq!(half.totals(), all.totals());
}

#[test]
fn a_bare_collection_is_counted_and_comes_back() {
    let mut driver = Driver::new();
    for n in 0..2000 {
        driver.line(&format!("SADD big m-{n}"));
    }
    driver.line("SADD small a b c");
    let before = driver.keyspace.facts(0, b"big").expect("there");
    driver.keyspace.limit_elements(Some(4096));
    sweep(&mut driver);
    assert_eq!(driver.keyspace.bare_kind(0, b"big"), Some(Kind::Set));
    assert_eq!(driver.keyspace.bare_kind(0, b"small"), None);
    assert_eq!(
        driver.keyspace.facts(0, b"big"),
        Some(before),
        "exact until written"
    );
    assert_eq!(driver.keyspace.detail().bare, 1);

    driver.line("SREM big m-1 m-2 m-9999");
    let want = driver.keyspace.next_want(Need::Value).expect("in doubt");
    assert_eq!(want.name, b"big");
    assert_eq!(driver.keyspace.counts_only(0, b"big"), Some(Kind::Set));
    let counted = Counted {
        count: 1998,
        encoding: Some(Encoding::Hashtable),
        expire_ms: None,
    };
    let at = driver.offset;
    let settled = driver.keyspace.settle_count(0, b"big", at, Some(counted));
    assert_eq!(settled, Settled::Taken);
    let after = driver.keyspace.facts(0, b"big").expect("there");
    assert_eq!((after.count, after.doubt), (1998, Doubt::None));
    assert!(after.bytes < before.bytes && after.bytes > before.bytes * 99 / 100);
    driver.keyspace.audit().expect("sums agree");

    driver.keyspace.limit_elements(None);
    sweep(&mut driver);
    assert_eq!(
        driver.keyspace.counts_only(0, b"big"),
        None,
        "its value is wanted"
    );
    assert_eq!(driver.keyspace.doubts().value, 1);
    let want = driver.keyspace.next_want(Need::Value).expect("in doubt");
    assert_eq!(want.name, b"big");
}

#[test]
fn a_load_takes_no_elements_that_are_not_wanted() {
    let mut driver = Driver::on(Profile::defaults(Family::Redis, Version::new(7, 4)));
    driver.keyspace.limit_elements(Some(100));
    driver.keyspace.begin_load(1);
    for (name, count) in [("tiny", 3u64), ("packed", 60), ("large", 5000)] {
        driver.load_parts(name, Shape::SetTable, count, |n, part| {
            part(Part::Element(Text::Bytes(format!("member {n}").as_bytes())));
        });
        driver.load_parts(
            &format!("{name}-hash"),
            Shape::HashTable,
            count,
            |n, part| {
                part(Part::Field {
                    field: Text::Bytes(format!("field {n}").as_bytes()),
                    value: Text::Bytes(b"v"),
                    expire_ms: Some(1 << 41),
                });
            },
        );
        driver.load_parts(&format!("{name}-list"), Shape::List, count, |n, part| {
            part(Part::Node {
                plain: false,
                bytes: 50 + n % 7,
                compressed: None,
            });
            part(Part::Element(Text::Bytes(b"element")));
        });
        driver.load_parts(
            &format!("{name}-stream"),
            Shape::Stream,
            count,
            |n, part| {
                let id = (n + 1, 1);
                part(Part::StreamNode { id, bytes: 100 });
                part(Part::StreamEntry { id, deleted: false });
                if n + 1 == count {
                    part(stream_of(count, id));
                }
            },
        );
    }
    driver.keyspace.commit_load(1);
    driver.keyspace.audit().expect("as they were loaded");
    sweep(&mut driver);
    for kind in ["", "-hash", "-list", "-stream"] {
        let names = ["tiny", "packed", "large"].map(|name| format!("{name}{kind}"));
        let bare = names
            .each_ref()
            .map(|name| driver.keyspace.bare_kind(0, name.as_bytes()).is_some());
        assert_eq!(bare[1..], [true, true], "{kind}");
        let counts = names
            .each_ref()
            .map(|name| driver.keyspace.facts(0, name.as_bytes()).map(|f| f.count));
        assert_eq!(counts, [Some(3), Some(60), Some(5000)], "{kind}");
        for name in names {
            driver.line(&format!("DEL {name}"));
            driver.keyspace.audit().expect("nothing of it is left");
        }
    }
    assert!(driver.names(0).is_empty());
}

impl Driver {
    /// Loads a key of a full sync that has so many parts, or groups of them.
    fn load_parts(
        &mut self,
        name: &str,
        shape: Shape,
        count: u64,
        parts: impl Fn(u64, &mut dyn FnMut(Part<'_>)),
    ) {
        self.keyspace.load_key(Key {
            shape,
            count_hint: count,
            ..key(0, name.as_bytes(), None)
        });
        for n in 0..count {
            parts(n, &mut |part| self.keyspace.part(part));
        }
        self.keyspace.end_key();
    }
}

fn stream_of(length: u64, last: (u64, u64)) -> Part<'static> {
    Part::StreamMeta {
        length,
        last,
        first: (1, 1),
        max_deleted: (0, 0),
        entries_added: length,
    }
}

/// A sweep takes its time: what is said of all keys meanwhile must not depend on how far it is.
#[test]
fn figures_stay_while_keys_are_swept() {
    let mut driver = Driver::new();
    let plan = Plan {
        patterns_max: 100,
        ..Plan::default()
    };
    driver.keyspace = driver.keyspace.with_plan(plan);
    driver.keyspace.clock(driver.now_ms);
    while !driver.keyspace.recount(1000) {}
    for n in 0..20_000 {
        driver.line(&format!("SET user:{n} v PXAT 1900000000000"));
    }
    let check = |driver: &Driver, what: &str| {
        let detail = driver.keyspace.detail();
        let mut rows = driver.keyspace.patterns();
        rows.iter_mut().for_each(|row| row.scale(&detail));
        let keys: u64 = rows.iter().map(|row| row.keys).sum();
        assert!(keys.abs_diff(20_000) <= 1, "{what}: {keys}");
        let mut lives = driver
            .keyspace
            .expiries(None, driver.now_ms)
            .expect("counted");
        lives.scale(&detail);
        assert!(lives.all().keys.abs_diff(20_000) <= 10, "{what}: {lives:?}");
        assert_eq!(driver.keyspace.dbs()[0].keys, 20_000, "{what}");
    };
    check(&driver, "before");
    for round in 0..3 {
        assert!(driver.keyspace.fold());
        check(&driver, &format!("folded {round}"));
        for part in 0..4 {
            driver.keyspace.sweep(1000);
            check(&driver, &format!("swept {part} of {round}"));
        }
    }
    sweep(&mut driver);
    check(&driver, "swept");
    let created = driver.keyspace.growth(60).kinds[0].flow.created;
    assert_eq!(
        created, 20_000,
        "what was before is not scaled by what came"
    );
}

/// A write stands for those to the keys that were folded if it is to a kept key, and for none but
/// itself if not: of a key that is to be swept yet it must not stand for others.
#[test]
fn writes_before_a_sweep_count_once() {
    let written = |folds: bool| {
        let mut driver = Driver::new();
        driver.keyspace.clock(driver.now_ms);
        for n in 0..20_000 {
            driver.line(&format!("SET key:{n} some-value"));
        }
        assert!(!folds || driver.keyspace.fold());
        for n in 0..10_000 {
            driver.line(&format!("DEL key:{n}"));
        }
        for n in 10_000..14_000 {
            driver.line(&format!("APPEND key:{n} x"));
            driver.line(&format!("PEXPIREAT key:{n} 1900000000000"));
        }
        sweep(&mut driver);
        driver
    };
    let (exact, mut folded) = (written(false), written(true));
    let near = |n: u64, expected: u64| n.abs_diff(expected) <= expected / 20;
    let (was, is) = (exact.keyspace.dbs()[0], folded.keyspace.dbs()[0]);
    assert!(near(is.keys, was.keys), "{is:?}, not {was:?}");
    assert!(near(is.bytes, was.bytes), "{is:?}, not {was:?}");
    assert!(near(is.expires, was.expires), "{is:?}, not {was:?}");
    let flow = folded.keyspace.growth(60).kinds[0].flow;
    assert!(near(flow.deleted, 10_000), "{flow:?}");
    assert!(near(flow.changed, 8000), "{flow:?}");
    let told = BTreeMap::from([(0, (was.keys, was.expires))]);
    folded.keyspace.take_counts(folded.offset, &told);
    let is = folded.keyspace.dbs()[0];
    assert_eq!((is.keys, is.expires), (was.keys, was.expires));
    assert!(near(is.bytes, was.bytes), "{is:?}, not {was:?}");
}

/// Nothing that a server says of the number of its keys is too much for a sum.
#[test]
fn keys_beyond_all_measure_are_told() {
    for folded in [true, false] {
        let mut driver = Driver::new();
        driver.keyspace.clock(driver.now_ms);
        for n in 0..100 {
            for db in 0..2 {
                driver.db = db;
                driver.line(&format!("SET key:{n} value PXAT 1900000000000"));
                driver.line(&format!("RPUSH list:{n} value"));
            }
        }
        driver.keyspace.fold();
        sweep(&mut driver);
        if !folded {
            driver.line("FLUSHALL");
            driver.line("SET key value");
            driver.keyspace.fold();
            sweep(&mut driver);
        }
        let told = (0..3).map(|db| (db, (u64::MAX, u64::MAX))).collect();
        for round in 0..100 {
            driver.keyspace.take_counts(driver.offset - 1, &told);
            driver.line(&format!("SET more:{round} value PXAT 1900000000000"));
            driver.line(&format!("RPUSH more-list:{round} value"));
            driver.now_ms += 1000;
            driver.keyspace.clock(driver.now_ms);
            let db = driver.keyspace.dbs()[0];
            assert!(db.keys > u64::MAX / 2, "{db:?}");
            assert!(!driver.keyspace.totals().is_empty());
            assert!(driver.keyspace.detail().folded > u64::MAX / 2);
            assert!(driver.keyspace.growth(60).now.keys > 0);
        }
    }
}

/// What large values allocate is counted a part at a time, and decides what is dropped for want of
/// memory.
#[test]
fn values_of_a_former_generation_are_not_counted() {
    for forgets in [false, true] {
        let mut driver = Driver::new();
        for n in 0..2000 {
            for set in 0..10 {
                driver.line(&format!("SADD set:{set} member-{n}"));
            }
        }
        driver.keyspace.gauge();
        driver.keyspace.begin_load(driver.now_ms);
        if forgets {
            driver.keyspace.forget();
        } else {
            driver.keyspace.commit_load(driver.offset);
        }
        driver.keyspace.gauge();
        assert_eq!(driver.keyspace.collection_bytes(), 0, "{forgets}");
    }
}

#[test]
fn values_of_exchanged_databases_are_counted_once() {
    let mut driver = Driver::new();
    for (db, members) in [(0, 2000), (1, 4000)] {
        driver.db = db;
        for n in 0..members {
            driver.line(&format!("SADD set member-{n}"));
        }
    }
    while driver.keyspace.collection_bytes() < 10_000 {
        driver.keyspace.gauge();
    }
    let counted = driver.keyspace.collection_bytes();
    // The first of the two was counted when they are exchanged.
    driver.keyspace.gauge();
    driver.line("SWAPDB 0 1");
    for _ in 0..5 {
        driver.keyspace.gauge();
    }
    assert_eq!(driver.keyspace.collection_bytes(), counted);
}

/// A sweep goes from database to database: what an exchange puts behind it is not left out.
#[test]
fn a_sweep_misses_nothing_where_databases_are_exchanged() {
    let mut driver = Driver::new();
    let load = |driver: &mut Driver, db: u32, n: u32| {
        driver.db = db;
        driver.run(&[b"SET", format!("k:{n}").as_bytes(), b"v"]);
    };
    load(&mut driver, 0, 0);
    for n in 0..5000 {
        load(&mut driver, 1, n);
    }
    driver.db = 2;
    for n in 0..2000 {
        driver.run(&[b"SADD", b"large", format!("member:{n}").as_bytes()]);
    }
    driver.keyspace.limit_elements(Some(100));
    assert!(
        !driver.keyspace.sweep(500),
        "the sweep stands at database 1"
    );
    driver.run(&[b"SWAPDB", b"0", b"2"]);
    sweep(&mut driver);
    assert!(driver.keyspace.bare_kind(0, b"large").is_some());
}
