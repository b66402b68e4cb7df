//! Strings: values, counters, bits, ranges, `HyperLogLog`.

use crate::resp::Command;

use super::command::{Building, c};
use super::{Entry, Gen, Kind, entry};

pub(super) const TABLE: &[Entry] = &[
    entry("set", 30, set),
    entry("setnx", 3, |g| {
        c("SETNX").a(g.key(Kind::Str)).a(g.value()).done()
    }),
    entry("setex", 2, |g| {
        c("SETEX")
            .a(g.key(Kind::Str))
            .a(seconds(g))
            .a(g.value())
            .done()
    }),
    entry("psetex", 2, |g| {
        c("PSETEX")
            .a(g.key(Kind::Str))
            .a(g.span_ms())
            .a(g.value())
            .done()
    }),
    entry("getset", 2, |g| {
        c("GETSET").a(g.key(Kind::Str)).a(g.value()).done()
    }),
    entry("getdel", 1, |g| c("GETDEL").a(g.key(Kind::Str)).done()),
    entry("getex", 3, getex),
    entry("mset", 2, |g| pairs(g, c("MSET")).done()),
    entry("msetnx", 1, |g| pairs(g, c("MSETNX")).done()),
    entry("msetex", 3, msetex),
    entry("delifeq", 2, delifeq),
    entry("append", 5, append),
    entry("setrange", 4, setrange),
    entry("incr", 4, |g| c("INCR").a(g.key(Kind::Int)).done()),
    entry("decr", 3, |g| c("DECR").a(g.key(Kind::Int)).done()),
    entry("incrby", 4, |g| {
        c("INCRBY").a(g.key(Kind::Int)).a(step(g)).done()
    }),
    entry("decrby", 3, |g| {
        c("DECRBY").a(g.key(Kind::Int)).a(step(g)).done()
    }),
    entry("incrbyfloat", 3, |g| {
        c("INCRBYFLOAT").a(g.key(Kind::Int)).a(g.float()).done()
    }),
    entry("setbit", 4, |g| {
        let bit = g.rng.range(0, 1);
        c("SETBIT").a(g.key(Kind::Bits)).a(offset(g)).a(bit).done()
    }),
    entry("bitfield", 4, bitfield),
    entry("bitop", 3, bitop),
    entry("pfadd", 4, |g| {
        let key = g.key(Kind::Hll);
        let members = if g.rng.one_in(12) {
            Vec::new()
        } else {
            g.members(&key)
        };
        c("PFADD").a(key).all(members).done()
    }),
    entry("pfmerge", 1, |g| {
        let count = g.rng.range(0, 3);
        let dest = g.key(Kind::Hll);
        c("PFMERGE")
            .a(dest)
            .all((0..count).map(|_| g.key(Kind::Hll)))
            .done()
    }),
    entry("pfcount", 1, |g| c("PFCOUNT").a(g.key(Kind::Hll)).done()),
];

fn set(g: &mut Gen) -> Command {
    let kind = match g.rng.below(60) {
        0 => Kind::List,
        1 => Kind::Hash,
        2 | 3 => Kind::Bits,
        4..=7 => Kind::Int,
        _ => Kind::Str,
    };
    let value = if kind == Kind::Int {
        g.integer().into_bytes()
    } else {
        g.value()
    };
    let base = c("SET").a(g.key(kind)).a(value);
    match g.rng.below(14) {
        0 => base.a("EX").a(seconds(g)),
        1 => base.a("PX").a(g.span_ms()),
        2 => base.a("KEEPTTL"),
        3 => base.a("XX"),
        4 => base.a("NX"),
        5 if g.since((6, 2)) => base.a("GET"),
        6 if g.since((6, 2)) => base.a("PXAT").a(g.when_ms()),
        7 if g.since((6, 2)) => base.a("EXAT").a(g.when_ms() / 1000 + 1).a("XX"),
        8 if g.valkey((8, 1)) => base.a("IFEQ").a(g.integer()),
        _ => base,
    }
    .done()
}

fn getex(g: &mut Gen) -> Command {
    let base = c("GETEX").a(g.key(Kind::Str));
    match g.rng.below(4) {
        0 => base.a("PERSIST"),
        1 => base.a("EX").a(seconds(g)),
        2 => base.a("PXAT").a(g.when_ms()),
        _ => base.a("PX").a(g.span_ms()),
    }
    .done()
}

fn pairs(g: &mut Gen, mut base: Building) -> Building {
    for _ in 0..g.rng.range(1, 4) {
        base = base.a(g.key(Kind::Str)).a(g.value());
    }
    base
}

fn msetex(g: &mut Gen) -> Command {
    let count = g.rng.range(1, 3);
    let mut base = c("MSETEX").a(count);
    for _ in 0..count {
        base = base.a(g.key(Kind::Str)).a(g.value());
    }
    match g.rng.below(5) {
        0 => base.a("KEEPTTL"),
        1 => base.a("PX").a(g.span_ms()),
        2 => base.a("EXAT").a(g.when_ms() / 1000 + 1),
        3 => base.a("XX").a("PXAT").a(g.when_ms()),
        _ => base,
    }
    .done()
}

fn delifeq(g: &mut Gen) -> Command {
    c("DELIFEQ")
        .a(g.key(Kind::Int))
        .a(g.rng.range(-20, 20))
        .done()
}

fn append(g: &mut Gen) -> Command {
    let kind = if g.rng.one_in(3) {
        Kind::Int
    } else {
        Kind::Str
    };
    let value = match g.rng.below(6) {
        0 => Vec::new(),
        1 | 2 => g.rng.below(99).to_string().into_bytes(),
        _ => g.value(),
    };
    c("APPEND").a(g.key(kind)).a(value).done()
}

fn setrange(g: &mut Gen) -> Command {
    let kind = if g.rng.one_in(2) {
        Kind::Bits
    } else {
        Kind::Str
    };
    let value = if g.rng.one_in(10) {
        Vec::new()
    } else {
        g.value()
    };
    c("SETRANGE")
        .a(g.key(kind))
        .a(g.rng.range(0, 90))
        .a(value)
        .done()
}

fn bitfield(g: &mut Gen) -> Command {
    // OVERFLOW FAIL is left out: a failing operation may grow the string, and that is replicated by
    // no server.
    let mut base = c("BITFIELD").a(g.key(Kind::Bits));
    for _ in 0..g.rng.range(1, 3) {
        let width = g.rng.range(1, 40);
        let signed = if g.rng.one_in(2) { "i" } else { "u" };
        let at = if g.rng.one_in(3) {
            format!("#{}", g.rng.below(20))
        } else {
            offset(g).to_string()
        };
        base = match g.rng.below(5) {
            0 => base.a("GET").a(format!("{signed}{width}")).a(at),
            1 | 2 => base
                .a("SET")
                .a(format!("{signed}{width}"))
                .a(at)
                .a(g.rng.range(0, 900)),
            3 => base
                .words("OVERFLOW SAT INCRBY")
                .a(format!("{signed}{width}"))
                .a(at)
                .a(step(g)),
            _ => base
                .a("INCRBY")
                .a(format!("{signed}{width}"))
                .a(at)
                .a(step(g)),
        };
    }
    base.done()
}

fn bitop(g: &mut Gen) -> Command {
    let operation = *g.rng.pick(&["AND", "OR", "XOR", "NOT"]);
    let dest = g.key(Kind::Bits);
    let count = if operation == "NOT" {
        1
    } else {
        g.rng.range(1, 3)
    };
    c("BITOP")
        .a(operation)
        .a(dest)
        .all((0..count).map(|_| g.key(Kind::Bits)))
        .done()
}

fn offset(g: &mut Gen) -> i64 {
    if g.rng.one_in(8) {
        g.rng.range(0, 20_000)
    } else {
        g.rng.range(0, 600)
    }
}

fn step(g: &mut Gen) -> i64 {
    if g.rng.one_in(10) {
        g.rng.range(-900_000_000_000, 900_000_000_000)
    } else {
        g.rng.range(-9, 9)
    }
}

fn seconds(g: &mut Gen) -> i64 {
    if g.rng.one_in(12) {
        1
    } else {
        g.rng.range(60, 4_000_000)
    }
}
