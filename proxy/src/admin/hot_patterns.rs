//! KS.HOT PATTERNS: the patterns of names whose keys are written most.
//!
//! It is read from the history that KS.GROWTH tells too, which remembers of each second, minute and
//! hour the patterns with most writes and most bytes one by one and sums the others up: a row is what
//! was told of its pattern, and what is missing of it is in `(rest)`, with the patterns that the limit
//! cuts off.
//!
//! Bytes of commands are not counted by pattern: BY BYTES is by what writes brought to the keys, as
//! MEMORY USAGE counts it, so that a value written over by one of the same size brings nothing.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use analyzer::flows::{Flow, Growth};
use analyzer::heat::{By, Window};

use super::hot::{self, READS};
use super::layout::{Cell, Table, per_second};
use super::reply::Reply;
use super::report::{finish, split};
use super::request::Request;
use super::scope::Answered;
use super::session::Session;
use crate::model::analytic::Analytic;
use crate::model::ask::Ask;

/// What BY BYTES says first.
const BROUGHT: &str = "bytes are those that writes brought to the keys (MEMORY USAGE), not those of the commands: \
                       a value written over by one of the same size brings none";

/// What patterns are ordered by.
fn measure(by: By, flow: &Flow) -> u64 {
    match by {
        By::Writes => flow.writes(),
        By::Bytes => flow.bytes_in,
    }
}

/// What masters had together. Each is divided by the time that its own history covers.
#[derive(Default)]
struct Summed {
    flow: Flow,
    writes_per_s: Option<f64>,
    bytes_in_per_s: Option<f64>,
}

impl Summed {
    /// Takes what another one has, too.
    fn take(&mut self, other: Summed) {
        self.flow.add(&other.flow);
        let rates = [
            (&mut self.writes_per_s, other.writes_per_s),
            (&mut self.bytes_in_per_s, other.bytes_in_per_s),
        ];
        for (sum, rate) in rates {
            if let Some(rate) = rate {
                *sum.get_or_insert_default() += rate;
            }
        }
    }

    fn add(&mut self, flow: &Flow, covered_ms: u64) {
        self.flow.add(flow);
        let rates = [
            (&mut self.writes_per_s, flow.writes()),
            (&mut self.bytes_in_per_s, flow.bytes_in),
        ];
        for (sum, count) in rates {
            if let Some(rate) = per_second(count, covered_ms) {
                *sum.get_or_insert_default() += rate;
            }
        }
    }
}

/// KS.HOT PATTERNS [BY <WRITES | BYTES>] [WINDOW ..] [count] [FORMAT ..]
pub(super) async fn hot_patterns(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let options = hot::parse(request)?;
    let scope = session.scope()?;
    let window_s = match options.window {
        Window::Minute => 60,
        Window::TenMinutes => 600,
        Window::Hour => 3600,
    };
    let ask = |reply| Ask::Analytic(Analytic::Growth { window_s, reply });
    let answers = scope.ask_all(ask).await;
    let mut sums: BTreeMap<Vec<u8>, Summed> = BTreeMap::new();
    let mut rest = Summed::default();
    for (_, answer) in &answers {
        let Some(answer) = answer else { continue };
        let covered_ms = answer.value.covered_s.saturating_mul(1000);
        for row in &answer.value.patterns {
            let sum = sums.entry(row.of.clone()).or_default();
            sum.add(&row.flow, covered_ms);
        }
        rest.add(&answer.value.rest, covered_ms);
    }
    let covered = covered(&answers);
    let of = |flow: &Flow| measure(options.by, flow);
    let all = sums.values().chain([&rest]).map(|sum| of(&sum.flow));
    let all = all.fold(0, u64::saturating_add);
    let sums = first(sums, &mut rest, (options.by, options.limit));
    let row = |(name, sum): (Cell, Summed)| {
        let flow = &sum.flow;
        vec![
            ("pattern", name),
            ("writes", Cell::Count(flow.writes())),
            ("share", Cell::share(of(flow), all)),
            ("writes_per_s", Cell::rate(sum.writes_per_s)),
            ("bytes_in", Cell::Count(flow.bytes_in)),
            ("bytes_in_per_s", Cell::rate(sum.bytes_in_per_s)),
            ("bytes_out", Cell::Count(flow.bytes_out)),
            ("created", Cell::Count(flow.created)),
            ("changed", Cell::Count(flow.changed)),
            ("deleted", Cell::Count(flow.deleted)),
            ("removed", Cell::Count(flow.removed)),
            ("expired", Cell::Count(flow.expired)),
        ]
    };
    let named = sums.into_iter().map(|(name, sum)| (Cell::Name(name), sum));
    let rows = named.chain([(Cell::text("(rest)"), rest)]);
    let tables = vec![covered, Table::rows("hot", rows.map(row).collect())];
    let (fresh, _) = split(answers);
    let mut notes = vec![
        READS.to_owned(),
        "of each second, minute or hour the patterns with most writes or most bytes are remembered \
         one by one: what else a pattern had is in (rest), and so are patterns beyond the count"
            .to_owned(),
    ];
    if options.by == By::Bytes {
        notes.push(BROUGHT.to_owned());
    }
    Ok(finish(&scope, &fresh, tables, notes, options.format))
}

/// The first so many patterns; what is left of them is added to the rest.
fn first(
    sums: BTreeMap<Vec<u8>, Summed>,
    rest: &mut Summed,
    (by, limit): (By, usize),
) -> Vec<(Vec<u8>, Summed)> {
    let mut sums: Vec<(Vec<u8>, Summed)> = sums.into_iter().collect();
    sums.sort_by_key(|(_, sum)| Reverse(measure(by, &sum.flow)));
    let beyond = sums.split_off(sums.len().min(limit));
    beyond.into_iter().for_each(|(_, sum)| rest.take(sum));
    sums
}

fn covered(answers: &[Answered<Growth>]) -> Table {
    let row = |(master, answer): &Answered<Growth>| {
        let growth = &answer.as_ref()?.value;
        let flows = growth.patterns.iter().map(|row| &row.flow);
        let all = flows.chain([&growth.rest]).map(Flow::writes);
        let all = all.fold(0, u64::saturating_add);
        Some(vec![
            ("master", Cell::Text(master.name())),
            ("covered_s", Cell::Count(growth.covered_s)),
            ("writes", Cell::Count(all)),
            ("writes_per_s", Cell::per(all, growth.covered_s)),
        ])
    };
    Table::rows("covered", answers.iter().filter_map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summed(writes: u64) -> Summed {
        let flow = Flow {
            changed: writes,
            ..Flow::default()
        };
        let mut sum = Summed::default();
        sum.add(&flow, 1000);
        sum
    }

    #[test]
    fn what_the_limit_cuts_off_is_in_the_rest() {
        let sums = (1..=4).map(|n| (vec![n], summed(n.into()))).collect();
        let mut rest = summed(10);
        let told = first(sums, &mut rest, (By::Writes, 2));
        let told: Vec<_> = told.iter().map(|(_, sum)| sum.flow.writes()).collect();
        assert_eq!(told, [4, 3]);
        assert_eq!(rest.flow.writes(), 13);
        assert_eq!(rest.writes_per_s, Some(13.0));
        first(BTreeMap::new(), &mut rest, (By::Writes, 2));
        assert_eq!(rest.flow.writes(), 13);
    }
}
