//! A server that rules about servers are tried on: what it tells is asked anew for each answer, so a
//! state is waited for rather than surveyed.

use anyhow::{Context, Result};
use integration::app::App;
use integration::resp::{Client, encode};
use integration::server::Server;
use integration::servers;
use integration::wait::{self, PATIENCE};
use serde_json::Value;

use super::paste;

/// Syncs begin at once, surveys follow each other, and nothing of the configuration is protected.
const OPTIONS: [(&str, &str); 4] = [
    ("repl-diskless-sync-delay", "0"),
    ("repl-diskless-sync", "yes"),
    ("enable-protected-configs", "yes"),
    ("repl-ping-replica-period", "1"),
];

/// The server, Keyscape, and a connection to each.
pub(super) struct Ward {
    pub(super) name: &'static str,
    pub(super) server: Server,
    pub(super) client: Client,
    pub(super) app: App,
}

impl Ward {
    /// `limits` are lines of the section `[advice]` and behind it.
    pub(super) fn start(name: &'static str, limits: &str) -> Ward {
        Ward::start_with(name, &[], limits)
    }

    pub(super) fn start_with(name: &'static str, options: &[(&str, &str)], limits: &str) -> Ward {
        let options: Vec<_> = OPTIONS.iter().chain(options).copied().collect();
        Ward::start_plain(name, &options, limits)
    }

    /// With these options alone.
    pub(super) fn start_plain(name: &'static str, options: &[(&str, &str)], limits: &str) -> Ward {
        let install = servers::get(name).expect("a server");
        let server = Server::start(&install, options).expect("a server");
        let app = follow(&server.url(), limits);
        Ward {
            name,
            client: server.client().expect("a connection"),
            server,
            app,
        }
    }

    /// Another server of the same kind, as its replica.
    pub(super) fn replica(&self, options: &[(&str, &str)]) -> Server {
        let options: Vec<_> = OPTIONS.iter().chain(options).copied().collect();
        let replica = Server::start(&self.server.install, &options).expect("a server");
        let (ip, port) = (self.server.addr.ip(), self.server.addr.port());
        let mut client = replica.client().expect("a connection");
        let words = ["REPLICAOF", &ip.to_string(), &port.to_string()];
        client.ask(&words).expect("REPLICAOF");
        wait::for_true(PATIENCE, "the replica's link", || {
            Ok(client.info("replication", "master_link_status")? == "up")
        })
        .expect("a link");
        replica
    }

    /// Runs lines of words; none may fail.
    pub(super) fn run(&mut self, lines: &[&str]) {
        for line in lines {
            let words = words(line);
            let reply = self.client.ask(&words).expect("a reply");
            assert!(!reply.is_error(), "{}: {line}: {reply:?}", self.name);
        }
    }

    /// Waits until Keyscape stands where the server stands.
    pub(super) fn settle(&mut self) {
        let (client, app) = (&mut self.client, &self.app);
        wait::for_true(PATIENCE, "the offsets to meet", || {
            let theirs: i64 = client.info("replication", "master_repl_offset")?.parse()?;
            Ok(app.status()?.offset == theirs)
        })
        .unwrap_or_else(|error| panic!("{error:#}\n{}", app.log_tail()));
    }

    /// Begins a save, once the one that may be running is over.
    pub(super) fn save(&mut self) {
        let client = &mut self.client;
        let save = || Ok(!client.call(&["BGSAVE"])?.is_error());
        wait::for_true(PATIENCE, "a save to begin", save).expect("BGSAVE");
    }

    /// Sends a line, and does not wait for its reply.
    pub(super) fn begin(&mut self, line: &str) {
        let mut bytes = Vec::new();
        encode(&mut bytes, &words(line));
        self.client.push_raw(&bytes);
        self.client.flush().expect("a connection");
    }

    /// The rule comes to hold; gives its finding.
    pub(super) fn holds(&mut self, rule: &str) -> Value {
        let (advice, finding) = told(&self.app, rule, || ());
        paste::can_be_pasted(&mut self.client, &advice);
        finding
    }

    /// As [`Ward::holds`], for what is counted over a while only: it is made again and again, for a
    /// slow machine may let it pass before anybody looks.
    pub(super) fn holds_after(&mut self, rule: &str, mut make: impl FnMut(&mut Ward)) -> Value {
        let mut last = Value::Null;
        let result = wait::for_true(PATIENCE, "the rule to hold", || {
            make(self);
            last = advice(&self.app, rule)?;
            Ok(!rows(&last, "findings").is_empty())
        });
        found(&self.app, rule, (result, &last))
    }

    /// The rule comes to be decided, and not to hold.
    pub(super) fn quiet(&self, rule: &str) {
        quiet(&self.app, rule);
    }
}

/// Words apart by blanks; `''` is an empty one, and `_` within quotes a blank.
fn words(line: &str) -> Vec<String> {
    let word = |word: &str| match word.strip_prefix('\'') {
        Some(quoted) => quoted.trim_end_matches('\'').replace('_', " "),
        None => word.to_owned(),
    };
    line.split(' ').map(word).collect()
}

/// Keyscape beside a source, synced.
pub(super) fn follow(url: &str, limits: &str) -> App {
    let config = format!("[advice]\nsurvey_every_ms = 100\n{limits}");
    let app = App::start(&[url.to_owned()], &config).expect("Keyscape");
    app.wait_synced(PATIENCE).expect("a sync");
    app
}

fn advice(app: &App, rule: &str) -> Result<Value> {
    let reply = app
        .client()?
        .ask(&["KS.ADVISE", "RULE", rule, "FORMAT", "JSON"])?;
    let text = reply.string();
    serde_json::from_str(&text).with_context(|| text.clone())
}

fn rows<'a>(advice: &'a Value, table: &str) -> &'a [Value] {
    advice[table].as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn holds(app: &App, rule: &str) -> Value {
    holds_after(app, rule, || ())
}

/// As [`Ward::holds_after`].
pub(super) fn holds_after(app: &App, rule: &str, make: impl FnMut()) -> Value {
    told(app, rule, make).1
}

/// The answer with the finding, and that.
fn told(app: &App, rule: &str, mut make: impl FnMut()) -> (Value, Value) {
    let mut last = Value::Null;
    let result = wait::for_true(PATIENCE, "the rule to hold", || {
        make();
        last = advice(app, rule)?;
        Ok(!rows(&last, "findings").is_empty())
    });
    let finding = found(app, rule, (result, &last));
    (last, finding)
}

/// The finding of the answer that was waited for, with what belongs to it.
fn found(app: &App, rule: &str, (waited, advice): (Result<()>, &Value)) -> Value {
    waited.unwrap_or_else(|error| panic!("{rule}: {error:#}: {advice:#}\n{}", app.log_tail()));
    let finding = rows(advice, "findings")[0].clone();
    assert_eq!(finding["rule"], rule, "{advice:#}");
    assert!(!rows(advice, "evidence").is_empty(), "{advice:#}");
    assert!(!rows(advice, "remedy").is_empty(), "{advice:#}");
    finding
}

pub(super) fn quiet(app: &App, rule: &str) {
    let mut last = Value::Null;
    let result = wait::for_true(PATIENCE, "the rule not to hold", || {
        last = advice(app, rule)?;
        let tables = ["findings", "undecided", "silenced"];
        let answered = !rows(&last, "survey").is_empty();
        Ok(answered && tables.iter().all(|table| rows(&last, table).is_empty()))
    });
    result.unwrap_or_else(|error| panic!("{rule}: {error:#}: {last:#}\n{}", app.log_tail()));
}

/// The rule would hold, and its findings are not wanted.
pub(super) fn quiet_but_silenced(app: &App, rule: &str) {
    let mut last = Value::Null;
    let result = wait::for_true(PATIENCE, "the rule to be silenced", || {
        last = advice(app, rule)?;
        Ok(rows(&last, "silenced").len() == 1)
    });
    result.unwrap_or_else(|error| panic!("{rule}: {error:#}: {last:#}"));
    assert_eq!(rows(&last, "findings").len(), 0, "{last:#}");
}

/// The rule comes to be one that cannot be told, for that reason; what the server was not asked yet
/// is another.
pub(super) fn undecided(app: &App, rule: &str, why: &str) {
    let mut last = Value::Null;
    let result = wait::for_true(PATIENCE, "the rule to be undecided", || {
        last = advice(app, rule)?;
        let told = rows(&last, "undecided").first();
        let told = told.and_then(|row| row["why"].as_str());
        Ok(told.is_some_and(|told| told.contains(why)))
    });
    result.unwrap_or_else(|error| panic!("{rule}: no {why:?}: {error:#}: {last:#}"));
}
