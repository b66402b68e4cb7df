//! What commands of the stream leave behind of sets, hashes and sorted sets: type, encoding, count
//! and doubt, as the servers named were seen to.

use analyzer::command::Doubt;
use analyzer::input::{Command, Outcome};
use analyzer::profile::{Family, Version};
use analyzer::{Keyspace, Profile, Text};

const REDIS_6: (Family, u16, u16) = (Family::Redis, 6, 0);
const REDIS_7: (Family, u16, u16) = (Family::Redis, 7, 0);
const REDIS_8: (Family, u16, u16) = (Family::Redis, 8, 0);
const VALKEY_8: (Family, u16, u16) = (Family::Valkey, 8, 1);
const VALKEY_9: (Family, u16, u16) = (Family::Valkey, 9, 1);

/// Runs a script, one command a line. A word `a..b` with numbers stands for all of them, `x*n` for
/// n times the letter.
fn run(server: (Family, u16, u16), script: &str) -> Keyspace {
    let profile = Profile::defaults(server.0, Version::new(server.1, server.2));
    let mut keyspace = Keyspace::new(profile, 17);
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let words: Vec<String> = line.split(' ').flat_map(expand).collect();
        let argv: Vec<Text<'_>> = words
            .iter()
            .map(|word| Text::Bytes(word.as_bytes()))
            .collect();
        let outcome = keyspace.apply(&Command {
            db: 0,
            argv: &argv,
            now_ms: 1_700_000_000_000,
            end_offset: 0,
        });
        assert!(
            matches!(outcome, Outcome::Applied | Outcome::NoChange),
            "{line}: {outcome:?}"
        );
    }
    keyspace
}

fn expand(word: &str) -> Vec<String> {
    if let Some((letter, times)) = word.split_once('*') {
        return vec![letter.repeat(number(times))];
    }
    match word.split_once("..") {
        Some((from, to)) => {
            let prefix = from.trim_end_matches(|c: char| c.is_ascii_digit());
            (number(&from[prefix.len()..])..number(to))
                .map(|n| format!("{prefix}{n}"))
                .collect()
        }
        None => vec![word.to_owned()],
    }
}

fn number(digits: &str) -> usize {
    digits.parse().expect("a script's ranges are numbers")
}

/// What is known of a key, in words.
fn facts(keyspace: &Keyspace, key: &str) -> String {
    let Some(facts) = keyspace.facts(0, key.as_bytes()) else {
        return "none".to_owned();
    };
    let doubt = match facts.doubt {
        Doubt::None => "",
        Doubt::Probe => " probe",
        Doubt::Size => " size",
        Doubt::Value => " reread",
    };
    let encoding = facts.encoding.name(keyspace.profile());
    format!("{encoding} {}{doubt}", facts.count)
}

#[track_caller]
fn check(servers: &[(Family, u16, u16)], script: &str, expected: &[(&str, &str)]) {
    for &server in servers {
        let keyspace = run(server, script);
        for &(key, expected) in expected {
            assert_eq!(facts(&keyspace, key), expected, "{server:?} {key}");
        }
    }
}

#[test]
fn sets_convert_as_the_server_does() {
    let script = "
        SADD ints 0..512
        SADD more 0..513
        SADD grown 0..512
        SADD grown 600
        SADD mixed 1 2 three
        SADD words w0..128
        SADD gone a b
        SREM gone a b c
        SADD long x*65
    ";
    let everywhere = [
        ("ints", "intset 512"),
        ("more", "hashtable 513"),
        ("grown", "hashtable 513"),
        ("gone", "none"),
        ("long", "hashtable 1"),
    ];
    check(
        &[REDIS_6, REDIS_7, REDIS_8, VALKEY_8, VALKEY_9],
        script,
        &everywhere,
    );
    check(
        &[REDIS_6, REDIS_7],
        script,
        &[("mixed", "hashtable 3"), ("words", "hashtable 128")],
    );
    check(
        &[REDIS_8, VALKEY_9],
        script,
        &[("mixed", "listpack 3"), ("words", "listpack 128")],
    );
}

#[test]
fn the_number_of_arguments_is_a_hint_from_7_2_on() {
    // 129 words, 20 of them different: only servers that count arguments make a table of them.
    let mut script = "SADD s".to_owned();
    for n in 0..129 {
        script.push_str(&format!(" w{}", n % 20));
    }
    check(&[REDIS_8, VALKEY_8], &script, &[("s", "hashtable 20")]);
    let script = "ZADD z ".to_owned() + &"1 a ".repeat(129);
    check(&[REDIS_8, VALKEY_8], script.trim(), &[("z", "skiplist 1")]);
    // Before, each member is looked at alone; 6.x calls the blob a ziplist.
    check(&[REDIS_7], script.trim(), &[("z", "listpack 1")]);
    check(&[REDIS_6], script.trim(), &[("z", "ziplist 1")]);
}

#[test]
fn set_algebra_settles_its_result() {
    let script = "
        SADD a 1 2 3 x
        SADD b 2 3 4
        SADD c x
        SINTERSTORE inter a b
        SUNIONSTORE union a b
        SDIFFSTORE diff a b
        SDIFFSTORE words a b b
        SINTERSTORE none b c
        SMOVE a c 1
        SUNIONSTORE self c c missing
    ";
    check(
        &[REDIS_8, VALKEY_9],
        script,
        &[
            ("inter", "intset 2"),
            ("union", "listpack 5"),
            ("diff", "listpack 2"),
            ("none", "none"),
            ("a", "listpack 3"),
            ("c", "listpack 2"),
            ("self", "listpack 2"),
        ],
    );
    // Few members of a large set: the server adds all of it and takes the others out again.
    let script = "
        SADD large w0..200
        SADD small w10..200
        SDIFFSTORE asked large small
        SADD s1 w0..1
        SADD s2 w1..2
        SADD s3 w2..3
        SDIFFSTORE taken large s1 s2 s3
    ";
    check(
        &[REDIS_8],
        script,
        &[("asked", "listpack 10"), ("taken", "hashtable 197")],
    );
}

#[test]
fn a_pop_of_most_members_is_probed() {
    let script = "
        SADD s w0..200
        SREM s w0..190
    ";
    check(&[REDIS_8, VALKEY_9], script, &[("s", "hashtable 10 probe")]);
    let script = "
        SADD s w0..200
        SREM s w0..3
    ";
    check(&[REDIS_8, VALKEY_9], script, &[("s", "hashtable 197")]);
}

#[test]
fn hashes_convert_as_the_server_does() {
    let script = "
        HSET h a 1 b 2
        HINCRBY h a 5
        HINCRBY h new -3
        HDEL h b
        HSET wide f x*65
        HMSET gone a 1
        HDEL gone a
        HSETNX nx f v
    ";
    for server in [REDIS_7, VALKEY_9] {
        check(
            &[server],
            script,
            &[
                ("h", "listpack 2"),
                ("wide", "hashtable 1"),
                ("gone", "none"),
                ("nx", "listpack 1"),
            ],
        );
    }
}

#[test]
fn hincrby_of_a_value_that_was_not_kept_is_reread() {
    check(
        &[REDIS_7],
        "HSET h f 007\nHINCRBY h f 1",
        &[("h", "listpack 1 reread")],
    );
}

#[test]
fn field_expiries_change_the_encoding_for_ever() {
    let script = "
        HSET h a 1 b 2 c 3
        HPEXPIREAT h 1900000000000 FIELDS 2 a b
        HPERSIST h FIELDS 1 a
        HSET h b 5
        HSETEX e PXAT 1900000000000 FIELDS 1 f v
        HSETEX e KEEPTTL FIELDS 1 f w
        HSETEX plain FIELDS 1 f v
    ";
    check(
        &[REDIS_8],
        script,
        &[
            ("h", "listpackex 3"),
            ("e", "listpackex 1"),
            ("plain", "listpack 1"),
        ],
    );
    check(
        &[VALKEY_9],
        script,
        &[
            ("h", "hashtable 3"),
            ("e", "hashtable 1"),
            ("plain", "listpack 1"),
        ],
    );
    check(
        &[VALKEY_9],
        "HSETEX h PXAT 1900000000000 FIELDS 2 a 1 b 2\nHGETDEL h FIELDS 2 a c",
        &[("h", "hashtable 1")],
    );
}

#[test]
fn zadd_decides_each_member() {
    let script = "
        ZADD z 1 a 2 b 3 c
        ZADD z NX 9 a 9 d
        ZADD z XX 5 e
        ZADD z GT 1 c 10 b
        ZADD z INCR inf a
        ZREMRANGEBYSCORE z (9 10
        ZADD missing XX 1 a
    ";
    // a is infinite, b was 10 and is gone, c is 3, d is 9.
    check(
        &[REDIS_7, VALKEY_9],
        script,
        &[("z", "listpack 3"), ("missing", "none")],
    );
}

#[test]
fn equal_scores_at_an_edge_are_reread() {
    let script = "
        ZADD tie 1 a 1 b 2 c
        ZPOPMIN tie
        ZADD clear 1 a 1 b 2 c
        ZPOPMIN clear 2
        ZADD last 1 a
        ZPOPMAX last 5
        ZADD rank 1 a 2 b 3 c 4 d
        ZREMRANGEBYRANK rank -2 -1
        ZADD lex 0 a 0 b
        ZREMRANGEBYLEX lex [a [b
    ";
    check(
        &[REDIS_7, VALKEY_9],
        script,
        &[
            ("tie", "listpack 2 reread"),
            ("clear", "listpack 1"),
            ("last", "none"),
            ("rank", "listpack 2"),
            ("lex", "listpack 2 reread"),
        ],
    );
}

#[test]
fn sort_turns_its_source_into_a_skiplist() {
    let script = "
        ZADD z 1 a 2 b
        SORT z BY nosort STORE list
        ZADD z 3 c
    ";
    check(&[REDIS_7, VALKEY_9], script, &[("z", "skiplist 3")]);
}

#[test]
fn sorted_set_algebra_settles_its_result() {
    let script = "
        ZADD a 1 x 2 y
        ZADD b inf x -1 z
        SADD s y z
        ZUNIONSTORE union 3 a b s WEIGHTS 2 1 0.5 AGGREGATE MAX
        ZINTERSTORE inter 2 a s
        ZDIFFSTORE diff 2 a s
        ZRANGESTORE high a 1 (2 BYSCORE
        ZRANGESTORE top a 0 0 REV
        ZUNIONSTORE big 1 wide
        ZADD wide 1 x*65
        ZUNIONSTORE wider 2 a wide
        EXPIREAT union 1900000000
        ZINTERSTORE union 2 a nothing
    ";
    check(
        &[REDIS_7, REDIS_8, VALKEY_9],
        script,
        &[
            ("union", "none"),
            ("inter", "listpack 1"),
            ("diff", "listpack 1"),
            ("high", "listpack 1"),
            ("top", "listpack 1"),
            ("big", "none"),
            ("wider", "skiplist 3"),
        ],
    );
}

#[test]
fn searches_by_position_store_what_is_clearly_near() {
    let script = "
        GEOADD sicily 13.361389 38.115556 palermo 15.087269 37.502669 catania
        GEORADIUS sicily 15 37 200 km STORE both
        GEORADIUS sicily 15 37 100 km STORE one
        GEORADIUSBYMEMBER sicily palermo 10 km STORE self
        GEOSEARCHSTORE box sicily FROMLONLAT 15 37 BYBOX 400 400 km COUNT 1
        GEORADIUS sicily 15 37 200 km STOREDIST distances
    ";
    check(
        &[REDIS_7, VALKEY_9],
        script,
        &[
            ("both", "listpack 2"),
            ("one", "listpack 1"),
            ("self", "listpack 1"),
            ("box", "listpack 1"),
            ("distances", "listpack 2 reread"),
        ],
    );
}
