//! DUMP payloads: one value without its key, as `DUMP` returns it and `RESTORE` takes it.
//!
//! ```text
//!   type byte | value | u16le RDB version | u64le CRC64 of all before it
//! ```
//!
//! There is no magic. Type 22 means one thing to Redis and another to Valkey, so the version in the
//! footer decides whose tables apply: 80 and above is Valkey, the rest Redis, and up to 11 they are
//! the same.

use super::crc64;
use super::decoder::{Decoder, payload_family};
use super::error::{Error, ErrorKind};
use super::item::{Header, Item, Sink};

/// Version and checksum.
pub(super) const FOOTER_BYTES: u64 = 10;

/// Decodes a payload that is all there. Its footer is checked before the first item is handed out:
/// [`Item::Header`], [`Item::Kind`], the value's items, [`Item::ObjectEnd`], [`Item::End`].
///
/// # Errors
/// When it is not whole, or not a value this decoder knows.
pub fn payload<S: Sink>(seed: u64, bytes: &[u8], sink: &mut S) -> Result<(), Error> {
    let len = bytes.len() as u64;
    let fault = |kind| Error { offset: 0, kind };
    let (body, stored) = bytes
        .split_last_chunk::<8>()
        .ok_or(fault(ErrorKind::PayloadLength(len)))?;
    let (_, version) = body
        .split_last_chunk::<2>()
        .ok_or(fault(ErrorKind::PayloadLength(len)))?;
    let (computed, stored) = (crc64::of(body), u64::from_le_bytes(*stored));
    if computed != stored {
        return Err(fault(ErrorKind::Checksum { computed, stored }));
    }
    let version = u32::from(u16::from_le_bytes(*version));
    let family = payload_family(version);
    sink.item(Item::Header(Header { family, version }));
    let mut decoder = Decoder::payload(seed, len, family);
    decoder.feed(bytes, sink)?;
    if decoder.is_done() {
        Ok(())
    } else {
        Err(decoder.truncated())
    }
}
