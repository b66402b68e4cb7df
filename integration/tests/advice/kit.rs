//! A server with Keyscape beside it, brought from state to state.

use anyhow::{Context, Result};
use integration::app::App;
use integration::resp::Client;
use integration::server::Server;
use integration::servers;
use integration::wait::{self, PATIENCE};
use serde_json::Value;

use super::paste;

/// Surveys follow each other at once, and few keys are enough.
const CONFIG: &str = "[advice]\nsurvey_every_ms = 100\n\
    [advice.limits]\nMEM-01 = { keys = 1000 }\nMEM-09 = { keys = 1000 }\nMEM-11 = { keys = 1000 }\n\
    TTL-01 = { seconds = 1 }\nKEY-05 = { writes_per_s = 100 }\n";

/// A rule with a state in which it must not hold and one in which it must.
pub(super) struct Case {
    pub(super) rule: &'static str,
    /// Close to it, on an empty server.
    pub(super) near: &'static [&'static str],
    /// From there.
    pub(super) hit: &'static [&'static str],
}

impl Case {
    pub(super) const fn new(
        rule: &'static str,
        near: &'static [&'static str],
        hit: &'static [&'static str],
    ) -> Case {
        Case { rule, near, hit }
    }

    pub(super) fn check(&self, bench: &mut Bench) {
        bench.run(&["FLUSHALL"]);
        bench.run(self.near);
        bench.quiet(self.rule);
        bench.run(self.hit);
        bench.found(self.rule);
    }
}

/// A server, Keyscape, and a connection to each.
pub(super) struct Bench {
    pub(super) name: &'static str,
    server: Server,
    pub(super) client: Client,
    pub(super) app: App,
}

impl Bench {
    pub(super) fn start(name: &'static str) -> Result<Bench> {
        Bench::start_with(name, |_| {})
    }

    /// As [`Bench::start`], with a server that is prepared before Keyscape comes.
    pub(super) fn start_with(
        name: &'static str,
        prepare: impl FnOnce(&mut Client),
    ) -> Result<Bench> {
        Bench::start_tuned(name, "", prepare)
    }

    /// With a rule that is off by default.
    pub(super) fn start_enabled(name: &'static str, rule: &str) -> Result<Bench> {
        let enabled = format!("enable = ['{rule}']\n[advice.limits]\n");
        let config = CONFIG.replace("[advice.limits]\n", &enabled);
        Bench::start_on(name, &config, |_| {})
    }

    /// With more lines of `[advice.limits]`.
    pub(super) fn start_tuned(
        name: &'static str,
        limits: &str,
        prepare: impl FnOnce(&mut Client),
    ) -> Result<Bench> {
        Bench::start_on(name, &format!("{CONFIG}{limits}"), prepare)
    }

    fn start_on(
        name: &'static str,
        config: &str,
        prepare: impl FnOnce(&mut Client),
    ) -> Result<Bench> {
        let server = Server::start(&servers::get(name)?, &[("enable-debug-command", "yes")])?;
        let mut client = server.client()?;
        prepare(&mut client);
        let app = App::start(&[format!("redis://{}", server.addr)], config)?;
        app.wait_synced(PATIENCE)?;
        Ok(Bench {
            name,
            server,
            client,
            app,
        })
    }

    /// Runs lines of words, or of Lua behind `lua `; none may fail.
    pub(super) fn run(&mut self, lines: &[&str]) {
        for line in lines {
            let words: Vec<&str> = match line.strip_prefix("lua ") {
                Some(script) => vec!["EVAL", script, "0"],
                None => line.split(' ').collect(),
            };
            let reply = self.client.ask(&words).expect("a reply");
            assert!(!reply.is_error(), "{}: {line}: {reply:?}", self.name);
        }
    }

    /// Writes many commands, a thousand at once.
    pub(super) fn write(&mut self, times: u32, command: impl Fn(u32) -> Vec<String>) {
        let mut n = 0;
        while n < times {
            let until = times.min(n + 1000);
            let bytes = |words: Vec<String>| words.into_iter().map(String::into_bytes).collect();
            let batch: Vec<_> = (n..until).map(|n| bytes(command(n))).collect();
            self.client.pipeline(&batch).expect("replies");
            n = until;
        }
    }

    /// One more connection to the server.
    pub(super) fn another(&self) -> Client {
        self.server.client().expect("a connection")
    }

    /// What a rule says of the state as it is now.
    fn judged(&mut self, rule: &str) -> Result<Value> {
        let info = self.client.ask(&["INFO", "replication"])?.string();
        let offset = integration::resp::field_of(&info, "master_repl_offset");
        let offset: u64 = offset.context("an offset")?.parse()?;
        let began = std::time::Instant::now();
        let mut app = self.app.client()?;
        let mut found = Value::Null;
        wait::for_true(PATIENCE, "a survey of this state", || {
            let reply = app.ask(&["KS.ADVISE", "RULE", rule, "FORMAT", "JSON"])?;
            let text = reply.string();
            let answer: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
            let row = &answer["survey"][0];
            let Some(from) = row["offset_from"].as_u64() else {
                return Ok(false);
            };
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

    /// The rule must hold, at the latest when the server's configuration was asked for again (CONFIG
    /// SET is not replicated); gives its finding.
    pub(super) fn found(&mut self, rule: &str) -> Value {
        self.found_after(rule, |_| ())
    }

    /// As [`Bench::found`], for what is counted over a while only: it is made again and again, for a
    /// slow machine may let it pass before anybody looks.
    pub(super) fn found_after(&mut self, rule: &str, mut make: impl FnMut(&mut Bench)) -> Value {
        let mut advice = Value::Null;
        let told = wait::for_true(PATIENCE, "a finding", || {
            make(self);
            advice = self.judged(rule)?;
            Ok(advice["findings"][0]["rule"] == rule)
        });
        told.unwrap_or_else(|error| panic!("{} {rule}: {error:#}: {}", self.name, brief(&advice)));
        let finding = advice["findings"][0].clone();
        paste::can_be_pasted(&mut self.client, &advice);
        finding
    }

    /// None of them holds.
    pub(super) fn all_quiet(&mut self, rules: &[&str]) {
        rules.iter().for_each(|rule| self.quiet(rule));
    }

    /// As [`Bench::quiet`], when this is done again and again.
    pub(super) fn calms(&mut self, rule: &str, mut make: impl FnMut(&mut Bench)) {
        let mut advice = Value::Null;
        let decided = wait::for_true(PATIENCE, "the rule not to hold", || {
            make(self);
            advice = self.judged(rule)?;
            let tables = ["undecided", "findings", "silenced"];
            let is_empty = |table: &str| advice[table].as_array().is_some_and(Vec::is_empty);
            Ok(tables.into_iter().all(is_empty))
        });
        decided
            .unwrap_or_else(|error| panic!("{} {rule}: {error:#}: {}", self.name, brief(&advice)));
    }

    /// The rule must come to be decided, and not to hold: some see growth first, and what a slow
    /// server told last it may have answered before its last change.
    pub(super) fn quiet(&mut self, rule: &str) {
        self.calms(rule, |_| ());
    }
}

/// What matters of an answer.
fn brief(advice: &Value) -> String {
    let tables = [
        "survey",
        "findings",
        "evidence",
        "undecided",
        "silenced",
        "notes",
    ];
    let shown = tables.map(|table| format!("{table}: {}", advice[table]));
    shown.join("\n")
}
