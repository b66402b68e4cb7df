//! Several masters as one keyspace: a cluster of three shards.
//!
//! `{a}` is slot 15495 (shard c), `{b}` 3300 (shard a), `{c}` 7365 (shard b).

use std::sync::Arc;

use cluster_map::node::Addr;
use cluster_map::{Slots, Topology};

use super::deployed::{Build, ParseId, cluster, json, keys, report, spread, topology};
use super::*;
use crate::fleet::{Kind as DeploymentKind, NotFollowed, Place, Reach, Seed, View};

#[tokio::test]
async fn a_cluster_is_one_keyspace() {
    let (_rig, mut c) = cluster("", spread()).await;
    exchange(&mut c, "DBSIZE\r\n", ":6\r\n").await;
    exchange(
        &mut c,
        "TYPE {a}1\r\nTYPE {b}2\r\nTYPE {c}3\r\nEXISTS {a}1 {b}1 {c}1 {c}9\r\n",
        "+string\r\n+string\r\n+none\r\n:3\r\n",
    )
    .await;
    let all = "*2\r\n$1\r\n0\r\n*6\r\n$4\r\n{a}1\r\n$4\r\n{a}2\r\n$4\r\n{b}1\r\n$4\r\n{b}2\r\n\
               $4\r\n{c}1\r\n$4\r\n{c}2\r\n";
    exchange(&mut c, "SCAN 0 COUNT 1000\r\n", all).await;
    let top = json(&mut c, "KS.TOP BYTES 2").await;
    assert_eq!(top["top"][0]["key"], "{a}2");
    assert_eq!(top["top"][0]["master"], "10.0.1.3:7003");
    assert_eq!(top["notes"], serde_json::json!([]));
    let summary = json(&mut c, "KS.SUMMARY").await;
    assert_eq!(summary["total"]["keys"], 6);
    assert_eq!(summary["by_master"][1]["bytes"], 70);
    let info = text(&mut c, "INFO keyspace\r\n").await;
    assert!(info.contains("db0:keys=6,"), "{info}");
}

/// Atomic migration copies a slot first: until its end the copy is hidden on the real node.
#[tokio::test]
async fn a_key_on_two_masters_is_counted_and_returned_once() {
    let [mut a, b, c] = spread();
    a.extend(keys(&[("{c}1", 777)]));
    let (_rig, mut c) = cluster("", [a, b, c]).await;
    exchange(
        &mut c,
        "DBSIZE\r\nCLUSTER COUNTKEYSINSLOT 7365\r\n",
        ":6\r\n:2\r\n",
    )
    .await;
    // The owner of the slot answers.
    exchange(&mut c, "MEMORY USAGE {c}1\r\n", ":30\r\n").await;
    exchange(
        &mut c,
        "KEYS {c}*\r\n",
        "*2\r\n$4\r\n{c}1\r\n$4\r\n{c}2\r\n",
    )
    .await;
    let slot = "*2\r\n$4\r\n{c}1\r\n$4\r\n{c}2\r\n";
    exchange(&mut c, "CLUSTER GETKEYSINSLOT 7365 10\r\n", slot).await;
    let info = text(&mut c, "INFO keyspace\r\n").await;
    assert!(info.contains("db0:keys=6,"), "{info}");
    let top = json(&mut c, "KS.TOP BYTES 10").await;
    assert_eq!(top["top"].as_array().map(Vec::len), Some(6));
    assert_eq!(top["top"][0]["bytes"], 60);
    let slots = json(&mut c, "KS.SLOTS").await;
    assert_eq!(slots["total"]["keys"], 6);
    assert_eq!(slots["total"]["keys_twice"], 1);
    assert_eq!(slots["strays"][0]["kind"], "double");
    assert_eq!(slots["strays"][0]["owner"], "10.0.1.2:7002");
    let summary = json(&mut c, "KS.SUMMARY").await;
    assert_eq!(summary["total"]["keys"], 6);
    assert_eq!(summary["total"]["bytes"], 210);
    assert!(
        summary["notes"][0]
            .as_str()
            .expect("a note")
            .starts_with("1 keys stand in slots")
    );
    let note = |report: &serde_json::Value, says: &str| {
        let notes = report["notes"].to_string();
        assert!(notes.contains(says), "{says}: {notes}");
    };
    note(&summary, "1 of them are there twice and counted once");
    for report in ["KS.PATTERNS", "KS.TTL"] {
        let report = json(&mut c, report).await;
        note(&report, "1 of them are there twice and counted on both");
    }
    // Looked at alone, a master has what it has.
    exchange(
        &mut c,
        "KS.TARGET 10.0.1.1:7001\r\nDBSIZE\r\n",
        "+OK\r\n:3\r\n",
    )
    .await;
    exchange(&mut c, "MEMORY USAGE {c}1\r\n", ":777\r\n").await;
}

/// MIGRATE moves key by key: a part of the slot is on each side.
#[tokio::test]
async fn keys_of_a_slot_that_is_imported_are_counted_on_both_sides() {
    let [mut a, b, c] = spread();
    a.extend(keys(&[("{c}3", 777)]));
    let extra = format!(" [7365-<-{}]", "b".repeat(40));
    let (_rig, mut c) = cluster(&extra, [a, b, c]).await;
    exchange(
        &mut c,
        "DBSIZE\r\nCLUSTER COUNTKEYSINSLOT 7365\r\n",
        ":7\r\n:3\r\n",
    )
    .await;
    // Its owner does not have it (any more).
    exchange(&mut c, "MEMORY USAGE {c}3\r\n", ":777\r\n").await;
    let slots = json(&mut c, "KS.SLOTS BY KEYS LIMIT 5").await;
    assert_eq!(slots["strays"][0]["kind"], "importing");
    assert_eq!(slots["slots"][0]["keys"], 2);
    assert_eq!(slots["total"]["slots_with_keys"], 3);
    let target = format!("KS.TARGET {}\r\n", "a".repeat(40));
    exchange(&mut c, &target, "+OK\r\n").await;
    let nodes = text(&mut c, "CLUSTER NODES\r\n").await;
    assert!(
        nodes.contains(&format!("myself,master - 0 0 1 connected 0-5460{extra}\n")),
        "{nodes}"
    );
}

#[tokio::test]
async fn orphans_are_reported_where_they_are() {
    let [a, _, c] = spread();
    // Nobody but the third has keys of slot 7365, which is the second's.
    let third: Keys = c.into_iter().chain(keys(&[("{c}8", 5)])).collect();
    let (_rig, mut c) = cluster("", [a, Keys::new(), third]).await;
    exchange(&mut c, "DBSIZE\r\nTYPE {c}8\r\n", ":5\r\n+string\r\n").await;
    let slots = json(&mut c, "KS.SLOTS").await;
    assert_eq!(slots["strays"][0]["kind"], "orphan");
    assert_eq!(slots["masters"][2]["stray_keys"], 1);
    let nodes = json(&mut c, "KS.NODES").await;
    let third = nodes["nodes"].as_array().expect("rows").iter();
    let third: Vec<_> = third.filter(|row| row["node"] == "10.0.1.3:7003").collect();
    assert_eq!(third[0]["stray_keys"], 1);
}

/// A move that was given up: the slot has other keys on its owner.
#[tokio::test]
async fn other_keys_of_a_slot_of_the_owner_are_orphans_and_counted() {
    let [mut a, b, c] = spread();
    a.extend(keys(&[("{c}1", 777), ("{c}8", 100), ("{c}9", 100)]));
    let (_rig, mut c) = cluster("", [a, b, c]).await;
    exchange(&mut c, "DBSIZE\r\n", ":8\r\n").await;
    let slots = json(&mut c, "KS.SLOTS").await;
    assert_eq!(slots["strays"][0]["keys"], 3);
    assert_eq!(slots["total"]["keys_twice"], 1);
    exchange(&mut c, "CLUSTER COUNTKEYSINSLOT 7365\r\n", ":4\r\n").await;
}

#[tokio::test]
async fn every_node_is_shown_followed_or_not() {
    let (_rig, mut c) = cluster("", spread()).await;
    let nodes = json(&mut c, "KS.NODES").await;
    let rows = nodes["nodes"].as_array().expect("rows");
    assert_eq!(rows.len(), 4);
    let row = |node: &str| rows.iter().find(|row| row["node"] == node).expect(node);
    let failed = row("10.0.1.4:7004");
    for (field, value) in [
        ("role", "replica"),
        ("health", "failed"),
        ("standing", "failed"),
        ("why_not", "failed"),
        ("last_error", "connection refused"),
        ("master", "10.0.1.1:7001"),
    ] {
        assert_eq!(failed[field], value, "{field}");
    }
    assert_eq!(failed["reachable"], false);
    assert_eq!(failed["replid"], serde_json::Value::Null);
    let second = row("10.0.1.2:7002");
    assert_eq!(second["standing"], "followed");
    assert_eq!(second["offset"], 1001);
    assert_eq!(second["slots"], 5462);
    assert_eq!(nodes["deployments"][0]["slots_covered"], 16384);
    let info = text(&mut c, "INFO deployments\r\n").await;
    for part in [
        "label=prod,kind=cluster,masters=3,",
        "nodes=4,nodes_followed=3,",
        "nodes_failed=1",
    ] {
        assert!(info.contains(part), "{part} in {info}");
    }
}

#[tokio::test]
async fn targets_are_chosen_by_any_name_and_per_connection() {
    let (rig, mut c) = cluster("", spread()).await;
    let shard = "b".repeat(40);
    for name in ["10.0.1.2:7002", &shard] {
        exchange(
            &mut c,
            &format!("KS.TARGET {name}\r\nDBSIZE\r\n"),
            "+OK\r\n:2\r\n",
        )
        .await;
    }
    exchange(&mut c, "KS.TARGET\r\n", "$13\r\n10.0.1.2:7002\r\n").await;
    exchange(&mut c, "TYPE {a}1\r\nTYPE {c}1\r\n", "+none\r\n+string\r\n").await;
    exchange(&mut c, "CLUSTER MYID\r\n", &format!("$40\r\n{shard}\r\n")).await;
    // The failed replica names its shard; the label names the deployment.
    exchange(
        &mut c,
        "KS.TARGET 10.0.1.4:7004\r\nTYPE {b}1\r\n",
        "+OK\r\n+string\r\n",
    )
    .await;
    exchange(&mut c, "KS.TARGET prod\r\nDBSIZE\r\n", "+OK\r\n:6\r\n").await;
    let error = "-ERR no master, node or deployment '10.0.1.9:7001'; the nearest are 10.0.1.1:7001";
    exchange(&mut c, "KS.TARGET 10.0.1.9:7001\r\n", error).await;
    // In one read: what was asked before is answered as before.
    let mut d = TcpStream::connect(rig.address).await.expect("accepted");
    exchange(
        &mut d,
        "TYPE {a}1\r\nKS.TARGET 10.0.1.1:7001\r\nTYPE {a}1\r\nRESET\r\nDBSIZE\r\n",
        "+string\r\n+OK\r\n+none\r\n+RESET\r\n:6\r\n",
    )
    .await;
}

#[tokio::test]
async fn a_part_is_never_taken_for_the_whole() {
    let mut build = Build::new();
    let (now, later) = (Generation::Current, Generation::Loading);
    build.cluster_in([now, later, now], "", spread());
    let (_rig, mut c) = build.serve().await;
    let loading = "-LOADING a part of the keyspace is not loaded yet: 10.0.1.2:7002 is synced; \
                   KS.TARGET chooses a master that is\r\n";
    for whole in [
        "DBSIZE",
        "SCAN 0",
        "KEYS *",
        "RANDOMKEY",
        "CLUSTER COUNTKEYSINSLOT 1",
    ] {
        exchange(&mut c, &format!("{whole}\r\n"), loading).await;
    }
    let own = "-LOADING the model of 10.0.1.2:7002 is not loaded yet: synced\r\n";
    exchange(&mut c, "TYPE {a}1\r\nTYPE {a}9\r\n", "+string\r\n+none\r\n").await;
    exchange(
        &mut c,
        "TYPE {c}1\r\nEXISTS {a}1 {c}1\r\n",
        &format!("{own}{own}"),
    )
    .await;
    exchange(&mut c, "XINFO STREAM {c}1\r\n", own).await;
    exchange(
        &mut c,
        "KS.TARGET 10.0.1.3:7003\r\nDBSIZE\r\n",
        "+OK\r\n:2\r\n",
    )
    .await;
    exchange(&mut c, "KS.TARGET ALL\r\n", "+OK\r\n").await;
    let summary = json(&mut c, "KS.SUMMARY").await;
    let note = summary["notes"][0].as_str().expect("a note");
    assert!(note.contains("10.0.1.2:7002"), "{note}");
}

/// One that says nothing yet does not make the others uneven.
#[tokio::test]
async fn masters_without_an_answer_are_not_in_the_mean() {
    let even = [
        keys(&[("{b}1", 10)]),
        keys(&[("{c}1", 10)]),
        keys(&[("{a}1", 10)]),
    ];
    let mut build = Build::new();
    let (now, later) = (Generation::Current, Generation::Loading);
    build.cluster_in([now, later, now], "", even);
    let (_rig, mut c) = build.serve().await;
    let slots = json(&mut c, "KS.SLOTS").await;
    let skew = &slots["largest_by_mean"][0];
    assert_eq!((&skew["bytes"], &skew["keys"]), (&1.0.into(), &1.0.into()));
}

#[tokio::test]
async fn a_shard_that_nobody_follows_yet_is_missing_too() {
    let mut build = Build::new();
    build.cluster("", spread());
    let second = build.fleet.named("10.0.1.2:7002").expect("there").id;
    let mut view = (*build.fleet.deployments()[0].view()).clone();
    build.fleet.remove(second);
    view.not_followed.push(NotFollowed {
        node: "b".repeat(40).parse_id(),
        addr: None,
        why: "unreachable".to_owned(),
    });
    build.posts[0]
        .view
        .send(Arc::new(view.clone()))
        .expect("looked at");
    let (_rig, mut c) = build.serve().await;
    exchange(
        &mut c,
        "DBSIZE\r\n",
        "-LOADING a part of the keyspace is not loaded yet: 10.0.1.2:7002 is not followed; ",
    )
    .await;
    // Another instance has it: what is here is all that is to be here.
    view.not_followed.pop();
    view.unowned = 1;
    build.posts[0].view.send(Arc::new(view)).expect("looked at");
    let (_rig, mut c) = build.serve().await;
    exchange(&mut c, "DBSIZE\r\n", ":4\r\n").await;
    exchange(
        &mut c,
        "TYPE {c}1\r\n",
        "-TRYAGAIN slot 7365 is on 10.0.1.2:7002, which is not followed here\r\n",
    )
    .await;
    // The plan would take the one that is not known for one that is empty.
    exchange(
        &mut c,
        "KS.REBALANCE\r\n",
        "-ERR 1 masters of prod are followed by other instances, and what they have is not known \
         here; ask an instance that follows the whole cluster\r\n",
    )
    .await;
    let nodes = json(&mut c, "KS.NODES").await;
    let rows = nodes["nodes"].as_array().expect("rows").iter();
    let unowned: Vec<_> = rows.filter(|row| row["standing"] == "unowned").collect();
    assert_eq!(unowned.len(), 1);
}

#[tokio::test]
async fn before_the_first_map_there_is_nothing_to_answer_from() {
    let mut build = Build::new();
    let seed = |port: u16, reach| Seed {
        addr: Addr::new("10.0.1.1", u64::from(port)).expect("an address"),
        reach,
    };
    let view = View {
        seeds: vec![
            seed(1, Reach::Failed("timed out".to_owned())),
            seed(2, Reach::Unknown),
        ],
        last_error: "nobody answered".to_owned(),
        ..View::default()
    };
    build.deploy("prod", DeploymentKind::Cluster, view);
    let (_rig, mut c) = build.serve().await;
    let why = ("prod".to_owned(), "not discovered yet".to_owned());
    assert_eq!(crate::http::not_synced(&build.fleet), [why]);
    let nothing = "-LOADING Keyscape has loaded nothing yet: prod is not discovered yet\r\n";
    exchange(
        &mut c,
        "TYPE a\r\nDBSIZE\r\n",
        &format!("{nothing}{nothing}"),
    )
    .await;
    exchange(
        &mut c,
        "CLUSTER NODES\r\n",
        "-CLUSTERDOWN the cluster has no map yet\r\n",
    )
    .await;
    let nodes = json(&mut c, "KS.NODES").await;
    assert_eq!(nodes["nodes"][0]["last_error"], "timed out");
    assert_eq!(nodes["deployments"][0]["last_error"], "nobody answered");
}

#[tokio::test]
async fn the_map_is_told_in_the_forms_of_the_servers() {
    let (_rig, mut c) = cluster("", spread()).await;
    let told = text(&mut c, "CLUSTER NODES\r\n").await;
    assert!(!told.contains("myself"), "{told}");
    let again = Topology::of_cluster(&[report(&told)], None);
    assert_eq!(again.groups(), topology("").groups());
    let [a, b] = ["a", "b"].map(|digit| digit.repeat(40));
    // Failed replicas are not offered to clients.
    let first = format!(
        "*3\r\n*3\r\n:0\r\n:5460\r\n*4\r\n$8\r\n10.0.1.1\r\n:7001\r\n$40\r\n{a}\r\n*0\r\n\
         *3\r\n:5461\r\n:10922\r\n*4\r\n$8\r\n10.0.1.2\r\n:7002\r\n$40\r\n{b}\r\n*0\r\n"
    );
    exchange(&mut c, "CLUSTER SLOTS\r\n", &first).await;
    let (_rig, mut c) = cluster("", spread()).await;
    exchange(&mut c, "HELLO 3\r\n", "%7").await;
    let (_rig, mut c) = cluster("", spread()).await;
    let shards = format!(
        "*3\r\n*6\r\n$5\r\nslots\r\n*2\r\n:0\r\n:5460\r\n$5\r\nnodes\r\n*2\r\n*14\r\n$2\r\nid\r\n\
         $40\r\n{a}\r\n$4\r\nport\r\n:7001\r\n$2\r\nip\r\n$8\r\n10.0.1.1\r\n$8\r\nendpoint\r\n\
         $8\r\n10.0.1.1\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
    );
    exchange(&mut c, "CLUSTER SHARDS\r\n", &shards).await;
    let (_rig, mut c) = cluster("", spread()).await;
    let info = text(&mut c, "CLUSTER INFO\r\n").await;
    assert!(info.starts_with("cluster_enabled:0\r\n"), "{info}");
    assert!(
        !info.lines().any(|line| line.starts_with("cluster_state:")),
        "{info}"
    );
    assert!(info.contains("\r\ncluster_slots_ok:16384\r\n"), "{info}");
    assert!(
        info.contains("\r\ncluster_known_nodes:4\r\ncluster_size:3\r\n"),
        "{info}"
    );
    exchange(
        &mut c,
        "CLUSTER MYID\r\n",
        &format!("$40\r\n{}\r\n", "e".repeat(40)),
    )
    .await;
    exchange(
        &mut c,
        "CLUSTER COUNTKEYSINSLOT 16384\r\n",
        "-ERR Invalid slot\r\n",
    )
    .await;
    let bad = "-ERR Invalid slot or number of keys\r\n";
    exchange(&mut c, "CLUSTER GETKEYSINSLOT 1 -1\r\n", bad).await;
    exchange(
        &mut c,
        "CLUSTER GETKEYSINSLOT 15495 1\r\n",
        "*1\r\n$4\r\n{a}1\r\n",
    )
    .await;
    exchange(
        &mut c,
        "CLUSTER MEET a 1\r\n",
        "-ERR This instance has cluster support disabled\r\n",
    )
    .await;
}

#[tokio::test]
async fn several_clusters_are_told_apart() {
    let mut build = Build::new();
    build.cluster("", spread());
    let view = View {
        topology: Some(Arc::new(topology(""))),
        unowned: 2,
        ..View::default()
    };
    let source = build.deploy("test", DeploymentKind::Cluster, view);
    let group = topology("").groups()[0].clone();
    let place = Place {
        group: group.id.clone(),
        slots: Slots::all(),
        nodes: group.nodes,
        ..Place::of(&Addr::new("10.0.5.1", 7001).expect("an address"))
    };
    build.master(
        (source, "test", &group.id),
        place,
        keys(&[("{a}1", 1), ("{a}2", 2)]),
    );
    let (_rig, mut c) = build.serve().await;
    exchange(&mut c, "DBSIZE\r\nMEMORY USAGE {a}1\r\n", ":8\r\n:50\r\n").await;
    let top = json(&mut c, "KS.TOP BYTES 10").await;
    assert_eq!(top["top"].as_array().map(Vec::len), Some(8));
    let several = "-ERR several clusters are followed; KS.TARGET chooses one\r\n";
    exchange(&mut c, "CLUSTER INFO\r\n", several).await;
    exchange(
        &mut c,
        "KS.TARGET test\r\nMEMORY USAGE {a}1\r\n",
        "+OK\r\n:1\r\n",
    )
    .await;
    exchange(&mut c, "CLUSTER COUNTKEYSINSLOT 15495\r\n", ":2\r\n").await;
}

#[tokio::test]
async fn metrics_name_cluster_shard_and_master() {
    let mut build = Build::new();
    let [mut a, b, c] = spread();
    a.extend(keys(&[("{c}1", 777)]));
    build.cluster("", [a, b, c]);
    let body = crate::metrics::scrape(&build.fleet, &config::Http::default()).await;
    let body = body.expect("a scrape");
    let first = format!(
        "master=\"10.0.1.1:7001\",cluster=\"prod\",shard=\"{}\"",
        "a".repeat(40)
    );
    for line in [
        format!("keyscape_synced{{{first}}} 1"),
        format!("keyscape_link_state{{{first},state=\"synced\"}} 1"),
        format!("keyscape_db_keys{{{first},db=\"0\"}} 3"),
        format!("keyscape_stray_keys{{{first}}} 1"),
        format!("keyscape_slot_keys{{{first},slot=\"7365\"}} 1"),
        format!("keyscape_slot_memory_bytes{{{first},slot=\"7365\"}} 777"),
        "keyscape_unowned_masters{cluster=\"prod\"} 0".to_owned(),
        "keyscape_slots_covered{cluster=\"prod\"} 16384".to_owned(),
        "keyscape_nodes{cluster=\"prod\",state=\"followed\"} 3".to_owned(),
        "keyscape_nodes{cluster=\"prod\",state=\"failed\"} 1".to_owned(),
        "keyscape_node_reachable{cluster=\"prod\",node=\"10.0.1.4:7004\",role=\"replica\"} 0"
            .to_owned(),
    ] {
        assert!(body.contains(&format!("\n{line}\n")), "{line} in {body}");
    }
}

/// Two nodes claim the same slots, and a third says that it is where we are told the first is.
#[tokio::test]
async fn what_is_wrong_with_a_map_is_told_in_words() {
    let mut build = Build::new();
    build.cluster("", spread());
    let [a, b] = ["a", "b"].map(|digit| digit.repeat(40));
    let text = format!(
        "{a} 10.0.1.1:7001@17001 myself,master - 0 0 1 connected 0-16383\n\
         {b} 10.0.1.1:7001@17002 master - 0 0 2 connected 5461-10922\n"
    );
    let view = View {
        topology: Some(Arc::new(Topology::of_cluster(&[report(&text)], None))),
        last_error: "10.0.1.3:7003: WRONGPASS".to_owned(),
        ..View::default()
    };
    build.posts[0].view.send(Arc::new(view)).expect("looked at");
    let (_rig, mut c) = build.serve().await;
    let nodes = json(&mut c, "KS.NODES").await;
    let notes: Vec<&str> = nodes["notes"]
        .as_array()
        .expect("notes")
        .iter()
        .filter_map(|n| n.as_str())
        .collect();
    let told = |words: &str| {
        notes
            .iter()
            .any(|note| note.starts_with("prod: ") && note.contains(words))
    };
    assert!(told("are claimed by"), "{notes:?}");
    assert!(told("both say that they are 10.0.1.1:7001"), "{notes:?}");
    assert_eq!(
        nodes["deployments"][0]["last_error"],
        "10.0.1.3:7003: WRONGPASS"
    );
    // The third master is followed on, though the map has lost it.
    let rows = nodes["nodes"].as_array().expect("rows").iter();
    let lost: Vec<_> = rows
        .filter(|row| row["why_not"] == "it is not in the map any more")
        .collect();
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0]["master"], "10.0.1.3:7003");
    let info = super::text(&mut c, "INFO deployments\r\n").await;
    assert!(
        info.contains("last_error=10.0.1.3:7003: WRONGPASS"),
        "{info}"
    );
}
