//! Commands on lists, in the forms that streams have: blocking pops come as LPOP and RPOP, LMPOP as
//! either with a count, BLMOVE as LMOVE. The blocking forms are taken all the same.

use crate::command::{Args, Context, Doubt, Entry, Handler, Malformed};
use crate::profile::Profile;
use crate::text::Text;
use crate::value::list::{End, Followed, Item, List, Side};
use crate::value::{Encoding, Value};

pub(crate) fn handler(name: &[u8]) -> Option<Handler> {
    Some(match name {
        b"LPUSH" => |context, args| push(context, args, End::Head, Absent::Created),
        b"RPUSH" => |context, args| push(context, args, End::Tail, Absent::Created),
        b"LPUSHX" => |context, args| push(context, args, End::Head, Absent::Ignored),
        b"RPUSHX" => |context, args| push(context, args, End::Tail, Absent::Ignored),
        b"LPOP" => |context, args| pop(context, args, End::Head),
        b"RPOP" => |context, args| pop(context, args, End::Tail),
        b"BLPOP" => |context, args| blocking_pop(context, args, End::Head),
        b"BRPOP" => |context, args| blocking_pop(context, args, End::Tail),
        b"LMPOP" => |context, args| multi_pop(context, args, 1),
        b"BLMPOP" => |context, args| multi_pop(context, args, 2),
        b"LMOVE" | b"BLMOVE" => lmove,
        b"RPOPLPUSH" | b"BRPOPLPUSH" => rpoplpush,
        b"LTRIM" => ltrim,
        b"LSET" => lset,
        b"LINSERT" => linsert,
        b"LREM" => lrem,
        _ => return None,
    })
}

/// What a push makes of a key that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absent {
    Created,
    Ignored,
}

fn push(
    context: &mut Context<'_>,
    args: Args<'_>,
    end: End,
    absent: Absent,
) -> Result<(), Malformed> {
    let (key, seed) = (args.key(1)?, context.seed());
    let texts = args.from(2);
    if texts.is_empty() {
        return Err(Malformed);
    }
    context.edit(key, |entry, profile| {
        if entry.is_none() && absent == Absent::Created {
            *entry = Some(Entry::new(Value::List(List::new(profile))));
        }
        must_exist(entry, profile);
        change(entry, |list| list.push(end, texts, seed, profile));
    });
    Ok(())
}

fn pop(context: &mut Context<'_>, args: Args<'_>, end: End) -> Result<(), Malformed> {
    let key = args.key(1)?;
    let count = if args.len() > 2 { args.count(2)? } else { 1 };
    context.edit(key, |entry, profile| cut(entry, end, count, profile));
    Ok(())
}

fn blocking_pop(context: &mut Context<'_>, args: Args<'_>, end: End) -> Result<(), Malformed> {
    let keys = 1..args.len().saturating_sub(1);
    if let Some(key) = first_list(context, args, keys)? {
        context.edit(key, |entry, profile| cut(entry, end, 1, profile));
    }
    Ok(())
}

/// LMPOP and BLMPOP; `at` is where the number of keys stands.
fn multi_pop(context: &mut Context<'_>, args: Args<'_>, at: usize) -> Result<(), Malformed> {
    let keys = usize::try_from(args.count(at)?).map_err(|_| Malformed)?;
    let after = at.checked_add(1 + keys).ok_or(Malformed)?;
    let end = end_of(&args.get(after)?)?;
    let count = if args.is(after + 1, "COUNT") {
        args.count(after + 2)?
    } else {
        1
    };
    if let Some(key) = first_list(context, args, at + 1..after)? {
        context.edit(key, |entry, profile| cut(entry, end, count, profile));
    }
    Ok(())
}

/// The first of the named keys that there is.
fn first_list<'a>(
    context: &Context<'_>,
    args: Args<'a>,
    keys: std::ops::Range<usize>,
) -> Result<Option<&'a [u8]>, Malformed> {
    for i in keys {
        let key = args.key(i)?;
        if context.read(key, |entry| entry.is_some()) {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

fn lmove(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let from = end_of(&args.get(3)?)?;
    let to = end_of(&args.get(4)?)?;
    move_one(context, args, from, to)
}

fn rpoplpush(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    move_one(context, args, End::Tail, End::Head)
}

/// An element on its way from one list to another.
struct Moved {
    item: Item,
    /// It comes out of a quicklist as a number.
    number: bool,
    doubt: Doubt,
}

fn move_one(
    context: &mut Context<'_>,
    args: Args<'_>,
    from: End,
    to: End,
) -> Result<(), Malformed> {
    let (source, target) = (args.key(1)?, args.key(2)?);
    let same = source == target;
    let moved = context.edit(source, |entry, profile| {
        let doubt = entry.as_ref()?.doubt;
        let moved = change(entry, |list| {
            let number = list.encoding() == Encoding::Quicklist;
            let item = list.pop(from, profile)?;
            let moved = Moved {
                item,
                number: number && item.is_number(),
                doubt,
            };
            if same {
                list.push_moved(to, &moved.item, moved.number, profile);
            }
            list.shrink(profile);
            Some(moved)
        })??;
        drop_empty(entry);
        Some(moved)
    });
    if same {
        return Ok(());
    }
    context.edit(target, |entry, profile| {
        let entry = entry.get_or_insert_with(|| Entry::new(Value::List(List::new(profile))));
        let known = match (&mut entry.value, moved) {
            (Value::List(list), Some(moved)) => {
                list.push_moved(to, &moved.item, moved.number, profile);
                // What came from a list in doubt may be of another length.
                moved.doubt != Doubt::Value
            }
            // Something came, from a list that is not known here, or to a key that is not.
            (_, _) => false,
        };
        if !known {
            entry.doubt(Doubt::Value);
        }
    });
    Ok(())
}

fn ltrim(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (key, start, stop) = (args.key(1)?, args.int(2)?, args.int(3)?);
    context.edit(key, |entry, profile| {
        change(entry, |list| {
            let count = list.count();
            // Below zero is before the head: as a start it is the head, as a stop nothing is left.
            let first = from_head(start, count).unwrap_or(0);
            let kept = match from_head(stop, count) {
                Some(last) if first < count => (last.min(count - 1) + 1).saturating_sub(first),
                Some(_) | None => 0,
            };
            if kept == 0 {
                list.cut(End::Head, count, profile);
            } else {
                list.cut(End::Head, first, profile);
                list.cut(End::Tail, count - first - kept, profile);
            }
            list.shrink(profile);
        });
        drop_empty(entry);
    });
    Ok(())
}

fn lset(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (key, index, text) = (args.key(1)?, args.int(2)?, args.get(3)?);
    let seed = context.seed();
    context.edit(key, |entry, profile| {
        must_exist(entry, profile);
        let set = change(entry, |list| {
            let index = from_head(index, list.count()).filter(|&i| i < list.count())?;
            let item = list.item(&text, seed);
            list.set(index, &item, profile);
            list.shrink(profile);
            Some(())
        });
        if set.is_some_and(|done| done.is_none()) {
            // There was such an element.
            doubt(entry);
        }
    });
    Ok(())
}

fn linsert(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (key, pivot, text) = (args.key(1)?, args.get(3)?, args.get(4)?);
    let side = match (args.is(2, "BEFORE"), args.is(2, "AFTER")) {
        (true, _) => Side::Before,
        (_, true) => Side::After,
        (false, false) => return Err(Malformed),
    };
    let seed = context.seed();
    context.edit(key, |entry, profile| {
        must_exist(entry, profile);
        let followed = change(entry, |list| {
            let (pivot, item) = (list.item(&pivot, seed), list.item(&text, seed));
            list.insert_beside(&pivot, side, &item, profile)
        });
        note(entry, followed);
    });
    Ok(())
}

fn lrem(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (key, count, text) = (args.key(1)?, args.int(2)?, args.get(3)?);
    let seed = context.seed();
    context.edit(key, |entry, profile| {
        let followed = change(entry, |list| {
            let item = list.item(&text, seed);
            let followed = list.remove_equal(count, &item, profile);
            list.shrink(profile);
            followed
        });
        note(entry, followed);
        drop_empty(entry);
    });
    Ok(())
}

/// Removes elements from an end, as pops do.
fn cut(entry: &mut Option<Entry>, end: End, count: u64, profile: &Profile) {
    change(entry, |list| {
        list.cut(end, count, profile);
        list.shrink(profile);
    });
    drop_empty(entry);
}

/// A command that only an existing list lets through: one that is not here was lost, and must be
/// read.
fn must_exist(entry: &mut Option<Entry>, profile: &Profile) {
    if entry.is_none() {
        let mut lost = Entry::new(Value::List(List::new(profile)));
        lost.doubt(Doubt::Value);
        *entry = Some(lost);
    }
}

/// Changes the list of an entry. An entry of another type is in doubt then: the master has a list
/// there.
fn change<R>(entry: &mut Option<Entry>, change: impl FnOnce(&mut List) -> R) -> Option<R> {
    let entry = entry.as_mut()?;
    if let Value::List(list) = &mut entry.value {
        Some(change(list))
    } else {
        entry.doubt(Doubt::Value);
        None
    }
}

fn doubt(entry: &mut Option<Entry>) {
    if let Some(entry) = entry {
        entry.doubt(Doubt::Value);
    }
}

fn note(entry: &mut Option<Entry>, followed: Option<Followed>) {
    if followed == Some(Followed::Guessed) {
        doubt(entry);
    }
}

/// A list without elements is no key. While it is in doubt it stays: the guess may be wrong.
fn drop_empty(entry: &mut Option<Entry>) {
    let empty = |entry: &Entry| match &entry.value {
        Value::List(list) => list.count() == 0 && entry.doubt != Doubt::Value,
        Value::String(_)
        | Value::Set(_)
        | Value::Zset(_)
        | Value::Hash(_)
        | Value::Stream(_)
        | Value::Module(_)
        | Value::Bare(_) => false,
    };
    if entry.as_ref().is_some_and(empty) {
        *entry = None;
    }
}

fn end_of(text: &Text<'_>) -> Result<End, Malformed> {
    match (text.is("LEFT"), text.is("RIGHT")) {
        (true, _) => Ok(End::Head),
        (_, true) => Ok(End::Tail),
        (false, false) => Err(Malformed),
    }
}

/// An index that counts from the tail if negative, as one from the head; `None` before the head.
fn from_head(index: i64, count: u64) -> Option<u64> {
    match u64::try_from(index) {
        Ok(index) => Some(index),
        Err(_) => count.checked_sub(index.unsigned_abs()),
    }
}
