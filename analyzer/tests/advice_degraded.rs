//! Advice and what-if of a keyspace that gave up detail for want of memory.

mod kit;

use std::collections::BTreeMap;
use std::sync::Arc;

use analyzer::Keyspace;
use analyzer::advice::{
    Asked, Facts, Finding, Flows, Heat, Limits, Standing, Survey, Surveyor, Told, Verdict, decide,
    rule,
};
use analyzer::whatif::{Guess, WhatIf};
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
    surveyor.survey()
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
