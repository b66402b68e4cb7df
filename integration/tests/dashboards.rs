//! The dashboards of `configs/grafana`, against a real Prometheus: each expression of each panel must
//! be answered with data.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use integration::child::Running;
use integration::cluster::writer::ClusterWriter;
use integration::cluster::{Cluster, Shape};
use integration::driver::{Driver, Options};
use integration::server::{Server, free_addr};
use integration::{app::App, http, servers, wait};
use serde_json::Value;

use crate::scene::{self, PATIENCE};

const BOARDS: [&str; 3] = ["fleet", "keyspace", "master"];

fn board(name: &str) -> Value {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/grafana");
    let text = fs::read_to_string(dir.join(format!("{name}.json"))).expect("the dashboard");
    serde_json::from_str(&text).expect("JSON")
}

fn panels(board: &Value) -> Vec<&Value> {
    let all = board["panels"].as_array().expect("panels").iter();
    all.collect()
}

/// Title and expression of every target.
fn expressions(board: &Value) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for panel in panels(board) {
        let title = panel["title"].as_str().expect("a title");
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expr = target["expr"].as_str().expect("an expression");
            all.push((title.to_owned(), expr.to_owned()));
        }
    }
    all
}

#[test]
fn dashboards_are_whole() {
    let mut uids = BTreeSet::new();
    for name in BOARDS {
        let board = board(name);
        assert!(uids.insert(board["uid"].as_str().expect("a uid").to_owned()));
        let variables = board["templating"]["list"].as_array().expect("variables");
        assert_eq!(variables[0]["type"], "datasource", "{name}");
        let mut ids = BTreeSet::new();
        let mut group = None;
        for panel in panels(&board) {
            let title = panel["title"].as_str().expect("a title");
            assert!(ids.insert(panel["id"].as_u64()), "{name}: {title}");
            if panel["type"] == "row" {
                group = Some(title);
                continue;
            }
            assert!(group.is_some(), "{name}: {title} is in no group");
            let unit = &panel["fieldConfig"]["defaults"]["unit"];
            assert!(unit.is_string(), "{name}: {title} has no unit");
            assert_eq!(
                panel["datasource"]["uid"], "${datasource}",
                "{name}: {title}"
            );
            let at = &panel["gridPos"];
            let right = at["x"].as_u64().zip(at["w"].as_u64());
            assert!(right.is_some_and(|(x, w)| x + w <= 24), "{name}: {title}");
        }
        assert!(expressions(&board).len() >= 20, "{name}");
    }
}

/// A load that goes on until it is dropped.
struct Load {
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn on(server: &Server, cluster: &Cluster) -> Load {
        let ends = Arc::new(AtomicBool::new(false));
        let mut driver = Driver::attach(server, &Options::default()).expect("attach");
        let seeds: Vec<SocketAddr> = cluster.nodes.iter().map(|node| node.addr).collect();
        let mut writer = ClusterWriter::new(&cluster.install, &seeds, 5).expect("a writer");
        let (one, other) = (ends.clone(), ends.clone());
        let single = thread::spawn(move || {
            while !one.load(Ordering::Relaxed) && driver.run(100).is_ok() {
                thread::sleep(Duration::from_millis(100));
            }
        });
        let clustered = thread::spawn(move || {
            while !other.load(Ordering::Relaxed) {
                writer.run(100);
                thread::sleep(Duration::from_millis(100));
            }
        });
        Load {
            ends,
            threads: vec![single, clustered],
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // Its panic is told already.
            let _ = thread.join();
        }
    }
}

/// A Prometheus that scrapes every few seconds: a scrape may take as long, and a busy machine needs it.
struct Prometheus {
    web: SocketAddr,
    _child: Running,
    _dir: tempfile::TempDir,
}

impl Prometheus {
    fn of(app: &App) -> Prometheus {
        let dir = tempfile::tempdir().expect("a directory");
        let config = dir.path().join("prometheus.yml");
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/prometheus/alerts.yml");
        let rules = rules.canonicalize().expect("the rules");
        let text = format!(
            "global:\n  scrape_interval: 5s\n  evaluation_interval: 5s\n\
             rule_files: ['{}']\nscrape_configs:\n- job_name: keyscape\n  \
             static_configs:\n  - targets: ['{}']\n",
            rules.display(),
            app.http
        );
        fs::write(&config, text).expect("write");
        let web = free_addr().expect("a port");
        let mut command = servers::tool("prometheus").expect("prometheus can be had");
        let data = dir.path().join("data");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address={web}"))
            .current_dir(dir.path());
        Prometheus {
            web,
            _child: Running::start(&mut command).expect("prometheus starts"),
            _dir: dir,
        }
    }

    /// The rows that an expression is answered with.
    fn query(&self, expr: &str) -> Result<Vec<Value>> {
        let path = format!("/api/v1/query?query={}", escaped(expr));
        let (_, body) = http::get(self.web, &path)?;
        let mut answer: Value = serde_json::from_str(&body).context("the answer is no JSON")?;
        if answer["status"] != "success" {
            bail!("{expr}: {}", answer["error"]);
        }
        let rows = answer["data"]["result"].as_array_mut();
        Ok(std::mem::take(rows.context("no rows")?))
    }
}

fn escaped(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Variables as Grafana fills them in.
fn filled(expr: &str, master: &str) -> String {
    expr.replace("=~\"$cluster\"", "=~\".*\"")
        .replace("=~\"$master\"", "=~\".*\"")
        .replace("\"$master\"", &format!("\"{master}\""))
        .replace("$__rate_interval", "60s")
}

#[test]
fn every_expression_returns_data() {
    let server = scene::server_with_data("redis-7.0", &[]);
    let install = servers::get("valkey-9.1").expect("the server can be had");
    let cluster = Cluster::start(&install, Shape::USUAL, &[]).expect("the cluster starts");
    let load = Load::on(&server, &cluster);
    let sources = [server.url(), cluster.url() + "#shop"];
    let limit = "[container]\nlimit = \"64GiB\"\n";
    let app = App::start(&sources, limit).expect("keyscape starts");
    scene::wait_synced(&app, 4);
    let prometheus = Prometheus::of(&app);
    let master = server.addr.to_string();
    let mut open = Vec::new();
    for name in BOARDS {
        for (title, expr) in expressions(&board(name)) {
            assert!(!filled(&expr, &master).contains('$'), "{name}: {expr}");
            open.push((name, title, filled(&expr, &master)));
        }
    }
    let asked = open.len();
    let done = wait::for_true(PATIENCE, "data for every panel", || {
        let mut left = Vec::new();
        for (name, title, expr) in open.drain(..) {
            // Before the first scrape nobody answers; a wrong expression never gets an answer.
            match prometheus.query(&expr) {
                Ok(rows) if !rows.is_empty() => {}
                Ok(_) | Err(_) => left.push((name, title, expr)),
            }
        }
        open = left;
        Ok(open.is_empty())
    });
    let why = |expr: &str| prometheus.query(expr).err();
    let left: Vec<_> = open.iter().map(|(_, _, expr)| (expr, why(expr))).collect();
    assert!(
        done.is_ok(),
        "of {asked} without data: {left:#?}\n{}",
        app.log_tail()
    );
    // Rules are evaluated by the same Prometheus without an error.
    let (_, rules) = http::get(prometheus.web, "/api/v1/rules").expect("the rules");
    assert!(rules.contains("KeyscapeLinkDown"), "{rules}");
    assert!(!rules.contains("\"health\":\"err\""), "{rules}");
    drop(load);
}
