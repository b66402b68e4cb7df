//! Reading the parts of an item: lengths, strings, fixed fields.
//!
//! ```text
//!   00xxxxxx                     length, 6 bits
//!   01xxxxxx +1                  length, 14 bits, big-endian
//!   10000000 +4                  length, 32 bits, big-endian
//!   10000001 +8                  length, 64 bits, big-endian
//!   11000000 +1                  string: 8-bit integer          (only where a string stands)
//!   11000001 +2                  string: 16-bit integer, little-endian
//!   11000010 +4                  string: 32-bit integer, little-endian
//!   11000011 clen len +clen      string: LZF, `len` bytes when decompressed
//! ```
//!
//! An item is parsed in one go from its parts. If one of them is not all there, parsing stops with
//! [`Stop::Short`], nothing has been handed out, and the item is parsed again from its beginning
//! when there is more: that costs a few header bytes, for no part is looked into before it is
//! whole. Items too large for that are parsed from parts gathered one by one (`gather.rs`); the
//! parsers do not notice, they are written over the trait [`Parts`].

use super::error::{Bounded, ErrorKind, LzfFault};
use super::limits::{BLOB_BYTES_MAX, IDLE_CAPACITY, STREAMED_BYTES_MAX};
use super::lzf;
use crate::limits::{KEY_BYTES_MAX, LONG_BYTES};

/// Why an item could not be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The input ends inside of it.
    Short,
    /// It is wrong.
    Fault(ErrorKind),
}

impl From<ErrorKind> for Stop {
    fn from(kind: ErrorKind) -> Self {
        Stop::Fault(kind)
    }
}

/// What a string is read for, which decides what becomes of a large one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A name: kept whole.
    Name,
    /// A packed block: kept whole.
    Blob,
    /// An element: kept up to [`LONG_BYTES`], digested above.
    Element,
    /// A value: only its length matters.
    Size,
}

impl Role {
    fn bound(self) -> (Bounded, u64) {
        match self {
            Role::Name => (Bounded::Name, KEY_BYTES_MAX as u64),
            Role::Blob => (Bounded::Blob, BLOB_BYTES_MAX),
            Role::Element | Role::Size => (Bounded::String, STREAMED_BYTES_MAX),
        }
    }
}

/// A string as it stands in the file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Raw<'a> {
    Plain(&'a [u8]),
    Int(i64),
    /// Compressed; `len` is what it becomes, and is plausible.
    Lzf {
        data: &'a [u8],
        len: u64,
    },
    /// Went by while it was gathered.
    Gone {
        len: u64,
        digest: u64,
        compressed: Option<u64>,
    },
}

/// The header of a string, checked against the caps.
#[derive(Debug, Clone, Copy)]
pub(super) enum Head {
    Int(i64),
    Plain { len: u64 },
    Lzf { compressed: u64, len: u64 },
}

/// Where parts come from.
pub(super) trait Parts<'a> {
    type Mark: Copy;
    fn mark(&self) -> Self::Mark;
    fn reset(&mut self, mark: Self::Mark);
    /// Offset in the file after the last part.
    fn position(&self) -> u64;
    fn string(&mut self, role: Role) -> Result<Raw<'a>, Stop>;
    fn length(&mut self) -> Result<u64, Stop>;
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop>;
    fn text_double(&mut self) -> Result<f64, Stop>;

    /// A length that counts something. 2^64-1 is the servers' mark of failure and counts nothing.
    #[inline(always)]
    fn count(&mut self) -> Result<u64, Stop> {
        match self.length()? {
            u64::MAX => Err(ErrorKind::Count.into()),
            count => Ok(count),
        }
    }

    #[inline(always)]
    fn u64_le(&mut self) -> Result<u64, Stop> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    #[inline(always)]
    fn i64_le(&mut self) -> Result<i64, Stop> {
        Ok(i64::from_le_bytes(self.array()?))
    }
}

/// The contiguous input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    /// Offset in the file of the input's end.
    end: u64,
}

impl<'a> Cursor<'a> {
    /// Over an input that begins at an offset.
    pub(super) fn new(input: &'a [u8], offset: u64) -> Self {
        Cursor {
            rest: input,
            end: offset.saturating_add(input.len() as u64),
        }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes up to `most` bytes.
    pub(super) fn take(&mut self, most: u64) -> &'a [u8] {
        let count = usize::try_from(most)
            .unwrap_or(usize::MAX)
            .min(self.rest.len());
        let (bytes, rest) = self
            .rest
            .split_at_checked(count)
            .unwrap_or((self.rest, &[]));
        self.rest = rest;
        bytes
    }

    #[inline(always)]
    fn byte(&mut self) -> Result<u8, Stop> {
        let (&byte, rest) = self.rest.split_first().ok_or(Stop::Short)?;
        self.rest = rest;
        Ok(byte)
    }

    #[inline(always)]
    fn bytes(&mut self, count: u64) -> Result<&'a [u8], Stop> {
        let count = usize::try_from(count).map_err(|_| Stop::Short)?;
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(Stop::Short)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A length whose first byte is not of the 6-bit form.
    fn long_length(&mut self, first: u8) -> Result<u64, Stop> {
        match first {
            0x40..=0x7f => Ok(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            0x80 => Ok(u64::from(u32::from_be_bytes(self.array()?))),
            0x81 => Ok(u64::from_be_bytes(self.array()?)),
            _ => Err(ErrorKind::Length(first).into()),
        }
    }

    /// The header of a string, after its first byte.
    fn head(&mut self, first: u8, role: Role) -> Result<Head, Stop> {
        let (what, max) = role.bound();
        let head = match first {
            0xc0 => Head::Int(i64::from(i8::from_le_bytes(self.array()?))),
            0xc1 => Head::Int(i64::from(i16::from_le_bytes(self.array()?))),
            0xc2 => Head::Int(i64::from(i32::from_le_bytes(self.array()?))),
            0xc3 => {
                let compressed = self.count()?;
                let len = self.count()?;
                lzf::check_ratio(compressed, len).map_err(ErrorKind::from)?;
                Head::Lzf { compressed, len }
            }
            0xc4.. => return Err(ErrorKind::StringEncoding(first & 0x3f).into()),
            0..=0x3f => Head::Plain {
                len: u64::from(first),
            },
            0x40..=0xbf => Head::Plain {
                len: self.long_length(first)?,
            },
        };
        match head {
            Head::Plain { len } | Head::Lzf { len, .. } if len > max => Err(ErrorKind::Limit {
                what,
                value: len,
                max,
            }
            .into()),
            Head::Int(_) | Head::Plain { .. } | Head::Lzf { .. } => Ok(head),
        }
    }

    /// The header of a string that is going to be gathered.
    pub(super) fn string_head(&mut self, role: Role) -> Result<Head, Stop> {
        let first = self.byte()?;
        self.head(first, role)
    }

    fn long_string(&mut self, first: u8, role: Role) -> Result<Raw<'a>, Stop> {
        Ok(match self.head(first, role)? {
            Head::Int(number) => Raw::Int(number),
            Head::Plain { len } => Raw::Plain(self.bytes(len)?),
            Head::Lzf { compressed, len } => Raw::Lzf {
                data: self.bytes(compressed)?,
                len,
            },
        })
    }
}

impl<'a> Parts<'a> for Cursor<'a> {
    type Mark = &'a [u8];

    #[inline(always)]
    fn mark(&self) -> Self::Mark {
        self.rest
    }

    #[inline(always)]
    fn reset(&mut self, mark: Self::Mark) {
        self.rest = mark;
    }

    #[inline(always)]
    fn position(&self) -> u64 {
        self.end.wrapping_sub(self.rest.len() as u64)
    }

    #[inline(always)]
    fn string(&mut self, role: Role) -> Result<Raw<'a>, Stop> {
        let first = self.byte()?;
        if first < 0x40 {
            return Ok(Raw::Plain(self.bytes(u64::from(first))?));
        }
        self.long_string(first, role)
    }

    #[inline(always)]
    fn length(&mut self) -> Result<u64, Stop> {
        let first = self.byte()?;
        if first < 0x40 {
            Ok(u64::from(first))
        } else {
            self.long_length(first)
        }
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(Stop::Short)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn text_double(&mut self) -> Result<f64, Stop> {
        match self.byte()? {
            253 => Err(ErrorKind::Score.into()),
            254 => Ok(f64::INFINITY),
            255 => Ok(f64::NEG_INFINITY),
            len => double(self.bytes(u64::from(len))?).ok_or(Stop::Fault(ErrorKind::Score)),
        }
    }
}

/// A decimal number that is not NaN.
pub(super) fn double(text: &[u8]) -> Option<f64> {
    let value: f64 = str::from_utf8(text).ok()?.parse().ok()?;
    if value.is_nan() { None } else { Some(value) }
}

/// Decompresses into scratch space, which does not keep what only an unusual item needed.
pub(super) fn decompress<'o>(
    data: &[u8],
    len: u64,
    out: &'o mut Vec<u8>,
) -> Result<&'o [u8], ErrorKind> {
    let compressed = data.len() as u64;
    if out.capacity() > IDLE_CAPACITY {
        *out = Vec::new();
    }
    let len = usize::try_from(len).map_err(|_| LzfFault::Ratio { compressed, len })?;
    Ok(lzf::decode(data, len, out)?)
}

/// Whether a string of this length is kept when it is an element.
pub(super) fn is_long(len: u64) -> bool {
    len > LONG_BYTES as u64
}
