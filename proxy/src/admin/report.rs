//! Our own verbs: KS.HELP, KS.SUMMARY and KS.TOP; what all reports share.
//!
//! Every report begins with how fresh it is, master by master, and says in words what keeps it from
//! being the whole truth. It is built once, as [`Report`], and shown in three ways: RESP (maps, flat
//! arrays in RESP2), an aligned table (FORMAT TEXT), JSON (FORMAT JSON).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cluster_map::Slot;

use super::bridge;
use super::info;
use super::keys;
use super::layout::{Cell, Format, Report, Table};
use super::points::doubt;
use super::refuse::{NOT_A_NUMBER, SYNTAX};
use super::reply::Reply;
use super::request::Request;
use super::scope::{Answered, Scope};
use super::session::Session;
use super::strays::{Hidden, Strays};
use super::table;
use crate::fleet::{Loss, Master, State, Status};
use crate::model::ask::{
    Ask, DbTotal, Filter, Freshness, Generation, Measure, Row, TOP_MAX, Total,
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
pub(crate) fn format(request: &Request, at: usize) -> Result<Format, Reply> {
    match request.len() - at {
        0 => Ok(Format::Resp),
        2 if request.is(at, "FORMAT") => named_format(request, at + 1),
        _ => Err(SYNTAX),
    }
}

/// Takes the options from `from` on, each a word with one value behind it: `take` is given the place
/// of the word.
pub(crate) fn pairs(
    request: &Request,
    from: usize,
    mut take: impl FnMut(usize) -> Result<(), Reply>,
) -> Result<(), Reply> {
    for at in (from..request.len()).step_by(2) {
        if at + 1 == request.len() {
            return Err(SYNTAX);
        }
        take(at)?;
    }
    Ok(())
}

/// The number at a place, or the most that is allowed if it is more.
pub(crate) fn limit(request: &Request, at: usize, most: usize) -> Result<usize, Reply> {
    let limit: usize = request.number(at).ok_or(NOT_A_NUMBER)?;
    Ok(limit.min(most))
}

pub(crate) fn named_format(request: &Request, at: usize) -> Result<Format, Reply> {
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
            ("cluster", Cell::text(&master.cluster)),
            ("shard", Cell::text(&master.shard)),
            ("state", Cell::text(status.state.name())),
            ("model", Cell::text(generation)),
            ("replid", Cell::Text(replid)),
            ("offset", Cell::Count(offset)),
            ("lag_bytes", Cell::Count(status.lag_bytes)),
            ("lag_ms", Cell::Count(status.lag_ms)),
            ("exact", Cell::Bool(exact(fresh.as_ref(), &status))),
            ("detail", Cell::text(detail(&status))),
        ]);
    }
    (Table::rows("freshness", rows), notes)
}

/// True if every fact about this master's keys is what the master would say at the answer's offset.
fn exact(fresh: Option<&Freshness>, status: &Status) -> bool {
    fresh.is_some_and(|fresh| fresh.generation.loaded())
        && status.inexact == 0
        && status.unverified == 0
        && status.unsized_keys == 0
        && info::memory_as(status).is_none()
        && !status.detail.is_degraded()
}

/// How much detail a model has.
pub(crate) fn detail(status: &Status) -> &'static str {
    match (status.detail.one_in > 1, status.detail.bare > 0) {
        (true, _) => "sums",
        (false, true) => "counts",
        (false, false) => "all",
    }
}

/// What was given up of a model for want of memory, and what that makes an estimate.
fn given_up(name: &str, status: &Status) -> Vec<String> {
    let detail = status.detail;
    let mut notes = Vec::new();
    if detail.one_in > 1 {
        notes.push(format!(
            "memory_cap: of {name} one key in {} has a record, {} others are in the sums only; sums by type, pattern, slot \
             and expiry are estimates, the number of keys is the master's own of the last second",
            detail.one_in, detail.folded
        ));
    }
    if detail.bare > 0 {
        notes.push(format!(
            "memory_cap: {} collections of {name} have no element records; their counts are asked for, their bytes are \
             estimates once they are written",
            detail.bare
        ));
    }
    notes
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
    notes.extend(given_up(name, status));
    if let Some(known) = info::memory_as(status) {
        notes.push(format!(
            "how {name} lays out its keys is not known yet; bytes are those of {known}"
        ));
    }
    if status.unsized_keys > 0 {
        notes.push(format!(
            "the bytes of {} keys of {name} are guessed until they are asked for \
             ([reread] sizes_per_s_max): the snapshot or a write leaves them open",
            status.unsized_keys
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
pub(crate) fn state(status: &Status) -> String {
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

pub(crate) fn finish(
    scope: &Scope,
    answers: &Sources,
    tables: Vec<Table>,
    notes: Vec<String>,
    format: Format,
) -> Reply {
    let (fresh, mut all_notes) = freshness(answers);
    if scope.masters.is_empty() && scope.deployments.is_empty() {
        all_notes.push("no master is configured".to_owned());
    }
    // Masters that were asked have notes of their own.
    let mut absent = scope.absent();
    if !absent.is_empty() {
        let asked: BTreeSet<String> = scope.masters.iter().map(|m| m.name()).collect();
        absent.retain(|absent| !asked.contains(&*absent.name));
    }
    let absent = absent.into_iter();
    all_notes.extend(absent.map(|a| format!("{} is {}; its keys are missing here", a.name, a.why)));
    all_notes.extend(unowned(scope));
    all_notes.extend(notes);
    let mut all = vec![fresh];
    all.extend(tables);
    Report {
        notes: all_notes,
        tables: all,
    }
    .show(format)
}

/// Masters that other instances follow, by deployment.
fn unowned(scope: &Scope) -> Vec<String> {
    let several = scope.deployments.iter().filter(|_| !scope.is_single());
    let others = several.map(|d| (d.label.clone(), d.view().unowned));
    let others = others.filter(|(_, unowned)| *unowned > 0);
    others
        .map(|(label, n)| {
            format!("{n} masters of {label} are followed by other instances; their keys are there")
        })
        .collect()
}

/// Every master with the freshness of its answer; `None` if it did not answer.
pub(crate) type Sources = Vec<(Arc<Master>, Option<Freshness>)>;

pub(crate) type Answers<T> = Vec<Answered<T>>;

pub(crate) fn fresh_only<T>(answers: Answers<T>) -> Sources {
    split(answers).0
}

/// The freshness of every answer, and what was answered.
pub(crate) fn split<T>(answers: Answers<T>) -> (Sources, Vec<T>) {
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
    if request.is(1, "MEMORY") {
        return bridge::memory(session, request).await;
    }
    let format = format(request, 1)?;
    let scope = session.scope()?;
    let (dbs, totals) = tokio::join!(
        scope.ask_all(|reply| Ask::Dbs { reply }),
        scope.ask_all(|reply| Ask::Totals { reply }),
    );
    let (_, dbs) = split(dbs);
    let per_master = by_master(&totals);
    let (fresh, totals) = split(totals);
    let totals: Vec<Total> = totals.into_iter().flatten().collect();
    let dbs = info::by_db(&scope, dbs.into_iter().flatten().collect()).await;
    let strays = Strays::counted_twice(&scope, None).await;
    let mut tables = vec![
        whole(&scope, &totals, strays.all_hidden()),
        Table::rows("by_db", dbs.into_iter().map(db_row).collect()),
        by_type(&totals),
        by_encoding(&totals),
    ];
    if scope.masters.len() > 1 {
        tables.push(per_master);
    }
    let notes = strays.note().into_iter().collect();
    Ok(finish(&scope, &fresh, tables, notes, format))
}

fn whole(scope: &Scope, totals: &[Total], hidden: Hidden) -> Table {
    let mut sum = Sum::default();
    totals.iter().for_each(|total| sum.add(total));
    sum.keys = sum.keys.saturating_sub(hidden.keys);
    sum.bytes = sum.bytes.saturating_sub(hidden.bytes);
    let model: u64 = scope.masters.iter().map(|m| m.status().model_bytes).sum();
    let mut cells = sum.cells()[..3].to_vec();
    cells.push(("model_bytes", Cell::Count(model)));
    cells.push((
        "model_bytes_per_key",
        Cell::Count(model.checked_div(sum.keys).unwrap_or(0)),
    ));
    Table::single("total", cells)
}

/// What each master has, whatever others have, too.
fn by_master(answers: &Answers<Vec<Total>>) -> Table {
    let row = |(master, answer): &Answered<Vec<Total>>| {
        let mut sum = Sum::default();
        let totals = answer.iter().flat_map(|answer| &answer.value);
        totals.for_each(|total| sum.add(total));
        let mut cells = vec![
            ("master", Cell::Text(master.name())),
            ("cluster", Cell::text(&master.cluster)),
            ("shard", Cell::text(&master.shard)),
        ];
        cells.extend(sum.cells());
        cells
    };
    Table::rows("by_master", answers.iter().map(row).collect())
}

fn db_row(total: DbTotal) -> Vec<(&'static str, Cell)> {
    vec![
        ("db", Cell::Count(u64::from(total.db))),
        ("keys", Cell::Count(total.keys)),
        ("bytes", Cell::Count(total.memory)),
        ("expires", Cell::Count(total.expires)),
        ("avg_ttl_ms", Cell::Count(total.avg_ttl_ms)),
    ]
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
    pairs(request, at, |at| {
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
        Ok(())
    })?;
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
    let scope = session.scope()?;
    let answers = scope.ask_all(ask).await;
    let mut rows: Vec<(Row, Arc<Master>)> = Vec::new();
    let mut fresh = Vec::new();
    for (master, answer) in answers {
        fresh.push((
            master.clone(),
            answer.as_ref().map(|answer| answer.fresh.clone()),
        ));
        let own = answer.into_iter().flat_map(|answer| answer.value);
        rows.extend(own.map(|row| (row, master.clone())));
    }
    let measure = |row: &Row| match top.by {
        Measure::Bytes => row.facts.memory,
        Measure::Elements => row.facts.count,
    };
    let mut rows = once(&scope, rows);
    rows.sort_by(|(a, _), (b, _)| {
        let order = measure(b).cmp(&measure(a));
        order.then_with(|| (a.db, &a.key).cmp(&(b.db, &b.key)))
    });
    rows.truncate(top.count);
    let rows = rows
        .into_iter()
        .map(|(row, master)| top_row(row, &master))
        .collect();
    let tables = vec![Table::rows("top", rows)];
    Ok(finish(&scope, &fresh, tables, Vec::new(), top.format))
}

/// Drops the rows of a cluster's key that is on two masters, but for the owner's: its slot moves.
fn once(scope: &Scope, mut rows: Vec<(Row, Arc<Master>)>) -> Vec<(Row, Arc<Master>)> {
    let clusters: Vec<usize> = scope.clusters().map(|cluster| cluster.source).collect();
    let owns = |(row, master): &(Row, Arc<Master>)| {
        let slot = Slot::of(&row.key);
        master.place().slots.contains(slot)
    };
    let same = |a: &(Row, Arc<Master>), b: &(Row, Arc<Master>)| {
        clusters.contains(&a.1.source)
            && a.1.source == b.1.source
            && a.1.id != b.1.id
            && (a.0.db, &a.0.key) == (b.0.db, &b.0.key)
    };
    rows.sort_by(|a, b| {
        let key = |x: &(Row, Arc<Master>)| (x.1.source, x.0.db);
        let order = key(a).cmp(&key(b)).then_with(|| a.0.key.cmp(&b.0.key));
        order.then_with(|| owns(b).cmp(&owns(a)))
    });
    rows.dedup_by(|later, first| same(later, first));
    rows
}

fn top_row(row: Row, master: &Master) -> Vec<(&'static str, Cell)> {
    vec![
        ("key", Cell::Name(row.key)),
        ("db", Cell::Count(u64::from(row.db))),
        ("type", Cell::text(row.facts.kind.name())),
        ("encoding", Cell::text(row.facts.encoding_name)),
        ("bytes", Cell::Count(row.facts.memory)),
        ("elements", Cell::Count(row.facts.count)),
        ("inexact", Cell::text(doubt(&row.facts))),
        ("master", Cell::Text(master.name())),
        ("cluster", Cell::text(&master.cluster)),
    ]
}
