//! From packed blocks to items.
//!
//! A listpack, a ziplist and a zipmap are all a row of entries; [`Walk`] is what they have in common,
//! and the functions here read elements, pairs and triples off any of them. Validation happens on
//! the way: a fault in the middle of a block comes after items that precede it, which does no harm,
//! for a file with a fault is refused as a whole.

use super::error::{Container, ErrorKind, PackFault};
use super::intset::Intset;
use super::item::{Item, Sink};
use super::limits::FIELD_EXPIRE_MAX;
use super::listpack::Listpack;
use super::read::double;
use crate::text::Text;

/// An entry of a packed block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    Bytes(&'a [u8]),
    Int(i64),
}

impl<'a> Entry<'a> {
    #[inline(always)]
    pub(super) fn text(self, seed: u64) -> Text<'a> {
        match self {
            Entry::Bytes(bytes) => Text::of(bytes, seed),
            Entry::Int(number) => Text::Int(number),
        }
    }

    fn score(self) -> Result<f64, ErrorKind> {
        match self {
            Entry::Bytes(bytes) => double(bytes).ok_or(ErrorKind::Score),
            #[expect(clippy::cast_precision_loss, reason = "servers round the same way")]
            Entry::Int(number) => Ok(number as f64),
        }
    }
}

/// A block of entries.
pub(super) trait Walk<'a> {
    const CONTAINER: Container;

    /// Entries by the header, 0 if it does not know.
    fn declared(&self) -> u64;

    /// The next entry. `None` once, after which the block has been checked to its last byte.
    fn next(&mut self) -> Result<Option<Entry<'a>>, ErrorKind>;

    /// The entry that completes a record.
    #[inline(always)]
    fn rest_of_record(&mut self) -> Result<Entry<'a>, ErrorKind> {
        self.next()?.ok_or(Self::CONTAINER.fault(PackFault::Uneven))
    }
}

/// A little-endian integer at the front.
#[inline(always)]
pub(super) fn integer<const N: usize>(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (bytes, rest) = bytes.split_first_chunk::<N>()?;
    // Filled into the high end and shifted down, the sign comes along.
    let mut wide = [0_u8; 8];
    wide.last_chunk_mut::<N>()?.copy_from_slice(bytes);
    let shift = 64_u32.saturating_sub(8_u32.saturating_mul(u32::try_from(N).ok()?));
    Some((i64::from_le_bytes(wide).wrapping_shr(shift), rest))
}

/// Elements of a list or set; their number.
#[inline]
pub(super) fn elements<'a, S: Sink>(
    mut walk: impl Walk<'a>,
    seed: u64,
    sink: &mut S,
) -> Result<u64, ErrorKind> {
    let mut count = 0_u64;
    while let Some(entry) = walk.next()? {
        sink.element(entry.text(seed));
        count = count.wrapping_add(1);
    }
    Ok(count)
}

/// Members and scores of a sorted set; their number.
#[inline]
pub(super) fn scored<'a, S: Sink>(
    mut walk: impl Walk<'a>,
    seed: u64,
    sink: &mut S,
) -> Result<u64, ErrorKind> {
    let mut count = 0_u64;
    while let Some(member) = walk.next()? {
        let score = walk.rest_of_record()?.score()?;
        sink.scored(member.text(seed), score);
        count = count.wrapping_add(1);
    }
    Ok(count)
}

/// Fields and values of a hash; their number.
#[inline]
pub(super) fn fields<'a, S: Sink>(
    mut walk: impl Walk<'a>,
    seed: u64,
    sink: &mut S,
) -> Result<u64, ErrorKind> {
    let mut count = 0_u64;
    while let Some(field) = walk.next()? {
        let value = walk.rest_of_record()?;
        sink.field(field.text(seed), value.text(seed), None);
        count = count.wrapping_add(1);
    }
    Ok(count)
}

/// Fields, values and expiry times of a hash; their number. Expiry ascends, fields without come last.
#[inline]
pub(super) fn expiring_fields<S: Sink>(
    mut walk: Listpack<'_>,
    seed: u64,
    sink: &mut S,
) -> Result<u64, ErrorKind> {
    let mut count = 0_u64;
    let mut before = 0_u64;
    while let Some(field) = walk.next()? {
        let value = walk.rest_of_record()?;
        let Entry::Int(expire) = walk.rest_of_record()? else {
            return Err(Container::Listpack.fault(PackFault::NotInteger));
        };
        let at = u64::try_from(expire).map_err(|_| ErrorKind::FieldExpire)?;
        if at > FIELD_EXPIRE_MAX {
            return Err(ErrorKind::FieldExpire);
        }
        let order = if at == 0 { u64::MAX } else { at };
        if order < before {
            return Err(Container::Listpack.fault(PackFault::Order));
        }
        before = order;
        let expire_ms = if at == 0 { None } else { Some(expire) };
        sink.field(field.text(seed), value.text(seed), expire_ms);
        count = count.wrapping_add(1);
    }
    Ok(count)
}

/// Members of an intset; their number.
#[inline]
pub(super) fn integers<S: Sink>(set: Intset<'_>, sink: &mut S) -> Result<u64, ErrorKind> {
    sink.item(Item::IntsetWidth(set.width));
    set.each(|member| sink.element(Text::Int(member)))?;
    Ok(set.count())
}
