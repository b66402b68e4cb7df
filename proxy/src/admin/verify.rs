//! KS.VERIFY: compares keys with the servers, every fact of them, and tells what differs.
//!
//! `KS.VERIFY 1000` takes a thousand random keys, shared out over the masters by how many they have;
//! `KS.VERIFY ALL` takes all keys, two thousand a second and master. Either is answered within
//! seconds: what is not done by then is said to be running, and the same question again waits for
//! more of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use analyzer::keyspace::Fact;

use super::layout::{Cell, Format, Table};
use super::refuse::{NOT_A_NUMBER, SYNTAX};
use super::reply::Reply;
use super::report::{finish, named_format, split};
use super::request::Request;
use super::scope::{Answered, ask_each};
use super::session::Session;
use crate::fleet::Master;
use crate::model::ask::Ask;
use crate::model::verify::{KEYS_MAX, Mismatch, NAMED_MAX, Verified};

/// Random keys by default.
const KEYS_DEFAULT: u64 = 100;

type Row = Vec<(&'static str, Cell)>;

/// How many keys, `None` for all, and how the answer is shown.
fn parse(request: &Request) -> Result<(Option<u64>, Format), Reply> {
    let (mut count, mut format) = (Some(KEYS_DEFAULT), Format::Resp);
    let mut at = 1;
    if request.len() > 1 && !request.is(1, "FORMAT") {
        count = if request.is(1, "ALL") {
            None
        } else {
            let count: u64 = request.number(1).ok_or(NOT_A_NUMBER)?;
            Some(count.clamp(1, KEYS_MAX))
        };
        at = 2;
    }
    match request.len() - at {
        0 => {}
        2 if request.is(at, "FORMAT") => format = named_format(request, at + 1)?,
        _ => return Err(SYNTAX),
    }
    Ok((count, format))
}

pub(crate) async fn verify(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let (count, format) = parse(request)?;
    let scope = session.scope()?;
    let all: u64 = scope.masters.iter().map(|m| m.status().keys).sum();
    let share = |master: &Master| {
        let keys = u128::from(master.status().keys);
        count.map(|count| {
            let share = (u128::from(count) * keys).div_ceil(u128::from(all.max(1)));
            u64::try_from(share).unwrap_or(count)
        })
    };
    let shares = scope.masters.iter().map(|m| (m.clone(), share(m)));
    let ask = |count, reply| Ask::Verify { count, reply };
    let answers = ask_each(shares.collect(), ask).await;
    let notes = answers.iter().flat_map(notes).collect();
    let mut tables = vec![total(&answers), by_fact(&answers)];
    if scope.masters.len() > 1 {
        tables.push(by_master(&answers));
    }
    tables.push(mismatches(&answers));
    let (fresh, _) = split(answers);
    Ok(finish(&scope, &fresh, tables, notes, format))
}

fn found(answers: &[Answered<Verified>]) -> impl Iterator<Item = &Verified> {
    answers
        .iter()
        .filter_map(|(_, answer)| answer.as_ref().map(|answer| &answer.value))
}

/// What keeps a master's part from being complete.
fn notes((master, answer): &Answered<Verified>) -> Vec<String> {
    let name = master.name();
    let Some(answer) = answer else {
        return Vec::new();
    };
    let found = &answer.value;
    let mut notes = Vec::new();
    if !found.finished {
        let of = found.wanted;
        notes.push(format!(
            "{} of {of} keys of {name} are compared so far: ask again for more",
            found.done()
        ));
    }
    let named = found.mismatches.len();
    if named == NAMED_MAX {
        notes.push(format!(
            "of {name} no more than {named} mismatches are listed"
        ));
    }
    notes
}

fn cells(found: &Verified) -> Row {
    vec![
        ("keys", Cell::Count(found.keys)),
        ("wanted", Cell::Count(found.wanted)),
        ("compared", Cell::Count(found.compared)),
        ("mismatching", Cell::Count(found.differing)),
        ("bytes_by_chance", Cell::Count(found.by_chance)),
        ("skipped_written", Cell::Count(found.written)),
        ("skipped_doubtful", Cell::Count(found.doubtful)),
        ("skipped_untold", Cell::Count(found.untold)),
        ("finished", Cell::Bool(found.finished)),
    ]
}

fn total(answers: &[Answered<Verified>]) -> Table {
    let mut sum = Verified {
        finished: true,
        ..Verified::default()
    };
    for one in found(answers) {
        sum.keys += one.keys;
        sum.wanted += one.wanted;
        sum.compared += one.compared;
        sum.differing += one.differing;
        sum.by_chance += one.by_chance;
        sum.written += one.written;
        sum.doubtful += one.doubtful;
        sum.untold += one.untold;
        sum.finished &= one.finished;
    }
    Table::single("total", cells(&sum))
}

fn by_fact(answers: &[Answered<Verified>]) -> Table {
    let mut sums: BTreeMap<Fact, (u64, u64)> = BTreeMap::new();
    for one in found(answers) {
        for (fact, (compared, wrong)) in Fact::ALL.into_iter().zip(one.facts) {
            let sum = sums.entry(fact).or_default();
            *sum = (sum.0 + compared, sum.1 + wrong);
        }
    }
    let row = |(fact, (compared, wrong)): (Fact, (u64, u64))| {
        vec![
            ("fact", Cell::text(fact.name())),
            ("compared", Cell::Count(compared)),
            ("mismatches", Cell::Count(wrong)),
        ]
    };
    Table::rows("by_fact", sums.into_iter().map(row).collect())
}

fn by_master(answers: &[Answered<Verified>]) -> Table {
    let row = |(master, answer): &Answered<Verified>| {
        let mut row = vec![
            ("master", Cell::Text(master.name())),
            ("cluster", Cell::text(&master.cluster)),
            ("shard", Cell::text(&master.shard)),
        ];
        let found = answer.as_ref().map(|answer| cells(&answer.value));
        row.extend(found.unwrap_or_else(|| cells(&Verified::default())));
        row
    };
    Table::rows("by_master", answers.iter().map(row).collect())
}

/// A line for each fact that differs.
fn mismatches(answers: &[Answered<Verified>]) -> Table {
    let mut rows = Vec::new();
    for (master, answer) in answers {
        let found = answer.iter().flat_map(|answer| &answer.value.mismatches);
        rows.extend(found.flat_map(|mismatch| lines(master, mismatch)));
    }
    Table::rows("mismatches", rows)
}

fn lines<'a>(
    master: &'a Arc<Master>,
    mismatch: &'a Mismatch,
) -> impl Iterator<Item = Row> + use<'a> {
    mismatch.differences.iter().map(|difference| {
        vec![
            ("key", Cell::Name(mismatch.key.clone())),
            ("db", Cell::Count(u64::from(mismatch.db))),
            ("fact", Cell::text(difference.fact.name())),
            ("ours", Cell::text(&difference.ours)),
            ("theirs", Cell::text(&difference.theirs)),
            ("master", Cell::Text(master.name())),
            ("offset", Cell::Count(mismatch.offset)),
        ]
    })
}
