//! All keys, one by one, as the admin port tells them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::{Still, Sum, plus};
use crate::resp::{Client, Command};
use crate::truth::{PIPELINE, length_command, scan_as_told};

/// What is audited: one keyspace, or several masters, each by itself and all as one.
#[derive(Debug, Clone)]
pub struct View {
    /// The masters by their names; none if there is a single one.
    pub masters: Vec<String>,
    /// Databases that are walked; one is never selected, as in a cluster.
    pub databases: u32,
}

impl View {
    /// What is audited, one after the other: what KS.TARGET is told, and the masters that it is made
    /// of.
    pub(super) fn scopes(&self) -> Vec<Scope> {
        let mut scopes = Vec::new();
        for name in &self.masters {
            scopes.push(Scope::new(name, std::slice::from_ref(name)));
        }
        let all = ["ALL".to_owned()];
        let parts = if self.masters.is_empty() {
            &all
        } else {
            &self.masters[..]
        };
        scopes.push(Scope::new("ALL", parts));
        scopes
    }
}

/// One master, or all of them.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) name: String,
    parts: Vec<String>,
}

impl Scope {
    /// Whether it is all that is followed.
    pub(super) fn is_whole(&self) -> bool {
        self.name == "ALL"
    }

    fn new(name: &str, parts: &[String]) -> Self {
        Self {
            name: name.to_owned(),
            parts: parts.to_vec(),
        }
    }
}

/// A key as the port tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Its master, by the order of the scope.
    part: usize,
    pub(super) db: u32,
    pub(super) name: Vec<u8>,
    pub(super) kind: String,
    pub(super) encoding: String,
    pub(super) bytes: u64,
    /// Elements of a collection.
    pub(super) elements: u64,
    pub(super) expire_ms: Option<i64>,
}

/// All keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Census {
    pub(super) rows: Vec<Row>,
    /// Names of keys that are past their expiry.
    pub(super) past: Vec<(u32, Vec<u8>)>,
    /// The masters.
    parts: Vec<String>,
    part: usize,
    /// All that each of them has, with what is past its expiry.
    wholes: Vec<Sum>,
}

impl Census {
    /// All that there is, with what is past its expiry.
    pub(super) fn whole(&self) -> Sum {
        let wholes = self.wholes.iter();
        wholes.fold((0, 0), |sum, own| (sum.0 + own.0, sum.1 + own.1))
    }

    /// Asks the masters of the scope one by one, and leaves the connection at all of them.
    pub(super) fn read(client: &mut Client, scope: &Scope, databases: u32) -> Result<Self> {
        let mut census = Self {
            parts: scope.parts.clone(),
            ..Self::default()
        };
        for (part, name) in scope.parts.iter().enumerate() {
            client.ask(&["KS.TARGET", name])?;
            census.part = part;
            census.wholes.push(Still::read(client)?.total);
            for db in 0..databases {
                select(client, db, databases)?;
                let mut names = scan_as_told(client)?;
                names.sort();
                names.dedup();
                for chunk in names.chunks(PIPELINE) {
                    census.describe(client, db, chunk)?;
                }
            }
            select(client, 0, databases)?;
        }
        client.ask(&["KS.TARGET", &scope.name])?;
        Ok(census)
    }

    fn describe(&mut self, client: &mut Client, db: u32, names: &[Vec<u8>]) -> Result<()> {
        let one = |words: &[&str], name: &Vec<u8>| {
            let words = words.iter().map(|word| word.as_bytes().to_vec());
            words.chain([name.clone()]).collect::<Command>()
        };
        let types: Vec<Command> = names.iter().map(|name| one(&["TYPE"], name)).collect();
        let kinds = client.pipeline(&types)?;
        let mut commands: Vec<Command> = Vec::new();
        for (name, kind) in names.iter().zip(&kinds) {
            commands.extend([
                one(&["OBJECT", "ENCODING"], name),
                one(&["MEMORY", "USAGE"], name),
                one(&[length_command(&kind.string())], name),
                one(&["PEXPIRETIME"], name),
            ]);
        }
        let replies = client.pipeline(&commands)?;
        for ((name, kind), facts) in names.iter().zip(kinds).zip(replies.chunks(4)) {
            let [encoding, bytes, length, expiry] = facts else {
                continue;
            };
            let expire_ms = expiry.int().unwrap_or(-2);
            // It may have expired between two of the questions.
            let (Some(bytes), true) = (bytes.int(), expire_ms != -2) else {
                self.past.push((db, name.clone()));
                continue;
            };
            let kind = kind.string();
            let elements = match &*kind {
                "list" | "set" | "zset" | "hash" | "stream" => length.int().unwrap_or(0),
                _ => 0,
            };
            self.rows.push(Row {
                part: self.part,
                db,
                name: name.clone(),
                kind,
                encoding: encoding.string(),
                bytes: u64::try_from(bytes).unwrap_or(0),
                elements: u64::try_from(elements).unwrap_or(0),
                expire_ms: (expire_ms != -1).then_some(expire_ms),
            });
        }
        Ok(())
    }

    pub(super) fn sum(&self) -> Sum {
        let rows = self.rows.iter();
        rows.fold((0, 0), |sum, row| (sum.0 + 1, sum.1 + row.bytes))
    }

    pub(super) fn by<K: Ord>(&self, key: impl Fn(&Row) -> K) -> BTreeMap<K, Sum> {
        let mut sums = BTreeMap::new();
        for row in &self.rows {
            plus(sums.entry(key(row)).or_default(), 1, row.bytes);
        }
        sums
    }

    /// What each master has, with what is past its expiry.
    pub(super) fn wholes(&self) -> impl Iterator<Item = (String, Sum)> {
        self.parts.iter().cloned().zip(self.wholes.iter().copied())
    }

    pub(super) fn master_of(&self, row: &Row) -> &str {
        &self.parts[row.part]
    }

    /// What each master has, those without keys left out; nothing if they are one without a name.
    pub(super) fn masters(&self) -> Option<BTreeMap<String, Sum>> {
        let named = self.parts.iter().all(|name| name != "ALL");
        named.then(|| self.by(|row| self.master_of(row).to_owned()))
    }

    /// Whether all keys are the same, by every fact.
    pub(super) fn is_of_same_keys(&self, other: &Self) -> bool {
        self.rows == other.rows && self.past == other.past
    }

    /// Whether two masters have a key of the same name: a copy that a move left behind.
    pub(super) fn has_twins(&self) -> bool {
        let mut names = BTreeSet::new();
        let rows = self.rows.iter().map(|row| (row.db, &row.name));
        let mut all = rows.chain(self.past.iter().map(|(db, name)| (*db, name)));
        all.any(|id| !names.insert(id))
    }
}

/// Selects a database, unless there is but one.
pub(super) fn select(client: &mut Client, db: u32, databases: u32) -> Result<()> {
    if databases > 1 {
        client.ask(&["SELECT", &db.to_string()])?;
    }
    Ok(())
}
