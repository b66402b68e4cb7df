//! What the stream writes most (KS.HOT), of one master: answered at once from the heat that the model
//! keeps, with what each key has now beside it.

use analyzer::Keyspace;
use analyzer::heat::{By, Heard, Hot, Rewrites, Window, Work};
use analyzer::slots::SlotSums;

/// Most keys or hash tags of an answer. A sketch has more of the seconds under way; of what is older
/// the 128 first by writes and the 128 first by bytes are kept, of each ten seconds.
pub const LIMIT_MAX: usize = 1000;

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Keys.
    Keys,
    /// Hash tags.
    HashTags,
    /// Hash slots.
    Slots,
    /// Commands.
    Commands,
}

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// About what.
    pub what: What,
    /// Which of them.
    pub by: By,
    /// Of which time.
    pub window: Window,
    /// How many keys or hash tags, at most [`LIMIT_MAX`]; slots and commands come all.
    pub limit: usize,
}

/// What something hot is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A key or hash tag: database, name or its first bytes, and bytes of the whole name.
    Named(u32, Vec<u8>, u64),
    /// A hash slot.
    Slot(u16),
    /// A command in upper case; empty for those that are not known.
    Command(String),
}

/// One of the hottest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What.
    pub subject: Subject,
    /// What it had at least.
    pub work: Work,
    /// What it may have had beyond that.
    pub error: Work,
    /// Overwrites that changed little.
    pub rewrites: Rewrites,
    /// MEMORY USAGE of the key, or of all keys of the slot, now; `None` if it is gone or not known.
    pub memory: Option<u64>,
}

/// The answer: rows ordered, hottest first.
pub type Heated = Heard<Row>;

/// Answers.
pub(super) fn heated(keyspace: &Keyspace, wanted: &Wanted) -> Heated {
    let Wanted { by, window, .. } = *wanted;
    let limit = wanted.limit.min(LIMIT_MAX);
    match wanted.what {
        What::Keys => told(keyspace.hot_keys(window, by, limit), |hot| {
            let memory = memory(keyspace, &hot);
            named(hot, memory)
        }),
        What::HashTags => told(keyspace.hot_tags(window, by, limit), |hot| named(hot, None)),
        What::Slots => {
            // Once: there are up to 16384 slots.
            let dbs = keyspace.dbs().into_iter();
            let sums: Vec<&SlotSums> = dbs.filter_map(|db| keyspace.slots(db.db)).collect();
            let detail = keyspace.detail();
            let memory = |slot| {
                let bytes: u64 = sums.iter().map(|sums| sums.get(slot).bytes).sum();
                detail.for_all(bytes)
            };
            told(keyspace.hot_slots(window), |(slot, work)| Row {
                memory: Some(memory(slot)),
                ..exact(Subject::Slot(slot), work)
            })
        }
        What::Commands => told(keyspace.hot_commands(window), |(name, work)| {
            exact(Subject::Command(name), work)
        }),
    }
}

fn told<T>(heard: Heard<T>, row: impl Fn(T) -> Row) -> Heated {
    Heard {
        covered_ms: heard.covered_ms,
        total: heard.total,
        unlisted: heard.unlisted,
        rows: heard.rows.into_iter().map(row).collect(),
    }
}

fn memory(keyspace: &Keyspace, hot: &Hot) -> Option<u64> {
    let is_whole = hot.name.len() as u64 == hot.name_len;
    let facts = is_whole.then(|| keyspace.facts(hot.db, &hot.name));
    facts.flatten().map(|facts| facts.bytes)
}

fn named(hot: Hot, memory: Option<u64>) -> Row {
    Row {
        subject: Subject::Named(hot.db, hot.name, hot.name_len),
        work: hot.work,
        error: hot.error,
        rewrites: hot.rewrites,
        memory,
    }
}

fn exact(subject: Subject, work: Work) -> Row {
    Row {
        subject,
        work,
        error: Work::default(),
        rewrites: Rewrites::default(),
        memory: None,
    }
}
