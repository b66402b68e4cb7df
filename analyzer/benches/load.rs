//! How fast a full sync's keys go into a generation, and what a key costs there.
//!
//! `cargo bench -p analyzer --bench load [-- KEYS]`

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::time::Duration;

use analyzer::input::{Key, Part, Shape};
use analyzer::profile::{Family, Version};
use analyzer::{Keyspace, Profile, Text};

fn main() {
    let keys = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let keys: u64 = keys.unwrap_or(5_000_000);
    strings(keys);
    hashes(keys / 10);
}

fn keyspace() -> Keyspace {
    Keyspace::new(Profile::defaults(Family::Redis, Version::new(7, 0)), 0x5eed)
}

fn strings(keys: u64) {
    let mut keyspace = keyspace();
    let before = resident();
    keyspace.begin_load(1_700_000_000_000);
    let start = cpu();
    let mut name = Vec::new();
    for n in 0..keys {
        spell(n, b":session", &mut name);
        keyspace.load_key(key(&name, Shape::String));
        let len = 8 + n.wrapping_mul(2_654_435_761) % 57;
        keyspace.part(Part::Str { len, int: None });
        keyspace.end_key();
    }
    keyspace.commit_load(1);
    report(
        "strings of 20-byte names",
        keys,
        start,
        &mut keyspace,
        before,
    );
}

fn hashes(keys: u64) {
    let mut keyspace = keyspace();
    let before = resident();
    keyspace.begin_load(1_700_000_000_000);
    let start = cpu();
    let mut name = Vec::new();
    for n in 0..keys {
        spell(n, b":profile", &mut name);
        keyspace.load_key(key(&name, Shape::HashListpack));
        for field in [&b"name"[..], b"mail", b"city", b"born", b"seen"] {
            keyspace.part(Part::Field {
                field: Text::Bytes(field),
                value: Text::Bytes(&name),
                expire_ms: None,
            });
        }
        keyspace.end_key();
    }
    keyspace.commit_load(1);
    report("hashes of 5 fields", keys, start, &mut keyspace, before);
}

fn spell(n: u64, tail: &[u8], name: &mut Vec<u8>) {
    name.clear();
    name.extend_from_slice(b"user:");
    let mut digits = [b'0'; 7];
    let mut rest = n;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    name.extend_from_slice(&digits);
    name.extend_from_slice(tail);
}

fn key(name: &[u8], shape: Shape) -> Key<'_> {
    Key {
        db: 0,
        name,
        shape,
        expire_ms: None,
        idle_s: None,
        freq: None,
        count_hint: 1,
    }
}

/// Resident bytes of this process; 0 where /proc is not there.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

fn report(what: &str, keys: u64, start: Duration, keyspace: &mut Keyspace, before: u64) {
    let seconds = (cpu() - start).as_secs_f64();
    let rate = keys as f64 / seconds / 1e6;
    while !keyspace.tidy() {}
    let heap = keyspace.heap_bytes() as f64 / keys as f64;
    let rss = resident().saturating_sub(before) as f64 / keys as f64;
    println!(
        "load {what}: {keys} keys, {rate:.2} M/s, {heap:.1} B/key allocated, {rss:.1} B/key resident"
    );
}

/// Time on a core: other work on the machine does not count.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let first = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(first.unwrap_or(0))
}
