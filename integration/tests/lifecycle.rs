//! The end: links are closed at once, the exit code is 0, and it takes no second.

use std::time::{Duration, Instant};

use integration::wait;

use crate::scene;

#[test]
fn a_signal_ends_it_within_a_second() {
    for signal in ["TERM", "INT"] {
        let server = scene::server_with_data("redis-7.0", &[]);
        let mut app = scene::follow(&server, "");
        let started = Instant::now();
        app.signal(signal).expect("a signal");
        let code = app.wait_exit(Duration::from_secs(10)).expect("an exit");
        assert_eq!(code, Some(0), "{}", app.log_tail());
        let took = started.elapsed();
        assert!(took < Duration::from_secs(1), "{signal}: {took:?}");
        let mut client = server.client().expect("connect");
        wait::for_true(Duration::from_secs(2), "the link to be closed", || {
            Ok(client.info("replication", "connected_slaves")? == "0")
        })
        .expect("closed");
    }
}
