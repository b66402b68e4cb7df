//! The text of a string argument or element, as far as a reader without values needs it.
//!
//! A server writes the same element in three ways: as bytes, as a packed integer, or as bytes too
//! many to keep. All three mean a byte string; [`Text`] says which bytes without building them.
//! The digest of a [`Text::Long`] is seeded XXH3, computed while the bytes stream by, so that the
//! same element has the same digest whether it came in a snapshot or in the command stream.
//!
//! This file also holds the one rule that decides whether a text *is* an integer: the canonical
//! decimal of a signed 64-bit number, which is what servers pack (`string2ll`: no plus sign, no
//! leading zero, no "-0").

use crate::limits::LONG_BYTES;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// One string of the data set, never copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text<'a> {
    /// The bytes themselves; they may well spell a number.
    Bytes(&'a [u8]),
    /// The canonical decimal of this number.
    Int(i64),
    /// A string above [`LONG_BYTES`] that was not kept.
    Long {
        /// Its length in bytes.
        len: u64,
        /// XXH3-64 of its bytes with the reader's seed. Zero for the value of a hash field, which
        /// nobody compares.
        digest: u64,
    },
}

/// The most characters that a canonical 64-bit decimal has.
pub const DECIMAL_LEN_MAX: usize = 20;

impl<'a> Text<'a> {
    /// The text of whole bytes that are at hand: digested if they are too long to be kept.
    #[inline]
    pub fn of(bytes: &'a [u8], seed: u64) -> Self {
        if bytes.len() <= LONG_BYTES {
            Text::Bytes(bytes)
        } else {
            Text::Long {
                len: bytes.len() as u64,
                digest: xxh3_64_with_seed(bytes, seed),
            }
        }
    }

    /// Length in bytes of the string this stands for.
    #[inline]
    pub fn len(&self) -> u64 {
        match *self {
            Text::Bytes(bytes) => bytes.len() as u64,
            Text::Int(number) => decimal_len(number),
            Text::Long { len, .. } => len,
        }
    }

    /// Whether it is the empty string.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number, if the text is the canonical decimal of one.
    #[inline]
    pub fn int(&self) -> Option<i64> {
        match *self {
            Text::Bytes(bytes) => decimal(bytes),
            Text::Int(number) => Some(number),
            Text::Long { .. } => None,
        }
    }

    /// The bytes, if they are at hand.
    #[inline]
    pub fn bytes(&self) -> Option<&'a [u8]> {
        match *self {
            Text::Bytes(bytes) => Some(bytes),
            Text::Int(_) | Text::Long { .. } => None,
        }
    }
}

/// The number whose canonical decimal this is.
#[inline]
pub fn decimal(text: &[u8]) -> Option<i64> {
    let (&first, rest) = text.split_first()?;
    // Most strings are ruled out by their first byte or their length.
    if !(first.is_ascii_digit() || first == b'-') || text.len() > DECIMAL_LEN_MAX {
        return None;
    }
    let (negative, digits) = if first == b'-' {
        (true, rest)
    } else {
        (false, text)
    };
    let magnitude = magnitude(digits)?;
    match (negative, magnitude) {
        (true, 0) => None,
        (true, _) => 0_i64.checked_sub_unsigned(magnitude),
        (false, _) => i64::try_from(magnitude).ok(),
    }
}

fn magnitude(digits: &[u8]) -> Option<u64> {
    let (&first, rest) = digits.split_first()?;
    if first == b'0' && !rest.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Length of the canonical decimal of a number.
#[inline]
pub fn decimal_len(number: i64) -> u64 {
    let sign = u64::from(number < 0);
    let digits = number.unsigned_abs().checked_ilog10().unwrap_or(0);
    sign.saturating_add(1).saturating_add(u64::from(digits))
}

/// Replaces the content of `out` by the canonical decimal of a number.
pub(crate) fn write_decimal(number: i64, out: &mut Vec<u8>) {
    out.clear();
    let mut left = number.unsigned_abs();
    loop {
        // A remainder of ten is below ten.
        out.push(b'0'.wrapping_add(u8::try_from(left % 10).unwrap_or(0)));
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.reverse();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_decimals_are_numbers() {
        for number in [
            0,
            7,
            -1,
            10,
            99,
            100,
            -100,
            i64::MAX,
            i64::MIN,
            1_234_567_890_123,
        ] {
            let text = number.to_string();
            assert_eq!(decimal(text.as_bytes()), Some(number));
            assert_eq!(decimal_len(number), text.len() as u64);
            let mut out = vec![1, 2, 3];
            write_decimal(number, &mut out);
            assert_eq!(out, text.as_bytes());
        }
        for text in [
            "",
            "-",
            "-0",
            "00",
            "01",
            "-01",
            "+1",
            " 1",
            "1 ",
            "1.0",
            "a",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
            "123456789012345678901",
        ] {
            assert_eq!(decimal(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn long_texts_are_digested() {
        let bytes = vec![7_u8; LONG_BYTES + 1];
        let Text::Long { len, digest } = Text::of(&bytes, 5) else {
            panic!("kept")
        };
        assert_eq!(len, bytes.len() as u64);
        assert_eq!(digest, xxh3_64_with_seed(&bytes, 5));
        assert_eq!(Text::of(&bytes[1..], 5), Text::Bytes(&bytes[1..]));
    }
}
