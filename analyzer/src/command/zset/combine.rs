//! ZUNIONSTORE, ZINTERSTORE and ZDIFFSTORE: membership by fingerprint, scores by the server's own
//! arithmetic in its own order (`zunionInterDiffGenericCommand`: smallest source first).

use super::super::set::{inherited, store};
use crate::command::{Args, Context, Doubt, Malformed};
use crate::value::Value;
use crate::value::info::Info;
use crate::value::zset::Zset;

/// How scores of one member are joined.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn join(self, score: f64, more: f64) -> f64 {
        match self {
            // Opposite infinities make zero.
            Aggregate::Sum => not_nan(score + more),
            Aggregate::Min => {
                if more < score {
                    more
                } else {
                    score
                }
            }
            Aggregate::Max => {
                if more > score {
                    more
                } else {
                    score
                }
            }
        }
    }
}

fn not_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

struct Source<'a> {
    key: &'a [u8],
    weight: f64,
    count: u64,
}

struct Plan<'a> {
    dest: &'a [u8],
    sources: Vec<Source<'a>>,
    aggregate: Aggregate,
    doubt: Doubt,
}

fn plan<'a>(ctx: &Context<'_>, args: Args<'a>) -> Result<Plan<'a>, Malformed> {
    let dest = args.key(1)?;
    let n = usize::try_from(args.count(2)?).map_err(|_| Malformed)?;
    if n == 0 || n > args.len() {
        return Err(Malformed);
    }
    let mut doubt = Doubt::None;
    let mut sources = Vec::with_capacity(n);
    for i in 3..3 + n {
        let key = args.key(i)?;
        let (count, handed) = ctx.read(key, |entry| {
            let count = entry.map_or(0, |entry| entry.value.count());
            (count, inherited(entry))
        });
        doubt = doubt.max(handed);
        sources.push(Source {
            key,
            weight: 1.0,
            count,
        });
    }
    let mut aggregate = Aggregate::Sum;
    let mut i = 3 + n;
    while i < args.len() {
        if args.is(i, "WEIGHTS") {
            for (source, at) in sources.iter_mut().zip(i + 1..) {
                source.weight = super::score::score(&args.get(at)?)?;
            }
            i += 1 + n;
        } else if args.is(i, "AGGREGATE") {
            aggregate = match () {
                () if args.is(i + 1, "SUM") => Aggregate::Sum,
                () if args.is(i + 1, "MIN") => Aggregate::Min,
                () if args.is(i + 1, "MAX") => Aggregate::Max,
                () => return Err(Malformed),
            };
            i += 2;
        } else {
            return Err(Malformed);
        }
    }
    Ok(Plan {
        dest,
        sources,
        aggregate,
        doubt,
    })
}

/// Visits the members of a source: of a sorted set with its scores, of a set with 1. The doubt that
/// it hands on.
fn visit(ctx: &Context<'_>, key: &[u8], mut each: impl FnMut(u64, Info, f64)) -> Doubt {
    ctx.read(key, |entry| match entry.map(|entry| &entry.value) {
        Some(Value::Zset(zset)) => {
            zset.each(|digest, scored| each(digest, scored.text, scored.score));
            Doubt::None
        }
        Some(Value::Set(set)) => {
            set.each(|digest, member| each(digest, member.text, 1.0));
            Doubt::None
        }
        Some(_) => Doubt::Value,
        None => Doubt::None,
    })
}

/// The score that a source gives a member, if it has it.
fn lookup(value: Option<&Value>, digest: u64) -> Option<f64> {
    match value {
        Some(Value::Zset(zset)) => zset.get(digest).map(|scored| scored.score),
        Some(Value::Set(set)) => set.get(digest).map(|_| 1.0),
        Some(
            Value::String(_)
            | Value::List(_)
            | Value::Hash(_)
            | Value::Stream(_)
            | Value::Module(_)
            | Value::Bare(_),
        )
        | None => None,
    }
}

fn finish(ctx: &mut Context<'_>, dest: &[u8], mut result: Zset, doubt: Doubt) {
    result.settle(ctx.profile());
    store(ctx, dest, Value::Zset(result), doubt);
}

pub(super) fn zunionstore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let mut plan = plan(ctx, args)?;
    plan.sources.sort_by_key(|source| source.count);
    let mut result = Zset::create(0, 0, ctx.profile());
    for source in &plan.sources {
        let profile = ctx.profile();
        let doubt = visit(ctx, source.key, |digest, text, score| {
            let score = not_nan(source.weight * score);
            match result.get(digest) {
                Some(old) => {
                    let joined = plan.aggregate.join(old.score, score);
                    result.rescore(digest, joined, profile);
                }
                None => result.add(digest, text, score, profile),
            }
        });
        plan.doubt = plan.doubt.max(doubt);
    }
    finish(ctx, plan.dest, result, plan.doubt);
    Ok(())
}

pub(super) fn zinterstore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let mut plan = plan(ctx, args)?;
    plan.sources.sort_by_key(|source| source.count);
    let (first, others) = plan.sources.split_first().ok_or(Malformed)?;
    let mut left: Vec<(u64, Info, f64)> = Vec::new();
    let mut doubt = visit(ctx, first.key, |digest, text, score| {
        left.push((digest, text, not_nan(first.weight * score)));
    });
    doubt = doubt.max(plan.doubt);
    for source in others {
        ctx.read(source.key, |entry| {
            let value = entry.map(|entry| &entry.value);
            left.retain_mut(|(digest, _, score)| match lookup(value, *digest) {
                Some(found) => {
                    *score = plan.aggregate.join(*score, found * source.weight);
                    true
                }
                None => false,
            });
        });
    }
    let mut result = Zset::create(0, 0, ctx.profile());
    for (digest, text, score) in left {
        result.add(digest, text, score, ctx.profile());
    }
    finish(ctx, plan.dest, result, doubt);
    Ok(())
}

pub(super) fn zdiffstore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let plan = plan(ctx, args)?;
    let (first, others) = plan.sources.split_first().ok_or(Malformed)?;
    let mut left: Vec<(u64, Info, f64)> = Vec::new();
    let mut doubt = visit(ctx, first.key, |digest, text, score| {
        left.push((digest, text, score));
    });
    doubt = doubt.max(plan.doubt);
    for source in others {
        ctx.read(source.key, |entry| {
            let value = entry.map(|entry| &entry.value);
            left.retain(|&(digest, _, _)| lookup(value, digest).is_none());
        });
    }
    let mut result = Zset::create(0, 0, ctx.profile());
    for (digest, text, score) in left {
        result.add(digest, text, score, ctx.profile());
    }
    finish(ctx, plan.dest, result, doubt);
    Ok(())
}
