//! What anyone may ask the owner of one master's keyspace: a closed list of messages with a reply
//! channel each.
//!
//! The owner task is alone in holding the keyspace. It answers between two chunks of the stream, so
//! an answer is always from one generation and one offset, and [`Freshness`] says which. A question
//! that walks all keys is cut into slices of at most two milliseconds, so its rows may come from
//! several offsets; its [`Freshness`] is that of the last slice. The reply channel is dropped
//! without an answer only when the master is removed or its owner is being restarted.

use std::sync::Arc;

use analyzer::command::Doubt;
use analyzer::keyspace::Detail;
use analyzer::value::{Encoding, Kind};
use analyzer::whatif::Goal;
use cluster_map::Slots;
use tokio::sync::{mpsc, oneshot};

use crate::model::advise::Gathered;
use crate::model::analytic::Analytic;
use crate::model::verify::Verified;
use crate::model::whatif::Found;
use crate::side::told::Told;

/// Where an answer comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Replication id of the history that the model follows; empty before the first sync.
    pub replid: Arc<str>,
    /// Offset up to which the stream was applied, within `replid`.
    pub offset: u64,
    /// What that generation is worth.
    pub generation: Generation,
    /// How much detail it has.
    pub detail: Detail,
}

/// What the answering generation is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Generation {
    /// Nothing was loaded yet, and no load is running.
    #[default]
    Empty,
    /// The first load is running: nothing answers yet, counts are zero.
    Loading,
    /// Loaded, link up, stream applied as it comes.
    Current,
    /// Loaded, but the link is down, a new generation is loading, or the master is silent.
    Lagging,
}

impl Generation {
    /// The word used in answers, logs and labels.
    pub fn name(self) -> &'static str {
        match self {
            Generation::Empty => "empty",
            Generation::Loading => "loading",
            Generation::Current => "current",
            Generation::Lagging => "lagging",
        }
    }

    /// True if there is a committed model behind the answer.
    pub fn loaded(self) -> bool {
        match self {
            Generation::Empty | Generation::Loading => false,
            Generation::Current | Generation::Lagging => true,
        }
    }
}

/// An answer and where it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// Where it is from.
    pub fresh: Freshness,
    /// The answer.
    pub value: T,
}

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<Answer<T>>;

/// Largest `count` of a [`Ask::Scan`]; more is cut to it.
pub const SCAN_COUNT_MAX: usize = 10_000;

/// Most keys in one [`Ask::Facts`]; the rest gets `None`.
pub const FACTS_MAX: usize = 10_000;

/// Largest `k` of a [`Ask::Top`].
pub const TOP_MAX: usize = 10_000;

/// Most rows that a [`Ask::Walk`] returns.
pub const WALK_MAX: usize = 1_000_000;

/// Questions that wait for one owner; a sender waits when there are that many.
pub const ASKS_MAX: usize = 1024;

/// A question to the owner of one master's keyspace.
#[derive(Debug)]
pub enum Ask {
    /// What is known of these keys, in the order asked.
    Facts {
        /// Database and name of each.
        keys: Vec<(u32, Vec<u8>)>,
        /// One answer per key; `None` if there is no such key.
        reply: Reply<Vec<Option<Facts>>>,
    },
    /// Whether anything can be said of these keys, in the order asked: of one that was folded for
    /// want of memory nothing is, not even that it is not there.
    Knows {
        /// Database and name of each.
        keys: Vec<(u32, Vec<u8>)>,
        /// One answer per key.
        reply: Reply<Vec<bool>>,
    },
    /// Some keys of one database, from a cursor on. Keys that are there all along are met at least
    /// once however the model changes in between.
    Scan {
        /// Database.
        db: u32,
        /// 0 to begin, then what the last page said. At most 48 bits are used.
        cursor: u64,
        /// About how many keys to look at.
        count: usize,
        /// Which of them to return.
        filter: Filter,
        /// The page.
        reply: Reply<Page>,
    },
    /// Totals per database, ordered, empty ones left out.
    Dbs {
        /// The totals.
        reply: Reply<Vec<DbTotal>>,
    },
    /// Totals per database, type and encoding, ordered, empty ones left out.
    Totals {
        /// The totals.
        reply: Reply<Vec<Total>>,
    },
    /// Some key of the database, each about as likely as any other.
    Random {
        /// Database.
        db: u32,
        /// The key; `None` if the database is empty.
        reply: Reply<Option<Vec<u8>>>,
    },
    /// The largest keys, largest first.
    Top {
        /// What "largest" means.
        by: Measure,
        /// How many, at most [`TOP_MAX`].
        k: usize,
        /// Which keys count.
        filter: Filter,
        /// The rows.
        reply: Reply<Vec<Row>>,
    },
    /// Every key that the filter lets through (KEYS, reports).
    Walk {
        /// One database, or all.
        db: Option<u32>,
        /// Which keys.
        filter: Filter,
        /// Most rows to return, at most [`WALK_MAX`].
        limit: usize,
        /// The rows, in no order.
        reply: Reply<Walked>,
    },
    /// Keys and bytes by hash slot. At once where the model counts by slot (the server is in cluster
    /// mode), else by a walk over all keys.
    Slots {
        /// One database, or all.
        db: Option<u32>,
        /// The sums, ordered, empty slots left out.
        reply: Reply<Vec<SlotTotal>>,
    },
    /// Keys and bytes by hash slot, of the slots outside a set: keys that should not be there.
    Outside {
        /// One database, or all.
        db: Option<u32>,
        /// The slots that are left out.
        own: Slots,
        /// The sums, ordered, empty slots left out; `None` where the model does not count by slot.
        reply: Reply<Option<Vec<SlotTotal>>>,
    },
    /// Keys in one hash slot, as [`Ask::Slots`].
    CountInSlot {
        /// One database, or all.
        db: Option<u32>,
        /// The slot.
        slot: u16,
        /// How many.
        reply: Reply<u64>,
    },
    /// Some keys of some hash slots: a walk that ends when it has met enough.
    KeysInSlots {
        /// Database.
        db: u32,
        /// The slots.
        slots: Slots,
        /// Most keys to return, at most [`WALK_MAX`].
        limit: usize,
        /// Their names, in no order.
        reply: Reply<Vec<Vec<u8>>>,
    },
    /// What all keys would take on another server, or with another configuration. Cut short after
    /// eight seconds.
    WhatIf {
        /// What is to be different.
        goal: Goal,
        /// Single keys to name, at most [`LIMIT_MAX`](crate::model::whatif::LIMIT_MAX).
        limit: usize,
        /// What was found; in words, why that cannot be told.
        reply: Reply<Result<Found, String>>,
    },
    /// What the followed server tells of itself, no older than a second if it answers within two.
    Told {
        /// What is known already will do, however old it is.
        known: bool,
        /// What it told; `None` if it never did, or there is no connection to ask on.
        reply: Reply<Option<Arc<Told>>>,
    },
    /// What advice is decided from. At once: the survey of all keys is the last one.
    Advice {
        /// What is known.
        reply: Reply<Box<Gathered>>,
    },
    /// What is counted of keys beyond their totals.
    Analytic(Analytic),
    /// What XINFO STREAM, GROUPS and CONSUMERS tell of one stream.
    StreamInfo {
        /// Database.
        db: u32,
        /// Name.
        key: Vec<u8>,
        /// The facts.
        reply: Reply<Looked<StreamFacts>>,
    },
    /// Compares keys with the server.
    Verify {
        /// So many random keys; `None` is all of them.
        count: Option<u64>,
        /// What was found, when it is done or after [`ANSWER_MAX`](crate::model::verify::ANSWER_MAX).
        reply: Reply<Verified>,
    },
    /// Lines for MONITOR, from now on, until the receiver is dropped. At the channel's bound lines
    /// are dropped, and the next one that fits says how many.
    Monitor {
        /// Where the lines go. Keep it bounded (1024 is enough).
        lines: mpsc::Sender<MonitorLine>,
    },
}

/// Which keys of a walk are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this type only.
    pub kind: Option<Kind>,
    /// Whose name matches this Redis glob.
    pub glob: Option<Vec<u8>>,
}

/// What the model knows of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Type.
    pub kind: Kind,
    /// Encoding.
    pub encoding: Encoding,
    /// The encoding as that server spells it (`ziplist` before 7.0).
    pub encoding_name: &'static str,
    /// Bytes of a string, elements of a collection (what xLEN says); 0 for a module's value.
    pub count: u64,
    /// What MEMORY USAGE key SAMPLES 0 says, bytes.
    pub memory: u64,
    /// Unix milliseconds at which the key expires.
    pub expire_ms: Option<i64>,
    /// What of this is not certain.
    pub doubt: Doubt,
    /// Seconds since the last write that we saw, or since the access that the RDB told of.
    pub idle_s: u64,
    /// Access frequency as OBJECT FREQ has it: the RDB's, then counted from writes.
    pub freq: u8,
}

/// One key of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Database.
    pub db: u32,
    /// Name.
    pub key: Vec<u8>,
    /// What is known of it.
    pub facts: Facts,
}

/// One page of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Where to go on; 0 at the end.
    pub cursor: u64,
    /// The keys that passed the filter.
    pub keys: Vec<Scanned>,
}

/// One key of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Where it stands in the order of the scan, which is the same in every master: a scan over
    /// several masters asks each with the same cursor, drops what stands at or behind the least of
    /// the cursors that are not 0, and goes on from there.
    pub order: u64,
    /// Its name.
    pub name: Vec<u8>,
}

/// What a walk found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// The rows.
    pub rows: Vec<Row>,
    /// True if there were more than the limit.
    pub truncated: bool,
}

/// Totals of one database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DbTotal {
    /// Database.
    pub db: u32,
    /// Keys in it.
    pub keys: u64,
    /// Keys with an expiry.
    pub expires: u64,
    /// Mean time to live of those, milliseconds; 0 if it is not known.
    pub avg_ttl_ms: u64,
    /// Sum of the keys' memory, bytes.
    pub memory: u64,
}

/// Totals of one type and encoding in one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// Database.
    pub db: u32,
    /// Type.
    pub kind: Kind,
    /// Encoding.
    pub encoding: Encoding,
    /// The encoding as that server spells it.
    pub encoding_name: &'static str,
    /// Keys.
    pub keys: u64,
    /// Sum of their memory, bytes.
    pub memory: u64,
    /// Sum of their counts: bytes of strings, elements of collections.
    pub elements: u64,
    /// Bytes of their names.
    pub name_bytes: u64,
}

/// Sums of one hash slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotTotal {
    /// The slot, 0 to 16383.
    pub slot: u16,
    /// Keys in it.
    pub keys: u64,
    /// Sum of their memory, bytes.
    pub memory: u64,
}

/// What a report is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Memory in bytes.
    Bytes,
    /// Elements of a collection; bytes of a string.
    Elements,
}

/// The outcome of looking for a key of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked<T> {
    /// No such key.
    Missing,
    /// A key of another type.
    WrongType,
    /// That was given up for want of memory.
    GivenUp,
    /// Found.
    Found(T),
}

/// A stream entry id.
pub type StreamId = (u64, u64);

/// What XINFO tells of a stream, without its entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamFacts {
    /// Live entries.
    pub length: u64,
    /// Macro nodes: keys of the radix tree.
    pub nodes: u64,
    /// Nodes of the radix tree itself.
    pub radix_nodes: u64,
    /// Last id ever given.
    pub last: StreamId,
    /// First live id; 0-0 if there is none.
    pub first: StreamId,
    /// Last live id; 0-0 if there is none.
    pub last_live: StreamId,
    /// Largest id ever deleted.
    pub max_deleted: StreamId,
    /// Entries ever added.
    pub entries_added: u64,
    /// Consumer groups, ordered by name.
    pub groups: Vec<GroupFacts>,
}

/// What XINFO GROUPS tells of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupFacts {
    /// A fingerprint in place of the name, which is not kept.
    pub name: Vec<u8>,
    /// Last id delivered.
    pub last: StreamId,
    /// Entries read; `None` if the server does not know it either.
    pub entries_read: Option<u64>,
    /// Pending entries.
    pub pending: u64,
    /// Consumers, ordered by name.
    pub consumers: Vec<ConsumerFacts>,
}

/// What XINFO CONSUMERS tells of a consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerFacts {
    /// A fingerprint in place of the name, which is not kept.
    pub name: Vec<u8>,
    /// Pending entries.
    pub pending: u64,
    /// When it was last seen, unix milliseconds. Not replicated: as of the last load or claim.
    pub seen_ms: i64,
    /// When it was last active, unix milliseconds, where the server tells.
    pub active_ms: Option<i64>,
}

/// One write of the stream, as MONITOR shows it: values replaced by `<n bytes>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorLine {
    /// Wall clock when it was applied, unix microseconds.
    pub at_us: u64,
    /// Database.
    pub db: u32,
    /// Command and arguments: command name, key names and option words are literal.
    pub args: Vec<Vec<u8>>,
    /// Lines dropped before this one because the channel was full.
    pub dropped: u64,
}
