//! Section 2: large, hot and cold keys.

use integration::resp::Client;

use super::kit::{Bench, Case};
use super::{SERVERS, check_all, on_all};

const SIZES: &[Case] = &[
    Case::new(
        "KEY-01",
        &["lua redis.call('SET','s',string.rep('x',90000))"],
        &["lua redis.call('SET','s',string.rep('x',100000))"],
    ),
    Case::new(
        "KEY-02",
        &["lua for i=1,1999 do redis.call('SADD','s','m'..i) end"],
        &["SADD s one-more"],
    ),
    Case::new(
        "KEY-03",
        &[
            "lua for i=1,2000 do redis.call('SADD','s','m'..i) end",
            "EXPIRE s 1000",
            "CONFIG SET lazyfree-lazy-expire yes",
        ],
        &["CONFIG SET lazyfree-lazy-expire no"],
    ),
    Case::new(
        "KEY-04",
        &["lua redis.call('SET','s',string.rep('x',900000))"],
        &["lua redis.call('SET','s',string.rep('x',1000000))"],
    ),
    Case::new(
        "KEY-10",
        &[
            "lua for i=1,100001 do redis.call('XADD','x','*','a','1') end",
            "XTRIM x MAXLEN 100000",
        ],
        &["lua for i=1,100000 do redis.call('XADD','y','*','a','1') end"],
    ),
    Case::new(
        "KEY-10",
        &[
            "lua for i=1,20000 do redis.call('XADD','x','*','a','1') end",
            "XGROUP CREATE x g 0",
            "XREADGROUP GROUP g c COUNT 9999 STREAMS x >",
        ],
        &["XREADGROUP GROUP g c COUNT 1 STREAMS x >"],
    ),
];

#[test]
fn keys_that_are_large_or_grow() {
    check_all(SIZES);
}

#[test]
fn big_collections_that_are_deleted() {
    on_all(|bench| {
        bench.run(&[
            "CONFIG SET lazyfree-lazy-expire yes",
            "CONFIG SET lazyfree-lazy-user-del no",
            "lua for k=1,20 do for i=1,2500 do redis.call('SADD','big:'..k,'m'..i) end end",
            "UNLINK big:1",
        ]);
        bench.quiet("KEY-03");
        bench.run(&["DEL big:2"]);
        bench.found("KEY-03");
    });
}

#[test]
fn a_key_that_is_written_very_often() {
    on_all(|bench| {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        bench.write(20_000, |n| words(&["INCR", &format!("n:{}", n % 500)]));
        bench.quiet("KEY-05");
        let found = bench.found_after("KEY-05", |bench| {
            bench.write(120_000, |_| words(&["INCR", "hot"]));
        });
        assert_eq!(found["keys"], 1);
    });
}

#[test]
fn large_values_that_are_written_whole() {
    on_all(|bench| {
        let set = |len: u32| vec!["SET".to_owned(), "doc".to_owned(), "x".repeat(len as usize)];
        // A size that changes by a tenth is another value.
        bench.write(200, |n| set(20_000 + (n % 2) * 2_000));
        bench.quiet("KEY-06");
        bench.found_after("KEY-06", |bench| {
            bench.write(200, |n| set(20_000 + n % 10));
        });
    });
}

/// A server whose one key was not accessed for so many days: its snapshot tells that.
fn idle(name: &'static str, days: u64) -> Bench {
    let prepare = |client: &mut Client| {
        let ask = |client: &mut Client, words: &[&[u8]]| client.ask(words).expect("a reply");
        ask(
            client,
            &[b"CONFIG", b"SET", b"maxmemory-policy", b"allkeys-lru"],
        );
        ask(client, &[b"SET", b"s", b"value"]);
        let payload = ask(client, &[b"DUMP", b"s"]);
        let payload = payload.text().expect("a payload");
        let idle = (days * 86_400).to_string();
        let head: [&[u8]; 4] = [b"RESTORE", b"s", b"0", payload];
        let tail: [&[u8]; 3] = [b"REPLACE", b"IDLETIME", idle.as_bytes()];
        ask(client, &[&head[..], &tail[..]].concat());
    };
    Bench::start_with(name, prepare).expect("a server and Keyscape")
}

#[test]
fn keys_that_nobody_writes() {
    for name in SERVERS {
        idle(name, 29).quiet("KEY-07");
        let mut bench = idle(name, 31);
        bench.found("KEY-07");
        bench.run(&["SET s another"]);
        bench.quiet("KEY-07");
    }
}
