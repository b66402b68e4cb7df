//! Section 3 of the catalogue, first half: expiries that are missing, lost, late or at once.

use super::facts::{Cannot, Facts};
use super::finding::{Evidence, Severity, Subject};
use super::limits::Limits;
use super::rule::{Need, Rule, Ruling, Threshold, Tuned};
use super::survey::{Point, Seen};
use crate::census::{Portion, Storm, StormLimits};
use crate::flows::Flow;
use crate::patterns::PatternRow;

const SURVEY: &[Need] = &[Need::Survey];

const MINUTE_MS: i64 = 60_000;

/// The rule whose thresholds define a storm.
const STORM: &str = "TTL-04";

/// What makes a minute a storm, as the rules are tuned.
pub fn storm_limits(limits: &Limits) -> StormLimits {
    let rule = RULES.iter().find(|rule| rule.id == STORM);
    let of = |name| rule.map(|rule| limits.get(rule, name));
    let default = StormLimits::DEFAULT;
    StormLimits {
        keys_percent: of("keys_percent").unwrap_or(default.keys_percent),
        bytes_percent: of("bytes_percent").unwrap_or(default.bytes_percent),
        keys: of("keys").unwrap_or(default.keys),
    }
}

pub(super) const RULES: &[Rule] = &[
    Rule::new("TTL-01", "No-TTL leak", &[Need::Patterns, Need::Stream], leak)
        .severity(Severity::High)
        .thresholds(&[
            Threshold::new("percent_per_day", 1, "percent a day by which a pattern grows"),
            Threshold::new("expiring_percent", 5, "percent of its keys that have an expiry, at most"),
            Threshold::new("sibling_percent", 50, "percent that have one in a pattern beside it"),
            Threshold::new("keys", 100, "keys from which on a pattern is looked at"),
            Threshold::new("seconds", 600, "seconds of growth that are enough to judge"),
        ])
        .why(
            "A pattern grows and its keys never expire, while those of its siblings (the same first \
             part of the name) do: the expiry was forgotten.",
        )
        .caveat("Growth of the last hour, reckoned up to a day."),
    Rule::new("TTL-02", "TTL lost by overwrite", &[Need::Stream], lost)
        .severity(Severity::High)
        .thresholds(&[Threshold::new(
            "keys",
            100,
            "expiries lost within the last hour from which on it counts",
        )])
        .why(
            "SET without KEEPTTL and PERSIST take away the expiry that a key had: it then stays for \
             ever.",
        )
        .caveat(
            "PERSIST may be meant. Expiries given to keys that had none are taken off, pattern by \
             pattern: clients that SET and then EXPIRE lose nothing, and some losses may hide behind them.",
        ),
    Rule::new("TTL-03", "Expired, not reclaimed", &[Need::Survey, Need::Info], expired)
        .thresholds(&[
            Threshold::new("percent", 5, "percent of the dataset that may be expired and there"),
            Threshold::new("stale_percent", 10, "expired_stale_perc of INFO that is too much"),
        ])
        .why(
            "Servers look for expired keys in small samples: what nobody touches stays, takes memory, \
             and is replicated, until it is met.",
        )
        .caveat("Replicas and we see an expiry only when the master deletes the key."),
    Rule::new(STORM, "Expiry storm", &[Need::Totals], storm)
        .thresholds(&[
            Threshold::new(
                "keys_percent",
                StormLimits::DEFAULT.keys_percent,
                "percent of the keys that may expire in one minute",
            ),
            Threshold::new(
                "bytes_percent",
                StormLimits::DEFAULT.bytes_percent,
                "percent of the bytes that may expire in one minute",
            ),
            Threshold::new(
                "keys",
                StormLimits::DEFAULT.keys,
                "keys below which a minute is no storm",
            ),
        ])
        .why(
            "Keys that were given the same time to live at the same time go at the same time: the \
             expiry cycle takes the main thread, and then everybody misses at once.",
        )
        .caveat(
            "Of the next day, minute by minute. The same thresholds say what is a storm in KS.TTL, \
             keyscape_expiry_storms and ks.alert.expiry_storm.",
        ),
    Rule::traffic(
        "TTL-05",
        "TTL too long",
        "how long a key is in use shows in its last read",
    )
    .why("What is held long after its last use is memory for nothing."),
    Rule::new("TTL-06", "Absurd TTL", SURVEY, absurd)
        .severity(Severity::Low)
        .thresholds(&[Threshold::new("days", 1_826, "days to live that are too many: five years")])
        .why(
            "Expiries in years, or within the second in which the key was written, mostly come from \
             milliseconds taken for seconds or the other way round.",
        )
        .caveat("A survey meets few keys that live less than a second."),
];

/// The first part of a pattern's name.
fn first(row: &PatternRow) -> (u32, &[u8]) {
    (row.db, row.name.tokens().next().unwrap_or(b""))
}

fn leak(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    const DAY_S: i128 = 86_400;
    let flows = &facts.flows;
    if flows.covered_s < tuned.of("seconds") {
        return Err(Cannot(format!(
            "growth was seen for {} s only",
            flows.covered_s
        )));
    }
    let share = |row: &PatternRow| {
        let expiring = row.keys.saturating_sub(row.fixed_keys);
        expiring.saturating_mul(100) / row.keys.max(1)
    };
    let net = |row: &PatternRow| {
        let mut flows = flows.by_pattern.iter();
        let found = flows.find(|((db, glob), _)| (*db, glob) == (row.db, &row.name.glob));
        found.map_or(0, |flow| i128::from(flow.1.net_bytes()))
    };
    let per_day = |row: &PatternRow| net(row) * DAY_S / i128::from(flows.covered_s.max(1));
    let grows = |row: &PatternRow| {
        per_day(row) * 100 > i128::from(row.bytes) * i128::from(tuned.of("percent_per_day"))
    };
    let large = |row: &&PatternRow| row.keys >= tuned.of("keys");
    let sibling = |row: &PatternRow| {
        let others = flows.patterns.iter().filter(|other| other.name != row.name);
        let mut others = others.filter(large);
        others
            .any(|other| first(other) == first(row) && share(other) >= tuned.of("sibling_percent"))
    };
    let leaks =
        |row: &&PatternRow| share(row) < tuned.of("expiring_percent") && grows(row) && sibling(row);
    let found: Vec<&PatternRow> = flows.patterns.iter().filter(large).filter(leaks).collect();
    if found.is_empty() {
        return Ok(None);
    }
    let rows = found.iter().map(|row| Evidence {
        subject: Subject::Pattern(row.name.glob.clone()),
        seen: format!("{} keys, {} bytes more a day", row.keys, per_day(row)),
        bytes: row.bytes,
        saving: 0,
    });
    let sum = found
        .iter()
        .fold((0, 0), |sum, row| (sum.0 + row.keys, sum.1 + row.bytes));
    let what = format!(
        "{} patterns grow and never expire, as their siblings do",
        found.len()
    );
    Ok(Some(
        tuned
            .finding(what)
            .about(sum.0, sum.1)
            .risk("they grow until memory ends")
            .evidence(rows)
            .remedy("EXPIRE key seconds when it is written, as its siblings get it"),
    ))
}

fn lost(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let flows = &facts.flows;
    let of = Flow::ttl_lost;
    let told = flows.by_pattern.iter().map(|row| of(&row.1)).sum();
    let all = of(&flows.all).max(told);
    if all < tuned.of("keys").max(1) {
        return Ok(None);
    }
    let mut patterns: Vec<&((u32, Vec<u8>), Flow)> = flows.by_pattern.iter().collect();
    patterns.retain(|row| of(&row.1) > 0);
    patterns.sort_by_key(|row| std::cmp::Reverse(of(&row.1)));
    let rows = patterns.iter().map(|((_, glob), flow)| Evidence {
        subject: Subject::Pattern(glob.clone()),
        seen: format!(
            "{} overwritten, {} by PERSIST, {} given to keys without one",
            flow.ttl_overwritten, flow.ttl_persisted, flow.ttl_given
        ),
        bytes: 0,
        saving: 0,
    });
    let what = format!(
        "{all} expiries were lost and not given back in the last {} s",
        flows.covered_s
    );
    Ok(Some(
        tuned
            .finding(what)
            .about(all, 0)
            .risk("they stay for ever")
            .evidence(rows)
            .remedy("SET key value EX seconds, or SET key value KEEPTTL"),
    ))
}

fn expired(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let survey = facts.survey()?;
    let tally = survey.tally(Point::Expired);
    let share = tally.now.saturating_mul(100) / survey.bytes.max(1);
    let stale: f64 = facts
        .info("expired_stale_perc")?
        .and_then(|text| text.parse().ok())
        .unwrap_or(0.0);
    let by_share = tally.keys > 0 && share >= tuned.of("percent");
    let limit = u32::try_from(tuned.of("stale_percent")).unwrap_or(u32::MAX);
    if !by_share && stale <= f64::from(limit) {
        return Ok(None);
    }
    let what = format!(
        "{} expired keys are still there ({share}% of the bytes); the server counts {stale:.1}% of \
         keys with an expiry",
        tally.keys
    );
    let late = |seen: &Seen| format!("expired {} s before", seen.figure);
    Ok(Some(
        tuned
            .finding(what)
            .about(tally.keys, tally.now)
            .saves(tally.now)
            .evidence(tally.top().map(|seen| seen.evidence(late)))
            .remedy("CONFIG SET active-expire-effort 4")
            .remedy("CONFIG SET hz 50")
            .remedy("or SCAN the keyspace once: what is met expires"),
    ))
}

fn storm(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let storms = facts.storms.as_ref().map_err(|why| Cannot(why.clone()))?;
    let mut found: Vec<&Storm> = storms.iter().collect();
    found.sort_by_key(|storm| (std::cmp::Reverse(storm.portion.bytes), storm.at_ms));
    let Some(worst) = found.first() else {
        return Ok(None);
    };
    let now_ms = i64::try_from(facts.now_ms).unwrap_or(i64::MAX);
    let ahead = |storm: &Storm| storm.at_ms.saturating_sub(now_ms).max(0) / MINUTE_MS;
    let what = format!(
        "in {} minutes of the next day very many keys expire; in {} min, {} keys at once",
        found.len(),
        ahead(worst),
        worst.portion.keys
    );
    let rows = found.iter().map(|storm| Evidence {
        bytes: storm.portion.bytes,
        ..Evidence::named(
            &format!("in {} min", ahead(storm)),
            format!("{} keys expire", storm.portion.keys),
        )
    });
    let portions = found.iter().map(|storm| storm.portion);
    let sum = portions.fold(Portion::default(), Portion::and);
    Ok(Some(
        tuned
            .finding(what)
            .about(sum.keys, sum.bytes)
            .risk("the expiry cycle takes the main thread, and everybody misses at once")
            .evidence(rows)
            .remedy("EXPIRE key (ttl + rand(ttl / 10)): add some chance to each time to live"),
    ))
}

fn absurd(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let survey = facts.survey()?;
    let (far, near) = (
        survey.tally(Point::FarExpiry),
        survey.tally(Point::NearExpiry),
    );
    if far.keys == 0 && near.keys == 0 {
        return Ok(None);
    }
    let what = format!(
        "{} keys expire in more than {} days, {} within a second of their writing",
        far.keys,
        tuned.of("days"),
        near.keys
    );
    let far_row = |seen: &Seen| format!("expires in {} days", seen.figure / 86_400);
    let near_row = |_: &Seen| "lives less than a second".to_owned();
    let rows = far.top().map(|seen| seen.evidence(far_row));
    let rows = rows.chain(near.top().map(|seen| seen.evidence(near_row)));
    Ok(Some(
        tuned
            .finding(what)
            .about(far.keys + near.keys, far.now + near.now)
            .risk("they stay for ever, or are gone before anybody reads them")
            .evidence(rows)
            .remedy("EXPIRE takes seconds, PEXPIRE milliseconds; EXPIREAT and PEXPIREAT likewise"),
    ))
}
