//! The first questions to a server: who it is, what it decides encodings by, and whether we may
//! attach to it at all.
//!
//! Everything here is optional: without rights the link still works, the profile comes from the
//! version in the snapshot, and what is missing is said in the status.

use analyzer::input::KeySpec;
use analyzer::profile::{Family, Origin, Past, Profile, Version};
use analyzer::size::Allocator;
use redis_protocol::resp2::types::BytesFrame;
use replica_shim::Outbound;
use replica_shim::outbound::InfoSection;
use replica_shim::position::Backlog;

use crate::fleet::{Role, Server};
use crate::side::client::{self, Client, SideError};
use crate::side::info::Info;
use crate::side::task::utf8;

/// What was learnt.
#[derive(Clone, Debug, Default)]
pub struct Intro {
    /// Who the server is; `None` if INFO is not permitted.
    pub server: Option<Server>,
    /// Its role.
    pub role: Role,
    /// History and backlog.
    pub backlog: Option<Backlog>,
    /// It reads its own snapshot.
    pub loading: bool,
    /// It is shutting down and would wait for us.
    pub shutting_down: bool,
    /// A replica whose own link is down.
    pub orphan: bool,
    /// `min-replicas-to-write` is on.
    pub min_replicas: bool,
    /// What decides encodings.
    pub profile: Option<Profile>,
    /// `repl-timeout`, milliseconds.
    pub repl_timeout_ms: u64,
    /// `repl-ping-replica-period`, milliseconds.
    pub ping_period_ms: u64,
    /// Key positions of every command that writes, where the server tells.
    pub key_specs: Vec<(Vec<u8>, KeySpec)>,
    /// What the server keeps of its answer to that question, bytes.
    pub command_cache: u64,
}

/// Default of `repl-timeout`.
const REPL_TIMEOUT_MS: u64 = 60_000;

/// Default of `repl-ping-replica-period`.
const PING_PERIOD_MS: u64 = 10_000;

/// `CONFIG GET` patterns of everything that decides an encoding. One pattern a command, because
/// several are known from 7.0 on only.
pub const CONFIG_PATTERNS: [&str; 2] = ["*-max-*", "list-compress-depth"];

/// Databases whose keys are summed for a guess; hardly anybody has more.
const DATABASES: u32 = 64;

const INFO_SECTIONS: [InfoSection; 7] = [
    InfoSection::Server,
    InfoSection::Replication,
    InfoSection::Persistence,
    InfoSection::Memory,
    InfoSection::Cluster,
    InfoSection::Stats,
    InfoSection::Keyspace,
];

/// Asks everything; what cannot have changed is taken from `known`, if that is the same process.
///
/// # Errors
/// The connection failed. Refused questions are no error.
pub async fn introduce(client: &mut Client, known: Option<&Intro>) -> Result<Intro, SideError> {
    let info = info(client).await?;
    let info = Info(&info);
    let mut intro = Intro {
        server: info.server(),
        role: info.role(),
        backlog: info.backlog(),
        loading: info.flag("loading"),
        shutting_down: info.get("shutdown_in_milliseconds").is_some(),
        orphan: info.get("master_link_status") == Some("down"),
        min_replicas: info.get("min_slaves_good_slaves").is_some(),
        repl_timeout_ms: REPL_TIMEOUT_MS,
        ping_period_ms: PING_PERIOD_MS,
        ..Intro::default()
    };
    let Some(server) = intro.server.clone() else {
        return Ok(intro);
    };
    if intro.loading {
        return Ok(intro);
    }
    client.settle_in(&server).await?;
    let mut profile = Profile::defaults(server.family, server.version);
    profile.cluster = server.cluster;
    profile.reloaded = reloaded(info);
    profile.past = past(client).await?;
    profile.allocator.libc = info.get("mem_allocator") == Some("libc");
    let pairs = config(client).await?;
    if apply(&mut profile, &pairs) {
        profile.origin = Origin::Server;
    }
    for (name, value) in &pairs {
        let ms = || value.parse::<u64>().ok().map(|s| s.saturating_mul(1000));
        match name.as_str() {
            "repl-timeout" => intro.repl_timeout_ms = ms().unwrap_or(REPL_TIMEOUT_MS),
            "repl-ping-replica-period" | "repl-ping-slave-period" => {
                intro.ping_period_ms = ms().unwrap_or(PING_PERIOD_MS);
            }
            _ => {}
        }
    }
    let is_same = |old: &&Intro| {
        old.server
            .as_ref()
            .is_some_and(|s| s.run_id == server.run_id)
    };
    if let Some(old) = known.filter(is_same)
        && let Some(of) = &old.profile
    {
        profile.allocator = of.allocator;
        intro.profile = Some(profile);
        intro.key_specs.clone_from(&old.key_specs);
        intro.command_cache = old.command_cache;
        return Ok(intro);
    }
    allocator(client, &mut profile).await?;
    let allocator = profile.allocator;
    intro.profile = Some(profile);
    if server.family == Family::Valkey || server.version >= Version::new(7, 0) {
        let commands = client.ask_one(&Outbound::CommandInfo(&[])).await?;
        intro.key_specs = key_specs(&commands);
        if server.family == Family::Valkey && server.version >= Version::new(9, 0) {
            intro.command_cache = replies_kept(&commands, allocator);
        }
    }
    Ok(intro)
}

/// What the server's command statistics tell of its past. They begin with the process, whose load
/// leaves nothing behind, or with a CONFIG RESETSTAT, which is the first to be counted again; before
/// 7.0 that cannot be told from our own CONFIG GET.
async fn past(client: &mut Client) -> Result<Past, SideError> {
    const GROW: [&str; 6] = [
        "append", "setrange", "setbit", "bitfield", "pfadd", "pfmerge",
    ];
    let stats = Outbound::Info(InfoSection::CommandStats);
    let stats = utf8(&client.ask_one(&stats).await?);
    let was_called = |command: &str| Info(&stats).get(&format!("cmdstat_{command}")).is_some();
    let is_whole = was_called("info") && !was_called("config|resetstat") && !was_called("config");
    if !is_whole {
        return Ok(Past::UNKNOWN);
    }
    Ok(Past {
        grew: GROW.into_iter().any(was_called),
        persisted: was_called("persist") || was_called("getex"),
    })
}

/// True if at least half of the keys came from a file that the server read: 7.0 and later tell, and
/// one that has processed fewer commands than it has keys did not make them by commands.
fn reloaded(info: Info<'_>) -> bool {
    let keys_of = |db: u32| {
        let line = info.get(&format!("db{db}"))?;
        let keys = line.strip_prefix("keys=")?.split(',').next()?;
        keys.parse::<u64>().ok()
    };
    let keys: u64 = (0..DATABASES).filter_map(keys_of).sum();
    match info.number("rdb_last_load_keys_loaded") {
        Some(loaded) => loaded > 0 && loaded.saturating_mul(2) >= keys,
        None => info
            .number("total_commands_processed")
            .is_some_and(|commands| commands.saturating_mul(2) < keys),
    }
}

/// All sections that we read, as one text; empty without the right to INFO.
///
/// # Errors
/// The connection failed.
pub async fn info(client: &mut Client) -> Result<String, SideError> {
    let replies = client.ask(&INFO_SECTIONS.map(Outbound::Info)).await?;
    let texts = replies.iter().filter_map(client::text);
    Ok(texts
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .collect())
}

/// History and backlog alone: what changes from moment to moment.
///
/// # Errors
/// The connection failed.
pub async fn backlog(client: &mut Client) -> Result<Option<Backlog>, SideError> {
    let reply = client
        .ask_one(&Outbound::Info(InfoSection::Replication))
        .await?;
    let text = client::text(&reply).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    Ok(text.and_then(|text| Info(&text).backlog()))
}

async fn config(client: &mut Client) -> Result<Vec<(String, String)>, SideError> {
    let mut requests: Vec<Outbound<'_>> = CONFIG_PATTERNS.map(Outbound::ConfigGet).into();
    requests.extend(["repl-timeout", "repl-ping-*-period"].map(Outbound::ConfigGet));
    let replies = client.ask(&requests).await?;
    Ok(replies.iter().flat_map(pairs).collect())
}

/// The pairs of a CONFIG GET reply; none if it was refused.
pub fn pairs(reply: &BytesFrame) -> Vec<(String, String)> {
    let texts = client::members(reply)
        .unwrap_or(&[])
        .iter()
        .filter_map(client::text);
    let texts: Vec<String> = texts
        .map(|b| String::from_utf8_lossy(b).into_owned())
        .collect();
    let pairs = texts.chunks_exact(2);
    pairs
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect()
}

/// Takes what a profile reads; true if there was anything.
pub fn apply(profile: &mut Profile, pairs: &[(String, String)]) -> bool {
    let mut any = false;
    for (name, value) in pairs {
        any |= profile.set(name, value);
    }
    any
}

/// jemalloc's quantum and large classes; the version's defaults where it is not told.
async fn allocator(client: &mut Client, profile: &mut Profile) -> Result<(), SideError> {
    let reply = client.ask_one(&Outbound::MallocStats).await?;
    let Some(text) = client::text(&reply) else {
        return Ok(());
    };
    let text = String::from_utf8_lossy(text);
    let after = |label: &str| {
        let at = text.find(label)? + label.len();
        text[at..].split_whitespace().next().map(str::to_owned)
    };
    if let Some(quantum) = after("Quantum size:").and_then(|q| q.parse().ok()) {
        profile.allocator.quantum = quantum;
    }
    if let Some(paged) = after("opt.disable_large_size_classes:") {
        profile.allocator.page_above_16k = paged.starts_with("true");
    }
    Ok(())
}

/// What Valkey 9 keeps of its answer to COMMAND INFO: a text for every command and every subcommand,
/// in a block made for twice its length (measured on 9.1: 253 KB, which this is 5% above).
fn replies_kept(reply: &BytesFrame, allocator: Allocator) -> u64 {
    const SUBCOMMANDS: usize = 9;
    let commands = client::members(reply).unwrap_or(&[]).iter();
    let kept = commands.map(|command| {
        let inner = client::members(command).and_then(|fields| fields.get(SUBCOMMANDS));
        let inner = inner.map_or(0, |subcommands| replies_kept(subcommands, allocator));
        allocator.sds(2 * wire_len(command)) + inner
    });
    kept.sum()
}

/// Bytes of a reply on the wire.
fn wire_len(reply: &BytesFrame) -> u64 {
    let digits = |n: usize| n.to_string().len() as u64;
    match reply {
        BytesFrame::Null => 5,
        BytesFrame::Integer(n) => n.to_string().len() as u64 + 3,
        BytesFrame::Error(text) => text.len() as u64 + 3,
        BytesFrame::SimpleString(text) => text.len() as u64 + 3,
        BytesFrame::BulkString(text) => digits(text.len()) + text.len() as u64 + 5,
        BytesFrame::Array(members) => {
            digits(members.len()) + 3 + members.iter().map(wire_len).sum::<u64>()
        }
    }
}

/// Key positions from COMMAND INFO: `[name, arity, flags, first, last, step, ..]` each.
pub fn key_specs(reply: &BytesFrame) -> Vec<(Vec<u8>, KeySpec)> {
    let commands = client::members(reply).unwrap_or(&[]);
    commands.iter().filter_map(key_spec).collect()
}

fn key_spec(command: &BytesFrame) -> Option<(Vec<u8>, KeySpec)> {
    let fields = client::members(command)?;
    let name = client::text(fields.first()?)?.to_vec();
    let flags = client::members(fields.get(2)?)?;
    if !flags
        .iter()
        .filter_map(client::text)
        .any(|flag| flag.as_ref() == b"write")
    {
        return None;
    }
    let position = |i: usize| i32::try_from(client::integer(fields.get(i)?)?).ok();
    let spec = KeySpec {
        first: position(3)?,
        last: position(4)?,
        step: position(5)?,
    };
    (spec.first > 0).then_some((name, spec))
}
