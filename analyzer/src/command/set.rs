//! Commands on sets. SPOP comes as SREM; the *STORE commands come as they were given, and their
//! result follows from the fingerprints of their sources.

use super::{Args, Context, Doubt, Entry, Handler, Malformed};
use crate::profile::Profile;
use crate::text::Text;
use crate::value::elements::Member;
use crate::value::set::Set;
use crate::value::{Encoding, Value};

/// Members that SPOP puts into one SREM at most (Redis 7.2 and later, Valkey).
const SPOP_BATCH: usize = 1024;
/// SPOP of this many times what remains builds a new set of the remainder.
const SPOP_REBUILD: u64 = 5;

pub(crate) fn handler(name: &[u8]) -> Option<Handler> {
    Some(match name {
        b"SADD" => sadd,
        b"SREM" => srem,
        b"SMOVE" => smove,
        b"SPOP" => spop,
        b"SUNIONSTORE" => sunionstore,
        b"SINTERSTORE" => sinterstore,
        b"SDIFFSTORE" => sdiffstore,
        _ => return None,
    })
}

/// The set of an entry. An entry of another type cannot be what the master has: it is doubted.
fn set_of(entry: &mut Option<Entry>) -> Option<&mut Set> {
    match entry {
        Some(Entry {
            value: Value::Set(set),
            ..
        }) => Some(set),
        Some(other) => {
            other.doubt(Doubt::Value);
            None
        }
        None => None,
    }
}

/// Removes an entry whose collection is empty. One whose members are in doubt stays: its re-read
/// will say whether it is there.
pub(super) fn drop_if_empty(entry: &mut Option<Entry>) {
    if entry
        .as_ref()
        .is_some_and(|entry| entry.value.count() == 0 && entry.doubt < Doubt::Value)
    {
        *entry = None;
    }
}

/// Replaces `dest` by the result of a *STORE command: without expiry, and none if it is empty.
pub(super) fn store(ctx: &mut Context<'_>, dest: &[u8], result: Value, doubt: Doubt) {
    ctx.edit(dest, |entry, _| {
        let mut new = Entry::new(result);
        new.doubt(doubt);
        *entry = Some(new);
        drop_if_empty(entry);
    });
}

/// The doubt that a source hands on to what is computed from it.
pub(super) fn inherited(source: Option<&Entry>) -> Doubt {
    match source.map(|entry| entry.doubt) {
        Some(_) if source.is_some_and(is_bare) => Doubt::Value,
        Some(Doubt::Value) => Doubt::Value,
        Some(Doubt::None | Doubt::Probe | Doubt::Size) | None => Doubt::None,
    }
}

/// True of a collection whose members are not known.
fn is_bare(entry: &Entry) -> bool {
    matches!(entry.value, Value::Bare(_))
}

fn sadd(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let key = args.key(1)?;
    let first = args.get(2)?;
    let members = args.from(2);
    let seed = ctx.seed();
    ctx.edit(key, |entry, profile| {
        let hint = members.len() as u64;
        if entry.is_none() {
            let set = Set::create(&first, hint, profile);
            *entry = Some(Entry::new(Value::Set(set)));
        }
        if let Some(set) = set_of(entry) {
            set.expect(hint, profile);
            add_all(set, members, seed, profile);
        }
    });
    Ok(())
}

fn add_all(set: &mut Set, members: &[Text<'_>], seed: u64, profile: &Profile) {
    for member in members {
        set.add(member.digest(seed), &Member::of(member), profile);
    }
}

fn srem(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let key = args.key(1)?;
    args.get(2)?;
    let members = args.from(2);
    let seed = ctx.seed();
    ctx.edit(key, |entry, profile| {
        let Some(set) = set_of(entry) else {
            return;
        };
        let before = set.count();
        for member in members {
            set.remove(member.digest(seed), profile);
        }
        let removed = before - set.count();
        // SPOP of most members comes as SREM too, and rebuilds the set: which of the two it was
        // decides the encoding.
        let most = removed >= SPOP_REBUILD * set.count() || !profile.small_sets();
        // A full batch is one of several: what they leave together is not known yet.
        let batch = members.len() == SPOP_BATCH && set.encoding() == Encoding::Hashtable;
        if batch || (removed > 0 && most && set.would_change_if_rebuilt(profile)) {
            raise(entry, Doubt::Probe);
        }
        drop_if_empty(entry);
    });
    Ok(())
}

pub(super) fn raise(entry: &mut Option<Entry>, doubt: Doubt) {
    if let Some(entry) = entry {
        entry.doubt(doubt);
    }
}

/// SPOP itself is never on the wire; which members left would not be known.
fn spop(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    ctx.edit(args.key(1)?, |entry, _| raise(entry, Doubt::Value));
    Ok(())
}

fn smove(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (from, to, member) = (args.key(1)?, args.key(2)?, args.get(3)?);
    if from == to {
        return Ok(());
    }
    let digest = member.digest(ctx.seed());
    ctx.edit(from, |entry, profile| {
        if let Some(set) = set_of(entry) {
            set.remove(digest, profile);
        }
        drop_if_empty(entry);
    });
    ctx.edit(to, |entry, profile| {
        if entry.is_none() {
            let set = Set::create(&member, 1, profile);
            *entry = Some(Entry::new(Value::Set(set)));
        }
        if let Some(set) = set_of(entry) {
            set.add(digest, &Member::of(&member), profile);
        }
    });
    Ok(())
}

/// What a source of set algebra says.
struct Source {
    count: u64,
    doubt: Doubt,
}

/// Visits the members of a source; one of another type hands on doubt.
fn visit(ctx: &Context<'_>, key: &[u8], mut each: impl FnMut(u64, Member)) -> Source {
    ctx.read(key, |entry| {
        let mut source = Source {
            count: 0,
            doubt: inherited(entry),
        };
        match entry.map(|entry| &entry.value) {
            Some(Value::Set(set)) => {
                source.count = set.count();
                set.each(&mut each);
            }
            Some(_) => source.doubt = Doubt::Value,
            None => {}
        }
        source
    })
}

/// Stores a result whose members are complete, as the server encodes it.
fn finish(ctx: &mut Context<'_>, dest: &[u8], mut set: Set, doubt: Doubt) {
    let profile = ctx.profile();
    set.settle(profile);
    // With these limits the server's result depends on the order of members in its tables.
    let odd = profile.small_sets()
        && profile.set_intset_max < profile.set_listpack_max
        && set.count() > profile.set_intset_max;
    let doubt = doubt.max(if odd { Doubt::Probe } else { Doubt::None });
    store(ctx, dest, Value::Set(set), doubt);
}

fn sunionstore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let dest = args.key(1)?;
    args.key(2)?;
    let mut result = Set::collector(ctx.profile());
    let mut doubt = Doubt::None;
    for i in 2..args.len() {
        let profile = ctx.profile();
        let source = visit(ctx, args.key(i)?, |digest, member| {
            result.add(digest, &member, profile);
        });
        doubt = doubt.max(source.doubt);
    }
    finish(ctx, dest, result, doubt);
    Ok(())
}

/// The members of a source, for algebra that removes some.
fn members(ctx: &Context<'_>, key: &[u8]) -> (Vec<(u64, Member)>, Source) {
    let mut found = Vec::new();
    let source = visit(ctx, key, |digest, member| found.push((digest, member)));
    (found, source)
}

/// Keeps those members that a source has, or those that it has not.
fn retain(ctx: &Context<'_>, key: &[u8], wanted: bool, members: &mut Vec<(u64, Member)>) -> Doubt {
    ctx.read(key, |entry| {
        match entry.map(|entry| &entry.value) {
            Some(Value::Set(set)) => {
                members.retain(|&(digest, _)| set.contains(digest) == wanted);
            }
            Some(_) => return Doubt::Value,
            None if wanted => members.clear(),
            None => {}
        }
        inherited(entry)
    })
}

fn collect(members: Vec<(u64, Member)>, profile: &Profile) -> Set {
    let mut result = Set::collector(profile);
    for (digest, member) in members {
        result.add(digest, &member, profile);
    }
    result
}

fn sinterstore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let dest = args.key(1)?;
    let mut sources = Vec::with_capacity(args.len());
    let mut doubt = Doubt::None;
    for i in 2..args.len() {
        let key = args.key(i)?;
        let (count, handed) = ctx.read(key, |entry| {
            let count = entry.map_or(0, |entry| entry.value.count());
            (count, inherited(entry))
        });
        doubt = doubt.max(handed);
        sources.push((count, key));
    }
    // The smallest is walked, the others are asked.
    sources.sort_by_key(|&(count, _)| count);
    let (&(_, smallest), others) = sources.split_first().ok_or(Malformed)?;
    let (mut left, source) = members(ctx, smallest);
    doubt = doubt.max(source.doubt);
    for &(_, key) in others {
        doubt = doubt.max(retain(ctx, key, true, &mut left));
    }
    let result = collect(left, ctx.profile());
    finish(ctx, dest, result, doubt);
    Ok(())
}

fn sdiffstore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (dest, first) = (args.key(1)?, args.key(2)?);
    let (mut left, source) = members(ctx, first);
    let mut doubt = source.doubt;
    // t_set.c adds the whole first set and takes the others out again where that is less work: the
    // encoding is then that of the whole.
    let (mut ask, mut take) = (source.count, source.count);
    for i in 3..args.len() {
        let count = ctx.read(args.key(i)?, |entry| {
            entry.map_or(0, |entry| entry.value.count())
        });
        ask += if count > 0 { source.count } else { 0 };
        take += count;
    }
    let whole = ask / 2 > take && source.count > 0;
    let mut base = whole.then(|| {
        let mut base = collect(left.clone(), ctx.profile());
        base.settle(ctx.profile());
        base
    });
    for i in 3..args.len() {
        doubt = doubt.max(retain(ctx, args.key(i)?, false, &mut left));
    }
    let result = collect(left, ctx.profile());
    match &mut base {
        Some(base) => {
            base.keep(|digest| result.contains(digest), ctx.profile());
            store(ctx, dest, Value::Set(base.clone()), doubt);
        }
        None => finish(ctx, dest, result, doubt),
    }
    Ok(())
}
