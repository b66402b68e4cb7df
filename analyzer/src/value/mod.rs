//! What the model keeps of one value: never its bytes, only what answers and later commands need.
//!
//! Each type owns its file: `string`, `list`, `set`, `hash`, `zset`, `stream`. All collection types
//! follow one pattern, which the store relies on:
//!
//! - `count()`: elements as the server's xLEN says; `encoding()`; `memory(profile)`: bytes of the
//!   value part of MEMORY USAGE SAMPLES 0 in O(1), from running sums kept by every change.
//! - `pack(&self, out) -> bool`: appends the in-record form of a small value; false (and `out`
//!   untouched) if it is too large to live in a record (more than [`INLINE_MAX`] bytes).
//! - `unpack(encoding, bytes) -> Option<Self>`: the inverse of `pack`.
//! - `reweigh(from, to)`: makes those sums anew, by the rules of another server.
//! - `heap_bytes()`: bytes the model itself allocates for it.
//! - `Builder`: takes the parts of a loaded object (`input::Part`) and yields the value.

pub mod hash;
pub mod info;
pub mod list;
pub mod set;
pub mod stream;
pub mod string;
pub mod zset;

pub(crate) mod elements;

use crate::profile::Profile;
use elements::Stay;
pub use elements::{Fit, Samples, Usage};
pub(crate) use elements::{Table, TableKind};

/// Largest in-record form of a value, bytes; a larger one lives in an allocation of its own.
pub const INLINE_MAX: usize = 512;

/// Types as TYPE names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A string.
    String = 0,
    /// A list.
    List = 1,
    /// A set.
    Set = 2,
    /// A sorted set.
    Zset = 3,
    /// A hash.
    Hash = 4,
    /// A stream.
    Stream = 5,
    /// A module's type.
    Module = 6,
}

impl Kind {
    /// Every kind, in code order.
    pub const ALL: [Kind; 7] = [
        Kind::String,
        Kind::List,
        Kind::Set,
        Kind::Zset,
        Kind::Hash,
        Kind::Stream,
        Kind::Module,
    ];

    /// The name that TYPE answers (a module's own type name is not kept per key).
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::Zset => "zset",
            Kind::Hash => "hash",
            Kind::Stream => "stream",
            Kind::Module => "module",
        }
    }
}

/// Encodings as OBJECT ENCODING names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Encoding {
    /// A string in a block of its own.
    Raw = 0,
    /// A string in its object's block.
    Embstr = 1,
    /// A string held as a number.
    Int = 2,
    /// A packed blob: listpack, or ziplist before 7.0.
    Listpack = 3,
    /// A listpack of fields, values and expiries (Redis 7.4 and later).
    ListpackEx = 4,
    /// A list of packed nodes.
    Quicklist = 5,
    /// A sorted array of integers.
    Intset = 6,
    /// A hash table.
    Hashtable = 7,
    /// A skiplist beside a hash table.
    Skiplist = 8,
    /// A radix tree of listpacks.
    Stream = 9,
    /// A module's own.
    Module = 10,
}

impl Encoding {
    /// Every encoding, in code order.
    pub const ALL: [Encoding; 11] = [
        Encoding::Raw,
        Encoding::Embstr,
        Encoding::Int,
        Encoding::Listpack,
        Encoding::ListpackEx,
        Encoding::Quicklist,
        Encoding::Intset,
        Encoding::Hashtable,
        Encoding::Skiplist,
        Encoding::Stream,
        Encoding::Module,
    ];

    /// The name that OBJECT ENCODING answers on that server.
    pub fn name(self, profile: &Profile) -> &'static str {
        if self == Encoding::Listpack && profile.ziplists() {
            return "ziplist";
        }
        self.word()
    }

    /// The name that it has from 7.0 on.
    pub fn word(self) -> &'static str {
        match self {
            Encoding::Raw | Encoding::Module => "raw",
            Encoding::Embstr => "embstr",
            Encoding::Int => "int",
            Encoding::Listpack => "listpack",
            Encoding::ListpackEx => "listpackex",
            Encoding::Quicklist => "quicklist",
            Encoding::Intset => "intset",
            Encoding::Hashtable => "hashtable",
            Encoding::Skiplist => "skiplist",
            Encoding::Stream => "stream",
        }
    }

    /// The inverse of [`Encoding::name`], for OBJECT ENCODING replies.
    pub fn parse(name: &[u8]) -> Option<Encoding> {
        Some(match name {
            b"raw" => Encoding::Raw,
            b"embstr" => Encoding::Embstr,
            b"int" => Encoding::Int,
            b"listpack" | b"ziplist" => Encoding::Listpack,
            b"listpackex" => Encoding::ListpackEx,
            b"quicklist" => Encoding::Quicklist,
            b"intset" => Encoding::Intset,
            b"hashtable" => Encoding::Hashtable,
            b"skiplist" => Encoding::Skiplist,
            b"stream" => Encoding::Stream,
            _ => return None,
        })
    }
}

/// A value of any type.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string.
    String(string::Str),
    /// A list.
    List(list::List),
    /// A set.
    Set(set::Set),
    /// A sorted set.
    Zset(zset::Zset),
    /// A hash.
    Hash(hash::Hash),
    /// A stream; boxed because it is rare and wide.
    Stream(Box<stream::Stream>),
    /// A module's value: only the serialized length is known.
    Module(Module),
    /// A collection whose elements were given up for want of memory.
    Bare(Bare),
}

/// What is left of a collection without its elements. A write to it is known to have happened and
/// not what it did: the count is then asked for. `memory` grows and shrinks with the count, which is
/// an estimate from the first such write on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bare {
    /// Type.
    pub kind: Kind,
    /// Encoding.
    pub encoding: Encoding,
    /// Elements; not 0.
    pub count: u64,
    /// Bytes of the value part of MEMORY USAGE SAMPLES 0.
    pub memory: u64,
}

impl Bare {
    /// What is left of a collection; `None` of what has no elements to lose.
    pub(crate) fn of(value: &Value, profile: &Profile) -> Option<Bare> {
        match value {
            Value::String(_) | Value::Module(_) | Value::Bare(_) => None,
            Value::List(_) | Value::Set(_) | Value::Zset(_) | Value::Hash(_) | Value::Stream(_) => {
                (value.count() > 0).then(|| Bare {
                    kind: value.kind(),
                    encoding: value.encoding(),
                    count: value.count(),
                    memory: value.memory(profile),
                })
            }
        }
    }

    /// The server has so many elements now, in that encoding.
    pub(crate) fn recount(&mut self, count: u64, encoding: Encoding) {
        let memory = u128::from(self.memory) * u128::from(count) / u128::from(self.count.max(1));
        self.memory = u64::try_from(memory).unwrap_or(u64::MAX);
        (self.count, self.encoding) = (count, encoding);
    }
}

/// What can be known of a module's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// Bytes in the RDB: a lower-bound hint, not MEMORY USAGE.
    pub serialized: u64,
}

impl Value {
    /// Its type.
    pub fn kind(&self) -> Kind {
        match self {
            Value::String(_) => Kind::String,
            Value::List(_) => Kind::List,
            Value::Set(_) => Kind::Set,
            Value::Zset(_) => Kind::Zset,
            Value::Hash(_) => Kind::Hash,
            Value::Stream(_) => Kind::Stream,
            Value::Module(_) => Kind::Module,
            Value::Bare(v) => v.kind,
        }
    }

    /// Its encoding.
    pub fn encoding(&self) -> Encoding {
        match self {
            Value::String(v) => v.encoding(),
            Value::List(v) => v.encoding(),
            Value::Set(v) => v.encoding(),
            Value::Zset(v) => v.encoding(),
            Value::Hash(v) => v.encoding(),
            Value::Stream(_) => Encoding::Stream,
            Value::Module(_) => Encoding::Module,
            Value::Bare(v) => v.encoding,
        }
    }

    /// Length of a string in bytes, elements of a collection; 0 for a module's value.
    pub fn count(&self) -> u64 {
        match self {
            Value::String(v) => v.len(),
            Value::List(v) => v.count(),
            Value::Set(v) => v.count(),
            Value::Zset(v) => v.count(),
            Value::Hash(v) => v.count(),
            Value::Stream(v) => v.count(),
            Value::Module(_) => 0,
            Value::Bare(v) => v.count,
        }
    }

    /// True for a hash with fields that expire.
    pub(crate) fn is_volatile(&self) -> bool {
        match self {
            Value::Hash(hash) => hash.expiring() > 0,
            Value::String(_)
            | Value::List(_)
            | Value::Set(_)
            | Value::Zset(_)
            | Value::Stream(_)
            | Value::Module(_)
            | Value::Bare(_) => false,
        }
    }

    /// The server's table, if it is in one that is known.
    pub(crate) fn table(&self) -> Option<Table> {
        match self {
            Value::Set(value) => value.table(),
            Value::Zset(value) => value.table(),
            Value::Hash(value) => value.table(),
            Value::String(_)
            | Value::List(_)
            | Value::Stream(_)
            | Value::Module(_)
            | Value::Bare(_) => None,
        }
    }

    /// Bytes of the value part of MEMORY USAGE SAMPLES 0.
    pub fn memory(&self, profile: &Profile) -> u64 {
        match self {
            Value::String(v) => v.memory(profile),
            Value::List(v) => v.memory(profile),
            Value::Set(v) => v.memory(profile),
            Value::Zset(v) => v.memory(profile),
            Value::Hash(v) => v.memory(profile),
            Value::Stream(v) => v.memory(profile),
            Value::Module(v) => v.serialized,
            Value::Bare(v) => v.memory,
        }
    }

    /// Sums anew what is kept as a sum: another server than before is followed, by whose rules the
    /// parts weigh otherwise. `None` if the value may have come from either. What is no more than a
    /// figure stays.
    pub(crate) fn reweigh(&mut self, from: Option<&Profile>, to: &Profile) {
        match self {
            Value::List(v) => v.reweigh(from, to),
            Value::Set(v) => v.reweigh(from, to),
            Value::Zset(v) => v.reweigh(from, to),
            Value::Hash(v) => v.reweigh(from, to),
            Value::Stream(v) => v.reweigh(from, to),
            Value::String(_) | Value::Module(_) | Value::Bare(_) => {}
        }
    }

    /// Returns the buffer that its builder was lent, see `Image::expect`.
    pub(crate) fn give_back(&mut self, stay: Stay, run: &mut Vec<u8>) {
        match self {
            Value::Set(v) => v.give_back(stay, run),
            Value::Zset(v) => v.give_back(stay, run),
            Value::Hash(v) => v.give_back(stay, run),
            Value::String(_)
            | Value::List(_)
            | Value::Stream(_)
            | Value::Module(_)
            | Value::Bare(_) => {}
        }
    }

    /// Bytes that the model allocates for it outside its record.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Value::String(_) | Value::Module(_) | Value::Bare(_) => 0,
            Value::List(v) => v.heap_bytes(),
            Value::Set(v) => v.heap_bytes(),
            Value::Zset(v) => v.heap_bytes(),
            Value::Hash(v) => v.heap_bytes(),
            Value::Stream(v) => v.heap_bytes(),
        }
    }
}
