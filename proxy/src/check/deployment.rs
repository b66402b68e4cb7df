//! `check` of a cluster, or of what Sentinels watch: who answers, what is wrong with the map, and
//! every node that would be followed, one after the other.

use std::collections::BTreeMap;
use std::io::Write;

use analyzer::profile::{Family, Version};
use cluster_map::{Action, Addr, Policy, Topology, plan};
use tokio::task::JoinSet;

use super::survey::Survey;
use super::{Finding, Verdict, Visit, print, rules, server};
use crate::config::Config;
use crate::fleet::{Reach, Seed};
use crate::side::client::Target;
use crate::source::{Kind, Source, Spec};

/// Servers that are asked at once.
const AT_ONCE: usize = 16;

const MIB: u64 = 1 << 20;

/// A node that would be followed.
struct Stop {
    group: Box<str>,
    target: Target,
}

/// Checks a deployment and prints what was found; true if nothing failed.
pub(super) async fn check(
    config: &Config,
    spec: &Spec,
    out: &mut dyn Write,
) -> std::io::Result<bool> {
    writeln!(out, "keyscape check {} {}", spec.kind.name(), spec.label)?;
    let survey = Survey::make(config, spec).await;
    let mut works = print(&seeds(&survey.seats, spec), out)?;
    let Some(map) = &survey.map else {
        return Ok(false);
    };
    works &= print(&whole(map, spec), out)?;
    let stops = stops(config, spec, &survey, map, out)?;
    if stops.is_empty() {
        let found = format!(
            "no node would be followed: --follow {}",
            config.follow.name()
        );
        print(&[Finding::new("follow", Verdict::Refuse, found)], out)?;
        return Ok(false);
    }
    let mut visits = Vec::with_capacity(stops.len());
    for some in stops.chunks(AT_ONCE) {
        for (stop, visit) in some.iter().zip(visit(some).await) {
            writeln!(
                out,
                "{}: {} would be followed",
                stop.group, stop.target.source
            )?;
            works &= print(&visit.findings, out)?;
            visits.push((stop.target.source.host.clone(), visit));
        }
    }
    print(&[budget(&visits, config.link.full_syncs_max)], out)?;
    Ok(works)
}

/// Where the links would go; what would not be followed is printed.
fn stops(
    config: &Config,
    spec: &Spec,
    survey: &Survey,
    map: &Topology,
    out: &mut dyn Write,
) -> std::io::Result<Vec<Stop>> {
    let local: Vec<Addr> = spec.seeds.iter().map(Source::addr).collect();
    let policy = Policy {
        follow: config.follow,
        local: &local,
        shard: config.shard,
        ..Policy::default()
    };
    let plan = plan(map, &[], &policy);
    if !plan.unowned.is_empty() {
        let found = format!("{} masters are other instances'", plan.unowned.len());
        print(&[Finding::ok("shard", found)], out)?;
    }
    for (node, why) in &plan.not_followed {
        let addr = map
            .group_of(node)
            .and_then(|group| group.node(node)?.addr.as_ref());
        let name = addr.map_or_else(|| node.to_string(), Addr::to_string);
        print(
            &[Finding::ok(
                "not followed",
                format!("{name}: {}", why.name()),
            )],
            out,
        )?;
    }
    let stop = |action: &Action| match action {
        Action::Open { group, addr, .. } => Some(Stop {
            group: group.clone(),
            target: survey.target(addr),
        }),
        Action::Move { .. } | Action::Regroup { .. } | Action::Close { .. } => None,
    };
    Ok(plan.actions.iter().filter_map(stop).collect())
}

/// Who answered.
fn seeds(seats: &[Seed], spec: &Spec) -> Vec<Finding> {
    const NAME: &str = "ask";
    let answered = seats.iter().filter(|seat| seat.reach == Reach::Answered);
    let found = format!("{} of {} answer", answered.clone().count(), seats.len());
    let mut findings = match answered.count() {
        0 => vec![Finding::new(NAME, Verdict::Refuse, found)],
        _ => vec![Finding::ok(NAME, found)],
    };
    for seat in seats {
        let Reach::Failed(why) = &seat.reach else {
            continue;
        };
        let finding = Finding::new(NAME, Verdict::Warn, format!("{}: {why}", seat.addr));
        findings.push(match remedy(why, spec) {
            Some(line) => finding.cure(line),
            None => finding,
        });
    }
    findings
}

/// The line for a server that does not let us ask.
fn remedy(why: &str, spec: &Spec) -> Option<String> {
    if !["NOPERM", "AUTH", "WRONGPASS"]
        .iter()
        .any(|word| why.contains(word))
    {
        return None;
    }
    // Who is let in, and lacks a right, needs no password.
    let password = if why.contains("NOPERM") {
        ""
    } else {
        " on >PASSWORD"
    };
    match spec.kind {
        Kind::Standalone => None,
        // Their credentials are those of [sentinel].
        Kind::Sentinel => Some(format!(
            "ACL SETUSER keyscape{password} +ping +sentinel|masters +sentinel|replicas \
             +sentinel|sentinels +sentinel|get-master-addr-by-name +subscribe allchannels"
        )),
        Kind::Cluster => {
            let credentials = spec.first().credentials.as_ref();
            let user = credentials.and_then(|c| c.user.as_deref());
            let user = format!("{}{password}", user.unwrap_or("keyscape"));
            // The words of Redis 6.
            let old = why.contains("NOPERM this user");
            let version = old.then_some((Family::Redis, Version::new(6, 0)));
            Some(rules::grant(&user, version, true))
        }
    }
}

/// The map as a whole.
fn whole(map: &Topology, spec: &Spec) -> Vec<Finding> {
    let groups = map.groups().len();
    let found = match spec.kind {
        Kind::Cluster => format!(
            "{} slots of 16384 are owned, {groups} masters",
            map.covered()
        ),
        Kind::Standalone | Kind::Sentinel => format!("{groups} masters"),
    };
    let missing = |name: &&String| map.group(name).is_none();
    let unknown = spec.names.iter().filter(missing);
    let unknown = unknown.map(|name| {
        let found = format!("no Sentinel watches a master called {name}");
        Finding::new("map", Verdict::Refuse, found)
    });
    let complaints = map.complaints().iter();
    let complaints = complaints.map(|c| Finding::new("map", Verdict::Warn, c.to_string()));
    let verdict = if groups == 0 {
        Verdict::Refuse
    } else {
        Verdict::Ok
    };
    let first = Finding::new("map", verdict, found);
    std::iter::once(first)
        .chain(unknown)
        .chain(complaints)
        .collect()
}

/// Several servers at once, in the order given.
async fn visit(stops: &[Stop]) -> Vec<Visit> {
    let mut tasks = JoinSet::new();
    for (at, stop) in stops.iter().enumerate() {
        let target = stop.target.clone();
        tasks.spawn(async move { (at, server(&target).await) });
    }
    let mut visits: Vec<(usize, Visit)> = tasks.join_all().await;
    visits.sort_by_key(|(at, _)| *at);
    visits.into_iter().map(|(_, visit)| visit).collect()
}

/// What all full syncs together take: one after the other on a host, so many at once over all.
fn budget(visits: &[(String, Visit)], at_once: usize) -> Finding {
    let mut hosts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut model = 0_u64;
    for (host, visit) in visits {
        let (sync_s, model_bytes) = visit.cost.unwrap_or_default();
        let sum_s = hosts.entry(host).or_default();
        *sum_s = sum_s.saturating_add(sync_s);
        model = model.saturating_add(model_bytes);
    }
    let all: u64 = hosts.values().sum();
    let share = all / u64::try_from(at_once).unwrap_or(u64::MAX).max(1);
    let took_s = hosts.values().max().copied().unwrap_or(0).max(share);
    let found = format!(
        "servers: {}, hosts: {}, one at a time on each and {at_once} over all: about {took_s} s; \
         up to {} MiB here",
        visits.len(),
        hosts.len(),
        model / MIB
    );
    Finding::ok("full syncs", found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_syncs_take_as_long_as_the_busiest_host() {
        let visit = |host: &str, sync_s| {
            let visit = Visit {
                findings: Vec::new(),
                cost: Some((sync_s, MIB)),
            };
            (host.to_owned(), visit)
        };
        let spread = [
            visit("a", 10),
            visit("b", 10),
            visit("c", 10),
            visit("d", 10),
        ];
        let packed = [visit("a", 10), visit("a", 10), visit("b", 1)];
        for (visits, at_once, expected) in [
            (&spread[..], 4, "about 10 s"),
            (&spread, 2, "about 20 s"),
            (&spread, 1, "about 40 s"),
            (&packed, 4, "about 20 s"),
        ] {
            let found = budget(visits, at_once).found;
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn those_who_refuse_are_told_what_to_grant() {
        let spec = Spec::parse("redis-cluster://h:1,h:2").unwrap();
        let seat = |port, reach| Seed {
            addr: Addr::new("h", port).unwrap(),
            reach,
        };
        let denied = Reach::Failed("the server refused: NOPERM x".to_owned());
        let findings = seeds(&[seat(1, Reach::Answered), seat(2, denied.clone())], &spec);
        let [first, second] = findings.as_slice() else {
            panic!("{findings:?}");
        };
        assert_eq!(
            (first.verdict, second.verdict),
            (Verdict::Ok, Verdict::Warn)
        );
        assert!(second.cure.as_ref().unwrap().contains("+cluster|nodes"));
        let findings = seeds(&[seat(1, denied)], &spec);
        assert_eq!(findings[0].verdict, Verdict::Refuse);
    }
}
