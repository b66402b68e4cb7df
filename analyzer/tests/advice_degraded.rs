//! Advice and what-if of a keyspace as it was walked, with all its detail or without.

mod kit;

use std::collections::BTreeMap;
use std::sync::Arc;

use analyzer::advice::{
    Asked, Cluster, Facts, Finding, Flows, Heat, Limits, Standing, Survey, Surveyor, Told, Verdict,
    decide, rule,
};
use analyzer::census::Plan;
use analyzer::profile::{Family, Version};
use analyzer::whatif::{Guess, WhatIf};
use analyzer::{Keyspace, Profile};
use kit::Driver;

/// Gives up what is to be given up.
fn sweep(driver: &mut Driver) {
    while !driver.keyspace.sweep(1000) {}
    driver.keyspace.audit().expect("sums agree");
}

fn survey(driver: &Driver, before: Option<&Survey>) -> Survey {
    let keyspace = &driver.keyspace;
    let limits = Limits::default();
    let mut surveyor = Surveyor::new(keyspace.profile(), &limits, before, driver.now_ms);
    while !keyspace.survey(&mut surveyor, 100) {}
    surveyor.survey(&keyspace.detail())
}

/// Keys are counted by pattern from the first one on.
fn by_pattern(profile: Profile) -> Driver {
    let plan = Plan {
        patterns_max: 40,
        ..Plan::default()
    };
    let mut d = Driver::new();
    d.keyspace = Keyspace::new(profile, 0x5eed).with_plan(plan);
    d.keyspace.clock(d.now_ms);
    while !d.keyspace.recount(100) {}
    d
}

fn facts(keyspace: &mut Keyspace, survey: Survey) -> Facts {
    let config = [
        ("lazyfree-lazy-expire", "no"),
        ("lazyfree-lazy-user-del", "no"),
    ];
    let config = config.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Facts {
        master: "10.0.0.1:6379".to_owned(),
        now_ms: 0,
        profile: keyspace.profile().clone(),
        told: Told {
            config: Asked::Known(BTreeMap::from(config)),
            ..Told::default()
        },
        dbs: keyspace.dbs(),
        totals: keyspace.totals(),
        detail: keyspace.detail(),
        survey: Ok(Arc::new(survey)),
        flows: Flows::of(keyspace),
        storms: Ok(Vec::new()),
        heat: Heat::default(),
        heat_hour: Heat::default(),
        slots: BTreeMap::new(),
        peers: Arc::new([]),
        standing: Standing::default(),
    }
}

fn verdict(id: &str, facts: &Facts) -> Verdict {
    decide(
        rule(id).expect("in the catalogue"),
        facts,
        &Limits::default(),
    )
}

fn found(id: &str, facts: &Facts) -> Finding {
    let verdict = verdict(id, facts);
    let Verdict::Found(finding) = verdict else {
        panic!("{id}: {verdict:?}");
    };
    finding
}

#[test]
fn the_largest_collections_are_told_of_without_their_elements() {
    let mut d = Driver::new();
    for n in 0..12_000 {
        d.line(&format!("SADD set:of:members m-{n}"));
        d.line(&format!("XADD stream:of:entries 1-{} f v", n + 1));
    }
    d.line("EXPIRE set:of:members 600");
    d.keyspace.limit_elements(Some(0));
    sweep(&mut d);
    assert_eq!(d.keyspace.detail().bare, 2);
    let first = survey(&d, None);

    let facts = facts(&mut d.keyspace, first.clone());
    assert_eq!(found("KEY-02", &facts).keys, 2);
    assert_eq!(found("KEY-03", &facts).keys, 1, "it expires");
    assert_eq!(found("MEM-19", &facts).keys, 1, "a HyperLogLog would do");
    let Verdict::Cannot(why) = verdict("KEY-10", &facts) else {
        panic!("what a stream lost, and its groups, are not known");
    };
    assert!(why.starts_with("1 streams"), "{why}");
    let tracks: Vec<u64> = first.tracks.collections().map(|row| row.2.count).collect();
    assert_eq!(tracks, [12_000, 12_000], "for KEY-09");
}

/// What SREM takes from keys that stay is no delete of them.
#[test]
fn a_big_collection_is_deleted_where_a_key_of_its_size_is() {
    let mut d = by_pattern(Profile::defaults(Family::Redis, Version::new(7, 0)));
    for key in 0..20 {
        for n in 0..2500 {
            d.line(&format!("SADD big:{key} m-{n}"));
        }
    }
    for n in 0..500 {
        d.line(&format!("SADD big:0 other-{n}"));
        d.line(&format!("SADD big:1000 other-{n}"));
    }
    let told = |d: &mut Driver| {
        let survey = survey(d, None);
        let mut facts = facts(&mut d.keyspace, survey);
        facts.now_ms = d.now_ms.unsigned_abs();
        facts.heat_hour.dels = 1;
        verdict("KEY-03", &facts)
    };
    for n in 0..500 {
        d.line(&format!("SREM big:0 other-{n}"));
    }
    d.line("DEL big:1000");
    assert_eq!(told(&mut d), Verdict::Quiet);
    d.line("DEL big:1");
    let verdict = told(&mut d);
    assert!(matches!(verdict, Verdict::Found(_)), "{verdict:?}");
    d.now_ms += 3_700_000;
    assert_eq!(told(&mut d), Verdict::Quiet, "that was an hour ago");
}

#[test]
fn collections_without_elements_are_weighed_as_they_are() {
    let mut d = Driver::new();
    for n in 0..2000 {
        d.line(&format!("SADD set m-{n}"));
    }
    let bytes = d.keyspace.facts(0, b"set").expect("there").bytes;
    d.keyspace.limit_elements(Some(0));
    sweep(&mut d);
    let profile = d.keyspace.profile().clone();
    let mut walk = WhatIf::new(&profile, &profile, 3);
    while !d.keyspace.what_if(&mut walk, 100) {}
    let outcome = walk.outcome();
    assert_eq!((outcome.seen, outcome.forms.len()), (1, 1));
    let sum = outcome.forms[0].sum;
    assert_eq!((sum.keys, sum.now, sum.then), (1, bytes, bytes));
    assert_eq!(outcome.guesses, [(Guess::Stripped, 1)]);
}

#[test]
fn guesses_are_as_many_as_the_keys_that_a_share_stands_for() {
    let mut d = Driver::new();
    for n in 0..4000 {
        d.line(&format!("SETRANGE perhaps:{n} 0 12"));
    }
    assert!(d.keyspace.fold());
    sweep(&mut d);
    let profile = d.keyspace.profile().clone();
    let mut walk = WhatIf::new(&profile, &profile, 3);
    while !d.keyspace.what_if(&mut walk, 100) {}
    let mut outcome = walk.outcome();
    assert!((1800..2200).contains(&outcome.seen), "a half");
    outcome.extend_to(&d.keyspace.totals());
    assert_eq!(outcome.guesses, [(Guess::Number, 4000)]);
    assert_eq!(outcome.forms[0].sum.keys, 4000);
}

/// As `{n}:*` with an expiry, `user:*` without: what a survey of all of them finds, and one of a share.
#[test]
fn sums_of_a_share_are_those_of_all_keys() {
    let mut d = by_pattern(Profile::defaults(Family::Redis, Version::new(8, 0)));
    for n in 0..4000 {
        d.line(&format!("SET {{all}}:session:{n} {}", "v".repeat(45)));
        d.line(&format!("EXPIRE {{all}}:session:{n} 600"));
        d.line(&format!("SET user:{n}:mail@example.org v"));
        for field in 0..12 {
            d.line(&format!("HSET long:{n} f{field} {}", "v".repeat(70)));
        }
    }
    d.line(&format!("SET huge {}", "v".repeat(500_000)));
    let (all, patterns) = (survey(&d, None), Flows::of(&mut d.keyspace).patterns);
    assert!(d.keyspace.fold() && d.keyspace.fold());
    sweep(&mut d);
    let share = survey(&d, None);
    let near = |part: u64, whole: u64| {
        assert!(
            part.abs_diff(whole) * 10 < whole,
            "{part} of a share, {whole} of all"
        );
    };
    assert_eq!(share.keys, all.keys, "they are counted");
    near(share.bytes, all.bytes);
    near(share.lasting_keys, all.lasting_keys);
    near(
        share.tags.heaviest()[0].1.bytes,
        all.tags.heaviest()[0].1.bytes,
    );
    let own = Flows::of(&mut d.keyspace).patterns;
    let large = patterns.iter().filter(|row| row.keys == 4000);
    assert_eq!(large.clone().count(), 3);
    for whole in large {
        let part = own.iter().find(|row| row.name == whole.name);
        near(part.expect("it is there").bytes, whole.bytes);
        let group = |survey: &Survey| {
            let mut groups = survey.groups.all();
            let own = groups.find(|(_, group)| group.glob == whole.name.glob);
            own.expect("it is there").1.bytes
        };
        near(group(&share), group(&all));
    }
    let part = facts(&mut d.keyspace, share);
    let whole = Facts {
        survey: Ok(Arc::new(all)),
        ..part.clone()
    };
    for id in ["MEM-03", "SEC-04"] {
        let [part, whole] = [&part, &whole].map(|facts| found(id, facts));
        near(part.keys, whole.keys);
        near(part.saving() + 1, whole.saving() + 1);
    }
}

#[test]
fn a_key_that_dominates_stands_for_itself_alone() {
    let mut d = Driver::new();
    for n in 0..10_000 {
        d.line(&format!("SET k:{n} {}", "v".repeat(2_000)));
    }
    for _ in 0..5 {
        assert!(d.keyspace.fold());
    }
    sweep(&mut d);
    // The first that is in the share.
    let huge = "v".repeat(12_000_000);
    for n in 0.. {
        let name = format!("huge:{n}");
        if d.keyspace.knows(0, name.as_bytes()) {
            d.line(&format!("SET {name} {huge}"));
            break;
        }
    }
    let share = survey(&d, None);
    let detail = d.keyspace.detail();
    let mut facts = facts(&mut d.keyspace, share);
    facts.standing.cluster = Some(Cluster {
        slot_of: Some(|_| 7),
        ..Cluster::default()
    });
    // As if all were in one slot: a third of it is this key.
    facts.slots = BTreeMap::from([(7, detail.for_all(kept(&d)))]);
    let finding = found("KEY-04", &facts);
    let seen = &finding.evidence[0].seen;
    let percent = |text: &str| -> u64 {
        let (before, _) = text.split_once('%').expect("a part");
        let digits = before.rsplit(' ').next().expect("a number");
        digits.parse().expect("a number")
    };
    assert!((33..40).contains(&percent(seen)), "{seen}");
    let (_, of_slot) = seen.split_once("dataset").expect("both");
    assert!((33..40).contains(&percent(of_slot)), "{seen}");
}

/// Bytes of the keys that have a record.
fn kept(driver: &Driver) -> u64 {
    let names = driver.names(0);
    let facts = names.iter().map(|name| driver.keyspace.facts(0, name));
    facts.flatten().map(|facts| facts.bytes).sum()
}
