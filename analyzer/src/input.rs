//! What callers hand in: the parts of a loaded object and the commands of a stream. Borrowed bytes
//! and plain fields; the model knows neither RESP nor RDB.

use crate::text::Text;

/// How an object was stored where it comes from. An RDB names the encoding that the master had in
/// memory, except for strings and single-node lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A string.
    String,
    /// A list of nodes: [`Part::Node`] before the elements of each.
    List,
    /// A set in a hash table.
    SetTable,
    /// A set of integers in an intset; [`Part::IntsetWidth`] comes first.
    SetIntset,
    /// A set in a listpack.
    SetListpack,
    /// A hash in a hash table.
    HashTable,
    /// A hash in a listpack or ziplist.
    HashListpack,
    /// A hash in a listpack with field expiries.
    HashListpackEx,
    /// A sorted set in a skiplist.
    ZsetSkiplist,
    /// A sorted set in a listpack or ziplist.
    ZsetListpack,
    /// A stream.
    Stream,
    /// A module's value.
    Module,
}

/// Whose object the parts describe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The master's own image (full sync, DUMP for a re-read): the encoding is the one it has.
    Image,
    /// A payload that the master loaded itself (RESTORE): it re-encodes as an RDB load does
    /// (rdb.c `rdbLoadObject`; `reference/memory-model.md` section 9).
    Rebuilt,
}

/// A stream entry id: milliseconds and sequence.
pub type StreamId = (u64, u64);

/// One piece of a loaded object, in the order of its serialized form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part<'a> {
    /// The whole of a string: length in bytes, and its value if it is a canonical integer.
    Str {
        /// Bytes.
        len: u64,
        /// Value of a canonical integer.
        int: Option<i64>,
    },
    /// An element of a list or set.
    Element(Text<'a>),
    /// A member of a sorted set.
    Scored {
        /// The member.
        member: Text<'a>,
        /// Its score; never NaN.
        score: f64,
    },
    /// A field of a hash.
    Field {
        /// The field's name.
        field: Text<'a>,
        /// Its value.
        value: Text<'a>,
        /// Unix milliseconds at which the field expires.
        expire_ms: Option<i64>,
    },
    /// A list node starts; its elements follow.
    Node {
        /// One plain element, not a listpack.
        plain: bool,
        /// Bytes of the uncompressed blob, or of the plain element.
        bytes: u64,
        /// Bytes of the LZF form, if the master kept it compressed.
        compressed: Option<u64>,
    },
    /// Bytes per integer of an intset: 2, 4 or 8.
    IntsetWidth(u8),
    /// A stream node starts; its entries follow.
    StreamNode {
        /// Id of the node.
        id: StreamId,
        /// Bytes of its listpack.
        bytes: u64,
    },
    /// An entry of a stream node.
    StreamEntry {
        /// Its id.
        id: StreamId,
        /// Deleted, but still in the node.
        deleted: bool,
    },
    /// The stream's own numbers.
    StreamMeta {
        /// Live entries.
        length: u64,
        /// Last id ever given.
        last: StreamId,
        /// First live id (0-0 before RDB type 19).
        first: StreamId,
        /// Largest id ever deleted.
        max_deleted: StreamId,
        /// Entries ever added.
        entries_added: u64,
    },
    /// A consumer group starts.
    Group {
        /// Its name.
        name: &'a [u8],
        /// Last id delivered.
        last: StreamId,
        /// Entries read; `None` if unknown.
        entries_read: Option<u64>,
    },
    /// A pending entry of the group.
    Pending {
        /// Its id.
        id: StreamId,
        /// When it was last delivered, unix milliseconds.
        delivered_ms: i64,
        /// How often.
        count: u64,
    },
    /// A consumer of the group starts; its pending ids follow.
    Consumer {
        /// Its name.
        name: &'a [u8],
        /// Last seen, unix milliseconds.
        seen_ms: i64,
        /// Last active, unix milliseconds (RDB type 21).
        active_ms: Option<i64>,
    },
    /// A pending entry of the consumer.
    ConsumerPending(StreamId),
    /// A module's value of that many serialized bytes.
    Module {
        /// Bytes in the RDB.
        serialized: u64,
    },
}

/// The key of a loaded object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// Logical database.
    pub db: u32,
    /// The name.
    pub name: &'a [u8],
    /// How the value was stored.
    pub shape: Shape,
    /// Unix milliseconds at which the key expires.
    pub expire_ms: Option<i64>,
    /// Seconds since the last access, where the RDB says (LRU policies).
    pub idle_s: Option<u64>,
    /// LFU counter, where the RDB says.
    pub freq: Option<u8>,
    /// Announced number of elements: a hint, never trusted for an allocation.
    pub count_hint: u64,
}

/// A command of the stream.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// The selected database.
    pub db: u32,
    /// The command's name and its arguments.
    pub argv: &'a [Text<'a>],
    /// Wall clock when it arrived, unix milliseconds.
    pub now_ms: i64,
    /// Offset behind its last byte.
    pub end_offset: u64,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A key was written.
    Applied,
    /// It was understood and found nothing to change.
    NoChange,
    /// It concerns no key.
    Ignored,
    /// The model does not know it. Keys that a key spec names are in doubt now.
    Unknown,
    /// It does not parse as the command that it names: the model may be wrong from here on.
    Malformed,
    /// Its effects cannot be known (a script, not its effects): only a full sync helps.
    Resync,
}

/// Where a command has its keys, as COMMAND INFO says: positions count from the command's name,
/// which is 0; a negative last position counts from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// Position of the first key; 0 if there is none.
    pub first: i32,
    /// Position of the last key.
    pub last: i32,
    /// From one key to the next.
    pub step: i32,
}
