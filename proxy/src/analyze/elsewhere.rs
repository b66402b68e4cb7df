//! `keyscape analyze --as`: what the keys of the file would take on servers that load it.

use std::collections::BTreeMap;
use std::io::Write;

use analyzer::Keyspace;
use analyzer::profile::{Family, Profile, Version};
use analyzer::value::Kind;
use analyzer::whatif::{Changed, Goal, Outcome, Readable, WhatIf};
use anyhow::anyhow;
use serde_json::{Value, json};

use super::table;

/// Elements weighed in one go: nobody waits here.
const AT_ONCE: u64 = 1 << 20;

/// One server and what was found.
struct Found<'a> {
    server: &'a str,
    reads: &'static str,
    outcome: Outcome,
}

fn goal(server: &str) -> Goal {
    Goal {
        server: Some(server.to_owned()),
        ..Goal::default()
    }
}

/// Whether all names are known.
pub(super) fn known(servers: &[String]) -> anyhow::Result<()> {
    let any = Profile::defaults(Family::Redis, Version::new(7, 0));
    for server in servers {
        goal(server)
            .profile(&any)
            .map_err(|why| anyhow!("--as {server}: {why}"))?;
    }
    Ok(())
}

fn find<'a>(keyspace: &Keyspace, server: &'a str) -> anyhow::Result<Found<'a>> {
    let from = keyspace.profile();
    let goal = goal(server);
    let to = goal
        .profile(from)
        .map_err(|why| anyhow!("--as {server}: {why}"))?;
    let mut walk = WhatIf::new(from, &to, 0);
    while !keyspace.what_if(&mut walk, AT_ONCE) {}
    let reads = match goal.path(from, &to).readable {
        Readable::Same | Readable::Yes => "yes",
        Readable::No => "no",
    };
    Ok(Found {
        server,
        reads,
        outcome: walk.outcome(),
    })
}

/// The sums by type, and how many keys are encoded anew; the last is that of all.
fn sums(outcome: &Outcome) -> Vec<(&'static str, Changed, u64)> {
    let mut all = (Changed::default(), 0);
    let mut kinds: BTreeMap<Kind, (Changed, u64)> = BTreeMap::new();
    for row in &outcome.forms {
        for (sum, recoded) in [&mut all, kinds.entry(row.kind).or_default()] {
            sum.keys += row.sum.keys;
            sum.now += row.sum.now;
            sum.reload += row.sum.reload;
            sum.then += row.sum.then;
            *recoded += if row.now == row.then { 0 } else { row.sum.keys };
        }
    }
    let kinds = kinds.into_iter();
    let mut rows: Vec<_> = kinds
        .map(|(kind, (sum, recoded))| (kind.name(), sum, recoded))
        .collect();
    rows.push(("all", all.0, all.1));
    rows
}

/// Appends a table for each server.
pub(super) fn text(
    keyspace: &Keyspace,
    servers: &[String],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    for server in servers {
        let found = find(keyspace, server)?;
        writeln!(
            out,
            "\nas {} has loaded it (reads this RDB version: {})",
            found.server, found.reads
        )?;
        let head = [
            "type",
            "keys",
            "bytes",
            "bytes_reload",
            "bytes_then",
            "keys_recoded",
        ];
        let mut rows = table(&head);
        for (kind, sum, recoded) in sums(&found.outcome) {
            rows.add_row([
                kind.to_owned(),
                sum.keys.to_string(),
                sum.now.to_string(),
                sum.reload.to_string(),
                sum.then.to_string(),
                recoded.to_string(),
            ]);
        }
        writeln!(out, "{}", rows.trim_fmt())?;
        for (guess, keys) in &found.outcome.guesses {
            writeln!(out, "{keys} keys {}", guess.clause())?;
        }
    }
    Ok(())
}

/// An object for each server.
pub(super) fn json(keyspace: &Keyspace, servers: &[String]) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for server in servers {
        let found = find(keyspace, server)?;
        let rows = sums(&found.outcome)
            .into_iter()
            .map(|(kind, sum, recoded)| {
                json!({
                    "type": kind,
                    "keys": sum.keys,
                    "bytes": sum.now,
                    "bytes_reload": sum.reload,
                    "bytes_then": sum.then,
                    "keys_recoded": recoded,
                })
            });
        let guesses = found.outcome.guesses.iter();
        let notes = guesses.map(|(guess, keys)| format!("{keys} keys {}", guess.clause()));
        all.push(json!({
            "server": found.server,
            "reads_rdb": found.reads == "yes",
            "totals": rows.collect::<Vec<_>>(),
            "notes": notes.collect::<Vec<_>>(),
        }));
    }
    Ok(all)
}
