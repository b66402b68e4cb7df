//! KS.HOT: the keys, patterns, hash tags, slots and commands that are written most, by writes or by bytes.
//!
//! Everything comes from the command stream, so reads are not in it: an answer says so first. Slots
//! and commands are counted exactly. Keys and hash tags come from a sketch: a row had at least what it
//! shows and at most the error more, and what is not listed had at most what `covered` says.

use std::collections::BTreeMap;

use analyzer::heat::{By, Window, Work};
use cluster_map::Slot;

use super::hot_patterns;
use super::layout::{Cell, Format, Table, per_second};
use super::refuse::{NOT_A_NUMBER, SYNTAX};
use super::reply::Reply;
use super::report::{finish, named_format, split};
use super::request::Request;
use super::scope::Answered;
use super::session::Session;
use crate::fleet::{Master, MasterId};
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

/// What all forms of KS.HOT take: `[BY ..] [WINDOW ..] [count | LIMIT count] [FORMAT ..]`.
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
        if request.is(at, "LIMIT") {
            options.limit = request.number(at + 1).ok_or(NOT_A_NUMBER)?;
        } else if request.is(at, "BY") {
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

/// A row with its rates, and whose it is; what is summed over masters is nobody's.
struct Owned<'a> {
    row: Row,
    /// Each by the time that its own master's window covers: masters are followed for different times.
    writes_per_s: Option<f64>,
    bytes_per_s: Option<f64>,
    master: Option<&'a Master>,
}

impl<'a> Owned<'a> {
    fn new(row: &Row, covered_ms: u64, master: &'a Master) -> Owned<'a> {
        Owned {
            row: row.clone(),
            writes_per_s: per_second(row.work.writes, covered_ms),
            bytes_per_s: per_second(row.work.bytes, covered_ms),
            master: Some(master),
        }
    }
}

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
    let answered = answers
        .iter()
        .filter_map(|(m, a)| Some((m, &a.as_ref()?.value)));
    let rows = answered.flat_map(|(master, heated)| {
        let rows = heated.rows.iter();
        rows.map(|row| Owned::new(row, heated.covered_ms, master))
    });
    let mut rows: Vec<Owned<'_>> = match wanted.what {
        What::Commands => summed(rows),
        What::Keys | What::HashTags | What::Slots => rows.collect(),
    };
    let all = rows.iter().map(|own| own.row.work.by(wanted.by));
    let total = match wanted.what {
        What::Keys | What::HashTags => totals(&answers).by(wanted.by),
        What::Slots | What::Commands => all.sum(),
    };
    rows.sort_by(|a, b| {
        let work = |own: &Owned<'_>| own.row.work.by(wanted.by);
        let name = |own: &Owned<'_>| own.master.map(|master| master.id);
        let order = work(b).cmp(&work(a));
        order.then_with(|| (&a.row.subject, name(a)).cmp(&(&b.row.subject, name(b))))
    });
    let cut = rows.split_off(wanted.limit.min(rows.len()));
    let covered = covered(&answers, &most(&cut));
    let notes = notes(&wanted, &rows, &answers);
    let shown = rows.into_iter().map(|own| {
        let share = Cell::share(own.row.work.by(wanted.by), total);
        show(&wanted, own, share)
    });
    let tables = vec![covered, Table::rows("hot", shown.collect())];
    let (fresh, _) = split(answers);
    Ok(finish(&scope, &fresh, tables, notes, format))
}

fn totals(answers: &[Answered<Heated>]) -> Work {
    let all = answers.iter().filter_map(|(_, answer)| answer.as_ref());
    all.fold(Work::default(), |sum, answer| sum.plus(answer.value.total))
}

/// The most that any of these rows can have had, by master.
fn most(rows: &[Owned<'_>]) -> BTreeMap<Option<MasterId>, Work> {
    let mut most: BTreeMap<Option<MasterId>, Work> = BTreeMap::new();
    for own in rows {
        let upper = own.row.work.plus(own.row.error);
        let most = most.entry(own.master.map(|master| master.id)).or_default();
        *most = most.max(upper);
    }
    most
}

/// The same command of several masters as one row.
fn summed<'a>(rows: impl Iterator<Item = Owned<'a>>) -> Vec<Owned<'a>> {
    let both = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (one, other) => one.or(other),
    };
    let mut sums: BTreeMap<Subject, Owned<'a>> = BTreeMap::new();
    for own in rows {
        let own = Owned {
            master: None,
            ..own
        };
        match sums.get_mut(&own.row.subject) {
            Some(sum) => {
                sum.row.work = sum.row.work.plus(own.row.work);
                sum.writes_per_s = both(sum.writes_per_s, own.writes_per_s);
                sum.bytes_per_s = both(sum.bytes_per_s, own.bytes_per_s);
            }
            None => {
                sums.insert(own.row.subject.clone(), own);
            }
        }
    }
    sums.into_values().collect()
}

/// Which time the answer is about, by master, and what `cut` and all else that is not shown had at most.
fn covered(answers: &[Answered<Heated>], cut: &BTreeMap<Option<MasterId>, Work>) -> Table {
    let row = |(master, answer): &Answered<Heated>| {
        let heated = &answer.as_ref()?.value;
        // What is summed over masters is nobody's, and none had more of it than all of them.
        let cut = [Some(master.id), None].map(|id| cut.get(&id).copied().unwrap_or_default());
        let unlisted = heated.unlisted.max(cut[0]).max(cut[1]);
        let ms = heated.covered_ms;
        Some(vec![
            ("master", Cell::Text(master.name())),
            ("covered_s", Cell::per(ms, 1000)),
            ("writes", Cell::Count(heated.total.writes)),
            ("writes_per_s", rate(heated.total.writes, ms)),
            ("bytes", Cell::Count(heated.total.bytes)),
            ("bytes_per_s", rate(heated.total.bytes, ms)),
            ("unlisted_writes_max", Cell::Count(unlisted.writes)),
            ("unlisted_bytes_max", Cell::Count(unlisted.bytes)),
        ])
    };
    Table::rows("covered", answers.iter().filter_map(row).collect())
}

fn rate(count: u64, ms: u64) -> Cell {
    Cell::rate(per_second(count, ms))
}

fn show(wanted: &Wanted, own: Owned<'_>, share: Cell) -> Vec<(&'static str, Cell)> {
    let row = own.row;
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
    cells.push(("writes_per_s", Cell::rate(own.writes_per_s)));
    cells.push(("written_bytes", Cell::Count(work.bytes)));
    if is_sketched {
        cells.push(("written_bytes_error", Cell::Count(error.bytes)));
    }
    cells.push(("written_bytes_per_s", Cell::rate(own.bytes_per_s)));
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
    if let Some(master) = own.master {
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
    let is_cut = |own: &Owned<'_>| match &own.row.subject {
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

#[cfg(test)]
mod tests {
    use super::*;
    use analyzer::heat::Rewrites;

    fn command(name: &str, writes: u64, covered_ms: u64) -> Owned<'static> {
        let work = Work { writes, bytes: 0 };
        Owned {
            row: Row {
                subject: Subject::Command(name.to_owned()),
                work,
                error: Work::default(),
                rewrites: Rewrites::default(),
                memory: None,
            },
            writes_per_s: per_second(writes, covered_ms),
            bytes_per_s: per_second(0, covered_ms),
            master: None,
        }
    }

    /// A master of ten minutes beside one of thirty seconds, and one that has only begun.
    #[test]
    fn rates_are_those_of_each_masters_own_time() {
        let rows = [
            command("SET", 6_000, 600_000),
            command("SET", 600, 30_000),
            command("SET", 1, 0),
            command("DEL", 60, 30_000),
        ];
        let sums = summed(rows.into_iter());
        let told: Vec<_> = sums
            .iter()
            .map(|own| (own.row.work.writes, own.writes_per_s))
            .collect();
        assert_eq!(told, [(60, Some(2.0)), (6_601, Some(30.0))]);
    }

    /// Neither of two rows that are cut need be the first in both.
    #[test]
    fn what_is_cut_had_at_most_what_it_shows_and_its_error() {
        let error = Work {
            writes: 2,
            bytes: 9,
        };
        let mut rows = [command("SET", 60, 0), command("DEL", 61, 0)];
        rows[0].row.error = error;
        let most = most(&rows);
        let upper = Work {
            writes: 62,
            bytes: 9,
        };
        assert_eq!(most.into_iter().collect::<Vec<_>>(), [(None, upper)]);
    }
}
