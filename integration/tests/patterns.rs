//! KS.PATTERNS against what a real server says of every key, through the life of a keyspace.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use integration::app::App;
use integration::resp::Client;
use integration::server::Server;
use integration::wait;
use serde_json::Value;

use crate::scene::{self, EAGER, PATIENCE};

const GROUPS: &str = "[patterns]\ngroups = [\
    { name = \"carts\", glob = \"user:*:cart\" }, { name = \"tens\", regex = \"^user:[0-9]+0$\" }]\n";

/// Keys, bytes and keys without an expiry.
type Sums = (u64, u64, u64);

fn report(app: &App, words: &[&str]) -> Value {
    let mut client = app.client().expect("connect");
    let mut command = vec!["KS.PATTERNS"];
    command.extend(words);
    command.extend(["LIMIT", "100000", "FORMAT", "JSON"]);
    let reply = client.ask(&command).expect("an answer");
    serde_json::from_str(&reply.string()).unwrap_or_else(|error| panic!("{error}: {reply:?}"))
}

fn sums(row: &Value) -> Sums {
    let count = |name: &str| {
        row[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name}: {row}"))
    };
    (count("keys"), count("bytes"), count("no_ttl_keys"))
}

fn rows(report: &Value, table: &str, name: &str) -> BTreeMap<String, Sums> {
    let rows = report[table].as_array().into_iter().flatten();
    let named = rows.map(|row| (row[name].as_str().expect("a name").to_owned(), sums(row)));
    named.collect()
}

/// What the server says, by the pattern that each key is said to have.
fn truth(server: &Server, app: &App) -> BTreeMap<String, Sums> {
    let mut client = server.client().expect("connect");
    let mut ours = app.client().expect("connect");
    let names = client.ask(&["KEYS", "*"]).expect("KEYS");
    let mut found: BTreeMap<String, Sums> = BTreeMap::new();
    for name in names.items() {
        let name = name.text().expect("a name");
        let usage = [&b"MEMORY"[..], b"USAGE", name, b"SAMPLES", b"0"];
        let bytes = client
            .ask(&usage)
            .expect("MEMORY USAGE")
            .int()
            .expect("bytes");
        let ttl = client.ask(&[&b"PTTL"[..], name]).expect("PTTL").int();
        let of = ours.ask(&[&b"KS.PATTERNS"[..], b"OF", name]).expect("OF");
        let pattern = of.items().first().expect("one").string();
        let sum = found.entry(pattern).or_default();
        sum.0 += 1;
        sum.1 += u64::try_from(bytes).expect("bytes");
        sum.2 += u64::from(ttl == Some(-1));
    }
    found
}

/// Every pattern must be what the server says, and the patterns must be these.
fn expect(server: &Server, app: &App, expected: &[(&str, u64)]) -> Value {
    scene::settle(server, app);
    wait::for_true(PATIENCE, "the count", || {
        let report = report(app, &[]);
        let notes = report["notes"].as_array().cloned().unwrap_or_default();
        Ok(!notes
            .iter()
            .any(|note| note.to_string().contains("being counted")))
    })
    .unwrap_or_else(|error| panic!("{error:#}"));
    let report = report(app, &[]);
    let found = rows(&report, "patterns", "pattern");
    assert_eq!(found, truth(server, app), "{report}");
    let keys: Vec<(&str, u64)> = found
        .iter()
        .map(|(name, sums)| (name.as_str(), sums.0))
        .collect();
    assert_eq!(keys, expected, "{report}");
    let all = found.values().fold((0, 0, 0), |all, one| {
        (all.0 + one.0, all.1 + one.1, all.2 + one.2)
    });
    assert_eq!(sums(&report["total"]), all);
    report
}

fn row<'a>(report: &'a Value, table: &str, name: &str) -> &'a Value {
    let rows = report[table].as_array().expect("rows");
    let mut rows = rows.iter();
    rows.find(|row| row["pattern"] == name || row["group"] == name)
        .unwrap_or_else(|| panic!("{name}: {report}"))
}

fn write(client: &mut Client) {
    for n in 0..120 {
        let cart = format!("user:{n}:cart");
        let session = format!("session:550e8400-e29b-41d4-a716-4466554400{n:02x}");
        client.push(&["RPUSH", &cart, "apple", &"pear".repeat(n)]);
        client.push(&["SET", &session, "some value", "EX", "10000"]);
        client.push(&["HSET", &format!("user:{n}"), "name", "someone"]);
        client.push(&["SET", &format!("cfg:{}", ["a", "b", "c"][n % 3]), "on"]);
    }
    client.push(&[&b"SET"[..], b"\xff\xfe\x00", b"binary"]);
    client.push(&[&b"SET"[..], b"", b"no name"]);
    client.push(&[&b"SET"[..], b"glob*[x]", b"odd"]);
    client.flush().expect("write");
    for _ in 0..4 * 120 + 3 {
        client.read().expect("a reply");
    }
}

/// What is told of the keys that `write` makes, beside their sums.
fn expect_facts(created: &Value) {
    let carts = row(created, "patterns", "user:*:cart");
    assert_eq!(carts["ids"], "int");
    assert_eq!(carts["encodings"], "quicklist=120");
    assert!(carts["example"].as_str().expect("one").ends_with(":cart"));
    assert_eq!(carts["growth_1h"], carts["bytes"]);
    let groups = rows(created, "groups", "group");
    assert_eq!(
        groups["carts"],
        rows(created, "patterns", "pattern")["user:*:cart"]
    );
    assert_eq!(groups["tens"].0, 11, "user:10 to user:110");
    let sessions = row(created, "patterns", "session:*");
    assert_eq!(
        (&sessions["ids"], &sessions["ttl_share"]),
        (&"uuid".into(), &1.0.into())
    );
}

/// Overwrites, of other types too, lost expiries, deletions and expired keys.
fn change(client: &mut Client) {
    for n in 0..40 {
        client
            .ask(&["SET", &format!("user:{n}"), &"long".repeat(n)])
            .expect("SET");
        let session = format!("session:550e8400-e29b-41d4-a716-4466554400{n:02x}");
        client.ask(&["PERSIST", &session]).expect("PERSIST");
        client
            .ask(&["DEL", &format!("user:{}:cart", n + 70)])
            .expect("DEL");
        let expiring = format!("session:550e8400-e29b-41d4-a716-4466554400{:02x}", n + 50);
        client.ask(&["PEXPIRE", &expiring, "1"]).expect("PEXPIRE");
        client.ask(&["GET", &expiring]).expect("GET");
    }
    client.ask(&["DEL", "cfg:a"]).expect("DEL");
}

#[test]
fn patterns_follow_every_write() {
    let server = scene::server("redis-7.0", &[]);
    let app = scene::follow(&server, &format!("{EAGER}{GROUPS}"));
    let mut client = server.client().expect("connect");
    let since = Instant::now();
    write(&mut client);
    scene::settle(&server, &app);
    let carts = row(&report(&app, &[]), "patterns", "user:*:cart")["writes_1m"].clone();
    // Of the last minute, if that reaches back to all of them.
    if since.elapsed() < Duration::from_secs(55) {
        assert_eq!(carts, 120);
    }
    let first = [
        ("", 1),
        ("*", 1),
        ("cfg:a", 1),
        ("cfg:b", 1),
        ("cfg:c", 1),
        ("glob\\*\\[x\\]", 1),
        ("session:*", 120),
        ("user:*", 120),
        ("user:*:cart", 120),
    ];
    expect_facts(&expect(&server, &app, &first));

    change(&mut client);
    let first = first.into_iter().filter(|(name, _)| *name != "cfg:a");
    let then: Vec<(&str, u64)> = first
        .map(|(name, keys)| match name {
            "session:*" | "user:*:cart" => (name, 80),
            other => (other, keys),
        })
        .collect();
    wait::for_true(PATIENCE, "keys to expire", || {
        Ok(client.ask(&["DBSIZE"])?.int() == Some(80 + 80 + 120 + 5))
    })
    .expect("DBSIZE");
    let changed = expect(&server, &app, &then);
    let users = row(&changed, "patterns", "user:*")["types"].to_string();
    assert!(
        users.contains("hash=80/") && users.contains("string=40/"),
        "{users}"
    );
    assert_eq!(row(&changed, "patterns", "session:*")["no_ttl_keys"], 40);

    // Another history: everything is loaded and counted anew.
    client.ask(&["DEBUG", "CHANGE-REPL-ID"]).expect("DEBUG");
    client
        .ask(&["CLIENT", "KILL", "TYPE", "replica"])
        .expect("KILL");
    wait::for_true(
        PATIENCE,
        "a full sync",
        || Ok(app.status()?.full_syncs == 2),
    )
    .unwrap_or_else(|error| panic!("{error:#}\n{}", app.log_tail()));
    app.wait_synced(PATIENCE).expect("synced");
    let again = expect(&server, &app, &then);
    let exact = again["patterns"].as_array().expect("rows");
    assert!(
        exact.iter().all(|row| row["largest_is_exact"] == true),
        "{again}"
    );

    client.ask(&["FLUSHALL"]).expect("FLUSHALL");
    expect(&server, &app, &[]);
    client.ask(&["SET", "user:7", "again"]).expect("SET");
    expect(&server, &app, &[("user:*", 1)]);
}

#[test]
fn patterns_are_chosen_rolled_up_and_folded() {
    let server = scene::server("redis-7.0", &[]);
    let app = scene::follow(&server, EAGER);
    let mut client = server.client().expect("connect");
    let since = Instant::now();
    write(&mut client);
    scene::settle(&server, &app);
    let names = |words: &[&str]| rows(&report(&app, words), "patterns", "pattern");
    let users = names(&["user:"]);
    assert_eq!(users.keys().collect::<Vec<_>>(), ["user:*", "user:*:cart"]);
    let rolled = names(&["DEPTH", "1"]);
    assert_eq!(rolled["user:*"].0, 240);
    assert_eq!(rolled["cfg:*"].0, 3);
    assert!(!rolled.contains_key("user:*:cart"));
    let ask = |words: &[&str]| {
        let mut client = app.client().expect("connect");
        client.ask(words).expect("an answer")
    };
    let lines = |words: &[&str]| -> Vec<String> {
        let reply = ask(words);
        reply.items().iter().map(|line| line.string()).collect()
    };
    let folded = lines(&["KS.PATTERNS", "BY", "KEYS", "FORMAT", "FOLDED"]);
    let writes = lines(&["KS.PATTERNS", "cfg:", "BY", "WRITES", "FORMAT", "FOLDED"]);
    // Of the last minute, if that reaches back to all of them.
    if since.elapsed() < Duration::from_secs(55) {
        assert_eq!(writes, ["cfg;a 40", "cfg;b 40", "cfg;c 40"]);
    }
    for line in ["user;*;cart 120", "user;* 120", "session;* 120", "cfg;a 1"] {
        assert!(
            folded.iter().any(|other| other == line),
            "{line}: {folded:?}"
        );
    }
    let absent = ask(&["KS.PATTERNS", "OF", "user:1", "nobody", "cfg:b"]);
    let patterns: Vec<String> = absent.items().iter().map(|item| item.string()).collect();
    assert_eq!(patterns, ["user:*", "", "cfg:b"]);
    let text = lines(&["KS.PATTERNS", "LIMIT", "1", "BY", "NOTTL", "FORMAT", "TEXT"]).join("\n");
    assert!(
        text.contains("user:*:cart") && !text.contains("session"),
        "{text}"
    );
    let mut client = app.client().expect("connect");
    for wrong in ["BY TASTE", "x LIMIT", "x y", "DEPTH -1"] {
        let words: Vec<&str> = "KS.PATTERNS".split(' ').chain(wrong.split(' ')).collect();
        client.push(&words);
        client.flush().expect("a question");
        assert!(client.read().expect("an answer").is_error(), "{wrong}");
    }
}

#[test]
fn counting_by_pattern_can_be_turned_off() {
    let server = scene::server("redis-7.0", &[]);
    let app = scene::follow(&server, &format!("{EAGER}[patterns]\nmax = 0\n"));
    let mut client = server.client().expect("connect");
    client.ask(&["SET", "user:7", "x"]).expect("SET");
    scene::settle(&server, &app);
    let report = report(&app, &[]);
    assert!(
        report["notes"]
            .to_string()
            .contains("not counted by pattern"),
        "{report}"
    );
    assert_eq!(report["patterns"], Value::Array(Vec::new()));
}
