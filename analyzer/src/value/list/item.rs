//! One list element as a node packs it: readable from both ends, because lists are popped at both.
//!
//! ```text
//! [print 6]  code                      the usual: one byte, see `value::info`
//! [print 6]  0xDE u16le 0xDE           a text of 192..=65535 bytes
//! [print 6]  0xDF u64le 0xDF           a longer one
//! ```
//!
//! The last byte is always a code, so the one before it is found without walking from the front.
//! The print is there only in lists that carry fingerprints. Three codes more than `value::info`
//! has tell which integers a ziplist (before 7.0) holds in one byte less than the others of their
//! class and length: 10..=12, -99..=-10 and -128..=-100.

use crate::size::{self, IntClass};
use crate::text::Text;
use crate::value::info::Info;

/// Bytes of a fingerprint.
pub(super) const PRINT: usize = 6;

const PRINT_MASK: u64 = (1 << (8 * PRINT)) - 1;
const LEN16: u8 = 0xDE;
const LEN64: u8 = 0xDF;
const TINY_FIRST: u8 = 0xE9;
const TINY: [(IntClass, u64); 3] = [
    (IntClass::Uint7, 2),
    (IntClass::Int13, 3),
    (IntClass::Int13, 4),
];

/// What is kept of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(super) info: Info,
    /// One of the integers that a ziplist holds shorter than its class and length say.
    pub(super) tiny: bool,
    /// Fingerprint; 0 if it is not known.
    pub(super) print: u64,
}

impl Item {
    /// What is kept of `text`; with a fingerprint if a seed is given.
    pub(crate) fn of(text: &Text<'_>, seed: Option<u64>) -> Item {
        Item {
            info: Info {
                number: None,
                ..Info::of(text)
            },
            tiny: matches!(text.int(), Some(10..=12 | -128..=-10)),
            print: seed.map_or(0, |seed| (text.digest(seed) & PRINT_MASK).max(1)),
        }
    }

    /// Bytes of the text.
    pub(crate) fn len(&self) -> u64 {
        self.info.len
    }

    /// True if the text is a canonical integer.
    pub(crate) fn is_number(&self) -> bool {
        self.info.class != IntClass::Text
    }

    /// True if the two could be the same text, going by length and class alone.
    pub(super) fn alike(&self, other: &Item) -> bool {
        self.info == other.info && self.tiny == other.tiny
    }

    /// Bytes of its listpack entry.
    pub(super) fn listpack(&self) -> u64 {
        self.info.listpack_entry()
    }

    /// Bytes of its ziplist entry without the field that holds the length of the one before.
    pub(super) fn ziplist(&self) -> u64 {
        let len = self.info.len;
        match self.info.class {
            IntClass::Text => match len {
                0..=63 => 1 + len,
                64..=16_383 => 2 + len,
                _ => 5 + len,
            },
            IntClass::Uint7 if len == 1 || self.tiny => 1,
            IntClass::Uint7 => 2,
            IntClass::Int13 if len == 2 || self.tiny => 2,
            IntClass::Int13 | IntClass::Int16 => 3,
            IntClass::Int24 => 4,
            IntClass::Int32 => 5,
            IntClass::Int64 => 9,
        }
    }

    /// Appends the packed form.
    pub(super) fn put(&self, prints: bool, out: &mut Vec<u8>) {
        if prints {
            out.extend_from_slice(&self.print.to_le_bytes()[..PRINT]);
        }
        let form = (self.info.class, self.info.len);
        match TINY.iter().position(|&tiny| self.tiny && tiny == form) {
            Some(0) => out.push(TINY_FIRST),
            Some(1) => out.push(TINY_FIRST + 1),
            Some(_) => out.push(TINY_FIRST + 2),
            None => {
                let at = out.len();
                self.info.put(out);
                let code = out[at];
                if matches!(code, LEN16 | LEN64) {
                    out.push(code);
                }
            }
        }
    }

    /// Reads the packed form at the front of `bytes`: the item and its width.
    pub(super) fn get(bytes: &[u8], prints: bool) -> Option<(Item, usize)> {
        let (print, rest) = if prints {
            let mut wide = [0; 8];
            wide[..PRINT].copy_from_slice(bytes.get(..PRINT)?);
            (u64::from_le_bytes(wide), &bytes[PRINT..])
        } else {
            (0, bytes)
        };
        let &code = rest.first()?;
        let width = width(code) + if prints { PRINT } else { 0 };
        let tiny = code
            .checked_sub(TINY_FIRST)
            .and_then(|i| TINY.get(usize::from(i)));
        let info = match tiny {
            Some(&(class, len)) => Info {
                len,
                class,
                number: None,
            },
            None => Info::get(rest)?.0,
        };
        let item = Item {
            info,
            tiny: tiny.is_some(),
            print,
        };
        (width <= bytes.len()).then_some((item, width))
    }

    /// Reads the packed form at the back of `bytes`.
    pub(super) fn get_back(bytes: &[u8], prints: bool) -> Option<(Item, usize)> {
        let &code = bytes.last()?;
        let width = width(code) + if prints { PRINT } else { 0 };
        let start = bytes.len().checked_sub(width)?;
        Item::get(&bytes[start..], prints)
    }
}

/// Bytes of a form by its first or last code.
fn width(code: u8) -> usize {
    match code {
        LEN16 => 4,
        LEN64 => 10,
        _ => 1,
    }
}

/// Bytes of an empty blob.
pub(super) fn frame(ziplist: bool) -> u64 {
    if ziplist { 11 } else { size::LISTPACK_FRAME }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_read_back_from_both_ends() {
        let long = vec![b'x'; 70_000];
        let texts = [
            Text::Bytes(b""),
            Text::Bytes(b"hello"),
            Text::Bytes(&long[..191]),
            Text::Bytes(&long[..192]),
            Text::Bytes(&long[..0xdede]),
            Text::Bytes(&long),
            Text::Int(7),
            Text::Int(11),
            Text::Int(13),
            Text::Int(-50),
            Text::Int(-128),
            Text::Int(-129),
            Text::Int(i64::MIN),
            Text::Long {
                len: 1 << 33,
                digest: 9,
            },
        ];
        for prints in [false, true] {
            let mut packed = Vec::new();
            let items: Vec<Item> = texts
                .iter()
                .map(|text| Item::of(text, prints.then_some(3)))
                .collect();
            for item in &items {
                item.put(prints, &mut packed);
            }
            let mut rest = packed.as_slice();
            for item in &items {
                let (got, width) = Item::get(rest, prints).expect("an item");
                assert_eq!(got, *item);
                rest = &rest[width..];
            }
            let mut rest = packed.as_slice();
            for item in items.iter().rev() {
                let (got, width) = Item::get_back(rest, prints).expect("an item");
                assert_eq!(got, *item);
                rest = &rest[..rest.len() - width];
            }
        }
    }

    #[test]
    fn ziplist_integers_have_their_own_widths() {
        for (n, bytes) in [
            (0, 1),
            (12, 1),
            (13, 2),
            (127, 2),
            (128, 3),
            (-1, 2),
            (-128, 2),
            (-129, 3),
            (4096, 3),
            (40_000, 4),
            (1 << 30, 5),
            (1 << 40, 9),
        ] {
            assert_eq!(Item::of(&Text::Int(n), None).ziplist(), bytes, "{n}");
        }
    }
}
