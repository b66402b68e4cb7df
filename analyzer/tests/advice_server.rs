//! Rules about servers, each by facts that differ from those of a healthy server in one point.
#![allow(clippy::too_many_lines, reason = "a table is as long as what it lists")]

use std::collections::BTreeMap;
use std::sync::Arc;

use analyzer::acl::{User, Users};
use analyzer::advice::{
    Asked, Before, Cluster, Decide, Facts, Finding, Flows, Guard, Heat, Limits, Need, Node, Pace,
    Peer, Standing, Subject, Told, Verdict, decide, rule, rules, storm_limits,
};
use analyzer::census::{Expiries, Portion, Storm, StormLimits};
use analyzer::heat::{Hot, Rewrites, Work};
use analyzer::keyspace::Detail;
use analyzer::profile::{Family, Profile, Version};

const NOW_MS: u64 = 1_800_000_000_000;

/// One Sentinel fewer than there were.
fn lose_sentinel(facts: &mut Facts) {
    let guard = facts.standing.guard.as_mut().expect("a guard");
    guard.sentinels.pop();
}

/// A healthy master with a replica, and Keyscape beside it.
const INFO: &str = "redis_version:7.2.4 valkey_version:9.1.2 run_id:a uptime_in_seconds:86400 \
    role:master connected_slaves:2 slave0:ip=10.0.0.2,port=6379,state=online,offset=5,lag=1 \
    slave1:ip=10.0.0.9,port=65536,state=online,offset=0,lag=30 connected_clients:50 \
    maxclients:10000 rejected_connections:0 total_connections_received:100 \
    total_commands_processed:100000 total_error_replies:5 keyspace_hits:9000 keyspace_misses:1000 \
    rdb_last_save_time:1799999000 rdb_changes_since_last_save:10 rdb_last_bgsave_status:ok \
    aof_last_bgrewrite_status:ok aof_last_write_status:ok aof_delayed_fsync:0 \
    latest_fork_usec:300 used_memory:1000000 sync_full:2 sync_partial_err:0";

const CONFIG: &str = "save=3600_1_300_100_60_10000 appendonly=yes appendfsync=everysec \
    repl-backlog-size=10485760 client-output-buffer-limit=normal_0_0_0_slave_268435456_67108864_60 \
    min-replicas-to-write=1 min-replicas-max-lag=10 maxmemory=1000000000 \
    maxmemory-policy=allkeys-lru repl-diskless-sync=yes tls-port=0 protected-mode=yes \
    enable-debug-command=local";

fn map(text: &str, apart: char) -> BTreeMap<String, String> {
    let pairs = text.split_whitespace();
    let pairs = pairs.filter_map(|pair| pair.split_once(apart));
    pairs
        .map(|(name, value)| (name.to_owned(), value.replace('_', " ")))
        .collect()
}

fn info(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split_whitespace();
    let pairs = pairs.filter_map(|pair| pair.split_once(':'));
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn healthy() -> Facts {
    let user = User::parse(b"user default on #0 ~* &* +@all");
    Facts {
        master: "10.0.0.1:6379".to_owned(),
        now_ms: NOW_MS,
        profile: Profile::defaults(Family::Valkey, Version::new(9, 1)),
        told: Told {
            at_ms: NOW_MS,
            time_ms: Some(NOW_MS),
            slowest_us: Some(100),
            info: Asked::Known(info(INFO)),
            config: Asked::Known(map(CONFIG, '=')),
            users: Users::Listed(user.into_iter().collect()),
            before: None,
        },
        dbs: Vec::new(),
        totals: Vec::new(),
        detail: Detail::default(),
        survey: Err("no keys here".to_owned()),
        flows: Flows::default(),
        storms: Ok(Vec::new()),
        heat: Heat::default(),
        heat_hour: Heat::default(),
        slots: BTreeMap::new(),
        peers: Arc::new([]),
        standing: Standing {
            pace: Some(Pace {
                seconds: 300,
                bytes_mean: 1_000,
                bytes_p99: 10_000,
                bytes_max: 20_000,
                commands_per_min: 200,
            }),
            replicas: Some(vec![node("10.0.0.2", false)]),
            guard: Some(Guard {
                quorum: 2,
                sentinels: ["10.0.1.1", "10.0.1.2", "10.0.1.3"]
                    .map(|host| node(host, false))
                    .into(),
            }),
            ..Standing::default()
        },
    }
}

fn node(host: &str, is_down: bool) -> Node {
    Node {
        name: format!("{host}:6379"),
        host: host.to_owned(),
        is_down,
    }
}

/// What differs.
enum Point {
    Info(&'static str),
    Config(&'static str),
    User(&'static str),
    Facts(fn(&mut Facts)),
}

use Point::{Config, Info, User as Acl};

fn with(points: &[Point]) -> Facts {
    let mut facts = healthy();
    for point in points {
        match point {
            Info(text) => {
                if let Asked::Known(known) = &mut facts.told.info {
                    known.extend(info(text));
                }
            }
            Config(text) => {
                if let Asked::Known(known) = &mut facts.told.config {
                    known.extend(map(text, '='));
                }
            }
            Acl(line) => {
                let user = User::parse(line.as_bytes()).expect("a line of ACL LIST");
                let mut users = facts.told.users.listed().unwrap_or_default().to_vec();
                users.retain(|other| other.name != user.name);
                users.push(user);
                facts.told.users = Users::Listed(users);
            }
            Point::Facts(change) => change(&mut facts),
        }
    }
    facts
}

fn cluster(facts: &mut Facts, change: impl Fn(&mut Cluster)) {
    let mut cluster = Cluster {
        masters: 3,
        ..Cluster::default()
    };
    change(&mut cluster);
    facts.standing.cluster = Some(cluster);
    facts.peers = ["10.0.0.1:6379", "10.0.0.3:6379"]
        .map(|name| Peer {
            name: name.to_owned(),
            keys: 1,
            bytes: 0,
            own_bytes: Some(0),
            bytes_per_day: None,
        })
        .into();
}

/// One of two masters has so many MiB, and gets 100 more a day: 9000 in 90 days.
fn grows(facts: &mut Facts, mib: u64) {
    cluster(facts, |_| {});
    let peers = Arc::make_mut(&mut facts.peers);
    peers[1].bytes = mib << 20;
    peers[1].bytes_per_day = Some(100 << 20);
}

/// The two masters have so many MiB in their own slots.
fn shares(facts: &mut Facts, mib: [Option<u64>; 2]) {
    cluster(facts, |_| {});
    let peers = Arc::make_mut(&mut facts.peers).iter_mut();
    for (peer, mib) in peers.zip(mib) {
        peer.own_bytes = mib.map(|mib| mib << 20);
    }
}

/// The server's container may take so many bytes.
fn contained(facts: &mut Facts, bytes: u64) {
    facts.standing.container_bytes = Some(bytes);
}

/// So many writes to one of a hundred slots, in the last minute.
fn written(facts: &mut Facts, slot: u64, all: u64) {
    cluster(facts, |cluster| cluster.own_slots = 100);
    let work = |writes| Work { writes, bytes: 0 };
    facts.heat.covered_ms = 60_000;
    facts.heat.total = work(all);
    facts.heat.slots = vec![(7, work(slot))];
}

/// A storm of expiries, seven and a half minutes from now.
const STRUCK: Storm = Storm {
    at_ms: NOW_MS.cast_signed() + 450_000,
    portion: Portion {
        keys: 5_000,
        bytes: 1 << 20,
    },
};

const NO_SAVE: Point = Config("save= appendonly=no");

/// A rule, what makes it hold, and what makes it not hold though it is close.
fn cases() -> Vec<(&'static str, Vec<Point>, Vec<Point>)> {
    vec![
        (
            "PER-01",
            vec![Info("rdb_last_save_time:1799996000")],
            vec![Info(
                "rdb_last_save_time:1799996000 rdb_changes_since_last_save:0",
            )],
        ),
        (
            "PER-01",
            vec![Info("rdb_last_save_time:1799996399")],
            vec![Info("rdb_last_save_time:1799996000"), Config("save=")],
        ),
        ("PER-03", vec![Config("save=")], vec![NO_SAVE]),
        (
            "PER-04",
            vec![Config("appendfsync=always")],
            vec![Config("appendfsync=always appendonly=no")],
        ),
        ("PER-04", vec![Config("appendfsync=no")], vec![]),
        ("PER-04", vec![Info("aof_delayed_fsync:1")], vec![]),
        ("PER-05", vec![Info("rdb_last_bgsave_status:err")], vec![]),
        ("PER-05", vec![Info("aof_last_write_status:err")], vec![]),
        (
            "PER-06",
            vec![Info("latest_fork_usec:90000 used_memory:1073741824")],
            vec![Info("latest_fork_usec:90000 used_memory:4294967296")],
        ),
        (
            "PER-06",
            vec![Info("latest_fork_usec:1100000 used_memory:107374182400")],
            vec![Info("latest_fork_usec:19000 used_memory:1")],
        ),
        (
            "PER-07",
            vec![Config("save=60_1")],
            vec![Config("save=120_1")],
        ),
        ("PER-07", vec![Config("save=60_100000")], vec![NO_SAVE]),
        (
            "PER-08",
            vec![NO_SAVE],
            vec![
                NO_SAVE,
                Info("slave0:ip=10.0.0.9,port=65536,state=online,offset=0,lag=1"),
            ],
        ),
        (
            "REP-01",
            vec![Point::Facts(|facts| {
                let known = facts.standing.replicas.get_or_insert_default();
                known.push(node("10.0.0.4", true));
            })],
            vec![
                Info("role:slave"),
                Point::Facts(|facts| facts.standing.replicas = None),
            ],
        ),
        (
            "REP-02",
            vec![Info(
                "slave0:ip=10.0.0.2,port=6379,state=online,offset=5,lag=31",
            )],
            vec![Info(
                "slave0:ip=10.0.0.2,port=6379,state=wait_bgsave,offset=5,lag=31",
            )],
        ),
        (
            "REP-02",
            vec![Info("role:slave master_link_down_since_seconds:61")],
            vec![Info(
                "role:slave master_link_down_since_seconds:60 master_last_io_seconds_ago:30",
            )],
        ),
        (
            "REP-02",
            vec![Point::Facts(|facts| {
                facts.standing.link.silent_ms = Some(31_000)
            })],
            vec![Point::Facts(|facts| {
                facts.standing.link.silent_ms = Some(30_999)
            })],
        ),
        (
            "REP-03",
            vec![Config("repl-backlog-size=599999")],
            vec![Config("repl-backlog-size=600000")],
        ),
        (
            "REP-04",
            vec![
                Info("used_memory:524288000"),
                Config(
                    "client-output-buffer-limit=normal_0_0_0_slave_100000_0_0 repl-backlog-size=1",
                ),
            ],
            vec![
                Info("used_memory:524288000"),
                Config("client-output-buffer-limit=normal_0_0_0_slave_100000_0_0"),
            ],
        ),
        (
            "REP-05",
            vec![Config(
                "min-replicas-to-write=0 maxmemory-policy=noeviction",
            )],
            vec![Config("min-replicas-to-write=0")],
        ),
        (
            "REP-06",
            vec![Info(
                "slave1:ip=10.0.0.9,port=65536,state=online,offset=0,lag=1",
            )],
            vec![
                Info("slave1:ip=10.0.0.9,port=65536,state=online,offset=0,lag=1"),
                Config("min-replicas-to-write=0"),
            ],
        ),
        ("REP-07", vec![Config("repl-diskless-sync=no")], vec![]),
        (
            "REP-08",
            vec![Info("sync_full:3")],
            vec![Info("sync_full:2")],
        ),
        (
            "REP-09",
            vec![Point::Facts(lose_sentinel)],
            vec![Point::Facts(|facts| facts.standing.guard = None)],
        ),
        (
            "REP-09",
            vec![Point::Facts(|facts| {
                facts.standing.guard.as_mut().expect("a guard").sentinels[0].host =
                    "10.0.1.2".to_owned();
            })],
            vec![],
        ),
        (
            "CLU-01",
            vec![Point::Facts(|facts| shares(facts, [Some(3), Some(1)]))],
            vec![Point::Facts(|facts| shares(facts, [Some(10), Some(8)]))],
        ),
        (
            "CLU-01",
            vec![Point::Facts(|facts| shares(facts, [Some(3), Some(1)]))],
            // Keys astray are not its share, and a master without slots is none of the others.
            vec![Point::Facts(|facts| {
                shares(facts, [Some(3), None]);
                facts.dbs = vec![sum(30 << 20)];
                Arc::make_mut(&mut facts.peers)[0].bytes = 30 << 20;
            })],
        ),
        (
            "TTL-04",
            vec![Point::Facts(|facts| facts.storms = Ok(vec![STRUCK]))],
            vec![Point::Facts(|facts| {
                facts.storms = Err("counting".to_owned())
            })],
        ),
        (
            "CLU-02",
            vec![Point::Facts(|facts| written(facts, 60_000, 120_000))],
            vec![Point::Facts(|facts| written(facts, 59_999, 120_000))],
        ),
        (
            "CLU-02",
            vec![Point::Facts(|facts| written(facts, 60_100, 1_200_000))],
            vec![Point::Facts(|facts| written(facts, 60_000, 1_200_000))],
        ),
        (
            "CLU-05",
            vec![Point::Facts(|facts| {
                cluster(facts, |cluster| cluster.uncovered = 1)
            })],
            vec![Point::Facts(|facts| cluster(facts, |_| {}))],
        ),
        (
            "CLU-06",
            vec![Point::Facts(|facts| {
                cluster(facts, |cluster| cluster.masters = 2)
            })],
            vec![Point::Facts(|facts| cluster(facts, |_| {}))],
        ),
        (
            "CLU-06",
            vec![Point::Facts(|facts| grows(facts, 25 * 1024 - 9000))],
            vec![Point::Facts(|facts| grows(facts, 25 * 1024 - 9001))],
        ),
        (
            "CLI-01",
            vec![Info("connected_clients:101")],
            vec![Info("connected_clients:100")],
        ),
        (
            "CLI-01",
            vec![Info("connected_clients:81 maxclients:100")],
            vec![],
        ),
        (
            "CLI-02",
            vec![Info("total_connections_received:20000")],
            vec![
                Info("total_connections_received:20000 total_commands_processed:101000"),
                Point::Facts(|facts| {
                    facts.told.before = Some(Before {
                        at_ms: NOW_MS - 60_000,
                        counters: BTreeMap::from([
                            ("total_connections_received", 19_999),
                            ("total_commands_processed", 100_000),
                        ]),
                    });
                }),
            ],
        ),
        ("CLI-03", vec![Info("rejected_connections:1")], vec![]),
        (
            "TRF-01",
            vec![Info("cmdstat_keys:calls=1,usec=5,usec_per_call=5.00")],
            vec![Info("cmdstat_hgetall:calls=1,usec=5,usec_per_call=1000.9")],
        ),
        (
            "TRF-01",
            vec![Info("cmdstat_hgetall:calls=1,usec=5,usec_per_call=1001.00")],
            vec![],
        ),
        (
            "TRF-02",
            vec![Info("total_error_replies:1001")],
            vec![Info("total_error_replies:1000")],
        ),
        (
            "TRF-03",
            vec![Info("keyspace_misses:3000")],
            vec![
                Info("keyspace_misses:3000"),
                Config("maxmemory-policy=noeviction"),
            ],
        ),
        (
            "EVI-02",
            vec![Point::Facts(|facts| contained(facts, 999_999_999))],
            vec![Point::Facts(|facts| contained(facts, 1_000_000_000))],
        ),
        (
            // A container is never larger than its machine.
            "EVI-02",
            vec![
                Info("total_system_memory:999999999"),
                Point::Facts(|facts| contained(facts, 2_000_000_000)),
            ],
            vec![
                Info("total_system_memory:1000000000"),
                Point::Facts(|facts| contained(facts, 2_000_000_000)),
            ],
        ),
        (
            "SEC-01",
            vec![Acl("user default on nopass ~* &* +@all")],
            vec![Acl("user default off nopass ~* &* +@all")],
        ),
        (
            "SEC-02",
            vec![Acl("user app on #0 ~* &* +@all")],
            vec![Acl("user app on #0 ~* &* +@all -@dangerous -@admin")],
        ),
        (
            "SEC-02",
            vec![Config("enable-debug-command=yes")],
            vec![Acl("user app off #0 ~* +@all")],
        ),
        ("SEC-03", vec![], vec![Config("tls-port=6380")]),
        ("OPS-01", vec![Point::Facts(redis_7)], vec![]),
        (
            "ALR-02",
            vec![Info("uptime_in_seconds:299")],
            vec![Info("uptime_in_seconds:300")],
        ),
        (
            "ALR-17",
            vec![Point::Facts(|facts| facts.told.slowest_us = Some(200_001))],
            vec![Point::Facts(|facts| facts.told.slowest_us = Some(200_000))],
        ),
    ]
}

fn sum(bytes: u64) -> analyzer::view::DbTotals {
    analyzer::view::DbTotals {
        db: 0,
        keys: 1,
        expires: 0,
        avg_ttl_ms: 0,
        bytes,
    }
}

fn redis_7(facts: &mut Facts) {
    if let Asked::Known(known) = &mut facts.told.info {
        known.remove("valkey_version");
        known.insert("redis_version".to_owned(), "7.0.15".to_owned());
    }
}

#[test]
fn each_rule_holds_where_it_should_and_not_beside_it() {
    let limits = Limits::default();
    for (at, (id, holds, quiet)) in cases().into_iter().enumerate() {
        let rule = rule(id).unwrap_or_else(|| panic!("no rule {id}"));
        let verdict = decide(rule, &with(&holds), &limits);
        let Verdict::Found(finding) = verdict else {
            panic!("{id} ({at}): {verdict:?}");
        };
        assert!(
            !finding.what.is_empty() && !finding.evidence.is_empty(),
            "{id}: {finding:?}"
        );
        assert!(!finding.remedy.is_empty(), "{id}: {finding:?}");
        let verdict = decide(rule, &with(&quiet), &limits);
        assert!(
            matches!(verdict, Verdict::Quiet | Verdict::Cannot(_)),
            "{id} ({at}): {verdict:?}"
        );
        if !["REP-01", "TTL-04"].contains(&id) {
            assert_eq!(verdict, Verdict::Quiet, "{id} ({at})");
        }
    }
}

fn found(id: &str, facts: &Facts) -> Finding {
    let verdict = decide(rule(id).expect("a rule"), facts, &Limits::default());
    let Verdict::Found(finding) = verdict else {
        panic!("{id}: {verdict:?}");
    };
    finding
}

/// The machine has 64 GB and the container 8: a limit by the machine would have the server killed.
#[test]
fn a_limit_of_memory_is_one_that_the_container_bears() {
    let mut facts = with(&[
        Config("maxmemory=0"),
        Info("total_system_memory:64000000000 used_memory:5000000000"),
    ]);
    let remedy = |facts: &Facts| found("EVI-01", facts).remedy;
    assert_eq!(remedy(&facts)[0], "CONFIG SET maxmemory 48000000000");
    contained(&mut facts, 8_000_000_000);
    assert_eq!(remedy(&facts)[0], "CONFIG SET maxmemory 6000000000");
    contained(&mut facts, 6_000_000_000);
    assert!(remedy(&facts)[0].starts_with("more memory first"));
}

/// `user a\x01` is told as `a?`: the line to paste would have taken the rights of a user of that name.
#[test]
fn a_name_that_is_no_word_is_not_in_a_line_to_paste() {
    let remedy = |id: &str, point| found(id, &with(&[point])).remedy.pop().expect("a step");
    assert_eq!(
        remedy("SEC-02", Acl("user a.b:c@d-e_1 on #0 ~* +@all")),
        "ACL SETUSER a.b:c@d-e_1 -@dangerous -@admin"
    );
    for (line, row) in [
        ("user a\x01 on #0 ~* +@all", "a?"),
        ("user a;b on ~* +@all", "a;b"),
    ] {
        assert_eq!(
            remedy("SEC-02", Acl(line)),
            format!(
                "ACL SETUSER -@dangerous -@admin for the user of the row `user {row}`, by its name in \
                 ACL LIST"
            )
        );
    }
    let odd = |facts: &mut Facts| {
        facts.standing.shard = "a;b".into();
        lose_sentinel(facts);
    };
    assert_eq!(
        remedy("REP-09", Point::Facts(odd)),
        "SENTINEL SET quorum 2, by its name in SENTINEL MASTERS"
    );
}

/// As where KS.TARGET names one of them: a hundredth of what it has is no hundredth of the cluster.
#[test]
fn one_master_alone_says_nothing_of_its_cluster() {
    let mut facts = with(&[Point::Facts(|facts| shares(facts, [Some(3), Some(1)]))]);
    let clu_01 = rule("CLU-01").expect("a rule");
    let verdict = |facts: &Facts| decide(clu_01, facts, &Limits::default());
    assert!(matches!(verdict(&facts), Verdict::Found(_)));
    facts.peers = facts.peers[..1].into();
    assert!(matches!(verdict(&facts), Verdict::Cannot(_)));
}

#[test]
fn a_storm_is_told_from_now_as_the_rule_is_tuned() {
    let mut facts = healthy();
    facts.storms = Ok(vec![STRUCK]);
    let ttl_04 = rule("TTL-04").expect("a rule");
    let finding = found("TTL-04", &facts);
    assert_eq!(
        finding.evidence[0].subject,
        Subject::Named("in 7 min".to_owned())
    );
    assert_eq!((finding.keys, finding.bytes), (5_000, 1 << 20));

    let mut limits = Limits::default();
    assert_eq!(storm_limits(&limits), StormLimits::DEFAULT);
    limits.tune(ttl_04, "keys", 7).expect("a threshold");
    limits
        .tune(ttl_04, "bytes_percent", 50)
        .expect("a threshold");
    let tuned = storm_limits(&limits);
    assert_eq!(
        (tuned.keys_percent, tuned.bytes_percent, tuned.keys),
        (5, 50, 7)
    );
    let mut lives = Expiries::new(0);
    lives.fixed = Portion {
        keys: 93,
        bytes: 930,
    };
    lives.minutes[3] = Portion { keys: 7, bytes: 70 };
    lives.lives[1] = lives.minutes[3];
    assert_eq!(lives.storms(), [], "too few keys");
    lives.limits = tuned;
    let storms: Vec<i64> = lives.storms().iter().map(|storm| storm.at_ms).collect();
    assert_eq!(storms, [180_000], "7% of the keys");
}

/// A key's name is bytes, of a database: it must not get into words.
#[test]
fn the_keys_that_are_written_most_are_told_as_keys() {
    let mut facts = healthy();
    facts.dbs = vec![analyzer::view::DbTotals {
        keys: 100,
        ..sum(1_000)
    }];
    let work = |writes| Work { writes, bytes: 0 };
    facts.heat_hour.total = work(1_000);
    let name = b"\x1b]0;\xffmine\n".to_vec();
    facts.heat_hour.by_writes = vec![Hot {
        db: 3,
        name_len: name.len() as u64,
        name: name.clone(),
        work: work(999),
        error: work(0),
        rewrites: Rewrites::default(),
    }];
    let finding = found("EVI-06", &facts);
    assert_eq!(finding.evidence[0].subject, Subject::Key { db: 3, name });
}

#[test]
fn a_healthy_server_is_left_alone_but_for_its_plain_replicas() {
    let facts = healthy();
    let all = rules().filter(|rule| !rule.needs.contains(&Need::Survey));
    let found =
        all.filter(|rule| matches!(decide(rule, &facts, &Limits::default()), Verdict::Found(_)));
    let found: Vec<&str> = found.map(|rule| rule.id).collect();
    assert_eq!(found, ["SEC-03"]);
}

#[test]
fn what_may_not_be_asked_cannot_be_told() {
    let mut facts = healthy();
    facts.told.info = Asked::Denied;
    facts.told.config = Asked::Denied;
    facts.told.users = Users::Refused;
    for rule in rules() {
        let asks = [Need::Info, Need::Config, Need::Acl];
        let asks = rule.needs.iter().any(|need| asks.contains(need));
        if !asks || rule.off.is_some() || !matches!(rule.decide, Decide::By(_)) {
            continue;
        }
        let verdict = decide(rule, &facts, &Limits::default());
        assert!(
            matches!(verdict, Verdict::Cannot(_)),
            "{}: {verdict:?}",
            rule.id
        );
    }
}
