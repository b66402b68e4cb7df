//! Inline requests: a line of words, as typed into a terminal.
//!
//! Words are separated by blanks. A word may be quoted: in `"..."` the escapes `\n \r \t \b \a`,
//! `\xHH` and `\c` for any other `c` are known, in `'...'` only `\'`. A closing quote must end the
//! word. (Redis 7.0 `sdssplitargs`.)

use super::{Fault, Span};

/// Splits `line` into words: their bytes go to `bytes`, where they lie to `spans`.
pub(super) fn split(line: &[u8], bytes: &mut Vec<u8>, spans: &mut Vec<Span>) -> Result<(), Fault> {
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Ok(());
        }
        let start = bytes.len();
        rest = word(rest, bytes)?;
        let len = bytes.len().saturating_sub(start);
        let (Ok(start), Ok(len)) = (u32::try_from(start), u32::try_from(len)) else {
            return Err(Fault::Quotes);
        };
        spans.push(Span { start, len });
    }
}

/// Takes one word off the front.
fn word<'a>(mut rest: &'a [u8], bytes: &mut Vec<u8>) -> Result<&'a [u8], Fault> {
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b'"' => return closed(double(after, bytes)?),
            b'\'' => return closed(single(after, bytes)?),
            _ if byte.is_ascii_whitespace() || byte == 0 => return Ok(after),
            _ => bytes.push(byte),
        }
        rest = after;
    }
    Ok(rest)
}

/// What follows a closing quote must be a blank or the end.
fn closed(rest: &[u8]) -> Result<&[u8], Fault> {
    match rest.first() {
        None => Ok(rest),
        Some(byte) if byte.is_ascii_whitespace() => Ok(rest),
        Some(_) => Err(Fault::Quotes),
    }
}

fn double<'a>(mut rest: &'a [u8], bytes: &mut Vec<u8>) -> Result<&'a [u8], Fault> {
    loop {
        match rest {
            [] => return Err(Fault::Quotes),
            [b'"', after @ ..] => return Ok(after),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                bytes.push(nibble(*high).wrapping_shl(4) | nibble(*low));
                rest = after;
            }
            [b'\\', escaped, after @ ..] => {
                bytes.push(unescape(*escaped));
                rest = after;
            }
            [byte, after @ ..] => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
}

fn single<'a>(mut rest: &'a [u8], bytes: &mut Vec<u8>) -> Result<&'a [u8], Fault> {
    loop {
        match rest {
            [] => return Err(Fault::Quotes),
            [b'\'', after @ ..] => return Ok(after),
            [b'\\', b'\'', after @ ..] => {
                bytes.push(b'\'');
                rest = after;
            }
            [byte, after @ ..] => {
                bytes.push(*byte);
                rest = after;
            }
        }
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

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit.wrapping_sub(b'0'),
        b'a'..=b'f' => digit.wrapping_sub(b'a').wrapping_add(10),
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}
