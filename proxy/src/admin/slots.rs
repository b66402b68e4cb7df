//! KS.SLOTS: keys and bytes by hash slot and master, the largest slots, and the slots whose keys
//! stand where they should not. Outside of clusters it shows the slots that the keys would have.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::layout::{Cell, Format, Table};
use super::refuse::{NOT_A_NUMBER, SYNTAX};
use super::reply::Reply;
use super::report::{finish, named_format, split};
use super::request::Request;
use super::scope::{Answered, Scope};
use super::session::Session;
use super::strays::{Kind, Stray, Strays};
use crate::fleet::{Master, MasterId};
use crate::model::ask::{Ask, SlotTotal};

/// Largest slots shown by default, and at most: all of them.
const LIMIT_DEFAULT: usize = 20;
const LIMIT_MAX: usize = 16_384;

/// What "largest" means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Bytes,
    Keys,
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
    let mut at = 1;
    while at < request.len() {
        if at + 1 == request.len() {
            return Err(SYNTAX);
        }
        if request.is(at, "BY") {
            options.by = match (request.is(at + 1, "BYTES"), request.is(at + 1, "KEYS")) {
                (true, _) => By::Bytes,
                (_, true) => By::Keys,
                (false, false) => return Err(Reply::error("ERR BY must be BYTES or KEYS")),
            };
        } else if request.is(at, "LIMIT") {
            let limit: usize = request.number(at + 1).ok_or(NOT_A_NUMBER)?;
            options.limit = limit.min(LIMIT_MAX);
        } else if request.is(at, "FORMAT") {
            options.format = named_format(request, at + 1)?;
        } else {
            return Err(SYNTAX);
        }
        at += 2;
    }
    Ok(options)
}

/// A slot on one master.
type Held = (Arc<Master>, SlotTotal);

/// KS.SLOTS [BY <BYTES | KEYS>] [LIMIT n] [FORMAT ..]
pub(crate) async fn slots(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let options = parse(request)?;
    let scope = session.scope()?;
    let answers = scope.ask_all(|reply| Ask::Slots { db: None, reply }).await;
    let strays = Strays::of(&scope, None).await;
    let masters = masters(&answers, &strays);
    let mut held: Vec<Held> = Vec::new();
    for (master, answer) in &answers {
        let totals = answer.iter().flat_map(|answer| &answer.value);
        held.extend(totals.map(|total| (master.clone(), *total)));
    }
    let (fresh, _) = split(answers);
    let mut tables = vec![whole(&scope, &held, &strays), masters];
    let measure = |total: &SlotTotal| match options.by {
        By::Bytes => total.memory,
        By::Keys => total.keys,
    };
    let all: u64 = held.iter().map(|(_, total)| measure(total)).sum();
    held.sort_by(|(a, x), (b, y)| {
        let order = measure(y).cmp(&measure(x));
        order.then_with(|| (x.slot, a.id).cmp(&(y.slot, b.id)))
    });
    held.truncate(options.limit);
    let kinds = kinds(&strays);
    let row = |(master, total): Held| {
        let kind = kinds.get(&(master.id, total.slot)).copied();
        largest(&master, &total, kind, Cell::share(measure(&total), all))
    };
    tables.push(Table::rows("slots", held.into_iter().map(row).collect()));
    if !strays.0.is_empty() {
        let rows = strays.0.iter().take(options.limit).map(stray);
        tables.push(Table::rows("strays", rows.collect()));
    }
    let notes = strays.note().into_iter().collect();
    Ok(finish(&scope, &fresh, tables, notes, options.format))
}

fn kinds(strays: &Strays) -> BTreeMap<(MasterId, u16), Kind> {
    let kinds = strays.0.iter();
    kinds
        .map(|stray| ((stray.master.id, stray.total.slot), stray.kind))
        .collect()
}

fn whole(scope: &Scope, held: &[Held], strays: &Strays) -> Table {
    let hidden = strays.all_hidden();
    let keys: u64 = held.iter().map(|(_, total)| total.keys).sum();
    let bytes: u64 = held.iter().map(|(_, total)| total.memory).sum();
    let mut slots: Vec<u16> = held.iter().map(|(_, total)| total.slot).collect();
    slots.sort_unstable();
    slots.dedup();
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
fn masters(answers: &[Answered<Vec<SlotTotal>>], strays: &Strays) -> Table {
    let row = |(master, answer): &Answered<Vec<SlotTotal>>| {
        let place = master.place();
        let totals = answer.as_ref().map_or(&[][..], |answer| &answer.value);
        let keys: u64 = totals.iter().map(|total| total.keys).sum();
        let bytes: u64 = totals.iter().map(|total| total.memory).sum();
        let largest = totals.iter().max_by_key(|total| total.memory);
        vec![
            ("master", Cell::Text(master.name())),
            ("cluster", Cell::text(&master.cluster)),
            ("shard", Cell::text(&master.shard)),
            ("slots", Cell::Count(place.slots.count() as u64)),
            ("slots_with_keys", Cell::Count(totals.len() as u64)),
            ("keys", Cell::Count(keys)),
            ("bytes", Cell::Count(bytes)),
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

fn largest(
    master: &Master,
    total: &SlotTotal,
    kind: Option<Kind>,
    share: Cell,
) -> Vec<(&'static str, Cell)> {
    vec![
        ("slot", Cell::Count(total.slot.into())),
        ("master", Cell::Text(master.name())),
        ("keys", Cell::Count(total.keys)),
        ("bytes", Cell::Count(total.memory)),
        ("share", share),
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
