//! A short campaign of the driver on every server of the matrix. `cargo truth` runs long ones.

use integration::campaign::Options;

use crate::scene;

fn check(name: &str) {
    let options = Options {
        ops: 6_000,
        seed: 3,
        preload: 500,
        ..Options::default()
    };
    scene::campaign(name, &options);
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

#[test]
fn thresholds_that_change_unsaid() {
    let options = Options {
        ops: 6_000,
        seed: 5,
        preload: 500,
        thresholds: true,
        ..Options::default()
    };
    scene::campaign("redis-8.0", &options);
}
