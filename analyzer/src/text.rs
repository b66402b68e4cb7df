//! A string argument or element as the caller holds it: bytes, an integer that was never text on
//! the wire, or only the length and digest of something too long to keep.
//!
//! The digest is `xxh3_64` keyed with the process's random seed. The replication link computes the
//! same function over the same seed while it streams past a long string, so an element has one
//! digest wherever it came from: RDB, command stream or re-read.

use std::borrow::Cow;

/// Longest decimal form of an `i64`: sign and 19 digits.
pub const INT_TEXT_MAX: usize = 20;

/// A string as it came from a server. Borrowed; the model keeps lengths and digests only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text<'a> {
    /// The bytes themselves.
    Bytes(&'a [u8]),
    /// A canonical decimal integer, stored as a number in a packed blob.
    Int(i64),
    /// A string too long to be kept: its length in bytes and its keyed digest.
    Long {
        /// Bytes.
        len: u64,
        /// `xxh3_64` with the process's seed.
        digest: u64,
    },
}

impl<'a> Text<'a> {
    /// Length in bytes of the text form.
    #[inline]
    pub fn len(&self) -> u64 {
        match self {
            Text::Bytes(bytes) => bytes.len() as u64,
            Text::Int(n) => decimal_len(*n),
            Text::Long { len, .. } => *len,
        }
    }

    /// True for the empty string.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The integer that this text is the canonical decimal form of (Redis `string2ll`).
    #[inline]
    pub fn int(&self) -> Option<i64> {
        match self {
            Text::Bytes(bytes) => canonical_int(bytes),
            Text::Int(n) => Some(*n),
            Text::Long { .. } => None,
        }
    }

    /// Keyed digest of the text form.
    #[inline]
    pub fn digest(&self, seed: u64) -> u64 {
        match self {
            Text::Bytes(bytes) => digest(bytes, seed),
            Text::Int(n) => digest(Decimal::new(*n).as_bytes(), seed),
            Text::Long { digest, .. } => *digest,
        }
    }

    /// The bytes, where they were kept.
    pub fn bytes(&self) -> Option<Cow<'a, [u8]>> {
        match self {
            Text::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
            Text::Int(n) => Some(Cow::Owned(Decimal::new(*n).as_bytes().to_vec())),
            Text::Long { .. } => None,
        }
    }

    /// True if the text equals `word` but for ASCII case; `word` is upper case.
    pub fn is(&self, word: &str) -> bool {
        match self {
            Text::Bytes(bytes) => bytes.eq_ignore_ascii_case(word.as_bytes()),
            Text::Int(_) | Text::Long { .. } => false,
        }
    }
}

/// The keyed digest that fingerprints elements and places keys.
pub fn digest(bytes: &[u8], seed: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(bytes, seed)
}

/// Parses the canonical decimal form of an `i64`: no plus, no leading zero, no `-0`.
#[inline]
pub fn canonical_int(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, bytes),
    };
    match digits {
        [] => return None,
        [b'0'] if !negative => return Some(0),
        [b'0', ..] => return None,
        _ if digits.len() > 19 => return None,
        _ => {}
    }
    let mut value: u64 = 0;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // 19 digits stay below 10^19, which fits u64.
        value = value * 10 + u64::from(digit);
    }
    if negative {
        0i64.checked_sub_unsigned(value)
    } else {
        i64::try_from(value).ok()
    }
}

/// Length of the decimal form of `n`, sign included.
#[inline]
pub fn decimal_len(n: i64) -> u64 {
    let digits = n.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1);
    u64::from(digits) + u64::from(n < 0)
}

/// The decimal form of an integer on the stack.
pub struct Decimal {
    buffer: [u8; INT_TEXT_MAX],
    start: usize,
}

impl Decimal {
    /// Formats `n`.
    pub fn new(n: i64) -> Decimal {
        let mut buffer = [0; INT_TEXT_MAX];
        let mut start = INT_TEXT_MAX;
        let mut rest = n.unsigned_abs();
        loop {
            start -= 1;
            // A remainder by ten is one digit.
            buffer[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if n < 0 {
            start -= 1;
            buffer[start] = b'-';
        }
        Decimal { buffer, start }
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_integers_are_those_of_string2ll() {
        for n in [0, 1, -1, 9, 10, 127, -128, 4096, i64::MAX, i64::MIN] {
            let text = n.to_string();
            assert_eq!(canonical_int(text.as_bytes()), Some(n));
            assert_eq!(Decimal::new(n).as_bytes(), text.as_bytes());
            assert_eq!(decimal_len(n), text.len() as u64);
            assert_eq!(
                Text::Int(n).digest(7),
                Text::Bytes(text.as_bytes()).digest(7)
            );
        }
        for text in [
            "",
            "-",
            "-0",
            "+1",
            "007",
            " 1",
            "1 ",
            "9223372036854775808",
            "1e3",
            "12345678901234567890",
        ] {
            assert_eq!(canonical_int(text.as_bytes()), None, "{text}");
        }
    }
}
