//! The command stream: offsets to the byte, databases, transactions, long arguments.
#![allow(clippy::cast_possible_truncation, reason = "a remainder fits")]

mod link_kit;

use link_kit::{Drive, ID, at, cmd, options, words};
use replica_shim::limits;
use replica_shim::{Batch, Error, Offset, Options, Streamed, Verdict};
use xxhash_rust::xxh3::xxh3_64_with_seed;

fn offset(drive: &Drive) -> u64 {
    drive.link.position().expect("streaming").offset.get()
}

#[test]
fn offsets_count_commands_and_no_newlines() {
    let mut drive = Drive::streaming(1000, 0);
    drive.feed(&cmd(&[b"PING"]));
    assert_eq!(offset(&drive), 1014);
    drive.feed(b"\n\n\n").feed(&cmd(&[b"SELECT", b"0"]));
    assert_eq!(offset(&drive), 1037);
    drive.feed(&cmd(&[b"REPLCONF", b"GETACK", b"*"]));
    assert_eq!(offset(&drive), 1074);
    assert_eq!(drive.events, ["ping @1014", "getack @1074"]);
}

#[test]
fn names_come_in_any_case() {
    let mut drive = Drive::streaming(0, 0);
    for name in ["ping", "Ping", "pInG"] {
        drive.feed(&words(name));
    }
    drive
        .feed(&words("select 4"))
        .feed(&words("set k v"))
        .feed(&words("multi"));
    drive
        .feed(&words("incr a"))
        .feed(&words("exec"))
        .feed(&words("replconf getack *"));
    assert_eq!(
        drive.events,
        [
            "ping @14",
            "ping @28",
            "ping @42",
            "4@92: set k v",
            "multi",
            "4@128 tx: incr a",
            "exec @142",
            "getack @179",
        ]
    );
}

#[test]
fn names_that_look_like_control_are_commands() {
    let mut drive = Drive::streaming(0, 0);
    for text in [
        "PFADD x",
        "POPS x",
        "EVAL x",
        "EXEK",
        "MSET2",
        "SUBSTR",
        "RPUSHXXX",
        "REPLCONF x",
    ] {
        drive.feed(&words(text));
    }
    assert_eq!(drive.events.len(), 8, "{:?}", drive.events);
    assert!(drive.events.iter().all(|event| event.starts_with("0@")));
}

#[test]
fn the_database_is_part_of_the_position() {
    let mut drive = Drive::streaming(10, 5);
    drive.feed(&words("SET a b"));
    assert_eq!(drive.events, ["5@37: SET a b"]);
    drive.feed(&words("SELECT 2"));
    assert_eq!(drive.link.position(), Some(at(60, 2)));
}

#[test]
fn a_select_without_a_number_is_an_error() {
    for text in [
        "SELECT",
        "SELECT x",
        "SELECT -1",
        "SELECT 4294967296",
        "SELECT 01",
    ] {
        let mut drive = Drive::streaming(10, 5);
        drive.feed(&words(text));
        let error = drive.error.expect(text);
        assert!(matches!(error, Error::Unexpected { .. }), "{error}");
        assert_eq!(error.verdict(), Verdict::Retry);
        assert_eq!(
            drive.link.position().map(|p| p.offset),
            Some(Offset(10)),
            "not beyond it"
        );
    }
}

#[test]
fn a_transaction_is_told_at_its_exec_and_committed_with_it() {
    let mut drive = Drive::streaming(0, 1);
    drive.feed(&words("SET k v"));
    let before = drive.link.position();
    drive.events.clear();
    drive
        .feed(&words("MULTI"))
        .feed(&words("SELECT 2"))
        .feed(&words("SET a 1"));
    drive.feed(&words("SELECT 3")).feed(&words("INCR a"));
    assert!(drive.events.is_empty());
    assert_eq!(
        drive.link.position(),
        before,
        "a cut here is resumed before MULTI"
    );
    assert!(drive.link.offset() > before.map(|position| position.offset));
    drive.feed(&words("EXEC"));
    let tail = ["multi", "2@92 tx: SET a 1", "3@136 tx: INCR a", "exec @150"];
    assert_eq!(drive.events, tail);
    let position = drive.link.position().expect("streaming");
    assert_eq!((position.offset.get(), position.db), (150, 3));
}

#[test]
fn an_empty_transaction_and_one_we_resumed_inside() {
    let mut drive = Drive::streaming(0, 0);
    drive
        .feed(&words("MULTI"))
        .feed(&words("EXEC"))
        .feed(&words("SET a 1"))
        .feed(&words("EXEC"));
    assert_eq!(
        drive.events,
        ["multi", "exec @29", "0@56: SET a 1", "exec @70"]
    );
    assert_eq!(offset(&drive), 70);
}

#[test]
fn multi_inside_multi_is_an_error() {
    let mut drive = Drive::streaming(0, 0);
    drive.feed(&words("MULTI")).feed(&words("MULTI"));
    assert!(matches!(drive.error, Some(Error::Unexpected { .. })));
    assert_eq!(offset(&drive), 0);
}

#[test]
fn a_huge_transaction_is_released_and_committed_as_it_arrives() {
    let value = vec![b'x'; 100_000];
    let mut drive = Drive::streaming(0, 0);
    drive.feed(&words("MULTI")).feed(&words("SELECT 9"));
    let set = cmd(&[b"SET", b"k", &value]);
    let mut sent = 15 + 23;
    while sent - 15 + set.len() as u64 <= limits::TRANSACTION_BYTES {
        drive.feed(&set);
        sent += set.len() as u64;
    }
    assert!(drive.events.is_empty(), "all is held up to the limit");
    assert_eq!(offset(&drive), 0);
    drive.feed(&set);
    sent += set.len() as u64;
    assert_eq!(drive.events.first().map(String::as_str), Some("multi"));
    assert!(
        drive
            .events
            .iter()
            .skip(1)
            .all(|event| event.starts_with("9@"))
    );
    assert_eq!(offset(&drive), sent);
    drive.events.clear();
    drive.feed(&words("SET k v"));
    assert_eq!(drive.events, [format!("9@{} tx: SET k v", sent + 27)]);
    assert_eq!(drive.link.position().map(|position| position.db), Some(9));
    drive.feed(&words("EXEC")).feed(&words("SET k v"));
    assert_eq!(
        drive.events.last(),
        Some(&format!("9@{}: SET k v", sent + 27 + 14 + 27))
    );
}

#[test]
fn long_values_become_length_and_digest_at_any_cut() {
    let value: Vec<u8> = (0..limits::LONG_BYTES + 1)
        .map(|i| (i % 251) as u8)
        .collect();
    let digest = xxh3_64_with_seed(&value, 7);
    let set = cmd(&[b"SET", b"k", &value, b"PXAT", b"5"]);
    let expected = format!(
        "0@{}: SET k <{}:{digest:016x}> PXAT 5",
        set.len(),
        limits::LONG_BYTES + 1
    );
    for size in [set.len(), 1 << 20, 65_537, 4_099] {
        let mut drive = Drive::streaming(0, 0);
        drive.feed_by(&set, size).feed(&words("GET x"));
        let next = format!("0@{}: GET x", set.len() + 20);
        assert_eq!(drive.events, [expected.clone(), next], "{size}");
        assert!(drive.buffered_max < 128, "{} kept", drive.buffered_max);
    }
}

#[test]
fn a_long_value_is_cut_at_every_byte_of_its_edges() {
    let value = vec![b'v'; limits::LONG_BYTES + 3];
    let set = cmd(&[b"MULTI"])
        .into_iter()
        .chain(cmd(&[b"HSET", b"k", b"f", &value, b"g", b"w"]))
        .chain(cmd(&[b"EXEC"]))
        .collect::<Vec<u8>>();
    let mut whole = Drive::streaming(0, 0);
    whole.feed(&set);
    assert_eq!(whole.events.len(), 3, "{:?}", whole.events);
    let edges = (0..80).chain(set.len() - 60..set.len());
    for cut in edges {
        let mut drive = Drive::streaming(0, 0);
        drive.feed(&set[..cut]).feed(&set[cut..]);
        assert_eq!(drive.events, whole.events, "cut at {cut}");
    }
}

#[test]
fn keys_and_payloads_are_kept_whole() {
    let long = vec![b'K'; limits::LONG_BYTES + 10];
    let shown = String::from_utf8_lossy(&long).into_owned();
    let table: [(&[&[u8]], &str); 5] = [
        (&[b"SET", &long, b"v"], "SET {} v"),
        (
            &[b"RESTORE", b"k", b"0", &long, b"ABSTTL"],
            "RESTORE k 0 {} ABSTTL",
        ),
        (&[b"del", b"a", &long, b"c"], "del a {} c"),
        (&[b"RENAME", b"a", &long], "RENAME a {}"),
        (&[b"COPY", &long, &long, b"REPLACE"], "COPY {} {} REPLACE"),
    ];
    for (command, expected) in table {
        let bytes = cmd(command);
        for size in [bytes.len(), 50_000] {
            let mut drive = Drive::streaming(0, 0);
            drive.feed_by(&bytes, size);
            let expected = format!("0@{}: {}", bytes.len(), expected.replace("{}", &shown));
            assert!(drive.events == [expected], "{} by {size}", command.len());
        }
    }
}

#[test]
fn a_command_of_many_arguments_leaves_the_buffer() {
    let fields: Vec<String> = (0..200_000).map(|i| format!("field:{i}")).collect();
    let mut command: Vec<&[u8]> = vec![b"HSET", b"key"];
    command.extend(fields.iter().map(|field| field.as_bytes()));
    let bytes = cmd(&command);
    assert!(bytes.len() > 2 * limits::SPILL_BYTES);
    let mut drive = Drive::streaming(0, 0);
    drive.feed_by(&bytes, 10_000);
    assert!(
        drive.buffered_max <= limits::SPILL_BYTES + 10_000,
        "{}",
        drive.buffered_max
    );
    let expected = format!("0@{}: HSET key {}", bytes.len(), fields.join(" "));
    assert!(drive.events == [expected]);
    drive.events.clear();
    drive.feed(&words("SET a b"));
    assert_eq!(drive.events, [format!("0@{}: SET a b", bytes.len() + 27)]);
}

#[test]
fn empty_arguments_and_binary_keys() {
    let mut drive = Drive::streaming(0, 0);
    drive
        .feed(&cmd(&[b"SET", b"", b"\r\n$3\r\nfoo\r\n"]))
        .feed(&cmd(&[b"SET", b"\n\0", b""]));
    assert_eq!(
        drive.events,
        ["0@37: SET  \\r\\n$3\\r\\nfoo\\r\\n", "0@64: SET \\n\\x00 "]
    );
}

#[test]
fn the_stream_may_begin_in_the_segment_that_ends_the_snapshot() {
    let rdb = link_kit::snapshot(ID, 100, 6);
    for diskless in [true, false] {
        let mut bytes = format!("+FULLRESYNC {ID} 100\r\n\n\n").into_bytes();
        if diskless {
            bytes.extend_from_slice(format!("$EOF:{}\r\n", "m".repeat(40)).as_bytes());
            bytes.extend_from_slice(&rdb);
            bytes.extend_from_slice(&[b'm'; 40]);
        } else {
            bytes.extend_from_slice(format!("${}\r\n", rdb.len()).as_bytes());
            bytes.extend_from_slice(&rdb);
        }
        bytes.extend_from_slice(&words("SET a b"));
        let mut drive = Drive::new(replica_shim::Link::new(options(), 0));
        drive
            .feed(b"+PONG\r\n")
            .feed(b"+OK\r\n")
            .feed(b"+OK\r\n")
            .feed(&bytes);
        let began = if diskless {
            "began None".into()
        } else {
            format!("began Some({})", rdb.len())
        };
        let expected = [
            format!("full {ID}:100"),
            began,
            format!("ended {ID}:100 db=6"),
            "6@127: SET a b".to_string(),
        ];
        assert_eq!(drive.events, expected);
        assert!(
            drive.items.0.iter().any(|item| item.starts_with("Str ")),
            "{:?}",
            drive.items.0
        );
    }
}

#[test]
fn a_position_survives_the_end_of_its_link() {
    let mut drive = Drive::streaming_with(Options {
        resume: Some(at(50, 1)),
        ..options()
    });
    drive.feed(&words("SET a b")).feed(b"+garbage");
    let error = drive.error.clone().expect("garbage");
    assert_eq!(error.verdict(), Verdict::Retry);
    assert!(error.to_string().contains("offset 77"), "{error}");
    assert_eq!(drive.link.position(), Some(at(77, 1)));
}

#[test]
fn what_was_followed_of_a_transaction_is_not_sent_again() {
    let mut link = Drive::streaming(0, 0).link;
    let mut bytes = words("MULTI");
    for n in 0..limits::BATCH_ENTRIES + 9 {
        bytes.extend(words(&format!("INCR n:{}", n % 7)));
    }
    bytes.extend(words("EXEC"));
    let mut batch = Batch::default();
    let read = link.read(&bytes, &mut batch);
    assert_eq!((read, batch.is_full()), (bytes.len(), true));
    let mut end = 0;
    for index in 0..batch.len() {
        let streamed = link.follow(&batch, index).expect("a healthy stream");
        if let Some(Streamed::Command(command)) = streamed {
            end = command.end_offset.get();
        }
    }
    // A cut here is resumed behind the last command that was followed.
    assert!(
        link.follow(&batch, batch.len())
            .is_ok_and(|end| end.is_none())
    );
    let position = link.position().expect("streaming");
    assert_eq!(position.offset.get(), end);
    assert!(end < bytes.len() as u64);
    // The rest needs no more bytes.
    batch.clear();
    assert_eq!(link.read(&[], &mut batch), 0);
    assert_eq!(batch.len(), 9 + 1 + 1);
}
