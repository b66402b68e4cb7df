//! What is told of all keys: sums by database, type, encoding, master, slot, hash tag and pattern, and
//! the largest keys.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;

use super::census::{Census, Row, select};
use super::{Facts, Sum, json, number, plus, rows, text};
use crate::cluster::client::{hash_tag, slot_of};
use crate::resp::Client;
use crate::truth::PIPELINE;

/// Rows of KS.TOP.
const TOP: usize = 100;

/// Hash tags that one answer tells.
const TAGS_MAX: usize = 1000;

/// All patterns that are not text.
const QUOTED: &str = "(quoted)";

fn said(row: &Value) -> Sum {
    (number(row, "keys"), number(row, "bytes"))
}

/// The rows of a table by one or more of their cells.
fn table<K: Ord>(told: &Value, name: &str, key: impl Fn(&Value) -> K) -> BTreeMap<K, Sum> {
    let rows = rows(told, name).iter();
    rows.map(|row| (key(row), said(row))).collect()
}

/// By database, type, encoding and master.
pub(super) fn summary(census: &Census, client: &mut Client, facts: &mut Facts<'_>) -> Result<()> {
    let told = json(client, &["KS.SUMMARY"])?;
    facts.equal("total", census.sum(), said(&told["total"]));
    let dbs = table(&told, "by_db", |row| number(row, "db"));
    facts.equal("by_db", census.by(|row| u64::from(row.db)), dbs);
    let kinds = table(&told, "by_type", |row| text(row, "type"));
    facts.equal("by_type", census.by(|row| row.kind.clone()), kinds);
    let forms = table(&told, "by_encoding", |row| {
        (text(row, "type"), text(row, "encoding"))
    });
    let naive = census.by(|row| (row.kind.clone(), row.encoding.clone()));
    facts.equal("by_encoding", naive, forms);
    let mut elements = BTreeMap::new();
    let mut expiring = BTreeMap::new();
    for row in &census.rows {
        *elements.entry(row.kind.clone()).or_default() += row.elements;
        *expiring.entry(u64::from(row.db)).or_default() += u64::from(row.expire_ms.is_some());
    }
    let of = |table, key: fn(&Value) -> String, cell| {
        let rows = rows(&told, table).iter();
        let cells = rows.map(|row| (key(row), number(row, cell)));
        cells.collect::<BTreeMap<String, u64>>()
    };
    let mut counted = of("by_type", |row| text(row, "type"), "elements");
    // What a string or a module's value has is no element.
    counted.retain(|kind, _| ["list", "set", "zset", "hash", "stream"].contains(&&**kind));
    elements.retain(|kind: &String, _| counted.contains_key(kind));
    facts.equal("elements", elements, counted);
    let expires = rows(&told, "by_db").iter();
    let expires = expires.map(|row| (number(row, "db"), number(row, "expires")));
    facts.equal("expires", expiring, expires.collect());
    // It is there only if there are several.
    let masters = filled(table(&told, "by_master", |row| text(row, "master")));
    if let (false, Some(naive)) = (masters.is_empty(), census.masters()) {
        facts.equal("by_master", naive, masters);
    }
    Ok(())
}

/// Without the rows of those that have no keys.
fn filled(mut sums: BTreeMap<String, Sum>) -> BTreeMap<String, Sum> {
    sums.retain(|_, sum| sum.0 > 0);
    sums
}

/// The largest keys.
pub(super) fn top(census: &Census, client: &mut Client, facts: &mut Facts<'_>) -> Result<()> {
    let most = TOP.to_string();
    type Measure = fn(&Row) -> u64;
    let cases: [(&str, &str, Measure); 3] = [
        ("BYTES", "", |row| row.bytes),
        ("BYTES", "zset", |row| row.bytes),
        ("ELEMENTS", "hash", |row| row.elements),
    ];
    for (by, kind, measure) in cases {
        let mut words = vec!["KS.TOP", by, &most];
        if !kind.is_empty() {
            words.extend(["TYPE", kind]);
        }
        let told = json(client, &words)?;
        let cell = by.to_lowercase();
        let told = rows(&told, "top").iter();
        let told: Vec<u64> = told.map(|row| number(row, &cell)).collect();
        let fits = census
            .rows
            .iter()
            .filter(|row| kind.is_empty() || row.kind == kind);
        let mut naive: Vec<u64> = fits.map(measure).collect();
        naive.sort_unstable_by_key(|size| Reverse(*size));
        naive.truncate(TOP);
        facts.equal(&words.join(" "), naive, told);
    }
    Ok(())
}

/// By pattern: which one each key is in is asked key by key, and added up.
pub(super) fn patterns(
    census: &Census,
    (client, databases): (&mut Client, u32),
    facts: &mut Facts<'_>,
) -> Result<()> {
    let told = json(client, &["KS.PATTERNS", "LIMIT", "100000"])?;
    let mut sums: BTreeMap<String, (Sum, Sum)> = BTreeMap::new();
    for db in 0..databases {
        let own: Vec<&Row> = census.rows.iter().filter(|row| row.db == db).collect();
        select(client, db, databases)?;
        for chunk in own.chunks(PIPELINE) {
            let mut words = vec![b"KS.PATTERNS".to_vec(), b"OF".to_vec()];
            words.extend(chunk.iter().map(|row| row.name.clone()));
            let answer = client.ask(&words)?;
            for (row, pattern) in chunk.iter().zip(answer.items()) {
                let name = pattern
                    .text()
                    .and_then(|glob| std::str::from_utf8(glob).ok());
                let name = name.filter(|name| !name.chars().any(char::is_control));
                let (all, fixed) = sums.entry(name.unwrap_or(QUOTED).to_owned()).or_default();
                plus(all, 1, row.bytes);
                if row.expire_ms.is_none() {
                    plus(fixed, 1, row.bytes);
                }
            }
        }
    }
    select(client, 0, databases)?;
    let mut said = BTreeMap::new();
    for row in rows(&told, "patterns") {
        let name = row["pattern"].as_str().unwrap_or_default();
        // What is not text is quoted there.
        let name = if name.starts_with('"') { QUOTED } else { name };
        let all = (number(row, "keys"), number(row, "bytes"));
        let fixed = (number(row, "no_ttl_keys"), number(row, "no_ttl_bytes"));
        let sum: &mut (Sum, Sum) = said.entry(name.to_owned()).or_default();
        plus(&mut sum.0, all.0, all.1);
        plus(&mut sum.1, fixed.0, fixed.1);
    }
    let whole = said
        .values()
        .fold((0, 0), |sum: Sum, (all, _)| (sum.0 + all.0, sum.1 + all.1));
    facts.equal("all", census.sum(), whole);
    facts.equal("rows", sums.keys().count(), said.keys().count());
    for (name, naive) in sums {
        facts.equal(&name, Some(naive), said.remove(&name));
    }
    Ok(())
}

/// By hash slot, and what each master has.
pub(super) fn slots(census: &Census, client: &mut Client, facts: &mut Facts<'_>) -> Result<()> {
    let told = json(client, &["KS.SLOTS", "LIMIT", "16384"])?;
    facts.equal("total", census.sum(), said(&told["total"]));
    let mut sums: BTreeMap<u64, Sum> = BTreeMap::new();
    for row in rows(&told, "slots") {
        let (keys, bytes) = said(row);
        plus(sums.entry(number(row, "slot")).or_default(), keys, bytes);
    }
    // One that was written and has no keys now.
    sums.retain(|_, sum| sum.0 > 0);
    let naive = census.by(|row| u64::from(slot_of(&row.name)));
    facts.equal("by slot", naive, sums);
    if let Some(naive) = census.masters() {
        let masters = filled(table(&told, "masters", |row| text(row, "master")));
        facts.equal("by master", naive, masters);
    }
    Ok(())
}

/// By hash tag.
pub(super) fn tags(census: &Census, client: &mut Client, facts: &mut Facts<'_>) -> Result<()> {
    let most = TAGS_MAX.to_string();
    let told = json(client, &["KS.SLOTS", "HASHTAGS", "LIMIT", &most])?;
    let mut naive: BTreeMap<(u64, String), Sum> = BTreeMap::new();
    let mut all: Sum = (0, 0);
    for row in &census.rows {
        let Some(tag) = hash_tag(&row.name) else {
            continue;
        };
        plus(&mut all, 1, row.bytes);
        // Tags that are not text are written in another way there.
        let plain = |text: &&str| !text.contains(|c: char| c.is_control() || c == '"' || c == '\\');
        if let Some(text) = std::str::from_utf8(tag).ok().filter(plain) {
            let id = (u64::from(row.db), text.to_owned());
            plus(naive.entry(id).or_default(), 1, row.bytes);
        }
    }
    let sums = rows(&told, "tagged").iter().map(said);
    let sum = sums.fold((0, 0), |sum: Sum, own| (sum.0 + own.0, sum.1 + own.1));
    facts.equal("tagged", all, sum);
    let listed = table(&told, "hashtags", |row| {
        (number(row, "db"), text(row, "hashtag"))
    });
    let cut = rows(&told, "hashtags").len() == TAGS_MAX;
    for (id, sum) in naive {
        let found = listed.get(&id).copied();
        if found.is_some() || !cut {
            let what = format!("db{} {}", id.0, id.1);
            facts.equal(&what, Some(sum), found);
        }
    }
    Ok(())
}
