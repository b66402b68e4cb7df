//! String commands, one by one: length, encoding, expiry and doubt that each leaves.

mod kit;

use analyzer::Profile;
use analyzer::command::Doubt;
use analyzer::profile::{Family, Version};
use analyzer::value::Encoding;
use kit::Driver;

/// Length, encoding and doubt of a key.
type Left = (u64, Encoding, Doubt);

/// Runs lines and checks the key `k`: length, encoding, doubt; `None` is "no such key".
#[track_caller]
fn check(lines: &[&str], expect: Option<Left>) {
    let mut driver = Driver::new();
    for line in lines {
        driver.line(line);
    }
    let facts = driver.keyspace.facts(0, b"k");
    let found = facts.map(|facts| (facts.count, facts.encoding, facts.doubt));
    assert_eq!(found, expect, "{lines:?}");
    driver.keyspace.audit().expect("sums agree");
}

#[test]
fn each_command_leaves_what_the_server_has() {
    use Doubt::{None as Sure, Probe, Value};
    use Encoding::{Embstr, Int, Raw};
    let long = format!("SET k {}", "x".repeat(45));
    let cases: &[(&[&str], Option<Left>)] = &[
        (&["SET k 12"], Some((2, Int, Sure))),
        (&["SET k abc"], Some((3, Embstr, Sure))),
        (&[&long], Some((45, Raw, Sure))),
        (&["SET k 12 KEEPTTL"], Some((2, Int, Probe))),
        (&["SET k 1.5 KEEPTTL"], Some((3, Embstr, Sure))),
        (&["SET k w IFEQ PX"], Some((1, Embstr, Sure))),
        (&["SETNX k 1"], Some((1, Int, Sure))),
        (&["GETSET k ab"], Some((2, Embstr, Sure))),
        (&["MSET j 1 k ab"], Some((2, Embstr, Sure))),
        (
            &["MSETEX 2 j 1 k ab PXAT 1900000000000"],
            Some((2, Embstr, Sure)),
        ),
        (&["APPEND k 12"], Some((2, Int, Sure))),
        (&["SET k 12", "APPEND k 34"], Some((4, Raw, Sure))),
        (&["SETRANGE k 5 abc"], Some((8, Raw, Sure))),
        (&["SET k 12", "SETRANGE k 0 3"], Some((2, Raw, Sure))),
        (&["SETBIT k 17 1"], Some((3, Raw, Sure))),
        (&["SET k abc", "SETBIT k 7 1"], Some((3, Raw, Sure))),
        (
            &["BITFIELD k SET u8 #2 1 GET u8 100 OVERFLOW FAIL INCRBY i5 30 1"],
            Some((5, Raw, Sure)),
        ),
        (&["BITFIELD k GET u8 100"], None),
        (
            &["SET a xyz", "SET k 1", "BITOP AND k a nothing"],
            Some((3, Raw, Sure)),
        ),
        (&["SET k 1", "BITOP NOT k nothing"], None),
        (&["INCR k"], Some((1, Int, Sure))),
        (&["SET k 99", "INCRBY k 1"], Some((3, Int, Sure))),
        (&["SET k 0", "DECR k"], Some((2, Int, Sure))),
        (&["SET k 5", "DECRBY k 6"], Some((2, Int, Sure))),
        (&["SET k 1", "APPEND k 2", "INCR k"], Some((2, Raw, Value))),
        (
            &["SET k 1", "APPEND k 2", "INCR k", "SET k x"],
            Some((1, Embstr, Sure)),
        ),
        (&["PFADD k"], Some((18, Raw, Sure))),
        (&["PFADD k a"], Some((18, Raw, Value))),
        (
            &["SETRANGE k 12303 x", "PFADD k a b"],
            Some((12304, Raw, Sure)),
        ),
        (
            &["SETRANGE a 12303 x", "PFMERGE k a b"],
            Some((12304, Raw, Sure)),
        ),
        (&["PFADD k", "PFDEBUG TODENSE k"], Some((12304, Raw, Sure))),
        (&["PFADD a", "PFMERGE k a"], Some((0, Raw, Value))),
        (&["SET k abc", "PFCOUNT k"], Some((3, Raw, Sure))),
        (&["SET k abc", "GETDEL k"], None),
        (&["SET k abc", "DELIFEQ k abc"], None),
        (
            &["SET k abc", "COPY k j", "RENAME j k"],
            Some((3, Embstr, Sure)),
        ),
    ];
    for (lines, expect) in cases {
        check(lines, *expect);
    }
}

/// Runs lines and checks the expiry of `k`.
#[track_caller]
fn expiry(lines: &[&str], expect: Option<i64>) {
    let mut driver = Driver::new();
    driver.line("SET k 1 PXAT 1900000000000");
    for line in lines {
        driver.line(line);
    }
    let facts = driver.keyspace.facts(0, b"k").expect("the key is there");
    assert_eq!(facts.expire_ms, expect, "{lines:?}");
}

#[test]
fn each_command_drops_keeps_or_sets_the_expiry() {
    let kept = Some(1_900_000_000_000);
    for line in [
        "APPEND k 1",
        "SETRANGE k 0 1",
        "INCR k",
        "SET k 2 KEEPTTL",
        "PFADD k a",
        "BITFIELD k SET u8 0 1",
        "GETEX k",
        "PFMERGE k k",
        "MSETEX 1 k 2 KEEPTTL",
    ] {
        expiry(&[line], kept);
    }
    for line in [
        "SET k 2",
        "MSET k 1",
        "SETNX k 1",
        "GETSET k 1",
        "PERSIST k",
        "GETEX k PERSIST",
        "BITOP NOT k k",
    ] {
        expiry(&[line], None);
    }
    let now = Driver::new().now_ms;
    expiry(&["SET k 1 EX 10"], Some(now + 10_000));
    expiry(&["SET k 1 PX 10"], Some(now + 10));
    expiry(&["SET k 1 EXAT 1800000000"], Some(1_800_000_000_000));
    expiry(&["SETEX k 10 v"], Some(now + 10_000));
    expiry(&["PSETEX k 10 v"], Some(now + 10));
    expiry(&["EXPIRE k 10"], Some(now + 10_000));
    expiry(&["PEXPIRE k 10 XX"], Some(now + 10));
    expiry(&["EXPIREAT k 1800000000"], Some(1_800_000_000_000));
    expiry(&["PEXPIREAT k 1800000000000 GT"], Some(1_800_000_000_000));
    expiry(&["GETEX k PXAT 1800000000000"], Some(1_800_000_000_000));
    expiry(&["SET j 1", "RENAME j k"], None);
    expiry(&["COPY k j", "SET k 1", "RENAME j k"], kept);
    expiry(&["SET j 1", "COPY j k REPLACE"], None);
}

#[test]
fn valkey_moves_strings_out_of_their_object_when_it_gets_too_small() {
    let mut driver = Driver::on(Profile::defaults(Family::Valkey, Version::new(8, 1)));
    let encoding = |driver: &Driver, name: &[u8]| {
        let facts = driver.keyspace.facts(0, name);
        facts.expect("the key is there").encoding
    };
    let value = "v".repeat(30);
    driver.line(&format!("SET keyname {value}"));
    assert_eq!(encoding(&driver, b"keyname"), Encoding::Embstr);
    // 16 + 7 + 3 + 4 + 30 + 8 for the expiry is more than 64.
    driver.line("PEXPIREAT keyname 1900000000000");
    assert_eq!(encoding(&driver, b"keyname"), Encoding::Raw);
    driver.line(&format!("SET keyname {value}"));
    assert_eq!(encoding(&driver, b"keyname"), Encoding::Raw);
    driver.line(&format!("SET keyname {value}"));
    assert_eq!(encoding(&driver, b"keyname"), Encoding::Embstr);
    driver.line("RENAME keyname much-longer-keyname");
    assert_eq!(encoding(&driver, b"much-longer-keyname"), Encoding::Raw);
}

#[test]
fn valkey_9_does_not_say_whether_a_script_set_a_number() {
    let mut driver = Driver::on(Profile::defaults(Family::Valkey, Version::new(9, 1)));
    for line in ["SET k 5", "MSET k 6", "APPEND new 7", "SETNX other 8"] {
        driver.line(line);
    }
    for name in [&b"k"[..], b"new", b"other"] {
        let facts = driver.keyspace.facts(0, name).expect("there");
        assert_eq!((facts.encoding, facts.doubt), (Encoding::Int, Doubt::Probe));
    }
    // A counter is a number, whoever counts.
    driver.line("INCR k");
    let facts = driver.keyspace.facts(0, b"k").expect("there");
    assert_eq!(facts.doubt, Doubt::None);
}
