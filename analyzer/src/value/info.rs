//! What is kept of an element's text: its length and its integer class, in one byte where it can be.
//!
//! The pair gives the listpack entry size and the sds block, so every encoding and every later
//! conversion can be sized from it. Hash values that are integers are kept as numbers instead
//! (`put_number`), because HINCRBY cannot be applied otherwise.
//!
//! ```text
//! first byte   then          meaning
//! 0x00..=0xBF                text of that many bytes (0..=191)
//! 0xC0..=0xDD                integer: class and decimal length, see `INT_FORMS`
//! 0xDE         u16le         text of that many bytes
//! 0xDF         u64le         text of that many bytes
//! 0xE0..=0xE8  0..=8 bytes   integer by value, little-endian, sign-extended (hash values only)
//! ```

use crate::size::{self, IntClass};
use crate::text::{Text, canonical_int, decimal_len};

/// Length and integer class of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Bytes of the text form.
    pub len: u64,
    /// Integer class; `IntClass::Text` if it is not a canonical integer.
    pub class: IntClass,
    /// The number, where it was kept (`put_number`).
    pub number: Option<i64>,
}

/// Every (class, decimal length) that a canonical integer can have, in code order.
const INT_FORMS: [(IntClass, u8); 30] = [
    (IntClass::Uint7, 1),
    (IntClass::Uint7, 2),
    (IntClass::Uint7, 3),
    (IntClass::Int13, 2),
    (IntClass::Int13, 3),
    (IntClass::Int13, 4),
    (IntClass::Int13, 5),
    (IntClass::Int16, 4),
    (IntClass::Int16, 5),
    (IntClass::Int16, 6),
    (IntClass::Int24, 5),
    (IntClass::Int24, 6),
    (IntClass::Int24, 7),
    (IntClass::Int24, 8),
    (IntClass::Int32, 7),
    (IntClass::Int32, 8),
    (IntClass::Int32, 9),
    (IntClass::Int32, 10),
    (IntClass::Int32, 11),
    (IntClass::Int64, 10),
    (IntClass::Int64, 11),
    (IntClass::Int64, 12),
    (IntClass::Int64, 13),
    (IntClass::Int64, 14),
    (IntClass::Int64, 15),
    (IntClass::Int64, 16),
    (IntClass::Int64, 17),
    (IntClass::Int64, 18),
    (IntClass::Int64, 19),
    (IntClass::Int64, 20),
];

const SHORT_MAX: u64 = 0xBF;
const INT_FIRST: u8 = 0xC0;
const LEN16: u8 = 0xDE;
const LEN64: u8 = 0xDF;
const NUMBER_FIRST: u8 = 0xE0;
const NUMBER_LAST: u8 = 0xE8;

impl Info {
    /// What is kept of `text`.
    #[inline]
    pub fn of(text: &Text<'_>) -> Info {
        match text {
            Text::Bytes(bytes) => match canonical_int(bytes) {
                Some(n) => Info {
                    len: bytes.len() as u64,
                    class: IntClass::of(n),
                    number: None,
                },
                None => Info::text(bytes.len() as u64),
            },
            Text::Int(n) => Info {
                number: None,
                ..Info::number(*n)
            },
            Text::Long { len, .. } => Info::text(*len),
        }
    }

    /// A text of `len` bytes that is no integer.
    #[inline]
    pub fn text(len: u64) -> Info {
        Info {
            len,
            class: IntClass::Text,
            number: None,
        }
    }

    /// An integer whose value is kept.
    #[inline]
    pub fn number(n: i64) -> Info {
        Info {
            len: decimal_len(n),
            class: IntClass::of(n),
            number: Some(n),
        }
    }

    /// True if the text is a canonical integer.
    pub fn number_class(&self) -> bool {
        self.class != IntClass::Text
    }

    /// Bytes of its listpack entry.
    #[inline]
    pub fn listpack_entry(&self) -> u64 {
        size::listpack_entry(self.len, self.class)
    }

    /// The packed form, if it is the usual one byte of a text.
    #[inline]
    pub fn short(&self) -> Option<u8> {
        if self.class != IntClass::Text || self.len > SHORT_MAX {
            return None;
        }
        u8::try_from(self.len).ok()
    }

    /// Appends the packed form; `number` is kept if it is there.
    pub fn put(&self, out: &mut impl Extend<u8>) {
        if let Some(n) = self.number {
            return put_number(n, out);
        }
        // The lengths of one class stand in a row: (first code, first length, last length).
        let (first, shortest, longest) = match self.class {
            IntClass::Text => return put_text_len(self.len, out),
            IntClass::Uint7 => (0, 1, 3),
            IntClass::Int13 => (3, 2, 5),
            IntClass::Int16 => (7, 4, 6),
            IntClass::Int24 => (10, 5, 8),
            IntClass::Int32 => (14, 7, 11),
            IntClass::Int64 => (19, 10, 20),
        };
        match u8::try_from(self.len) {
            Ok(len) if (shortest..=longest).contains(&len) => {
                out.extend([INT_FIRST + first + len - shortest]);
            }
            // Not a form that an integer can have: sized as text.
            _ => put_text_len(self.len, out),
        }
    }

    /// Reads a packed form from the front of `bytes`: the info and how many bytes it took.
    /// `None` if the bytes are not one.
    pub fn get(bytes: &[u8]) -> Option<(Info, usize)> {
        let (&first, rest) = bytes.split_first()?;
        match first {
            0..INT_FIRST => Some((Info::text(u64::from(first)), 1)),
            INT_FIRST..LEN16 => {
                let &(class, len) = INT_FORMS.get(usize::from(first - INT_FIRST))?;
                Some((
                    Info {
                        len: u64::from(len),
                        class,
                        number: None,
                    },
                    1,
                ))
            }
            LEN16 => {
                let len = u16::from_le_bytes(*rest.first_chunk()?);
                Some((Info::text(u64::from(len)), 3))
            }
            LEN64 => Some((Info::text(u64::from_le_bytes(*rest.first_chunk()?)), 9)),
            NUMBER_FIRST..=NUMBER_LAST => {
                let width = usize::from(first - NUMBER_FIRST);
                let tail = rest.get(..width)?;
                let fill = if tail.last().is_some_and(|byte| byte & 0x80 != 0) {
                    0xff
                } else {
                    0
                };
                let mut wide = [fill; 8];
                wide[..width].copy_from_slice(tail);
                Some((Info::number(i64::from_le_bytes(wide)), 1 + width))
            }
            _ => None,
        }
    }

    /// Bytes that the packed form at the front of `bytes` takes; cheaper than `get`.
    pub fn width(first: u8) -> usize {
        match first {
            LEN16 => 3,
            LEN64 => 9,
            NUMBER_FIRST..=NUMBER_LAST => 1 + usize::from(first - NUMBER_FIRST),
            _ => 1,
        }
    }
}

fn put_text_len(len: u64, out: &mut impl Extend<u8>) {
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short), _) if u64::from(short) <= SHORT_MAX => out.extend([short]),
        (_, Ok(medium)) => {
            out.extend([LEN16]);
            out.extend(medium.to_le_bytes());
        }
        _ => {
            out.extend([LEN64]);
            out.extend(len.to_le_bytes());
        }
    }
}

fn put_number(n: i64, out: &mut impl Extend<u8>) {
    let bytes = n.to_le_bytes();
    // Leading bytes that only repeat the sign are dropped; one bit of it stays.
    let bits = if n == 0 {
        0
    } else {
        65 - (n ^ (n >> 63)).leading_zeros()
    };
    let width = bits.div_ceil(8) as usize;
    // At most eight.
    out.extend([NUMBER_FIRST + u8::try_from(width).unwrap_or(8)]);
    out.extend(bytes[..width].iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn round_trip(info: Info) {
        let mut bytes = Vec::new();
        info.put(&mut bytes);
        assert_eq!(Info::width(bytes[0]), bytes.len());
        assert_eq!(
            Info::get(&bytes),
            Some((info, bytes.len())),
            "{info:?} as {bytes:02x?}"
        );
    }

    #[test]
    fn packed_forms_round_trip() {
        for len in [0, 1, 63, 64, 191, 192, 65_535, 65_536, 1 << 40] {
            round_trip(Info::text(len));
        }
        let mut edges = vec![0i64, i64::MIN, i64::MAX];
        for bit in 0..63 {
            edges.extend([1 << bit, (1 << bit) - 1, -(1 << bit), -(1 << bit) - 1]);
        }
        for exponent in 0..19 {
            let power = 10i64.pow(exponent);
            edges.extend([power, power - 1, -power, 1 - power]);
        }
        for n in edges {
            round_trip(Info::number(n));
            let info = Info::of(&Text::Int(n));
            round_trip(info);
            assert_eq!(info, Info::of(&Text::Bytes(n.to_string().as_bytes())));
        }
    }

    #[test]
    fn an_integer_takes_one_byte() {
        for n in [0, -1, 4095, 1 << 40] {
            let mut bytes = Vec::new();
            Info::of(&Text::Int(n)).put(&mut bytes);
            assert_eq!(bytes.len(), 1);
        }
    }
}
