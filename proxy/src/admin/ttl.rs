//! KS.TTL: what is left of the keys' lives, what expires when, and what is past it and still there.
//!
//! Times are by the full minute: `as_of` is the beginning of the minute under way. A key counts as
//! expired when the minute of its expiry is over and the server's DEL has not come, which is memory
//! that the server has not reclaimed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use analyzer::census::{Expiries, LIVES, Portion, Progress, Storm};
use analyzer::patterns::PatternName;

use super::layout::{Cell, Format, Table};
use super::points::now_ms;
use super::refuse::SYNTAX;
use super::reply::Reply;
use super::report::{finish, named_format, pairs, split};
use super::request::Request;
use super::scope::{Answered, Scope};
use super::session::Session;
use super::strays::Strays;
use crate::fleet::Master;
use crate::model::analytic::Analytic;
use crate::model::ask::Ask;
use crate::model::patterns::Counted;
use crate::model::ttl::Which;

/// Storms shown.
const STORMS_MAX: usize = 100;

const MINUTE_MS: i64 = 60_000;

struct Options {
    which: Which,
    format: Format,
}

fn parse(request: &Request) -> Result<Options, Reply> {
    let mut options = Options {
        which: Which::All,
        format: Format::Resp,
    };
    pairs(request, 1, |at| {
        let is_choice = request.is(at, "MATCH") || request.is(at, "PATTERN");
        if is_choice && !matches!(options.which, Which::All) {
            // One of them: which keys would be meant by both?
            return Err(SYNTAX);
        }
        if request.is(at, "MATCH") {
            options.which = Which::Match(request.arg(at + 1).to_vec());
        } else if request.is(at, "PATTERN") {
            options.which = Which::Pattern(request.arg(at + 1).to_vec());
        } else if request.is(at, "FORMAT") {
            options.format = named_format(request, at + 1)?;
        } else {
            return Err(SYNTAX);
        }
        Ok(())
    })?;
    Ok(options)
}

/// KS.TTL [MATCH glob | PATTERN p] [FORMAT ..]
pub(crate) async fn ttl(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let options = parse(request)?;
    let scope = session.scope()?;
    let now_ms = now_ms();
    let ask = |reply| {
        Ask::Analytic(Analytic::Expiries {
            now_ms,
            which: options.which.clone(),
            reply,
        })
    };
    let answers = scope.ask_all(ask).await;
    let mut sum = Expiries::new(now_ms);
    let mut storms = Vec::new();
    for (master, answer) in &answers {
        if let Some(Ok(told)) = answer.as_ref().map(|answer| &answer.value) {
            sum.add(told);
            let all = told.all();
            let own = told.storms().into_iter();
            storms.extend(own.map(|storm| (master.clone(), storm, all)));
        }
    }
    let mut notes = uncounted(&answers);
    notes.extend(Strays::counted_twice(&scope, None).await.note_of_both());
    let (fresh, _) = split(answers);
    storms.sort_by_key(|(master, storm, _)| (storm.at_ms, master.id));
    let stormy: BTreeSet<i64> = storms.iter().map(|(_, storm, _)| storm.at_ms).collect();
    let mut tables = vec![
        total(&sum),
        lives(&sum),
        spans("next_minutes", &sum, &stormy, (60, 1)),
        spans("next_hours", &sum, &stormy, (24, 60)),
        storm_table(&sum, &storms),
    ];
    if let Which::All = options.which {
        tables.extend(fixed_patterns(&scope).await);
    }
    Ok(finish(&scope, &fresh, tables, notes, options.format))
}

/// Patterns shown that have keys without an expiry.
const PATTERNS_MAX: usize = 20;

/// Keys of a pattern, and of those the ones that have no expiry.
#[derive(Clone, Copy, Default)]
struct Fixed {
    keys: u64,
    fixed: Portion,
}

impl Fixed {
    /// True if most of its keys expire.
    fn expires(self) -> bool {
        self.fixed.keys < self.keys.div_ceil(2)
    }
}

/// The patterns with the most bytes without an expiry, and whether siblings have one: patterns that
/// differ in the last token only, and most of whose keys expire. `None` where keys are not counted
/// by pattern.
async fn fixed_patterns(scope: &Scope) -> Option<Table> {
    let ask = |reply| Ask::Analytic(Analytic::Patterns { reply });
    let (_, told) = split(scope.ask_all(ask).await);
    let told: Vec<Counted> = told.into_iter().filter_map(Result::ok).collect();
    let mut sums: BTreeMap<PatternName, Fixed> = BTreeMap::new();
    for row in told
        .iter()
        .flat_map(|counted| counted.patterns.iter().flatten())
    {
        let sum = sums.entry(row.name.clone()).or_default();
        sum.keys += row.keys;
        sum.fixed = sum.fixed.and(Portion {
            keys: row.fixed_keys,
            bytes: row.fixed_bytes,
        });
    }
    told.iter().find(|counted| counted.patterns.is_some())?;
    let expiring = sums.iter().filter(|(_, sum)| sum.expires());
    let families: BTreeSet<Vec<u8>> = expiring.filter_map(|(name, _)| family(name)).collect();
    let mut rows: Vec<(&PatternName, &Fixed)> = sums.iter().collect();
    rows.retain(|(_, sum)| sum.fixed.keys > 0);
    rows.sort_by_key(|(name, sum)| (std::cmp::Reverse(sum.fixed.bytes), *name));
    let line = |(name, sum): (&PatternName, &Fixed)| {
        let siblings = family(name).is_some_and(|own| families.contains(&own));
        vec![
            ("pattern", Cell::Name(name.glob.clone())),
            ("keys", Cell::Count(sum.keys)),
            ("no_ttl_keys", Cell::Count(sum.fixed.keys)),
            ("no_ttl_bytes", Cell::Count(sum.fixed.bytes)),
            ("no_ttl_share", Cell::share(sum.fixed.keys, sum.keys)),
            ("siblings_expire", Cell::Bool(siblings && !sum.expires())),
        ]
    };
    let rows = rows.into_iter().take(PATTERNS_MAX).map(line);
    Some(Table::rows("no_ttl_by_pattern", rows.collect()))
}

/// What a pattern and its siblings have in common: all tokens but the last.
fn family(name: &PatternName) -> Option<Vec<u8>> {
    let last = name.cuts.len().checked_sub(2)?;
    let cut = *name.cuts.get(last)?;
    name.glob.get(..cut).map(<[u8]>::to_vec)
}

/// Masters whose keys are still being counted.
pub(crate) fn uncounted<T>(answers: &[Answered<Result<T, Progress>>]) -> Vec<String> {
    let told = answers
        .iter()
        .filter_map(|(master, answer)| Some((master, &answer.as_ref()?.value)));
    let counting = told.filter_map(|(master, told)| Some((master, told.as_ref().err()?)));
    counting
        .map(|(master, progress)| {
            let percent = progress.counted.saturating_mul(100) / progress.keys.max(1);
            let name = master.name();
            format!("the keys of {name} are being counted ({percent}%); they are missing here")
        })
        .collect()
}

fn total(sum: &Expiries) -> Table {
    let all = sum.all();
    let expiring = sum.expiring();
    Table::single(
        "total",
        vec![
            ("as_of", Cell::Signed(sum.as_of_ms.div_euclid(1000))),
            ("keys", Cell::Count(all.keys)),
            ("bytes", Cell::Count(all.bytes)),
            ("no_ttl_keys", Cell::Count(sum.fixed.keys)),
            ("no_ttl_bytes", Cell::Count(sum.fixed.bytes)),
            ("no_ttl_share", Cell::share(sum.fixed.bytes, all.bytes)),
            ("expiring_keys", Cell::Count(expiring.keys)),
            ("expiring_bytes", Cell::Count(expiring.bytes)),
            ("expired_resident_keys", Cell::Count(sum.expired.keys)),
            ("expired_resident_bytes", Cell::Count(sum.expired.bytes)),
        ],
    )
}

/// By what is left of their lives; `until` is where a row ends, unix seconds.
fn lives(sum: &Expiries) -> Table {
    let all = sum.all();
    let row = |life: String, until: Option<i64>, portion: Portion| {
        vec![
            ("life", Cell::Text(life)),
            (
                "until",
                until.map_or(Cell::Nothing, |ms| Cell::Signed(ms.div_euclid(1000))),
            ),
            ("keys", Cell::Count(portion.keys)),
            ("bytes", Cell::Count(portion.bytes)),
            ("keys_share", Cell::share(portion.keys, all.keys)),
            ("bytes_share", Cell::share(portion.bytes, all.bytes)),
        ]
    };
    let mut rows = vec![
        row("no ttl".to_owned(), None, sum.fixed),
        row("expired".to_owned(), Some(sum.as_of_ms), sum.expired),
    ];
    let lives = LIVES.iter().zip(sum.boundaries()).zip(sum.lives);
    rows.extend(lives.map(|((name, until), portion)| {
        let name = match until {
            Some(_) => format!("<{name}"),
            None => (*name).to_owned(),
        };
        row(name, until, portion)
    }));
    Table::rows("by_life", rows)
}

/// What expires in each of some spans of so many minutes; those in which nothing does are left out.
fn spans(
    name: &'static str,
    sum: &Expiries,
    stormy: &BTreeSet<i64>,
    (spans, minutes): (usize, usize),
) -> Table {
    let starts = (0..spans).map(|span| span * minutes);
    let length = i64::try_from(minutes)
        .unwrap_or(1)
        .saturating_mul(MINUTE_MS);
    let times = (0..).map(|span: i64| sum.as_of_ms.saturating_add(span.saturating_mul(length)));
    let portions = times.zip(starts.map(|from| (from, sum.within(from, minutes))));
    let filled = portions.filter(|(_, (_, portion))| portion.keys > 0);
    let row = |(at, (from, portion)): (i64, (usize, Portion))| {
        let storm = stormy.range(at..at.saturating_add(length)).next().is_some();
        vec![
            ("in_minutes", Cell::Count(from as u64)),
            ("at", Cell::Signed(at.div_euclid(1000))),
            ("keys", Cell::Count(portion.keys)),
            ("bytes", Cell::Count(portion.bytes)),
            ("storm", Cell::Bool(storm)),
        ]
    };
    Table::rows(name, filled.map(row).collect())
}

/// A storm on a master, and all of its keys.
type Struck = (Arc<Master>, Storm, Portion);

/// The minutes of the next day in which a master loses too much at once.
fn storm_table(sum: &Expiries, storms: &[Struck]) -> Table {
    let row = |(master, storm, all): &Struck| {
        let ahead = storm.at_ms.saturating_sub(sum.as_of_ms) / MINUTE_MS;
        vec![
            ("at", Cell::Signed(storm.at_ms.div_euclid(1000))),
            ("in_minutes", Cell::Signed(ahead)),
            ("master", Cell::Text(master.name())),
            ("keys", Cell::Count(storm.portion.keys)),
            ("bytes", Cell::Count(storm.portion.bytes)),
            ("keys_share", Cell::share(storm.portion.keys, all.keys)),
            ("bytes_share", Cell::share(storm.portion.bytes, all.bytes)),
        ]
    };
    Table::rows("storms", storms.iter().take(STORMS_MAX).map(row).collect())
}
