//! Keyspaces of one kind each, for what depends on the kind: which blocks a server has for it.

use crate::fill::{self, Shape};
use crate::resp::Command;
use crate::seed::Rng;
use crate::servers::{Family, Install};

/// Far enough away that nothing expires while it is measured, unix milliseconds.
const LATER_MS: u64 = 4_000_000_000_000;

/// What a keyspace consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Texts of 8 to 64 bytes.
    Strings,
    /// Numbers, half of them small enough to be shared.
    Integers,
    /// Texts that expire.
    Expiring,
    /// Hashes of ten fields.
    Hashes,
    /// Hashes of 600 fields, in tables.
    LargeHashes,
    /// Hashes of ten fields, half of which expire.
    FieldExpiries,
    /// Sets of 30 numbers.
    Intsets,
    /// Sets of 20 words.
    Sets,
    /// Sets of 700 words, in tables.
    LargeSets,
    /// Sorted sets of ten.
    SortedSets,
    /// Sorted sets of 300, in skiplists.
    Skiplists,
    /// Lists of 20 texts.
    Lists,
    /// Lists of 1,500 texts, in nodes.
    LongLists,
    /// Streams of 60 entries, half of which are pending in a group.
    Streams,
    /// All of that as applications have it.
    Mixed,
    /// Texts of which three in four were deleted again.
    Shrunk,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::Strings,
        Self::Integers,
        Self::Expiring,
        Self::Hashes,
        Self::LargeHashes,
        Self::FieldExpiries,
        Self::Intsets,
        Self::Sets,
        Self::LargeSets,
        Self::SortedSets,
        Self::Skiplists,
        Self::Lists,
        Self::LongLists,
        Self::Streams,
        Self::Mixed,
        Self::Shrunk,
    ];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strings => "strings",
            Self::Integers => "integers",
            Self::Expiring => "TTL keys",
            Self::Hashes => "hashes",
            Self::LargeHashes => "large hashes",
            Self::FieldExpiries => "field TTLs",
            Self::Intsets => "intsets",
            Self::Sets => "sets",
            Self::LargeSets => "large sets",
            Self::SortedSets => "zsets",
            Self::Skiplists => "large zsets",
            Self::Lists => "lists",
            Self::LongLists => "long lists",
            Self::Streams => "streams",
            Self::Mixed => "mixed",
            Self::Shrunk => "shrunk",
        }
    }

    /// Whether the server knows such keys.
    #[must_use]
    pub fn is_known(self, install: &Install) -> bool {
        let (major, minor, _) = install.numbers();
        match (self, install.family) {
            (Self::FieldExpiries, Family::Redis) => (major, minor) >= (7, 4),
            (Self::FieldExpiries, Family::Valkey) => major >= 9,
            (_, _) => true,
        }
    }

    /// How many keys make up about as much as `keys` strings.
    #[must_use]
    pub const fn keys(self, keys: u64) -> u64 {
        match self {
            Self::Strings | Self::Integers | Self::Expiring | Self::Shrunk => keys,
            Self::Mixed => keys / 2,
            Self::Hashes | Self::FieldExpiries | Self::Intsets => keys / 4,
            Self::Sets | Self::SortedSets | Self::Lists => keys / 4,
            Self::LargeHashes | Self::LargeSets | Self::Skiplists => keys / 400,
            Self::LongLists => keys / 500,
            Self::Streams => keys / 50,
        }
    }

    /// The commands that write the key of that number.
    #[must_use]
    pub fn commands(self, number: u64) -> Vec<Command> {
        let mut rng = Rng::new(number.wrapping_mul(0x51_7c_c1_b7) ^ self as u64);
        let rng = &mut rng;
        let name = format!("{}:{number}", self.name().replace(' ', "-"));
        match self {
            Self::Strings => vec![words(["SET", &name, &text(rng, 8, 64)])],
            Self::Integers => {
                let limit = if number.is_multiple_of(2) {
                    10_000
                } else {
                    1 << 40
                };
                vec![words(["SET", &name, &rng.below(limit).to_string()])]
            }
            Self::Expiring => {
                let at = (LATER_MS + number).to_string();
                vec![
                    words(["SET", &name, &text(rng, 8, 64)]),
                    words(["PEXPIREAT", &name, &at]),
                ]
            }
            Self::Shrunk => {
                let mut all = vec![words(["SET", &name, &text(rng, 8, 64)])];
                if !number.is_multiple_of(4) {
                    all.push(words(["DEL", &name]));
                }
                all
            }
            Self::Hashes | Self::LargeHashes | Self::FieldExpiries => self.hash(&name, rng),
            Self::Intsets => vec![many("SADD", &name, 30, |_| vec![rng.below(1 << 20)])],
            Self::Sets => vec![many("SADD", &name, 20, |_| vec![text(rng, 4, 30)])],
            Self::LargeSets => vec![many("SADD", &name, 700, |_| vec![text(rng, 8, 30)])],
            Self::SortedSets => vec![many("ZADD", &name, 10, |n| {
                vec![rng.below(100_000).to_string(), format!("player:{n}")]
            })],
            Self::Skiplists => vec![many("ZADD", &name, 300, |n| {
                vec![rng.below(100_000).to_string(), format!("player:{n}")]
            })],
            Self::Lists => vec![many("RPUSH", &name, 20, |_| vec![text(rng, 4, 60)])],
            Self::LongLists => vec![many("RPUSH", &name, 1_500, |_| vec![text(rng, 4, 60)])],
            Self::Streams => stream(&name, number, rng),
            Self::Mixed => vec![fill::command(Shape::Mixed, number)],
        }
    }

    fn hash(self, name: &str, rng: &mut Rng) -> Vec<Command> {
        let fields = if self == Self::LargeHashes { 600 } else { 10 };
        // Where a field's bucket is, is a secret of the server: with the same fields in every hash,
        // all of them would have the same luck.
        let mark = text(rng, 3, 3);
        let mut all = vec![many("HSET", name, fields, |n| {
            vec![format!("field:{n}:{mark}"), text(rng, 4, 40)]
        })];
        if self == Self::FieldExpiries {
            let at = (LATER_MS + rng.below(1 << 30)).to_string();
            let head = ["HPEXPIREAT", name, &at, "FIELDS", "5"];
            let mut command = words(head);
            command.extend((0..5).map(|n| format!("field:{n}:{mark}").into_bytes()));
            all.push(command);
        }
        all
    }
}

/// Entries one by one, as they come; a group that has read half of them.
fn stream(name: &str, number: u64, rng: &mut Rng) -> Vec<Command> {
    const ENTRIES: u64 = 60;
    let mut all = Vec::new();
    for entry in 0..ENTRIES {
        let id = format!(
            "{}-{}",
            1_700_000_000_000 + number * 977 + entry * 131,
            entry % 3
        );
        let body = text(rng, 10, 60);
        all.push(words(["XADD", name, &id, "type", "click", "body", &body]));
    }
    all.push(words(["XGROUP", "CREATE", name, "workers", "0"]));
    let read = ["XREADGROUP", "GROUP", "workers", "w1", "COUNT", "30"];
    all.push(words(read.into_iter().chain(["STREAMS", name, ">"])));
    all
}

fn many<T: ToString>(
    command: &str,
    name: &str,
    count: u64,
    mut one: impl FnMut(u64) -> Vec<T>,
) -> Command {
    let mut all = words([command, name]);
    for n in 0..count {
        all.extend(one(n).iter().map(|word| word.to_string().into_bytes()));
    }
    all
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Command {
    words
        .into_iter()
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

/// Letters and digits, as long as that.
fn text(rng: &mut Rng, least: usize, most: usize) -> String {
    let len = least + rng.index(most - least + 1);
    let letter = |byte: u8| char::from(b'a' + byte % 26);
    rng.bytes(len).into_iter().map(letter).collect()
}
