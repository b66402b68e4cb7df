//! Hashes, and the life of single fields where a server has it.

use crate::resp::Command;

use super::command::{Building, c};
use super::keys::Key;
use super::{Entry, Gen, Kind, entry};

pub(super) const TABLE: &[Entry] = &[
    entry("hset", 24, |g| fields_and_values(g, "HSET")),
    entry("hmset", 2, |g| fields_and_values(g, "HMSET")),
    entry("hsetnx", 3, |g| {
        let key = any(g);
        let field = g.member(&key);
        c("HSETNX").a(key).a(field).a(value(g)).done()
    }),
    entry("hdel", 8, |g| {
        let key = any(g);
        let fields = g.members(&key);
        c("HDEL").a(key).all(fields).done()
    }),
    entry("hincrby", 5, |g| {
        let key = any(g);
        let field = counter(g);
        c("HINCRBY")
            .a(key)
            .a(field)
            .a(g.rng.range(-1000, 1000))
            .done()
    }),
    entry("hincrbyfloat", 3, |g| {
        let key = any(g);
        let field = counter(g);
        c("HINCRBYFLOAT")
            .a(key)
            .a(field)
            .a(format!("{}.5", g.rng.range(-9, 9)))
            .done()
    }),
    entry("hexpire", 3, |g| {
        let span = g.span_or_past_ms().max(0) / 1000;
        lifetime(g, "HEXPIRE", span)
    }),
    entry("hpexpire", 4, |g| {
        let span = g.span_or_past_ms().max(0);
        lifetime(g, "HPEXPIRE", span)
    }),
    entry("hexpireat", 2, |g| {
        let when = g.when_ms() / 1000;
        lifetime(g, "HEXPIREAT", when)
    }),
    entry("hpexpireat", 2, |g| {
        let when = g.when_ms();
        lifetime(g, "HPEXPIREAT", when)
    }),
    entry("hpersist", 2, |g| {
        let key = g.key(Kind::Fields);
        let base = c("HPERSIST").a(&key);
        list_fields(g, base, &key).done()
    }),
    entry("hgetex", 3, |g| {
        let key = g.key(Kind::Fields);
        let base = c("HGETEX").a(&key);
        let base = match g.rng.below(4) {
            0 => base.a("PERSIST"),
            1 => base.a("EX").a(g.rng.range(1, 90_000)),
            2 => base.a("PXAT").a(g.when_ms()),
            _ => base.a("PX").a(g.span_ms()),
        };
        list_fields(g, base, &key).done()
    }),
    entry("hgetdel", 2, |g| {
        let key = any(g);
        let base = c("HGETDEL").a(&key);
        list_fields(g, base, &key).done()
    }),
    entry("hsetex", 4, hsetex),
];

fn any(g: &mut Gen) -> Key {
    let kind = if g.rng.one_in(4) {
        Kind::Fields
    } else {
        Kind::Hash
    };
    g.key(kind)
}

fn fields_and_values(g: &mut Gen, name: &str) -> Command {
    let key = any(g);
    let mut base = c(name).a(&key);
    for _ in 0..g.burst(&key) {
        let field = g.member(&key);
        base = base.a(field).a(value(g));
    }
    base.done()
}

/// Mostly below 64 bytes, or no hash would keep its small encoding.
fn value(g: &mut Gen) -> Vec<u8> {
    match g.rng.below(60) {
        0 => g.value(),
        1..=8 => vec![b'w'; 64],
        9..=20 => g.integer().into_bytes(),
        _ => {
            let len = g.rng.index(30);
            g.rng.bytes(len)
        }
    }
}

fn counter(g: &mut Gen) -> String {
    format!("counter:{}", g.rng.below(3))
}

fn list_fields(g: &mut Gen, base: Building, key: &Key) -> Building {
    let fields: Vec<_> = (0..g.rng.range(1, 6)).map(|_| g.member(key)).collect();
    base.a("FIELDS").a(fields.len()).all(fields)
}

/// Gives some fields a time to go, sometimes under a condition.
fn lifetime(g: &mut Gen, name: &str, time: i64) -> Command {
    let key = g.key(Kind::Fields);
    let base = c(name).a(&key).a(time);
    let base = match g.rng.below(10) {
        0 => base.a("NX"),
        1 => base.a("XX"),
        2 => base.a("GT"),
        3 => base.a("LT"),
        _ => base,
    };
    list_fields(g, base, &key).done()
}

fn hsetex(g: &mut Gen) -> Command {
    let key = g.key(Kind::Fields);
    let base = c("HSETEX").a(&key);
    let base = match g.rng.below(8) {
        0 => base.a("FNX"),
        1 => base.a("FXX"),
        _ => base,
    };
    let base = match g.rng.below(6) {
        0 => base.a("KEEPTTL"),
        1 => base.a("PXAT").a(g.when_ms()),
        2 => base.a("EX").a(g.rng.range(1, 90_000)),
        3 => base,
        _ => base.a("PX").a(g.span_ms()),
    };
    let count = g.rng.range(1, 6);
    let mut base = base.a("FIELDS").a(count);
    for _ in 0..count {
        let field = g.member(&key);
        base = base.a(field).a(value(g));
    }
    base.done()
}
