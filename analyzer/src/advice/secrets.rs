//! Names of keys that look like secrets: e-mail addresses, card numbers, tokens.
//!
//! Looked at by shape, name by name, in one walk; what was found is counts, never names. A run of 13
//! to 19 digits may be anything: one in ten passes the check digit of a card by chance (ISO/IEC 7812
//! annex B), so cards are said only where most of such runs pass.

/// What a name looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// An e-mail address.
    Mail,
    /// A number of a payment card.
    Card,
    /// A JSON web token, or a token of a known issuer.
    Token,
}

impl Shape {
    /// Every one.
    pub(super) const ALL: [Shape; 3] = [Shape::Mail, Shape::Card, Shape::Token];

    /// In words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Shape::Mail => "e-mail address",
            Shape::Card => "card number",
            Shape::Token => "token",
        }
    }
}

/// Counts of a walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Secrets {
    mails: u64,
    tokens: u64,
    /// Runs of digits that are as long as a card's, and begin as one does.
    runs: u64,
    /// Those whose check digit is right.
    checked: u64,
}

impl Secrets {
    /// Looks at a name.
    pub(super) fn take(&mut self, name: &[u8]) {
        self.mails += u64::from(has_mail(name));
        self.tokens += u64::from(has_token(name));
        if let Some(run) = card_run(name) {
            self.runs += 1;
            self.checked += u64::from(is_checked(run));
        }
    }

    /// What is added up over keys.
    pub(super) fn sums(&mut self) -> [&mut u64; 4] {
        [
            &mut self.mails,
            &mut self.tokens,
            &mut self.runs,
            &mut self.checked,
        ]
    }

    /// Keys of a shape.
    pub(super) fn count(&self, shape: Shape) -> u64 {
        match shape {
            Shape::Mail => self.mails,
            Shape::Token => self.tokens,
            Shape::Card if self.checked * 2 > self.runs => self.checked,
            Shape::Card => 0,
        }
    }
}

/// Longest part of a name that is looked at.
const LOOKED_MAX: usize = 4096;

/// `local@domain.tld` anywhere in it.
fn has_mail(name: &[u8]) -> bool {
    let name = &name[..name.len().min(LOOKED_MAX)];
    let is_local = |b: u8| b.is_ascii_alphanumeric() || b"._%+-".contains(&b);
    let is_domain = |b: u8| b.is_ascii_alphanumeric() || b".-".contains(&b);
    let mut ats = memchr_all(name, b'@');
    ats.any(|at| {
        let before = at > 0 && is_local(name[at - 1]);
        let rest = &name[at + 1..];
        let domain = &rest[..rest.iter().take_while(|b| is_domain(**b)).count()];
        let dot = domain.iter().rposition(|b| *b == b'.');
        let is_top = |top: &[u8]| top.len() >= 2 && top.iter().all(u8::is_ascii_alphabetic);
        before && dot.is_some_and(|dot| dot > 0 && is_top(&domain[dot + 1..]))
    })
}

fn memchr_all(name: &[u8], byte: u8) -> impl Iterator<Item = usize> {
    let all = name.iter().enumerate();
    all.filter(move |(_, b)| **b == byte).map(|(at, _)| at)
}

/// Beginnings of tokens that their issuers have published, and how long the rest is at least.
const ISSUED: [(&[u8], usize); 8] = [
    (b"ghp_", 30),
    (b"gho_", 30),
    (b"github_pat_", 30),
    (b"sk_live_", 16),
    (b"rk_live_", 16),
    (b"xoxb-", 20),
    (b"xoxp-", 20),
    (b"AKIA", 16),
];

fn has_token(name: &[u8]) -> bool {
    let name = &name[..name.len().min(LOOKED_MAX)];
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || b"_-".contains(b);
    let run = |from: usize| name[from..].iter().take_while(|b| is_word(b)).count();
    let starts = |at: usize| at == 0 || !name[at - 1].is_ascii_alphanumeric();
    // `{"` of a JSON object is eyJ in base64.
    let is_web_token = |at: usize| {
        let head = run(at);
        let body = at + head + 1;
        name[at..].starts_with(b"eyJ")
            && head >= 10
            && name.get(at + head) == Some(&b'.')
            && run(body.min(name.len())) >= 10
    };
    let is_issued = |at: usize| {
        let mut issued = ISSUED.iter();
        issued.any(|(head, rest)| name[at..].starts_with(head) && run(at + head.len()) >= *rest)
    };
    (0..name.len())
        .filter(|at| matches!(name[*at], b'e' | b'g' | b's' | b'r' | b'x' | b'A'))
        .any(|at| starts(at) && (is_web_token(at) || is_issued(at)))
}

/// The first run of 13 to 19 digits that begins as a card number does.
fn card_run(name: &[u8]) -> Option<&[u8]> {
    let name = &name[..name.len().min(LOOKED_MAX)];
    let mut runs = name.split(|b| !b.is_ascii_digit());
    runs.find(|run| (13..=19).contains(&run.len()) && (b'3'..=b'6').contains(&run[0]))
}

/// The check digit is right: every second digit from the right is doubled, its digits summed.
fn is_checked(digits: &[u8]) -> bool {
    let value = |(at, digit): (usize, &u8)| {
        let digit = u32::from(digit - b'0');
        match at % 2 {
            0 => digit,
            _ if digit > 4 => digit * 2 - 9,
            _ => digit * 2,
        }
    };
    let sum: u32 = digits.iter().rev().enumerate().map(value).sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(names: &[&str]) -> [u64; 3] {
        let mut found = Secrets::default();
        names.iter().for_each(|name| found.take(name.as_bytes()));
        Shape::ALL.map(|shape| found.count(shape))
    }

    #[test]
    fn shapes_are_told() {
        for (name, expected) in [
            ("user:jane.doe+x@example.com:cart", [1, 0, 0]),
            ("mail:a@b.co", [1, 0, 0]),
            ("card:4111111111111111", [0, 1, 0]),
            ("card:378282246310005:last", [0, 1, 0]),
            (
                "session:eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.sig",
                [0, 0, 1],
            ),
            ("gh:ghp_0123456789abcdefghijABCDEFGHIJ012345", [0, 0, 1]),
            ("aws:AKIAIOSFODNN7EXAMPLE", [0, 0, 1]),
            ("user:1234", [0, 0, 0]),
            ("at@", [0, 0, 0]),
            ("@x.com", [0, 0, 0]),
            ("a@localhost", [0, 0, 0]),
            ("card:4111111111111112", [0, 0, 0]),
            ("ms:1700000000000", [0, 0, 0]),
            ("eyJ.x", [0, 0, 0]),
            ("", [0, 0, 0]),
        ] {
            assert_eq!(counts(&[name]), expected, "{name}");
        }
    }

    #[test]
    fn ids_that_pass_by_chance_are_no_cards() {
        let ids: Vec<String> = (0..1000u64)
            .map(|n| format!("post:{}", 4_000_000_000_000_000 + n * 7919))
            .collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        assert_eq!(counts(&ids), [0, 0, 0]);
    }

    #[test]
    fn no_name_is_too_odd() {
        let long = "@".repeat(100_000) + &"4".repeat(100_000);
        assert_eq!(counts(&[&long, "@@@.@..", "eyJ", "AKIA", "{}"]), [0, 0, 0]);
    }
}
