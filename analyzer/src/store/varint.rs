//! Unsigned LEB128, which may be padded: an overwrite with a smaller number keeps its width.

/// Appends `n`.
pub(crate) fn put(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        let [low, ..] = n.to_le_bytes();
        out.push(low | 0x80);
        n >>= 7;
    }
    let [low, ..] = n.to_le_bytes();
    out.push(low);
}

/// Reads a number at `at`; returns it and the position behind it. Bytes beyond the end read as 0:
/// the store wrote what it reads, so this never happens.
#[inline]
pub(crate) fn get(bytes: &[u8], mut at: usize) -> (u64, usize) {
    let mut n = 0u64;
    let mut shift = 0;
    loop {
        let byte = bytes.get(at).copied().unwrap_or(0);
        at += 1;
        n |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return (n, at);
        }
        shift += 7;
    }
}

/// Reads a length at `at`; returns it and the position behind it.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "lengths of what lies in memory fit a usize"
)]
pub(crate) fn get_len(bytes: &[u8], at: usize) -> (usize, usize) {
    let (n, at) = get(bytes, at);
    (n as usize, at)
}

/// Maps small magnitudes of either sign to small numbers.
pub(crate) fn zigzag(n: i64) -> u64 {
    (n.cast_unsigned() << 1) ^ (n >> 63).cast_unsigned()
}

/// The inverse of `zigzag`.
pub(crate) fn unzigzag(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -(n & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        for n in [0, 1, 127, 128, 16_383, 16_384, 1 << 40, u64::MAX] {
            let mut out = vec![9];
            put(n, &mut out);
            assert_eq!(get(&out, 1), (n, out.len()));
        }
        for n in [0, -1, 1, 63, -64, 64, i64::MAX, i64::MIN] {
            assert_eq!(unzigzag(zigzag(n)), n);
        }
        assert_eq!(zigzag(-1), 1);
    }
}
