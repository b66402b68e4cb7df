//! What is told of expiries: keys by what is left of their lives, what expires soon, and storms.

use std::collections::BTreeMap;

use serde_json::Value;

use super::census::Census;
use super::{Facts, Sum, number, plus, rows, signed, text};

/// By what is left of the lives: each row says where it ends.
pub(super) fn lives(census: &Census, told: &Value, facts: &mut Facts<'_>) {
    let as_of = signed(&told["total"], "as_of").saturating_mul(1000);
    let lives = rows(told, "by_life");
    let ends: Vec<Option<i64>> = lives
        .iter()
        .map(|row| row["until"].as_i64().map(|at| at.saturating_mul(1000)))
        .collect();
    let mut sums = vec![(0, 0); lives.len()];
    for row in &census.rows {
        // The first row is of keys without an expiry, the last has no end.
        let life = match row.expire_ms {
            None => Some(0),
            Some(at) => (1..ends.len()).find(|&life| ends[life].is_none_or(|end| at < end)),
        };
        if let Some(sum) = life.and_then(|life| sums.get_mut(life)) {
            plus(sum, 1, row.bytes);
        }
    }
    let (whole, seen) = (census.whole(), census.sum());
    let past = (whole.0 - seen.0, whole.1.saturating_sub(seen.1));
    facts.equal("past", census.past.len() as u64, past.0);
    let said = |row: &Value| (number(row, "keys"), number(row, "bytes"));
    let mut all: Vec<Sum> = lives.iter().map(said).collect();
    // The expired and those of the minute under way are one.
    if let ([_, expired, minute, ..], [_, due, under_way, ..]) = (&mut all[..], &mut sums[..]) {
        plus(minute, expired.0, expired.1);
        plus(under_way, due.0 + past.0, due.1 + past.1);
        (*expired, *due) = ((0, 0), (0, 0));
    }
    for (life, (naive, told)) in sums.into_iter().zip(all).enumerate() {
        facts.equal(&format!("life {life} as of {as_of}"), naive, told);
    }
}

/// What expires in the next minutes and hours, and the storms.
pub(super) fn soon(census: &Census, told: &Value, facts: &mut Facts<'_>) {
    let as_of = signed(&told["total"], "as_of").saturating_mul(1000);
    for (table, minutes, length) in [("next_minutes", 60, 1), ("next_hours", 1440, 60)] {
        let mut sums: BTreeMap<i64, Sum> = BTreeMap::new();
        for row in &census.rows {
            let ahead = row
                .expire_ms
                .map_or(-1, |at| (at - as_of).div_euclid(60_000));
            // The minute under way is compared with the expired.
            if (1..minutes).contains(&ahead) {
                let span = sums.entry(ahead / length * length).or_default();
                plus(span, 1, row.bytes);
            }
        }
        let mut said = BTreeMap::new();
        for row in rows(told, table) {
            let from = signed(row, "in_minutes");
            said.insert(from, (number(row, "keys"), number(row, "bytes")));
        }
        if length == 1 {
            said.remove(&0);
            facts.equal(table, sums, said);
            continue;
        }
        // The first hour has the minute under way, too.
        sums.remove(&0);
        said.remove(&0);
        facts.equal(table, sums, said);
    }
    storms(census, told, facts);
}

/// Keys below which a minute is no storm, as campaigns tune rule TTL-04: they have few keys.
const STORM_KEYS_MIN: u64 = 100;

/// The minutes in which a master loses too much.
fn storms(census: &Census, told: &Value, facts: &mut Facts<'_>) {
    let as_of = signed(&told["total"], "as_of").saturating_mul(1000);
    let mut by_minute: BTreeMap<(String, i64), Sum> = BTreeMap::new();
    for row in &census.rows {
        let ahead = row
            .expire_ms
            .map_or(-1, |at| (at - as_of).div_euclid(60_000));
        if (1..1440).contains(&ahead) {
            let id = (census.master_of(row).to_owned(), ahead);
            plus(by_minute.entry(id).or_default(), 1, row.bytes);
        }
    }
    let wholes: BTreeMap<String, Sum> = census.wholes().collect();
    by_minute.retain(|(master, _), sum| {
        let (keys, bytes) = wholes[master];
        sum.0 >= STORM_KEYS_MIN && (sum.0 > keys / 20 || sum.1 > bytes / 10)
    });
    let mut storms = BTreeMap::new();
    for row in rows(told, "storms") {
        let ahead = signed(row, "in_minutes");
        if ahead > 0 {
            // A single master is not asked by its name.
            let master = if wholes.contains_key("ALL") {
                "ALL".to_owned()
            } else {
                text(row, "master")
            };
            storms.insert((master, ahead), (number(row, "keys"), number(row, "bytes")));
        }
    }
    facts.equal("storms", by_minute, storms);
}
