//! Heat against an exact tally of the same commands.

mod kit;

use std::collections::{BTreeMap, BTreeSet};

use analyzer::heat::{By, Heard, Hot, TagWalk, Window, Work};
use analyzer::profile::{Family, Version};
use analyzer::{Keyspace, Profile};

use kit::{Dice, Driver};

#[derive(Default)]
struct Tally {
    keys: BTreeMap<(u32, String), Work>,
    tags: BTreeMap<(u32, String), Work>,
    commands: BTreeMap<String, Work>,
    there: BTreeSet<(u32, String)>,
}

impl Tally {
    fn wrote(&mut self, db: u32, key: &str, bytes: usize) {
        add(self.keys.entry((db, key.to_owned())).or_default(), bytes);
        if let Some((tag, _)) = key.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            add(self.tags.entry((db, tag.to_owned())).or_default(), bytes);
        }
    }
}

fn add(sum: &mut Work, bytes: usize) {
    sum.writes += 1;
    sum.bytes += bytes as u64;
}

fn words(line: &str) -> usize {
    line.split(' ').map(str::len).sum()
}

/// One random command, told to both.
fn step(driver: &mut Driver, tally: &mut Tally, dice: &mut Dice) {
    let db = [0, 0, 0, 7][usize::try_from(dice.below(4)).expect("small")];
    driver.db = db;
    let name = |dice: &mut Dice, kind: &str| {
        let octave = dice.below(14);
        let n = (1 << octave) + dice.below(1 << octave);
        match n % 3 {
            0 => format!("{{user{}}}:{kind}:{n}", n % 100),
            _ => format!("{kind}:{n}"),
        }
    };
    let value = "v".repeat(usize::try_from(dice.below(90)).expect("small"));
    let line = match dice.below(9) {
        0..3 => {
            let key = name(dice, "s");
            let line = format!("SET {key} {value}");
            tally.wrote(db, &key, words(&line));
            tally.there.insert((db, key));
            line
        }
        3 => {
            let keys: BTreeSet<String> = (0..1 + dice.below(5)).map(|_| name(dice, "s")).collect();
            let mut line = "MSET".to_owned();
            for key in keys {
                tally.wrote(db, &key, key.len() + value.len());
                line.push_str(&format!(" {key} {value}"));
                tally.there.insert((db, key));
            }
            line
        }
        4 => {
            let keys: BTreeSet<String> = (0..1 + dice.below(5)).map(|_| name(dice, "s")).collect();
            let mut line = "DEL".to_owned();
            for key in keys {
                line.push_str(&format!(" {key}"));
                if tally.there.remove(&(db, key.clone())) {
                    tally.wrote(db, &key, key.len());
                }
            }
            line
        }
        5 => "PUBLISH channel message".to_owned(),
        6 => format!("no.such.{} x", dice.below(1000)),
        _ => {
            let key = name(dice, "h");
            let line = format!("HSET {key} f{} {value}", dice.below(3));
            tally.wrote(db, &key, words(&line));
            line
        }
    };
    let command = line.split(' ').next().expect("a word");
    let known = if command.starts_with("no.") {
        ""
    } else {
        command
    };
    let sum = tally.commands.entry(known.to_owned()).or_default();
    add(sum, words(&line));
    driver.line(&line);
}

fn assert_within(heard: &Heard<Hot>, tally: &BTreeMap<(u32, String), Work>) {
    let mut listed = BTreeSet::new();
    for row in &heard.rows {
        let name = String::from_utf8(row.name.clone()).expect("text");
        let truth = tally[&(row.db, name.clone())];
        let (work, error) = (row.work, row.error);
        let writes = work.writes..=work.writes + error.writes;
        let bytes = work.bytes..=work.bytes + error.bytes;
        assert!(writes.contains(&truth.writes), "{row:?} {truth:?}");
        assert!(bytes.contains(&truth.bytes), "{row:?} {truth:?}");
        assert!(listed.insert((row.db, name)), "twice: {row:?}");
    }
    for (key, truth) in tally {
        let floor = heard.unlisted;
        assert!(
            listed.contains(key) || (truth.writes <= floor.writes && truth.bytes <= floor.bytes),
            "{key:?} {truth:?} {floor:?}"
        );
    }
}

#[test]
fn an_exact_tally_lies_within_the_bounds() {
    let mut driver = Driver::new();
    let mut tally = Tally::default();
    let mut dice = Dice(1);
    driver.keyspace.clock(driver.now_ms);
    for n in 0..120_000 {
        step(&mut driver, &mut tally, &mut dice);
        driver.now_ms += i64::from(n % 4 == 0);
        driver.keyspace.clock(driver.now_ms);
    }
    let keyspace = &driver.keyspace;
    let total = tally.keys.values().fold(Work::default(), |sum, work| Work {
        writes: sum.writes + work.writes,
        bytes: sum.bytes + work.bytes,
    });
    // Thirty seconds: every window sees all of it.
    for window in [Window::Minute, Window::TenMinutes, Window::Hour] {
        for by in [By::Writes, By::Bytes] {
            let keys = keyspace.hot_keys(window, by, usize::MAX);
            assert_eq!(keys.total, total);
            assert_eq!(keys.covered_ms, 30_000);
            assert_within(&keys, &tally.keys);
            assert_within(&keyspace.hot_tags(window, by, usize::MAX), &tally.tags);
            // What a small limit cuts is not listed either.
            assert_within(&keyspace.hot_keys(window, by, 5), &tally.keys);
            assert_within(&keyspace.hot_tags(window, by, 1), &tally.tags);
            let first = keys.rows.first().expect("a row");
            let hottest = tally
                .keys
                .values()
                .map(|work| work.by(by))
                .max()
                .expect("a key");
            assert!(first.work.by(by) * 10 > hottest * 9, "{first:?} {hottest}");
        }
        let commands: BTreeMap<_, _> = keyspace.hot_commands(window).rows.into_iter().collect();
        assert_eq!(commands, tally.commands);
    }
    // Windows forget, and this does not.
    for hours in [0, 1, 6] {
        driver.now_ms += hours * 3_600_000;
        driver.line("PUBLISH channel message");
        let sum = tally.commands.entry("PUBLISH".to_owned()).or_default();
        add(sum, "PUBLISHchannelmessage".len());
        assert_eq!(driver.keyspace.commands_ever(), tally.commands);
    }
}

#[test]
fn slots_are_counted_exactly_in_cluster_mode() {
    fn slot_of(name: &[u8]) -> u16 {
        name.iter().fold(0, |sum: u16, &byte| {
            sum.wrapping_mul(31).wrapping_add(u16::from(byte)) % 16_384
        })
    }
    let profile = Profile {
        cluster: true,
        ..Profile::defaults(Family::Redis, Version::new(7, 0))
    };
    let mut driver = Driver::new();
    driver.keyspace = Keyspace::new(profile, 3).with_slots(slot_of);
    let mut tally: BTreeMap<u16, Work> = BTreeMap::new();
    let mut dice = Dice(2);
    for n in 0..50_000u32 {
        let key = format!("k{}", dice.below(3000));
        let line = format!("INCR {key}");
        add(
            tally.entry(slot_of(key.as_bytes())).or_default(),
            words(&line),
        );
        driver.line(&line);
        driver.now_ms += i64::from(n % 2);
        driver.keyspace.clock(driver.now_ms);
    }
    let heard = driver.keyspace.hot_slots(Window::Minute);
    assert_eq!(heard.rows, tally.into_iter().collect::<Vec<_>>());
    let mut plain = Driver::new();
    plain.line("SET a b");
    assert_eq!(plain.keyspace.hot_slots(Window::Hour).rows, []);
}

#[test]
fn whole_values_sent_again_are_rewrites() {
    let mut driver = Driver::new();
    let (large, longer) = ("x".repeat(20_000), "x".repeat(20_500));
    driver.line(&format!("SET big {large}"));
    driver.line(&format!("SET big {longer}"));
    driver.line(&format!("SET big {large}"));
    driver.line(&format!("SET big {large}{large}"));
    driver.line(&format!("APPEND big {large}"));
    driver.line(&format!("SET small {}", "x".repeat(5000)));
    driver.line(&format!("SET small {}", "x".repeat(5000)));
    let heard = driver.keyspace.hot_keys(Window::Minute, By::Bytes, 10);
    let rewrites: Vec<_> = heard.rows.iter().map(|row| row.rewrites).collect();
    assert_eq!(rewrites[0].times, 2);
    assert_eq!(rewrites[0].bytes, 20_500 + 20_000 + 2 * 6);
    assert_eq!(rewrites[0].changed, 1000);
    assert_eq!(rewrites[1].times, 0);
}

#[test]
fn a_sync_is_no_write_and_takes_no_heat_away() {
    let mut driver = Driver::new();
    driver.line("SET a b");
    driver.keyspace.begin_load(driver.now_ms);
    driver.load_str(0, b"loaded", 10, None);
    driver.keyspace.commit_load(1000);
    driver.offset = 1000;
    driver.line("SET c d");
    driver.line("FLUSHALL");
    let heard = driver.keyspace.hot_keys(Window::Minute, By::Writes, 10);
    let mut names: Vec<_> = heard.rows.iter().map(|row| row.name.clone()).collect();
    names.sort();
    assert_eq!(names, [b"a".to_vec(), b"c".to_vec()]);
}

#[test]
fn many_databases_and_odd_names_are_kept_apart_and_bounded() {
    let mut driver = Driver::new();
    for db in 0..3000 {
        driver.db = db * 1000;
        driver.run(&[b"SET", b"same", b"value"]);
        driver.run(&[b"DEL", b"same"]);
    }
    driver.db = 0;
    for _ in 0..2000 {
        driver.run(&[b"SET", b"", b"value"]);
        driver.run(&[b"SET", &[0xff; 300], b"value"]);
    }
    let heard = driver.keyspace.hot_keys(Window::Minute, By::Writes, 2);
    let mut lens: Vec<_> = heard
        .rows
        .iter()
        .map(|row| (row.name_len, row.name.len()))
        .collect();
    lens.sort_unstable();
    assert_eq!(lens, [(0, 0), (300, 128)]);
    assert!(heard.rows.iter().all(|row| row.work.writes == 2000));
    let all = driver
        .keyspace
        .hot_keys(Window::Minute, By::Writes, usize::MAX);
    assert!(
        all.rows
            .iter()
            .filter(|row| row.name == b"same")
            .all(|row| row.work.writes <= 2)
    );
    assert_eq!(all.total.writes, 10_000);
}

#[test]
fn the_largest_hash_tags_are_exact_however_many_there_are() {
    for tags in [50, 20_000u64] {
        let mut driver = Driver::new();
        let mut tally: BTreeMap<Vec<u8>, (u64, u64)> = BTreeMap::new();
        let mut dice = Dice(tags);
        for n in 0..60_000u64 {
            let octave = dice.below(u64::from(tags.ilog2()) + 1);
            let tag = (1 << octave) + dice.below(1 << octave);
            let value = "v".repeat(usize::try_from(dice.below(300)).expect("small"));
            let key = format!("a:{{tag{tag}}}:{n}");
            driver.line(&format!("SET {key} {value}"));
            driver.line(&format!("SET plain:{} x", n % 100));
            let facts = driver.keyspace.facts(0, key.as_bytes()).expect("a key");
            let sum = tally.entry(format!("tag{tag}").into_bytes()).or_default();
            *sum = (sum.0 + 1, sum.1 + facts.bytes);
        }
        let mut walk = TagWalk::default();
        while !walk.advance(&driver.keyspace, 1000) {}
        let found = walk.finish();
        assert_eq!(found.keys, 60_000);
        assert_eq!(found.bytes, tally.values().map(|sum| sum.1).sum::<u64>());
        for tag in &found.tags {
            assert_eq!(
                tally.remove(&tag.tag),
                Some((tag.keys, tag.bytes)),
                "{tag:?}"
            );
        }
        assert!(found.tags.len() >= 50.min(tally.len()));
        for (tag, (keys, bytes)) in tally {
            assert!(
                keys <= found.unlisted_keys && bytes <= found.unlisted_bytes,
                "{tag:?}"
            );
        }
    }
}

#[test]
fn all_writes_of_a_window_are_known_without_its_rows() {
    let mut driver = Driver::new();
    for n in 0..5000 {
        driver.line(&format!("SET k{n} v"));
        driver.now_ms += 100;
        driver.keyspace.clock(driver.now_ms);
    }
    for window in [Window::Minute, Window::TenMinutes, Window::Hour] {
        let heard = driver.keyspace.hot_keys(window, By::Writes, 1);
        assert_eq!(
            driver.keyspace.written(window),
            (heard.covered_ms, heard.total)
        );
    }
}

#[test]
fn a_stream_that_lags_takes_no_time() {
    for lag_ms in [0, 50, 500, 5000, 100_000] {
        let mut driver = Driver::new();
        let start = driver.now_ms;
        for tenth in 0..1200 {
            let now = start + tenth * 100;
            if tenth % 10 == 0 {
                driver.keyspace.clock(now);
            }
            driver.now_ms = now - lag_ms;
            driver.line("INCR counter");
        }
        let (covered_ms, work) = driver.keyspace.written(Window::Minute);
        assert!(
            (60_000..70_000).contains(&covered_ms),
            "{lag_ms} {covered_ms}"
        );
        let due = covered_ms / 100;
        assert!(work.writes.abs_diff(due) <= 10, "{lag_ms} {work:?} {due}");
        let growth = driver.keyspace.growth(60);
        let changed: u64 = growth.kinds.iter().map(|row| row.flow.changed).sum();
        assert!((590..=610).contains(&changed), "{lag_ms} {changed}");
        assert_eq!(growth.covered_s, 60);
        let begun = start / 1000 + 119 - 60;
        assert_eq!(growth.since_s, begun, "the wall clock");
    }
}

#[test]
fn a_clock_that_is_put_back_goes_on_from_there() {
    let mut driver = Driver::new();
    for second in 0..300 {
        if second == 100 {
            driver.now_ms -= 3_600_000;
        }
        driver.now_ms += 1000;
        driver.keyspace.clock(driver.now_ms);
        driver.line("INCR counter");
    }
    let (covered_ms, work) = driver.keyspace.written(Window::TenMinutes);
    assert_eq!((covered_ms, work.writes), (298_000, 300));
    let growth = driver.keyspace.growth(120);
    assert_eq!(growth.since_s, driver.now_ms / 1000 - 120);
}

#[test]
fn keys_move_with_their_database() {
    let mut driver = Driver::new();
    for (db, line) in [
        (0, "SET a 1"),
        (1, "SET b 1"),
        (0, "SWAPDB 0 1"),
        (1, "SET a 2"),
        (0, "SET b 2"),
        (0, "SWAPDB 1 9"),
        (9, "SET a 3"),
        (9, "SET {t}c 3"),
    ] {
        driver.db = db;
        driver.line(line);
    }
    let heard = driver.keyspace.hot_keys(Window::Hour, By::Writes, 10);
    let rows = heard.rows.iter();
    let rows: Vec<_> = rows
        .map(|row| (row.db, row.name.as_slice(), row.work.writes))
        .collect();
    assert_eq!(
        rows,
        [(9, &b"a"[..], 3), (0, &b"b"[..], 2), (9, &b"{t}c"[..], 1)]
    );
    let tags = driver.keyspace.hot_tags(Window::Hour, By::Writes, 10);
    assert_eq!(tags.rows[0].db, 9);
}

#[test]
fn a_key_without_a_record_is_written_by_del_too() {
    let mut driver = Driver::new();
    for n in 0..100 {
        driver.line(&format!("SET key:{n} 1"));
    }
    assert!(driver.keyspace.fold());
    while !driver.keyspace.sweep(1000) {}
    for n in 0..100 {
        driver.line(&format!("SET key:{n} 2"));
        driver.line(&format!("DEL key:{n}"));
    }
    let (_, work) = driver.keyspace.written(Window::Hour);
    assert_eq!(work.writes, 300);
}

#[test]
fn memory_has_a_bound_where_everything_is_written() {
    let mut profile = Profile::defaults(Family::Redis, Version::new(7, 0));
    profile.cluster = true;
    let slot_of: analyzer::keyspace::SlotOf = |name| {
        let digits = name.iter().filter(|byte| byte.is_ascii_digit());
        digits.fold(0u16, |n, digit| {
            n.wrapping_mul(10).wrapping_add(u16::from(digit - b'0'))
        }) % 16_384
    };
    let mut driver = Driver::new();
    driver.keyspace = Keyspace::new(profile, 3).with_slots(slot_of);
    driver.keyspace.clock(driver.now_ms);
    let pad = "x".repeat(110);
    // Spans of ten minutes, of one, and of ten seconds.
    for (rounds, seconds) in [(6, 600), (10, 60), (6, 10)] {
        for _ in 0..rounds {
            for n in 0..20_000 {
                let line = format!("SET {{{pad}{n}}} 1");
                driver.line(&line);
            }
            driver.now_ms += seconds * 1000;
            driver.keyspace.clock(driver.now_ms);
        }
    }
    let heard = driver.keyspace.hot_slots(Window::Hour);
    assert_eq!(heard.rows.len(), 16_384);
    let bytes = driver.keyspace.heat_bytes();
    assert!((2_000_000..7_000_000).contains(&bytes), "{bytes}");
}
