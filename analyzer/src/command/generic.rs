//! Commands on keys of any type: removal, expiry, renaming, copying, whole databases.

use crate::command::server::unread;
use crate::command::{Args, Context, Doubt, Entry, Handler, Malformed};
use crate::profile::{Family, Version};
use crate::text::Text;
use crate::value::Value;
use crate::value::list::List;

pub(crate) fn handler(name: &[u8]) -> Option<Handler> {
    Some(match name {
        b"DEL" | b"UNLINK" => del,
        b"GETDEL" | b"DELIFEQ" | b"DELEX" => del_first,
        b"PEXPIREAT" => |context, args| expire(context, args, Unit::AtMs),
        b"EXPIREAT" => |context, args| expire(context, args, Unit::AtS),
        b"PEXPIRE" => |context, args| expire(context, args, Unit::InMs),
        b"EXPIRE" => |context, args| expire(context, args, Unit::InS),
        b"PERSIST" => persist,
        b"RENAME" | b"RENAMENX" => rename,
        b"COPY" => copy,
        b"MOVE" => move_key,
        b"FLUSHDB" => |context, _| {
            context.keyspace.flush(context.db);
            Ok(())
        },
        b"FLUSHALL" => |context, _| {
            context.keyspace.flush_all();
            Ok(())
        },
        b"SWAPDB" => swapdb,
        b"SORT" => sort,
        b"RESTORE" | b"RESTORE-ASKING" => restore,
        _ => return None,
    })
}

/// How a time is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Unix milliseconds.
    AtMs,
    /// Unix seconds.
    AtS,
    /// Milliseconds from now, where "now" is the master's.
    InMs,
    /// Seconds from now.
    InS,
}

impl Unit {
    /// The unix milliseconds of a time, and what of it is uncertain: a relative time counts from
    /// the master's clock when it ran the command, which is not in the stream.
    pub(crate) fn at(self, time: i64, now_ms: i64) -> (i64, Doubt) {
        match self {
            Unit::AtMs => (time, Doubt::None),
            Unit::AtS => (time.saturating_mul(1000), Doubt::None),
            Unit::InMs => (now_ms.saturating_add(time), Doubt::Probe),
            Unit::InS => (
                now_ms.saturating_add(time.saturating_mul(1000)),
                Doubt::Probe,
            ),
        }
    }
}

fn del(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    if args.len() < 2 {
        return Err(Malformed);
    }
    for at in 1..args.len() {
        let key = args.key(at)?;
        context.charge(key.len() as u64);
        context.remove(key);
    }
    Ok(())
}

fn del_first(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    context.remove(args.key(1)?);
    Ok(())
}

/// Conditions (NX, XX, GT, LT) held on the master, or the command would not be here.
fn expire(context: &mut Context<'_>, args: Args<'_>, unit: Unit) -> Result<(), Malformed> {
    let key = args.key(1)?;
    let (at, doubt) = unit.at(args.int(2)?, context.now_ms);
    context.edit(key, |slot, _| {
        if let Some(entry) = slot {
            entry.expire_ms = Some(at);
            entry.doubt(doubt);
        }
    });
    Ok(())
}

fn persist(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    context.edit(args.key(1)?, |slot, _| {
        if let Some(entry) = slot {
            entry.expire_ms = None;
        }
    });
    Ok(())
}

fn rename(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (from, to) = (args.key(1)?, args.key(2)?);
    if from == to {
        return Ok(());
    }
    if let Some(entry) = context.edit(from, |slot, _| slot.take()) {
        context.keyspace.put_anew(context.db, to, Some(entry));
    }
    Ok(())
}

fn copy(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (from, to) = (args.key(1)?, args.key(2)?);
    let mut db = context.db;
    for at in 3..args.len() {
        if args.is(at, "DB") {
            db = u32::try_from(args.count(at + 1)?).map_err(|_| Malformed)?;
        }
    }
    let Some(mut entry) = context.read(from, |entry| entry.cloned()) else {
        return Ok(());
    };
    recreate(&mut entry.value, context);
    // Valkey leaves fields behind whose time is over by its clock, which may be before the DEL.
    if context.profile().family == Family::Valkey
        && matches!(&entry.value, Value::Hash(hash) if hash.expiring() > 0)
    {
        entry.doubt(Doubt::Value);
    }
    context.keyspace.put_anew(db, to, Some(entry));
    Ok(())
}

/// A copy is built anew: its blocks have no room left from growth.
fn recreate(value: &mut Value, context: &Context<'_>) {
    match value {
        Value::String(value) => value.copy(context.profile()),
        Value::Stream(value) => value.recreate(context.profile()),
        Value::List(_)
        | Value::Set(_)
        | Value::Zset(_)
        | Value::Hash(_)
        | Value::Module(_)
        | Value::Bare(_) => {}
    }
}

fn move_key(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let key = args.key(1)?;
    let db = u32::try_from(args.count(2)?).map_err(|_| Malformed)?;
    if let Some(entry) = context.edit(key, |slot, _| slot.take()) {
        context.keyspace.put_anew(db, key, Some(entry));
    }
    Ok(())
}

fn swapdb(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let number = |at| u32::try_from(args.count(at)?).map_err(|_| Malformed);
    let (a, b) = (number(1)?, number(2)?);
    context.keyspace.swap(a, b);
    Ok(())
}

/// `SORT key ... STORE destination`: which elements and in which order only the values tell. An
/// empty result removes the destination, and is certain if the source is not there.
fn sort(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let Some(at) = (2..args.len()).rfind(|&at| args.is(at, "STORE")) else {
        return Ok(());
    };
    let (source, destination) = (args.key(1)?, args.key(at + 1)?);
    let Some(count) = context.read(source, |entry| entry.map(|entry| entry.value.count())) else {
        context.remove(destination);
        return Ok(());
    };
    super::zset::convert_for_sort(context, source);
    let count = sorted_count(args, count)?;
    context.edit(destination, |slot, profile| {
        let mut entry = Entry::new(Value::List(List::unread(count, profile)));
        entry.doubt(Doubt::Value);
        *slot = Some(entry);
    });
    Ok(())
}

/// Elements that SORT makes of `count`: those within LIMIT, once for each GET.
fn sorted_count(args: Args<'_>, count: u64) -> Result<u64, Malformed> {
    let (mut count, mut gets, mut at) = (count, 0, 2);
    while at < args.len() {
        if args.is(at, "LIMIT") {
            let from = u64::try_from(args.int(at + 1)?).unwrap_or(0);
            let most = u64::try_from(args.int(at + 2)?).unwrap_or(u64::MAX);
            count = count.saturating_sub(from).min(most);
            at += 2;
        } else if args.is(at, "GET") {
            gets += 1;
            at += 1;
        } else if args.is(at, "BY") || args.is(at, "STORE") {
            at += 1;
        }
        at += 1;
    }
    Ok(count.saturating_mul(gets.max(1)))
}

/// `RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME s] [FREQ n]` whose payload the caller could
/// not read: all but the value is known.
fn restore(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let key = args.key(1)?;
    let time = args.int(2)?;
    let absolute = args.from(4).iter().any(|word: &Text<'_>| word.is("ABSTTL"));
    let unit = if absolute { Unit::AtMs } else { Unit::InMs };
    let expire_ms = (time != 0).then(|| unit.at(time, context.now_ms).0);
    let mut entry = unread();
    entry.expire_ms = expire_ms;
    context.keyspace.put_anew(context.db, key, Some(entry));
    Ok(())
}

/// What is left of a doubt when a write has made the encoding certain: before 7.0 a probe may
/// also be due for the expiry.
pub(crate) fn without_encoding(doubt: Doubt, expires: bool, version: Version) -> Doubt {
    match doubt {
        Doubt::Probe if !expires || version >= Version::new(7, 0) => Doubt::None,
        Doubt::None | Doubt::Probe | Doubt::Size | Doubt::Value => doubt,
    }
}
