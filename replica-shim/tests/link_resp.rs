//! Requests and replies: what is read, what is refused, in any pieces.

mod link_kit;

use link_kit::{Rng, show};
use replica_shim::limits;
use replica_shim::resp::reply::{Reply, ReplyReader};
use replica_shim::resp::request::{Limits, Scanned, Scanner};
use replica_shim::resp::{Fault, Name};

fn limits_of_a_port() -> Limits {
    Limits::client(8, 32, 256)
}

/// Scans a sequence of requests, given `size` bytes more at a time.
fn requests(input: &[u8], size: usize) -> Result<Vec<String>, Fault> {
    let mut scanner = Scanner::new(limits_of_a_port());
    let (mut from, mut to) = (0, 0);
    let mut out = Vec::new();
    loop {
        match scanner.scan(&input[from..to])? {
            Scanned::Done { len } => {
                let args = scanner.args(&input[from..to]);
                out.push(
                    args.iter()
                        .map(|text| show(&text))
                        .collect::<Vec<_>>()
                        .join("|"),
                );
                from += len;
            }
            Scanned::More if to == input.len() => return Ok(out),
            Scanned::More => to = (to + size).min(input.len()),
            Scanned::Large { .. } => panic!("nothing is large to a port"),
        }
    }
}

#[track_caller]
fn check(input: &[u8], expected: Result<&[&str], Fault>) {
    for size in [1, 2, 3, 7, input.len().max(1)] {
        let got = requests(input, size);
        let got = got
            .as_ref()
            .map(|lines| lines.iter().map(String::as_str).collect::<Vec<_>>());
        let expected = expected.map(<[&str]>::to_vec);
        assert_eq!(
            got.map_err(|fault| *fault),
            expected,
            "{} by {size}",
            input.escape_ascii()
        );
    }
}

fn too_big(what: &'static str, max: u64, got: u64) -> Fault {
    Fault::TooBig { what, max, got }
}

#[test]
fn requests_of_both_forms() {
    check(
        b"*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n",
        Ok(&["PING", "GET|"]),
    );
    check(
        b"PING\r\nget  k\t v \n\r\n\n*0\r\n*-5\r\nx\n",
        Ok(&["PING", "get|k|v", "", "", "", "", "x"]),
    );
    check(b"*2\r\n$3\r\nGET", Ok(&[]));
    check(b"PING", Ok(&[]));
    check(b"set \"a b\" 'c d'\r\n", Ok(&["set|a b|c d"]));
    check(br#"set "\x41\n\"\\\q" 'it\'s \n' ""  ''"#, Ok(&[]));
    check(
        b"set \"\\x41\\n\\\"\\\\\\q\\xZ\" 'it\\'s \\n' \"\" ''\n",
        Ok(&["set|A\\n\\\"\\\\qxZ|it\\'s \\\\n||"]),
    );
    check(b"a\"b c\"\n", Ok(&["ab c"]));
}

#[test]
fn requests_that_are_refused() {
    check(b"set \"a\r\n", Err(Fault::Quotes));
    check(b"set 'a\r\n", Err(Fault::Quotes));
    check(b"set \"a\"b\r\n", Err(Fault::Quotes));
    check(b"set 'a'b\r\n", Err(Fault::Quotes));
    check(b"set \"a\\\r\n", Err(Fault::Quotes));
    check(b"*x\r\n", Err(Fault::Count));
    check(b"*1\n", Err(Fault::Count));
    check(b"*99999999999999999999\r\n", Err(Fault::Count));
    check(b"*9\r\n", Err(too_big("mbulk count", 8, 9)));
    check(b"*1\r\n:1\r\n", Err(Fault::Dollar(b':')));
    check(b"*1\r\n$\r\n", Err(Fault::Length));
    check(b"*1\r\n$-1\r\n", Err(Fault::Length));
    check(b"*1\r\n$33\r\n", Err(too_big("bulk length", 32, 33)));
    check(b"*1\r\n$2\r\nabcd", Err(Fault::Terminator));
    check(
        &[b'x'; 64 * 1024 + 2],
        Err(too_big("inline request", 65_536, 65_537)),
    );
    let many = b"*8\r\n"
        .iter()
        .chain(
            b"$32\r\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"
                .repeat(8)
                .iter(),
        )
        .copied()
        .collect::<Vec<u8>>();
    assert!(matches!(
        requests(&many, 9),
        Err(Fault::TooBig {
            what: "request",
            max: 256,
            ..
        })
    ));
}

#[test]
fn faults_read_as_clients_know_them() {
    assert_eq!(Fault::Count.to_string(), "invalid multibulk length");
    assert_eq!(Fault::Length.to_string(), "invalid bulk length");
    assert_eq!(Fault::Dollar(b'\n').to_string(), "expected '$', got '\\n'");
    assert_eq!(Fault::Quotes.to_string(), "unbalanced quotes in request");
}

#[test]
fn names_are_upper_cased_in_place() {
    assert_eq!(Name::of(b"hSetNx").as_bytes(), b"HSETNX");
    assert_eq!(Name::of(b"").as_bytes(), b"");
    assert_eq!(
        Name::of(b"georadiusbymember_ro").as_bytes(),
        b"GEORADIUSBYMEMBER_RO"
    );
    assert_eq!(Name::of(&[b'a'; Name::MAX]).as_bytes(), [b'A'; Name::MAX]);
    assert_eq!(Name::of(&[b'a'; Name::MAX + 1]).as_bytes(), b"");
    assert_eq!(Name::of(b"json.set\xff").as_bytes(), b"JSON.SET\xff");
}

/// Reads replies, given `size` bytes more at a time; whatever is not taken is given again.
fn replies(input: &[u8], size: usize, reader: &mut ReplyReader) -> Result<Vec<Reply>, Fault> {
    let (mut from, mut to) = (0, 0);
    let mut out = Vec::new();
    loop {
        let (taken, reply) = reader.read(&input[from..to])?;
        from += taken;
        match reply {
            Some(reply) => out.push(reply),
            None if to == input.len() => return Ok(out),
            None => to = (to + size).min(input.len()),
        }
    }
}

#[track_caller]
fn check_reply(input: &[u8], expected: Result<Vec<Reply>, Fault>) {
    for size in [1, 2, 5, input.len().max(1)] {
        let mut reader = ReplyReader::new(1 << 16, 64);
        let got = replies(input, size, &mut reader);
        assert_eq!(got, expected, "{} by {size}", input.escape_ascii());
    }
}

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.into())
}

#[test]
fn replies_of_every_kind() {
    check_reply(
        b"+OK\r\n-ERR no\r\n:-42\r\n$5\r\na\r\nbc\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n",
        Ok(vec![
            Reply::Simple(b"OK".to_vec()),
            Reply::Error(b"ERR no".to_vec()),
            Reply::Int(-42),
            bulk("a\r\nbc"),
            bulk(""),
            Reply::Nil,
            Reply::Nil,
            Reply::Array(vec![]),
        ]),
    );
    check_reply(
        b"*3\r\n*2\r\n:1\r\n*0\r\n$1\r\nx\r\n*1\r\n*1\r\n$-1\r\n+end\r\n",
        Ok(vec![
            Reply::Array(vec![
                Reply::Array(vec![Reply::Int(1), Reply::Array(vec![])]),
                bulk("x"),
                Reply::Array(vec![Reply::Array(vec![Reply::Nil])]),
            ]),
            Reply::Simple(b"end".to_vec()),
        ]),
    );
}

#[test]
fn replies_that_are_refused() {
    check_reply(b"PONG\r\n", Err(Fault::Reply(b'P')));
    check_reply(b"%1\r\n", Err(Fault::Reply(b'%')));
    check_reply(b"+OK\n", Err(Fault::LineEnd));
    check_reply(b":\r\n", Err(Fault::Number));
    check_reply(b":1x\r\n", Err(Fault::Number));
    check_reply(b"$-2\r\n", Err(Fault::Length));
    check_reply(b"$x\r\n", Err(Fault::Length));
    check_reply(b"$2\r\nabc\r\n", Err(Fault::Terminator));
    check_reply(b"*-2\r\n", Err(Fault::Count));
    check_reply(b"*1000000000\r\n", Err(too_big("reply", 64, 1_000_000_000)));
    check_reply(b"$65537\r\n", Err(too_big("reply", 65_536, 65_537)));
    let deep = b"*1\r\n".repeat(limits::REPLY_DEPTH_MAX + 1);
    check_reply(&deep, Err(too_big("reply depth", 8, 9)));
    let endless = [b"+".to_vec(), vec![b'x'; limits::REPLY_LINE_BYTES_MAX]].concat();
    assert!(matches!(
        replies(
            &endless,
            4096,
            &mut ReplyReader::new(usize::MAX, usize::MAX)
        ),
        Err(Fault::TooBig { what: "line", .. })
    ));
}

#[test]
fn limits_hold_for_one_reply_and_not_for_all() {
    let mut reader = ReplyReader::new(100, 4);
    let three = b"*3\r\n:1\r\n:2\r\n:3\r\n".repeat(50);
    assert_eq!(
        replies(&three, 11, &mut reader).map(|all| all.len()),
        Ok(50)
    );
    let five = b"*2\r\n*2\r\n:1\r\n:2\r\n:3\r\n";
    assert!(replies(five, 100, &mut reader).is_err());
}

#[test]
fn helpers_look_into_a_reply() {
    assert_eq!(bulk("17").as_int(), Some(17));
    assert_eq!(Reply::Int(3).as_int(), Some(3));
    assert_eq!(Reply::Nil.as_int(), None);
    assert_eq!(bulk("x").as_bytes(), Some(b"x".as_slice()));
    assert!(Reply::Error(b"E".to_vec()).is_error());
    assert_eq!(
        Reply::Array(vec![Reply::Nil])
            .as_array()
            .map(<[Reply]>::len),
        Some(1)
    );
}

#[test]
fn noise_never_panics() {
    let seeds: [&[u8]; 4] = [
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n",
        b"set \"a\\x41\" 'b' c\r\n",
        b"*2\r\n*2\r\n:1\r\n$3\r\nabc\r\n+OK\r\n",
        b"$-1\r\n*-1\r\n-ERR x\r\n:12\r\n",
    ];
    for seed in 1..=20_000_u64 {
        let mut rng = Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut bytes = Vec::new();
        for _ in 0..1 + rng.below(4) {
            bytes.extend_from_slice(seeds[rng.below(4)]);
        }
        for _ in 0..rng.below(5) {
            let place = rng.below(bytes.len());
            bytes[place] = b"*$:+-\r\n\"'\\x0129\xff"[rng.below(16)];
        }
        let size = 1 + rng.below(9);
        let by_pieces = requests(&bytes, size);
        assert_eq!(by_pieces, requests(&bytes, bytes.len()), "seed {seed}");
        let mut reader = ReplyReader::new(64, 8);
        let by_pieces = replies(&bytes, size, &mut reader);
        let at_once = replies(&bytes, bytes.len(), &mut ReplyReader::new(64, 8));
        assert_eq!(by_pieces, at_once, "seed {seed}");
    }
}
