//! Everything we may ever say to a server under observation.
//!
//! This enum is the proof that we cannot write to a master: what has no variant here cannot be
//! sent. All of it is either the talk of a replica, or reads. Arguments that come from outside (key
//! names, patterns) are length-prefixed, so they cannot become commands.
//!
//! Never to be added: PSYNC with a third argument (`FAILOVER` promotes the receiver), `REPLCONF
//! set-cluster-node-id`, `REPLCONF ACK` with FACK, WAIT, and any command of a write category.

use std::fmt;

use crate::position::{Offset, Position};

/// One request. Borrowed, so that encoding is the only copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbound<'a> {
    // The link.
    /// `PING`. Also keeps a side connection alive.
    Ping,
    /// `AUTH [user] password`.
    Auth {
        /// The ACL user, if not the default one.
        user: Option<&'a str>,
        /// The password.
        password: Secret<'a>,
    },
    /// `CLIENT SETNAME name`: makes us recognisable in CLIENT LIST.
    ClientSetName(&'a str),
    /// `REPLCONF listening-port n`.
    ListeningPort(i64),
    /// `REPLCONF ip-address text`.
    IpAddress(&'a str),
    /// `REPLCONF capa eof capa psync2`.
    Capabilities,
    /// `REPLCONF version 9.0.0`: a Valkey that hears less sends RDB 11, and fails to if any hash
    /// has a field with an expiry.
    AnnounceVersion,
    /// `REPLCONF rdb-filter-only ""`: an RDB with aux fields and nothing else.
    FilterAll,
    /// `PSYNC replid offset+1`, or `PSYNC ? -1`.
    Psync(Option<&'a Position>),
    /// `SYNC`: a link that needs no ACK and is never counted for `min-replicas-to-write`.
    Sync,
    /// `REPLCONF ACK n`. No reply.
    Ack(Offset),
    /// `REPLCONF version 7.2.0 ACK 0`: lowers the version in place, so that a Valkey cluster does
    /// not wait for us in SETSLOT. No reply, because ACK has none.
    LowerVersion,

    // The side connection.
    /// `MULTI`: with `EXEC` it puts reads and the offset they belong to into one instant.
    Multi,
    /// `EXEC`.
    Exec,
    /// `INFO section`.
    Info(InfoSection),
    /// `ROLE`.
    Role,
    /// `TIME`: the clock that expiry is measured by.
    Time,
    /// `DBSIZE`.
    DbSize,
    /// `CONFIG GET pattern`.
    ConfigGet(&'a str),
    /// `ACL LIST`: who may do what. The answer has hashes of passwords: whoever reads it drops them.
    AclList,
    /// `COMMAND INFO name..`: key specs of commands we do not know.
    CommandInfo(&'a [&'a [u8]]),
    /// `COMMAND GETKEYS argv..`.
    CommandGetKeys(&'a [&'a [u8]]),
    /// `SELECT db`.
    Select(u32),
    /// `READONLY`: a cluster replica answers reads only then.
    ReadOnly,
    /// `CLIENT NO-TOUCH ON`: reads do not disturb the eviction order.
    ClientNoTouch,
    /// `SCAN cursor COUNT n`: the audit's walk.
    Scan {
        /// Where the last answer said to go on.
        cursor: u64,
        /// How many keys to look at.
        count: u32,
    },
    /// `TYPE key`.
    Type(&'a [u8]),
    /// `OBJECT ENCODING key`.
    ObjectEncoding(&'a [u8]),
    /// `PTTL key`, where PEXPIRETIME does not exist (before 7.0).
    Pttl(&'a [u8]),
    /// `PEXPIRETIME key`.
    PexpireTime(&'a [u8]),
    /// `STRLEN`, `LLEN` and their kind: one number, no value.
    Length(LengthOf, &'a [u8]),
    /// `HSTRLEN key field`.
    HstrLen(&'a [u8], &'a [u8]),
    /// `MEMORY USAGE key SAMPLES n`.
    MemoryUsage {
        /// The key.
        key: &'a [u8],
        /// Elements to sample; 0 means all.
        samples: u32,
    },
    /// `MEMORY STATS`: what the tables of the databases take. As INFO memory, which asks the server
    /// to compute the same, but does not tell all of it.
    MemoryStats,
    /// `MEMORY MALLOC-STATS`: how the allocator rounds.
    MallocStats,
    /// `DUMP key`: the one read that carries a value; it is fingerprinted and dropped.
    Dump(&'a [u8]),

    // Topology.
    /// `CLUSTER NODES`.
    ClusterNodes,
    /// `CLUSTER SLOTS`.
    ClusterSlots,
    /// `CLUSTER SHARDS`.
    ClusterShards,
    /// `SENTINEL MASTERS`.
    SentinelMasters,
    /// `SENTINEL MASTER name`.
    SentinelMaster(&'a str),
    /// `SENTINEL REPLICAS name`.
    SentinelReplicas(&'a str),
    /// `SENTINEL SENTINELS name`.
    SentinelSentinels(&'a str),
    /// `SENTINEL GET-MASTER-ADDR-BY-NAME name`.
    SentinelMasterAddress(&'a str),
    /// `SUBSCRIBE +switch-master ..`: the events of a Sentinel that say that something changed.
    SentinelEvents,
}

/// Bytes that no log shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret<'a>(pub &'a [u8]);

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Sections of INFO that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the sections")]
pub enum InfoSection {
    Server,
    Clients,
    Memory,
    Persistence,
    Stats,
    Replication,
    Cpu,
    Cluster,
    CommandStats,
    LatencyStats,
    Keyspace,
    Modules,
    /// What a bare INFO gives.
    Default,
}

impl InfoSection {
    /// The name in the request.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            InfoSection::Server => "server",
            InfoSection::Clients => "clients",
            InfoSection::Memory => "memory",
            InfoSection::Persistence => "persistence",
            InfoSection::Stats => "stats",
            InfoSection::Replication => "replication",
            InfoSection::Cpu => "cpu",
            InfoSection::Cluster => "cluster",
            InfoSection::CommandStats => "commandstats",
            InfoSection::LatencyStats => "latencystats",
            InfoSection::Keyspace => "keyspace",
            InfoSection::Modules => "modules",
            InfoSection::Default => "default",
        }
    }
}

/// The commands that count what a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the types")]
pub enum LengthOf {
    String,
    List,
    Set,
    Zset,
    Hash,
    Stream,
}

impl LengthOf {
    fn command(self) -> &'static str {
        match self {
            LengthOf::String => "STRLEN",
            LengthOf::List => "LLEN",
            LengthOf::Set => "SCARD",
            LengthOf::Zset => "ZCARD",
            LengthOf::Hash => "HLEN",
            LengthOf::Stream => "XLEN",
        }
    }
}

impl Outbound<'_> {
    /// Appends the request as RESP.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Outbound::Ping => words(out, &["PING"]),
            Outbound::Auth { user, password } => auth(out, user, password),
            Outbound::ClientSetName(name) => words(out, &["CLIENT", "SETNAME", name]),
            Outbound::ListeningPort(port) => number(out, &["REPLCONF", "listening-port"], port),
            Outbound::IpAddress(ip) => words(out, &["REPLCONF", "ip-address", ip]),
            Outbound::Capabilities => words(out, &["REPLCONF", "capa", "eof", "capa", "psync2"]),
            Outbound::AnnounceVersion => words(out, &["REPLCONF", "version", "9.0.0"]),
            Outbound::FilterAll => words(out, &["REPLCONF", "rdb-filter-only", ""]),
            Outbound::Psync(at) => psync(out, at),
            Outbound::Sync => words(out, &["SYNC"]),
            Outbound::Ack(offset) => number(out, &["REPLCONF", "ACK"], offset),
            Outbound::LowerVersion => words(out, &["REPLCONF", "version", "7.2.0", "ACK", "0"]),
            Outbound::Multi => words(out, &["MULTI"]),
            Outbound::Exec => words(out, &["EXEC"]),
            Outbound::Info(section) => words(out, &["INFO", section.name()]),
            Outbound::Role => words(out, &["ROLE"]),
            Outbound::Time => words(out, &["TIME"]),
            Outbound::DbSize => words(out, &["DBSIZE"]),
            Outbound::ConfigGet(pattern) => words(out, &["CONFIG", "GET", pattern]),
            Outbound::AclList => words(out, &["ACL", "LIST"]),
            Outbound::CommandInfo(names) => list(out, &["COMMAND", "INFO"], names),
            Outbound::CommandGetKeys(argv) => list(out, &["COMMAND", "GETKEYS"], argv),
            Outbound::Select(db) => number(out, &["SELECT"], db),
            Outbound::ReadOnly => words(out, &["READONLY"]),
            Outbound::ClientNoTouch => words(out, &["CLIENT", "NO-TOUCH", "ON"]),
            Outbound::Scan { cursor, count } => scan(out, cursor, count),
            Outbound::Type(key) => list(out, &["TYPE"], &[key]),
            Outbound::ObjectEncoding(key) => list(out, &["OBJECT", "ENCODING"], &[key]),
            Outbound::Pttl(key) => list(out, &["PTTL"], &[key]),
            Outbound::PexpireTime(key) => list(out, &["PEXPIRETIME"], &[key]),
            Outbound::Length(of, key) => list(out, &[of.command()], &[key]),
            Outbound::HstrLen(key, field) => list(out, &["HSTRLEN"], &[key, field]),
            Outbound::MemoryUsage { key, samples } => memory_usage(out, key, samples),
            Outbound::MemoryStats => words(out, &["MEMORY", "STATS"]),
            Outbound::MallocStats => words(out, &["MEMORY", "MALLOC-STATS"]),
            Outbound::Dump(key) => list(out, &["DUMP"], &[key]),
            Outbound::ClusterNodes => words(out, &["CLUSTER", "NODES"]),
            Outbound::ClusterSlots => words(out, &["CLUSTER", "SLOTS"]),
            Outbound::ClusterShards => words(out, &["CLUSTER", "SHARDS"]),
            Outbound::SentinelMasters => words(out, &["SENTINEL", "MASTERS"]),
            Outbound::SentinelMaster(name) => words(out, &["SENTINEL", "MASTER", name]),
            Outbound::SentinelReplicas(name) => words(out, &["SENTINEL", "REPLICAS", name]),
            Outbound::SentinelSentinels(name) => words(out, &["SENTINEL", "SENTINELS", name]),
            Outbound::SentinelMasterAddress(name) => {
                words(out, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name]);
            }
            Outbound::SentinelEvents => {
                let subscribe = std::iter::once("SUBSCRIBE");
                let all: Vec<&str> = subscribe.chain(SENTINEL_CHANNELS).collect();
                words(out, &all);
            }
        }
    }
}

/// What Sentinels say when an address or a role changes, or is about to (Redis 6.0 and Valkey 9.1
/// `sentinelEvent`).
const SENTINEL_CHANNELS: [&str; 14] = [
    "+selected-slave",
    "+failover-state-send-slaveof-noone",
    "-failover-abort-no-good-slave",
    "-failover-abort-slave-timeout",
    "+switch-master",
    "+promoted-slave",
    "+failover-end",
    "+config-update-from",
    "+convert-to-slave",
    "+odown",
    "-odown",
    "+slave",
    "+reboot",
    "+reset-master",
];

fn auth(out: &mut Vec<u8>, user: Option<&str>, password: Secret<'_>) {
    match user {
        Some(user) => list(out, &["AUTH", user], &[password.0]),
        None => list(out, &["AUTH"], &[password.0]),
    }
}

fn psync(out: &mut Vec<u8>, at: Option<&Position>) {
    match at {
        Some(at) => {
            let next = at.offset.advanced(1).to_string();
            list(out, &["PSYNC"], &[at.replid.as_bytes(), next.as_bytes()]);
        }
        None => words(out, &["PSYNC", "?", "-1"]),
    }
}

fn scan(out: &mut Vec<u8>, cursor: u64, count: u32) {
    words(
        out,
        &["SCAN", &cursor.to_string(), "COUNT", &count.to_string()],
    );
}

fn memory_usage(out: &mut Vec<u8>, key: &[u8], samples: u32) {
    let samples = samples.to_string();
    list(
        out,
        &["MEMORY", "USAGE"],
        &[key, b"SAMPLES", samples.as_bytes()],
    );
}

fn words(out: &mut Vec<u8>, words: &[&str]) {
    list(out, words, &[]);
}

fn number(out: &mut Vec<u8>, words: &[&str], number: impl fmt::Display) {
    list(out, words, &[number.to_string().as_bytes()]);
}

fn list(out: &mut Vec<u8>, words: &[&str], rest: &[&[u8]]) {
    let count = words.len().saturating_add(rest.len());
    out.extend_from_slice(format!("*{count}\r\n").as_bytes());
    let all = words
        .iter()
        .map(|word| word.as_bytes())
        .chain(rest.iter().copied());
    for argument in all {
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
}
