//! Scores and score ranges as the servers parse them: strtod with the whole text taken, which knows
//! `inf`, `infinity` and, on Redis, hexadecimal floats.

use crate::command::Malformed;
use crate::text::Text;

/// A score argument.
pub(crate) fn score(text: &Text<'_>) -> Result<f64, Malformed> {
    let bytes = text.bytes().ok_or(Malformed)?;
    parse(&bytes).ok_or(Malformed)
}

/// A range of scores; an end may be open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Range {
    low: f64,
    high: f64,
    low_open: bool,
    high_open: bool,
}

impl Range {
    /// From the two arguments of a range by score.
    pub(crate) fn parse(min: &Text<'_>, max: &Text<'_>) -> Result<Range, Malformed> {
        let (low, low_open) = end(min)?;
        let (high, high_open) = end(max)?;
        Ok(Range {
            low,
            high,
            low_open,
            high_open,
        })
    }

    /// True if the range has this score.
    pub(crate) fn has(&self, score: f64) -> bool {
        let above = if self.low_open {
            score > self.low
        } else {
            score >= self.low
        };
        let below = if self.high_open {
            score < self.high
        } else {
            score <= self.high
        };
        above && below
    }

    /// The lowest and the highest score that it may have.
    pub(crate) fn bounds(&self) -> (f64, f64) {
        (self.low, self.high)
    }
}

fn end(text: &Text<'_>) -> Result<(f64, bool), Malformed> {
    let bytes = text.bytes().ok_or(Malformed)?;
    match bytes.strip_prefix(b"(") {
        Some(rest) => Ok((parse(rest).ok_or(Malformed)?, true)),
        None => Ok((parse(&bytes).ok_or(Malformed)?, false)),
    }
}

/// A double from its whole text; no NaN.
pub(crate) fn parse(bytes: &[u8]) -> Option<f64> {
    // Range ends may have leading space, which strtod skips; an empty end is zero.
    let bytes = bytes.trim_ascii_start();
    if bytes.is_empty() {
        return Some(0.0);
    }
    let text = std::str::from_utf8(bytes).ok()?;
    if let Some(value) = hexadecimal(text) {
        return Some(value);
    }
    text.parse().ok().filter(|value: &f64| !value.is_nan())
}

/// `[sign]0x hex [. hex] [p exponent]`.
fn hexadecimal(text: &str) -> Option<f64> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let rest = rest.strip_prefix("0x").or(rest.strip_prefix("0X"))?;
    let (digits, exponent) = match rest.split_once(['p', 'P']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut mantissa: u64 = 0;
    let mut scale = exponent;
    for (i, digit) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u64::from(digit.to_digit(16)?);
        let after_point = i >= whole.len();
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | digit;
            scale = scale.saturating_sub(if after_point { 4 } else { 0 });
        } else {
            // More digits than a double holds only decide how it rounds.
            mantissa |= u64::from(digit != 0);
            scale = scale.saturating_add(if after_point { 0 } else { 4 });
        }
    }
    let value = mantissa as f64 * 2f64.powi(scale);
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_parse_as_strtod_does() {
        for (text, value) in [
            ("1", 1.0),
            ("-1.5e3", -1500.0),
            ("+inf", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
            ("Infinity", f64::INFINITY),
            ("1e300", 1e300),
            (".5", 0.5),
            ("5.", 5.0),
            ("0x10", 16.0),
            ("-0x1.8p1", -3.0),
            ("0x1p-2", 0.25),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(value), "{text}");
        }
        for text in ["nan", "1x", "0x", "one", "--1"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn open_ends_leave_their_score_out() {
        let range = Range::parse(&Text::Bytes(b"(1"), &Text::Bytes(b"+inf")).unwrap();
        assert!(!range.has(1.0));
        assert!(range.has(1.5));
        assert!(range.has(f64::INFINITY));
    }
}
