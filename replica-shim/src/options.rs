//! What a link is told before it begins: who we are, what the server is, where to continue.

use std::fmt;

use crate::limits;
use crate::position::Position;

/// What a link is told before it begins.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who we are to the server, if it asks.
    pub auth: Option<Auth>,
    /// Our name in CLIENT LIST.
    pub client_name: Option<String>,
    /// The port that INFO and Sentinel see.
    pub announce_port: i64,
    /// The address that they see, if not that of the connection.
    pub announce_ip: Option<String>,
    /// What the server is.
    pub role: Role,
    /// Which version to announce.
    pub announce: Announce,
    /// Where to continue.
    pub resume: Option<Position>,
    /// Seed of the digests of long strings.
    pub seed: u64,
}

impl Options {
    /// A port that cannot be: Sentinel then makes no entry for us (6.0 to 8.0, Valkey 9.1).
    pub const DEFAULT_PORT: i64 = 65_536;
}

/// Credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    /// The ACL user; `None` for the default one.
    pub user: Option<String>,
    /// The password.
    pub password: Vec<u8>,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("user", &self.user)
            .field("password", &"***")
            .finish()
    }
}

/// What the server is, which decides what its ACKs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A master: counts ACKs, pings.
    Master {
        /// `repl-timeout`.
        repl_timeout_ms: u64,
        /// `repl-ping-replica-period`.
        ping_period_ms: u64,
    },
    /// A replica: passes on what its master sends, and may be silent for as long.
    Replica,
}

impl Role {
    /// A master with the default configuration.
    pub const DEFAULT_MASTER: Role = Role::Master {
        repl_timeout_ms: 60_000,
        ping_period_ms: 10_000,
    };

    pub(crate) fn ack_period_ms(self) -> u64 {
        match self {
            Role::Master {
                repl_timeout_ms, ..
            } => (repl_timeout_ms / 5)
                .saturating_mul(4)
                .clamp(limits::MASTER_ACK_MIN_MS, limits::MASTER_ACK_MAX_MS),
            Role::Replica => limits::REPLICA_ACK_MS,
        }
    }

    /// How long a transfer may stall. A replica's `repl-timeout` is not known.
    pub(crate) fn transfer_silence_ms(self) -> u64 {
        match self {
            Role::Master {
                repl_timeout_ms, ..
            } => repl_timeout_ms
                .saturating_mul(2)
                .clamp(limits::TRANSFER_SILENCE_MS, limits::TRANSFER_SILENCE_MAX_MS),
            Role::Replica => limits::TRANSFER_SILENCE_MS,
        }
    }

    /// Silence is death only where somebody pings.
    pub(crate) fn silence_ms(self) -> Option<u64> {
        match self {
            Role::Master { ping_period_ms, .. } => Some(
                ping_period_ms
                    .saturating_mul(3)
                    .max(limits::STREAM_SILENCE_MS),
            ),
            Role::Replica => None,
        }
    }
}

/// The version announced with `REPLCONF version`, which only Valkey knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announce {
    /// None: Redis.
    Nothing,
    /// 9.0.0: Valkey. Without it a hash with field expiry makes every snapshot fail.
    Version,
    /// 9.0.0 for the snapshot, 7.2.0 for the stream: the master of a Valkey cluster, whose SETSLOT
    /// would wait for us otherwise, or a server that may be one. Where the first is declined the
    /// second is not said.
    VersionThenLower,
}
