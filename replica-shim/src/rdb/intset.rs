//! Intsets: sets of integers, sorted.
//!
//! ```text
//!   u32le width (2, 4, 8) | u32le count | count little-endian integers, strictly ascending
//! ```
//!
//! The width is the widest that was ever needed; it does not shrink when members go.

use super::error::{Container, ErrorKind, PackFault};

/// A checked frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Intset<'a> {
    /// Bytes per member.
    pub(super) width: u8,
    members: &'a [u8],
}

impl<'a> Intset<'a> {
    pub(super) fn open(blob: &'a [u8]) -> Result<Self, ErrorKind> {
        let [a, b, c, d, e, f, g, h, members @ ..] = blob else {
            return Err(fault(PackFault::Header));
        };
        let width = match u32::from_le_bytes([*a, *b, *c, *d]) {
            2 => 2,
            4 => 4,
            8 => 8,
            other => {
                let byte = u8::try_from(other & 0xff).unwrap_or(0);
                return Err(fault(PackFault::Encoding(byte)));
            }
        };
        let count = u64::from(u32::from_le_bytes([*e, *f, *g, *h]));
        if count.checked_mul(u64::from(width)) != Some(members.len() as u64) {
            return Err(fault(PackFault::Total));
        }
        if count == 0 {
            return Err(fault(PackFault::Empty));
        }
        Ok(Intset { width, members })
    }

    /// Members, by the size of the block.
    pub(super) fn count(&self) -> u64 {
        (self.members.len() as u64)
            .checked_div(u64::from(self.width))
            .unwrap_or(0)
    }

    /// Hands out the members; an error if they are out of order.
    #[inline(always)]
    pub(super) fn each(&self, out: impl FnMut(i64)) -> Result<(), ErrorKind> {
        match self.width {
            2 => ascending::<2>(self.members, out),
            4 => ascending::<4>(self.members, out),
            _ => ascending::<8>(self.members, out),
        }
    }
}

#[inline(always)]
fn ascending<const N: usize>(
    mut members: &[u8],
    mut out: impl FnMut(i64),
) -> Result<(), ErrorKind> {
    let mut before = None;
    while let Some((number, rest)) = super::packed::integer::<N>(members) {
        if before.is_some_and(|before| before >= number) {
            return Err(fault(PackFault::Order));
        }
        before = Some(number);
        out(number);
        members = rest;
    }
    Ok(())
}

fn fault(fault: PackFault) -> ErrorKind {
    Container::Intset.fault(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(width: u32, members: &[i64]) -> Vec<u8> {
        let mut blob = width.to_le_bytes().to_vec();
        blob.extend_from_slice(&u32::try_from(members.len()).expect("small").to_le_bytes());
        for member in members {
            blob.extend_from_slice(&member.to_le_bytes()[..width as usize]);
        }
        blob
    }

    fn check(blob: &[u8]) -> Result<Vec<i64>, ErrorKind> {
        let mut out = Vec::new();
        let set = Intset::open(blob)?;
        set.each(|member| out.push(member))?;
        assert_eq!(out.len() as u64, set.count());
        Ok(out)
    }

    #[test]
    fn members_of_each_width() {
        assert_eq!(check(&blob(2, &[-5, 0, 300])), Ok(vec![-5, 0, 300]));
        assert_eq!(check(&blob(4, &[-70_000, 1])), Ok(vec![-70_000, 1]));
        assert_eq!(
            check(&blob(8, &[i64::MIN, i64::MAX])),
            Ok(vec![i64::MIN, i64::MAX])
        );
    }

    #[test]
    fn damage() {
        assert_eq!(check(&blob(2, &[1])[..7]), Err(fault(PackFault::Header)));
        assert_eq!(check(&blob(2, &[1])[..9]), Err(fault(PackFault::Total)));
        assert_eq!(check(&blob(2, &[])), Err(fault(PackFault::Empty)));
        assert_eq!(check(&blob(3, &[1])), Err(fault(PackFault::Encoding(3))));
        assert_eq!(check(&blob(2, &[1, 1])), Err(fault(PackFault::Order)));
        assert_eq!(check(&blob(4, &[2, 1])), Err(fault(PackFault::Order)));
    }
}
