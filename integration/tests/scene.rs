//! What most tests begin with: a master with some data, and Keyscape on it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use integration::app::App;
use integration::chaos::{self, Stage};
use integration::driver::{Driver, Options};
use integration::fill::{self, Shape};
use integration::follow::Follow;
use integration::quiet::Quiet;
use integration::resp::{Client, Reply};
use integration::server::Server;
use integration::truth::{self, Report, Rules};
use integration::{campaign, servers, wait};

pub(crate) use integration::wait::PATIENCE;

/// The servers that every promise is tested on.
pub(crate) const MAIN: [&str; 3] = ["redis-7.0", "redis-8.0", "valkey-9.1"];

/// Reconnects at once.
pub(crate) const EAGER: &str = "[link]\nretry_min_ms = 20\nretry_max_ms = 200\n";

/// Starts a server of the matrix.
pub(crate) fn server(name: &str, options: &[(&str, &str)]) -> Server {
    let install = servers::get(name).expect("the server can be had");
    Server::start(&install, options).expect("the server starts")
}

/// Starts a server and writes some keys of all types to it.
pub(crate) fn server_with_data(name: &str, options: &[(&str, &str)]) -> Server {
    let server = server(name, options);
    let mut client = server.client().expect("connect");
    fill::fill(&mut client, Shape::Mixed, 2_000).expect("fill");
    let mut driver = Driver::attach(&server, &Options::default()).expect("attach the driver");
    driver.run(2_000).expect("write");
    server
}

/// Starts a server with keys of all types that nothing changes and nothing lets expire soon.
pub(crate) fn quiet_server(name: &str) -> Server {
    let server = server(name, &[]);
    let mut client = server.client().expect("connect");
    fill::fill(&mut client, Shape::Mixed, 3_000).expect("fill");
    server
}

/// Starts Keyscape on a master and waits until it is synced.
pub(crate) fn follow(server: &Server, config: &str) -> App {
    let app = App::start(&[server.url()], config).expect("keyscape starts");
    app.wait_synced(PATIENCE).expect("keyscape syncs");
    app
}

/// KS.NODES as a table.
pub(crate) fn nodes(app: &App) -> String {
    let reply = app
        .client()
        .and_then(|mut client| client.ask(&["KS.NODES", "FORMAT", "TEXT"]));
    let reply = reply.expect("KS.NODES");
    let lines: Vec<String> = reply.items().iter().map(Reply::string).collect();
    reply.string() + &lines.join("\n")
}

/// Waits until a line of KS.NODES about that node has the word.
pub(crate) fn expect_told(app: &App, node: &str, word: &str) {
    wait::for_true(PATIENCE, "a word in KS.NODES", || {
        let text = nodes(app).to_lowercase();
        let mut lines = text.lines().filter(|line| line.contains(node));
        Ok(lines.any(|line| line.contains(word)))
    })
    .unwrap_or_else(|error| panic!("{word}: {error:#}\n{}\n{}", nodes(app), app.log_tail()));
}

/// Waits until so many masters are synced.
pub(crate) fn wait_synced(app: &App, count: usize) {
    wait::for_true(PATIENCE, "masters to be synced", || {
        let synced = app.followed()?.into_iter().filter(|f| f.state == "synced");
        Ok(synced.count() == count)
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}\n{}", nodes(app), app.log_tail()));
}

/// Waits until Keyscape stands where the master stands and is sure of every key.
pub(crate) fn settle(server: &Server, app: &App) {
    let mut control = server.client().expect("connect");
    wait::for_true(PATIENCE, "the offsets to meet", || {
        let theirs: i64 = control.info("replication", "master_repl_offset")?.parse()?;
        let status = app.status()?;
        Ok(status.offset == theirs && status.synced && status.inexact + status.unverified == 0)
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}\n{:?}", app.log_tail(), app.status()));
}

/// Every name, type, length and expiry must be the same on both sides.
pub(crate) fn expect_equal(server: &Server, app: &App) {
    let mut control = server.client().expect("connect");
    control
        .ask(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"])
        .expect("DEBUG");
    truth::read(&mut control).expect("settle");
    settle(server, app);
    let theirs = truth::read(&mut control).expect("read the master");
    settle(server, app);
    let ours = truth::read(&mut app.client().expect("connect")).expect("read keyscape");
    control
        .ask(&["DEBUG", "SET-ACTIVE-EXPIRE", "1"])
        .expect("DEBUG");
    let report = truth::compare(&theirs, &ours, &Rules::default());
    expect_no_mismatch(&report, 1, &app.log_tail());
}

/// Waits until Keyscape stands where these masters stand, and compares all that it says of them.
pub(crate) fn expect_equal_all(app: &App, masters: &[SocketAddr], databases: u32, keys_min: u64) {
    let quiet = Quiet {
        app,
        masters,
        reached: &BTreeMap::new(),
        databases,
        rules: &Rules::default(),
        follow: Follow::Master,
        patience: PATIENCE,
    };
    let found = quiet.compare().expect("a quiescent point");
    expect_no_mismatch(&found.report, keys_min, &app.log_tail());
}

fn expect_no_mismatch(report: &Report, keys_min: u64, told: &str) {
    let mismatches = report.mismatches.iter();
    let shown: Vec<String> = mismatches.take(10).map(ToString::to_string).collect();
    assert!(
        shown.is_empty(),
        "{} mismatches: {}\n{told}",
        report.mismatches.len(),
        shown.join("\n")
    );
    assert!(report.keys >= keys_min, "only {} keys: {told}", report.keys);
}

/// A short form of `cargo chaos`: nothing may differ, and what must never happen did not.
pub(crate) fn some_chaos<S: Stage>(stage: S, writer: S::Writer, options: chaos::Options) {
    let mut said = Vec::new();
    let outcome = chaos::run(stage, writer, options, &mut |line| said.push(line));
    let outcome = outcome.unwrap_or_else(|error| panic!("{error:#}\n{}", said.join("\n")));
    expect_no_mismatch(&outcome.report, 1_000, &said.join("\n"));
    let violations = &outcome.violations;
    assert!(violations.is_empty(), "{violations:?}\n{}", said.join("\n"));
    assert!(outcome.total() >= 2, "{}", said.join("\n"));
}

/// Sets a key through a client and returns the reply as text.
pub(crate) fn set(client: &mut Client, key: &str) -> String {
    client
        .call(&["SET", key, "value"])
        .expect("SET is answered")
        .string()
}

/// A short campaign of the driver on one server, which must end without a difference.
pub(crate) fn campaign(name: &str, options: &campaign::Options) {
    let install = servers::get(name).expect("the server can be had");
    let mut said = Vec::new();
    let outcome = campaign::run(&install, options, &mut |line| said.push(line));
    let outcome = outcome.unwrap_or_else(|error| panic!("{error:#}\n{}", said.join("\n")));
    let said = format!("seed {}: {}", options.seed, said.join("\n"));
    expect_no_mismatch(&outcome.report, options.preload + 1, &said);
}

/// Runs a campaign on a deployment: nothing may differ, and enough must have been compared.
pub(crate) fn campaign_outcome(
    run: impl FnOnce(&mut dyn FnMut(String)) -> anyhow::Result<campaign::Outcome>,
    keys_min: u64,
) {
    let mut said = Vec::new();
    let outcome = run(&mut |line| said.push(line));
    let outcome = outcome.unwrap_or_else(|error| panic!("{error:#}\n{}", said.join("\n")));
    expect_no_mismatch(&outcome.report, keys_min, &said.join("\n"));
}
