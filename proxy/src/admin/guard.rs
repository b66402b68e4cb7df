//! Where a request ends, and whether it may be decoded at all.
//!
//! A request is `*argc\r\n` and then argc times `$len\r\n<len bytes>\r\n`, or one inline line. Nothing
//! nests, so a `*` where a `$` belongs is refused before any decoder sees it: redis-protocol 6.0
//! recurses without a limit and would overflow the stack of its thread.
//!
//! The guard remembers where it stopped, so a request that arrives in many reads is scanned once;
//! and since it only hands on complete requests, the decoder too looks at each byte once. Every
//! number is compared with its limit before anything waits for it: an announced length costs no
//! memory. Error texts are those of Redis (networking.c `processMultibulkBuffer`), because client
//! libraries know them.

use thiserror::Error;

/// Longest header line, `*` or `$` and CRLF included. An i64 has 20 characters.
const HEADER_MAX: usize = 32;

/// What a client may send in one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Arguments.
    pub argc_max: usize,
    /// Bytes of one argument.
    pub bulk_bytes_max: usize,
    /// Bytes of the whole request.
    pub total_bytes_max: usize,
    /// Bytes of an inline line.
    pub inline_bytes_max: usize,
    /// True while the client has not authenticated: only words the errors.
    pub locked: bool,
}

/// Before AUTH: as Redis, ten arguments of 16 KiB.
pub(crate) const LOCKED: Limits = Limits {
    argc_max: 10,
    bulk_bytes_max: 16 * 1024,
    total_bytes_max: 64 * 1024,
    inline_bytes_max: 16 * 1024,
    locked: true,
};

/// After AUTH. The longest request that makes sense is an EXISTS of many names.
pub(crate) const OPEN: Limits = Limits {
    argc_max: 64 * 1024,
    bulk_bytes_max: 1024 * 1024,
    total_bytes_max: 4 * 1024 * 1024,
    inline_bytes_max: 64 * 1024,
    locked: false,
};

/// A complete request at the front of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// An array of bulk strings, within the limits, of so many bytes.
    Array(usize),
    /// An inline line of so many bytes, its line end included.
    Inline(usize),
    /// `*0` or `*-1`: nothing is asked, nothing is answered.
    Nothing(usize),
}

/// Why a connection ends: the text follows `-ERR Protocol error: `.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    /// An argument count that is no number or above the limit.
    #[error("invalid multibulk length")]
    Count,
    /// More arguments than an unauthenticated client may send.
    #[error("unauthenticated multibulk length")]
    CountLocked,
    /// An argument length that is no number or above the limit.
    #[error("invalid bulk length")]
    Length,
    /// A longer argument than an unauthenticated client may send.
    #[error("unauthenticated bulk length")]
    LengthLocked,
    /// Something else where an argument should start.
    #[error("expected '$', got '{}'", .0.escape_ascii())]
    NotBulk(u8),
    /// A header line that does not end.
    #[error("too big mbulk count string")]
    Header,
    /// An argument that is not followed by CRLF.
    #[error("expected CRLF after an argument")]
    Terminator,
    /// All arguments together.
    #[error("too big request")]
    Total,
    /// An inline line that does not end.
    #[error("too big inline request")]
    Inline,
    /// Quotes of an inline request that do not match.
    #[error("unbalanced quotes in request")]
    Quotes,
    /// What the decoder refused after the guard had let it pass: a defect of ours.
    #[error("undecodable request")]
    Undecodable,
}

/// Position inside the request that is still arriving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing seen of it.
    Start,
    /// In the `*argc` line.
    Count,
    /// In a `$len` line, with so many arguments to come, this one included.
    Length(usize),
    /// In an argument that ends, CRLF included, at this position.
    Bulk { end: usize, left: usize },
    /// In an inline line, searched for its end up to this position.
    Inline(usize),
}

/// The resumable scan of one connection's input.
#[derive(Debug)]
pub(crate) struct Guard {
    phase: Phase,
    /// Bytes of the request that are already understood.
    at: usize,
}

impl Guard {
    pub(crate) fn new() -> Guard {
        Guard {
            phase: Phase::Start,
            at: 0,
        }
    }

    /// Looks for a complete request at the front of `buffer`, which must start where it started at
    /// the last call and only have grown. After `Some` the caller drops those bytes. After an error
    /// the connection is dead.
    pub(crate) fn scan(
        &mut self,
        buffer: &[u8],
        limits: &Limits,
    ) -> Result<Option<Found>, Refusal> {
        loop {
            let found = match self.phase {
                Phase::Start => match buffer.first() {
                    None => return Ok(None),
                    Some(b'*') => {
                        self.phase = Phase::Count;
                        continue;
                    }
                    Some(_) => {
                        self.phase = Phase::Inline(0);
                        continue;
                    }
                },
                Phase::Count => self.count(buffer, limits)?,
                Phase::Length(left) => self.length(buffer, left, limits)?,
                Phase::Bulk { end, left } => self.bulk(buffer, end, left)?,
                Phase::Inline(searched) => self.inline(buffer, searched, limits)?,
            };
            match found {
                Progress::More => {}
                Progress::Wait => return Ok(None),
                Progress::Done(found) => {
                    *self = Guard::new();
                    return Ok(Some(found));
                }
            }
        }
    }

    fn count(&mut self, buffer: &[u8], limits: &Limits) -> Result<Progress, Refusal> {
        let Some((line, end)) = header(buffer, self.at)? else {
            return Ok(Progress::Wait);
        };
        let count = number(line).ok_or(Refusal::Count)?;
        self.at = end;
        if count <= 0 {
            return Ok(Progress::Done(Found::Nothing(end)));
        }
        match usize::try_from(count) {
            Ok(count) if count <= limits.argc_max => {
                self.phase = Phase::Length(count);
                Ok(Progress::More)
            }
            Ok(_) if limits.locked => Err(Refusal::CountLocked),
            Ok(_) | Err(_) => Err(Refusal::Count),
        }
    }

    fn length(&mut self, buffer: &[u8], left: usize, limits: &Limits) -> Result<Progress, Refusal> {
        match buffer.get(self.at) {
            None => return Ok(Progress::Wait),
            Some(b'$') => {}
            Some(&other) => return Err(Refusal::NotBulk(other)),
        }
        let Some((line, start)) = header(buffer, self.at)? else {
            return Ok(Progress::Wait);
        };
        let length = number(line).ok_or(Refusal::Length)?;
        let length = usize::try_from(length).map_err(|_| Refusal::Length)?;
        if length > limits.bulk_bytes_max {
            return Err(if limits.locked {
                Refusal::LengthLocked
            } else {
                Refusal::Length
            });
        }
        // The limits keep this far from overflow.
        let end = start + length + 2;
        if end > limits.total_bytes_max {
            return Err(Refusal::Total);
        }
        self.at = start;
        self.phase = Phase::Bulk { end, left };
        Ok(Progress::More)
    }

    fn bulk(&mut self, buffer: &[u8], end: usize, left: usize) -> Result<Progress, Refusal> {
        match buffer.get(end - 2..end) {
            None => return Ok(Progress::Wait),
            Some(b"\r\n") => {}
            Some(_) => return Err(Refusal::Terminator),
        }
        self.at = end;
        if left == 1 {
            return Ok(Progress::Done(Found::Array(end)));
        }
        self.phase = Phase::Length(left - 1);
        Ok(Progress::More)
    }

    fn inline(
        &mut self,
        buffer: &[u8],
        searched: usize,
        limits: &Limits,
    ) -> Result<Progress, Refusal> {
        let fresh = buffer.get(searched..).unwrap_or_default();
        let end = fresh.iter().position(|&byte| byte == b'\n');
        match end.map(|offset| searched + offset + 1) {
            Some(end) if end <= limits.inline_bytes_max => Ok(Progress::Done(Found::Inline(end))),
            None if buffer.len() <= limits.inline_bytes_max => {
                self.phase = Phase::Inline(buffer.len());
                Ok(Progress::Wait)
            }
            Some(_) | None => Err(Refusal::Inline),
        }
    }
}

/// What one step of the scan came to.
enum Progress {
    More,
    Wait,
    Done(Found),
}

/// The header line at `at`: its digits, and the position after its CRLF.
fn header(buffer: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, Refusal> {
    let rest = buffer.get(at..).unwrap_or_default();
    let window = &rest[..rest.len().min(HEADER_MAX)];
    match window.windows(2).position(|pair| pair == b"\r\n") {
        Some(end) => Ok(Some((&window[1..end], at + end + 2))),
        None if window.len() < HEADER_MAX => Ok(None),
        None => Err(Refusal::Header),
    }
}

/// A decimal number of a header line.
fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
