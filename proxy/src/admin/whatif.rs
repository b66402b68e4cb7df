//! KS.WHATIF: what all keys would take on another server, with another configuration or allocator.
//!
//! Three figures stand side by side: bytes now, after a reload of the same server (which sheds the
//! room left by growth), and on the other one, so that nothing is put down to a change that a
//! restart alone would bring. All are sums of MEMORY USAGE.

use std::collections::BTreeMap;
use std::sync::Arc;

use analyzer::value::{Encoding, Kind};
use analyzer::whatif::{Changed, Goal, Guess, KeyChange, Readable};

use super::layout::{Cell, Format, Table};
use super::refuse::SYNTAX;
use super::reply::Reply;
use super::report::{finish, limit, named_format, split};
use super::request::Request;
use super::session::Session;
use super::strays::Strays;
use crate::fleet::Master;
use crate::model::ask::Ask;
use crate::model::whatif::{Found, LIMIT_MAX};

/// Single keys named by default.
const LIMIT_DEFAULT: usize = 10;
/// Most options in one question: there are not as many.
const OPTIONS_MAX: usize = 16;

const WANTS: Reply = Reply::error(
    "ERR KS.WHATIF wants SERVER name, CONFIG option value, ALLOCATOR name, or several of them",
);

struct Question {
    goal: Goal,
    limit: usize,
    format: Format,
}

fn parse(request: &Request) -> Result<Question, Reply> {
    let mut question = Question {
        goal: Goal::default(),
        limit: LIMIT_DEFAULT,
        format: Format::Resp,
    };
    let text = |at| String::from_utf8_lossy(request.arg(at)).into_owned();
    let mut at = 1;
    while at < request.len() {
        if at + 1 == request.len() {
            return Err(SYNTAX);
        }
        if request.is(at, "SERVER") {
            question.goal.server = Some(text(at + 1));
        } else if request.is(at, "ALLOCATOR") {
            question.goal.allocator = Some(text(at + 1));
        } else if request.is(at, "CONFIG") {
            if at + 2 == request.len() || question.goal.options.len() == OPTIONS_MAX {
                return Err(SYNTAX);
            }
            let name = text(at + 1)
                .to_ascii_lowercase()
                .replace("ziplist", "listpack");
            question.goal.options.push((name, text(at + 2)));
            at += 1;
        } else if request.is(at, "LIMIT") {
            question.limit = limit(request, at + 1, LIMIT_MAX)?;
        } else if request.is(at, "FORMAT") {
            question.format = named_format(request, at + 1)?;
        } else {
            return Err(SYNTAX);
        }
        at += 2;
    }
    if question.goal == Goal::default() {
        return Err(WANTS);
    }
    Ok(question)
}

/// What one master answered.
type Told = (Arc<Master>, Found);

/// `KS.WHATIF [SERVER name] [CONFIG option value ..] [ALLOCATOR name] [LIMIT n] [FORMAT ..]`
pub(crate) async fn what_if(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let question = parse(request)?;
    let scope = session.scope()?;
    let ask = |reply| Ask::WhatIf {
        goal: question.goal.clone(),
        limit: question.limit,
        reply,
    };
    let answers = scope.ask_all(ask).await;
    let (mut told, mut refused) = (Vec::new(), Vec::new());
    for (master, answer) in &answers {
        match answer.as_ref().map(|answer| &answer.value) {
            Some(Ok(found)) => told.push((master.clone(), found.clone())),
            Some(Err(why)) => refused.push(format!("{}: {why}", master.name())),
            None => {}
        }
    }
    if let (true, Some(why)) = (told.is_empty(), refused.first()) {
        return Err(Reply::Error(format!("ERR {why}").into()));
    }
    let (fresh, _) = split(answers);
    let mut notes = refused;
    notes.extend(notes_of(&told));
    notes.extend(Strays::counted_twice(&scope, None).await.note_of_both());
    let tables = vec![
        total(&told),
        by_type(&told),
        by_encoding(&told),
        largest(&told, question.limit),
        steps(&told),
    ];
    Ok(finish(&scope, &fresh, tables, notes, question.format))
}

/// Why not all keys of a master were weighed; `None` if they were.
fn part_of(found: &Found, master: &str) -> Option<String> {
    let (seen, keys) = (found.outcome.seen, found.keys);
    let why = if seen < found.records {
        "in the time there was"
    } else if seen < keys {
        "because memory_cap left no others a record"
    } else {
        return None;
    };
    Some(format!(
        "{seen} of {keys} keys of {master} were weighed {why}; they stand for the rest"
    ))
}

fn notes_of(told: &[Told]) -> Vec<String> {
    let mut notes = Vec::new();
    let mut guesses: BTreeMap<Guess, u64> = BTreeMap::new();
    for (master, found) in told {
        for (guess, keys) in &found.outcome.guesses {
            *guesses.entry(*guess).or_default() += keys;
        }
        notes.extend(part_of(found, &master.name()));
    }
    let clauses = guesses.into_iter();
    notes.extend(clauses.map(|(guess, keys)| format!("{keys} keys {}", guess.clause())));
    let frames =
        |found: &Found| [&found.from, &found.to].map(|name| name.starts_with("valkey-8.1"));
    if told
        .iter()
        .any(|(_, found)| frames(found)[0] != frames(found)[1])
    {
        notes.push(
            "MEMORY USAGE of valkey-8.1 leaves out the names of all keys but small strings; they \
             take their bytes all the same"
                .to_owned(),
        );
    }
    notes
}

fn sum_of(told: &[Told]) -> (Changed, u64, u64) {
    let (mut sum, mut recoded, mut guessed) = (Changed::default(), 0, 0);
    for (_, found) in told {
        for row in &found.outcome.forms {
            add(&mut sum, &row.sum);
            recoded += if row.now == row.then { 0 } else { row.sum.keys };
        }
        guessed += found
            .outcome
            .guesses
            .iter()
            .map(|(_, keys)| keys)
            .sum::<u64>();
    }
    (sum, recoded, guessed)
}

fn add(sum: &mut Changed, more: &Changed) {
    sum.keys += more.keys;
    sum.now += more.now;
    sum.reload += more.reload;
    sum.then += more.then;
}

fn saving(sum: &Changed) -> Cell {
    Cell::Signed(sum.now.cast_signed().saturating_sub(sum.then.cast_signed()))
}

fn cells(sum: &Changed) -> [(&'static str, Cell); 5] {
    [
        ("keys", Cell::Count(sum.keys)),
        ("bytes_now", Cell::Count(sum.now)),
        ("bytes_reload", Cell::Count(sum.reload)),
        ("bytes_then", Cell::Count(sum.then)),
        ("saving", saving(sum)),
    ]
}

fn total(told: &[Told]) -> Table {
    let names = |of: fn(&Found) -> &String| {
        let mut names: Vec<&str> = told.iter().map(|(_, found)| of(found).as_str()).collect();
        names.sort_unstable();
        names.dedup();
        Cell::Text(names.join(","))
    };
    let (sum, recoded, guessed) = sum_of(told);
    let mut line = vec![
        ("from", names(|found| &found.from)),
        ("to", names(|found| &found.to)),
    ];
    line.extend(cells(&sum));
    line.push(("then_share", Cell::share(sum.then, sum.now)));
    line.push(("keys_recoded", Cell::Count(recoded)));
    line.push(("keys_estimated", Cell::Count(guessed)));
    Table::single("total", line)
}

fn by_type(told: &[Told]) -> Table {
    let mut sums: BTreeMap<Kind, (Changed, u64)> = BTreeMap::new();
    for row in told.iter().flat_map(|(_, found)| &found.outcome.forms) {
        let (sum, recoded) = sums.entry(row.kind).or_default();
        add(sum, &row.sum);
        *recoded += if row.now == row.then { 0 } else { row.sum.keys };
    }
    let row = |(kind, (sum, recoded)): (Kind, (Changed, u64))| {
        let mut line = vec![("type", Cell::text(kind.name()))];
        line.extend(cells(&sum));
        line.push(("keys_recoded", Cell::Count(recoded)));
        line
    };
    Table::rows("by_type", sums.into_iter().map(row).collect())
}

/// Encodings are named as from 7.0 on, listpack and not ziplist: masters may differ.
fn by_encoding(told: &[Told]) -> Table {
    let mut sums: BTreeMap<(Kind, Encoding, Encoding), Changed> = BTreeMap::new();
    for row in told.iter().flat_map(|(_, found)| &found.outcome.forms) {
        add(
            sums.entry((row.kind, row.now, row.then)).or_default(),
            &row.sum,
        );
    }
    let row = |((kind, now, then), sum): ((Kind, Encoding, Encoding), Changed)| {
        let mut line = vec![
            ("type", Cell::text(kind.name())),
            ("encoding_now", Cell::text(now.word())),
            ("encoding_then", Cell::text(then.word())),
        ];
        line.extend(cells(&sum));
        line
    };
    Table::rows("by_encoding", sums.into_iter().map(row).collect())
}

fn largest(told: &[Told], limit: usize) -> Table {
    let mut rows: Vec<(&Arc<Master>, &KeyChange)> = told
        .iter()
        .flat_map(|(master, found)| found.outcome.largest.iter().map(move |row| (master, row)))
        .collect();
    rows.sort_by(|(_, a), (_, b)| {
        let order = b.now.abs_diff(b.then).cmp(&a.now.abs_diff(a.then));
        order.then_with(|| (a.db, &a.name).cmp(&(b.db, &b.name)))
    });
    rows.truncate(limit);
    let row = |(master, row): (&Arc<Master>, &KeyChange)| {
        vec![
            ("key", Cell::Name(row.name.clone())),
            ("db", Cell::Count(u64::from(row.db))),
            ("type", Cell::text(row.kind.name())),
            ("encoding_now", Cell::text(row.encoding_now.word())),
            ("encoding_then", Cell::text(row.encoding_then.word())),
            ("bytes_now", Cell::Count(row.now)),
            ("bytes_then", Cell::Count(row.then)),
            ("master", Cell::Text(master.name())),
        ]
    };
    Table::rows("largest", rows.into_iter().map(row).collect())
}

/// What to do, once for all masters of one kind.
fn steps(told: &[Told]) -> Table {
    let mut lines: Vec<Vec<(&'static str, Cell)>> = Vec::new();
    for (_, found) in told {
        let readable = match found.path.readable {
            Readable::Same => "same",
            Readable::Yes => "yes",
            Readable::No => "no",
        };
        for step in &found.path.steps {
            let line = vec![
                ("from", Cell::text(&found.from)),
                ("to", Cell::text(&found.to)),
                ("reads_rdb", Cell::text(readable)),
                ("step", Cell::text(step)),
            ];
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    Table::rows("steps", lines)
}
