//! The end: links are closed, whoever is connected is not waited for, and the exit code is 0.

use integration::wait::{self, PATIENCE};

use crate::scene;

#[test]
fn a_signal_ends_it() {
    for signal in ["TERM", "INT"] {
        let server = scene::server_with_data("redis-7.0", &[]);
        let mut app = scene::follow(&server, "");
        let mut idle = app.client().expect("connect");
        idle.ask(&["SUBSCRIBE", "ks.bigkey"]).expect("SUBSCRIBE");
        app.signal(signal).expect("a signal");
        let code = app.wait_exit(PATIENCE).expect("an exit");
        assert_eq!(code, Some(0), "{signal}: {}", app.log_tail());
        assert!(idle.read().is_err(), "{signal}: the connection is closed");
        let mut client = server.client().expect("connect");
        wait::for_true(PATIENCE, "the link to be closed", || {
            Ok(client.info("replication", "connected_slaves")? == "0")
        })
        .expect("closed");
    }
}
