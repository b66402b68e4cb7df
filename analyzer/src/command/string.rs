//! Commands on strings: which length, encoding and number each leaves
//! (`reference/replication.md` 6.3).

use crate::command::generic::{Unit, without_encoding};
use crate::command::{Args, Context, Doubt, Entry, Handler, Malformed};
use crate::keyspace::db::{NewStr, OldStr};
use crate::profile::{Family, Profile, Version};
use crate::text::Text;
use crate::value::string::{EMBSTR_MAX, HLL_DENSE, Holder, Str};
use crate::value::{Encoding, Value};

/// Length of an empty sparse HyperLogLog: header and one opcode for all registers.
const HLL_EMPTY: u64 = 18;

pub(crate) fn handler(name: &[u8]) -> Option<Handler> {
    Some(match name {
        b"SET" => set,
        b"SETEX" => |context, args| set_with_expiry(context, args, Unit::InS),
        b"PSETEX" => |context, args| set_with_expiry(context, args, Unit::InMs),
        b"SETNX" | b"GETSET" => set_plain,
        b"MSET" | b"MSETNX" => mset,
        b"MSETEX" => msetex,
        b"GETEX" => getex,
        b"APPEND" => append,
        b"SETRANGE" => setrange,
        b"SETBIT" => setbit,
        b"BITFIELD" => bitfield,
        b"BITOP" => bitop,
        b"INCR" => |context, args| add(context, args, Step::Fixed(1)),
        b"DECR" => |context, args| add(context, args, Step::Fixed(-1)),
        b"INCRBY" => |context, args| add(context, args, Step::Up),
        b"DECRBY" => |context, args| add(context, args, Step::Down),
        b"INCRBYFLOAT" => incrbyfloat,
        b"PFADD" => pfadd,
        b"PFMERGE" => pfmerge,
        b"PFCOUNT" => pfcount,
        b"PFDEBUG" => pfdebug,
        _ => return None,
    })
}

/// What SET does to the expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expiry {
    Drop,
    Keep,
    At(i64, Doubt),
}

/// Sets one key, unconditionally: conditions held on the master, or the command would not be here.
fn put(context: &mut Context<'_>, key: &[u8], value: &Text<'_>, expiry: Expiry) {
    let (len, int) = (value.len(), value.int());
    context.edit_str(key, |old, profile| {
        let had = old.and_then(|old| old.expire_ms);
        let (expire_ms, mut doubt) = match expiry {
            Expiry::Drop => (None, Doubt::None),
            Expiry::At(at, doubt) => (Some(at), doubt),
            Expiry::Keep => {
                let doubt = old.map_or(Doubt::None, |old| old.doubt.min(Doubt::Probe));
                let left = without_encoding(doubt, had.is_some(), profile.version);
                (had, left)
            }
        };
        // INCRBYFLOAT is propagated with KEEPTTL, and its result is embedded on the master.
        if int.is_some() && (expiry == Expiry::Keep || scripts_embed(profile)) {
            doubt = Doubt::Probe;
        }
        // The object is made with the expiry that was there; the new one is set behind that.
        let name = key.len() as u64;
        let holder = |expires| Holder { name, expires };
        let mut value = Str::fresh(len, int, holder(had.is_some()), profile);
        value.refit(holder(expire_ms.is_some()), profile);
        Some(NewStr {
            value,
            expire_ms,
            doubt,
            is_argument: true,
        })
    });
}

/// True where a number that a script sets stays a text, and nothing in the stream says that a
/// script set it (measured on Valkey 9.1).
fn scripts_embed(profile: &Profile) -> bool {
    profile.family == Family::Valkey && profile.version >= Version::new(9, 0)
}

fn set(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (key, value) = (args.key(1)?, args.get(2)?);
    let expiry = if args.len() == 3 {
        Expiry::Drop
    } else {
        expiry_option(context, args, 3)?
    };
    put(context, key, &value, expiry);
    Ok(())
}

/// The expiry among the options from argument `first` on.
fn expiry_option(context: &Context<'_>, args: Args<'_>, first: usize) -> Result<Expiry, Malformed> {
    let mut expiry = Expiry::Drop;
    let mut at = first;
    while at < args.len() {
        let unit = match args.get(at)? {
            word if word.is("KEEPTTL") => {
                expiry = Expiry::Keep;
                None
            }
            word if word.is("PXAT") => Some(Unit::AtMs),
            word if word.is("EXAT") => Some(Unit::AtS),
            word if word.is("PX") => Some(Unit::InMs),
            word if word.is("EX") => Some(Unit::InS),
            word if word.is("IFEQ") || word.is("IFNE") || word.is("IFDEQ") || word.is("IFDNE") => {
                at += 1;
                None
            }
            _ => None,
        };
        if let Some(unit) = unit {
            at += 1;
            let (ms, doubt) = unit.at(args.int(at)?, context.now_ms);
            expiry = Expiry::At(ms, doubt);
        }
        at += 1;
    }
    Ok(expiry)
}

fn set_with_expiry(context: &mut Context<'_>, args: Args<'_>, unit: Unit) -> Result<(), Malformed> {
    let (ms, doubt) = unit.at(args.int(2)?, context.now_ms);
    put(context, args.key(1)?, &args.get(3)?, Expiry::At(ms, doubt));
    Ok(())
}

fn set_plain(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    put(context, args.key(1)?, &args.get(2)?, Expiry::Drop);
    Ok(())
}

fn mset(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    if args.len() < 3 || args.len().is_multiple_of(2) {
        return Err(Malformed);
    }
    for at in (1..args.len()).step_by(2) {
        put_one(context, args, at, Expiry::Drop)?;
    }
    Ok(())
}

/// `MSETEX count key value ... [options]`.
fn msetex(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let pairs = usize::try_from(args.count(1)?).map_err(|_| Malformed)?;
    let options = pairs.checked_mul(2).and_then(|n| n.checked_add(2));
    let options = options.filter(|&at| at <= args.len()).ok_or(Malformed)?;
    let expiry = expiry_option(context, args, options)?;
    for at in (2..options).step_by(2) {
        put_one(context, args, at, expiry)?;
    }
    Ok(())
}

/// Sets one of several keys: the name at `at`, its value behind it.
fn put_one(
    context: &mut Context<'_>,
    args: Args<'_>,
    at: usize,
    expiry: Expiry,
) -> Result<(), Malformed> {
    let (key, value) = (args.key(at)?, args.get(at + 1)?);
    context.charge((key.len() as u64).saturating_add(value.len()));
    put(context, key, &value, expiry);
    Ok(())
}

/// Only the expiry can change; it is usually propagated as PEXPIREAT or PERSIST.
fn getex(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let key = args.key(1)?;
    let expiry = expiry_option(context, args, 2)?;
    let persist = args.is(2, "PERSIST");
    context.edit(key, |slot, _| {
        let Some(entry) = slot else { return };
        match expiry {
            Expiry::At(at, doubt) => {
                entry.expire_ms = Some(at);
                entry.doubt(doubt);
            }
            Expiry::Drop if persist => entry.expire_ms = None,
            Expiry::Drop | Expiry::Keep => {}
        }
    });
    Ok(())
}

/// An existing string leaves its object's block and its number when it is edited in place.
fn grown(old: OldStr, profile: &Profile, total: impl FnOnce(u64) -> u64) -> NewStr {
    let Some(mut value) = old.value else {
        // Another type: the model and the stream disagree.
        return NewStr {
            value: Str::raw(0),
            expire_ms: old.expire_ms,
            doubt: Doubt::Value,
            is_argument: false,
        };
    };
    let sure = value.grow(total(value.len()), profile);
    let doubt = without_encoding(old.doubt, old.expire_ms.is_some(), profile.version);
    NewStr {
        value,
        expire_ms: old.expire_ms,
        doubt: if sure { doubt } else { doubt.max(Doubt::Size) },
        is_argument: false,
    }
}

fn certain(value: Str) -> NewStr {
    NewStr {
        value,
        expire_ms: None,
        doubt: Doubt::None,
        is_argument: false,
    }
}

fn append(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (key, text) = (args.key(1)?, args.get(2)?);
    context.edit_str(key, |old, profile| {
        let Some(old) = old else {
            let holder = Holder {
                name: key.len() as u64,
                expires: false,
            };
            let unsure = text.int().is_some() && scripts_embed(profile);
            return Some(NewStr {
                doubt: if unsure { Doubt::Probe } else { Doubt::None },
                ..certain(Str::set(&text, holder, profile))
            });
        };
        Some(grown(old, profile, |len| len.saturating_add(text.len())))
    });
    Ok(())
}

/// Makes the string at least `total` bytes long; a new one gets exactly that.
fn reach(context: &mut Context<'_>, key: &[u8], total: u64) {
    context.edit_str(key, |old, profile| {
        Some(match old {
            None => certain(Str::made(total, profile)),
            Some(old) => grown(old, profile, |len| len.max(total)),
        })
    });
}

fn setrange(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (offset, text) = (args.count(2)?, args.get(3)?);
    if !text.is_empty() {
        reach(context, args.key(1)?, offset.saturating_add(text.len()));
    }
    Ok(())
}

fn setbit(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let bit = args.count(2)?;
    reach(context, args.key(1)?, bit / 8 + 1);
    Ok(())
}

/// The string reaches the last bit that any SET or INCRBY names, even if that one failed.
fn bitfield(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let mut total = 0;
    let mut at = 2;
    while at < args.len() {
        let word = args.get(at)?;
        if word.is("OVERFLOW") {
            at += 2;
        } else if word.is("GET") {
            at += 3;
        } else if word.is("SET") || word.is("INCRBY") {
            let last = last_bit(&args.get(at + 1)?, &args.get(at + 2)?).ok_or(Malformed)?;
            total = total.max(last / 8 + 1);
            at += 4;
        } else {
            return Err(Malformed);
        }
    }
    if total > 0 {
        reach(context, args.key(1)?, total);
    }
    Ok(())
}

/// The last bit of a field: `i8 100`, `u4 #7`.
fn last_bit(kind: &Text<'_>, offset: &Text<'_>) -> Option<u64> {
    let kind = kind.bytes()?;
    let width = Text::Bytes(kind.get(1..)?).int()?;
    let width = u64::try_from(width)
        .ok()
        .filter(|&bits| (1..=64).contains(&bits))?;
    let text = offset.bytes()?;
    let first = match text.strip_prefix(b"#") {
        Some(index) => u64::try_from(Text::Bytes(index).int()?)
            .ok()?
            .checked_mul(width)?,
        None => u64::try_from(offset.int()?).ok()?,
    };
    first.checked_add(width - 1)
}

/// `BITOP operation destination source ...`: as long as the longest source, removed if all are
/// missing.
fn bitop(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let destination = args.key(2)?;
    if args.len() < 4 {
        return Err(Malformed);
    }
    let (mut total, mut doubt) = (0, Doubt::None);
    for at in 3..args.len() {
        let (len, known) = context.read(args.key(at)?, |entry| {
            entry.map_or((0, true), |entry| {
                (entry.value.count(), entry.doubt != Doubt::Value)
            })
        });
        total = total.max(len);
        if !known {
            doubt = Doubt::Value;
        }
    }
    if total == 0 && doubt == Doubt::None {
        context.remove(destination);
        return Ok(());
    }
    context.edit_str(destination, |_, profile| {
        Some(NewStr {
            doubt,
            ..certain(Str::made(total, profile))
        })
    });
    Ok(())
}

/// By how much a number changes.
#[derive(Clone, Copy, Debug)]
enum Step {
    Fixed(i64),
    /// By argument 2.
    Up,
    /// By argument 2, downwards.
    Down,
}

fn add(context: &mut Context<'_>, args: Args<'_>, step: Step) -> Result<(), Malformed> {
    let by = match step {
        Step::Fixed(by) => by,
        Step::Up => args.int(2)?,
        Step::Down => args.int(2)?.checked_neg().ok_or(Malformed)?,
    };
    context.edit_str(args.key(1)?, |old, profile| {
        let Some(old) = old else {
            return Some(certain(Str::number(by)));
        };
        let number = old.value.and_then(|value| value.int());
        let sum = number.and_then(|number| number.checked_add(by));
        Some(match sum.filter(|_| old.doubt != Doubt::Value) {
            Some(sum) => NewStr {
                value: Str::number(sum),
                expire_ms: old.expire_ms,
                doubt: without_encoding(old.doubt, old.expire_ms.is_some(), profile.version),
                is_argument: false,
            },
            // A number that is not kept as one (after APPEND, INCRBYFLOAT).
            None => NewStr {
                value: old.value.unwrap_or(Str::number(0)),
                expire_ms: old.expire_ms,
                doubt: Doubt::Value,
                is_argument: false,
            },
        })
    });
    Ok(())
}

/// Servers propagate the result as SET; this is for those that do not.
fn incrbyfloat(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    unknown_length(context, args.key(1)?);
    Ok(())
}

fn unknown_length(context: &mut Context<'_>, key: &[u8]) {
    context.edit_str(key, |old, _| {
        Some(NewStr {
            value: old.and_then(|old| old.value).unwrap_or(Str::raw(0)),
            expire_ms: old.and_then(|old| old.expire_ms),
            doubt: Doubt::Value,
            is_argument: false,
        })
    });
}

/// True if the string is certainly a HyperLogLog with all its registers: a sparse one is never that
/// long.
fn is_dense(value: Option<Str>, doubt: Doubt, profile: &Profile) -> bool {
    let long = value.is_some_and(|value| value.len() == HLL_DENSE);
    long && doubt != Doubt::Value && profile.hll_sparse_max < HLL_DENSE
}

/// A dense HyperLogLog stays as it is; how a sparse one grows depends on the elements' hashes.
fn pfadd(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let key = args.key(1)?;
    let empty = args.len() == 2;
    context.edit_str(key, |old, profile| match old {
        None if empty => Some(certain(Str::raw(HLL_EMPTY))),
        None => {
            let mut value = Str::raw(HLL_EMPTY);
            value.mark_sparse();
            Some(NewStr {
                doubt: Doubt::Value,
                ..certain(value)
            })
        }
        Some(old) if empty || is_dense(old.value, old.doubt, profile) => {
            Some(grown(old, profile, |len| len))
        }
        Some(old) => {
            let mut new = grown(old, profile, |len| len);
            new.value.mark_sparse();
            new.doubt = Doubt::Value;
            Some(new)
        }
    });
    Ok(())
}

/// One dense input makes the result dense.
fn pfmerge(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let mut dense = false;
    for at in 1..args.len() {
        let (value, doubt) = context.read(args.key(at)?, |entry| match entry {
            Some(Entry {
                value: Value::String(value),
                doubt,
                ..
            }) => (Some(*value), *doubt),
            Some(_) | None => (None, Doubt::None),
        });
        dense |= is_dense(value, doubt, context.profile());
    }
    let key = args.key(1)?;
    if dense {
        make_dense(context, key, true);
    } else {
        unknown_length(context, key);
    }
    Ok(())
}

/// Turns a HyperLogLog into its dense form; `create` makes a missing one.
fn make_dense(context: &mut Context<'_>, key: &[u8], create: bool) {
    context.edit_str(key, |old, profile| {
        if old.is_none() && !create {
            return None;
        }
        let value = old.and_then(|old| old.value);
        let value = value.filter(|value| value.len() == HLL_DENSE);
        let doubt = old.map_or(Doubt::None, |old| old.doubt.min(Doubt::Probe));
        let expire_ms = old.and_then(|old| old.expire_ms);
        Some(NewStr {
            value: value.unwrap_or(Str::raw(HLL_DENSE)),
            expire_ms,
            doubt: without_encoding(doubt, expire_ms.is_some(), profile.version),
            is_argument: false,
        })
    });
}

/// The cached count is refreshed in place, for which the string leaves its object's block.
fn pfcount(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    if args.len() != 2 {
        return Ok(());
    }
    context.edit_str(args.key(1)?, |old, profile| {
        let old = old?;
        let value = old.value?;
        let short = value.len() <= EMBSTR_MAX || value.encoding() != Encoding::Raw;
        short.then(|| grown(old, profile, |len| len))
    });
    Ok(())
}

/// `PFDEBUG TODENSE|GETREG key` is sent when it converted.
fn pfdebug(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let key = args.key(2)?;
    if args.is(1, "TODENSE") || args.is(1, "GETREG") {
        make_dense(context, key, false);
    }
    Ok(())
}
