//! The servers' own tools behind the admin port: what `redis-cli --scan`, `--bigkeys`, `--memkeys` and
//! `--keystats` see of a deployment is the union of its masters, every key once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;

use integration::app::App;
use integration::fill;
use integration::resp::{Client, Reply};
use integration::sentinel::{AGREEMENT, Watched};
use integration::server::Server;
use integration::servers::{self, Install, Program};
use integration::wait;

use crate::merged;
use crate::scene::PATIENCE;

/// What the Sentinels call the second master.
const OTHER: &str = "other";

/// Keys of each master behind Sentinels.
const KEYS: u64 = 500;

/// Masters, and Keyscape before them all.
struct Union<'a> {
    install: &'a Install,
    masters: Vec<SocketAddr>,
    app: &'a App,
}

fn cli(install: &Install, port: u16, arguments: &[&str]) -> String {
    let mut command = install.command(Program::Cli).expect("a client");
    command.args(["-p", &port.to_string()]).args(arguments);
    command.stdin(Stdio::null());
    let output = command.output().expect("the client runs");
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a client says of each master, and of us.
fn asked(union: &Union<'_>, arguments: &[&str]) -> (Vec<String>, String) {
    let ask = |addr: &SocketAddr| cli(union.install, addr.port(), arguments);
    let theirs = union.masters.iter().map(ask);
    (theirs.collect(), ask(&union.app.admin))
}

/// `12 lists with 345 items` as `lists -> (12, 345)`.
fn totals(text: &str) -> BTreeMap<String, (u64, u64)> {
    let lines = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let &[count, kind, "with", sum, ..] = &words[..] else {
            return None;
        };
        Some((kind.to_owned(), (count.parse().ok()?, sum.parse().ok()?)))
    });
    lines.collect()
}

/// The last table of `--keystats`, `list 5 50.00% 320B 64B 15 items 3.00`, as `list -> (5, 15)`;
/// lengths of strings are rounded there.
fn keystats(text: &str) -> BTreeMap<String, (u64, u64)> {
    let lines = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let &[kind, count, share, _, _, sum, ..] = &words[..] else {
            return None;
        };
        let count = count.parse().ok().filter(|_| share.ends_with('%'))?;
        Some((kind.to_owned(), (count, sum.parse().unwrap_or(0))))
    });
    lines.collect()
}

/// What the client of these servers can do.
fn cli_help(install: &Install) -> String {
    let mut command = install.command(Program::Cli).expect("a client");
    let output = command.arg("--help").output().expect("the client runs");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// `Biggest list found "k" has 12 items` as `list -> 12`.
fn biggest(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("Biggest ")?;
        let kind = rest.split_whitespace().next()?;
        let words: Vec<&str> = rest.split(' ').collect();
        let size = words.iter().rev().find_map(|word| word.parse().ok())?;
        Some((kind.to_owned(), size))
    });
    lines.collect()
}

/// Numbers must be the same; bytes of hash tables and skiplists are known by expectation only. Some
/// dozens of keys may be far from that, for a table that stands twice: what of those differs is told.
fn compare(
    tool: &str,
    ours: &BTreeMap<String, (u64, u64)>,
    theirs: &BTreeMap<String, (u64, u64)>,
) -> anyhow::Result<()> {
    assert!(ours.keys().eq(theirs.keys()), "{tool}: {ours:?}");
    for (kind, (count, size)) in theirs {
        let own = ours[kind];
        assert_eq!(own.0, *count, "{tool}: {kind}");
        let random = tool != "--bigkeys" && ["hashs", "sets", "zsets"].contains(&kind.as_str());
        if random {
            let is_near = own.1.abs_diff(*size) <= size / 10;
            anyhow::ensure!(is_near, "{tool}: {kind} {} not {size}", own.1);
        } else {
            assert_eq!(own.1, *size, "{tool}: {kind}");
        }
    }
    Ok(())
}

/// What a client sums up of each master, and of us.
fn sums_agree(union: &Union<'_>, tool: &[&str]) -> anyhow::Result<()> {
    let (theirs, ours) = asked(union, tool);
    let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (kind, (count, size)) in theirs.iter().flat_map(|text| totals(text)) {
        let sum = sums.entry(kind).or_default();
        *sum = (sum.0 + count, sum.1 + size);
    }
    assert!(sums.len() >= 5, "{tool:?}: {}", theirs[0]);
    compare(tool[0], &totals(&ours), &sums)
}

fn tools_see(union: &Union<'_>) {
    let (theirs, ours) = asked(union, &["--scan"]);
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&ours), sorted(&theirs.concat()), "--scan");
    for tool in [&["--bigkeys"][..], &["--memkeys-samples", "0"]] {
        wait::for_true(PATIENCE, tool[0], || {
            let agreed = sums_agree(union, tool);
            if agreed.is_err() {
                // Chance is settled by asking.
                union.app.client()?.ask(&["KS.VERIFY", "ALL"])?;
            }
            agreed.map(|()| true)
        })
        .unwrap_or_else(|error| panic!("{error:#}\n{}", union.app.log_tail()));
    }
    let (theirs, ours) = asked(union, &["--bigkeys"]);
    let mut most: BTreeMap<String, u64> = BTreeMap::new();
    for (kind, size) in theirs.iter().flat_map(|text| biggest(text)) {
        let own = most.entry(kind).or_default();
        *own = size.max(*own);
    }
    assert!(most.len() >= 4, "{}", theirs[0]);
    assert_eq!(biggest(&ours), most);
    if cli_help(union.install).contains("--keystats-samples") {
        let (theirs, ours) = asked(union, &["--keystats-samples", "0"]);
        let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for (kind, (count, items)) in theirs.iter().flat_map(|text| keystats(text)) {
            let sum = sums.entry(kind).or_default();
            *sum = (sum.0 + count, sum.1 + items);
        }
        assert!(sums.len() >= 5, "{}", theirs[0]);
        assert_eq!(keystats(&ours), sums, "{ours}");
    }
}

fn tools_see_the_union(name: &str) {
    let (cluster, app) = merged::cluster(name);
    let union = Union {
        install: &cluster.install,
        masters: cluster.nodes.iter().map(|node| node.addr).collect(),
        app: &app,
    };
    tools_see(&union);
    merged::our_own_verbs_agree(&cluster, &app);
}

#[test]
fn tools_see_the_union_of_the_masters_of_redis_6() {
    tools_see_the_union("redis-6.0");
}

#[test]
fn tools_see_the_union_of_the_masters_of_redis_7() {
    tools_see_the_union("redis-7.0");
}

#[test]
fn tools_see_the_union_of_the_masters_of_redis_8() {
    tools_see_the_union("redis-8.0");
}

#[test]
fn tools_see_the_union_of_the_masters_of_valkey_8() {
    tools_see_the_union("valkey-8.1");
}

#[test]
fn tools_see_the_union_of_the_masters_of_valkey_9() {
    tools_see_the_union("valkey-9.1");
}

/// Two masters that the same Sentinels watch, with keys of their own.
fn tools_see_what_sentinels_watch(name: &str) {
    let install = servers::get(name).expect("the server can be had");
    let mut watched = Watched::start(&install).expect("they start and agree");
    let master = watched.wait_agreed(AGREEMENT).expect("a master");
    let other = Server::start(&install, &[]).expect("a second master");
    watched.watch(OTHER, other.addr).expect("it is watched");
    let masters = vec![master, other.addr];
    for (n, addr) in masters.iter().enumerate() {
        let from = KEYS * n as u64;
        let commands = (from..from + KEYS).map(|n| fill::command(fill::Shape::Mixed, n));
        let mut client = Client::connect(*addr).expect("connect");
        let replies = client.pipeline(&commands.collect::<Vec<_>>());
        let replies = replies.expect("replies");
        assert!(!replies.iter().any(Reply::is_error), "{replies:?}");
    }
    let source = format!("{},{OTHER}", watched.url());
    let app = App::start(&[source], "").expect("keyscape starts");
    wait::for_true(
        PATIENCE,
        "both masters to be followed to their ends",
        || {
            let status = app.status()?;
            let keys = app.client()?.call(&["DBSIZE"])?.int();
            let whole = keys == i64::try_from(2 * KEYS).ok();
            Ok(whole && status.synced && status.inexact + status.unverified == 0)
        },
    )
    .unwrap_or_else(|error| panic!("{error:#}\n{}", app.log_tail()));
    tools_see(&Union {
        install: &install,
        masters,
        app: &app,
    });
}

#[test]
fn tools_see_the_union_of_what_sentinels_of_redis_watch() {
    tools_see_what_sentinels_watch("redis-7.0");
}

#[test]
fn tools_see_the_union_of_what_sentinels_of_valkey_watch() {
    tools_see_what_sentinels_watch("valkey-8.1");
}
