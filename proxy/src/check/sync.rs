//! What a full sync would meet and cost: what is running, and whether memory, output buffer and
//! backlog will do. Pure: facts in, findings out. `check` prints them, and a link heeds them before
//! it asks for a copy.

use super::facts::Facts;
use super::{Finding, Verdict};
use crate::fleet::Role;

/// A full sync is assumed to take this many bytes a second.
pub(super) const SYNC_RATE: u64 = 50 << 20;

/// The backlog should bridge a lost link for this long.
const BRIDGE_S: u64 = 60;

/// A change copies a page of this size while a child saves.
const PAGE_BYTES: u64 = 4096;

/// A fork that stops the server for longer is said, microseconds.
const FORK_LONG_US: u64 = 500_000;

const MIB: u64 = 1 << 20;

/// Every rule of a full sync.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    vec![
        running(facts),
        others(facts),
        min_replicas(facts),
        memory(facts),
        pause(facts),
        output_buffer(facts),
        backlog(facts),
        transfer(facts),
    ]
}

/// Saves that are running: a second child would copy pages as well.
fn running(facts: &Facts) -> Finding {
    const NAME: &str = "saves";
    let info = facts.info();
    for (field, what) in [
        ("rdb_bgsave_in_progress", "a BGSAVE"),
        ("aof_rewrite_in_progress", "an AOF rewrite"),
    ] {
        if info.flag(field) {
            let found = format!("{what} is running: a full sync would fork beside it");
            return Finding::new(NAME, Verdict::Wait, found);
        }
    }
    Finding::ok(NAME, "no save is running")
}

/// Replicas that are being copied to. One that waits for a fork shares it with us; one whose port
/// cannot be one is a program such as this, or what is left of our own last link.
fn others(facts: &Facts) -> Finding {
    const NAME: &str = "other syncs";
    let pair = |line: &'_ str, name| {
        let mut pairs = line.split([',', ':']);
        pairs.find_map(|pair| Some(pair.strip_prefix(name)?.to_owned()))
    };
    let copying = |line: &&str| {
        let port = pair(line, "port=").and_then(|port| port.parse::<u16>().ok());
        let state = pair(line, "state=");
        let waits = |state: String| !matches!(state.as_str(), "online" | "wait_bgsave");
        port.is_some_and(|port| port > 0) && state.is_some_and(waits)
    };
    let lines = facts.info.lines().filter(|line| is_replica(line));
    match lines.filter(copying).count() {
        0 => Finding::ok(NAME, "no other replica is copying"),
        n => {
            let found = format!("{n} other replicas are copying: theirs comes first");
            Finding::new(NAME, Verdict::Wait, found)
        }
    }
}

/// `slave0:ip=..`, not `slave_repl_offset:..`.
fn is_replica(line: &str) -> bool {
    let after = line.strip_prefix("slave").unwrap_or("");
    after.starts_with(|c: char| c.is_ascii_digit())
}

/// Whether our first seconds would let writes through that should be refused.
fn min_replicas(facts: &Facts) -> Finding {
    const NAME: &str = "min-replicas";
    let info = facts.info();
    let needed = facts
        .number("min-replicas-to-write")
        .or_else(|| facts.number("min-slaves-to-write"))
        .unwrap_or(0);
    if needed == 0 || info.role() != Role::Master {
        return Finding::ok(NAME, "we count for nothing");
    }
    let good = info.number("min_slaves_good_slaves").unwrap_or(0);
    let found = format!("min-replicas-to-write {needed}, {good} replicas are good");
    if good < needed {
        let found = format!("{found}: writes are refused, and we would let some through");
        return Finding::new(NAME, Verdict::Refuse, found);
    }
    let found = format!("{found}: a second fork, for a link that does not count");
    let cure = format!("CONFIG SET min-replicas-to-write {}", needed + 1);
    Finding::new(NAME, Verdict::Warn, found).cure(cure)
}

/// Seconds that a full sync is expected to take.
pub(super) fn sync_s(facts: &Facts) -> u64 {
    facts.info().number("used_memory").unwrap_or(0) / SYNC_RATE + 1
}

/// Bytes that are expected to be copied while the child saves: what the last save copied, or a page
/// for each change, but not more than there is.
fn copied(facts: &Facts) -> u64 {
    let info = facts.info();
    let used = info.number("used_memory").unwrap_or(0);
    let pages = facts.rates.changes.saturating_mul(sync_s(facts));
    let bytes = pages.saturating_mul(PAGE_BYTES).min(used);
    bytes.max(info.number("rdb_last_cow_size").unwrap_or(0))
}

/// Whether the pages that change during the save fit into the memory of the host.
fn memory(facts: &Facts) -> Finding {
    const NAME: &str = "memory";
    let info = facts.info();
    let total = info.number("total_system_memory").unwrap_or(0);
    if total == 0 {
        return Finding::ok(NAME, "the host's memory is not told");
    }
    let used = info.number("used_memory").unwrap_or(0);
    let resident = info.number("used_memory_rss").unwrap_or(0).max(used);
    let copied = copied(facts);
    let free = total.saturating_sub(resident);
    let found = format!(
        "{} of {} MiB used, {} MiB expected to be copied during the save",
        resident / MIB,
        total / MIB,
        copied / MIB
    );
    let replicas = info.number("connected_slaves").unwrap_or(0);
    let cure = match info.role() {
        Role::Master if replicas > 0 => "follow a replica: --follow prefer-replica",
        Role::Master | Role::Replica | Role::Unknown => "sync at a quiet hour, or add memory",
    };
    if free < copied {
        let found = format!("{found}: they do not fit");
        return Finding::new(NAME, Verdict::Refuse, found).cure(cure);
    }
    // What may still come: up to maxmemory, where that is set.
    let limit = info.number("maxmemory").filter(|limit| *limit > 0);
    let growth = limit.map_or(0, |limit| limit.saturating_sub(used));
    if free < copied.saturating_mul(2).max(used / 3) || free < copied.saturating_add(growth) {
        let found = format!("{found}: little is left for more");
        return Finding::new(NAME, Verdict::Warn, found).cure(cure);
    }
    Finding::ok(NAME, found)
}

/// How long the server stood still for its last fork.
fn pause(facts: &Facts) -> Finding {
    const NAME: &str = "fork";
    let took_us = facts.info().number("latest_fork_usec").unwrap_or(0);
    let found = format!("the last one stopped the server for {} ms", took_us / 1000);
    if took_us > FORK_LONG_US {
        let cure = "follow a replica: --follow prefer-replica";
        return Finding::new(NAME, Verdict::Warn, found).cure(cure);
    }
    Finding::ok(NAME, found)
}

/// Whether the server would cut us off before the copy is done.
fn output_buffer(facts: &Facts) -> Finding {
    const NAME: &str = "output buffer";
    let limits = facts.setting("client-output-buffer-limit").unwrap_or("");
    let words: Vec<&str> = limits.split_whitespace().collect();
    let of_replicas = words
        .windows(4)
        .find(|w| matches!(w[0], "slave" | "replica"));
    let numbers = of_replicas.map(|w| [w[1], w[2], w[3]].map(|n| n.parse::<u64>().unwrap_or(0)));
    let Some([hard, soft, soft_s]) = numbers else {
        let found = "its limit is not told (CONFIG GET)";
        return Finding::new(NAME, Verdict::Warn, found);
    };
    // A limit below the backlog's size is raised to it (6.2 and later).
    let backlog = facts.number("repl-backlog-size").unwrap_or(0);
    let raised = |limit: u64| Some(limit.max(backlog)).filter(|_| limit > 0);
    let soft_counts = sync_s(facts) > soft_s;
    let limits = [raised(hard), raised(soft).filter(|_| soft_counts)];
    let needed = facts.rates.bytes.saturating_mul(sync_s(facts));
    let found = format!(
        "limit {} MiB, soft {} MiB for {soft_s} s; {} MiB expected during a full sync",
        hard / MIB,
        soft / MIB,
        needed / MIB
    );
    let Some(limit) = limits.into_iter().flatten().min() else {
        return Finding::ok(NAME, found);
    };
    let wanted = (needed.saturating_mul(2) / MIB).max(1).next_power_of_two();
    let cure =
        format!("CONFIG SET client-output-buffer-limit \"replica {wanted}mb {wanted}mb 60\"");
    if needed > limit {
        let found = format!("{found}: we would be cut off, again and again");
        return Finding::new(NAME, Verdict::Refuse, found).cure(cure);
    }
    if needed > limit / 2 {
        return Finding::new(NAME, Verdict::Warn, found).cure(cure);
    }
    Finding::ok(NAME, found)
}

/// How long a lost link may last without a second full sync.
fn backlog(facts: &Facts) -> Finding {
    const NAME: &str = "backlog";
    let Some(size) = facts.number("repl-backlog-size") else {
        return Finding::new(NAME, Verdict::Warn, "its size is not told (CONFIG GET)");
    };
    let rate = facts.rates.bytes;
    let found = format!("{} MiB at {} KiB a second", size / MIB, rate / 1024);
    let needed = rate.saturating_mul(BRIDGE_S);
    if needed <= size {
        return Finding::ok(NAME, found);
    }
    let wanted = needed.div_ceil(MIB).max(1).next_power_of_two();
    let found = format!("{found} bridges less than {BRIDGE_S} s");
    let cure = format!("CONFIG SET repl-backlog-size {wanted}mb");
    Finding::new(NAME, Verdict::Warn, found).cure(cure)
}

/// Over the disk or not.
fn transfer(facts: &Facts) -> Finding {
    const NAME: &str = "transfer";
    match facts.setting("repl-diskless-sync") {
        Some("yes") => {
            let delay = facts.setting("repl-diskless-sync-delay").unwrap_or("?");
            Finding::ok(NAME, format!("diskless, starts after {delay} s"))
        }
        Some(_) => {
            let found = "a full sync writes dump.rdb on the server's disk first";
            Finding::new(NAME, Verdict::Warn, found).cure("CONFIG SET repl-diskless-sync yes")
        }
        None => {
            let found = "disk or diskless is not told (CONFIG GET)";
            Finding::new(NAME, Verdict::Warn, found)
        }
    }
}

#[cfg(test)]
mod tests;
