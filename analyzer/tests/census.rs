//! What is counted beyond the totals, against a count of all keys from scratch.

mod kit;

use analyzer::Keyspace;
use analyzer::census::{CLASSES, Expiries, Gathered, Group, Plan, Sizes};
use analyzer::patterns::Only;
use analyzer::value::Kind;
use analyzer::view::Cursor;
use kit::{Dice, Driver, command};

/// A keyspace that counts by pattern, and by two groups that overlap.
fn counting(patterns_max: usize) -> Driver {
    let driver = Driver::new();
    let group = |name: &str, matches: fn(&[u8]) -> bool| Group {
        name: name.to_owned(),
        matches: Box::new(matches),
    };
    let groups = [
        group("strings", |name| name.starts_with(b"str:")),
        group("sevens", |name| name.ends_with(b"7")),
    ];
    let plan = Plan {
        patterns_max,
        groups: groups.into(),
    };
    let keyspace: Keyspace = driver.keyspace.with_plan(plan);
    Driver { keyspace, ..driver }
}

/// Loads some keys beside what is there; half of the loads fail.
fn load(driver: &mut Driver, dice: &mut Dice) {
    driver.keyspace.begin_load(driver.now_ms);
    for _ in 0..dice.below(3000) {
        let db = u32::try_from(dice.below(3)).expect("small");
        let name = format!("str:{}", dice.below(2000));
        let expire_ms = expiry(driver, dice);
        driver.load_str(db, name.as_bytes(), dice.below(90), expire_ms);
    }
    if dice.below(2) == 0 {
        driver.keyspace.abort_load();
    } else {
        driver.keyspace.commit_load(driver.offset);
    }
}

/// None, near, far, past, or absurd.
fn expiry(driver: &Driver, dice: &mut Dice) -> Option<i64> {
    let far = 1i64 << dice.below(40);
    match dice.below(6) {
        0 | 1 => None,
        2 => Some(driver.now_ms - far),
        3 => Some([i64::MIN, -1, 0, i64::MAX][usize::try_from(dice.below(4)).expect("small")]),
        _ => Some(driver.now_ms + far),
    }
}

/// Something that happens to whole databases, or to the clock.
fn upheaval(driver: &mut Driver, dice: &mut Dice) {
    match dice.below(12) {
        0 => drop(driver.line("FLUSHDB")),
        1 => drop(driver.line("SWAPDB 0 1")),
        2 => drop(driver.line("SWAPDB 2 9")),
        3 => load(driver, dice),
        4 => drop(driver.keyspace.fold()),
        5 => driver.keyspace.limit_elements(Some(16)),
        6 => driver.keyspace.limit_elements(None),
        7 => drop(driver.line("FLUSHALL")),
        8 => driver.now_ms -= i64::try_from(dice.below(1 << 30)).expect("small"),
        _ => driver.now_ms += i64::try_from(dice.below(1 << 28)).expect("small"),
    }
}

/// What is told of expiries, from every key and its expiry alone.
fn naive(driver: &Driver, told: &Expiries) -> Expiries {
    let mut naive = Expiries::new(driver.now_ms);
    let ends = told.boundaries();
    let mut cursor = Cursor::start();
    let mut take = |facts: analyzer::view::Facts| {
        let sum = match facts.expire_ms {
            None => &mut naive.fixed,
            Some(at) if at < told.as_of_ms => &mut naive.expired,
            Some(at) => {
                let ahead = at
                    .checked_sub(told.as_of_ms)
                    .and_then(|ms| usize::try_from(ms).ok());
                if let Some(minute) = ahead.and_then(|ms| naive.minutes.get_mut(ms / 60_000)) {
                    minute.keys += 1;
                    minute.bytes += facts.bytes;
                }
                let life = ends.iter().position(|end| end.is_none_or(|end| at < end));
                &mut naive.lives[life.expect("the last has no end")]
            }
        };
        sum.keys += 1;
        sum.bytes += facts.bytes;
    };
    while !driver
        .keyspace
        .walk(&mut cursor, 1000, &mut |item| take(item.facts))
    {}
    naive
}

/// Compares what is told with what all keys say.
fn compare_expiries(driver: &Driver) {
    let told = driver
        .keyspace
        .expiries(None, driver.now_ms)
        .expect("complete");
    assert_eq!(told, naive(driver, &told));
    let mut gathered = Gathered::new(driver.now_ms);
    let mut cursor = Cursor::start();
    while !driver
        .keyspace
        .walk(&mut cursor, 1000, &mut |item| gathered.take(&item.facts))
    {}
    assert_eq!(told, gathered.tell());
}

/// Compares the classes of size with what all keys say.
fn compare_sizes(driver: &Driver) {
    let told = driver.keyspace.sizes(None).expect("complete");
    for kind in Kind::ALL {
        let (mut bytes, mut elements) = ([0; CLASSES], [0; CLASSES]);
        let class = |figure: u64, ends: [u64; CLASSES - 1]| {
            let larger = ends.iter().position(|end| figure <= *end);
            larger.unwrap_or(CLASSES - 1)
        };
        let mut cursor = Cursor::start();
        let mut take = |facts: analyzer::view::Facts| {
            if facts.kind == kind {
                bytes[class(facts.bytes, Sizes::bytes_ends())] += 1;
                elements[class(facts.count, Sizes::elements_ends())] += 1;
            }
        };
        while !driver
            .keyspace
            .walk(&mut cursor, 1000, &mut |item| take(item.facts))
        {}
        assert_eq!((told.bytes(kind), told.elements(kind)), (bytes, elements));
    }
}

#[test]
fn counts_equal_a_count_from_scratch() {
    let (mut completed, mut told) = (0, 0);
    for seed in 1..=24 {
        let max = [0, 6, 40, 10_000][usize::try_from(seed % 4).expect("small")];
        let (mut dice, mut driver) = (Dice(seed), counting(max));
        for round in 0..3000 {
            driver.db = u32::try_from(dice.below(3)).expect("small");
            let line = command(&mut dice);
            driver.line(&line);
            let n = dice.below(2000);
            let word = char::from(b'g' + u8::try_from(n % 19).expect("small"));
            match (dice.below(4), expiry(&driver, &mut dice)) {
                (0, _) => driver.line(&format!("DEL str:{n} {word}:{n}:{word}{}", n % 50)),
                (_, None) if dice.below(2) == 0 => {
                    driver.line(&format!("SET {word}:{n}:{word}{} value", n % 50))
                }
                (_, None) => driver.line(&format!("SET str:{n} value")),
                (1, Some(at)) => driver.line(&format!("PEXPIREAT str:{n} {at}")),
                (_, Some(at)) => driver.line(&format!("SET str:{n} value PXAT {at}")),
            };
            if dice.below(100) == 0 {
                upheaval(&mut driver, &mut dice);
            }
            if dice.below(3) == 0 {
                driver.keyspace.sweep(20);
            }
            // The first rounds count nothing, as before the owner is ready.
            if round > 200 && dice.below(4) == 0 {
                let budget = usize::try_from(dice.below(40)).expect("small");
                completed += u32::from(driver.keyspace.recount(budget));
            }
            if round % 100 == 0 {
                driver.keyspace.audit().expect("counts agree");
                if driver.keyspace.expiries(None, driver.now_ms).is_ok() {
                    told += 1;
                    compare_expiries(&driver);
                    compare_sizes(&driver);
                }
            }
        }
        while !driver.keyspace.recount(100) {}
        let progress = driver.keyspace.counted(None);
        assert!(progress.complete && progress.counted == progress.keys);
        driver.keyspace.audit().expect("counts agree");
        compare_expiries(&driver);
        compare_sizes(&driver);
    }
    assert!(told > 200, "{told} comparisons on the way");
    assert!(completed > 100, "{completed} recounts came to their end");
}

#[test]
fn a_count_is_complete_only_when_every_key_was_met() {
    let mut driver = Driver::new();
    for n in 0..5000 {
        driver.run(&[
            b"SET",
            n.to_string().as_bytes(),
            b"12",
            b"PXAT",
            b"1800000000000",
        ]);
    }
    assert!(!driver.keyspace.counted(None).complete, "nobody counts");
    let mut before = 0;
    while !driver.keyspace.recount(300) {
        let now = driver.keyspace.counted(None);
        assert!(now.counted >= before && now.counted <= now.keys);
        before = now.counted;
        driver.keyspace.audit().expect("counts agree");
    }
    assert!(before > 3000, "it came there step by step");
    assert!(driver.keyspace.counted(None).complete);
    assert!(!driver.keyspace.is_recount_due());

    driver.line("FLUSHALL");
    driver.line("SET a 1");
    assert!(
        driver.keyspace.counted(None).complete,
        "a new one is counted from its first key"
    );
    driver.keyspace.begin_load(driver.now_ms);
    driver.load_str(0, b"new", 10, Some(0));
    assert!(
        driver.keyspace.counted(Some(0)).complete,
        "the old one answers"
    );
    driver.keyspace.commit_load(driver.offset);
    assert!(!driver.keyspace.counted(Some(0)).complete);
    assert!(driver.keyspace.is_recount_due());
    while !driver.keyspace.recount(300) {}
    assert!(driver.keyspace.counted(Some(0)).complete);
}

#[test]
fn a_walk_of_each_pattern_meets_every_key_once() {
    let mut driver = Driver::new();
    let plan = Plan {
        patterns_max: 12,
        ..Plan::default()
    };
    let profile = driver.keyspace.profile().clone();
    driver.keyspace = Keyspace::new(profile, 0x5eed).with_plan(plan);
    while !driver.keyspace.recount(100) {}
    let mut dice = Dice(5);
    for n in 0..3000u64 {
        driver.db = u32::try_from(n % 2).expect("small");
        let line = command(&mut dice);
        driver.line(&line);
        driver.line(&format!("SET user:{n}:k{} v", n % 9));
        driver.line(&format!("SET {} v", dice.below(1 << 40)));
    }
    let mut sums = std::collections::BTreeMap::new();
    for row in driver.keyspace.patterns() {
        let sum: &mut (u64, u64) = sums.entry(row.name.glob).or_default();
        *sum = (sum.0 + row.keys, sum.1 + row.bytes);
    }
    assert!(sums.len() > 4, "{sums:?}");
    let mut all = 0;
    for (glob, told) in sums {
        let (mut only, mut cursor) = (Only::new(&glob), Cursor::start());
        let mut met = (0, 0);
        let mut take = |bytes: u64| met = (met.0 + 1, met.1 + bytes);
        while !driver
            .keyspace
            .walk_pattern(&mut only, &mut cursor, 90, &mut |item| {
                take(item.facts.bytes);
            })
        {}
        assert_eq!(met, told, "{}", glob.escape_ascii());
        all += met.0;
    }
    assert_eq!(all, driver.keyspace.keys());
    let (mut only, mut cursor) = (Only::new(b"no:such:*"), Cursor::start());
    let mut none = 0;
    while !driver
        .keyspace
        .walk_pattern(&mut only, &mut cursor, 90, &mut |_| none += 1)
    {}
    assert_eq!(none, 0);
}
