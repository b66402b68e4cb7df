//! What we must never do to a master, each on Redis 7.0, Redis 8.0 and Valkey 9.1.

use std::time::{Duration, Instant};

use integration::app::App;
use integration::resp::Client;
use integration::wait;

use crate::scene::{self, EAGER, MAIN, PATIENCE};

#[test]
fn wait_is_never_satisfied_by_us() {
    for name in MAIN {
        let server = scene::server(name, &[]);
        let app = scene::follow(&server, "");
        let mut client = server.client().expect("connect");
        for key in 0..5 {
            scene::set(&mut client, &format!("wait:{key}"));
            let acked = client.ask(&["WAIT", "1", "200"]).expect("WAIT");
            assert_eq!(acked.int(), Some(0), "{name}");
        }
        scene::settle(&server, &app);
    }
}

#[test]
fn writes_are_still_refused_where_replicas_are_wanted() {
    for name in MAIN {
        let server = scene::server(name, &[]);
        let app = scene::follow(&server, EAGER);
        let mut client = server.client().expect("connect");
        client
            .ask(&["CONFIG", "SET", "min-replicas-max-lag", "2"])
            .expect("CONFIG");
        client
            .ask(&["CONFIG", "SET", "min-replicas-to-write", "1"])
            .expect("CONFIG");
        let refused = |client: &mut Client| {
            Ok(client
                .call(&["SET", "k", "v"])?
                .string()
                .starts_with("NOREPLICAS"))
        };
        wait::for_true(PATIENCE, "writes to be refused", || refused(&mut client))
            .unwrap_or_else(|error| panic!("{name}: {error:#}"));
        // From then on they stay refused: the hand-over is over and its grace has passed.
        settled_refusal(name, &mut client);
        client
            .ask(&["CONFIG", "SET", "min-replicas-to-write", "0"])
            .expect("CONFIG");
        scene::set(&mut client, "allowed");
        scene::settle(&server, &app);
        scene::expect_equal(&server, &app);
    }
}

/// Refused for six seconds in a row, within a minute.
fn settled_refusal(name: &str, client: &mut Client) {
    let mut since = Instant::now();
    let mut accepted = 0;
    wait::for_true(PATIENCE, "six seconds of refusals", || {
        if !client.call(&["SET", "k", "v"])?.is_error() {
            accepted += 1;
            since = Instant::now();
        }
        Ok(since.elapsed() > Duration::from_secs(6))
    })
    .unwrap_or_else(|error| panic!("{name}: {error:#}, {accepted} writes accepted"));
}

#[test]
fn failover_does_not_choose_us() {
    for name in MAIN {
        let server = scene::server_with_data(name, &[]);
        let app = scene::follow(&server, "");
        let mut client = server.client().expect("connect");
        scene::set(&mut client, "before");
        // With a replica attached the command starts; it must end with the same master.
        client
            .call(&["FAILOVER", "TIMEOUT", "1000"])
            .expect("FAILOVER is answered");
        wait::for_true(PATIENCE, "the failover to end", || {
            Ok(client.info("replication", "master_failover_state")? == "no-failover")
        })
        .expect("an end");
        assert_eq!(
            client.info("replication", "role").expect("INFO"),
            "master",
            "{name}"
        );
        assert_eq!(scene::set(&mut client, "after"), "OK", "{name}");
        scene::settle(&server, &app);
    }
}

/// What a server gives lagging replicas at its shutdown, in seconds. We confirm nothing, so a server
/// that counted on us would wait for all of that, which is far longer than any test.
pub(crate) const SHUTDOWN_TIMEOUT_S: &str = "86400";

#[test]
fn shutdown_takes_no_longer() {
    for name in MAIN {
        // At once is the hard case: the stream, in which the master would tell us, has to begin.
        for at_once in [false, true] {
            let options = [("shutdown-timeout", SHUTDOWN_TIMEOUT_S)];
            let mut followed = scene::server_with_data(name, &options);
            let app = scene::follow(&followed, "");
            scene::set(&mut followed.client().expect("connect"), "last");
            if !at_once {
                scene::settle(&followed, &app);
            }
            followed.signal("TERM").expect("a signal");
            followed.wait_exit(PATIENCE).unwrap_or_else(|error| {
                panic!(
                    "{name}, at once: {at_once}: {error:#}\n{}\n{}",
                    followed.log(),
                    app.log_tail()
                )
            });
        }
    }
}

/// While it prepares our snapshot the server has no stream in which it could tell us.
#[test]
fn shutdown_takes_no_longer_while_we_are_copied_to() {
    for name in MAIN {
        let options = [
            ("shutdown-timeout", SHUTDOWN_TIMEOUT_S),
            ("repl-diskless-sync", "yes"),
            ("repl-diskless-sync-delay", "3600"),
        ];
        let mut server = scene::server_with_data(name, &options);
        let app = App::start(&[server.url()], EAGER).expect("keyscape starts");
        let mut client = server.client().expect("connect");
        wait::for_true(PATIENCE, "our link", || {
            let ours = client.info("replication", "slave0").unwrap_or_default();
            Ok(ours.contains("wait_bgsave"))
        })
        .unwrap_or_else(|error| panic!("{name}: {error:#}\n{}", app.log_tail()));
        scene::set(&mut client, "last");
        server.signal("TERM").expect("a signal");
        server.wait_exit(PATIENCE).unwrap_or_else(|error| {
            panic!("{name}: {error:#}\n{}\n{}", server.log(), app.log_tail())
        });
    }
}

#[test]
fn hashes_whose_fields_expire_can_be_synced() {
    for name in ["redis-8.0", "valkey-9.1"] {
        for diskless in ["yes", "no"] {
            let server = scene::server(name, &[("repl-diskless-sync", diskless)]);
            let mut client = server.client().expect("connect");
            client
                .ask(&["HSET", "h", "a", "1", "b", "2"])
                .expect("HSET");
            client
                .ask(&["HEXPIRE", "h", "10000", "FIELDS", "1", "a"])
                .expect("HEXPIRE");
            let app = scene::follow(&server, "");
            scene::expect_equal(&server, &app);
        }
    }
}

/// Our line of CLIENT LIST: how long the link has been there, in seconds.
fn age_of_link(client: &mut Client) -> anyhow::Result<u64> {
    let text = client.ask(&["CLIENT", "LIST", "TYPE", "replica"])?.string();
    let ages = text
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("age="));
    Ok(ages
        .filter_map(|age| age.parse().ok())
        .max()
        .unwrap_or_default())
}

#[test]
fn the_link_outlives_the_timeout() {
    for name in MAIN {
        let options = [("repl-timeout", "4"), ("repl-ping-replica-period", "1")];
        let server = scene::server(name, &options);
        let app = scene::follow(&server, EAGER);
        let mut client = server.client().expect("connect");
        // A machine that stands still for longer may cost a link, but not every one.
        let mut oldest = 0;
        wait::for_true(PATIENCE, "thrice the timeout", || {
            oldest = age_of_link(&mut client)?.max(oldest);
            Ok(oldest > 12)
        })
        .unwrap_or_else(|error| {
            panic!("{name}: {error:#}, at most {oldest} s\n{}", app.log_tail())
        });
        let status = app.status().expect("status");
        assert_eq!(status.full_syncs, 1, "{name}: {}", status.text);
    }
}

#[test]
fn nothing_is_ever_written_to_a_master() {
    for name in MAIN {
        let server = scene::server_with_data(name, &[]);
        let mut client = server.client().expect("connect");
        let before = client
            .info("replication", "master_repl_offset")
            .expect("INFO");
        client.ask(&["CONFIG", "RESETSTAT"]).expect("CONFIG");
        let app = scene::follow(&server, "");
        scene::settle(&server, &app);
        let stats = client
            .ask(&["INFO", "commandstats"])
            .expect("INFO")
            .string();
        let writes = [
            "cmdstat_set:",
            "cmdstat_del:",
            "cmdstat_expire:",
            "cmdstat_replicaof:",
        ];
        for write in writes {
            assert!(!stats.contains(write), "{name}: {stats}");
        }
        drop((before, app));
    }
}
