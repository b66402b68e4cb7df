//! Tokens that are recognised as a whole: by looking ahead over separators that are part of them,
//! or by what a run of letters and digits looks like.
//!
//! All of it is a matter of taste that need not be right for every name: what is taken for a literal
//! here and is none becomes `*` as soon as its place has too many of its like.

use super::class::Classes;
use super::token::{
    Bytes, DIGIT, HEX_LOWER, HEX_UPPER, LOWER, OTHER, UPPER, WIDE, WORD_MAX, kind_of,
};

/// Hexadecimal digits, letters among them, that are no word.
const HEX_MIN: usize = 6;

/// The same where there is no digit among them.
const HEX_LETTERS_MIN: usize = 16;

/// Letters and digits in a row that may have been drawn by lot.
const RANDOM_MIN: usize = 6;

/// Digits and letters of both cases in a row that may have been drawn by lot. Without a digit
/// among them they pass for words in camel case.
const JUMBLE_MIN: usize = 8;

/// Base64 that is recognised over its own separators.
const BASE64_MIN: usize = 16;

/// Digits behind letters that are a number at first sight.
pub(crate) const SUFFIX_MIN: usize = 3;

const LETTERS: u8 = HEX_LOWER | LOWER | HEX_UPPER | UPPER;

fn byte(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(0)
}

fn is_end(text: &[u8], at: usize) -> bool {
    text.get(at)
        .is_none_or(|&byte| kind_of(byte).is_separator())
}

/// A token that holds separators, the first of which is `text[stop]`: its length and class.
#[inline]
pub(super) fn ahead(text: &[u8], stop: usize, seen: Bytes) -> Option<(usize, Classes)> {
    if stop > 8 || seen.0 & !(DIGIT | HEX_LOWER | HEX_UPPER) != 0 {
        return None;
    }
    match (byte(text, stop), stop) {
        (b'-', 8) => uuid(text),
        (b'-' | b'/' | b'.' | b'_', 4) => date(text),
        (b'.', 1..=3) => ipv4(text),
        (b':', 1..=4) => groups(text),
        _ => None,
    }
}

fn uuid(text: &[u8]) -> Option<(usize, Classes)> {
    const LEN: usize = 36;
    if byte(text, 8) != b'-' {
        return None;
    }
    let fits = |(at, &byte): (usize, &u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let whole = text.get(..LEN)?.iter().enumerate().all(fits);
    (whole && is_end(text, LEN)).then_some((LEN, Classes::UUID))
}

/// IPv6 and hardware addresses: groups of hexadecimal digits with colons.
fn groups(text: &[u8]) -> Option<(usize, Classes)> {
    let digits = |text: &[u8]| {
        text.iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count()
    };
    let first = digits(&text[..text.len().min(5)]);
    if first > 4 || byte(text, first) != b':' {
        return None;
    }
    let (mut at, mut groups, mut gaps, mut pairs) = (first, 1, 0, usize::from(first == 2));
    while byte(text, at) == b':' && groups < 9 {
        let len = digits(&text[at + 1..text.len().min(at + 6)]);
        if len > 4 {
            return None;
        }
        gaps += usize::from(len == 0);
        groups += usize::from(len > 0);
        pairs += usize::from(len == 2);
        at += 1 + len;
    }
    let letters = text[..at].iter().any(u8::is_ascii_alphabetic);
    let ip = (gaps == 0 && groups == 8) || (gaps == 1 && (3..8).contains(&groups));
    let card = gaps == 0 && groups == 6 && pairs == 6;
    (letters && (ip || card) && is_end(text, at)).then_some((at, Classes::IP))
}

fn ipv4(text: &[u8]) -> Option<(usize, Classes)> {
    let mut at = 0;
    for group in 0..4 {
        let (end, value) = number(text, at, 3)?;
        if value > 255 || (group < 3 && byte(text, end) != b'.') {
            return None;
        }
        at = end + 1;
    }
    let end = at - 1;
    (is_end(text, end) && byte(text, end) != b'.').then_some((end, Classes::IP))
}

/// The end and value of 1 to `most` digits.
fn number(text: &[u8], from: usize, most: usize) -> Option<(usize, u32)> {
    let digits = text.get(from..)?.iter().take(most);
    let digits = digits.take_while(|byte| byte.is_ascii_digit());
    let (mut len, mut value) = (0, 0);
    for digit in digits {
        value = value * 10 + u32::from(digit - b'0');
        len += 1;
    }
    (len > 0).then_some((from + len, value))
}

/// The end of exactly two digits, not above `most`.
fn pair(text: &[u8], from: usize, most: u32) -> Option<usize> {
    let (end, value) = number(text, from, 2)?;
    (end == from + 2 && value <= most).then_some(end)
}

/// `2024-05-06`, `2024/05/06` and the like, with a time of day behind `T` or a space.
fn date(text: &[u8]) -> Option<(usize, Classes)> {
    let mark = byte(text, 4);
    if !matches!(mark, b'-' | b'/' | b'.' | b'_') || byte(text, 7) != mark {
        return None;
    }
    let (year, _) = number(text, 0, 4)?;
    if year != 4 {
        return None;
    }
    let month = pair(text, 5, 12)?;
    let end = pair(text, month + 1, 31)?;
    if matches!(byte(text, end), b'T' | b't' | b' ')
        && let Some(end) = time(text, end + 1)
        && is_end(text, end)
    {
        return Some((end, Classes::TIMESTAMP));
    }
    is_end(text, end).then_some((end, Classes::DATE))
}

/// `12:30`, `12:30:59.123Z`, `12:30:59+02:00`; its end.
fn time(text: &[u8], from: usize) -> Option<usize> {
    let hour = pair(text, from, 24)?;
    if byte(text, hour) != b':' {
        return Some(hour);
    }
    let mut end = pair(text, hour + 1, 59)?;
    if byte(text, end) == b':' {
        end = pair(text, end + 1, 60)?;
    }
    if byte(text, end) == b'.'
        && let Some((fraction, _)) = number(text, end + 1, 9)
    {
        end = fraction;
    }
    match byte(text, end) {
        b'Z' | b'z' => Some(end + 1),
        b'+' | b'-' => Some(pair(text, end + 1, 24).map_or(end, |hours| {
            let colon = usize::from(byte(text, hours) == b':');
            pair(text, hours + colon, 59).unwrap_or(hours)
        })),
        _ => Some(end),
    }
}

/// An e-mail address at the beginning of `text`, with these signs before the `@`: its length.
pub(super) fn email(text: &[u8], signs: &[u8]) -> Option<usize> {
    let local = |byte: &&u8| byte.is_ascii_alphanumeric() || signs.contains(byte);
    let at = text.iter().take_while(local).count();
    if at == 0 || byte(text, at) != b'@' {
        return None;
    }
    let domain = &text[at + 1..];
    let part = |byte: &&u8| byte.is_ascii_alphanumeric() || b".-".contains(byte);
    let len = domain.iter().take_while(part).count();
    let dotted = domain[..len].contains(&b'.');
    let end = at + 1 + len;
    (dotted && is_end(text, end)).then_some(end)
}

/// Base64 that begins with the token before `text[stop]`, over what separates it.
pub(super) fn base64(text: &[u8], stop: usize, seen: Bytes) -> Option<usize> {
    // A word or a number in front says that it is none, as good as always.
    let upper = seen.0 & (UPPER | HEX_UPPER) != 0 && seen.0 & (LOWER | HEX_LOWER | DIGIT) != 0;
    if stop > 0 && !upper {
        return None;
    }
    let slashes = byte(text, stop) == b'/';
    let extra: &[u8] = match byte(text, stop) {
        b'-' | b'_' => b"-_=",
        b'/' => b"+/=",
        _ => return None,
    };
    let part = |byte: &&u8| byte.is_ascii_alphanumeric() || extra.contains(byte);
    let len = text.iter().take_while(part).count();
    let run = &text[..len];
    // Paths have slashes, too.
    let signs = || run.iter().any(|byte| b"+=".contains(byte));
    if len < BASE64_MIN || !is_end(text, len) || (slashes && !signs()) {
        return None;
    }
    let all = run.iter().fold(0, |all, &byte| all | kind_of(byte).0);
    let mixed =
        all & DIGIT != 0 && all & (LOWER | HEX_LOWER) != 0 && all & (UPPER | HEX_UPPER) != 0;
    (mixed && is_jumbled(run)).then_some(len)
}

/// True if lower case, upper case and digits change about as often as if drawn by lot.
fn is_jumbled(text: &[u8]) -> bool {
    let group = |byte: u8| match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let changes = text.windows(2).filter(|two| group(two[0]) != group(two[1]));
    changes.count() * 9 >= text.len().saturating_sub(1) * 4
}

/// How often a token changes from digits to others or back.
pub(super) fn changes(text: &[u8], seen: Bytes) -> usize {
    if seen.0 & DIGIT == 0 || seen.0 == DIGIT {
        return 0;
    }
    let digit = |byte: u8| kind_of(byte).0 & DIGIT;
    let changes = text
        .windows(2)
        .map(|two| usize::from(digit(two[0]) ^ digit(two[1])));
    changes.sum()
}

/// Digits up to `stop`, as far as they are a token, and its class.
#[inline]
pub(super) fn digits(text: &[u8], stop: usize) -> (usize, Classes) {
    match ahead(text, stop, Bytes(DIGIT)) {
        Some(found) if stop < text.len() => found,
        Some(_) | None => (stop, integer(&text[..stop])),
    }
}

/// The class of a token without separators; `changes` are those from digits to others and back.
pub(super) fn classify(text: &[u8], seen: Bytes, changes: usize) -> Classes {
    let (seen, len) = (seen.0, text.len());
    let (digits, letters) = (seen & DIGIT != 0, seen & LETTERS != 0);
    if len > WORD_MAX {
        let hex = seen & (LOWER | UPPER | OTHER | WIDE) == 0;
        return if hex { hexadecimal(len) } else { Classes::TEXT };
    }
    if seen & WIDE != 0 {
        return Classes::NONE;
    }
    if seen & OTHER != 0 {
        return other(text, digits, letters);
    }
    let mixed = seen & (LOWER | HEX_LOWER) != 0 && seen & (UPPER | HEX_UPPER) != 0;
    if seen & (LOWER | UPPER) == 0 && !mixed {
        let least = if digits { HEX_MIN } else { HEX_LETTERS_MIN };
        if len >= least {
            return hexadecimal(len);
        }
    }
    if digits && (text.starts_with(b"0x") && len > 4 && is_hex(&text[2..])) {
        return Classes::HEX;
    }
    if len == 26 && digits && !mixed && is_ulid(text) {
        return Classes::ULID;
    }
    let jumbled = mixed && len >= JUMBLE_MIN && is_jumbled(text);
    if digits && (jumbled || is_random(text, changes)) {
        return Classes::RANDOM;
    }
    Classes::NONE
}

fn is_hex(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_hexdigit)
}

#[inline]
fn integer(text: &[u8]) -> Classes {
    let first = byte(text, 0);
    match text.len() {
        8 if matches!(&text[..2], b"19" | b"20")
            && pair(text, 4, 12).is_some()
            && pair(text, 6, 31).is_some() =>
        {
            Classes::DATE
        }
        10 | 13 if first == b'1' => Classes::TIMESTAMP,
        _ => Classes::INT,
    }
}

fn hexadecimal(len: usize) -> Classes {
    match len {
        32 | 40 | 64 | 128 => Classes::HASH,
        _ => Classes::HEX,
    }
}

/// A token with signs that are neither letters nor digits.
fn other(text: &[u8], digits: bool, letters: bool) -> Classes {
    if digits && !letters {
        return Classes::INT;
    }
    let base64 = text
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+=".contains(byte));
    let padded = text.ends_with(b"=") && text.len() >= 8 && text.len().is_multiple_of(4);
    if base64 && (padded || (text.len() >= BASE64_MIN && is_jumbled(text))) {
        return Classes::BASE64;
    }
    Classes::NONE
}

fn is_ulid(text: &[u8]) -> bool {
    let crockford = |byte: &u8| {
        let byte = byte.to_ascii_uppercase();
        byte.is_ascii_alphanumeric() && !b"ILOU".contains(&byte)
    };
    matches!(text.first(), Some(b'0'..=b'7')) && text.iter().all(crockford)
}

fn is_random(text: &[u8], changes: usize) -> bool {
    if text.len() < RANDOM_MIN {
        return false;
    }
    let digits = || text.iter().filter(|byte| byte.is_ascii_digit()).count();
    match changes {
        0 => false,
        // Letters with a number behind them are told apart by the caller.
        1 => byte(text, 0).is_ascii_digit() && digits() >= SUFFIX_MIN,
        2 => text.len() >= JUMBLE_MIN && digits() >= SUFFIX_MIN,
        _ => true,
    }
}
