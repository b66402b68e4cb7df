#![expect(
    clippy::cast_possible_truncation,
    reason = "test data is small, or cut on purpose"
)]

use super::*;

/// All decoders, held against each other; the stream in pieces of several sizes.
fn check(data: &[u8], len: usize) -> Result<Vec<u8>, LzfFault> {
    let mut space = vec![0xee; 3];
    let own = decode(data, len, &mut space).map(<[u8]>::to_vec);
    let large = decode_large(data, len);
    assert_eq!(
        own.is_ok(),
        large.is_ok(),
        "{data:?} {len}: {own:?} {large:?}"
    );
    if let (Ok(own), Ok(large)) = (&own, &large) {
        assert_eq!(own, large);
    }
    for piece in [1, 2, 3, 1000, usize::MAX] {
        let streamed = stream(data, len, piece);
        match &own {
            Ok(own) => assert_eq!(streamed.as_ref(), Ok(own)),
            Err(LzfFault::Ratio { .. }) => {}
            Err(_) => assert!(streamed.is_err(), "{data:?} {len}"),
        }
    }
    own
}

fn stream(data: &[u8], len: usize, piece: usize) -> Result<Vec<u8>, LzfFault> {
    let (mut stream, mut out) = (Stream::new(len as u64), Vec::new());
    for part in data.chunks(piece.min(data.len().max(1))) {
        stream.feed(part, |bytes| out.extend_from_slice(bytes))?;
    }
    stream.finish(|bytes| out.extend_from_slice(bytes))?;
    Ok(out)
}

/// A small generator; the same numbers on every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn vectors() {
    assert_eq!(check(b"\x00a", 1), Ok(b"a".to_vec()));
    assert_eq!(check(b"\x02abc", 3), Ok(b"abc".to_vec()));
    // A run of one byte: one literal, then eight bytes from one back.
    assert_eq!(check(b"\x00a\xc0\x00", 9), Ok(b"aaaaaaaaa".to_vec()));
    // Overlapping with a period of two and three, longest short form and shortest long form.
    assert_eq!(check(b"\x01ab\xc0\x01", 10), Ok(b"ababababab".to_vec()));
    assert_eq!(
        check(b"\x02abc\xe0\x00\x02", 12),
        Ok(b"abcabcabcabc".to_vec())
    );
    assert_eq!(check(b"\x00z\xe0\xff\x00", 265), Ok(vec![b'z'; 265]));
}

#[test]
fn damage() {
    assert_eq!(check(b"\x05abc", 6), Err(LzfFault::Input));
    assert_eq!(check(b"\x00a\x20", 4), Err(LzfFault::Input));
    assert_eq!(check(b"\x00a\xe0", 10), Err(LzfFault::Input));
    assert_eq!(check(b"\x00a\xe0\x00", 10), Err(LzfFault::Input));
    assert_eq!(check(b"\x00a\x20\x01", 4), Err(LzfFault::Distance));
    assert_eq!(check(b"\x20\x00", 3), Err(LzfFault::Distance));
    assert_eq!(check(b"\x02abc", 2), Err(LzfFault::Overflow));
    assert_eq!(check(b"\x00a\xc0\x00", 8), Err(LzfFault::Overflow));
    assert_eq!(check(b"\x02abc", 4), Err(LzfFault::Short));
    assert_eq!(
        check(b"\x02abc", 1),
        Err(LzfFault::Ratio {
            compressed: 4,
            len: 1
        })
    );
}

#[test]
fn bombs_are_refused_before_they_are_read() {
    let (compressed, len) = (3, u64::MAX);
    assert_eq!(
        check_ratio(compressed, len),
        Err(LzfFault::Ratio { compressed, len })
    );
    assert_eq!(check_ratio(3, 264 + 3 * 88), Ok(()));
    assert!(check_ratio(3, 264 + 3 * 88 + 1).is_err());
    assert!(check_ratio(u64::MAX, 1).is_err());
    assert!(decode_large(b"\x00a\x20", usize::MAX).is_err());
}

/// Everything the crate compresses comes back, from noise to runs, in every size class.
#[test]
fn what_the_crate_compresses() {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let mut whole = 0;
    for round in 0..400_usize {
        let len = 30 + (noise.next() as usize) % [50, 300, 5000, 70_000][round % 4];
        let alphabet = [1, 2, 5, 60][round / 4 % 4];
        let stride = 1 + round % 40;
        let mut data: Vec<u8> = Vec::with_capacity(len);
        while data.len() < len {
            // Now and then a piece of what was there before.
            if noise.next().is_multiple_of(7) && data.len() > stride {
                let from = data.len() - stride;
                data.extend_from_within(from..);
            } else {
                data.push((noise.next() % alphabet) as u8);
            }
        }
        if let Ok(squeezed) = ::lzf::compress(&data) {
            whole += 1;
            assert_eq!(check(&squeezed, data.len()).as_ref(), Ok(&data));
        }
    }
    assert!(whole > 200, "{whole}");
}

/// The decoders agree on what is good and on what it means, for any input.
#[test]
fn noise() {
    let mut noise = Noise(88_172_645_463_325_252);
    let mut good = 0;
    for _ in 0..200_000 {
        let mut data: Vec<u8> = (0..1 + noise.next() % 12)
            .map(|_| noise.next() as u8)
            .collect();
        // Mostly short literals and references, so that some of it makes sense.
        data[0] %= 4;
        let len = 1 + (noise.next() % 24) as usize;
        good += usize::from(check(&data, len).is_ok());
    }
    assert!(good > 100, "{good}");
}
