//! The look before a full sync, and `keyscape check`: what they find on real servers, and that the
//! lines they print do what they say.

use std::process::Command;

use integration::app::{App, binary};
use integration::resp::Client;
use integration::server::Server;
use integration::wait;

use crate::scene::{self, EAGER, MAIN, PATIENCE};

fn ask(client: &mut Client, words: &[&str]) -> String {
    let reply = client.ask(words).expect("an answer");
    reply.string()
}

/// `keyscape check`: what it printed, and its exit status.
fn check(url: &str) -> (String, Option<i32>) {
    let mut command = Command::new(binary().expect("keyscape is built"));
    let output = command
        .args(["check", url, "--log-level", "error"])
        .output();
    let output = output.expect("keyscape runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (text, output.status.code())
}

/// A save that does not end, because the child rests after each key: FLUSHALL ends it.
fn save_slowly(server: &Server) -> Client {
    let mut client = server.client().expect("connect");
    for n in 0..400 {
        scene::set(&mut client, &format!("key:{n}"));
    }
    ask(
        &mut client,
        &["CONFIG", "SET", "rdb-key-save-delay", "10000000"],
    );
    ask(&mut client, &["BGSAVE"]);
    // The delay is the child's from here on; that of the full sync shall have none.
    ask(&mut client, &["CONFIG", "SET", "rdb-key-save-delay", "0"]);
    client
}

#[test]
fn a_full_sync_waits_for_a_running_save() {
    // What is not built yet must not be built during the save.
    binary().expect("keyscape is built");
    for name in MAIN {
        let server = scene::server(name, &[]);
        let mut client = save_slowly(&server);
        let (text, code) = check(&server.url());
        assert!(
            text.contains("[wait] saves: a BGSAVE is running"),
            "{name}: {text}"
        );
        assert_eq!(code, Some(0), "{name}: {text}");
        let app = App::start(&[server.url()], EAGER).expect("start");
        wait::for_true(PATIENCE, "the full sync to wait", || {
            Ok(app.log().contains("full sync waits"))
        })
        .unwrap_or_else(|error| panic!("{name}: {error:#}\n{}", app.log_tail()));
        for _ in 0..100 {
            let saving = client.info("persistence", "rdb_bgsave_in_progress");
            assert_eq!(saving.expect("INFO"), "1", "{name}: the save has ended");
            let synced = client.info("stats", "sync_full").expect("INFO");
            assert_eq!(synced, "0", "{name}: a full sync beside a save");
        }
        ask(&mut client, &["FLUSHALL"]);
        scene::set(&mut client, "afterwards");
        app.wait_synced(PATIENCE).expect("sync");
        scene::expect_equal(&server, &app);
    }
}

#[test]
fn what_would_do_harm_is_refused_if_that_is_wanted() {
    for name in MAIN {
        let server = scene::server_with_data(name, &[]);
        let mut client = server.client().expect("connect");
        let need = ["CONFIG", "SET", "min-replicas-to-write", "1"];
        ask(&mut client, &need);
        let app = App::start(&[server.url()], &format!("{EAGER}preflight = \"refuse\"\n"));
        let app = app.expect("start");
        wait::for_true(PATIENCE, "the refusal", || {
            Ok(app.log().contains("no full sync for now: min-replicas"))
        })
        .unwrap_or_else(|error| panic!("{name}: {error:#}\n{}", app.log_tail()));
        assert_eq!(
            client.info("stats", "sync_full").expect("INFO"),
            "0",
            "{name}"
        );
        ask(
            &mut client,
            &["CONFIG", "SET", "min-replicas-to-write", "0"],
        );
        app.wait_synced(PATIENCE).expect("sync");
    }
}

#[test]
fn the_lines_to_paste_do_what_they_say() {
    for name in [
        "redis-6.0",
        "redis-6.2",
        "redis-7.0",
        "redis-8.0",
        "valkey-8.0",
        "valkey-9.1",
    ] {
        let server = scene::server(name, &[("repl-diskless-sync", "no")]);
        let mut client = server.client().expect("connect");
        let bare = "ACL SETUSER keyscape on >secret +info +psync";
        ask(&mut client, &bare.split(' ').collect::<Vec<_>>());
        let url = format!("redis://keyscape:secret@{}", server.addr);
        let (text, code) = check(&url);
        assert_eq!(code, Some(1), "{name}: {text}");
        assert!(
            text.contains("[FAIL] rights: not permitted: "),
            "{name}: {text}"
        );
        let (text, _) = paste(&mut client, &text, &url);
        // What could not be seen without the right to CONFIG GET.
        assert!(text.contains("[warn] transfer"), "{name}: {text}");
        let (text, code) = paste(&mut client, &text, &url);
        assert_eq!(code, Some(0), "{name}: {text}");
        assert!(
            !text.contains("[warn]") && !text.contains("[FAIL]"),
            "{name}: {text}"
        );
    }
}

/// Sends every line that a check printed for pasting to the server, and checks again.
fn paste(client: &mut Client, text: &str, url: &str) -> (String, Option<i32>) {
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("         "));
    for line in lines {
        assert!(
            line.starts_with("ACL SETUSER") || line.starts_with("CONFIG SET"),
            "{line}"
        );
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(ask(client, &words), "OK", "{line}");
    }
    check(url)
}

#[test]
fn whoever_is_not_there_or_does_not_let_us_in_fails() {
    let server = scene::server("redis-7.0", &[("requirepass", "secret")]);
    for (url, expected) in [
        ("redis://127.0.0.1:1".to_owned(), "[FAIL] reach"),
        (format!("redis://:wrong@{}", server.addr), "[FAIL] auth"),
        (
            "redis-cluster://127.0.0.1:1".to_owned(),
            "[FAIL] ask: 0 of 1 answer",
        ),
        (
            format!("redis-cluster://:secret@{}", server.addr),
            "cluster support disabled",
        ),
        (
            format!("redis-sentinel://{}/main", server.addr),
            "[FAIL] ask",
        ),
    ] {
        let (text, code) = check(&url);
        assert!(text.contains(expected), "{url}: {text}");
        assert!(
            !text.contains("secret") && !text.contains("wrong"),
            "{text}"
        );
        assert_eq!(code, Some(1), "{url}: {text}");
    }
}
