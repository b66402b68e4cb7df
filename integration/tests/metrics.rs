//! /metrics as Prometheus's own tools see it, and the health paths.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use integration::app::App;
use integration::child::Running;
use integration::server::free_addr;
use integration::{http, servers, wait};

use crate::scene::{self, PATIENCE};

#[test]
fn promtool_accepts_the_metrics() {
    let server = scene::server_with_data("redis-7.0", &[]);
    let app = scene::follow(&server, "");
    scene::settle(&server, &app);
    let (status, body) = app.get("/metrics").expect("GET /metrics");
    assert!(status.contains("200"), "{status}");
    assert!(body.contains("\nkeyscape_"), "{body}");
    let mut promtool: Command = servers::tool("promtool").expect("promtool can be had");
    promtool.args(["check", "metrics"]);
    promtool
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = promtool.spawn().expect("promtool starts");
    child
        .stdin
        .take()
        .expect("stdin")
        .write_all(body.as_bytes())
        .expect("feed promtool");
    let output = child.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// The sum of the series of a family whose labels have all of these.
fn sum(app: &App, family: &str, labels: &[&str]) -> u64 {
    let series = app.series(family).expect("a scrape");
    let own = series.iter();
    let own = own.filter(|(head, _)| labels.iter().all(|label| head.contains(label)));
    own.map(|(_, value)| *value).sum()
}

#[test]
fn counters_equal_what_was_written() {
    let server = scene::server("redis-7.0", &[]);
    let app = scene::follow(&server, "");
    let mut client = server.client().expect("connect");
    let mut write = |words: &[&str]| {
        client.ask(words).expect("a write");
    };
    for n in 0..300 {
        write(&["SET", &format!("user:{n}"), "value"]);
    }
    for n in 0..100 {
        write(&["SET", &format!("user:{n}"), "another value"]);
        write(&["RPUSH", &format!("queue:{n}:todo"), "item"]);
    }
    for n in 0..50 {
        write(&["DEL", &format!("user:{n}")]);
        write(&["LPOP", &format!("queue:{n}:todo")]);
    }
    let large = ["x".repeat(300_000), "y".repeat(200_000)];
    write(&["SET", "large:1", &large[0]]);
    write(&["HSET", "large:2", "field", &large[1]]);
    scene::settle(&server, &app);
    for (cmd, calls) in [
        ("SET", 401),
        ("RPUSH", 100),
        ("DEL", 50),
        ("LPOP", 50),
        ("HSET", 1),
    ] {
        let label = format!("cmd=\"{cmd}\"");
        let told = sum(&app, "keyscape_stream_commands_total", &[&label]);
        assert_eq!(told, calls, "{cmd}");
    }
    // Patterns are gathered every half minute.
    let writes = || sum(&app, "keyscape_pattern_writes_total", &[]);
    wait::for_true(PATIENCE, "all writes to be counted", || Ok(writes() == 602))
        .unwrap_or_else(|error| panic!("{error:#}: {}", writes()));
    let of = |family: &str, labels: &[&str]| sum(&app, family, labels);
    assert_eq!(of("keyscape_pattern_created_total", &[]), 402);
    let gone = |cause: &str| of("keyscape_pattern_deleted_total", &[cause]);
    assert_eq!(gone("cause=\"deleted\""), 50);
    assert_eq!(gone("cause=\"removed\""), 50);
    assert_eq!(gone("cause=\"expired\""), 0);
    for direction in ["direction=\"in\"", "direction=\"out\""] {
        let by_pattern = of("keyscape_pattern_bytes_total", &[direction]);
        assert_eq!(by_pattern, of("keyscape_key_bytes_total", &[direction]));
    }
    // What was written before the first count is in no pattern.
    let users = of("keyscape_pattern_writes_total", &["pattern=\"user:*\""]);
    assert!((1..=450).contains(&users), "{users}");
    assert_eq!(of("keyscape_patterns_overflowed", &[]), 0);
    let mut usage = |key: &str| {
        let reply = client.ask(&["MEMORY", "USAGE", key, "SAMPLES", "0"]);
        u64::try_from(reply.expect("a size").int().expect("a number")).expect("a size")
    };
    let top = |rank: &str, kind: &str| of("keyscape_top_key_bytes", &[rank, kind]);
    let (first, second) = (usage("large:1"), usage("large:2"));
    wait::for_true(PATIENCE, "the largest keys", || {
        let told = (
            top("rank=\"1\"", "type=\"string\""),
            top("rank=\"2\"", "type=\"hash\""),
        );
        Ok(told == (first, second))
    })
    .expect("their bytes");
    assert!(
        app.series("keyscape_top_key_bytes")
            .expect("a scrape")
            .len()
            <= 10
    );
}

#[test]
fn prometheus_scrapes_us() {
    let server = scene::server_with_data("valkey-9.1", &[]);
    let app = scene::follow(&server, "");
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("prometheus.yml");
    let text = format!(
        "global:\n  scrape_interval: 5s\nscrape_configs:\n- job_name: keyscape\n  \
         static_configs:\n  - targets: ['{}']\n",
        app.http
    );
    fs::write(&config, text).expect("write");
    let web = free_addr().expect("a port");
    let mut command = servers::tool("prometheus").expect("prometheus can be had");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!(
        "--storage.tsdb.path={}",
        dir.path().join("data").display()
    ));
    command
        .arg(format!("--web.listen-address={web}"))
        .current_dir(dir.path());
    let _prometheus = Running::start(&mut command).expect("prometheus starts");
    let value = |query: &str| http::get(web, &format!("/api/v1/query?query={query}"));
    wait::for_true(PATIENCE, "a scrape", || {
        let (_, body) = value("up%7Bjob=%22keyscape%22%7D")?;
        Ok(body.contains(",\"1\"]"))
    })
    .expect("up is 1");
    wait::for_true(PATIENCE, "our series", || {
        let (_, body) = value("count(%7B__name__=~%22keyscape_.%2A%22%7D)")?;
        Ok(body.contains("\"value\""))
    })
    .expect("series arrive");
}

#[test]
fn health_says_what_is() {
    let server = scene::server_with_data("redis-8.0", &[]);
    let app = scene::follow(&server, "");
    for path in ["/livez", "/readyz", "/synced"] {
        let (status, body) = app.get(path).expect("an answer");
        assert!(status.contains("200"), "{path}: {status} {body}");
    }
    drop(server);
    wait::for_true(PATIENCE, "the loss to show", || {
        Ok(app.get("/synced")?.0.contains("503"))
    })
    .expect("not synced any more");
    let (status, _) = app.get("/livez").expect("an answer");
    assert!(status.contains("200"), "{status}");
}
