//! Section 5 of the catalogue: commands that are slow, failing or in vain, as far as the server
//! counts them itself.

use super::facts::{Cannot, Facts};
use super::finding::{Evidence, Severity};
use super::rule::{Need, Rule, Ruling, Threshold, Tuned};

/// Commands that walk over all keys, whatever they find.
const WALKS: [&str; 1] = ["keys"];

/// Commands that return or look at all elements of a collection.
const WHOLE: [&str; 12] = [
    "smembers",
    "hgetall",
    "hkeys",
    "hvals",
    "lrange",
    "zrange",
    "zrangebyscore",
    "sort",
    "sort_ro",
    "sinter",
    "sunion",
    "sdiff",
];

/// Commands that wait for an element, and count a miss while there is none.
pub const BLOCKING_POPS: [&str; 7] = [
    "blpop",
    "brpop",
    "blmove",
    "brpoplpush",
    "blmpop",
    "bzpopmin",
    "bzpopmax",
];

/// True if a rule reads what INFO commandstats says of that command (its name in lower case).
pub fn reads_statistics_of(command: &str) -> bool {
    let all = WALKS.iter().chain(&WHOLE).chain(&BLOCKING_POPS);
    all.into_iter().any(|name| *name == command)
}

pub(super) const RULES: &[Rule] = &[
    Rule::new("TRF-01", "O(N) commands in use", &[Need::Info], slow)
        .severity(Severity::High)
        .thresholds(&[
            Threshold::new("keys_calls", 0, "calls of KEYS that may have been made"),
            Threshold::new(
                "usec_per_call",
                1_000,
                "microseconds a call over a collection may take in the mean",
            ),
        ])
        .why(
            "KEYS walks over all keys and SMEMBERS, HGETALL, LRANGE, SORT and their kind over all \
             elements, while every other client waits. The server counts calls and time of each \
             command (INFO commandstats).",
        )
        .caveat(
            "Counted since the server started. Which client and which key is seen in captured \
             traffic only.",
        ),
    Rule::new("TRF-02", "Many commands fail", &[Need::Info], errors)
        .thresholds(&[
            Threshold::new("percent", 1, "percent of the commands that may fail"),
            Threshold::new("errors", 20, "errors from which on it is looked at"),
        ])
        .why(
            "More than one command in a hundred is answered with an error: wrong types, missing \
             rights, no memory, a cluster that has moved.",
        )
        .caveat(
            "Redis 6.2 and later count errors. Large replies and who makes them are seen in captured \
             traffic only.",
        ),
    Rule::new("TRF-03", "Low hit rate", &[Need::Info, Need::Config], misses)
        .thresholds(&[
            Threshold::new("percent", 80, "percent of the lookups that should hit"),
            Threshold::new("lookups", 1_000, "lookups from which on it is decided"),
        ])
        .why(
            "On a cache, one that evicts, most lookups should find their key. A low rate says that \
             keys expire or are evicted too early, or that clients ask for what is never there.",
        )
        .caveat(
            "Which patterns miss is seen in captured traffic only; blocking pops count a miss when \
             they begin to wait, and our own re-reads count as lookups.",
        ),
    Rule::new("ALR-23", "Keys are missed", &[Need::Info], missed)
        .severity(Severity::Low)
        .why(
            "Lookups find nothing although no client waits for elements, whose calls count as \
             misses.",
        )
        .caveat("TRF-03 judges the share of them.")
        .off("every cache misses; TRF-03 has the rate"),
];

/// Calls and microseconds a call of a command, as INFO commandstats has them.
fn stats(facts: &Facts, command: &str) -> Result<Option<(u64, u64)>, Cannot> {
    let Some(line) = facts.info(&format!("cmdstat_{command}"))? else {
        return Ok(None);
    };
    let figure = |name: &str| {
        let mut pairs = line.split(',').filter_map(|pair| pair.split_once('='));
        let value = pairs.find(|(key, _)| *key == name)?.1;
        value.split('.').next()?.parse::<u64>().ok()
    };
    Ok(figure("calls").zip(figure("usec_per_call")))
}

fn slow(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let mut rows = Vec::new();
    let (all_calls, most_us) = (tuned.of("keys_calls"), tuned.of("usec_per_call"));
    for command in WALKS.iter().chain(&WHOLE) {
        let Some((calls, us)) = stats(facts, command)? else {
            continue;
        };
        let is_walk = WALKS.contains(command);
        if (is_walk && calls > all_calls) || (!is_walk && us > most_us) {
            let seen = format!("{calls} calls, {us} us each");
            rows.push((calls.saturating_mul(us), Evidence::named(command, seen)));
        }
    }
    let Some(worst) = rows.iter().map(|(us, _)| *us).max() else {
        return Ok(None);
    };
    rows.sort_by_key(|(us, _)| std::cmp::Reverse(*us));
    let names: Vec<String> = rows
        .iter()
        .map(|(_, row)| row.subject_text().to_uppercase())
        .collect();
    let what = format!("{} took {} ms in all", names.join(", "), worst / 1000);
    Ok(Some(
        tuned
            .finding(what)
            .risk("every client waits while one of them runs")
            .evidence(rows.into_iter().map(|(_, row)| row))
            .remedy("SCAN, SSCAN, HSCAN, ZSCAN instead, a part at a time; KS.TOP ELEMENTS names the keys")
            .remedy("ACL SETUSER user -keys"),
    ))
}

fn errors(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let Some((errors, took_ms)) = facts.since("total_error_replies")? else {
        return Err(Cannot(
            "the server does not count errors (Redis 6.2 and later do)".to_owned(),
        ));
    };
    let commands = facts.since("total_commands_processed")?;
    let commands = commands.map_or(0, |(commands, _)| commands).max(errors);
    let is_many = errors.saturating_mul(100) > commands.saturating_mul(tuned.of("percent"));
    if errors < tuned.of("errors") || !is_many {
        return Ok(None);
    }
    let what = format!(
        "{errors} of {commands} commands failed in {} s",
        took_ms / 1000
    );
    Ok(Some(
        tuned
            .finding(what)
            .risk("applications do not get what they ask for")
            .evidence(facts.shown(&["total_error_replies", "total_commands_processed"]))
            .remedy(
                "INFO errorstats: which errors; INFO commandstats: failed_calls, rejected_calls",
            ),
    ))
}

fn misses(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let policy = facts.config("maxmemory-policy")?.unwrap_or("noeviction");
    let limit = facts.config_number("maxmemory")?.unwrap_or(0);
    if policy == "noeviction" || limit == 0 {
        return Ok(None);
    }
    let hits = facts.since("keyspace_hits")?.map_or(0, |(hits, _)| hits);
    let Some((misses, took_ms)) = facts.since("keyspace_misses")? else {
        return Ok(None);
    };
    let all = hits.saturating_add(misses);
    let is_low = hits.saturating_mul(100) < all.saturating_mul(tuned.of("percent"));
    if all < tuned.of("lookups") || !is_low {
        return Ok(None);
    }
    let what = format!(
        "{hits} of {all} lookups found their key in {} s",
        took_ms / 1000
    );
    Ok(Some(
        tuned
            .finding(what)
            .risk("what is behind the cache does the work")
            .evidence(facts.shown(&[
                "keyspace_hits",
                "keyspace_misses",
                "evicted_keys",
                "expired_keys",
                "maxmemory-policy",
            ]))
            .remedy(
                "longer expiries, or more memory; keep that a key does not exist, for a short time",
            ),
    ))
}

fn missed(facts: &Facts, tuned: &Tuned<'_>) -> Ruling {
    let Some((misses, took_ms)) = facts.since("keyspace_misses")? else {
        return Ok(None);
    };
    for command in BLOCKING_POPS {
        if stats(facts, command)?.is_some_and(|(calls, _)| calls > 0) {
            return Ok(None);
        }
    }
    if misses == 0 {
        return Ok(None);
    }
    let what = format!("{misses} lookups found nothing in {} s", took_ms / 1000);
    let finding = tuned
        .finding(what)
        .risk("clients ask for what is not there");
    let rows = facts.shown(&["keyspace_hits", "keyspace_misses"]);
    let step = "KS.ADVISE RULE TRF-03: whether that is much";
    Ok(Some(finding.evidence(rows).remedy(step)))
}
