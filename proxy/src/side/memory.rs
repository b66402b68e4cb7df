//! What a server says of its own memory, at one offset.
//!
//! INFO memory has the buffers, MEMORY STATS the tables of the databases, INFO latencystats the
//! commands that have a histogram. The three are asked in one transaction, so that they and the
//! offset are of one instant. Where MEMORY STATS is not permitted the tables are not told.

use analyzer::bridge::{Told, ToldTables};
use redis_protocol::resp2::types::BytesFrame;
use replica_shim::Outbound;
use replica_shim::outbound::InfoSection;

use super::batch::{self, Stamp};
use super::client::{self, Client, SideError};
use super::info::Info;
use super::task::utf8;

/// What was said, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// When; no stamp if the server refused.
    pub stamp: Option<Stamp>,
    /// What.
    pub told: Told,
}

/// Asks.
///
/// # Errors
/// The connection failed. Refusals are no error.
pub async fn look(client: &mut Client) -> Result<Memory, SideError> {
    const ALL: [Outbound<'_>; 3] = [
        Outbound::Info(InfoSection::Memory),
        Outbound::Info(InfoSection::LatencyStats),
        Outbound::MemoryStats,
    ];
    for requests in [&ALL[..], &ALL[..2]] {
        let (info, replies) = batch::exec(client, requests).await?;
        if let [memory, latency, rest @ ..] = &replies[..] {
            let mut told = told(Info(&utf8(memory)), &utf8(latency));
            told.tables = rest.first().and_then(tables);
            return Ok(Memory {
                stamp: batch::stamp(&info),
                told,
            });
        }
    }
    Ok(Memory::default())
}

fn told(info: Info<'_>, latency: &str) -> Told {
    let bytes = |name| info.number(name).unwrap_or(0);
    let evicts = info
        .get("maxmemory_policy")
        .is_some_and(|policy| policy.contains("lru") || policy.contains("lfu"));
    let histograms = latency
        .lines()
        .filter(|line| line.starts_with("latency_percentiles_usec_"));
    Told {
        used: bytes("used_memory"),
        startup: bytes("used_memory_startup"),
        tables: None,
        clients: bytes("mem_clients_normal"),
        replicas: bytes("mem_clients_slaves"),
        backlog: bytes("mem_replication_backlog"),
        sync_buffers: bytes("mem_replica_full_sync_buffer") + bytes("mem_replicas_repl_buffer"),
        aof_buffer: bytes("mem_aof_buffer"),
        // Before 7.0 there were no functions, and one figure.
        scripts: info
            .number("used_memory_scripts_eval")
            .unwrap_or_else(|| bytes("used_memory_scripts")),
        functions: bytes("used_memory_functions"),
        cluster_links: bytes("mem_cluster_links"),
        slot_migration: bytes("mem_cluster_slot_import") + bytes("mem_cluster_slot_export"),
        histograms: histograms.count() as u64,
        // Known since the server was introduced.
        command_cache: 0,
        private_integers: evicts && bytes("maxmemory") > 0,
    }
}

/// The tables of all databases: `db.N` has a list of names and figures of its own.
fn tables(reply: &BytesFrame) -> Option<ToldTables> {
    let mut tables = ToldTables::default();
    for pair in client::members(reply)?.chunks_exact(2) {
        let [name, figures] = pair else { continue };
        let number = client::text(name).and_then(|name| name.strip_prefix(b"db."));
        let is_database = number.is_some_and(|rest| rest.iter().all(u8::is_ascii_digit));
        let Some(figures) = client::members(figures).filter(|_| is_database) else {
            continue;
        };
        tables.databases += 1;
        for figure in figures.chunks_exact(2) {
            let [name, bytes] = figure else { continue };
            let bytes = client::integer(bytes).and_then(|n| u64::try_from(n).ok());
            let bytes = bytes.unwrap_or(0);
            match client::text(name).map(|name| &name[..]) {
                Some(b"overhead.hashtable.main") => tables.main += bytes,
                Some(b"overhead.hashtable.expires") => tables.expires += bytes,
                // What else there is, is counted with the keys (`slot-to-keys` of 7.0).
                Some(_) | None => {}
            }
        }
    }
    Some(tables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis_protocol::resp2::decode::decode_bytes;

    #[test]
    fn databases_are_summed_and_other_figures_left() {
        let reply = b"*8\r\n$15\r\ntotal.allocated\r\n:5\r\n\
            $4\r\ndb.0\r\n*6\r\n$23\r\noverhead.hashtable.main\r\n:48192\r\n\
            $26\r\noverhead.hashtable.expires\r\n:16096\r\n\
            $31\r\noverhead.hashtable.slot-to-keys\r\n:7\r\n\
            $5\r\ndb.11\r\n*2\r\n$23\r\noverhead.hashtable.main\r\n:8\r\n\
            $23\r\ndb.dict.rehashing.count\r\n:1\r\n";
        let (frame, _) = decode_bytes(&bytes::Bytes::from_static(reply))
            .unwrap()
            .unwrap();
        let expected = ToldTables {
            main: 48200,
            expires: 16096,
            databases: 2,
        };
        assert_eq!(tables(&frame), Some(expected));
        assert_eq!(tables(&BytesFrame::Null), None);
    }

    #[test]
    fn info_of_6_and_of_9_is_read() {
        let six = "used_memory:979144\r\nused_memory_startup:809648\r\nused_memory_scripts:70\r\n\
            maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\nmem_replication_backlog:1048576\r\n";
        let got = told(Info(six), "");
        assert_eq!((got.used, got.startup, got.scripts), (979_144, 809_648, 70));
        assert_eq!(
            (got.backlog, got.histograms, got.private_integers),
            (1_048_576, 0, false)
        );
        let nine = "used_memory:1\r\nused_memory_scripts_eval:3\r\nused_memory_scripts:336\r\n\
            used_memory_functions:333\r\nmaxmemory:5\r\nmaxmemory_policy:volatile-lfu\r\n";
        let latency = "# Latencystats\r\nlatency_percentiles_usec_set:p50=1\r\n\
            latency_percentiles_usec_config|get:p50=1\r\n";
        let got = told(Info(nine), latency);
        assert_eq!((got.scripts, got.functions, got.histograms), (3, 333, 2));
        assert!(got.private_integers);
    }
}
