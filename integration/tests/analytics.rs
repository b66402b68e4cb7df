//! Every analytic against a naive count of all keys, behind random writes and cuts of the link.
//! `cargo truth -- --facts analytics` runs long ones.

use integration::campaign::Options;

use crate::scene;

fn check(name: &str, cuts: u64) {
    let options = Options {
        ops: 6_000,
        seed: 11,
        preload: 500,
        cuts,
        analytics: true,
        ..Options::default()
    };
    scene::campaign(name, &options);
}

#[test]
fn analytics_equal_a_naive_count() {
    check("redis-7.0", 0);
}

#[test]
fn analytics_equal_a_naive_count_slot_by_slot() {
    let options = Options {
        ops: 6_000,
        seed: 17,
        preload: 500,
        analytics: true,
        slots: true,
        ..Options::default()
    };
    scene::campaign("redis-7.0", &options);
}

#[test]
fn analytics_equal_a_naive_count_behind_resyncs() {
    check("valkey-9.1", 8);
}
