//! Scans requests in place, without ever looking at a byte twice.
//!
//! The scanner remembers where it is relative to the start of the request, so it can be called
//! again with a longer view of the same bytes, at whatever cut. What it produces are spans; nothing
//! is copied, except inline words, whose quotes have to be removed.
//!
//! ```text
//!   Idle --'*'--> Count --> [ '$' Length --> payload CRLF ] x n --> Done
//!     \--other--> Inline (to LF) -------------------------------> Done
//! ```
//!
//! The replication stream and the admin port share it. They differ in [`Limits`]: the stream accepts
//! nothing inline and pauses at large arguments ([`Scanned::Large`]) to consume them in pieces.

use super::number::{Header, header};
use super::{Args, Fault, Span, inline};

/// What the caller is willing to take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Arguments in one request.
    pub arguments: usize,
    /// Bytes in one argument.
    pub argument_bytes: u64,
    /// Bytes in one request, all included. At most 4 GiB are addressable.
    pub request_bytes: u64,
    /// Bytes in one inline request; 0 forbids them.
    pub inline_bytes: usize,
    /// The scanner pauses before arguments above this.
    pub large_bytes: u64,
}

impl Limits {
    /// Limits of a port that serves clients: requests are taken whole, inline ones up to 64 KiB.
    #[must_use]
    pub fn client(arguments: usize, argument_bytes: u64, request_bytes: u64) -> Limits {
        Limits {
            arguments,
            argument_bytes,
            request_bytes: request_bytes.min(u64::from(u32::MAX)),
            inline_bytes: 64 << 10,
            large_bytes: u64::MAX,
        }
    }
}

/// What a scan came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// The request is not all here. Call again with the same bytes and more behind them.
    More,
    /// A whole request; [`Scanner::args`] has it until the next scan. Drop `len` bytes then.
    /// It may be empty (`*0`, an empty line), which clients send to keep a connection alive.
    Done {
        /// Bytes of the request.
        len: usize,
    },
    /// Argument `index` of `len` bytes begins where [`Scanner::release`] ends.
    Large {
        /// Which argument.
        index: usize,
        /// Its declared length.
        len: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between requests.
    Idle,
    /// Arguments are being read.
    Open,
    /// An inline request whose end is being looked for.
    Inline,
    /// Handed out; the next scan starts over.
    Done,
}

/// The resumable scanner. One per connection.
#[derive(Debug)]
pub struct Scanner {
    limits: Limits,
    state: State,
    /// Bytes scanned since the request began or was last released.
    at: usize,
    /// Arguments still to come.
    left: usize,
    /// Arguments released to the caller.
    released: usize,
    /// A header that has been read, its payload being awaited.
    bulk: Option<u32>,
    spans: Vec<Span>,
    inline: Vec<u8>,
    is_inline: bool,
}

impl Scanner {
    /// A scanner before its first request.
    #[must_use]
    pub fn new(limits: Limits) -> Scanner {
        Scanner {
            limits,
            state: State::Idle,
            at: 0,
            left: 0,
            released: 0,
            bulk: None,
            spans: Vec::new(),
            inline: Vec::new(),
            is_inline: false,
        }
    }

    /// Whether the next byte begins a request.
    #[must_use]
    #[inline]
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle | State::Done)
    }

    /// Goes on with the request at the front of `input`.
    ///
    /// # Errors
    /// What is wrong with the bytes. The connection cannot be read any further.
    #[inline]
    pub fn scan(&mut self, input: &[u8]) -> Result<Scanned, Fault> {
        match self.state {
            State::Open => self.arguments(input),
            State::Idle | State::Done => self.begin(input),
            State::Inline => self.inline(input),
        }
    }

    /// The arguments of the request that [`Scanned::Done`] announced; `input` is the same view.
    #[must_use]
    #[inline]
    pub fn args<'a>(&'a self, input: &'a [u8]) -> Args<'a> {
        let bytes = if self.is_inline { &self.inline } else { input };
        Args {
            bytes,
            spans: &self.spans,
            longs: &[],
        }
    }

    #[inline]
    fn begin(&mut self, input: &[u8]) -> Result<Scanned, Fault> {
        self.at = 0;
        let Some(&first) = input.first() else {
            return Ok(Scanned::More);
        };
        self.spans.clear();
        if first != b'*' {
            return self.begin_inline(first, input);
        }
        let Header::Whole(count, at) = header(input, Fault::Count)? else {
            return Ok(Scanned::More);
        };
        self.is_inline = false;
        self.released = 0;
        self.at = at;
        // Servers take zero and negative counts from clients for an empty request.
        self.left = usize::try_from(count).unwrap_or(0);
        if self.left > self.limits.arguments {
            return Err(too_big(
                "mbulk count",
                self.limits.arguments as u64,
                self.left as u64,
            ));
        }
        self.state = State::Open;
        self.arguments(input)
    }

    #[inline]
    fn arguments(&mut self, input: &[u8]) -> Result<Scanned, Fault> {
        while self.left > 0 {
            let len = match self.bulk {
                Some(len) => len,
                None => match self.length(input)? {
                    Length::Of(len) => len,
                    Length::Part => return Ok(Scanned::More),
                    Length::Large(len) => {
                        let index = self.released.saturating_add(self.spans.len());
                        return Ok(Scanned::Large { index, len });
                    }
                },
            };
            let end = self.at.saturating_add(len as usize);
            match input.get(end..) {
                Some([b'\r', b'\n', ..]) => {}
                None | Some([] | [b'\r']) => {
                    self.bulk = Some(len);
                    return Ok(Scanned::More);
                }
                Some(_) => return Err(Fault::Terminator),
            }
            self.bulk = None;
            // Both fit: `length` has checked the end of the payload against 4 GiB.
            let start = u32::try_from(self.at).unwrap_or(u32::MAX);
            self.spans.push(Span { start, len });
            self.at = end.saturating_add(2);
            self.left = self.left.saturating_sub(1);
        }
        self.state = State::Done;
        Ok(Scanned::Done { len: self.at })
    }

    /// Reads the header of the next argument.
    #[inline]
    fn length(&mut self, input: &[u8]) -> Result<Length, Fault> {
        let rest = input.get(self.at..).unwrap_or_default();
        match rest.first() {
            Some(b'$') => {}
            Some(other) => return Err(Fault::Dollar(*other)),
            None => return Ok(Length::Part),
        }
        let Header::Whole(len, header_bytes) = header(rest, Fault::Length)? else {
            return Ok(Length::Part);
        };
        let len = u64::try_from(len).map_err(|_| Fault::Length)?;
        self.at = self.at.saturating_add(header_bytes);
        if len > self.limits.argument_bytes {
            return Err(too_big("bulk length", self.limits.argument_bytes, len));
        }
        if len > self.limits.large_bytes {
            return Ok(Length::Large(len));
        }
        let end = len.saturating_add(self.at as u64);
        match u32::try_from(len) {
            Ok(len) if end <= self.limits.request_bytes => Ok(Length::Of(len)),
            _ => Err(too_big("request", self.limits.request_bytes, end)),
        }
    }

    /// Forgets the arguments scanned so far, which the caller has copied, and says how many bytes
    /// they took: those are to be dropped from the front of the input. Only in the middle of a
    /// request, after [`Scanned::More`] or [`Scanned::Large`]. A header that was read stays read.
    pub(crate) fn release(&mut self) -> usize {
        self.released = self.released.saturating_add(self.spans.len());
        self.spans.clear();
        std::mem::take(&mut self.at)
    }

    /// The caller has consumed a large argument and its CRLF.
    pub(crate) fn skip_large(&mut self) {
        self.left = self.left.saturating_sub(1);
        self.released = self.released.saturating_add(1);
    }

    /// Bytes scanned of the unfinished request since it began or was released.
    pub(crate) fn pending(&self) -> usize {
        self.at
    }

    #[cold]
    fn begin_inline(&mut self, first: u8, input: &[u8]) -> Result<Scanned, Fault> {
        if self.limits.inline_bytes == 0 {
            return Err(Fault::Star(first));
        }
        self.state = State::Inline;
        self.inline(input)
    }

    fn inline(&mut self, input: &[u8]) -> Result<Scanned, Fault> {
        let fresh = input.get(self.at..).unwrap_or_default();
        let end = memchr::memchr(b'\n', fresh).map(|end| self.at.saturating_add(end));
        let max = self.limits.inline_bytes;
        if end.unwrap_or(input.len()) > max {
            let max = max as u64;
            return Err(too_big("inline request", max, max.saturating_add(1)));
        }
        let Some(end) = end else {
            self.at = input.len();
            return Ok(Scanned::More);
        };
        self.is_inline = true;
        self.inline.clear();
        let line = input.get(..end).unwrap_or_default();
        inline::split(line, &mut self.inline, &mut self.spans)?;
        self.state = State::Done;
        Ok(Scanned::Done {
            len: end.saturating_add(1),
        })
    }
}

/// What the header of an argument says.
enum Length {
    /// It is to be read in place.
    Of(u32),
    /// It is larger than the caller wants to see at once.
    Large(u64),
    /// The header is not all here.
    Part,
}

#[cold]
fn too_big(what: &'static str, max: u64, got: u64) -> Fault {
    Fault::TooBig { what, max, got }
}
