//! Peers that lie: a clear error, bounded memory, no panic, and the position stays where it was.
#![allow(
    clippy::wildcard_enum_match_arm,
    clippy::cast_possible_truncation,
    reason = "small numbers, and errors that fail the test"
)]

mod link_kit;

use link_kit::{Drive, ID, Rng, at, cmd, options, snapshot, words};
use replica_shim::{Attempts, Error, Link, Offset, Options, Verdict, limits};

fn asked() -> Drive {
    let mut drive = Drive::new(Link::new(options(), 0));
    drive.feed(b"+PONG\r\n").feed(b"+OK\r\n").feed(b"+OK\r\n");
    drive
}

#[test]
fn garbage_in_the_stream_is_an_error_at_its_offset() {
    let table: &[&[u8]] = &[
        b"+OK\r\n",
        b"-NOPERM this user has no permissions\r\n",
        b"SET a b\r\n",
        b"\r\n",
        b"*\r\n",
        b"*x\r\n",
        b"*0\r\n",
        b"*-1\r\n",
        b"*01\r\n",
        b"*1000000000\r\n",
        b"*99999999999999999999\r\n",
        b"*1\n$4\r\nPING\r\n",
        b"*11111111111111111111111111111111111",
        b"*1\r\n+PING\r\n",
        b"*1\r\n*1\r\n$4\r\nPING\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$-4\r\nPING\r\n",
        b"*1\r\n$4x\r\nPING\r\n",
        b"*1\r\n$3\r\nPING\r\n",
        b"*1\r\n$5\r\nPING\r\n*",
        b"*1\r\n$0\r\n\r\n",
        b"*2\r\n$3\r\nSET\r\n$99999999999999\r\n",
        b"*2\r\n$99999999\r\n",
        b"*2\r\n$3\r\nGET\r\n$536870913\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$99999999999\r\n",
        b"*4\r\n$7\r\nRESTORE\r\n$1\r\nk\r\n$1\r\n0\r\n$536870913\r\n",
    ];
    for garbage in table {
        for size in [1, garbage.len()] {
            let mut drive = Drive::streaming(500, 2);
            drive.feed(&words("SET a b")).feed_by(garbage, size);
            let error = drive.error.clone();
            let error = error.unwrap_or_else(|| panic!("accepted {}", garbage.escape_ascii()));
            assert_eq!(
                drive.link.position(),
                Some(at(527, 2)),
                "{}",
                garbage.escape_ascii()
            );
            match error {
                Error::Peer { at, .. } | Error::Unexpected { at, .. } => {
                    assert!(at.byte >= 527);
                    assert_eq!(error.verdict(), Verdict::Retry);
                }
                Error::Limit { at, .. } => {
                    assert!(at.byte >= 527);
                    assert_eq!(error.verdict(), Verdict::FullResync);
                }
                other => panic!("{}: {other}", garbage.escape_ascii()),
            }
        }
    }
}

#[test]
fn what_fails_twice_at_one_place_gets_a_full_resync() {
    let mut attempts = Attempts::default();
    let fail = |text: &[u8]| {
        let mut drive = Drive::streaming(500, 2);
        drive.feed(text);
        drive.error.expect("garbage")
    };
    assert_eq!(attempts.judge(&fail(b"+OK")), Verdict::Retry);
    let mut closed = Drive::streaming(500, 2);
    assert_eq!(attempts.judge(&closed.link.closed()), Verdict::Retry);
    assert_eq!(attempts.judge(&fail(b"+OK")), Verdict::FullResync);
    let further = [words("PING"), b"+".to_vec()].concat();
    assert_eq!(
        attempts.judge(&fail(&further)),
        Verdict::Retry,
        "another place"
    );
}

#[test]
fn endless_newlines_end() {
    let flood = vec![b'\n'; 1 << 16];
    let started = |text: &str| {
        let mut drive = asked();
        drive.feed(text.as_bytes());
        drive
    };
    let full = format!("+FULLRESYNC {ID} 1\r\n");
    for mut drive in [asked(), started(&full), Drive::streaming(5, 0)] {
        for _ in 0..16 {
            drive.feed(&flood);
        }
        assert_eq!(
            drive.error, None,
            "what a master that saves for days would send"
        );
        drive.feed(b"\n");
        assert!(
            matches!(drive.error, Some(Error::Limit { .. })),
            "{:?}",
            drive.error
        );
    }
}

#[test]
fn endless_lines_end() {
    let mut drive = Drive::new(Link::new(options(), 0));
    drive
        .feed(b"+")
        .feed_by(&vec![b'x'; limits::LINE_BYTES_MAX], 100);
    assert!(
        matches!(drive.error, Some(Error::Limit { .. })),
        "{:?}",
        drive.error
    );
}

#[test]
fn nobody_is_answered_before_a_question() {
    let mut drive = Drive::new(Link::new(options(), 0));
    drive.feed(b"+PONG\r\n");
    let mut link = Link::new(options(), 0);
    let error = link
        .next(b"+PONG\r\n", &mut drive.items)
        .expect_err("not asked yet");
    assert!(matches!(error, Error::Unexpected { .. }), "{error}");
}

#[test]
fn a_snapshot_that_lies_about_its_end() {
    let rdb = snapshot(ID, 10, 0);
    let full = format!("+FULLRESYNC {ID} 10\r\n");
    // Shorter and longer than announced.
    for length in [rdb.len() - 1, rdb.len() + 1, 0, 3] {
        let mut drive = asked();
        drive
            .feed(full.as_bytes())
            .feed(format!("${length}\r\n").as_bytes())
            .feed(&rdb);
        drive.feed(&words("SET a b"));
        let error = drive
            .error
            .unwrap_or_else(|| panic!("{length} of {}", rdb.len()));
        assert_eq!(error.verdict(), Verdict::RetryLater, "{error}");
        assert_eq!(drive.link.position(), None);
    }
    // A mark that is another one, at each of its bytes.
    for wrong in 0..40 {
        let mut mark = [b'm'; 40];
        mark[wrong] = b'n';
        let mut drive = asked();
        drive
            .feed(full.as_bytes())
            .feed(format!("$EOF:{}\r\n", "m".repeat(40)).as_bytes());
        drive.feed(&rdb).feed_by(&mark, 3);
        assert!(
            matches!(drive.error, Some(Error::Unexpected { .. })),
            "{:?}",
            drive.error
        );
        assert_eq!(drive.link.position(), None);
    }
}

#[test]
fn a_snapshot_without_a_position_behind_sync() {
    let mut rdb = b"REDIS0011\xFF".to_vec();
    rdb.extend_from_slice(&[0; 8]);
    let mut drive = asked();
    drive
        .feed(format!("${}\r\n", rdb.len()).as_bytes())
        .feed(&rdb);
    assert!(
        matches!(drive.error, Some(Error::Unexpected { .. })),
        "{:?}",
        drive.error
    );
}

#[test]
fn what_the_decoder_does_not_know_is_named_and_not_tried_again() {
    let mut drive = asked();
    drive.feed(format!("+FULLRESYNC {ID} 10\r\n$100\r\nREDIS0011").as_bytes());
    drive.feed(&[0x70; 91]);
    let error = drive.error.expect("unknown type");
    assert_eq!(error.verdict(), Verdict::GiveUp, "{error}");
}

#[test]
fn an_end_in_every_phase_is_an_error_and_keeps_the_position() {
    let rdb = snapshot(ID, 10, 0);
    let session = [
        format!("\n+FULLRESYNC {ID} 10\r\n\n${}\r\n", rdb.len()).as_bytes(),
        &rdb,
        &words("MULTI"),
        &words("SET a b"),
        &words("EXEC"),
    ]
    .concat();
    for end in 0..=session.len() {
        let mut drive = asked();
        drive.feed(&session[..end]);
        assert_eq!(drive.error, None, "{end}");
        let position = drive.link.position();
        let error = drive.link.closed();
        assert!(matches!(error, Error::Closed { .. }), "{error}");
        assert_eq!(drive.link.position(), position);
        assert!(matches!(
            drive.link.next(b"x", &mut drive.items),
            Err(Error::Ended)
        ));
        let offset = position.map(|position| position.offset);
        assert!(matches!(offset, None | Some(Offset(10 | 66))), "{offset:?}");
    }
}

#[test]
fn a_declared_length_allocates_nothing() {
    // 512 MiB of key are announced, and the peer falls silent.
    let mut drive = Drive::streaming(0, 0);
    drive.feed(b"*2\r\n$3\r\nGET\r\n$536870912\r\nabc");
    assert_eq!(drive.error, None);
    assert!(drive.buffer.is_empty());
    drive.feed_by(b"*16777216\r\n", 3);
    assert_eq!(drive.error, None, "it is part of the key");
    let mut drive = Drive::streaming(0, 0);
    drive.feed(b"*16777216\r\n$3\r\nDEL\r\n");
    assert_eq!(drive.error, None);
    drive.feed(b"*");
    assert!(drive.error.is_some());
}

/// Seeded noise over everything: sessions with bytes flipped, dropped, doubled, cut and fed in
/// random pieces. Nothing panics, nothing is fed that the link does not take or refuse, and after
/// an error the link stays dead.
#[test]
fn noise_never_panics() {
    let rdb = snapshot(ID, 10, 0);
    let mut stream = Vec::new();
    for text in [
        "SELECT 1",
        "MULTI",
        "SET a b",
        "EXEC",
        "PING",
        "REPLCONF GETACK *",
        "DEL a b c",
    ] {
        stream.extend_from_slice(&words(text));
    }
    stream.extend_from_slice(&cmd(&[b"SET", b"k", &[b'v'; 300]]));
    let mark = "m".repeat(40);
    let session = [
        b"+PONG\r\n+OK\r\n+OK\r\n".as_slice(),
        format!("\n+FULLRESYNC {ID} 10\r\n\n$EOF:{mark}\r\n").as_bytes(),
        &rdb,
        mark.as_bytes(),
        &stream,
        &stream,
    ]
    .concat();
    for seed in 1..=20_000_u64 {
        let mut rng = Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut bytes = session.clone();
        for _ in 0..rng.below(6) {
            let place = rng.below(bytes.len());
            match rng.below(5) {
                0 => bytes[place] = rng.below(256) as u8,
                1 => bytes[place] ^= 1 << rng.below(8),
                2 => drop(bytes.remove(place)),
                3 => bytes.insert(place, b"*$\r\n0-+9"[rng.below(8)]),
                _ => {
                    let end = (place + rng.below(40)).min(bytes.len());
                    let copy = bytes[place..end].to_vec();
                    bytes.splice(place..place, copy);
                }
            }
        }
        let resume = (rng.below(2) == 0).then(|| at(rng.next() >> 1, 3));
        let mut drive = Drive::new(Link::new(
            Options {
                resume,
                ..options()
            },
            0,
        ));
        let mut rest = bytes.as_slice();
        // One answer at a time first, as questions are asked one at a time.
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            drive.feed(&rest[..=end]);
            rest = &rest[end + 1..];
            if drive.link.phase() != replica_shim::Phase::Handshake {
                break;
            }
        }
        while !rest.is_empty() && drive.error.is_none() {
            let size = 1 + rng.below(rest.len().min(64));
            drive.feed(&rest[..size]);
            rest = &rest[size..];
        }
        drive.wait_until(1_000_000);
        let _ = drive.link.closed();
        assert!(
            matches!(drive.link.next(b"*", &mut drive.items), Err(Error::Ended)),
            "{seed}"
        );
    }
}
