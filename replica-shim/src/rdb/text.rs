//! From strings as they stand in the file to texts, names and sizes.
//!
//! Two scratch buffers are enough, for an item never needs more than two strings decompressed at
//! once: a name or field in the one, a block or value in the other.

use super::error::{Bounded, ErrorKind};
use super::gather::digest_lzf;
use super::limits::{BLOB_BYTES_MAX, IDLE_CAPACITY, VALUE_KEPT_MAX};
use super::read::{Raw, decompress, is_long};
use crate::text::{Text, decimal, decimal_len, write_decimal};

/// Space for decompressed strings, reused from item to item.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) name: Vec<u8>,
    pub(super) blob: Vec<u8>,
}

impl Scratch {
    /// Gives back what only an unusually large item needed.
    pub(super) fn shrink(&mut self) {
        for space in [&mut self.name, &mut self.blob] {
            if space.capacity() > IDLE_CAPACITY {
                *space = Vec::new();
            }
        }
    }
}

/// The whole bytes of a name or block.
#[inline]
pub(super) fn whole<'t>(raw: Raw<'t>, space: &'t mut Vec<u8>) -> Result<&'t [u8], ErrorKind> {
    match raw {
        Raw::Plain(bytes) => Ok(bytes),
        Raw::Int(number) => {
            write_decimal(number, space);
            Ok(space)
        }
        Raw::Lzf { data, len } => decompress(data, len, space),
        // Names and blocks are never let go.
        Raw::Gone { len, .. } => Err(ErrorKind::Limit {
            what: Bounded::Blob,
            value: len,
            max: BLOB_BYTES_MAX,
        }),
    }
}

/// The text of an element.
#[inline]
pub(super) fn element<'t>(
    raw: Raw<'t>,
    seed: u64,
    space: &'t mut Vec<u8>,
) -> Result<Text<'t>, ErrorKind> {
    match raw {
        Raw::Plain(bytes) => Ok(Text::of(bytes, seed)),
        Raw::Int(number) => Ok(Text::Int(number)),
        Raw::Lzf { data, len } if is_long(len) => Ok(Text::Long {
            len,
            digest: digest_lzf(data, len, seed)?,
        }),
        Raw::Lzf { data, len } => Ok(Text::Bytes(decompress(data, len, space)?)),
        Raw::Gone { len, digest, .. } => Ok(Text::Long { len, digest }),
    }
}

/// The text of a value: its length, and its bytes only while it may be an integer.
#[inline]
pub(super) fn value<'t>(raw: Raw<'t>, space: &'t mut Vec<u8>) -> Result<Text<'t>, ErrorKind> {
    match raw {
        Raw::Plain(bytes) if bytes.len() as u64 <= VALUE_KEPT_MAX => Ok(Text::Bytes(bytes)),
        Raw::Plain(bytes) => Ok(Text::Long {
            len: bytes.len() as u64,
            digest: 0,
        }),
        Raw::Int(number) => Ok(Text::Int(number)),
        Raw::Lzf { data, len } if len <= VALUE_KEPT_MAX => {
            Ok(Text::Bytes(decompress(data, len, space)?))
        }
        Raw::Lzf { len, .. } | Raw::Gone { len, .. } => Ok(Text::Long { len, digest: 0 }),
    }
}

/// Length of a string value, and its number if it is one.
#[inline]
pub(super) fn size(raw: Raw<'_>, space: &mut Vec<u8>) -> Result<(u64, Option<i64>), ErrorKind> {
    match raw {
        Raw::Plain(bytes) => Ok((bytes.len() as u64, decimal(bytes))),
        Raw::Int(number) => Ok((decimal_len(number), Some(number))),
        Raw::Lzf { data, len } if len <= VALUE_KEPT_MAX => {
            Ok((len, decimal(decompress(data, len, space)?)))
        }
        Raw::Lzf { len, .. } | Raw::Gone { len, .. } => Ok((len, None)),
    }
}
