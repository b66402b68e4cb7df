//! Replies as values: what a side connection reads.
//!
//! The reader is given bytes as they come and keeps what it has understood, so no byte is looked at
//! twice and a large blob leaves the caller's buffer piece by piece. An array under construction
//! lies on a stack of at most [`limits::REPLY_DEPTH_MAX`]; nothing recurses, and nothing is
//! allocated on the word of a count or length.

use super::number::{Header, header};
use super::{Fault, Line, line, signed};
use crate::limits;

/// A reply of RESP2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+`
    Simple(Vec<u8>),
    /// `-`
    Error(Vec<u8>),
    /// `:`
    Int(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `$-1`, `*-1`
    Nil,
    /// `*`
    Array(Vec<Reply>),
}

impl Reply {
    /// The bytes of a text or blob.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Reply::Simple(bytes) | Reply::Bulk(bytes) => Some(bytes),
            Reply::Error(_) | Reply::Int(_) | Reply::Nil | Reply::Array(_) => None,
        }
    }

    /// The text of an error.
    #[must_use]
    pub fn as_error(&self) -> Option<&[u8]> {
        match self {
            Reply::Error(text) => Some(text),
            Reply::Simple(_) | Reply::Bulk(_) | Reply::Int(_) | Reply::Nil | Reply::Array(_) => {
                None
            }
        }
    }

    /// The number, also of a text that spells one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Reply::Int(value) => Some(*value),
            Reply::Simple(text) | Reply::Bulk(text) => signed(text),
            Reply::Error(_) | Reply::Nil | Reply::Array(_) => None,
        }
    }

    /// The members of an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Reply]> {
        match self {
            Reply::Array(items) => Some(items),
            Reply::Simple(_) | Reply::Bulk(_) | Reply::Error(_) | Reply::Int(_) | Reply::Nil => {
                None
            }
        }
    }

    /// Whether it is an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.as_error().is_some()
    }
}

/// An array that is not complete.
#[derive(Debug)]
struct Open {
    left: u64,
    items: Vec<Reply>,
}

/// A blob that is not complete.
#[derive(Debug)]
struct Blob {
    left: usize,
    bytes: Vec<u8>,
}

/// Reads replies one after another. One per connection; after an error it must be dropped with it.
#[derive(Debug)]
pub struct ReplyReader {
    bytes_max: usize,
    values_max: usize,
    bytes: usize,
    values: usize,
    stack: Vec<Open>,
    blob: Option<Blob>,
}

impl ReplyReader {
    /// A reader that takes replies of up to so many bytes (blobs and lines) and values, and never
    /// more than [`limits::REPLY_BYTES_MAX`] and [`limits::REPLY_VALUES_MAX`].
    #[must_use]
    pub fn new(bytes_max: usize, values_max: usize) -> ReplyReader {
        ReplyReader {
            bytes_max: bytes_max.min(limits::REPLY_BYTES_MAX),
            values_max: values_max.min(limits::REPLY_VALUES_MAX),
            bytes: 0,
            values: 0,
            stack: Vec::new(),
            blob: None,
        }
    }

    /// Takes bytes from the front of `input`, and says how many; a reply once one is complete.
    /// Without one it has taken all it can, and is called again with what is left and more.
    ///
    /// # Errors
    /// What is wrong with the bytes, or which limit they exceed.
    pub fn read(&mut self, input: &[u8]) -> Result<(usize, Option<Reply>), Fault> {
        let mut at: usize = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            let (taken, value) = match &mut self.blob {
                Some(_) => self.blob(rest)?,
                None => self.value(rest)?,
            };
            at = at.saturating_add(taken);
            if let Some(reply) = value.and_then(|value| self.close(value)) {
                self.bytes = 0;
                self.values = 0;
                return Ok((at, Some(reply)));
            }
            if taken == 0 {
                return Ok((at, None));
            }
        }
    }

    /// Puts a finished value where it belongs; the whole reply if it was the last one.
    fn close(&mut self, value: Reply) -> Option<Reply> {
        let mut value = value;
        loop {
            let Some(open) = self.stack.last_mut() else {
                return Some(value);
            };
            open.items.push(value);
            open.left = open.left.saturating_sub(1);
            if open.left > 0 {
                return None;
            }
            value = Reply::Array(self.stack.pop()?.items);
        }
    }

    /// Reads a value, or the head of a larger one.
    fn value(&mut self, rest: &[u8]) -> Result<(usize, Option<Reply>), Fault> {
        match rest.first() {
            None => Ok((0, None)),
            Some(b'+' | b'-' | b':') => self.line(rest),
            Some(b'$') => self.begin_blob(rest),
            Some(b'*') => self.begin_array(rest),
            Some(other) => Err(Fault::Reply(*other)),
        }
    }

    fn line(&mut self, rest: &[u8]) -> Result<(usize, Option<Reply>), Fault> {
        let (text, taken) = match line(rest, limits::REPLY_LINE_BYTES_MAX)? {
            Line::Part => return Ok((0, None)),
            Line::Whole(text, taken) => (text, taken),
        };
        self.count(taken)?;
        let value = match text.split_first() {
            Some((b'+', text)) => Reply::Simple(text.to_vec()),
            Some((b'-', text)) => Reply::Error(text.to_vec()),
            Some((_, text)) => Reply::Int(signed(text).ok_or(Fault::Number)?),
            None => return Err(Fault::LineEnd),
        };
        Ok((taken, Some(value)))
    }

    fn begin_blob(&mut self, rest: &[u8]) -> Result<(usize, Option<Reply>), Fault> {
        let Header::Whole(len, taken) = header(rest, Fault::Length)? else {
            return Ok((0, None));
        };
        if len == -1 {
            self.count(0)?;
            return Ok((taken, Some(Reply::Nil)));
        }
        let left = usize::try_from(len).map_err(|_| Fault::Length)?;
        self.count(left)?;
        self.blob = Some(Blob {
            left,
            bytes: Vec::new(),
        });
        Ok((taken, None))
    }

    fn blob(&mut self, rest: &[u8]) -> Result<(usize, Option<Reply>), Fault> {
        let Some(blob) = &mut self.blob else {
            return Ok((0, None));
        };
        let (piece, after) = rest.split_at_checked(blob.left).unwrap_or((rest, &[]));
        blob.bytes.extend_from_slice(piece);
        blob.left = blob.left.saturating_sub(piece.len());
        if blob.left > 0 {
            return Ok((piece.len(), None));
        }
        match after {
            [b'\r', b'\n', ..] => {
                let bytes = self.blob.take().map(|blob| blob.bytes).unwrap_or_default();
                Ok((piece.len().saturating_add(2), Some(Reply::Bulk(bytes))))
            }
            [] | [b'\r'] => Ok((piece.len(), None)),
            _ => Err(Fault::Terminator),
        }
    }

    fn begin_array(&mut self, rest: &[u8]) -> Result<(usize, Option<Reply>), Fault> {
        let Header::Whole(count, taken) = header(rest, Fault::Count)? else {
            return Ok((0, None));
        };
        self.count(0)?;
        if count == -1 {
            return Ok((taken, Some(Reply::Nil)));
        }
        let left = u64::try_from(count).map_err(|_| Fault::Count)?;
        if left == 0 {
            return Ok((taken, Some(Reply::Array(Vec::new()))));
        }
        let values_left = self.values_max.saturating_sub(self.values) as u64;
        if left > values_left {
            let max = self.values_max as u64;
            return Err(Fault::TooBig {
                what: "reply",
                max,
                got: left,
            });
        }
        if self.stack.len() >= limits::REPLY_DEPTH_MAX {
            let max = limits::REPLY_DEPTH_MAX as u64;
            return Err(Fault::TooBig {
                what: "reply depth",
                max,
                got: max.saturating_add(1),
            });
        }
        self.stack.push(Open {
            left,
            items: Vec::new(),
        });
        Ok((taken, None))
    }

    /// Counts a value of so many bytes against the limits.
    fn count(&mut self, bytes: usize) -> Result<(), Fault> {
        self.bytes = self.bytes.saturating_add(bytes);
        self.values = self.values.saturating_add(1);
        if self.bytes > self.bytes_max {
            let (max, got) = (self.bytes_max as u64, self.bytes as u64);
            return Err(Fault::TooBig {
                what: "reply",
                max,
                got,
            });
        }
        if self.values > self.values_max {
            let (max, got) = (self.values_max as u64, self.values as u64);
            return Err(Fault::TooBig {
                what: "count of values in a reply",
                max,
                got,
            });
        }
        Ok(())
    }
}
