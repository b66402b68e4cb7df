//! The RDB decoder: what a master sends before its command stream, what `DUMP` returns, and the
//! files on its disk.
//!
//! ```text
//!   magic { opcode | type key value }* EOF crc64
//!
//!   bytes -> Decoder::feed -> Sink
//!              |  read.rs     lengths and strings       lzf.rs     compressed strings
//!              |  machine.rs  opcodes and keys          listpack.rs, ziplist.rs, intset.rs, zipmap.rs
//!              |  body.rs     values                    packed.rs  blocks to items
//!              |  streams.rs, module.rs                 gather.rs  items too large to wait for
//! ```
//!
//! It is pushed: each call takes what it can of the input and hands [`Item`]s to the caller's
//! [`Sink`] on the way. What it leaves is the beginning of an unfinished item, always shorter than
//! [`CONTIGUOUS_MAX`]; the caller puts it in front of the next input. Between calls it is a small
//! explicit state (`State`): where it stands and how many elements are to come. An item is parsed
//! in place from the input, so the common case costs neither copy nor state; an item larger than
//! what may be left is parsed from parts gathered one by one.
//!
//! Memory does not depend on the size of a value: elements are handed out one by one, strings above
//! 1 MiB are digested or skipped while they pass. Only names, and packed blocks up to their cap, are
//! held whole. Nothing is allocated on the word of a length, nothing recurses, every item is looked
//! at once, and no input panics.
//!
//! Behaviour follows `rdbLoadRioWithLoadingCtx`, `rdbLoadObject` and `verifyDumpPayload` of Redis 8.0
//! and Valkey 9.1; blocks are always validated in depth, as Valkey 9 does.

mod body;
mod crc64;
mod decoder;
mod error;
mod gather;
mod intset;
mod item;
pub mod limits;
mod listpack;
mod lzf;
mod machine;
mod module;
mod opcode;
mod packed;
mod payload;
mod read;
mod streams;
mod text;
mod ziplist;
mod zipmap;

pub use decoder::Decoder;
pub use error::{Blame, Bounded, Container, Error, ErrorKind, LzfFault, PackFault, StreamFault};
pub use item::{
    Checksum, Header, Item, Key, ListNode, ModuleName, ObjectEnd, Sink, StreamId, StreamMeta,
    StreamNode, Warning,
};
pub use limits::CONTIGUOUS_MAX;
pub use opcode::{DataType, Family, ValueType};
pub use payload::payload;
