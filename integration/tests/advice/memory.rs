//! Section 1: forms of keys.

use integration::resp::Client;

use super::kit::{Bench, Case};
use super::{SERVERS, check_all, on_all};

const TABLES: &[Case] = &[
    Case::new(
        "MEM-02",
        &["lua for i=1,512 do redis.call('HSET','h',i,'v') end"],
        &["lua for i=1,600 do redis.call('HSET','h',i,'v') end"],
    ),
    // Four times as many are no longer somewhat more.
    Case::new(
        "MEM-02",
        &["lua for i=1,2100 do redis.call('HSET','h',i,'v') end"],
        &["lua for i=600,2100 do redis.call('HDEL','h',i) end"],
    ),
    Case::new(
        "MEM-03",
        &["lua redis.call('HSET','h','a',string.rep('x',64))"],
        &["lua redis.call('HSET','h','a',string.rep('x',65))"],
    ),
    Case::new(
        "MEM-04",
        &["lua for i=1,128 do redis.call('ZADD','z',i,i) end"],
        &["ZADD z 129 129"],
    ),
    Case::new(
        "MEM-04",
        &["lua redis.call('ZADD','z',1,string.rep('x',64))"],
        &["lua redis.call('ZADD','z',1,string.rep('x',65))"],
    ),
    Case::new(
        "MEM-05",
        &["lua for i=1,600 do redis.call('SADD','s',i) end redis.call('SADD','s','word')"],
        &["SREM s word"],
    ),
    Case::new(
        "MEM-08",
        &["lua redis.call('HSET','h','a',string.rep('x',65))"],
        &["HSET h a short"],
    ),
    Case::new(
        "MEM-12",
        &["lua for i=1,5000 do redis.call('HSET','h',i,'value') end"],
        &["HSET h 5001 value"],
    ),
];

const LISTS: &[Case] = &[
    Case::new(
        "MEM-17",
        &["lua for i=1,900 do redis.call('RPUSH','l',string.rep('x',100)) end"],
        &["lua for i=1,900 do redis.call('RPUSH','l',string.rep('x',100)) end"],
    ),
    Case::new(
        "MEM-25",
        &["lua for i=1,1000 do redis.call('XADD','x','*','a',string.rep('x',100)) end"],
        &["lua for i=1,1000 do redis.call('XADD','y','*','a','1') end"],
    ),
];

const OTHERS: &[Case] = &[
    Case::new(
        "MEM-19",
        &["lua for i=1,10000 do redis.call('SADD','s','m'..i) end"],
        &["SADD s one-more"],
    ),
    Case::new(
        "MEM-23",
        &["lua for i=1,1000 do redis.call('ZADD','z',i,i) end"],
        &["lua for i=1,1000 do redis.call('ZADD','z',1700000000+i,i) end"],
    ),
];

#[test]
fn collections_that_other_limits_would_pack() {
    check_all(TABLES);
}

#[test]
fn lists_and_streams_with_loose_nodes() {
    check_all(LISTS);
}

#[test]
fn lists_of_small_nodes() {
    let push = "lua for i=1,2000 do redis.call('RPUSH','l',string.rep('x',20)) end";
    on_all(|bench| {
        bench.run(&[push]);
        bench.quiet("MEM-18");
    });
    for name in SERVERS {
        let small = ["CONFIG", "SET", "list-max-listpack-size", "4"];
        let small = |client: &mut Client| {
            client.ask(&small).expect("a reply");
        };
        let mut bench = Bench::start_with(name, small).expect("a server and Keyscape");
        bench.run(&[push]);
        bench.found("MEM-18");
    }
}

#[test]
fn values_that_another_type_would_hold() {
    check_all(OTHERS);
}

#[test]
fn small_sets_with_a_long_member() {
    let mut bench = Bench::start("valkey-9.1").expect("a server and Keyscape");
    let case = Case::new(
        "MEM-06",
        &["lua redis.call('SADD','s','a',string.rep('x',64))"],
        &["lua redis.call('SADD','s','a',string.rep('x',65))"],
    );
    case.check(&mut bench);
    // Sets have no listpacks before 7.2.
    let mut bench = Bench::start("redis-7.0").expect("a server and Keyscape");
    bench.run(case.hit);
    bench.quiet("MEM-06");
}

#[test]
fn strings_somewhat_too_long_for_their_object() {
    on_all(|bench| {
        // With a name of 8 bytes.
        let too_long = if bench.name == "redis-7.0" { 46 } else { 107 };
        let set = |from: u32, to: u32| {
            format!(
                "lua for i={from},{to} do \
                 redis.call('SET',string.format('s:%06d',i),string.rep('x',{too_long})) end"
            )
        };
        bench.run(&["FLUSHALL", &set(1, 99_999)]);
        bench.quiet("MEM-21");
        bench.run(&[&set(100_000, 100_000)]);
        let found = bench.found("MEM-21");
        assert_eq!(found["keys"], 100_000);
    });
}
