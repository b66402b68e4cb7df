//! INFO: this process as a replica that holds no values, for people, monitoring tools and Sentinel.
//!
//! Three readers decide the form. Sentinel takes role, master, link and priority from it, so those
//! never say anything else than "a replica that must not be promoted". redis-cli --stat takes the
//! first place where a field's name occurs anywhere, and needs the carriage returns: no line before
//! the real one may contain `used_memory`, `connected_clients`, `loading` or `dbN:keys`. The
//! exporters turn every field that they know into a metric of this instance, so what is said about
//! a followed server stands under `Upstream_<name>` and carries the prefix `upstream_`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use analyzer::bridge::Bridge;
use analyzer::profile::{Family, Origin, nearest_frame};

use super::memory;
use super::port::Port;
use super::reply::Reply;
use super::request::Request;
use super::scope::{Scope, Target};
use super::session::Session;
use super::strays::Strays;
use super::{deployments, report, sentinel};
use crate::fleet::{Master, State, Status};
use crate::metrics::Tally;
use crate::model::ask::{Ask, DbTotal};
use crate::{clock, http};

/// Sections in the order they are printed; the last two only for those who ask for everything.
const SECTIONS: [&str; 12] = [
    "server",
    "clients",
    "memory",
    "persistence",
    "stats",
    "replication",
    "cpu",
    "cluster",
    "keyscape",
    "deployments",
    "keyspace",
    "upstream",
];

/// INFO [section ...]
pub(crate) async fn info(session: &Session, request: &Request) -> Reply {
    let mut text = String::new();
    for section in SECTIONS {
        if wanted(request, section) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            print(session, section, &mut text).await;
        }
    }
    Reply::Verbatim(text)
}

fn wanted(request: &Request, section: &str) -> bool {
    let everything = section != "upstream";
    match request.len() {
        1 => everything,
        _ => (1..request.len()).any(|at| {
            request.is(at, section)
                || request.is(at, "all")
                || request.is(at, "everything")
                || request.is(at, "default") && everything
        }),
    }
}

async fn print(session: &Session, section: &str, text: &mut String) {
    let port = &session.port;
    match section {
        "server" => server(port, text),
        "clients" => clients(port, text),
        "memory" => memory_section(port, text),
        "persistence" => persistence(port, text),
        "stats" => stats(port, text),
        "replication" => replication(session, text),
        "cpu" => cpu(text),
        "cluster" => lines(text, "Cluster", &[("cluster_enabled", "0".into())]),
        "keyscape" => keyscape(port, text),
        "deployments" => deployments::section(port, text),
        "keyspace" => keyspace(session, text).await,
        _ => port.fleet.masters().iter().for_each(|m| upstream(m, text)),
    }
}

pub(crate) fn lines(text: &mut String, title: &str, fields: &[(&str, String)]) {
    // Writing to a string cannot fail.
    let _ = write!(text, "# {title}\r\n");
    for (name, value) in fields {
        let _ = write!(text, "{name}:{}\r\n", plain(value));
    }
}

/// A value on one line.
pub(crate) fn plain(value: &str) -> String {
    value
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The server version that clients choose their features by: the oldest of the followed ones.
/// Valkey answers as the Redis that it split from.
pub(crate) fn reported_version(port: &Port) -> String {
    let known = port.fleet.masters().into_iter().filter_map(|master| {
        let server = master.status().server.clone()?;
        match server.family {
            Family::Redis => Some(server.version),
            Family::Valkey => Some(analyzer::profile::Version {
                major: 7,
                minor: 2,
                patch: 4,
            }),
        }
    });
    known.min().map_or_else(
        || "7.0.0".to_owned(),
        |version| format!("{}.{}.{}", version.major, version.minor, version.patch),
    )
}

fn server(port: &Port, text: &mut String) {
    let uptime = clock::now().duration_since(port.started).as_secs();
    let build = &port.fleet.build;
    let fields = [
        ("redis_version", reported_version(port)),
        ("server_name", "keyscape".to_owned()),
        ("keyscape_version", build.version.to_owned()),
        ("redis_mode", "standalone".to_owned()),
        ("os", std::env::consts::OS.to_owned()),
        ("arch_bits", usize::BITS.to_string()),
        ("process_id", std::process::id().to_string()),
        ("run_id", build.run_id.clone()),
        ("tcp_port", port.number.to_string()),
        ("server_time_usec", clock::unix_us().to_string()),
        ("uptime_in_seconds", uptime.to_string()),
        ("uptime_in_days", (uptime / 86_400).to_string()),
    ];
    lines(text, "Server", &fields);
}

fn clients(port: &Port, text: &mut String) {
    let fields = [
        ("connected_clients", port.clients.len().to_string()),
        ("maxclients", port.config.clients_max.to_string()),
        ("blocked_clients", "0".to_owned()),
    ];
    lines(text, "Clients", &fields);
}

fn memory_section(port: &Port, text: &mut String) {
    let process = memory::process();
    let masters = port.fleet.masters();
    let model: u64 = masters.iter().map(|m| m.status().model_bytes).sum();
    let used = process.allocated.max(model);
    let fields = [
        ("used_memory", used.to_string()),
        ("used_memory_human", human(used)),
        ("used_memory_rss", process.resident.to_string()),
        ("used_memory_rss_human", human(process.resident)),
        ("used_memory_dataset", model.to_string()),
        ("maxmemory", "0".to_owned()),
        ("maxmemory_policy", "noeviction".to_owned()),
        ("mem_allocator", "jemalloc".to_owned()),
    ];
    lines(text, "Memory", &fields);
}

fn human(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["K", "M", "G", "T"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2}{}", UNITS[unit])
}

fn persistence(port: &Port, text: &mut String) {
    let everything = Scope::of(&port.fleet, &Target::All);
    let loading = u8::from(everything.is_ok_and(|scope| scope.nothing().is_some()));
    let fields = [
        ("loading", loading.to_string()),
        ("rdb_bgsave_in_progress", "0".to_owned()),
        ("aof_enabled", "0".to_owned()),
        ("aof_rewrite_in_progress", "0".to_owned()),
    ];
    lines(text, "Persistence", &fields);
}

fn stats(port: &Port, text: &mut String) {
    let count = |tally: &Tally| tally.get().to_string();
    let meters = &port.meters;
    let fields = [
        ("total_connections_received", count(&meters.connections)),
        ("total_commands_processed", count(&meters.requests)),
        ("total_net_input_bytes", count(&meters.received)),
        ("total_net_output_bytes", count(&meters.sent)),
        ("rejected_connections", count(&meters.rejected)),
    ];
    lines(text, "Stats", &fields);
}

fn replication(session: &Session, text: &mut String) {
    let followed = sentinel::followed(session);
    let up = followed.up;
    let status = followed.master.map_or_else(Arc::default, |m| m.status());
    let silent_s = match status.last_byte_ms {
        0 => "-1".to_owned(),
        last => (clock::unix_ms().saturating_sub(last) / 1000).to_string(),
    };
    let loading = matches!(status.state, State::Loading { .. } | State::Waiting);
    let mut fields = vec![
        ("role", "slave".to_owned()),
        ("master_host", followed.host),
        ("master_port", followed.port.to_string()),
        (
            "master_link_status",
            if up { "up" } else { "down" }.to_owned(),
        ),
        ("master_last_io_seconds_ago", silent_s.clone()),
        ("master_sync_in_progress", u8::from(loading).to_string()),
        ("slave_repl_offset", status.offset.to_string()),
    ];
    if !up {
        fields.push(("master_link_down_since_seconds", silent_s));
    }
    fields.extend([
        ("slave_priority", "0".to_owned()),
        ("slave_read_only", "1".to_owned()),
        ("replica_announced", "0".to_owned()),
        ("connected_slaves", "0".to_owned()),
        ("master_failover_state", "no-failover".to_owned()),
        ("master_replid", replid(&status)),
        ("master_replid2", "0".repeat(40)),
        ("master_repl_offset", status.offset.to_string()),
        ("second_repl_offset", "-1".to_owned()),
        ("repl_backlog_active", "0".to_owned()),
    ]);
    lines(text, "Replication", &fields);
}

fn replid(status: &Status) -> String {
    match &*status.replid {
        "" => "0".repeat(40),
        known => known.to_owned(),
    }
}

/// Processor seconds of this process (`/proc/self/stat`, fields 14 and 15, in hundredths).
fn cpu(text: &mut String) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is a name in parentheses and may hold spaces.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let seconds = |index: usize| {
        let ticks: u32 = fields.get(index).and_then(|f| f.parse().ok()).unwrap_or(0);
        format!("{:.2}", f64::from(ticks) / 100.0)
    };
    let fields = [
        ("used_cpu_sys", seconds(12)),
        ("used_cpu_user", seconds(11)),
    ];
    lines(text, "CPU", &fields);
}

fn keyscape(port: &Port, text: &mut String) {
    let masters = port.fleet.masters();
    let statuses: Vec<_> = masters.iter().map(|master| master.status()).collect();
    let sum = |of: fn(&Status) -> u64| statuses.iter().map(|s| of(s)).sum::<u64>().to_string();
    let synced = http::not_synced(&port.fleet).is_empty();
    let memory = &port.fleet.memory;
    let degraded = statuses.iter().any(|s| s.detail.is_degraded());
    let fields = [
        ("keyscape_synced", u8::from(synced).to_string()),
        ("keyscape_masters", masters.len().to_string()),
        ("keyscape_keys_inexact", sum(|s| s.inexact)),
        ("keyscape_keys_unverified", sum(|s| s.unverified)),
        ("keyscape_keys_unsized", sum(|s| s.unsized_keys)),
        ("keyscape_memory_cap", memory.cap().unwrap_or(0).to_string()),
        ("keyscape_memory_used", memory.used().to_string()),
        ("keyscape_degraded", u8::from(degraded).to_string()),
        ("keyscape_keys_folded", sum(|s| s.detail.folded)),
        ("keyscape_keys_without_elements", sum(|s| s.detail.bare)),
        (
            "keyscape_unknown_commands",
            sum(|s| s.counters.unknown_commands),
        ),
        (
            "keyscape_malformed_commands",
            sum(|s| s.counters.malformed_commands),
        ),
        ("keyscape_unknown_names", unknown_names(&statuses)),
    ];
    lines(text, "Keyscape", &fields);
    for (index, (master, status)) in masters.iter().zip(&statuses).enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "keyscape_master{index}:name={},state={},generation={},replid={},offset={},\
             lag_bytes={},lag_ms={},keys={},inexact={},unverified={},unsized={},full_syncs={},\
             partial_syncs={},profile={},memory_as={},detail={},kept=1/{},cluster={},shard={},\
             used_memory={},model_error_ratio={},unaccounted_bytes={}\r\n",
            plain(&master.name()),
            status.state.name(),
            status.generation.name(),
            replid(status),
            status.offset,
            status.lag_bytes,
            status.lag_ms,
            status.keys,
            status.inexact,
            status.unverified,
            status.unsized_keys,
            status.counters.full_syncs,
            status.counters.partial_syncs,
            profile(status),
            memory_as(status).unwrap_or("itself"),
            report::detail(status),
            status.detail.one_in,
            plain(&master.cluster),
            plain(&master.shard),
            bridged(status, |b| b.used.to_string()),
            bridged(status, |b| format!("{:.6}", b.error_ratio())),
            bridged(status, |b| b.unexplained().to_string()),
        );
    }
}

/// A figure of the last look at the server's memory; nothing before the first.
fn bridged(status: &Status, figure: impl Fn(&Bridge) -> String) -> String {
    status
        .bridged
        .as_ref()
        .map_or_else(String::new, |bridged| figure(&bridged.bridge))
}

/// Where the numbers that decide encodings come from.
pub(crate) fn profile(status: &Status) -> &'static str {
    match status.profile {
        None => "unknown",
        Some(Origin::Defaults) => "defaults",
        Some(Origin::Server) => "server",
    }
}

/// The server that sizes are computed for, if it is not the master itself: a version that is newer
/// than what is known has those of the nearest one.
pub(crate) fn memory_as(status: &Status) -> Option<&'static str> {
    let server = status.server.as_ref()?;
    nearest_frame(server.family, server.version)
}

fn unknown_names(statuses: &[Arc<Status>]) -> String {
    let mut names: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, count) in statuses.iter().flat_map(|status| &status.unknown_names) {
        *names.entry(name).or_default() += count;
    }
    let names = names.iter().map(|(name, count)| format!("{name}={count}"));
    names.collect::<Vec<_>>().join(",")
}

async fn keyspace(session: &Session, text: &mut String) {
    text.push_str("# Keyspace\r\n");
    for total in databases(session).await {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "db{}:keys={},expires={},avg_ttl={}\r\n",
            total.db, total.keys, total.expires, total.avg_ttl_ms
        );
    }
}

/// Totals per database over all masters that answer, of those that are meant.
async fn databases(session: &Session) -> Vec<DbTotal> {
    let Ok(scope) = session.scope() else {
        return Vec::new();
    };
    let answers = scope.ask_all(|reply| Ask::Dbs { reply }).await.into_iter();
    let totals: Vec<DbTotal> = answers
        .flat_map(|(_, answer)| answer.into_iter().flat_map(|answer| answer.value))
        .collect();
    let sums = by_db(&scope, totals).await;
    sums.iter()
        .for_each(|total| session.port.saw_database(total.db));
    sums
}

/// Sums of several masters per database, each key counted once.
pub(crate) async fn by_db(scope: &Scope, totals: Vec<DbTotal>) -> Vec<DbTotal> {
    let mut sums: BTreeMap<u32, DbTotal> = BTreeMap::new();
    for total in &totals {
        add(sums.entry(total.db).or_default(), total);
    }
    for sum in sums.values_mut() {
        let hidden = Strays::counted_twice(scope, Some(sum.db)).await;
        let hidden = hidden.all_hidden();
        sum.keys = sum.keys.saturating_sub(hidden.keys);
        sum.memory = sum.memory.saturating_sub(hidden.bytes);
        sum.expires = sum.expires.min(sum.keys);
    }
    sums.into_values().collect()
}

/// Adds one master's totals of a database; the mean time to live is weighted by keys that have one.
fn add(sum: &mut DbTotal, more: &DbTotal) {
    let weighted = |total: &DbTotal| u128::from(total.avg_ttl_ms) * u128::from(total.expires);
    let expires = sum.expires + more.expires;
    let mean = (weighted(sum) + weighted(more)).checked_div(u128::from(expires));
    *sum = DbTotal {
        db: more.db,
        keys: sum.keys + more.keys,
        expires,
        // A weighted mean of two u64 is one.
        avg_ttl_ms: mean.and_then(|mean| u64::try_from(mean).ok()).unwrap_or(0),
        memory: sum.memory + more.memory,
    };
}

fn upstream(master: &Master, text: &mut String) {
    let status = master.status();
    let title = format!("Upstream_{}", plain(&master.name()));
    let mut fields = vec![
        ("upstream_role", status.role.name().to_owned()),
        ("upstream_state", status.state.name().to_owned()),
    ];
    if let Some(server) = &status.server {
        let family = match server.family {
            Family::Redis => "redis",
            Family::Valkey => "valkey",
        };
        let version = server.version;
        let version = format!("{}.{}.{}", version.major, version.minor, version.patch);
        fields.extend([
            ("upstream_server_name", family.to_owned()),
            ("upstream_server_version", version),
            ("upstream_run_id", server.run_id.clone()),
            (
                "upstream_cluster_enabled",
                u8::from(server.cluster).to_string(),
            ),
        ]);
        fields.extend(
            server
                .used_memory
                .map(|b| ("upstream_used_memory", b.to_string())),
        );
        fields.extend(server.upstream.clone().map(|m| ("upstream_master", m)));
    }
    fields.extend([
        (
            "upstream_master_repl_offset",
            status.master_offset.unwrap_or(0).to_string(),
        ),
        ("upstream_last_error", status.last_error.clone()),
    ]);
    lines(text, &title, &fields);
}
