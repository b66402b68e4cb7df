//! Patterns of names whose templates are known, among noise; `cargo bench -p analyzer --bench
//! patterns` is the long form.

mod kit;

use std::collections::BTreeSet;

use analyzer::census::Plan;
use kit::names::{KNOWN, Ledger, Source, UNKNOWN};
use kit::{Dice, Driver};

const KEYS: usize = 40_000;

fn counting() -> Driver {
    let driver = Driver::new();
    let plan = Plan {
        patterns_max: 10_000,
        ..Plan::default()
    };
    let keyspace = driver.keyspace.with_plan(plan);
    Driver { keyspace, ..driver }
}

/// Loads names of these templates and says how well they are found again.
fn find(texts: &[&str], skewed: bool, seed: u64) {
    let mut dice = Dice(seed);
    let source = Source::new(texts, skewed, &mut dice);
    let mut driver = counting();
    driver.keyspace.begin_load(driver.now_ms);
    let (mut names, mut drawn) = (BTreeSet::new(), Vec::new());
    while names.len() < KEYS {
        let (name, template) = source.draw(&mut dice);
        if names.insert(name.clone()) {
            driver.load_str(0, &name, dice.below(90), None);
            drawn.push((name, template));
        }
    }
    driver.keyspace.commit_load(driver.offset);
    while !driver.keyspace.recount(1000) {}
    let mut ledger = Ledger::default();
    for (name, template) in drawn {
        let pattern = driver.keyspace.pattern_of(0, &name).expect("counted");
        ledger.note(pattern.glob, template);
    }
    let score = ledger.score(&source.templates);
    assert!(score.precision >= 0.95, "seed {seed}: {score:?}");
    assert!(score.recall >= 0.95, "seed {seed}: {score:?}");
    let rows = driver.keyspace.patterns();
    let keys: u64 = rows.iter().map(|row| row.keys).sum();
    assert_eq!(keys, KEYS as u64);
    driver.keyspace.audit().expect("counts agree");
}

#[test]
fn known_templates_are_found_again() {
    for (seed, texts) in (1..).zip(std::iter::once(&KNOWN).chain(UNKNOWN)) {
        find(texts, false, seed);
        find(texts, true, seed + 100);
    }
}

#[test]
fn names_unlike_each_other_stay_below_the_cap() {
    let mut driver = counting();
    let mut dice = Dice(1);
    for n in 0..20_000 {
        let word: String = (0..9)
            .map(|_| char::from(b'g' + u8::try_from(dice.below(19)).expect("a letter")))
            .collect();
        driver.line(&format!("SET {word}:{} x", word.repeat(n % 3)));
        driver.keyspace.recount(1);
    }
    let rows = driver.keyspace.patterns();
    assert!(rows.len() < 1000, "{} patterns", rows.len());
    assert_eq!(
        rows.iter().map(|row| row.keys).sum::<u64>(),
        driver.keyspace.keys()
    );
}

/// Words at a place that was generalised are `*`, however heavy they become, until the tree is
/// learned anew; that must be asked for, and once is enough.
#[test]
fn a_word_that_becomes_heavy_is_told_apart_later() {
    let mut driver = counting();
    for n in 0..3000u32 {
        let word: String = (0..4)
            .map(|at| char::from(b'g' + u8::try_from(n >> (4 * at) & 15).expect("a letter")))
            .collect();
        driver.line(&format!("SET {word}:x 1"));
        driver.keyspace.recount(1);
    }
    let pattern = |driver: &Driver| {
        let pattern = driver
            .keyspace
            .pattern_of(0, b"payments:1")
            .expect("counted");
        String::from_utf8(pattern.glob).expect("text")
    };
    for n in 0..900 {
        driver.line(&format!("SET payments:{n} 1"));
    }
    assert_eq!(pattern(&driver), "*:*");
    let wait = |driver: &mut Driver| {
        driver.now_ms += 61_000;
        driver.keyspace.clock(driver.now_ms);
        assert!(driver.keyspace.is_recount_due(), "a look a minute");
        let mut steps = 0;
        while !driver.keyspace.recount(100) {
            steps += 1;
        }
        steps
    };
    assert!(wait(&mut driver) > 10, "counted anew");
    assert_eq!(pattern(&driver), "payments:*");
    driver.keyspace.audit().expect("counts agree");
    assert_eq!(wait(&mut driver), 0, "nothing to learn");
}

/// A lock that comes and goes all the time is heavy by the keys that came with its word, and no
/// sample keeps a word that one key has.
#[test]
fn a_name_that_is_made_again_and_again_is_not_learned_for_each_time() {
    let mut driver = counting();
    while !driver.keyspace.recount(1000) {}
    for n in 0..20_000u32 {
        driver.line(&format!("SET lock:{n} v"));
    }
    for first in ["al", "be", "ga", "de", "om", "si", "ka", "la"] {
        for last in ["pha", "ta", "mma", "lta", "ega", "gma"] {
            driver.line(&format!("SET lock:{first}{last} v"));
        }
    }
    let mut recounts = 0;
    for _ in 0..40 {
        for _ in 0..4000 {
            driver.line("SET lock:cron v");
            driver.line("DEL lock:cron");
        }
        driver.now_ms += 61_000;
        driver.keyspace.clock(driver.now_ms);
        let mut slices = 0;
        while !driver.keyspace.recount(1000) {
            slices += 1;
        }
        recounts += u32::from(slices > 10);
    }
    assert!((1..=10).contains(&recounts), "{recounts} of 40");
    driver.keyspace.audit().expect("counts agree");
}
