//! A server with Keyscape beside it, brought from state to state.

use std::time::Duration;

use anyhow::{Context, Result};
use integration::app::App;
use integration::resp::Client;
use integration::server::Server;
use integration::{servers, wait};
use serde_json::Value;

/// Surveys follow each other at once.
const CONFIG: &str = "[advice]\nsurvey_every_ms = 100\n";

const LIMIT: Duration = Duration::from_secs(60);

/// A server, Keyscape, and a connection to each.
pub(super) struct Bench {
    pub(super) name: &'static str,
    _server: Server,
    pub(super) client: Client,
    pub(super) app: App,
}

impl Bench {
    pub(super) fn start(name: &'static str) -> Result<Bench> {
        let server = Server::start(&servers::get(name)?, &[("enable-debug-command", "yes")])?;
        let client = server.client()?;
        let app = App::start(&[format!("redis://{}", server.addr)], CONFIG)?;
        app.wait_synced(LIMIT)?;
        Ok(Bench {
            name,
            _server: server,
            client,
            app,
        })
    }

    /// Runs lines of words; none may fail.
    pub(super) fn run(&mut self, lines: &[&str]) {
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let reply = self.client.ask(&words).expect("a reply");
            assert!(!reply.is_error(), "{}: {line}: {reply:?}", self.name);
        }
    }

    /// What a rule says of the state as it is now.
    pub(super) fn advice(&mut self, rule: &str) -> Value {
        self.judged(rule).expect("an answer")
    }

    fn judged(&mut self, rule: &str) -> Result<Value> {
        let info = self.client.ask(&["INFO", "replication"])?.string();
        let offset = integration::resp::field_of(&info, "master_repl_offset");
        let offset: u64 = offset.context("an offset")?.parse()?;
        let began = std::time::Instant::now();
        let mut app = self.app.client()?;
        let mut found = Value::Null;
        wait::for_true(LIMIT, "a survey of this state", || {
            let reply = app.ask(&["KS.ADVISE", "RULE", rule, "FORMAT", "JSON"])?;
            let text = reply.string();
            let answer: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
            let row = &answer["survey"][0];
            let from = row["offset_from"].as_u64().unwrap_or(0);
            let told = row["server_age_ms"].as_u64().unwrap_or(u64::MAX);
            found = answer.clone();
            let since = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let needs = answer["about"]["needs"].as_str().unwrap_or("");
            let asks = ["config", "info", "acl"]
                .iter()
                .any(|word| needs.contains(word));
            Ok(from >= offset && (told < since || !asks))
        })?;
        Ok(found)
    }

    /// The rule must hold; gives its finding.
    pub(super) fn found(&mut self, rule: &str) -> Value {
        let advice = self.advice(rule);
        let finding = advice["findings"][0].clone();
        assert_eq!(finding["rule"], rule, "{}: {advice:#}", self.name);
        assert!(
            !advice["remedy"].as_array().is_none_or(Vec::is_empty),
            "{advice:#}"
        );
        finding
    }

    /// The rule must be decided, and not hold.
    pub(super) fn quiet(&mut self, rule: &str) {
        let advice = self.advice(rule);
        for table in ["findings", "undecided", "silenced"] {
            let rows = advice[table].as_array().map_or(1, Vec::len);
            assert_eq!(rows, 0, "{} {rule} {table}: {advice:#}", self.name);
        }
    }
}

/// One line of `HSET`, `SADD` and their kind with many elements, made by `element`.
pub(super) fn many(head: &str, count: u32, element: impl Fn(u32) -> String) -> String {
    let elements: Vec<String> = (0..count).map(element).collect();
    format!("{head} {}", elements.join(" "))
}
