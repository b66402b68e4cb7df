//! A DUMP payload, with a right and a wrong footer, whole and in pieces.
#![no_main]

mod seen;

use crc_fast::{CrcParams, checksum_with_params};
use libfuzzer_sys::fuzz_target;
use replica_shim::rdb::{Decoder, ErrorKind, Family, Item, Sink, payload};
use seen::Seen;
use std::sync::LazyLock;

static JONES: LazyLock<CrcParams> = LazyLock::new(|| {
    CrcParams::new(
        "CRC-64/REDIS",
        64,
        0xad93_d235_94c9_35a9,
        0,
        true,
        0,
        0xe9c6_d914_c4b8_d9ca,
    )
});

fuzz_target!(|data: &[u8]| {
    let as_given = payload(1, data, &mut Seen::new()).is_ok();
    // The last two bytes are the version; the checksum is made right.
    let mut bytes = data.to_vec();
    bytes.extend(checksum_with_params(*JONES, data).to_le_bytes());
    let mut whole = Seen::new();
    // A payload in pieces has no header: its version stands at its end.
    let mut sink = |item: Item<'_>| {
        if !matches!(item, Item::Header(_)) {
            whole.item(item);
        }
    };
    let outcome = payload(1, &bytes, &mut sink);
    assert!(!as_given || data.len() >= 10);

    let family = match data
        .last_chunk::<2>()
        .map(|bytes| u16::from_le_bytes(*bytes))
    {
        Some(80..) => Family::Valkey,
        _ => Family::Redis,
    };
    let mut decoder = Decoder::payload(1, bytes.len() as u64, family).with_tail_limit(0);
    let (mut parts, mut at) = (Seen::new(), 0);
    for end in 0..=bytes.len() {
        match decoder.feed(&bytes[at..end], &mut parts) {
            Ok(taken) => at += taken,
            Err(error) => {
                // Damage in a long compressed string is found before the rest of its item is there.
                let is_early = matches!(error.kind, ErrorKind::Lzf(_)) && outcome.is_err();
                assert!(is_early || outcome == Err(error), "{outcome:?} {error:?}");
                return;
            }
        }
    }
    assert_eq!(outcome.is_ok(), decoder.is_done());
    assert!(outcome.is_err() || whole.digest() == parts.digest());
});
