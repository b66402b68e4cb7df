//! Applying the command stream: one handler per command, found by name.
//!
//! A command in a replication stream has already succeeded on the master, and the model must land
//! where the master landed, without values. A handler edits keys through [`Context`]: `edit` hands
//! it the key's entry (or none) and writes back what it leaves there. What cannot be known without
//! values leaves a [`Doubt`] on the entry, which the caller turns into a re-read.
//!
//! `reference` for what is on the wire and what each needs: Redis 8.0 and Valkey 9.1 `commands.def`
//! and `t_*.c`, rewritten forms as `propagatePendingCommands` sends them.

pub(crate) mod args;
pub(crate) mod context;
pub(crate) mod dispatch;
pub(crate) mod server;

mod generic;
mod geo;
mod hash;
mod list;
mod set;
mod stream;
mod string;
mod zset;

use crate::value::Value;

pub(crate) use args::Args;
pub(crate) use context::Context;

/// What is not certain about an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Doubt {
    /// Every fact equals the master's.
    #[default]
    None = 0,
    /// Type, count and bytes are right; the encoding (or, before 7.0, the expiry) must be asked for:
    /// a cheap OBJECT ENCODING settles it.
    Probe = 1,
    /// As above, and the bytes follow from a past that a snapshot does not tell, or from what the
    /// server's malloc had just free: MEMORY USAGE is asked for as well.
    Size = 2,
    /// The value must be read again (DUMP), because its effect depended on bytes that are not kept.
    Value = 3,
}

/// A key's value and what belongs to the key rather than to the value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The value.
    pub value: Value,
    /// Unix milliseconds at which the key expires.
    pub expire_ms: Option<i64>,
    /// What is not certain.
    pub doubt: Doubt,
    /// Bytes that the key's blocks have beside what its facts tell, as the server said since the
    /// last write: none but with the C library's malloc (`size::libc_usable`) and compressed lists.
    pub extra: i32,
}

impl Entry {
    /// A new key without expiry and without doubt.
    pub fn new(value: Value) -> Entry {
        Entry {
            value,
            expire_ms: None,
            doubt: Doubt::None,
            extra: 0,
        }
    }

    /// Raises the doubt; it never lowers it.
    pub fn doubt(&mut self, doubt: Doubt) {
        self.doubt = self.doubt.max(doubt);
    }
}

/// A command that does not parse as the command it names: the stream and the model disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Applies one command to the keyspace.
pub(crate) type Handler = fn(&mut Context<'_>, Args<'_>) -> Result<(), Malformed>;

/// The handler of a command, by its upper-case name.
pub(crate) fn handler(name: &[u8]) -> Option<Handler> {
    string::handler(name)
        .or_else(|| generic::handler(name))
        .or_else(|| server::handler(name))
        .or_else(|| set::handler(name))
        .or_else(|| hash::handler(name))
        .or_else(|| zset::handler(name))
        .or_else(|| geo::handler(name))
        .or_else(|| list::handler(name))
        .or_else(|| stream::handler(name))
}
