//! Our own verbs: KS.HELP, KS.NODES, KS.SUMMARY and KS.TOP.
//!
//! Every report begins with how fresh it is, master by master, and says in words what keeps it from
//! being the whole truth. It is built once, as [`Report`], and shown in three ways: RESP (maps, flat
//! arrays in RESP2), an aligned table (FORMAT TEXT), JSON (FORMAT JSON).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::info;
use super::keys;
use super::layout::{Cell, Format, Report, Table};
use super::points::doubt;
use super::port::Port;
use super::refuse::{NOT_A_NUMBER, SYNTAX};
use super::reply::Reply;
use super::request::Request;
use super::session::Session;
use super::table;
use crate::fleet::{Loss, Master, State, Status};
use crate::model::ask::{
    Answer, Ask, DbTotal, Filter, Freshness, Generation, Measure, Row, TOP_MAX, Total,
};

/// Rows of KS.TOP by default.
const TOP_DEFAULT: usize = 20;

pub(crate) fn help(_: &mut Session, _: &Request) -> Reply {
    let mut lines = Vec::new();
    for row in table::top_level().filter(|row| row.group == "analytics") {
        let usage = format!("{} {}", row.name.to_uppercase(), row.syntax);
        lines.push(Reply::Simple(usage.trim_end().to_owned().into()));
        lines.push(Reply::Simple(format!("    {}", row.summary).into()));
    }
    Reply::Array(lines)
}

/// `[FORMAT <TEXT | JSON>]` at `at`, and nothing behind it.
fn format(request: &Request, at: usize) -> Result<Format, Reply> {
    match request.len() - at {
        0 => Ok(Format::Resp),
        2 if request.is(at, "FORMAT") => named_format(request, at + 1),
        _ => Err(SYNTAX),
    }
}

fn named_format(request: &Request, at: usize) -> Result<Format, Reply> {
    if request.is(at, "TEXT") {
        Ok(Format::Text)
    } else if request.is(at, "JSON") {
        Ok(Format::Json)
    } else {
        Err(Reply::error("ERR FORMAT must be TEXT or JSON"))
    }
}

/// How fresh an answer is: one row per master, and the notes that follow from them.
fn freshness(answers: &[(Arc<Master>, Option<Freshness>)]) -> (Table, Vec<String>) {
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    if answers.is_empty() {
        notes.push("no master is configured".to_owned());
    }
    for (master, fresh) in answers {
        let status = master.status();
        notes.extend(note(master, fresh.as_ref(), &status));
        let (replid, offset) = match fresh {
            Some(fresh) => (fresh.replid.to_string(), fresh.offset),
            None => (status.replid.to_string(), status.offset),
        };
        let generation = fresh
            .as_ref()
            .map_or("silent", |fresh| fresh.generation.name());
        rows.push(vec![
            ("master", Cell::Text(master.name())),
            ("state", Cell::text(status.state.name())),
            ("model", Cell::text(generation)),
            ("replid", Cell::Text(replid)),
            ("offset", Cell::Count(offset)),
            ("lag_bytes", Cell::Count(status.lag_bytes)),
            ("lag_ms", Cell::Count(status.lag_ms)),
            ("exact", Cell::Bool(exact(fresh.as_ref(), &status))),
        ]);
    }
    (Table::rows("freshness", rows), notes)
}

/// True if every fact about this master's keys is what the master would say at the answer's offset.
fn exact(fresh: Option<&Freshness>, status: &Status) -> bool {
    fresh.is_some_and(|fresh| fresh.generation.loaded())
        && status.inexact == 0
        && status.unverified == 0
}

/// What keeps one master's part from being the whole truth, in a sentence.
fn note(master: &Master, fresh: Option<&Freshness>, status: &Status) -> Vec<String> {
    let name = &master.name();
    let Some(fresh) = fresh else {
        return vec![format!(
            "the model of {name} does not answer; its keys are missing here"
        )];
    };
    let mut notes = Vec::new();
    match fresh.generation {
        Generation::Current => {}
        Generation::Empty => notes.push(format!(
            "nothing was ever loaded from {name} ({}); its keys are missing here",
            state(status)
        )),
        Generation::Loading => notes.push(format!(
            "{name} is being loaded ({}); its keys are missing here",
            state(status)
        )),
        Generation::Lagging => notes.push(format!(
            "{name} is not followed at the moment ({}); its keys are as of offset {}",
            state(status),
            fresh.offset
        )),
    }
    if status.lag_bytes > 0 && fresh.generation == Generation::Current {
        notes.push(format!(
            "{name} is {} bytes ahead of its model",
            status.lag_bytes
        ));
    }
    if status.inexact > 0 {
        notes.push(format!(
            "{} keys of {name} wait to be read again",
            status.inexact
        ));
    }
    if status.unverified > 0 {
        notes.push(format!(
            "{} keys of {name} wait for their encoding",
            status.unverified
        ));
    }
    notes
}

/// The state of a link with its reason or progress.
fn state(status: &Status) -> String {
    let reason = |word: &str, loss: Loss| format!("{word}: {}", loss.name());
    match &status.state {
        State::Loading { keys, bytes, total } => match total {
            Some(total) => format!("loading: {keys} keys, {bytes} of {total} bytes"),
            None => format!("loading: {keys} keys, {bytes} bytes"),
        },
        State::Lost {
            reason: loss,
            retry_in_ms,
        } => {
            format!(
                "{}, next attempt in {retry_in_ms} ms",
                reason("lost", *loss)
            )
        }
        State::Failed { reason: loss } => reason("failed", *loss),
        State::Connecting | State::Waiting | State::Synced => status.state.name().to_owned(),
    }
}

fn finish(
    answers: &[(Arc<Master>, Option<Freshness>)],
    tables: Vec<Table>,
    format: Format,
) -> Reply {
    let (fresh, notes) = freshness(answers);
    let mut all = vec![fresh];
    all.extend(tables);
    Report { notes, tables: all }.show(format)
}

pub(crate) async fn nodes(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let format = format(request, 1)?;
    let answers = fresh_only(session.port.ask_all(|reply| Ask::Dbs { reply }).await);
    let rows = session
        .port
        .fleet
        .masters()
        .iter()
        .map(|master| node(master))
        .collect();
    Ok(finish(&answers, vec![Table::rows("nodes", rows)], format))
}

fn node(master: &Master) -> Vec<(&'static str, Cell)> {
    let status = master.status();
    let version = status.server.as_ref().map_or_else(String::new, |server| {
        let v = server.version;
        format!("{:?} {}.{}.{}", server.family, v.major, v.minor, v.patch)
    });
    let memory = status.server.as_ref().and_then(|server| server.used_memory);
    vec![
        ("master", Cell::Text(master.name())),
        ("server", Cell::Text(version)),
        ("role", Cell::text(status.role.name())),
        ("state", Cell::Text(state(&status))),
        ("keys", Cell::Count(status.keys)),
        ("model_bytes", Cell::Count(status.model_bytes)),
        ("used_memory", memory.map_or(Cell::Nothing, Cell::Count)),
        ("inexact", Cell::Count(status.inexact)),
        ("unverified", Cell::Count(status.unverified)),
        ("profile", Cell::text(info::profile(&status))),
        ("full_syncs", Cell::Count(status.counters.full_syncs)),
        ("partial_syncs", Cell::Count(status.counters.partial_syncs)),
        ("drops", Cell::Count(status.counters.drops.values().sum())),
        (
            "unknown_commands",
            Cell::Count(status.counters.unknown_commands),
        ),
        ("loaded_at_ms", Cell::Count(status.loaded_ms)),
        ("load_took_ms", Cell::Count(status.load_took_ms)),
        ("last_error", Cell::text(&status.last_error)),
    ]
}

/// Every master with the freshness of its answer; `None` if it did not answer.
type Sources = Vec<(Arc<Master>, Option<Freshness>)>;

type Answers<T> = Vec<(Arc<Master>, Option<Answer<T>>)>;

fn fresh_only<T>(answers: Answers<T>) -> Sources {
    split(answers).0
}

/// The freshness of every answer, and what was answered.
fn split<T>(answers: Answers<T>) -> (Sources, Vec<T>) {
    let mut values = Vec::new();
    let fresh = answers
        .into_iter()
        .map(|(master, answer)| match answer {
            None => (master, None),
            Some(answer) => {
                values.push(answer.value);
                (master, Some(answer.fresh))
            }
        })
        .collect();
    (fresh, values)
}

/// Keys, bytes and elements of a group of keys.
#[derive(Clone, Copy, Default)]
struct Sum {
    keys: u64,
    bytes: u64,
    elements: u64,
}

impl Sum {
    fn add(&mut self, total: &Total) {
        self.keys += total.keys;
        self.bytes += total.memory;
        self.elements += total.elements;
    }

    fn cells(self) -> [(&'static str, Cell); 4] {
        [
            ("keys", Cell::Count(self.keys)),
            ("bytes", Cell::Count(self.bytes)),
            (
                "bytes_per_key",
                Cell::Count(self.bytes.checked_div(self.keys).unwrap_or(0)),
            ),
            ("elements", Cell::Count(self.elements)),
        ]
    }
}

pub(crate) async fn summary(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let format = format(request, 1)?;
    let port = &session.port;
    let (dbs, totals) = tokio::join!(
        port.ask_all(|reply| Ask::Dbs { reply }),
        port.ask_all(|reply| Ask::Totals { reply }),
    );
    let (_, dbs) = split(dbs);
    let (fresh, totals) = split(totals);
    let totals: Vec<Total> = totals.into_iter().flatten().collect();
    let tables = vec![
        whole(port, &totals),
        by_db(dbs.into_iter().flatten()),
        by_type(&totals),
        by_encoding(&totals),
    ];
    Ok(finish(&fresh, tables, format))
}

fn whole(port: &Port, totals: &[Total]) -> Table {
    let mut sum = Sum::default();
    totals.iter().for_each(|total| sum.add(total));
    let model: u64 = port
        .fleet
        .masters()
        .iter()
        .map(|m| m.status().model_bytes)
        .sum();
    let mut cells = sum.cells()[..3].to_vec();
    cells.push(("model_bytes", Cell::Count(model)));
    cells.push((
        "model_bytes_per_key",
        Cell::Count(model.checked_div(sum.keys).unwrap_or(0)),
    ));
    Table::single("total", cells)
}

fn by_db(dbs: impl Iterator<Item = DbTotal>) -> Table {
    let mut sums: BTreeMap<u32, DbTotal> = BTreeMap::new();
    for total in dbs {
        info::add(sums.entry(total.db).or_default(), &total);
    }
    let row = |total: DbTotal| {
        vec![
            ("db", Cell::Count(u64::from(total.db))),
            ("keys", Cell::Count(total.keys)),
            ("bytes", Cell::Count(total.memory)),
            ("expires", Cell::Count(total.expires)),
            ("avg_ttl_ms", Cell::Count(total.avg_ttl_ms)),
        ]
    };
    Table::rows("by_db", sums.into_values().map(row).collect())
}

fn by_type(totals: &[Total]) -> Table {
    let all: u64 = totals.iter().map(|total| total.memory).sum();
    let mut sums: BTreeMap<_, Sum> = BTreeMap::new();
    for total in totals {
        sums.entry(total.kind).or_default().add(total);
    }
    let row = |(kind, sum): (analyzer::value::Kind, Sum)| {
        let mut cells = vec![("type", Cell::text(kind.name()))];
        cells.extend(sum.cells());
        cells.push(("bytes_share", Cell::share(sum.bytes, all)));
        cells
    };
    Table::rows("by_type", sums.into_iter().map(row).collect())
}

fn by_encoding(totals: &[Total]) -> Table {
    let mut sums: BTreeMap<_, Sum> = BTreeMap::new();
    for total in totals {
        let group = (total.kind, total.encoding_name);
        sums.entry(group).or_default().add(total);
    }
    let row = |((kind, encoding), sum): ((analyzer::value::Kind, &str), Sum)| {
        let mut cells = vec![
            ("type", Cell::text(kind.name())),
            ("encoding", Cell::text(encoding)),
        ];
        cells.extend(sum.cells());
        cells
    };
    Table::rows("by_encoding", sums.into_iter().map(row).collect())
}

/// The options of a KS.TOP.
struct Top {
    by: Measure,
    count: usize,
    filter: Filter,
    format: Format,
}

fn parse_top(request: &Request) -> Result<Top, Reply> {
    let by = if request.is(1, "BYTES") {
        Measure::Bytes
    } else if request.is(1, "ELEMENTS") {
        Measure::Elements
    } else {
        return Err(Reply::error("ERR KS.TOP wants BYTES or ELEMENTS"));
    };
    let mut top = Top {
        by,
        count: TOP_DEFAULT,
        filter: Filter::default(),
        format: Format::Resp,
    };
    let mut at = 2;
    if request.arg(2).first().is_some_and(u8::is_ascii_digit) {
        let count: usize = request.number(2).ok_or(NOT_A_NUMBER)?;
        top.count = count.clamp(1, TOP_MAX);
        at = 3;
    }
    while at < request.len() {
        if at + 1 == request.len() {
            return Err(SYNTAX);
        }
        if request.is(at, "TYPE") {
            let kind = keys::kind(request.arg(at + 1));
            top.filter.kind = Some(kind.ok_or(Reply::error("ERR no such type"))?);
        } else if request.is(at, "MATCH") {
            top.filter.glob = Some(request.arg(at + 1).to_vec());
        } else if request.is(at, "FORMAT") {
            top.format = named_format(request, at + 1)?;
        } else {
            return Err(SYNTAX);
        }
        at += 2;
    }
    Ok(top)
}

pub(crate) async fn top(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let top = parse_top(request)?;
    let ask = |reply| Ask::Top {
        by: top.by,
        k: top.count,
        filter: top.filter.clone(),
        reply,
    };
    let answers = session.port.ask_all(ask).await;
    let mut rows: Vec<(Row, String)> = Vec::new();
    let mut fresh = Vec::new();
    for (master, answer) in answers {
        let name = master.name();
        fresh.push((master, answer.as_ref().map(|answer| answer.fresh.clone())));
        let own = answer.into_iter().flat_map(|answer| answer.value);
        rows.extend(own.map(|row| (row, name.clone())));
    }
    let measure = |row: &Row| match top.by {
        Measure::Bytes => row.facts.memory,
        Measure::Elements => row.facts.count,
    };
    rows.sort_by(|(a, _), (b, _)| {
        let order = measure(b).cmp(&measure(a));
        order.then_with(|| (a.db, &a.key).cmp(&(b.db, &b.key)))
    });
    rows.truncate(top.count);
    let rows = rows
        .into_iter()
        .map(|(row, master)| top_row(row, master))
        .collect();
    Ok(finish(&fresh, vec![Table::rows("top", rows)], top.format))
}

fn top_row(row: Row, master: String) -> Vec<(&'static str, Cell)> {
    vec![
        ("key", Cell::Name(row.key)),
        ("db", Cell::Count(u64::from(row.db))),
        ("type", Cell::text(row.facts.kind.name())),
        ("encoding", Cell::text(row.facts.encoding_name)),
        ("bytes", Cell::Count(row.facts.memory)),
        ("elements", Cell::Count(row.facts.count)),
        ("inexact", Cell::text(doubt(&row.facts))),
        ("master", Cell::Text(master)),
    ]
}
