//! What stands where a pattern has `*`.

/// A set of classes of variable tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes(u16);

impl Classes {
    /// None: the token is a literal.
    pub(crate) const NONE: Classes = Classes(0);
    /// Decimal digits.
    pub const INT: Classes = Classes(1);
    /// Hexadecimal digits of no usual length.
    pub const HEX: Classes = Classes(1 << 1);
    /// 8-4-4-4-12 hexadecimal digits.
    pub const UUID: Classes = Classes(1 << 2);
    /// 26 characters of Crockford's alphabet.
    pub const ULID: Classes = Classes(1 << 3);
    /// As many hexadecimal digits as MD5, SHA-1, SHA-256 or SHA-512 have.
    pub const HASH: Classes = Classes(1 << 4);
    /// Year, month and day.
    pub const DATE: Classes = Classes(1 << 5);
    /// A moment: ISO 8601, or unix seconds or milliseconds of our time.
    pub const TIMESTAMP: Classes = Classes(1 << 6);
    /// An address of IP version 4 or 6, or of a network card.
    pub const IP: Classes = Classes(1 << 7);
    /// An e-mail address.
    pub const EMAIL: Classes = Classes(1 << 8);
    /// Base64, plain or for URLs.
    pub const BASE64: Classes = Classes(1 << 9);
    /// Letters and digits that look drawn by lot.
    pub const RANDOM: Classes = Classes(1 << 10);
    /// No text: control characters or invalid UTF-8.
    pub const BINARY: Classes = Classes(1 << 11);
    /// Long text, or what is behind the part of a name that is looked at.
    pub const TEXT: Classes = Classes(1 << 12);
    /// Words that were too many to be told apart.
    pub const WORD: Classes = Classes(1 << 13);

    /// Those of either.
    #[must_use]
    pub fn or(self, other: Classes) -> Classes {
        Classes(self.0 | other.0)
    }

    /// True if the set is empty.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// True if all of `other` are in it.
    pub fn has(self, other: Classes) -> bool {
        self.0 & other.0 == other.0
    }

    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        const NAMES: [(Classes, &str); 14] = [
            (Classes::INT, "int"),
            (Classes::HEX, "hex"),
            (Classes::UUID, "uuid"),
            (Classes::ULID, "ulid"),
            (Classes::HASH, "hash"),
            (Classes::DATE, "date"),
            (Classes::TIMESTAMP, "timestamp"),
            (Classes::IP, "ip"),
            (Classes::EMAIL, "email"),
            (Classes::BASE64, "base64"),
            (Classes::RANDOM, "random"),
            (Classes::BINARY, "binary"),
            (Classes::TEXT, "text"),
            (Classes::WORD, "word"),
        ];
        let mine = NAMES.into_iter().filter(move |(class, _)| self.has(*class));
        mine.map(|(_, name)| name)
    }
}
