//! A whole file: no panic, and the same items and the same answer however the input is cut and
//! however little is left to the caller.
#![no_main]

mod seen;

use libfuzzer_sys::fuzz_target;
use replica_shim::rdb::{CONTIGUOUS_MAX, Decoder, Error, ErrorKind};
use seen::Seen;

fn decode(bytes: &[u8], step: usize, tail_limit: usize) -> (u64, Result<bool, Error>) {
    let mut decoder = Decoder::new(1).with_tail_limit(tail_limit);
    let (mut seen, mut at) = (Seen::new(), 0);
    for end in (0..bytes.len()).step_by(step).chain([bytes.len()]) {
        match decoder.feed(&bytes[at..end], &mut seen) {
            Ok(taken) => at += taken,
            Err(error) => return (seen.digest(), Err(error)),
        }
        assert!(decoder.is_done() || end - at < tail_limit.max(512));
    }
    (seen.digest(), Ok(decoder.is_done()))
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    let step = 1 + usize::from(choice >> 2) * 3;
    // Three in four inputs need not find a magic first.
    let magic: &[u8] =
        [&b""[..], b"REDIS0012", b"VALKEY080", b"REDIS0003"][usize::from(choice & 3)];
    let bytes = [magic, rest].concat();
    let whole = decode(&bytes, bytes.len().max(1), CONTIGUOUS_MAX);
    assert_eq!(decode(&bytes, step, CONTIGUOUS_MAX), whole);
    let gathered = decode(&bytes, step, 0);
    // A long compressed string is decompressed while it is gathered, so that damage in it is found
    // before the rest of the item is there.
    if matches!(
        gathered.1,
        Err(Error {
            kind: ErrorKind::Lzf(_),
            ..
        })
    ) {
        assert_eq!(gathered.0, whole.0);
        assert_ne!(whole.1, Ok(true));
    } else {
        assert_eq!(gathered, whole);
    }
});
