//! Streams: entries, trims, groups, consumers, claims.

use crate::resp::Command;

use super::command::{Building, c};
use super::{Entry, Gen, Kind, entry};

pub(super) const TABLE: &[Entry] = &[
    entry("xadd", 26, xadd),
    entry("xtrim", 1, |g| {
        let base = c("XTRIM").a(g.key(Kind::Stream));
        trim(g, base).done()
    }),
    entry("xdel", 5, |g| {
        let base = c("XDEL").a(g.key(Kind::Stream));
        let count = g.rng.range(1, 5);
        base.all((0..count).map(|_| id(g))).done()
    }),
    entry("xsetid", 1, |g| {
        let last = g.ticks + g.rng.below(50);
        let base = c("XSETID").a(g.key(Kind::Stream)).a(format!("{last}-0"));
        if g.since((7, 0)) && g.rng.one_in(2) {
            return base
                .a("ENTRIESADDED")
                .a(g.rng.range(3000, 9000))
                .a("MAXDELETEDID")
                .a("0-1")
                .done();
        }
        base.done()
    }),
    entry("xgroup", 6, xgroup),
    entry("xreadgroup", 10, xreadgroup),
    entry("xack", 5, |g| {
        let count = g.rng.range(1, 6);
        let base = c("XACK").a(g.key(Kind::Stream)).a(group(g));
        base.all((0..count).map(|_| id(g))).done()
    }),
    entry("xclaim", 3, xclaim),
    entry("xautoclaim", 3, |g| {
        let base = c("XAUTOCLAIM")
            .a(g.key(Kind::Stream))
            .a(group(g))
            .a(consumer(g))
            .a("0")
            .a("0");
        let base = base.a("COUNT").a(g.rng.range(1, 10));
        if g.rng.one_in(3) {
            base.a("JUSTID").done()
        } else {
            base.done()
        }
    }),
];

fn xadd(g: &mut Gen) -> Command {
    let key = g.key(Kind::Stream);
    let mut base = c("XADD").a(&key);
    if g.since((6, 2)) && g.rng.one_in(20) {
        base = base.a("NOMKSTREAM");
    }
    if g.rng.one_in(12) {
        base = trim(g, base);
    }
    g.ticks += 1;
    // Ids are small numbers that grow over all streams, so that deletions find some.
    let id = match g.rng.below(10) {
        0 if g.since((7, 0)) => format!("{}-*", g.ticks),
        1 => format!("{}-{}", g.ticks, g.rng.range(0, 5)),
        2 if g.rng.one_in(40) => "*".to_owned(),
        _ => format!("{}-1", g.ticks),
    };
    base = base.a(id);
    let same = g.rng.one_in(2);
    for field in 0..if same { 2 } else { g.rng.range(1, 5) } {
        let most = if g.rng.one_in(30) { 3000 } else { 40 };
        let len = g.rng.index(most);
        base = base.a(format!("field{field}")).a(g.rng.bytes(len));
    }
    base.done()
}

fn trim(g: &mut Gen, base: Building) -> Building {
    let how = if g.rng.one_in(2) { "~" } else { "=" };
    let base = if g.since((6, 2)) && g.rng.one_in(3) {
        base.a("MINID")
            .a(how)
            .a(g.ticks.saturating_sub(g.rng.below(3000)).to_string())
    } else {
        let most = if g.rng.one_in(20) { 5 } else { 1200 };
        base.a("MAXLEN").a(how).a(g.rng.range(0, most))
    };
    if how == "~" && g.since((6, 2)) && g.rng.one_in(4) {
        return base.a("LIMIT").a(g.rng.range(0, 300));
    }
    base
}

fn xgroup(g: &mut Gen) -> Command {
    let key = g.key(Kind::Stream);
    match g.rng.below(12) {
        0..=6 => {
            let from = *g.rng.pick(&["0", "$", "0"]);
            let base = c("XGROUP").a("CREATE").a(key).a(group(g)).a(from);
            let base = if g.rng.one_in(2) {
                base.a("MKSTREAM")
            } else {
                base
            };
            let counted = g.since((7, 0)) && g.rng.one_in(4);
            if counted {
                base.a("ENTRIESREAD").a(g.rng.range(0, 50)).done()
            } else {
                base.done()
            }
        }
        7 => c("XGROUP").a("SETID").a(key).a(group(g)).a(id(g)).done(),
        8 if g.rng.one_in(3) => c("XGROUP").a("DESTROY").a(key).a(group(g)).done(),
        9 => c("XGROUP")
            .a("DELCONSUMER")
            .a(key)
            .a(group(g))
            .a(consumer(g))
            .done(),
        _ if g.since((6, 2)) => c("XGROUP")
            .a("CREATECONSUMER")
            .a(key)
            .a(group(g))
            .a(consumer(g))
            .done(),
        _ => c("XGROUP").a("SETID").a(key).a(group(g)).a("$").done(),
    }
}

fn xreadgroup(g: &mut Gen) -> Command {
    let base = c("XREADGROUP").a("GROUP").a(group(g)).a(consumer(g));
    let base = base.a("COUNT").a(g.rng.range(1, 20));
    let base = if g.rng.one_in(5) {
        base.a("NOACK")
    } else {
        base
    };
    let base = if g.rng.one_in(8) {
        base.a("BLOCK").a("15")
    } else {
        base
    };
    let from = if g.rng.one_in(10) { "0" } else { ">" };
    base.a("STREAMS").a(g.key(Kind::Stream)).a(from).done()
}

fn xclaim(g: &mut Gen) -> Command {
    let base = c("XCLAIM")
        .a(g.key(Kind::Stream))
        .a(group(g))
        .a(consumer(g))
        .a("0");
    let count = g.rng.range(1, 4);
    let base = base.all((0..count).map(|_| id(g)));
    match g.rng.below(5) {
        0 => base.a("JUSTID"),
        1 => base.a("FORCE"),
        2 => base.a("RETRYCOUNT").a(g.rng.range(0, 9)).a("FORCE"),
        3 => base.a("IDLE").a(g.rng.range(0, 100_000)),
        _ => base,
    }
    .done()
}

fn id(g: &mut Gen) -> String {
    let back = if g.rng.one_in(2) { 200 } else { 20_000 };
    format!("{}-1", g.ticks.saturating_sub(g.rng.below(back)))
}

fn group(g: &mut Gen) -> String {
    format!("group{}", g.rng.below(3))
}

fn consumer(g: &mut Gen) -> String {
    format!("consumer{}", g.rng.below(5))
}
