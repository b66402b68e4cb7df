//! The hand-over to a SYNC link: the second link reads over exactly what the first has applied.

mod link_kit;

use link_kit::{Drive, ID, ID2, at, id, options, words};
use replica_shim::{Error, Link, Offset, Position, Refusal, Verdict};

/// A stand-by link whose stream begins behind `offset`.
fn standing_by(offset: u64) -> Drive {
    let mut drive = Drive::new(Link::sync_only(options(), true, 0));
    drive.feed(b"+PONG\r\n").feed(b"+OK\r\n").feed(b"+OK\r\n");
    drive.said();
    drive.feed(b"+OK\r\n");
    assert_eq!(drive.said(), "SYNC");
    let mut bytes = format!("\n$EOF:{}\r\n", "m".repeat(40)).into_bytes();
    bytes.extend_from_slice(&link_kit::snapshot(ID, offset, 4));
    bytes.extend_from_slice(&[b'm'; 40]);
    for byte in bytes {
        drive.feed(&[byte]);
    }
    assert_eq!(drive.events, [format!("stands by {ID}:{offset}")]);
    assert!(drive.items.0.is_empty(), "its snapshot concerns nobody");
    assert_eq!(drive.link.position(), None);
    drive.events.clear();
    drive
}

#[test]
fn it_asks_for_an_empty_snapshot() {
    let mut drive = Drive::new(Link::sync_only(options(), true, 0));
    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.push(drive.said());
        drive.feed(b"+OK\r\n");
    }
    assert_eq!(
        asked,
        [
            "PING",
            "REPLCONF listening-port 65536",
            "REPLCONF capa eof capa psync2",
            "REPLCONF rdb-filter-only ",
        ]
    );
    let mut drive = Drive::new(Link::sync_only(options(), true, 0));
    drive.feed(b"+PONG\r\n").feed(b"+OK\r\n").feed(b"+OK\r\n");
    drive.feed(b"-ERR Unrecognized REPLCONF option: rdb-filter-only\r\n");
    let error = drive.error.expect("6.x does not know it");
    assert!(matches!(
        error,
        Error::Refused {
            refusal: Refusal::OptionUnknown,
            ..
        }
    ));
    assert_eq!(error.verdict(), Verdict::GiveUp);
}

#[test]
fn acks_start_the_stream_and_then_nothing_is_said() {
    let mut drive = standing_by(100);
    drive.wait_until(200);
    assert_eq!(
        drive.said(),
        "REPLCONF ACK 0; REPLCONF ACK 0; REPLCONF ACK 0"
    );
    drive.feed(&words("SELECT 4"));
    assert!(drive.events.is_empty(), "held");
    drive.link.take_over(&at(100, 4)).expect("same history");
    drive.feed(&words("SET a b"));
    assert_eq!(drive.events, ["4@150: SET a b"]);
    drive.feed(&words("PING")).wait_until(50_000);
    assert_eq!(drive.said(), "");
    assert_eq!(drive.error, None);
}

#[test]
fn what_was_applied_is_read_over_to_the_byte() {
    let stream: Vec<Vec<u8>> = [
        "SELECT 9", "SET a 1", "MULTI", "INCR a", "SELECT 2", "EXEC", "SET b 2",
    ]
    .iter()
    .map(|text| words(text))
    .collect();
    let all: Vec<u8> = stream.concat();
    let ends: Vec<u64> = stream
        .iter()
        .scan(100, |end, command| {
            *end += command.len() as u64;
            Some(*end)
        })
        .collect();
    // The other link was left behind SET a 1, EXEC, or everything.
    for (left_at, db, expected) in [
        (
            ends[1],
            9,
            vec!["multi", "9@186 tx: INCR a", "exec @223", "2@250: SET b 2"],
        ),
        (ends[5], 2, vec!["2@250: SET b 2"]),
        (ends[6], 2, vec![]),
    ] {
        for size in [1, 7, all.len()] {
            let mut drive = standing_by(100);
            let take_over = at(left_at, db);
            drive.feed(&all[..3]);
            drive.link.take_over(&take_over).expect("same history");
            assert_eq!(
                drive.link.position(),
                Some(take_over),
                "as applied, not as read"
            );
            drive.feed_by(&all[3..], size);
            assert_eq!(drive.events, expected, "left at {left_at}, by {size}");
            assert_eq!(drive.link.position(), Some(at(250, 2)));
        }
    }
}

#[test]
fn links_that_do_not_belong_together_are_refused() {
    let other = Position {
        replid: id(ID2),
        offset: Offset(100),
        db: 0,
    };
    for (position, what) in [(other, "another history"), (at(99, 0), "a gap")] {
        let mut drive = standing_by(100);
        let error = drive.link.take_over(&position).expect_err(what);
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(error.verdict(), Verdict::RetryLater);
    }
    let mut drive = standing_by(100);
    drive.link.take_over(&at(110, 0)).expect("same history");
    drive.feed(&words("SET a b"));
    assert!(
        matches!(drive.error, Some(Error::Unexpected { .. })),
        "{:?}",
        drive.error
    );
    let mut link = Link::new(options(), 0);
    assert!(link.take_over(&at(1, 0)).is_err(), "it never stood by");
}
