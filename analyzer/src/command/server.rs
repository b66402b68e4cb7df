//! Commands that are not about keys, and commands that nobody knows.

use crate::command::dispatch::Call;
use crate::command::{Args, Context, Doubt, Entry, Handler, Malformed};
use crate::input::{KeySpec, Outcome};
use crate::slots::SlotSet;
use crate::text::Text;
use crate::value::{Module, Value};

pub(crate) fn handler(name: &[u8]) -> Option<Handler> {
    Some(match name {
        b"CLUSTER" => cluster,
        b"TRIMSLOTS" => trimslots,
        b"SFLUSH" => sflush,
        _ => return None,
    })
}

/// What to do with a command that no type knows, if it is one that edits no key.
pub(crate) fn keyless(name: &[u8]) -> Option<Call> {
    Some(match name {
        b"PING" | b"PUBLISH" | b"SPUBLISH" | b"FUNCTION" | b"SCRIPT" | b"SELECT" | b"MULTI"
        | b"EXEC" | b"DISCARD" | b"REPLCONF" | b"OPINFO" | b"TOUCH" | b"OBJECT" | b"WAIT"
        | b"CONFIG" | b"DEBUG" | b"ACL" => Call::Ignore,
        b"EVAL" | b"EVALSHA" | b"FCALL" => Call::Resync,
        _ => return None,
    })
}

/// `CLUSTER FLUSHSLOT slot [ASYNC|SYNC]` removes keys; the other forms move ownership only.
fn cluster(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    if !args.is(1, "FLUSHSLOT") {
        return Ok(());
    }
    let slot = args.int(2)?;
    flush_slots(context, [(slot, slot)].into_iter().map(Ok))
}

/// `TRIMSLOTS RANGES count (first last)*` removes the keys of slots that have moved away, or of
/// which a move has failed (Redis 8.4, `propagateTrimSlots`).
fn trimslots(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let ranges = args.from(3);
    let told = args.count(2)?.checked_mul(2);
    if !args.is(1, "RANGES") || told != Some(ranges.len() as u64) {
        return Err(Malformed);
    }
    flush_ranges(context, ranges)
}

/// `SFLUSH (first last)* [ASYNC|SYNC]` removes keys that their owner does not want any more.
fn sflush(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let ranges = match args.from(1) {
        [ranges @ .., last] if last.is("SYNC") || last.is("ASYNC") => ranges,
        ranges => ranges,
    };
    flush_ranges(context, ranges)
}

fn flush_ranges(context: &mut Context<'_>, ranges: &[Text<'_>]) -> Result<(), Malformed> {
    let (pairs, []) = ranges.as_chunks() else {
        return Err(Malformed);
    };
    let slot = |text: &Text<'_>| text.int().ok_or(Malformed);
    let ranges = pairs.iter();
    flush_slots(
        context,
        ranges.map(|[first, last]| Ok((slot(first)?, slot(last)?))),
    )
}

/// Removes the keys of all slots of some ranges, or of none if there is no range or a wrong one.
fn flush_slots(
    context: &mut Context<'_>,
    ranges: impl Iterator<Item = Result<(i64, i64), Malformed>>,
) -> Result<(), Malformed> {
    let (mut slots, mut any) = (SlotSet::none(), false);
    for range in ranges {
        let (first, last) = range?;
        if !slots.add(first, last) {
            return Err(Malformed);
        }
        any = true;
    }
    match any && context.keyspace.flush_slots(&slots) {
        true => Ok(()),
        false => Err(Malformed),
    }
}

/// A command that nobody knows: the keys that its key spec names are to be read again.
pub(crate) fn unknown(context: &mut Context<'_>, args: Args<'_>) -> Outcome {
    if let Some(spec) = spec_of(context, args) {
        doubt_keys(context, args, spec);
    }
    Outcome::Unknown
}

/// A command that the server understood and we did not, or not all of it (a name too long to be
/// kept): its keys are to be read again.
pub(crate) fn malformed(context: &mut Context<'_>, args: Args<'_>) {
    let Ok(Text::Bytes(name)) = args.get(0) else {
        return;
    };
    let name = name.to_ascii_uppercase();
    if handler(&name).is_some() {
        return;
    }
    let spec = spec_of(context, args).unwrap_or_else(|| usual_spec(&name));
    doubt_keys(context, args, spec);
}

/// Where a command that we know writes keys, for servers that do not tell (before 7.0, or without
/// the right to COMMAND): the first argument, but for these.
fn usual_spec(name: &[u8]) -> KeySpec {
    let (first, last, step) = match name {
        b"DEL" | b"UNLINK" => (1, -1, 1),
        b"MSET" | b"MSETNX" => (1, -1, 2),
        b"RENAME" | b"RENAMENX" | b"COPY" | b"SMOVE" | b"LMOVE" | b"RPOPLPUSH" => (1, 2, 1),
        b"BITOP" => (2, 2, 1),
        _ => (1, 1, 1),
    };
    KeySpec { first, last, step }
}

fn spec_of(context: &Context<'_>, args: Args<'_>) -> Option<KeySpec> {
    let Ok(Text::Bytes(name)) = args.get(0) else {
        return None;
    };
    let spec = context.keyspace.key_spec(&name.to_ascii_uppercase());
    spec.filter(|spec| spec.first > 0 && spec.step > 0)
}

fn doubt_keys(context: &mut Context<'_>, args: Args<'_>, spec: KeySpec) {
    let len = i64::try_from(args.len()).unwrap_or(i64::MAX);
    let last = match i64::from(spec.last) {
        last if last < 0 => len + last,
        last => last.min(len - 1),
    };
    let mut at = i64::from(spec.first);
    while at <= last {
        if let Ok(key) = usize::try_from(at)
            .map_err(|_| Malformed)
            .and_then(|at| args.key(at))
        {
            in_doubt(context, key);
        }
        at += i64::from(spec.step);
    }
}

/// Something was done to the key that only its value can tell.
pub(crate) fn in_doubt(context: &mut Context<'_>, key: &[u8]) {
    context.edit(key, |slot, _| {
        slot.get_or_insert_with(unread).doubt(Doubt::Value);
    });
}

/// An entry whose value is not known at all until it is read.
pub(crate) fn unread() -> Entry {
    let mut entry = Entry::new(Value::Module(Module { serialized: 0 }));
    entry.doubt(Doubt::Value);
    entry
}
