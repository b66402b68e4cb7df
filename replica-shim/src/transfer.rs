//! The envelope of a snapshot.
//!
//! ```text
//!   { LF }  "$" length CRLF              snapshot of that length      stream...     disk
//!   { LF }  "$EOF:" mark(40) CRLF        snapshot      mark(40)       stream...     diskless
//! ```
//!
//! The newlines say that the server still saves. Neither form ends in CRLF: the stream may begin in
//! the same segment. The end of a diskless snapshot is where the decoder says it ends; the mark
//! behind it is compared, not searched for, so it cannot be missed where it is split and cannot be
//! found inside the data.

use crate::position::{Offset, ReplId};
use crate::rdb::{self, Decoder, Item, Sink};
use crate::resp::{self, Fault};
use crate::text::Text;

/// Bytes of the mark behind a diskless snapshot.
pub(crate) const MARK_BYTES: usize = 40;

/// How the end of the snapshot is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// By its length.
    Sized(u64),
    /// By its own end, confirmed by this mark.
    Marked([u8; MARK_BYTES]),
}

impl Form {
    /// Parses the line behind the newlines.
    pub(crate) fn parse(line: &[u8]) -> Result<Form, Fault> {
        let Some(text) = line.strip_prefix(b"$") else {
            return Err(Fault::Dollar(line.first().copied().unwrap_or(b'\r')));
        };
        if let Some(mark) = text.strip_prefix(b"EOF:") {
            return mark.try_into().map(Form::Marked).map_err(|_| Fault::Length);
        }
        match resp::unsigned(text) {
            Some(len) if len <= i64::MAX as u64 => Ok(Form::Sized(len)),
            Some(_) | None => Err(Fault::Length),
        }
    }
}

/// What the snapshot says about its own place in history.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) replid: Option<ReplId>,
    pub(crate) offset: Option<Offset>,
    pub(crate) db: Option<u32>,
}

impl Origin {
    fn note(&mut self, key: &[u8], value: &Text<'_>) {
        match key {
            b"repl-id" => self.replid = value.bytes().and_then(ReplId::parse),
            b"repl-offset" => {
                self.offset = value.int().and_then(|n| u64::try_from(n).ok()).map(Offset);
            }
            b"repl-stream-db" => self.db = value.int().and_then(|n| u32::try_from(n).ok()),
            _ => {}
        }
    }
}

/// How far a snapshot has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// This much was taken; zero asks for more bytes.
    Took(usize),
    /// This much was taken, and it is whole.
    Ended(usize),
}

/// Why a snapshot cannot be taken.
#[derive(Debug)]
pub(crate) enum Broken {
    Decoder(rdb::Error),
    Order {
        expected: &'static str,
        got: &'static str,
    },
}

/// A snapshot on its way.
#[derive(Debug)]
pub(crate) struct Transfer {
    decoder: Decoder,
    form: Form,
    pub(crate) origin: Origin,
}

impl Transfer {
    pub(crate) fn new(form: Form, seed: u64) -> Transfer {
        Transfer {
            decoder: Decoder::new(seed),
            form,
            origin: Origin::default(),
        }
    }

    /// Takes what it can from the front of `input`.
    pub(crate) fn feed<S: Sink>(&mut self, input: &[u8], sink: &mut S) -> Result<Progress, Broken> {
        match self.form {
            Form::Marked(mark) if self.decoder.is_done() => compare(input, &mark),
            Form::Marked(_) => self.decode(input, sink).map(Progress::Took),
            Form::Sized(left) => self.feed_sized(input, left, sink),
        }
    }

    fn feed_sized<S: Sink>(
        &mut self,
        input: &[u8],
        left: u64,
        sink: &mut S,
    ) -> Result<Progress, Broken> {
        let fits = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let payload = input.get(..fits).unwrap_or(input);
        let taken = self.decode(payload, sink)?;
        let left_after = left.saturating_sub(taken as u64);
        self.form = Form::Sized(left_after);
        if self.decoder.is_done() {
            if left_after > 0 {
                let expected = "a snapshot as long as announced";
                return Err(Broken::Order {
                    expected,
                    got: "a shorter one",
                });
            }
            return Ok(Progress::Ended(taken));
        }
        if taken == 0 && payload.len() as u64 == left {
            return Err(Broken::Decoder(self.decoder.truncated()));
        }
        Ok(Progress::Took(taken))
    }

    fn decode<S: Sink>(&mut self, payload: &[u8], sink: &mut S) -> Result<usize, Broken> {
        let mut watch = Watch {
            origin: &mut self.origin,
            sink,
        };
        self.decoder
            .feed(payload, &mut watch)
            .map_err(Broken::Decoder)
    }
}

/// The mark, of which any number of bytes may be here.
fn compare(input: &[u8], mark: &[u8; MARK_BYTES]) -> Result<Progress, Broken> {
    let here = input.get(..MARK_BYTES).unwrap_or(input);
    if !mark.starts_with(here) {
        let expected = "the mark announced for the end of the snapshot";
        return Err(Broken::Order {
            expected,
            got: "other bytes",
        });
    }
    if here.len() < MARK_BYTES {
        return Ok(Progress::Took(0));
    }
    Ok(Progress::Ended(MARK_BYTES))
}

/// A sink that reads the position on the way to the caller's.
struct Watch<'a, S> {
    origin: &'a mut Origin,
    sink: &'a mut S,
}

impl<S: Sink> Sink for Watch<'_, S> {
    #[inline]
    fn item(&mut self, item: Item<'_>) {
        if let Item::Aux { key, value } = &item {
            self.origin.note(key, value);
        }
        self.sink.item(item);
    }

    #[inline]
    fn key(&mut self, key: rdb::Key<'_>) {
        self.sink.key(key);
    }

    #[inline]
    fn string(&mut self, len: u64, int: Option<i64>) {
        self.sink.string(len, int);
    }

    #[inline]
    fn element(&mut self, text: Text<'_>) {
        self.sink.element(text);
    }

    #[inline]
    fn scored(&mut self, member: Text<'_>, score: f64) {
        self.sink.scored(member, score);
    }

    #[inline]
    fn field(&mut self, field: Text<'_>, value: Text<'_>, expire_ms: Option<i64>) {
        self.sink.field(field, value, expire_ms);
    }

    #[inline]
    fn end(&mut self, end: rdb::ObjectEnd) {
        self.sink.end(end);
    }
}
