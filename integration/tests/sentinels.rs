//! Masters behind real Sentinels: followed at once wherever they go, and never in the way of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use integration::app::App;
use integration::campaign::Course;
use integration::chaos::Options;
use integration::chaos::sentinel::SentinelStage;
use integration::cluster::campaign::CONFIG;
use integration::resp::{Client, Reply};
use integration::sentinel::writer::SentinelWriter;
use integration::sentinel::{AGREEMENT, NAME, Watched, campaign};
use integration::servers;
use integration::wait;

use crate::scene::{self, PATIENCE, campaign_outcome, expect_equal_all};

/// One server of each family.
const BOTH: [&str; 2] = ["redis-7.0", "valkey-9.1"];

fn watched(name: &str) -> Watched {
    let install = servers::get(name).expect("the server can be had");
    Watched::start(&install).expect("they start and agree")
}

fn with_data(name: &str) -> (Watched, SentinelWriter) {
    let watched = watched(name);
    let mut writer = SentinelWriter::new(watched.install.clone(), watched.addresses(), 12);
    writer.run(2_000);
    (watched, writer)
}

fn follow(watched: &Watched) -> App {
    let app = App::start(&[watched.url()], CONFIG).expect("keyscape starts");
    app.wait_synced(PATIENCE).expect("keyscape syncs");
    app
}

fn expect_equal(watched: &mut Watched, app: &App) {
    let master = watched.wait_agreed(AGREEMENT).expect("an agreed master");
    expect_equal_all(app, &[master], 16, 100);
}

/// Every fact of every key, and every analytic.
fn truth(name: &str) {
    let install = servers::get(name).expect("the server can be had");
    let course = Course {
        ops: 6_000,
        seed: 6,
        analytics: true,
        ..Course::default()
    };
    campaign_outcome(|say| campaign::run(&install, &course, say), 1_000);
}

#[test]
fn truth_redis_7_0() {
    truth("redis-7.0");
}

#[test]
fn truth_valkey_9_1() {
    truth("valkey-9.1");
}

/// Kills the master until a Sentinel has told of the switch.
fn crash(watched: &mut Watched) {
    let master = watched.wait_agreed(AGREEMENT).expect("a master");
    let index = watched.index_of(master).expect("its process");
    let mut listener = watched.sentinels[0].client().expect("connect");
    listener
        .ask(&["SUBSCRIBE", "+switch-master"])
        .expect("SUBSCRIBE");
    listener.read_timeout(AGREEMENT).expect("a timeout");
    watched.servers[index].kill().expect("it ends");
    let event = listener.read().expect("+switch-master");
    assert!(
        event.items().iter().any(|i| i.string().starts_with(NAME)),
        "{event:?}"
    );
    watched.wait_agreed(AGREEMENT).expect("a successor");
    watched.servers[index].start_again().expect("it comes back");
    watched.wait_agreed(AGREEMENT).expect("all agree");
}

#[test]
fn a_crash_is_survived_without_a_full_sync() {
    for name in BOTH {
        let (mut watched, mut writer) = with_data(name);
        let app = follow(&watched);
        crash(&mut watched);
        writer.run(500);
        expect_equal(&mut watched, &app);
        let status = app.status().expect("status");
        assert_eq!(
            status.full_syncs,
            1,
            "{name}: {}\n{}",
            status.text,
            app.log()
        );
        assert!(status.partial_syncs >= 1, "{name}: {}", status.text);
    }
}

#[test]
fn a_failover_is_followed_at_once() {
    let (mut watched, _writer) = with_data("redis-7.0");
    // What is never looked for in between has to be told by a Sentinel.
    let config = format!("{CONFIG}[discovery]\npoll_ms = 86400000\n");
    let app = App::start(&[watched.url()], &config).expect("keyscape starts");
    app.wait_synced(PATIENCE).expect("keyscape syncs");
    let before = watched.wait_agreed(AGREEMENT).expect("a master");
    let mut sentinel = watched.sentinels[0].client().expect("connect");
    let mut listener = watched.sentinels[1].client().expect("connect");
    listener
        .ask(&["SUBSCRIBE", "+switch-master"])
        .expect("SUBSCRIBE");
    listener.read_timeout(AGREEMENT).expect("a timeout");
    sentinel
        .ask(&["SENTINEL", "FAILOVER", NAME])
        .expect("FAILOVER");
    listener.read().expect("+switch-master");
    wait::for_true(PATIENCE, "the new master to be followed", || {
        let followed = app.followed()?;
        let there =
            |f: &integration::app::Followed| f.name != before.to_string() && f.state == "synced";
        Ok(followed.iter().any(there))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", app.log_tail()));
    expect_equal(&mut watched, &app);
}

/// A leader that took us for a replica would turn us to the new master, in vain, until the failover's
/// timeout ends it.
#[test]
fn sentinel_is_not_held_up() {
    for name in BOTH {
        let (mut watched, _writer) = with_data(name);
        watched
            .set("failover-timeout", "30000")
            .expect("SENTINEL SET");
        let app = follow(&watched);
        // A busy machine may keep a real replica for as long, but not every time.
        let tried = (0..3).find_map(|_| {
            let before = ends(&watched);
            crash(&mut watched);
            let after = wait::until(PATIENCE, "the failover to end", || {
                let after = ends(&watched);
                Ok((after.0 > before.0).then_some(after))
            });
            let after = after.unwrap_or_else(|error| {
                panic!("{name}: {error:#}\n{}", watched.sentinels[0].log())
            });
            (after.1 == before.1).then_some(())
        });
        assert!(
            tried.is_some(),
            "{name}: every failover ended for its timeout\n{}",
            app.log_tail()
        );
    }
}

/// Failovers that ended, and those of them that ended for their timeout.
fn ends(watched: &Watched) -> (usize, usize) {
    let logs: String = watched.sentinels.iter().map(|s| s.log()).collect();
    let count = |word: &str| logs.matches(word).count();
    (count("+failover-end"), count("+failover-end-for-timeout"))
}

/// A field of the flat list by which a Sentinel tells of a server.
fn field(server: &Reply, name: &str) -> String {
    let words: Vec<String> = server.items().iter().map(Reply::string).collect();
    let at = words.iter().position(|word| word == name);
    at.and_then(|at| words.get(at + 1).cloned()).expect(name)
}

/// Whether the Sentinel has asked the master for INFO since then.
fn info_after(sentinel: &mut Client, since: Instant) -> anyhow::Result<bool> {
    let elapsed = since.elapsed();
    let told = sentinel.ask(&["SENTINEL", "MASTER", NAME])?;
    let ago: u64 = field(&told, "info-refresh").parse()?;
    Ok(Duration::from_millis(ago) < elapsed)
}

#[test]
fn we_are_never_listed_nor_promoted() {
    for name in BOTH {
        let (mut watched, _writer) = with_data(name);
        let app = follow(&watched);
        let ports: Vec<String> = watched
            .servers
            .iter()
            .map(|s| s.addr.port().to_string())
            .collect();
        // Sentinels ask the master every ten seconds who its replicas are: until each has.
        let since = Instant::now();
        let mut asked = Vec::new();
        wait::for_true(PATIENCE, "every Sentinel to have asked", || {
            asked.clear();
            for sentinel in &watched.sentinels {
                asked.push(info_after(&mut sentinel.client()?, since)?);
                let listed = sentinel.client()?.ask(&["SENTINEL", "SLAVES", NAME])?;
                for replica in listed.items() {
                    let port = field(replica, "port");
                    assert!(ports.contains(&port), "{name}: {replica:?}");
                }
            }
            Ok(asked.iter().all(|asked| *asked))
        })
        .unwrap_or_else(|error| panic!("{name}: {error:#}: {asked:?}"));
        expect_equal(&mut watched, &app);
    }
}

#[test]
fn a_sentinel_that_disagrees_is_outvoted() {
    let (mut watched, _writer) = with_data("redis-7.0");
    let other = scene::server("redis-7.0", &[]);
    // The first one asked watches another master under the same name.
    let mut liar = watched.sentinels[0].client().expect("connect");
    liar.ask(&["SENTINEL", "REMOVE", NAME]).expect("REMOVE");
    let (ip, port) = (other.addr.ip().to_string(), other.addr.port().to_string());
    liar.ask(&["SENTINEL", "MONITOR", NAME, &ip, &port, "2"])
        .expect("MONITOR");
    let app = follow(&watched);
    let followed = app.followed().expect("masters");
    let names: Vec<&str> = followed.iter().map(|f| f.name.as_str()).collect();
    let master = master_of_most(&watched);
    assert_eq!(names, [master.to_string()], "{}", app.log_tail());
    wait::for_true(PATIENCE, "a word about it", || {
        Ok(app.log().contains("belongs to another deployment"))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", app.log_tail()));
    drop(other);
    watched.sentinels[0].kill().expect("it ends");
    expect_equal(&mut watched, &app);
}

fn master_of_most(watched: &Watched) -> SocketAddr {
    let mut client = watched.sentinels[1].client().expect("connect");
    integration::sentinel::master_of(&mut client).expect("a master")
}

#[test]
fn sentinels_that_are_dead_do_not_matter() {
    let (mut watched, _writer) = with_data("redis-7.0");
    let app = follow(&watched);
    watched.sentinels[0].kill().expect("it ends");
    crash_of_two(&mut watched);
    expect_equal(&mut watched, &app);
}

/// Two of three Sentinels are enough for a failover.
fn crash_of_two(watched: &mut Watched) {
    let master = watched.wait_agreed(AGREEMENT).expect("a master");
    let index = watched.index_of(master).expect("its process");
    watched.servers[index].kill().expect("it ends");
    wait::for_true(AGREEMENT, "a successor", || {
        Ok(watched.agreed()?.is_some_and(|now| now != master))
    })
    .expect("a successor");
}

#[test]
fn a_name_that_no_sentinel_knows_is_told() {
    let (watched, _writer) = with_data("redis-7.0");
    let url = watched.url().replace(NAME, "nobody");
    let app = App::start(&[url], CONFIG).expect("keyscape starts");
    wait::for_true(PATIENCE, "a word about it", || {
        Ok(app.log().contains("nobody"))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", app.log_tail()));
    let status = app.status().expect("status");
    assert!(!status.synced, "{}", status.text);
}

#[test]
fn a_password_of_the_servers_that_is_wrong_is_told() {
    let (watched, _writer) = with_data("redis-7.0");
    let master = master_of_most(&watched);
    let mut client = Client::connect(master).expect("connect");
    client
        .ask(&["ACL", "SETUSER", "watcher", "on", ">right", "~*", "+@all"])
        .expect("ACL SETUSER");
    let url = watched
        .url()
        .replace("redis-sentinel://", "redis-sentinel://watcher:wrong@");
    let app = App::start(&[url], CONFIG).expect("keyscape starts");
    wait::for_true(PATIENCE, "a word about it", || {
        Ok(app.log().contains("WRONGPASS"))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", app.log_tail()));
    assert!(!app.status().expect("status").synced);
    assert!(!app.log().contains("wrong@"), "the password is in the log");
}

/// A short form of `cargo chaos`.
#[test]
fn some_chaos() {
    let install = servers::get("valkey-9.1").expect("the server can be had");
    let (stage, writer) = SentinelStage::start(&install, 4).expect("they start");
    let options = Options {
        limit: Duration::from_secs(60),
        faults: 5,
        seed: 4,
        ..Options::default()
    };
    scene::some_chaos(stage, writer, options);
}
