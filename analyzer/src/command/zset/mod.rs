//! Commands on sorted sets. The model knows every score, so it decides each member's NX, XX, GT and
//! LT itself; it does not know the order of members with equal scores, so a removal that has to
//! choose among them leaves a doubt.

mod combine;
mod range;
pub(super) mod score;

use super::set::{drop_if_empty, raise};
use super::{Args, Context, Doubt, Entry, Handler, Malformed};
use crate::profile::Profile;
use crate::text::Text;
use crate::value::info::Info;
use crate::value::zset::{Picked, Zset, by_longest};
use crate::value::{Encoding, Value};
use score::Range;

pub(crate) fn handler(name: &[u8]) -> Option<Handler> {
    Some(match name {
        b"ZADD" => |ctx, args| zadd(ctx, args, 2, Options::default()),
        b"ZINCRBY" => zincrby,
        b"ZREM" => zrem,
        b"ZPOPMIN" => |ctx, args| zpop(ctx, args, false),
        b"ZPOPMAX" => |ctx, args| zpop(ctx, args, true),
        b"BZPOPMIN" => |ctx, args| bzpop(ctx, args, false),
        b"BZPOPMAX" => |ctx, args| bzpop(ctx, args, true),
        b"ZMPOP" => |ctx, args| zmpop(ctx, args, 1),
        b"BZMPOP" => |ctx, args| zmpop(ctx, args, 2),
        b"ZREMRANGEBYRANK" => zremrangebyrank,
        b"ZREMRANGEBYSCORE" => zremrangebyscore,
        b"ZREMRANGEBYLEX" => zremrangebylex,
        b"ZUNIONSTORE" => combine::zunionstore,
        b"ZINTERSTORE" => combine::zinterstore,
        b"ZDIFFSTORE" => combine::zdiffstore,
        b"ZRANGESTORE" => range::zrangestore,
        _ => return None,
    })
}

/// The sorted set of an entry; an entry of another type is doubted.
pub(super) fn zset_of(entry: &mut Option<Entry>) -> Option<&mut Zset> {
    match entry {
        Some(Entry {
            value: Value::Zset(zset),
            ..
        }) => Some(zset),
        Some(other) => {
            other.doubt(Doubt::Value);
            None
        }
        None => None,
    }
}

/// Options of ZADD.
#[derive(Clone, Copy, Default)]
pub(super) struct Options {
    pub(super) only_new: bool,
    pub(super) only_old: bool,
    greater: bool,
    less: bool,
    increment: bool,
}

impl Options {
    /// Reads options from argument `i` on; where they end.
    fn read(mut self, args: Args<'_>, mut i: usize) -> (Options, usize) {
        loop {
            let flag = [
                ("NX", &mut self.only_new),
                ("XX", &mut self.only_old),
                ("GT", &mut self.greater),
                ("LT", &mut self.less),
                ("INCR", &mut self.increment),
            ]
            .into_iter()
            .find(|(word, _)| args.is(i, word));
            match flag {
                Some((_, flag)) => *flag = true,
                None if args.is(i, "CH") => {}
                None => return (self, i),
            }
            i += 1;
        }
    }

    /// The score that an existing member gets, if it gets one.
    fn rescored(self, old: f64, given: f64) -> Option<f64> {
        if self.only_new {
            return None;
        }
        let new = if self.increment { old + given } else { given };
        let refused = new.is_nan() || (self.less && new >= old) || (self.greater && new <= old);
        (!refused && new != old).then_some(new)
    }
}

/// ZADD with its options from argument `at` on.
fn zadd(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    at: usize,
    options: Options,
) -> Result<(), Malformed> {
    let key = args.key(1)?;
    let (options, first) = options.read(args, at);
    let pairs = args.from(first);
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(Malformed);
    }
    let mut scored = Vec::with_capacity(pairs.len() / 2);
    for pair in pairs.chunks_exact(2) {
        let [score, member] = pair else { continue };
        scored.push((score::score(score)?, *member));
    }
    add(ctx, key, &scored, options);
    Ok(())
}

/// Adds members as ZADD does.
pub(super) fn add(ctx: &mut Context<'_>, key: &[u8], scored: &[(f64, Text<'_>)], options: Options) {
    let seed = ctx.seed();
    ctx.edit(key, |entry, profile| {
        let hint = scored.len() as u64;
        let longest = longest(scored, profile);
        if entry.is_none() {
            if options.only_old {
                return;
            }
            let zset = Zset::create(hint, longest, profile);
            *entry = Some(Entry::new(Value::Zset(zset)));
        }
        if let Some(zset) = zset_of(entry) {
            zset.expect(hint, longest, profile);
            for (score, member) in scored {
                add_one(zset, *score, member, options, (seed, profile));
            }
        }
    });
}

/// The member whose length counts up front: the first, on Valkey 8 and later the longest.
fn longest(scored: &[(f64, Text<'_>)], profile: &Profile) -> u64 {
    let mut lengths = scored.iter().map(|(_, member)| member.len());
    if by_longest(profile) {
        lengths.max().unwrap_or(0)
    } else {
        lengths.next().unwrap_or(0)
    }
}

fn add_one(
    zset: &mut Zset,
    score: f64,
    member: &Text<'_>,
    options: Options,
    (seed, profile): (u64, &Profile),
) {
    let digest = member.digest(seed);
    match zset.get(digest) {
        Some(old) => {
            if let Some(new) = options.rescored(old.score, score) {
                zset.rescore(digest, new, profile);
            }
        }
        None if options.only_old => {}
        None => zset.add(digest, Info::of(member), score, profile),
    }
}

fn zincrby(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (key, step, member) = (args.key(1)?, score::score(&args.get(2)?)?, args.get(3)?);
    let options = Options {
        increment: true,
        ..Options::default()
    };
    add(ctx, key, &[(step, member)], options);
    Ok(())
}

fn zrem(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let key = args.key(1)?;
    args.get(2)?;
    let seed = ctx.seed();
    ctx.edit(key, |entry, profile| {
        if let Some(zset) = zset_of(entry) {
            for member in args.from(2) {
                zset.remove(member.digest(seed), profile);
            }
        }
        drop_if_empty(entry);
    });
    Ok(())
}

/// Removes picked members; a choice among equals leaves a doubt, unless nothing is left.
fn remove_picked(ctx: &mut Context<'_>, key: &[u8], pick: impl FnOnce(&Zset) -> Picked) {
    ctx.edit(key, |entry, profile| {
        let Some(zset) = zset_of(entry) else {
            return;
        };
        zset.keep_order();
        let picked = pick(zset);
        zset.remove_all(&picked.digests, profile);
        if picked.unsure {
            raise(entry, Doubt::Value);
        }
        drop_if_empty(entry);
    });
}

fn zpop(ctx: &mut Context<'_>, args: Args<'_>, highest: bool) -> Result<(), Malformed> {
    let key = args.key(1)?;
    let n = if args.len() > 2 { args.count(2)? } else { 1 };
    remove_picked(ctx, key, |zset| zset.extreme(highest, n));
    Ok(())
}

/// The first of some keys that is there.
fn first_present<'a>(
    ctx: &Context<'_>,
    args: Args<'a>,
    keys: std::ops::Range<usize>,
) -> Result<Option<&'a [u8]>, Malformed> {
    for i in keys {
        let key = args.key(i)?;
        if ctx.read(key, |entry| entry.is_some()) {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

/// BZPOPMIN and BZPOPMAX come as ZPOPMIN and ZPOPMAX; taken as they are, the first key is popped.
fn bzpop(ctx: &mut Context<'_>, args: Args<'_>, highest: bool) -> Result<(), Malformed> {
    let last = args.len().checked_sub(1).ok_or(Malformed)?;
    if let Some(key) = first_present(ctx, args, 1..last)? {
        remove_picked(ctx, key, |zset| zset.extreme(highest, 1));
    }
    Ok(())
}

/// ZMPOP and BZMPOP, `numkeys` at argument `at`.
fn zmpop(ctx: &mut Context<'_>, args: Args<'_>, at: usize) -> Result<(), Malformed> {
    let n = usize::try_from(args.count(at)?).map_err(|_| Malformed)?;
    let end = at.checked_add(1 + n).ok_or(Malformed)?;
    args.get(end)?;
    let highest = args.is(end, "MAX");
    let n = if args.is(end + 1, "COUNT") {
        args.count(end + 2)?
    } else {
        1
    };
    if let Some(key) = first_present(ctx, args, at + 1..end)? {
        remove_picked(ctx, key, |zset| zset.extreme(highest, n));
    }
    Ok(())
}

/// A range of ranks with negative ends made absolute: the first and how many.
fn rank_range(start: i64, end: i64, count: u64) -> (u64, u64) {
    let absolute = |rank: i64| {
        if rank < 0 {
            count.saturating_sub(rank.unsigned_abs())
        } else {
            rank.unsigned_abs()
        }
    };
    // An end before the first member is no member at all, not the first.
    let end_before = end < 0 && end.unsigned_abs() > count;
    let (first, last) = (absolute(start), absolute(end).min(count.saturating_sub(1)));
    if end_before || first > last || first >= count {
        (0, 0)
    } else {
        (first, last - first + 1)
    }
}

fn zremrangebyrank(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (key, start, end) = (args.key(1)?, args.int(2)?, args.int(3)?);
    remove_picked(ctx, key, |zset| {
        let (first, n) = rank_range(start, end, zset.count());
        zset.ranks(first, n)
    });
    Ok(())
}

/// The members inside a range of scores.
fn inside(zset: &Zset, range: Range) -> Vec<u64> {
    let (low, high) = range.bounds();
    zset.between(low, high, |score| range.has(score))
}

fn zremrangebyscore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let key = args.key(1)?;
    let range = Range::parse(&args.get(2)?, &args.get(3)?)?;
    remove_picked(ctx, key, |zset| Picked {
        digests: inside(zset, range),
        unsure: false,
    });
    Ok(())
}

/// SORT turns the sorted set that it reads into a skiplist, on every server.
pub(super) fn convert_for_sort(ctx: &mut Context<'_>, source: &[u8]) {
    let listpack = ctx.read(source, |entry| match entry.map(|entry| &entry.value) {
        Some(Value::Zset(zset)) => zset.encoding() == Encoding::Listpack,
        Some(_) | None => false,
    });
    if listpack {
        ctx.edit(source, |entry, profile| {
            if let Some(zset) = zset_of(entry) {
                zset.take_encoding(Encoding::Skiplist, profile);
            }
        });
    }
}

/// Which members a range of text has is not known, unless it has all.
fn zremrangebylex(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (key, min, max) = (args.key(1)?, args.get(2)?, args.get(3)?);
    let all = min == Text::Bytes(b"-") && max == Text::Bytes(b"+");
    ctx.edit(key, |entry, _| {
        if all && entry.as_ref().is_some_and(|e| e.doubt < Doubt::Value) {
            *entry = None;
        } else {
            raise(entry, Doubt::Value);
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_ranges_are_clipped_as_the_server_does() {
        for (start, end, expected) in [
            (0, -1, (0, 5)),
            (0, 0, (0, 1)),
            (-2, -1, (3, 2)),
            (-100, 1, (0, 2)),
            (0, -6, (0, 0)),
            (3, 1, (0, 0)),
            (5, 9, (0, 0)),
            (2, 9, (2, 3)),
        ] {
            assert_eq!(rank_range(start, end, 5), expected, "{start} {end}");
        }
        assert_eq!(rank_range(0, -1, 0), (0, 0));
    }
}
