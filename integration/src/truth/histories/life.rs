//! The life of a string: set, grown in place, given and deprived of an expiry, renamed, copied and
//! restored to and fro between two names. What the server's blocks have room for depends on all of
//! it, in an order that only chance thinks of.

use super::{LATER_MS, Writer};

/// Restores what the first key holds under the second name.
const RESTORE: &str = "local p = redis.call('DUMP', KEYS[1]) \
    if p then redis.call('RESTORE', KEYS[2], ARGV[1], p, 'REPLACE', 'ABSTTL') end";

/// Bytes before those that SETBIT sets: no two of a life are the same, since a bit that is set
/// already makes a text of its own of an embedded one, and no replica is told.
const FIRST_BIT_BYTE: u64 = 3;

impl Writer {
    pub(super) fn life(&mut self) {
        let other = match self.rng.below(3) {
            0 => [&self.name[..], b"~"].concat(),
            1 => [&self.name[..9.min(self.name.len())], b"~"].concat(),
            _ => [&self.name[..], b"~a name of another length"].concat(),
        };
        let names = [self.name.clone(), other];
        let steps = 2 + self.rng.below(10);
        for step in 0..steps {
            let turned = self.rng.one_in(4);
            let [key, other] = if turned {
                [&names[1], &names[0]]
            } else {
                [&names[0], &names[1]]
            };
            match self.rng.below(20) {
                0..=4 => self.life_set(key),
                5..=8 => self.life_edit(key, step),
                9..=13 => self.life_expiry(key),
                14 | 15 => self.commands.push(words("RENAME", &[key, other])),
                16 | 17 if self.abilities.copies => {
                    self.commands.push(words("COPY", &[key, other, b"REPLACE"]));
                }
                18 => self
                    .commands
                    .push(words("BITOP", &[b"OR", key, key, other])),
                _ => {
                    let at = self.expiry_or_none();
                    let script = words("EVAL", &[RESTORE.as_bytes(), b"2", key, other, &at]);
                    self.commands.push(script);
                }
            }
        }
    }

    fn life_set(&mut self, key: &[u8]) {
        let len = match self.rng.below(3) {
            0 => self.length(),
            _ => self.rng.below(64),
        };
        let value = if self.rng.one_in(8) {
            self.integer()
        } else {
            self.letters(len)
        };
        let command = match self.rng.below(9) {
            0 => words("SETEX", &[key, b"900000000", &value]),
            1 => words("PSETEX", &[key, b"900000000000", &value]),
            2 => words("SET", &[key, &value, b"PX", b"900000000000"]),
            3 => words("SET", &[key, &value, b"KEEPTTL"]),
            4 => words("GETSET", &[key, &value]),
            5 => words("MSET", &[key, &value]),
            _ => words("SET", &[key, &value]),
        };
        self.commands.push(command);
    }

    fn life_edit(&mut self, key: &[u8], step: u64) {
        let len = self.rng.below(70);
        let value = self.letters(len);
        let at = self.rng.below(80).to_string();
        let command = match self.rng.below(5) {
            0 => words("SETRANGE", &[key, at.as_bytes(), &value]),
            1 => {
                let bit = 8 * (FIRST_BIT_BYTE + step);
                words("SETBIT", &[key, bit.to_string().as_bytes(), b"1"])
            }
            2 => words("APPEND", &[key, &value[..value.len().min(6)]]),
            _ => words("APPEND", &[key, &value]),
        };
        self.commands.push(command);
    }

    fn life_expiry(&mut self, key: &[u8]) {
        let at = (LATER_MS + 9).to_string();
        let command = match self.rng.below(6) {
            0 | 1 => words("PERSIST", &[key]),
            2 if self.abilities.copies => words("GETEX", &[key, b"PERSIST"]),
            3 if self.abilities.copies => words("GETEX", &[key, b"PXAT", at.as_bytes()]),
            4 => words("EXPIRE", &[key, b"900000000"]),
            _ => words("PEXPIREAT", &[key, at.as_bytes()]),
        };
        self.commands.push(command);
    }

    fn expiry_or_none(&mut self) -> Vec<u8> {
        let at = if self.rng.one_in(2) { LATER_MS } else { 0 };
        at.to_string().into_bytes()
    }
}

fn words(command: &str, rest: &[&[u8]]) -> crate::resp::Command {
    let mut words = vec![command.as_bytes().to_vec()];
    words.extend(rest.iter().map(|word| word.to_vec()));
    words
}
