//! KS.TTL: what is left of the keys' lives, what expires when, and what is past it and still there.
//!
//! Times are by the full minute: `as_of` is the beginning of the minute under way. A key counts as
//! expired when the minute of its expiry is over and the server's DEL has not come, which is memory
//! that the server has not reclaimed.

use std::collections::BTreeSet;
use std::sync::Arc;

use analyzer::census::{Expiries, LIVES, Portion, Progress, Storm};

use super::layout::{Cell, Format, Table};
use super::points::now_ms;
use super::refuse::SYNTAX;
use super::reply::Reply;
use super::report::{finish, named_format, split};
use super::request::Request;
use super::scope::Answered;
use super::session::Session;
use super::strays::Strays;
use crate::fleet::Master;
use crate::model::analytic::Analytic;
use crate::model::ask::Ask;

/// Storms shown.
const STORMS_MAX: usize = 100;

const MINUTE_MS: i64 = 60_000;

struct Options {
    glob: Option<Vec<u8>>,
    format: Format,
}

fn parse(request: &Request) -> Result<Options, Reply> {
    let mut options = Options {
        glob: None,
        format: Format::Resp,
    };
    let mut at = 1;
    while at < request.len() {
        if at + 1 == request.len() {
            return Err(SYNTAX);
        }
        if request.is(at, "MATCH") {
            options.glob = Some(request.arg(at + 1).to_vec());
        } else if request.is(at, "FORMAT") {
            options.format = named_format(request, at + 1)?;
        } else {
            return Err(SYNTAX);
        }
        at += 2;
    }
    Ok(options)
}

/// KS.TTL [MATCH glob] [FORMAT ..]
pub(crate) async fn ttl(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let options = parse(request)?;
    let scope = session.scope()?;
    let now_ms = now_ms();
    let ask = |reply| {
        Ask::Analytic(Analytic::Expiries {
            now_ms,
            glob: options.glob.clone(),
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
    notes.extend(Strays::counted_twice(&scope, None).await.note());
    let (fresh, _) = split(answers);
    storms.sort_by_key(|(master, storm, _)| (storm.at_ms, master.id));
    let stormy: BTreeSet<i64> = storms.iter().map(|(_, storm, _)| storm.at_ms).collect();
    let tables = vec![
        total(&sum),
        lives(&sum),
        spans("next_minutes", &sum, &stormy, (60, 1)),
        spans("next_hours", &sum, &stormy, (24, 60)),
        storm_table(&sum, &storms),
    ];
    Ok(finish(&scope, &fresh, tables, notes, options.format))
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
