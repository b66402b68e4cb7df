//! What INFO alone knows of each followed server, as of the last look (ten seconds or so).
//!
//! These are the figures that the alerts of `configs/prometheus` need and the model cannot know.
//! They are few, and have names of their own: where `redis_exporter` runs beside us, its series
//! are not doubled. A server that was not looked at yet, or refuses INFO, has none of them.

use super::keyspace::Sample;
use super::text::{Family, Kind, Text, seconds};
use crate::side::vitals::Vitals;

/// Name, kind, help, and the field of INFO.
type Plain = (&'static str, Kind, &'static str, &'static str);

/// Figures as INFO has them.
const PLAIN: [Plain; 21] = [
    (
        "keyscape_server_uptime_seconds",
        Kind::Gauge,
        "Time since the server started.",
        "uptime_in_seconds",
    ),
    (
        "keyscape_server_clients",
        Kind::Gauge,
        "Clients of the server, replicas left out; one of them is Keyscape.",
        "connected_clients",
    ),
    (
        "keyscape_server_blocked_clients",
        Kind::Gauge,
        "Clients that wait in a blocking command.",
        "blocked_clients",
    ),
    (
        "keyscape_server_clients_max",
        Kind::Gauge,
        "Clients that the server takes at most.",
        "maxclients",
    ),
    (
        "keyscape_server_rss_bytes",
        Kind::Gauge,
        "Resident memory of the server.",
        "used_memory_rss",
    ),
    (
        "keyscape_server_maxmemory_bytes",
        Kind::Gauge,
        "The server's maxmemory; 0 is none.",
        "maxmemory",
    ),
    (
        "keyscape_server_system_memory_bytes",
        Kind::Gauge,
        "Memory of the server's host.",
        "total_system_memory",
    ),
    (
        "keyscape_server_fragmentation_ratio",
        Kind::Gauge,
        "Resident memory by used_memory.",
        "mem_fragmentation_ratio",
    ),
    (
        "keyscape_server_last_save_timestamp_seconds",
        Kind::Gauge,
        "When a snapshot was last saved; the start of the server if none ever was.",
        "rdb_last_save_time",
    ),
    (
        "keyscape_server_unsaved_changes",
        Kind::Gauge,
        "Changes since that snapshot.",
        "rdb_changes_since_last_save",
    ),
    (
        "keyscape_server_commands_total",
        Kind::Counter,
        "Commands that the server ran.",
        "total_commands_processed",
    ),
    (
        "keyscape_server_hits_total",
        Kind::Counter,
        "Reads that found their key.",
        "keyspace_hits",
    ),
    (
        "keyscape_server_misses_total",
        Kind::Counter,
        "Reads that found no key.",
        "keyspace_misses",
    ),
    (
        "keyscape_server_expired_keys_total",
        Kind::Counter,
        "Keys that expired.",
        "expired_keys",
    ),
    (
        "keyscape_server_evicted_keys_total",
        Kind::Counter,
        "Keys that were evicted for want of memory.",
        "evicted_keys",
    ),
    (
        "keyscape_server_rejected_connections_total",
        Kind::Counter,
        "Clients turned away because there were too many.",
        "rejected_connections",
    ),
    (
        "keyscape_server_connections_total",
        Kind::Counter,
        "Clients that ever connected.",
        "total_connections_received",
    ),
    (
        "keyscape_server_received_bytes_total",
        Kind::Counter,
        "Bytes that the server read from the network.",
        "total_net_input_bytes",
    ),
    (
        "keyscape_server_sent_bytes_total",
        Kind::Counter,
        "Bytes that the server wrote to the network.",
        "total_net_output_bytes",
    ),
    (
        "keyscape_server_upstream_silent_seconds",
        Kind::Gauge,
        "Of a replica: time since its master was last heard of; -1 without a link.",
        "master_last_io_seconds_ago",
    ),
    (
        "keyscape_server_upstream_down_seconds",
        Kind::Gauge,
        "Of a replica: time since its link to its master was lost.",
        "master_link_down_since_seconds",
    ),
];

type Made = (&'static str, Kind, &'static str, fn(&Vitals) -> Option<f64>);

/// Figures that are made of several, or of none of INFO's.
const MADE: [Made; 8] = [
    (
        "keyscape_server_info_timestamp_seconds",
        Kind::Gauge,
        "When these figures were read.",
        |v| Some(seconds(v.at_ms)),
    ),
    (
        "keyscape_server_answer_seconds",
        Kind::Gauge,
        "Time that the server took for a PING.",
        |v| Some(seconds(v.answer_us) / 1000.0),
    ),
    (
        "keyscape_server_cpu_seconds_total",
        Kind::Counter,
        "Processor time of the server, system and user.",
        |v| v.cpu_s,
    ),
    (
        "keyscape_server_last_save_ok",
        Kind::Gauge,
        "1 if the last background save went well, 0 if not.",
        |v| v.saved_well.map(|well| f64::from(u8::from(well))),
    ),
    (
        "keyscape_server_replicas",
        Kind::Gauge,
        "Replicas of the server, without Keyscape and programs that announce no port.",
        |v| Some(count(v.replicas)),
    ),
    (
        "keyscape_server_replica_lag_seconds",
        Kind::Gauge,
        "Time since the most silent of those replicas was heard of.",
        |v| v.replica_lag_s.map(count),
    ),
    (
        "keyscape_server_upstream_up",
        Kind::Gauge,
        "Of a replica: 1 if its link to its master is up.",
        |v| v.upstream_up.map(|up| f64::from(u8::from(up))),
    ),
    (
        "keyscape_server_blocking_pops_total",
        Kind::Counter,
        "Calls of BLPOP and its kind, each of which may count a miss.",
        |v| v.blocking_pops.map(count),
    ),
];

pub(super) fn write(samples: &[Sample], text: &mut Text) {
    for (name, kind, help, field) in PLAIN {
        put(samples, text.family(name, kind, help), |v| v.get(field));
    }
    for (name, kind, help, figure) in MADE {
        put(samples, text.family(name, kind, help), figure);
    }
    let name = "keyscape_server_container_limit_bytes";
    let help = "Memory that the server's container may take, where the configuration says it.";
    let mut family = text.family(name, Kind::Gauge, help);
    for sample in samples {
        if let Some(limit) = sample.container {
            family.put_of(&sample.labels, &[], limit);
        }
    }
}

fn put(samples: &[Sample], mut family: Family<'_>, figure: impl Fn(&Vitals) -> Option<f64>) {
    for sample in samples {
        if let Some(value) = sample.status.vitals.as_deref().and_then(&figure) {
            family.put_of(&sample.labels, &[], value);
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a count in a scrape is a double"
)]
fn count(number: u64) -> f64 {
    number as f64
}
