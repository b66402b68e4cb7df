//! Events on the admin port, as a real redis-cli hears them, and in the log.

mod conditions;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use integration::app::App;
use integration::child::Running;
use integration::resp::{Client, Reply};
use integration::servers::{self, Program};
use integration::wait;
use serde_json::Value;

use crate::scene::{self, PATIENCE};

/// Keys are big early, and growth is told of at once.
const WATCH: &str = "[link]\nretry_min_ms = 20\nretry_max_ms = 200\n[watch]\n\
    bigkey_bytes = 4000\nbigkey_elements = 50\ngrowth_bytes_per_s = 100000\n";

/// A redis-cli that subscribes, and what it has printed.
struct Subscriber {
    _cli: Running,
    _dir: tempfile::TempDir,
    file: PathBuf,
}

impl Subscriber {
    fn start(app: &App, args: &[&str]) -> Subscriber {
        let install = servers::get("redis-8.0").expect("the server can be had");
        let launcher = install.client_launcher(Program::Cli).expect("redis-cli");
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("heard");
        let port = app.admin.port().to_string();
        let mut command = Command::new("sh");
        // The shell gives redis-cli an output that can be read while it runs.
        command
            .args(["-c", "out=$1; shift; exec \"$@\" > \"$out\"", "sh"])
            .arg(&file)
            .arg(launcher)
            .args(["-p", &port])
            .args(args);
        File::create(&file).expect("a file");
        let cli = Running::start(&mut command).expect("redis-cli starts");
        let subscriber = Subscriber {
            _cli: cli,
            _dir: dir,
            file,
        };
        subscriber.wait_for("the subscription", |text| text.contains("subscribe"));
        subscriber
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.file).expect("what it printed")
    }

    fn wait_for(&self, what: &str, holds: impl Fn(&str) -> bool) {
        self.wait_while(what, |text| !holds(text), || {});
    }

    /// Does something again and again, until what it printed is otherwise.
    fn wait_while(&self, what: &str, lacks: impl Fn(&str) -> bool, mut act: impl FnMut()) {
        wait::for_true(PATIENCE, what, || {
            act();
            Ok(!lacks(&self.text()))
        })
        .unwrap_or_else(|error| panic!("{error:#}: {}", self.text()));
    }

    /// Every JSON object that it printed, however the line around it looks.
    fn heard(&self) -> Vec<Value> {
        let text = self.text();
        let objects = text.lines().filter_map(|line| {
            let from = line.find("{\"")?;
            serde_json::from_str(line.get(from..)?).ok()
        });
        objects.collect()
    }

    /// Whether an event was heard that has these facts.
    fn has(&self, facts: &[(&str, Value)]) -> bool {
        self.heard().iter().any(|event| fits(event, facts))
    }

    /// Waits for an event that has these facts, and returns it.
    fn expect(&self, facts: &[(&str, Value)]) -> Value {
        self.wait_for(&format!("{facts:?}"), |_| self.has(facts));
        let mut heard = self.heard().into_iter();
        heard
            .find(|event| fits(event, facts))
            .expect("it was there")
    }
}

fn fits(event: &Value, facts: &[(&str, Value)]) -> bool {
    facts.iter().all(|(name, fact)| event[*name] == *fact)
}

#[test]
fn redis_cli_hears_of_big_keys_and_growth() {
    let server = scene::server("redis-7.0", &[]);
    let app = scene::follow(&server, WATCH);
    let all = Subscriber::start(&app, &["PSUBSCRIBE", "ks.*"]);
    let big = Subscriber::start(&app, &["-3", "SUBSCRIBE", "ks.bigkey"]);
    let mut client = server.client().expect("connect");
    let small = "x".repeat(100);
    scene::set(&mut client, "small");
    client.ask(&["RPUSH", "list", &small]).expect("RPUSH");
    let large = "x".repeat(5000);
    client.ask(&["SET", "large\u{1}", &large]).expect("SET");
    client.ask(&["SET", "large\u{1}", &large]).expect("SET");
    let told = all.expect(&[("event", "bigkey".into())]);
    // A name that is not printable is escaped as redis-cli does it.
    assert_eq!(told["key"], "\"large\\x01\"", "{told}");
    assert_eq!(told["type"], "string");
    assert_eq!(told["bytes_before"], 0);
    let usage = client
        .ask(&["MEMORY", "USAGE", "large\u{1}"])
        .expect("MEMORY");
    assert_eq!(told["bytes"].as_i64(), integer(&usage));
    assert_eq!(told["master"], server.addr.to_string());
    let fields: Vec<String> = (0..100).map(|n| format!("f{n}")).collect();
    let mut sadd = vec!["SADD", "set"];
    sadd.extend(fields.iter().map(String::as_str));
    client.ask(&sadd).expect("SADD");
    let told = big.expect(&[("key", "set".into())]);
    assert_eq!((&told["elements"], &told["db"]), (&100.into(), &0.into()));
    assert_eq!(big.heard().len(), 2, "{}", big.text());
    // Growth until it is told of: a slow machine writes slowly, and looks rarely. These are not big.
    let value = "x".repeat(2000);
    let raised = [("event", "growth".into()), ("state", "raised".into())];
    let mut number = 0;
    wait::for_true(PATIENCE, "growth to be told of", || {
        for _ in 0..100 {
            number += 1;
            client.push(&["SET", &format!("grow:{number}"), &value]);
        }
        client.flush()?;
        (0..100).try_for_each(|_| client.read().map(|_| ()))?;
        Ok(all.has(&raised))
    })
    .unwrap_or_else(|error| panic!("{error:#}: {}\n{}", all.text(), app.log_tail()));
    let told = all.expect(&raised);
    assert!(
        told["figures"]["bytes_per_s"].as_u64() > Some(100_000),
        "{told}"
    );
    all.expect(&[("event", "growth".into()), ("state", "cleared".into())]);
    // The same in the log, which has no names.
    let log = app.log();
    assert!(log.contains("a key has become big"), "{log}");
    assert!(log.contains("raised: the keys grow faster"), "{log}");
    assert!(!log.contains("large"), "{log}");
    assert_eq!(
        app.metric("keyscape_events_missed_total")
            .expect("a scrape"),
        0
    );
}

fn integer(reply: &Reply) -> Option<i64> {
    reply.string().parse().ok()
}

#[test]
fn redis_cli_hears_of_a_link_that_is_down_and_up_again() {
    let mut server = scene::server("valkey-8.1", &[]);
    let app = scene::follow(&server, WATCH);
    let alerts = Subscriber::start(&app, &["PSUBSCRIBE", "ks.alert.*"]);
    let raised = |condition: &str| {
        let series = app.series("keyscape_condition").expect("a scrape");
        let own = format!("condition=\"{condition}\"");
        series
            .iter()
            .any(|(labels, value)| labels.contains(&own) && *value == 1)
    };
    server.kill().expect("kill");
    let down = [("condition", Value::from("link_down"))];
    let told = alerts.expect(&down);
    assert_eq!(told["state"], "raised", "{told}");
    assert!(raised("link_down"));
    server.start_again().expect("start");
    alerts.expect(&[down[0].clone(), ("state", "cleared".into())]);
    // The server came back with another history.
    alerts.expect(&[("condition", "resync".into()), ("state", "cleared".into())]);
    assert!(!raised("link_down"));
    let text = alerts.text();
    assert!(
        text.contains("pmessage\nks.alert.*\nks.alert.link_down\n"),
        "{text}"
    );
}

/// A subscriber that does not read must not hold anybody up, and hears what it missed.
#[test]
fn a_slow_subscriber_hears_how_much_it_missed() {
    const KEYS: usize = 30_000;
    let server = scene::server("redis-8.0", &[]);
    let config = "[watch]\nbigkey_bytes = 1\ngrowth_bytes_per_s = 0\n";
    let app = scene::follow(&server, config);
    let mut slow = app.client().expect("connect");
    slow.ask(&["SUBSCRIBE", "ks.bigkey"]).expect("SUBSCRIBE");
    let mut client = server.client().expect("connect");
    let pad = "k".repeat(400);
    for from in (0..KEYS).step_by(100) {
        for number in from..from + 100 {
            client.push(&["SET", &format!("{pad}{number}"), "x"]);
        }
        client.flush().expect("write");
        for _ in 0..100 {
            client.read().expect("OK");
        }
        // The list of one owner has room for what comes in some milliseconds.
        std::thread::sleep(Duration::from_millis(5));
    }
    scene::settle(&server, &app);
    wait::for_true(PATIENCE, "every key to be counted", || {
        let told = app.series("keyscape_events_total")?;
        Ok(told.get("{event=\"bigkey\"}") == Some(&(KEYS as u64)))
    })
    .expect("they are");
    // Nothing comes after this one, so it is not missed.
    scene::set(&mut client, LAST);
    let told = until_last(&mut slow);
    let missed = app
        .metric("keyscape_events_missed_total")
        .expect("a scrape");
    // An event that was missed takes its own count of keys with it.
    assert!(told.0 + told.1 + told.2 <= 1 + KEYS as u64, "{told:?}");
    assert!(told.0 > 0 && told.1 > 0, "{told:?}");
    assert_eq!(missed, told.1, "{told:?}");
}

/// The last key that becomes big.
const LAST: &str = "last";

/// Events read, events missed, and keys that were not told of, until the last key is told of.
fn until_last(slow: &mut Client) -> (u64, u64, u64) {
    let mut told = (0, 0, 0);
    loop {
        let message = slow
            .read()
            .unwrap_or_else(|error| panic!("{error:#}: {told:?}"));
        let payload = message.items().last().map(Reply::string);
        let event: Value = serde_json::from_str(&payload.expect("a payload")).expect("JSON");
        told.0 += 1;
        told.1 += event["missed"].as_u64().unwrap_or(0);
        told.2 += event["not_told"].as_u64().unwrap_or(0);
        if event["key"] == LAST {
            return told;
        }
    }
}
