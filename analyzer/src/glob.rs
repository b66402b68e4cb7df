//! The glob dialect of KEYS and SCAN MATCH (Redis 7.4 and Valkey 8.0 `stringmatchlen`), over bytes.
//!
//! ```text
//! *        any run of bytes, also none      ?     one byte
//! [abc]    one of these                     [^a]  any but these
//! [a-z]    a range, either way round        \x    the byte x itself, also inside brackets
//! ```
//!
//! A bracket that is never closed ends with the pattern; ranges compare bytes as signed, which is
//! what the servers do on x86. The pattern is compiled once; a match then backtracks to the last
//! star only, so its cost is bounded by text times pattern, never exponential, and it cannot
//! recurse. The servers give up behind 1000 stars; this does not.

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Glob {
    tokens: Vec<Token>,
    /// Bytes that every matching text has at least.
    shortest: usize,
    /// The pattern is a lone star: the one that matches the empty text (KEYS answers it without
    /// the matcher, which never lets a star match an empty text).
    all: bool,
}

#[derive(Clone, Debug)]
enum Token {
    Star,
    Any,
    Byte(u8),
    Class(Box<[u64; 4]>),
}

impl Token {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Token::Star => false,
            Token::Any => true,
            Token::Byte(own) => *own == byte,
            Token::Class(set) => set[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1,
        }
    }
}

impl Glob {
    /// Compiles a pattern; every byte string is one.
    pub fn new(pattern: &[u8]) -> Glob {
        let mut tokens = Vec::new();
        let mut rest = pattern;
        while let Some((&first, tail)) = rest.split_first() {
            rest = tail;
            match first {
                b'*' => {
                    if !matches!(tokens.last(), Some(Token::Star)) {
                        tokens.push(Token::Star);
                    }
                }
                b'?' => tokens.push(Token::Any),
                b'[' => tokens.push(class(&mut rest)),
                b'\\' => match tail.split_first() {
                    Some((&escaped, after)) => {
                        rest = after;
                        tokens.push(Token::Byte(escaped));
                    }
                    None => tokens.push(Token::Byte(first)),
                },
                _ => tokens.push(Token::Byte(first)),
            }
        }
        let stars = tokens.iter().filter(|t| matches!(t, Token::Star)).count();
        Glob {
            shortest: tokens.len() - stars,
            all: pattern == b"*",
            tokens,
        }
    }

    /// True if every text matches, also the empty one.
    pub fn matches_all(&self) -> bool {
        self.all
    }

    /// True if the whole of `text` matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        if self.all || text.is_empty() {
            return self.all || self.tokens.is_empty();
        }
        if text.len() < self.shortest {
            return false;
        }
        let (mut at, mut next) = (0, 0);
        // Where to go on after a mismatch: behind the last star, one byte further than before.
        let mut retry: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.tokens.get(next) {
                Some(Token::Star) => {
                    next += 1;
                    retry = Some((next, at));
                    continue;
                }
                Some(token) if token.takes(text[at]) => {
                    at += 1;
                    next += 1;
                    continue;
                }
                Some(_) | None => {}
            }
            match retry {
                // A star that ends the pattern takes all.
                Some((star, _)) if star == self.tokens.len() => return true,
                Some((star, from)) => {
                    at = from + 1;
                    next = star;
                    retry = Some((star, at));
                }
                None => return false,
            }
        }
        self.tokens[next..].iter().all(|t| matches!(t, Token::Star))
    }
}

/// Parses what follows an opening bracket, up to and with its closing one.
fn class(rest: &mut &[u8]) -> Token {
    let negated = rest.first() == Some(&b'^');
    if negated {
        *rest = &rest[1..];
    }
    let mut set = [0u64; 4];
    let mut add = |byte: u8| set[usize::from(byte >> 6)] |= 1 << (byte & 63);
    loop {
        match **rest {
            [] => break,
            [b'\\', escaped, ..] => {
                add(escaped);
                *rest = &rest[2..];
            }
            [b']', ..] => {
                *rest = &rest[1..];
                break;
            }
            [start, b'-', end, ..] => {
                let (start, end) = (start.cast_signed(), end.cast_signed());
                for byte in start.min(end)..=start.max(end) {
                    add(byte.cast_unsigned());
                }
                *rest = &rest[3..];
            }
            [byte, ..] => {
                add(byte);
                *rest = &rest[1..];
            }
        }
    }
    if negated {
        set = set.map(|word| !word);
    }
    Token::Class(Box::new(set))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The textbook recursion over the same dialect, as the judge.
    fn slow(tokens: &[Token], text: &[u8]) -> bool {
        match (tokens.split_first(), text.split_first()) {
            (None, _) => text.is_empty(),
            (Some((Token::Star, rest)), None) => slow(rest, text),
            (Some((Token::Star, rest)), Some((_, tail))) => slow(rest, text) || slow(tokens, tail),
            (Some(_), None) => false,
            (Some((token, rest)), Some((&byte, tail))) => token.takes(byte) && slow(rest, tail),
        }
    }

    #[track_caller]
    fn check(pattern: &[u8], yes: &[&[u8]], no: &[&[u8]]) {
        let glob = Glob::new(pattern);
        for text in yes {
            assert!(glob.matches(text), "{pattern:?} on {text:?}");
        }
        for text in no {
            assert!(!glob.matches(text), "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn the_dialect_is_that_of_keys() {
        check(b"*", &[b"", b"a", b"abc"], &[]);
        check(b"", &[b""], &[b"a"]);
        // The matcher proper never starts on an empty text.
        check(b"**", &[b"a"], &[b""]);
        check(b"h?llo", &[b"hello", b"hxllo"], &[b"hllo", b"helloo"]);
        check(b"h*llo", &[b"hllo", b"heeeello"], &[b"hell", b"xhllo"]);
        check(b"h[^e]llo", &[b"hallo"], &[b"hello", b"hllo"]);
        check(b"h[a-c]llo", &[b"hallo", b"hcllo"], &[b"hdllo"]);
        check(b"h[c-a]llo", &[b"hbllo"], &[b"hdllo"]);
        check(b"[\\]x]", &[b"]", b"x"], &[b"\\"]);
        check(b"[a", &[b"a"], &[b"[a", b"b"]);
        check(b"[", &[], &[b"["]);
        check(b"[]a", &[], &[b"]a", b"a"]);
        check(b"[^", &[b"q"], &[b"", b"qq"]);
        check(b"[a-", &[b"a", b"-"], &[b"b"]);
        check(b"[a-]", &[b"a", b"^"], &[b"-", b"[", b"b"]);
        check(b"[a\\", &[b"a", b"\\"], &[]);
        check(b"\\*", &[b"*"], &[b"a", b"\\*"]);
        check(b"a\\", &[b"a\\"], &[b"a"]);
        check(b"a]", &[b"a]"], &[b"a"]);
        check(b"[\x80-a]", &[b"\xff", b"\0", b"A"], &[b"b", b"z"]);
        check(b"a*b*", &[b"ab", b"axb", b"abab"], &[b"a", b"ba"]);
    }

    #[test]
    fn random_patterns_equal_the_recursive_matcher() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below).unwrap()
        };
        let alphabet = b"ab*?[]^-\\c*";
        for _ in 0..40_000 {
            let pattern: Vec<u8> = (0..next(9)).map(|_| alphabet[next(11)]).collect();
            let text: Vec<u8> = (0..=next(8)).map(|_| b"abc-]*"[next(6)]).collect();
            let glob = Glob::new(&pattern);
            assert_eq!(
                glob.matches(&text),
                slow(&glob.tokens, &text),
                "{:?} on {:?}",
                String::from_utf8_lossy(&pattern),
                String::from_utf8_lossy(&text)
            );
        }
    }

    #[test]
    fn a_pattern_of_many_stars_is_not_exponential() {
        let pattern = b"a*".repeat(2_000);
        let mut text = vec![b'a'; 20_000];
        assert!(Glob::new(&pattern).matches(&text));
        let mut pattern = pattern.clone();
        pattern.push(b'b');
        text.push(b'c');
        assert!(!Glob::new(&pattern).matches(&text));
    }
}
