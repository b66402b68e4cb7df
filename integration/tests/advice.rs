//! Every rule of the catalogue on real servers: a state in which it must hold, and one close to it in
//! which it must not.

mod clients;
mod cluster;
mod eviction;
mod footprint;
mod keys;
mod kit;
mod memory;
mod persistence;
mod replication;
mod ttl;
mod tuning;
mod ward;

use kit::{Bench, Case};

/// The servers that rules are tried on.
const SERVERS: [&str; 2] = ["redis-7.0", "valkey-9.1"];

fn on_all(check: impl Fn(&mut Bench)) {
    for name in SERVERS {
        let mut bench = Bench::start(name).expect("a server and Keyscape");
        check(&mut bench);
    }
}

fn check_all(cases: &[Case]) {
    on_all(|bench| cases.iter().for_each(|case| case.check(bench)));
}
