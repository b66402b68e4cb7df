//! Which groups are an instance's, of several that split a deployment: rendezvous hashing.
//!
//! Every instance gives each group a weight from its own number and the group's id; the heaviest
//! owns it. No instance needs to know the map of another, and when their number goes from n to
//! n + 1, only those groups move that the new one wins: about one in n + 1.

use std::fmt;
use std::str::FromStr;

/// Instance `index` of `of`, counted from 0 as the ordinals of a StatefulSet are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    index: u32,
    of: u32,
}

/// Most instances that split a deployment.
pub const SHARES_MAX: u32 = 10_000;

impl Share {
    /// A share; `None` unless `index < of <= SHARES_MAX`.
    pub fn new(index: u32, of: u32) -> Option<Share> {
        (index < of && of <= SHARES_MAX).then_some(Share { index, of })
    }

    /// Which instance, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// Of how many.
    pub fn of(self) -> u32 {
        self.of
    }

    /// Whether the group is this instance's.
    pub fn owns(self, group: &str) -> bool {
        let base = fnv1a(group.as_bytes());
        let weight = |index: u32| (mix(base ^ mix(u64::from(index))), index);
        (0..self.of).max_by_key(|index| weight(*index)) == Some(self.index)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// Text that is no share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAShare;

impl fmt::Display for NotAShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected i/n with i from 0 to n - 1")
    }
}

impl std::error::Error for NotAShare {}

impl FromStr for Share {
    type Err = NotAShare;

    /// Reads `i/n`.
    fn from_str(text: &str) -> Result<Share, NotAShare> {
        let (index, of) = text.split_once('/').ok_or(NotAShare)?;
        let number = |text: &str| text.trim().parse().map_err(|_| NotAShare);
        Share::new(number(index)?, number(of)?).ok_or(NotAShare)
    }
}

/// FNV-1a, 64 bits: the same in every version of this program, as the split must be.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The finisher of SplitMix64: every bit of the input reaches every bit of the result.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: usize = 1000;

    fn owner(group: usize, of: u32) -> u32 {
        let id = format!("{group:040x}");
        let owners: Vec<_> = (0..of)
            .filter(|index| Share::new(*index, of).unwrap().owns(&id))
            .collect();
        assert_eq!(owners.len(), 1, "exactly one instance owns a group");
        owners.first().copied().unwrap()
    }

    #[test]
    fn one_more_instance_takes_its_part_and_nothing_else_moves() {
        for of in [1, 2, 3, 7] {
            let moved: Vec<u32> = (0..GROUPS)
                .filter_map(|group| {
                    let after = owner(group, of + 1);
                    (owner(group, of) != after).then_some(after)
                })
                .collect();
            assert!(moved.iter().all(|to| *to == of), "only to the new one");
            let fair = GROUPS / (of as usize + 1);
            let fair = fair * 8 / 10..=fair * 12 / 10;
            assert!(fair.contains(&moved.len()), "{of}: {} moved", moved.len());
        }
    }

    #[test]
    fn the_split_of_these_ids_is_for_ever() {
        let split: Vec<u32> = (0..12).map(|group| owner(group, 3)).collect();
        assert_eq!(split, [0, 2, 0, 1, 0, 2, 0, 0, 1, 0, 0, 2]);
    }

    #[test]
    fn shares_are_read() {
        assert_eq!("2/3".parse(), Ok(Share { index: 2, of: 3 }));
        for text in ["", "3/3", "1", "-1/2", "0/0", "0/10001", "a/b"] {
            assert_eq!(text.parse::<Share>(), Err(NotAShare), "{text}");
        }
    }
}
