//! Commands on hashes. Field expiries come as HPEXPIREAT, HSETEX, HPERSIST and HDEL, with absolute
//! times; the forms that clients send are understood too.

use super::set::{drop_if_empty, raise};
use super::{Args, Context, Doubt, Entry, Handler, Malformed};
use crate::profile::{Family, Profile};
use crate::text::Text;
use crate::value::elements::{Block, Field, value_info};
use crate::value::hash::{Expiry, Hash};
use crate::value::info::Info;
use crate::value::{Encoding, Value};

pub(crate) fn handler(name: &[u8]) -> Option<Handler> {
    Some(match name {
        b"HSET" | b"HMSET" | b"HSETNX" => hset,
        b"HDEL" => hdel,
        b"HINCRBY" => hincrby,
        b"HINCRBYFLOAT" => hincrbyfloat,
        b"HGETDEL" => hgetdel,
        b"HEXPIRE" => |ctx, args| hexpire(ctx, args, 1000, true),
        b"HPEXPIRE" => |ctx, args| hexpire(ctx, args, 1, true),
        b"HEXPIREAT" => |ctx, args| hexpire(ctx, args, 1000, false),
        b"HPEXPIREAT" => |ctx, args| hexpire(ctx, args, 1, false),
        b"HPERSIST" => hpersist,
        b"HSETEX" => hsetex,
        b"HGETEX" => hgetex,
        _ => return None,
    })
}

/// The hash of an entry; an entry of another type is doubted.
fn hash_of(entry: &mut Option<Entry>) -> Option<&mut Hash> {
    match entry {
        Some(Entry {
            value: Value::Hash(hash),
            ..
        }) => Some(hash),
        Some(other) => {
            other.doubt(Doubt::Value);
            None
        }
        None => None,
    }
}

fn hash_or_new(entry: &mut Option<Entry>) -> Option<&mut Hash> {
    if entry.is_none() {
        *entry = Some(Entry::new(Value::Hash(Hash::new())));
    }
    hash_of(entry)
}

fn hset(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let key = args.key(1)?;
    let pairs = args.from(2);
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(Malformed);
    }
    let seed = ctx.seed();
    ctx.edit(key, |entry, profile| {
        let mut unsure = false;
        if let Some(hash) = hash_or_new(entry) {
            let was = hash.encoding();
            expect(hash, pairs, profile);
            // HINCRBYFLOAT comes as HSET; up to 6.2 it does not look at the field's length.
            unsure = profile.ziplists()
                && pairs.len() == 2
                && hash.encoding() != was
                && pairs[1].len() <= profile.hash_value_max;
            set_all(hash, pairs, Expiry::Clear, seed, profile);
        }
        if unsure {
            raise(entry, Doubt::Probe);
        }
    });
    Ok(())
}

/// Lets the hash see all of a command's pairs before the first is set.
fn expect(hash: &mut Hash, pairs: &[Text<'_>], profile: &Profile) {
    let longest = pairs.iter().map(Text::len).max().unwrap_or(0);
    let total = pairs.iter().map(Text::len).sum();
    hash.expect(pairs.len() as u64 / 2, longest, total, profile);
}

fn set_all(hash: &mut Hash, pairs: &[Text<'_>], expiry: Expiry, seed: u64, profile: &Profile) {
    for pair in pairs.chunks_exact(2) {
        let [name, value] = pair else { continue };
        hash.set(name.digest(seed), Field::of(name, value), expiry, profile);
    }
}

fn hdel(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let key = args.key(1)?;
    args.get(2)?;
    remove_fields(ctx, key, args.from(2));
    Ok(())
}

fn remove_fields(ctx: &mut Context<'_>, key: &[u8], fields: &[Text<'_>]) {
    let seed = ctx.seed();
    ctx.edit(key, |entry, profile| {
        let Some(hash) = hash_of(entry) else {
            return;
        };
        for field in fields {
            hash.remove(field.digest(seed), profile);
        }
        // HEXPIRE with a time in the past comes as one HDEL per field, but has prepared the hash
        // for expiries first.
        let may_be_expiry = profile.family == Family::Redis
            && profile.field_ttl()
            && fields.len() == 1
            && hash.encoding() == Encoding::Listpack;
        if may_be_expiry {
            raise(entry, Doubt::Probe);
        }
        drop_if_empty(entry);
    });
}

fn hincrby(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (key, name, step) = (args.key(1)?, args.get(2)?, args.int(3)?);
    let digest = name.digest(ctx.seed());
    ctx.edit(key, |entry, profile| {
        let Some(hash) = hash_or_new(entry) else {
            return;
        };
        let number = match hash.get(digest) {
            Some(old) => old.value.number.and_then(|n| n.checked_add(step)),
            None => Some(step),
        };
        let Some(number) = number else {
            return raise(entry, Doubt::Value);
        };
        let field = Field {
            name: Info::of(&name),
            value: value_info(&Text::Int(number)),
            expire_ms: None,
            block: Block::Usual,
        };
        hash.set(digest, field, Expiry::Keep, profile);
    });
    Ok(())
}

/// HINCRBYFLOAT itself is never on the wire; its sum is not known.
fn hincrbyfloat(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    ctx.edit(args.key(1)?, |entry, _| {
        hash_or_new(entry);
        raise(entry, Doubt::Value);
    });
    Ok(())
}

/// The operands behind `FIELDS n` at position `at`, `width` each.
fn operands<'a>(args: Args<'a>, at: usize, width: usize) -> Result<&'a [Text<'a>], Malformed> {
    if !args.is(at, "FIELDS") {
        return Err(Malformed);
    }
    let n = usize::try_from(args.count(at + 1)?).map_err(|_| Malformed)?;
    let operands = args.from(at + 2);
    if n == 0 || n.checked_mul(width) != Some(operands.len()) {
        return Err(Malformed);
    }
    Ok(operands)
}

fn hgetdel(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let fields = operands(args, 2, 1)?;
    remove_fields(ctx, args.key(1)?, fields);
    Ok(())
}

/// When an expiry may replace another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    IfNone,
    IfAny,
    IfGreater,
    IfLess,
}

impl Condition {
    fn at(args: Args<'_>, i: usize) -> Condition {
        [
            ("NX", Condition::IfNone),
            ("XX", Condition::IfAny),
            ("GT", Condition::IfGreater),
            ("LT", Condition::IfLess),
        ]
        .into_iter()
        .find(|(word, _)| args.is(i, word))
        .map_or(Condition::Always, |(_, condition)| condition)
    }

    fn allows(self, old: Option<i64>, new: i64) -> bool {
        match self {
            Condition::Always => true,
            Condition::IfNone => old.is_none(),
            Condition::IfAny => old.is_some(),
            // No expiry is an infinite one.
            Condition::IfGreater => old.is_some_and(|old| new > old),
            Condition::IfLess => old.is_none_or(|old| new < old),
        }
    }
}

/// HEXPIRE and its kin: `unit` milliseconds each, from now or absolute.
fn hexpire(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    unit: i64,
    relative: bool,
) -> Result<(), Malformed> {
    let key = args.key(1)?;
    let base = if relative { ctx.now_ms } else { 0 };
    let at = args
        .int(2)?
        .checked_mul(unit)
        .and_then(|ms| ms.checked_add(base))
        .ok_or(Malformed)?;
    let condition = Condition::at(args, 3);
    let fields = operands(args, if condition == Condition::Always { 3 } else { 4 }, 1)?;
    let seed = ctx.seed();
    ctx.edit(key, |entry, profile| {
        let Some(hash) = hash_of(entry) else {
            return;
        };
        hash.prepare_expiry(profile);
        for field in fields {
            let digest = field.digest(seed);
            let old = hash.get(digest).and_then(|field| field.expire_ms);
            // Redis names only the fields that changed, Valkey all that the client named.
            if profile.family == Family::Redis || condition.allows(old, at) {
                hash.expire(digest, Some(at), profile);
            }
        }
    });
    Ok(())
}

fn hpersist(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let key = args.key(1)?;
    persist(ctx, key, operands(args, 2, 1)?);
    Ok(())
}

fn persist(ctx: &mut Context<'_>, key: &[u8], fields: &[Text<'_>]) {
    let seed = ctx.seed();
    ctx.edit(key, |entry, profile| {
        if let Some(hash) = hash_of(entry) {
            for field in fields {
                hash.expire(field.digest(seed), None, profile);
            }
        }
    });
}

/// An expiry option at `i`: what it does and how many arguments it takes.
fn expiry_option(
    args: Args<'_>,
    i: usize,
    now_ms: i64,
) -> Result<Option<(Expiry, usize)>, Malformed> {
    for (word, unit, base) in [
        ("PXAT", 1, 0),
        ("PX", 1, now_ms),
        ("EXAT", 1000, 0),
        ("EX", 1000, now_ms),
    ] {
        if args.is(i, word) {
            let ms = args
                .int(i + 1)?
                .checked_mul(unit)
                .and_then(|ms| ms.checked_add(base))
                .ok_or(Malformed)?;
            return Ok(Some((Expiry::At(ms), 2)));
        }
    }
    if args.is(i, "KEEPTTL") {
        return Ok(Some((Expiry::Keep, 1)));
    }
    if args.is(i, "PERSIST") {
        return Ok(Some((Expiry::Clear, 1)));
    }
    Ok(None)
}

fn hsetex(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let key = args.key(1)?;
    let mut expiry = Expiry::Clear;
    let mut i = 2;
    while !args.is(i, "FIELDS") {
        if let Some((option, width)) = expiry_option(args, i, ctx.now_ms)? {
            expiry = option;
            i += width;
        } else if ["FNX", "FXX", "NX", "XX"].iter().any(|w| args.is(i, w)) {
            // Decided by the master: all fields were set.
            i += 1;
        } else {
            return Err(Malformed);
        }
    }
    let pairs = operands(args, i, 2)?;
    let seed = ctx.seed();
    ctx.edit(key, |entry, profile| {
        if let Some(hash) = hash_or_new(entry) {
            expect(hash, pairs, profile);
            if let Expiry::At(_) = expiry {
                hash.prepare_expiry(profile);
            }
            set_all(hash, pairs, expiry, seed, profile);
        }
    });
    Ok(())
}

fn hgetex(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let key = args.key(1)?;
    let Some((expiry, width)) = expiry_option(args, 2, ctx.now_ms)? else {
        return Ok(());
    };
    let fields = operands(args, 2 + width, 1)?;
    let seed = ctx.seed();
    match expiry {
        Expiry::Clear => persist(ctx, key, fields),
        Expiry::Keep => {}
        Expiry::At(ms) => ctx.edit(key, |entry, profile| {
            if let Some(hash) = hash_of(entry) {
                hash.prepare_expiry(profile);
                for field in fields {
                    hash.expire(field.digest(seed), Some(ms), profile);
                }
            }
        }),
    }
    Ok(())
}
