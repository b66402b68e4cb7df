//! Keys with a past: what is written so that every size of every encoding is met, on both sides of
//! each threshold and each allocator class, and after updates and removals.
//!
//! A key follows from the seed and its number alone, so that one that was weighed wrongly can be told
//! with everything that was ever done to it.

mod life;

use crate::resp::Command;
use crate::seed::Rng;
use crate::servers::{Family, Install};

/// Lengths on both sides of sds headers, embedded limits and allocator classes.
const LENGTHS: [u64; 56] = [
    0, 1, 2, 3, 4, 7, 8, 11, 12, 15, 19, 20, 27, 28, 30, 31, 32, 33, 39, 43, 44, 45, 59, 60, 61,
    63, 64, 65, 75, 76, 77, 92, 93, 108, 123, 124, 125, 156, 190, 220, 251, 252, 253, 255, 256,
    314, 315, 507, 1018, 1274, 2042, 4090, 8186, 10_234, 14_330, 20_000,
];

/// Lengths of key names.
const NAMES: [usize; 26] = [
    8, 9, 11, 12, 13, 14, 20, 27, 28, 29, 30, 31, 32, 33, 43, 44, 45, 60, 77, 108, 124, 127, 128,
    129, 252, 300,
];

/// Numbers of elements on both sides of encodings' and tables' limits.
const COUNTS: [u64; 38] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 14, 15, 16, 17, 31, 33, 60, 64, 65, 100, 112, 113, 127, 128, 129,
    130, 200, 256, 257, 300, 448, 449, 511, 512, 513, 600, 1025, 1100, 2049,
];

/// Far enough away that nothing expires while it is compared, unix milliseconds.
const LATER_MS: i64 = 4_000_000_000_000;

/// The families of keys, by how many of a hundred.
const SUBJECTS: [(&str, u64); 13] = [
    ("text", 13),
    ("life", 8),
    ("grown", 7),
    ("count", 4),
    ("hll", 1),
    ("list", 12),
    ("ints", 5),
    ("set", 13),
    ("hash", 12),
    ("fttl", 9),
    ("zset", 10),
    ("strm", 6),
    // The last takes what is left.
    ("text", 0),
];

/// A key and what is done to it.
#[derive(Debug, Clone)]
pub struct History {
    /// Its name, which begins with its subject.
    pub name: Vec<u8>,
    /// The commands, in order.
    pub commands: Vec<Command>,
}

impl History {
    /// The first part of the name.
    #[must_use]
    pub fn subject(&self) -> &str {
        let end = self.name.iter().position(|&byte| byte == b':');
        std::str::from_utf8(&self.name[..end.unwrap_or(0)]).unwrap_or("")
    }

    /// What is done to the key before somebody comes to look, and behind that: all of it before, but
    /// for the lives of strings.
    #[must_use]
    pub fn halves(&self) -> [Self; 2] {
        let all = self.commands.len();
        let before = if self.subject() == "life" {
            all / 2
        } else {
            all
        };
        let (before, behind) = self.commands.split_at(before);
        [before, behind].map(|commands| Self {
            name: self.name.clone(),
            commands: commands.to_vec(),
        })
    }
}

/// What a server can do.
#[derive(Debug, Clone, Copy)]
pub struct Abilities {
    /// HPEXPIREAT.
    pub field_ttl: bool,
    /// COPY and GETEX.
    pub copies: bool,
}

impl Abilities {
    /// Those of a server.
    #[must_use]
    pub fn of(install: &Install) -> Self {
        let version = install.numbers();
        Self {
            field_ttl: match install.family {
                Family::Redis => version >= (7, 4, 0),
                Family::Valkey => version >= (9, 0, 0),
            },
            copies: version >= (6, 2, 0),
        }
    }
}

/// A list long enough to have compressed nodes, where the server compresses at all.
#[must_use]
pub fn long_list(seed: u64, number: u64) -> History {
    let mut writer = Writer {
        rng: Rng::new(seed ^ number.wrapping_mul(0x51_7cc1)),
        name: format!("long:{number}").into_bytes(),
        commands: Vec::new(),
        abilities: Abilities {
            field_ttl: false,
            copies: false,
        },
    };
    for _ in 0..3 + writer.rng.below(12) {
        let items = (0..60)
            .map(|_| {
                let word = writer.letters(7);
                word.repeat(1 + writer.rng.index(20))
            })
            .collect();
        writer.many("RPUSH", items);
    }
    for _ in 0..writer.rng.below(3) {
        writer.list_edit(60);
    }
    History {
        name: writer.name,
        commands: writer.commands,
    }
}

/// The history of key `number`.
#[must_use]
pub fn history(seed: u64, number: u64, abilities: Abilities) -> History {
    let mut rng = Rng::new(seed ^ number.wrapping_mul(0x9e37_79b9));
    let mut place = rng.below(100);
    let mut subject = "text";
    for (name, share) in SUBJECTS {
        subject = name;
        if place < share {
            break;
        }
        place = place.saturating_sub(share);
    }
    let mut name = format!("{subject}:{number}").into_bytes();
    let len = if rng.one_in(3) {
        8 + rng.index(40)
    } else {
        *rng.pick(&NAMES)
    };
    while name.len() < len {
        name.push(b'k');
    }
    let mut writer = Writer {
        rng,
        name,
        commands: Vec::new(),
        abilities,
    };
    match subject {
        "life" => writer.life(),
        "grown" => writer.grown(),
        "count" => writer.count(),
        "hll" => writer.hll(),
        "list" => writer.list(),
        "ints" => writer.ints(),
        "set" => writer.set(),
        "hash" => writer.hash(false),
        "fttl" => writer.hash(true),
        "zset" => writer.zset(),
        "strm" => writer.stream(),
        _ => writer.text(),
    }
    writer.expiry();
    History {
        name: writer.name,
        commands: writer.commands,
    }
}

struct Writer {
    rng: Rng,
    name: Vec<u8>,
    commands: Vec<Command>,
    abilities: Abilities,
}

impl Writer {
    /// A command on the key: its name, the key, the rest.
    fn say(&mut self, command: &str, rest: &[&[u8]]) {
        let mut words = vec![command.as_bytes().to_vec(), self.name.clone()];
        words.extend(rest.iter().map(|word| word.to_vec()));
        self.commands.push(words);
    }

    fn many(&mut self, command: &str, rest: Vec<Vec<u8>>) {
        let mut words = vec![command.as_bytes().to_vec(), self.name.clone()];
        words.extend(rest);
        self.commands.push(words);
    }

    fn length(&mut self) -> u64 {
        if self.rng.one_in(3) {
            self.rng.below(150)
        } else {
            *self.rng.pick(&LENGTHS)
        }
    }

    /// A text that is no integer.
    fn letters(&mut self, len: u64) -> Vec<u8> {
        (0..len)
            .map(|_| b'a' + u8::try_from(self.rng.below(26)).unwrap_or(0))
            .collect()
    }

    fn integer(&mut self) -> Vec<u8> {
        let bits = self.rng.below(63);
        let wide = i64::try_from(self.rng.bits() >> (63 - bits).max(1)).unwrap_or(0);
        let n = if self.rng.one_in(3) { -wide } else { wide };
        n.to_string().into_bytes()
    }

    fn value(&mut self) -> Vec<u8> {
        if self.rng.one_in(4) {
            return self.integer();
        }
        let len = match self.rng.below(12) {
            0..=6 => self.rng.below(40),
            7..=9 => self.rng.below(65),
            10 => self.length(),
            _ => self.rng.below(300),
        };
        self.letters(len)
    }

    /// Element number `n` of a collection whose elements are `len` long at least.
    fn element(&mut self, n: u64, len: usize) -> Vec<u8> {
        let mut text = format!("e{n}").into_bytes();
        let len = if self.rng.one_in(9) { len + 3 } else { len };
        text.resize(text.len().max(len), b'x');
        text
    }

    fn elements(&mut self) -> u64 {
        match self.rng.below(10) {
            0..=2 => 1 + self.rng.below(60),
            3 => 1 + self.rng.below(900),
            _ => *self.rng.pick(&COUNTS),
        }
    }

    /// Some keys expire, some no longer do.
    fn expiry(&mut self) {
        let at = (LATER_MS + 7).to_string();
        match self.rng.below(8) {
            0 | 1 => self.say("PEXPIREAT", &[at.as_bytes()]),
            2 => {
                self.say("PEXPIREAT", &[at.as_bytes()]);
                self.say("PERSIST", &[]);
            }
            _ => {}
        }
    }

    fn text(&mut self) {
        let rounds = 1 + self.rng.below(3);
        for _ in 0..rounds {
            let len = self.length();
            let value = if self.rng.one_in(8) {
                self.integer()
            } else {
                self.letters(len)
            };
            match self.rng.below(6) {
                0 => {
                    let ms = (LATER_MS - 1_800_000_000_000).to_string();
                    self.say("SET", &[&value, b"PX", ms.as_bytes()]);
                }
                1 => self.say("GETSET", &[&value]),
                _ => self.say("SET", &[&value]),
            }
            if self.rng.one_in(4) {
                self.expiry();
            }
        }
    }

    fn grown(&mut self) {
        if self.rng.one_in(2) {
            let len = self.length();
            let value = self.letters(len);
            self.say("SET", &[&value]);
        }
        for _ in 0..=self.rng.below(6) {
            let len = self.length();
            match self.rng.below(8) {
                0 => {
                    let at = self.length().to_string();
                    let value = self.letters(1 + len % 60);
                    self.say("SETRANGE", &[at.as_bytes(), &value]);
                }
                1 => {
                    let bit = (8 * self.length()).to_string();
                    self.say("SETBIT", &[bit.as_bytes(), b"1"]);
                }
                2 => {
                    let value = self.letters(len);
                    self.say("SET", &[&value]);
                }
                3 if self.rng.one_in(20) => {
                    let at = (500_000 + 1000 * len).to_string();
                    self.say("SETRANGE", &[at.as_bytes(), b"far"]);
                }
                _ => {
                    let value = self.letters(len % 400);
                    self.say("APPEND", &[&value]);
                }
            }
        }
    }

    fn count(&mut self) {
        match self.rng.below(3) {
            0 => self.say("INCRBYFLOAT", &[b"1.5"]),
            1 => {
                let value = self.integer();
                self.say("SET", &[&value]);
                self.say("INCRBY", &[b"7"]);
            }
            _ => self.say("INCR", &[]),
        }
    }

    fn hll(&mut self) {
        let most = *self.rng.pick(&[3, 60, 900, 4000]);
        let mut left = self.rng.below(most);
        while left > 0 {
            let some = left.min(200);
            let members = (0..some)
                .map(|n| format!("m{}", left * 7 + n).into_bytes())
                .collect();
            self.many("PFADD", members);
            left -= some;
        }
        self.say("PFADD", &[b"last"]);
    }

    fn list(&mut self) {
        let (most, len) = *self.rng.pick(&[
            (6, 30),
            (60, 60),
            (130, 62),
            (400, 90),
            (3000, 6),
            (9, 5000),
            (4, 9000),
        ]);
        let mut left = 1 + self.rng.below(most);
        while left > 0 {
            let some = (1 + self.rng.below(40)).min(left);
            let mut items = Vec::new();
            for _ in 0..some {
                let size = self.rng.below(2 * len);
                let item = if self.rng.one_in(5) {
                    self.integer()
                } else {
                    self.letters(size)
                };
                items.push(item);
            }
            let end = if self.rng.one_in(4) { "LPUSH" } else { "RPUSH" };
            self.many(end, items);
            left -= some;
        }
        for _ in 0..self.rng.below(4) {
            self.list_edit(len);
        }
    }

    fn list_edit(&mut self, len: u64) {
        let index = self.rng.below(30).to_string();
        let size = self.rng.below(2 * len);
        let value = self.letters(size);
        match self.rng.below(6) {
            0 => self.say("LPOP", &[]),
            1 => self.say("RPOP", &[]),
            // One that is refused converts the list all the same, and no replica is told.
            2 => {
                let end: &[u8] = if self.rng.one_in(2) { b"0" } else { b"-1" };
                self.say("LSET", &[end, &value]);
            }
            3 => self.say("LTRIM", &[b"1", b"-2"]),
            4 => self.say("LTRIM", &[b"0", index.as_bytes()]),
            _ => self.say("RPUSH", &[&value]),
        }
    }

    fn ints(&mut self) {
        let count = *self
            .rng
            .pick(&[1, 2, 3, 5, 13, 60, 120, 250, 500, 511, 512, 513, 700]);
        let base = *self.rng.pick(&[0i64, 32_000, 1 << 31, 1 << 40]);
        let members: Vec<Vec<u8>> = (0..count)
            .map(|n| (base + i64::from(n) * 3).to_string().into_bytes())
            .collect();
        let chunk = 1 + self.rng.index(60);
        for some in members.chunks(chunk) {
            self.many("SADD", some.to_vec());
        }
        for n in 0..self.rng.below(4) {
            let member = (base + i64::try_from(n * 6).unwrap_or(0)).to_string();
            self.say("SREM", &[member.as_bytes()]);
        }
    }

    /// How long the elements of a collection are: mostly short, sometimes beyond every limit.
    fn looks(&mut self) -> usize {
        *self.rng.pick(&[
            2, 8, 11, 12, 20, 28, 29, 30, 31, 43, 60, 61, 64, 65, 66, 100, 124,
        ])
    }

    fn chunks(&mut self) -> usize {
        if self.rng.one_in(12) {
            300
        } else {
            1 + self.rng.index(50)
        }
    }

    fn set(&mut self) {
        let (count, len, chunk) = (self.elements(), self.looks(), self.chunks());
        let members: Vec<Vec<u8>> = (0..count).map(|n| self.element(n, len)).collect();
        for some in members.chunks(chunk) {
            self.many("SADD", some.to_vec());
        }
        self.remove_some("SREM", &members);
        if self.rng.one_in(5) {
            let more: Vec<Vec<u8>> = (0..count / 3)
                .map(|n| self.element(n + 5000, len))
                .collect();
            self.many_some("SADD", &more, chunk);
        }
    }

    fn many_some(&mut self, command: &str, words: &[Vec<u8>], chunk: usize) {
        for some in words.chunks(chunk.max(1)) {
            self.many(command, some.to_vec());
        }
    }

    /// Removes none of the elements, or some of them, or nearly all.
    fn remove_some(&mut self, command: &str, elements: &[Vec<u8>]) {
        let share = match self.rng.below(12) {
            0 => 20,
            1 => 50,
            2 => 70,
            3 => 93,
            _ => return,
        };
        for element in elements {
            if self.rng.below(100) < share {
                self.say(command, &[element]);
            }
        }
    }

    fn hash(&mut self, expiring: bool) {
        let (count, len, chunk) = (self.elements(), self.looks(), self.chunks());
        let fields: Vec<Vec<u8>> = (0..count).map(|n| self.element(n, len)).collect();
        for some in fields.chunks(chunk) {
            let mut pairs = Vec::new();
            for field in some {
                pairs.push(field.clone());
                pairs.push(self.value());
            }
            self.many("HSET", pairs);
        }
        if expiring && self.abilities.field_ttl {
            self.field_expiries(&fields);
        }
        for _ in 0..self.rng.below(8) {
            let field = self.rng.pick(&fields).clone();
            let value = self.value();
            self.say("HSET", &[&field, &value]);
        }
        self.remove_some("HDEL", &fields);
    }

    fn field_expiries(&mut self, fields: &[Vec<u8>]) {
        let most = *self.rng.pick(&[1, 2, 5, 60, 120]);
        let some: Vec<&Vec<u8>> = fields.iter().step_by(1 + fields.len() / most).collect();
        let at = LATER_MS.to_string();
        for field in &some {
            self.say("HPEXPIREAT", &[at.as_bytes(), b"FIELDS", b"1", field]);
        }
        for field in some.iter().take(self.rng.index(4)) {
            self.say("HPERSIST", &[b"FIELDS", b"1", field]);
        }
    }

    fn score(&mut self) -> String {
        match self.rng.below(5) {
            0 => (f64::from(u32::try_from(self.rng.below(1 << 31)).unwrap_or(0)) / 1000.0)
                .to_string(),
            1 => self.rng.range(-200, 200).to_string(),
            2 => self.rng.range(-3_000_000_000, 3_000_000_000).to_string(),
            3 => "0.1".to_owned(),
            _ => self.rng.below(40_000).to_string(),
        }
    }

    fn zset(&mut self) {
        let (count, len, chunk) = (self.elements(), self.looks(), self.chunks());
        let members: Vec<Vec<u8>> = (0..count).map(|n| self.element(n, len)).collect();
        for some in members.chunks(chunk) {
            let mut pairs = Vec::new();
            for member in some {
                pairs.push(self.score().into_bytes());
                pairs.push(member.clone());
            }
            self.many("ZADD", pairs);
        }
        for _ in 0..self.rng.below(6) {
            let member = self.rng.pick(&members).clone();
            if self.rng.one_in(2) {
                let score = self.score();
                self.say("ZADD", &[score.as_bytes(), &member]);
            } else {
                self.say("ZINCRBY", &[b"1.25", &member]);
            }
        }
        self.remove_some("ZREM", &members);
    }

    fn stream(&mut self) {
        let count = *self.rng.pick(&[1, 2, 5, 40, 99, 100, 101, 150, 350]);
        let mut ms = 1_700_000_000_000u64;
        let len = *self.rng.pick(&[3, 20, 60, 200]);
        let mut ids = Vec::new();
        for _ in 0..count {
            ms += self.rng.below(400);
            let id = format!("{ms}-{}", self.rng.below(3) + 1);
            ids.push(id.clone());
            ms += 1;
            let size = self.rng.below(len);
            let value = self.letters(size);
            if self.rng.one_in(9) {
                self.say("XADD", &[id.as_bytes(), b"other", &value, b"n", b"1"]);
            } else {
                self.say("XADD", &[id.as_bytes(), b"field", &value]);
            }
        }
        for group in 0..self.rng.below(3) {
            self.group(group, &ids);
        }
        if self.rng.one_in(3) {
            let keep = self.rng.below(count + 2).to_string();
            if self.rng.one_in(2) {
                self.say("XTRIM", &[b"MAXLEN", b"~", keep.as_bytes()]);
            } else {
                self.say("XTRIM", &[b"MAXLEN", keep.as_bytes()]);
            }
        }
        for _ in 0..self.rng.below(5) {
            let id = self.rng.pick(&ids).clone();
            self.say("XDEL", &[id.as_bytes()]);
        }
    }

    fn group(&mut self, group: u64, ids: &[String]) {
        let group = format!("g{group}");
        let name = self.name.clone();
        self.commands.push(
            [
                b"XGROUP".as_slice(),
                b"CREATE",
                &name,
                group.as_bytes(),
                b"0",
            ]
            .map(<[u8]>::to_vec)
            .into(),
        );
        // A consumer that gets nothing is made on the master alone: replicas are not told.
        let mut left = ids.len() as u64;
        for _ in 0..self.rng.below(4).min(left) {
            let consumer = format!("consumer{}", self.rng.below(3));
            let count = (1 + self.rng.below(30)).min(left.div_ceil(4));
            left -= count;
            let count = count.to_string();
            self.commands.push(
                [
                    b"XREADGROUP".as_slice(),
                    b"GROUP",
                    group.as_bytes(),
                    consumer.as_bytes(),
                    b"COUNT",
                    count.as_bytes(),
                    b"STREAMS",
                    &name,
                    b">",
                ]
                .map(<[u8]>::to_vec)
                .into(),
            );
        }
        for _ in 0..self.rng.below(9) {
            let id = self.rng.pick(ids).clone();
            self.say("XACK", &[group.as_bytes(), id.as_bytes()]);
        }
    }
}
