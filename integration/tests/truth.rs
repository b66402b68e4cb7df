//! A short campaign of the driver on every server of the matrix. `cargo truth` runs long ones.

use integration::campaign::{self, Options};
use integration::servers;

fn check(name: &str) {
    let install = servers::get(name).expect("the server can be had");
    let options = Options {
        ops: 6_000,
        seed: 3,
        preload: 500,
        ..Options::default()
    };
    let mut said = Vec::new();
    let outcome = campaign::run(&install, &options, &mut |line| said.push(line));
    let outcome = outcome.unwrap_or_else(|error| panic!("{error:#}\n{}", said.join("\n")));
    let shown: Vec<String> = outcome
        .report
        .mismatches
        .iter()
        .take(10)
        .map(ToString::to_string)
        .collect();
    assert!(
        shown.is_empty(),
        "seed 3: {}\n{}",
        shown.join("\n"),
        said.join("\n")
    );
    assert!(
        outcome.report.keys > 500,
        "too little was compared: {}",
        said.join("\n")
    );
}

#[test]
fn redis_6_0() {
    check("redis-6.0");
}

#[test]
fn redis_6_2() {
    check("redis-6.2");
}

#[test]
fn redis_7_0() {
    check("redis-7.0");
}

#[test]
fn redis_8_0() {
    check("redis-8.0");
}

#[test]
fn valkey_8_0() {
    check("valkey-8.0");
}

#[test]
fn valkey_8_1() {
    check("valkey-8.1");
}

#[test]
fn valkey_9_1() {
    check("valkey-9.1");
}
