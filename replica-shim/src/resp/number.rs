//! Numbers and lines: the two things RESP is made of besides blobs.

use super::Fault;
use crate::limits;

/// Parses digits: no sign, no leading zero, no overflow.
pub(crate) fn unsigned(digits: &[u8]) -> Option<u64> {
    let (first, rest) = digits.split_first()?;
    if !first.is_ascii_digit() || (*first == b'0' && !rest.is_empty()) {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        if !digit.is_ascii_digit() {
            return None;
        }
        value
            .checked_mul(10)?
            .checked_add(u64::from(digit.wrapping_sub(b'0')))
    })
}

/// Parses an `i64` as servers print it: a `-` is allowed, `-0`, `+1` and `01` are not.
#[must_use]
pub fn signed(text: &[u8]) -> Option<i64> {
    match text.split_first() {
        Some((b'-', digits)) => match unsigned(digits)? {
            0 => None,
            value => 0_i64.checked_sub_unsigned(value),
        },
        Some(_) => i64::try_from(unsigned(text)?).ok(),
        None => None,
    }
}

/// A line at the front of a buffer.
pub(crate) enum Line<'a> {
    /// The line without CRLF, and the length with it.
    Whole(&'a [u8], usize),
    /// Its end has not arrived.
    Part,
}

/// Finds the line at the front of `input`. A line that does not end within `max` bytes is a fault,
/// so looking again from its beginning is bounded work.
pub(crate) fn line(input: &[u8], max: usize) -> Result<Line<'_>, Fault> {
    let window = input.get(..max).unwrap_or(input);
    let Some(end) = memchr::memchr(b'\n', window) else {
        if window.len() == max {
            return Err(too_long(max));
        }
        return Ok(Line::Part);
    };
    match window.get(..end).and_then(|text| text.strip_suffix(b"\r")) {
        Some(text) => Ok(Line::Whole(text, end.saturating_add(1))),
        None => Err(Fault::LineEnd),
    }
}

fn too_long(max: usize) -> Fault {
    let max = max as u64;
    Fault::TooBig {
        what: "line",
        max,
        got: max,
    }
}

/// A header such as `$12` or `*3`, number checked, with its length in bytes.
pub(super) enum Header {
    /// The number, and where the header ends.
    Whole(i64, usize),
    /// CRLF has not arrived.
    Part,
}

/// Reads the number behind the type byte at the front of `input`; `fault` if it is none.
pub(super) fn header(input: &[u8], fault: Fault) -> Result<Header, Fault> {
    // Nearly every length of a stream has one or two digits.
    match input {
        [_, a @ b'0'..=b'9', b'\r', b'\n', ..] => {
            return Ok(Header::Whole(i64::from(a.wrapping_sub(b'0')), 4));
        }
        [_, a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', ..] => {
            let tens = i64::from(a.wrapping_sub(b'0')).wrapping_mul(10);
            return Ok(Header::Whole(
                tens.wrapping_add(i64::from(b.wrapping_sub(b'0'))),
                5,
            ));
        }
        _ => {}
    }
    header_long(input, fault)
}

#[cold]
fn header_long(input: &[u8], fault: Fault) -> Result<Header, Fault> {
    // Type byte, digits, CRLF.
    const MAX: usize = limits::NUMBER_DIGITS_MAX + 3;
    let window = input.get(..MAX).unwrap_or(input);
    match memchr::memchr(b'\n', window) {
        None if window.len() == MAX => Err(fault),
        None => Ok(Header::Part),
        Some(end) => {
            let digits = window.get(1..end).and_then(|text| text.strip_suffix(b"\r"));
            let value = digits.and_then(signed).ok_or(fault)?;
            Ok(Header::Whole(value, end.saturating_add(1)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_servers_print() {
        let table: &[(&[u8], Option<i64>)] = &[
            (b"0", Some(0)),
            (b"7", Some(7)),
            (b"-1", Some(-1)),
            (b"9223372036854775807", Some(i64::MAX)),
            (b"-9223372036854775808", Some(i64::MIN)),
            (b"9223372036854775808", None),
            (b"-9223372036854775809", None),
            (b"18446744073709551616", None),
            (b"", None),
            (b"-", None),
            (b"-0", None),
            (b"+1", None),
            (b"01", None),
            (b"1 ", None),
            (b" 1", None),
            (b"1a", None),
        ];
        for (text, expected) in table {
            assert_eq!(signed(text), *expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_header_waits_for_its_end_and_no_longer() {
        assert!(matches!(header(b"$", Fault::Length), Ok(Header::Part)));
        assert!(matches!(header(b"$12\r", Fault::Length), Ok(Header::Part)));
        assert!(matches!(
            header(b"$12\r\nab", Fault::Length),
            Ok(Header::Whole(12, 5))
        ));
        assert!(matches!(
            header(b"$100\r\n", Fault::Length),
            Ok(Header::Whole(100, 6))
        ));
        assert!(matches!(
            header(b"$-1\r\n", Fault::Length),
            Ok(Header::Whole(-1, 5))
        ));
        assert!(matches!(header(b"$1\n", Fault::Length), Err(Fault::Length)));
        assert!(matches!(
            header(b"$01\r\n", Fault::Length),
            Err(Fault::Length)
        ));
        assert!(matches!(
            header(b"$\r\n", Fault::Length),
            Err(Fault::Length)
        ));
        assert!(matches!(
            header(&[b'1'; 40], Fault::Length),
            Err(Fault::Length)
        ));
    }
}
