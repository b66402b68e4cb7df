//! Another server is followed, by whose rules values weigh otherwise: what is kept as a sum must be
//! that server's, or what leaves later takes out what never came in.

mod kit;

use analyzer::Profile;
use analyzer::command::Doubt;
use analyzer::profile::{Family, Version};
use kit::Driver;

fn redis(major: u16, minor: u16) -> Profile {
    Profile::defaults(Family::Redis, Version::new(major, minor))
}

/// With an allocator of other size classes.
fn finer(mut profile: Profile) -> Profile {
    profile.allocator.quantum = 8;
    profile
}

/// A rolling upgrade by failover, which costs no full sync.
#[test]
fn a_large_list_can_be_popped_after_an_upgrade() {
    let mut driver = Driver::on(redis(6, 2));
    let item = "x".repeat(100);
    for _ in 0..40_000 {
        driver.line(&format!("RPUSH list {item}"));
    }
    driver.keyspace.set_profile(redis(7, 0));
    let facts = driver.keyspace.facts(0, b"list").expect("there");
    assert_eq!(facts.doubt, Doubt::Value, "nodes may have been cut anew");
    for left in (0..40_000).rev() {
        driver.line("LPOP list");
        // In doubt it stays until it is read, even if it seems to be empty.
        let facts = driver.keyspace.facts(0, b"list").expect("there");
        assert_eq!(facts.count, left);
        assert!(facts.bytes < 1 << 30, "{left} left: {facts:?}");
    }
    driver.keyspace.audit().expect("sums agree");
}

/// Values of every type, small and large; no encoding is another one on another version, and 79 of the
/// items fill a node of any.
fn fill(driver: &mut Driver) {
    for n in 0..1700 {
        driver.line(&format!("RPUSH large:list {n:0100}"));
        driver.line(&format!("SADD large:set member-{n}"));
        driver.line(&format!("ZADD large:zset {n}.5 member-{n}"));
        driver.line(&format!("HSET large:hash field-{n} value-{n}"));
        driver.line(&format!("XADD large:stream {n}-1 field value-{n}"));
    }
    for n in 0..9 {
        driver.line(&format!("RPUSH small:list item-{n} {n} {}", n * 1000));
        driver.line(&format!("SADD small:set member-{n}"));
        driver.line(&format!("SADD small:ints {}", n * 1000));
        driver.line(&format!("ZADD small:zset {n}.1 member-{n}"));
        driver.line(&format!("HSET small:hash field-{n} {n}"));
        driver.line(&format!("SET string-{n} value-{n}"));
    }
    driver.line("XGROUP CREATE large:stream group 0-0");
    driver.line("XGROUP CREATECONSUMER large:stream group consumer");
    for n in 0..50 {
        driver.line(&format!(
            "XCLAIM large:stream group consumer 0 {n}-1 TIME 1 RETRYCOUNT 1 FORCE JUSTID"
        ));
    }
}

fn empty(driver: &mut Driver, n: u32) {
    driver.line("RPOP large:list");
    driver.line(&format!("SREM large:set member-{n}"));
    driver.line(&format!("ZREM large:zset member-{n}"));
    driver.line(&format!("HDEL large:hash field-{n}"));
    driver.line(&format!("XDEL large:stream {n}-1"));
    if n < 5 {
        driver.line("LPOP small:list");
        driver.line(&format!("SREM small:set member-{n}"));
        driver.line(&format!("ZREM small:zset member-{n}"));
        driver.line(&format!("HDEL small:hash field-{n}"));
    }
}

fn check(from: &Profile, to: &Profile) {
    let (mut moved, mut whole) = (Driver::on(from.clone()), Driver::on(to.clone()));
    fill(&mut moved);
    fill(&mut whole);
    moved.keyspace.set_profile(to.clone());
    let compare = |moved: &Driver, whole: &Driver| {
        moved.keyspace.audit().expect("sums agree");
        assert_eq!(moved.names(0), whole.names(0));
        for name in whole.names(0) {
            let bytes = |driver: &Driver| driver.keyspace.facts(0, &name).map(|facts| facts.bytes);
            let shown = String::from_utf8_lossy(&name);
            assert_eq!(bytes(moved), bytes(whole), "{shown}, {from:?} to {to:?}");
        }
        assert_eq!(moved.keyspace.dbs()[0].bytes, whole.keyspace.dbs()[0].bytes);
    };
    compare(&moved, &whole);
    for n in 0..800 {
        empty(&mut moved, n);
        empty(&mut whole, n);
    }
    compare(&moved, &whole);
}

#[test]
fn values_weigh_as_if_the_other_server_had_been_followed_before() {
    check(&redis(6, 0), &redis(7, 0));
    check(&redis(6, 2), &redis(7, 0));
    check(&redis(7, 0), &finer(redis(7, 0)));
    check(&finer(redis(6, 2)), &redis(6, 2));
    let valkey = |major, minor| Profile::defaults(Family::Valkey, Version::new(major, minor));
    check(&valkey(8, 1), &finer(valkey(8, 1)));
}

/// A bucket of Valkey 8.1's tables is eight of those before.
#[test]
fn tables_of_another_make_are_made_anew() {
    let valkey = |minor| Profile::defaults(Family::Valkey, Version::new(8, minor));
    let (mut moved, mut whole) = (Driver::on(valkey(0)), Driver::on(valkey(1)));
    for n in 0..6000 {
        for driver in [&mut moved, &mut whole] {
            driver.line(&format!("SADD set member-{n}"));
            driver.line(&format!("HSET hash field-{n} v"));
            driver.line(&format!("ZADD zset {n} member-{n}"));
        }
    }
    moved.keyspace.set_profile(valkey(1));
    for name in [b"set".as_slice(), b"hash", b"zset"] {
        let bytes = |driver: &Driver| driver.keyspace.facts(0, name).expect("there").bytes;
        let (is, was) = (bytes(&moved), bytes(&whole));
        assert!(is.abs_diff(was) < was / 20, "{name:?}: {is}, not {was}");
    }
}
