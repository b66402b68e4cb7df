//! The command line clients of three server packages, pointed at the admin port.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use integration::app::App;
use integration::server::Server;
use integration::servers::{self, Program};
use integration::wait;

use crate::scene::{self, MAIN, PATIENCE};

fn pair() -> (Server, App) {
    let server = scene::quiet_server("redis-7.0");
    let app = scene::follow(&server, "");
    scene::settle(&server, &app);
    (server, app)
}

fn cli(name: &str, port: u16, arguments: &[&str]) -> Command {
    let install = servers::get(name).expect("the package can be had");
    let mut command = install.command(Program::Cli).expect("it has a client");
    command.args(["-p", &port.to_string()]).args(arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub(crate) fn run(name: &str, port: u16, arguments: &[&str]) -> String {
    let output = cli(name, port, arguments)
        .output()
        .expect("the client runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{name} {arguments:?}: {text} {complaint}"
    );
    text
}

/// Gives a program a terminal, without which clients keep their output to themselves for long.
const TERMINAL: &str = "import pty, sys; pty.spawn(sys.argv[1:])";

/// Runs a client that never ends, and does something meanwhile again and again, until it has said
/// what is looked for; returns what it said.
fn run_until(
    (name, port, arguments): (&str, u16, &[&str]),
    meanwhile: impl Fn(),
    is_said: impl Fn(&str) -> bool,
) -> String {
    let plain = cli(name, port, arguments);
    let mut command = Command::new("python3");
    command
        .args(["-c", TERMINAL])
        .arg(plain.get_program())
        .args(plain.get_args());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the client runs");
    let mut out = child.stdout.take().expect("piped");
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    let reader = thread::spawn(move || {
        let mut piece = [0; 4096];
        // An end or an error: the client was killed.
        while let Ok(len @ 1..) = out.read(&mut piece) {
            heard.lock().expect("no panic").extend(&piece[..len]);
        }
    });
    let text = || String::from_utf8_lossy(&said.lock().expect("no panic")).into_owned();
    let result = wait::for_true(PATIENCE, "a client to say something", || {
        meanwhile();
        Ok(is_said(&text()))
    });
    let _ = child.kill();
    let _ = child.wait();
    reader.join().expect("no panic");
    result.unwrap_or_else(|error| panic!("{name} {arguments:?}: {error:#}: {}", text()));
    text()
}

/// The lines of --bigkeys that do not depend on the order of the scan: totals, and sizes of the
/// biggest without their names, of which several may be equally big.
fn essence(text: &str) -> Vec<String> {
    let summary = text
        .split_once("-------- summary")
        .map_or("", |parts| parts.1);
    let mut lines: Vec<String> = summary
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(
            |line| match (line.split_once("found"), line.rsplit_once(" has ")) {
                (Some((head, _)), Some((_, size))) => format!("{head} has {size}"),
                _ => line.to_owned(),
            },
        )
        .collect();
    lines.sort();
    lines
}

#[test]
fn bigkeys_and_memkeys_say_what_the_master_says() {
    let (server, app) = pair();
    for name in MAIN {
        let ours = run(name, app.admin.port(), &["--bigkeys"]);
        let theirs = run(name, server.addr.port(), &["--bigkeys"]);
        assert_eq!(essence(&ours), essence(&theirs), "{name}");
        let memory = run(name, app.admin.port(), &["--memkeys"]);
        assert!(memory.contains("\n-------- "), "{name}: {memory}");
    }
}

#[test]
fn scan_finds_the_same_names() {
    let (server, app) = pair();
    for name in MAIN {
        let names = |port: u16| {
            let text = run(name, port, &["--scan", "--pattern", "app:*1"]);
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let ours = names(app.admin.port());
        assert!(!ours.is_empty(), "{name}");
        assert_eq!(ours, names(server.addr.port()), "{name}");
    }
}

#[test]
fn stat_and_monitor_run() {
    let (server, app) = pair();
    for name in MAIN {
        let is_row = |line: &str| line.starts_with(|c: char| c.is_ascii_digit());
        let stat = run_until(
            (name, app.admin.port(), &["--stat"]),
            || (),
            |said| said.lines().any(is_row),
        );
        assert!(stat.contains("keys"), "{name}: {stat}");
        let write = || {
            scene::set(&mut server.client().expect("connect"), "seen");
        };
        let monitor = run_until((name, app.admin.port(), &["MONITOR"]), write, |said| {
            said.contains("\"seen\"")
        });
        assert!(
            !monitor.contains("\"value\""),
            "{name} shows a value: {monitor}"
        );
    }
}

#[test]
fn plain_questions_from_a_shell() {
    let (_server, app) = pair();
    let port = app.admin.port();
    for name in MAIN {
        for words in [
            vec!["PING"],
            vec!["INFO"],
            vec!["DBSIZE"],
            vec!["COMMAND", "DOCS"],
            vec!["COMMAND"],
            vec!["KS.HELP"],
            vec!["KS.NODES"],
            vec!["KS.SUMMARY"],
            vec!["KS.TOP", "BYTES", "5"],
            vec!["KS.TOP", "ELEMENTS", "5", "TYPE", "hash", "MATCH", "app:*"],
            vec!["KS.WHATIF", "SERVER", "valkey-9.1"],
            vec![
                "-3",
                "KS.WHATIF",
                "CONFIG",
                "hash-max-ziplist-entries",
                "64",
                "ALLOCATOR",
                "jemalloc-bundled",
                "FORMAT",
                "TEXT",
            ],
            vec!["-3", "KS.SUMMARY"],
        ] {
            let text = run(name, port, &words);
            assert!(
                !text.trim().is_empty() && !text.starts_with("ERR"),
                "{words:?}: {text}"
            );
        }
        assert!(run(name, port, &["GET", "app:page:1"]).contains("NOVALUE"));
        assert!(run(name, port, &["SET", "a", "b"]).contains("READONLY"));
    }
}

#[test]
fn an_unsynced_model_says_so() {
    let nobody = integration::server::free_addr().expect("a port");
    let app = App::start(&[format!("redis://{nobody}")], "").expect("start");
    let status = app.status().expect("status");
    assert!(!status.synced);
    assert!(app.get("/synced").expect("an answer").0.contains("503"));
    let reply = app
        .client()
        .expect("connect")
        .call(&["DBSIZE"])
        .expect("an answer");
    assert!(reply.is_error(), "{reply:?}");
}
