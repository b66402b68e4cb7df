//! Whole clusters of real servers: followed through everything that happens to them, and not in
//! the way of any of it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use integration::app::App;
use integration::campaign::Course;
use integration::chaos::Options;
use integration::chaos::cluster::ClusterStage;
use integration::chaos::watch::{Position, lost_at};
use integration::cluster::campaign::{self, CONFIG};
use integration::cluster::client::slot_of;
use integration::cluster::reshard::{self, Move};
use integration::cluster::writer::ClusterWriter;
use integration::cluster::{AGREEMENT, Cluster, Shape, take_over};
use integration::follow::Follow;
use integration::resp::Client;
use integration::servers::{self, Program};
use integration::truth;
use integration::wait;

use crate::harmless::SHUTDOWN_TIMEOUT_S;
use crate::scene::{self, PATIENCE, campaign_outcome, expect_equal_all, nodes};

/// One server of each family.
const BOTH: [&str; 2] = ["redis-7.0", "valkey-9.1"];

fn cluster(name: &str, options: &[(&str, &str)]) -> Cluster {
    let install = servers::get(name).expect("the server can be had");
    Cluster::start(&install, Shape::USUAL, options).expect("the cluster starts")
}

/// A cluster with some thousand keys in all slots, and who wrote them.
pub(crate) fn with_data(name: &str) -> (Cluster, ClusterWriter) {
    let mut cluster = cluster(name, &[]);
    let seeds = cluster.running();
    let mut writer = ClusterWriter::new(&cluster.install, &seeds, 11).expect("a writer");
    writer.flush_now_and_then(false);
    writer.fill_some(6_000);
    writer.run(3_000);
    (cluster, writer)
}

pub(crate) fn follow(cluster: &Cluster, config: &str) -> App {
    let app = App::start(&[cluster.url()], config).expect("keyscape starts");
    app.wait_synced(PATIENCE).expect("keyscape syncs");
    app
}

pub(crate) fn masters(cluster: &mut Cluster) -> Vec<SocketAddr> {
    let map = cluster.wait_agreed(AGREEMENT).expect("an agreed map");
    map.masters().filter_map(|seen| seen.addr).collect()
}

pub(crate) fn expect_equal(cluster: &mut Cluster, app: &App) {
    expect_equal_all(app, &masters(cluster), 1, 1_000);
}

/// The merged port lists what the masters list together, each name once. Keys on their way in
/// cannot be read again before they have arrived, so facts are not compared yet.
fn expect_same_names(cluster: &mut Cluster, app: &App) {
    let masters = masters(cluster);
    let sorted = |addr: SocketAddr| {
        let mut names = truth::scan_as_told(&mut Client::connect(addr)?)?;
        names.sort_unstable();
        anyhow::Ok(names)
    };
    wait::for_true(PATIENCE, "the same names", || {
        let mut theirs = Vec::new();
        for addr in &masters {
            theirs.extend(sorted(*addr)?);
        }
        theirs.sort_unstable();
        Ok(!theirs.is_empty() && theirs == sorted(app.admin)?)
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", app.log_tail()));
}

fn client(addr: SocketAddr) -> Client {
    Client::connect(addr).expect("connect")
}

/// Every fact of every key, and every analytic of each master and of all.
fn campaign_on(name: &str) {
    let install = servers::get(name).expect("the server can be had");
    let course = Course {
        ops: 6_000,
        seed: 5,
        analytics: true,
        ..Course::default()
    };
    campaign_outcome(|say| campaign::run(&install, &course, say), 20_000);
}

#[test]
fn truth_redis_7_0() {
    campaign_on("redis-7.0");
}

#[test]
fn truth_valkey_9_1() {
    campaign_on("valkey-9.1");
}

/// Failovers in which the promoted replica was behind our snapshot, by which a machine that stands
/// still may bring us to a full sync.
const BEHIND_MAX: u32 = 5;

#[test]
fn a_failover_costs_no_full_sync() {
    for name in BOTH {
        let (mut cluster, mut writer) = with_data(name);
        let app = follow(&cluster, CONFIG);
        let (mut went_on, mut behind) = (0, 0);
        while went_on < 2 {
            let (before, logged) = (app.status().expect("status"), app.log().len());
            let map = cluster.wait_agreed(AGREEMENT).expect("a map");
            let master = map.masters().next().expect("a master").id.clone();
            let replica = map.replicas_of(&master).find_map(|seen| seen.addr);
            let replica = replica.expect("a replica");
            take_over(replica, None).expect("a successor");
            writer.run(500);
            expect_equal(&mut cluster, &app);
            let after = app.status().expect("status");
            if after.full_syncs == before.full_syncs {
                went_on += 1;
                assert!(after.partial_syncs > before.partial_syncs, "{name}");
                continue;
            }
            behind += 1;
            let log = app.log().split_off(logged);
            let lost = log.lines().filter_map(lost_at).max();
            let place = Position::of(replica).expect("where it took over");
            let index = cluster.index_of(replica).expect("its process");
            // The second offset is the first one that the replica did not have.
            assert!(
                behind <= BEHIND_MAX && lost >= Some(place.second),
                "{name}: {place:?}, {lost:?}, {}\n{log}\n{}",
                after.text,
                cluster.nodes[index].log()
            );
        }
    }
}

#[test]
fn a_successor_that_is_behind_us_costs_no_full_sync() {
    for name in BOTH {
        let (mut cluster, mut writer) = with_data(name);
        let app = follow(&cluster, CONFIG);
        let map = cluster.wait_agreed(AGREEMENT).expect("a map");
        let all: Vec<_> = map.masters().filter_map(|seen| seen.addr).collect();
        let master = map.masters().next().expect("a master");
        let replica = map.replicas_of(&master.id).find_map(|seen| seen.addr);
        let replica = replica.expect("a replica");
        let index_of = |addr| cluster.index_of(addr).expect("its process");
        let (at, behind) = (
            index_of(master.addr.expect("an address")),
            index_of(replica),
        );

        // The replica never hears of what is written now, and we do.
        cluster.nodes[behind].stop().expect("SIGSTOP");
        let mut dying = cluster.nodes[at].client().expect("connect");
        dying
            .ask(&["CLIENT", "KILL", "TYPE", "replica"])
            .expect("CLIENT KILL");
        writer.run(400);
        expect_equal_all(&app, &all, 1, 1_000);
        cluster.nodes[at].kill().expect("kill -9");
        cluster.nodes[behind].go_on().expect("SIGCONT");
        wait::for_true(AGREEMENT, "the replica to take over", || {
            let mut replica = client(replica);
            replica.ask(&["CLUSTER", "FAILOVER", "TAKEOVER"])?;
            Ok(replica.info("replication", "role")? == "master")
        })
        .expect("a successor");
        cluster.nodes[at].start_again().expect("the old master");
        writer.run(200);
        expect_equal(&mut cluster, &app);
        let (status, log) = (app.status().expect("status"), app.log());
        assert_eq!(status.full_syncs, 3, "{name}: {}\n{log}", status.text);
        assert!(log.contains("going back to where"), "{name}: {log}");
    }
}

#[test]
fn a_slot_half_moved_is_whole() {
    let (mut cluster, mut writer) = with_data("redis-7.0");
    let app = follow(&cluster, CONFIG);
    // Some hundred keys of all types are in this one.
    let slot = slot_of(b"t0");
    let map = cluster.wait_agreed(AGREEMENT).expect("a map");
    let owner = map.owner(slot).expect("an owner").id.clone();
    let to = map
        .masters()
        .find(|seen| seen.id != owner)
        .expect("another");
    let step = Move::new(&map, slot, to).expect("a move");
    step.begin().expect("both declare it");
    assert!(!step.carry(2).expect("keys move"), "too few keys");
    expect_same_names(&mut cluster, &app);
    writer.run(500);
    expect_same_names(&mut cluster, &app);
    step.run(&map).expect("the rest moves");
    // What was refused on its way in is asked for as soon as it has arrived.
    wait::for_true(PATIENCE, "every key to be exact", || {
        let status = app.status()?;
        Ok(status.inexact + status.unverified == 0)
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{:?}", app.status()));
    expect_equal(&mut cluster, &app);
    let status = app.status().expect("status");
    assert_eq!(status.full_syncs, 3, "{}", status.text);
}

#[test]
fn slots_that_move_atomically_lose_nothing() {
    let (mut cluster, mut writer) = with_data("valkey-9.1");
    let app = follow(&cluster, CONFIG);
    let map = cluster.wait_agreed(AGREEMENT).expect("a map");
    let from = map.masters().next().expect("a master").clone();
    let to = map
        .masters()
        .find(|seen| seen.id != from.id)
        .expect("another");
    let first = from.slots[0].0;
    let addr = from.addr.expect("an address");
    let to = to.id.clone();
    reshard::migrate_atomically(addr, (first, first + 400), &to).expect("the slots move");
    writer.run(500);
    expect_equal(&mut cluster, &app);
}

#[test]
fn nobody_counts_on_us() {
    for name in BOTH {
        let (mut cluster, _writer) = with_data(name);
        let app = follow(&cluster, "");
        let map = cluster.wait_agreed(AGREEMENT).expect("a map");
        for master in map.masters() {
            let mut client = client(master.addr.expect("an address"));
            let listed = client
                .ask(&["CLUSTER", "REPLICAS", &master.id])
                .expect("REPLICAS");
            assert_eq!(listed.items().len(), 1, "{name}: {listed:?}");
            let written = (0..30).any(|n| {
                let reply = client.call(&["SET", &format!("wait:{n}"), "x"]);
                !reply.expect("an answer").is_error()
            });
            assert!(written, "{name}: no key fits");
            let acked = client.ask(&["WAIT", "2", "300"]).expect("WAIT").int();
            assert!(acked <= Some(1), "{name}: WAIT counted {acked:?}");
        }
        drop(app);
    }
}

/// From Valkey 8 on SETSLOT waits for replicas that say they are of version 8, and fails if one of
/// them never confirms.
#[test]
fn setslot_does_not_wait_for_us() {
    for name in ["valkey-8.1", "valkey-9.1"] {
        let (mut cluster, _writer) = with_data(name);
        let app = follow(&cluster, "");
        let map = cluster.wait_agreed(AGREEMENT).expect("a map");
        let slot = slot_of(b"empty");
        let owner = map.owner(slot).expect("an owner").id.clone();
        let to = map
            .masters()
            .find(|seen| seen.id != owner)
            .expect("another");
        let step = Move::new(&map, slot, to).expect("a move");
        step.begin()
            .unwrap_or_else(|error| panic!("{name}: {error:#}\n{}", app.log_tail()));
        step.forget();
    }
}

/// As on a single server: [`SHUTDOWN_TIMEOUT_S`].
#[test]
fn shutdown_takes_no_longer() {
    for name in BOTH {
        let mut cluster = cluster(name, &[("shutdown-timeout", SHUTDOWN_TIMEOUT_S)]);
        let app = follow(&cluster, "");
        for index in 0..2 {
            app.wait_synced(PATIENCE).expect("followed");
            let addr = masters(&mut cluster)[index];
            let node = cluster.index_of(addr).expect("its process");
            let node = &mut cluster.nodes[node];
            node.signal("TERM").expect("a signal");
            node.wait_exit(PATIENCE).unwrap_or_else(|error| {
                panic!("{name}: {error:#}\n{}\n{}", node.log(), app.log_tail())
            });
            node.start_again().expect("it comes back");
        }
    }
}

#[test]
fn the_clients_of_the_servers_see_one_keyspace() {
    let (mut cluster, _writer) = with_data("redis-7.0");
    let app = follow(&cluster, CONFIG);
    expect_equal(&mut cluster, &app);
    let install = cluster.install.clone();
    let cli = |addr: SocketAddr, words: &[&str]| -> String {
        let mut command = install.command(Program::Cli).expect("a client");
        command.args(["-h", "127.0.0.1", "-p", &addr.port().to_string()]);
        let output = command.args(words).output().expect("the client runs");
        assert!(output.status.success(), "{words:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let pattern = ["--scan", "--pattern", "plain:*"];
    let masters = masters(&mut cluster);
    let mut sizes = (0, 0);
    // Keys expire in between, and one past its time counts until its DEL.
    wait::for_true(PATIENCE, "the same names", || {
        let scans = masters.iter().map(|addr| cli(*addr, &pattern));
        let theirs = scans.collect::<String>();
        let union: BTreeSet<&str> = theirs.lines().collect();
        let ours = cli(app.admin, &pattern);
        let mut listed: Vec<&str> = ours.lines().collect();
        listed.sort_unstable();
        sizes = (listed.len(), union.len());
        Ok(listed.iter().eq(union.iter()))
    })
    .unwrap_or_else(|error| panic!("{error:#}: {sizes:?}\n{}", app.log_tail()));
    for walk in ["--bigkeys", "--memkeys"] {
        wait::for_true(PATIENCE, walk, || {
            let keys = app.client()?.ask(&["DBSIZE"])?.int().unwrap_or(-1);
            let sampled = format!("Sampled {keys} keys in the keyspace!");
            Ok(cli(app.admin, &[walk]).contains(&sampled))
        })
        .expect("every key once");
    }
}

#[test]
fn a_seed_that_is_dead_does_not_matter() {
    let (mut cluster, _writer) = with_data("redis-7.0");
    let dead = integration::server::free_addr().expect("a port");
    let alive = cluster.nodes[4].addr;
    let url = format!("redis-cluster://{dead},{alive}");
    let app = App::start(&[url], CONFIG).expect("keyscape starts");
    app.wait_synced(PATIENCE).expect("keyscape syncs");
    expect_equal(&mut cluster, &app);
}

#[test]
fn half_a_cluster_is_followed_and_told() {
    let (mut cluster, _writer) = with_data("redis-7.0");
    // A master and its replica are gone: a third of the slots is served by nobody.
    let map = cluster.wait_agreed(AGREEMENT).expect("a map");
    let lost = map.masters().next().expect("a master");
    let mut gone: Vec<SocketAddr> = map
        .replicas_of(&lost.id)
        .filter_map(|seen| seen.addr)
        .collect();
    gone.extend(lost.addr);
    for addr in &gone {
        let index = cluster.index_of(*addr).expect("its process");
        cluster.nodes[index].kill().expect("it ends");
    }
    let seeds: Vec<String> = cluster.running().iter().map(ToString::to_string).collect();
    let url = format!("redis-cluster://{}", seeds.join(","));
    let app = App::start(&[url], CONFIG).expect("keyscape starts");
    scene::wait_synced(&app, 2);
    for addr in gone {
        // The others find a replica dead after their timeout, and we ask them after that.
        wait::for_true(PATIENCE, "the dead to be told", || {
            let nodes = nodes(&app);
            let mut lines = nodes
                .lines()
                .filter(|line| line.contains(&addr.to_string()));
            Ok(lines.any(|line| line.contains("failed") || line.contains("unreachable")))
        })
        .unwrap_or_else(|error| panic!("{addr}: {error:#}\n{}", nodes(&app)));
    }
}

#[test]
fn a_node_that_refuses_us_is_told_and_the_rest_goes_on() {
    let (mut cluster, _writer) = with_data("redis-7.0");
    let refusing = masters(&mut cluster)[0];
    let mut control = client(refusing);
    let rights = ["ACL", "SETUSER", "default", "-psync", "-sync"];
    control.ask(&rights).expect("ACL SETUSER");
    let app = App::start(&[cluster.url()], CONFIG).expect("keyscape starts");
    scene::wait_synced(&app, 2);
    scene::expect_told(&app, &refusing.to_string(), "noperm");
    assert!(app.log().contains("psync") || app.log().contains("NOPERM"));
}

#[test]
fn a_node_that_announces_our_own_port_is_left_alone() {
    let (mut cluster, _writer) = with_data("redis-7.0");
    let app = follow(&cluster, CONFIG);
    // One replica says that it is where our admin port is.
    let map = cluster.wait_agreed(AGREEMENT).expect("a map");
    let master = map.masters().next().expect("a master").id.clone();
    let liar = map
        .replicas_of(&master)
        .find_map(|seen| seen.addr)
        .expect("a replica");
    let port = app.admin.port().to_string();
    let words = ["CONFIG", "SET", "cluster-announce-port", &port];
    client(liar).ask(&words).expect("CONFIG SET");
    wait::for_true(PATIENCE, "the map to show it", || {
        Ok(nodes(&app).contains(&app.admin.to_string()))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}\n{}", nodes(&app), app.log_tail()));
    let status = app.status().expect("status");
    assert!(status.synced, "{}", status.text);
    assert_eq!(status.full_syncs, 3, "{}", status.text);
}

/// A short form of `cargo chaos`, without what takes a minute by itself.
#[test]
fn some_chaos() {
    let quick = [
        "Cut",
        "Failover",
        "FailoverTakeover",
        "KillReplica",
        "RestartEmpty",
        "Stall",
        "StopUs",
    ];
    chaos_on("redis-7.0", Follow::Master, (8, &quick));
}

/// The same where a full sync on a master is what must never happen.
#[test]
fn some_chaos_on_replicas() {
    let quick = ["Cut", "Failover", "FailoverForce", "KillReplica", "Stall"];
    chaos_on("redis-7.0", Follow::Replica, (5, &quick));
}

fn chaos_on(name: &str, follow: Follow, (faults, only): (u64, &[&str])) {
    let install = servers::get(name).expect("the server can be had");
    let (stage, writer) = ClusterStage::start(&install, 9).expect("a cluster");
    let options = Options {
        limit: Duration::from_secs(60),
        faults,
        seed: 9,
        only: only.iter().map(|name| (*name).to_owned()).collect(),
        follow,
        analytics: false,
    };
    scene::some_chaos(stage, writer, options);
}
