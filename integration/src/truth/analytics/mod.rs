//! `cargo truth -- --facts analytics`: a naive auditor that computes every analytic anew from all
//! keys, one by one, and compares it with what is kept by deltas.
//!
//! It asks the admin port for every key (SCAN, TYPE, OBJECT ENCODING, MEMORY USAGE, HLEN and the like,
//! PEXPIRETIME), which the campaign around it compares with the server. Nobody writes meanwhile. Then
//! it asks for KS.SUMMARY, KS.TTL, KS.SLOTS, KS.TOP, KS.PATTERNS, KS.GROWTH and KS.HOT, and adds up for
//! itself what they should say. Of a deployment this is done for each master (KS.TARGET) and then for
//! all of them as one, which must be what the masters have together.
//!
//! Of a key that is past its expiry and still there the port tells nothing but its name; such keys
//! are what the totals have beyond the others. Whether its minute is over only the census knows, so
//! the expired and the minute under way are compared as one.

mod census;
mod lives;
mod slots;
mod verbs;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

pub use census::View;
use census::{Census, Scope};
use slots::SlotChange;

use super::{Keys, Report, unix_ms};
use crate::app::App;
use crate::resp::{Client, Command};
use crate::wait::{self, PATIENCE};

/// Writes of a known number, for KS.HOT.
const HOT_WRITES: u64 = 4_000;

/// To so many keys, of which some get most.
const HOT_KEYS: u64 = 40;

/// Bytes of the command that writes one of them where it moves to: RESTORE or SET, name and value.
const MOVE_BYTES: u64 = 256;

/// Keys that expire within this time are in the way of an audit, and live on for the other.
const SOON_MS: i64 = 600_000;
const LATER_MS: i64 = 3_600_000;

/// Keys and bytes.
type Sum = (u64, u64);

fn plus(sum: &mut Sum, keys: u64, bytes: u64) {
    *sum = (sum.0 + keys, sum.1 + bytes);
}

/// What the auditor remembers from one point to the next, and what it finds.
#[derive(Debug, Default)]
pub struct Auditor {
    /// What KS.GROWTH and the keys said at the last point, by what KS.TARGET was told.
    before: BTreeMap<String, (Change, Sum)>,
    /// The same slot by slot.
    slots: BTreeMap<String, SlotChange>,
    /// Writes of known keys so far, and the bytes of their commands.
    hot: BTreeMap<String, Sum>,
    /// Writes that each of them may have got besides: a slot that moves writes its keys at their new
    /// master.
    moves: u64,
    /// How often all that was forgotten, which is part of those keys' names.
    epoch: u64,
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

fn text(row: &Value, name: &str) -> String {
    row[name].as_str().unwrap_or_default().to_owned()
}

impl Auditor {
    /// Forgets what was there before: the history of a master is gone, and with it what its keys had.
    pub fn forget(&mut self) {
        *self = Self {
            epoch: self.epoch + 1,
            ..Self::default()
        };
    }

    /// Slots moved: each of them at most twice.
    pub fn moved(&mut self) {
        self.moves += 2;
    }

    /// Audits while expired keys are still there: what is told of expiries.
    ///
    /// # Errors
    /// If Keyscape does not answer.
    pub fn expiries(&self, app: &App, view: &View, report: &mut Report) -> Result<()> {
        for scope in view.scopes() {
            let mut client = app.client()?;
            let at = (&scope, view.databases);
            at_rest(&mut client, at, report, |client, census, report| {
                if census.has_twins() {
                    return Ok(());
                }
                let told = counted(client)?;
                let whole = census.whole();
                let mut facts = Facts::new("KS.TTL", &scope, report);
                let all = &told["total"];
                facts.equal("all", whole, (number(all, "keys"), number(all, "bytes")));
                let names = census.rows.len() + census.past.len();
                facts.equal("names", names as u64, whole.0);
                lives::lives(census, &told, &mut facts);
                lives::soon(census, &told, &mut facts);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Audits everything, behind [`calm`]: no key may expire meanwhile.
    ///
    /// # Errors
    /// If Keyscape does not answer.
    pub fn all(&mut self, app: &App, view: &View, report: &mut Report) -> Result<()> {
        self.expiries(app, view, report)?;
        for scope in view.scopes() {
            self.one(app, (&scope, view.databases), report)?;
        }
        Ok(())
    }

    fn one(
        &mut self,
        app: &App,
        (scope, databases): (&Scope, u32),
        report: &mut Report,
    ) -> Result<()> {
        let mut client = app.client()?;
        let before = (self.before.clone(), self.slots.clone());
        let at = (scope, databases);
        at_rest(&mut client, at, report, |client, census, report| {
            (self.before, self.slots) = before.clone();
            Facts::new("SCAN", scope, report).equal("past", 0, census.past.len());
            if census.has_twins() {
                // Of a key that a move left on two masters each was asked by itself.
                return Ok(());
            }
            verbs::summary(census, client, &mut Facts::new("KS.SUMMARY", scope, report))?;
            verbs::top(census, client, &mut Facts::new("KS.TOP", scope, report))?;
            verbs::slots(census, client, &mut Facts::new("KS.SLOTS", scope, report))?;
            verbs::tags(census, client, &mut Facts::new("HASHTAGS", scope, report))?;
            let mut facts = Facts::new("KS.PATTERNS", scope, report);
            verbs::patterns(census, (client, databases), &mut facts)?;
            self.growth(census, client, &mut Facts::new("KS.GROWTH", scope, report))?;
            // Where a hot key was written, only the whole knows: slots move.
            if scope.is_whole() {
                self.heat(client, &mut Facts::new("KS.HOT", scope, report))?;
            }
            Ok(())
        })
    }

    /// Every byte that the keys changed by since the last point is in one row.
    fn growth(
        &mut self,
        census: &Census,
        client: &mut Client,
        facts: &mut Facts<'_>,
    ) -> Result<()> {
        let told = json(client, &["KS.GROWTH", "WINDOW", "2h", "LIMIT", "16384"])?;
        let window = &told["window"];
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
        slots::compare((census, &told), change, &mut self.slots, facts);
        for row in rows(&told, "by_cause") {
            change.keys += signed(row, "keys_in") - signed(row, "keys_out");
            change.bytes += signed(row, "bytes_change");
        }
        let said = Change {
            keys: signed(window, "keys_change"),
            bytes: signed(window, "bytes_change"),
        };
        facts.equal("rows", said, change);
        let now = (change, sum);
        if let Some((before, keys)) = self.before.insert(facts.scope.to_owned(), now) {
            let apart = |now: u64, then: u64| now.cast_signed() - then.cast_signed();
            let came = (apart(sum.0, keys.0), apart(sum.1, keys.1));
            let told = (change.keys - before.keys, change.bytes - before.bytes);
            facts.equal("since the last point", came, told);
        }
        Ok(())
    }

    /// Writes a known number of times to known keys: they must be within what KS.HOT tells. `send`
    /// must see every reply.
    ///
    /// # Errors
    /// If a server refuses.
    pub fn write_hot(&mut self, send: impl FnOnce(&[Command]) -> Result<()>) -> Result<()> {
        let mut commands = Vec::new();
        for n in 0..HOT_WRITES {
            // Half of the writes go to the first, half of the others to the second, and so on.
            let key = u64::from((n + 1).trailing_zeros()) % HOT_KEYS;
            let name = self.hot_name(key);
            let value = "v".repeat(usize::try_from(key).unwrap_or(0) + 1);
            let words = ["SET", &name, &value].map(|word| word.as_bytes().to_vec());
            let bytes = words.iter().map(Vec::len).sum::<usize>() as u64;
            commands.push(words.to_vec());
            plus(self.hot.entry(name).or_default(), 1, bytes);
        }
        send(&commands)
    }

    fn hot_name(&self, key: u64) -> String {
        format!("truth:hot:{}:{key}", self.epoch)
    }

    fn heat(&self, client: &mut Client, facts: &mut Facts<'_>) -> Result<()> {
        let told = json(client, &["KS.HOT", "KEYS", "WINDOW", "1h", "1000"])?;
        // A SWAPDB takes along what was written before it, so a name may have rows in two databases.
        let mut met: BTreeMap<&str, [Sum; 2]> = BTreeMap::new();
        for row in rows(&told, "hot") {
            let name = row["key"].as_str().unwrap_or_default();
            if self.hot.contains_key(name) {
                let [least, more] = met.entry(name).or_default();
                plus(least, number(row, "writes"), number(row, "written_bytes"));
                let errors = ["writes_error", "written_bytes_error"].map(|of| number(row, of));
                plus(more, errors[0], errors[1]);
            }
        }
        // Nor need the one in the other database be listed.
        let covered = rows(&told, "covered");
        let sum = |of: &str| -> u64 { covered.iter().map(|row| number(row, of)).sum() };
        let unlisted = [sum("unlisted_writes_max"), sum("unlisted_bytes_max")];
        for (name, [least, more]) in &met {
            let (writes, bytes) = self.hot[*name];
            let fits = least.0 <= writes + self.moves
                && writes <= least.0 + more.0 + unlisted[0]
                && least.1 <= bytes + self.moves * MOVE_BYTES
                && bytes <= least.1 + more.1 + unlisted[1];
            let told = format!("{least:?}, at most {more:?} more, of {writes} and {bytes}");
            facts.holds(name, fits, &told);
        }
        // The one that got half of all writes must be there.
        let first = self.hot_name(0);
        let there = self.hot.is_empty() || met.contains_key(&*first);
        facts.holds(&first, there, "it is not among the hottest");
        Ok(())
    }
}

/// Sees to it that no key of a server expires while all is audited, however long that takes: of those
/// that would soon, half are deleted, and half live on. What others say of such a key is of no matter:
/// it may be in a slot that is on its way.
///
/// # Errors
/// If the connection fails.
pub fn calm(server: &mut Client, keys: &Keys) -> Result<()> {
    let now_ms = unix_ms();
    let soon = now_ms.saturating_add(SOON_MS);
    let later = now_ms.saturating_add(LATER_MS).to_string();
    let expiring = keys
        .iter()
        .filter(|(_, facts)| (0..soon).contains(&facts.expires_ms));
    let mut db = 0;
    for (n, ((at, name), _)) in expiring.enumerate() {
        if *at != db {
            db = *at;
            server.ask(&["SELECT", &db.to_string()])?;
        }
        let name = name.clone();
        let command = match n % 2 {
            0 => vec![b"DEL".to_vec(), name],
            _ => vec![b"PEXPIREAT".to_vec(), name, later.clone().into_bytes()],
        };
        server.pipeline(&[command])?;
    }
    if db != 0 {
        server.ask(&["SELECT", "0"])?;
    }
    Ok(())
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

/// Audits while nothing changes. Nobody writes, but our own audit may repair the bytes of a key, of
/// two even by as many in opposite directions; what is found while keys change says nothing.
fn at_rest(
    client: &mut Client,
    (scope, databases): (&Scope, u32),
    report: &mut Report,
    mut audit: impl FnMut(&mut Client, &Census, &mut Report) -> Result<()>,
) -> Result<()> {
    let mut seen = Vec::new();
    client.ask(&["KS.TARGET", &scope.name])?;
    let found = wait::until(PATIENCE, "a moment of rest", || {
        let mut found = Report::default();
        let before = Still::read(client)?;
        let census = Census::read(client, scope, databases)?;
        audit(client, &census, &mut found)?;
        seen = vec![before, Still::read(client)?];
        if seen[0] != seen[1] {
            return Ok(None);
        }
        let is_sure = found.mismatches.is_empty()
            || Census::read(client, scope, databases)?.is_of_same_keys(&census);
        Ok(is_sure.then_some(found))
    });
    let found = found.with_context(|| format!("{}: {seen:?}", scope.name))?;
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
    scope: &'a str,
    report: &'a mut Report,
}

impl<'a> Facts<'a> {
    fn new(verb: &'static str, scope: &'a Scope, report: &'a mut Report) -> Self {
        let scope = &scope.name;
        Self {
            verb,
            scope,
            report,
        }
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
        let what = format!("{} of {}: {what}", self.verb, self.scope);
        self.report
            .odd((0, what.as_bytes()), ("analytic", naive, told));
    }
}
