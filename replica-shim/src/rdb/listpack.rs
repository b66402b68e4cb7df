//! Listpacks, the packed block of RDB 10 and newer.
//!
//! ```text
//!   u32le total bytes | u16le count (65535: unknown) | entry ... | 0xff
//!   entry = encoding and data (E bytes) | E, readable from behind (1 to 5 bytes)
//!
//!   0xxxxxxx        0..127                  E = 1
//!   10xxxxxx        string, 6-bit length    E = 1 + n
//!   110xxxxx +1     13-bit integer          E = 2
//!   1110xxxx +1     string, 12-bit length   E = 2 + n
//!   11110000 +4     string, u32le length    E = 5 + n
//!   11110001 ..0100 int16, 24, 32, 64 le    E = 3, 4, 5, 9
//! ```
//!
//! The walk checks everything that servers check in their deep validation (`lpValidateIntegrity`):
//! header against block, each entry against what is left, its backward length, the count. Nothing is
//! copied; an entry borrows from the block.

use super::error::{Container, ErrorKind, PackFault};
use super::packed::{Entry, Walk};

const END: u8 = 0xff;
const HEADER: usize = 6;
const COUNT_UNKNOWN: u16 = u16::MAX;

/// A walk over the entries.
#[derive(Debug, Clone)]
pub(super) struct Listpack<'a> {
    /// Entries not yet seen, and the end mark.
    rest: &'a [u8],
    declared: u16,
    seen: u64,
}

impl<'a> Listpack<'a> {
    /// Checks the frame.
    pub(super) fn open(blob: &'a [u8]) -> Result<Self, ErrorKind> {
        open(blob).map_err(fault)
    }

    /// An entry that must be there.
    pub(super) fn need(&mut self, missing: ErrorKind) -> Result<Entry<'a>, ErrorKind> {
        self.next()?.ok_or(missing)
    }

    /// An integer that must be there.
    pub(super) fn need_int(&mut self, missing: ErrorKind) -> Result<i64, ErrorKind> {
        match self.need(missing)? {
            Entry::Int(number) => Ok(number),
            Entry::Bytes(_) => Err(fault(PackFault::NotInteger)),
        }
    }
}

impl<'a> Walk<'a> for Listpack<'a> {
    const CONTAINER: Container = Container::Listpack;

    fn declared(&self) -> u64 {
        if self.declared == COUNT_UNKNOWN {
            0
        } else {
            u64::from(self.declared)
        }
    }

    #[inline(always)]
    fn next(&mut self) -> Result<Option<Entry<'a>>, ErrorKind> {
        // The two commonest forms have a backward length of one byte; they are read in place.
        let (entry, rest) = match *self.rest {
            [value @ 0..=0x7f, 1, ref rest @ ..] => (Entry::Int(i64::from(value)), rest),
            [head @ 0x80..=0xbf, ref tail @ ..] => {
                let len = usize::from(head & 0x3f);
                let (bytes, rest) = tail
                    .split_at_checked(len)
                    .ok_or(fault(PackFault::Overrun))?;
                let (&back, rest) = rest.split_first().ok_or(fault(PackFault::Overrun))?;
                if usize::from(back) != len.wrapping_add(1) {
                    return Err(fault(PackFault::Backward));
                }
                (Entry::Bytes(bytes), rest)
            }
            [END] => return self.finish().map(|()| None),
            ref other => entry(other).map_err(fault)?,
        };
        self.rest = rest;
        self.seen = self.seen.wrapping_add(1);
        Ok(Some(entry))
    }
}

impl Listpack<'_> {
    fn finish(&self) -> Result<(), ErrorKind> {
        if self.declared != COUNT_UNKNOWN && u64::from(self.declared) != self.seen {
            return Err(fault(PackFault::Count));
        }
        Ok(())
    }
}

fn fault(fault: PackFault) -> ErrorKind {
    Container::Listpack.fault(fault)
}

fn open(blob: &[u8]) -> Result<Listpack<'_>, PackFault> {
    let [a, b, c, d, e, f, rest @ ..] = blob else {
        return Err(PackFault::Header);
    };
    if u64::from(u32::from_le_bytes([*a, *b, *c, *d])) != blob.len() as u64 {
        return Err(PackFault::Total);
    }
    if blob.len() == HEADER || rest.last() != Some(&END) {
        return Err(PackFault::EndMark);
    }
    Ok(Listpack {
        rest,
        declared: u16::from_le_bytes([*e, *f]),
        seen: 0,
    })
}

/// Any entry, with its backward length.
fn entry(bytes: &[u8]) -> Result<(Entry<'_>, &[u8]), PackFault> {
    let (entry, tail) = content(bytes)?;
    let size = bytes.len().saturating_sub(tail.len()) as u64;
    let tail = backward(size, tail)?;
    Ok((entry, tail))
}

fn content(bytes: &[u8]) -> Result<(Entry<'_>, &[u8]), PackFault> {
    let (&head, tail) = bytes.split_first().ok_or(PackFault::EndMark)?;
    match head {
        0..=0x7f => Ok((Entry::Int(i64::from(head)), tail)),
        0x80..=0xbf => string(tail, usize::from(head & 0x3f)),
        0xc0..=0xdf => {
            let (&low, tail) = tail.split_first().ok_or(PackFault::Overrun)?;
            // Shifted up to the sign bit and back, 13 bits become 16.
            let number = i16::from_be_bytes([head << 3 | low >> 5, low << 3]) >> 3;
            Ok((Entry::Int(i64::from(number)), tail))
        }
        0xe0..=0xef => {
            let (&low, tail) = tail.split_first().ok_or(PackFault::Overrun)?;
            string(tail, usize::from(head & 0x0f) << 8 | usize::from(low))
        }
        0xf0 => {
            let (len, tail) = tail.split_first_chunk::<4>().ok_or(PackFault::Overrun)?;
            let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| PackFault::Overrun)?;
            string(tail, len)
        }
        0xf1 => integer::<2>(tail),
        0xf2 => integer::<3>(tail),
        0xf3 => integer::<4>(tail),
        0xf4 => integer::<8>(tail),
        END => Err(PackFault::EndMark),
        0xf5..=0xfe => Err(PackFault::Encoding(head)),
    }
}

fn string(bytes: &[u8], len: usize) -> Result<(Entry<'_>, &[u8]), PackFault> {
    let (bytes, tail) = bytes.split_at_checked(len).ok_or(PackFault::Overrun)?;
    Ok((Entry::Bytes(bytes), tail))
}

fn integer<const N: usize>(bytes: &[u8]) -> Result<(Entry<'_>, &[u8]), PackFault> {
    let (number, tail) = super::packed::integer::<N>(bytes).ok_or(PackFault::Overrun)?;
    Ok((Entry::Int(number), tail))
}

/// Reads past the backward length, which must be that of an entry of this size.
///
/// Up to Valkey 9.0 and Redis 8.0, sizes of 2^14-1, 2^21-1 and 2^28-1 take a byte more than they
/// need; Valkey 9.1 mended that. A file may hold either.
fn backward(size: u64, bytes: &[u8]) -> Result<&[u8], PackFault> {
    let (groups, is_border) = match size {
        0..=127 => (1, false),
        128..=16_383 => (2, size == 16_383),
        16_384..=2_097_151 => (3, size == 2_097_151),
        2_097_152..=268_435_455 => (4, size == 268_435_455),
        _ => (5, false),
    };
    match groups_of(size, groups, bytes) {
        Err(PackFault::Backward) if is_border => groups_of(size, groups.saturating_add(1), bytes),
        outcome => outcome,
    }
}

/// Groups of seven bits, most significant first, all but the first byte marked by bit 7.
fn groups_of(size: u64, groups: usize, bytes: &[u8]) -> Result<&[u8], PackFault> {
    let (found, tail) = bytes.split_at_checked(groups).ok_or(PackFault::Overrun)?;
    let mut left = size;
    for (index, &byte) in found.iter().enumerate().rev() {
        let mark = if index == 0 { 0 } else { 0x80 };
        if u64::from(byte) != (left & 0x7f) | mark {
            return Err(PackFault::Backward);
        }
        left >>= 7;
    }
    Ok(tail)
}

#[cfg(test)]
mod tests;
