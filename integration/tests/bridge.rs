//! How much of what a server uses is explained: a short form of `cargo truth -- --facts bridge`, and
//! the places that show it.

use anyhow::{Context, Result};
use integration::app::App;
use integration::resp::field_of;
use integration::servers;
use integration::truth::bridge::{self, Mode, Options};
use integration::truth::keyspaces::Kind;
use integration::wait;
use serde_json::Value;

use crate::scene::{self, PATIENCE};

fn check(name: &str) {
    let install = servers::get(name).expect("the server can be had");
    let options = Options {
        keys: 40_000,
        kinds: vec![Kind::Mixed],
        lines: true,
    };
    for mode in Mode::ALL {
        let mut said = Vec::new();
        let found = bridge::run(&install, mode, &options, &mut |line| said.push(line));
        let found = found.expect("the campaign runs");
        let fine = found.len() == 1 && found.iter().all(|found| !found.misses());
        assert!(fine, "{mode:?} {found:?}: {}", said.join("\n"));
    }
}

#[test]
fn redis_6_0_is_explained() {
    check("redis-6.0");
}

#[test]
fn redis_7_0_is_explained() {
    check("redis-7.0");
}

#[test]
fn redis_8_0_is_explained() {
    check("redis-8.0");
}

#[test]
fn valkey_8_0_is_explained() {
    check("valkey-8.0");
}

#[test]
fn valkey_8_1_is_explained() {
    check("valkey-8.1");
}

#[test]
fn valkey_9_1_is_explained() {
    check("valkey-9.1");
}

/// What KS.SUMMARY MEMORY says, once a look at the server's memory is there.
fn summary(app: &App) -> Value {
    let mut ours = app.client().expect("connect");
    wait::until(PATIENCE, "a look at the memory", || {
        let text = ours.ask(&["KS.SUMMARY", "MEMORY", "FORMAT", "JSON"])?;
        let report: Value = serde_json::from_str(&text.string())?;
        Ok(report["memory"][0]["used_memory"]
            .is_u64()
            .then_some(report))
    })
    .expect("the master is looked at")
}

fn source_of_tables(report: &Value) -> String {
    let lines = report["lines"].as_array().expect("lines");
    let main = lines.iter().find(|line| line["line"] == "main_tables");
    let source = main.and_then(|line| line["source"].as_str());
    source.expect("a source").to_owned()
}

#[test]
fn metrics_and_info_say_what_the_report_says() {
    let server = scene::quiet_server("redis-7.0");
    let app = scene::follow(&server, "");
    let mut told = String::new();
    // A look at the memory may come between two of the answers, and not every look succeeds.
    wait::for_true(PATIENCE, "all three to say the same", || {
        let report = summary(&app);
        let (_, metrics) = app.get("/metrics")?;
        let info = app.client()?.ask(&["INFO", "keyscape"])?.string();
        told = format!("{report:#}\n{metrics}\n{info}");
        Ok(source_of_tables(&report) == "server" && say_the_same(&report, &metrics, &info)?)
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{told}"));
}

/// Whether they give the same bytes that are unexplained, and the same part of what is used.
fn say_the_same(report: &Value, metrics: &str, info: &str) -> Result<bool> {
    let number = |name: &str| report["memory"][0][name].as_i64().context("bytes");
    let (unexplained, used) = (number("unexplained")?, number("used_memory")?);
    let series = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.rsplit_once(' '));
        value.map(|(_, value)| value).context("a series")
    };
    let bytes = series("keyscape_unaccounted_bytes{")?;
    let ratio: f64 = series("keyscape_model_error_ratio{")?.parse()?;
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let expected = -(unexplained as f64) / used as f64;
    let master = field_of(info, "keyscape_master0").context("a master")?;
    let wanted = format!("unaccounted_bytes={unexplained}");
    let informed = master.split(',').any(|field| field == wanted);
    Ok(bytes == unexplained.to_string() && (ratio - expected).abs() < 1e-5 && informed)
}

/// Who may not ask MEMORY STATS gets the tables by formula.
#[test]
fn tables_are_computed_where_they_are_not_told() {
    for name in ["redis-7.0", "valkey-9.1"] {
        let server = scene::quiet_server(name);
        let mut control = server.client().expect("connect");
        let rule = ["ACL", "SETUSER", "keyscape", "on", ">secret", "~*", "+@all"];
        let rule = rule.into_iter().chain(["-memory|stats"]);
        control.ask(&rule.collect::<Vec<_>>()).expect("ACL SETUSER");
        let url = format!("redis://keyscape:secret@{}", server.addr);
        let app = App::start(&[url], "").expect("keyscape starts");
        app.wait_synced(PATIENCE).expect("keyscape syncs");
        let report = summary(&app);
        assert_eq!(source_of_tables(&report), "formula", "{name}: {report}");
        let ratio = report["memory"][0]["error_ratio"]
            .as_f64()
            .expect("a ratio");
        // The first look comes while the copy for us is still being freed.
        assert!(ratio.abs() < 0.1, "{name}: {report}");
    }
}
