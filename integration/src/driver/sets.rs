//! Sets: members, random pops, moves, algebra.

use crate::resp::Command;

use super::command::c;
use super::{Entry, Gen, Kind, entry};

pub(super) const TABLE: &[Entry] = &[
    entry("sadd", 24, |g| {
        let key = g.key(Kind::Set);
        let members = g.members(&key);
        c("SADD").a(key).all(members).done()
    }),
    entry("srem", 8, |g| {
        let key = g.key(Kind::Set);
        let members = g.members(&key);
        c("SREM").a(key).all(members).done()
    }),
    entry("spop", 3, |g| {
        let count = g.rng.one_in(3).then(|| {
            let most = if g.rng.one_in(6) { 2000 } else { 12 };
            g.rng.range(0, most)
        });
        c("SPOP").a(g.key(Kind::Set)).opt(count).done()
    }),
    entry("smove", 4, |g| {
        let from = g.key(Kind::Set);
        let member = g.member(&from);
        c("SMOVE").a(from).a(g.key(Kind::Set)).a(member).done()
    }),
    entry("sunionstore", 2, |g| algebra(g, "SUNIONSTORE")),
    entry("sinterstore", 2, |g| algebra(g, "SINTERSTORE")),
    entry("sdiffstore", 2, |g| algebra(g, "SDIFFSTORE")),
];

fn algebra(g: &mut Gen, name: &str) -> Command {
    let count = g.rng.range(1, 3);
    let dest = g.key(Kind::Set);
    c(name)
        .a(dest)
        .all((0..count).map(|_| g.key(Kind::Set)))
        .done()
}
