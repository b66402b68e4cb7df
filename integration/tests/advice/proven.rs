//! Nobody adds a rule without a state in which it must hold and one in which it must not: both are
//! read off the calls in these files, all of which are made on real servers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use analyzer::advice::{Decide, rule, rules};

/// Calls that say that a rule holds, and that it does not. A `Case` is one of each.
const HOLDS: [&str; 5] = [
    "holds(",
    "holds_after(",
    "found(",
    "found_after(",
    "Case::new(",
];
const QUIET: [&str; 4] = ["quiet(", "all_quiet(", "calms(", "Case::new("];

/// The sources of these tests without comments.
fn sources() -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/advice");
    let files = fs::read_dir(dir).expect("the tests");
    let texts = files.map(|file| fs::read_to_string(file.expect("a file").path()).expect("a text"));
    let all: String = texts.collect();
    let lines = all.lines().map(str::trim);
    let lines = lines.filter(|line| !line.starts_with("//"));
    lines.collect::<Vec<_>>().join(" ")
}

/// The rules that are named in what is handed to these calls, up to the first bracket that closes.
fn named(text: &str, calls: &[&str]) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for call in calls {
        let ends = text.match_indices(call).map(|(at, _)| at + call.len());
        for end in ends {
            let arguments = text[end..].split(')').next().unwrap_or("");
            let quoted = arguments.split('"').skip(1).step_by(2);
            found.extend(quoted.filter_map(rule).map(|rule| rule.id));
        }
    }
    found
}

#[test]
fn every_rule_has_a_state_in_which_it_holds_and_one_in_which_it_does_not() {
    let text = sources();
    let can_hold = rules().filter(|rule| matches!(rule.decide, Decide::By(_)));
    let all: BTreeSet<&str> = can_hold.map(|rule| rule.id).collect();
    assert!(all.len() > 80, "{all:?}");
    for (what, calls) in [("hold", &HOLDS[..]), ("not hold", &QUIET[..])] {
        let proved = named(&text, calls);
        let missing: Vec<_> = all.difference(&proved).collect();
        assert!(
            missing.is_empty(),
            "no state in which these must {what}: {missing:?}"
        );
    }
}

#[test]
fn what_is_read_off_the_sources_is_what_they_say() {
    let text = "ward.holds(\"MEM-02\"); holds(&app, \"MEM-03\")[\"x\"]; Case::new( \"MEM-04\", &[ \
                \"CONFIG SET x\" ]; quiet(\"nothing\"); all_quiet(&[\"MEM-05\", \"MEM-06\"])";
    let holds: Vec<_> = named(text, &HOLDS).into_iter().collect();
    assert_eq!(holds, ["MEM-02", "MEM-03", "MEM-04"]);
    let quiet: Vec<_> = named(text, &QUIET).into_iter().collect();
    assert_eq!(quiet, ["MEM-04", "MEM-05", "MEM-06"]);
}
