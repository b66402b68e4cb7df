//! The last commands of the stream, by the key they name first: when a key turns out to be other
//! than the model has it, what was done to it last is the first question. Names and sizes only, a
//! few hundred of them, overwritten in turn.

use crate::keyspace::Keyspace;
use crate::text::{self, Text};

/// Commands that are remembered.
const COMMANDS_MAX: usize = 256;

/// Letters of a command's name that are remembered.
const NAME_MAX: usize = 12;

/// A command, or room for one.
#[derive(Clone, Copy, Debug, Default)]
struct Trace {
    digest: u64,
    end_offset: u64,
    bytes: u32,
    name: [u8; NAME_MAX],
}

/// The words of a command, and how many bytes they are.
pub(crate) type Said<'a> = (&'a [Text<'a>], u64);

/// The ring.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    ring: Vec<Trace>,
    next: usize,
}

/// What is remembered of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Its name, cut.
    pub command: String,
    /// Bytes of its arguments.
    pub bytes: u32,
    /// Offset behind it.
    pub end_offset: u64,
}

impl Recent {
    /// Remembers a command of so many bytes whose first key has this digest.
    #[inline]
    pub(crate) fn note(&mut self, digest: u64, end_offset: u64, (argv, bytes): Said<'_>) {
        let mut trace = Trace {
            digest,
            end_offset,
            ..Trace::default()
        };
        trace.bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if let Some(Text::Bytes(name)) = argv.first() {
            let len = name.len().min(NAME_MAX);
            trace.name[..len].copy_from_slice(&name[..len]);
        }
        if self.ring.len() < COMMANDS_MAX {
            self.ring.push(trace);
        } else {
            self.ring[self.next] = trace;
        }
        self.next = (self.next + 1) % COMMANDS_MAX;
    }
}

impl Keyspace {
    /// The remembered commands that named this key first, the latest first.
    pub fn touches(&self, name: &[u8]) -> Vec<Touch> {
        let digest = text::digest(name, self.seed);
        let mut found: Vec<Touch> = (self.recent.ring.iter())
            .filter(|trace| trace.digest == digest)
            .map(|trace| Touch {
                command: (trace.name.iter())
                    .take_while(|&&letter| letter != 0)
                    .map(|&letter| char::from(letter.to_ascii_uppercase()))
                    .filter(char::is_ascii_graphic)
                    .collect(),
                bytes: trace.bytes,
                end_offset: trace.end_offset,
            })
            .collect();
        found.sort_by_key(|touch| std::cmp::Reverse(touch.end_offset));
        found
    }

    /// What a key is called in logs, where its name must not be.
    pub fn key_hash(&self, name: &[u8]) -> u64 {
        text::digest(name, self.seed)
    }
}
