//! Which writes make a key big.

mod kit;

use analyzer::keyspace::{Big, BigLimits};
use analyzer::value::Kind;
use kit::Driver;

fn watched(bytes: u64, elements: u64) -> Driver {
    let mut driver = Driver::new();
    driver.keyspace.watch_big(BigLimits { bytes, elements });
    driver
}

fn names(found: &[Big]) -> Vec<String> {
    let names = found.iter().map(|big| String::from_utf8_lossy(&big.name));
    names.map(String::from).collect()
}

#[test]
fn a_key_is_told_of_when_it_crosses_a_limit_and_only_then() {
    let mut driver = watched(u64::MAX, 3);
    driver.line("RPUSH l a b");
    assert_eq!(driver.keyspace.take_big(), (Vec::new(), 0));
    driver.line("RPUSH l c");
    driver.line("RPUSH l d");
    let (found, _) = driver.keyspace.take_big();
    assert_eq!(names(&found), ["l"]);
    assert_eq!(
        (found[0].kind, found[0].elements),
        (Kind::List, (2, 3)),
        "{found:?}"
    );
    // Below it and above it again.
    driver.line("LPOP l");
    driver.line("LPOP l");
    driver.line("RPUSH l e");
    assert_eq!(names(&driver.keyspace.take_big().0), ["l"]);
}

#[test]
fn the_length_of_a_string_is_no_number_of_elements() {
    let mut driver = watched(u64::MAX, 3);
    driver.line("SET s 0123456789");
    assert_eq!(driver.keyspace.take_big(), (Vec::new(), 0));
}

#[test]
fn bytes_are_those_of_memory_usage() {
    let mut driver = watched(200, u64::MAX);
    driver.line("SET small x");
    driver.line(&format!("SET large {}", "x".repeat(300)));
    driver.line(&format!("SET large {}", "y".repeat(900)));
    let (found, lost) = driver.keyspace.take_big();
    assert_eq!((names(&found), lost), (vec!["large".to_owned()], 0));
    let facts = driver.keyspace.facts(0, b"large").expect("it is there");
    assert!(found[0].bytes.0 == 0 && found[0].bytes.1 < facts.bytes);
    // Under another name it is another key.
    driver.line("RENAME large other");
    assert_eq!(names(&driver.keyspace.take_big().0), ["other"]);
}

#[test]
fn what_finds_no_room_is_counted() {
    let mut driver = watched(1, u64::MAX);
    for number in 0..300 {
        driver.line(&format!("SET {number} x"));
    }
    let (found, lost) = driver.keyspace.take_big();
    assert_eq!(found.len() as u64 + lost, 300);
    assert!(lost > 0);
    let name = "n".repeat(5000);
    driver.line(&format!("SET {name} x"));
    let (found, lost) = driver.keyspace.take_big();
    assert_eq!(
        (found[0].name.len(), found[0].name_bytes, lost),
        (1024, 5000, 0)
    );
}
