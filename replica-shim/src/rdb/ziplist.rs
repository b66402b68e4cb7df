//! Ziplists, the packed block before RDB 10.
//!
//! ```text
//!   u32le total bytes | u32le offset of the last entry | u16le count (65535: unknown) | entry ... | 0xff
//!   entry = size of the previous entry (1 byte below 254, else 0xfe and u32le) | encoding | data
//!
//!   00xxxxxx        string, 6-bit length         11000000  int16
//!   01xxxxxx +1     string, 14 bits big-endian   11010000  int32
//!   10xxxxxx +4     string, u32 big-endian       11100000  int64
//!   1111xxxx        0..12 for xxxx = 1..13       11110000  int24     11111110  int8
//! ```
//!
//! All of `ziplistValidateIntegrity` is checked. The long form of a small previous size is legal:
//! servers never shrink it back.

use super::error::{Container, ErrorKind, PackFault};
use super::packed::{Entry, Walk};

const END: u8 = 0xff;
const HEADER: usize = 10;
const COUNT_UNKNOWN: u16 = u16::MAX;

/// A walk over the entries.
#[derive(Debug, Clone)]
pub(super) struct Ziplist<'a> {
    /// Entries not yet seen, and the end mark.
    rest: &'a [u8],
    total: usize,
    tail: u64,
    declared: u16,
    seen: u64,
    /// Size of the entry before.
    previous: usize,
}

impl<'a> Ziplist<'a> {
    /// Checks the frame.
    pub(super) fn open(blob: &'a [u8]) -> Result<Self, ErrorKind> {
        open(blob).map_err(fault)
    }

    fn finish(&self) -> Result<(), ErrorKind> {
        if self.declared != COUNT_UNKNOWN && u64::from(self.declared) != self.seen {
            return Err(fault(PackFault::Count));
        }
        // The end mark is the last byte; the last entry lies right before it.
        let last = self.total.saturating_sub(1).saturating_sub(self.previous) as u64;
        if last == self.tail {
            Ok(())
        } else {
            Err(fault(PackFault::Tail))
        }
    }
}

impl<'a> Walk<'a> for Ziplist<'a> {
    const CONTAINER: Container = Container::Ziplist;

    fn declared(&self) -> u64 {
        if self.declared == COUNT_UNKNOWN {
            0
        } else {
            u64::from(self.declared)
        }
    }

    #[inline]
    fn next(&mut self) -> Result<Option<Entry<'a>>, ErrorKind> {
        if let [END] = *self.rest {
            return self.finish().map(|()| None);
        }
        let (entry, rest) = entry(self.rest, self.previous).map_err(fault)?;
        self.previous = self.rest.len().saturating_sub(rest.len());
        self.rest = rest;
        self.seen = self.seen.wrapping_add(1);
        Ok(Some(entry))
    }
}

fn fault(fault: PackFault) -> ErrorKind {
    Container::Ziplist.fault(fault)
}

fn open(blob: &[u8]) -> Result<Ziplist<'_>, PackFault> {
    let [a, b, c, d, e, f, g, h, i, j, rest @ ..] = blob else {
        return Err(PackFault::Header);
    };
    if u64::from(u32::from_le_bytes([*a, *b, *c, *d])) != blob.len() as u64 {
        return Err(PackFault::Total);
    }
    if rest.last() != Some(&END) {
        return Err(PackFault::EndMark);
    }
    let tail = u64::from(u32::from_le_bytes([*e, *f, *g, *h]));
    // An empty ziplist has its tail at the end mark.
    if tail < HEADER as u64 || tail >= blob.len() as u64 {
        return Err(PackFault::Tail);
    }
    let declared = u16::from_le_bytes([*i, *j]);
    Ok(Ziplist {
        rest,
        total: blob.len(),
        tail,
        declared,
        seen: 0,
        previous: 0,
    })
}

#[inline]
fn entry(bytes: &[u8], previous: usize) -> Result<(Entry<'_>, &[u8]), PackFault> {
    let (&first, tail) = bytes.split_first().ok_or(PackFault::EndMark)?;
    let (claimed, tail) = match first {
        0xfe => {
            let (size, tail) = tail.split_first_chunk::<4>().ok_or(PackFault::Overrun)?;
            (u64::from(u32::from_le_bytes(*size)), tail)
        }
        END => return Err(PackFault::EndMark),
        0..=0xfd => (u64::from(first), tail),
    };
    if claimed != previous as u64 {
        return Err(PackFault::Backward);
    }
    let (&head, tail) = tail.split_first().ok_or(PackFault::Overrun)?;
    match head {
        0..=0x3f => string(tail, usize::from(head)),
        0x40..=0x7f => {
            let (&low, tail) = tail.split_first().ok_or(PackFault::Overrun)?;
            string(tail, usize::from(head & 0x3f) << 8 | usize::from(low))
        }
        0x80..=0xbf => {
            let (len, tail) = tail.split_first_chunk::<4>().ok_or(PackFault::Overrun)?;
            let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| PackFault::Overrun)?;
            string(tail, len)
        }
        0xc0 => integer::<2>(tail),
        0xd0 => integer::<4>(tail),
        0xe0 => integer::<8>(tail),
        0xf0 => integer::<3>(tail),
        0xfe => integer::<1>(tail),
        0xf1..=0xfd => Ok((Entry::Int(i64::from(head & 0x0f).wrapping_sub(1)), tail)),
        _ => Err(PackFault::Encoding(head)),
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

#[cfg(test)]
mod tests;
