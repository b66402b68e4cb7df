//! KS.HOT: the keys, patterns, hash tags, slots and commands that are written most, by writes or by bytes.
//!
//! Everything comes from the command stream, so reads are not in it: an answer says so first. Slots
//! and commands are counted exactly. Keys and hash tags come from a sketch: a row had at least what it
//! shows and at most the error more, and what is not listed had at most what `covered` says.

use std::collections::BTreeMap;

use analyzer::heat::{By, Window, Work};
use cluster_map::Slot;

use super::hot_patterns;
use super::layout::{Cell, Format, Table};
use super::refuse::{NOT_A_NUMBER, SYNTAX};
use super::reply::Reply;
use super::report::{finish, named_format, split};
use super::request::Request;
use super::scope::Answered;
use super::session::Session;
use crate::fleet::Master;
use crate::model::analytic::Analytic;
use crate::model::ask::Ask;
use crate::model::hot::{Heated, LIMIT_MAX, Row, Subject, Wanted, What};

/// Rows by default.
const LIMIT_DEFAULT: usize = 20;

/// What every answer says first.
pub(super) const READS: &str = "writes only: reads are not in the stream, and are not seen here";

const WHAT: Reply = Reply::error("ERR KS.HOT wants KEYS, PATTERNS, HASHTAGS, SLOTS or COMMANDS");
const BY: Reply = Reply::error("ERR BY must be WRITES or BYTES");
const WINDOW: Reply = Reply::error("ERR WINDOW must be 1m, 10m or 1h");

/// What all forms of KS.HOT take: `[BY ..] [WINDOW ..] [count] [FORMAT ..]`.
pub(super) struct Options {
    pub(super) by: By,
    pub(super) window: Window,
    pub(super) limit: usize,
    pub(super) format: Format,
}

pub(super) fn parse(request: &Request) -> Result<Options, Reply> {
    let mut options = Options {
        by: By::Writes,
        window: Window::TenMinutes,
        limit: LIMIT_DEFAULT,
        format: Format::Resp,
    };
    let mut at = 2;
    while at < request.len() {
        if request.arg(at).first().is_some_and(u8::is_ascii_digit) {
            options.limit = request.number(at).ok_or(NOT_A_NUMBER)?;
            at += 1;
            continue;
        }
        if at + 1 == request.len() {
            return Err(SYNTAX);
        }
        if request.is(at, "BY") {
            options.by = by(request, at + 1)?;
        } else if request.is(at, "WINDOW") {
            options.window = window(request, at + 1)?;
        } else if request.is(at, "FORMAT") {
            options.format = named_format(request, at + 1)?;
        } else {
            return Err(SYNTAX);
        }
        at += 2;
    }
    options.limit = options.limit.clamp(1, LIMIT_MAX);
    Ok(options)
}

fn what(request: &Request) -> Result<What, Reply> {
    let names = [
        ("KEYS", What::Keys),
        ("HASHTAGS", What::HashTags),
        ("SLOTS", What::Slots),
        ("COMMANDS", What::Commands),
    ];
    let found = names.into_iter().find(|(name, _)| request.is(1, name));
    found.map(|(_, what)| what).ok_or(WHAT)
}

/// WRITES or BYTES.
pub(super) fn by(request: &Request, at: usize) -> Result<By, Reply> {
    match (request.is(at, "WRITES"), request.is(at, "BYTES")) {
        (true, _) => Ok(By::Writes),
        (_, true) => Ok(By::Bytes),
        (false, false) => Err(BY),
    }
}

/// A span of time by its name.
pub(super) fn window(request: &Request, at: usize) -> Result<Window, Reply> {
    let names = [
        ("1m", Window::Minute),
        ("10m", Window::TenMinutes),
        ("1h", Window::Hour),
    ];
    let found = names.into_iter().find(|(name, _)| request.is(at, name));
    found.map(|(_, window)| window).ok_or(WINDOW)
}

/// A row and whose it is; what is summed over masters is nobody's.
type Owned<'a> = (Row, Option<&'a Master>);

/// KS.HOT <KEYS | HASHTAGS | SLOTS | COMMANDS> [BY ..] [WINDOW ..] [count] [FORMAT ..]
pub(crate) async fn hot(session: &Session, request: &Request) -> Result<Reply, Reply> {
    if request.is(1, "PATTERNS") {
        return hot_patterns::hot_patterns(session, request).await;
    }
    let what = what(request)?;
    let options = parse(request)?;
    let format = options.format;
    let wanted = Wanted {
        what,
        by: options.by,
        window: options.window,
        limit: options.limit,
    };
    let scope = session.scope()?;
    let ask = |reply| Ask::Analytic(Analytic::Hot { wanted, reply });
    let answers = scope.ask_all(ask).await;
    let covered = covered(&answers);
    let answered = answers
        .iter()
        .filter_map(|(m, a)| Some((m, &a.as_ref()?.value)));
    let seconds = answered.clone().map(|(_, heated)| heated.covered_ms).max();
    let rows = answered.flat_map(|(master, heated)| {
        let rows = heated.rows.iter().cloned();
        rows.map(|row| (row, Some(&**master)))
    });
    let mut rows: Vec<Owned<'_>> = match wanted.what {
        What::Commands => summed(rows.map(|(row, _)| row)),
        What::Keys | What::HashTags | What::Slots => rows.collect(),
    };
    let all = rows.iter().map(|(row, _)| row.work.by(wanted.by));
    let total = match wanted.what {
        What::Keys | What::HashTags => totals(&answers).by(wanted.by),
        What::Slots | What::Commands => all.sum(),
    };
    rows.sort_by(|(a, x), (b, y)| {
        let order = b.work.by(wanted.by).cmp(&a.work.by(wanted.by));
        let name = |m: &Option<&Master>| m.map(|master| master.id);
        order.then_with(|| (&a.subject, name(x)).cmp(&(&b.subject, name(y))))
    });
    rows.truncate(wanted.limit);
    let notes = notes(&wanted, &rows, &answers);
    let shown = rows.into_iter().map(|(row, master)| {
        let share = Cell::share(row.work.by(wanted.by), total);
        show(&wanted, row, master, (share, seconds.unwrap_or(0)))
    });
    let tables = vec![covered, Table::rows("hot", shown.collect())];
    let (fresh, _) = split(answers);
    Ok(finish(&scope, &fresh, tables, notes, format))
}

fn totals(answers: &[Answered<Heated>]) -> Work {
    let all = answers.iter().filter_map(|(_, answer)| answer.as_ref());
    all.fold(Work::default(), |sum, answer| Work {
        writes: sum.writes.saturating_add(answer.value.total.writes),
        bytes: sum.bytes.saturating_add(answer.value.total.bytes),
    })
}

/// The same command of several masters as one row.
fn summed<'a>(rows: impl Iterator<Item = Row>) -> Vec<Owned<'a>> {
    let mut sums: BTreeMap<Subject, Row> = BTreeMap::new();
    for row in rows {
        match sums.get_mut(&row.subject) {
            Some(sum) => {
                sum.work.writes = sum.work.writes.saturating_add(row.work.writes);
                sum.work.bytes = sum.work.bytes.saturating_add(row.work.bytes);
            }
            None => {
                sums.insert(row.subject.clone(), row);
            }
        }
    }
    sums.into_values().map(|row| (row, None)).collect()
}

/// Which time the answer is about, by master.
fn covered(answers: &[Answered<Heated>]) -> Table {
    let row = |(master, answer): &Answered<Heated>| {
        let heated = &answer.as_ref()?.value;
        let ms = heated.covered_ms;
        Some(vec![
            ("master", Cell::Text(master.name())),
            ("covered_s", Cell::per(ms, 1000)),
            ("writes", Cell::Count(heated.total.writes)),
            ("writes_per_s", per_second(heated.total.writes, ms)),
            ("bytes", Cell::Count(heated.total.bytes)),
            ("bytes_per_s", per_second(heated.total.bytes, ms)),
            ("unlisted_writes_max", Cell::Count(heated.unlisted.writes)),
            ("unlisted_bytes_max", Cell::Count(heated.unlisted.bytes)),
        ])
    };
    Table::rows("covered", answers.iter().filter_map(row).collect())
}

fn per_second(count: u64, ms: u64) -> Cell {
    Cell::per(count.saturating_mul(1000), ms)
}

fn show(
    wanted: &Wanted,
    row: Row,
    master: Option<&Master>,
    (share, ms): (Cell, u64),
) -> Vec<(&'static str, Cell)> {
    let Row { work, error, .. } = row;
    let is_sketched = match wanted.what {
        What::Keys | What::HashTags => true,
        What::Slots | What::Commands => false,
    };
    let mut cells = subject(wanted.what, row.subject);
    cells.push(("writes", Cell::Count(work.writes)));
    if is_sketched {
        cells.push(("writes_error", Cell::Count(error.writes)));
    }
    cells.push(("share", share));
    cells.push(("writes_per_s", per_second(work.writes, ms)));
    cells.push(("written_bytes", Cell::Count(work.bytes)));
    if is_sketched {
        cells.push(("written_bytes_error", Cell::Count(error.bytes)));
    }
    cells.push(("written_bytes_per_s", per_second(work.bytes, ms)));
    if let What::Keys | What::Slots = wanted.what {
        let memory = row.memory.filter(|bytes| *bytes > 0);
        cells.push(("bytes", row.memory.map_or(Cell::Nothing, Cell::Count)));
        let ratio = memory.map_or(Cell::Nothing, |bytes| Cell::per(work.bytes, bytes));
        cells.push(("amplification", ratio));
    }
    if let What::Keys = wanted.what {
        cells.push(("rewrites", Cell::Count(row.rewrites.times)));
        cells.push(("rewritten_bytes", Cell::Count(row.rewrites.bytes)));
        cells.push(("rewrites_changed_bytes", Cell::Count(row.rewrites.changed)));
    }
    if let Some(master) = master {
        cells.push(("master", Cell::Text(master.name())));
    }
    cells
}

fn subject(what: What, subject: Subject) -> Vec<(&'static str, Cell)> {
    match subject {
        Subject::Named(db, name, name_len) => {
            let is_whole = name.len() as u64 == name_len;
            let slot = is_whole.then(|| Slot::of(&name).number());
            let title = match what {
                What::HashTags => "hashtag",
                What::Keys | What::Slots | What::Commands => "key",
            };
            let mut cells = vec![
                (title, Cell::Name(name)),
                ("name_bytes", Cell::Count(name_len)),
                ("db", Cell::Count(db.into())),
            ];
            if let What::HashTags = what {
                let slot = slot.map_or(Cell::Nothing, |slot| Cell::Count(slot.into()));
                cells.push(("slot", slot));
            }
            cells
        }
        Subject::Slot(slot) => vec![("slot", Cell::Count(slot.into()))],
        Subject::Command(name) if name.is_empty() => vec![("command", Cell::text("(unknown)"))],
        Subject::Command(name) => vec![("command", Cell::Text(name))],
    }
}

fn notes(wanted: &Wanted, rows: &[Owned<'_>], answers: &[Answered<Heated>]) -> Vec<String> {
    let mut notes = vec![READS.to_owned()];
    let is_cut = |(row, _): &Owned<'_>| match &row.subject {
        Subject::Named(_, name, len) => name.len() as u64 != *len,
        Subject::Slot(_) | Subject::Command(_) => false,
    };
    if rows.iter().any(is_cut) {
        notes.push("of names longer than 128 bytes only the beginning is kept".to_owned());
    }
    match wanted.what {
        What::Keys | What::HashTags => notes.push(
            "a row had at least what it shows, and its error more at most; what is not listed, or \
             lost its place in between, had at most what `covered` says"
                .to_owned(),
        ),
        What::Slots if rows.is_empty() && totals(answers).writes > 0 => notes.push(
            "writes are counted by slot where the server is in cluster mode; no such one is here"
                .to_owned(),
        ),
        What::Slots | What::Commands => {}
    }
    notes
}
