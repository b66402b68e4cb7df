//! Section 3 of the catalogue, second half: what happens when memory is full.

use super::facts::{Cannot, Facts};
use super::finding::{Evidence, Severity, Subject};
use super::rule::{Need, Rule, Ruling, Threshold, Tuned};
use super::survey::{Point, Seen};

const BOTH: &[Need] = &[Need::Config, Need::Info];

pub(super) const RULES: &[Rule] = &[
    Rule::new("EVI-01", "No maxmemory", BOTH, no_maxmemory)
        .severity(Severity::High)
        .why(
            "Without maxmemory a server grows until the kernel kills it, or until the machine swaps; \
             with it, it evicts or refuses writes.",
        )
        .caveat(
            "What the server's container may take is not told by the server: `[container]` says it.",
        ),
    Rule::new("EVI-02", "maxmemory does not fit", BOTH, does_not_fit)
        .severity(Severity::Critical)
        .thresholds(&[Threshold::new(
            "limit_bytes",
            0,
            "bytes that must be enough; 0 is what its container may take, or else its machine",
        )])
        .why(
            "maxmemory counts keys and their overhead only: backlog, buffers of clients and replicas, \
             and pages copied during a fork come on top, and must fit into the container or machine.",
        )
        .caveat(
            "What a fork copied the last time (rdb_last_cow_size) stands for the next. What the \
             server's container may take is not told by the server: `[container]` says it.",
        ),
    Rule::new("EVI-03", "noeviction near full", BOTH, near_full)
        .severity(Severity::Critical)
        .thresholds(&[Threshold::new("percent", 90, "percent of maxmemory in use")])
        .why("With maxmemory-policy noeviction all writes fail once maxmemory is reached.")
        .caveat("KS.GROWTH tells when that will be, if the keyspace grows steadily."),
    Rule::new(
        "EVI-04",
        "volatile policy, few expiries",
        &[Need::Survey, Need::Config],
        few_expiries,
    )
    .severity(Severity::High)
    .thresholds(&[Threshold::new(
        "percent",
        20,
        "percent of the bytes that should have an expiry",
    )])
    .why(
        "A volatile-* policy evicts only keys that have an expiry. Where few have, they are gone \
         first, and then writes fail as with noeviction.",
    )
    .caveat("Keys without an expiry may be meant to stay; then memory must be planned for them."),
    Rule::new(
        "EVI-05",
        "allkeys policy on a datastore",
        &[Need::Survey, Need::Config],
        datastore,
    )
    .severity(Severity::High)
    .why(
        "An allkeys-* policy evicts anything: also queues, locks and sessions that nobody can bring \
         back.",
    )
    .caveat("Judged by type (lists and streams) and by name (lock, queue, session), without an expiry."),
    Rule::new("EVI-06", "LFU would fit better", &[Need::Config, Need::Stream], lfu)
        .severity(Severity::Low)
        .thresholds(&[
            Threshold::new("percent", 80, "percent of the writes that the hottest keys get"),
            Threshold::new("keys_percent", 1, "percent of the keys that count as hottest"),
        ])
        .why(
            "Where few keys get most accesses, an LRU policy lets a scan push them out; LFU keeps \
             them.",
        )
        .caveat(
            "Of the writes of the last hour, and of a thousand keys at most: neither reads nor scans \
             are seen here.",
        ),
    Rule::new("EVI-07", "Evictions without intent", &[Need::Totals, Need::Info], evictions)
        .why(
            "Every key has an expiry, and still some are evicted: they live longer than there is \
             memory for.",
        )
        .caveat("Evictions since the server's start or CONFIG RESETSTAT."),
    Rule::new("EVI-08", "Few samples", &[Need::Config], samples)
        .severity(Severity::Low)
        .thresholds(&[Threshold::new("samples", 5, "maxmemory-samples that are enough")])
        .why("LRU and LFU choose the best of maxmemory-samples keys: with few the choice is poor.")
        .caveat("More samples cost time at each eviction."),
];

fn number(facts: &Facts, field: &str) -> Result<u64, Cannot> {
    Ok(facts.info_number(field)?.unwrap_or(0))
}

/// What the server's memory comes to an end at: what its container may take, where that is known and
/// less than its machine has, and else that. 0 if neither is known.
fn room(facts: &Facts) -> Result<(&'static str, u64), Cannot> {
    let machine = ("total_system_memory", number(facts, "total_system_memory")?);
    let container = facts.standing.container_bytes;
    let container = container.map(|bytes| ("the container's limit", bytes));
    let less = container.filter(|(_, bytes)| machine.1 == 0 || *bytes < machine.1);
    Ok(less.unwrap_or(machine))
}

/// The policy, where there is a maxmemory at all.
fn policy(facts: &Facts) -> Result<Option<&str>, Cannot> {
    let limited = facts
        .config_number("maxmemory")?
        .is_some_and(|bytes| bytes > 0);
    Ok(facts.config("maxmemory-policy")?.filter(|_| limited))
}

fn no_maxmemory(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let Some(0) = facts.config_number("maxmemory")? else {
        return Ok(None);
    };
    let used = number(facts, "used_memory")?;
    let (name, room) = room(facts)?;
    let what = format!("maxmemory is 0; {used} bytes are used of {room} ({name})");
    // Three quarters leave room for buffers, fragmentation and a fork. A limit that is below what is
    // used would refuse writes at once, and 0 is none.
    let limit = room / 4 * 3;
    let steps = match limit > used {
        true => vec![
            format!("CONFIG SET maxmemory {limit}"),
            "CONFIG REWRITE".to_owned(),
        ],
        false => vec!["more memory first; then a maxmemory of three quarters of it".to_owned()],
    };
    Ok(Some(
        tuned
            .finding(what)
            .remedies(steps)
            .risk("the kernel ends the process when memory runs out")
            .evidence([
                Evidence::named("maxmemory", "0"),
                Evidence::named("used_memory", used.to_string()),
                Evidence::named(name, room.to_string()),
            ]),
    ))
}

fn does_not_fit(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let Some(maxmemory) = facts.config_number("maxmemory")?.filter(|bytes| *bytes > 0) else {
        return Ok(None);
    };
    let (name, limit) = match tuned.of("limit_bytes") {
        0 => room(facts)?,
        bytes => ("limit_bytes", bytes),
    };
    let parts = [
        ("maxmemory", maxmemory),
        (
            "mem_replication_backlog",
            number(facts, "mem_replication_backlog")?,
        ),
        ("mem_clients_normal", number(facts, "mem_clients_normal")?),
        ("mem_clients_slaves", number(facts, "mem_clients_slaves")?),
        ("mem_aof_buffer", number(facts, "mem_aof_buffer")?),
        ("rdb_last_cow_size", number(facts, "rdb_last_cow_size")?),
    ];
    let sum: u64 = parts.iter().map(|part| part.1).sum();
    if limit == 0 || sum <= limit {
        return Ok(None);
    }
    let what = format!(
        "maxmemory, buffers and a fork come to {sum} bytes, {} more than there are",
        sum - limit
    );
    let fits = maxmemory.saturating_sub(sum - limit) / 100 * 95;
    let used = number(facts, "used_memory")?;
    // As above: what is used must fit as well.
    let steps = match fits > used {
        true => vec![
            format!("CONFIG SET maxmemory {fits}"),
            "CONFIG REWRITE".to_owned(),
            "or raise the memory limit of the container".to_owned(),
        ],
        false => vec!["raise the memory limit of the container, or add masters".to_owned()],
    };
    let rows = parts
        .iter()
        .map(|(name, bytes)| Evidence::named(name, bytes.to_string()));
    let rows = rows.chain([Evidence::named(name, limit.to_string())]);
    Ok(Some(
        tuned
            .finding(what)
            .risk("the kernel ends the process before maxmemory is reached")
            .evidence(rows)
            .remedies(steps),
    ))
}

fn near_full(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    if policy(facts)? != Some("noeviction") {
        return Ok(None);
    }
    let maxmemory = facts.config_number("maxmemory")?.unwrap_or(0);
    let used = number(facts, "used_memory")?;
    let share = used.saturating_mul(100) / maxmemory.max(1);
    if share < tuned.of("percent") {
        return Ok(None);
    }
    let what = format!("{used} of {maxmemory} bytes are used ({share}%), and nothing is evicted");
    Ok(Some(
        tuned
            .finding(what)
            .risk("at maxmemory every write is refused with OOM")
            .evidence([
                Evidence::named("used_memory", used.to_string()),
                Evidence::named("maxmemory", maxmemory.to_string()),
                Evidence::named("maxmemory-policy", "noeviction"),
            ])
            .remedy("if it is a cache:")
            .remedy("CONFIG SET maxmemory-policy allkeys-lru")
            .remedy("else a larger maxmemory, or more masters"),
    ))
}

fn few_expiries(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let Some(policy) = policy(facts)?.filter(|policy| policy.starts_with("volatile-")) else {
        return Ok(None);
    };
    let survey = facts.survey()?;
    let expiring = survey.expiring_bytes();
    let share = expiring.saturating_mul(100) / survey.bytes.max(1);
    if survey.keys == 0 || share >= tuned.of("percent") {
        return Ok(None);
    }
    let what = format!(
        "{policy} can evict {} of {} bytes ({share}%): what has an expiry",
        expiring, survey.bytes
    );
    Ok(Some(
        tuned
            .finding(what)
            .about(survey.keys, survey.bytes)
            .risk("once those are gone every write is refused with OOM")
            .evidence([
                Evidence::named("maxmemory-policy", policy),
                Evidence::named("bytes with an expiry", expiring.to_string()),
            ])
            .remedy("CONFIG SET maxmemory-policy allkeys-lru")
            .remedy("CONFIG REWRITE")
            .remedy("or give keys an expiry when they are written"),
    ))
}

fn datastore(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let Some(policy) = policy(facts)?.filter(|policy| policy.starts_with("allkeys-")) else {
        return Ok(None);
    };
    let tally = facts.survey()?.tally(Point::Precious);
    if tally.keys == 0 {
        return Ok(None);
    }
    let seen = |seen: &Seen| format!("{}, no expiry", seen.kind.name());
    let what = format!(
        "{policy} may evict {} keys that look as if they must stay",
        tally.keys
    );
    Ok(Some(
        tuned
            .finding(what)
            .about(tally.keys, tally.now)
            .risk(format!(
                "{} bytes may be evicted and are not a cache",
                tally.now
            ))
            .evidence(tally.top().map(|row| row.evidence(seen)))
            .remedy("keep what is a store and what is a cache on servers of their own")
            .remedy("or, with an expiry on all that is a cache:")
            .remedy("CONFIG SET maxmemory-policy volatile-lru"),
    ))
}

fn lfu(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let Some(policy) = policy(facts)?.filter(|policy| policy.ends_with("-lru")) else {
        return Ok(None);
    };
    let heat = &facts.heat_hour;
    let hottest = facts.keys().saturating_mul(tuned.of("keys_percent")) / 100;
    let count = usize::try_from(hottest).unwrap_or(usize::MAX);
    let writes: u64 = heat
        .by_writes
        .iter()
        .take(count)
        .map(|hot| hot.work.writes)
        .sum();
    let share = writes.saturating_mul(100) / heat.total.writes.max(1);
    if count == 0 || heat.total.writes < hottest || share < tuned.of("percent") {
        return Ok(None);
    }
    let what = format!(
        "{hottest} of {} keys get {share}% of the writes",
        facts.keys()
    );
    let named = policy.replace("-lru", "-lfu");
    let rows = heat.by_writes.iter().take(count);
    let rows = rows.map(|hot| Evidence {
        subject: Subject::Key {
            db: hot.db,
            name: hot.name.clone(),
        },
        seen: match hot.name_len > hot.name.len() as u64 {
            true => format!(
                "{} writes; its name goes on to {} bytes",
                hot.work.writes, hot.name_len
            ),
            false => format!("{} writes", hot.work.writes),
        },
        bytes: 0,
        saving: 0,
    });
    Ok(Some(
        tuned
            .finding(what)
            .risk("a scan over many keys pushes out those that matter")
            .evidence(rows)
            .remedy(format!("CONFIG SET maxmemory-policy {named}"))
            .remedy("CONFIG REWRITE"),
    ))
}

fn evictions(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let evicted = number(facts, "evicted_keys")?;
    let expires: u64 = facts.dbs.iter().map(|db| db.expires).sum();
    if evicted == 0 || expires == 0 || expires < facts.keys() {
        return Ok(None);
    }
    let lately = facts.grown("evicted_keys").ok().flatten();
    let mut rows = vec![
        Evidence::named("evicted_keys", evicted.to_string()),
        Evidence::named("keys with an expiry", expires.to_string()),
    ];
    if let Some((grown, took_ms)) = lately {
        rows.push(Evidence::named(
            "evicted lately",
            format!("{grown} in {took_ms} ms"),
        ));
    }
    let what = format!("{evicted} keys were evicted, though all {expires} have an expiry");
    Ok(Some(
        tuned
            .finding(what)
            .risk("keys go before their time")
            .evidence(rows)
            .remedy("shorter expiries, a larger maxmemory, or more masters"),
    ))
}

fn samples(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let chosen = |policy: &&str| policy.ends_with("-lru") || policy.ends_with("-lfu");
    let Some(policy) = policy(facts)?.filter(chosen) else {
        return Ok(None);
    };
    let Some(samples) = facts.config_number("maxmemory-samples")? else {
        return Ok(None);
    };
    if samples >= tuned.of("samples") {
        return Ok(None);
    }
    let what = format!("{policy} chooses among {samples} keys only");
    Ok(Some(
        tuned
            .finding(what)
            .risk("keys are evicted that are in use")
            .evidence([Evidence::named("maxmemory-samples", samples.to_string())])
            .remedy("CONFIG SET maxmemory-samples 5")
            .remedy("CONFIG REWRITE"),
    ))
}
