//! Becoming a replica: every way a master may send its snapshot, every way it may ask who we are.

use std::fs;

use integration::app::App;
use integration::server::free_addr;
use integration::wait;

use crate::scene::{self, EAGER, MAIN, PATIENCE};

#[test]
fn snapshots_from_disk_and_from_the_socket() {
    for name in MAIN {
        for diskless in ["yes", "no"] {
            let server = scene::server_with_data(name, &[("repl-diskless-sync", diskless)]);
            let app = scene::follow(&server, "");
            scene::expect_equal(&server, &app);
        }
    }
}

#[test]
fn an_empty_master_is_an_answer() {
    for name in MAIN {
        let server = scene::server(name, &[]);
        let app = scene::follow(&server, "");
        let size = app
            .client()
            .expect("connect")
            .ask(&["DBSIZE"])
            .expect("DBSIZE");
        assert_eq!(size.int(), Some(0), "{name}");
        scene::set(&mut server.client().expect("connect"), "first");
        scene::settle(&server, &app);
        scene::expect_equal(&server, &app);
    }
}

#[test]
fn a_password() {
    for name in MAIN {
        let server = scene::server(name, &[]);
        let mut client = server.client().expect("connect");
        scene::set(&mut client, "key");
        client
            .ask(&["CONFIG", "SET", "requirepass", "s3cret"])
            .expect("CONFIG SET");
        let url = format!("redis://:s3cret@{}", server.addr);
        let app = App::start(&[url], "").expect("start");
        app.wait_synced(PATIENCE).expect("sync");
        assert!(!app.log().contains("s3cret"), "the password is in the log");
    }
}

#[test]
fn a_user_with_no_more_than_it_takes() {
    for name in MAIN {
        let server = scene::server_with_data(name, &[]);
        let mut client = server.client().expect("connect");
        // Not %R~*: that pattern does not match the empty name, which is among the keys.
        let rights = "on >pw +psync +sync +replconf +ping +info +multi +exec +type +object|encoding \
                      +strlen +llen +scard +zcard +hlen +xlen +pexpiretime +dump +role +memory|usage ~* \
                      +config|get +client|setname +select +command|info +time";
        let mut words = vec!["ACL", "SETUSER", "watcher"];
        words.extend(rights.split_whitespace());
        client.ask(&words).expect("ACL SETUSER");
        let url = format!("redis://watcher:pw@{}", server.addr);
        let app = App::start(&[url], "").expect("start");
        app.wait_synced(PATIENCE).expect("sync");
        scene::expect_equal(&server, &app);
    }
}

/// Without CONFIG GET nothing else of a poll is lost: a replica hears our true offset, which it does
/// once a poll has told that it is one still.
#[test]
fn a_user_without_the_right_to_config() {
    let master = scene::server("redis-7.0", &[]);
    let upstream = format!("{} {}", master.addr.ip(), master.addr.port());
    let replica = scene::server("redis-7.0", &[("replicaof", &upstream)]);
    let mut client = replica.client().expect("connect");
    let words = [
        "ACL", "SETUSER", "watcher", "on", ">pw", "~*", "+@all", "-config",
    ];
    client.ask(&words).expect("ACL SETUSER");
    wait::for_true(PATIENCE, "the replica's link", || {
        Ok(client.info("replication", "master_link_status")? == "up")
    })
    .expect("a replica");
    scene::set(&mut master.client().expect("connect"), "key");
    let app = App::start(&[format!("redis://watcher:pw@{}", replica.addr)], EAGER).expect("start");
    app.wait_synced(PATIENCE).expect("sync");
    wait::for_true(PATIENCE, "an offset to be told", || {
        let ours = client.info("replication", "slave0")?;
        Ok(!ours.contains("offset=0,") && ours.contains("offset="))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", app.log_tail()));
}

/// Our link stands for a good replica then, and nobody would know.
#[test]
fn a_user_without_the_right_to_sync_is_told_of() {
    let wanted = [("min-replicas-to-write", "1")];
    let server = scene::server("redis-7.0", &wanted);
    let mut client = server.client().expect("connect");
    let words = [
        "ACL", "SETUSER", "watcher", "on", ">pw", "~*", "+@all", "-sync",
    ];
    client.ask(&words).expect("ACL SETUSER");
    let app = App::start(&[format!("redis://watcher:pw@{}", server.addr)], EAGER).expect("start");
    app.wait_synced(PATIENCE).expect("sync");
    wait::for_true(PATIENCE, "a word in the log", || {
        let log = app.log();
        Ok(log.contains("min-replicas-to-write") && log.contains("NOPERM"))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", app.log_tail()));
    assert!(app.status().expect("status").synced);
}

#[test]
fn wrong_credentials_are_told_and_tried_again() {
    let server = scene::server("redis-7.0", &[("requirepass", "right")]);
    let app = App::start(&[format!("redis://:wrong@{}", server.addr)], EAGER).expect("start");
    wait::for_true(PATIENCE, "a word in the log", || {
        Ok(app.log().contains("WRONGPASS"))
    })
    .expect("the refusal is in the log");
    assert!(!app.status().expect("status").synced);
    let mut client = server.client().expect("connect");
    client.ask(&["AUTH", "right"]).expect("AUTH");
    client
        .ask(&["CONFIG", "SET", "requirepass", "wrong"])
        .expect("CONFIG SET");
    // Credentials are not tried again before a minute has passed.
    app.wait_synced(2 * PATIENCE)
        .expect("sync after the password fits");
}

#[test]
fn through_a_replica() {
    for name in MAIN {
        let master = scene::server_with_data(name, &[]);
        let upstream = format!("{} {}", master.addr.ip(), master.addr.port());
        let replica = scene::server(name, &[("replicaof", &upstream)]);
        let mut client = replica.client().expect("connect");
        wait::for_true(PATIENCE, "the replica's link", || {
            Ok(client.info("replication", "master_link_status")? == "up")
        })
        .expect("a replica");
        let app = scene::follow(&replica, "");
        scene::set(&mut master.client().expect("connect"), "through");
        scene::settle(&master, &app);
        // The node that we follow is the truth: its encodings differ from its master's.
        scene::expect_equal(&replica, &app);
    }
}

#[test]
fn a_restarted_master_comes_back_empty() {
    let server = scene::server_with_data("redis-7.0", &[]);
    let addr = server.addr;
    let app = scene::follow(&server, EAGER);
    drop(server);
    wait::for_true(PATIENCE, "the loss to be seen", || {
        Ok(!app.status()?.synced)
    })
    .expect("lost");
    let port = addr.port().to_string();
    let again = scene::server("redis-7.0", &[("port", &port)]);
    let mut client = integration::resp::Client::connect(addr).expect("connect");
    scene::set(&mut client, "new");
    app.wait_synced(PATIENCE).expect("sync again");
    // The snapshot may have been taken before the key came.
    wait::for_true(PATIENCE, "the one key", || {
        Ok(app.client()?.ask(&["DBSIZE"])?.int() == Some(1))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", app.log_tail()));
    drop(again);
}

#[test]
fn tls_with_our_own_authority_and_a_client_certificate() {
    let dir = tempfile::tempdir().expect("a directory");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("certificate");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    fs::write(path("cert.pem"), made.cert.pem()).expect("write");
    fs::write(path("key.pem"), made.signing_key.serialize_pem()).expect("write");
    let port = free_addr().expect("a port").port().to_string();
    let server = scene::server(
        "redis-7.0",
        &[
            ("tls-port", &port),
            ("tls-cert-file", &path("cert.pem")),
            ("tls-key-file", &path("key.pem")),
            ("tls-ca-cert-file", &path("cert.pem")),
        ],
    );
    scene::set(&mut server.client().expect("connect"), "key");
    let config = format!(
        "[tls]\nca_file = \"{0}\"\ncert_file = \"{0}\"\nkey_file = \"{1}\"\n\
         server_name = \"localhost\"\n",
        path("cert.pem"),
        path("key.pem")
    );
    let app = App::start(&[format!("rediss://127.0.0.1:{port}")], &config).expect("start");
    app.wait_synced(PATIENCE).expect("sync over TLS");
    let size = app
        .client()
        .expect("connect")
        .ask(&["DBSIZE"])
        .expect("DBSIZE");
    assert_eq!(size.int(), Some(1));
    wait::for_true(PATIENCE, "the link", || {
        let slaves = server.client()?.info("replication", "connected_slaves")?;
        Ok(slaves == "1")
    })
    .expect("one link");
}
