//! Values that are read again: what is larger than the server estimates must not be asked for for
//! ever, nor keep the others waiting.

use std::thread;
use std::time::Duration;

use integration::app::App;
use integration::resp::Client;
use integration::seed::Rng;
use integration::wait;

use crate::scene::{self, PATIENCE};

/// Small enough that a reply of 20 MB is more than is read.
const CONFIG: &str = "[reread]\nvalue_bytes_max = 1048576\n";

/// DUMPs that reading the keys of the test may take.
const DUMPS_MAX: u64 = 100;

/// A list of which the first nodes are small and the others are not: the server's estimate, by five
/// samples, is a hundredth of what it is.
fn fill_list(client: &mut Client, name: &str) {
    let mut rng = Rng::new(7);
    for _ in 0..400 {
        client
            .ask(&["RPUSH", name, &"s".repeat(250)])
            .expect("RPUSH");
    }
    for _ in 0..24 {
        let block = rng.bytes(1 << 20);
        let words: [&[u8]; 3] = [b"RPUSH", name.as_bytes(), &block];
        client.ask(&words).expect("RPUSH");
    }
}

fn dumps(client: &mut Client) -> u64 {
    let Ok(line) = client.info("commandstats", "cmdstat_dump") else {
        return 0;
    };
    let calls = line
        .strip_prefix("calls=")
        .and_then(|rest| rest.split(',').next());
    calls.map_or(0, |calls| calls.parse().expect("a number"))
}

#[test]
fn a_value_larger_than_estimated_is_given_up() {
    let master = scene::server("redis-7.0", &[]);
    let mut client = master.client().expect("connect");
    fill_list(&mut client, "source");
    client.ask(&["RPUSH", "few", "1", "2", "3"]).expect("RPUSH");
    let app = App::start(&[master.url()], CONFIG).expect("keyscape");
    app.wait_synced(PATIENCE).expect("a model");
    // What comes out of a SORT with GET only the value tells.
    let sort = |client: &mut Client, from: &str, to: &str| {
        let words = ["SORT", from, "BY", "nosort", "GET", "#", "STORE", to];
        client.ask(&words).expect("SORT");
    };
    sort(&mut client, "source", "large");
    for n in 0..20 {
        sort(&mut client, "few", &format!("small{n}"));
    }
    wait::for_true(PATIENCE, "the small values", || {
        let size = app.client()?.ask(&["DBSIZE"])?.int();
        Ok(size == Some(23) && dumps(&mut client) >= 20 && app.status()?.inexact <= 1)
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", app.log_tail()));
    let before = dumps(&mut client);
    thread::sleep(Duration::from_secs(4));
    let after = dumps(&mut client);
    assert!(
        after <= DUMPS_MAX && after <= before + 1,
        "{before}, then {after}"
    );
    assert_eq!(app.status().expect("INFO").inexact, 1);
}
