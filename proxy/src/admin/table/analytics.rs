//! Our own verbs.

use super::{Command, Handler};
use crate::admin::handlers::Model;
use crate::admin::report;

const READ: &[&str] = &["readonly", "loading", "stale"];

pub(super) const COMMANDS: &[Command] = &[
    Command::new("ks.advise", -1, Handler::Model(Model::Advise))
        .flags(READ)
        .syntax(
            "[SEVERITY <INFO | LOW | MEDIUM | HIGH | CRITICAL>] [RULE id] [SILENCED] \
             [FORMAT <TEXT | JSON>]",
        )
        .about(
            "analytics",
            "0.1.0",
            "Tells what could be better: findings with evidence, saving or risk, and remedy.",
        ),
    Command::new("ks.growth", -1, Handler::Model(Model::Growth))
        .flags(READ)
        .syntax("[WINDOW time] [PATTERN pattern] [SLOT slot] [LIMIT count] [FORMAT <TEXT | JSON>]")
        .about(
            "analytics",
            "0.1.0",
            "Shows what every byte of change in the last seconds, hours or days is due to, and a forecast.",
        ),
    Command::new("ks.help", 1, Handler::Session(report::help))
        .flags(READ)
        .about(
            "analytics",
            "0.1.0",
            "Lists the verbs that only Keyscape has.",
        ),
    Command::new("ks.hot", -2, Handler::Model(Model::Hot))
        .flags(READ)
        .syntax(
            "<KEYS | PATTERNS | HASHTAGS | SLOTS | COMMANDS> [BY <WRITES | BYTES>] \
             [WINDOW <1m | 10m | 1h>] [count | LIMIT count] [FORMAT <TEXT | JSON>]",
        )
        .about(
            "analytics",
            "0.1.0",
            "Lists what is written most, by writes or by bytes; reads are not seen here.",
        ),
    Command::new("ks.nodes", -1, Handler::Model(Model::Nodes))
        .flags(READ)
        .syntax("[FORMAT <TEXT | JSON>]")
        .about(
            "analytics",
            "0.1.0",
            "Shows every node of every deployment, and its link or why it has none.",
        ),
    Command::new("ks.patterns", -1, Handler::Model(Model::Patterns))
        .flags(READ)
        .syntax(
            "[prefix] [BY <BYTES | KEYS | NOTTL | GROWTH | WRITES>] [LIMIT count] [DEPTH tokens] \
             [FORMAT <TEXT | JSON | FOLDED>] | OF key [key ...]",
        )
        .about(
            "analytics",
            "0.1.0",
            "Sums up keys by the patterns of their names, which are found by themselves, and by groups.",
        ),
    Command::new("ks.rebalance", -1, Handler::Model(Model::Rebalance))
        .flags(READ)
        .syntax(
            "[BY <BYTES | WRITES>] [WINDOW <1m | 10m | 1h>] [MAX count] [FORMAT <TEXT | JSON>]",
        )
        .about(
            "analytics",
            "0.1.0",
            "Plans which slots of a cluster to move, what that comes to, and with which commands.",
        ),
    Command::new("ks.slots", -1, Handler::Model(Model::Slots))
        .flags(READ)
        .syntax(
            "<[BY <BYTES | KEYS | WRITES>] | HASHTAGS [BY <BYTES | KEYS>]> [LIMIT count] [FORMAT <TEXT | JSON>]",
        )
        .about(
            "analytics",
            "0.1.0",
            "Sums up keys, bytes and writes by hash slot and master, or keys and bytes by hash tag.",
        ),
    Command::new("ks.summary", -1, Handler::Model(Model::Summary))
        .flags(READ)
        .syntax("[MEMORY] [FORMAT <TEXT | JSON>]")
        .about(
            "analytics",
            "0.1.0",
            "Sums up keys and bytes by database, type and encoding; with MEMORY from keys to used_memory.",
        ),
    Command::new("ks.target", -1, Handler::Model(Model::Target))
        .flags(READ)
        .syntax("[<ALL | name>]")
        .about(
            "analytics",
            "0.1.0",
            "Narrows this connection to a master, by any of its names, or a deployment.",
        ),
    Command::new("ks.top", -2, Handler::Model(Model::Top))
        .flags(READ)
        .syntax("<BYTES | ELEMENTS> [count] [TYPE type] [MATCH pattern] [FORMAT <TEXT | JSON>]")
        .about(
            "analytics",
            "0.1.0",
            "Lists the largest keys of all databases, largest first.",
        ),
    Command::new("ks.ttl", -1, Handler::Model(Model::Ttl))
        .flags(READ)
        .syntax("[MATCH glob | PATTERN pattern] [FORMAT <TEXT | JSON>]")
        .about(
            "analytics",
            "0.1.0",
            "Sums up keys and bytes by remaining life, and what expires in the next minutes and hours.",
        ),
    Command::new("ks.verify", -1, Handler::Model(Model::Verify))
        .flags(READ)
        .syntax("[<count | ALL>] [FORMAT <TEXT | JSON>]")
        .about(
            "analytics",
            "0.1.0",
            "Compares random keys, or all, with the servers, every fact of them.",
        ),
    Command::new("ks.whatif", -3, Handler::Model(Model::WhatIf))
        .flags(READ)
        .syntax(
            "[SERVER name] [CONFIG option value [CONFIG option value ...]] [ALLOCATOR name] \
             [LIMIT count] [FORMAT <TEXT | JSON>]",
        )
        .about(
            "analytics",
            "0.1.0",
            "Weighs all keys as another server, configuration or allocator would have them.",
        ),
];
