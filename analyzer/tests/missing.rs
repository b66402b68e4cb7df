//! Keys that the server reads as missing: gone, or expired and still there.

mod kit;

use analyzer::command::Doubt;
use analyzer::keyspace::{Need, Probed, Settled};
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
fn expired(of_replica: bool) -> Driver {
    let mut driver = Driver::new();
    for line in [
        "SET past v",
        "EXPIRE past 1",
        "SET future v",
        "EXPIRE future 9000",
    ] {
        driver.line(line);
    }
    driver.keyspace.set_of_replica(of_replica);
    driver.now_ms += 600_000;
    driver.keyspace.clock(driver.now_ms);
    driver
}

#[test]
fn what_a_replica_reads_as_missing_stays_until_its_master_deletes_it() {
    let mut driver = expired(true);
    let settled = [missing(&mut driver), missing(&mut driver)];
    assert!(settled.contains(&Settled::Moot) && settled.contains(&Settled::Taken));
    assert_eq!(driver.names(0), [b"past"]);
    let facts = driver.keyspace.facts(0, b"past").expect("there");
    assert_eq!(facts.doubt, Doubt::None);
    assert!(driver.keyspace.next_want(Need::Probe).is_none());
    driver.keyspace.audit().expect("sums agree");
    driver.line("DEL past");
    assert_eq!(driver.keyspace.keys(), 0);
}

#[test]
fn what_a_master_has_not_deleted_for_long_was_never_there() {
    let mut driver = expired(false);
    assert_eq!(missing(&mut driver), Settled::Taken);
    assert_eq!(missing(&mut driver), Settled::Taken);
    assert_eq!(driver.keyspace.keys(), 0);
}
