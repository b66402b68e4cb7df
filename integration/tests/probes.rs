//! The C library's malloc (Redis 6.2 of the matrix) makes blocks larger by what was freed before:
//! there a key that was written is asked for, once it has come to rest.

use integration::app::App;
use integration::resp::{Client, Command, Reply};
use integration::truth::memory;

use crate::scene;

/// Probes come at once, and nothing else repairs what they do not.
const PROBING: &str = "
[reread]
sizes_per_s_max = 20000
audits_per_s_max = 0
";

/// Hashes, and fields of each.
const HASHES: usize = 40;
const FIELDS: usize = 600;

/// Keys of each other type.
const OTHERS: usize = 100;

fn words(line: &str) -> Command {
    line.split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

fn say(client: &mut Client, commands: &[Command]) {
    for some in commands.chunks(500) {
        let replies = client.pipeline(some).expect("replies");
        assert!(replies.iter().all(|reply| !reply.is_error()));
    }
}

fn hash(number: usize, round: usize) -> Command {
    let mut command = words(&format!("HSET hash:{number}"));
    for field in 0..FIELDS {
        let value = "v".repeat(1 + (number * 7 + field * 13 + round * 31) % 90);
        command.push(format!("field:{field}").into_bytes());
        command.push(value.into_bytes());
    }
    command
}

/// Leaves free blocks of many sizes behind.
fn fragment(client: &mut Client) {
    let name = |number: usize| format!("string:{number}");
    let text = |number: usize| "s".repeat(number * 29 % 300);
    let set = |number| words(&format!("SET {} {}x", name(number), text(number)));
    let sets: Vec<Command> = (0..40_000).map(set).collect();
    say(client, &sets);
    let gone = (0..40_000).filter(|number| number % 5 > 0);
    let dels: Vec<Command> = gone
        .map(|number| words(&format!("DEL {}", name(number))))
        .collect();
    say(client, &dels);
}

/// Keys that weigh something else than the model says.
fn wrong(theirs: &mut Client, app: &App) -> Vec<String> {
    let mut ours = app.client().expect("the admin port");
    let keys = theirs.ask(&["KEYS", "*:*"]).expect("names");
    let names: Vec<String> = keys.items().iter().map(Reply::string).collect();
    let asked: Vec<Command> = names
        .iter()
        .map(|name| words(&format!("MEMORY USAGE {name} SAMPLES 0")))
        .collect();
    let bytes = |client: &mut Client| -> Vec<i64> {
        let mut bytes = Vec::new();
        for some in asked.chunks(500) {
            let replies = client.pipeline(some).expect("replies");
            bytes.extend(replies.iter().map(|reply| reply.int().expect("bytes")));
        }
        bytes
    };
    let both = bytes(theirs).into_iter().zip(bytes(&mut ours));
    both.zip(names)
        .filter(|((theirs, ours), _)| theirs != ours)
        .map(|((theirs, ours), name)| format!("{name}: theirs {theirs}, ours {ours}"))
        .collect()
}

/// Keys of every type but hashes in tables.
fn others(number: usize, round: usize) -> Vec<Command> {
    let text = "t".repeat(45 + (number * 13 + round * 7) % 400);
    let lines = [
        format!("SET raw:{number} {text}"),
        format!("SET short:{number} text-{round}"),
        format!("SET number:{number} {round}"),
        format!("APPEND grown:{number} {text}"),
        format!("RPUSH list:{number} {text} {text} {round}"),
        format!("SADD ints:{number} {number} {round} 70000"),
        format!("SADD set:{number} {text} {round}"),
        format!("ZADD small:{number} {round} member"),
        format!("ZADD zset:{number} {round} {text}{text}"),
        format!("HSET packed:{number} field {text:.60}"),
        format!("XADD stream:{number} {}-1 field {text}", round + 1),
    ];
    lines.iter().map(|line| words(line)).collect()
}

#[test]
fn what_was_written_is_exact_behind_its_probe_on_redis_6_2() {
    let master = scene::server("redis-6.2", &[]);
    let mut client = master.client().expect("connect");
    let app = scene::follow(&master, PROBING);
    fragment(&mut client);
    for round in 0..2 {
        let hashes: Vec<Command> = (0..HASHES).map(|number| hash(number, round)).collect();
        say(&mut client, &hashes);
        let others: Vec<Command> = (0..OTHERS)
            .flat_map(|number| others(number, round))
            .collect();
        say(&mut client, &others);
        memory::meet(&mut client, &app).expect("the same offset, and no doubt");
        assert_eq!(wrong(&mut client, &app), [""; 0], "round {round}");
    }
    // One key changes: one key is asked for.
    let probes = || app.metric("keyscape_sizes_total").expect("a metric");
    let before = probes();
    for line in [
        "HSET hash:7 field:7 another-value",
        "SET raw:7 another-value",
    ] {
        let before = probes();
        say(&mut client, &[words(line)]);
        memory::meet(&mut client, &app).expect("the same offset, and no doubt");
        assert_eq!(wrong(&mut client, &app), [""; 0]);
        assert_eq!(probes(), before + 1);
    }
    assert_eq!(probes(), before + 2);
}

/// What a snapshot was loaded from had other blocks: all keys are asked for, once.
#[test]
fn what_was_loaded_is_exact_behind_its_probe_on_redis_6_2() {
    let master = scene::server("redis-6.2", &[]);
    let mut client = master.client().expect("connect");
    fragment(&mut client);
    let some = (0..OTHERS).flat_map(|number| others(number, 0));
    say(&mut client, &some.collect::<Vec<_>>());
    let app = scene::follow(&master, PROBING);
    memory::meet(&mut client, &app).expect("the same offset, and no doubt");
    assert_eq!(wrong(&mut client, &app), [""; 0]);
    let keys = client.ask(&["DBSIZE"]).expect("keys").int().expect("keys");
    let probes = app.metric("keyscape_sizes_total").expect("a metric");
    assert_eq!(i64::try_from(probes).expect("few"), keys);
}

#[test]
fn a_hash_that_was_written_is_not_asked_for_on_redis_7_0() {
    let master = scene::server("redis-7.0", &[]);
    let mut client = master.client().expect("connect");
    let app = scene::follow(&master, PROBING);
    let hashes: Vec<Command> = (0..HASHES).map(|number| hash(number, 0)).collect();
    say(&mut client, &hashes);
    memory::meet(&mut client, &app).expect("the same offset, and no doubt");
    assert_eq!(app.metric("keyscape_sizes_total").expect("a metric"), 0);
}
