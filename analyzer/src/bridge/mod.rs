//! From the sum of the keys to the server's `used_memory`, line by line.
//!
//! MEMORY USAGE of all keys is not what a server uses, nor its "dataset": tables, entries and
//! buffers stand beside the keys, small numbers are shared, structs are rounded
//! (`reference/memory-model.md` section 13). Facts go in: what the model holds, and what the server
//! tells at the same offset ([`Told`]). Lines come out, each with where it is from:
//!
//! ```text
//! used_memory = startup + buffers          told by the server
//!             + tables of all databases    told, or as they are after growth if it does not tell
//!             + keys                       MEMORY USAGE of every key, by the model
//!             + what blocks take beyond    the model's too: `crate::store::beyond`
//!             + rounding, histograms       formulas of the version and the allocator
//!             + unexplained
//! ```
//!
//! What is left unexplained at rest (measured by `cargo truth -- --facts bridge`): well below 1%. It
//! holds the structs of connections, what freed memory waits for, and what is wrong in the model.

mod slot_tree;
mod tables;

use crate::keyspace::Keyspace;
use crate::profile::{Family, Profile, Version};
use crate::store::record::Form;
use crate::value::{Encoding, Kind};
use tables::{Frame, Held};

/// Where a line is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Sums over the model's keys.
    Model,
    /// The server's own figure.
    Server,
    /// A formula of the server's version and allocator, applied to what the model or the server
    /// counts.
    Formula,
}

impl Source {
    /// The word used in answers.
    pub fn name(self) -> &'static str {
        match self {
            Source::Model => "model",
            Source::Server => "server",
            Source::Formula => "formula",
        }
    }
}

/// What the server tells of its memory, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// `used_memory`.
    pub used: u64,
    /// What it used when it had started.
    pub startup: u64,
    /// Its tables, if it tells of them (MEMORY STATS).
    pub tables: Option<ToldTables>,
    /// Connections, but for those of replicas.
    pub clients: u64,
    /// Connections of replicas, or from 7.0 on what their shared buffer has beyond the backlog.
    pub replicas: u64,
    /// Replication backlog.
    pub backlog: u64,
    /// Buffers of full syncs.
    pub sync_buffers: u64,
    /// What waits to be written to the append-only file.
    pub aof_buffer: u64,
    /// Cached scripts.
    pub scripts: u64,
    /// Functions.
    pub functions: u64,
    /// Links to other nodes of the cluster.
    pub cluster_links: u64,
    /// Slots on their way in and out (Valkey 9).
    pub slot_migration: u64,
    /// Commands of which a latency histogram is kept (INFO latencystats).
    pub histograms: u64,
    /// Replies to COMMAND INFO that it keeps (Valkey 9).
    pub command_cache: u64,
    /// Small numbers are not shared: keys are evicted by LRU or LFU.
    pub private_integers: bool,
}

/// What MEMORY STATS says of the tables of all databases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToldTables {
    /// Sum of `overhead.hashtable.main`, keys' entries and objects included.
    pub main: u64,
    /// Sum of `overhead.hashtable.expires`, entries included.
    pub expires: u64,
    /// Databases that it tells of.
    pub databases: u64,
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub name: &'static str,
    /// How much of it; less than nothing where MEMORY USAGE counts too much.
    pub bytes: i64,
    /// Where the figure is from.
    pub source: Source,
    /// What the formula gives for a table that is at rest after growth.
    pub at_rest: Option<u64>,
}

/// The whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bridge {
    /// `used_memory`.
    pub used: u64,
    /// Sum of MEMORY USAGE.
    pub keys: u64,
    /// Every line but what is unexplained.
    pub lines: Vec<Line>,
}

impl Bridge {
    /// What the lines sum up to.
    pub fn explained(&self) -> i64 {
        self.lines.iter().map(|line| line.bytes).sum()
    }

    /// `used_memory` that no line explains; less than nothing if the lines have too much.
    pub fn unexplained(&self) -> i64 {
        signed(self.used) - self.explained()
    }

    /// `(explained - used_memory) / used_memory`.
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
    pub fn error_ratio(&self) -> f64 {
        if self.used == 0 {
            return 0.0;
        }
        -(self.unexplained() as f64) / self.used as f64
    }
}

/// `hdr_histogram` of 1 ns to 1 s with two digits: its counts, and its struct (latency-tracking;
/// measured: 24,688 bytes with jemalloc).
const HISTOGRAM: [u64; 2] = [3072 * 8, 104];

impl Keyspace {
    /// The bridge to what the server tells of the same offset.
    pub fn bridge(&self, told: &Told) -> Bridge {
        let share = self.live().share();
        let held = self.live().all().map(|(_, db)| Held {
            keys: db.totals.keys + db.folded_keys(share),
            expires: db.totals.expires + db.folded_expires(share),
            volatile: db.totals.volatile * share.one_in(),
            slots: db.totals.slots(),
        });
        let held = held.filter(|db| db.keys > 0);
        let held: Vec<Held<'_>> = held.collect();
        let mut bridge = build(self.profile(), told, &self.sums(), &held);
        bridge.lines.push(Line {
            name: "slot_tree",
            bytes: signed(self.slot_tree()),
            source: Source::Formula,
            at_rest: None,
        });
        bridge
    }

    /// The tree of all names by slot, where the server has one.
    fn slot_tree(&self) -> u64 {
        let profile = self.profile();
        let has_tree = profile.family == Family::Redis && profile.version < Version::new(7, 0);
        let db = self.live().db(0).filter(|_| has_tree && profile.cluster);
        let slots = db.and_then(|db| Some((db, db.totals.slots()?)));
        slots.map_or(0, |(db, slots)| {
            slot_tree::bytes(&db.table, slots, profile.allocator)
        })
    }

    fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for (_, db) in self.live().all() {
            for form in Form::all() {
                let all = db.form(form, self.live().share());
                sums.bytes += all.bytes;
                let beyond = all.beyond;
                let is_number = (form.kind(), form.encoding()) == (Kind::String, Encoding::Int);
                match sums.kinds.get_mut(form.kind() as usize) {
                    Some(_) if is_number => sums.numbers += beyond,
                    Some(sum) => *sum += beyond,
                    None => {}
                }
            }
        }
        sums
    }
}

/// What the keys sum up to.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    /// MEMORY USAGE.
    bytes: u64,
    /// What blocks take beyond, by type, but for numbers.
    kinds: [i64; 7],
    numbers: i64,
}

fn build(profile: &Profile, told: &Told, sums: &Sums, held: &[Held<'_>]) -> Bridge {
    let mut lines = Vec::with_capacity(24);
    let mut add = |name, source, bytes: i64| {
        lines.push(Line {
            name,
            bytes,
            source,
            at_rest: None,
        });
    };
    add("keys", Source::Model, signed(sums.bytes));
    add("startup", Source::Server, signed(told.startup));
    // From Valkey 8.1 on no number is shared: what blocks have beyond is names.
    let shares = profile.family == Family::Redis || profile.version < Version::new(8, 1);
    let (shared, other) = match (shares, told.private_integers) {
        (true, false) => (sums.numbers, 0),
        (true, true) => (0, 0),
        (false, _) => (0, sums.numbers),
    };
    add("shared_integers", Source::Model, shared);
    for (kind, bytes) in Kind::ALL.iter().zip(sums.kinds) {
        let numbers = if *kind == Kind::String { other } else { 0 };
        add(blocks_of(*kind), Source::Model, bytes + numbers);
    }
    let buffers = [
        ("clients", told.clients),
        ("replicas", told.replicas),
        ("backlog", told.backlog),
        ("sync_buffers", told.sync_buffers),
        ("aof_buffer", told.aof_buffer),
        ("scripts", told.scripts),
        ("functions", told.functions),
        ("cluster_links", told.cluster_links),
        ("slot_migration", told.slot_migration),
        ("command_cache", told.command_cache),
    ];
    // What is asked is read into a buffer that is not counted before it is given back (Redis 6
    // `readQueryFromClient`: twice 16 KiB; later it is counted, or one for all connections).
    let six = profile.family == Family::Redis && profile.version < Version::new(7, 0);
    let asking = if six {
        profile.allocator.sds(32 * 1024)
    } else {
        0
    };
    add("asking", Source::Formula, signed(asking));
    for (name, bytes) in buffers {
        add(name, Source::Server, signed(bytes));
    }
    let histogram: u64 = HISTOGRAM.iter().map(|&n| profile.allocator.class(n)).sum();
    let histograms = signed(told.histograms * histogram);
    add("latency_histograms", Source::Formula, histograms);
    lines.extend(Frame::of(profile).lines(told.tables, held));
    Bridge {
        used: told.used,
        keys: sums.bytes,
        lines,
    }
}

fn blocks_of(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "blocks_of_strings",
        Kind::List => "blocks_of_lists",
        Kind::Set => "blocks_of_sets",
        Kind::Zset => "blocks_of_sorted_sets",
        Kind::Hash => "blocks_of_hashes",
        Kind::Stream => "blocks_of_streams",
        Kind::Module => "blocks_of_modules",
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
