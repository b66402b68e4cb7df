//! Every byte of change has one row: against sums over all keys before and after.

mod kit;

use std::collections::BTreeMap;

use analyzer::Keyspace;
use analyzer::census::Plan;
use analyzer::flows::{Cause, Flow, Growth, GrowthRow};
use analyzer::profile::{Family, Profile, Version};
use analyzer::view::Cursor;
use kit::{Dice, Driver, command};

/// A driver of a keyspace that counts by pattern.
fn by_pattern() -> Driver {
    let mut driver = Driver::new();
    let plan = Plan {
        patterns_max: 40,
        ..Plan::default()
    };
    let profile = driver.keyspace.profile().clone();
    driver.keyspace = Keyspace::new(profile, 0x5eed).with_plan(plan);
    driver.keyspace.clock(driver.now_ms);
    while !driver.keyspace.recount(100) {}
    driver
}

/// Keys and bytes, key by key.
fn sums(driver: &Driver) -> (u64, u64) {
    let (mut keys, mut bytes) = (0, 0);
    let mut cursor = Cursor::start();
    let mut take = |size: u64| {
        keys += 1;
        bytes += size;
    };
    while !driver
        .keyspace
        .walk(&mut cursor, 1000, &mut |item| take(item.facts.bytes))
    {}
    (keys, bytes)
}

fn net<'a>(flows: impl Iterator<Item = &'a Flow>) -> (i64, i64) {
    flows.fold((0, 0), |(keys, bytes), flow| {
        (keys + flow.net_keys(), bytes + flow.net_bytes())
    })
}

/// The rows sum up to the change of the total, in both ways of telling them.
fn attributed(growth: &Growth) {
    let change = |before: u64, now: u64| {
        i64::try_from(now).expect("small") - i64::try_from(before).expect("small")
    };
    let keys = change(growth.before.keys, growth.now.keys);
    let bytes = change(growth.before.bytes, growth.now.bytes);
    let kinds = net(growth.kinds.iter().map(|row| &row.flow));
    let causes = net(growth.causes.iter().map(|row| &row.flow));
    assert_eq!(
        (kinds.0 + causes.0, kinds.1 + causes.1),
        (keys, bytes),
        "{growth:?}"
    );
    let patterns = net(growth.patterns.iter().map(|row| &row.flow));
    let rest = growth.rest.net_bytes();
    assert_eq!(patterns.1 + rest, kinds.1, "{growth:?}");
    if growth.slots.is_empty() {
        assert!(growth.slots_rest.is_nothing(), "{growth:?}");
        return;
    }
    let slots = net(growth.slots.iter().map(|row| &row.flow));
    let rest = (growth.slots_rest.net_keys(), growth.slots_rest.net_bytes());
    assert_eq!((slots.0 + rest.0, slots.1 + rest.1), kinds, "{growth:?}");
}

fn cause(growth: &Growth, of: Cause) -> Flow {
    let row = growth.causes.iter().find(|row| row.of == of);
    row.map(|row| row.flow).unwrap_or_default()
}

/// A second passes.
fn tick(driver: &mut Driver, seconds: u64) {
    driver.now_ms += i64::try_from(seconds * 1000).expect("small");
    driver.keyspace.clock(driver.now_ms);
}

#[test]
fn every_byte_of_change_is_in_one_row() {
    for seed in 1..=8 {
        let (mut dice, mut driver) = (Dice(seed), by_pattern());
        let mut then = Vec::new();
        for round in 0..4000 {
            driver.db = u32::try_from(dice.below(2)).expect("small");
            let line = command(&mut dice);
            driver.line(&line);
            match dice.below(400) {
                0 => drop(driver.line("FLUSHDB")),
                1 => drop(driver.line("SWAPDB 0 1")),
                2 => {
                    driver.keyspace.begin_load(driver.now_ms);
                    for n in 0..dice.below(300) {
                        driver.load_str(0, format!("str:{n}").as_bytes(), 9, None);
                    }
                    driver.keyspace.commit_load(driver.offset);
                }
                3..20 => drop(driver.keyspace.recount(100)),
                _ => {}
            }
            if round % 10 == 0 {
                then.push((driver.now_ms, sums(&driver)));
                let pause = [0, 1, 1, 7, 400][usize::try_from(dice.below(5)).expect("small")];
                tick(&mut driver, pause);
            }
            for window in [1, 60, 3000, 100_000] {
                let growth = driver.keyspace.growth(window);
                attributed(&growth);
                let (keys, bytes) = sums(&driver);
                assert_eq!((growth.now.keys, growth.now.bytes), (keys, bytes));
                assert!(cause(&growth, Cause::Corrected).is_nothing(), "{growth:?}");
            }
        }
        // What a window begins with is what there was then.
        let growth = driver.keyspace.growth(100_000);
        let since = growth.since_s * 1000;
        let before = then.iter().rev().find(|(at, _)| *at < since);
        if let Some((_, (keys, bytes))) = before {
            assert_eq!((growth.before.keys, growth.before.bytes), (*keys, *bytes));
        }
    }
}

#[test]
fn events_are_told_apart() {
    let mut driver = Driver::new();
    driver.keyspace.clock(driver.now_ms);
    let past = driver.now_ms + 2000;
    driver.line("SET a 1");
    driver.line(&format!("SET b 1 PXAT {past}"));
    driver.line(&format!("SET c 1 PXAT {past}"));
    driver.line(&format!("SET d 1 PXAT {past}"));
    driver.line("RPUSH l x");
    driver.line("SET e 1 PXAT 1900000000000");
    driver.line("SET f 1 PXAT 1900000000000");
    driver.line("SET g 1 PXAT 1900000000000");
    driver.line("UNLINK b");
    tick(&mut driver, 3);
    driver.line("DEL c");
    driver.line("UNLINK d");
    driver.line("DEL a");
    driver.line("LPOP l");
    driver.line("SET e 2");
    driver.line("PERSIST f");
    driver.line("SET g 2 KEEPTTL");
    driver.line("SADD e x");
    driver.line("SET e 3");
    let growth = driver.keyspace.growth(60);
    attributed(&growth);
    let mut all = Flow::default();
    growth.kinds.iter().for_each(|row| all.add(&row.flow));
    assert_eq!(all.created, 8);
    assert_eq!((all.expired, all.deleted, all.removed), (2, 2, 1));
    assert_eq!((all.ttl_overwritten, all.ttl_persisted), (1, 1));
    assert_eq!(driver.keyspace.flow_ever(), all);
    driver.line("FLUSHALL");
    let growth = driver.keyspace.growth(60);
    assert_eq!(cause(&growth, Cause::Flushed).removed, 3);
    assert_eq!(growth.now.bytes, 0);
    let ever = driver.keyspace.flow_ever();
    assert_eq!(ever.removed, all.removed + 3, "a flush is a command");
    assert_eq!(ever.net_bytes(), 0, "nothing is left of what came");
}

/// A master whose clock is ahead of ours expires keys before their time here.
#[test]
fn clocks_may_be_a_second_apart() {
    let mut driver = Driver::new();
    driver.keyspace.clock(driver.now_ms);
    for (at, figures) in [
        (500, (1, 0)),
        (1000, (2, 0)),
        (1001, (2, 1)),
        (60_000, (2, 2)),
    ] {
        driver.line(&format!("SET k v PXAT {}", driver.now_ms + at));
        driver.line("DEL k");
        let flow = driver.keyspace.growth(60).kinds[0].flow;
        assert_eq!((flow.expired, flow.deleted), figures, "{at} ms before");
    }
}

#[test]
fn a_key_of_another_type_is_in_no_rest() {
    let mut driver = by_pattern();
    driver.line("RPUSH a 1 2 3");
    driver.line("RPUSH b 1 2 3");
    driver.line("SET c v");
    for seconds in [1, 200] {
        tick(&mut driver, seconds);
    }
    for line in [
        "SET a v",
        "SET c vv",
        "COPY c b REPLACE",
        "RPUSH d 1",
        "RENAME d c",
    ] {
        driver.line(line);
        let growth = driver.keyspace.growth(60);
        attributed(&growth);
        assert!(growth.rest.is_nothing(), "{line} {growth:?}");
        let all = |rows: &mut dyn Iterator<Item = Flow>| {
            rows.fold(Flow::default(), |mut sum, flow| {
                sum.add(&flow);
                sum
            })
        };
        let kinds = all(&mut growth.kinds.iter().map(|row| row.flow));
        let patterns = all(&mut growth.patterns.iter().map(|row| row.flow));
        assert_eq!(kinds, patterns, "{line}");
    }
    let growth = driver.keyspace.growth(60);
    let a = growth.patterns.iter().find(|row| row.of == b"a");
    let a = a.expect("it was written").flow;
    assert_eq!((a.created, a.removed, a.changed), (1, 1, 0));
}

#[test]
fn a_clock_that_goes_back_takes_nothing_away() {
    let mut driver = Driver::new();
    driver.keyspace.clock(driver.now_ms);
    for step in [
        1,
        -5000,
        3,
        i64::from(i32::MIN),
        2,
        1 << 40,
        i64::MIN / 2,
        i64::MAX / 2,
    ] {
        driver.line(&format!("SET k{step} v"));
        driver.now_ms = driver.now_ms.saturating_add(step.saturating_mul(1000));
        driver.keyspace.clock(driver.now_ms);
        let growth = driver.keyspace.growth(60);
        attributed(&growth);
    }
    assert_eq!(driver.keyspace.growth(60).now.keys, 8);
    for at in [i64::MIN, i64::MAX, 0, i64::MAX] {
        driver.keyspace.clock(at);
        attributed(&driver.keyspace.growth(u32::MAX));
    }
}

#[test]
fn history_is_bounded() {
    let mut driver = Driver::new();
    driver.keyspace.clock(driver.now_ms);
    for n in 0..20_000u64 {
        driver.line(&format!("SET key{} {n}", n % 50));
        tick(&mut driver, 1 + n % 90);
    }
    let growth = driver.keyspace.growth(u32::MAX);
    attributed(&growth);
    assert!(growth.covered_s <= 73 * 3600, "{}", growth.covered_s);
    assert!(growth.covered_s > 71 * 3600, "{}", growth.covered_s);
    assert!(growth.points.len() <= 74);
    let heap = driver.keyspace.heap_bytes();
    assert!(heap < 300_000, "{heap}");
}

#[test]
fn patterns_have_flows_of_their_own() {
    let mut driver = by_pattern();
    for n in 0..300 {
        driver.line(&format!("SET user:{n} value PXAT 1900000000000"));
        driver.line(&format!("RPUSH queue:{n}:todo item"));
    }
    for n in 0..50 {
        driver.line(&format!("SET user:{n} value"));
        driver.line(&format!("DEL queue:{n}:todo"));
    }
    let growth = driver.keyspace.growth(60);
    attributed(&growth);
    let flow = |name: &[u8]| {
        let row = growth.patterns.iter().find(|row| row.of == name);
        row.unwrap_or_else(|| panic!("{growth:?}")).flow
    };
    let (users, queues) = (flow(b"user:*"), flow(b"queue:*:todo"));
    assert_eq!(
        (users.created, users.changed, users.ttl_overwritten),
        (300, 50, 50)
    );
    assert_eq!((queues.created, queues.deleted), (300, 50));
    assert!(growth.rest.is_nothing(), "{growth:?}");
}

#[test]
fn patterns_with_many_writes_and_with_many_bytes_are_told() {
    let mut driver = by_pattern();
    let value = "v".repeat(3000);
    let loads: Vec<String> = ('a'..='z')
        .map(|letter| format!("{letter}{letter}"))
        .collect();
    for second in 0..60 {
        for _ in 0..50 {
            driver.line("INCR hits:total");
        }
        for load in &loads {
            driver.line(&format!("SET {load}:{second} {value}"));
            driver.line(&format!("SET {load}:{second} {value}"));
        }
        tick(&mut driver, 1);
    }
    for window_s in [60, 600] {
        let growth = driver.keyspace.growth(window_s);
        attributed(&growth);
        let told = |name: &[u8]| growth.patterns.iter().find(|row| row.of == name);
        let hits = told(b"hits:total").unwrap_or_else(|| panic!("{growth:?}"));
        assert_eq!(hits.flow.writes(), 3000, "{window_s}");
        assert!(growth.patterns.len() > 3, "those with most bytes, too");
    }
}

#[test]
fn flows_outlive_the_count_that_they_stand_in() {
    for end in ["a recount", "another server", "FLUSHDB", "FLUSHALL"] {
        let mut driver = by_pattern();
        // So long that the calendar of the first count is used up.
        tick(&mut driver, 3 * 86_400);
        for n in 0..100 {
            driver.line(&format!("SET user:{n} v"));
        }
        match end {
            "a recount" => while !driver.keyspace.recount(100) {},
            "another server" => {
                let profile = Profile::defaults(Family::Valkey, Version::new(8, 0));
                driver.keyspace.set_profile(profile);
            }
            line => drop(driver.line(line)),
        }
        let growth = driver.keyspace.growth(60);
        attributed(&growth);
        assert!(growth.rest.is_nothing(), "{end}: {growth:?}");
        let told = growth.patterns.iter().map(|row| row.flow.created);
        assert_eq!(told.sum::<u64>(), 100, "{end}");
    }
}

#[test]
fn an_expiry_that_is_given_back_is_not_lost() {
    let mut driver = by_pattern();
    let sum = |driver: &mut Driver| {
        let growth = driver.keyspace.growth(60);
        growth.kinds.iter().fold(Flow::default(), |mut sum, row| {
            sum.add(&row.flow);
            sum
        })
    };
    for round in 0..3 {
        for n in 0..200 {
            driver.line(&format!("SET session:{n} {round}"));
            driver.line(&format!("PEXPIREAT session:{n} 1900000000000"));
        }
    }
    let all = sum(&mut driver);
    assert_eq!((all.ttl_overwritten, all.ttl_given), (400, 600));
    assert_eq!(all.ttl_lost(), 0);
    driver.line("PERSIST session:1");
    assert_eq!(sum(&mut driver).ttl_lost(), 1);
    tick(&mut driver, 100);
    for n in 0..200 {
        driver.line(&format!("SET session:{n} new"));
    }
    assert_eq!(sum(&mut driver).ttl_lost(), 199, "one had none before");
}

#[test]
fn patterns_of_databases_are_told_apart() {
    let mut driver = by_pattern();
    for (db, keys) in [(0, 10), (1, 30)] {
        driver.db = db;
        for n in 0..keys {
            driver.line(&format!("SET user:{n} v"));
        }
    }
    let told = |driver: &mut Driver| {
        let growth = driver.keyspace.growth(60);
        attributed(&growth);
        let all = growth.patterns.iter().map(|row| row.flow.created);
        assert_eq!(all.collect::<Vec<_>>(), [40]);
        let rows = growth.patterns_of_dbs.iter();
        rows.map(|row| (row.of.0, row.flow.created))
            .collect::<Vec<_>>()
    };
    let mut rows = told(&mut driver);
    rows.sort_unstable();
    assert_eq!(rows, [(0, 10), (1, 30)]);
    driver.line("SWAPDB 1 5");
    let mut rows = told(&mut driver);
    rows.sort_unstable();
    assert_eq!(rows, [(0, 10), (5, 30)]);
}

/// Any slot of all, by name.
fn slot_of(name: &[u8]) -> u16 {
    let mix = |sum: u32, byte: &u8| sum.wrapping_mul(31).wrapping_add(u32::from(*byte));
    u16::try_from(name.iter().fold(7, mix) % 16_384).expect("small")
}

/// A driver of a server in cluster mode.
fn by_slot() -> Driver {
    let mut driver = Driver::new();
    let profile = Profile {
        cluster: true,
        ..driver.keyspace.profile().clone()
    };
    driver.keyspace = Keyspace::new(profile, 0x5eed).with_slots(slot_of);
    driver.keyspace.clock(driver.now_ms);
    driver
}

/// Keys and bytes by slot, key by key.
fn sums_by_slot(driver: &Driver) -> BTreeMap<u16, (i64, i64)> {
    let mut sums: BTreeMap<u16, (i64, i64)> = BTreeMap::new();
    let mut cursor = Cursor::start();
    let mut take = |name: &[u8], bytes: u64| {
        let sum = sums.entry(slot_of(name)).or_default();
        *sum = (sum.0 + 1, sum.1 + i64::try_from(bytes).expect("small"));
    };
    let keyspace = &driver.keyspace;
    while !keyspace.walk(&mut cursor, 1000, &mut |item| {
        take(item.name, item.facts.bytes);
    }) {}
    sums
}

#[test]
fn every_slot_changed_by_what_its_row_says() {
    for seed in 1..=8 {
        let (mut dice, mut driver) = (Dice(seed), by_slot());
        for round in 0..4000 {
            driver.line(&command(&mut dice));
            if round % 10 == 0 {
                let pause = [0, 1, 1, 7, 400][usize::try_from(dice.below(5)).expect("small")];
                tick(&mut driver, pause);
            }
        }
        // All of it is in the window, and few enough slots are written for each to have its row.
        let growth = driver.keyspace.growth(u32::MAX);
        attributed(&growth);
        assert!(growth.slots_rest.is_nothing(), "{growth:?}");
        let mut told: BTreeMap<u16, (i64, i64)> = growth
            .slots
            .iter()
            .map(|row| (row.of, (row.flow.net_keys(), row.flow.net_bytes())))
            .collect();
        assert!(told.len() > 20, "{told:?}");
        told.retain(|_, change| *change != (0, 0));
        assert_eq!(told, sums_by_slot(&driver));
    }
}

#[test]
fn slots_beyond_the_list_are_the_rest() {
    let mut driver = by_slot();
    let mut written = 0;
    for second in 0..300 {
        for n in 0..40u64 {
            driver.line(&format!("SET key:{second}:{n} value"));
            written += 1;
        }
        // One slot of its own is written more than any other.
        for _ in 0..50 {
            driver.line("APPEND hot 0123456789");
        }
        tick(&mut driver, 1 + second % 3);
        for window in [1, 100, 3600, 200_000] {
            attributed(&driver.keyspace.growth(window));
        }
    }
    let row = |growth: &Growth| {
        let rows = growth.slots.iter();
        let own = rows.filter(|row| row.of == slot_of(b"hot"));
        own.map(|row| row.flow).next().unwrap_or_default()
    };
    for window in [7000, 200_000] {
        let growth = driver.keyspace.growth(window);
        attributed(&growth);
        let hot = row(&growth);
        // Other keys may be in its slot.
        assert_eq!(
            (hot.created > 0, hot.changed),
            (true, 300 * 50 - 1),
            "{window}"
        );
        let told = growth.slots.iter().map(|row| row.flow.created);
        let told = told.sum::<u64>() + growth.slots_rest.created;
        assert_eq!(told, written + 1, "{window}");
    }
    assert!(!driver.keyspace.growth(7000).slots_rest.is_nothing());
    // All of a cluster's slots, every second for a whole day.
    for second in 0..200u64 {
        for n in 0..3000u64 {
            driver.line(&format!("SET key:{}:{n} {second}", second % 9));
        }
        tick(&mut driver, if second % 4 == 0 { 1 } else { 3600 });
    }
    let growth = driver.keyspace.growth(u32::MAX);
    attributed(&growth);
    let rows = growth.slots.len();
    assert!(rows > 1024 && rows <= 16_384, "{rows}");
}

#[test]
fn slots_have_the_share_that_was_kept_then() {
    let mut driver = by_slot();
    let check = |driver: &mut Driver, what: &str| {
        for window in [1, 60, 7000, 200_000] {
            let growth = driver.keyspace.growth(window);
            attributed(&growth);
            let kinds = growth.kinds.iter().map(|row| row.flow.writes());
            let slots = growth.slots.iter().map(|row| row.flow.writes());
            let slots = slots.sum::<u64>() + growth.slots_rest.writes();
            assert_eq!(slots, kinds.sum::<u64>(), "{what} {window}");
        }
    };
    let write = |driver: &mut Driver| {
        for n in 0..1000 {
            driver.line(&format!("SET key:{n} value"));
        }
    };
    write(&mut driver);
    assert!(driver.keyspace.fold());
    check(&mut driver, "folded");
    write(&mut driver);
    check(&mut driver, "both in one second");
    tick(&mut driver, 1);
    check(&mut driver, "behind that second");
    write(&mut driver);
    driver.line("FLUSHALL");
    assert!(!driver.keyspace.detail().is_degraded());
    check(&mut driver, "unfolded");
    write(&mut driver);
    tick(&mut driver, 1);
    assert!(driver.keyspace.fold());
    write(&mut driver);
    driver.keyspace.begin_load(driver.now_ms);
    driver.keyspace.commit_load(driver.offset);
    tick(&mut driver, 100);
    check(&mut driver, "loaded");
}

#[test]
fn slots_are_told_of_servers_in_cluster_mode_alone() {
    let mut driver = Driver::new();
    driver.keyspace.clock(driver.now_ms);
    driver.line("SET a 1");
    let growth = driver.keyspace.growth(60);
    assert_eq!(growth.slots, Vec::<GrowthRow<u16>>::new());
    assert!(growth.slots_rest.is_nothing());
}

#[test]
fn flows_of_patterns_are_handed_over_once() {
    let mut driver = by_pattern();
    let (mut named, mut rest) = (BTreeMap::new(), Flow::default());
    let mut dice = Dice(5);
    for round in 0..3000u64 {
        let (n, second) = (dice.below(200), dice.below(9));
        driver.line(&format!("SET user:{n} {round}"));
        driver.line(&format!("RPUSH queue:{n}:todo item"));
        driver.line(&format!("DEL user:{}", dice.below(200)));
        tick(&mut driver, u64::from(second == 0));
        if second == 1 {
            let told = driver.keyspace.take_pattern_flows();
            for (name, flow) in told.named {
                named.entry(name).or_insert_with(Flow::default).add(&flow);
            }
            rest.add(&told.rest);
        }
    }
    let taken = driver.keyspace.take_pattern_flows();
    driver.line("SET user:7 v");
    driver.keyspace.return_pattern_flows(taken);
    let told = driver.keyspace.take_pattern_flows();
    for (name, flow) in told.named {
        named.entry(name).or_insert_with(Flow::default).add(&flow);
    }
    rest.add(&told.rest);
    let mut all = rest;
    named.values().for_each(|flow| all.add(flow));
    assert_eq!(all, driver.keyspace.flow_ever());
    let (users, queues) = (&named[&b"user:*"[..]], &named[&b"queue:*:todo"[..]]);
    assert_eq!(users.created + users.changed, 3001);
    assert_eq!(queues.created + queues.changed, 3000);
    let nothing = driver.keyspace.take_pattern_flows();
    assert_eq!((nothing.named.len(), nothing.rest), (0, Flow::default()));
    // Where nobody asks they are bounded.
    let mut driver = by_pattern();
    for n in 0..20_000 {
        driver.line(&format!("SET {}{n}:x:{n} v", ["a", "b", "c"][n % 3]));
        tick(&mut driver, u64::from(n % 50 == 0));
    }
    let heap = driver.keyspace.heap_bytes();
    let told = driver.keyspace.take_pattern_flows();
    let mut all = told.rest;
    told.named.values().for_each(|flow| all.add(flow));
    assert_eq!(all.created, 20_000);
    assert!(told.named.len() <= 4096 && heap < 10_000_000, "{heap}");
}
