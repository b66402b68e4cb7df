//! What is going on with one master, as its owner publishes it: the state of the link, figures, and
//! why links were lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use analyzer::bridge::Bridge;
use analyzer::flows::Flow;
use analyzer::keyspace::{Detail, Fact};
use analyzer::profile::{Family, Origin, Version};

use crate::model::ask::Generation;
use crate::model::pace::Rates;
use crate::side::vitals::Vitals;

/// What is going on with one master. Published on every change of state, and at most every 100 ms
/// while only figures change.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// State of the link.
    pub state: State,
    /// What the answering generation is worth.
    pub generation: Generation,
    /// What the followed server says it is.
    pub role: Role,
    /// Since when the followed server, a replica, has no link to its own master.
    pub orphan_since: Option<Instant>,
    /// Who it is; `None` before the first INFO.
    pub server: Option<Server>,
    /// Where the model's profile comes from; `None` before the first load.
    pub profile: Option<Origin>,
    /// Replication id followed; empty before the first sync.
    pub replid: Arc<str>,
    /// Offset applied.
    pub offset: u64,
    /// Offset of the server at the last INFO, if it was within `replid`.
    pub master_offset: Option<u64>,
    /// Bytes received and not yet applied.
    pub queued_bytes: u64,
    /// Bytes behind the server: `master_offset - offset` at the last INFO, or 0.
    pub lag_bytes: u64,
    /// Age of the oldest received byte not yet applied, milliseconds.
    pub lag_ms: u64,
    /// When a byte last arrived from the server, unix milliseconds; 0 if never.
    pub last_byte_ms: u64,
    /// When the answering generation was committed, unix milliseconds; 0 if never.
    pub loaded_ms: u64,
    /// How long its load took, milliseconds.
    pub load_took_ms: u64,
    /// Bytes that the model itself takes.
    pub model_bytes: u64,
    /// Keys in the model.
    pub keys: u64,
    /// Bytes that they take on the server.
    pub key_bytes: u64,
    /// What commands did to keys since the model was made.
    pub flows: Flow,
    /// How much detail it has.
    pub detail: Detail,
    /// Keys whose value must be read again before all their facts are exact.
    pub inexact: u64,
    /// Keys whose encoding or expiry is being asked for.
    pub unverified: u64,
    /// Keys whose bytes a snapshot left open and that were not asked for yet.
    pub unsized_keys: u64,
    /// Counters since the process started.
    pub counters: Counters,
    /// How the model explains what the server uses; `None` before the first look.
    pub bridged: Option<Arc<Bridged>>,
    /// What only INFO knows, as of the last look; `None` before the first one.
    pub vitals: Option<Arc<Vitals>>,
    /// Of the full syncs that were begun, those of servers that were followed before this one.
    pub full_syncs_before: u64,
    /// The port that we announce to the server.
    pub announced_port: u32,
    /// The connection is encrypted.
    pub is_encrypted: bool,
    /// How fast its stream is.
    pub rates: Rates,
    /// The last error of the link, for people; empty if there was none.
    pub last_error: String,
    /// Names of unknown commands met, with their number; at most [`UNKNOWN_NAMES_MAX`] names.
    pub unknown_names: BTreeMap<String, u64>,
}

/// Names kept in [`Status::unknown_names`]; further ones are only counted.
pub const UNKNOWN_NAMES_MAX: usize = 32;

/// State of the link to one master. Set by the supervisor and the owner only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Dialling, or in the handshake.
    #[default]
    Connecting,
    /// Accepted; the server prepares the snapshot, or waits for its turn of our full-sync limit.
    Waiting,
    /// The snapshot is being loaded.
    Loading {
        /// Keys loaded so far.
        keys: u64,
        /// Bytes of the snapshot read so far.
        bytes: u64,
        /// Bytes of the snapshot, where the server says (not when diskless).
        total: Option<u64>,
    },
    /// Following the stream.
    Synced,
    /// The link is down and will be tried again.
    Lost {
        /// Why.
        reason: Loss,
        /// Milliseconds from now to the next attempt.
        retry_in_ms: u64,
    },
    /// Given up until someone changes something (refused credentials, ourselves, unsupported);
    /// tried again once a minute.
    Failed {
        /// Why.
        reason: Loss,
    },
}

impl State {
    /// The word used in answers, logs and labels.
    pub fn name(&self) -> &'static str {
        match self {
            State::Connecting => "connecting",
            State::Waiting => "waiting",
            State::Loading { .. } => "loading",
            State::Synced => "synced",
            State::Lost { .. } => "lost",
            State::Failed { .. } => "failed",
        }
    }
}

/// Why a link went down: the labels of the drop counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// No connection: refused, unreachable, name not found, timed out.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// Credentials or rights refused.
    Denied,
    /// The server is loading, has no link to its own master, or asks to come back later.
    NotReady,
    /// The server is spared a full sync that would come too soon.
    Spared,
    /// The server closed the connection or it broke.
    Closed,
    /// No byte for too long.
    Silent,
    /// Bytes that are not the protocol, or a snapshot that does not check.
    Corrupt,
    /// A version, opcode or answer that we do not know.
    Unsupported,
    /// A limit of ours was reached.
    Limit,
    /// The server is shutting down and must not wait for us.
    Shutdown,
    /// We were pointed at ourselves, or at a server that another link already follows.
    Ourselves,
    /// The model and the stream disagree.
    Desync,
    /// Our own fault: the owner was restarted.
    Restart,
    /// There is room again for what was given up for want of memory.
    Memory,
}

impl Loss {
    /// Every reason, in order.
    pub const ALL: [Loss; 15] = [
        Loss::Connect,
        Loss::Tls,
        Loss::Denied,
        Loss::NotReady,
        Loss::Spared,
        Loss::Closed,
        Loss::Silent,
        Loss::Corrupt,
        Loss::Unsupported,
        Loss::Limit,
        Loss::Shutdown,
        Loss::Ourselves,
        Loss::Desync,
        Loss::Restart,
        Loss::Memory,
    ];

    /// The word used in logs and labels.
    pub fn name(self) -> &'static str {
        match self {
            Loss::Connect => "connect",
            Loss::Tls => "tls",
            Loss::Denied => "denied",
            Loss::NotReady => "not_ready",
            Loss::Spared => "spared",
            Loss::Closed => "closed",
            Loss::Silent => "silent",
            Loss::Corrupt => "corrupt",
            Loss::Unsupported => "unsupported",
            Loss::Limit => "limit",
            Loss::Shutdown => "shutdown",
            Loss::Ourselves => "ourselves",
            Loss::Desync => "desync",
            Loss::Restart => "restart",
            Loss::Memory => "memory",
        }
    }
}

/// What the followed server says it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Not known yet.
    #[default]
    Unknown,
    /// A master.
    Master,
    /// A replica.
    Replica,
}

impl Role {
    /// The word used in answers and labels.
    pub fn name(self) -> &'static str {
        match self {
            Role::Unknown => "unknown",
            Role::Master => "master",
            Role::Replica => "replica",
        }
    }
}

/// A look at what a server uses, beside what its model holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bridged {
    /// The figures.
    pub bridge: Bridge,
    /// Where in its stream the server stood.
    pub offset: u64,
    /// How far beyond the model was when the answer came.
    pub ahead_bytes: u64,
    /// When, unix milliseconds.
    pub at_ms: u64,
}

/// Who the followed server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Redis or Valkey.
    pub family: Family,
    /// Its version.
    pub version: Version,
    /// Its `run_id`.
    pub run_id: String,
    /// Cluster mode.
    pub cluster: bool,
    /// The master of a replica, `host:port`; `None` for a master.
    pub upstream: Option<String>,
    /// `used_memory` at the last INFO, if it was asked.
    pub used_memory: Option<u64>,
}

/// What was counted since the process started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Full syncs begun.
    pub full_syncs: u64,
    /// Full syncs committed.
    pub full_syncs_done: u64,
    /// Partial resyncs granted.
    pub partial_syncs: u64,
    /// Links lost, by reason.
    pub drops: BTreeMap<Loss, u64>,
    /// Owners restarted after a panic.
    pub restarts: u64,
    /// Bytes received from the server on the link.
    pub bytes: u64,
    /// Commands of the stream that were applied.
    pub commands: u64,
    /// Commands of the stream that nobody here knows.
    pub unknown_commands: u64,
    /// Commands that did not parse as the command they name.
    pub malformed_commands: u64,
    /// Probes (encoding, expiry) sent, in keys.
    pub probes: u64,
    /// Keys whose size was asked for because a snapshot left it open.
    pub sizes: u64,
    /// Keys compared with the server though nothing spoke against them.
    pub audits: u64,
    /// What differed in such keys, by fact in the order of [`Fact::ALL`].
    pub audit_mismatches: [u64; Fact::ALL.len()],
    /// Values read again, in keys.
    pub rereads: u64,
    /// Bytes of those values.
    pub reread_bytes: u64,
    /// Answers discarded because the key was written in between.
    pub rereads_stale: u64,
    /// Values not read because they are larger than the limit.
    pub rereads_too_large: u64,
    /// Requests on the side connection that failed.
    pub side_errors: u64,
    /// Questions answered.
    pub asks: u64,
    /// Lines dropped because a MONITOR client was slow.
    pub monitor_dropped: u64,
}
