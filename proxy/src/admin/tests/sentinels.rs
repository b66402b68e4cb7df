//! Masters of Sentinel beside a plain one, and what each Sentinel hears.

use std::sync::Arc;

use cluster_map::Topology;
use cluster_map::node::Addr;

use super::deployed::{Build, json, keys};
use super::*;
use crate::fleet::{Kind as DeploymentKind, Place, Reach, Seed, View};

/// A Sentinel that watches `one` and another that watches `two`, and a plain server.
fn sentinels() -> Build {
    let mut build = Build::new();
    let at = |host: &str| Place::of(&Addr::new(host, 6379).expect("an address"));
    let source = build.deploy("s", DeploymentKind::Sentinel, View::default());
    let (one, two) = (keys(&[("k", 10)]), keys(&[("k", 20), ("l", 5)]));
    let groups = [("one", "10.0.2.1", one), ("two", "10.0.2.2", two)];
    for (name, host, keys) in groups {
        let place = Place {
            group: name.into(),
            ..at(host)
        };
        build.master((source, "s", name), place, keys);
    }
    let plain = build.deploy("", DeploymentKind::Standalone, View::default());
    build.master(
        (plain, "", "10.0.3.1:6379"),
        at("10.0.3.1"),
        keys(&[("k", 30)]),
    );
    let groups = ["10.0.2.1:6379", "10.0.2.2:6379"];
    let addrs = groups.map(|addr| addr.parse().expect("an address"));
    let view = View {
        topology: Some(Arc::new(Topology::plain(&addrs))),
        seeds: vec![Seed {
            addr: "10.0.9.1:26379".parse().expect("an address"),
            reach: Reach::Answered,
        }],
        ..View::default()
    };
    build.posts[0].view.send(Arc::new(view)).expect("looked at");
    build
}

#[tokio::test]
async fn masters_without_slots_may_each_have_a_key_of_a_name() {
    let build = sentinels();
    let (_rig, mut c) = build.serve().await;
    // The first answers, a scan names it once, all are counted.
    exchange(&mut c, "MEMORY USAGE k\r\nDBSIZE\r\n", ":10\r\n:4\r\n").await;
    exchange(
        &mut c,
        "SCAN 0\r\n",
        "*2\r\n$1\r\n0\r\n*2\r\n$1\r\nk\r\n$1\r\nl\r\n",
    )
    .await;
    exchange(
        &mut c,
        "KS.TARGET two\r\nMEMORY USAGE k\r\n",
        "+OK\r\n:20\r\n",
    )
    .await;
    exchange(&mut c, "KS.TARGET s\r\nDBSIZE\r\n", "+OK\r\n:3\r\n").await;
    exchange(
        &mut c,
        "KS.TARGET 10.0.3.1:6379\r\nMEMORY USAGE k\r\n",
        "+OK\r\n:30\r\n",
    )
    .await;
    exchange(
        &mut c,
        "CLUSTER SLOTS\r\n",
        "-ERR This instance has cluster support disabled\r\n",
    )
    .await;
    exchange(&mut c, "KS.TARGET ALL\r\n", "+OK\r\n").await;
    let top = json(&mut c, "KS.TOP BYTES 9").await;
    assert_eq!(top["top"].as_array().map(Vec::len), Some(4));
    let nodes = json(&mut c, "KS.NODES").await;
    let asked = nodes["nodes"].as_array().expect("rows").iter();
    let asked: Vec<_> = asked.filter(|row| row["standing"] == "asked").collect();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["node"], "10.0.9.1:26379");
    // Nothing keeps a plain keyspace from being asked what slots it would have.
    let slots = json(&mut c, "KS.SLOTS LIMIT 1").await;
    assert_eq!(slots["total"]["keys"], 4);
    assert_eq!(slots["slots"].as_array().map(Vec::len), Some(1));
}

async fn replicates(c: &mut TcpStream, host: &str) {
    let info = text(c, "INFO replication\r\n").await;
    let expect = format!(
        "role:slave\r\nmaster_host:{host}\r\nmaster_port:6379\r\nmaster_link_status:up\r\n"
    );
    assert!(info.contains(&expect), "{expect} in {info}");
    assert!(info.contains("slave_priority:0\r\n") && info.contains("replica_announced:0\r\n"));
}

#[tokio::test]
async fn each_sentinel_hears_of_the_master_that_it_names() {
    let build = sentinels();
    let (rig, mut people) = build.serve().await;
    let mut one = TcpStream::connect(rig.address).await.expect("accepted");
    let mut two = TcpStream::connect(rig.address).await.expect("accepted");
    let hello = |name: &str, host: &str| {
        format!(
            "PUBLISH __sentinel__:hello 10.9.9.9,26379,{},1,{name},{host},6379,1\r\n",
            "f".repeat(40)
        )
    };
    replicates(&mut two, "10.0.2.1").await;
    exchange(&mut one, &hello("one", "10.0.2.1"), ":0\r\n").await;
    exchange(&mut two, &hello("two", "10.0.2.2"), ":0\r\n").await;
    replicates(&mut one, "10.0.2.1").await;
    replicates(&mut two, "10.0.2.2").await;
    let offset = text(&mut two, "INFO replication\r\n").await;
    assert!(offset.contains("slave_repl_offset:1001\r\n"), "{offset}");
    // A failover of the second is no business of the first.
    exchange(
        &mut two,
        "MULTI\r\nSLAVEOF 10.0.2.7 6379\r\nEXEC\r\n",
        "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n",
    )
    .await;
    replicates(&mut two, "10.0.2.7").await;
    replicates(&mut one, "10.0.2.1").await;
    replicates(&mut people, "10.0.2.1").await;
    exchange(&mut people, "KS.TARGET two\r\n", "+OK\r\n").await;
    replicates(&mut people, "10.0.2.7").await;
    exchange(
        &mut two,
        "ROLE\r\n",
        "*5\r\n$5\r\nslave\r\n$8\r\n10.0.2.7\r\n:6379\r\n$9\r\nconnected\r\n:1001\r\n",
    )
    .await;
    // The Sentinel says itself where the master is in the end; other messages say nothing.
    exchange(&mut two, &hello("two", "10.0.2.8"), ":0\r\n").await;
    exchange(
        &mut two,
        "PUBLISH __sentinel__:hello nonsense\r\nPUBLISH x y\r\n",
        ":0\r\n:0\r\n",
    )
    .await;
    replicates(&mut two, "10.0.2.8").await;
}
