//! MEMORY USAGE of strings with a past, to the byte: as the stream tells it, and after another
//! process went on with the history.
//!
//! Nothing is audited here, which would repair what is to be found.

use integration::app::App;
use integration::cluster::{AGREEMENT, Cluster, Shape, take_over};
use integration::resp::{Client, Command};
use integration::server::Server;
use integration::servers;
use integration::truth::memory;
use integration::wait;

use crate::scene::{self, PATIENCE};

/// Doubts are settled at once, and nothing else is asked.
const ASKING: &str = "
[reread]
probes_per_s_max = 20000
sizes_per_s_max = 20000
audits_per_s_max = 0
";

/// Far away, unix milliseconds.
const LATER: &str = "4000000000000";

/// Restores a key from itself.
const RESTORE: &str = "redis.call('RESTORE',KEYS[1],0,redis.call('DUMP',KEYS[1]),'REPLACE')";

/// A key's name and what is done to it; `v*9` is nine letters, `_` the key, `LATER` an expiry,
/// `RESTORE` a script.
struct Life {
    name: String,
    lines: &'static [&'static str],
}

impl Life {
    fn of(name_len: usize, lines: &'static [&'static str], number: usize) -> Life {
        let name = format!("k{number}");
        let name = format!("{name}{}", "n".repeat(name_len.saturating_sub(name.len())));
        Life { name, lines }
    }

    fn commands(&self) -> Vec<Command> {
        let word = |word: &str| match word.strip_prefix("v*") {
            Some(count) => vec![b'v'; count.parse().expect("a number")],
            None if word == "LATER" => LATER.into(),
            None if word == "RESTORE" => RESTORE.into(),
            None => word.replace('_', &self.name).into_bytes(),
        };
        let lines = self.lines.iter();
        lines
            .map(|line| line.split(' ').map(word).collect())
            .collect()
    }
}

fn lives(all: &[(usize, &'static [&'static str])]) -> Vec<Life> {
    let all = all.iter().enumerate();
    all.map(|(number, (len, lines))| Life::of(*len, lines, number))
        .collect()
}

fn say(client: &mut Client, commands: &[Command]) {
    for (command, reply) in commands
        .iter()
        .zip(client.pipeline(commands).expect("replies"))
    {
        assert!(!reply.is_error(), "{command:?}: {}", reply.string());
    }
}

/// Every key that the two weigh, or hold, in different ways.
fn differing(theirs: &mut Client, app: &App, lives: &[Life]) -> Vec<String> {
    let mut ours = app.client().expect("the admin port");
    let mut found = Vec::new();
    for life in lives {
        let ask = |client: &mut Client| {
            let usage = client.call(&["MEMORY", "USAGE", &life.name, "SAMPLES", "0"]);
            let encoding = client.call(&["OBJECT", "ENCODING", &life.name]);
            let words = (usage.expect("an answer"), encoding.expect("an answer"));
            format!("{:?} {}", words.0.int(), words.1.string())
        };
        let (theirs, ours) = (ask(theirs), ask(&mut ours));
        if theirs != ours {
            found.push(format!("{:?}: theirs {theirs}, ours {ours}", life.lines));
        }
    }
    found
}

fn follow(server: &Server) -> App {
    let app = App::start(&[server.url()], ASKING).expect("keyscape");
    app.wait_synced(PATIENCE).expect("a model");
    app
}

/// Keys whose past the stream tells.
const TOLD: &[(usize, &[&str])] = &[
    // A key that is made anew has no room for the expiry of the one before.
    (
        22,
        &[
            "SET _ v*300",
            "PEXPIREAT _ LATER",
            "SET _~ v*200",
            "COPY _~ _ REPLACE",
        ],
    ),
    (
        22,
        &[
            "SET _ v*300",
            "PEXPIREAT _ LATER",
            "SET _~ v*200",
            "RENAME _~ _",
        ],
    ),
    (
        22,
        &[
            "SET _ v*300",
            "PEXPIREAT _ LATER",
            "PERSIST _",
            "EVAL RESTORE 2 _ _",
        ],
    ),
    // What is edited keeps it, a short text that BITOP makes as well.
    (
        22,
        &[
            "SETRANGE _ 0 v*12",
            "PEXPIREAT _ LATER",
            "PERSIST _",
            "SETRANGE _ 0 v*9",
        ],
    ),
    (
        22,
        &[
            "SET _ v*300",
            "PEXPIREAT _ LATER",
            "PERSIST _",
            "BITOP NOT _ _",
            "SETRANGE _ 0 v*3",
        ],
    ),
    (
        22,
        &[
            "SETRANGE _ 0 v*12",
            "PEXPIREAT _ LATER",
            "PERSIST _",
            "BITOP NOT _ _",
        ],
    ),
    // The block of a very short text has room for an expiry that the sum of its parts has not.
    (109, &["SET _ v*2", "PEXPIREAT _ LATER"]),
    (41, &["PSETEX _ 900000000000 v*0"]),
    // A copy has all of its block to grow in, which SET would have trimmed.
    (8, &["SET _~ v*256", "COPY _~ _", "APPEND _ v*9"]),
    (8, &["SET _ v*256", "APPEND _ v*9"]),
];

fn check_told(name: &str) {
    let master = scene::server(name, &[]);
    let app = follow(&master);
    let mut client = master.client().expect("connect");
    let lives = lives(TOLD);
    for life in &lives {
        say(&mut client, &life.commands());
    }
    memory::meet(&mut client, &app).expect("the same offset");
    assert_eq!(differing(&mut client, &app, &lives), [""; 0], "{name}");
}

#[test]
fn what_is_done_to_strings_is_weighed_on_redis_7_0() {
    check_told("redis-7.0");
}

#[test]
fn what_is_done_to_strings_is_weighed_on_redis_8_0() {
    check_told("redis-8.0");
}

#[test]
fn what_is_done_to_strings_is_weighed_on_valkey_8_0() {
    check_told("valkey-8.0");
}

#[test]
fn what_is_done_to_strings_is_weighed_on_valkey_8_1() {
    check_told("valkey-8.1");
}

#[test]
fn what_is_done_to_strings_is_weighed_on_valkey_9_1() {
    check_told("valkey-9.1");
}

/// Keys with a past that nobody told, and what is done to them then.
const PAST: &[(usize, &[&str])] = &[
    (8, &["SETRANGE _ 0 v*256", "then", "APPEND _ v*9"]),
    (8, &["SET _ v*256", "then", "APPEND _ v*9"]),
    (8, &["SET _ v*256", "then", "APPEND _ v*59"]),
    (
        8,
        &[
            "SET _ v*60",
            "APPEND _ v*60",
            "then",
            "APPEND _ v*100",
            "APPEND _ v*60",
        ],
    ),
    (
        9,
        &["APPEND _ v*1", "APPEND _ v*11", "then", "PEXPIREAT _ LATER"],
    ),
    (
        9,
        &[
            "APPEND _ v*1",
            "APPEND _ v*11",
            "then",
            "APPEND _ v*9",
            "PERSIST _",
        ],
    ),
    (
        22,
        &[
            "SET _ v*300",
            "PEXPIREAT _ LATER",
            "PERSIST _",
            "then",
            "APPEND _ v*9",
        ],
    ),
];

fn check_past(name: &str) {
    let master = scene::server(name, &[]);
    let mut client = master.client().expect("connect");
    let lives = lives(PAST);
    let is_then = |command: &Command| command[..] == [b"then"];
    let parts: Vec<[Vec<Command>; 2]> = lives
        .iter()
        .map(|life| {
            let commands = life.commands();
            let mut parts = commands.split(is_then).map(<[Command]>::to_vec);
            [(); 2].map(|()| parts.next().expect("a part before and one behind"))
        })
        .collect();
    for [before, _] in &parts {
        say(&mut client, before);
    }
    let app = follow(&master);
    memory::meet(&mut client, &app).expect("the same offset");
    assert_eq!(
        differing(&mut client, &app, &lives),
        [""; 0],
        "{name}, told"
    );
    for [_, then] in &parts {
        say(&mut client, then);
    }
    memory::meet(&mut client, &app).expect("the same offset");
    assert_eq!(differing(&mut client, &app, &lives), [""; 0], "{name}");
}

#[test]
fn strings_with_a_past_are_weighed_on_redis_6_0() {
    check_past("redis-6.0");
}

#[test]
fn strings_with_a_past_are_weighed_on_redis_7_0() {
    check_past("redis-7.0");
}

#[test]
fn strings_with_a_past_are_weighed_on_valkey_9_1() {
    check_past("valkey-9.1");
}

/// Keys that another process has loaded, and holds in other blocks since.
const LOADED: &[(usize, &[&str])] = &[
    (8, &["SET _ v*4000", "APPEND _ v*600"]),
    (9, &["SET _ abc", "APPEND _ de"]),
    (10, &["SETRANGE _ 0 v*40", "SETRANGE _ 0 v*3"]),
    (22, &["SET _ v*300", "PEXPIREAT _ LATER", "PERSIST _"]),
    (22, &["SET _ 17", "PEXPIREAT _ LATER", "PERSIST _"]),
    (13, &["SET _ abc", "PEXPIREAT _ LATER", "PERSIST _"]),
    (14, &["RPUSH _ a b c", "PEXPIREAT _ LATER", "PERSIST _"]),
    (30, &["SET _ v*3"]),
];

/// A replica that loaded all keys later takes over, and then the master that had made them does.
fn check_loaded(name: &str) {
    let install = servers::get(name).expect("the server can be had");
    let pair = Shape {
        masters: 1,
        replicas: 1,
    };
    let mut cluster = Cluster::start(&install, pair, &[]).expect("the cluster starts");
    let config = format!("{ASKING}[link]\nretry_min_ms = 20\nretry_max_ms = 200\n");
    let app = App::start(&[cluster.url()], &config).expect("keyscape");
    app.wait_synced(PATIENCE).expect("a model");
    let map = cluster.wait_agreed(AGREEMENT).expect("a map");
    let master = map.masters().next().expect("a master").clone();
    let replica = map.replicas_of(&master.id).find_map(|seen| seen.addr);
    let (master, replica) = (
        master.addr.expect("an address"),
        replica.expect("a replica"),
    );

    let lives = lives(LOADED);
    let mut made = Client::connect(master).expect("connect");
    let mut loaded = Client::connect(replica).expect("connect");
    for life in &lives {
        say(&mut made, &life.commands());
    }
    wait::for_true(PATIENCE, "the replica", || {
        let offset = |client: &mut Client| client.info("replication", "master_repl_offset");
        Ok(offset(&mut made)? == offset(&mut loaded)?)
    })
    .expect("it follows");
    loaded.ask(&["DEBUG", "RELOAD"]).expect("a load");
    memory::meet(&mut made, &app).expect("the same offset");
    assert_eq!(differing(&mut made, &app, &lives), [""; 0], "{name}");
    for (successor, client) in [(replica, &mut loaded), (master, &mut made)] {
        take_over(successor, None).expect("a successor");
        let mut found = Vec::new();
        wait::for_true(PATIENCE, "the bytes of the successor", || {
            found = differing(client, &app, &lives);
            Ok(found.is_empty())
        })
        .unwrap_or_else(|_| panic!("{name}: {found:?}\n{}", app.log_tail()));
    }
}

#[test]
fn a_successor_that_loaded_its_strings_is_weighed_on_redis_7_0() {
    check_loaded("redis-7.0");
}

#[test]
fn a_successor_that_loaded_its_strings_is_weighed_on_redis_8_0() {
    check_loaded("redis-8.0");
}

#[test]
fn a_successor_that_loaded_its_strings_is_weighed_on_valkey_8_0() {
    check_loaded("valkey-8.0");
}

#[test]
fn a_successor_that_loaded_its_strings_is_weighed_on_valkey_9_1() {
    check_loaded("valkey-9.1");
}
