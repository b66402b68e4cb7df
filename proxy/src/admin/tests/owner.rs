//! An owner that answers from a list of keys.

use std::collections::BTreeMap;

use analyzer::census::{Expiries, Gathered};
use analyzer::command::Doubt;
use analyzer::flows::{Growth, PatternFlows};
use analyzer::glob::Glob;
use analyzer::heat::{Tagged, Work};
use analyzer::value::{Encoding, Kind};
use cluster_map::{Slot, Slots};
use tokio::sync::mpsc;

use crate::fleet::Seat;
use crate::model::analytic::Analytic;
use crate::model::ask::{
    Answer, Ask, ConsumerFacts, DbTotal, Facts, Filter, Freshness, Generation, GroupFacts, Looked,
    Measure, MonitorLine, Page, Row, Scanned, SlotTotal, StreamFacts, Total, Walked,
};
use crate::model::hot::Heated;
use crate::model::ttl::Which;
use crate::model::verify::Verified;

pub(super) type Keys = BTreeMap<(u32, Vec<u8>), Facts>;

/// A key of a fake master.
pub(super) fn key(kind: Kind, count: u64, memory: u64, expire_ms: Option<i64>) -> Facts {
    let (encoding, encoding_name) = match kind {
        Kind::String => (Encoding::Embstr, "embstr"),
        Kind::List | Kind::Set | Kind::Zset | Kind::Hash => (Encoding::Listpack, "listpack"),
        Kind::Stream => (Encoding::Stream, "stream"),
        Kind::Module => (Encoding::Module, "raw"),
    };
    Facts {
        kind,
        encoding,
        encoding_name,
        count,
        memory,
        expire_ms,
        doubt: Doubt::None,
        idle_s: 7,
        freq: 5,
    }
}

/// An owner that answers from a list, in the common order of key names.
pub(super) async fn owner(mut seat: Seat, keys: Keys) {
    let generation = seat.status.borrow().generation;
    let mut monitors = Vec::new();
    while let Some(ask) = seat.asks.recv().await {
        // Nothing is there before the first load.
        let none = Keys::new();
        let keys = if generation.loaded() { &keys } else { &none };
        answer(ask, (keys, generation), &mut monitors);
    }
}

fn fresh<T>(generation: Generation, value: T) -> Answer<T> {
    Answer {
        fresh: Freshness {
            replid: "8371445ee67a1b9bd9bd3dfb6d8b4d1a2b0c7a3e".into(),
            offset: 1234,
            generation,
            detail: analyzer::keyspace::Detail::default(),
        },
        value,
    }
}

fn order(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes[2..].iter_mut().zip(name) {
        *to = *from;
    }
    u64::from_be_bytes(bytes).max(1)
}

/// The rows of a filter.
fn rows(keys: &Keys, db: Option<u32>, filter: &Filter) -> Vec<Row> {
    let glob = filter.glob.as_ref().map(|glob| Glob::new(glob));
    keys.iter()
        .filter(|((own, name), facts)| {
            db.is_none_or(|db| db == *own)
                && filter.kind.is_none_or(|kind| kind == facts.kind)
                && glob.as_ref().is_none_or(|glob| glob.matches(name))
        })
        .map(|((db, name), facts)| Row {
            db: *db,
            key: name.clone(),
            facts: *facts,
        })
        .collect()
}

/// Nothing differs.
fn verified(keys: &Keys, count: Option<u64>) -> Verified {
    let keys = keys.len() as u64;
    let compared = count.unwrap_or(keys);
    Verified {
        keys,
        wanted: compared,
        compared,
        finished: true,
        ..Verified::default()
    }
}

fn names_in(keys: &Keys, db: u32, slots: &Slots) -> impl Iterator<Item = Vec<u8>> {
    let own = keys.keys();
    let own = own.filter(move |(own, name)| *own == db && slots.contains(Slot::of(name)));
    own.map(|(_, name)| name.clone())
}

fn random(keys: &Keys, db: u32) -> Option<Vec<u8>> {
    let mut names = keys.keys().filter(|(own, _)| *own == db);
    names.next().map(|(_, name)| name.clone())
}

fn answer(
    ask: Ask,
    (keys, generation): (&Keys, Generation),
    monitors: &mut Vec<mpsc::Sender<MonitorLine>>,
) {
    match ask {
        Ask::Knows { keys, reply } => drop(reply.send(fresh(generation, vec![true; keys.len()]))),
        Ask::Facts { keys: names, reply } => {
            let found = names.iter().map(|name| keys.get(name).copied()).collect();
            drop(reply.send(fresh(generation, found)));
        }
        Ask::Scan {
            db,
            cursor,
            count,
            filter,
            reply,
        } => drop(reply.send(fresh(
            generation,
            page(rows(keys, Some(db), &filter), cursor, count),
        ))),
        Ask::Dbs { reply } => drop(reply.send(fresh(generation, dbs(keys)))),
        Ask::Totals { reply } => drop(reply.send(fresh(generation, totals(keys)))),
        Ask::Random { db, reply } => drop(reply.send(fresh(generation, random(keys, db)))),
        Ask::Top {
            by,
            k,
            filter,
            reply,
        } => drop(reply.send(fresh(generation, top(rows(keys, None, &filter), by, k)))),
        Ask::Walk {
            db, filter, reply, ..
        } => {
            let walked = Walked {
                rows: rows(keys, db, &filter),
                truncated: false,
            };
            drop(reply.send(fresh(generation, walked)));
        }
        Ask::Slots { db, reply } => drop(reply.send(fresh(generation, slots(keys, db)))),
        Ask::Outside { db, own, reply } => {
            drop(reply.send(fresh(generation, Some(outside(keys, db, &own)))));
        }
        Ask::CountInSlot { db, slot, reply } => {
            let count = slots(keys, db).iter().find(|s| s.slot == slot).copied();
            drop(reply.send(fresh(generation, count.unwrap_or_default().keys)));
        }
        Ask::KeysInSlots {
            db,
            slots,
            limit,
            reply,
        } => {
            let names = names_in(keys, db, &slots).take(limit);
            drop(reply.send(fresh(generation, names.collect())));
        }
        Ask::Verify { count, reply } => {
            drop(reply.send(fresh(generation, verified(keys, count))));
        }
        Ask::Analytic(ask) => analytic(ask, keys, generation),
        // These keys have no values to weigh: as an owner that is gone.
        Ask::WhatIf { reply, .. } => drop(reply),
        // Nobody is there to tell.
        Ask::Told { reply, .. } => drop(reply.send(fresh(generation, None))),
        Ask::Advice { reply } => drop(reply),
        Ask::StreamInfo { db, key, reply } => {
            drop(reply.send(fresh(generation, looked(keys.get(&(db, key))))));
        }
        Ask::Monitor { lines } => {
            // The channel is empty.
            let _ = lines.try_send(line());
            monitors.push(lines);
        }
    }
}

fn analytic(ask: Analytic, keys: &Keys, generation: Generation) {
    match ask {
        Analytic::Hot { reply, .. } => drop(reply.send(fresh(generation, nothing_hot()))),
        Analytic::Expiries {
            now_ms,
            which,
            reply,
        } => {
            let glob = match which {
                Which::All => None,
                // The patterns of these keys are those of their names.
                Which::Match(glob) | Which::Pattern(glob) => Some(glob),
            };
            let filter = Filter { kind: None, glob };
            let outlook = expiries(&rows(keys, None, &filter), now_ms);
            drop(reply.send(fresh(generation, Ok(outlook))));
        }
        // Nothing ever happens to these keys.
        Analytic::Growth { reply, .. } => {
            drop(reply.send(fresh(generation, Growth::default())));
        }
        Analytic::PatternFlows { reply } => {
            drop(reply.send(fresh(generation, PatternFlows::default())));
        }
        Analytic::Commands { reply } => drop(reply.send(fresh(generation, BTreeMap::new()))),
        Analytic::Sizes { reply } => drop(reply),
        // Its keys are counted by nothing.
        Analytic::Patterns { reply } => drop(reply),
        Analytic::PatternsOf { reply, .. } => drop(reply),
        Analytic::Examples { reply, .. } => drop(reply),
        Analytic::Written { reply, .. } => {
            drop(reply.send(fresh(generation, (0, Work::default()))));
        }
        Analytic::Tags { reply } => drop(reply.send(fresh(generation, Tagged::default()))),
    }
}

fn expiries(rows: &[Row], now_ms: i64) -> Expiries {
    let mut gathered = Gathered::new(now_ms);
    for row in rows {
        gathered.take(&analyzer::view::Facts {
            kind: row.facts.kind,
            encoding: row.facts.encoding,
            count: row.facts.count,
            bytes: row.facts.memory,
            expire_ms: row.facts.expire_ms,
            doubt: row.facts.doubt,
            idle_s: row.facts.idle_s,
            freq: row.facts.freq,
        });
    }
    gathered.tell()
}

fn looked(facts: Option<&Facts>) -> Looked<StreamFacts> {
    match facts {
        None => Looked::Missing,
        Some(facts) if facts.kind == Kind::Stream => Looked::Found(stream()),
        Some(_) => Looked::WrongType,
    }
}

fn slot_of(name: &[u8]) -> u16 {
    Slot::of(name).number()
}

fn slots(keys: &Keys, db: Option<u32>) -> Vec<SlotTotal> {
    let mut sums: BTreeMap<u16, SlotTotal> = BTreeMap::new();
    for ((own, name), facts) in keys {
        if db.is_none_or(|db| db == *own) {
            let sum = sums.entry(slot_of(name)).or_default();
            sum.slot = slot_of(name);
            sum.keys += 1;
            sum.memory += facts.memory;
        }
    }
    sums.into_values().collect()
}

fn outside(keys: &Keys, db: Option<u32>, own: &Slots) -> Vec<SlotTotal> {
    let foreign = |s: &SlotTotal| Slot::new(s.slot).is_some_and(|slot| !own.contains(slot));
    slots(keys, db).into_iter().filter(foreign).collect()
}

fn line() -> MonitorLine {
    MonitorLine {
        at_us: 1_000_001,
        db: 0,
        args: vec![b"SET".to_vec(), b"a".to_vec(), b"<3 bytes>".to_vec()],
        dropped: 0,
    }
}

fn page(rows: Vec<Row>, cursor: u64, count: usize) -> Page {
    let mut keys: Vec<Scanned> = rows
        .into_iter()
        .map(|row| Scanned {
            order: order(&row.key),
            name: row.key,
        })
        .filter(|key| key.order >= cursor)
        .collect();
    keys.sort_by_key(|key| key.order);
    let cursor = keys.get(count).map_or(0, |next| next.order);
    keys.truncate(count);
    Page { cursor, keys }
}

fn top(mut rows: Vec<Row>, by: Measure, k: usize) -> Vec<Row> {
    rows.sort_by_key(|row| match by {
        Measure::Bytes => std::cmp::Reverse(row.facts.memory),
        Measure::Elements => std::cmp::Reverse(row.facts.count),
    });
    rows.truncate(k);
    rows
}

fn stream() -> StreamFacts {
    StreamFacts {
        length: 2,
        last: (5, 1),
        entries_added: 3,
        groups: vec![GroupFacts {
            name: b"g".to_vec(),
            entries_read: Some(1),
            pending: 1,
            consumers: vec![ConsumerFacts {
                name: b"c".to_vec(),
                pending: 1,
                seen_ms: 1,
                active_ms: None,
            }],
            ..GroupFacts::default()
        }],
        ..StreamFacts::default()
    }
}

fn dbs(keys: &Keys) -> Vec<DbTotal> {
    let mut sums: BTreeMap<u32, DbTotal> = BTreeMap::new();
    for ((db, _), facts) in keys {
        let sum = sums.entry(*db).or_default();
        sum.db = *db;
        sum.keys += 1;
        sum.expires += u64::from(facts.expire_ms.is_some());
        sum.memory += facts.memory;
    }
    sums.into_values().collect()
}

fn totals(keys: &Keys) -> Vec<Total> {
    keys.iter()
        .map(|((db, name), facts)| Total {
            db: *db,
            kind: facts.kind,
            encoding: facts.encoding,
            encoding_name: facts.encoding_name,
            keys: 1,
            memory: facts.memory,
            elements: facts.count,
            name_bytes: name.len() as u64,
        })
        .collect()
}

fn nothing_hot() -> Heated {
    Heated {
        covered_ms: 0,
        total: Work::default(),
        unlisted: Work::default(),
        rows: Vec::new(),
    }
}
