//! KS.PATTERNS: keys by the patterns of their names.
//!
//! Patterns are globs. Rows of the same pattern on several masters or in several databases are one,
//! so are those that DEPTH rolls up to the same prefix. Every key is in exactly one pattern, so the
//! rows and `(other)` sum up to the total.

use std::collections::{BTreeMap, BTreeSet};

use analyzer::flows::Growth;
use analyzer::patterns::PatternRow;
use analyzer::value::{Encoding, Kind};

use super::layout::{Cell, Format, Table};
use super::refuse::{NOT_A_NUMBER, SYNTAX};
use super::reply::Reply;
use super::report::{Sources, finish, limit, named_format, pairs, split};
use super::request::Request;
use super::scope::Scope;
use super::session::Session;
use super::strays::Strays;
use super::ttl::uncounted;
use crate::model::analytic::Analytic;
use crate::model::ask::Ask;
use crate::model::patterns::Counted;

/// Rows by default, and at most: a database has no more patterns.
const LIMIT_DEFAULT: usize = 20;
const LIMIT_MAX: usize = 100_000;

/// Writes are those of so many seconds.
const MINUTE_S: u32 = 60;

/// Growth is that of so many seconds.
const HOUR_S: u32 = 3600;

/// Most keys of KS.PATTERNS OF.
const OF_MAX: usize = 1000;

/// What an order by figures of the history says.
const TOLD_ALONE: &str = "writes_1m and growth_1h are what is told of a pattern alone: of each second and minute the \
                          patterns with most writes or most bytes are, and what others did is in (rest) of KS.GROWTH";

const NOT_COUNTED: &str = "keys are not counted by pattern: [patterns] max is 0";

/// What patterns are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Bytes,
    Keys,
    NoTtl,
    Growth,
    Writes,
}

impl By {
    fn of(self, shown: &Shown) -> i64 {
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        match self {
            By::Bytes => count(shown.row.bytes),
            By::Keys => count(shown.row.keys),
            By::NoTtl => count(shown.row.fixed_bytes),
            By::Growth => shown.growth.unwrap_or(0),
            By::Writes => count(shown.writes.unwrap_or(0)),
        }
    }
}

/// A pattern with what happened to its keys lately, as far as that is told of it alone.
struct Shown {
    row: PatternRow,
    /// Writes to its keys in the last minute.
    writes: Option<u64>,
    /// By how many bytes it changed in the last hour.
    growth: Option<i64>,
}

/// What happened in the last minute and in the last hour, by pattern.
#[derive(Default)]
struct Lately {
    writes: BTreeMap<(u32, Vec<u8>), u64>,
    growth: BTreeMap<(u32, Vec<u8>), i64>,
}

impl Lately {
    fn new(minute: Vec<Growth>, hour: Vec<Growth>) -> Lately {
        let mut lately = Lately::default();
        for row in minute.into_iter().flat_map(|growth| growth.patterns_of_dbs) {
            *lately.writes.entry(row.of).or_default() += row.flow.writes();
        }
        for row in hour.into_iter().flat_map(|growth| growth.patterns_of_dbs) {
            let bytes = lately.growth.entry(row.of).or_default();
            *bytes = bytes.saturating_add(row.flow.net_bytes());
        }
        lately
    }

    fn shown(&mut self, row: PatternRow) -> Shown {
        let of = (row.db, row.name.glob.clone());
        Shown {
            writes: self.writes.remove(&of),
            growth: self.growth.remove(&of),
            row,
        }
    }
}

impl Shown {
    fn add(&mut self, other: Shown) {
        self.row.add(other.row);
        self.writes = sum(self.writes, other.writes, u64::saturating_add);
        self.growth = sum(self.growth, other.growth, i64::saturating_add);
    }
}

fn sum<T: Copy>(a: Option<T>, b: Option<T>, add: fn(T, T) -> T) -> Option<T> {
    a.zip(b).map(|(a, b)| add(a, b)).or(a).or(b)
}

/// How the answer looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Report(Format),
    /// Stacks as flame graphs are made of.
    Folded,
}

struct Options {
    prefix: Vec<u8>,
    by: By,
    limit: Option<usize>,
    depth: Option<usize>,
    look: Look,
}

fn is_option(request: &Request, at: usize) -> bool {
    let words = ["BY", "LIMIT", "DEPTH", "FORMAT"];
    words.iter().any(|word| request.is(at, word))
}

fn parse(request: &Request) -> Result<Options, Reply> {
    let mut options = Options {
        prefix: Vec::new(),
        by: By::Bytes,
        limit: None,
        depth: None,
        look: Look::Report(Format::Resp),
    };
    let mut at = 1;
    if request.len() > 1 && !(is_option(request, 1) && request.len() > 2) {
        options.prefix = request.arg(1).to_vec();
        at = 2;
    }
    pairs(request, at, |at| {
        if request.is(at, "BY") {
            options.by = by(request, at + 1)?;
        } else if request.is(at, "LIMIT") {
            options.limit = Some(limit(request, at + 1, LIMIT_MAX)?);
        } else if request.is(at, "DEPTH") {
            let depth: usize = request.number(at + 1).ok_or(NOT_A_NUMBER)?;
            options.depth = Some(depth.max(1));
        } else if request.is(at, "FORMAT") && request.is(at + 1, "FOLDED") {
            options.look = Look::Folded;
        } else if request.is(at, "FORMAT") {
            options.look = Look::Report(named_format(request, at + 1)?);
        } else {
            return Err(SYNTAX);
        }
        Ok(())
    })?;
    Ok(options)
}

fn by(request: &Request, at: usize) -> Result<By, Reply> {
    let orders = [
        ("BYTES", By::Bytes),
        ("KEYS", By::Keys),
        ("NOTTL", By::NoTtl),
        ("GROWTH", By::Growth),
        ("WRITES", By::Writes),
    ];
    let found = orders.into_iter().find(|(word, _)| request.is(at, word));
    let found = found.map(|(_, by)| by);
    found.ok_or(Reply::error(
        "ERR BY must be BYTES, KEYS, NOTTL, GROWTH or WRITES",
    ))
}

/// `KS.PATTERNS [prefix] [BY ..] [LIMIT n] [DEPTH d] [FORMAT ..]` and `KS.PATTERNS OF key ..`
pub(crate) async fn patterns(session: &Session, request: &Request) -> Result<Reply, Reply> {
    if request.is(1, "OF") && request.len() > 2 {
        return of(session, request).await;
    }
    let options = parse(request)?;
    let scope = session.scope()?;
    let ask = |reply| Ask::Analytic(Analytic::Patterns { reply });
    let flows = |window_s| move |reply| Ask::Analytic(Analytic::Growth { window_s, reply });
    let (answers, minute, hour) = tokio::join!(
        scope.ask_all(ask),
        scope.ask_all(flows(MINUTE_S)),
        scope.ask_all(flows(HOUR_S)),
    );
    let lately = Lately::new(split(minute).1, split(hour).1);
    let mut missing = uncounted(&answers);
    let mut notes = missing.clone();
    notes.extend(Strays::counted_twice(&scope, None).await.note_of_both());
    match options.by {
        By::Growth | By::Writes => notes.push(TOLD_ALONE.to_owned()),
        By::Bytes | By::Keys | By::NoTtl => {}
    }
    let (fresh, told) = split(answers);
    let told: Vec<Counted> = told.into_iter().filter_map(Result::ok).collect();
    if told.iter().any(|counted| counted.patterns.is_none()) {
        missing.push(NOT_COUNTED.to_owned());
        notes.push(NOT_COUNTED.to_owned());
    }
    match options.look {
        // Stacks have no place for notes, so a part is not taken for the whole.
        Look::Folded => match missing.pop() {
            Some(note) => Err(Reply::Error(format!("ERR {note}").into())),
            None => Ok(folded(told, lately, &options)),
        },
        Look::Report(format) => {
            let asked = Asked {
                scope: &scope,
                fresh: &fresh,
                options: &options,
            };
            let tables = asked.tables(told, lately).await;
            Ok(finish(&scope, &fresh, tables, notes, format))
        }
    }
}

/// The patterns of single keys, in the selected database.
async fn of(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let scope = session.scope()?;
    let last = request.len().min(2 + OF_MAX);
    if last < request.len() {
        return Err(Reply::Error(
            format!("ERR KS.PATTERNS OF takes {OF_MAX} keys at most").into(),
        ));
    }
    let names = (2..last).map(|at| request.arg(at).to_vec());
    let keys: Vec<(u32, Vec<u8>)> = names.map(|name| (session.db, name)).collect();
    let ask = |reply| {
        Ask::Analytic(Analytic::PatternsOf {
            keys: keys.clone(),
            reply,
        })
    };
    let answers = scope.ask_everyone(ask).await?;
    let mut found: Vec<Option<Vec<u8>>> = vec![None; keys.len()];
    for (master, answer) in answers {
        let Ok(globs) = answer.value else {
            let name = master.name();
            let text = format!("LOADING the keys of {name} are being counted by pattern");
            return Err(Reply::Error(text.into()));
        };
        for (slot, glob) in found.iter_mut().zip(globs) {
            *slot = slot.take().or(glob);
        }
    }
    let replies = found
        .into_iter()
        .map(|glob| glob.map_or(Reply::Null, Reply::from));
    Ok(Reply::Array(replies.collect()))
}

/// Keys and bytes of all patterns, which a prefix does not choose from: groups are parts of these.
/// `None` where keys are not counted by pattern.
fn whole(told: &[Counted]) -> Option<(u64, u64)> {
    let all = told.iter().map(|counted| counted.patterns.as_ref());
    let all: Option<Vec<&Vec<PatternRow>>> = all.collect();
    let rows = all?.into_iter().flatten();
    Some(rows.fold((0, 0), |(keys, bytes), row| {
        (keys + row.keys, bytes + row.bytes)
    }))
}

/// All rows by name, rolled up and chosen as asked.
fn merged(told: Vec<Counted>, mut lately: Lately, options: &Options) -> BTreeMap<Vec<u8>, Shown> {
    let mut rows: BTreeMap<Vec<u8>, Shown> = BTreeMap::new();
    for row in told
        .into_iter()
        .filter_map(|counted| counted.patterns)
        .flatten()
    {
        let mut shown = lately.shown(row);
        if let Some(depth) = options.depth {
            shown.row.name = shown.row.name.rolled_up(depth);
        }
        let glob = &shown.row.name.glob;
        if !glob.starts_with(&options.prefix) {
            continue;
        }
        match rows.get_mut(glob) {
            Some(known) => known.add(shown),
            None => drop(rows.insert(glob.clone(), shown)),
        }
    }
    rows
}

/// The rows in order, as many as asked for.
fn ordered(rows: BTreeMap<Vec<u8>, Shown>, options: &Options) -> Vec<Shown> {
    let mut rows: Vec<Shown> = rows.into_values().collect();
    let by = options.by;
    rows.sort_by(|a, b| {
        let order = by.of(b).cmp(&by.of(a));
        order.then_with(|| a.row.name.cmp(&b.row.name))
    });
    rows.truncate(options.limit.unwrap_or(LIMIT_DEFAULT));
    rows
}

/// A question with what its tables need to know.
struct Asked<'a> {
    scope: &'a Scope,
    fresh: &'a Sources,
    options: &'a Options,
}

impl Asked<'_> {
    async fn tables(&self, mut told: Vec<Counted>, lately: Lately) -> Vec<Table> {
        let groups = told
            .iter_mut()
            .map(|counted| std::mem::take(&mut counted.groups));
        let groups = grouped(groups.flatten().collect());
        let whole = whole(&told).unwrap_or_else(|| self.published());
        let rows = merged(told, lately, self.options);
        let (keys, bytes) = rows.values().fold((0, 0), |(keys, bytes), row| {
            (keys + row.row.keys, bytes + row.row.bytes)
        });
        let all = (keys, bytes);
        let mut tables = vec![total(&rows, all)];
        let mut rows = ordered(rows, self.options);
        self.find_examples(&mut rows).await;
        let lines = rows.iter().map(|shown| {
            let mut line = line("pattern", &shown.row, all);
            line.push(("writes_1m", shown.writes.map_or(Cell::Nothing, Cell::Count)));
            line.push((
                "growth_1h",
                shown.growth.map_or(Cell::Nothing, Cell::Signed),
            ));
            line
        });
        tables.push(Table::rows("patterns", lines.collect()));
        if !groups.is_empty() {
            let lines = groups.iter().map(|row| line("group", row, whole));
            tables.push(Table::rows("groups", lines.collect()));
        }
        tables
    }

    /// Keys and bytes of the masters that answered, as they published them last.
    fn published(&self) -> (u64, u64) {
        let answered = self.fresh.iter().filter(|(_, fresh)| fresh.is_some());
        answered.fold((0, 0), |(keys, bytes), (master, _)| {
            let status = master.status();
            (keys + status.keys, bytes + status.key_bytes)
        })
    }

    /// Looks for examples where the last one is gone.
    async fn find_examples(&self, rows: &mut [Shown]) {
        let rows = rows.iter_mut().map(|shown| &mut shown.row);
        let mut without: Vec<&mut PatternRow> = rows.filter(|row| row.example.is_none()).collect();
        let wanted = without.iter().map(|row| row.name.glob.clone());
        let wanted: BTreeSet<Vec<u8>> = wanted.collect();
        let is_loaded = self.fresh.iter().any(|(_, fresh)| fresh.is_some());
        if wanted.is_empty() || !is_loaded {
            return;
        }
        let ask = |reply| {
            Ask::Analytic(Analytic::Examples {
                wanted: wanted.clone(),
                depth: self.options.depth,
                reply,
            })
        };
        let (_, mut found) = split(self.scope.ask_all(ask).await);
        for row in &mut without {
            let mut each = found.iter_mut();
            row.example = each.find_map(|found| found.remove(&row.name.glob));
        }
    }
}

/// The groups of all masters and databases.
fn grouped(rows: Vec<PatternRow>) -> Vec<PatternRow> {
    let mut groups: Vec<PatternRow> = Vec::new();
    for row in rows {
        match groups.iter_mut().find(|group| group.name == row.name) {
            Some(group) => group.add(row),
            None => groups.push(row),
        }
    }
    groups
}

fn total(rows: &BTreeMap<Vec<u8>, Shown>, (keys, bytes): (u64, u64)) -> Table {
    let other = rows.get(&b"(other)"[..]).map(|shown| &shown.row);
    let fixed = rows.values().map(|shown| shown.row.fixed_keys).sum();
    Table::single(
        "total",
        vec![
            ("patterns", Cell::Count(rows.len() as u64)),
            ("keys", Cell::Count(keys)),
            ("bytes", Cell::Count(bytes)),
            ("no_ttl_keys", Cell::Count(fixed)),
            ("other_keys", Cell::Count(other.map_or(0, |row| row.keys))),
            ("other_bytes", Cell::Count(other.map_or(0, |row| row.bytes))),
        ],
    )
}

fn line(called: &'static str, row: &PatternRow, (_, all): (u64, u64)) -> Vec<(&'static str, Cell)> {
    let mean = row.bytes.checked_div(row.keys).unwrap_or(0);
    let ids: Vec<&str> = row.ids.names().collect();
    vec![
        (called, Cell::Name(row.name.glob.clone())),
        ("keys", Cell::Count(row.keys)),
        ("bytes", Cell::Count(row.bytes)),
        ("bytes_share", Cell::share(row.bytes, all)),
        ("bytes_per_key", Cell::Count(mean)),
        ("largest", Cell::Count(row.largest)),
        ("largest_is_exact", Cell::Bool(row.largest_is_met)),
        ("no_ttl_keys", Cell::Count(row.fixed_keys)),
        ("no_ttl_bytes", Cell::Count(row.fixed_bytes)),
        (
            "ttl_share",
            Cell::share(row.keys - row.fixed_keys.min(row.keys), row.keys),
        ),
        ("name_bytes", Cell::Count(row.name_bytes)),
        ("types", Cell::Text(types(row))),
        ("encodings", Cell::Text(encodings(row))),
        ("ids", Cell::Text(ids.join(","))),
        (
            "example",
            row.example.clone().map_or(Cell::Nothing, Cell::Name),
        ),
    ]
}

/// `hash=12/3400,string=7/560`: keys and bytes of each type, by name.
fn types(row: &PatternRow) -> String {
    let mut types: BTreeMap<Kind, (u64, u64)> = BTreeMap::new();
    for (kind, _, keys, bytes) in &row.forms {
        let sum = types.entry(*kind).or_default();
        *sum = (sum.0 + keys, sum.1 + bytes);
    }
    let types = types.iter();
    let types = types.map(|(kind, (keys, bytes))| format!("{}={keys}/{bytes}", kind.name()));
    types.collect::<Vec<_>>().join(",")
}

/// `embstr=7,listpack=12`: keys of each encoding, as from 7.0 on.
fn encodings(row: &PatternRow) -> String {
    let mut encodings: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, encoding, keys, _) in &row.forms {
        *encodings.entry(Encoding::word(*encoding)).or_default() += keys;
    }
    let encodings = encodings.iter();
    let encodings = encodings.map(|(encoding, keys)| format!("{encoding}={keys}"));
    encodings.collect::<Vec<_>>().join(",")
}

/// One line a pattern, its tokens from the first on, and what it is measured by.
fn folded(told: Vec<Counted>, lately: Lately, options: &Options) -> Reply {
    let mut stacks: BTreeMap<String, i64> = BTreeMap::new();
    for shown in merged(told, lately, options).values() {
        let stack: Vec<String> = shown.row.name.tokens().enumerate().map(frame).collect();
        *stacks.entry(stack.join(";")).or_default() += options.by.of(shown);
    }
    let mut stacks: Vec<(String, i64)> = stacks.into_iter().collect();
    if let Some(limit) = options.limit {
        stacks.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        stacks.truncate(limit);
    }
    let stacks = stacks.iter().filter(|(_, size)| *size > 0);
    Reply::Lines(
        stacks
            .map(|(stack, size)| format!("{stack} {size}\n"))
            .collect(),
    )
}

/// A token as a frame: without the separator before it, and without what ends a frame or a line.
fn frame((at, token): (usize, &[u8])) -> String {
    let bare = match token {
        [_, rest @ ..] if at > 0 && !rest.is_empty() => rest,
        token => token,
    };
    let escaped = bare.escape_ascii().to_string();
    let escaped = escaped.replace(';', "\\x3b").replace(' ', "\\x20");
    if escaped.is_empty() {
        return "\"\"".to_owned();
    }
    escaped
}
