//! Answers from the model: short ones at once, walks in slices.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use analyzer::Keyspace;
use analyzer::glob::Glob;
use analyzer::value::stream::{self, Stream};
use analyzer::value::{Kind, Value};
use analyzer::view::{By, Cursor, Facts as ModelFacts, Item, Top};

use crate::clock;
use crate::model::advise::Advise;
use crate::model::analytic;
use crate::model::ask::{
    Answer, Ask, ConsumerFacts, DbTotal, FACTS_MAX, Facts, Filter, Freshness, GroupFacts, Looked,
    Measure, Page, Reply, Row, SCAN_COUNT_MAX, Scanned, StreamFacts, TOP_MAX, Total, WALK_MAX,
    Walked,
};
use crate::model::mirror::Mirror;
use crate::model::patterns;
use crate::model::slots::{self, Named, Tally};
use crate::model::tags;
use crate::model::telling::Telling;
use crate::model::ttl;
use crate::model::verify::Verify;
use crate::model::whatif;

/// Longest slice of a walk.
const SLICE_MAX: Duration = Duration::from_millis(2);

/// Keys between two looks at the clock.
const KEYS_AT_ONCE: usize = 1_000;

/// Elements weighed between two looks at the clock, where a walk looks into collections.
const ELEMENTS_AT_ONCE: u64 = 8_000;

/// How often a walk begins anew because SWAPDB gave databases other numbers. Who exchanges them all
/// the time would never be answered otherwise.
const SWAPS_MAX: u32 = 16;

/// Walks at once; one more is not begun, and its reply channel is dropped.
const WALKS_MAX: usize = 16;

/// The walks under way.
#[derive(Debug, Default)]
pub struct Walks {
    queue: VecDeque<Walk>,
}

struct Walk {
    /// Of which generation its rows are.
    generation: u64,
    /// As often as this databases had been exchanged when it began, once it has.
    swaps: Option<u64>,
    /// How often it began anew because of that.
    restarts: u32,
    job: Job,
}

impl std::fmt::Debug for Walk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk")
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

pub(super) enum Job {
    Top {
        by: Measure,
        k: usize,
        filter: Filter,
        search: Top,
        reply: Reply<Vec<Row>>,
    },
    Walk {
        db: Option<u32>,
        filter: Filter,
        limit: usize,
        glob: Option<Glob>,
        cursor: Cursor,
        found: Walked,
        reply: Reply<Walked>,
    },
    Tally(Tally),
    Named(Named),
    Ttl(ttl::Job),
    Examples(patterns::Job),
    Tags(tags::Job),
    WhatIf(whatif::Job),
}

impl Walks {
    /// True if there is work.
    pub fn pending(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(super) fn push(&mut self, generation: u64, job: Job) {
        if self.queue.len() < WALKS_MAX {
            self.queue.push_back(Walk {
                generation,
                swaps: None,
                restarts: 0,
                job,
            });
        }
    }

    fn extend(&mut self, generation: u64, job: Option<Job>) {
        if let Some(job) = job {
            self.push(generation, job);
        }
    }

    /// One slice of one walk; true if it was the last and the walk is answered.
    pub fn slice(&mut self, mirror: &mut Mirror, live: bool) -> bool {
        let Some(mut walk) = self.queue.pop_front() else {
            return false;
        };
        let swaps = mirror.keyspace.swaps();
        let is_swapped = walk.swaps.replace(swaps).is_some_and(|then| then != swaps);
        let restarts = is_swapped && walk.restarts < SWAPS_MAX;
        walk.restarts += u32::from(restarts);
        if walk.generation != mirror.generation || restarts {
            walk.generation = mirror.generation;
            walk.job.restart(&mirror.keyspace);
        }
        let until = clock::now() + SLICE_MAX;
        let done = walk.job.advance(&mut mirror.keyspace, until);
        if done {
            walk.job.finish(&mirror.keyspace, mirror.freshness(live));
        } else if !walk.job.is_abandoned() {
            self.queue.push_back(walk);
        }
        done
    }
}

impl Job {
    fn top(by: Measure, k: usize, filter: Filter, reply: Reply<Vec<Row>>) -> Job {
        let k = k.min(TOP_MAX);
        Job::Top {
            by,
            k,
            search: top(by, k, &filter),
            filter,
            reply,
        }
    }

    fn walk(db: Option<u32>, filter: Filter, limit: usize, reply: Reply<Walked>) -> Job {
        Job::Walk {
            db,
            limit: limit.min(WALK_MAX),
            glob: filter.glob.as_deref().map(Glob::new),
            filter,
            cursor: start(db),
            found: Walked::default(),
            reply,
        }
    }

    fn restart(&mut self, keyspace: &Keyspace) {
        match self {
            Job::Top {
                by,
                k,
                filter,
                search,
                ..
            } => *search = top(*by, *k, filter),
            Job::Walk {
                db, cursor, found, ..
            } => {
                *cursor = start(*db);
                *found = Walked::default();
            }
            Job::Tally(tally) => tally.restart(),
            Job::Named(named) => named.restart(),
            Job::Ttl(walk) => walk.restart(),
            Job::Examples(walk) => walk.restart(),
            Job::Tags(walk) => walk.restart(),
            Job::WhatIf(walk) => walk.restart(keyspace),
        }
    }

    fn is_abandoned(&self) -> bool {
        match self {
            Job::Top { reply, .. } => reply.is_closed(),
            Job::Walk { reply, .. } => reply.is_closed(),
            Job::Tally(tally) => tally.is_abandoned(),
            Job::Named(named) => named.is_abandoned(),
            Job::Ttl(walk) => walk.is_abandoned(),
            Job::Examples(walk) => walk.is_abandoned(),
            Job::Tags(walk) => walk.is_abandoned(),
            Job::WhatIf(walk) => walk.is_abandoned(),
        }
    }

    fn advance(&mut self, keyspace: &mut Keyspace, until: Instant) -> bool {
        loop {
            let done = match self {
                Job::Top { search, .. } => keyspace.top(search, KEYS_AT_ONCE),
                Job::Walk {
                    filter,
                    limit,
                    glob,
                    cursor,
                    found,
                    ..
                } => {
                    let mut take = |item: Item<'_>| collect(found, *limit, keyspace, &item);
                    let mut pick = Filtered::new(filter, glob.as_ref(), &mut take);
                    let done = keyspace.walk(cursor, KEYS_AT_ONCE, &mut |item| pick.take(item));
                    done || found.truncated
                }
                Job::Tally(tally) => tally.advance(keyspace, KEYS_AT_ONCE),
                Job::Named(named) => named.advance(keyspace, KEYS_AT_ONCE),
                Job::Ttl(walk) => walk.advance(keyspace, KEYS_AT_ONCE),
                Job::Examples(walk) => walk.advance(keyspace, KEYS_AT_ONCE),
                Job::Tags(walk) => walk.advance(keyspace, KEYS_AT_ONCE),
                Job::WhatIf(walk) => walk.advance(keyspace, ELEMENTS_AT_ONCE),
            };
            if done || clock::now() >= until {
                return done;
            }
        }
    }

    fn finish(self, keyspace: &Keyspace, fresh: Freshness) {
        match self {
            Job::Top { search, reply, .. } => {
                let rows = search.rows().into_iter().map(|row| Row {
                    db: row.db,
                    key: row.name.to_vec(),
                    facts: facts(keyspace, &row.facts),
                });
                send(reply, fresh, rows.collect());
            }
            Job::Walk { found, reply, .. } => send(reply, fresh, found),
            Job::Tally(tally) => tally.finish(fresh),
            Job::Named(named) => named.finish(fresh),
            Job::Ttl(walk) => walk.finish(fresh),
            Job::Examples(walk) => walk.finish(fresh),
            Job::Tags(walk) => walk.finish(fresh),
            Job::WhatIf(walk) => walk.finish(keyspace, fresh),
        }
    }
}

/// Answers, or begins the walk that will.
pub fn answer(
    ask: Ask,
    mirror: &mut Mirror,
    (walks, verify, telling, advise): (&mut Walks, &mut Verify, &mut Telling, &mut Advise),
    live: bool,
) {
    mirror.counters.asks += 1;
    let (fresh, keyspace) = (mirror.freshness(live), &mirror.keyspace);
    match ask {
        Ask::Facts { keys, reply } => send(reply, fresh, facts_of_each(keyspace, &keys)),
        Ask::Knows { keys, reply } => send(reply, fresh, knows(keyspace, &keys)),
        Ask::Scan {
            db,
            cursor,
            count,
            filter,
            reply,
        } => {
            let page = scan(keyspace, db, (cursor, count), &filter);
            send(reply, fresh, page);
        }
        Ask::Dbs { reply } => send(reply, fresh, dbs(keyspace)),
        Ask::Totals { reply } => send(reply, fresh, totals(keyspace)),
        Ask::Random { db, reply } => {
            let dice = clock::unix_us().wrapping_mul(0x9e37_79b9_7f4a_7c15);
            send(reply, fresh, keyspace.random(db, dice));
        }
        Ask::Top {
            by,
            k,
            filter,
            reply,
        } => {
            walks.push(mirror.generation, Job::top(by, k, filter, reply));
        }
        Ask::Walk {
            db,
            filter,
            limit,
            reply,
        } => {
            walks.push(mirror.generation, Job::walk(db, filter, limit, reply));
        }
        Ask::Slots { db, reply } => {
            let tally = slots::sums(keyspace, db, reply, fresh);
            walks.extend(mirror.generation, tally.map(Job::Tally));
        }
        Ask::Outside { db, own, reply } => {
            send(reply, fresh, slots::outside(keyspace, db, &own));
        }
        Ask::CountInSlot { db, slot, reply } => {
            let tally = slots::count(keyspace, (db, slot), reply, fresh);
            walks.extend(mirror.generation, tally.map(Job::Tally));
        }
        Ask::KeysInSlots {
            db,
            slots,
            limit,
            reply,
        } => {
            let named = Named::new((db, slots), limit, reply);
            walks.push(mirror.generation, Job::Named(named));
        }
        Ask::WhatIf { goal, limit, reply } => {
            let job = Job::WhatIf(whatif::Job::new((goal, limit), keyspace, reply));
            walks.push(mirror.generation, job);
        }
        Ask::Told { known, reply } => telling.ask(known, reply, fresh),
        Ask::Advice { reply } => send(reply, fresh, Box::new(advise.gather(mirror))),
        Ask::Analytic(ask) => analytic::answer(ask, mirror, (walks, advise), fresh),
        Ask::StreamInfo { db, key, reply } => send(reply, fresh, look(keyspace, db, &key)),
        Ask::Verify { count, reply } => {
            verify.begin(keyspace, (mirror.generation, count), reply);
        }
        Ask::Monitor { lines } => mirror.monitors.add(lines),
    }
}

fn knows(keyspace: &Keyspace, keys: &[(u32, Vec<u8>)]) -> Vec<bool> {
    let knows = keys.iter().map(|(db, key)| keyspace.knows(*db, key));
    knows.collect()
}

pub(super) fn send<T>(reply: Reply<T>, fresh: Freshness, value: T) {
    // Who asked may have gone.
    drop(reply.send(Answer { fresh, value }));
}

fn facts_of_each(keyspace: &Keyspace, keys: &[(u32, Vec<u8>)]) -> Vec<Option<Facts>> {
    let found = keys.iter().enumerate().map(|(i, (db, key))| {
        let known = (i < FACTS_MAX).then(|| keyspace.facts(*db, key)).flatten();
        known.map(|known| facts(keyspace, &known))
    });
    found.collect()
}

fn facts(keyspace: &Keyspace, known: &ModelFacts) -> Facts {
    Facts {
        kind: known.kind,
        encoding: known.encoding,
        encoding_name: known.encoding.name(keyspace.profile()),
        count: known.count,
        memory: known.bytes,
        expire_ms: known.expire_ms,
        doubt: known.doubt,
        idle_s: known.idle_s,
        freq: known.freq,
    }
}

fn dbs(keyspace: &Keyspace) -> Vec<DbTotal> {
    let dbs = keyspace.dbs().into_iter().map(|db| DbTotal {
        db: db.db,
        keys: db.keys,
        expires: db.expires,
        avg_ttl_ms: db.avg_ttl_ms,
        memory: db.bytes,
    });
    dbs.collect()
}

fn totals(keyspace: &Keyspace) -> Vec<Total> {
    let totals = keyspace.totals().into_iter().map(|total| Total {
        db: total.db,
        kind: total.kind,
        encoding: total.encoding,
        encoding_name: total.encoding.name(keyspace.profile()),
        keys: total.keys,
        memory: total.bytes,
        elements: total.elements,
        name_bytes: total.name_bytes,
    });
    totals.collect()
}

/// Hands on the items that a filter lets through.
struct Filtered<'a> {
    filter: &'a Filter,
    glob: Option<&'a Glob>,
    to: &'a mut dyn FnMut(Item<'_>),
}

impl<'a> Filtered<'a> {
    fn new(
        filter: &'a Filter,
        glob: Option<&'a Glob>,
        to: &'a mut dyn FnMut(Item<'_>),
    ) -> Filtered<'a> {
        Filtered { filter, glob, to }
    }

    fn take(&mut self, item: Item<'_>) {
        if passes(&item, self.filter, self.glob) {
            (self.to)(item);
        }
    }
}

fn passes(item: &Item<'_>, filter: &Filter, glob: Option<&Glob>) -> bool {
    filter.kind.is_none_or(|kind| kind == item.facts.kind)
        && glob.is_none_or(|glob| glob.matches(item.name))
}

fn collect(found: &mut Walked, limit: usize, keyspace: &Keyspace, item: &Item<'_>) {
    if found.rows.len() == limit {
        found.truncated = true;
        return;
    }
    found.rows.push(Row {
        db: item.db,
        key: item.name.to_vec(),
        facts: facts(keyspace, &item.facts),
    });
}

fn scan(keyspace: &Keyspace, db: u32, (cursor, count): (u64, usize), filter: &Filter) -> Page {
    let glob = filter.glob.as_deref().map(Glob::new);
    let mut keys = Vec::new();
    let mut take = |order: u64, item: Item<'_>| {
        if passes(&item, filter, glob.as_ref()) {
            keys.push(Scanned {
                order,
                name: item.name.to_vec(),
            });
        }
    };
    let cursor = keyspace.scan(db, cursor, count.clamp(1, SCAN_COUNT_MAX), &mut take);
    Page { cursor, keys }
}

pub(super) fn start(db: Option<u32>) -> Cursor {
    db.map_or_else(Cursor::start, Cursor::db)
}

fn top(by: Measure, k: usize, filter: &Filter) -> Top {
    let by = match by {
        Measure::Bytes => By::Bytes,
        Measure::Elements => By::Elements,
    };
    let mut search = Top::new(by, k).kind(filter.kind);
    if let Some(glob) = filter.glob.as_deref().map(Glob::new) {
        search = search.glob(Box::new(move |name| glob.matches(name)));
    }
    search
}

fn look(keyspace: &Keyspace, db: u32, key: &[u8]) -> Looked<StreamFacts> {
    if !keyspace.knows(db, key) {
        return Looked::GivenUp;
    }
    keyspace.read_value(db, key, |value| match value {
        Some(Value::Bare(bare)) if bare.kind == Kind::Stream => Looked::GivenUp,
        None => Looked::Missing,
        Some(Value::Stream(stream)) => Looked::Found(stream_facts(stream)),
        Some(
            Value::String(_)
            | Value::List(_)
            | Value::Set(_)
            | Value::Zset(_)
            | Value::Hash(_)
            | Value::Module(_)
            | Value::Bare(_),
        ) => Looked::WrongType,
    })
}

fn stream_facts(stream: &Stream) -> StreamFacts {
    let groups = stream.groups().map(|group| GroupFacts {
        name: fingerprint(group.name),
        last: group.last,
        entries_read: group.entries_read,
        pending: group.pending,
        consumers: stream.consumers(group.name).map(consumer_facts).collect(),
    });
    StreamFacts {
        length: stream.count(),
        nodes: stream.radix_keys(),
        radix_nodes: stream.radix_nodes(),
        last: stream.last_id(),
        first: stream.first_id(),
        last_live: stream.last_live_id().unwrap_or_default(),
        max_deleted: stream.max_deleted_id(),
        entries_added: stream.entries_added(),
        groups: groups.collect(),
    }
}

fn consumer_facts(consumer: stream::ConsumerFacts) -> ConsumerFacts {
    ConsumerFacts {
        name: fingerprint(consumer.name),
        pending: consumer.pending,
        seen_ms: consumer.seen_ms,
        active_ms: consumer.active_ms,
    }
}

/// Names of groups and consumers are kept as fingerprints only.
fn fingerprint(digest: u64) -> Vec<u8> {
    format!("#{digest:016x}").into_bytes()
}

#[cfg(test)]
mod tests;
