//! Section 5: slots and shards.

use integration::app::App;
use integration::cluster::{Cluster, Shape};
use integration::servers;
use integration::wait::{self, PATIENCE};
use serde_json::Value;

use super::SERVERS;
use super::ward::{follow, holds, holds_after, quiet};

/// Values of a megabyte on one master: the tag's slot decides which.
fn fill(cluster: &Cluster, tag: &str) {
    let (mut client, value) = (cluster.client(), "x".repeat(1 << 20));
    for n in 0..4 {
        let written = client.write(&["SET", &format!("{{{tag}}}:{n}"), &value]);
        written.expect("a node that takes it");
    }
}

/// And none of them any more.
fn drop_keys(cluster: &Cluster, tag: &str) {
    let mut client = cluster.client();
    for n in 0..4 {
        let reply = client.write(&["DEL", &format!("{{{tag}}}:{n}")]);
        let dropped = reply.expect("a node that takes it").int();
        // One that is sent again may find the work done.
        assert!(dropped == Some(1) || client.ways.again > 0, "{dropped:?}");
    }
}

/// The keys that are too large to move come to be as bad as that.
fn graded(app: &App, name: &str, severity: &str) {
    let is_so = || Ok(holds(app, "CLU-04")["severity"] == severity);
    wait::for_true(PATIENCE, severity, is_so).unwrap_or_else(|error| panic!("{name}: {error:#}"));
}

/// Many writes to one slot.
fn write(cluster: &Cluster) {
    let mut client = cluster.nodes[2].client().expect("a connection");
    for _ in 0..20_000 {
        client.push(&["INCR", "{a}:n"]);
    }
    client.flush().expect("a connection");
    for _ in 0..20_000 {
        client.read().expect("a number");
    }
}

#[test]
fn shards_that_are_uneven_few_or_gone() {
    const TUNED: &str = "[advice.limits.CLU-06]\nmasters = 4\n\
                         [advice.limits.CLU-04]\nbytes = 500000\n\
                         [advice.limits.CLU-02]\nwrites_s = 10\n\
                         [advice.limits.KEY-04]\npercent = 101\nslot_bytes = 500000\n";
    for name in SERVERS {
        let install = servers::get(name).expect("a server");
        let shape = Shape {
            masters: 3,
            replicas: 0,
        };
        let options = [("repl-diskless-sync-delay", "0")];
        let mut cluster = Cluster::start(&install, shape, &options).expect("a cluster");
        let app = follow(&cluster.url(), TUNED);
        // Nodes that have just met do not take writes yet.
        wait::for_true(PATIENCE, "the cluster to be up", || {
            let mut states = cluster.nodes.iter().map(|node| {
                let mut client = node.client()?;
                client.info_of_cluster("cluster_state")
            });
            Ok(states.all(|state| state.is_ok_and(|state| state == "ok")))
        })
        .expect("a cluster");
        quiet(&app, "CLU-01");
        quiet(&app, "CLU-04");
        quiet(&app, "CLU-05");
        quiet(&app, "CLU-02");
        quiet(&app, "CLU-03");
        quiet(&app, "KEY-04");
        holds(&app, "CLU-06");
        // Slots 15495, 3300 and 7365: one of each third.
        fill(&cluster, "a");
        holds(&app, "CLU-01");
        let found = holds(&app, "CLU-04");
        assert_eq!(found["severity"], "medium", "{name}");
        // A quarter of its slot each. The rule holds from the first on, and the stream may be behind.
        let mut found = Value::Null;
        let all = wait::for_true(PATIENCE, "all four keys", || {
            found = holds(&app, "KEY-04");
            Ok(found["keys"] == 4)
        });
        all.unwrap_or_else(|error| panic!("{name}: {error:#}: {found}"));
        assert_eq!(found["severity"], "low", "{name}");
        // Of two such slots on one master, one would have to go.
        fill(&cluster, "d");
        graded(&app, name, "high");
        drop_keys(&cluster, "d");
        graded(&app, name, "medium");
        holds(&app, "CLU-03");
        holds_after(&app, "CLU-02", || write(&cluster));
        fill(&cluster, "b");
        fill(&cluster, "c");
        quiet(&app, "CLU-01");

        let (to, from) = (cluster.id_of(0), cluster.id_of(2));
        let (to, from) = (to.expect("an id"), from.expect("an id"));
        let slot = "15495";
        let ask = |cluster: &Cluster, node: usize, words: &[&str]| {
            let mut client = cluster.nodes[node].client().expect("a connection");
            client.ask(words).expect("an answer");
        };
        ask(
            &cluster,
            0,
            &["CLUSTER", "SETSLOT", slot, "IMPORTING", &from],
        );
        ask(&cluster, 2, &["CLUSTER", "SETSLOT", slot, "MIGRATING", &to]);
        graded(&app, name, "high");

        let usual = follow(&cluster.url(), "");
        quiet(&usual, "CLU-06");
        quiet(&usual, "CLU-04");
        cluster.nodes[1].kill().expect("an end");
        let found = holds(&app, "CLU-05");
        assert_eq!(found["rule"], "CLU-05");
    }
}
