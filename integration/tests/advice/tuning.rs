//! What the configuration makes of rules, and MEMORY DOCTOR.

use integration::app::App;

use super::ward::{self, Ward};

fn ask(app: &App, words: &[&str]) -> String {
    let reply = app.client().expect("a connection").ask(words);
    reply.expect("an answer").string()
}

#[test]
fn rules_are_silenced_with_a_reason_and_graded() {
    const TUNED: &str = "[advice.severities]\nALR-02 = 'low'\n\
        [[advice.silence]]\nrule = 'SEC-01'\nreason = 'a lab'\n\
        [[advice.silence]]\nrule = 'EVI-01'\nreason = 'elsewhere'\nmaster = '10.0.0.1:6379'\n";
    let mut ward = Ward::start("valkey-9.1", TUNED);
    assert_eq!(ward.holds("ALR-02")["severity"], "low");
    ward.holds("EVI-01");
    // What the server was not asked yet silences nothing.
    ward::quiet_but_silenced(&ward.app, "SEC-01");
    let text = ask(&ward.app, &["KS.ADVISE", "SILENCED", "FORMAT", "JSON"]);
    let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let rows = told["silenced"].as_array().expect("a table");
    let row = rows.iter().find(|row| row["rule"] == "SEC-01");
    let row = row.unwrap_or_else(|| panic!("{told:#}"));
    assert_eq!(
        (&row["reason"], &row["findings"]),
        (&"a lab".into(), &1.into())
    );
    assert!(!rows.iter().any(|row| row["rule"] == "EVI-01"), "{told:#}");
    assert_eq!(told["findings"], serde_json::Value::Null);
}

#[test]
fn the_doctor_speaks_to_people() {
    let mut ward = Ward::start("redis-7.0", "");
    ward.run(&["SET user:a@example.com x"]);
    ward.holds("SEC-04");
    ward.holds("SEC-01");
    let text = ask(&ward.app, &["MEMORY", "DOCTOR"]);
    for part in [
        "1 keys take ",
        "1. No password on ",
        "(critical, SEC-01)",
        "> ACL SETUSER",
        "See proxy/ADVICE.md#sec-01.",
        "rules cannot be told here",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("a@example.com"), "{text}");
}

/// No server tells what its container may take: its machine would be far too much.
#[test]
fn the_containers_limit_is_what_memory_is_measured_by() {
    let mut ward = Ward::start("redis-8.0", "[container]\nlimit = '512MiB'\n");
    ward.holds("EVI-01");
    let told = ask(
        &ward.app,
        &["KS.ADVISE", "RULE", "EVI-01", "FORMAT", "JSON"],
    );
    assert!(told.contains("CONFIG SET maxmemory 402653184"), "{told}");
    ward.run(&["CONFIG SET maxmemory 100mb"]);
    ward.quiet("EVI-01");
    ward.quiet("EVI-02");
    ward.run(&["CONFIG SET maxmemory 600mb"]);
    ward.holds("EVI-02");
}
