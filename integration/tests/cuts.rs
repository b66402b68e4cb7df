//! The same campaign through a network that cuts the link at random bytes.

use integration::app::App;
use integration::campaign::Options;
use integration::fault::{Ending, Plan, Proxy};
use integration::wait;

use crate::scene::{self, EAGER, PATIENCE};

fn check(name: &str) {
    let options = Options {
        ops: 6_000,
        seed: 4,
        cuts: 12,
        preload: 500,
        ..Options::default()
    };
    scene::campaign(name, &options);
}

#[test]
fn redis_7_0() {
    check("redis-7.0");
}

#[test]
fn redis_8_0() {
    check("redis-8.0");
}

#[test]
fn valkey_9_1() {
    check("valkey-9.1");
}

#[test]
fn a_cut_link_resumes_without_a_second_full_sync() {
    for name in scene::MAIN {
        let server = scene::server_with_data(name, &[]);
        let proxy = Proxy::start(server.addr, Box::new(|_| Plan::CLEAN)).expect("proxy");
        let app = App::start(&[format!("redis://{}", proxy.addr)], EAGER).expect("start");
        app.wait_synced(PATIENCE).expect("sync");
        let mut client = server.client().expect("connect");
        for round in 0..5 {
            proxy.cut();
            for key in 0..50 {
                scene::set(&mut client, &format!("cut:{round}:{key}"));
            }
            scene::settle(&server, &app);
        }
        scene::expect_equal(&server, &app);
        let status = app.status().expect("status");
        assert_eq!(status.full_syncs, 1, "{name}: {}", status.text);
        assert!(status.partial_syncs >= 5, "{name}: {}", status.text);
        assert_eq!(
            client.info("stats", "sync_full").expect("INFO"),
            "1",
            "{name}"
        );
    }
}

#[test]
fn single_bytes_and_stalls_do_no_harm() {
    let server = scene::server_with_data("redis-7.0", &[]);
    let plan = |number: u64| match number {
        // The first connections end in a stall that nobody is told of, in the middle of something.
        0..=2 => Plan {
            end: Some((700 * number + 90, Ending::Reset)),
            ..Plan::CLEAN
        },
        3..=5 => Plan {
            end: Some((900, Ending::HalfClose)),
            piece: 1,
            ..Plan::CLEAN
        },
        _ => Plan {
            piece: 3,
            ..Plan::CLEAN
        },
    };
    let proxy = Proxy::start(server.addr, Box::new(plan)).expect("proxy");
    let app = App::start(&[format!("redis://{}", proxy.addr)], EAGER).expect("start");
    app.wait_synced(PATIENCE)
        .unwrap_or_else(|error| panic!("{error:#}"));
    scene::expect_equal(&server, &app);
    wait::for_true(PATIENCE, "several attempts", || Ok(proxy.accepted() > 3)).expect("attempts");
}

/// The rows of KS.GROWTH by master, a number each.
fn growth_of(app: &App, figure: &str) -> anyhow::Result<u64> {
    let mut client = app.client()?;
    let text = client
        .call(&["KS.GROWTH", "WINDOW", "1h", "FORMAT", "JSON"])?
        .string();
    let told: serde_json::Value = serde_json::from_str(&text)?;
    Ok(told["by_master"][0][figure].as_u64().unwrap_or(0))
}

#[test]
fn what_another_server_evicted_is_not_booked_on_its_successor() {
    let first = scene::server("redis-7.0", &[]);
    let second = scene::server("redis-7.0", &[("maxmemory-policy", "allkeys-random")]);
    let mut other = second.client().expect("connect");
    for n in 0..3_000 {
        other.push(&["SET", &format!("k:{n}"), &"x".repeat(1_000)]);
    }
    other.push(&["CONFIG", "SET", "maxmemory", "2500000"]);
    other.push(&["SET", "one", "more"]);
    other.push(&["CONFIG", "SET", "maxmemory", "0"]);
    other.flush().expect("write");
    for _ in 0..3_003 {
        other.read().expect("a reply");
    }
    let evicted: u64 = other
        .info("stats", "evicted_keys")
        .expect("INFO")
        .parse()
        .expect("a number");
    assert!(evicted > 200, "{evicted}");

    let proxy = Proxy::start(first.addr, Box::new(|_| Plan::CLEAN)).expect("proxy");
    let config = format!("{EAGER}poll_ms = 100\n");
    let app = App::start(&[format!("redis://{}", proxy.addr)], &config).expect("start");
    let expect_evicted = |count: u64| {
        wait::for_true(PATIENCE, "what INFO tells of the server", || {
            let told = app.series("keyscape_server_evicted_keys_total")?;
            Ok(told.values().copied().collect::<Vec<_>>() == [count])
        })
        .unwrap_or_else(|error| panic!("{error:#}\n{}", app.log_tail()));
    };
    expect_evicted(0);
    proxy.retarget(second.addr);
    proxy.cut();
    expect_evicted(evicted);
    // Later than what INFO told, and in the same history.
    for n in 0..3_000 {
        other.push(&["DEL", &format!("k:{n}")]);
    }
    other.flush().expect("write");
    let gone: i64 = (0..3_000)
        .map(|_| other.read().expect("a reply").int().expect("a number"))
        .sum();
    wait::for_true(PATIENCE, "the deletions to be told", || {
        Ok(growth_of(&app, "deleted")? == u64::try_from(gone)?)
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", app.log_tail()));
    assert_eq!(growth_of(&app, "evicted").expect("KS.GROWTH"), 0);
}
