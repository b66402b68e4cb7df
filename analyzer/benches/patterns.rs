//! How well patterns are found and what they cost: on keyspaces of known templates, on one of names
//! that have nothing in common, and under random writes and deletes.
//!
//! `cargo bench -p analyzer --bench patterns [-- KEYS]`

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::collections::BTreeMap;
use std::time::Instant;

use analyzer::census::Plan;
use analyzer::input::{Command, Key, Part, Shape};
use analyzer::profile::{Family, Version};
use analyzer::{Keyspace, Profile, Text};

#[path = "../tests/kit/dice.rs"]
mod dice;
#[path = "../tests/kit/names.rs"]
mod names;

use dice::Dice;
use names::{KNOWN, Ledger, Source, UNKNOWN};

const NOW_MS: i64 = 1_700_000_000_000;

fn keyspace(patterns_max: usize) -> Keyspace {
    let plan = Plan {
        patterns_max,
        ..Plan::default()
    };
    let profile = Profile::defaults(Family::Redis, Version::new(7, 0));
    Keyspace::new(profile, 0x5eed).with_plan(plan)
}

fn main() {
    let keys = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let keys: u64 = keys.unwrap_or(5_000_000);
    println!(
        "sets of {} keys, 10% noise; loaded, then counted; or written to an empty keyspace",
        keys / 10
    );
    let mut low: (f64, f64) = (1.0, 1.0);
    for (set, texts) in std::iter::once(&KNOWN).chain(UNKNOWN).enumerate() {
        for (seed, skewed) in [(1, false), (2, true), (3, true)] {
            let mut dice = Dice(seed * 100 + set as u64);
            let source = Source::new(texts, skewed, &mut dice);
            for live in [false, true] {
                let score = find(&source, &mut dice, (keys / 10, live));
                low = (low.0.min(score.0), low.1.min(score.1));
                println!(
                    "  set {set} seed {seed} {} {}: {}",
                    if skewed { "skewed" } else { "even" },
                    if live { "written" } else { "loaded" },
                    score.2
                );
            }
        }
    }
    println!("lowest precision {:.3}, lowest recall {:.3}", low.0, low.1);
    full();
    adversarial(keys);
    churn(keys / 5);
}

fn find(source: &Source, dice: &mut Dice, (keys, live): (u64, bool)) -> (f64, f64, String) {
    let mut keyspace = keyspace(10_000);
    while !keyspace.recount(1) {}
    let mut drawn = BTreeMap::new();
    while (drawn.len() as u64) < keys {
        let (name, template) = source.draw(dice);
        drawn.entry(name).or_insert(template);
    }
    // The order of names must not help.
    let mut order: Vec<(u64, &Vec<u8>)> = drawn.keys().map(|name| (dice.roll(), name)).collect();
    order.sort_unstable();
    let order = order.iter().map(|(_, name)| name.as_slice());
    if live {
        write(&mut keyspace, order);
    } else {
        load(&mut keyspace, order);
    }
    let start = Instant::now();
    while !keyspace.recount(1000) {}
    let took = start.elapsed();
    let mut ledger = Ledger::default();
    for (name, template) in &drawn {
        let pattern = keyspace.pattern_of(0, name).unwrap_or_default();
        ledger.note(pattern.glob, *template);
    }
    let score = ledger.score(&source.templates);
    assert_sums(&keyspace, drawn.len() as u64);
    let heap = keyspace.patterns_heap() / 1024;
    let text = format!(
        "precision {:.3} recall {:.3}, {:.4} of the keys, {} patterns, {heap} KiB, counted in {took:?} \
         missed {:?} wrong {:?}",
        score.precision, score.recall, score.keys, score.patterns, score.missed, score.wrong
    );
    (score.precision, score.recall, text)
}

fn load<'a>(keyspace: &mut Keyspace, names: impl Iterator<Item = &'a [u8]>) {
    keyspace.begin_load(NOW_MS);
    for name in names {
        keyspace.load_key(Key {
            db: 0,
            name,
            shape: Shape::String,
            expire_ms: None,
            idle_s: None,
            freq: None,
            count_hint: 1,
        });
        keyspace.part(Part::Str { len: 9, int: None });
        keyspace.end_key();
    }
    keyspace.commit_load(1);
}

fn write<'a>(keyspace: &mut Keyspace, names: impl Iterator<Item = &'a [u8]>) {
    let mut minute = 0;
    for (n, name) in names.enumerate() {
        apply(keyspace, &[b"SET", name, b"123456789"], n as u64);
        // The owner has the census looked after; here a minute passes with 50,000 keys.
        if n % 50_000 == 0 {
            minute += 1;
            keyspace.clock(NOW_MS + minute * 60_000);
            while !keyspace.recount(10_000) {}
        }
    }
    keyspace.clock(NOW_MS + (minute + 2) * 60_000);
}

fn apply(keyspace: &mut Keyspace, words: &[&[u8]], n: u64) {
    let argv: Vec<Text<'_>> = words.iter().map(|word| Text::Bytes(word)).collect();
    keyspace.apply(&Command {
        db: 0,
        argv: &argv,
        now_ms: keyspace_time(n),
        end_offset: n * 50,
    });
}

fn keyspace_time(n: u64) -> i64 {
    NOW_MS + i64::try_from(n / 50_000).unwrap_or(0) * 60_000
}

/// Patterns sum up to what the totals say.
fn assert_sums(keyspace: &Keyspace, keys: u64) {
    let rows = keyspace.patterns();
    let bytes: u64 = keyspace.totals().iter().map(|total| total.bytes).sum();
    assert_eq!(
        rows.iter().map(|row| row.keys).sum::<u64>(),
        keys,
        "every key has one pattern"
    );
    assert_eq!(
        rows.iter().map(|row| row.bytes).sum::<u64>(),
        bytes,
        "and every byte"
    );
}

/// As many patterns as the cap lets in, but for the last few.
fn full() {
    let mut keyspace = keyspace(10_000);
    while !keyspace.recount(1) {}
    let letters = |n: u64| {
        let letter = |n: u64| char::from(b'g' + u8::try_from(n % 16).unwrap_or(0));
        String::from_iter([letter(n), letter(n / 16), letter(n / 256), 'x', 'y'])
    };
    for n in 0..9_900 {
        let name = format!("{}:{}:1", letters(n / 60), letters(n % 60));
        apply(&mut keyspace, &[b"SET", name.as_bytes(), b"1"], n);
    }
    let (rows, heap) = (keyspace.patterns().len(), keyspace.patterns_heap());
    println!(
        "{rows} patterns take {} KiB, {} bytes each",
        heap / 1024,
        heap / rows.max(1)
    );
}

/// Names that have nothing in common, in two ways.
fn adversarial(keys: u64) {
    for (what, max) in [("10,000", 10_000), ("100", 100)] {
        let mut keyspace = keyspace(max);
        while !keyspace.recount(1) {}
        let mut dice = Dice(9);
        let names: Vec<Vec<u8>> = (0..keys).map(|n| unlike(n, &mut dice)).collect();
        let start = Instant::now();
        load(&mut keyspace, names.iter().map(Vec::as_slice));
        let loaded = start.elapsed();
        let (start, mut longest) = (Instant::now(), std::time::Duration::ZERO);
        loop {
            let slice = Instant::now();
            let done = keyspace.recount(500);
            longest = longest.max(slice.elapsed());
            if done {
                break;
            }
        }
        let rows = keyspace.patterns();
        assert!(rows.len() <= max + 1, "the cap holds");
        assert_sums(&keyspace, keyspace.keys());
        println!(
            "{keys} names unlike each other, at most {what} patterns: {} patterns, {} KiB; loaded in {loaded:?}, \
             counted in {:?}, longest slice {longest:?}",
            rows.len(),
            keyspace.patterns_heap() / 1024,
            start.elapsed(),
        );
    }
}

fn unlike(n: u64, dice: &mut Dice) -> Vec<u8> {
    let letters = |mut n: u64| {
        let mut word = Vec::new();
        for _ in 0..7 {
            word.push(b'g' + u8::try_from(n % 19).unwrap_or(0));
            n /= 19;
        }
        word
    };
    let mut name = letters(n.wrapping_mul(2_654_435_761) % 893_871_739);
    for _ in 0..dice.below(5) {
        name.push(b":/._-|"[usize::try_from(dice.below(6)).unwrap_or(0)]);
        name.extend(letters(dice.below(60)));
    }
    name.extend(n.to_string().bytes().map(|digit| digit + b'b'));
    name
}

/// Random writes and deletes, after which every sum is that of a count from scratch.
fn churn(writes: u64) {
    for (max, seed) in [(10_000, 1), (300, 2)] {
        let mut dice = Dice(seed);
        let source = Source::new(UNKNOWN[1], true, &mut dice);
        let mut keyspace = keyspace(max);
        while !keyspace.recount(1) {}
        let mut names: Vec<Vec<u8>> = Vec::new();
        let start = Instant::now();
        for n in 0..writes {
            let again = dice.below(3) == 0 && !names.is_empty();
            let at = usize::try_from(dice.below(names.len().max(1) as u64)).unwrap_or(0);
            if again && dice.below(2) == 0 {
                let name = names.swap_remove(at);
                apply(&mut keyspace, &[b"DEL", &name], n);
            } else {
                let value = vec![b'v'; usize::try_from(dice.below(100)).unwrap_or(0)];
                let name = if again {
                    names[at].clone()
                } else {
                    source.draw(&mut dice).0
                };
                apply(&mut keyspace, &[b"SET", &name, &value], n);
                if !again {
                    names.push(name);
                }
            }
            if n % 97 == 0 {
                keyspace.recount(200);
            }
        }
        let took = start.elapsed();
        assert_sums(&keyspace, keyspace.keys());
        keyspace
            .audit()
            .expect("a count from scratch says the same");
        println!(
            "{writes} random writes and deletes, at most {max} patterns: {} keys in {} patterns as counted from scratch; \
             {took:?}",
            keyspace.keys(),
            keyspace.patterns().len()
        );
    }
}
