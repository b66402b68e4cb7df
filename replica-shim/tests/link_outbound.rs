//! All that can ever be said, listed: nothing in it writes, and nothing from outside can become a
//! command.
#![allow(clippy::too_many_lines, reason = "a table is as long as what it lists")]

mod link_kit;

use link_kit::{ID, at, said};
use replica_shim::outbound::{InfoSection, LengthOf, Outbound, Secret};
use replica_shim::position::{Backlog, Coverage};
use replica_shim::{Offset, Position};

/// One of each kind. `kinds` counts them, exhaustively.
fn all(position: &Position) -> Vec<(Outbound<'_>, String)> {
    let line = |text: &str| text.to_string();
    vec![
        (Outbound::Ping, line("PING")),
        (
            Outbound::Auth {
                user: None,
                password: Secret(b"p"),
            },
            line("AUTH p"),
        ),
        (
            Outbound::Auth {
                user: Some("u"),
                password: Secret(b"p"),
            },
            line("AUTH u p"),
        ),
        (Outbound::ClientSetName("n"), line("CLIENT SETNAME n")),
        (
            Outbound::ListeningPort(-5),
            line("REPLCONF listening-port -5"),
        ),
        (Outbound::IpAddress("::1"), line("REPLCONF ip-address ::1")),
        (
            Outbound::Capabilities,
            line("REPLCONF capa eof capa psync2"),
        ),
        (Outbound::AnnounceVersion, line("REPLCONF version 9.0.0")),
        (Outbound::FilterAll, line("REPLCONF rdb-filter-only ")),
        (Outbound::Psync(None), line("PSYNC ? -1")),
        (Outbound::Psync(Some(position)), format!("PSYNC {ID} 8")),
        (Outbound::Sync, line("SYNC")),
        (Outbound::Ack(Offset(7)), line("REPLCONF ACK 7")),
        (Outbound::LowerVersion, line("REPLCONF version 7.2.0 ACK 0")),
        (Outbound::Multi, line("MULTI")),
        (Outbound::Exec, line("EXEC")),
        (
            Outbound::Info(InfoSection::Replication),
            line("INFO replication"),
        ),
        (Outbound::Role, line("ROLE")),
        (Outbound::Time, line("TIME")),
        (Outbound::DbSize, line("DBSIZE")),
        (Outbound::ConfigGet("*-max-*"), line("CONFIG GET *-max-*")),
        (Outbound::AclList, line("ACL LIST")),
        (
            Outbound::CommandInfo(&[b"a", b"b"]),
            line("COMMAND INFO a b"),
        ),
        (
            Outbound::CommandGetKeys(&[b"SET", b"k", b"v"]),
            line("COMMAND GETKEYS SET k v"),
        ),
        (Outbound::Select(3), line("SELECT 3")),
        (Outbound::ReadOnly, line("READONLY")),
        (Outbound::ClientNoTouch, line("CLIENT NO-TOUCH ON")),
        (
            Outbound::Scan {
                cursor: 5,
                count: 100,
            },
            line("SCAN 5 COUNT 100"),
        ),
        (Outbound::Type(b"k"), line("TYPE k")),
        (Outbound::ObjectEncoding(b"k"), line("OBJECT ENCODING k")),
        (Outbound::Pttl(b"k"), line("PTTL k")),
        (Outbound::PexpireTime(b"k"), line("PEXPIRETIME k")),
        (Outbound::Length(LengthOf::String, b"k"), line("STRLEN k")),
        (Outbound::Length(LengthOf::List, b"k"), line("LLEN k")),
        (Outbound::Length(LengthOf::Set, b"k"), line("SCARD k")),
        (Outbound::Length(LengthOf::Zset, b"k"), line("ZCARD k")),
        (Outbound::Length(LengthOf::Hash, b"k"), line("HLEN k")),
        (Outbound::Length(LengthOf::Stream, b"k"), line("XLEN k")),
        (Outbound::HstrLen(b"k", b"f"), line("HSTRLEN k f")),
        (
            Outbound::MemoryUsage {
                key: b"k",
                samples: 0,
            },
            line("MEMORY USAGE k SAMPLES 0"),
        ),
        (Outbound::MemoryStats, line("MEMORY STATS")),
        (Outbound::MallocStats, line("MEMORY MALLOC-STATS")),
        (Outbound::Dump(b"k"), line("DUMP k")),
        (Outbound::ClusterNodes, line("CLUSTER NODES")),
        (Outbound::ClusterSlots, line("CLUSTER SLOTS")),
        (Outbound::ClusterShards, line("CLUSTER SHARDS")),
        (Outbound::SentinelMasters, line("SENTINEL MASTERS")),
        (Outbound::SentinelMaster("m"), line("SENTINEL MASTER m")),
        (Outbound::SentinelReplicas("m"), line("SENTINEL REPLICAS m")),
        (
            Outbound::SentinelSentinels("m"),
            line("SENTINEL SENTINELS m"),
        ),
        (
            Outbound::SentinelMasterAddress("m"),
            line("SENTINEL GET-MASTER-ADDR-BY-NAME m"),
        ),
        (
            Outbound::SentinelEvents,
            line(
                "SUBSCRIBE +selected-slave +failover-state-send-slaveof-noone \
                 -failover-abort-no-good-slave -failover-abort-slave-timeout +switch-master +promoted-slave +failover-end +config-update-from \
                 +convert-to-slave +odown -odown +slave +reboot +reset-master",
            ),
        ),
    ]
}

/// The words that may stand first; each is a read, a question, or the talk of a replica.
const FIRST: &[&str] = &[
    "PING",
    "AUTH",
    "CLIENT",
    "REPLCONF",
    "PSYNC",
    "SYNC",
    "MULTI",
    "EXEC",
    "INFO",
    "ROLE",
    "TIME",
    "DBSIZE",
    "CONFIG",
    "ACL",
    "COMMAND",
    "SELECT",
    "READONLY",
    "SCAN",
    "TYPE",
    "OBJECT",
    "PTTL",
    "PEXPIRETIME",
    "STRLEN",
    "LLEN",
    "SCARD",
    "ZCARD",
    "HLEN",
    "XLEN",
    "HSTRLEN",
    "MEMORY",
    "DUMP",
    "CLUSTER",
    "SENTINEL",
    "SUBSCRIBE",
];

#[test]
fn everything_that_can_be_said_is_harmless() {
    let position = at(7, 0);
    for (outbound, expected) in all(&position) {
        let mut bytes = Vec::new();
        outbound.encode(&mut bytes);
        let line = said(&bytes);
        assert_eq!(line, expected);
        let words: Vec<&str> = line.split(' ').collect();
        assert!(FIRST.contains(&words[0]), "{line}");
        match words[0] {
            "CONFIG" => assert_eq!(words[1], "GET"),
            "ACL" => assert_eq!(words[1], "LIST"),
            "CLIENT" => assert!(["SETNAME", "NO-TOUCH"].contains(&words[1])),
            // Of a Sentinel, whose events they are.
            "SUBSCRIBE" => assert!(words[1..].iter().all(|w| w.starts_with(['+', '-']))),
            "PSYNC" => assert_eq!(words.len(), 3, "a third argument promotes the server"),
            _ => {}
        }
    }
}

#[test]
fn what_comes_from_outside_cannot_become_a_command() {
    let key = b"x\r\n*1\r\n$8\r\nFLUSHALL\r\n";
    let mut bytes = Vec::new();
    Outbound::Type(key).encode(&mut bytes);
    assert_eq!(said(&bytes), "TYPE x\\r\\n*1\\r\\n$8\\r\\nFLUSHALL\\r\\n");
}

#[test]
fn secrets_are_not_shown() {
    let auth = Outbound::Auth {
        user: None,
        password: Secret(b"hunter2"),
    };
    assert_eq!(format!("{auth:?}"), "Auth { user: None, password: *** }");
}

#[test]
fn what_psync_would_give_is_known_beforehand() {
    let other = link_kit::id(link_kit::ID2);
    let backlog = Backlog {
        replid: link_kit::id(ID),
        second: Some((other, Offset(60))),
        offset: Offset(100),
        first_byte: Some(Offset(50)),
    };
    let of = |replid, offset| {
        Position {
            replid,
            offset: Offset(offset),
            db: 0,
        }
        .coverage(&backlog)
    };
    let own = link_kit::id(ID);
    for (replid, offset, expected) in [
        (own, 100, Coverage::Continues),
        (own, 101, Coverage::Ahead),
        (own, 49, Coverage::Continues),
        (own, 48, Coverage::Gone),
        (other, 59, Coverage::Continues),
        (other, 60, Coverage::Foreign),
        (other, 10, Coverage::Gone),
        (link_kit::id(&"a".repeat(40)), 70, Coverage::Foreign),
    ] {
        assert_eq!(of(replid, offset), expected, "{replid}:{offset}");
    }
    let none = Backlog {
        first_byte: None,
        ..backlog
    };
    assert_eq!(at(100, 0).coverage(&none), Coverage::Gone);
}
