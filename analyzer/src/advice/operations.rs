//! Section 5 of the catalogue: the server itself; and the rows of the classic monitoring table that
//! are no rule of another theme.

use super::facts::Facts;
use super::finding::{Evidence, Severity};
use super::rule::{Need, Rule, Ruling, Threshold, Tuned};
use crate::profile::{Family, Version};

/// When what [`ENDED`] says was so.
const TABLE_DATE: &str = "2026-03-01";

/// Branches that get no more fixes, and since when: the last that Redis's security policy lists as
/// unsupported. Of Valkey none has ended before 2027.
const ENDED: [(Family, (u16, u16), &str); 4] = [
    (Family::Redis, (5, 0), "2022-04-27"),
    (Family::Redis, (6, 0), "2022-05-31"),
    (Family::Redis, (7, 0), "2024-07-29"),
    (Family::Redis, (8, 0), "2026-02-11"),
];

/// The first branch of Redis that the table knows: older ones have ended, too.
const FIRST: (u16, u16) = (5, 0);

pub(super) const RULES: &[Rule] = &[
    Rule::new("OPS-01", "Old version", &[Need::Info], version)
        .why(
            "The server's branch gets no more fixes, not even of security holes. The table of \
             branches is part of the build; its date is in the evidence.",
        )
        .caveat("Distributions may mend holes of branches that have ended: their version does not say so."),
    Rule::new("ALR-02", "The server has just started", &[Need::Info], uptime)
        .severity(Severity::High)
        .thresholds(&[Threshold::new("uptime_s", 300, "seconds since the start")])
        .why("A server that nobody restarted has crashed, or was killed for its memory.")
        .caveat("It says nothing of why; a planned restart looks the same."),
    Rule::new("ALR-17", "Slow answers", &[Need::Ping], latency)
        .severity(Severity::High)
        .thresholds(&[Threshold::new("ms", 200, "milliseconds that an answer may take")])
        .why(
            "A PING or a poll on a connection of our own was answered late: the server was busy with \
             one command, stood still for a fork or the disk, or the line is slow.",
        )
        .caveat("A poll comes once in [link] poll_ms; what lies between is seen in captured traffic only."),
    Rule::host("ALR-01", "Number of server processes", "the supervisor or kubelet knows; a refused link is in KS.NODES"),
    Rule::host("ALR-03", "Load of the host", "node_exporter knows it"),
    Rule::host("ALR-06", "Swap in use", "node_exporter knows it; MEM-28 sees its effect"),
    Rule::host("ALR-08", "Disk nearly full", "node_exporter knows it; PER-05 sees its effect"),
];

fn version(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let (name, text) = match facts.info("valkey_version")? {
        Some(text) => ("valkey_version", text),
        None => match facts.info("redis_version")? {
            Some(text) => ("redis_version", text),
            None => return Ok(None),
        },
    };
    let (family, family_name) = match name {
        "valkey_version" => (Family::Valkey, "Valkey"),
        _ => (Family::Redis, "Redis"),
    };
    let Some(version) = Version::parse(text) else {
        return Ok(None);
    };
    let branch = (version.major, version.minor);
    let row = ENDED.iter().find(|row| row.0 == family && row.1 == branch);
    let ended = match row {
        Some((_, _, date)) => format!("since {date}"),
        None if family == Family::Redis && branch < FIRST => "for years".to_owned(),
        None => return Ok(None),
    };
    let what = format!(
        "{} {}.{} gets no more fixes {ended}",
        family_name, branch.0, branch.1
    );
    let table = Evidence::named("table of branches", format!("as of {TABLE_DATE}"));
    let rows = [Evidence::named(name, text), table];
    Ok(Some(
        tuned
            .finding(what)
            .risk("holes that are found from now on stay open")
            .evidence(rows)
            .remedy("KS.WHATIF SERVER valkey-9.1: what the keys would take there, and the steps")
            .remedy("replicas first, then a failover, then the old master"),
    ))
}

fn uptime(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let Some(uptime) = facts.info_number("uptime_in_seconds")? else {
        return Ok(None);
    };
    if uptime >= tuned.of("uptime_s") {
        return Ok(None);
    }
    let finding = tuned.finding(format!("the server started {uptime} s ago"));
    Ok(Some(
        finding
            .risk("what it had not saved is lost, and it may happen again")
            .evidence(facts.shown(&["uptime_in_seconds", "run_id", "loading"]))
            .remedy(
                "the server's log before the start; dmesg for the kernel's out-of-memory killer",
            ),
    ))
}

fn latency(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let Some(us) = facts.told.slowest_us else {
        return Ok(None);
    };
    if us <= tuned.of("ms").saturating_mul(1000) {
        return Ok(None);
    }
    let finding = tuned.finding(format!("an answer took {} ms", us / 1000));
    Ok(Some(
        finding
            .risk("every client waits as long")
            .evidence(facts.shown(&[
                "latest_fork_usec",
                "rdb_bgsave_in_progress",
                "aof_delayed_fsync",
            ]))
            .remedy("LATENCY DOCTOR; SLOWLOG GET 10")
            .remedy("KS.ADVISE RULE TRF-01; KS.ADVISE RULE PER-06"),
    ))
}
