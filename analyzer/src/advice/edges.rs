//! Section 1 of the catalogue: packed collections that will soon be tables.

use super::facts::{Cannot, Facts};
use super::finding::{Evidence, Subject};
use super::memory::spelled;
use super::rule::{Need, Rule, Ruling, Threshold, Tuned};
use super::survey::{Filling, PatternGroup, Survey};

const HOUR_MS: u64 = 3_600_000;

/// A thousand of them are an element: collections grow by less than one an hour, too.
const MILLI: u64 = 1000;

pub(super) const RULES: &[Rule] = &[Rule::new(
    "MEM-07",
    "Encoding cliff ahead",
    &[Need::Survey, Need::Patterns, Need::Stream],
    cliff_ahead,
)
.thresholds(&[
    Threshold::new("keys", 1_000, "collections of a pattern that are close to a limit"),
    Threshold::new("seconds", 600, "seconds of growth that are enough to judge"),
    Threshold::new("hours", 720, "hours until a limit is reached that are far enough"),
])
.why(
    "Many collections of one pattern have nearly as many elements as a packed one may have (nine \
     tenths of hash-max-listpack-entries, zset-max-listpack-entries, set-max-listpack-entries or \
     set-max-intset-entries), and they grow. Each becomes a table of several times its bytes with \
     the element that is one too many, all at about the same time, and none goes back.",
)
.caveat(
    "Growth is that of the mean of the pattern's packed collections from survey to survey, while the \
     pattern's bytes grow in the stream. Limits of bytes (long elements, lists) are not looked at. \
     What they would take is weighed as a load would leave them.",
)];

/// A pattern whose collections come close.
struct Ahead<'a> {
    group: &'a PatternGroup,
    /// Thousandths of an element that the mean collection gets in an hour.
    milli_per_h: u64,
    /// Until the mean of those that are near has one too many.
    hours: u64,
}

/// How fast the mean collection of a pattern grows, thousandths of an element an hour; `None` if it
/// does not.
fn pace(group: &PatternGroup, filling: &Filling, since_ms: u64) -> Option<u64> {
    let mean = |elements: u64, keys: u64| elements.saturating_mul(MILLI) / keys.max(1);
    let now = mean(group.packed.elements, group.packed.keys);
    let grown = now.saturating_sub(mean(filling.elements, filling.keys));
    let pace = grown.saturating_mul(HOUR_MS) / since_ms.max(1);
    Some(pace).filter(|pace| *pace > 0)
}

fn ahead<'a>(survey: &Survey, (db, group): (u32, &'a PatternGroup)) -> Option<Ahead<'a>> {
    let packed = &group.packed;
    let filling = survey.tracks.filling(db, &group.glob)?;
    let since_ms = u64::try_from(survey.at_ms.saturating_sub(filling.since_ms)).ok()?;
    let milli_per_h = pace(group, filling, since_ms)?;
    let mean = packed.near_elements.saturating_mul(MILLI) / packed.near.max(1);
    let left = (packed.limit + 1)
        .saturating_mul(MILLI)
        .saturating_sub(mean);
    Some(Ahead {
        group,
        milli_per_h,
        hours: left / milli_per_h,
    })
}

fn cliff_ahead(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let (survey, groups) = (facts.survey()?, facts.groups()?);
    let flows = &facts.flows;
    if flows.covered_s < tuned.of("seconds") {
        let seen = flows.covered_s;
        return Err(Cannot(format!("growth was seen for {seen} s only")));
    }
    let shrinks = |db: u32, group: &PatternGroup| {
        let mut rows = flows.by_pattern.iter();
        let row = rows.find(|row| row.0.0 == db && row.0.1 == group.glob);
        row.is_none_or(|row| row.1.net_bytes() <= 0)
    };
    let many = groups
        .all()
        .filter(|(db, group)| group.packed.near >= tuned.of("keys").max(1) && !shrinks(*db, group));
    let found = many.filter_map(|row| ahead(survey, row));
    let mut found: Vec<Ahead<'_>> = found.filter(|row| row.hours <= tuned.of("hours")).collect();
    found.sort_by_key(|row| row.hours);
    let Some(first) = found.first() else {
        return Ok(None);
    };
    let sum = |of: fn(&PatternGroup) -> u64| found.iter().map(|row| of(row.group)).sum::<u64>();
    let keys = sum(|group| group.packed.near);
    let (now, then) = (
        sum(|group| group.packed.now),
        sum(|group| group.packed.then),
    );
    let what = format!(
        "{keys} packed collections of {} patterns are about to become tables, the first in about {} h",
        found.len(),
        first.hours
    );
    let rows = found.iter().map(row);
    let mut finding = tuned.finding(what).about(keys, now).evidence(rows);
    finding = finding.risk(format!(
        "as tables they take {} bytes more",
        then.saturating_sub(now)
    ));
    let mut limits: Vec<(&str, u64)> = Vec::new();
    for packed in found.iter().map(|row| &row.group.packed) {
        if !limits.iter().any(|known| known.0 == packed.option) {
            limits.push((packed.option, packed.limit));
        }
    }
    for (option, limit) in limits {
        let option = spelled(&facts.profile, option);
        finding = finding.remedy(format!("CONFIG SET {option} {}", limit.saturating_mul(2)));
    }
    Ok(Some(finding.remedy("CONFIG REWRITE").remedy(
        "or spread their elements over more keys before: key:{n}",
    )))
}

fn row(row: &Ahead<'_>) -> Evidence {
    let packed = &row.group.packed;
    let (whole, part) = (row.milli_per_h / MILLI, row.milli_per_h % MILLI);
    Evidence {
        subject: Subject::Pattern(row.group.glob.clone()),
        seen: format!(
            "{} have {} elements in the mean, {} {} may be packed; {whole}.{part:03} more an hour, \
             {} h left; {} bytes as tables",
            packed.near,
            packed.near_elements / packed.near.max(1),
            packed.option,
            packed.limit,
            row.hours,
            packed.then
        ),
        bytes: packed.now,
        saving: 0,
    }
}
