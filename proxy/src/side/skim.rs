//! Where a reply ends, without decoding it.
//!
//! `redis-protocol` restarts at byte 0 on every call and recurses without a limit, so it only ever
//! sees bytes that passed here: one whole reply, of bounded depth, count and size. The skim resumes
//! where it stopped, so a reply that arrives in many pieces is walked once.
//!
//! ```text
//! +text CRLF   -text CRLF   :number CRLF      one line
//! $n CRLF n bytes CRLF      $-1 CRLF          a line and its bytes
//! *n CRLF n replies         *-1 CRLF          a line and its members
//! ```

use thiserror::Error;

/// Deepest nesting: `COMMAND INFO` with subcommands and key specs has 8.
pub const DEPTH_MAX: usize = 16;

/// Longest line. Servers cut their error texts far below.
pub const LINE_MAX: usize = 64 * 1024;

/// Most values in one reply.
pub const VALUES_MAX: u64 = 1 << 20;

/// Why a reply is not one.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SkimError {
    /// A byte that begins no reply.
    #[error("byte {0:#04x} begins no reply")]
    Kind(u8),
    /// A length that is not a number.
    #[error("a length is not a number")]
    Length,
    /// A limit.
    #[error("the reply exceeds {0} {1}")]
    Limit(u64, &'static str),
}

/// A reply on its way in.
#[derive(Debug)]
pub struct Skim {
    bytes_max: usize,
    at: usize,
    line_from: usize,
    values: u64,
    /// Members still to come, per level of nesting.
    open: Vec<u64>,
}

impl Skim {
    /// A skim for replies of at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Skim {
        Skim {
            bytes_max,
            at: 0,
            line_from: 0,
            values: 0,
            open: vec![1],
        }
    }

    /// Looks at all that has arrived of the reply, from its first byte. Gives its length once it is
    /// whole, and is then ready for the next.
    ///
    /// # Errors
    /// It is no reply, or larger than is allowed.
    pub fn find_end(&mut self, input: &[u8]) -> Result<Option<usize>, SkimError> {
        while !self.open.is_empty() {
            let Some(rest) = input.get(self.at..) else {
                return Ok(None);
            };
            let Some(line) = self.line(rest)? else {
                return Ok(None);
            };
            self.member(line)?;
            if self.at > self.bytes_max {
                return Err(SkimError::Limit(self.bytes_max as u64, "bytes"));
            }
        }
        if input.len() < self.at {
            return Ok(None);
        }
        let end = self.at;
        *self = Skim::new(self.bytes_max);
        Ok(Some(end))
    }

    fn line<'a>(&mut self, rest: &'a [u8]) -> Result<Option<&'a [u8]>, SkimError> {
        let from = self.line_from.min(rest.len());
        match rest[from..].windows(2).position(|pair| pair == b"\r\n") {
            Some(found) => {
                let end = from + found;
                self.at += end + 2;
                self.line_from = 0;
                Ok(Some(&rest[..end]))
            }
            None if rest.len() > LINE_MAX => Err(SkimError::Limit(LINE_MAX as u64, "bytes a line")),
            None => {
                self.line_from = rest.len().saturating_sub(1);
                Ok(None)
            }
        }
    }

    fn member(&mut self, line: &[u8]) -> Result<(), SkimError> {
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(SkimError::Limit(VALUES_MAX, "values"));
        }
        if let Some(left) = self.open.last_mut() {
            *left -= 1;
        }
        match line.split_first() {
            Some((b'+' | b'-' | b':', _)) => {}
            Some((b'$', length)) => {
                if let Some(length) = number(length)? {
                    let length = usize::try_from(length).unwrap_or(usize::MAX);
                    self.at = self.at.saturating_add(length).saturating_add(2);
                }
            }
            Some((b'*', count)) => {
                if let Some(count) = number(count)? {
                    self.open.push(count);
                }
            }
            Some((&kind, _)) => return Err(SkimError::Kind(kind)),
            None => return Err(SkimError::Kind(b'\r')),
        }
        while self.open.last() == Some(&0) {
            self.open.pop();
        }
        if self.open.len() > DEPTH_MAX {
            return Err(SkimError::Limit(DEPTH_MAX as u64, "levels"));
        }
        Ok(())
    }
}

/// A length or count; `None` is nil.
fn number(digits: &[u8]) -> Result<Option<u64>, SkimError> {
    if digits == b"-1" {
        return Ok(None);
    }
    let text = std::str::from_utf8(digits).map_err(|_| SkimError::Length)?;
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(SkimError::Length);
    }
    text.parse().map(Some).map_err(|_| SkimError::Length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way of cutting the input in two gives the same end, or the same error.
    fn check(input: &[u8], expected: Result<Option<usize>, SkimError>) {
        for cut in 0..=input.len() {
            let mut skim = Skim::new(1000);
            let first = skim.find_end(&input[..cut]);
            let got = match first {
                Ok(None) => skim.find_end(input),
                Ok(Some(_)) | Err(_) => first,
            };
            assert_eq!(got, expected, "{} cut at {cut}", input.escape_ascii());
        }
    }

    #[test]
    fn ends_are_found() {
        for reply in [
            "+OK\r\n",
            "-ERR no\r\n",
            ":12\r\n",
            "$-1\r\n",
            "*-1\r\n",
            "*0\r\n",
            "$0\r\n\r\n",
            "$4\r\na\r\nb\r\n",
            "*2\r\n*2\r\n:1\r\n$1\r\nx\r\n*1\r\n*0\r\n",
        ] {
            check(reply.as_bytes(), Ok(Some(reply.len())));
            let more = format!("{reply}+NEXT\r\n");
            check(more.as_bytes(), Ok(Some(reply.len())));
            let whole = reply.len() - 1;
            let mut skim = Skim::new(1000);
            assert_eq!(skim.find_end(&reply.as_bytes()[..whole]), Ok(None));
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        check(b"hello\r\n", Err(SkimError::Kind(b'h')));
        check(b"$x\r\n", Err(SkimError::Length));
        check(b"$-2\r\n", Err(SkimError::Length));
        check(b"*99999999999999999999\r\n", Err(SkimError::Length));
        check(b"$1001\r\n", Err(SkimError::Limit(1000, "bytes")));
        check(
            "*1\r\n".repeat(40).as_bytes(),
            Err(SkimError::Limit(16, "levels")),
        );
    }
}
