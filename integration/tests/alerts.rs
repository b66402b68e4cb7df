//! The rules of `configs/prometheus`: valid, tested, and about series that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use integration::servers;

use crate::scene;

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/prometheus")
}

fn rules() -> String {
    fs::read_to_string(dir().join("alerts.yml")).expect("the rules")
}

/// Runs promtool beside the rules; what it said, if it was content.
fn promtool(args: &[&str]) -> String {
    let mut promtool = servers::tool("promtool").expect("promtool can be had");
    promtool.args(args).current_dir(dir());
    let output = promtool.output().expect("promtool runs");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    said.into_owned()
}

/// The names behind a word, as often as it begins a line of the YAML.
fn named<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let lines = text
        .lines()
        .map(|line| line.trim().trim_start_matches("- "));
    lines
        .filter_map(|line| line.strip_prefix(word))
        .map(str::trim)
        .collect()
}

#[test]
fn promtool_accepts_the_rules_and_their_tests() {
    promtool(&["check", "rules", "alerts.yml"]);
    promtool(&["test", "rules", "alerts_test.yml"]);
}

#[test]
fn every_alert_is_tested_and_says_what_to_do() {
    let rules = rules();
    let alerts: BTreeSet<&str> = named(&rules, "alert:").into_iter().collect();
    assert!(alerts.len() >= 30, "{alerts:?}");
    for word in ["severity:", "summary:", "description:"] {
        assert_eq!(named(&rules, word).len(), alerts.len(), "{word}");
    }
    let tests = fs::read_to_string(dir().join("alerts_test.yml")).expect("the tests");
    let tested: BTreeSet<&str> = named(&tests, "alertname:").into_iter().collect();
    assert_eq!(alerts, tested);
}

/// 24 rows, each with an alert, or with the series that graph it.
#[test]
fn every_row_of_the_classic_table_is_there() {
    let rules = rules();
    for row in 1..=24 {
        let id = format!("ALR-{row:02}");
        assert!(rules.contains(&id), "{id} is missing");
    }
}

#[test]
fn rules_name_series_that_exist() {
    let server = scene::server("valkey-8.1", &[]);
    let app = scene::follow(&server, "");
    let (_, scraped) = app.get("/metrics").expect("a scrape");
    let mut wrong = BTreeSet::new();
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let rules = rules();
    for (at, _) in rules.match_indices("keyscape_") {
        let rest = &rules[at..];
        let name: &str = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
        // `keyscape_server_*` stands for a group of them.
        let known = scraped.contains(&format!("# TYPE {name} "))
            || (name.ends_with('_') && scraped.contains(&format!("# TYPE {name}")));
        if !known {
            wrong.insert(name.to_owned());
        }
    }
    assert!(wrong.is_empty(), "no such series: {wrong:?}");
}
