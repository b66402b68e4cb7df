//! Section 1 of the catalogue, second half: memory of the server that is not in its keys.

use super::facts::{Cannot, Facts};
use super::finding::{Evidence, Finding, Severity};
use super::rule::{Need, Rule, Ruling, Threshold, Tuned};

const INFO: &[Need] = &[Need::Info];

const MIB: u64 = 1 << 20;

/// Bytes that the servers' own jemalloc rounds small blocks to.
const BUNDLED_QUANTUM: u64 = 8;

pub(super) const RULES: &[Rule] = &[
    Rule::new("MEM-26", "Peak far above use", INFO, peak)
        .severity(Severity::Low)
        .thresholds(&[Threshold::new(
            "percent",
            150,
            "percent of used_memory that the peak was",
        )])
        .why(
            "Memory that was used once stays with the process until the allocator gives it back, and \
             what was needed once may be needed again.",
        )
        .caveat("The peak is that since the server's start."),
    Rule::new("MEM-27", "Fragmentation", INFO, fragmentation)
        .thresholds(&[
            Threshold::new("ratio_percent", 140, "percent of used_memory that are resident"),
            Threshold::new("bytes", 10 * MIB, "bytes of difference below which it does not count"),
            Threshold::new("used_bytes", 32 * MIB, "bytes in use below which ratios say nothing"),
            Threshold::new("allocator_percent", 110, "percent of what is allocated that is active"),
        ])
        .why(
            "Pages that are partly free cannot be given back: more is resident than used, by a ratio \
             or in the allocator's own figures.",
        )
        .caveat("Program and libraries are resident, too: some 10 MB."),
    Rule::new("MEM-28", "Ratio below 1 (swap)", INFO, swapped)
        .severity(Severity::High)
        .thresholds(&[Threshold::new(
            "bytes",
            MIB,
            "bytes of difference below which it does not count",
        )])
        .why("Less is resident than used: a part is swapped out, and any access to it waits for a disk.")
        .caveat("Room that was reserved and never touched is not resident either."),
    Rule::new("MEM-29", "Lua or function cache growth", INFO, scripts)
        .thresholds(&[Threshold::new(
            "scripts",
            10,
            "cached scripts from which on it is said",
        ), Threshold::new(
            "many",
            500,
            "cached scripts, of medium severity: newer servers evict those of EVAL from there on",
        )])
        .why(
            "Scripts with arguments in their text are cached one by one and, up to Redis 7.2 and \
             Valkey 7.2, for ever. An application has a handful of scripts, not a number that grows.",
        )
        .caveat("SCRIPT FLUSH makes clients that use EVALSHA load their scripts again."),
    Rule::new("MEM-30", "Client buffers", INFO, buffers)
        .thresholds(&[
            Threshold::new("client_bytes", 200 * 1024, "bytes of buffers per client"),
            Threshold::new("replica_bytes", 10 * MIB, "bytes of buffers of all replicas"),
        ])
        .why(
            "Buffers of clients that read slowly, or send huge commands, take memory that maxmemory \
             then takes from the keys.",
        )
        .caveat("Our own link is one of the replicas."),
    Rule::new("MEM-31", "Too many logical databases", &[Need::Totals], databases)
        .severity(Severity::Low)
        .why(
            "Databases share one thread, one memory limit and one eviction; a cluster has database 0 \
             only (Valkey 9 has more).",
        )
        .caveat("A second database for tests or sessions may be no harm."),
    Rule::new("MEM-32", "32-bit build", &[Need::Info, Need::Stream], narrow)
        .thresholds(&[Threshold::new(
            "percent",
            1,
            "percent by which the keys may have grown within the last hour",
        )])
        .severity(Severity::Info)
        .off("legacy advice: distributions ship no 32-bit builds any more")
        .why(
            "Pointers of 4 bytes make small keys a third smaller, on a server that never exceeds 2 GB: \
             one that never did, and does not grow.",
        )
        .caveat("The saving is not computed: the model has no formulas for such builds."),
];

fn number(facts: &Facts, field: &str) -> Result<u64, Cannot> {
    Ok(facts.info_number(field)?.unwrap_or(0))
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100) / whole.max(1)
}

fn rows(figures: &[(&str, u64)]) -> Vec<Evidence> {
    let rows = figures.iter();
    rows.map(|(name, bytes)| Evidence::named(name, bytes.to_string()))
        .collect()
}

fn peak(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let (used, peak) = (
        number(facts, "used_memory")?,
        number(facts, "used_memory_peak")?,
    );
    let rss = number(facts, "used_memory_rss")?;
    let times = percent(peak, used);
    if used == 0 || times <= tuned.of("percent") {
        return Ok(None);
    }
    let what = format!("the peak was {peak} bytes, {times}% of the {used} in use");
    let finding = tuned.finding(what).evidence(rows(&[
        ("used_memory_peak", peak),
        ("used_memory", used),
        ("used_memory_rss", rss),
    ]));
    let finding = finding.saves_up_to(rss.saturating_sub(used), "resident and not used");
    Ok(Some(
        finding
            .remedy("MEMORY PURGE")
            .remedy("or fail over to a replica and restart"),
    ))
}

fn fragmentation(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let (used, rss) = (
        number(facts, "used_memory")?,
        number(facts, "used_memory_rss")?,
    );
    let (allocated, active) = (
        number(facts, "allocator_allocated")?,
        number(facts, "allocator_active")?,
    );
    let least = tuned.of("bytes");
    let (loose, split) = (rss.saturating_sub(used), active.saturating_sub(allocated));
    if used < tuned.of("used_bytes") {
        return Ok(None);
    }
    let by_rss = loose >= least && percent(rss, used) > tuned.of("ratio_percent");
    let by_allocator = split >= least && percent(active, allocated) > tuned.of("allocator_percent");
    if !by_rss && !by_allocator {
        return Ok(None);
    }
    let what = format!(
        "{rss} bytes are resident for {used} used ({}%)",
        percent(rss, used)
    );
    let finding = tuned.finding(what).evidence(rows(&[
        ("used_memory_rss", rss),
        ("used_memory", used),
        ("allocator_active", active),
        ("allocator_allocated", allocated),
    ]));
    let finding = finding.saves_up_to(
        loose,
        "resident and not used; a part of it is the allocator's own",
    );
    // Only the jemalloc that comes with the server can be told where blocks should go, and it rounds
    // finer than those of distributions. The C library's malloc cannot.
    let is_jemalloc = facts
        .info("mem_allocator")?
        .is_some_and(|name| name.starts_with("jemalloc"));
    let finding = match is_jemalloc && facts.profile.allocator.quantum == BUNDLED_QUANTUM {
        true => finding.remedy("CONFIG SET activedefrag yes"),
        false => finding,
    };
    Ok(Some(
        finding
            .remedy("MEMORY PURGE")
            .remedy("or fail over to a replica and restart"),
    ))
}

fn swapped(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let (used, rss) = (
        number(facts, "used_memory")?,
        number(facts, "used_memory_rss")?,
    );
    let missing = used.saturating_sub(rss);
    if rss == 0 || missing < tuned.of("bytes") {
        return Ok(None);
    }
    let what = format!("{missing} of {used} used bytes are not resident");
    Ok(Some(
        tuned
            .finding(what)
            .risk("an access to what is swapped out blocks everybody for milliseconds")
            .evidence(rows(&[("used_memory", used), ("used_memory_rss", rss)]))
            .remedy("give the machine more memory, or the server a smaller maxmemory")
            .remedy("sysctl vm.swappiness=1"),
    ))
}

fn scripts(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let Some(count) = facts.info_number("number_of_cached_scripts")? else {
        return Ok(None);
    };
    if count <= tuned.of("scripts") {
        return Ok(None);
    }
    let severity = match count >= tuned.of("many") {
        true => Severity::Medium,
        false => Severity::Low,
    };
    let lua = number(facts, "used_memory_lua")?;
    let bodies = match facts.info_number("used_memory_scripts_eval")? {
        Some(bytes) => bytes,
        None => number(facts, "used_memory_scripts")?,
    };
    let what = format!("{count} scripts are cached");
    Ok(Some(
        tuned
            .finding(what)
            .severity(severity)
            .saves_up_to(
                lua + bodies,
                "the cache and the interpreter, part of which stays",
            )
            .evidence(rows(&[
                ("number_of_cached_scripts", count),
                ("used_memory_scripts", bodies),
                ("used_memory_lua", lua),
            ]))
            .remedy("EVALSHA with KEYS and ARGV in place of values in the text")
            .remedy("SCRIPT FLUSH"),
    ))
}

fn buffers(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let clients = number(facts, "connected_clients")?.max(1);
    let normal = number(facts, "mem_clients_normal")?;
    let replicas = number(facts, "mem_clients_slaves")?;
    let each = normal / clients;
    let large = each > tuned.of("client_bytes");
    let behind = replicas > tuned.of("replica_bytes");
    if !large && !behind {
        return Ok(None);
    }
    let what =
        format!("buffers take {each} bytes for each of {clients} clients, {replicas} for replicas");
    let mut finding = tuned.finding(what).evidence(rows(&[
        ("connected_clients", clients),
        ("mem_clients_normal", normal),
        ("mem_clients_slaves", replicas),
    ]));
    finding = finding.saves_up_to(normal + replicas, "if all of them read and wrote in time");
    if large {
        finding = finding.remedy("CLIENT LIST: qbuf, omem and tot-mem tell whose they are");
        let has_limit = facts.config("maxmemory-clients").ok().flatten().is_some();
        if has_limit {
            finding = finding.remedy("CONFIG SET maxmemory-clients 5%");
        }
    }
    if behind {
        finding = finding.remedy("KS.ADVISE RULE REP-04");
    }
    Ok(Some(finding))
}

fn databases(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    if facts.dbs.len() < 2 {
        return Ok(None);
    }
    let what = format!("{} databases have keys", facts.dbs.len());
    let rows = facts.dbs.iter().map(|db| Evidence {
        bytes: db.bytes,
        ..Evidence::named(&format!("db{}", db.db), format!("{} keys", db.keys))
    });
    let finding: Finding = tuned.finding(what).about(facts.keys(), facts.bytes());
    Ok(Some(
        finding
            .risk("what one database does all others wait for")
            .evidence(rows)
            .remedy("a server of its own for each purpose, or one database with prefixes"),
    ))
}

fn narrow(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    const MOST: u64 = 2 << 30;
    let wide = facts.info_number("arch_bits")? == Some(64);
    let peak = number(facts, "used_memory_peak")?;
    if !wide || peak == 0 || peak >= MOST {
        return Ok(None);
    }
    let (bytes, grown) = (facts.bytes(), facts.flows.all.net_bytes());
    let grown = u64::try_from(grown).unwrap_or(0);
    if percent(grown, bytes.saturating_sub(grown)) > tuned.of("percent") {
        return Ok(None);
    }
    let what = format!("a 64-bit build whose memory never exceeded {peak} bytes");
    Ok(Some(
        tuned
            .finding(what)
            .risk("pointers take twice what they would")
            .evidence(rows(&[("used_memory_peak", peak)]))
            .remedy("make 32bit"),
    ))
}
