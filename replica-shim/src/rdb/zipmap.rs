//! Zipmaps: small hashes as Redis before 2.6 wrote them.
//!
//! ```text
//!   count (254 or 255: unknown) | { len field | len free value | free unused bytes } ... | 0xff
//!   len: one byte below 254, or 0xfe and u32le
//! ```
//!
//! The walk gives field and value in turn, so that a zipmap is read like any other block of pairs.

use super::error::{Container, ErrorKind, PackFault};
use super::packed::{Entry, Walk};

const END: u8 = 0xff;
const BIG: u8 = 0xfe;

/// A walk over fields and values.
#[derive(Debug, Clone)]
pub(super) struct Zipmap<'a> {
    rest: &'a [u8],
    declared: u8,
    seen: u64,
}

impl<'a> Zipmap<'a> {
    /// Checks the frame.
    pub(super) fn open(blob: &'a [u8]) -> Result<Self, ErrorKind> {
        let (&declared, rest) = blob.split_first().ok_or(fault(PackFault::Header))?;
        if rest.last() != Some(&END) {
            return Err(fault(PackFault::EndMark));
        }
        Ok(Zipmap {
            rest,
            declared,
            seen: 0,
        })
    }
}

impl<'a> Walk<'a> for Zipmap<'a> {
    const CONTAINER: Container = Container::Zipmap;

    fn declared(&self) -> u64 {
        if self.declared >= BIG {
            0
        } else {
            u64::from(self.declared).saturating_mul(2)
        }
    }

    fn next(&mut self) -> Result<Option<Entry<'a>>, ErrorKind> {
        let is_value = self.seen % 2 == 1;
        if let ([END], false) = (self.rest, is_value) {
            let declared = self.declared();
            return if self.declared < BIG && declared != self.seen {
                Err(fault(PackFault::Count))
            } else {
                Ok(None)
            };
        }
        let (bytes, rest) = string(self.rest, is_value).map_err(fault)?;
        self.rest = rest;
        self.seen = self.seen.wrapping_add(1);
        Ok(Some(Entry::Bytes(bytes)))
    }
}

fn fault(fault: PackFault) -> ErrorKind {
    Container::Zipmap.fault(fault)
}

fn string(bytes: &[u8], is_value: bool) -> Result<(&[u8], &[u8]), PackFault> {
    let (&first, tail) = bytes.split_first().ok_or(PackFault::EndMark)?;
    let (len, tail) = match first {
        END => return Err(PackFault::EndMark),
        BIG => {
            let (len, tail) = tail.split_first_chunk::<4>().ok_or(PackFault::Overrun)?;
            (
                usize::try_from(u32::from_le_bytes(*len)).map_err(|_| PackFault::Overrun)?,
                tail,
            )
        }
        len => (usize::from(len), tail),
    };
    let (free, tail) = if is_value {
        let (&free, tail) = tail.split_first().ok_or(PackFault::Overrun)?;
        (usize::from(free), tail)
    } else {
        (0, tail)
    };
    let (bytes, tail) = tail.split_at_checked(len).ok_or(PackFault::Overrun)?;
    let (_, tail) = tail.split_at_checked(free).ok_or(PackFault::Overrun)?;
    Ok((bytes, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(blob: &[u8]) -> Result<Vec<&[u8]>, ErrorKind> {
        let mut walk = Zipmap::open(blob)?;
        let mut out = Vec::new();
        while let Some(entry) = walk.next()? {
            let Entry::Bytes(bytes) = entry else {
                panic!("no integers here")
            };
            out.push(bytes);
        }
        Ok(out)
    }

    #[test]
    fn pairs_with_free_bytes_and_long_lengths() {
        let blob = b"\x02\x03foo\x03\x00bar\x01k\xfe\x02\x00\x00\x00\x03vvxxx\xff";
        assert_eq!(check(blob), Ok(vec![&b"foo"[..], b"bar", b"k", b"vv"]));
        assert_eq!(check(b"\xfe\x01a\x00\x00\xff"), Ok(vec![&b"a"[..], b""]));
        assert_eq!(check(b"\x00\xff"), Ok(vec![]));
    }

    #[test]
    fn damage() {
        for (blob, expected) in [
            (&b""[..], PackFault::Header),
            (b"\x01", PackFault::EndMark),
            (b"\x01\x01a", PackFault::EndMark),
            (b"\x01\x01a\xff", PackFault::EndMark),
            (b"\x02\x01a\x00\x00\xff", PackFault::Count),
            (b"\x01\x01a\x09\x00b\xff", PackFault::Overrun),
            (b"\x01\x01a\x01\x09b\xff", PackFault::Overrun),
            (b"\x01\xfe\xff\xff\xff\xffa\xff", PackFault::Overrun),
        ] {
            assert_eq!(check(blob), Err(fault(expected)), "{blob:?}");
        }
    }
}
