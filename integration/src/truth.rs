//! The comparator: every key of a server against what Keyscape says of it, in both directions.
//!
//! Both sides are asked with the same commands over RESP: SCAN in every database, then TYPE, OBJECT
//! ENCODING, the length command of the type, and PEXPIRETIME (before 7.0: PTTL, with
//! [`Rules::expiry_tolerance_ms`]). The caller sees to it that nobody writes and that both stand at
//! the same offset.
//!
//! A key past its expiry is the one thing in which the two may differ without either being wrong:
//! the server deletes it when somebody looks, and only then tells its replicas. Such a key is
//! counted as `expired` and not compared.

pub mod advice;
pub mod analytics;
pub mod bridge;
pub mod histories;
pub mod keyspaces;
pub mod memory;
pub mod whatif;

use std::collections::BTreeMap;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::resp::{Client, Command, Reply};

/// Keys asked about in one pipeline.
const PIPELINE: usize = 300;

/// Databases that are walked.
pub const DATABASES: u32 = 16;

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// `TYPE`.
    pub kind: String,
    /// `OBJECT ENCODING`.
    pub encoding: String,
    /// `STRLEN`, `LLEN`, ...; -1 if the type has none.
    pub length: i64,
    /// Expiry in unix milliseconds; -1 if none.
    pub expires_ms: i64,
}

/// All keys of one side.
pub type Keys = BTreeMap<(u32, Vec<u8>), Facts>;

/// How strictly to compare.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// How far expiries may differ.
    pub expiry_tolerance_ms: i64,
    /// Do not compare `int`, `embstr` and `raw`: a replica has no way to know them.
    pub any_string_encoding: bool,
}

/// One difference.
#[derive(Debug, Clone)]
pub struct Mismatch {
    /// Where the key is.
    pub db: u32,
    /// Its name.
    pub key: Vec<u8>,
    /// Which fact.
    pub fact: &'static str,
    /// What the server says.
    pub theirs: String,
    /// What Keyscape says.
    pub ours: String,
    /// Everything the server says of the key, for the reader of the report.
    pub context: String,
}

/// The result of a comparison.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Keys compared.
    pub keys: u64,
    /// Facts compared.
    pub facts: u64,
    /// Keys left out because their time had passed.
    pub expired: u64,
    /// All differences.
    pub mismatches: Vec<Mismatch>,
}

impl Report {
    /// Adds another report to this one.
    pub fn add(&mut self, other: Self) {
        self.keys += other.keys;
        self.facts += other.facts;
        self.expired += other.expired;
        self.mismatches.extend(other.mismatches);
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "db{} \"{}\" {}: theirs {} ours {} ({})",
            self.db,
            self.key.escape_ascii(),
            self.fact,
            self.theirs,
            self.ours,
            self.context
        )
    }
}

/// Reads every key of a server, or of Keyscape.
///
/// # Errors
/// If the connection fails, or a command is refused that both sides must know.
pub fn read(client: &mut Client) -> Result<Keys> {
    read_of(client, DATABASES)
}

/// As [`read`], of the first so many databases; one is never selected, as in a cluster.
///
/// # Errors
/// As [`read`].
pub fn read_of(client: &mut Client, databases: u32) -> Result<Keys> {
    let probe = client.call(&["PEXPIRETIME", "keyscape:truth:probe"])?;
    // A node of a cluster says MOVED of a key that is not its own, which is to know the command.
    let absolute = !probe.is_error() || probe.string().starts_with("MOVED");
    let mut keys = Keys::new();
    for db in 0..databases {
        if databases > 1 {
            client.ask(&["SELECT", &db.to_string()])?;
        }
        let names = scan(client).with_context(|| format!("scan db {db}"))?;
        for chunk in names.chunks(PIPELINE) {
            for (name, facts) in describe(client, chunk, (absolute, false))? {
                keys.insert((db, name), facts);
            }
        }
    }
    if databases > 1 {
        client.ask(&["SELECT", "0"])?;
    }
    Ok(keys)
}

/// Compares two sides that were read at the same offset.
#[must_use]
pub fn compare(theirs: &Keys, ours: &Keys, rules: &Rules) -> Report {
    let now_ms = unix_ms();
    let mut report = Report::default();
    let gone = |facts: &Facts| facts.expires_ms >= 0 && facts.expires_ms <= now_ms;
    for (id, their) in theirs {
        let our = ours.get(id);
        if gone(their) || our.is_some_and(gone) {
            report.expired += 1;
            continue;
        }
        report.keys += 1;
        report.facts += 1;
        match our {
            Some(our) => compare_key(id, (their, our), rules, &mut report),
            None => report.differs(id, "existence", ("exists", "missing"), their),
        }
    }
    for (id, our) in ours {
        if theirs.contains_key(id) {
            continue;
        }
        if gone(our) {
            report.expired += 1;
            continue;
        }
        report.facts += 1;
        report.differs(id, "existence", ("missing", "exists"), our);
    }
    report
}

fn compare_key(
    id: &(u32, Vec<u8>),
    (their, our): (&Facts, &Facts),
    rules: &Rules,
    report: &mut Report,
) {
    report.facts += 4;
    if their.kind != our.kind {
        report.differs(id, "type", (&their.kind, &our.kind), their);
        return;
    }
    let loose = rules.any_string_encoding && their.kind == "string";
    if their.encoding != our.encoding && !loose {
        report.differs(id, "encoding", (&their.encoding, &our.encoding), their);
    }
    if their.length != our.length {
        let pair = (&*their.length.to_string(), &*our.length.to_string());
        report.differs(id, "length", pair, their);
    }
    let both = their.expires_ms >= 0 && our.expires_ms >= 0;
    let tolerance = if both { rules.expiry_tolerance_ms } else { 0 };
    if their.expires_ms.abs_diff(our.expires_ms) > tolerance.unsigned_abs() {
        let pair = (&*their.expires_ms.to_string(), &*our.expires_ms.to_string());
        report.differs(id, "expiry", pair, their);
    }
}

impl Report {
    /// Adds a difference in something else than a fact of a key: what, what the servers say, what
    /// Keyscape says.
    pub fn odd(
        &mut self,
        (db, key): (u32, &[u8]),
        (fact, theirs, ours): (&'static str, &str, &str),
    ) {
        self.mismatches.push(Mismatch {
            db,
            key: key.to_vec(),
            fact,
            theirs: theirs.to_owned(),
            ours: ours.to_owned(),
            context: String::new(),
        });
    }

    fn differs(
        &mut self,
        id: &(u32, Vec<u8>),
        fact: &'static str,
        (theirs, ours): (&str, &str),
        facts: &Facts,
    ) {
        self.mismatches.push(Mismatch {
            db: id.0,
            key: id.1.clone(),
            fact,
            theirs: theirs.to_owned(),
            ours: ours.to_owned(),
            context: format!("{} {} {}", facts.kind, facts.encoding, facts.length),
        });
    }
}

/// How many keys there are of each type and encoding, with their longest, in one line.
#[must_use]
pub fn population(keys: &Keys) -> String {
    let mut kinds: BTreeMap<String, (u64, i64)> = BTreeMap::new();
    for facts in keys.values() {
        let kind = format!("{}/{}", facts.kind, facts.encoding);
        let (count, longest) = kinds.entry(kind).or_default();
        *count += 1;
        *longest = facts.length.max(*longest);
    }
    let words = kinds
        .iter()
        .map(|(kind, (count, longest))| format!("{kind} {count} (to {longest})"));
    words.collect::<Vec<_>>().join(", ")
}

/// Every name in the selected database, each once.
fn scan(client: &mut Client) -> Result<Vec<Vec<u8>>> {
    let mut names = scan_as_told(client)?;
    names.sort();
    names.dedup();
    Ok(names)
}

/// Every name in the selected database, as often as SCAN says it.
///
/// # Errors
/// If the connection fails, or the answer is none of SCAN.
pub fn scan_as_told(client: &mut Client) -> Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    let mut cursor = "0".to_owned();
    loop {
        let reply = client.ask(&["SCAN", &cursor, "COUNT", "500"])?;
        let [next, page] = reply.items() else {
            anyhow::bail!("SCAN answered {reply:?}");
        };
        names.extend(
            page.items()
                .iter()
                .filter_map(|name| name.text().map(<[u8]>::to_vec)),
        );
        cursor = next.string();
        if cursor == "0" {
            return Ok(names);
        }
    }
}

/// The facts of some keys; those that are gone by now are left out.
fn describe(
    client: &mut Client,
    names: &[Vec<u8>],
    (absolute, asking): (bool, bool),
) -> Result<Vec<(Vec<u8>, Facts)>> {
    let one = |word: &str, name: &[u8]| vec![word.as_bytes().to_vec(), name.to_vec()];
    let types: Vec<Command> = names.iter().map(|name| one("TYPE", name)).collect();
    let types = pipeline(client, &types, asking)?;
    let kinds: Vec<String> = types.iter().map(Reply::string).collect();
    let mut commands = Vec::new();
    for (name, kind) in names.iter().zip(&kinds) {
        commands.push(vec![b"OBJECT".to_vec(), b"ENCODING".to_vec(), name.clone()]);
        commands.push(one(length_command(kind), name));
        commands.push(one(if absolute { "PEXPIRETIME" } else { "PTTL" }, name));
    }
    let asked_ms = unix_ms();
    let replies = pipeline(client, &commands, asking)?;
    let mut out = Vec::new();
    let mut imported = Vec::new();
    for ((name, kind), facts) in names.iter().zip(kinds).zip(replies.chunks(3)) {
        if kind.starts_with("MOVED") && !asking {
            imported.push(name.clone());
            continue;
        }
        if kind == "none" {
            continue;
        }
        let [encoding, length, expiry] = facts else {
            continue;
        };
        let mut expires_ms = expiry.int().unwrap_or(-1);
        if expires_ms == -2 {
            continue;
        }
        if !absolute && expires_ms >= 0 {
            expires_ms += asked_ms;
        }
        let length = length.int().unwrap_or(-1);
        let facts = Facts {
            kind,
            encoding: encoding.string(),
            length,
            expires_ms,
        };
        out.push((name.clone(), facts));
    }
    if !imported.is_empty() {
        out.extend(describe(client, &imported, (absolute, true))?);
    }
    Ok(out)
}

/// A node of a cluster speaks of the keys of a slot on its way in only if ASKING comes before.
fn pipeline(client: &mut Client, commands: &[Command], asking: bool) -> Result<Vec<Reply>> {
    if !asking {
        return client.pipeline(commands);
    }
    let asking = vec![b"ASKING".to_vec()];
    let all: Vec<Command> = commands
        .iter()
        .flat_map(|command| [asking.clone(), command.clone()])
        .collect();
    let replies = client.pipeline(&all)?;
    Ok(replies.into_iter().skip(1).step_by(2).collect())
}

fn length_command(kind: &str) -> &'static str {
    match kind {
        "string" => "STRLEN",
        "list" => "LLEN",
        "set" => "SCARD",
        "zset" => "ZCARD",
        "hash" => "HLEN",
        "stream" => "XLEN",
        _ => "EXISTS",
    }
}

/// The time of day, which servers on this host share.
#[must_use]
pub fn unix_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
