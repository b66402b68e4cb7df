//! Sorted sets and positions.

use crate::resp::Command;

use super::command::{Building, c};
use super::{Entry, Gen, Kind, entry};

pub(super) const TABLE: &[Entry] = &[
    entry("zadd", 24, zadd),
    entry("zadd", 4, |g| {
        let key = g.key(Kind::Lex);
        let members = g
            .members(&key)
            .into_iter()
            .flat_map(|member| [b"0".to_vec(), member]);
        c("ZADD").a(key).all(members).done()
    }),
    entry("zincrby", 5, |g| {
        let key = g.key(Kind::Zset);
        let member = g.member(&key);
        c("ZINCRBY").a(key).a(g.float()).a(member).done()
    }),
    entry("zrem", 8, |g| {
        let key = g.key(Kind::Zset);
        let members = g.members(&key);
        c("ZREM").a(key).all(members).done()
    }),
    entry("zpopmin", 2, |g| pop(g, "ZPOPMIN")),
    entry("zpopmax", 2, |g| pop(g, "ZPOPMAX")),
    entry("bzpopmin", 1, |g| blocking(g, "BZPOPMIN")),
    entry("bzpopmax", 1, |g| blocking(g, "BZPOPMAX")),
    entry("zmpop", 2, |g| {
        let keys = [g.key(Kind::Zset), g.key(Kind::Zset)];
        let side = *g.rng.pick(&["MIN", "MAX"]);
        c("ZMPOP")
            .a("2")
            .all(keys)
            .a(side)
            .a("COUNT")
            .a(g.rng.range(1, 9))
            .done()
    }),
    entry("bzmpop", 1, |g| {
        let keys = [g.key(Kind::Zset), g.key(Kind::Zset)];
        c("BZMPOP").a("0.02").a("2").all(keys).a("MIN").done()
    }),
    entry("zremrangebyrank", 1, |g| {
        let from = g.rng.range(-30, 30);
        let to = from + g.rng.range(0, 12);
        c("ZREMRANGEBYRANK")
            .a(g.key(Kind::Zset))
            .a(from)
            .a(to)
            .done()
    }),
    entry("zremrangebyscore", 1, |g| {
        let (from, to) = scores(g);
        c("ZREMRANGEBYSCORE")
            .a(g.key(Kind::Zset))
            .a(from)
            .a(to)
            .done()
    }),
    entry("zremrangebylex", 1, |g| {
        let key = by_name(g);
        let (from, to) = lex(g, &key);
        c("ZREMRANGEBYLEX").a(key).a(from).a(to).done()
    }),
    entry("zunionstore", 2, |g| algebra(g, "ZUNIONSTORE")),
    entry("zinterstore", 2, |g| algebra(g, "ZINTERSTORE")),
    entry("zdiffstore", 2, |g| algebra(g, "ZDIFFSTORE")),
    entry("zrangestore", 4, zrangestore),
    entry("geoadd", 6, geoadd),
    entry("geosearchstore", 3, geosearchstore),
    entry("georadius", 1, |g| {
        let key = g.key(Kind::Geo);
        let (store, dest) = store(g);
        let base = c("GEORADIUS")
            .a(key)
            .words("15 37")
            .a(g.rng.range(10, 900))
            .a("km");
        count_of(g, base).a(store).a(dest).done()
    }),
    entry("georadiusbymember", 1, |g| {
        let key = g.key(Kind::Geo);
        let place = place(g);
        let (store, dest) = store(g);
        let base = c("GEORADIUSBYMEMBER")
            .a(key)
            .a(place)
            .a(g.rng.range(10, 900))
            .a("km");
        count_of(g, base).a(store).a(dest).done()
    }),
];

fn zadd(g: &mut Gen) -> Command {
    let key = g.key(Kind::Zset);
    let mut base = c("ZADD").a(&key);
    let comparing = g.since((6, 2));
    base = match g.rng.below(12) {
        0 => base.a("NX"),
        1 => base.a("XX"),
        2 if comparing => base.a("GT"),
        3 if comparing => base.a("LT").a("CH"),
        4 => {
            let member = g.member(&key);
            return base.a("INCR").a(g.float()).a(member).done();
        }
        5 => base.a("XX").a("CH"),
        6 if comparing => base.a("XX").a("GT"),
        _ => base,
    };
    for _ in 0..g.burst(&key) {
        let member = g.member(&key);
        let score = if g.rng.one_in(4) {
            g.float()
        } else {
            g.rng.range(0, 40).to_string()
        };
        base = base.a(score).a(member);
    }
    base.done()
}

fn pop(g: &mut Gen, name: &str) -> Command {
    let count = g.rng.one_in(3).then(|| g.rng.range(0, 20));
    c(name).a(g.key(Kind::Zset)).opt(count).done()
}

fn blocking(g: &mut Gen, name: &str) -> Command {
    c(name)
        .a(g.key(Kind::Zset))
        .a(g.key(Kind::Zset))
        .a("0.02")
        .done()
}

fn algebra(g: &mut Gen, name: &str) -> Command {
    let count = g.rng.range(1, 3);
    let dest = g.key(Kind::Zset);
    // A set counts as a sorted set whose scores are 1.
    let keys: Vec<_> = (0..count)
        .map(|_| {
            let kind = if g.rng.one_in(5) {
                Kind::Set
            } else {
                Kind::Zset
            };
            g.key(kind)
        })
        .collect();
    let mut base = c(name).a(dest).a(count).all(keys);
    if name == "ZDIFFSTORE" {
        return base.done();
    }
    if g.rng.one_in(3) {
        base = base
            .a("WEIGHTS")
            .all((0..count).map(|_| g.rng.range(-3, 5)));
    }
    if g.rng.one_in(3) {
        let how = *g.rng.pick(&["SUM", "MIN", "MAX"]);
        base = base.a("AGGREGATE").a(how);
    }
    base.done()
}

fn zrangestore(g: &mut Gen) -> Command {
    let dest = g.key(Kind::Zset);
    let by_lex = g.rng.one_in(5);
    let source = if by_lex {
        by_name(g)
    } else {
        g.key(Kind::Zset)
    };
    let limit = g
        .rng
        .one_in(3)
        .then(|| [g.rng.range(0, 5), g.rng.range(-1, 50)]);
    let base = c("ZRANGESTORE").a(dest).a(&source);
    let (from, to, by) = match g.rng.below(5) {
        _ if by_lex => {
            let (from, to) = lex(g, &source);
            (from, to, Some("BYLEX"))
        }
        0..=2 => {
            let (from, to) = scores(g);
            (from.into_bytes(), to.into_bytes(), Some("BYSCORE"))
        }
        _ => (
            g.position().to_string().into_bytes(),
            g.position().to_string().into_bytes(),
            None,
        ),
    };
    let reverse = g.rng.one_in(4);
    // In reverse the larger bound comes first, but for ranks.
    let base = if reverse && by.is_some() {
        base.a(to).a(from)
    } else {
        base.a(from).a(to)
    };
    let base = base.opt(by).opt(reverse.then_some("REV"));
    match limit.filter(|_| by.is_some()) {
        Some(limit) => base.a("LIMIT").all(limit).done(),
        None => base.done(),
    }
}

fn scores(g: &mut Gen) -> (String, String) {
    let from = g.rng.range(-60, 50);
    let open = if g.rng.one_in(3) { "(" } else { "" };
    match g.rng.below(8) {
        0 => ("-inf".to_owned(), format!("{open}{from}")),
        1 => (format!("{open}{from}"), "+inf".to_owned()),
        _ => (
            format!("{open}{from}"),
            (from + g.rng.range(0, 6)).to_string(),
        ),
    }
}

fn lex(g: &mut Gen, key: &super::Key) -> (Vec<u8>, Vec<u8>) {
    let mut bound = |mark: &[u8]| [mark, &g.member(key)].concat();
    let (from, to) = (bound(b"["), bound(b"("));
    match g.rng.below(6) {
        0 => (b"-".to_vec(), to),
        1 => (from, b"+".to_vec()),
        _ => (from, to),
    }
}

/// A key for ranges by name. Where scores differ such a range follows the random levels of a
/// skiplist, and no two servers agree on it.
fn by_name(g: &mut Gen) -> super::Key {
    let kind = if g.agreed || !g.rng.one_in(4) {
        Kind::Lex
    } else {
        Kind::Zset
    };
    g.key(kind)
}

fn geoadd(g: &mut Gen) -> Command {
    let mut base = c("GEOADD").a(g.key(Kind::Geo));
    if g.since((6, 2)) && g.rng.one_in(6) {
        base = base.a("XX").a("CH");
    }
    for _ in 0..g.rng.range(1, 12) {
        let position =
            |middle: i64, n: i64| format!("{}.{:06}", middle + n / 1_000_000, n % 1_000_000);
        let longitude = position(13, g.rng.range(0, 3_999_999));
        let latitude = position(36, g.rng.range(0, 2_999_999));
        base = base.a(longitude).a(latitude).a(place(g));
    }
    base.done()
}

fn geosearchstore(g: &mut Gen) -> Command {
    let kind = if g.rng.one_in(4) {
        Kind::Geo
    } else {
        Kind::Zset
    };
    let dest = g.key(kind);
    let source = g.key(Kind::Geo);
    let base = c("GEOSEARCHSTORE").a(dest).a(source);
    let base = if g.rng.one_in(2) {
        base.words("FROMLONLAT 15 37")
    } else {
        let place = place(g);
        base.a("FROMMEMBER").a(place)
    };
    let base = if g.rng.one_in(2) {
        base.a("BYRADIUS").a(g.rng.range(1, 500)).a("km")
    } else {
        base.a("BYBOX")
            .a(g.rng.range(1, 600))
            .a(g.rng.range(1, 600))
            .a("km")
    };
    let base = count_of(g, base);
    if g.rng.one_in(4) {
        base.a("STOREDIST").done()
    } else {
        base.done()
    }
}

fn count_of(g: &mut Gen, base: Building) -> Building {
    match g.rng.below(5) {
        0 => base.a("COUNT").a(g.rng.range(1, 30)).a("ASC"),
        1 if g.since((6, 2)) => base.a("COUNT").a(g.rng.range(1, 30)).a("ANY"),
        2 => base.a("DESC"),
        _ => base,
    }
}

fn store(g: &mut Gen) -> (&'static str, super::Key) {
    let how = if g.rng.one_in(3) {
        "STOREDIST"
    } else {
        "STORE"
    };
    (how, g.key(Kind::Zset))
}

fn place(g: &mut Gen) -> String {
    format!("place:{}", g.rng.below(200))
}
