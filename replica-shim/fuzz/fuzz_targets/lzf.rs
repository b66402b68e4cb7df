//! A compressed element against the lzf crate: both take it or neither, and to the same bytes. Long
//! ones, which are digested through a window, likewise.
#![no_main]

use libfuzzer_sys::fuzz_target;
use replica_shim::rdb::{Decoder, Item};
use replica_shim::text::Text;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Some declared lengths are above what is kept.
const LONG: u32 = (1 << 20) + 1;

fn check(data: &[u8], len: u32) {
    let mut bytes = b"REDIS0012\x02\x01k\x01\xc3\x80".to_vec();
    bytes.extend(
        u32::try_from(data.len())
            .expect("inputs are small")
            .to_be_bytes(),
    );
    bytes.push(0x80);
    bytes.extend(len.to_be_bytes());
    bytes.extend(data);
    let expected = lzf::decompress(data, len as usize)
        .ok()
        .filter(|out| out.len() == len as usize);
    let mut is_right = false;
    let mut sink = |item: Item<'_>| {
        if let (Item::Element(text), Some(expected)) = (item, &expected) {
            is_right = match text {
                Text::Bytes(bytes) => bytes == &expected[..],
                Text::Long { len, digest } => {
                    len == expected.len() as u64 && digest == xxh3_64_with_seed(expected, 1)
                }
                Text::Int(_) => false,
            };
        }
    };
    let outcome = Decoder::new(1).feed(&bytes, &mut sink);
    if len > 0 && !data.is_empty() {
        assert_eq!(outcome.is_ok(), expected.is_some(), "{outcome:?}");
        assert_eq!(is_right, expected.is_some());
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((len, data)) = data.split_first_chunk::<2>() else {
        return;
    };
    let len = u16::from_le_bytes(*len);
    check(data, u32::from(len));
    // The length at which it is right, if there is one: found by the crate.
    for guess in 1..=data.len() * 3 {
        let guess = u32::try_from(guess).expect("inputs are small");
        if guess > 40 {
            break;
        }
        check(data, guess);
    }
    // Long ones take a millisecond: one input in two hundred and fifty-six.
    if !data.is_empty() && xxh3_64_with_seed(data, 0) & 0xff == 0 {
        // The input, repeated until it is long, compressed; then damaged in one place.
        let content: Vec<u8> = data
            .iter()
            .copied()
            .cycle()
            .take((LONG + u32::from(len)) as usize)
            .collect();
        let mut squeezed = lzf::compress(&content).expect("it repeats itself");
        check(&squeezed, LONG + u32::from(len));
        let at = usize::from(len) * 7 % squeezed.len();
        squeezed[at] ^= data[0] | 1;
        check(&squeezed, LONG + u32::from(len));
    }
});
