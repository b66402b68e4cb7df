//! What the same keys would be on another server, with another configuration or allocator: the same
//! facts, weighed as if that server had loaded them from a snapshot of the one that is followed.
//!
//! ```text
//! now       as the server has them: with room left by growth, tables half moved
//! reload    the same server after reading its own snapshot: what a restart alone would give
//! then      the other server, or the other configuration, after reading that snapshot
//! ```
//!
//! - Encodings follow the rules of a load (rdb.c `rdbLoadObject`), not those of writes: a packed blob
//!   stays one unless it has too many entries, however long they are; a table becomes a blob if few
//!   and short elements allow it; nodes of lists and streams stay as they were cut.
//! - Options that the other server has are as they are configured here; the others are at their
//!   defaults. The allocator is the one here unless another is named.
//! - Nothing is guessed in silence: what the facts do not tell is counted as a [`Guess`].
//!
//! Measured against servers that loaded another's snapshot: `cargo truth -- --facts whatif`.

mod hash;
mod path;
mod set;
mod survey;
mod walk;
mod zset;

pub use path::{Goal, Path, Readable, named};
pub use walk::{Changed, FormChange, KeyChange, Outcome, WhatIf};

use crate::command::Doubt;
use crate::profile::Profile;
use crate::store::weigh::{Scale, Seated};
use crate::value::elements::Sizes;
use crate::value::hash::Hash;
use crate::value::string::{Holder, Str};
use crate::value::{Encoding, Value};

/// Elements of one collection that are looked at; those of a larger one stand for the others, so that
/// no key takes longer than a millisecond. Which they are is chance (the order of their digests),
/// and they tell a ratio only, so that the error is some hundredths of a percent.
pub(crate) const SAMPLE_MAX: u64 = 16_384;

/// Raw strings up to this length may be numbers, which a load would notice.
const NUMBER_MAX: u64 = 20;

/// Why a key's bytes on the other server are an estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Guess {
    /// It has more elements than are looked at: some stand for all.
    Sampled = 0,
    /// How well list nodes can be compressed depends on the values.
    Compression = 1,
    /// A raw string as short as a number: if it is one, a load makes it one.
    Number = 2,
    /// Its fields expire, which the other server does not have; they are weighed without.
    FieldExpiry = 3,
    /// Which field came first decides how large a table a load makes; the average is assumed.
    FieldOrder = 4,
    /// A module's value: only its serialized size is known.
    Module = 5,
    /// Its elements were given up to fit into memory; it is taken to stay what it is.
    Stripped = 6,
}

impl Guess {
    /// Every one, in code order.
    pub const ALL: [Guess; 7] = [
        Guess::Sampled,
        Guess::Compression,
        Guess::Number,
        Guess::FieldExpiry,
        Guess::FieldOrder,
        Guess::Module,
        Guess::Stripped,
    ];

    /// What is uncertain, as a clause behind a number of keys.
    pub fn clause(self) -> &'static str {
        match self {
            Guess::Sampled => "have so many elements that a part of them stands for all",
            Guess::Compression => {
                "are lists whose nodes would be compressed; how well depends on the values"
            }
            Guess::Number => {
                "are raw strings of at most 20 bytes; one that is a number becomes an int"
            }
            Guess::FieldExpiry => {
                "are hashes whose fields expire, which that server does not have; weighed without"
            }
            Guess::FieldOrder => {
                "are hashes whose table depends on the order of their fields; the average is taken"
            }
            Guess::Module => "hold a module's value, of which only the serialized size is known",
            Guess::Stripped => {
                "have no records of their elements, for want of memory; they are taken to stay what \
                 they are"
            }
        }
    }
}

/// What a value becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Becomes {
    pub(crate) encoding: Encoding,
    /// MEMORY USAGE of the value part.
    pub(crate) memory: u64,
    pub(crate) guess: Option<Guess>,
}

/// One server whose snapshot another one loads.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    from: Profile,
    to: Profile,
    scale: Scale,
}

impl Frame {
    pub(crate) fn new(from: &Profile, to: &Profile) -> Frame {
        let to = Profile {
            reloaded: true,
            ..to.clone()
        };
        Frame {
            from: from.clone(),
            scale: Scale::new(to.clone()),
            to,
        }
    }

    /// A string with its key: encoding, bytes, and what is a guess.
    pub(crate) fn string(&self, value: &Str, key: Seated) -> Becomes {
        let holder = Holder {
            name: key.name,
            expires: key.expire_ms.is_some(),
        };
        let loaded = Str::loaded(value.len(), value.int(), holder, &self.to);
        let raw = value.encoding() == Encoding::Raw;
        Becomes {
            encoding: loaded.encoding(),
            memory: self
                .scale
                .weigh_str(&loaded, self.seated(key), Doubt::None)
                .bytes,
            guess: (raw && value.len() <= NUMBER_MAX).then_some(Guess::Number),
        }
    }

    /// A collection with its key.
    pub(crate) fn collection(&self, value: &Value, key: Seated) -> Becomes {
        let mut becomes = match value {
            Value::String(value) => return self.string(value, key),
            Value::List(list) => list.reloaded(&self.from, &self.to),
            Value::Set(set) => set::becomes(set, self),
            Value::Zset(zset) => zset::becomes(zset, self),
            Value::Hash(hash) => hash::becomes(hash, self),
            Value::Stream(stream) => stream.reloaded(&self.from, &self.to),
            Value::Module(module) => Becomes {
                encoding: Encoding::Module,
                memory: module.serialized,
                guess: Some(Guess::Module),
            },
            // Without its elements it is taken to stay what it is.
            Value::Bare(bare) => Becomes {
                encoding: bare.encoding,
                memory: bare.memory,
                guess: Some(Guess::Stripped),
            },
        };
        becomes.memory = self.scale.keyed(becomes.memory, self.seated(key));
        becomes
    }

    /// What a hash's fields take in `parts` packed hashes of about as many each, under keys as
    /// `own`; `None` if an element is too long, or fields expire.
    pub(crate) fn shards(&self, hash: &Hash, own: Seated, parts: u64) -> Option<u64> {
        let bytes = hash::packed_bytes(hash, &self.to)?;
        let part = Sizes::of(&self.to).blob(bytes.div_ceil(parts.max(1)));
        Some(parts * self.scale.keyed(part, self.seated(own)))
    }

    /// The key as a load leaves it: room for the expiry that it has, and none that is gone.
    fn seated(&self, key: Seated) -> Seated {
        Seated {
            seat: self.scale.loaded_seat(key.name),
            ..key
        }
    }

    /// True if packed blobs have the same bytes on both.
    fn same_blobs(&self) -> bool {
        self.from.ziplists() == self.to.ziplists()
    }
}
