//! Whatever way the bytes are cut, the same events come out, in the same order, and the same is
//! said. Sessions are built here; recorded ones of real servers lie in `link_data`.

mod link_kit;

use link_kit::{Drive, ID, ID2, at, cmd, options, snapshot, words};
use replica_shim::{Link, Options, Thresholds, limits};

/// Name, bytes and end of a recorded session.
macro_rules! recorded {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!("link_data/", $name, ".bin")),
            include_str!(concat!("link_data/", $name, ".end")),
        )
    };
}

/// What a server says in reply to the handshake questions, one piece per question, and then the
/// rest in one piece, which is what gets cut.
struct Session {
    name: &'static str,
    options: Options,
    replies: Vec<Vec<u8>>,
    rest: Vec<u8>,
}

fn three_replies() -> Vec<Vec<u8>> {
    vec![
        b"+PONG\r\n".to_vec(),
        b"+OK\r\n".to_vec(),
        b"-ERR nope\r\n".to_vec(),
    ]
}

fn stream() -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in [
        "SELECT 3",
        "SET a 1",
        "ping",
        "MULTI",
        "SELECT 11",
        "LPUSH l a b c",
        "EXEC",
    ] {
        bytes.extend_from_slice(&words(text));
    }
    bytes.extend_from_slice(b"\n");
    bytes.extend_from_slice(&cmd(&[b"SET", b"\r\n", b"*3\r\n$3\r\n"]));
    bytes.extend_from_slice(&cmd(&[b"APPEND", b"", b""]));
    bytes.extend_from_slice(b"\n\n");
    for text in [
        "REPLCONF GETACK *",
        "MULTI",
        "EXEC",
        "EXEC",
        "FLUSHALL",
        "SWAPDB 0 1",
    ] {
        bytes.extend_from_slice(&words(text));
    }
    bytes.extend_from_slice(&cmd(&[b"SET", b"k", &[b'v'; 120]]));
    bytes
}

fn sessions() -> Vec<Session> {
    let rdb = snapshot(ID, 77, 5);
    let disk = [
        format!("\n\n+FULLRESYNC {ID} 77\r\n\n${}\r\n", rdb.len()).as_bytes(),
        &rdb,
        &stream(),
    ]
    .concat();
    let mark = b"0123456789012345678901234567890123456789";
    let diskless = [
        format!("+FULLRESYNC {ID} 77\r\n\n\n$EOF:").as_bytes(),
        mark,
        b"\r\n",
        &rdb,
        mark,
        &stream(),
    ]
    .concat();
    let sync = [format!("\n${}\r\n", rdb.len()).as_bytes(), &rdb, &stream()].concat();
    let partial = [format!("\n+CONTINUE {ID2}\r\n").as_bytes(), &stream()].concat();
    let resume = Options {
        resume: Some(at(1000, 2)),
        ..options()
    };
    let session = |name, options, rest| Session {
        name,
        options,
        replies: three_replies(),
        rest,
    };
    vec![
        session("disk", options(), disk),
        session("diskless", options(), diskless),
        session("sync", options(), sync),
        session("partial", resume, partial),
    ]
}

fn begin(session: &Session) -> Drive {
    let mut drive = Drive::new(Link::new(session.options.clone(), 0));
    for reply in &session.replies {
        drive.feed(reply);
    }
    drive
}

#[track_caller]
fn assert_same(expected: &Drive, got: &Drive, how: &str) {
    assert_eq!(got.error, None, "{how}");
    assert_eq!(got.events, expected.events, "{how}");
    assert_eq!(got.items.0, expected.items.0, "{how}");
    assert_eq!(got.link.position(), expected.link.position(), "{how}");
    assert!(got.buffer.is_empty(), "{how}");
}

#[test]
fn every_cut_of_a_session_gives_the_same_events() {
    for session in sessions() {
        let mut whole = begin(&session);
        whole.feed(&session.rest);
        assert!(
            whole.events.len() > 12,
            "{}: {:?}",
            session.name,
            whole.events
        );
        for cut in 0..=session.rest.len() {
            let mut drive = begin(&session);
            drive.feed(&session.rest[..cut]).feed(&session.rest[cut..]);
            assert_same(&whole, &drive, &format!("{} cut at {cut}", session.name));
        }
        for size in [1, 2, 3, 5, 64] {
            let mut drive = begin(&session);
            drive.feed_by(&session.rest, size);
            assert_same(&whole, &drive, &format!("{} by {size}", session.name));
        }
    }
}

/// A link that is cut anywhere and resumed at its position tells every command once, and those of a
/// transaction together.
#[test]
fn every_loss_of_the_link_is_resumed_without_a_gap() {
    let bytes = stream();
    // Without the keepalives, which are not part of the history.
    let history: Vec<u8> = {
        let mut drive = Drive::streaming(0, 2);
        drive.feed(&bytes);
        let end = drive.link.position().expect("streaming").offset.get();
        let newlines = bytes.len() as u64 - end;
        assert_eq!(newlines, 3);
        let mut history = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some((first, after)) = rest.split_first() {
            if *first == b'\n' {
                rest = after;
                continue;
            }
            let mut scanner = replica_shim::resp::request::Scanner::new(
                replica_shim::resp::request::Limits::client(16, 1024, 4096),
            );
            let Ok(replica_shim::resp::request::Scanned::Done { len }) = scanner.scan(rest) else {
                panic!("a whole command");
            };
            history.extend_from_slice(&rest[..len]);
            rest = &rest[len..];
        }
        history
    };
    let mut whole = Drive::streaming(0, 2);
    whole.feed(&history);
    for cut in 0..=history.len() {
        let mut first = Drive::streaming(0, 2);
        first.feed(&history[..cut]);
        let position = first.link.position().expect("streaming");
        let from = usize::try_from(position.offset.get()).expect("small");
        assert!(from <= cut);
        let mut second = Drive::streaming_with(Options {
            resume: Some(position),
            ..options()
        });
        second.feed(&history[from..]);
        let events = [first.events, second.events].concat();
        assert_eq!(events, whole.events, "cut at {cut}, resumed at {from}");
        assert_eq!(second.link.position(), whole.link.position());
    }
}

#[test]
fn large_commands_are_the_same_in_any_pieces() {
    let value = vec![b'x'; limits::LONG_BYTES + 1];
    let half = vec![b'y'; limits::SPILL_BYTES / 2];
    let bytes = [
        words("MULTI"),
        cmd(&[b"MSET", b"a", &value, b"b", &half, b"c", &half, b"d", &half]),
        words("SELECT 4"),
        cmd(&[b"SET", &value, b"v"]),
        words("EXEC"),
        cmd(&[b"RPUSH", b"l", &half, &value, &half, &value, b"z"]),
        words("SET after it"),
    ]
    .concat();
    let mut whole = Drive::streaming(0, 0);
    whole.feed(&bytes);
    assert_eq!(whole.events.len(), 6);
    for size in [1 << 20, (1 << 18) + 1, 100_003, 9_973] {
        let mut drive = Drive::streaming(0, 0);
        drive.feed_by(&bytes, size);
        assert_eq!(drive.error, None);
        assert!(drive.events == whole.events, "by {size}");
        assert!(
            drive.buffered_max <= limits::CONTIGUOUS_MAX,
            "{}",
            drive.buffered_max
        );
    }
}

/// With thresholds of a few bytes every command takes the paths of large ones, and every cut of them
/// can be tried.
#[test]
fn every_cut_of_collected_commands_gives_the_same_events() {
    let bytes = [
        words("SET short v"),
        cmd(&[
            b"SET",
            b"a key that is long",
            b"a value that is longer",
            b"KEEPTTL",
        ]),
        words("MULTI"),
        cmd(&[b"MSET", b"k1", b"value of more than eight", b"k2", b"v2"]),
        words("SELECT 4"),
        cmd(&[b"RESTORE", b"k", b"0", b"payload that is kept", b"REPLACE"]),
        words("EXEC"),
        cmd(&[b"del", b"one long key", b"another long key", b""]),
        cmd(&[
            b"RPUSH",
            b"l",
            b"0123456789",
            b"",
            b"0123456789abcdef",
            b"z",
        ]),
        words("MULTI"),
        words("SET a 1"),
        cmd(&[b"SET", b"b", b"what makes it large enough"]),
        words("PING"),
        words("SET c 1"),
        words("EXEC"),
        words("PING"),
    ]
    .concat();
    let start = |transaction_bytes| {
        let thresholds = Thresholds {
            long_bytes: 8,
            spill_bytes: 12,
            transaction_bytes,
        };
        let options = Options {
            resume: Some(at(0, 0)),
            ..options()
        };
        Drive::streaming_on(Link::new(options, 0).with_thresholds(thresholds))
    };
    for transaction_bytes in [10_000, 60] {
        let mut whole = start(transaction_bytes);
        whole.feed(&bytes);
        let shown = whole.events.join("\n");
        assert_eq!(whole.events.len(), 15, "{shown}");
        assert!(shown.contains("SET a key that is long <22:"), "{shown}");
        assert!(
            shown.contains("RESTORE k 0 payload that is kept REPLACE"),
            "{shown}"
        );
        for cut in 0..=bytes.len() {
            for second in [cut, (cut + 9).min(bytes.len())] {
                let mut drive = start(transaction_bytes);
                drive
                    .feed(&bytes[..cut])
                    .feed(&bytes[cut..second])
                    .feed(&bytes[second..]);
                assert_same(&whole, &drive, &format!("cut at {cut} and {second}"));
            }
        }
        let mut drive = start(transaction_bytes);
        drive.feed_by(&bytes, 1);
        assert_same(&whole, &drive, "byte by byte");
    }
}

/// What real servers sent (`link_data/record.py`), and the position they reported in the end.
const RECORDED: &[(&str, &[u8], &str)] = &[
    recorded!("redis-6.0"),
    recorded!("redis-6.2"),
    recorded!("redis-7.0"),
    recorded!("redis-7.0-disk"),
    recorded!("redis-8.0"),
    recorded!("valkey-8.0"),
    recorded!("valkey-9.1"),
    recorded!("valkey-9.1-disk"),
];

#[test]
fn sessions_of_real_servers_end_at_the_offset_they_report_whatever_the_cut() {
    for (name, bytes, end) in RECORDED {
        let mut rest = *bytes;
        let mut replies = Vec::new();
        for _ in 0..3 {
            let line = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .expect("a reply")
                + 1;
            replies.push(rest[..line].to_vec());
            rest = &rest[line..];
        }
        let session = Session {
            name,
            options: options(),
            replies,
            rest: rest.to_vec(),
        };
        let mut whole = begin(&session);
        whole.feed(&session.rest);
        assert_eq!(whole.error, None, "{name}");
        let position = whole.link.position().expect("in the stream");
        assert_eq!(position.to_string(), end.trim(), "{name}");
        assert_eq!(position.db, 11, "{name}");
        for expected in ["SET k v", " tx: INCR n", "SWAPDB 0 1", "FLUSHDB"] {
            let is_told = whole.events.iter().any(|event| event.contains(expected));
            assert!(is_told, "{name}: {expected} in {:#?}", whole.events);
        }
        for cut in 0..=session.rest.len() {
            let mut drive = begin(&session);
            drive.feed(&session.rest[..cut]).feed(&session.rest[cut..]);
            assert_same(&whole, &drive, &format!("{name} cut at {cut}"));
        }
        let mut drive = begin(&session);
        drive.feed_by(&session.rest, 1);
        assert_same(&whole, &drive, name);
    }
}
