use std::collections::BTreeMap;

use super::sketch::{NAME_MAX, Sketch, merge};
use super::window::{Spans, Window};
use super::*;
use crate::text::digest;

/// A source of numbers, most of them small: a few names are hot, many come once.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        self.0 >> 33
    }

    /// Name `n` of `names` about as often as 1/n.
    fn zipf(&mut self, names: u64) -> u64 {
        let octave = self.roll() % u64::from(names.ilog2() + 1);
        (1 << octave) + self.roll() % (1 << octave)
    }
}

fn write(name: &[u8], bytes: u64) -> Write<'_> {
    Write {
        digest: digest(name, 7),
        db: 0,
        name,
        bytes,
    }
}

/// The truth, by name.
type Tally = BTreeMap<Vec<u8>, Work>;

fn assert_within(rows: &Rows, tally: &Tally, what: &str) {
    let mut listed = Vec::new();
    for row in &rows.rows {
        let truth = tally[&row.name.to_vec()];
        let upper = row.upper();
        assert!(
            row.work.writes <= truth.writes && truth.writes <= upper.writes,
            "{what} {row:?} {truth:?}"
        );
        assert!(
            row.work.bytes <= truth.bytes && truth.bytes <= upper.bytes,
            "{what} {row:?} {truth:?}"
        );
        listed.push(row.name.to_vec());
    }
    listed.sort();
    assert!(
        listed.windows(2).all(|two| two[0] != two[1]),
        "{what}: a name twice"
    );
    for (name, truth) in tally {
        if listed.binary_search(name).is_err() {
            let floor = rows.floor;
            assert!(
                truth.writes <= floor.writes && truth.bytes <= floor.bytes,
                "{what} {name:?} {truth:?} {floor:?}"
            );
        }
    }
}

#[test]
fn every_row_is_within_its_error() {
    for (names, writes, buckets) in [(20, 1000, 4), (3000, 40_000, 64), (1 << 20, 200_000, 64)] {
        let mut dice = Dice(names);
        let mut sketch = Sketch::new(buckets);
        let mut tally = Tally::new();
        for n in 0..writes {
            let name = format!("name:{}", dice.zipf(names)).into_bytes();
            let bytes = dice.roll() % 2000;
            sketch.add(&write(&name, bytes));
            let sum = tally.entry(name).or_default();
            *sum = sum.plus(Work::one(bytes));
            if n % (writes / 7) == 0 {
                assert_within(&sketch.rows(usize::MAX), &tally, "all");
            }
        }
        assert_within(&sketch.rows(16), &tally, "16");
        let rows = sketch.rows(100);
        let hottest = tally.iter().max_by_key(|(_, work)| work.writes).unwrap();
        let row = rows.rows.iter().max_by_key(|row| row.work.writes).unwrap();
        assert_eq!(*row.name, **hottest.0);
        // What is hot is told well: a name that is met early is hardly ever thrown out.
        assert!(
            row.error.writes * 50 < hottest.1.writes,
            "{row:?} {hottest:?}"
        );
    }
}

#[test]
fn few_names_are_counted_exactly_in_little_memory() {
    let mut sketch = Sketch::new(512);
    let names: Vec<Vec<u8>> = (0..100).map(|n| format!("n{n}").into_bytes()).collect();
    for round in 0..50 {
        for name in &names[..names.len() - round] {
            sketch.add(&write(name, 10));
        }
    }
    let rows = sketch.rows(usize::MAX);
    assert_eq!((rows.rows.len(), rows.floor), (100, Work::default()));
    assert!(rows.rows.iter().all(|row| row.error == Work::default()));
    assert!(sketch.heap_bytes() < 200_000, "{}", sketch.heap_bytes());
    sketch.clear();
    assert_eq!(sketch.rows(9).rows, []);
}

#[test]
fn memory_is_bounded_whatever_comes() {
    let mut sketch = Sketch::new(512);
    let long = vec![b'x'; 1 << 20];
    for n in 0u64..100_000 {
        let name = n.to_le_bytes();
        sketch.add(&write(&name, n));
        sketch.add(&Write {
            digest: n.wrapping_mul(DB_SPREAD),
            ..write(&long, u64::MAX)
        });
    }
    assert!(sketch.heap_bytes() < 2_000_000, "{}", sketch.heap_bytes());
    let row = sketch.rows(1).rows.pop().unwrap();
    assert_eq!((row.name.len(), row.name_len), (NAME_MAX, 1 << 20));
    assert_eq!(
        sketch.total().bytes,
        u64::MAX,
        "counters stop at their limit"
    );
}

#[test]
fn several_spans_are_one_account() {
    let mut dice = Dice(5);
    let mut tally = Tally::new();
    let mut parts = Vec::new();
    for part in 0..8 {
        let mut sketch = Sketch::new(16);
        for _ in 0..5000 {
            let name = format!("{}", dice.zipf(4096) * (1 + part % 2)).into_bytes();
            let bytes = dice.roll() % 300;
            sketch.add(&write(&name, bytes));
            let sum = tally.entry(name).or_default();
            *sum = sum.plus(Work::one(bytes));
        }
        parts.push(sketch.rows(40));
    }
    assert_within(&merge(parts.iter(), usize::MAX), &tally, "merged");
    let halves = [merge(parts[..4].iter(), 30), merge(parts[4..].iter(), 30)];
    assert_within(&merge(halves.iter(), 20), &tally, "twice");
}

#[test]
fn a_row_that_got_its_name_late_keeps_its_bytes() {
    let mut sketch = Sketch::new(4);
    let mut tally = Tally::new();
    let mut send = |name: u64, bytes| {
        let name_bytes = name.to_string().into_bytes();
        // All of them in one bucket.
        sketch.add(&Write {
            digest: name * 4,
            ..write(&name_bytes, bytes)
        });
        let sum = tally.entry(name_bytes).or_default();
        *sum = sum.plus(Work::one(bytes));
    };
    for name in 1..=8 {
        (0..if name == 1 { 9 } else { 20 }).for_each(|_| send(name, 100));
    }
    // Throws the first one out, which comes back: with a large write, and then by its name.
    send(9, 100);
    send(1, 500);
    send(1, 100);
    let rows = sketch.rows(usize::MAX);
    let late = rows.rows.iter().find(|row| *row.name == *b"1").unwrap();
    assert!(late.error.bytes > rows.floor.bytes, "{rows:?}");
    assert_within(&rows, &tally, "one span");
    assert_within(&merge([&rows].into_iter(), 9), &tally, "merged");
    assert_within(
        &merge([&rows, &Rows::default()].into_iter(), 9),
        &tally,
        "two",
    );
}

fn feed(spans: &mut Spans, name: &str) {
    spans.open.keys.add(&write(name.as_bytes(), 5));
    spans.open.commands.add(1, Work::one(5));
    spans.open.slots.add(16_383, 5);
}

/// Writes of a window by name, and how long it is.
fn told(spans: &Spans, window: Window) -> (u64, Vec<(String, u64)>) {
    let span = spans.window(window);
    let name = |row: &Row| String::from_utf8_lossy(&row.name).into_owned();
    let mut rows: Vec<_> = (span.keys.rows.iter())
        .map(|row| (name(row), row.work.writes))
        .collect();
    rows.sort();
    let all: u64 = rows.iter().map(|(_, writes)| writes).sum();
    assert_eq!(span.total.writes, all);
    assert_eq!(span.commands.0.get(1).map_or(0, |work| work.writes), all);
    assert_eq!(
        span.slots.iter().next().map_or(0, |(_, work)| work.writes),
        all
    );
    (span.took_ms, rows)
}

#[test]
fn windows_cover_what_they_say() {
    let mut spans = Spans::new();
    let mut now = 1_700_000_000_123;
    let mut written = Vec::new();
    for second in 0..9000u64 {
        spans.clock(now);
        feed(&mut spans, &format!("{}", second / 100));
        written.push(second);
        now += 1000;
        spans.clock(now);
        if second % 997 != 0 && second < 8990 {
            continue;
        }
        for (window, least) in [
            (Window::Minute, 60),
            (Window::TenMinutes, 600),
            (Window::Hour, 3600),
        ] {
            let (took, rows) = told(&spans, window);
            let age = second + 1;
            assert_eq!(took % 1000, 0);
            let took = took / 1000;
            assert!(
                took >= least.min(age) && took <= least + least / 6 + 10,
                "{window:?} {took}"
            );
            let mut truth: BTreeMap<String, u64> = BTreeMap::new();
            for at in age - took..age {
                *truth.entry(format!("{}", at / 100)).or_default() += 1;
            }
            assert_eq!(rows, truth.into_iter().collect::<Vec<_>>(), "{window:?}");
        }
    }
}

#[test]
fn clocks_that_jump_lose_time_and_no_count() {
    let mut spans = Spans::new();
    spans.clock(1_000_000);
    feed(&mut spans, "a");
    // Put back by an hour, and on from there.
    spans.clock(-2_600_000);
    feed(&mut spans, "a");
    spans.clock(-2_595_000);
    feed(&mut spans, "b");
    assert_eq!(
        told(&spans, Window::Minute),
        (5000, vec![("a".into(), 2), ("b".into(), 1)])
    );
    spans.clock(-2_570_000);
    assert_eq!(told(&spans, Window::Minute).0, 30_000);
    assert_eq!(told(&spans, Window::Minute).1.len(), 2);
    // A minute without a write: only the longer windows know.
    spans.clock(-2_500_000);
    assert_eq!(told(&spans, Window::Minute).1, []);
    assert_eq!(told(&spans, Window::Hour).1.len(), 2);
    // By years: nothing is left of any window.
    spans.clock(i64::MAX);
    assert_eq!(told(&spans, Window::Hour), (0, vec![]));
    spans.clock(i64::MIN);
    feed(&mut spans, "c");
    assert_eq!(told(&spans, Window::Hour).1, vec![("c".into(), 1)]);
}

#[test]
fn tags_stand_between_the_first_braces() {
    for (name, tag) in [
        ("{user}:a", Some("user")),
        ("a{b}{c}", Some("b")),
        ("a{{b}}", Some("{b")),
        ("a{}{b}", None),
        ("a{b", None),
        ("}{", None),
        ("plain", None),
        ("", None),
    ] {
        assert_eq!(hash_tag(name.as_bytes()), tag.map(str::as_bytes), "{name}");
    }
}
