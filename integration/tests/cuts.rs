//! The same campaign through a network that cuts the link at random bytes.

use integration::app::App;
use integration::campaign::Options;
use integration::fault::{Ending, Plan, Proxy};
use integration::resp::{Client, Command};
use integration::seed::Rng;
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

/// While we stand still the stream goes on with everything that is not read in one piece: what waits
/// is more than we would read for ourselves.
#[test]
fn what_waited_long_is_followed_like_the_rest() {
    const WAITING: i64 = 24 << 20;
    let limits = [
        ("repl-backlog-size", "64mb"),
        ("client-output-buffer-limit", "replica 0 0 0"),
    ];
    for name in scene::MAIN {
        let server = scene::server(name, &limits);
        let app = App::start(&[server.url()], EAGER).expect("start");
        app.wait_synced(PATIENCE).expect("sync");
        let mut client = server.client().expect("connect");
        let offset = |client: &mut Client| -> i64 {
            let offset = client.info("replication", "master_repl_offset");
            offset.expect("INFO").parse().expect("a number")
        };
        let from = offset(&mut client);
        app.signal("STOP").expect("it stops");
        let mut rng = Rng::new(7);
        while offset(&mut client) < from + WAITING {
            let commands = awkward(&mut rng);
            client.pipeline(&commands).expect("replies");
        }
        app.signal("CONT").expect("it goes on");
        scene::settle(&server, &app);
        scene::expect_equal(&server, &app);
        let status = app.status().expect("status");
        assert_eq!(
            (status.full_syncs, status.partial_syncs),
            (1, 0),
            "{name}: {}",
            status.text
        );
    }
}

/// The last of a transaction is followed at once, though nothing comes behind it; and a cut before the
/// next byte makes nothing of it come twice.
#[test]
fn a_transaction_is_followed_to_its_end_when_the_master_falls_silent() {
    let quiet = [("repl-ping-replica-period", "3600")];
    for name in scene::MAIN {
        let server = scene::server(name, &quiet);
        let proxy = Proxy::start(server.addr, Box::new(|_| Plan::CLEAN)).expect("proxy");
        let app = App::start(&[format!("redis://{}", proxy.addr)], EAGER).expect("start");
        app.wait_synced(PATIENCE).expect("sync");
        let mut client = server.client().expect("connect");
        for round in 0..3 {
            let mut commands: Vec<Command> = vec![vec![b"MULTI".to_vec()]];
            for n in 0..5000 {
                let key = format!("of:{}", n % 50).into_bytes();
                commands.push(vec![b"APPEND".to_vec(), key, b"some text".to_vec()]);
            }
            commands.push(vec![b"EXEC".to_vec()]);
            client.pipeline(&commands).expect("replies");
            if round > 0 {
                proxy.cut();
            }
            scene::settle(&server, &app);
            scene::expect_equal(&server, &app);
        }
        assert_eq!(app.status().expect("status").full_syncs, 1, "{name}");
    }
}

/// Short commands, a transaction, a value and a key of megabytes, and a command of many words.
fn awkward(rng: &mut Rng) -> Vec<Command> {
    let word = |text: String| text.into_bytes();
    let mut commands = Vec::new();
    for _ in 0..2000 {
        let line = match rng.below(5) {
            0 => format!("INCR count:{}", rng.below(50)),
            1 => format!("SADD tags:{} t{}", rng.below(50), rng.below(100)),
            2 => format!("HSET form:{} f{} v", rng.below(50), rng.below(100)),
            3 => format!("RPUSH queue:{} {}", rng.below(50), rng.below(1000)),
            _ => format!("SET page:{} {}", rng.below(500), "x".repeat(rng.index(300))),
        };
        commands.push(line.split(' ').map(str::as_bytes).map(Vec::from).collect());
    }
    commands.push(vec![word("MULTI".into())]);
    for n in 0..600 {
        let name = format!("both:{}", rng.below(40));
        commands.push(vec![word("APPEND".into()), word(name), vec![b'y'; n]]);
    }
    commands.push(vec![word("EXEC".into())]);
    let large = 1_500_000 + rng.index(1_000_000);
    commands.push(vec![
        word("SET".into()),
        word(format!("large:{}", rng.below(3))),
        vec![b'z'; large],
    ]);
    commands.push(vec![word("SET".into()), vec![b'k'; large], vec![b'v'; 10]]);
    commands.push(vec![word("DEL".into()), vec![b'k'; large]]);
    let mut many = vec![word("SADD".into()), word(format!("many:{}", rng.below(3)))];
    many.extend((0..80_000).map(|n| word(format!("member:{}:{n}", rng.below(9)))));
    commands.push(many);
    commands
}
