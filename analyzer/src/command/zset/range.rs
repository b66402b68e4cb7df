//! ZRANGESTORE: part of a sorted set stored as another.

use super::super::set::{inherited, store};
use super::score::Range;
use super::{inside, rank_range};
use crate::command::{Args, Context, Doubt, Malformed};
use crate::value::Value;
use crate::value::zset::{Picked, Zset};

/// What ZRANGESTORE asks for.
#[derive(Default)]
struct Request {
    by_score: bool,
    by_lex: bool,
    reverse: bool,
    /// Offset and count; a negative count is all.
    limit: Option<(i64, i64)>,
}

impl Request {
    fn read(args: Args<'_>, mut i: usize) -> Result<Request, Malformed> {
        let mut request = Request::default();
        while i < args.len() {
            if args.is(i, "LIMIT") {
                request.limit = Some((args.int(i + 1)?, args.int(i + 2)?));
                i += 3;
                continue;
            }
            if args.is(i, "BYSCORE") {
                request.by_score = true;
            } else if args.is(i, "BYLEX") {
                request.by_lex = true;
            } else if args.is(i, "REV") {
                request.reverse = true;
            } else {
                return Err(Malformed);
            }
            i += 1;
        }
        Ok(request)
    }
}

pub(super) fn zrangestore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (dest, source) = (args.key(1)?, args.key(2)?);
    let request = Request::read(args, 5)?;
    let profile = ctx.profile();
    let mut result = Zset::create(0, 0, profile);
    let doubt = ctx.read(source, |entry| {
        let doubt = inherited(entry);
        let Some(Value::Zset(zset)) = entry.map(|entry| &entry.value) else {
            return Ok(if entry.is_some() { Doubt::Value } else { doubt });
        };
        let picked = pick(zset, &request, args)?;
        for digest in picked.digests {
            if let Some(scored) = zset.get(digest) {
                result.add(digest, scored.text, scored.score, profile);
            }
        }
        Ok(if picked.unsure { Doubt::Value } else { doubt })
    })?;
    result.settle(ctx.profile());
    store(ctx, dest, Value::Zset(result), doubt);
    Ok(())
}

fn pick(zset: &Zset, request: &Request, args: Args<'_>) -> Result<Picked, Malformed> {
    if request.by_lex {
        // Which members a range of text has is not known: an unknown part of all.
        return Ok(Picked {
            digests: zset.ranks(0, zset.count()).digests,
            unsure: true,
        });
    }
    if !request.by_score {
        let (first, n) = rank_range(args.int(3)?, args.int(4)?, zset.count());
        let first = if request.reverse {
            zset.count() - n - first
        } else {
            first
        };
        return Ok(zset.ranks(first, n));
    }
    let (min, max) = if request.reverse { (4, 3) } else { (3, 4) };
    let range = Range::parse(&args.get(min)?, &args.get(max)?)?;
    let digests = inside(zset, range);
    let Some((offset, limit)) = request.limit else {
        return Ok(Picked {
            digests,
            unsure: false,
        });
    };
    // Members inside the range stand together: their ranks begin after all lower scores.
    let found = digests.len() as u64;
    let Ok(offset) = u64::try_from(offset) else {
        return Ok(Picked::default());
    };
    let skipped = offset.min(found);
    let taken = u64::try_from(limit)
        .map_or(found, |limit| limit.min(found))
        .min(found - skipped);
    let (low, _) = range.bounds();
    let mut lower = 0;
    zset.each(|_, scored| {
        lower += u64::from(scored.score <= low && !range.has(scored.score));
    });
    let first = if request.reverse {
        lower + found - skipped - taken
    } else {
        lower + skipped
    };
    Ok(zset.ranks(first, taken))
}
