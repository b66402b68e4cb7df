//! What is well and what is not, from what a server told. Pure: facts in, findings out.

use analyzer::profile::{Family, Version};

use super::{Facts, Finding};
use crate::fault::chain;
use crate::fleet::{Loss, Role};
use crate::side::client::{SideError, Target};

/// What the link's user must be allowed; the rest is for exactness.
const LINK_RIGHTS: &str = "+ping +psync +replconf";
const SIDE_RIGHTS: &str = "+info +config|get +multi +exec +select +object|encoding +memory|usage \
     +memory|malloc-stats +dump +pexpiretime +pttl +time +command|info +client|setname \
     +client|no-touch %R~*";

/// A full sync is assumed to take this many bytes a second.
const SYNC_RATE: u64 = 50 << 20;

/// The backlog should bridge a lost link for this long.
const BRIDGE_S: u64 = 60;

/// The model needs about this share of the server's memory, in percent.
const MODEL_PERCENT: u64 = 50;

const MIB: u64 = 1 << 20;

/// The only finding about a server that does not answer.
pub(super) fn unreachable(error: &SideError, target: &Target) -> Finding {
    let found = chain(error);
    match error.loss() {
        Loss::Tls => Finding::bad(
            "tls",
            found,
            "--tls-ca-file, --tls-cert-file with --tls-key-file, --tls-server-name",
        ),
        Loss::Denied => {
            let user = target
                .credentials()
                .and_then(|c| c.user.as_deref())
                .unwrap_or("keyscape");
            let cure = format!("ACL SETUSER {user} on >PASSWORD {LINK_RIGHTS} {SIDE_RIGHTS}");
            Finding::bad("auth", found, cure)
        }
        Loss::Closed => {
            let cure = format!("if the port speaks TLS: rediss://{}", target.source);
            Finding::bad("reach", found, cure)
        }
        Loss::Connect
        | Loss::NotReady
        | Loss::Silent
        | Loss::Corrupt
        | Loss::Unsupported
        | Loss::Limit
        | Loss::Shutdown
        | Loss::Ourselves
        | Loss::Desync
        | Loss::Restart => {
            let cure = format!(
                "redis-cli -h {} -p {} ping",
                target.source.host, target.source.port
            );
            Finding::bad("reach", found, cure)
        }
    }
}

/// Every finding about a server that answers.
pub(super) fn judge(facts: &Facts, target: &Target) -> Vec<Finding> {
    let mut findings = vec![rights(facts, target)];
    if facts.info().version().is_none() {
        let found = "INFO is not answered: the snapshot will tell the version, and keys whose facts \
             the stream alone does not tell stay marked";
        findings.push(Finding::odd("version", found, ""));
        return findings;
    }
    findings.extend([
        version(facts),
        psync(facts),
        role(facts),
        ready(facts),
        backlog(facts),
        output_buffer(facts),
        transfer(facts),
        min_replicas(facts),
        fork(facts),
        model(facts),
    ]);
    findings
}

fn rights(facts: &Facts, target: &Target) -> Finding {
    if facts.missing.is_empty() {
        return Finding::well("rights", "everything that is asked is permitted");
    }
    let user = target
        .credentials()
        .and_then(|c| c.user.as_deref())
        .unwrap_or("default");
    let found = format!("not permitted: {}", facts.missing.join(" "));
    let cure = format!("ACL SETUSER {user} {LINK_RIGHTS} {SIDE_RIGHTS}");
    if facts.missing.contains(&"+replconf") {
        Finding::bad("rights", found, cure)
    } else {
        Finding::odd("rights", found, cure)
    }
}

fn version(facts: &Facts) -> Finding {
    let Some((family, version)) = facts.info().version() else {
        return Finding::bad("version", "not told", "");
    };
    let (name, known) = match family {
        Family::Redis => ("Redis", Version::new(6, 0)..Version::new(8, 1)),
        Family::Valkey => ("Valkey", Version::new(7, 2)..Version::new(9, 2)),
    };
    let found = format!(
        "{name} {}.{}.{}",
        version.major, version.minor, version.patch
    );
    if known.contains(&version) {
        Finding::well("version", found)
    } else {
        let found = format!("{found} is not among the versions this was built for");
        Finding::odd(
            "version",
            found,
            "watch keyscape_unknown_commands after the start",
        )
    }
}

fn psync(facts: &Facts) -> Finding {
    if facts.has_psync {
        return Finding::well("psync", "the server has PSYNC");
    }
    let cure = "ask whoever runs it: managed services rename or block PSYNC";
    Finding::bad("psync", "the server has no command called PSYNC", cure)
}

fn role(facts: &Facts) -> Finding {
    let info = facts.info();
    match info.role() {
        Role::Replica if info.get("master_link_status") == Some("up") => Finding::well(
            "role",
            "replica: no fork on its master, invisible to WAIT and Sentinel",
        ),
        Role::Replica => {
            let cure = "redis-cli INFO replication";
            Finding::bad(
                "role",
                "a replica whose own link is down gives no snapshot",
                cure,
            )
        }
        Role::Master => {
            let replicas = info.number("connected_slaves").unwrap_or(0);
            Finding::well("role", format!("master with {replicas} replicas"))
        }
        Role::Unknown => Finding::bad("role", "INFO replication names no role", ""),
    }
}

fn ready(facts: &Facts) -> Finding {
    let info = facts.info();
    if info.flag("loading") {
        return Finding::bad(
            "ready",
            "the server is loading its own snapshot",
            "wait for it",
        );
    }
    if info.get("shutdown_in_milliseconds").is_some() {
        return Finding::bad("ready", "the server is shutting down", "");
    }
    for (field, what) in [
        ("rdb_bgsave_in_progress", "a BGSAVE"),
        ("aof_rewrite_in_progress", "an AOF rewrite"),
    ] {
        if info.flag(field) {
            let found = format!("{what} is running: the first sync waits for it");
            return Finding::odd("ready", found, "");
        }
    }
    Finding::well("ready", "no save or load is running")
}

fn backlog(facts: &Facts) -> Finding {
    let Some(size) = facts.number("repl-backlog-size") else {
        return Finding::odd("backlog", "its size is not told (CONFIG GET)", "");
    };
    let needed = facts.write_rate.saturating_mul(BRIDGE_S);
    let found = format!(
        "{} MiB at {} KiB of input a second",
        size / MIB,
        facts.write_rate / 1024
    );
    if needed <= size {
        return Finding::well("backlog", found);
    }
    let wanted = needed.next_power_of_two() / MIB;
    let cure = format!("CONFIG SET repl-backlog-size {wanted}mb");
    Finding::odd(
        "backlog",
        format!("{found} bridges less than {BRIDGE_S} s"),
        cure,
    )
}

/// Seconds that a full sync is expected to take.
fn sync_s(facts: &Facts) -> u64 {
    facts.info().number("used_memory").unwrap_or(0) / SYNC_RATE + 1
}

fn output_buffer(facts: &Facts) -> Finding {
    let limits = facts.setting("client-output-buffer-limit").unwrap_or("");
    let words: Vec<&str> = limits.split_whitespace().collect();
    let of_replicas = words
        .windows(4)
        .find(|w| matches!(w[0], "slave" | "replica"));
    let numbers = of_replicas.map(|w| [w[1], w[2]].map(|n| n.parse::<u64>().unwrap_or(0)));
    let Some([hard, soft]) = numbers else {
        return Finding::odd("output buffer", "its limit is not told (CONFIG GET)", "");
    };
    let needed = facts.write_rate.saturating_mul(sync_s(facts));
    let found = format!("limit {} MiB, soft {} MiB", hard / MIB, soft / MIB);
    let least = [hard, soft].into_iter().filter(|limit| *limit > 0).min();
    match least {
        Some(limit) if needed > limit => {
            let wanted = needed.next_power_of_two() / MIB * 2;
            let cure = format!(
                "CONFIG SET client-output-buffer-limit \"replica {wanted}mb {wanted}mb 60\""
            );
            let found = format!("{found}: writes during a full sync exceed it");
            Finding::odd("output buffer", found, cure)
        }
        Some(_) | None => Finding::well("output buffer", found),
    }
}

fn transfer(facts: &Facts) -> Finding {
    match facts.setting("repl-diskless-sync") {
        Some("yes") => {
            let delay = facts.setting("repl-diskless-sync-delay").unwrap_or("?");
            Finding::well("transfer", format!("diskless, starts after {delay} s"))
        }
        Some(_) => {
            let found = "a full sync writes dump.rdb on the server's disk first";
            Finding::odd("transfer", found, "CONFIG SET repl-diskless-sync yes")
        }
        None => Finding::odd("transfer", "disk or diskless is not told (CONFIG GET)", ""),
    }
}

fn min_replicas(facts: &Facts) -> Finding {
    let needed = facts
        .number("min-replicas-to-write")
        .or_else(|| facts.number("min-slaves-to-write"))
        .unwrap_or(0);
    if needed == 0 || facts.info().role() != Role::Master {
        return Finding::well("min-replicas", "we count for nothing");
    }
    let found =
        format!("min-replicas-to-write {needed}: we count as one at the beginning of a link");
    Finding::odd(
        "min-replicas",
        found,
        format!("CONFIG SET min-replicas-to-write {}", needed + 1),
    )
}

fn fork(facts: &Facts) -> Finding {
    let info = facts.info();
    let used = info
        .number("used_memory_rss")
        .or_else(|| info.number("used_memory"))
        .unwrap_or(0);
    let total = info.number("total_system_memory").unwrap_or(0);
    let free = total.saturating_sub(used);
    let found = format!("{} MiB used of {} MiB", used / MIB, total / MIB);
    if info.role() == Role::Replica || total == 0 || free >= used / 3 {
        return Finding::well("fork", found);
    }
    let found = format!("{found}: pages that change during a full sync may not fit");
    Finding::odd(
        "fork",
        found,
        "attach to a replica, or sync at a quiet hour",
    )
}

fn model(facts: &Facts) -> Finding {
    let used = facts.info().number("used_memory").unwrap_or(0);
    let needed = used / 100 * MODEL_PERCENT;
    let found = format!(
        "up to {} MiB here for {} MiB there, twice that during a second full sync",
        needed / MIB,
        used / MIB
    );
    Finding::well("model", found)
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;
    use crate::config::{Config, raw};
    use crate::source::Spec;

    fn facts(info: &str, config: &[(&str, &str)], write_rate: u64) -> Facts {
        let config = config
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Facts {
            info: format!("redis_version:7.0.15\r\nrole:master\r\n{info}"),
            config: config.collect(),
            has_psync: true,
            missing: Vec::new(),
            write_rate,
        }
    }

    fn target() -> Target {
        let config = Config::from_raw(raw::Raw::default()).unwrap();
        crate::app::target(&config, Spec::parse("redis://h:1").unwrap().first())
    }

    fn check(facts: &Facts, name: &str, grade: Grade, cure: Option<&str>) {
        let findings = judge(facts, &target());
        let finding = findings.iter().find(|f| f.name == name).unwrap();
        assert_eq!(finding.grade, grade, "{finding:?}");
        assert_eq!(finding.cure.as_deref(), cure, "{finding:?}");
    }

    #[test]
    fn each_rule_has_its_cure() {
        let well = Grade::Well;
        let small = [("repl-backlog-size", "1048576")];
        check(&facts("", &small, 1000), "backlog", well, None);
        let cure = Some("CONFIG SET repl-backlog-size 64mb");
        check(&facts("", &small, 1_000_000), "backlog", Grade::Odd, cure);
        let limit = [(
            "client-output-buffer-limit",
            "normal 0 0 0 slave 268435456 67108864 60",
        )];
        check(
            &facts("used_memory:1000\r\n", &limit, 10),
            "output buffer",
            well,
            None,
        );
        let cure = Some("CONFIG SET client-output-buffer-limit \"replica 4096mb 4096mb 60\"");
        let big = facts("used_memory:5368709120\r\n", &limit, 20_000_000);
        check(&big, "output buffer", Grade::Odd, cure);
        let min = facts("", &[("min-replicas-to-write", "1")], 0);
        let cure = Some("CONFIG SET min-replicas-to-write 2");
        check(&min, "min-replicas", Grade::Odd, cure);
        let disk = facts("", &[("repl-diskless-sync", "no")], 0);
        let cure = Some("CONFIG SET repl-diskless-sync yes");
        check(&disk, "transfer", Grade::Odd, cure);
        check(
            &facts("loading:1\r\n", &[], 0),
            "ready",
            Grade::Bad,
            Some("wait for it"),
        );
        check(&facts("", &[], 0), "role", well, None);
    }
}
