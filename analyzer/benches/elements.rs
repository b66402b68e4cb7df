//! What an element costs: bytes and nanoseconds per element of sets, hashes and sorted sets, small
//! and large. Loading goes through the builders, changes through the command stream.
//!
//! `cargo bench -p analyzer --bench elements [-- ELEMENTS]`

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::hint::black_box;
use std::time::Duration;

use analyzer::input::{Command, Outcome, Part, Shape, Source};
use analyzer::profile::{Family, Version};
use analyzer::value::{hash, set, zset};
use analyzer::{Keyspace, Profile, Text};

const SEED: u64 = 0x5eed;

fn main() {
    let elements = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let elements: u64 = elements.unwrap_or(1_000_000);
    let profile = Profile::defaults(Family::Redis, Version::new(7, 0));
    for n in [10, 60, 128, 1000, 30_000, elements] {
        load(&profile, n);
    }
    for n in [10, 90, 128, 5000, elements] {
        change(&profile, n);
    }
}

fn name(n: u64) -> String {
    format!("member:{n:09}")
}

fn report(what: &str, n: u64, rounds: u64, start: Duration, heap: usize) {
    let each = (cpu() - start).as_nanos() as f64 / (n * rounds) as f64;
    let bytes = heap as f64 / n as f64;
    println!("load {what} of {n}: {each:.0} ns/element, {bytes:.2} B/element");
}

fn load(profile: &Profile, n: u64) {
    let rounds = (300_000 / n).max(1);
    let names: Vec<String> = (0..n).map(name).collect();
    let texts: Vec<Text<'_>> = names
        .iter()
        .map(|name| Text::Bytes(name.as_bytes()))
        .collect();
    let mut heap = 0;
    let start = cpu();
    for _ in 0..rounds {
        let mut builder = set::Builder::new(Shape::SetTable, Source::Image, profile, SEED);
        for &text in &texts {
            builder.part(&Part::Element(text)).expect("a set element");
        }
        heap = builder.finish(profile).expect("not empty").heap_bytes();
    }
    report("set", n, rounds, start, heap);
    let start = cpu();
    for _ in 0..rounds {
        let mut builder = hash::Builder::new(Shape::HashTable, Source::Image, profile, SEED);
        for &field in &texts {
            let part = Part::Field {
                field,
                value: Text::Bytes(b"some value"),
                expire_ms: None,
            };
            builder.part(&part).expect("a field");
        }
        heap = builder.finish(profile).expect("not empty").heap_bytes();
    }
    report("hash", n, rounds, start, heap);
    let start = cpu();
    for _ in 0..rounds {
        let mut builder = zset::Builder::new(Shape::ZsetSkiplist, Source::Image, profile, SEED);
        for (&member, i) in texts.iter().zip(0u32..) {
            let score = f64::from(i) * 7.0;
            let part = Part::Scored { member, score };
            builder.part(&part).expect("a member");
        }
        heap = builder.finish(profile).expect("not empty").heap_bytes();
    }
    report("sorted set", n, rounds, start, heap);
}

/// One change at a time to a collection of `n`, and the same command without effect.
fn change(profile: &Profile, n: u64) {
    let mut keyspace = Keyspace::new(profile.clone(), SEED);
    let names: Vec<String> = (0..n).map(name).collect();
    let mut time = |what: &str, key: &str, words: &dyn Fn(&str) -> Vec<String>| {
        let argv: Vec<Vec<String>> = names.iter().map(|name| words(name)).collect();
        let rounds = (200_000 / n).max(1);
        let start = cpu();
        for _ in 0..rounds {
            for words in &argv {
                let mut texts = [Text::Bytes(b""); 4];
                texts[0] = Text::Bytes(what.as_bytes());
                texts[1] = Text::Bytes(key.as_bytes());
                for (text, word) in texts[2..].iter_mut().zip(words) {
                    *text = Text::Bytes(word.as_bytes());
                }
                let outcome = keyspace.apply(&Command {
                    db: 0,
                    argv: black_box(&texts[..2 + words.len()]),
                    now_ms: 1_700_000_000_000,
                    end_offset: 0,
                });
                assert_ne!(outcome, Outcome::Malformed);
            }
        }
        let nanos = (cpu() - start).as_nanos();
        let each = nanos as f64 / (n * rounds) as f64;
        println!("{what} in {n}: {each:.0} ns");
    };
    let member = |name: &str| vec![name.to_owned()];
    let pair = |name: &str| vec![name.to_owned(), "some value".to_owned()];
    let scored = |name: &str| vec!["12345".to_owned(), name.to_owned()];
    time("SADD", "s", &member);
    time("SADD", "s", &member);
    time("HSET", "h", &pair);
    time("HSET", "h", &pair);
    time("ZADD", "z", &scored);
    time("ZPOPMIN", "z", &|_| Vec::new());
}

/// Processor time of this thread: other work on the machine does not count.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(first.unwrap_or(0))
}
