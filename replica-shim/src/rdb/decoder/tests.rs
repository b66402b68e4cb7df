//! Gathering part by part gives what parsing in place gives.
//!
//! With a limit of 0 for what is left to the caller, every item that a cut divides is gathered, down
//! to single bytes; that happens in the field only to items above 64 KiB.

use super::*;
use std::path::PathBuf;

fn files() -> Vec<Vec<u8>> {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let entries = std::fs::read_dir(data).expect("tests/data is part of the crate");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rdb"));
    files.sort();
    files
        .iter()
        .map(|path| std::fs::read(path).expect("readable"))
        .collect()
}

/// Items as text, and the error if one ended it.
fn decode(
    mut decoder: Decoder,
    bytes: &[u8],
    step: usize,
) -> (Vec<String>, Result<bool, Error>, usize) {
    let (mut seen, mut at, mut most_left) = (Vec::new(), 0, 0);
    for end in (0..bytes.len()).step_by(step).chain([bytes.len()]) {
        let mut sink = |item: Item<'_>| seen.push(format!("{item:?}"));
        match decoder.feed(&bytes[at..end], &mut sink) {
            Ok(taken) => at += taken,
            Err(error) => return (seen, Err(error), most_left),
        }
        most_left = most_left.max(end - at);
    }
    let done = decoder.is_done();
    (seen, Ok(done), most_left)
}

#[test]
fn gathered_items_are_the_same() {
    for bytes in files() {
        let (whole, done, _) = decode(Decoder::new(1), &bytes, bytes.len());
        assert_eq!(done, Ok(true));
        for step in [1, 2, 3, 7, 64, 1000] {
            for contiguous in [0, 5, 40] {
                let decoder = Decoder::new(1).with_tail_limit(contiguous);
                let (seen, done, left) = decode(decoder, &bytes, step);
                assert_eq!(done, Ok(true), "step {step} contiguous {contiguous}");
                assert_eq!(seen, whole, "step {step} contiguous {contiguous}");
                assert!(left < 40 + 16, "{left} left");
            }
        }
    }
}

/// Damage is found in the same place with the same words, but for what a gathered header of a string
/// can know earlier.
#[test]
fn gathered_damage_is_the_same() {
    let mut bytes = files().swap_remove(0);
    let end = bytes.len() - 8;
    bytes[end..].fill(0);
    for at in 9..end {
        let before = bytes[at];
        for byte in [0, 0x40, 0x81, 0xc3, 0xff] {
            bytes[at] = byte;
            let whole = decode(Decoder::new(1), &bytes, bytes.len());
            let parts = decode(Decoder::new(1).with_tail_limit(0), &bytes, 1);
            assert_eq!(parts.1, whole.1, "at {at} {byte}");
            assert_eq!(parts.0, whole.0, "at {at} {byte}");
        }
        bytes[at] = before;
    }
}

#[test]
fn nothing_is_allocated_on_the_word_of_a_length() {
    // Half a gibibyte of key, of blob and of compressed element, announced and not sent.
    for body in [
        &b"\x00\x80\x1f\xff\xff\xff"[..],
        b"\x10\x01k\x80\x1f\xff\xff\xff",
        b"\x02\x01k\x01\xc3\x80\x10\x00\x00\x00\x80\x1f\xff\xff\xff",
    ] {
        let bytes = [b"REDIS0012", body].concat();
        let mut decoder = Decoder::new(1).with_tail_limit(0);
        assert_eq!(decoder.feed(&bytes, &mut |_: Item<'_>| {}), Ok(bytes.len()));
        assert!(decoder.gather.is_some());
        assert_eq!(decoder.feed(&[0; 1000], &mut |_: Item<'_>| {}), Ok(1000));
        assert_eq!(decoder.truncated().kind, ErrorKind::Truncated);
    }
}
