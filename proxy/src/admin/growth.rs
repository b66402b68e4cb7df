//! KS.GROWTH: what happened to the keys in the last seconds, hours or days, and where that leads.
//!
//! Every byte by which the keys changed is in one row of `by_type` or `by_cause`, and those of
//! commands once more in `by_pattern` and, in cluster mode, in `by_slot`. The forecast looks at what
//! commands did alone: full syncs and corrections are no growth.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use analyzer::flows::{Flow, Growth};
use cluster_map::Slot;

use super::forecast;
use super::layout::{Cell, Format, Table};
use super::refuse::SYNTAX;
use super::reply::Reply;
use super::report::{finish, limit, named_format, pairs, split};
use super::request::Request;
use super::session::Session;
use crate::fleet::Master;
use crate::model::analytic::Analytic;
use crate::model::ask::Ask;

/// The window by default, seconds.
const WINDOW_DEFAULT: u32 = 3600;

/// The longest one.
const WINDOW_MAX: u32 = 72 * 3600;

/// Patterns, and slots, that have rows of their own by default, and at most.
const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 16_384;

/// What is not told one by one.
const REST: &str = "(rest)";

const BAD_SLOT: Reply = Reply::error("ERR SLOT must be a number from 0 to 16383");

const BAD_WINDOW: Reply =
    Reply::error("ERR WINDOW must be a number of seconds, or of s, m, h or d, 3d at most");

struct Options {
    window_s: u32,
    only: Only,
    limit: usize,
    format: Format,
}

/// What is asked about.
enum Only {
    All,
    Pattern(Vec<u8>),
    Slot(u16),
}

fn parse(request: &Request) -> Result<Options, Reply> {
    let mut options = Options {
        window_s: WINDOW_DEFAULT,
        only: Only::All,
        limit: LIMIT_DEFAULT,
        format: Format::Resp,
    };
    pairs(request, 1, |at| {
        if request.is(at, "WINDOW") {
            options.window_s = window(request.arg(at + 1)).ok_or(BAD_WINDOW)?;
        } else if request.is(at, "PATTERN") {
            options.only = Only::Pattern(request.arg(at + 1).to_vec());
        } else if request.is(at, "SLOT") {
            let slot = request.number(at + 1).and_then(Slot::new);
            options.only = Only::Slot(slot.ok_or(BAD_SLOT)?.number());
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

/// `90`, `90s`, `15m`, `1h`, `2d` as seconds.
fn window(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let seconds = digits.parse::<u32>().ok()?.checked_mul(unit)?;
    (1..=WINDOW_MAX).contains(&seconds).then_some(seconds)
}

/// What one master told.
pub(super) type Told = (Arc<Master>, Growth);

/// KS.GROWTH [WINDOW time] [PATTERN p | SLOT n] [LIMIT n] [FORMAT ..]
pub(crate) async fn growth(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let options = parse(request)?;
    let scope = session.scope()?;
    let window_s = options.window_s;
    let ask = |reply| Ask::Analytic(Analytic::Growth { window_s, reply });
    let answers = scope.ask_all(ask).await;
    let loaded = answers.iter().filter_map(|(master, answer)| {
        let answer = answer.as_ref()?;
        let loaded = answer.fresh.generation.loaded();
        loaded.then(|| (master.clone(), answer.value.clone()))
    });
    let told: Vec<Told> = loaded.collect();
    let (fresh, _) = split(answers);
    let patterns = |only| by_pattern(&told, only, options.limit);
    let slots = |only| by_slot(&told, only, options.limit);
    let tables = match &options.only {
        Only::All => {
            let mut tables = vec![
                whole(&told),
                by_type(&told),
                by_cause(&told),
                patterns(None),
            ];
            if told.iter().any(|(_, growth)| !growth.slots.is_empty()) {
                tables.push(slots(None));
            }
            tables.extend([by_master(&told), forecast::table(&told, session.fleet())]);
            tables
        }
        Only::Pattern(name) => vec![patterns(Some(name.as_slice()))],
        Only::Slot(slot) => vec![slots(Some(*slot))],
    };
    let notes = notes(&told, &options);
    Ok(finish(&scope, &fresh, tables, notes, options.format))
}

fn notes(told: &[Told], options: &Options) -> Vec<String> {
    let mut notes = Vec::new();
    for (master, growth) in told {
        // An interval may begin before the window.
        if growth.covered_s < u64::from(options.window_s) {
            notes.push(format!(
                "{} is remembered for {} seconds only",
                master.name(),
                growth.covered_s
            ));
        }
    }
    if told.iter().any(|(_, growth)| growth.evicted > 0) {
        notes.push(
            "the stream does not tell evictions from DELs of clients: `evicted` is the server's own count for the \
             time, and is part of `deleted`"
                .to_owned(),
        );
    }
    match options.only {
        Only::All => {}
        Only::Pattern(_) => notes.push(
            "of each second, minute or hour the patterns with most writes or most bytes are remembered one by one; \
             what another one did is in (rest)"
                .to_owned(),
        ),
        Only::Slot(_) if told.iter().all(|(_, growth)| growth.slots.is_empty()) => notes.push(
            "keys are counted by slot where the server is in cluster mode; none of those changed here"
                .to_owned(),
        ),
        Only::Slot(_) => notes.push(
            "of each second the 64 slots that changed most are remembered one by one, of each minute 512, of each \
             hour 1024; what another one did is in (rest)"
                .to_owned(),
        ),
    }
    notes
}

type Line = Vec<(&'static str, Cell)>;

fn cells(flow: &Flow) -> Line {
    vec![
        ("created", Cell::Count(flow.created)),
        ("changed", Cell::Count(flow.changed)),
        ("deleted", Cell::Count(flow.deleted)),
        ("removed", Cell::Count(flow.removed)),
        ("expired", Cell::Count(flow.expired)),
        ("ttl_overwritten", Cell::Count(flow.ttl_overwritten)),
        ("ttl_persisted", Cell::Count(flow.ttl_persisted)),
        ("ttl_given", Cell::Count(flow.ttl_given)),
        ("keys_change", Cell::Signed(flow.net_keys())),
        ("bytes_in", Cell::Count(flow.bytes_in)),
        ("bytes_out", Cell::Count(flow.bytes_out)),
        ("bytes_change", Cell::Signed(flow.net_bytes())),
    ]
}

fn row(head: (&'static str, Cell), flow: &Flow) -> Line {
    let mut line = vec![head];
    line.extend(cells(flow));
    line
}

fn change(before: u64, now: u64) -> i64 {
    let change = i128::from(now) - i128::from(before);
    let limit = if change < 0 { i64::MIN } else { i64::MAX };
    i64::try_from(change).unwrap_or(limit)
}

fn whole(told: &[Told]) -> Table {
    let sum = |of: fn(&Growth) -> u64| told.iter().map(|(_, growth)| of(growth)).sum::<u64>();
    let keys = [
        sum(|growth| growth.before.keys),
        sum(|growth| growth.now.keys),
    ];
    let bytes = [
        sum(|growth| growth.before.bytes),
        sum(|growth| growth.now.bytes),
    ];
    let since = told.iter().map(|(_, growth)| growth.since_s).min();
    let covered = told.iter().map(|(_, growth)| growth.covered_s).max();
    Table::single(
        "window",
        vec![
            ("since", since.map_or(Cell::Nothing, Cell::Signed)),
            ("seconds", Cell::Count(covered.unwrap_or(0))),
            ("keys_before", Cell::Count(keys[0])),
            ("keys_now", Cell::Count(keys[1])),
            ("keys_change", Cell::Signed(change(keys[0], keys[1]))),
            ("bytes_before", Cell::Count(bytes[0])),
            ("bytes_now", Cell::Count(bytes[1])),
            ("bytes_change", Cell::Signed(change(bytes[0], bytes[1]))),
        ],
    )
}

fn by_type(told: &[Told]) -> Table {
    let mut sums: BTreeMap<_, Flow> = BTreeMap::new();
    for row in told.iter().flat_map(|(_, growth)| &growth.kinds) {
        sums.entry(row.of).or_default().add(&row.flow);
    }
    let rows = sums.iter();
    let rows = rows.map(|(kind, flow)| row(("type", Cell::text(kind.name())), flow));
    Table::rows("by_type", rows.collect())
}

/// What is no command on a key.
fn by_cause(told: &[Told]) -> Table {
    let mut sums: BTreeMap<_, Flow> = BTreeMap::new();
    for row in told.iter().flat_map(|(_, growth)| &growth.causes) {
        sums.entry(row.of).or_default().add(&row.flow);
    }
    let line = |(cause, flow): (analyzer::flows::Cause, Flow)| {
        vec![
            ("cause", Cell::text(cause.name())),
            ("keys_in", Cell::Count(flow.created)),
            ("keys_out", Cell::Count(flow.removed)),
            ("bytes_in", Cell::Count(flow.bytes_in)),
            ("bytes_out", Cell::Count(flow.bytes_out)),
            ("bytes_change", Cell::Signed(flow.net_bytes())),
        ]
    };
    Table::rows("by_cause", sums.into_iter().map(line).collect())
}

/// Rows by how much they changed, the first of them one by one; what is left of them is added to the
/// rest.
fn listed<T>(
    name: &'static str,
    (mut rows, mut rest): (Vec<(T, Flow)>, Flow),
    limit: usize,
    head: impl Fn(Option<T>) -> Line,
) -> Table {
    rows.sort_by_key(|(_, flow)| Reverse(flow.net_bytes().unsigned_abs()));
    let beyond = rows.split_off(rows.len().min(limit));
    beyond.iter().for_each(|(_, flow)| rest.add(flow));
    let named = rows.into_iter().map(|(of, flow)| (Some(of), flow));
    let rest = (!rest.is_nothing()).then_some((None, rest));
    let line = |(of, flow): (Option<T>, Flow)| {
        let mut line = head(of);
        line.extend(cells(&flow));
        line
    };
    Table::rows(name, named.chain(rest).map(line).collect())
}

fn by_pattern(told: &[Told], only: Option<&[u8]>, limit: usize) -> Table {
    let mut sums: BTreeMap<&[u8], Flow> = BTreeMap::new();
    let mut rest = Flow::default();
    for (_, growth) in told {
        for row in &growth.patterns {
            sums.entry(&row.of).or_default().add(&row.flow);
        }
        rest.add(&growth.rest);
    }
    let mut rows: Vec<(&[u8], Flow)> = sums.into_iter().collect();
    rows.retain(|(name, _)| only.is_none_or(|only| only == *name));
    let name = |name: &[u8]| Cell::Name(name.to_vec());
    listed("by_pattern", (rows, rest), limit, |of: Option<&[u8]>| {
        vec![("pattern", of.map_or(Cell::text(REST), name))]
    })
}

/// A slot stands on one master, or on two while it moves.
fn by_slot(told: &[Told], only: Option<u16>, limit: usize) -> Table {
    let mut rows = Vec::new();
    let mut rest = Flow::default();
    for (master, growth) in told {
        let own = growth.slots.iter().map(|row| ((row.of, master), row.flow));
        rows.extend(own.filter(|((slot, _), _)| only.is_none_or(|only| only == *slot)));
        rest.add(&growth.slots_rest);
    }
    listed("by_slot", (rows, rest), limit, |of| {
        let (slot, master) = match of {
            Some((slot, master)) => (Cell::Count(u64::from(slot)), Cell::Text(master.name())),
            None => (Cell::text(REST), Cell::Nothing),
        };
        vec![("slot", slot), ("master", master)]
    })
}

fn by_master(told: &[Told]) -> Table {
    let line = |(master, growth): &Told| {
        let mut all = Flow::default();
        growth.kinds.iter().for_each(|row| all.add(&row.flow));
        let mut line = row(("master", Cell::Text(master.name())), &all);
        line.push(("evicted", Cell::Count(growth.evicted.min(all.deleted))));
        line
    };
    Table::rows("by_master", told.iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_numbers_with_a_unit() {
        let all = [
            ("90", 90),
            ("90s", 90),
            ("15m", 900),
            ("1h", 3600),
            ("3d", 259_200),
        ];
        for (text, seconds) in all {
            assert_eq!(window(text.as_bytes()), Some(seconds), "{text}");
        }
        for text in [
            "",
            "h",
            "0",
            "-1",
            "4d",
            "1w",
            "1.5h",
            "99999999999",
            "1h\u{e9}",
        ] {
            assert_eq!(window(text.as_bytes()), None, "{text}");
        }
    }
}
