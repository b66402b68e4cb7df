//! Section 5 of the catalogue: slots and shards.

use super::facts::{Cannot, Facts, Peer};
use super::finding::{Evidence, Severity, Subject};
use super::rule::{Need, Rule, Ruling, Threshold, Tuned};
use super::survey::{Point, Seen, TagSum};
use crate::heat::Work;
use crate::slots::skew;

const GIB: u64 = 1 << 30;

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        "CLU-01",
        "Byte skew over shards",
        &[Need::Totals, Need::Topology],
        uneven,
    )
    .severity(Severity::High)
    .thresholds(&[
        Threshold::new("percent", 125, "bytes of a master in percent of the mean"),
        Threshold::new(
            "bytes_min",
            1 << 20,
            "bytes of a master from which on it is looked at",
        ),
    ])
    .why(
        "One master holds clearly more than its share: it is full first, though all slots are \
             spread evenly. Slots are not equal in bytes.",
    )
    .caveat(
        "Of masters that own slots, bytes of the keys in them as MEMORY USAGE counts them, as in \
             keyscape_shard_skew_ratio, KS.SLOTS and KS.REBALANCE, which proposes moves.",
    ),
    Rule::new(
        "CLU-02",
        "Hot slot",
        &[Need::Stream, Need::Topology],
        hot_slot,
    )
    .severity(Severity::High)
    .thresholds(&[
        Threshold::new("times", 5, "times the mean of the master's slots"),
        Threshold::new(
            "writes_s",
            1_000,
            "writes a second of a slot from which on it is looked at",
        ),
    ])
    .why(
        "One slot takes far more writes than the others of its master. A slot is on one master: \
             more masters do not help it, and whatever shares the master waits.",
    )
    .caveat("Of the last minute, and writes only: reads are not in the stream."),
    Rule::new(
        "CLU-03",
        "Hash-tag misuse",
        &[Need::Survey, Need::Topology],
        tags,
    )
    .severity(Severity::High)
    .thresholds(&[
        Threshold::new(
            "percent",
            1,
            "percent of all bytes of the cluster that a tag may have",
        ),
        Threshold::new("keys", 100_000, "keys that a tag may have"),
        Threshold::new(
            "bytes_min",
            1 << 20,
            "bytes of a tag from which on it is looked at",
        ),
    ])
    .why(
        "All keys with one hash tag are in one slot, on one master, for ever: a tag that many \
             keys share undoes the cluster.",
    )
    .caveat("Figures are lower bounds where there are more than some thousand tags."),
    Rule::new(
        "CLU-04",
        "Migration hazard",
        &[Need::Survey, Need::Topology],
        hazard,
    )
    .severity(Severity::High)
    .thresholds(&[Threshold::new(
        "bytes",
        100_000_000,
        "bytes of a key from which on it is named",
    )])
    .why(
        "A slot moves key by key, and each key blocks both masters for as long as it takes to \
             copy it. A key this large stops them for seconds, and may run into the timeout of \
             MIGRATE and into a failover.",
    )
    .caveat(
        "Of high severity where the slot is on its way, or would have to move for bytes to be even. \
         KS.REBALANCE leaves such slots where they are; other tools do not. Valkey 9 moves slots by a \
         stream of their own, where this does not apply.",
    ),
    Rule::new(
        "CLU-05",
        "Slots uncovered or failing",
        &[Need::Topology],
        uncovered,
    )
    .severity(Severity::Critical)
    .why(
        "Slots have no owner, or their owner has failed or is suspected to: by default the whole \
             cluster then refuses commands (cluster-require-full-coverage).",
    )
    .caveat("As the nodes agree on it at the last look, some seconds ago."),
    Rule::new(
        "CLU-06",
        "No spare shards",
        &[Need::Totals, Need::Topology],
        spare,
    )
    .severity(Severity::Low)
    .thresholds(&[
        Threshold::new("masters", 3, "masters that a cluster should have"),
        Threshold::new(
            "shard_bytes",
            25 * GIB,
            "bytes that one shard should not exceed",
        ),
        Threshold::new("days", 90, "days within which it should not come to that"),
    ])
    .why(
        "With fewer than three masters a failure cannot be voted on. A shard of more than some \
             25 GiB forks, syncs and restarts slowly: one that will be as large, if it goes on growing \
             as in the last hour, needs others to be there before.",
    )
    .caveat(
        "Bytes of keys without the server's overhead. Growth counts where it can be told from chance.",
    ),
];

/// A part of the cluster cannot be told where nothing is known of the others.
fn beside_others(facts: &Facts) -> Result<(), Cannot> {
    let masters = facts
        .standing
        .cluster
        .as_ref()
        .map_or(1, |cluster| cluster.masters);
    if masters > 1 && facts.peers.len() == 1 {
        let why = "of the cluster's masters no other one was asked, or answered";
        return Err(Cannot(why.to_owned()));
    }
    Ok(())
}

fn uneven(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    beside_others(facts)?;
    let peers = facts.peers.iter();
    let mut peers: Vec<(&Peer, u64)> = peers.filter_map(|p| Some((p, p.own_bytes?))).collect();
    peers.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let own = peers.iter().find(|(peer, _)| peer.name == facts.master);
    let (Some((peer, own)), Some(_)) = (own, &facts.standing.cluster) else {
        return Ok(None);
    };
    let skew = skew(peers.iter().map(|(_, bytes)| *bytes)).unwrap_or_default();
    let is_most = peers.iter().all(|(_, bytes)| bytes <= own);
    let percent = u32::try_from(tuned.of("percent")).unwrap_or(u32::MAX);
    let is_skewed = skew * 100.0 > f64::from(percent);
    if !is_most || !is_skewed || *own < tuned.of("bytes_min") {
        return Ok(None);
    }
    let all: u64 = peers.iter().map(|(_, bytes)| *bytes).sum();
    let mean = all / peers.len() as u64;
    let what =
        format!("the master holds {own} bytes in its slots, {skew:.2} times the mean of {mean}");
    let rows = peers.iter().map(|(peer, bytes)| Evidence {
        bytes: *bytes,
        ..Evidence::named(&peer.name, format!("{} keys", peer.keys))
    });
    Ok(Some(
        tuned
            .finding(what)
            .about(peer.keys, *own)
            .risk("it reaches its memory limit while others have room")
            .evidence(rows)
            .remedy("KS.SLOTS BY BYTES: its largest slots")
            .remedy("KS.REBALANCE BY BYTES: moves to paste, with what they come to"),
    ))
}

fn hot_slot(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let Some(cluster) = &facts.standing.cluster else {
        return Ok(None);
    };
    let heat = &facts.heat;
    if heat.covered_ms == 0 {
        return Ok(None);
    }
    let a_second = |writes: u64| writes.saturating_mul(1000) / heat.covered_ms;
    let (times, slots) = (tuned.of("times"), cluster.own_slots.max(1));
    // The mean is a part of a write a second more often than not.
    let is_hot = |writes: u64| {
        writes.saturating_mul(slots) > heat.total.writes.saturating_mul(times)
            && a_second(writes) >= tuned.of("writes_s")
    };
    let hot: Vec<_> = heat
        .slots
        .iter()
        .filter(|row| is_hot(row.1.writes))
        .collect();
    let Some((first, work)) = hot.first() else {
        return Ok(None);
    };
    let what = format!(
        "slot {first} takes {} writes a second of {} on its master, which has {slots} slots",
        a_second(work.writes),
        a_second(heat.total.writes)
    );
    let row = |(slot, work): &&(u16, Work)| {
        let seen = format!(
            "{} writes, {} bytes in {} ms",
            work.writes, work.bytes, heat.covered_ms
        );
        Evidence::named(&format!("slot {slot}"), seen)
    };
    Ok(Some(
        tuned
            .finding(what)
            .risk("its master is busy for it alone, and no other can take a part")
            .evidence(hot.iter().map(row))
            .remedy("KS.HOT KEYS, KS.HOT HASHTAGS: what is written there; split it over several")
            .remedy("KS.REBALANCE BY WRITES: moves that give the slot a master with room"),
    ))
}

fn tags(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let Some(cluster) = &facts.standing.cluster else {
        return Ok(None);
    };
    beside_others(facts)?;
    let all: u64 = facts.peers.iter().map(|peer| peer.bytes).sum();
    let (percent, keys, least) = (tuned.of("percent"), tuned.of("keys"), tuned.of("bytes_min"));
    let is_wide = |sum: &TagSum| {
        let is_heavy = sum.bytes.saturating_mul(100) > all.saturating_mul(percent);
        sum.keys > keys || (sum.keys > 1 && is_heavy && sum.bytes >= least)
    };
    let rows = facts.survey()?.tags.heaviest();
    let wide: Vec<_> = rows.into_iter().filter(|(_, sum)| is_wide(sum)).collect();
    let Some((_, first)) = wide.first() else {
        return Ok(None);
    };
    let what = format!(
        "{} hash tags hold very much each, the heaviest {} keys with {} of {all} bytes",
        wide.len(),
        first.keys,
        first.bytes
    );
    let evidence = wide.iter().map(|(tag, sum)| {
        let slot = cluster
            .slot_of
            .map_or(0, |of| of(&[b"{", *tag, b"}"].concat()));
        Evidence {
            subject: Subject::Pattern([b"{", *tag, b"}*"].concat()),
            seen: format!("{} keys, slot {slot}", sum.keys),
            bytes: sum.bytes,
            saving: 0,
        }
    });
    let (keys, bytes) = wide.iter().fold((0, 0), |all, (_, sum)| {
        (all.0 + sum.keys, all.1 + sum.bytes)
    });
    Ok(Some(
        tuned
            .finding(what)
            .about(keys, bytes)
            .risk("one slot, and so one master, holds all of it whatever is added")
            .evidence(evidence)
            .remedy("a finer tag: {tenant:42}:cart instead of {tenant}:42:cart")
            .remedy("no tag where no command needs several of the keys at once"),
    ))
}

fn hazard(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let Some(cluster) = &facts.standing.cluster else {
        return Ok(None);
    };
    let least = tuned.of("bytes");
    let largest = facts.survey()?.tally(Point::Largest);
    let large: Vec<_> = largest.top().filter(|seen| seen.now > least).collect();
    if large.is_empty() {
        return Ok(None);
    }
    let slot = |name: &[u8]| cluster.slot_of.map(|of| of(name));
    let is_in = |slots: &[u16], seen: &Seen| slot(&seen.name).is_some_and(|n| slots.contains(&n));
    let count = |slots: &[u16]| large.iter().filter(|seen| is_in(slots, seen)).count();
    let (moving, planned) = (count(&cluster.moving), count(&cluster.planned));
    let what = match (moving, planned) {
        (0, 0) => format!(
            "{} keys are too large to be moved with their slots",
            large.len()
        ),
        (0, n) => {
            format!("{n} keys are too large for their slots to be moved, which would be even")
        }
        (n, _) => format!("{n} keys in slots that are being moved are too large for it"),
    };
    let severity = if moving + planned > 0 {
        Severity::High
    } else {
        Severity::Medium
    };
    let bytes = large.iter().map(|seen| seen.now).sum();
    let told = |seen: &Seen| {
        let (on_its_way, wanted) = (is_in(&cluster.moving, seen), is_in(&cluster.planned, seen));
        let word = match (on_its_way, wanted) {
            (true, _) => ", being moved",
            (false, true) => ", to be moved for bytes to be even",
            (false, false) => "",
        };
        format!("slot {}{word}", slot(&seen.name).unwrap_or_default())
    };
    let rows = large.iter().map(|seen| seen.evidence(told));
    Ok(Some(
        tuned
            .finding(what)
            .severity(severity)
            .about(large.len() as u64, bytes)
            .risk("both masters stand still while such a key is copied")
            .evidence(rows)
            .remedy(
                "split the key before its slot is moved (KEY-02), or leave the slot where it is",
            ),
    ))
}

fn uncovered(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let Some(cluster) = facts.whole_cluster() else {
        return Ok(None);
    };
    if cluster.uncovered + cluster.suspect + cluster.failed == 0 {
        return Ok(None);
    }
    let what = format!(
        "{} slots have no owner, {} an owner that has failed, {} one that is suspected to",
        cluster.uncovered, cluster.failed, cluster.suspect
    );
    let mut rows = vec![
        Evidence::named("slots without an owner", cluster.uncovered.to_string()),
        Evidence::named("slots of failed masters", cluster.failed.to_string()),
        Evidence::named("slots of suspected masters", cluster.suspect.to_string()),
    ];
    rows.extend(facts.shown(&["cluster-require-full-coverage"]));
    let severity = match cluster.uncovered + cluster.failed {
        0 => Severity::High,
        _ => Severity::Critical,
    };
    Ok(Some(
        tuned
            .finding(what)
            .severity(severity)
            .risk("commands for these slots are refused, or for all of them")
            .evidence(rows)
            .remedy("KS.NODES: which node, and why")
            .remedy("redis-cli --cluster check host:port; redis-cli --cluster fix host:port"),
    ))
}

/// Days until a shard exceeds the limit, 0 if it does; `None` if it does not grow, or not that far.
fn days_left(peer: &Peer, limit: u64, within: u64) -> Option<u64> {
    if peer.bytes > limit {
        return Some(0);
    }
    let a_day = peer.bytes_per_day.filter(|bytes| *bytes > 0)?;
    let days = (limit - peer.bytes).div_ceil(a_day);
    Some(days).filter(|days| *days <= within)
}

fn spare(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let Some(cluster) = facts.whole_cluster() else {
        return Ok(None);
    };
    let wanted = tuned.of("masters");
    let (limit, within) = (tuned.of("shard_bytes"), tuned.of("days"));
    let left = |peer: &Peer| days_left(peer, limit, within);
    let large = facts.peers.iter();
    let large = large.filter_map(|peer| Some((left(peer)?, peer)));
    let mut large: Vec<(u64, &Peer)> = large.collect();
    large.sort_by_key(|(days, peer)| (*days, std::cmp::Reverse(peer.bytes)));
    let what = if cluster.masters < wanted {
        format!("the cluster has {} masters", cluster.masters)
    } else if let Some((days, first)) = large.first() {
        format!(
            "{} shards exceed {limit} bytes, now or soon: {} first, in {days} days",
            large.len(),
            first.name
        )
    } else {
        return Ok(None);
    };
    // Those that will be too large first, and then by their bytes: not all are shown.
    let mut shards: Vec<&Peer> = facts.peers.iter().collect();
    shards.sort_by_key(|peer| {
        let days = left(peer).unwrap_or(u64::MAX);
        (days, std::cmp::Reverse(peer.bytes))
    });
    let rows = shards.into_iter().map(|peer| {
        let grows = match (peer.bytes_per_day, left(peer)) {
            (Some(bytes), Some(days)) => format!(", {bytes} bytes more a day, {days} days left"),
            (Some(bytes), None) => format!(", {bytes} bytes more a day"),
            (None, _) => String::new(),
        };
        Evidence {
            bytes: peer.bytes,
            ..Evidence::named(&peer.name, format!("{} keys{grows}", peer.keys))
        }
    });
    Ok(Some(
        tuned
            .finding(what)
            .risk("a failure cannot be voted on, or a shard grows beyond what can be moved")
            .evidence(rows)
            .remedy("redis-cli --cluster add-node new:port any:port")
            .remedy("redis-cli --cluster rebalance any:port --cluster-use-empty-masters"),
    ))
}
