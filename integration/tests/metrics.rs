//! /metrics as Prometheus's own tools see it, and the health paths.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

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
