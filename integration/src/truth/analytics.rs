//! `cargo truth -- --facts analytics`: a naive auditor that computes every analytic anew from all
//! keys, one by one, and compares it with what is kept by deltas.
//!
//! It asks the admin port for every key (SCAN, TYPE, OBJECT ENCODING, MEMORY USAGE, PEXPIRETIME),
//! which the campaign around it compares with the server. Nobody writes meanwhile. Then it asks for
//! KS.SUMMARY, KS.TTL, KS.SLOTS, KS.GROWTH and KS.HOT, and adds up for itself what they should say.
//!
//! Of a key that is past its expiry and still there the port tells nothing but its name; such keys
//! are what the totals have beyond the others. Whether its minute is over only the census knows, so
//! the expired and the minute under way are compared as one.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{PIPELINE, Report, scan_as_told};
use crate::app::App;
use crate::cluster::client::slot_of;
use crate::resp::{Client, Command};
use crate::wait;

/// Databases that are walked.
const DATABASES: u32 = 16;

/// How long keys may take to be counted.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes of a known number, for KS.HOT.
const HOT_WRITES: u64 = 4_000;

/// To so many keys, of which some get most.
const HOT_KEYS: u64 = 40;

/// A key as the port tells it.
#[derive(Debug, Clone)]
struct Row {
    db: u32,
    name: Vec<u8>,
    kind: String,
    encoding: String,
    bytes: u64,
    expire_ms: Option<i64>,
}

/// All keys.
#[derive(Debug, Clone, Default)]
struct Census {
    rows: Vec<Row>,
    /// Names of keys that are past their expiry.
    past: Vec<(u32, Vec<u8>)>,
}

/// Keys and bytes.
type Sum = (u64, u64);

fn plus(sum: &mut Sum, keys: u64, bytes: u64) {
    *sum = (sum.0 + keys, sum.1 + bytes);
}

/// What the auditor remembers from one point to the next, and what it finds.
#[derive(Debug, Default)]
pub struct Auditor {
    /// What KS.GROWTH and the keys said at the last point.
    before: Option<(Change, Sum)>,
    /// Writes of known keys so far, and the bytes of their commands.
    hot: BTreeMap<String, Sum>,
}

/// Sums of the rows of KS.GROWTH.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Change {
    keys: i64,
    bytes: i64,
}

/// An answer as JSON.
fn json(client: &mut Client, words: &[&str]) -> Result<Value> {
    let words = [words, &["FORMAT", "JSON"]].concat();
    let text = client.ask(&words)?.string();
    serde_json::from_str(&text).with_context(|| format!("{words:?}: {text}"))
}

fn number(row: &Value, name: &str) -> u64 {
    row[name].as_u64().unwrap_or(u64::MAX)
}

fn signed(row: &Value, name: &str) -> i64 {
    row[name].as_i64().unwrap_or(i64::MIN)
}

fn rows<'a>(answer: &'a Value, table: &str) -> &'a [Value] {
    answer[table].as_array().map_or(&[], Vec::as_slice)
}

impl Census {
    fn read(client: &mut Client) -> Result<Self> {
        let mut census = Self::default();
        for db in 0..DATABASES {
            client.ask(&["SELECT", &db.to_string()])?;
            let mut names = scan_as_told(client)?;
            names.sort();
            names.dedup();
            for chunk in names.chunks(PIPELINE) {
                census.describe(client, db, chunk)?;
            }
        }
        client.ask(&["SELECT", "0"])?;
        Ok(census)
    }

    fn describe(&mut self, client: &mut Client, db: u32, names: &[Vec<u8>]) -> Result<()> {
        let mut commands: Vec<Command> = Vec::new();
        for name in names {
            let of = |words: &[&str]| {
                let words = words.iter().map(|word| word.as_bytes().to_vec());
                words.chain([name.clone()]).collect::<Command>()
            };
            commands.extend([
                of(&["TYPE"]),
                of(&["OBJECT", "ENCODING"]),
                of(&["MEMORY", "USAGE"]),
                of(&["PEXPIRETIME"]),
            ]);
        }
        let replies = client.pipeline(&commands)?;
        for (name, facts) in names.iter().zip(replies.chunks(4)) {
            let [kind, encoding, bytes, expiry] = facts else {
                continue;
            };
            let expire_ms = expiry.int().unwrap_or(-2);
            // It may have expired between two of the questions.
            let (Some(bytes), true) = (bytes.int(), expire_ms != -2) else {
                self.past.push((db, name.clone()));
                continue;
            };
            self.rows.push(Row {
                db,
                name: name.clone(),
                kind: kind.string(),
                encoding: encoding.string(),
                bytes: u64::try_from(bytes).unwrap_or(0),
                expire_ms: (expire_ms != -1).then_some(expire_ms),
            });
        }
        Ok(())
    }

    fn sum(&self) -> Sum {
        let rows = self.rows.iter();
        rows.fold((0, 0), |sum, row| (sum.0 + 1, sum.1 + row.bytes))
    }

    fn by<K: Ord>(&self, key: impl Fn(&Row) -> K) -> BTreeMap<K, Sum> {
        let mut sums = BTreeMap::new();
        for row in &self.rows {
            plus(sums.entry(key(row)).or_default(), 1, row.bytes);
        }
        sums
    }
}

impl Auditor {
    /// Audits while expired keys are still there: what is told of expiries.
    ///
    /// # Errors
    /// If Keyscape does not answer.
    pub fn expiries(&self, app: &App, report: &mut Report) -> Result<()> {
        let mut client = app.client()?;
        at_rest(&mut client, report, |client, report| {
            let whole = Still::read(client)?.total;
            let census = Census::read(client)?;
            let told = counted(client)?;
            let mut facts = Facts::new("KS.TTL", report);
            let all = &told["total"];
            facts.equal("all", whole, (number(all, "keys"), number(all, "bytes")));
            let names = census.rows.len() + census.past.len();
            facts.equal("names", names as u64, whole.0);
            lives(&census, whole, &told, &mut facts);
            soon(&census, &told, &mut facts);
            Ok(())
        })
    }

    /// Audits everything; no key is past its expiry by more than a moment.
    ///
    /// # Errors
    /// If Keyscape does not answer.
    pub fn all(&mut self, app: &App, report: &mut Report) -> Result<()> {
        self.expiries(app, report)?;
        let mut client = app.client()?;
        let before = self.before;
        at_rest(&mut client, report, |client, report| {
            self.before = before;
            let census = Census::read(client)?;
            if !census.past.is_empty() {
                // It has just expired: the sums have it, and nobody can say by how much.
                report.expired += census.past.len() as u64;
                return Ok(());
            }
            summary(&census, client, report)?;
            slots(&census, client, report)?;
            patterns(&census, client, report)?;
            self.growth(&census, client, report)?;
            self.heat(client, report)
        })
    }

    /// Every byte that the keys changed by since the last point is in one row.
    fn growth(&mut self, census: &Census, client: &mut Client, report: &mut Report) -> Result<()> {
        let told = json(client, &["KS.GROWTH", "WINDOW", "2h"])?;
        let window = &told["window"];
        let mut facts = Facts::new("KS.GROWTH", report);
        let sum = census.sum();
        let now = (number(window, "keys_now"), number(window, "bytes_now"));
        facts.equal("now", sum, now);
        let mut change = Change::default();
        for row in rows(&told, "by_type") {
            change.keys += signed(row, "keys_change");
            change.bytes += signed(row, "bytes_change");
        }
        let mut patterns = 0;
        for row in rows(&told, "by_pattern") {
            patterns += signed(row, "bytes_change");
        }
        facts.equal("by pattern", change.bytes, patterns);
        for row in rows(&told, "by_cause") {
            change.keys += signed(row, "keys_in") - signed(row, "keys_out");
            change.bytes += signed(row, "bytes_change");
        }
        let said = Change {
            keys: signed(window, "keys_change"),
            bytes: signed(window, "bytes_change"),
        };
        facts.equal("rows", said, change);
        if let Some((before, keys)) = self.before.replace((change, sum)) {
            let apart = |now: u64, then: u64| now.cast_signed() - then.cast_signed();
            let came = (apart(sum.0, keys.0), apart(sum.1, keys.1));
            let told = (change.keys - before.keys, change.bytes - before.bytes);
            facts.equal("since the last point", came, told);
        }
        Ok(())
    }

    /// Writes a known number of times to known keys: they must be within what KS.HOT tells.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn write_hot(&mut self, server: &mut Client) -> Result<()> {
        for n in 0..HOT_WRITES {
            // Half of the writes go to the first, half of the others to the second, and so on.
            let key = u64::from((n + 1).trailing_zeros()) % HOT_KEYS;
            let name = format!("truth:hot:{key}");
            let value = "v".repeat(usize::try_from(key).unwrap_or(0) + 1);
            server.push(&["SET", &name, &value]);
            let bytes = (3 + name.len() + value.len()) as u64;
            plus(self.hot.entry(name).or_default(), 1, bytes);
        }
        server.flush()?;
        for _ in 0..HOT_WRITES {
            server.read()?;
        }
        Ok(())
    }

    fn heat(&self, client: &mut Client, report: &mut Report) -> Result<()> {
        let told = json(client, &["KS.HOT", "KEYS", "WINDOW", "1h", "1000"])?;
        let mut facts = Facts::new("KS.HOT", report);
        let mut met = BTreeMap::new();
        for row in rows(&told, "hot") {
            let name = row["key"].as_str().unwrap_or_default();
            if let Some((writes, bytes)) = self.hot.get(name) {
                met.insert(name, ());
                let least = (number(row, "writes"), number(row, "written_bytes"));
                let more = (
                    number(row, "writes_error"),
                    number(row, "written_bytes_error"),
                );
                let fits = (least.0..=least.0 + more.0).contains(writes)
                    && (least.1..=least.1 + more.1).contains(bytes);
                facts.holds(name, fits, &format!("{row} {writes} {bytes}"));
            }
        }
        // The one that got half of all writes must be there.
        let first = "truth:hot:0";
        let there = self.hot.is_empty() || met.contains_key(first);
        facts.holds(first, there, "it is not among the hottest");
        Ok(())
    }
}

/// What changes when anything does. The offset is not in it: Redis 6.0 sends a few bytes for every
/// look of our audit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Still {
    total: Sum,
    inexact: String,
}

impl Still {
    fn read(client: &mut Client) -> Result<Self> {
        let summary = json(client, &["KS.SUMMARY"])?;
        let total = &summary["total"];
        Ok(Self {
            total: (number(total, "keys"), number(total, "bytes")),
            inexact: summary["notes"].to_string(),
        })
    }
}

/// Audits while nothing changes. Nobody writes, but our own audit may meet a key that is past its
/// expiry, which the server then deletes; what is found meanwhile says nothing.
fn at_rest(
    client: &mut Client,
    report: &mut Report,
    mut audit: impl FnMut(&mut Client, &mut Report) -> Result<()>,
) -> Result<()> {
    let mut seen = Vec::new();
    let found = wait::until(PATIENCE, "a moment of rest", || {
        let mut found = Report::default();
        let before = Still::read(client)?;
        audit(client, &mut found)?;
        seen = vec![before, Still::read(client)?];
        Ok((seen[0] == seen[1]).then_some(found))
    });
    let found = found.with_context(|| format!("{seen:?}"))?;
    report.add(found);
    Ok(())
}

/// KS.TTL, once all keys are counted.
fn counted(client: &mut Client) -> Result<Value> {
    wait::until(PATIENCE, "the keys to be counted", || {
        let told = json(client, &["KS.TTL"])?;
        let counting = told["notes"].to_string().contains("being counted");
        Ok((!counting).then_some(told))
    })
}

/// What is compared of one verb.
struct Facts<'a> {
    verb: &'static str,
    report: &'a mut Report,
}

impl<'a> Facts<'a> {
    const fn new(verb: &'static str, report: &'a mut Report) -> Self {
        Self { verb, report }
    }

    fn equal<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, naive: T, told: T) {
        self.report.facts += 1;
        if naive != told {
            let (naive, told) = (format!("{naive:?}"), format!("{told:?}"));
            self.differs(what, &naive, &told);
        }
    }

    fn holds(&mut self, what: &str, holds: bool, told: &str) {
        self.report.facts += 1;
        if !holds {
            self.differs(what, "within its bounds", told);
        }
    }

    fn differs(&mut self, what: &str, naive: &str, told: &str) {
        let what = format!("{} {what}", self.verb);
        self.report
            .odd((0, what.as_bytes()), ("analytic", naive, told));
    }
}

/// By what is left of the lives: each row says where it ends.
fn lives(census: &Census, whole: Sum, told: &Value, facts: &mut Facts<'_>) {
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
    let seen = census.sum();
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
fn soon(census: &Census, told: &Value, facts: &mut Facts<'_>) {
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
    let all = &told["total"];
    let (keys, bytes) = (number(all, "keys"), number(all, "bytes"));
    let mut by_minute: BTreeMap<i64, Sum> = BTreeMap::new();
    for row in &census.rows {
        let ahead = row
            .expire_ms
            .map_or(-1, |at| (at - as_of).div_euclid(60_000));
        if (1..1440).contains(&ahead) {
            plus(by_minute.entry(ahead).or_default(), 1, row.bytes);
        }
    }
    by_minute.retain(|_, sum| sum.0 >= 100 && (sum.0 > keys / 20 || sum.1 > bytes / 10));
    let mut storms = BTreeMap::new();
    for row in rows(told, "storms") {
        let ahead = signed(row, "in_minutes");
        if ahead > 0 {
            storms.insert(ahead, (number(row, "keys"), number(row, "bytes")));
        }
    }
    facts.equal("storms", by_minute, storms);
}

/// By database, type and encoding.
fn summary(census: &Census, client: &mut Client, report: &mut Report) -> Result<()> {
    let told = json(client, &["KS.SUMMARY"])?;
    let mut facts = Facts::new("KS.SUMMARY", report);
    let said = |row: &Value| (number(row, "keys"), number(row, "bytes"));
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    facts.equal("total", census.sum(), said(&told["total"]));
    let dbs = rows(&told, "by_db").iter();
    let dbs: BTreeMap<u64, Sum> = dbs.map(|row| (number(row, "db"), said(row))).collect();
    facts.equal("by_db", census.by(|row| u64::from(row.db)), dbs);
    let kinds = rows(&told, "by_type").iter();
    let kinds: BTreeMap<String, Sum> = kinds.map(|row| (text(row, "type"), said(row))).collect();
    facts.equal("by_type", census.by(|row| row.kind.clone()), kinds);
    let forms = rows(&told, "by_encoding").iter();
    let forms: BTreeMap<(String, String), Sum> = forms
        .map(|row| ((text(row, "type"), text(row, "encoding")), said(row)))
        .collect();
    let naive = census.by(|row| (row.kind.clone(), row.encoding.clone()));
    facts.equal("by_encoding", naive, forms);
    Ok(())
}

/// All patterns that are not text.
const QUOTED: &str = "(quoted)";

/// By pattern: which one each key is in is asked key by key, and added up.
fn patterns(census: &Census, client: &mut Client, report: &mut Report) -> Result<()> {
    let told = json(client, &["KS.PATTERNS", "LIMIT", "100000"])?;
    let mut facts = Facts::new("KS.PATTERNS", report);
    let mut sums: BTreeMap<String, (Sum, Sum)> = BTreeMap::new();
    for db in 0..DATABASES {
        let own: Vec<&Row> = census.rows.iter().filter(|row| row.db == db).collect();
        client.ask(&["SELECT", &db.to_string()])?;
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
    client.ask(&["SELECT", "0"])?;
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

/// By hash slot.
fn slots(census: &Census, client: &mut Client, report: &mut Report) -> Result<()> {
    let told = json(client, &["KS.SLOTS", "LIMIT", "16384"])?;
    let mut facts = Facts::new("KS.SLOTS", report);
    let said = rows(&told, "slots").iter();
    let said = said.map(|row| {
        let sum = (number(row, "keys"), number(row, "bytes"));
        (number(row, "slot"), sum)
    });
    let naive = census.by(|row| u64::from(slot_of(&row.name)));
    facts.equal("by slot", naive, said.collect());
    Ok(())
}
