//! MEMORY USAGE of keys whose size is no matter of chance, as real servers said it: Debian's builds,
//! `MEMORY USAGE key SAMPLES 0` right after the commands.

mod kit;

use analyzer::Profile;
use analyzer::profile::{Family, Version};
use kit::Driver;

/// What it is about, the length of the key's name, the commands (`K` is the key, `v*3` three letters,
/// `0..3` three numbers from 0), and what Redis 6.0.16, 7.0.15, 8.0.2 and Valkey 8.0.1, 8.1.1 and
/// 9.1.2 say.
type Case = (&'static str, usize, &'static [&'static str], [u64; 6]);

const STRINGS: &[Case] = &[
    ("number", 4, &["SET K 12345"], [48, 48, 48, 48, 16, 32]),
    ("embedded", 4, &["SET K v*44"], [94, 96, 96, 96, 64, 64]),
    ("raw", 4, &["SET K v*45"], [112, 112, 112, 112, 80, 64]),
    (
        "long name",
        130,
        &["SET K v*200"],
        [424, 424, 424, 400, 240, 384],
    ),
    (
        "expiry that is gone, embedded",
        13,
        &["SET K abc", "PEXPIREAT K 4000000000000", "PERSIST K"],
        [61, 72, 72, 80, 48, 48],
    ),
    (
        "expiry that is gone",
        13,
        &["SET K 7", "PEXPIREAT K 4000000000000", "PERSIST K"],
        [56, 56, 56, 64, 16, 48],
    ),
    (
        "room for an expiry by chance",
        32,
        &["SET K v*8", "PEXPIREAT K 4000000000000"],
        [98, 104, 104, 96, 80, 80],
    ),
    (
        "trimmed by SET",
        4,
        &[
            "SET K v*61",
            "APPEND K v*90",
            "APPEND K v*124",
            "APPEND K v*30",
        ],
        [688, 368, 368, 368, 336, 352],
    ),
    (
        "made by SETBIT",
        4,
        &["SETBIT K 504 1", "SETRANGE K 31 v*44", "APPEND K v*77"],
        [368, 368, 368, 368, 336, 352],
    ),
    (
        "header that changes at 253",
        4,
        &["SET K v*255", "APPEND K v*11", "APPEND K v*300"],
        [1328, 688, 688, 1328, 1296, 1312],
    ),
];

const COLLECTIONS: &[Case] = &[
    ("intset", 4, &["SADD K 0..20"], [96, 96, 96, 96, 64, 80]),
    (
        "wide intset",
        4,
        &["SADD K 1099511627776..20"],
        [216, 240, 240, 240, 208, 224],
    ),
    (
        "members",
        4,
        &["SADD K m0 m1 m2 -7 100000"],
        [400, 360, 80, 80, 48, 64],
    ),
    (
        "long member",
        4,
        &["SADD K v*65"],
        [280, 240, 240, 216, 232, 256],
    ),
    (
        "long values",
        4,
        &["HSET K f0 v*70 f1 v*70 f2 v*70"],
        [512, 472, 472, 472, 392, 424],
    ),
    (
        "fields that come later",
        4,
        &["HSET K f v*65", "HSET K a 1 b 2 c 3 d 4"],
        [512, 472, 472, 472, 264, 296],
    ),
    (
        "value that shrinks",
        4,
        &["HSET K f v*70", "HSET K f v*60", "HSET K f v*20"],
        [240, 200, 200, 200, 184, 216],
    ),
    (
        "scores",
        4,
        &["ZADD K 0 m0 1.5 m1 3 m2 0.1 m3"],
        [105, 112, 96, 96, 64, 80],
    ),
    (
        "packed list",
        4,
        &["RPUSH K item 17 -5000 v*70"],
        [217, 224, 144, 144, 112, 128],
    ),
    (
        "plain node",
        4,
        &["RPUSH K v*9000 v*10"],
        [9189, 10_440, 10_440, 10_440, 10_408, 10_424],
    ),
    (
        "stream",
        4,
        &[
            "XADD K 5-1 f v*5",
            "XADD K 9-1 f v*9",
            "XADD K 300-1 f v*300",
        ],
        [917, 4728, 4728, 4728, 4272, 4288],
    ),
];

fn servers() -> [Profile; 6] {
    let of = |family, major, minor| Profile::defaults(family, Version::new(major, minor));
    let mut newest = of(Family::Valkey, 9, 1);
    newest.allocator.page_above_16k = true;
    [
        of(Family::Redis, 6, 0),
        of(Family::Redis, 7, 0),
        of(Family::Redis, 8, 0),
        of(Family::Valkey, 8, 0),
        of(Family::Valkey, 8, 1),
        newest,
    ]
}

/// The words of a command.
fn words(command: &str, name: &str) -> Vec<String> {
    let expand = |word: &str| -> Vec<String> {
        if word == "K" {
            return vec![name.to_owned()];
        }
        if let Some((first, count)) = word.split_once("..") {
            let (first, count): (i64, i64) = (
                first.parse().expect("a number"),
                count.parse().expect("a number"),
            );
            return (first..first + count).map(|n| n.to_string()).collect();
        }
        match word.split_once('*') {
            Some((letter, count)) => vec![letter.repeat(count.parse().expect("a count"))],
            None => vec![word.to_owned()],
        }
    };
    command.split_whitespace().flat_map(expand).collect()
}

#[track_caller]
fn check(cases: &[Case]) {
    for (what, name, commands, bytes) in cases {
        let name = "k".repeat(*name);
        for (profile, expected) in servers().into_iter().zip(bytes) {
            let server = format!("{:?} {:?}", profile.family, profile.version);
            let mut driver = Driver::on(profile);
            for command in *commands {
                let words = words(command, &name);
                let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
                driver.run(&words);
            }
            let facts = driver.keyspace.facts(0, name.as_bytes()).expect("a key");
            assert_eq!(facts.bytes, *expected, "{what} on {server}");
            driver.keyspace.audit().expect("sums agree");
        }
    }
}

#[test]
fn strings_weigh_what_servers_say() {
    check(STRINGS);
}

#[test]
fn collections_weigh_what_servers_say() {
    check(COLLECTIONS);
}
