//! Commands that wait for each other: a keyspace is far larger than the caches, so that a lookup
//! waits for memory three or four times. A ring of commands is looked up together first, which lets
//! those waits overlap, and then applied in order.

use std::hint::black_box;

use crate::command::Handler;
use crate::input::Command;
use crate::keyspace::generation::Generation;
use crate::store::Spot;
use crate::text::Text;

/// Commands that wait together.
const COMMANDS_MAX: usize = 32;

/// Bytes of arguments that wait together.
const BYTES_MAX: usize = 16 * 1024;

/// Longest command that is copied; a longer one is applied at once.
const COMMAND_BYTES_MAX: usize = 1024;

/// Most arguments of a command that is copied.
const WORDS_MAX: usize = 32;

/// A command whose arguments are in the ring's buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) handler: Handler,
    pub(crate) db: u32,
    pub(crate) now_ms: i64,
    pub(crate) end_offset: u64,
    first: usize,
    last: usize,
    pub(crate) digest: u64,
    /// Number of the command's name.
    pub(crate) number: u16,
    /// Bytes of all words.
    pub(crate) len: usize,
}

/// The waiting commands.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    commands: Vec<Waiting>,
    words: Vec<(usize, usize)>,
    bytes: Vec<u8>,
}

impl Ring {
    /// Copies a command; false if it is one that must be applied at once.
    #[inline]
    pub(crate) fn push(
        &mut self,
        command: &Command<'_>,
        (handler, number): (Handler, u16),
        seed: u64,
    ) -> bool {
        let start = self.bytes.len();
        let first = self.words.len();
        if command.argv.len() < 2 || command.argv.len() > WORDS_MAX {
            return false;
        }
        for word in command.argv {
            let fits = word.len() <= (start + COMMAND_BYTES_MAX - self.bytes.len()) as u64;
            let Text::Bytes(word) = word else {
                return self.take_back(start, first);
            };
            if !fits {
                return self.take_back(start, first);
            }
            let from = self.bytes.len();
            self.bytes.extend_from_slice(word);
            self.words.push((from, self.bytes.len()));
        }
        self.commands.push(Waiting {
            handler,
            db: command.db,
            now_ms: command.now_ms,
            end_offset: command.end_offset,
            first,
            last: self.words.len(),
            digest: command.argv[1].digest(seed),
            number,
            len: self.bytes.len() - start,
        });
        true
    }

    fn take_back(&mut self, start: usize, first: usize) -> bool {
        self.bytes.truncate(start);
        self.words.truncate(first);
        false
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.commands.len() >= COMMANDS_MAX || self.bytes.len() >= BYTES_MAX
    }

    /// Brings what the commands will read into the caches.
    pub(crate) fn warm(&self, live: &Generation) {
        let waiting = self.commands.iter();
        warm(live, waiting.map(|waiting| (waiting.db, waiting.digest)));
    }

    /// Hands the commands out in order, with their arguments.
    pub(crate) fn drain(&mut self, mut apply: impl FnMut(&Waiting, &[Text<'_>])) {
        let mut argv = Vec::with_capacity(WORDS_MAX);
        for waiting in &self.commands {
            argv.clear();
            let words = self.words.get(waiting.first..waiting.last);
            for &(from, to) in words.unwrap_or_default() {
                argv.push(Text::Bytes(&self.bytes[from..to]));
            }
            apply(waiting, &argv);
        }
        self.commands.clear();
        self.words.clear();
        self.bytes.clear();
    }
}

/// Looks several keys up at once, one step of all of them after the other: no step of one key has
/// to wait until the memory has answered for another. Each step is short, so that the processor gets
/// to the next keys while it waits.
fn warm(live: &Generation, keys: impl Iterator<Item = (u32, u64)>) {
    let mut of_db = None;
    let mut spots = Vec::with_capacity(COMMANDS_MAX);
    for (number, digest) in keys {
        let db = match of_db {
            Some((known, db)) if known == number => Some(db),
            _ => live.db(number),
        };
        if let Some(db) = db {
            of_db = Some((number, db));
            spots.push(db.table.spot(digest));
        }
    }
    let sum = spots.iter().fold(0, |sum, spot| sum ^ spot.touch_page());
    let sum = spots.iter().fold(sum, |sum, spot| sum ^ spot.touch_tags());
    spots.iter_mut().for_each(Spot::seek);
    let sum = spots
        .iter()
        .fold(sum, |sum, spot| sum ^ spot.touch_record());
    black_box(sum);
}
