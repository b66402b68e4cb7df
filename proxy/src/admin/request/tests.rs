//! The guard and the decoder on what a client may send, cut anywhere.

use super::super::guard::{LOCKED, OPEN};
use super::*;

/// Feeds `input` in pieces that end at `cuts`; the requests, or the refusal.
fn feed(input: &[u8], step: usize, limits: &Limits) -> Result<Vec<Vec<Bytes>>, Refusal> {
    let mut guard = Guard::new();
    let mut buffer = BytesMut::new();
    let mut requests = Vec::new();
    for piece in input.chunks(step.max(1)) {
        buffer.extend_from_slice(piece);
        while let Some(request) = take(&mut guard, &mut buffer, limits)? {
            requests.push(request.args);
        }
    }
    Ok(requests)
}

#[track_caller]
fn accepts(input: &[u8], expect: &[&[&str]]) {
    let expect: Vec<Vec<Bytes>> = expect
        .iter()
        .map(|args| {
            args.iter()
                .map(|arg| Bytes::copy_from_slice(arg.as_bytes()))
                .collect()
        })
        .collect();
    for step in 1..=input.len() {
        assert_eq!(
            feed(input, step, &OPEN),
            Ok(expect.clone()),
            "in pieces of {step}"
        );
    }
}

#[track_caller]
fn refuses(input: &[u8], limits: &Limits, refusal: Refusal) {
    for step in [1, 2, 3, 7, 64, input.len()] {
        assert_eq!(
            feed(input, step, limits),
            Err(refusal),
            "in pieces of {step}"
        );
    }
}

#[test]
fn requests_are_the_same_however_they_are_cut() {
    accepts(b"*1\r\n$4\r\nPING\r\n", &[&["PING"]]);
    accepts(
        b"*2\r\n$4\r\nECHO\r\n$6\r\na\r\n*$b\r\n*0\r\n*-1\r\n*1\r\n$0\r\n\r\nPING\r\n\r\n\nTIME\n",
        &[&["ECHO", "a\r\n*$b"], &[""], &["PING"], &["TIME"]],
    );
    accepts(
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\nPING",
        &[&["SET", "a", "b"]],
    );
}

#[test]
fn inline_requests_are_split_as_redis_cli_splits_them() {
    accepts(b"  echo   a\tb  \r\n", &[&["echo", "a", "b"]]);
    accepts(br#"echo "a b" 'c d' "\x41\n\"" '\'' """#, &[]);
    accepts(
        b"echo \"a b\" 'c d' \"\\x41\\n\\\"\" '\\'' \"\"\r\n",
        &[&["echo", "a b", "c d", "A\n\"", "'", ""]],
    );
    for open in [
        "echo \"a\r\n",
        "echo 'a\r\n",
        "echo \"a\"b\r\n",
        "echo 'a'b\r\n",
        "\"\\\r\n",
    ] {
        refuses(open.as_bytes(), &OPEN, Refusal::Quotes);
    }
}

#[test]
fn hostile_numbers_are_refused_before_anything_waits_for_them() {
    refuses(b"*1000000000\r\n", &OPEN, Refusal::Count);
    refuses(b"*11\r\n", &LOCKED, Refusal::CountLocked);
    refuses(b"*9223372036854775808\r\n", &OPEN, Refusal::Count);
    refuses(b"*x\r\n", &OPEN, Refusal::Count);
    refuses(b"*\r\n", &OPEN, Refusal::Count);
    refuses(b"*1\r\n$1048577\r\n", &OPEN, Refusal::Length);
    refuses(b"*1\r\n$9223372036854775807\r\n", &OPEN, Refusal::Length);
    refuses(b"*1\r\n$-1\r\n", &OPEN, Refusal::Length);
    refuses(b"*1\r\n$16385\r\n", &LOCKED, Refusal::LengthLocked);
    refuses(b"*1\r\n$1\r\nabc", &OPEN, Refusal::Terminator);
    refuses(b"*1\r\n:1\r\n", &OPEN, Refusal::NotBulk(b':'));
    refuses(
        &[b"*".as_slice(), &[b'1'; 64]].concat(),
        &OPEN,
        Refusal::Header,
    );
    refuses(&vec![b'a'; 70_000], &OPEN, Refusal::Inline);
    refuses(&vec![b'a'; 17_000], &LOCKED, Refusal::Inline);
}

#[test]
fn arguments_together_are_bounded() {
    let mut input = b"*64\r\n".to_vec();
    for _ in 0..64 {
        input.extend_from_slice(b"$131072\r\n");
        input.resize(input.len() + 131_072, b'a');
        input.extend_from_slice(b"\r\n");
    }
    assert_eq!(feed(&input, 65_536, &OPEN), Err(Refusal::Total));
}

#[test]
fn nesting_is_refused_at_the_first_level() {
    refuses(
        "*1\r\n".repeat(1_000_000).as_bytes(),
        &OPEN,
        Refusal::NotBulk(b'*'),
    );
    refuses(b"*2\r\n$1\r\na\r\n*1\r\n", &OPEN, Refusal::NotBulk(b'*'));
}

#[test]
fn a_request_of_many_reads_is_scanned_once() {
    // 40,000 arguments byte by byte: quadratic scanning would take minutes.
    let mut input = b"*40000\r\n".to_vec();
    input.extend_from_slice("$1\r\na\r\n".repeat(40_000).as_bytes());
    let requests = feed(&input, 1, &OPEN).expect("within the limits");
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].len(), 40_000);
}

/// Any bytes, mostly of the protocol's own alphabet: never a panic, never more than the limits let
/// through, and the same requests whether they come whole or byte by byte.
#[test]
fn random_input_is_taken_the_same_in_any_pieces() {
    const ALPHABET: &[u8] = b"*$\r\n0123-\"'\\x ab:+\0";
    const PIECES: [&str; 8] = [
        "*1\r\n", "$1\r\n", "a\r\n", "*2\r\n", "$-1\r\n", "\r\n", "PING\r\n", "*0\r\n",
    ];
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    for _ in 0..30_000 {
        let mut input = Vec::new();
        for _ in 0..next(12) {
            match next(3) {
                0 => input.push(ALPHABET[next(ALPHABET.len())]),
                _ => input.extend_from_slice(PIECES[next(PIECES.len())].as_bytes()),
            }
        }
        let whole = feed(&input, input.len(), &LOCKED);
        assert_eq!(feed(&input, 1, &LOCKED), whole, "{}", input.escape_ascii());
        assert_eq!(feed(&input, 3, &LOCKED), whole, "{}", input.escape_ascii());
    }
}
