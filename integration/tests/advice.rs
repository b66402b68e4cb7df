//! Every rule of the catalogue on real servers: a state in which it must hold, and one close to it in
//! which it must not.

mod kit;
mod memory;

use kit::Bench;

/// The servers that rules are tried on.
const SERVERS: [&str; 2] = ["redis-7.0", "valkey-9.1"];

fn on_all(check: fn(&mut Bench)) {
    for name in SERVERS {
        let mut bench = Bench::start(name).expect("a server and Keyscape");
        check(&mut bench);
    }
}
