//! Which keys there are, and which elements go into each.
//!
//! A key's number decides its size class and the look of its elements, so a key has the same
//! character in every run: some stay small, some hover around an encoding's threshold, some grow
//! far beyond it. Names are not all tame: binary ones, long ones, the empty one, hash tags.

use super::Gen;

/// What a key is meant to hold (another type may land there now and then).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Plain strings.
    Str,
    /// Strings that count.
    Int,
    /// Strings written by bit and range.
    Bits,
    /// `HyperLogLog`.
    Hll,
    /// Lists.
    List,
    /// Sets.
    Set,
    /// Sorted sets.
    Zset,
    /// Sorted sets whose scores are all equal, for ranges by name.
    Lex,
    /// Sorted sets of positions.
    Geo,
    /// Hashes.
    Hash,
    /// Hashes whose fields expire.
    Fields,
    /// Streams.
    Stream,
}

/// Every kind.
pub(super) const KINDS: [Kind; 12] = [
    Kind::Str,
    Kind::Int,
    Kind::Bits,
    Kind::Hll,
    Kind::List,
    Kind::Set,
    Kind::Zset,
    Kind::Lex,
    Kind::Geo,
    Kind::Hash,
    Kind::Fields,
    Kind::Stream,
];

/// A key of the population.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its name on the wire.
    pub name: Vec<u8>,
    /// Its number within its kind.
    index: u64,
}

impl Key {
    /// How many different elements it can have: around each threshold of the encodings.
    pub(super) const fn universe(&self) -> u64 {
        match self.index % 8 {
            0 | 1 => 6,
            2 | 3 => 40,
            4 => 130,
            5 => 140,
            6 => 540,
            _ => 3000,
        }
    }

    /// How many elements one command may carry.
    pub(super) const fn burst(&self) -> i64 {
        match self.index % 8 {
            0..=3 => 3,
            4 | 5 => 16,
            6 => 60,
            _ => 250,
        }
    }

    /// What its elements look like.
    const fn look(&self) -> u64 {
        (self.index / 8) % 5
    }
}

impl Gen {
    /// A key of that kind; rarely one of another, so that types change and commands fail.
    pub(super) fn key(&mut self, kind: Kind) -> Key {
        let kind = if self.rng.one_in(400) {
            *self.rng.pick(&KINDS)
        } else {
            kind
        };
        let (letter, count) = match kind {
            Kind::Str => ("s", 300),
            Kind::Int => ("n", 60),
            Kind::Bits => ("b", 60),
            Kind::Hll => ("p", 24),
            Kind::List => ("l", 64),
            Kind::Set => ("e", 64),
            Kind::Zset => ("z", 64),
            Kind::Lex => ("y", 24),
            Kind::Geo => ("g", 30),
            Kind::Hash => ("h", 64),
            Kind::Fields => ("f", 40),
            Kind::Stream => ("x", 16),
        };
        let index = self.rng.below(count);
        let plain = format!("{letter}:{index}");
        let name = match index % 23 {
            7 => format!("{{tag{}}}{plain}", index % 3).into_bytes(),
            11 => [plain.as_bytes(), b"\r\n\x00\xff \"'"].concat(),
            13 => format!("{plain}:{}", "long".repeat(60)).into_bytes(),
            17 => format!("app:user:{index}:{letter}").into_bytes(),
            _ if index == 0 && kind == Kind::Str => Vec::new(),
            _ => plain.into_bytes(),
        };
        let name = match &self.tag {
            Some(tag) => [format!("{{{tag}}}").as_bytes(), &name].concat(),
            None => name,
        };
        Key { name, index }
    }

    /// One element of a set, sorted set or hash.
    pub(super) fn member(&mut self, key: &Key) -> Vec<u8> {
        let n = self.rng.below(key.universe());
        // 64 bytes is where small encodings end; few elements may cross it, or none would stay.
        match key.look() {
            0 => n.to_string().into_bytes(),
            1 => format!("member:{n}").into_bytes(),
            2 if n.is_multiple_of(5) => (n * 1_000_003).to_string().into_bytes(),
            2 => format!("m{n}").into_bytes(),
            3 if n == 5 => format!("{n:064}").into_bytes(),
            3 => format!("{n:063}").into_bytes(),
            _ if n == 3 => format!("{n:065}").into_bytes(),
            _ if n % 97 == 11 => format!("{n:01200}").into_bytes(),
            _ => [b"\x00\xf5".as_slice(), &n.to_le_bytes()].concat(),
        }
    }

    /// Elements for one command.
    pub(super) fn members(&mut self, key: &Key) -> Vec<Vec<u8>> {
        let count = self.burst(key);
        (0..count).map(|_| self.member(key)).collect()
    }

    /// How many elements this command carries.
    pub(super) fn burst(&mut self, key: &Key) -> i64 {
        if self.rng.one_in(3) {
            self.rng.range(1, key.burst())
        } else {
            self.rng.range(1, 2)
        }
    }

    /// A value: mostly short, often around a threshold, rarely long.
    pub(super) fn value(&mut self) -> Vec<u8> {
        let len = match self.rng.below(40) {
            0..=11 => return self.integer().into_bytes(),
            12..=21 => self.rng.range(0, 12),
            22..=27 => self.rng.range(42, 46),
            28..=33 => self.rng.range(62, 66),
            34 | 35 => self.rng.range(100, 300),
            36 => self.rng.range(500, 5000),
            37 if self.rng.one_in(20) => self.rng.range(8000, 70_000),
            37 | 38 => self.rng.range(12, 40),
            _ => return self.float().into_bytes(),
        };
        let len = usize::try_from(len).unwrap_or(0);
        if self.rng.one_in(2) {
            self.rng.bytes(len)
        } else {
            vec![b'v'; len]
        }
    }

    /// The text of an integer, the limits of every width included.
    pub(super) fn integer(&mut self) -> String {
        match self.rng.below(16) {
            0 => i64::MAX.to_string(),
            1 => i64::MIN.to_string(),
            2 => "9223372036854775808".to_owned(),
            3 => format!("0{}", self.rng.below(100)),
            4 => format!("+{}", self.rng.below(100)),
            5 => "-0".to_owned(),
            6 => self.rng.range(-40_000, 40_000).to_string(),
            7 => self.rng.range(-3_000_000_000, 3_000_000_000).to_string(),
            8 => self.rng.range(-9_000_000, 9_000_000).to_string(),
            _ => self.rng.range(-20, 12_000).to_string(),
        }
    }

    /// The text of a floating-point number.
    pub(super) fn float(&mut self) -> String {
        match self.rng.below(12) {
            0 => "inf".to_owned(),
            1 => "-inf".to_owned(),
            2 => "1e300".to_owned(),
            3 => "-0.0".to_owned(),
            4 => format!("{}e-7", self.rng.range(-999, 999)),
            5 | 6 => format!("{}.{}", self.rng.range(-99, 99), self.rng.below(1_000_000)),
            _ => self.rng.range(-50, 50).to_string(),
        }
    }

    /// A span of time from now in milliseconds: mostly long, sometimes over soon.
    pub(super) fn span_ms(&mut self) -> i64 {
        match self.rng.below(12) {
            0 => self.rng.range(1, 400),
            1 => self.rng.range(400, 5000),
            2 => self.rng.range(60_000, 120_000),
            _ => self.rng.range(3_600_000, 4_000_000_000),
        }
    }

    /// A span that may be over already.
    pub(super) fn span_or_past_ms(&mut self) -> i64 {
        if self.rng.one_in(15) {
            self.rng.range(-100_000, 0)
        } else {
            self.span_ms()
        }
    }

    /// A point in time that may have passed.
    pub(super) fn when_ms(&mut self) -> i64 {
        (self.now_ms + self.span_or_past_ms()).max(1)
    }

    /// An index into a list, sometimes beyond its end.
    pub(super) fn position(&mut self) -> i64 {
        match self.rng.below(6) {
            0 => 0,
            1 => -1,
            2 => self.rng.range(-40, 40),
            3 => self.rng.range(-600, 600),
            _ => self.rng.range(-9, 9),
        }
    }

    /// Redis of at least this version.
    pub(super) fn redis(&self, version: (u32, u32)) -> bool {
        self.redis.is_some_and(|own| own >= version)
    }

    /// Valkey of at least this version.
    pub(super) fn valkey(&self, version: (u32, u32)) -> bool {
        self.valkey.is_some_and(|own| own >= version)
    }

    /// Redis of at least this version, or any Valkey.
    pub(super) fn since(&self, version: (u32, u32)) -> bool {
        self.valkey.is_some() || self.redis(version)
    }
}
