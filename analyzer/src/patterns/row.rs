//! Patterns as they are shown.

use super::Patterns;
use super::class::Classes;
use super::tally::{Deleted, Tally};
use super::token::{NONE, START};
use super::tree::{ROOT, SINK, STAR};
use crate::flows::Flow;
use crate::keyspace::Detail;
use crate::value::{Encoding, Kind};

/// A pattern's name: a glob, and where its tokens end.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PatternName {
    /// The glob. What would mean something in a glob and does not is behind a backslash.
    pub glob: Vec<u8>,
    /// The position behind each token, the last one's is the end.
    pub cuts: Vec<usize>,
}

/// True if a glob has no star.
pub fn is_literal(glob: &[u8]) -> bool {
    let mut escaped = false;
    let star = glob.iter().any(|&byte| {
        let is_star = byte == b'*' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_star
    });
    !star
}

impl PatternName {
    /// What is not in any pattern because there are too many.
    pub fn other() -> PatternName {
        PatternName {
            glob: b"(other)".to_vec(),
            cuts: vec![7],
        }
    }

    /// True if it has no star: then it is the name of a key, and of no other one.
    pub fn is_literal(&self) -> bool {
        is_literal(&self.glob) && *self != PatternName::other()
    }

    fn push(&mut self, separator: u8, label: &[u8]) {
        match separator {
            // Digits are a part of the word before them.
            NONE => {
                self.cuts.pop();
            }
            START => {}
            other => escape(&mut self.glob, other),
        }
        self.glob.extend_from_slice(label);
        self.cuts.push(self.glob.len());
    }

    fn push_star(&mut self, separator: u8) {
        self.push(separator, b"*");
    }

    fn push_literal(&mut self, separator: u8, label: &[u8]) {
        let mut escaped = Vec::with_capacity(label.len());
        label.iter().for_each(|byte| escape(&mut escaped, *byte));
        self.push(separator, &escaped);
    }

    /// The tokens, each with the separator before it but for the first.
    pub fn tokens(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.cuts.iter().copied());
        starts
            .zip(&self.cuts)
            .map(|(from, to)| &self.glob[from..*to])
    }

    /// The first `depth` tokens, and `*` behind the separator that follows.
    #[must_use]
    pub fn rolled_up(&self, depth: usize) -> PatternName {
        let Some(&cut) = self.cuts.get(depth.saturating_sub(1)) else {
            return self.clone();
        };
        if cut == self.glob.len() {
            return self.clone();
        }
        let mut name = PatternName {
            glob: self.glob[..cut].to_vec(),
            cuts: self.cuts[..depth.max(1)].to_vec(),
        };
        let separator = self.glob[cut];
        name.glob.extend_from_slice(&[separator, b'*']);
        name.cuts.push(name.glob.len());
        name
    }
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\') {
        out.push(b'\\');
    }
    out.push(byte);
}

/// What is known of the keys of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternRow {
    /// Its name.
    pub name: PatternName,
    /// Keys.
    pub keys: u64,
    /// Sum of MEMORY USAGE.
    pub bytes: u64,
    /// Keys and bytes by type and encoding.
    pub forms: Vec<(Kind, Encoding, u64, u64)>,
    /// Keys without an expiry.
    pub fixed_keys: u64,
    /// Their bytes.
    pub fixed_bytes: u64,
    /// Bytes of the keys' names.
    pub name_bytes: u64,
    /// Bytes of the largest key, at most.
    pub largest: u64,
    /// A key is as large as that.
    pub largest_is_met: bool,
    /// The largest key that DEL or UNLINK removed in the last hour, before its expiry.
    pub deleted: Deleted,
    /// What stands where the pattern has `*`.
    pub ids: Classes,
    /// A key that is there, if one was met lately.
    pub example: Option<Vec<u8>>,
    /// The database of all this.
    pub db: u32,
}

impl PatternRow {
    /// Makes it what it comes to for all keys, where some have no record.
    pub fn scale(&mut self, detail: &Detail) {
        let sums = [
            &mut self.keys,
            &mut self.bytes,
            &mut self.fixed_keys,
            &mut self.fixed_bytes,
            &mut self.name_bytes,
        ];
        let forms = self.forms.iter_mut();
        let forms = forms.flat_map(|(_, _, keys, bytes)| [keys, bytes]);
        for sum in sums.into_iter().chain(forms) {
            *sum = detail.for_all(*sum);
        }
    }

    /// Takes the keys of another row, too.
    pub fn add(&mut self, other: PatternRow) {
        self.keys += other.keys;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.fixed_keys += other.fixed_keys;
        self.fixed_bytes = self.fixed_bytes.saturating_add(other.fixed_bytes);
        self.name_bytes = self.name_bytes.saturating_add(other.name_bytes);
        for (kind, encoding, keys, bytes) in other.forms {
            let mine = self.forms.iter_mut();
            match mine
                .into_iter()
                .find(|form| (form.0, form.1) == (kind, encoding))
            {
                Some(form) => {
                    form.2 += keys;
                    form.3 = form.3.saturating_add(bytes);
                }
                None => self.forms.push((kind, encoding, keys, bytes)),
            }
        }
        if other.largest > self.largest || (other.largest == self.largest && other.largest_is_met) {
            (self.largest, self.largest_is_met) = (other.largest, other.largest_is_met);
        }
        self.deleted = self.deleted.or(other.deleted);
        self.ids = self.ids.or(other.ids);
        self.example = self.example.take().or(other.example);
    }

    /// Of a group of keys that is none by its names.
    pub(crate) fn of_group(name: &str, tally: &Tally) -> PatternRow {
        let name = PatternName {
            glob: name.as_bytes().to_vec(),
            cuts: vec![name.len()],
        };
        PatternRow::new(name, Classes::NONE, tally)
    }

    fn new(name: PatternName, ids: Classes, tally: &Tally) -> PatternRow {
        let total = tally.total();
        let forms = tally.forms().map(|(form, sum)| {
            let (kind, encoding) = (form.kind(), form.encoding());
            (kind, encoding, sum.keys, sum.bytes)
        });
        PatternRow {
            name,
            keys: total.keys,
            bytes: total.bytes,
            forms: forms.collect(),
            fixed_keys: tally.fixed.keys,
            fixed_bytes: tally.fixed.bytes,
            name_bytes: tally.name_bytes,
            largest: tally.largest,
            largest_is_met: tally.is_met,
            deleted: tally.deleted,
            ids,
            example: tally.example.as_deref().map(<[u8]>::to_vec),
            db: 0,
        }
    }
}

impl Patterns {
    /// All patterns that there are keys of, in no order, `(other)` last.
    pub(crate) fn rows(&self) -> Vec<PatternRow> {
        let used = self
            .tree
            .tallies
            .iter()
            .filter(|owned| !owned.tally.is_empty());
        let rows = used.map(|owned| {
            let (name, ids) = self.name_of(owned.node);
            PatternRow::new(name, ids, &owned.tally)
        });
        let mut rows: Vec<PatternRow> = rows.collect();
        if !self.other.is_empty() {
            rows.push(PatternRow::new(
                PatternName::other(),
                Classes::NONE,
                &self.other,
            ));
        }
        rows
    }

    /// What happened to the keys of each pattern since that was asked last.
    pub(crate) fn take_flows(&mut self) -> Vec<(Vec<u8>, Flow)> {
        let mut flows = Vec::new();
        for at in 0..self.tree.tallies.len() {
            let Some(owned) = self.tree.tallies.get_mut(at) else {
                break;
            };
            let flow = std::mem::take(&mut owned.tally.flow);
            if !flow.is_nothing() {
                let node = owned.node;
                flows.push((self.name_of(node).0.glob, flow));
            }
        }
        let other = std::mem::take(&mut self.other.flow);
        if !other.is_nothing() {
            flows.push((PatternName::other().glob, other));
        }
        flows
    }

    /// What is wrong with this count if `other` is right, in words.
    pub(crate) fn differs_from(&self, other: &Patterns) -> Option<String> {
        if self == other {
            return None;
        }
        let named = |row: &PatternRow| {
            let name = row.name.glob.escape_ascii();
            format!("{name} {} keys {} bytes", row.keys, row.bytes)
        };
        let (mine, its) = (self.rows(), other.rows());
        let only = |rows: &[PatternRow], others: &[PatternRow]| {
            let only = rows.iter().filter(|row| !others.contains(row));
            only.map(named).collect::<Vec<_>>().join(", ")
        };
        let (counted, naive) = (only(&mine, &its), only(&its, &mine));
        Some(format!("patterns are {counted}; should be {naive}"))
    }

    /// The pattern that a key is counted in; `None` if no key leads to where this one would.
    pub(crate) fn name_for(&self, name: &[u8]) -> Option<PatternName> {
        match self.find(name) {
            Some(node) => Some(self.name_of(node).0),
            None => self.is_full.then(PatternName::other),
        }
    }

    pub(super) fn name_of(&self, node: u32) -> (PatternName, Classes) {
        let mut name = PatternName::default();
        let mut ids = Classes::NONE;
        for step in self.tree.path(node) {
            let here = self.tree.node(step);
            if here.is(STAR) {
                name.push_star(here.separator);
                ids = ids.or(here.classes);
            } else {
                name.push_literal(here.separator, &self.tree.link(step).label);
            }
        }
        if self.tree.node(node).is(SINK) && !name.glob.ends_with(b"*") {
            name.glob.push(b'*');
            if let Some(last) = name.cuts.last_mut() {
                *last += 1;
            }
        }
        if node == ROOT && name.cuts.is_empty() {
            name.cuts.push(name.glob.len());
        }
        (name, ids)
    }
}
