//! What is said and when: quiet while a snapshot is prepared, ACKs that never count, and how long
//! silence is borne.

mod link_kit;

use link_kit::{Drive, ID, at, options, words};
use replica_shim::{Announce, Error, Link, Options, Phase, Role, Verdict};

fn synced(options: Options, diskless: bool) -> Drive {
    let mut drive = Drive::new(Link::new(options, 0));
    drive.feed(b"+PONG\r\n").feed(b"+OK\r\n").feed(b"+OK\r\n");
    drive.said();
    drive.feed(format!("+FULLRESYNC {ID} 100\r\n").as_bytes());
    drive
        .wait_until(90_000)
        .feed(b"\n")
        .wait_until(100_000)
        .feed(b"\n");
    let rdb = link_kit::snapshot(ID, 100, 0);
    if diskless {
        drive
            .feed(format!("$EOF:{}\r\n", "e".repeat(40)).as_bytes())
            .feed(&rdb);
        drive.wait_until(130_000).feed(&[b'e'; 39]);
        assert_eq!(drive.said(), "", "nothing is said before the mark is whole");
        drive.feed(b"e");
    } else {
        drive.feed(format!("${}\r\n", rdb.len()).as_bytes());
        drive.wait_until(130_000);
        assert_eq!(
            drive.said(),
            "",
            "nothing is said before the snapshot is whole"
        );
        drive.feed(&rdb);
    }
    assert_eq!(drive.error, None);
    drive
}

#[test]
fn quiet_until_the_snapshot_is_whole_then_acks_ever_more_rarely_until_the_stream() {
    for diskless in [true, false] {
        let mut drive = synced(options(), diskless);
        assert_eq!(drive.said(), "REPLCONF ACK 0");
        for (after, more) in [(99, 0), (100, 1), (800, 3), (1_599, 0), (3_600, 3)] {
            drive.wait_until(130_000 + after);
            assert_eq!(drive.said(), ["REPLCONF ACK 0"; 3][..more].join("; "));
        }
        drive.feed(&words("PING"));
        drive.wait_until(134_000 + 40_000);
        assert_eq!(
            drive.said(),
            "",
            "from the first byte on the slow period holds"
        );
        drive.feed(&words("PING"));
        drive.wait_until(133_600 + 48_000);
        assert_eq!(drive.said(), "REPLCONF ACK 0");
    }
}

#[test]
fn a_master_hears_ack_0_at_four_fifths_of_its_timeout() {
    for (repl_timeout_ms, period) in [
        (60_000, 48_000),
        (3_600_000, 50_000),
        (6_000, 4_800),
        (1, 1_000),
    ] {
        let role = Role::Master {
            repl_timeout_ms,
            ping_period_ms: 10_000_000,
        };
        let mut drive = Drive::streaming_with(Options {
            role,
            resume: Some(at(5, 0)),
            ..options()
        });
        drive.feed(&words("SET a b"));
        drive.wait_until(period - 1);
        assert_eq!(drive.said(), "");
        drive.wait_until(period);
        assert_eq!(drive.said(), "REPLCONF ACK 0");
        drive.wait_until(3 * period);
        assert_eq!(drive.said(), "REPLCONF ACK 0; REPLCONF ACK 0");
    }
}

#[test]
fn a_replica_that_is_one_hears_the_true_offset_and_may_be_silent() {
    let mut drive = Drive::streaming_with(Options {
        role: Role::Replica,
        resume: Some(at(5, 0)),
        ..options()
    });
    drive.feed(&words("SET a b"));
    drive.wait_until(1_000);
    assert_eq!(drive.said(), "REPLCONF ACK 0", "it may be a master by now");
    drive.link.confirm_replica();
    drive.feed(b"");
    assert_eq!(drive.said(), "REPLCONF ACK 32");
    drive.link.confirm_replica();
    drive.wait_until(2_000);
    assert_eq!(drive.said(), "REPLCONF ACK 32");
    drive.wait_until(3_600_000);
    assert_eq!(drive.error, None);
}

/// A link to a master that answers so to the version that is announced, behind its snapshot.
fn copied_to(version: &str) -> Drive {
    let mut drive = Drive::new(Link::new(
        Options {
            announce: Announce::VersionThenLower,
            ..options()
        },
        0,
    ));
    drive
        .feed(b"+PONG\r\n")
        .feed(b"+OK\r\n")
        .feed(b"+OK\r\n")
        .feed(format!("{version}\r\n").as_bytes());
    drive.said();
    let rdb = link_kit::snapshot(ID, 100, 0);
    drive
        .feed(format!("+FULLRESYNC {ID} 100\r\n${}\r\n", rdb.len()).as_bytes())
        .feed(&rdb);
    drive
}

#[test]
fn a_cluster_master_of_valkey_hears_a_lower_version_behind_the_snapshot() {
    let mut drive = copied_to("+OK");
    assert_eq!(drive.said(), "REPLCONF version 7.2.0 ACK 0");
    drive.wait_until(150);
    assert_eq!(drive.said(), "REPLCONF ACK 0");
}

#[test]
fn a_server_that_knows_no_versions_hears_of_no_lower_one() {
    let mut drive = copied_to("-ERR Unrecognized REPLCONF option: version");
    assert_eq!(drive.said(), "REPLCONF ACK 0");
}

#[test]
fn silence_has_a_limit_in_every_phase() {
    let mut drive = Drive::new(Link::new(options(), 0));
    drive.wait_until(15_000);
    assert_eq!(
        drive.error,
        Some(Error::Silent {
            phase: Phase::Handshake,
            waited_ms: 15_000
        })
    );

    let mut drive = Drive::new(Link::new(options(), 0));
    drive.feed(b"+PONG\r\n").feed(b"+OK\r\n").feed(b"+OK\r\n");
    drive.wait_until(119_999);
    assert_eq!(drive.error, None);
    drive.feed(b"\n").wait_until(239_998);
    assert_eq!(drive.error, None, "a newline is a sign of life");
    drive.wait_until(300_000);
    assert!(matches!(
        drive.error,
        Some(Error::Silent {
            phase: Phase::Handshake,
            ..
        })
    ));

    // A diskless transfer stalls on its slowest member for as long as the master bears that.
    let role = Role::Master {
        repl_timeout_ms: 600_000,
        ping_period_ms: 10_000,
    };
    for (role, limit) in [(role, 1_200_000), (Role::Replica, 120_000)] {
        let mut drive = Drive::new(Link::new(Options { role, ..options() }, 0));
        drive.feed(b"+PONG\r\n").feed(b"+OK\r\n").feed(b"+OK\r\n");
        drive.feed(format!("+FULLRESYNC {ID} 100\r\n$200\r\nREDIS").as_bytes());
        drive.wait_until(limit - 1);
        assert_eq!(drive.error, None);
        drive.wait_until(limit);
        assert_eq!(
            drive.error,
            Some(Error::Silent {
                phase: Phase::Transfer,
                waited_ms: limit
            })
        );
    }

    let mut drive = Drive::streaming(0, 0);
    drive.wait_until(59_999);
    assert_eq!(drive.error, None);
    drive.wait_until(60_000);
    let error = drive.error.expect("silent");
    assert_eq!(error.verdict(), Verdict::Retry);
    assert_eq!(
        error,
        Error::Silent {
            phase: Phase::Stream,
            waited_ms: 60_000
        }
    );

    let role = Role::Master {
        repl_timeout_ms: 60_000,
        ping_period_ms: 60_000,
    };
    let mut drive = Drive::streaming_with(Options {
        role,
        resume: Some(at(0, 0)),
        ..options()
    });
    drive.wait_until(179_999);
    assert_eq!(drive.error, None);
    drive.wait_until(180_000);
    assert!(drive.error.is_some());
}

#[test]
fn the_end_of_input_means_what_its_phase_says() {
    let mut drive = Drive::new(Link::new(options(), 0));
    assert_eq!(drive.link.closed().verdict(), Verdict::RetryLater);
    drive = Drive::new(Link::new(options(), 0));
    drive.feed(b"+PONG\r\n").feed(b"+OK\r\n").feed(b"+OK\r\n");
    assert_eq!(
        drive.link.closed().verdict(),
        Verdict::RetryLater,
        "a child that failed"
    );
    drive = Drive::streaming(0, 0);
    let error = drive.link.closed();
    assert_eq!(error.verdict(), Verdict::Retry);
    assert_eq!(drive.link.closed(), Error::Ended);
    assert_eq!(drive.link.poll_timeout(), None);
}
