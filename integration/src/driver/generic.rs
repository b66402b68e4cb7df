//! Commands for any type, and for whole databases.

use crate::resp::Command;

use super::command::c;
use super::keys::KINDS;
use super::{DATABASES, Entry, Gen, Key, Kind, entry};

pub(super) const TABLE: &[Entry] = &[
    entry("del", 4, |g| some_keys(g, "DEL")),
    entry("unlink", 3, |g| some_keys(g, "UNLINK")),
    entry("expire", 5, |g| expire(g, "EXPIRE", false)),
    entry("pexpire", 6, |g| expire(g, "PEXPIRE", false)),
    entry("expireat", 4, |g| expire(g, "EXPIREAT", true)),
    entry("pexpireat", 4, |g| expire(g, "PEXPIREAT", true)),
    entry("persist", 4, |g| c("PERSIST").a(any(g)).done()),
    entry("rename", 5, |g| two_keys(g, "RENAME")),
    entry("renamenx", 3, |g| two_keys(g, "RENAMENX")),
    entry("copy", 6, copy),
    entry("move", 4, |g| {
        let db = *g.rng.pick(&DATABASES);
        c("MOVE").a(any(g)).a(db).done()
    }),
    entry("restore", 6, restore),
    entry("sort", 3, sort),
    entry("touch", 1, |g| some_keys(g, "TOUCH")),
    entry("publish", 1, |g| {
        c("PUBLISH").a("news").a(g.rng.range(0, 9)).done()
    }),
    entry("swapdb", 1, |g| {
        if !g.rng.one_in(6) {
            return c("PING").done();
        }
        let pair = [*g.rng.pick(&DATABASES), *g.rng.pick(&DATABASES)];
        c("SWAPDB").all(pair).done()
    }),
    entry("flushdb", 1, |g| flush(g, "FLUSHDB", 24)),
    entry("flushall", 1, |g| flush(g, "FLUSHALL", 100)),
];

/// A CONFIG SET of one of the thresholds between encodings.
pub(super) fn threshold(g: &mut Gen) -> Command {
    let name = *g.rng.pick(&[
        "hash-max-ziplist-entries",
        "hash-max-ziplist-value",
        "zset-max-ziplist-entries",
        "zset-max-ziplist-value",
        "set-max-intset-entries",
        "list-max-ziplist-size",
    ]);
    let value: i64 = match name {
        "list-max-ziplist-size" => *g.rng.pick(&[-2, -1, 16, 128]),
        _ => *g.rng.pick(&[16, 64, 128, 512]),
    };
    c("CONFIG").a("SET").a(name).a(value).done()
}

fn any(g: &mut Gen) -> Key {
    let kind = *g.rng.pick(&KINDS);
    g.key(kind)
}

fn some_keys(g: &mut Gen, name: &str) -> Command {
    let count = if g.rng.one_in(5) { 4 } else { 1 };
    c(name).all((0..count).map(|_| any(g))).done()
}

/// Two keys that are meant for the same type, so that the population keeps its shape.
fn two_keys(g: &mut Gen, name: &str) -> Command {
    let kind = *g.rng.pick(&KINDS);
    c(name).a(g.key(kind)).a(g.key(kind)).done()
}

fn expire(g: &mut Gen, name: &str, absolute: bool) -> Command {
    let millis = name.starts_with('P');
    let at = if absolute {
        g.when_ms()
    } else {
        g.span_or_past_ms()
    };
    let base = c(name).a(any(g)).a(if millis { at } else { at / 1000 });
    let conditions = g.since((7, 0));
    match g.rng.below(14) {
        0 if conditions => base.a("NX"),
        1 if conditions => base.a("XX"),
        2 if conditions => base.a("GT"),
        3 if conditions => base.a("LT"),
        _ => base,
    }
    .done()
}

fn copy(g: &mut Gen) -> Command {
    let kind = *g.rng.pick(&KINDS);
    let base = c("COPY").a(g.key(kind)).a(g.key(kind));
    let elsewhere = g.tag.is_none() && g.rng.one_in(3);
    let db = elsewhere.then(|| *g.rng.pick(&DATABASES));
    let base = match db {
        Some(db) => base.a("DB").a(db),
        None => base,
    };
    if g.rng.one_in(2) {
        base.a("REPLACE").done()
    } else {
        base.done()
    }
}

fn restore(g: &mut Gen) -> Command {
    if g.payloads.is_empty() {
        return c("PING").done();
    }
    let (kind, payload) = g.rng.pick(&g.payloads).clone();
    let key = g.key(kind);
    let base = c("RESTORE").a(key);
    let base = match g.rng.below(4) {
        0 => base.a(g.when_ms()).a(payload).a("ABSTTL"),
        1 => base.a(g.span_ms()).a(payload),
        _ => base.a("0").a(payload),
    };
    let base = if g.rng.one_in(8) {
        base.a("IDLETIME").a("10")
    } else {
        base
    };
    if g.rng.one_in(5) {
        base.done()
    } else {
        base.a("REPLACE").done()
    }
}

fn sort(g: &mut Gen) -> Command {
    let kind = *g.rng.pick(&[Kind::List, Kind::Set, Kind::Zset]);
    let base = c("SORT").a(g.key(kind));
    let base = if g.rng.one_in(4) {
        base.a("BY").a("nosort")
    } else {
        base
    };
    let base = if g.rng.one_in(3) {
        base.a("LIMIT").a("0").a(g.rng.range(0, 50))
    } else {
        base
    };
    let base = match g.rng.below(5) {
        0 => base.a("GET").a("#"),
        1 => base.a("GET").a("s:*").a("GET").a("#"),
        _ => base,
    };
    let base = if g.rng.one_in(2) {
        base.a("DESC")
    } else {
        base
    };
    base.a("ALPHA").a("STORE").a(g.key(Kind::List)).done()
}

fn flush(g: &mut Gen, name: &str, one_in: u64) -> Command {
    if !g.rng.one_in(one_in) {
        return c("PING").done();
    }
    let how = g.rng.one_in(2).then_some("ASYNC");
    c(name).opt(how).done()
}
