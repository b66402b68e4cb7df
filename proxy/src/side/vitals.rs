//! What INFO alone knows of a server and its operators watch: clients, saves, evictions, replicas.
//!
//! Asked every ten seconds or so, in one pipeline, on the connection that is there anyway. Only
//! figures of the closed list [`FIELDS`] are kept, a server each; what it does not say has none.

use analyzer::advice::{Attached, BLOCKING_POPS};
use redis_protocol::resp2::types::BytesFrame;
use replica_shim::Outbound;
use replica_shim::outbound::InfoSection;

use super::client::{self, Client, SideError};
use super::info::Info;
use super::task::utf8;
use crate::clock;

/// Fields of INFO that are kept, as the server spells them.
pub const FIELDS: [&str; 23] = [
    "uptime_in_seconds",
    "connected_clients",
    "blocked_clients",
    "maxclients",
    "used_memory",
    "used_memory_peak",
    "used_memory_rss",
    "maxmemory",
    "total_system_memory",
    "mem_fragmentation_ratio",
    "rdb_last_save_time",
    "rdb_changes_since_last_save",
    "total_commands_processed",
    "keyspace_hits",
    "keyspace_misses",
    "expired_keys",
    "evicted_keys",
    "rejected_connections",
    "total_connections_received",
    "total_net_input_bytes",
    "total_net_output_bytes",
    "master_last_io_seconds_ago",
    "master_link_down_since_seconds",
];

const SECTIONS: [InfoSection; 7] = [
    InfoSection::Server,
    InfoSection::Clients,
    InfoSection::Memory,
    InfoSection::Persistence,
    InfoSection::Stats,
    InfoSection::Cpu,
    InfoSection::Replication,
];

/// One look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vitals {
    /// When, unix milliseconds.
    pub at_ms: u64,
    /// Which process told it: its `run_id`; empty if it does not say.
    pub run_id: String,
    /// Microseconds from asking PING to its answer, as the next in a quiet connection.
    pub answer_us: u64,
    /// Processor time, of the server and its threads, seconds.
    pub cpu_s: Option<f64>,
    /// It makes room where it has none: its `maxmemory_policy` is another one than `noeviction`.
    pub evicts: bool,
    /// The last BGSAVE went well.
    pub saved_well: Option<bool>,
    /// Replicas that are servers: no Keyscape, no redis-cli.
    pub replicas: u64,
    /// Seconds since the most silent of them was heard of; `None` without any.
    pub replica_lag_s: Option<u64>,
    /// Of a replica: its link to its own master is up.
    pub upstream_up: Option<bool>,
    /// Blocking pops so far; each counts a miss when it has to wait.
    pub blocking_pops: Option<u64>,
    figures: [Option<f64>; FIELDS.len()],
}

impl Vitals {
    /// The figure of a field of [`FIELDS`].
    pub fn get(&self, field: &str) -> Option<f64> {
        let mut all = FIELDS.iter().zip(self.figures);
        all.find(|(name, _)| **name == field)
            .and_then(|(_, figure)| figure)
    }

    /// Keys evicted since an earlier look. What another process counted says nothing of it: none
    /// then. A counter of the same process that is lower was set back (CONFIG RESETSTAT).
    pub fn evicted_since(&self, before: &Vitals) -> u64 {
        let evicted = |vitals: &Vitals| vitals.get("evicted_keys");
        let (Some(then), Some(now)) = (evicted(before), evicted(self)) else {
            return 0;
        };
        if self.run_id != before.run_id {
            return 0;
        }
        let keys = if now < then { now } else { now - then };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a counter of keys as INFO has it"
        )]
        let keys = keys as u64;
        keys
    }

    /// Reads the text of INFO; `own_port` is the port that we announce as a replica.
    pub(crate) fn read(info: Info<'_>, own_port: u32) -> Vitals {
        let seconds = |name| info.get(name)?.parse::<f64>().ok();
        let replicas = others(info, own_port);
        Vitals {
            run_id: info.get("run_id").unwrap_or_default().to_owned(),
            cpu_s: seconds("used_cpu_sys")
                .zip(seconds("used_cpu_user"))
                .map(|(sys, user)| sys + user),
            evicts: info
                .get("maxmemory_policy")
                .is_some_and(|policy| policy != "noeviction"),
            saved_well: info.get("rdb_last_bgsave_status").map(|said| said == "ok"),
            replicas: replicas.len() as u64,
            replica_lag_s: replicas.into_iter().max(),
            upstream_up: info.get("master_link_status").map(|said| said == "up"),
            figures: FIELDS.map(seconds),
            ..Vitals::default()
        }
    }
}

/// The lag of every replica that is no program, as the rules tell them.
fn others(info: Info<'_>, own_port: u32) -> Vec<u64> {
    let line = |line: &str| {
        let (head, facts) = line.trim_end().split_once(':')?;
        head.strip_prefix("slave")?.parse::<u32>().ok()?;
        let attached = Attached::parse(facts, own_port.into())?;
        (!attached.is_program).then_some(attached.lag_s)
    };
    info.0.lines().filter_map(line).collect()
}

/// Calls of blocking pops in the text of INFO commandstats.
fn blocking_pops(stats: Info<'_>) -> u64 {
    let calls = BLOCKING_POPS.iter().filter_map(|name| {
        let line = stats.get(&format!("cmdstat_{name}"))?;
        line.strip_prefix("calls=")?.split(',').next()?.parse().ok()
    });
    calls.fold(0, u64::saturating_add)
}

/// Asks.
///
/// # Errors
/// The connection failed. Without the right to INFO nothing is told.
pub async fn look(client: &mut Client, own_port: u32) -> Result<Option<Vitals>, SideError> {
    let began = clock::now();
    client.ask_one(&Outbound::Ping).await?;
    let took = clock::now().duration_since(began).as_micros();
    let mut requests = SECTIONS.map(Outbound::Info).to_vec();
    requests.push(Outbound::Info(InfoSection::CommandStats));
    let mut replies = client.ask(&requests).await?;
    let stats = replies.pop().unwrap_or(BytesFrame::Null);
    let text: String = replies
        .iter()
        .filter(|reply| told(reply))
        .map(utf8)
        .collect();
    if text.is_empty() {
        return Ok(None);
    }
    Ok(Some(Vitals {
        at_ms: clock::unix_ms(),
        answer_us: u64::try_from(took).unwrap_or(u64::MAX),
        blocking_pops: told(&stats).then(|| blocking_pops(Info(&utf8(&stats)))),
        ..Vitals::read(Info(&text), own_port)
    }))
}

/// False for a refusal.
fn told(reply: &BytesFrame) -> bool {
    client::text(reply).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "uptime_in_seconds:7\r\nmem_fragmentation_ratio:1.62\r\n\
        used_cpu_sys:1.5\r\nused_cpu_user:2.25\r\nrdb_last_bgsave_status:err\r\n\
        connected_slaves:3\r\n\
        slave0:ip=10.0.0.2,port=6379,state=online,offset=5,lag=1\r\n\
        slave1:ip=10.0.0.9,port=65536,state=online,offset=0,lag=9\r\n\
        slave2:ip=10.0.0.3,port=6379,state=wait_bgsave,offset=0,lag=4\r\n\
        slave3:ip=10.0.0.4,port=0,state=online,offset=0,lag=8\r\n";

    #[test]
    fn figures_are_read_and_we_are_no_replica() {
        let vitals = Vitals::read(Info(TEXT), 65_536);
        assert_eq!(vitals.get("uptime_in_seconds"), Some(7.0));
        assert_eq!(vitals.get("mem_fragmentation_ratio"), Some(1.62));
        assert_eq!(vitals.get("evicted_keys"), None);
        assert_eq!(vitals.cpu_s, Some(3.75));
        assert_eq!(vitals.saved_well, Some(false));
        assert_eq!((vitals.replicas, vitals.replica_lag_s), (2, Some(4)));
        assert_eq!(vitals.upstream_up, None);
        // Where our port is announced, it is ours.
        assert_eq!(Vitals::read(Info(TEXT), 6379).replicas, 0);
    }

    #[test]
    fn evictions_of_another_server_are_none_of_this_ones() {
        let look = |run: &str, evicted: u64| {
            let text = format!("run_id:{run}\r\nevicted_keys:{evicted}\r\n");
            Vitals::read(Info(&text), 6379)
        };
        let first = look("a", 100);
        assert_eq!(look("a", 130).evicted_since(&first), 30);
        assert_eq!(look("a", 7).evicted_since(&first), 7, "RESETSTAT");
        assert_eq!(look("b", 50_000).evicted_since(&first), 0, "a failover");
        assert_eq!(look("b", 7).evicted_since(&first), 0, "a restart");
        assert_eq!(first.evicted_since(&Vitals::default()), 0, "the first look");
    }

    #[test]
    fn only_pops_that_wait_are_counted() {
        let stats = "cmdstat_blpop:calls=3,usec=9\r\ncmdstat_lpop:calls=50,usec=1\r\n\
            cmdstat_bzpopmax:calls=4,usec=9\r\n";
        assert_eq!(blocking_pops(Info(stats)), 7);
    }
}
