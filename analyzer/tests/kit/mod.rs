//! What the tests of the keyspace share: a driver that speaks in words, and dice.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test file uses its part of the kit"
)]

pub(crate) mod dice;
pub(crate) mod names;

use analyzer::input::{Command, Key, Outcome, Part, Shape};
use analyzer::profile::{Family, Version};
use analyzer::{Keyspace, Profile, Text};

pub(crate) use dice::Dice;

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

/// Some command on some of 300 keys, of every type and over several of them.
pub(crate) fn command(dice: &mut Dice) -> String {
    let n = dice.below(60);
    let (kind, other) = (dice.below(5), dice.below(60));
    let prefix = ["str", "list", "set", "zset", "hash"][usize::try_from(kind).expect("small")];
    let (key, to) = (format!("{prefix}:{n}"), format!("{prefix}:{other}"));
    let item = dice.below(40);
    let common = match dice.below(14) {
        0 => Some(format!("DEL {key}")),
        1 => Some(format!("RENAME {key} {to}")),
        2 => Some(format!("COPY {key} {to} REPLACE")),
        3 => Some(format!("PEXPIREAT {key} 1900000000000")),
        4 => Some(format!("PERSIST {key}")),
        _ => None,
    };
    common.unwrap_or_else(|| match (kind, dice.below(4)) {
        (0, 0) => format!("APPEND {key} some-{item}"),
        (0, 1) => format!("SETRANGE {key} {item} x"),
        (0, _) => format!("SET {key} value-{item}"),
        (1, 0) => format!("LPOP {key}"),
        (1, 1) => format!("LMOVE {key} {to} LEFT RIGHT"),
        (1, _) => format!("RPUSH {key} item-{item} {item}"),
        (2, 0) => format!("SMOVE {key} {to} m-{item}"),
        (2, 1) => format!("SUNIONSTORE {to} {key} set:{item}"),
        (2, 2) => format!("SREM {key} m-{item}"),
        (2, _) => format!("SADD {key} m-{item}"),
        (3, 0) => format!("ZINTERSTORE {to} 2 {key} zset:{item}"),
        (3, 1) => format!("ZREM {key} m-{item}"),
        (3, _) => format!("ZADD {key} {item} m-{item}"),
        (_, 0) => format!("HDEL {key} f-{item}"),
        (_, _) => format!("HSET {key} f-{item} value-{item}"),
    })
}
