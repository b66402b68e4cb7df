//! Deployments that are wrong in themselves: each trouble has a name in KS.NODES, in the log and in
//! the metrics, and what is not in trouble is followed on.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use integration::app::App;
use integration::cluster::AGREEMENT;
use integration::cluster::campaign::CONFIG;
use integration::fake_fleet::FakeFleet;
use integration::resp::Client;
use integration::seed::Rng;
use integration::wait;

use crate::clusters::{expect_equal, follow, masters, with_data};
use crate::scene::{PATIENCE, expect_told, nodes, wait_synced};

/// Looks at the map often.
const EAGER: &str = "[discovery]\npoll_ms = 200\n[link]\nretry_min_ms = 20\nretry_max_ms = 200\n";

fn fakes() -> (FakeFleet, App) {
    let fleet = FakeFleet::start(4, 50).expect("the fakes start");
    let app = App::start(&[fleet.url()], EAGER).expect("keyscape starts");
    (fleet, app)
}

#[test]
fn a_node_with_another_password_stops_nobody_else() {
    let (mut cluster, _writer) = with_data("redis-7.0");
    let locked = masters(&mut cluster)[0];
    let mut control = Client::connect(locked).expect("connect");
    let words = ["ACL", "SETUSER", "default", "resetpass", ">other"];
    control.ask(&words).expect("ACL SETUSER");
    let app = App::start(&[cluster.url()], CONFIG).expect("keyscape starts");
    wait_synced(&app, 2);
    expect_told(&app, &locked.to_string(), "noauth");
    // The word comes from a look at the map, which may be ahead of the link.
    let mut drops = BTreeMap::new();
    wait::for_true(PATIENCE, "the refusal in both", || {
        drops = app.series("keyscape_link_drops_total")?;
        let denied = drops.iter().filter(|(labels, count)| {
            labels.contains(&locked.to_string()) && labels.contains("denied") && **count > 0
        });
        Ok(denied.count() == 1 && app.log().contains("NOAUTH"))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{drops:?}\n{}", app.log_tail()));
}

#[test]
fn a_cluster_that_went_down_is_told_and_followed_again() {
    let (mut cluster, _writer) = with_data("redis-7.0");
    let app = follow(&cluster, CONFIG);
    for node in &mut cluster.nodes {
        node.save().expect("SAVE");
    }
    for node in &mut cluster.nodes {
        node.kill().expect("it ends");
    }
    for node in &cluster.nodes {
        expect_told(&app, &node.addr.to_string(), "unreachable");
    }
    let reachable = app.series("keyscape_node_reachable").expect("metrics");
    assert!(reachable.values().all(|is| *is == 0), "{reachable:?}");
    assert!(!app.status().expect("status").synced);
    // What was known is still told.
    let size = app.client().expect("connect").ask(&["DBSIZE"]);
    assert!(size.expect("DBSIZE").int() > Some(1_000));
    for node in &mut cluster.nodes {
        node.start_again().expect("it comes back");
    }
    cluster.wait_agreed(AGREEMENT).expect("they agree");
    wait_synced(&app, 3);
    expect_equal(&mut cluster, &app);
}

#[test]
fn a_map_that_flaps_moves_nothing() {
    let (fleet, app) = fakes();
    wait_synced(&app, 4);
    let mut whole = Vec::new();
    fleet.say(|lines| whole = lines.to_vec());
    // Some rounds, and until what two nodes claim was seen at one of them.
    let mut turn = 0;
    let mut rng = Rng::new(9);
    let flapped = wait::for_true(PATIENCE, "the same slots twice", || {
        turn += 1;
        fleet.say(|lines| {
            lines.clone_from_slice(&whole);
            match turn % 4 {
                // One is gone, one has failed, two claim the same slots.
                1 => lines[3].clear(),
                2 => lines[2] = lines[2].replace(" master ", " master,fail "),
                3 => lines[1] = whole[1].trim_end().to_owned() + " 0-9\n",
                _ => {}
            }
        });
        // Not in step with the looks, which might meet the same turn each time.
        thread::sleep(Duration::from_millis(80 + rng.below(121)));
        Ok(turn >= 40 && app.log().contains("slots_twice"))
    });
    flapped.unwrap_or_else(|error| panic!("{error:#}\n{}", app.log()));
    fleet.say(|lines| lines.clone_from_slice(&whole));
    wait_synced(&app, 4);
    let status = app.status().expect("status");
    assert_eq!(status.full_syncs, 4, "{}\n{}", status.text, app.log());
    assert!(!app.log().contains("no longer followed"), "{}", app.log());
}

#[test]
fn two_nodes_of_one_id_are_told() {
    let (fleet, app) = fakes();
    fleet.say(|lines| {
        let id = lines[0].split(' ').next().expect("an id").to_owned();
        let rest = lines[1].split_once(' ').expect("words").1.to_owned();
        lines[1] = format!("{id} {rest}");
    });
    let app = {
        drop(app);
        App::start(&[fleet.url()], EAGER).expect("keyscape starts")
    };
    // The first of the two is taken, and those that are who they say.
    wait_synced(&app, 3);
    wait::for_true(PATIENCE, "a word about it", || {
        Ok(nodes(&app).contains("is there twice") && app.log().contains("duplicate_node"))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}\n{}", nodes(&app), app.log_tail()));
    assert!(app.metric("keyscape_map_complaints").expect("metrics") > 0);
}

#[test]
fn a_cluster_is_followed_over_ipv6() {
    let (mut cluster, _writer) = with_data("redis-7.0");
    let bound = std::net::TcpListener::bind("[::1]:0");
    drop(bound.expect("this machine has ::1 on its loopback"));
    for node in &cluster.nodes {
        let mut client = node.client().expect("connect");
        let both = ["CONFIG", "SET", "bind", "127.0.0.1 ::1"];
        client.ask(&both).expect("CONFIG SET bind");
        let told = ["CONFIG", "SET", "cluster-announce-ip", "::1"];
        client.ask(&told).expect("CONFIG SET cluster-announce-ip");
    }
    let seed = format!("[::1]:{}", cluster.nodes[0].addr.port());
    let app = App::start(&[format!("redis-cluster://{seed}")], CONFIG).expect("keyscape starts");
    wait::for_true(PATIENCE, "three masters at ::1 to be synced", || {
        let followed = app.followed()?.into_iter();
        let synced = followed.filter(|f| f.state == "synced" && f.name.starts_with("[::1]:"));
        Ok(synced.count() == 3)
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}\n{}", nodes(&app), app.log_tail()));
    let mut theirs = 0;
    for addr in cluster.running() {
        let mut client = Client::connect(addr).expect("connect");
        let role = client.info("replication", "role").expect("INFO");
        let size = client.ask(&["DBSIZE"]).expect("DBSIZE").int();
        theirs += size.filter(|_| role == "master").unwrap_or(0);
    }
    let mut ours = app.client().expect("connect");
    assert!(theirs > 1_000);
    wait::for_true(PATIENCE, "every key", || {
        Ok(ours
            .ask(&["DBSIZE"])?
            .int()
            .is_some_and(|size| size.abs_diff(theirs) < 50))
    })
    .expect("every key");
}

#[test]
fn a_hostname_that_stops_resolving_is_told() {
    let (mut cluster, _writer) = with_data("redis-7.0");
    let app = follow(&cluster, CONFIG);
    let lost = masters(&mut cluster)[0];
    let mut client = Client::connect(lost).expect("connect");
    let name = ["CONFIG", "SET", "cluster-announce-hostname", "gone.invalid"];
    client.ask(&name).expect("CONFIG SET");
    for node in &cluster.nodes {
        let mut client = node.client().expect("connect");
        let kind = [
            "CONFIG",
            "SET",
            "cluster-preferred-endpoint-type",
            "hostname",
        ];
        client.ask(&kind).expect("CONFIG SET");
    }
    // A node without a name is known by its address still; the link of the other may hold on.
    expect_told(&app, "gone.invalid", "gone.invalid");
    let port = lost.port().to_string();
    client
        .ask(&["CLIENT", "KILL", "TYPE", "replica"])
        .expect("CLIENT KILL");
    wait::for_true(PATIENCE, "the name to be told as what fails", || {
        let followed = app.followed()?;
        let others = followed.iter().filter(|f| !f.name.ends_with(&port));
        let well = others.filter(|f| f.state == "synced").count();
        let text = nodes(&app).to_lowercase();
        let mut lines = text.lines().filter(|line| line.contains("gone.invalid"));
        Ok(well >= 2 && lines.any(|line| line.contains("resol") || line.contains("lookup")))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}\n{}", nodes(&app), app.log_tail()));
}
