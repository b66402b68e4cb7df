//! KS.SLOTS: keys, bytes and writes by hash slot and master, how uneven masters are, the largest
//! slots, and those whose keys stand where they should not. Outside of clusters it shows the slots
//! that the keys would have, and no writes: those are counted by slot in cluster mode only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use analyzer::heat::{By as HeatBy, Window, Work};
use analyzer::slots::skew;
use cluster_map::{Slot, Slots};

use super::hashtags;
use super::hot;
use super::layout::{Cell, Format, Table};
use super::refuse::SYNTAX;
use super::reply::Reply;
use super::report::{finish, limit, named_format, pairs, split};
use super::request::Request;
use super::scope::{Answered, Scope};
use super::session::Session;
use super::strays::{Kind, Stray, Strays};
use crate::fleet::{Deployment, Master, MasterId};
use crate::model::analytic::Analytic;
use crate::model::ask::{Ask, SlotTotal};
use crate::model::hot::{Heated, Subject, Wanted, What};

/// Largest slots shown by default, and at most: all of them.
const LIMIT_DEFAULT: usize = 20;
const LIMIT_MAX: usize = 16_384;

/// The writes that are told beside keys and bytes: of the last ten minutes.
const WRITTEN: Wanted = Wanted {
    what: What::Slots,
    by: HeatBy::Writes,
    window: Window::TenMinutes,
    limit: usize::MAX,
};

const BY: Reply = Reply::error("ERR BY must be BYTES, KEYS or WRITES");

/// What "largest" means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Bytes,
    Keys,
    Writes,
}

struct Options {
    by: By,
    limit: usize,
    format: Format,
}

fn parse(request: &Request) -> Result<Options, Reply> {
    let mut options = Options {
        by: By::Bytes,
        limit: LIMIT_DEFAULT,
        format: Format::Resp,
    };
    pairs(request, 1, |at| {
        if request.is(at, "BY") {
            let names = [
                ("BYTES", By::Bytes),
                ("KEYS", By::Keys),
                ("WRITES", By::Writes),
            ];
            let by = names.iter().find(|(name, _)| request.is(at + 1, name));
            options.by = by.ok_or(BY)?.1;
        } else if request.is(at, "LIMIT") {
            options.limit = limit(request, at + 1, LIMIT_MAX)?;
        } else if request.is(at, "FORMAT") {
            options.format = named_format(request, at + 1)?;
        } else {
            return Err(SYNTAX);
        }
        Ok(())
    })?;
    Ok(options)
}

/// A slot on one master.
struct Held {
    master: Arc<Master>,
    total: SlotTotal,
    work: Work,
    /// Milliseconds in which that was written.
    ms: u64,
}

impl Held {
    fn measure(&self, by: By) -> u64 {
        match by {
            By::Bytes => self.total.memory,
            By::Keys => self.total.keys,
            // By the time of each: masters are followed for different times.
            By::Writes => per_thousand_s(self.work.writes, self.ms),
        }
    }
}

/// So many in that time, as a rate in thousandths of one a second; 0 before there was any time.
fn per_thousand_s(count: u64, ms: u64) -> u64 {
    let rate = (u128::from(count) * 1_000_000).checked_div(u128::from(ms));
    u64::try_from(rate.unwrap_or(0)).unwrap_or(u64::MAX)
}

/// KS.SLOTS [HASHTAGS] [BY <BYTES | KEYS | WRITES>] [LIMIT n] [FORMAT ..]
pub(crate) async fn slots(session: &Session, request: &Request) -> Result<Reply, Reply> {
    if request.is(1, "HASHTAGS") {
        return hashtags::hashtags(session, request).await;
    }
    let options = parse(request)?;
    let scope = session.scope()?;
    let (answers, heat) = tokio::join!(
        scope.ask_all(|reply| Ask::Slots { db: None, reply }),
        scope.ask_all(|reply| Ask::Analytic(Analytic::Hot {
            wanted: WRITTEN,
            reply
        })),
    );
    let strays = Strays::of(&scope, None).await;
    let mut held = held(&answers, &heat);
    let masters = masters(&answers, &held, &strays);
    // Before any time has passed nothing is known of the writes.
    let told = [
        told(&answers, |_| true),
        told(&heat, |heated| heated.covered_ms > 0),
    ];
    let skews = skews(&scope, &held, told);
    let (fresh, _) = split(answers);
    let mut tables = vec![whole(&scope, &held, &strays), skews, masters];
    let measure = |held: &Held| held.measure(options.by);
    let all: u64 = held.iter().map(measure).sum();
    held.sort_by(|a, b| {
        let order = measure(b).cmp(&measure(a));
        order.then_with(|| (a.total.slot, a.master.id).cmp(&(b.total.slot, b.master.id)))
    });
    held.truncate(options.limit);
    let kinds = kinds(&strays);
    let row = |held: Held| {
        let kind = kinds.get(&(held.master.id, held.total.slot)).copied();
        largest(&held, kind, Cell::share(measure(&held), all))
    };
    tables.push(Table::rows("slots", held.into_iter().map(row).collect()));
    if !strays.0.is_empty() {
        let rows = strays.0.iter().take(options.limit).map(stray);
        tables.push(Table::rows("strays", rows.collect()));
    }
    let mut notes: Vec<String> = strays.note().into_iter().collect();
    if options.by == By::Writes {
        notes.push(hot::READS.to_owned());
    }
    Ok(finish(&scope, &fresh, tables, notes, options.format))
}

/// The slots that have keys or were written.
fn held(answers: &[Answered<Vec<SlotTotal>>], heat: &[Answered<Heated>]) -> Vec<Held> {
    let mut held: BTreeMap<(MasterId, u16), Held> = BTreeMap::new();
    for (master, answer) in answers {
        for total in answer.iter().flat_map(|answer| &answer.value) {
            let own = Held {
                master: master.clone(),
                total: *total,
                work: Work::default(),
                ms: 0,
            };
            held.insert((master.id, total.slot), own);
        }
    }
    for (master, answer) in heat {
        let Some(answer) = answer else { continue };
        for row in &answer.value.rows {
            let Subject::Slot(slot) = row.subject else {
                continue;
            };
            let own = held.entry((master.id, slot)).or_insert_with(|| Held {
                master: master.clone(),
                total: SlotTotal {
                    slot,
                    ..SlotTotal::default()
                },
                work: Work::default(),
                ms: 0,
            });
            (own.work, own.ms) = (row.work, answer.value.covered_ms);
        }
    }
    held.into_values().collect()
}

/// The masters that told something: one that is silent or loads is not one that has nothing.
fn told<T>(answers: &[Answered<T>], is_told: impl Fn(&T) -> bool) -> BTreeSet<MasterId> {
    let told = answers.iter().filter(|(_, answer)| {
        let loaded = answer.as_ref().filter(|a| a.fresh.generation.loaded());
        loaded.is_some_and(|answer| is_told(&answer.value))
    });
    told.map(|(master, _)| master.id).collect()
}

/// How uneven the masters of each cluster are: see [`analyzer::slots::skew`]. Of those that told what
/// they have, and how they are written.
fn skews(scope: &Scope, held: &[Held], [having, heard]: [BTreeSet<MasterId>; 2]) -> Table {
    let row = |cluster: &Arc<Deployment>| {
        let owns = |master: &&Arc<Master>| {
            master.source == cluster.source && !master.place().slots.is_empty()
        };
        let masters = scope.masters.iter().filter(owns);
        let masters: BTreeMap<MasterId, Slots> = masters
            .map(|master| (master.id, master.place().slots.clone()))
            .collect();
        let of = |by: By| {
            let told = match by {
                By::Bytes | By::Keys => &having,
                By::Writes => &heard,
            };
            let own = masters.keys().filter(|id| told.contains(*id));
            let mut sums: BTreeMap<MasterId, u64> = own.map(|id| (*id, 0)).collect();
            for one in held {
                let own = masters.get(&one.master.id).zip(Slot::new(one.total.slot));
                if own.is_none_or(|(slots, slot)| !slots.contains(slot)) {
                    continue;
                }
                if let Some(sum) = sums.get_mut(&one.master.id) {
                    *sum = sum.saturating_add(one.measure(by));
                }
            }
            Cell::rate(skew(sums.into_values()))
        };
        vec![
            ("cluster", Cell::text(&cluster.label)),
            ("masters", Cell::Count(masters.len() as u64)),
            ("bytes", of(By::Bytes)),
            ("keys", of(By::Keys)),
            ("writes", of(By::Writes)),
        ]
    };
    Table::rows("largest_by_mean", scope.clusters().map(row).collect())
}

fn kinds(strays: &Strays) -> BTreeMap<(MasterId, u16), Kind> {
    let kinds = strays.0.iter();
    kinds
        .map(|stray| ((stray.master.id, stray.total.slot), stray.kind))
        .collect()
}

fn whole(scope: &Scope, held: &[Held], strays: &Strays) -> Table {
    let hidden = strays.all_hidden();
    let filled = || held.iter().map(|held| &held.total).filter(|t| t.keys > 0);
    let keys: u64 = filled().map(|total| total.keys).sum();
    let bytes: u64 = filled().map(|total| total.memory).sum();
    // A slot of one cluster is not that of another one.
    let slots: BTreeSet<(usize, u16)> = held
        .iter()
        .filter(|held| held.total.keys > 0)
        .map(|held| (held.master.source, held.total.slot))
        .collect();
    let maps = scope.clusters().map(|cluster| cluster.view());
    let covered: usize = maps
        .filter_map(|view| view.topology.as_ref().map(|map| map.covered()))
        .sum();
    Table::single(
        "total",
        vec![
            ("slots_covered", Cell::Count(covered as u64)),
            ("slots_with_keys", Cell::Count(slots.len() as u64)),
            ("keys", Cell::Count(keys.saturating_sub(hidden.keys))),
            ("bytes", Cell::Count(bytes.saturating_sub(hidden.bytes))),
            ("keys_twice", Cell::Count(hidden.keys)),
        ],
    )
}

/// Each master: its slots, what is in them, and how uneven that is.
fn masters(answers: &[Answered<Vec<SlotTotal>>], held: &[Held], strays: &Strays) -> Table {
    let mut written: BTreeMap<MasterId, (u64, u64)> = BTreeMap::new();
    for one in held {
        let (writes, ms) = written.entry(one.master.id).or_default();
        *writes = writes.saturating_add(one.work.writes);
        *ms = one.ms.max(*ms);
    }
    let row = |(master, answer): &Answered<Vec<SlotTotal>>| {
        let place = master.place();
        let totals = answer.as_ref().map_or(&[][..], |answer| &answer.value);
        let keys: u64 = totals.iter().map(|total| total.keys).sum();
        let bytes: u64 = totals.iter().map(|total| total.memory).sum();
        let largest = totals.iter().max_by_key(|total| total.memory);
        let (writes, ms) = written.get(&master.id).copied().unwrap_or_default();
        vec![
            ("master", Cell::Text(master.name())),
            ("cluster", Cell::text(&master.cluster)),
            ("shard", Cell::text(&master.shard)),
            ("slots", Cell::Count(place.slots.count() as u64)),
            ("slots_with_keys", Cell::Count(totals.len() as u64)),
            ("keys", Cell::Count(keys)),
            ("bytes", Cell::Count(bytes)),
            ("writes_per_s", Cell::per(writes.saturating_mul(1000), ms)),
            (
                "largest_slot",
                largest.map_or(Cell::Nothing, |t| Cell::Count(t.slot.into())),
            ),
            (
                "largest_slot_bytes",
                Cell::Count(largest.map_or(0, |t| t.memory)),
            ),
            ("stray_keys", Cell::Count(strays.keys_on(master.id))),
            ("ranges", Cell::Text(place.slots.to_string())),
        ]
    };
    Table::rows("masters", answers.iter().map(row).collect())
}

fn largest(held: &Held, kind: Option<Kind>, share: Cell) -> Vec<(&'static str, Cell)> {
    let Held { total, work, .. } = held;
    let per_second = |count: u64| Cell::per(count.saturating_mul(1000), held.ms);
    vec![
        ("slot", Cell::Count(total.slot.into())),
        ("master", Cell::Text(held.master.name())),
        ("keys", Cell::Count(total.keys)),
        ("bytes", Cell::Count(total.memory)),
        ("share", share),
        ("writes_per_s", per_second(work.writes)),
        ("written_bytes_per_s", per_second(work.bytes)),
        (
            "stray",
            kind.map_or(Cell::Nothing, |kind| Cell::text(kind.name())),
        ),
    ]
}

fn stray(stray: &Stray) -> Vec<(&'static str, Cell)> {
    let owner = stray.owner.as_ref();
    vec![
        ("slot", Cell::Count(stray.total.slot.into())),
        ("master", Cell::Text(stray.master.name())),
        (
            "owner",
            owner.map_or(Cell::Nothing, |owner| Cell::Text(owner.name())),
        ),
        ("kind", Cell::text(stray.kind.name())),
        ("keys", Cell::Count(stray.total.keys)),
        ("bytes", Cell::Count(stray.total.memory)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slot of a master that is followed for a minute, beside one of a master that is for ten.
    #[test]
    fn writes_are_compared_by_the_time_of_each() {
        assert_eq!(per_thousand_s(60, 60_000), 1_000);
        assert_eq!(per_thousand_s(300, 600_000), 500);
        assert_eq!(per_thousand_s(7, 0), 0);
        assert_eq!(per_thousand_s(u64::MAX, 1), u64::MAX);
    }
}
