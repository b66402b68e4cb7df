//! A request as its arguments. Arrays go through redis-protocol, once the guard has found them
//! complete and harmless; inline lines (telnet, nc, health checks) are split here as `redis-cli`
//! would split them (sds.c `sdssplitargs`).

use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::decode::decode_bytes;
use redis_protocol::resp2::types::BytesFrame;

use super::guard::{Found, Guard, Limits, Refusal};

/// One request: the command's name and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    args: Vec<Bytes>,
}

impl Request {
    /// The command's name as it was sent.
    pub(crate) fn name(&self) -> &[u8] {
        self.arg(0)
    }

    /// Arguments, the name included.
    pub(crate) fn len(&self) -> usize {
        self.args.len()
    }

    /// The argument at `index`, empty if there is none: callers have checked the arity.
    pub(crate) fn arg(&self, index: usize) -> &[u8] {
        self.args.get(index).map_or(&[], |arg| &arg[..])
    }

    /// The argument as an owned slice of the input.
    pub(crate) fn bytes(&self, index: usize) -> Bytes {
        self.args.get(index).cloned().unwrap_or_default()
    }

    /// The arguments from `index` on.
    pub(crate) fn from(&self, index: usize) -> &[Bytes] {
        self.args.get(index..).unwrap_or_default()
    }

    /// True if the argument at `index` is that word, but for case.
    pub(crate) fn is(&self, index: usize, word: &str) -> bool {
        self.arg(index).eq_ignore_ascii_case(word.as_bytes())
    }

    /// The argument as a number.
    pub(crate) fn number<N: std::str::FromStr>(&self, index: usize) -> Option<N> {
        std::str::from_utf8(self.arg(index)).ok()?.parse().ok()
    }

    /// The argument as text for messages.
    pub(crate) fn text(&self, index: usize) -> String {
        String::from_utf8_lossy(self.arg(index)).into_owned()
    }

    /// The request without its first `count` arguments.
    pub(crate) fn shift(&self, count: usize) -> Request {
        Request {
            args: self.from(count).to_vec(),
        }
    }
}

/// Takes the next complete request off the front of `buffer`; `None` if it has not all arrived.
/// Empty requests are passed over.
pub(crate) fn take(
    guard: &mut Guard,
    buffer: &mut BytesMut,
    limits: &Limits,
) -> Result<Option<Request>, Refusal> {
    loop {
        let args = match guard.scan(buffer, limits)? {
            None => return Ok(None),
            Some(Found::Nothing(bytes)) => {
                drop(buffer.split_to(bytes));
                continue;
            }
            Some(Found::Inline(bytes)) => {
                let line = buffer.split_to(bytes);
                split_inline(&line).ok_or(Refusal::Quotes)?
            }
            Some(Found::Array(bytes)) => decode(&buffer.split_to(bytes).freeze())?,
        };
        if !args.is_empty() {
            return Ok(Some(Request { args }));
        }
    }
}

fn decode(whole: &Bytes) -> Result<Vec<Bytes>, Refusal> {
    let Ok(Some((BytesFrame::Array(items), _))) = decode_bytes(whole) else {
        return Err(Refusal::Undecodable);
    };
    items
        .into_iter()
        .map(|item| match item {
            BytesFrame::BulkString(bytes) => Ok(bytes),
            BytesFrame::SimpleString(_)
            | BytesFrame::Error(_)
            | BytesFrame::Integer(_)
            | BytesFrame::Array(_)
            | BytesFrame::Null => Err(Refusal::Undecodable),
        })
        .collect()
}

/// Splits an inline line at white space, with quotes and escapes; `None` if a quote is left open or
/// text touches a closing quote.
pub(crate) fn split_inline(line: &[u8]) -> Option<Vec<Bytes>> {
    let mut args = Vec::new();
    let mut rest = line.trim_ascii();
    while let Some(&first) = rest.first() {
        let mut arg = Vec::new();
        rest = match first {
            b'"' => double_quoted(&rest[1..], &mut arg)?,
            b'\'' => single_quoted(&rest[1..], &mut arg)?,
            _ => plain(rest, &mut arg)?,
        };
        match rest.first() {
            Some(byte) if !byte.is_ascii_whitespace() => return None,
            Some(_) | None => {}
        }
        rest = rest.trim_ascii_start();
        args.push(arg.into());
    }
    Some(args)
}

/// An unquoted word. A quote inside it opens a quoted part, as in Redis.
fn plain<'a>(mut rest: &'a [u8], arg: &mut Vec<u8>) -> Option<&'a [u8]> {
    while let Some((&byte, tail)) = rest.split_first() {
        match byte {
            b'"' => return double_quoted(tail, arg),
            b'\'' => return single_quoted(tail, arg),
            _ if byte.is_ascii_whitespace() || byte == 0 => break,
            _ => arg.push(byte),
        }
        rest = tail;
    }
    Some(rest)
}

fn single_quoted<'a>(mut rest: &'a [u8], arg: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [b'\\', b'\'', tail @ ..] => {
                arg.push(b'\'');
                tail
            }
            [b'\'', tail @ ..] => return Some(tail),
            [byte, tail @ ..] => {
                arg.push(*byte);
                tail
            }
            [] => return None,
        };
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], arg: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [b'\\', b'x', high, low, tail @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                arg.push(hex(*high) << 4 | hex(*low));
                tail
            }
            [b'\\', byte, tail @ ..] => {
                arg.push(unescape(*byte));
                tail
            }
            [b'"', tail @ ..] => return Some(tail),
            [byte, tail @ ..] => {
                arg.push(*byte);
                tail
            }
            [] => return None,
        };
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests;
