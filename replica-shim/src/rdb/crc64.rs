//! The checksum at the end of a file: CRC-64 with the polynomial of David Jones.
//!
//! ```text
//!   width 64, polynomial 0xad93d23594c935a9, reflected, init 0, no final xor
//!   check ("123456789") = 0xe9c6d914c4b8d9ca
//! ```
//!
//! Not the ECMA/XZ polynomial of the same width. The tables are worked out once per process.

use crc_fast::{CrcParams, Digest};
use std::sync::OnceLock;

static PARAMS: OnceLock<CrcParams> = OnceLock::new();

fn params() -> CrcParams {
    *PARAMS.get_or_init(|| {
        CrcParams::new(
            "CRC-64/REDIS",
            64,
            0xad93_d235_94c9_35a9,
            0,
            true,
            0,
            0xe9c6_d914_c4b8_d9ca,
        )
    })
}

/// A checksum under way.
#[derive(Debug, Clone)]
pub(super) struct Crc64(Box<Digest>);

impl Crc64 {
    pub(super) fn new() -> Self {
        Crc64(Box::new(Digest::new_with_params(params())))
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.finalize()
    }
}

/// The checksum of bytes that are all there.
pub(super) fn of(bytes: &[u8]) -> u64 {
    let mut crc = Crc64::new();
    crc.update(bytes);
    crc.value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_vectors() {
        assert_eq!(of(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(of(b""), 0);
        // Any cut gives the same sum, short and long enough for the vector path.
        let bytes: Vec<u8> = (0..5000_u32)
            .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
            .collect();
        let whole = of(&bytes);
        for cut in [0, 1, 7, 127, 128, 129, 1024, 4999, 5000] {
            let mut crc = Crc64::new();
            crc.update(&bytes[..cut]);
            crc.update(&bytes[cut..]);
            assert_eq!(crc.value(), whole);
        }
        assert_eq!(whole, bitwise(&bytes));
    }

    /// The definition, bit by bit.
    fn bitwise(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0, |crc, &byte| {
            (0..8).fold(crc ^ u64::from(byte), |crc, _| {
                (crc >> 1) ^ (0x95ac_9329_ac4b_c9b5 & 0_u64.wrapping_sub(crc & 1))
            })
        })
    }
}
