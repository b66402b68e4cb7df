//! Section 4 of the catalogue, first half: what a crash or a restart would lose, and what saving
//! costs.

use super::facts::{Cannot, Facts};
use super::finding::{Evidence, Severity};
use super::rule::{Need, Rule, Ruling, Threshold, Tuned};

const GIB: u64 = 1 << 30;

pub(super) const RULES: &[Rule] = &[
    Rule::new("PER-01", "Save too old", &[Need::Config, Need::Info], save_age)
        .severity(Severity::High)
        .thresholds(&[Threshold::new("age_s", 3_600, "seconds that the last save may be old")])
        .why(
            "Save points are set, so somebody counts on snapshots, but the last one is old and keys \
             were written since: they are lost with the process. Saves that fail, or a disk that is \
             full, look like this.",
        )
        .caveat("With AOF on, a restart reads that instead; the snapshot is old as a backup only."),
    Rule::new("PER-02", "No persistence, data has no TTL", &[Need::Config, Need::Survey], nothing_saved)
        .severity(Severity::High)
        .thresholds(&[Threshold::new("percent", 50, "percent of the bytes that have no expiry")])
        .why(
            "Neither snapshots nor AOF are on, and most of the data never expires: it is kept as if \
             it were wanted for good, and one restart loses it.",
        )
        .caveat("A cache that is filled again by itself needs no persistence: silence the rule there."),
    Rule::new("PER-03", "AOF alone", &[Need::Config], aof_alone)
        .why(
            "AOF is on and no save points are set. A snapshot is the compact backup, the quick \
             restart, and what is left when an AOF is damaged.",
        )
        .caveat("Rewritten AOFs begin with a snapshot of their own (aof-use-rdb-preamble)."),
    Rule::new("PER-04", "appendfsync always, or no", &[Need::Config, Need::Info], fsync)
        .thresholds(&[Threshold::new(
            "delayed",
            0,
            "fsyncs that may have been delayed since the server started",
        )])
        .why(
            "With appendfsync always every write waits for the disk; with no the kernel decides how \
             much is lost. everysec loses a second at most. Fsyncs that were delayed say that the \
             disk does not keep up and the server stood still for it.",
        )
        .caveat("Where no write may be lost, always is right, on a disk that can do it."),
    Rule::new("PER-05", "Save or AOF failed", &[Need::Info], failed)
        .severity(Severity::Critical)
        .why(
            "The last snapshot, AOF rewrite or AOF write failed. By default the server refuses \
             writes after that, and a restart goes back to the last one that worked.",
        )
        .caveat("The reason is in the server's log only."),
    Rule::new("PER-06", "Fork too slow", &[Need::Info], fork)
        .severity(Severity::High)
        .thresholds(&[
            Threshold::new("ms_per_gb", 40, "milliseconds a fork may take for each GiB used"),
            Threshold::new("ms", 1_000, "milliseconds that it may take in all"),
            Threshold::new("ms_min", 20, "milliseconds from which on it is looked at"),
        ])
        .why(
            "The server stands still while it forks, for each save, rewrite and full sync. Large \
             pages in use by the process (THP), a small virtual machine or much memory make it slow. \
             The next full sync of ours would cost it again.",
        )
        .caveat("latest_fork_usec is of the last fork only."),
    Rule::new(
        "PER-07",
        "Save points do not fit the write rate",
        &[Need::Config, Need::Stream],
        save_points_fit,
    )
    .severity(Severity::Low)
    .thresholds(&[
        Threshold::new("min_s", 120, "seconds that should lie between two saves"),
        Threshold::new("max_s", 3_600, "seconds after which it should be saved while keys are written"),
    ])
    .why(
        "A save point `s n` saves after s seconds with n changes. At the rate that keys are written \
         at, that comes to a save so often that the server forks all the time, or so rarely that \
         hours of writes are lost with it.",
    )
    .caveat("Commands are counted, and one may be several changes."),
    Rule::new(
        "PER-08",
        "Auto-restart of an empty master",
        &[Need::Config, Need::Info],
        empty_master,
    )
    .severity(Severity::Critical)
    .why(
        "The master has replicas and saves nothing. If it is restarted by itself before a failover, \
         it comes back empty and its replicas copy that: everything is lost on all of them.",
    )
    .caveat(
        "Whether something restarts it (systemd, Kubernetes, Docker) is not seen here; without that \
         the rule does not apply.",
    ),
];

/// Pairs of seconds and changes; none if saving is off.
pub(super) fn save_points(facts: &Facts) -> Result<Vec<(u64, u64)>, Cannot> {
    let Some(text) = facts.config("save")? else {
        return Err(Cannot("the server has no option save".to_owned()));
    };
    let numbers: Vec<u64> = text
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    let pairs = numbers.chunks_exact(2);
    Ok(pairs.map(|pair| (pair[0], pair[1])).collect())
}

fn has_aof(facts: &Facts) -> Result<bool, Cannot> {
    Ok(facts.config("appendonly")? == Some("yes"))
}

fn saves_nothing(facts: &Facts) -> Result<bool, Cannot> {
    Ok(save_points(facts)?.is_empty() && !has_aof(facts)?)
}

fn save_age(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    if save_points(facts)?.is_empty() {
        return Ok(None);
    }
    let Some(saved) = facts.info_number("rdb_last_save_time")? else {
        return Ok(None);
    };
    let changes = facts
        .info_number("rdb_changes_since_last_save")?
        .unwrap_or(0);
    let age = (facts.server_ms() / 1000).saturating_sub(saved);
    if age <= tuned.of("age_s") || changes == 0 {
        return Ok(None);
    }
    let what = format!("the last save is {age} s old, {changes} changes were made since");
    let finding = tuned.finding(what);
    Ok(Some(
        finding
            .risk(format!("{changes} changes are lost with the process"))
            .evidence(facts.shown(&[
                "save",
                "rdb_last_save_time",
                "rdb_changes_since_last_save",
                "rdb_last_bgsave_status",
                "rdb_bgsave_in_progress",
            ]))
            .remedy("BGSAVE")
            .remedy("INFO persistence: rdb_last_bgsave_status; then the server's log and its disk"),
    ))
}

fn nothing_saved(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    if !saves_nothing(facts)? {
        return Ok(None);
    }
    let survey = facts.survey()?;
    let (lasting, all) = (survey.lasting_bytes, survey.bytes);
    if all == 0 || lasting.saturating_mul(100) <= all.saturating_mul(tuned.of("percent")) {
        return Ok(None);
    }
    let what = format!("nothing is saved, and {lasting} of {all} bytes have no expiry");
    let finding = tuned.finding(what);
    Ok(Some(
        finding
            .about(survey.lasting_keys, lasting)
            .risk(format!("{lasting} bytes are lost when the process ends"))
            .evidence(facts.shown(&["save", "appendonly", "role"]))
            .remedy("CONFIG SET save \"3600 1 300 100 60 10000\"")
            .remedy("CONFIG SET appendonly yes")
            .remedy("CONFIG REWRITE"),
    ))
}

fn aof_alone(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    if !has_aof(facts)? || !save_points(facts)?.is_empty() {
        return Ok(None);
    }
    let finding = tuned.finding("AOF is on, and no save point is set".to_owned());
    Ok(Some(
        finding
            .risk("there is no snapshot to go back to when the AOF is damaged")
            .evidence(facts.shown(&["appendonly", "save", "aof-use-rdb-preamble"]))
            .remedy("CONFIG SET save \"3600 1\"")
            .remedy("CONFIG REWRITE"),
    ))
}

fn fsync(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    if !has_aof(facts)? {
        return Ok(None);
    }
    let policy = facts.config("appendfsync")?.unwrap_or("everysec");
    let delayed = facts.info_number("aof_delayed_fsync")?.unwrap_or(0);
    let is_slow = delayed > tuned.of("delayed");
    let (what, risk) = match policy {
        "always" => (
            "appendfsync is always".to_owned(),
            "every write waits for the disk",
        ),
        "no" => (
            "appendfsync is no".to_owned(),
            "the kernel decides how many seconds of writes a crash loses",
        ),
        _ if is_slow => (
            format!("{delayed} fsyncs were delayed"),
            "the server stands still while the disk does not keep up",
        ),
        _ => return Ok(None),
    };
    let finding = tuned.finding(what).risk(risk);
    let finding = finding.evidence(facts.shown(&[
        "appendfsync",
        "aof_delayed_fsync",
        "instantaneous_ops_per_sec",
    ]));
    Ok(Some(match policy {
        "always" | "no" => finding
            .remedy("CONFIG SET appendfsync everysec")
            .remedy("CONFIG REWRITE"),
        _ => finding
            .remedy("a faster disk for the AOF, or one of its own")
            .remedy("CONFIG SET no-appendfsync-on-rewrite yes"),
    }))
}

fn failed(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    const STATES: [&str; 3] = [
        "rdb_last_bgsave_status",
        "aof_last_bgrewrite_status",
        "aof_last_write_status",
    ];
    let mut failed = Vec::new();
    for name in STATES {
        if facts.info(name)?.is_some_and(|state| state != "ok") {
            failed.push(name);
        }
    }
    let Some(first) = failed.first() else {
        return Ok(None);
    };
    let finding = tuned.finding(format!("{} failed", failed.join(", ")));
    let finding = finding
        .risk("writes are refused, or are lost with the process")
        .evidence(facts.shown(&failed))
        .remedy("df -h; the server's log; vm.overcommit_memory=1 if it says that it cannot fork");
    Ok(Some(finding.remedy(match *first {
        "rdb_last_bgsave_status" => "BGSAVE",
        _ => "BGREWRITEAOF",
    })))
}

fn fork(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let us = facts.info_number("latest_fork_usec")?.unwrap_or(0);
    let used = facts.info_number("used_memory")?.unwrap_or(0).max(1);
    // In 128 bits there is no overflow.
    let per_gb = u128::from(us) * u128::from(GIB) / u128::from(used) / 1000;
    let is_slow = per_gb > u128::from(tuned.of("ms_per_gb"));
    let ms = us / 1000;
    if !(is_slow && us >= tuned.of("ms_min").saturating_mul(1000)) && ms <= tuned.of("ms") {
        return Ok(None);
    }
    let finding = tuned.finding(format!(
        "the last fork took {us} us for {used} bytes, {per_gb} ms a GiB"
    ));
    Ok(Some(
        finding
            .risk(format!(
                "the server stands still for {ms} ms at each save and full sync"
            ))
            .evidence(facts.shown(&["latest_fork_usec", "used_memory", "total_forks"]))
            .remedy("echo never > /sys/kernel/mm/transparent_hugepage/enabled")
            .remedy("save and sync on a replica; for Keyscape: --follow prefer-replica"),
    ))
}

fn save_points_fit(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let points = save_points(facts)?;
    let rate = facts.pace()?.commands_per_min;
    if points.is_empty() || rate == 0 {
        return Ok(None);
    }
    // A point is reached when its changes are there, and not before its seconds are over.
    let reached = |(s, n): &(u64, u64)| (*s).max(n.saturating_mul(60) / rate);
    let Some(every) = points.iter().map(reached).min() else {
        return Ok(None);
    };
    let (least, most) = (tuned.of("min_s"), tuned.of("max_s"));
    let (risk, step) = if every < least {
        let n = rate.saturating_mul(least) / 60;
        let step = format!(
            "CONFIG SET save \"3600 1 300 {}\"",
            n.saturating_mul(2).max(100)
        );
        (format!("it forks every {every} s"), step)
    } else if every > most {
        let n = rate.saturating_mul(most) / 60;
        let step = format!("CONFIG SET save \"{most} {}\"", n.max(1));
        (
            format!("{every} s of writes are lost with the process"),
            step,
        )
    } else {
        return Ok(None);
    };
    let what = format!("{rate} writes a minute reach a save point every {every} s");
    Ok(Some(
        tuned
            .finding(what)
            .risk(risk)
            .evidence(facts.shown(&["save", "rdb_changes_since_last_save"]))
            .remedy(step)
            .remedy("CONFIG REWRITE"),
    ))
}

fn empty_master(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    if !saves_nothing(facts)? || !facts.is_master()? {
        return Ok(None);
    }
    let replicas = facts.replicas()?;
    if replicas.is_empty() {
        return Ok(None);
    }
    let rows = replicas
        .iter()
        .map(|one| Evidence::named(&one.name, one.state.clone()));
    let finding = tuned.finding(format!(
        "the master saves nothing and has {} replicas",
        replicas.len()
    ));
    Ok(Some(
        finding
            .about(facts.keys(), facts.bytes())
            .risk(
                "a master that is restarted by itself comes back empty, and its replicas copy that",
            )
            .evidence(facts.shown(&["save", "appendonly"]).into_iter().chain(rows))
            .remedy("CONFIG SET save \"3600 1 300 100\"")
            .remedy("CONFIG SET appendonly yes")
            .remedy("CONFIG REWRITE")
            .remedy("or see to it that nothing restarts a master before a failover"),
    ))
}
