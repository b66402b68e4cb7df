//! Commands that are answered from the facts of the keys they name, nothing else: TYPE, xLEN, TTL,
//! MEMORY USAGE and so on. Scanning tools send them in long pipelines, so a [`Point`] only says
//! which keys it needs and how its answer follows; the session asks for all keys of a pipeline at
//! once.

use std::ops::Range;

use analyzer::value::Kind;

use super::reply::Reply;
use super::request::Request;
use crate::clock;
use crate::model::ask::Facts;

/// The answer to "wrong type", as every client knows it.
pub(crate) const WRONGTYPE: Reply =
    Reply::error("WRONGTYPE Operation against a key holding the wrong kind of value");

/// The answer about a key, or a part of it, that was given up for want of memory.
pub(crate) const GIVEN_UP: Reply = Reply::error(
    "NODETAIL This was given up under memory_cap; INFO keyscape says how much is kept",
);

/// Which keys a command needs, and what its answer is.
#[derive(Debug)]
pub(crate) struct Point {
    /// Arguments that are keys.
    pub keys: Range<usize>,
    /// The answer from their facts, in that order.
    pub render: fn(&[Option<Facts>]) -> Reply,
}

fn of_key(index: usize, render: fn(&[Option<Facts>]) -> Reply) -> Point {
    Point {
        keys: index..index + 1,
        render,
    }
}

/// The facts of the only key, if it is there and not past its expiry. A replica answers reads as if
/// such a key were gone, although only the master's DEL removes it.
fn live(facts: &[Option<Facts>]) -> Option<&Facts> {
    facts.first()?.as_ref().filter(|facts| !expired(facts))
}

/// True if the key is past its expiry and only waits for the master's DEL.
pub(crate) fn expired(facts: &Facts) -> bool {
    facts.expire_ms.is_some_and(|at| at <= now_ms())
}

pub(crate) fn now_ms() -> i64 {
    i64::try_from(clock::unix_ms()).unwrap_or(i64::MAX)
}

pub(crate) fn kind(_: &Request) -> Result<Point, Reply> {
    Ok(of_key(1, |facts| {
        Reply::status(live(facts).map_or("none", |facts| facts.kind.name()))
    }))
}

pub(crate) fn exists(request: &Request) -> Result<Point, Reply> {
    Ok(Point {
        keys: 1..request.len(),
        render: |facts| {
            let here = facts.iter().flatten().filter(|facts| !expired(facts));
            Reply::count(here.count() as u64)
        },
    })
}

fn count(facts: &[Option<Facts>], kind: Kind) -> Reply {
    match live(facts) {
        None => Reply::Int(0),
        Some(facts) if facts.kind == kind => Reply::count(facts.count),
        Some(_) => WRONGTYPE,
    }
}

pub(crate) fn strlen(_: &Request) -> Result<Point, Reply> {
    Ok(of_key(1, |facts| count(facts, Kind::String)))
}

pub(crate) fn llen(_: &Request) -> Result<Point, Reply> {
    Ok(of_key(1, |facts| count(facts, Kind::List)))
}

pub(crate) fn scard(_: &Request) -> Result<Point, Reply> {
    Ok(of_key(1, |facts| count(facts, Kind::Set)))
}

pub(crate) fn hlen(_: &Request) -> Result<Point, Reply> {
    Ok(of_key(1, |facts| count(facts, Kind::Hash)))
}

pub(crate) fn zcard(_: &Request) -> Result<Point, Reply> {
    Ok(of_key(1, |facts| count(facts, Kind::Zset)))
}

pub(crate) fn xlen(_: &Request) -> Result<Point, Reply> {
    Ok(of_key(1, |facts| count(facts, Kind::Stream)))
}

/// -2 without the key, -1 without an expiry, else what `of` makes of the moment of expiry.
fn expiry(facts: &[Option<Facts>], of: impl Fn(i64) -> i64) -> Reply {
    let Some(facts) = live(facts) else {
        return Reply::Int(-2);
    };
    Reply::Int(facts.expire_ms.map_or(-1, of))
}

/// Seconds, rounded to the nearest as the servers do.
fn seconds(ms: i64) -> i64 {
    ms.saturating_add(500) / 1000
}

fn left_ms(at: i64) -> i64 {
    at.saturating_sub(now_ms()).max(0)
}

pub(crate) fn ttl(_: &Request) -> Result<Point, Reply> {
    Ok(of_key(1, |facts| expiry(facts, |at| seconds(left_ms(at)))))
}

pub(crate) fn pttl(_: &Request) -> Result<Point, Reply> {
    Ok(of_key(1, |facts| expiry(facts, left_ms)))
}

pub(crate) fn expiretime(_: &Request) -> Result<Point, Reply> {
    Ok(of_key(1, |facts| expiry(facts, seconds)))
}

pub(crate) fn pexpiretime(_: &Request) -> Result<Point, Reply> {
    Ok(of_key(1, |facts| expiry(facts, |at| at)))
}

/// MEMORY USAGE counts a key that waits for its DEL, as the servers do: it still takes the memory.
/// SAMPLES is accepted and changes nothing: the answer is that of SAMPLES 0, from all elements.
pub(crate) fn memory_usage(request: &Request) -> Result<Point, Reply> {
    let samples_ok = match request.len() {
        3 => true,
        5 => request.is(3, "SAMPLES") && request.number::<u32>(4).is_some(),
        _ => false,
    };
    if !samples_ok {
        return Err(Reply::error("ERR syntax error"));
    }
    Ok(of_key(2, |facts| match facts.first() {
        Some(Some(facts)) => Reply::count(facts.memory),
        Some(None) | None => Reply::Null,
    }))
}

pub(crate) fn object_encoding(_: &Request) -> Result<Point, Reply> {
    Ok(of_key(2, |facts| {
        live(facts).map_or(Reply::Null, |facts| Reply::text(facts.encoding_name))
    }))
}

/// Reads never reach a replica: the counter is that of the snapshot and of the writes since. Always
/// a number, because `redis-cli --hotkeys` ends at the first error.
pub(crate) fn object_freq(_: &Request) -> Result<Point, Reply> {
    Ok(of_key(2, |facts| {
        live(facts).map_or(Reply::Null, |facts| Reply::Int(i64::from(facts.freq)))
    }))
}

/// Seconds since the last write, or since the last access that the snapshot knew of.
pub(crate) fn object_idletime(_: &Request) -> Result<Point, Reply> {
    Ok(of_key(2, |facts| {
        live(facts).map_or(Reply::Null, |facts| Reply::count(facts.idle_s))
    }))
}

/// Every object of the model is held once.
pub(crate) fn object_refcount(_: &Request) -> Result<Point, Reply> {
    Ok(of_key(2, |facts| {
        live(facts).map_or(Reply::Null, |_| Reply::Int(1))
    }))
}

/// What of DEBUG OBJECT is known without the value.
pub(crate) fn debug_object(_: &Request) -> Result<Point, Reply> {
    Ok(of_key(2, |facts| match facts.first() {
        Some(Some(facts)) => Reply::Simple(
            format!(
                "Value at:0x0 refcount:1 encoding:{} keyscape_type:{} keyscape_count:{} \
                 keyscape_memory:{} keyscape_doubt:{}",
                facts.encoding_name,
                facts.kind.name(),
                facts.count,
                facts.memory,
                doubt(facts),
            )
            .into(),
        ),
        Some(None) | None => Reply::error("ERR no such key"),
    }))
}

/// The word for what is not certain about a key.
pub(crate) fn doubt(facts: &Facts) -> &'static str {
    use analyzer::command::Doubt;
    match facts.doubt {
        Doubt::None => "none",
        Doubt::Probe => "encoding",
        Doubt::Size => "bytes",
        Doubt::Value => "value",
    }
}
