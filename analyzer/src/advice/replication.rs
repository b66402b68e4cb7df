//! Section 4 of the catalogue, second half: replicas, backlogs, buffers, Sentinels, and what we
//! ourselves are to a master.

use super::facts::{Cannot, Facts};
use super::finding::{Evidence, Severity, is_word};
use super::rule::{Need, Rule, Ruling, Threshold, Tuned};
use super::standing::{Attached, Node};

const DAY_S: u64 = 86_400;

const MIB: u64 = 1 << 20;

pub(super) const RULES: &[Rule] = &[
    Rule::new("REP-01", "Replicas are missing", &[Need::Info, Need::Topology], missing)
        .severity(Severity::High)
        .thresholds(&[Threshold::new(
            "replicas",
            0,
            "replicas that each master should have; 0: as many as the map knows",
        )])
        .why(
            "Fewer replicas follow the master than there should be: than its cluster or its \
             Sentinels know of, or than is configured. Keyscape itself is not counted.",
        )
        .caveat("A plain server has no map: there the number has to be configured."),
    Rule::new("REP-02", "Replica silent, or its link down", &[Need::Info, Need::Topology], silent)
        .severity(Severity::High)
        .thresholds(&[
            Threshold::new("silent_s", 30, "seconds of silence between master and replica"),
            Threshold::new("down_s", 60, "seconds that the link to the master may be down"),
        ])
        .why(
            "A replica that is not heard of serves old data and is no good for a failover. Where we \
             follow a replica its own link to the master counts, and in any case our own.",
        )
        .caveat("Between polls a replica that comes back is still named."),
    Rule::new("REP-03", "Backlog too small", &[Need::Config, Need::Stream], backlog)
        .severity(Severity::High)
        .thresholds(&[
            Threshold::new("bridge_s", 60, "seconds of a lost link that the backlog should bridge"),
            Threshold::new("measured_s", 3, "seconds of the stream to measure before it is decided"),
        ])
        .why(
            "A replica whose link is lost goes on where it was if the backlog still holds what it \
             missed; else it copies everything, and the master forks. What is needed is the stream's \
             99th percentile of the last minutes, in bytes a second, for so long.",
        )
        .caveat("Only the stream of the last ten minutes is measured: peaks before that are not seen."),
    Rule::new("REP-04", "Replica output buffer too small", &[Need::Config, Need::Info, Need::Stream], buffer)
        .severity(Severity::High)
        .thresholds(&[
            Threshold::new("copy_bytes_s", 50 << 20, "bytes a second that a full sync copies"),
            Threshold::new("measured_s", 3, "seconds of the stream to measure before it is decided"),
        ])
        .why(
            "While a full sync copies, the master keeps for the replica what is written meanwhile. \
             If that exceeds client-output-buffer-limit the replica is cut off and begins again, \
             for ever.",
        )
        .caveat("How fast a copy is depends on line and disk: set copy_bytes_s to what yours do."),
    Rule::new("REP-05", "Writes without good replicas", &[Need::Config, Need::Info], unguarded)
        .why(
            "min-replicas-to-write is 0: a master that is cut off from its replicas goes on taking \
             writes, which are lost when another one is promoted.",
        )
        .caveat(
            "With it, writes are refused while replicas are away. Caches need it not: only servers \
             with noeviction and a replica are looked at.",
        ),
    Rule::new("REP-06", "A program counts as a good replica", &[Need::Config, Need::Info], counted)
        .severity(Severity::High)
        .why(
            "min-replicas-to-write counts whoever has acknowledged lately. A program that follows \
             the stream, such as Keyscape, promotes nobody: while it is counted, writes are taken \
             that no replica holds.",
        )
        .caveat(
            "Keyscape moves to a link that is not counted some seconds after the option is set; a \
             finding about it that stays is a mistake of ours.",
        ),
    Rule::new("REP-07", "Full syncs go over the disk", &[Need::Config], disk)
        .severity(Severity::Low)
        .why(
            "Without repl-diskless-sync a full sync first writes the snapshot to the master's disk. \
             Diskless is the default from 7.0 on.",
        )
        .caveat("Over a slow line to many replicas one file is written once and sent to all."),
    Rule::new("REP-08", "Frequent full syncs", &[Need::Info], full_syncs)
        .severity(Severity::High)
        .thresholds(&[Threshold::new("per_day", 1, "full syncs a day beyond the first of each replica")])
        .why(
            "Replicas copy everything again and again: each time the master forks and sends all it \
             has. The causes are a backlog (REP-03) or an output buffer (REP-04) that is too small.",
        )
        .caveat(
            "Counted since the server started, without the first of each replica and without ours of this \
             run: those that Keyscape took before it was restarted count as a replica's.",
        ),
    Rule::new("REP-09", "Too few Sentinels", &[Need::Topology], sentinels)
        .severity(Severity::High)
        .thresholds(&[Threshold::new("sentinels", 3, "Sentinels that should watch a master")])
        .why(
            "Fewer than three Sentinels cannot agree once one is lost, and several on one host are \
             lost together: then nobody fails over. The quorum only begins a failover; most of all \
             must agree to carry it out.",
        )
        .caveat("Hosts are told apart by address: two addresses of one machine are taken for two."),
];

fn missing(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    if !facts.is_master()? {
        return Ok(None);
    }
    let known = facts.standing.replicas.as_deref();
    let configured = tuned.of("replicas");
    let expected = match (configured, known) {
        (0, None) => {
            let why = "a plain server has no map: configure how many replicas there should be";
            return Err(Cannot(why.to_owned()));
        }
        (0, Some(nodes)) => nodes.len() as u64,
        (configured, _) => configured,
    };
    let there: Vec<Attached> = facts.replicas()?;
    let have = there.len() as u64;
    if have >= expected {
        return Ok(None);
    }
    let down = known.unwrap_or(&[]).iter().filter(|node| node.is_down);
    let mut rows: Vec<Evidence> = down
        .map(|node| Evidence::named(&node.name, "down"))
        .collect();
    rows.extend(
        there
            .iter()
            .map(|one| Evidence::named(&one.name, one.state.clone())),
    );
    rows.extend(facts.shown(&["connected_slaves"]));
    let finding = tuned.finding(format!("{have} of {expected} replicas are there"));
    Ok(Some(
        finding
            .risk("one failure less is survived")
            .evidence(rows)
            .remedy("bring the missing replica back, or take it out of the deployment")
            .remedy("REPLICAOF host port, on the replica"),
    ))
}

fn silent(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let (silent_s, down_s) = (tuned.of("silent_s"), tuned.of("down_s"));
    let mut rows = Vec::new();
    if !facts.is_master()? {
        let silence = facts.info_number("master_last_io_seconds_ago")?;
        if let Some(s) = silence.filter(|s| *s > silent_s) {
            rows.push(Evidence::named("master_last_io_seconds_ago", s.to_string()));
        }
        let down = facts.info_number("master_link_down_since_seconds")?;
        if let Some(s) = down.filter(|s| *s > down_s) {
            rows.push(Evidence::named(
                "master_link_down_since_seconds",
                s.to_string(),
            ));
        }
    }
    let replicas = facts.replicas()?;
    let quiet = replicas
        .iter()
        .filter(|one| one.is_online() && one.lag_s > silent_s);
    rows.extend(quiet.map(|one| Evidence::named(&one.name, format!("silent for {} s", one.lag_s))));
    let known = facts.standing.replicas.as_deref().unwrap_or(&[]);
    let down = known.iter().filter(|node| node.is_down);
    rows.extend(down.map(|node| Evidence::named(&node.name, "down")));
    let ours = facts.standing.link.silent_ms.unwrap_or(0) / 1000;
    if ours > silent_s {
        rows.push(Evidence::named(
            "Keyscape's own link",
            format!("silent for {ours} s"),
        ));
    }
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let what = format!("{} links are silent or down", rows.len());
    let risk = format!(
        "{:?} holds old data and cannot take over",
        first.subject_text()
    );
    Ok(Some(tuned.finding(what).risk(risk).evidence(rows).remedy(
        "INFO replication on both sides: master_link_status, lag; then the line between them",
    )))
}

fn backlog(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let pace = facts.pace()?;
    if pace.seconds < tuned.of("measured_s") {
        return Err(Cannot("the stream is being measured".to_owned()));
    }
    let Some(size) = facts.config_number("repl-backlog-size")? else {
        return Ok(None);
    };
    let bridge = tuned.of("bridge_s");
    let needed = pace.bytes_p99.saturating_mul(bridge);
    if needed <= size {
        return Ok(None);
    }
    let lasts = size / pace.bytes_p99.max(1);
    let what = format!(
        "{} bytes of backlog hold {lasts} s of the stream; {needed} bytes hold {bridge} s",
        size
    );
    let mut rows = facts.shown(&["repl-backlog-size", "sync_partial_err", "sync_full"]);
    rows.push(Evidence::named(
        "bytes a second, p99",
        pace.bytes_p99.to_string(),
    ));
    rows.push(Evidence::named(
        "bytes a second, mean",
        pace.bytes_mean.to_string(),
    ));
    rows.push(Evidence::named(
        "seconds measured",
        pace.seconds.to_string(),
    ));
    let wanted = needed.div_ceil(MIB).next_power_of_two();
    Ok(Some(
        tuned
            .finding(what)
            .risk(format!(
                "a link that is lost for {lasts} s ends in a full sync, ours as well"
            ))
            .evidence(rows)
            .remedy(format!("CONFIG SET repl-backlog-size {wanted}mb"))
            .remedy("CONFIG REWRITE"),
    ))
}

/// Hard limit, soft limit and its seconds, of replicas.
fn output_limits(text: &str) -> Option<[u64; 3]> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut classes = words.chunks_exact(4);
    let of_replicas = classes.find(|class| matches!(class[0], "slave" | "replica"))?;
    let number = |at: usize| of_replicas[at].parse::<u64>().ok();
    Some([number(1)?, number(2)?, number(3)?])
}

fn buffer(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let pace = facts.pace()?;
    if pace.seconds < tuned.of("measured_s") {
        return Err(Cannot("the stream is being measured".to_owned()));
    }
    let limits = facts.config("client-output-buffer-limit")?;
    let Some([hard, soft, soft_s]) = limits.and_then(output_limits) else {
        return Ok(None);
    };
    let used = facts.info_number("used_memory")?.unwrap_or(0);
    let copy_s = used / tuned.of("copy_bytes_s").max(1) + 1;
    let needed = pace.bytes_p99.saturating_mul(copy_s);
    // A limit below the backlog's size is raised to it (6.2 and later); 0 is none.
    let backlog = facts.config_number("repl-backlog-size")?.unwrap_or(0);
    let raised = |limit: u64| Some(limit.max(backlog)).filter(|_| limit > 0);
    let limits = [raised(hard), raised(soft).filter(|_| copy_s > soft_s)];
    let Some(limit) = limits
        .into_iter()
        .flatten()
        .min()
        .filter(|limit| needed > *limit)
    else {
        return Ok(None);
    };
    let overflow_s = limit / pace.bytes_p99.max(1);
    let what = format!(
        "a full sync takes about {copy_s} s, in which {needed} bytes are written; {limit} are allowed"
    );
    let mut rows = facts.shown(&["client-output-buffer-limit", "used_memory"]);
    rows.push(Evidence::named(
        "bytes a second, p99",
        pace.bytes_p99.to_string(),
    ));
    let wanted = needed.saturating_mul(2).div_ceil(MIB).next_power_of_two();
    let set = format!("CONFIG SET client-output-buffer-limit \"replica {wanted}mb {wanted}mb 60\"");
    Ok(Some(
        tuned
            .finding(what)
            .risk(format!(
                "a replica that copies is cut off after {overflow_s} s, again and again"
            ))
            .evidence(rows)
            .remedy(set)
            .remedy("CONFIG REWRITE"),
    ))
}

fn unguarded(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let wanted = facts.config_number("min-replicas-to-write")?;
    let policy = facts.config("maxmemory-policy")?.unwrap_or("noeviction");
    if wanted != Some(0) || policy != "noeviction" || !facts.is_master()? {
        return Ok(None);
    }
    let replicas = facts.replicas()?;
    if replicas.is_empty() {
        return Ok(None);
    }
    let what = format!(
        "min-replicas-to-write is 0 on a master with {} replicas that evicts nothing",
        replicas.len()
    );
    Ok(Some(
        tuned
            .finding(what)
            .risk("writes that a cut-off master takes are lost at the failover")
            .evidence(facts.shown(&[
                "min-replicas-to-write",
                "min-replicas-max-lag",
                "maxmemory-policy",
                "connected_slaves",
            ]))
            .remedy("CONFIG SET min-replicas-to-write 1")
            .remedy("CONFIG SET min-replicas-max-lag 10")
            .remedy("CONFIG REWRITE"),
    ))
}

fn counted(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let wanted = facts.config_number("min-replicas-to-write")?.unwrap_or(0);
    if wanted == 0 || !facts.is_master()? {
        return Ok(None);
    }
    let lag = facts.config_number("min-replicas-max-lag")?.unwrap_or(10);
    let attached = facts.attached()?;
    let is_good = |one: &&Attached| one.is_online() && one.lag_s <= lag;
    let programs: Vec<&Attached> = attached
        .iter()
        .filter(is_good)
        .filter(|one| one.is_program)
        .collect();
    if programs.is_empty() {
        return Ok(None);
    }
    let good = attached.iter().filter(is_good).count() as u64;
    let real = good - programs.len() as u64;
    let mut rows: Vec<Evidence> = programs
        .iter()
        .map(|one| Evidence::named(&one.name, format!("heard of {} s ago", one.lag_s)))
        .collect();
    rows.extend(facts.shown(&["min-replicas-to-write", "min_slaves_good_slaves"]));
    let what = format!("of {good} good replicas {} are programs", programs.len());
    let raised = wanted.saturating_add(programs.len() as u64);
    Ok(Some(
        tuned
            .finding(what)
            .risk(format!(
                "writes are taken with {real} replicas though {wanted} are wanted"
            ))
            .evidence(rows)
            .remedy(format!("CONFIG SET min-replicas-to-write {raised}"))
            .remedy("or attach programs to a replica; for Keyscape: --follow replica"),
    ))
}

fn disk(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    if facts.config("repl-diskless-sync")? != Some("no") {
        return Ok(None);
    }
    let finding = tuned.finding("repl-diskless-sync is no".to_owned());
    Ok(Some(
        finding
            .risk("each full sync writes all data to the master's disk first")
            .evidence(facts.shown(&[
                "repl-diskless-sync",
                "rdb_last_bgsave_time_sec",
                "used_memory",
            ]))
            .remedy("CONFIG SET repl-diskless-sync yes")
            .remedy("CONFIG REWRITE"),
    ))
}

fn full_syncs(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let Some(all) = facts.info_number("sync_full")? else {
        return Ok(None);
    };
    let uptime = facts.info_number("uptime_in_seconds")?.unwrap_or(0);
    let replicas = facts.replicas()?.len() as u64;
    let ours = facts.standing.link.full_syncs;
    let again = all.saturating_sub(ours).saturating_sub(replicas);
    let allowed = tuned
        .of("per_day")
        .saturating_mul(uptime.div_ceil(DAY_S).max(1));
    if again <= allowed {
        return Ok(None);
    }
    let what = format!("{again} full syncs again in {uptime} s, {ours} of ours not counted");
    Ok(Some(
        tuned
            .finding(what)
            .risk("each forks the master and sends all it has")
            .evidence(facts.shown(&[
                "sync_full",
                "sync_partial_ok",
                "sync_partial_err",
                "repl-backlog-size",
                "client-output-buffer-limit",
            ]))
            .remedy("KS.ADVISE RULE REP-03; KS.ADVISE RULE REP-04")
            .remedy("the server's log says why each replica asked for a full sync"),
    ))
}

fn sentinels(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let Some(guard) = &facts.standing.guard else {
        return Ok(None);
    };
    let all = &guard.sentinels;
    let mut hosts: Vec<&str> = all.iter().map(|node: &Node| node.host.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let (count, wanted) = (all.len() as u64, tuned.of("sentinels"));
    let what = if count < wanted {
        format!(
            "{count} Sentinels watch the master, with a quorum of {}",
            guard.quorum
        )
    } else if hosts.len() < all.len() {
        format!("{count} Sentinels are on {} hosts", hosts.len())
    } else if guard.quorum > count {
        format!("the quorum is {} of {count} Sentinels", guard.quorum)
    } else {
        return Ok(None);
    };
    let rows = all
        .iter()
        .map(|node| Evidence::named(&node.name, "Sentinel"));
    let quorum = Evidence::named("quorum", guard.quorum.to_string());
    let majority = count / 2 + 1;
    Ok(Some(
        tuned
            .finding(what)
            .risk("nobody fails over when one of them is lost with the master")
            .evidence(std::iter::once(quorum).chain(rows))
            .remedy("run three Sentinels or more, each on a host of its own")
            .remedy(match is_word(&facts.standing.shard) {
                true => format!("SENTINEL SET {} quorum {majority}", facts.standing.shard),
                false => format!("SENTINEL SET quorum {majority}, by its name in SENTINEL MASTERS"),
            }),
    ))
}
