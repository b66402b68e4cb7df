//! Every rule of the catalogue on real servers: a state in which it must hold, and one close to it in
//! which it must not.

mod clients;
mod cluster;
mod eviction;
mod footprint;
mod keys;
mod kit;
mod memory;
mod names;
mod over_time;
mod paste;
mod persistence;
mod proven;
mod replication;
mod ttl;
mod tuning;
mod ward;

use integration::servers;
use integration::truth::advice;
use kit::{Bench, Case};

/// The servers that rules are tried on.
const SERVERS: [&str; 2] = ["redis-7.0", "valkey-9.1"];

fn on_all(check: impl Fn(&mut Bench)) {
    for name in SERVERS {
        let mut bench = Bench::start(name).expect("a server and Keyscape");
        check(&mut bench);
    }
}

/// A short form of `cargo truth -- --facts advice`.
#[test]
fn savings_come_as_promised() {
    let rules = ["MEM-03", "MEM-04", "MEM-12", "MEM-21"].map(str::to_owned);
    for name in SERVERS {
        let install = servers::get(name).expect("a server");
        let mut lines = Vec::new();
        let kept = advice::run(&install, &rules, &mut |line| lines.push(line));
        let kept = kept.expect("remedies that can be carried out");
        assert_eq!(kept.len(), rules.len());
        assert!(kept.iter().all(advice::Kept::holds), "{lines:#?}");
    }
}

fn check_all(cases: &[Case]) {
    on_all(|bench| cases.iter().for_each(|case| case.check(bench)));
}
