//! Commands on streams, in the forms that replication streams have: ids are explicit, approximate
//! trims come as exact ones, XREADGROUP and XAUTOCLAIM come as XCLAIM and XGROUP SETID. An option
//! that is not known here leaves a doubt, never a guess.

use crate::command::{Args, Context, Doubt, Entry, Handler, Malformed};
use crate::profile::Profile;
use crate::text::Text;
use crate::value::Value;
use crate::value::stream::{Bound, Claim, Stream, Trim};

pub(crate) fn handler(name: &[u8]) -> Option<Handler> {
    Some(match name {
        b"XADD" => xadd,
        b"XTRIM" => xtrim,
        b"XDEL" => xdel,
        b"XDELEX" => xdelex,
        b"XSETID" => xsetid,
        b"XGROUP" => xgroup,
        b"XACK" => xack,
        b"XACKDEL" => xackdel,
        b"XCLAIM" => xclaim,
        _ => return None,
    })
}

/// What becomes of the pending references to an entry that is removed (Redis 8.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum References {
    /// They stay: what all versions did before.
    #[default]
    Keep,
    /// They go too.
    Delete,
    /// An entry that is still referred to stays: not followed.
    Acked,
}

impl References {
    fn of(args: Args<'_>, at: usize) -> Option<References> {
        if args.is(at, "KEEPREF") {
            Some(References::Keep)
        } else if args.is(at, "DELREF") {
            Some(References::Delete)
        } else if args.is(at, "ACKED") {
            Some(References::Acked)
        } else {
            None
        }
    }
}

/// The options of XADD and XTRIM.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    trim: Option<Trim>,
    references: References,
    no_make: bool,
}

/// Reads options from `at` on; returns them and where they end. In XADD they end at the id.
fn options(args: Args<'_>, mut at: usize) -> Result<(Options, usize), Malformed> {
    let mut out = Options::default();
    while at < args.len() {
        let by_length = args.is(at, "MAXLEN");
        if by_length || args.is(at, "MINID") {
            at += 1;
            let nodes_only = is_byte(args, at, b'~');
            at += usize::from(nodes_only || is_byte(args, at, b'='));
            let bound = if by_length {
                Bound::Length(args.count(at)?)
            } else {
                Bound::Id(id(&args.get(at)?)?)
            };
            out.trim = Some(Trim {
                bound,
                nodes_only,
                limit: 0,
            });
            at += 1;
        } else if args.is(at, "LIMIT") {
            let limit = args.count(at + 1)?;
            if let Some(trim) = &mut out.trim {
                trim.limit = limit;
            }
            at += 2;
        } else if args.is(at, "NOMKSTREAM") {
            out.no_make = true;
            at += 1;
        } else if let Some(references) = References::of(args, at) {
            out.references = references;
            at += 1;
        } else {
            break;
        }
    }
    Ok((out, at))
}

fn xadd(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let key = args.key(1)?;
    let (options, at) = options(args, 2)?;
    let seed = context.seed();
    let Ok(id) = id(&args.get(at)?) else {
        // An option that came after this was written, or an id that is not explicit.
        return unknown(context, key);
    };
    let pairs = args.from(at + 1);
    if pairs.is_empty() || pairs.len() % 2 == 1 {
        return Err(Malformed);
    }
    context.edit(key, |entry, profile| {
        if entry.is_none() && !options.no_make {
            *entry = Some(fresh(profile));
        }
        let added = change(entry, |stream| {
            let added = stream.append(id, pairs, seed, profile);
            if let Some(trim) = &options.trim {
                stream.trim(trim, profile);
            }
            added
        });
        if added == Some(false)
            || (options.trim.is_some() && options.references != References::Keep)
        {
            doubt(entry);
        }
    });
    Ok(())
}

fn xtrim(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let key = args.key(1)?;
    let (options, at) = options(args, 2)?;
    let Some(trim) = options.trim.filter(|_| at == args.len()) else {
        return unknown(context, key);
    };
    context.edit(key, |entry, profile| {
        change(entry, |stream| stream.trim(&trim, profile));
        if options.references != References::Keep {
            doubt(entry);
        }
    });
    Ok(())
}

fn xdel(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let ids = ids(args.from(2))?;
    context.edit(args.key(1)?, |entry, profile| {
        change(entry, |stream| {
            for id in ids {
                stream.delete(id, profile);
            }
        });
    });
    Ok(())
}

/// The ids of XDELEX and XACKDEL: `[KEEPREF | DELREF | ACKED] IDS n id...` from `at` on.
fn counted_ids(args: Args<'_>, at: usize) -> Result<(References, Vec<u128>), Malformed> {
    let references = References::of(args, at);
    let at = at + usize::from(references.is_some());
    if !args.is(at, "IDS") {
        return Err(Malformed);
    }
    let ids = ids(args.from(at + 2))?;
    Ok((references.unwrap_or_default(), ids))
}

fn xdelex(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (references, ids) = counted_ids(args, 2)?;
    context.edit(args.key(1)?, |entry, profile| {
        change(entry, |stream| {
            remove_all(stream, &ids, references, profile)
        });
        if references == References::Acked {
            doubt(entry);
        }
    });
    Ok(())
}

fn xackdel(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (references, ids) = counted_ids(args, 3)?;
    let group = args.get(2)?.digest(context.seed());
    context.edit(args.key(1)?, |entry, profile| {
        change(entry, |stream| {
            for &id in &ids {
                stream.acknowledge(group, id, profile);
            }
            remove_all(stream, &ids, references, profile);
        });
        if references == References::Acked {
            doubt(entry);
        }
    });
    Ok(())
}

fn remove_all(stream: &mut Stream, ids: &[u128], references: References, profile: &Profile) {
    for &id in ids {
        match references {
            References::Keep => {
                stream.delete(id, profile);
            }
            References::Delete => {
                stream.delete(id, profile);
                stream.acknowledge_everywhere(id, profile);
            }
            References::Acked => {}
        }
    }
}

fn xsetid(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let last = id(&args.get(2)?)?;
    let (mut added, mut max_deleted, mut at) = (None, None, 3);
    while at < args.len() {
        if args.is(at, "ENTRIESADDED") {
            added = Some(args.count(at + 1)?);
        } else if args.is(at, "MAXDELETEDID") {
            max_deleted = Some(id(&args.get(at + 1)?)?).filter(|&id| id > 0);
        } else {
            return unknown(context, args.key(1)?);
        }
        at += 2;
    }
    context.edit(args.key(1)?, |entry, _| {
        change(entry, |stream| stream.set_id(last, added, max_deleted));
    });
    Ok(())
}

fn xgroup(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (key, group) = (args.key(2)?, args.get(3)?.digest(context.seed()));
    if args.is(1, "CREATE") {
        return create_group(context, args, key, group);
    }
    if args.is(1, "SETID") {
        let (last, read) = (group_id(args)?, entries_read(args)?);
        return in_group(context, key, |stream, _| {
            let last = last.unwrap_or_else(|| stream.last_key());
            stream.set_group(group, last, read)
        });
    }
    if args.is(1, "DESTROY") {
        return in_group(context, key, |stream, _| {
            stream.destroy_group(group);
            true
        });
    }
    let consumer = args.get(4)?;
    let name = (consumer.digest(context.seed()), consumer.len());
    let now_ms = context.now_ms;
    if args.is(1, "CREATECONSUMER") {
        return in_group(context, key, |stream, profile| {
            stream.create_consumer(group, name, now_ms, profile)
        });
    }
    if args.is(1, "DELCONSUMER") {
        return in_group(context, key, |stream, profile| {
            stream.remove_consumer(group, name.0, profile);
            true
        });
    }
    unknown(context, key)
}

fn create_group(
    context: &mut Context<'_>,
    args: Args<'_>,
    key: &[u8],
    group: u64,
) -> Result<(), Malformed> {
    let (last, read) = (group_id(args)?, entries_read(args)?);
    let make = (5..args.len()).any(|i| args.is(i, "MKSTREAM"));
    context.edit(key, |entry, profile| {
        if entry.is_none() && make {
            *entry = Some(fresh(profile));
        }
        change(entry, |stream| {
            let last = last.unwrap_or_else(|| stream.last_key());
            stream.create_group(group, last, read, profile);
        });
    });
    Ok(())
}

/// The id of XGROUP CREATE and SETID; `None` for `$`.
fn group_id(args: Args<'_>) -> Result<Option<u128>, Malformed> {
    if is_byte(args, 4, b'$') {
        return Ok(None);
    }
    // Here alone the ends of a range are ids as well (`streamParseIDOrReply`).
    if is_byte(args, 4, b'-') {
        return Ok(Some(0));
    }
    if is_byte(args, 4, b'+') {
        return Ok(Some(u128::MAX));
    }
    id(&args.get(4)?).map(Some)
}

/// ENTRIESREAD of XGROUP CREATE and SETID; `None` if it is missing or -1.
fn entries_read(args: Args<'_>) -> Result<Option<u64>, Malformed> {
    match (5..args.len()).find(|&i| args.is(i, "ENTRIESREAD")) {
        Some(at) => Ok(u64::try_from(args.int(at + 1)?).ok()),
        None => Ok(None),
    }
}

fn xack(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let group = args.get(2)?.digest(context.seed());
    let ids = ids(args.from(3))?;
    in_group(context, args.key(1)?, |stream, profile| {
        for &id in &ids {
            stream.acknowledge(group, id, profile);
        }
        true
    })
}

fn xclaim(context: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (key, group) = (args.key(1)?, args.get(2)?.digest(context.seed()));
    let consumer = args.get(3)?;
    let now_ms = context.now_ms;
    let texts = args.from(5);
    let count = texts.iter().take_while(|text| id(text).is_ok()).count();
    let mut claim = Claim {
        consumer: consumer.digest(context.seed()),
        consumer_len: consumer.len(),
        min_idle_ms: args.int(4)?,
        delivered_ms: now_ms,
        count: None,
        force: false,
        just_id: false,
        last: 0,
        now_ms,
    };
    let mut at = 5 + count;
    while at < args.len() {
        let value = at + 1;
        at += 2;
        if args.is(value - 1, "IDLE") {
            claim.delivered_ms = now_ms.saturating_sub(args.int(value)?);
        } else if args.is(value - 1, "TIME") {
            // Not cut to our clock, which may be behind the master's.
            claim.delivered_ms = args.int(value)?;
        } else if args.is(value - 1, "RETRYCOUNT") {
            claim.count = Some(args.count(value)?);
        } else if args.is(value - 1, "LASTID") {
            claim.last = id(&args.get(value)?)?;
        } else {
            claim.force |= args.is(value - 1, "FORCE");
            claim.just_id |= args.is(value - 1, "JUSTID");
            at -= 1;
        }
    }
    let ids = ids(&texts[..count])?;
    in_group(context, key, |stream, profile| {
        stream.claim(group, ids.into_iter(), &claim, profile)
    })
}

/// Changes a stream; `false` from the change says that its group is not there, so that the stream
/// must be read again.
fn in_group(
    context: &mut Context<'_>,
    key: &[u8],
    edit: impl FnOnce(&mut Stream, &Profile) -> bool,
) -> Result<(), Malformed> {
    context.edit(key, |entry, profile| {
        if change(entry, |stream| edit(stream, profile)) == Some(false) {
            doubt(entry);
        }
    });
    Ok(())
}

fn unknown(context: &mut Context<'_>, key: &[u8]) -> Result<(), Malformed> {
    context.edit(key, |entry, profile| {
        // XADD may just have made it.
        entry
            .get_or_insert_with(|| fresh(profile))
            .doubt(Doubt::Value);
    });
    Ok(())
}

fn fresh(profile: &Profile) -> Entry {
    Entry::new(Value::Stream(Box::new(Stream::new(profile))))
}

/// Changes the stream of an entry. An entry of another type is in doubt then: the master has a
/// stream there.
fn change<R>(entry: &mut Option<Entry>, change: impl FnOnce(&mut Stream) -> R) -> Option<R> {
    let entry = entry.as_mut()?;
    if let Value::Stream(stream) = &mut entry.value {
        Some(change(stream))
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

fn is_byte(args: Args<'_>, at: usize, byte: u8) -> bool {
    matches!(args.get(at), Ok(Text::Bytes(bytes)) if bytes == [byte])
}

fn ids(texts: &[Text<'_>]) -> Result<Vec<u128>, Malformed> {
    texts.iter().map(id).collect()
}

/// An explicit id: `ms-seq`, or `ms` alone for sequence 0.
fn id(text: &Text<'_>) -> Result<u128, Malformed> {
    let Text::Bytes(bytes) = text else {
        return Err(Malformed);
    };
    let mut halves = bytes.splitn(2, |&byte| byte == b'-');
    let ms = number(halves.next())?;
    let seq = match halves.next() {
        Some(half) => number(Some(half))?,
        None => 0,
    };
    Ok(u128::from(ms) << 64 | u128::from(seq))
}

fn number(digits: Option<&[u8]>) -> Result<u64, Malformed> {
    let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_digit));
    let text = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    text.and_then(|text| text.parse().ok()).ok_or(Malformed)
}
