//! Section 4, second half: replicas, backlogs, buffers, and who counts as a replica.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use integration::resp::{Client, Command};
use integration::sentinel::Watched;
use integration::servers;

use super::SERVERS;
use super::ward::{self, Ward};

#[test]
fn replicas_that_are_missing_or_silent() {
    const LIMITS: &str = "[advice.limits.REP-01]\nreplicas = 1\n\
                          [advice.limits.REP-02]\nsilent_s = 4\n";
    for name in SERVERS {
        // One that is silent is not dropped before anybody has looked.
        let mut ward = Ward::start_with(name, &[("repl-timeout", "3600")], LIMITS);
        ward.holds("REP-01");
        ward.quiet("REP-05");
        let mut replica = ward.replica(&[]);
        ward.quiet("REP-01");
        ward.quiet("REP-02");
        replica.stop().expect("a signal");
        ward.holds("REP-02");
        replica.go_on().expect("a signal");
        ward.quiet("REP-02");

        ward.holds("REP-05");
        ward.run(&["CONFIG SET min-replicas-to-write 1"]);
        ward.quiet("REP-05");
        ward.run(&["CONFIG SET min-replicas-to-write 0"]);

        // A plain server has no map that would tell how many there should be.
        let usual = ward::follow(&ward.server.url(), "");
        ward::undecided(&usual, "REP-01", "no map");
        // What we follow is a replica now: its link to its master is what counts.
        let beside = ward::follow(&replica.url(), "[advice.limits.REP-02]\nsilent_s = 3\n");
        ward::quiet(&beside, "REP-02");
        ward.server.stop().expect("a signal");
        ward::holds(&beside, "REP-02");
        ward.server.go_on().expect("a signal");
    }
}

/// Writes so many times ten kilobytes at once.
fn write(ward: &mut Ward, times: usize) {
    let set = ["SET".to_owned(), "k".to_owned(), "x".repeat(10_000)];
    let set: Command = set.map(String::into_bytes).to_vec();
    ward.client.pipeline(&vec![set; times]).expect("replies");
}

#[test]
fn backlogs_and_buffers_that_the_stream_outruns() {
    for name in SERVERS {
        let mut ward = Ward::start(name, "");
        ward.run(&["CONFIG SET repl-backlog-size 1mb"]);
        ward.quiet("REP-03");
        ward.quiet("REP-04");
        // Faster than the small backlog, and slower than the large one.
        ward.holds_after("REP-03", |ward| write(ward, 10));
        ward.run(&["CONFIG SET repl-backlog-size 1gb"]);
        ward.quiet("REP-03");

        let usual = "CONFIG SET client-output-buffer-limit 'replica_256mb_64mb_60";
        ward.run(&["CONFIG SET repl-backlog-size 16kb"]);
        ward.holds_after("REP-04", |ward| {
            // Below such a limit our own link would not live to see the writes.
            ward.run(&[usual]);
            write(ward, 100);
            ward.settle();
            ward.run(&["CONFIG SET client-output-buffer-limit 'replica_300kb_0_0"]);
        });
        ward.run(&[usual]);
        ward.quiet("REP-04");
    }
}

#[test]
fn full_syncs_over_the_disk_and_again_and_again() {
    for name in SERVERS {
        let mut ward = Ward::start(name, "");
        ward.quiet("REP-07");
        ward.run(&["CONFIG SET repl-diskless-sync no"]);
        ward.holds("REP-07");
        ward.run(&["CONFIG SET repl-diskless-sync yes"]);
        ward.quiet("REP-07");

        // Ours does not count.
        ward.quiet("REP-08");
        for _ in 0..3 {
            drop(program(&ward));
        }
        ward.holds("REP-08");
        ward.run(&["CONFIG RESETSTAT"]);
        ward.quiet("REP-08");
    }
}

/// A program that follows the stream, as an old tool does: it copies all, and answers for it.
fn program(ward: &Ward) -> Client {
    let mut client = ward.server.client().expect("a connection");
    client
        .ask(&["REPLCONF", "listening-port", "65536"])
        .expect("REPLCONF");
    client.ask(&["PSYNC", "?", "-1"]).expect("PSYNC");
    client.skip_snapshot().expect("a snapshot");
    client
}

#[test]
fn programs_that_count_as_replicas() {
    for name in SERVERS {
        let mut ward = Ward::start(name, "");
        let mut program = program(&ward);
        ward.quiet("REP-06");
        ward.run(&[
            "CONFIG SET min-replicas-max-lag 3",
            "CONFIG SET min-replicas-to-write 1",
        ]);
        let mut began = Instant::now();
        ward.holds_after("REP-06", |_| {
            began = Instant::now();
            program.push(&["REPLCONF", "ACK", "1"]);
            program.flush().expect("a connection");
        });
        // Neither it nor we answer any more, and then nobody counts.
        ward.quiet("REP-06");
        assert!(began.elapsed() > Duration::from_secs(3), "{name}");
    }
}

#[test]
fn sentinels_that_are_too_few_or_on_one_host() {
    for name in SERVERS {
        let install = servers::get(name).expect("a server");
        let apart = [1, 2, 3].map(|last| Ipv4Addr::new(127, 0, 0, last));
        for (hosts, is_well) in [(apart, true), ([Ipv4Addr::LOCALHOST; 3], false)] {
            let watched = Watched::start_on(&install, hosts).expect("Sentinels");
            let app = ward::follow(&watched.url(), "");
            if is_well {
                ward::quiet(&app, "REP-09");
                ward::quiet(&app, "REP-01");
            } else {
                ward::holds(&app, "REP-09");
            }
        }
    }
}
