//! Lists: both ends, positions, moves, blocking pops.

use crate::resp::Command;

use super::command::c;
use super::{Entry, Gen, Kind, entry};

pub(super) const TABLE: &[Entry] = &[
    entry("lpush", 10, |g| push(g, "LPUSH")),
    entry("rpush", 14, |g| push(g, "RPUSH")),
    entry("lpushx", 2, |g| push(g, "LPUSHX")),
    entry("rpushx", 2, |g| push(g, "RPUSHX")),
    entry("lpop", 4, |g| pop(g, "LPOP")),
    entry("rpop", 4, |g| pop(g, "RPOP")),
    entry("lset", 5, |g| {
        c("LSET")
            .a(g.key(Kind::List))
            .a(g.position())
            .a(item(g))
            .done()
    }),
    entry("linsert", 3, |g| {
        let side = *g.rng.pick(&["BEFORE", "AFTER"]);
        c("LINSERT")
            .a(g.key(Kind::List))
            .a(side)
            .a(common(g))
            .a(item(g))
            .done()
    }),
    entry("lrem", 3, |g| {
        c("LREM")
            .a(g.key(Kind::List))
            .a(g.rng.range(-3, 3))
            .a(common(g))
            .done()
    }),
    entry("ltrim", 1, ltrim),
    entry("rpoplpush", 2, |g| {
        c("RPOPLPUSH")
            .a(g.key(Kind::List))
            .a(g.key(Kind::List))
            .done()
    }),
    entry("lmove", 4, |g| {
        c("LMOVE")
            .a(g.key(Kind::List))
            .a(g.key(Kind::List))
            .a(side(g))
            .a(side(g))
            .done()
    }),
    entry("lmpop", 2, |g| {
        let count = g.rng.range(1, 3);
        let keys: Vec<_> = (0..count).map(|_| g.key(Kind::List)).collect();
        c("LMPOP")
            .a(count)
            .all(keys)
            .a(side(g))
            .a("COUNT")
            .a(g.rng.range(1, 20))
            .done()
    }),
    entry("blpop", 1, |g| blocking(g, "BLPOP")),
    entry("brpop", 1, |g| blocking(g, "BRPOP")),
    entry("brpoplpush", 1, |g| {
        c("BRPOPLPUSH")
            .a(g.key(Kind::List))
            .a(g.key(Kind::List))
            .a("0.02")
            .done()
    }),
    entry("blmove", 1, |g| {
        let keys = [g.key(Kind::List), g.key(Kind::List)];
        c("BLMOVE").all(keys).a(side(g)).a(side(g)).a("0.02").done()
    }),
    entry("blmpop", 1, |g| {
        let keys = [g.key(Kind::List), g.key(Kind::List)];
        c("BLMPOP")
            .a("0.02")
            .a("2")
            .all(keys)
            .a(side(g))
            .a("COUNT")
            .a(g.rng.range(1, 9))
            .done()
    }),
];

fn push(g: &mut Gen, name: &str) -> Command {
    let key = g.key(Kind::List);
    let count = g.burst(&key);
    let items: Vec<_> = (0..count).map(|_| item(g)).collect();
    c(name).a(key).all(items).done()
}

fn pop(g: &mut Gen, name: &str) -> Command {
    let count = (g.since((6, 2)) && g.rng.one_in(3)).then(|| g.rng.range(0, 30));
    c(name).a(g.key(Kind::List)).opt(count).done()
}

fn ltrim(g: &mut Gen) -> Command {
    // Mostly a cut at one end, or the large lists would never live long.
    let (from, to) = match g.rng.below(5) {
        0 => (g.position(), g.position()),
        1 | 2 => (g.rng.range(0, 20), -1),
        _ => (0, g.rng.range(-20, -1)),
    };
    c("LTRIM").a(g.key(Kind::List)).a(from).a(to).done()
}

fn blocking(g: &mut Gen, name: &str) -> Command {
    let count = g.rng.range(1, 3);
    let keys: Vec<_> = (0..count).map(|_| g.key(Kind::List)).collect();
    c(name).all(keys).a("0.02").done()
}

/// A value that many lists share, so that searches find it.
fn common(g: &mut Gen) -> Vec<u8> {
    match g.rng.below(3) {
        0 => g.rng.below(9).to_string().into_bytes(),
        1 => format!("job-{}", g.rng.below(9)).into_bytes(),
        _ => vec![b'v'; usize::try_from(g.rng.below(4)).unwrap_or(0)],
    }
}

fn item(g: &mut Gen) -> Vec<u8> {
    if g.rng.one_in(3) {
        common(g)
    } else {
        g.value()
    }
}

fn side(g: &mut Gen) -> &'static str {
    if g.rng.one_in(2) { "LEFT" } else { "RIGHT" }
}
