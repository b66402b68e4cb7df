//! The slot of a key: CRC16 (XMODEM) of the name or of its hash tag, modulo 16384.

use std::fmt;

/// Number of slots of a cluster.
pub const SLOTS: u16 = 16_384;

/// A slot number, below [`SLOTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// Slot 0.
    pub const FIRST: Slot = Slot(0);

    /// The slot of a key (Redis cluster.c `keyHashSlot`).
    pub fn of(key: &[u8]) -> Slot {
        Slot(crc16::State::<crc16::XMODEM>::calculate(hash_tag(key)) % SLOTS)
    }

    /// A slot from its number; `None` from 16384 on.
    pub fn new(number: u16) -> Option<Slot> {
        (number < SLOTS).then_some(Slot(number))
    }

    /// The number.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What of a key decides its slot: the text between the first `{` and the next `}`, unless that is
/// empty or there is none, in which case the whole key.
pub fn hash_tag(key: &[u8]) -> &[u8] {
    let after = |byte: u8, bytes: &[u8]| bytes.iter().position(|&b| b == byte);
    let tag = after(b'{', key)
        .and_then(|open| key.get(open.saturating_add(1)..))
        .and_then(|rest| rest.get(..after(b'}', rest)?));
    match tag {
        Some(tag) if !tag.is_empty() => tag,
        _ => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_servers() {
        // CLUSTER KEYSLOT of Redis 7.0.
        for (key, slot) in [
            ("123456789", 12_739),
            ("foo", 12_182),
            ("", 0),
            ("user:{42}:a", 8000),
        ] {
            assert_eq!(Slot::of(key.as_bytes()).number(), slot, "{key}");
        }
    }

    #[test]
    fn hash_tags_follow_the_first_braces() {
        for (key, tag) in [
            ("{user}:a", "user"),
            ("a{}b{c}", "a{}b{c}"),
            ("a{{b}}", "{b"),
            ("a{b}{c}", "b"),
            ("a{b", "a{b"),
            ("}{", "}{"),
        ] {
            assert_eq!(hash_tag(key.as_bytes()), tag.as_bytes(), "{key}");
        }
    }
}
