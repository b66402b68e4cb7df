//! A key's name as tokens.
//!
//! ```text
//! user:1234:cart_items      user | :* (int) | :cart | _items
//! {shard7}.2024-05-06       (empty) | {shard | 7 | } (empty) | .* (date)
//! ```
//!
//! One pass and a bounded one: of a name that is longer than the window only the window is looked
//! at, and behind the last token that is told apart all is one `*`. Variable tokens that follow each
//! other behind a weak separator (`- _ .`) are one: versions, fractions, parts of an id. Digits at
//! the end of a word are a token of their own without a separator, so that `user1` and `user2` can
//! become `user*`.

use super::class::Classes;
use super::run::Run;
use super::shape;

/// The separator of the first token.
pub(super) const START: u8 = 0;

/// Between a word and the digits behind it. No name has these two as separators: control characters
/// are binary.
pub(super) const NONE: u8 = 1;

/// Bytes of a name that are looked at.
const WINDOW: usize = 256;

/// Tokens that are told apart, digits behind words not counted.
const TOKENS_MAX: u8 = 16;

pub(super) const DIGIT: u8 = 1;
pub(super) const HEX_LOWER: u8 = 1 << 1;
pub(super) const LOWER: u8 = 1 << 2;
pub(super) const HEX_UPPER: u8 = 1 << 3;
pub(super) const UPPER: u8 = 1 << 4;
/// Printable ASCII that is neither letter, digit nor separator.
pub(super) const OTHER: u8 = 1 << 5;
/// Not ASCII.
pub(super) const WIDE: u8 = 1 << 6;
/// Ends a token.
const STOP: u8 = 1 << 7;
const CONTROL: u8 = STOP | WIDE;

/// Bytes of a literal at most; what is longer is text.
pub(super) const WORD_MAX: usize = 48;

/// What bytes are seen in a token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes(pub(super) u8);

impl Bytes {
    pub(super) fn is_separator(self) -> bool {
        self.0 == STOP
    }
}

const KINDS: [u8; 256] = kinds();

const fn kinds() -> [u8; 256] {
    let mut kinds = [0; 256];
    let mut byte = 0u8;
    loop {
        kinds[byte as usize] = match byte {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' => HEX_LOWER,
            b'g'..=b'z' => LOWER,
            b'A'..=b'F' => HEX_UPPER,
            b'G'..=b'Z' => UPPER,
            b':' | b'.' | b'/' | b'|' | b'-' | b'_' | b'#' | b'{' | b'}' => STOP,
            0..=0x1f | 0x7f => CONTROL,
            0x80..=0xff => WIDE,
            _ => OTHER,
        };
        if byte == u8::MAX {
            return kinds;
        }
        byte += 1;
    }
}

pub(super) fn kind_of(byte: u8) -> Bytes {
    Bytes(KINDS[usize::from(byte)])
}

/// True for separators that occur inside ids.
pub(super) fn is_weak(separator: u8) -> bool {
    matches!(separator, b'-' | b'_' | b'.')
}

/// A token with what stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// `START`, `NONE` or the byte itself.
    pub(super) separator: u8,
    pub(super) text: &'a [u8],
    /// None for literals.
    pub(super) classes: Classes,
}

impl Token<'_> {
    pub(super) fn is_variable(&self) -> bool {
        !self.classes.is_none()
    }
}

/// The tokens of a name.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    window: &'a [u8],
    /// The name goes on behind the window.
    is_cut: bool,
    /// An e-mail address is possible.
    mail: bool,
    at: usize,
    separator: u8,
    left: u8,
    /// Where the digits behind the last word are.
    suffix: Option<(usize, usize)>,
    /// The last token was variable.
    variable: bool,
    is_done: bool,
}

/// One token as the scan finds it.
struct Scanned {
    end: usize,
    classes: Classes,
}

impl<'a> Tokens<'a> {
    #[inline]
    pub(super) fn new(name: &'a [u8]) -> Tokens<'a> {
        let window = &name[..name.len().min(WINDOW)];
        Tokens {
            window,
            is_cut: name.len() > WINDOW,
            mail: memchr::memchr(b'@', window).is_some(),
            at: 0,
            separator: START,
            left: TOKENS_MAX,
            suffix: None,
            variable: false,
            is_done: false,
        }
    }

    #[inline]
    fn one(&mut self) -> Token<'a> {
        let (start, separator) = (self.at, self.separator);
        let Scanned { end, mut classes } = match self.mail {
            false => self.scan(start),
            true => self.scan_mail(start, separator),
        };
        self.left -= 1;
        let is_last = end == self.window.len();
        if classes.has(Classes::BINARY) {
            self.is_done = true;
        } else if (is_last && self.is_cut) || (!is_last && self.left == 0) {
            classes = classes.or(Classes::TEXT);
            self.suffix = None;
            self.is_done = true;
        } else if is_last {
            self.is_done = true;
        } else {
            self.separator = self.window[end];
            self.at = end + 1;
        }
        let word = self.suffix.map_or(end, |(from, _)| from);
        Token {
            separator,
            text: &self.window[start..word],
            classes,
        }
    }

    #[cold]
    fn scan_mail(&mut self, start: usize, separator: u8) -> Scanned {
        // At the beginning of a name what has dots before the `@` may as well be a prefix.
        let signs: &[u8] = if separator == START { b"%+" } else { b"._%+-" };
        match shape::email(&self.window[start..], signs) {
            Some(len) => Scanned {
                end: start + len,
                classes: Classes::EMAIL,
            },
            None => self.scan(start),
        }
    }

    /// Most tokens are words or numbers, which are measured eight bytes at a time.
    #[inline]
    fn scan(&mut self, start: usize) -> Scanned {
        match self.window.get(start) {
            Some(b'a'..=b'z') => {
                let run = Run::of(self.window, start, (b'a', b'z'), b'f');
                if run.exceeds && run.end - start <= WORD_MAX && self.is_end(run.end) {
                    let (end, classes) = (run.end, Classes::NONE);
                    return Scanned { end, classes };
                }
            }
            Some(b'0'..=b'9') => {
                let end = Run::of(self.window, start, (b'0', b'9'), b'9').end;
                if self.is_end(end) {
                    let (len, classes) = shape::digits(&self.window[start..], end - start);
                    let end = start + len;
                    return Scanned { end, classes };
                }
            }
            Some(_) | None => {}
        }
        self.scan_bytes(start)
    }

    /// True if a token may end there.
    #[inline]
    fn is_end(&self, at: usize) -> bool {
        let byte = self.window.get(at);
        byte.is_none_or(|&byte| kind_of(byte).is_separator())
    }

    #[inline(never)]
    fn scan_bytes(&mut self, start: usize) -> Scanned {
        let rest = &self.window[start..];
        let (mut seen, mut stop, mut len) = (0, 0, rest.len());
        for (at, &byte) in rest.iter().enumerate() {
            let kind = KINDS[usize::from(byte)];
            if kind & STOP != 0 {
                (stop, len) = (kind, at);
                break;
            }
            seen |= kind;
        }
        let end = start + len;
        if stop == CONTROL || (seen & WIDE != 0 && self.is_broken(&rest[..len], end)) {
            return Scanned {
                end: self.window.len(),
                classes: Classes::BINARY,
            };
        }
        self.classified(start, end, Bytes(seen))
    }

    fn classified(&mut self, start: usize, end: usize, seen: Bytes) -> Scanned {
        let (rest, len) = (&self.window[start..], end - start);
        if len < rest.len() {
            if let Some((len, classes)) = shape::ahead(rest, len, seen) {
                let end = start + len;
                return Scanned { end, classes };
            }
            if let Some(len) = shape::base64(rest, len, seen) {
                return Scanned {
                    end: start + len,
                    classes: Classes::BASE64,
                };
            }
        }
        let text = &rest[..len];
        let changes = shape::changes(text, seen);
        let classes = shape::classify(text, seen, changes);
        if classes.is_none() && changes == 1 && text.last().is_some_and(u8::is_ascii_digit) {
            let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit());
            self.suffix = Some((end - digits.count(), end));
        }
        Scanned { end, classes }
    }

    /// True if the token is no UTF-8. The window may cut a character.
    fn is_broken(&self, text: &[u8], end: usize) -> bool {
        match std::str::from_utf8(text) {
            Ok(_) => false,
            Err(error) => error.error_len().is_some() || !(self.is_cut && end == self.window.len()),
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    #[inline]
    fn next(&mut self) -> Option<Token<'a>> {
        if let Some((from, to)) = self.suffix.take() {
            let text = &self.window[from..to];
            let number = text.len() >= shape::SUFFIX_MIN;
            return Some(Token {
                separator: NONE,
                text,
                classes: if number { Classes::INT } else { Classes::NONE },
            });
        }
        while !self.is_done {
            let token = self.one();
            let joined = self.variable && token.is_variable() && is_weak(token.separator);
            self.variable = token.is_variable();
            if !joined {
                return Some(token);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens as text: variable ones as `*` with their classes.
    fn check(name: &[u8], expected: &str) {
        let mut out = String::new();
        for token in Tokens::new(name) {
            match token.separator {
                START => {}
                NONE => out.push('~'),
                other => out.push(char::from(other)),
            }
            if token.is_variable() {
                let names: Vec<&str> = token.classes.names().collect();
                out.push_str(&format!("<{}>", names.join(",")));
            } else {
                out.push_str(&String::from_utf8_lossy(token.text));
            }
        }
        assert_eq!(out, expected, "{}", name.escape_ascii());
    }

    #[test]
    fn words_and_numbers() {
        check(b"", "");
        check(b"user", "user");
        check(b"user:42:cart", "user:<int>:cart");
        check(b"user:42:cart_items", "user:<int>:cart_items");
        check(b"user1", "user~1");
        check(b"user123:x", "user~<int>:x");
        check(b"page=7", "page=~7");
        check(b"{shard7}.x", "{shard~7}.x");
        check(b"a::b:", "a::b:");
        check(b"3d:24h:1080p", "3d:24h:1080p");
        check(b"us-east-1:v2.1", "us-east-<int>:v~2.<int>");
        check(
            "gr\u{f6}\u{df}e:stra\u{df}e".as_bytes(),
            "gr\u{f6}\u{df}e:stra\u{df}e",
        );
        check("gr\u{f6}\u{df}e12".as_bytes(), "gr\u{f6}\u{df}e~12");
        check(b"order_123_456_items", "order_<int>_items");
        check(b"rate:3.14", "rate:<int>");
        check(b"app:MyLongCamelCaseName", "app:MyLongCamelCaseName");
        check(
            b"app:getUserProfileByAccountId",
            "app:getUserProfileByAccountId",
        );
    }

    #[test]
    fn ids_of_all_classes() {
        check(b"s:550e8400-e29b-41d4-a716-446655440000:x", "s:<uuid>:x");
        check(b"s:01ARZ3NDEKTSV4RRFFQ69G5FAV", "s:<ulid>");
        check(b"s:d41d8cd98f00b204e9800998ecf8427e", "s:<hash>");
        check(b"s:1f2e3d", "s:<hex>");
        check(b"s:0xfe12", "s:<hex>");
        check(b"d:2024-05-06:x", "d:<date>:x");
        check(b"d:20240506", "d:<date>");
        check(b"d:2024-05-06T12:30:59.123Z:x", "d:<timestamp>:x");
        check(b"d:2024-05-06T12:30:59+02:00", "d:<timestamp>");
        check(b"t:1700000000:x", "t:<timestamp>:x");
        check(b"ip:10.0.0.1:6379", "ip:<ip>:<int>");
        check(b"ip:2001:db8::1:x", "ip:<int>:db~8::<int>:x");
        check(b"ip:2001:db8::1", "ip:<ip>");
        check(b"mac:0a:1b:2c:3d:4e:5f", "mac:<ip>");
        check(b"m:john.doe@example.com:x", "m:<email>:x");
        check(b"b:dGhp5yBpc3Bh", "b:<random>");
        check(b"b:aGVsbG8gd29ybGQ=", "b:<base64>");
        check(b"b:Xk3-pQ9zT_aB7cD2eF-x", "b:<base64>");
        check(b"b:-k3XpQ9zT_aB7cD2eFx:y", "b:<base64>:y");
        check(b"b:aG8/bG8+d29ybGQh9Q==", "b:<base64>");
        check(b"img/aG8bG8d29yGQh/thumb", "img/<random>/thumb");
        check(b"presence.john.doe@example.com", "presence.<email>");
        check(b"a-b_c-d-e", "a-b_c-d-e");
        check(b"r:x7k2m9qa", "r:<random>");
    }

    #[test]
    fn bad_names() {
        check(b"\xff\xfe:a", "<binary>");
        check(b"a:\x00\x01:b", "a:<binary>");
        check(b"a:b\xc3", "a:<binary>");
        check(b":::", ":::");
        check(&[b':'; 40], &format!("{}<text>", ":".repeat(15)));
        check(&[b'z'; 49], "<text>");
        check(&[b'a'; 1 << 20], "<hex,text>");
        let long = [b"a:".repeat(3), vec![b'x'; 300]].concat();
        check(&long, "a:a:a:<text>");
        let cut = [vec![b'a'; 255], "\u{df}".as_bytes().to_vec(), vec![b'b'; 9]].concat();
        check(&cut, "<text>");
    }
}
