//! Runs of bytes of one range, such as letters or digits, measured eight bytes at a time without a
//! branch for each: names differ in how long their tokens are, which a processor cannot guess.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = ONES << 7;

/// A run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The position behind it.
    pub(super) end: usize,
    /// One of its bytes is above the mark.
    pub(super) exceeds: bool,
}

impl Run {
    /// The bytes from `start` on that are `least` to `most`, and whether one of them is above `mark`;
    /// all three are below 128.
    #[inline]
    pub(super) fn of(text: &[u8], start: usize, (least, most): (u8, u8), mark: u8) -> Run {
        let (mut end, mut above) = (start, 0);
        loop {
            let word = load(text, end);
            let inside = is_at_least(word, least) & is_at_most(word, most) & !word & HIGH;
            let bits = (inside ^ HIGH).trailing_zeros() & !7;
            let run = u64::MAX.checked_shr(64 - bits).unwrap_or(0);
            above |= (word & run) + u64::from(0x7f - mark) * ONES;
            end += bits as usize / 8;
            if bits < 64 {
                return Run {
                    end,
                    exceeds: above & HIGH != 0,
                };
            }
        }
    }
}

/// The high bit of each byte whose other bits are at least that.
#[inline]
fn is_at_least(word: u64, least: u8) -> u64 {
    (word | HIGH) - u64::from(least) * ONES
}

/// The high bit of each byte whose other bits are at most that.
#[inline]
fn is_at_most(word: u64, most: u8) -> u64 {
    ((u64::from(most) * ONES) | HIGH) - (word & !HIGH)
}

/// The next eight bytes, the first one lowest; zeros behind the end.
#[inline]
fn load(text: &[u8], at: usize) -> u64 {
    let rest = text.get(at..).unwrap_or_default();
    if let Some(bytes) = rest.first_chunk::<8>() {
        return u64::from_le_bytes(*bytes);
    }
    match text.last_chunk::<8>() {
        Some(last) => {
            let behind = u32::try_from(8 * (8 - rest.len())).unwrap_or(u32::MAX);
            u64::from_le_bytes(*last).checked_shr(behind).unwrap_or(0)
        }
        None => {
            let bytes = rest.iter().rev();
            bytes.fold(0, |word, byte| word << 8 | u64::from(*byte))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte by byte.
    fn naive(text: &[u8], start: usize, (least, most): (u8, u8), mark: u8) -> Run {
        let run = text[start..].iter();
        let run: Vec<&u8> = run
            .take_while(|byte| (least..=most).contains(byte))
            .collect();
        Run {
            end: start + run.len(),
            exceeds: run.iter().any(|byte| **byte > mark),
        }
    }

    #[test]
    fn runs_are_those_byte_by_byte() {
        let bytes = b"a0fgz9`{/:\0\x7f\x80\xe1\xff";
        let mut dice = 1u64;
        for _ in 0..200_000 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let lot = |at: u64, of: usize| usize::from((dice >> at).to_le_bytes()[0]) % of;
            let kinds = &bytes[..1 + lot(40, bytes.len())];
            let byte = |at| kinds[lot(at, kinds.len())];
            let text: Vec<u8> = (0..dice >> 59).map(byte).collect();
            let len = text.len();
            for start in 0..=len {
                for (range, mark) in [((b'a', b'z'), b'f'), ((b'0', b'9'), b'9')] {
                    let run = Run::of(&text, start, range, mark);
                    assert_eq!(run, naive(&text, start, range, mark), "{text:?}");
                }
            }
        }
    }
}
