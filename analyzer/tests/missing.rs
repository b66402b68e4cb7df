//! Keys that the server reads as missing: gone, or expired and still there.

mod kit;

use analyzer::Profile;
use analyzer::command::Doubt;
use analyzer::keyspace::{Need, Probed, Settled};
use analyzer::profile::{Family, Version};
use kit::Driver;

/// The server reads a key as missing that the model wants to know of.
fn missing(driver: &mut Driver) -> Settled {
    let want = driver.keyspace.next_want(Need::Probe).expect("a doubt");
    let told = Probed {
        encoding: None,
        expire_ms: None,
    };
    let at = driver.keyspace.applied();
    driver.keyspace.settle_probe(0, &want.name, at, told)
}

/// Two keys with an expiry of which we only know what was left; one has passed long ago.
fn expired(of_replica: bool, libc: bool) -> Driver {
    let mut profile = Profile::defaults(Family::Redis, Version::new(6, 2));
    profile.allocator.libc = libc;
    let mut driver = Driver::on(profile);
    for line in [
        "SET past v",
        "EXPIRE past 1",
        "SET future v",
        "EXPIRE future 9000",
    ] {
        driver.line(line);
    }
    driver.keyspace.set_of_replica(of_replica);
    driver.now_ms += 1_200_000;
    driver.keyspace.clock(driver.now_ms);
    driver
}

#[test]
fn what_a_replica_reads_as_missing_stays_until_its_master_deletes_it() {
    for libc in [false, true] {
        stays_until_it_is_deleted(expired(true, libc));
    }
}

fn stays_until_it_is_deleted(mut driver: Driver) {
    let settled = [missing(&mut driver), missing(&mut driver)];
    assert!(settled.contains(&Settled::Moot) && settled.contains(&Settled::Taken));
    assert_eq!(driver.names(0), [b"past"]);
    let facts = driver.keyspace.facts(0, b"past").expect("there");
    assert_eq!(facts.doubt, Doubt::None);
    for need in [Need::Probe, Need::Size] {
        assert!(driver.keyspace.next_want(need).is_none());
    }
    driver.keyspace.audit().expect("sums agree");
    driver.line("DEL past");
    assert_eq!(driver.keyspace.keys(), 0);
}

#[test]
fn what_a_master_has_not_deleted_for_long_was_never_there() {
    let mut driver = expired(false, false);
    assert_eq!(missing(&mut driver), Settled::Taken);
    assert_eq!(missing(&mut driver), Settled::Taken);
    assert_eq!(driver.keyspace.keys(), 0);
}
