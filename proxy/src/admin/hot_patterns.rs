//! KS.HOT PATTERNS: the patterns of names whose keys are written most.
//!
//! It is read from the history that KS.GROWTH tells too, which remembers of each second, minute and
//! hour the patterns with most writes and most bytes one by one and sums the others up: a row is what
//! was told of its pattern, and what is missing of it is in `(rest)`. Bytes of commands are not counted by pattern.

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

const BY: Reply = Reply::error("ERR patterns are ordered BY WRITES; KS.GROWTH tells their bytes");

/// What masters had together. Each is divided by the time that its own history covers.
#[derive(Default)]
struct Summed {
    flow: Flow,
    writes_per_s: Option<f64>,
}

impl Summed {
    fn add(&mut self, flow: &Flow, covered_ms: u64) {
        self.flow.add(flow);
        if let Some(rate) = per_second(flow.writes(), covered_ms) {
            *self.writes_per_s.get_or_insert_default() += rate;
        }
    }
}

/// KS.HOT PATTERNS [BY WRITES] [WINDOW ..] [count] [FORMAT ..]
pub(super) async fn hot_patterns(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let options = hot::parse(request)?;
    if options.by != By::Writes {
        return Err(BY);
    }
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
    let all = sums.values().chain([&rest]).map(|sum| sum.flow.writes());
    let all = all.fold(0, u64::saturating_add);
    let mut sums: Vec<(Vec<u8>, Summed)> = sums.into_iter().collect();
    sums.sort_by_key(|(_, sum)| Reverse(sum.flow.writes()));
    sums.truncate(options.limit);
    let row = |(name, sum): (Cell, Summed)| {
        let flow = &sum.flow;
        let count = flow.writes();
        vec![
            ("pattern", name),
            ("writes", Cell::Count(count)),
            ("share", Cell::share(count, all)),
            ("writes_per_s", Cell::rate(sum.writes_per_s)),
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
    let notes = vec![
        READS.to_owned(),
        "of each second, minute or hour the patterns with most writes or most bytes are remembered \
         one by one: what else a pattern had is in (rest)"
            .to_owned(),
    ];
    Ok(finish(&scope, &fresh, tables, notes, options.format))
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
