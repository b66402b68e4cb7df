//! Every condition on a real server: a state that makes it bad, and where that can be had the one in
//! which all is well again.

use std::time::Duration;

use integration::app::App;
use integration::fault::{Ending, Plan, Proxy};
use integration::resp::Client;
use integration::server::Server;
use integration::wait;
use serde_json::Value;

use super::Subscriber;
use crate::scene::{self, PATIENCE};

/// Bytes of a link that pass before it stalls.
const PASSED: u64 = 1 << 20;

/// A server that is followed, and who hears of its alerts.
struct Stage {
    server: Server,
    app: App,
    heard: Subscriber,
    client: Client,
}

impl Stage {
    fn of(install: &str, options: &[(&str, &str)], config: &str) -> Stage {
        let server = scene::server(install, options);
        let app = scene::follow(&server, config);
        let heard = alerts(&app);
        let client = server.client().expect("connect");
        Stage {
            server,
            app,
            heard,
            client,
        }
    }

    /// Runs a script without keys.
    fn lua(&mut self, script: &str) {
        run(&mut self.client, &["EVAL", script, "0"]);
    }

    fn raised(&self, condition: &str) -> Value {
        raised(&self.heard, &self.app, condition)
    }

    fn cleared(&self, condition: &str) {
        cleared(&self.heard, &self.app, condition);
    }
}

fn run(client: &mut Client, words: &[&str]) {
    let reply = client.ask(words).expect("a reply");
    assert!(!reply.is_error(), "{words:?}: {reply:?}");
}

/// Waits for the event, and says that it is in the log as well, with figures and without names.
fn raised(heard: &Subscriber, app: &App, condition: &str) -> Value {
    let told = heard.expect(&[("condition", condition.into()), ("state", "raised".into())]);
    assert_eq!(told["event"], "alert", "{told}");
    assert!(told["since_ms"].as_u64() > Some(0), "{told}");
    let text = heard.text();
    assert!(text.contains(&format!("ks.alert.{condition}\n")), "{text}");
    in_log(app, condition, "raised: ");
    told
}

fn cleared(heard: &Subscriber, app: &App, condition: &str) {
    heard.expect(&[("condition", condition.into()), ("state", "cleared".into())]);
    in_log(app, condition, "cleared: ");
}

/// The line of the log comes with the event, not before it.
fn in_log(app: &App, condition: &str, word: &str) {
    let named = format!("condition=\"{condition}\"");
    wait::for_true(PATIENCE, "a line in the log", || {
        let log = app.log();
        let mut lines = log.lines().filter(|line| line.contains(word));
        Ok(lines.any(|line| line.contains(&named) && line.contains("figures=")))
    })
    .unwrap_or_else(|error| panic!("{named}: {error:#}: {}", app.log_tail()));
}

fn alerts(app: &App) -> Subscriber {
    Subscriber::start(app, &["PSUBSCRIBE", "ks.alert.*"])
}

#[test]
fn a_key_that_was_changed_behind_the_stream_is_a_mismatch() {
    let mut stage = Stage::of("redis-7.0", &[], "[reread]\naudits_per_s_max = 100\n");
    scene::set(&mut stage.client, "k");
    scene::settle(&stage.server, &stage.app);
    // What a script does is kept from the replicas here.
    stage.lua("redis.set_repl(redis.REPL_NONE) redis.call('SET', 'k', string.rep('x', 5000))");
    let told = stage.raised("mismatch");
    assert!(told["figures"]["mismatches"].as_u64() > Some(0), "{told}");
}

#[test]
fn keys_that_expire_together_are_a_storm() {
    let mut stage = Stage::of("valkey-9.1", &[], "");
    stage.lua("for i = 1, 3000 do redis.call('SET', 'k' .. i, 'v', 'EX', 1800) end");
    let told = stage.raised("expiry_storm");
    let figures = &told["figures"];
    assert_eq!(figures["keys"], 3000, "{told}");
    assert!(figures["in_s"].as_u64() < Some(3600), "{told}");
    run(&mut stage.client, &["FLUSHALL"]);
    stage.cleared("expiry_storm");
}

#[test]
fn keys_that_grow_towards_maxmemory_are_told_of() {
    let mut stage = Stage::of(
        "redis-8.0",
        &[("maxmemory", "200mb")],
        "[watch]\nforecast_s = 60\n",
    );
    let value = "x".repeat(5_000);
    let mut number = 0;
    // Whatever the machine does, keys only come.
    stage.heard.wait_while(
        "a forecast",
        |text| !text.contains("memory_full"),
        || {
            run(&mut stage.client, &["SET", &format!("k{number}"), &value]);
            number += 1;
            std::thread::sleep(Duration::from_millis(50));
        },
    );
    let told = stage.raised("memory_full");
    let left = told["figures"]["full_in_s"].as_u64();
    assert!(left.is_some_and(|left| left < 86_400), "{told}");
}

#[test]
fn keys_that_nobody_reads_again_are_inexact() {
    let mut stage = Stage::of("redis-7.0", &[], "[reread]\nvalues_per_s_max = 0\n");
    // The stream says that lists were made of others, and not of which elements.
    stage.lua("redis.call('SADD', 's', 3, 1, 2)");
    for number in 0..300 {
        run(
            &mut stage.client,
            &["SORT", "s", "STORE", &format!("l{number}")],
        );
    }
    let told = stage.raised("inexact");
    assert!(told["figures"]["inexact"].as_u64() > Some(100), "{told}");
    run(&mut stage.client, &["FLUSHALL"]);
    stage.cleared("inexact");
}

#[test]
fn a_server_that_loses_its_history_again_and_again_is_a_loop() {
    let mut server = scene::server("valkey-9.1", &[]);
    let app = scene::follow(&server, scene::EAGER);
    let heard = alerts(&app);
    // With the one at the beginning that makes three.
    for syncs in 2..=3 {
        server.kill().expect("kill");
        server.start_again().expect("start");
        wait::for_true(PATIENCE, "one more full sync", || {
            Ok(app.metric("keyscape_full_syncs_total")? >= syncs)
        })
        .unwrap_or_else(|error| panic!("{error:#}: {}", app.log_tail()));
    }
    let told = raised(&heard, &app, "resync_loop");
    assert!(told["figures"]["full_syncs"].as_u64() >= Some(3), "{told}");
}

#[test]
fn a_model_that_gave_up_detail_is_degraded() {
    let mut stage = Stage::of("valkey-8.1", &[], "memory_cap = '48MiB'\n");
    stage.lua("for i = 1, 300000 do redis.call('SET', 'user:' .. i, 'v') end");
    let told = stage.raised("degraded");
    let figures = &told["figures"];
    let given_up = ["folded", "without_elements"].map(|name| figures[name].as_u64());
    assert!(given_up.iter().any(|count| *count > Some(0)), "{told}");
}

#[test]
fn a_stream_that_does_not_come_through_lags() {
    let server = scene::server("redis-7.0", &[("repl-backlog-size", "64mb")]);
    let stall = Plan {
        end: Some((PASSED, Ending::Stall)),
        ..Plan::CLEAN
    };
    let proxy = Proxy::start(server.addr, Box::new(move |_| stall)).expect("a proxy");
    let url = format!("redis://{}", proxy.addr);
    // A link that is silent for long is given up, and the next one stalls as well.
    let app = App::start(&[url], scene::EAGER).expect("keyscape starts");
    app.wait_synced(PATIENCE).expect("a sync");
    let heard = alerts(&app);
    let mut client = server.client().expect("connect");
    let value = "x".repeat(1 << 20);
    for number in 0..24 {
        run(&mut client, &["SET", &format!("k{number}"), &value]);
    }
    let told = raised(&heard, &app, "lag");
    assert!(
        told["figures"]["lag_bytes"].as_u64() > Some(16 << 20),
        "{told}"
    );
    proxy.reschedule(Box::new(|_| Plan::CLEAN));
    proxy.cut();
    cleared(&heard, &app, "lag");
}
