//! Layouts that no server of the matrix writes any more, and files that no server writes at all.

#![expect(clippy::cast_possible_truncation, reason = "test data is small")]

mod rdb_text;

use rdb_text::describe;
use replica_shim::rdb::{Blame, Decoder, ErrorKind, Family, Item, payload};
use replica_shim::text::Text;

/// A file of a version around some opcodes and keys, without a checksum.
fn file(magic: &str, body: &[&[u8]]) -> Vec<u8> {
    let mut bytes = magic.as_bytes().to_vec();
    bytes.extend(body.concat());
    bytes.push(255);
    bytes.extend([0; 8]);
    bytes
}

fn items(bytes: &[u8]) -> Result<Vec<String>, (u64, ErrorKind)> {
    let mut lines = Vec::new();
    let mut sink = |item: Item<'_>| lines.push(describe(&item).trim().to_owned());
    let mut decoder = Decoder::new(1);
    decoder
        .feed(bytes, &mut sink)
        .map_err(|error| (error.offset, error.kind))?;
    assert!(decoder.is_done(), "a whole file");
    Ok(lines)
}

/// Items of a file with one key, without header and end.
fn check(magic: &str, body: &[&[u8]], expected: &[&str]) {
    let lines = items(&file(magic, body)).expect("a good file");
    assert_eq!(lines[1..lines.len() - 1], *expected);
}

fn refused(magic: &str, body: &[&[u8]]) -> (u64, ErrorKind) {
    items(&file(magic, body)).expect_err("a bad file")
}

fn ziplist(entries: &[&[u8]]) -> Vec<u8> {
    let (mut body, mut tail, mut before) = (Vec::new(), 10, 0_u8);
    for entry in entries {
        tail = 10 + body.len() as u32;
        body.push(before);
        body.extend_from_slice(entry);
        before = 1 + entry.len() as u8;
    }
    let mut bytes = (11 + body.len() as u32).to_le_bytes().to_vec();
    bytes.extend(tail.to_le_bytes());
    bytes.extend((entries.len() as u16).to_le_bytes());
    bytes.extend(body);
    bytes.push(255);
    bytes.insert(0, bytes.len() as u8);
    bytes
}

fn listpack(entries: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![0; 6];
    bytes[4] = entries.len() as u8;
    for entry in entries {
        bytes.extend_from_slice(entry);
        bytes.push(entry.len() as u8);
    }
    bytes.push(255);
    bytes[0] = bytes.len() as u8;
    bytes.insert(0, bytes.len() as u8);
    bytes
}

#[test]
fn first_types() {
    let list = b"\x01\x01l\x03\x01a\xc0\xff\xc2\x00\x00\x00\x80";
    check(
        "REDIS0001",
        &[list],
        &[
            "key \"l\" list count=3",
            "node packed bytes=0 count=3",
            "element \"a\"",
            "element -1",
            "element -2147483648",
            "end bytes=10 elements=3",
        ],
    );
    let zset = b"\x03\x01z\x03\x01a\x031.5\x01b\xfe\x01c\xff";
    check(
        "REDIS0003",
        &[zset],
        &[
            "key \"z\" zset count=3",
            "member \"a\" 1.5",
            "member \"b\" inf",
            "member \"c\" -inf",
            "end bytes=13 elements=3",
        ],
    );
    check(
        "REDIS0003",
        &[b"\xfd\x10\x00\x00\x00\x09\x01h\x0b\x01\x01f\x03\x02val..\xff"],
        &[
            "key \"h\" hash-zipmap count=1 expire=16000",
            "field \"f\" \"val\"",
            "end bytes=12 elements=1",
        ],
    );
}

#[test]
fn old_blocks() {
    let pairs = ziplist(&[b"\x01a", b"\xf1", b"\x01b", b"\xfe\x80"]);
    check(
        "REDIS0006",
        &[b"\x0a\x01l", &pairs],
        &[
            "key \"l\" list-ziplist count=4",
            "node packed bytes=22 count=4",
            "element \"a\"",
            "element 0",
            "element \"b\"",
            "element -128",
            "end bytes=23 elements=4",
        ],
    );
    check(
        "REDIS0006",
        &[b"\x0c\x01z", &pairs],
        &[
            "key \"z\" zset-ziplist count=2",
            "member \"a\" 0",
            "member \"b\" -128",
            "end bytes=23 elements=2",
        ],
    );
    check(
        "REDIS0006",
        &[b"\x0d\x01h", &pairs],
        &[
            "key \"h\" hash-ziplist count=2",
            "field \"a\" 0",
            "field \"b\" -128",
            "end bytes=23 elements=2",
        ],
    );
}

#[test]
fn modules_are_skipped() {
    // Tags 1 to 5, one of each, then the end.
    let data =
        b"\x01\x07\x02\x81\xff\xff\xff\xff\xff\xff\xff\xff\x03abcd\x04abcdefgh\x05\x02hi\x00";
    // "ABCDEFGHI" and version 3: nine times six bits, then ten.
    let mut id = b"\x81".to_vec();
    let name = (0..9_u64).fold(0, |bits, letter| bits << 6 | letter);
    id.extend((name << 10 | 3).to_be_bytes());
    let aux = [b"\xf7", &id[..], b"\x02\x02", data].concat();
    check(
        "REDIS0010",
        &[&aux, b"\x07\x01m", &id, data],
        &[
            "module aux ABCDEFGHI",
            "key \"m\" module-2 count=0",
            "module ABCDEFGHI 3",
            "end bytes=40 elements=0",
        ],
    );
    let unknown = [b"\x07\x01m", &id[..], b"\x06\x00"].concat();
    assert_eq!(
        refused("REDIS0010", &[&unknown]),
        (21, ErrorKind::ModuleTag(6))
    );
    assert_eq!(
        refused("REDIS0008", &[b"\x06\x01m\x00"]),
        (9, ErrorKind::ModuleRc)
    );
}

#[test]
fn field_expiry_of_the_release_candidates() {
    check(
        "REDIS0012",
        &[b"\x16\x01h\x02\x00\x01a\x011\x40\x64\x01b\x012"],
        &[
            "key \"h\" hash-metadata-rc count=2",
            "field \"a\" \"1\"",
            "field \"b\" \"2\" expire=100",
            "end bytes=12 elements=2",
        ],
    );
    let triples = listpack(&[b"\x81a", b"\x01", b"\x64", b"\x81b", b"\x02", b"\x00"]);
    check(
        "REDIS0012",
        &[b"\x17\x01h", &triples],
        &[
            "key \"h\" hash-listpack-ex-rc count=2",
            "field \"a\" 1 expire=100",
            "field \"b\" 2",
            "end bytes=22 elements=2",
        ],
    );
}

#[test]
fn field_expiry_out_of_range() {
    let ex = |entries: &[&[u8]]| [b"\x19\x01h", &[0; 8][..], &listpack(entries)].concat();
    let descending = ex(&[b"\x81a", b"\x01", b"\x64", b"\x81b", b"\x02", b"\x63"]);
    let first_none = ex(&[b"\x81a", b"\x01", b"\x00", b"\x81b", b"\x02", b"\x63"]);
    let text = ex(&[b"\x81a", b"\x01", b"\x81x"]);
    let negative = ex(&[b"\x81a", b"\x01", b"\xdf\xff"]);
    let huge = ex(&[b"\x81a", b"\x01", b"\xf4\x00\x00\x00\x00\x00\x00\x01\x00"]);
    for blob in [descending, first_none, text] {
        assert!(matches!(
            refused("REDIS0012", &[&blob]).1,
            ErrorKind::Packed { .. }
        ));
    }
    for blob in [negative, huge] {
        assert_eq!(refused("REDIS0012", &[&blob]).1, ErrorKind::FieldExpire);
    }
    let metadata = [b"\x18\x01h", &[0xff; 8][..], b"\x01\x01\x01f\x01v"].concat();
    assert_eq!(refused("REDIS0012", &[&metadata]).1, ErrorKind::FieldExpire);
    let relative = b"\x18\x01h\xff\xff\xff\xff\xff\xff\x00\x00\x01\x02\x01f\x01v";
    assert_eq!(refused("REDIS0012", &[relative]).1, ErrorKind::FieldExpire);
    let valkey = b"\x16\x01h\x01\x01f\x01v\xfe\xff\xff\xff\xff\xff\xff\xff";
    assert_eq!(refused("VALKEY080", &[valkey]).1, ErrorKind::FieldExpire);
}

#[test]
fn functions_and_slot_imports() {
    check(
        "REDIS0010",
        &[
            b"\xf6\x01n\x03LUA\x01\x04desc\x04code",
            b"\xf6\x01n\x03LUA\x00\x02cc",
        ],
        &["function 4", "function 2"],
    );
    check(
        "VALKEY080",
        &[b"\xf3\x03job\x02\x00\x05\x40\x40\x7f\xff"],
        &["import \"job\" 2"],
    );
    let backwards = refused("VALKEY080", &[b"\xf3\x03job\x01\x05\x04"]);
    assert_eq!(backwards, (15, ErrorKind::SlotRange { start: 5, end: 4 }));
    let redis = refused("REDIS0013", &[b"\xf3\x03job\x00"]);
    let unknown = ErrorKind::UnknownByte {
        byte: 243,
        family: Family::Redis,
        version: 13,
    };
    assert_eq!(redis, (9, unknown));
}

#[test]
fn empty_aggregates_end_at_once() {
    check(
        "REDIS0009",
        &[b"\x02\x01s\x00", b"\x04\x01h\x00", b"\x0e\x01l\x00"],
        &[
            "key \"s\" set count=0",
            "end bytes=1 elements=0",
            "key \"h\" hash count=0",
            "end bytes=1 elements=0",
            "key \"l\" list-quicklist count=0",
            "end bytes=1 elements=0",
        ],
    );
    check(
        "REDIS0010",
        &[b"\x10\x01h\x07\x07\x00\x00\x00\x00\x00\xff"],
        &["key \"h\" hash-listpack count=0", "end bytes=8 elements=0"],
    );
}

#[test]
fn unknown_versions_and_types_are_named() {
    for (magic, expected) in [
        ("REDIS0000", "Redis RDB version 0 does not exist (byte 0)"),
        ("VALKEY079", "Valkey RDB version 79 does not exist (byte 0)"),
    ] {
        let error = Decoder::new(1)
            .feed(magic.as_bytes(), &mut |_: Item<'_>| {})
            .expect_err("bad");
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.blame(), Blame::Unsupported);
    }
    for magic in [
        "REDIS00x1",
        "VALKEYabc",
        "redis0009",
        "REDISx009",
        "GET / HTT",
    ] {
        let error = Decoder::new(1)
            .feed(magic.as_bytes(), &mut |_: Item<'_>| {})
            .expect_err("bad");
        assert_eq!((error.kind, error.blame()), (ErrorKind::Magic, Blame::Peer));
    }
    // A newer version is read as far as its types are known.
    check(
        "REDIS0099",
        &[b"\x00\x01k\x01v"],
        &[
            "key \"k\" string count=1",
            "string 1",
            "end bytes=2 elements=1",
        ],
    );
    let (offset, kind) = refused("REDIS0099", &[b"\x00\x01k\x01v\x1f"]);
    assert_eq!(offset, 14);
    assert_eq!(
        kind.to_string(),
        "unknown opcode or value type 31 in Redis RDB version 99"
    );
    assert_eq!(kind.blame(), Blame::Unsupported);
    for byte in (8..9).chain(26..243) {
        let kind = refused("REDIS0012", &[&[byte]]).1;
        let expected = ErrorKind::UnknownByte {
            byte,
            family: Family::Redis,
            version: 12,
        };
        assert_eq!(kind, expected);
    }
    for byte in 23..243 {
        let kind = refused("VALKEY080", &[&[byte]]).1;
        let expected = ErrorKind::UnknownByte {
            byte,
            family: Family::Valkey,
            version: 80,
        };
        assert_eq!(kind, expected);
    }
}

#[test]
fn numbers_beyond_their_limits() {
    let error = refused("REDIS0009", &[b"\xfe\x80\x00\x01\x00\x00"]).1;
    assert_eq!(
        error.to_string(),
        "a database index of 65536 is above the limit of 65535"
    );
    assert_eq!(error.blame(), Blame::Limit);
    check("REDIS0012", &[b"\xf4\x7f\xff\x00\x00"], &["slot 16383 0 0"]);
    let slot = refused("REDIS0012", &[b"\xf4\x80\x00\x00\x40\x00\x00\x00"]).1;
    assert_eq!(
        slot.to_string(),
        "a slot number of 16384 is above the limit of 16383"
    );
    // A key of four gibibytes, a blob of two, a string of 2^62, a count of 2^64-1.
    let key = refused("REDIS0009", &[b"\x00\x81\x00\x00\x00\x01\x00\x00\x00\x00"]);
    assert!(
        matches!(
            key,
            (
                9,
                ErrorKind::Limit {
                    max: 536_870_912,
                    ..
                }
            )
        ),
        "{key:?}"
    );
    let blob = refused("REDIS0009", &[b"\x10\x01h\x80\x80\x00\x00\x00"]);
    assert!(
        matches!(
            blob,
            (
                9,
                ErrorKind::Limit {
                    max: 1_073_741_824,
                    ..
                }
            )
        ),
        "{blob:?}"
    );
    let string = refused(
        "REDIS0009",
        &[b"\x00\x01k\x81\x40\x00\x00\x00\x00\x00\x00\x00"],
    );
    assert!(
        matches!(
            string,
            (
                9,
                ErrorKind::Limit {
                    max: 1_099_511_627_776,
                    ..
                }
            )
        ),
        "{string:?}"
    );
    let count = refused(
        "REDIS0009",
        &[b"\x02\x01k\x81\xff\xff\xff\xff\xff\xff\xff\xff"],
    );
    assert_eq!(count, (9, ErrorKind::Count));
}

#[test]
fn broken_strings() {
    assert_eq!(
        refused("REDIS0009", &[b"\x00\x01k\xc4"]).1,
        ErrorKind::StringEncoding(4)
    );
    assert_eq!(
        refused("REDIS0009", &[b"\x00\x01k\x82"]).1,
        ErrorKind::Length(0x82)
    );
    assert_eq!(
        refused("REDIS0009", &[b"\xfe\xc0\x00"]).1,
        ErrorKind::Length(0xc0)
    );
    // Ten bytes that claim to be a gibibyte.
    let bomb = b"\x00\xc3\x0a\x80\x20\x00\x00\x000123456789";
    assert!(matches!(refused("REDIS0009", &[bomb]).1, ErrorKind::Lzf(_)));
    assert_eq!(
        refused("REDIS0009", &[b"\x03\x01z\x01\x01a\xfd"]).1,
        ErrorKind::Score
    );
    assert_eq!(
        refused("REDIS0009", &[b"\x03\x01z\x01\x01a\x03abc"]).1,
        ErrorKind::Score
    );
    assert_eq!(
        refused("REDIS0009", &[b"\x03\x01z\x01\x01a\x00"]).1,
        ErrorKind::Score
    );
    let nan = [b"\x05\x01z\x01\x01a", &f64::NAN.to_le_bytes()[..]].concat();
    assert_eq!(refused("REDIS0009", &[&nan]).1, ErrorKind::Score);
    let container = refused("REDIS0010", &[b"\x12\x01l\x01\x03\x01a"]).1;
    assert_eq!(container, ErrorKind::QuicklistContainer(3));
    assert!(matches!(
        refused("REDIS0010", &[b"\x12\x01l\x01\x01\x00"]).1,
        ErrorKind::Packed { .. }
    ));
}

#[test]
fn checksums() {
    let mut bytes = file("REDIS0009", &[b"\x00\x01k\x01v"]);
    assert_eq!(
        items(&bytes).expect("good").last().map(String::as_str),
        Some("end Absent")
    );
    *bytes.last_mut().expect("not empty") = 1;
    let (offset, kind) = items(&bytes).expect_err("a wrong sum");
    assert!(matches!(
        kind,
        ErrorKind::Checksum {
            stored: 0x0100_0000_0000_0000,
            ..
        }
    ));
    assert_eq!(offset, bytes.len() as u64);
    // Before version 5 the file ends with its last opcode, and what follows is not touched.
    let mut decoder = Decoder::new(1);
    let old = b"REDIS0004\x00\x01k\x01v\xff after";
    assert_eq!(decoder.feed(old, &mut |_: Item<'_>| {}), Ok(15));
    assert!(decoder.is_done());
    assert_eq!(decoder.feed(b" after", &mut |_: Item<'_>| {}), Ok(0));
}

#[test]
fn errors_repeat() {
    let mut decoder = Decoder::new(1);
    let error = decoder
        .feed(b"REDIS0009\x08", &mut |_: Item<'_>| {})
        .expect_err("no such type");
    assert_eq!(decoder.feed(b"\xff", &mut |_: Item<'_>| {}), Err(error));
    assert_eq!(decoder.truncated(), error);
    assert!(!decoder.is_done());
}

/// The checksum by its definition.
fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u64::from(byte), |crc: u64, _| {
            (crc >> 1) ^ (0x95ac_9329_ac4b_c9b5 & 0_u64.wrapping_sub(crc & 1))
        })
    })
}

#[test]
fn payload_tails() {
    for short in [&b""[..], b"\x00\x01v", b"123456789"] {
        assert!(payload(1, short, &mut |_: Item<'_>| {}).is_err());
    }
    let good = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/string-lzf_redis70.dump"
    ))
    .expect("part of the crate");
    // Bit by bit, with the length known.
    let mut decoder = Decoder::payload(1, good.len() as u64, Family::Redis);
    let (mut at, mut seen) = (0, Vec::new());
    for end in 1..=good.len() {
        at += decoder
            .feed(&good[at..end], &mut |item: Item<'_>| {
                seen.push(describe(&item))
            })
            .expect("a good payload");
    }
    assert!(decoder.is_done());
    assert_eq!(
        seen,
        [
            "kind string",
            "  string 5000",
            "  end bytes=67 elements=1",
            "end Verified"
        ]
    );
    // A byte between value and footer is skipped, as servers do, and noted.
    let mut tail = good[..good.len() - 8].to_vec();
    tail.insert(68, b'?');
    tail.extend(crc64(&tail).to_le_bytes());
    seen.clear();
    let mut sink = |item: Item<'_>| seen.push(describe(&item));
    assert_eq!(payload(1, &tail, &mut sink), Ok(()));
    assert_eq!(seen[4], "  warning PayloadTail { bytes: 1 }");
    // A value that runs into the footer is not whole.
    let mut short = good[..good.len() - 8].to_vec();
    short.remove(20);
    short.extend(crc64(&short).to_le_bytes());
    let error = payload(1, &short, &mut |_: Item<'_>| {}).expect_err("a byte is missing");
    assert_eq!(
        error.kind,
        ErrorKind::PayloadEnd {
            end: 68,
            footer: 67
        }
    );
    let mut decoder = Decoder::payload(1, 10, Family::Redis);
    assert!(decoder.feed(&good, &mut |_: Item<'_>| {}).is_err());
}

/// A string value of any size, a long element, a long compressed element and a long value pass
/// through a window of a few kilobytes.
#[test]
fn long_strings_stream_by() {
    const LEN: usize = 3 << 20;
    let content: Vec<u8> = (0..LEN).map(|at| b'a' + (at / 1000 % 7) as u8).collect();
    let digest = xxhash_rust::xxh3::xxh3_64_with_seed(&content, 1);
    let squeezed = lzf::compress(&content).expect("it repeats itself");
    let mut plain = vec![0x80];
    plain.extend((LEN as u32).to_be_bytes());
    plain.extend(&content);
    let mut packed = vec![0xc3, 0x80];
    packed.extend((squeezed.len() as u32).to_be_bytes());
    packed.push(0x80);
    packed.extend((LEN as u32).to_be_bytes());
    packed.extend(squeezed);
    let bytes = file(
        "REDIS0009",
        &[
            b"\x00\x01k",
            &plain,
            b"\x02\x01s\x03",
            &plain,
            &packed,
            b"\x01a",
            b"\x04\x01h\x02\x01f",
            &plain,
            &packed,
            b"\x01v",
            b"\x05\x01z\x01",
            &plain,
            &1.5_f64.to_le_bytes(),
        ],
    );
    let long = format!("long {LEN} {digest:x}");
    let mut seen = Vec::new();
    let mut whole = Vec::new();
    Decoder::new(1)
        .feed(&bytes, &mut |item: Item<'_>| whole.push(describe(&item)))
        .expect("a good file");
    let (mut decoder, mut at) = (Decoder::new(1), 0);
    let mut kept = 0;
    for end in (0..bytes.len()).step_by(4096).chain([bytes.len()]) {
        let mut sink = |item: Item<'_>| {
            if let Item::Element(Text::Bytes(element)) = item {
                kept += element.len();
            }
            seen.push(describe(&item));
        };
        at += decoder
            .feed(&bytes[at..end], &mut sink)
            .expect("a good file");
    }
    assert!(decoder.is_done());
    assert_eq!(kept, 1);
    assert_eq!(seen, whole);
    let with = |text: &str| seen.iter().filter(|line| line.contains(text)).count();
    assert_eq!(with(&format!("element {long}")), 2);
    assert_eq!(with(&format!("member {long} 1.5")), 1);
    assert_eq!(with(&format!("field {long} \"v\"")), 1);
    assert_eq!(with(&format!("field \"f\" long {LEN} 0")), 1);
    assert_eq!(with(&format!("  string {LEN}")), 1);
}
