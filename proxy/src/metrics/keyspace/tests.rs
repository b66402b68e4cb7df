//! The families as a scrape shows them.

use super::*;
use crate::model::ask::Generation;

fn scraped() -> String {
    let status = Status {
        state: crate::fleet::State::Failed {
            reason: Loss::Denied,
        },
        generation: Generation::Lagging,
        unknown_names: [("foo.\"bar".to_owned(), 2)].into(),
        ..Status::default()
    };
    let sample = |name: &str| Sample {
        labels: labels(name, "", name),
        cluster: "".into(),
        own: Slots::default(),
        slots: None,
        container: None,
        raised: vec![Condition::Lag],
        prospect: Some(Arc::default()),
        status: Arc::new(status.clone()),
        dbs: vec![DbTotal::default()],
        totals: Vec::new(),
        sizes: Some(Sized::default()),
        commands: BTreeMap::new(),
        lives: Some(Lives::of(&analyzer::census::Expiries::new(0))),
    };
    let mut text = Text::new(String::new(), 0);
    write(&[sample("a:1"), sample("b:1")], &[], &mut text);
    text.body
}

#[test]
fn every_family_is_described_once_and_named_by_the_rules() {
    let body = scraped();
    let mut seen = std::collections::BTreeSet::new();
    let mut family = "";
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().expect("a name");
            assert!(seen.insert(family), "{family} is there twice");
            assert!(help.ends_with('.'), "{family} has no help");
            assert!(family.starts_with("keyscape_"));
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let counter = kind.ends_with(" counter");
            assert_eq!(counter, family.ends_with("_total"), "{family}");
        } else {
            assert!(line.starts_with(family), "{line} is not of {family}");
        }
    }
}

#[test]
fn a_link_is_in_exactly_one_state() {
    let body = scraped();
    let one = body.lines().filter(|line| {
        line.starts_with("keyscape_link_state{master=\"a:1\"") && line.ends_with(" 1")
    });
    let one: Vec<_> = one.collect();
    assert_eq!(
        one,
        ["keyscape_link_state{master=\"a:1\",state=\"failed\"} 1"]
    );
}

#[test]
fn label_values_are_escaped() {
    assert!(scraped().contains("cmd=\"foo.\\\"bar\"} 2\n"));
}

#[test]
fn series_beyond_the_cap_are_counted() {
    let mut text = Text::new(String::new(), 0);
    let mut family = text.family("keyscape_x", Kind::Gauge, "X.");
    for number in 0..super::super::text::SERIES_MAX + 7 {
        family.put(&[], number);
    }
    assert_eq!(text.truncated, 7);
}
