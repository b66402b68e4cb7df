//! A whole cluster behind the admin port: what is seen of it is the union of its masters, every key
//! once, while slots move as well.

use std::io::Write;
use std::process::{Command, Stdio};

use integration::app::App;
use integration::cluster::client::slot_of;
use integration::cluster::reshard::Move;
use integration::cluster::{Cluster, Map, Shape};
use integration::fill;
use integration::resp::Client;
use integration::servers;
use integration::wait;

use crate::scene::PATIENCE;

/// Looks at the map often, so that the tests need not wait for it.
const EAGER: &str = "[discovery]\npoll_ms = 200\n";

/// Keys in the cluster.
const KEYS: u64 = 1_000;

/// Three masters without replicas, with keys of all types that nothing changes.
pub(crate) fn cluster(name: &str) -> (Cluster, App) {
    let install = servers::get(name).expect("the server can be had");
    let shape = Shape {
        masters: 3,
        replicas: 0,
    };
    let cluster = Cluster::start(&install, shape, &[]).expect("the cluster starts");
    wait::for_true(PATIENCE, "every node to serve", || {
        let states = cluster.nodes.iter().map(|node| {
            let state = node.client()?.info_of_cluster("cluster_state")?;
            anyhow::Ok(state == "ok")
        });
        Ok(states
            .collect::<anyhow::Result<Vec<bool>>>()?
            .iter()
            .all(|ok| *ok))
    })
    .expect("the cluster is up");
    let commands = (0..KEYS).map(|number| fill::command(fill::Shape::Mixed, number));
    write(&cluster, commands);
    let app = App::start(&[cluster.url()], EAGER).expect("keyscape starts");
    app.wait_synced(PATIENCE).expect("keyscape syncs");
    wait::for_true(PATIENCE, "every master to be followed to its end", || {
        let status = app.status()?;
        let whole = app.client()?.call(&["DBSIZE"])?.int() == Some(size(&cluster));
        Ok(whole && status.synced && status.inexact + status.unverified == 0)
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", app.log_tail()));
    (cluster, app)
}

/// Sends each command to the owner of its key, which is its first argument.
fn write(cluster: &Cluster, commands: impl Iterator<Item = Vec<Vec<u8>>>) {
    let mut client = cluster.client();
    for command in commands {
        client.write(&command).expect("written");
    }
}

/// The number that a command answers.
fn number(client: &mut Client, words: &[&str]) -> i64 {
    let reply = client.ask(words).expect("an answer");
    reply.int().expect("a number")
}

pub(crate) fn our_own_verbs_agree(cluster: &Cluster, app: &App) {
    let mut ours = app.client().expect("connect");
    let map = Map::of(&mut cluster.nodes[0].client().expect("connect")).expect("a map");
    // The map comes back as it is; bus ports and pings are not ours to know.
    let told = Map::of(&mut ours).expect("our map");
    assert!(told.says_the_same(&map), "{told:?}");
    for seen in map.masters() {
        let addr = seen.addr.expect("an address");
        let mut node = Client::connect(addr).expect("connect");
        for slot in (seen.slots[0].0..seen.slots[0].1).step_by(500) {
            let ask = ["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()];
            assert_eq!(number(&mut ours, &ask), number(&mut node, &ask));
            let ask = ["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), "100"];
            let names = |client: &mut Client| {
                let reply = client.ask(&ask).expect("names");
                let names = reply.items().iter().map(|name| name.string());
                let mut names: Vec<String> = names.collect();
                names.sort();
                names
            };
            assert_eq!(names(&mut ours), names(&mut node), "slot {slot}");
        }
        let size = number(&mut node, &["DBSIZE"]);
        for name in [addr.to_string(), seen.id.clone()] {
            ours.ask(&["KS.TARGET", &name]).expect("a target");
            assert_eq!(number(&mut ours, &["DBSIZE"]), size);
        }
        ours.ask(&["KS.TARGET", "ALL"]).expect("all");
    }
    let (status, body) = app.get("/metrics").expect("metrics");
    assert!(status.contains("200"), "{status}");
    assert!(body.contains("keyscape_slots_covered{cluster="), "{body}");
    promtool_accepts(&body);
}

fn promtool_accepts(body: &str) {
    let mut promtool: Command = servers::tool("promtool").expect("promtool can be had");
    promtool.args(["check", "metrics"]);
    promtool.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().expect("promtool starts");
    let mut input = child.stdin.take().expect("stdin");
    input.write_all(body.as_bytes()).expect("feed promtool");
    drop(input);
    let output = child.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// Sizes of the whole, by every way to ask: they must be those of before, all along.
fn still_whole(app: &App, keys: i64) {
    let mut client = app.client().expect("connect");
    assert_eq!(number(&mut client, &["DBSIZE"]), keys);
    let info = client.ask(&["INFO", "keyspace"]).expect("INFO").string();
    assert!(info.contains(&format!("db0:keys={keys},")), "{info}");
    let (mut cursor, mut names) = ("0".to_owned(), Vec::new());
    loop {
        let page = client.ask(&["SCAN", &cursor]).expect("SCAN");
        let [next, found] = page.items() else {
            panic!("a page of two parts, not {page:?}");
        };
        names.extend(found.items().iter().map(|name| name.string()));
        cursor = next.string();
        if cursor == "0" {
            break;
        }
    }
    let met = names.len();
    names.sort();
    names.dedup();
    assert_eq!(met, names.len(), "every name once");
    assert_eq!(i64::try_from(met).expect("few"), keys);
}

/// The kinds of strays that KS.SLOTS tells of, with their keys.
fn strays(app: &App) -> anyhow::Result<Vec<(String, u64)>> {
    let text = app.client()?.ask(&["KS.SLOTS", "FORMAT", "JSON"])?.string();
    let json: serde_json::Value = serde_json::from_str(&text)?;
    let rows = json["strays"].as_array().cloned().unwrap_or_default();
    let row = |row: &serde_json::Value| {
        let kind = row["kind"].as_str().unwrap_or_default().to_owned();
        (kind, row["keys"].as_u64().unwrap_or_default())
    };
    Ok(rows.iter().map(row).collect())
}

/// The slot of `tag`, with some hundred keys, and a move of it to another master.
fn a_full_slot(cluster: &Cluster) -> (Map, Move, u16) {
    let slot = slot_of(b"tag");
    let set = |n: u32| {
        let words = [
            "SET".to_owned(),
            format!("{{tag}}{n}"),
            format!("value {n}"),
        ];
        words.map(String::into_bytes).to_vec()
    };
    write(cluster, (0..300).map(set));
    let map = Map::of(&mut cluster.nodes[0].client().expect("connect")).expect("a map");
    let owner = map.owner(slot).expect("an owner").id.clone();
    let to = map.masters().find(|seen| seen.id != owner);
    let step = Move::new(&map, slot, to.expect("another")).expect("a move");
    (map, step, slot)
}

/// Keys of the slot before its move.
fn keys_of(step: &Move) -> i64 {
    let mut from = Client::connect(step.from.1).expect("connect");
    number(
        &mut from,
        &["CLUSTER", "COUNTKEYSINSLOT", &step.slot.to_string()],
    )
}

fn size(cluster: &Cluster) -> i64 {
    let sizes = cluster.nodes.iter().map(|node| {
        let mut client = node.client().expect("connect");
        number(&mut client, &["DBSIZE"])
    });
    sizes.sum()
}

/// Waits until Keyscape stands where every master stands.
fn wait_applied(cluster: &Cluster, app: &App) {
    for node in &cluster.nodes {
        wait::for_true(PATIENCE, "the offsets to meet", || {
            let theirs = node.client()?.info("replication", "master_repl_offset")?;
            let text = app.client()?.ask(&["KS.NODES", "FORMAT", "JSON"])?.string();
            let json: serde_json::Value = serde_json::from_str(&text)?;
            let rows = json["nodes"].as_array().cloned().unwrap_or_default();
            let mut own = rows
                .iter()
                .filter(|row| row["node"] == node.addr.to_string());
            let ours = own.next().map(|row| row["offset"].to_string());
            Ok(ours == Some(theirs))
        })
        .unwrap_or_else(|error| panic!("{error:#}\n{}", app.log_tail()));
    }
}

/// Key by key: in the middle a part of the slot is on each side, and the target says so.
#[test]
fn a_slot_that_moves_key_by_key_is_whole_all_along() {
    let (cluster, app) = cluster("redis-7.0");
    let (map, step, slot) = a_full_slot(&cluster);
    wait_applied(&cluster, &app);
    let keys = size(&cluster);
    let in_slot = keys_of(&step);
    still_whole(&app, keys);
    step.begin().expect("the move begins");
    assert!(!step.carry(1).expect("a part is moved"), "all of it was");
    wait_applied(&cluster, &app);
    assert_eq!(size(&cluster), keys);
    wait::for_true(PATIENCE, "the import to be seen", || {
        Ok(strays(&app)?.iter().any(|(kind, _)| kind == "importing"))
    })
    .expect("the map says that the slot is imported");
    still_whole(&app, keys);
    let mut ours = app.client().expect("connect");
    let count = ["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()];
    assert_eq!(number(&mut ours, &count), in_slot);
    for n in 0..300 {
        let kind = ours.ask(&["TYPE", &format!("{{tag}}{n}")]);
        assert_eq!(kind.expect("a type").string(), "string");
    }
    while !step.carry(50).expect("the rest is moved") {}
    step.end(&map).expect("the move ends");
    wait_applied(&cluster, &app);
    still_whole(&app, keys);
    wait::for_true(PATIENCE, "nothing to stand where it should not", || {
        Ok(strays(&app)?.is_empty())
    })
    .expect("the new owner is known");
    still_whole(&app, keys);
    assert_eq!(number(&mut ours, &count), in_slot);
}

/// At once: the target has a copy that its clients do not see, until it has the slot.
#[test]
fn a_slot_that_moves_at_once_is_whole_before_and_after() {
    let (cluster, app) = cluster("valkey-9.1");
    let (_, step, slot) = a_full_slot(&cluster);
    wait_applied(&cluster, &app);
    let keys = size(&cluster);
    let in_slot = keys_of(&step);
    integration::cluster::reshard::migrate_atomically(step.from.1, (slot, slot), &step.to.0)
        .expect("the migration ends");
    wait_applied(&cluster, &app);
    still_whole(&app, keys);
    wait::for_true(PATIENCE, "nothing to stand where it should not", || {
        Ok(strays(&app)?.is_empty())
    })
    .expect("the new owner is known");
    still_whole(&app, keys);
    let mut ours = app.client().expect("connect");
    ours.ask(&["KS.TARGET", &step.to.1.to_string()])
        .expect("a target");
    let count = ["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()];
    assert_eq!(number(&mut ours, &count), in_slot);
}

/// What a move that was given up leaves behind: keys that no client of the cluster gets. They are told
/// where they are, and counted as what they are.
#[test]
fn orphans_are_reported_as_they_are_on_the_node() {
    let (cluster, app) = cluster("redis-7.0");
    let (_, step, _) = a_full_slot(&cluster);
    step.begin().expect("the move begins");
    assert!(!step.carry(1).expect("a part is moved"), "all of it was");
    step.forget();
    wait_applied(&cluster, &app);
    let keys = size(&cluster);
    wait::for_true(PATIENCE, "the orphans to be told", || {
        let strays = strays(&app)?;
        Ok(strays
            .iter()
            .any(|(kind, keys)| kind == "orphan" && *keys > 0))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{:?}", strays(&app)));
    still_whole(&app, keys);
    let mut ours = app.client().expect("connect");
    let target = step.to.1;
    ours.ask(&["KS.TARGET", &target.to_string()])
        .expect("a target");
    let mut node = Client::connect(target).expect("connect");
    assert_eq!(
        number(&mut ours, &["DBSIZE"]),
        number(&mut node, &["DBSIZE"])
    );
}
