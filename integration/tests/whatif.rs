//! A short form of `cargo truth -- --facts whatif`: what is foretold, done on real servers.

use integration::servers;
use integration::truth::whatif::{self, Options};

fn check(name: &str, into: &[&str], configurations: bool) {
    let install = servers::get(name).expect("a server");
    let options = Options {
        keys: 900,
        seed: 5,
        into: into.iter().map(|&name| name.to_owned()).collect(),
        configurations,
        told: true,
    };
    let mut lines = Vec::new();
    let all = whatif::run(&install, &options, &mut |line| lines.push(line)).expect("an answer");
    assert!(all.len() > into.len(), "{lines:#?}");
    let missed = all.iter().filter(|one| !one.holds()).count();
    assert_eq!(missed, 0, "{lines:#?}");
}

#[test]
fn keys_of_an_old_server_on_new_ones() {
    check("redis-6.0", &["redis-8.0", "valkey-9.1"], false);
}

#[test]
fn other_configurations() {
    check("redis-8.0", &["redis-8.0"], true);
}
