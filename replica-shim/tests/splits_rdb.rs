//! However the input is cut, the items are the same; however it is damaged, there is an answer.

mod rdb_files;
mod rdb_text;

use rdb_files::{Lines, data_files};
use replica_shim::rdb::{CONTIGUOUS_MAX, Decoder, Error, payload};

/// Feeds pieces that end at the cuts, the way a caller does: what is left over goes in front of the
/// next piece.
fn decode(bytes: &[u8], cuts: impl Iterator<Item = usize>) -> Result<Vec<String>, Error> {
    let mut lines = Lines::default();
    let mut decoder = Decoder::new(1);
    let mut at = 0;
    for cut in cuts.chain([bytes.len()]) {
        at += decoder.feed(&bytes[at..cut], &mut lines)?;
        assert!(cut - at < CONTIGUOUS_MAX, "no more is left than was said");
        assert_eq!(decoder.position(), at as u64);
    }
    if decoder.is_done() {
        Ok(lines.0)
    } else {
        Err(decoder.truncated())
    }
}

#[test]
fn cuts_do_not_matter() {
    for path in data_files("rdb") {
        let bytes = std::fs::read(&path).expect("listed a moment ago");
        let whole = decode(&bytes, std::iter::empty()).expect("a file of a real server");
        assert_eq!(
            decode(&bytes, 0..bytes.len()).as_ref(),
            Ok(&whole),
            "{}",
            path.display()
        );
        for cut in (0..bytes.len()).step_by(1 + bytes.len() / 400) {
            let parts = decode(&bytes, [cut].into_iter());
            assert_eq!(parts.as_ref(), Ok(&whole), "{} at {cut}", path.display());
        }
    }
}

#[test]
fn cut_off_files_are_truncated() {
    for path in data_files("rdb") {
        let bytes = std::fs::read(&path).expect("listed a moment ago");
        for end in (0..bytes.len()).step_by(1 + bytes.len() / 400) {
            let error = decode(&bytes[..end], std::iter::empty()).expect_err("not whole");
            assert_eq!(
                error.kind,
                replica_shim::rdb::ErrorKind::Truncated,
                "{}",
                path.display()
            );
        }
    }
}

/// No flipped bit goes unnoticed where there is a checksum, and none does harm where there is not.
#[test]
fn flipped_bits() {
    for path in data_files("rdb") {
        let mut bytes = std::fs::read(&path).expect("listed a moment ago");
        let is_summed = bytes.last_chunk::<8>() != Some(&[0; 8]);
        // From the version on: an older version has no checksum.
        for bit in (9 * 8..bytes.len() * 8).step_by(13) {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let outcome = decode(&bytes, std::iter::empty());
            assert!(
                outcome.is_err() || !is_summed,
                "{} bit {bit}",
                path.display()
            );
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

/// The same with the checksum left out, so that the damage reaches the parsers, and with bytes
/// replaced by those that mean something.
#[test]
fn damage_without_a_checksum() {
    let one_of_each = [
        "types_redis62_v9.rdb",
        "types_redis80_v12.rdb",
        "types_valkey91_v80.rdb",
    ];
    for path in data_files("rdb") {
        if !one_of_each.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        let mut bytes = std::fs::read(&path).expect("listed a moment ago");
        let end = bytes.len() - 8;
        bytes[end..].fill(0);
        for at in 9..end {
            let before = bytes[at];
            for byte in [0, 0x40, 0x81, 0xc3, 0xff] {
                bytes[at] = byte;
                let whole = decode(&bytes, std::iter::empty());
                if at % 11 == 0 {
                    assert_eq!(
                        decode(&bytes, (at..end).step_by(97)),
                        whole,
                        "{}",
                        path.display()
                    );
                }
            }
            bytes[at] = before;
        }
    }
}

#[test]
fn damaged_payloads_are_refused() {
    for path in data_files("dump") {
        let mut bytes = std::fs::read(&path).expect("listed a moment ago");
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(payload(1, &bytes, &mut Lines::default()).is_err());
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for end in 0..bytes.len() {
            assert!(payload(1, &bytes[..end], &mut Lines::default()).is_err());
        }
    }
}
