//! The model audits itself: a difference that nobody announced is found and repaired, and a server
//! that is written to all the time causes no false alarm.
//!
//! The difference is made on a replica that may be written to: what is written there is passed on to
//! nobody, so that a model which follows it does not hear of it.

use std::thread;
use std::time::Duration;

use integration::app::App;
use integration::load::{Load, Writer};
use integration::resp::{Client, Command};
use integration::seed::Rng;
use integration::servers;
use integration::truth::memory;
use integration::wait::{self, PATIENCE};
use serde_json::Value;

use crate::scene;

/// Keys that are compared while the load is written, at least.
const COMPARED_MIN: u64 = 2_000;

/// The model lets keys be whose expiry is no more than ten seconds ago.
const EXPIRED_FOR: Duration = Duration::from_secs(11);

fn verified(app: &App, count: &str) -> Value {
    let mut client = app.client().expect("the admin port");
    let answer = client.ask(&["KS.VERIFY", count, "FORMAT", "JSON"]);
    let text = answer.expect("an answer").string();
    serde_json::from_str(&text).expect("JSON")
}

/// Every fact that differs, with its key, in order.
fn differing(report: &Value) -> Vec<String> {
    let rows = report["mismatches"].as_array().expect("rows");
    let word = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    let mut facts: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {}", word(row, "key"), word(row, "fact")))
        .collect();
    facts.sort();
    facts
}

fn say(client: &mut Client, lines: &[&str]) {
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        client.ask(&words).expect(line);
    }
}

/// A replica deletes nothing by itself and reads what has expired as missing: until its master
/// deletes it, the key is there, and counts.
#[test]
fn what_has_expired_on_a_replica_is_kept_until_its_master_deletes_it() {
    let master = scene::server("redis-7.0", &[("enable-debug-command", "yes")]);
    let upstream = format!("{} {}", master.addr.ip(), master.addr.port());
    let replica = scene::server("redis-7.0", &[("replicaof", upstream.as_str())]);
    let mut control = master.client().expect("the master");
    say(&mut control, &["DEBUG SET-ACTIVE-EXPIRE 0"]);
    for n in 0..50 {
        say(
            &mut control,
            &[
                &format!("SET brief{n} abc PX 1"),
                &format!("SET other{n} abc"),
            ],
        );
    }
    let mut local = replica.client().expect("the replica");
    let resident = |local: &mut Client| local.ask(&["DBSIZE"]).map(|size| size.int());
    wait::for_true(PATIENCE, "the replica", || {
        Ok(resident(&mut local)? == Some(100))
    })
    .expect("the replica has all");
    assert_eq!(
        local.ask(&["EXISTS", "brief1"]).expect("EXISTS").int(),
        Some(0)
    );
    assert_eq!(
        resident(&mut local).expect("DBSIZE"),
        Some(100),
        "the read deleted nothing"
    );
    let app = App::start(&[replica.url()], "[reread]\naudits_per_s_max = 0\n").expect("keyscape");
    app.wait_synced(PATIENCE).expect("a model");
    // Beyond what clocks may be apart.
    thread::sleep(EXPIRED_FOR);
    verified(&app, "ALL");
    let ours = app.client().and_then(|mut client| client.ask(&["DBSIZE"]));
    assert_eq!(ours.expect("DBSIZE").int(), Some(100));
    for n in 0..50 {
        say(&mut control, &[&format!("GET brief{n}")]);
    }
    wait::for_true(PATIENCE, "the deletions", || {
        Ok(app.client()?.ask(&["DBSIZE"])?.int() == Some(50))
    })
    .expect("the model follows");
}

fn check_repairs(name: &str) {
    let master = scene::server(name, &[]);
    let upstream = format!("{} {}", master.addr.ip(), master.addr.port());
    let options = [
        ("replicaof", upstream.as_str()),
        ("replica-read-only", "no"),
    ];
    let replica = scene::server(name, &options);
    let mut local = replica.client().expect("the replica");
    wait::for_true(PATIENCE, "the replica", || {
        Ok(local.info("replication", "master_link_status")? == "up")
    })
    .expect("a link");
    let before = [
        "SET gone x",
        "SET text abc",
        "SET brief 1",
        "SET other x",
        "SADD members a b c",
        "HSET fields a 1 b 2",
        "SET same x",
    ];
    say(&mut master.client().expect("the master"), &before);
    wait::for_true(PATIENCE, "the writes", || {
        Ok(local.ask(&["EXISTS", "same"])?.int() == Some(1))
    })
    .expect("the replica follows");

    let config = "[reread]\naudits_per_s_max = 0\n";
    let app = App::start(&[replica.url()], config).expect("keyscape");
    app.wait_synced(PATIENCE).expect("a model");
    let sure = || Ok(app.status()?.unverified == 0);
    wait::for_true(PATIENCE, "encodings", sure).expect("probes");
    assert_eq!(differing(&verified(&app, "ALL")), [""; 0], "{name}");

    let unsaid = [
        "DEL gone",
        "SET text abcdef",
        "PEXPIREAT brief 4000000000000",
        "DEL other",
        "RPUSH other x",
        "SADD members d",
        "HSET fields b 3",
    ];
    say(&mut local, &unsaid);
    let report = verified(&app, "ALL");
    let expected = [
        "brief expiry",
        "gone existence",
        "members count",
        "other type",
        "text count",
    ];
    let found: Vec<String> = differing(&report)
        .into_iter()
        .filter(|fact| !fact.ends_with("memory") && !fact.ends_with("encoding"))
        .collect();
    assert_eq!(found, expected, "{name}: {report}");
    assert_eq!(report["total"]["finished"], true);
    wait::for_true(PATIENCE, "the counters", || {
        Ok(app.metric("keyscape_audit_mismatches_total")? >= 5)
    })
    .expect("they are counted");

    wait::for_true(PATIENCE, "repairs", || {
        let report = verified(&app, "ALL");
        let total = &report["total"];
        let all = total["compared"] == 6 && total["keys"] == 6;
        Ok(all && total["mismatching"] == 0)
    })
    .expect("nothing differs any more");
    let log = app.log();
    assert!(log.contains("wrong about a key"), "{log}");
    assert!(!log.contains("members"), "no names in {log}");
}

#[test]
fn what_redis_did_not_say_is_found_and_repaired() {
    check_repairs("redis-7.0");
}

#[test]
fn what_valkey_did_not_say_is_found_and_repaired() {
    check_repairs("valkey-9.1");
}

/// The background audit comes by on its own.
#[test]
fn the_audit_repairs_without_being_asked() {
    let master = scene::server("redis-8.0", &[]);
    let upstream = format!("{} {}", master.addr.ip(), master.addr.port());
    let options = [
        ("replicaof", upstream.as_str()),
        ("replica-read-only", "no"),
    ];
    let replica = scene::server("redis-8.0", &options);
    let mut local = replica.client().expect("the replica");
    wait::for_true(PATIENCE, "the replica", || {
        Ok(local.info("replication", "master_link_status")? == "up")
    })
    .expect("a link");
    say(&mut local, &["SADD members a b c"]);
    let config = "[reread]\naudits_per_s_max = 20\n";
    let app = App::start(&[replica.url()], config).expect("keyscape");
    app.wait_synced(PATIENCE).expect("a model");
    say(&mut local, &["SADD members d"]);
    let mut ours = app.client().expect("the admin port");
    wait::for_true(PATIENCE, "the audit", || {
        Ok(ours.ask(&["SCARD", "members"])?.int() == Some(4))
    })
    .expect("a repair");
    wait::for_true(PATIENCE, "the counter", || {
        let series = app.series("keyscape_audit_mismatches_total")?;
        let count = series.iter().find(|(labels, _)| labels.contains("count"));
        Ok(count.map(|(_, n)| *n) == Some(1))
    })
    .expect("it is counted");
}

/// A look at an expired key would make the server delete it; when it does is its own business.
#[test]
fn the_audit_leaves_expired_keys_to_the_server() {
    const LIVING: u64 = 100;
    const EXPIRED: u64 = 50;
    for name in ["redis-7.0", "valkey-9.1"] {
        let server = scene::server(name, &[]);
        let mut control = server.client().expect("the server");
        say(&mut control, &["DEBUG SET-ACTIVE-EXPIRE 0"]);
        for n in 0..LIVING {
            say(&mut control, &[&format!("SET living:{n} x")]);
        }
        let config = "[reread]\naudits_per_s_max = 500\n";
        let app = App::start(&[server.url()], config).expect("keyscape");
        app.wait_synced(PATIENCE).expect("a model");
        scene::settle(&server, &app);
        // It hears of them when they have expired, so that none of its looks is on the way before.
        app.signal("STOP").expect("it stops");
        for n in 0..EXPIRED {
            say(&mut control, &[&format!("SET expired:{n} x PX 1")]);
        }
        // The last to expire, which is deleted by that look.
        wait::for_true(PATIENCE, "the keys to expire", || {
            let last = format!("expired:{}", EXPIRED - 1);
            Ok(control.ask(&["EXISTS", &last])?.int() == Some(0))
        })
        .expect("they expire");
        app.signal("CONT").expect("it goes on");
        scene::settle(&server, &app);
        let before = app.metric("keyscape_audit_keys_total").expect("a metric");
        let rounds = 3 * (LIVING + EXPIRED);
        wait::for_true(PATIENCE, "rounds of the audit", || {
            Ok(app.metric("keyscape_audit_keys_total")? >= before + rounds)
        })
        .expect("it goes round");
        let left = control.ask(&["DBSIZE"]).expect("DBSIZE").int();
        let all = i64::try_from(LIVING + EXPIRED - 1).expect("a number");
        assert_eq!(left, Some(all), "{name}");
    }
}

/// Writes of every type, in pipelines.
struct Mixed {
    client: Client,
    rng: Rng,
}

impl Writer for Mixed {
    fn step(&mut self) -> u64 {
        const COMMANDS: u64 = 20;
        let commands: Vec<Command> = (0..COMMANDS).map(|_| self.command()).collect();
        self.client.pipeline(&commands).expect("replies");
        COMMANDS
    }
}

impl Mixed {
    fn command(&mut self) -> Command {
        let key = self.rng.below(40);
        let element = self.rng.below(400);
        let text = "x".repeat(self.rng.index(120));
        let line = match self.rng.below(14) {
            0 => format!("SET text:{key} {element}{text}"),
            1 => format!("APPEND text:{key} y{text}"),
            2 => format!("PEXPIREAT text:{key} 4000000000000"),
            3 => format!("DEL text:{key}"),
            4 => format!("INCR count:{key}"),
            5 | 6 => format!("SADD set:{key} m{element}"),
            7 => format!("SREM set:{key} m{element}"),
            8 | 9 => format!("HSET hash:{key} f{element} v{text}"),
            10 => format!("HDEL hash:{key} f{element}"),
            11 => format!("ZADD zset:{key} {element} m{element}"),
            12 => format!("ZREM zset:{key} m{element}"),
            _ => format!("RPUSH list:{key} v{text}"),
        };
        line.split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect()
    }
}

fn check_load(name: &str) {
    let server = scene::server(name, &[]);
    let writer = Mixed {
        client: server.client().expect("the server"),
        rng: Rng::new(5),
    };
    let load = Load::start(writer, 4000);
    load.resume();
    let config = "[reread]\naudits_per_s_max = 500\n";
    let app = App::start(&[server.url()], config).expect("keyscape");
    app.wait_synced(PATIENCE).expect("a model");
    let (mut compared, mut audited) = (0, 0);
    let enough = wait::for_true(PATIENCE, "keys to be compared and audited", || {
        let report = verified(&app, "100");
        assert_eq!(differing(&report), [""; 0], "{name}: {report}");
        compared += report["total"]["compared"].as_u64().unwrap_or(0);
        audited = app.metric("keyscape_audit_keys_total")?;
        Ok(compared > COMPARED_MIN && audited > compared)
    });
    enough.unwrap_or_else(|error| panic!("{name}: {error:#}: {audited} with {compared}"));
    drop(load);
    let wrong = app
        .metric("keyscape_audit_mismatches_total")
        .expect("metric");
    assert_eq!(wrong, 0, "{name}: {}", app.log());
}

#[test]
fn redis_under_load_causes_no_false_alarm() {
    check_load("redis-7.0");
}

#[test]
fn valkey_under_load_causes_no_false_alarm() {
    check_load("valkey-9.1");
}

/// `cargo truth -- --facts memory --history` has more keys.
#[test]
fn a_past_that_the_snapshot_does_not_show_is_probed() {
    let options = memory::Options {
        keys: 600,
        seed: 11,
        history: true,
        told: 0,
    };
    for name in ["redis-7.0", "redis-8.0", "valkey-9.1"] {
        let install = servers::get(name).expect(name);
        let [guessed, probed] = memory::run(&install, &options, &mut |_| ()).expect(name);
        assert_eq!(probed.missed, [""; 0], "{name}");
        let bytes = |class: memory::Class| class.ours.abs_diff(class.theirs);
        assert!(
            bytes(guessed.total()) > 10 * bytes(probed.total()),
            "{name}"
        );
    }
}
