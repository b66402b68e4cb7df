//! What the tests of the keyspace share: a driver that speaks in words, and dice.

#![allow(dead_code, reason = "each test file uses its part of the kit")]

use analyzer::input::{Command, Key, Outcome, Part, Shape};
use analyzer::profile::{Family, Version};
use analyzer::{Keyspace, Profile, Text};

/// A keyspace with the offsets and times that a stream would give it.
pub(crate) struct Driver {
    pub(crate) keyspace: Keyspace,
    pub(crate) db: u32,
    pub(crate) now_ms: i64,
    pub(crate) offset: u64,
}

impl Driver {
    pub(crate) fn new() -> Driver {
        Driver::on(Profile::defaults(Family::Redis, Version::new(7, 0)))
    }

    pub(crate) fn on(profile: Profile) -> Driver {
        Driver {
            keyspace: Keyspace::new(profile, 0x5eed),
            db: 0,
            now_ms: 1_700_000_000_000,
            offset: 0,
        }
    }

    /// Applies a command given as words.
    pub(crate) fn run(&mut self, words: &[&[u8]]) -> Outcome {
        let argv: Vec<Text<'_>> = words.iter().map(|word| Text::Bytes(word)).collect();
        self.offset += 10;
        self.keyspace.apply(&Command {
            db: self.db,
            argv: &argv,
            now_ms: self.now_ms,
            end_offset: self.offset,
        })
    }

    /// Applies a command given as one line.
    pub(crate) fn line(&mut self, line: &str) -> Outcome {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        self.run(&words)
    }

    /// Follows a command given as one line.
    pub(crate) fn follow_line(&mut self, line: &str) -> Outcome {
        let argv: Vec<Text<'_>> = line
            .split(' ')
            .map(|word| Text::Bytes(word.as_bytes()))
            .collect();
        self.offset += 10;
        self.keyspace.follow(&Command {
            db: self.db,
            argv: &argv,
            now_ms: self.now_ms,
            end_offset: self.offset,
        })
    }

    /// Loads a string key of a full sync.
    pub(crate) fn load_str(&mut self, db: u32, name: &[u8], len: u64, expire_ms: Option<i64>) {
        self.keyspace.load_key(key(db, name, expire_ms));
        self.keyspace.part(Part::Str { len, int: None });
        self.keyspace.end_key();
    }

    pub(crate) fn names(&self, db: u32) -> Vec<Vec<u8>> {
        let mut names = Vec::new();
        let mut cursor = 0;
        loop {
            cursor = self.keyspace.scan(db, cursor, 100, &mut |_, item| {
                names.push(item.name.to_vec());
            });
            if cursor == 0 {
                names.sort();
                return names;
            }
        }
    }
}

pub(crate) fn key(db: u32, name: &[u8], expire_ms: Option<i64>) -> Key<'_> {
    Key {
        db,
        name,
        shape: Shape::String,
        expire_ms,
        idle_s: None,
        freq: None,
        count_hint: 1,
    }
}

/// Dice with a seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }
}
