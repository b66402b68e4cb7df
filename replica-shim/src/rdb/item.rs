//! What the decoder hands out: one flat sequence of items, and the [`Sink`] that takes them.
//!
//! ```text
//!   Header Aux*
//!   { SelectDb ResizeDb? SlotInfo*
//!     { Key                                                  (Kind in a DUMP payload)
//!         Str
//!       | ListNode Element* ...                              lists
//!       | IntsetWidth? Element*                              sets
//!       | Scored*                                            sorted sets
//!       | MinExpire? Field*                                  hashes
//!       | { StreamNode StreamField* StreamEntry* }* StreamMeta
//!         { Group Pending* { Consumer ConsumerPending* }* }* streams
//!       | Module
//!       ObjectEnd }* }*
//!   End
//! ```
//!
//! Items borrow from the input or from the decoder's scratch space and live for one call. Items of
//! different keys never interleave. A [`Warning`] may stand anywhere between others.

use super::opcode::{Family, ValueType};
use crate::text::Text;
use std::fmt;

/// The first nine bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whose tables the rest is to be read with.
    pub family: Family,
    /// The number in the magic.
    pub version: u32,
}

/// A key, with the attributes that stood before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Layout of the value that follows.
    pub kind: ValueType,
    /// Unix time in milliseconds. May be past, and negative.
    pub expire_ms: Option<i64>,
    /// Seconds since the last access, where the master evicts by LRU.
    pub idle_s: Option<u64>,
    /// Access frequency, where the master evicts by LFU.
    pub freq: Option<u8>,
    /// Elements to expect, as far as the writer says: a hint, 0 if not known.
    pub count: u64,
}

/// A node of a list, before its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListNode {
    /// One large value on its own instead of a packed block.
    pub plain: bool,
    /// Uncompressed size of the block or of the plain value; 0 for a list stored value by value.
    pub bytes: u64,
    /// Size in the file if it was compressed there. By `rdbcompression` or by the list's own
    /// `list-compress-depth`: the file does not tell which.
    pub compressed: Option<u64>,
    /// Elements, by the block's own header; 0 if it does not know.
    pub count: u64,
}

/// A stream entry's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamId {
    /// Milliseconds.
    pub ms: u64,
    /// Sequence number within the millisecond.
    pub seq: u64,
}

/// A node of a stream: a listpack of entries that share the first one's field names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamNode {
    /// Id of the first entry.
    pub id: StreamId,
    /// Size of the listpack.
    pub bytes: u64,
    /// Entries not deleted, by the header.
    pub live: u64,
    /// Entries marked deleted, by the header.
    pub deleted: u64,
    /// Field names of the first entry; that many [`Item::StreamField`] follow.
    pub fields: u64,
}

/// What a stream says about itself after its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamMeta {
    /// `XLEN`.
    pub length: u64,
    /// Last id given out.
    pub last: StreamId,
    /// First id present; not in type 15.
    pub first: Option<StreamId>,
    /// Largest id deleted; not in type 15.
    pub max_deleted: Option<StreamId>,
    /// Entries ever added; not in type 15.
    pub entries_added: Option<u64>,
}

/// The end of a key's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectEnd {
    /// Bytes of the value's body in the file, without type and key.
    pub serialized: u64,
    /// Elements, fields, members, or entries emitted. A list, set, hash or sorted set with none is
    /// dropped by servers when they load it.
    pub elements: u64,
}

/// A module type's name: nine characters and an encoding version, packed in 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModuleName {
    chars: [u8; 9],
    /// Encoding version of the module's data.
    pub version: u16,
}

impl ModuleName {
    /// Unpacks an id: nine 6-bit characters from the top, ten bits of version below.
    pub fn from_id(id: u64) -> Self {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut chars = [b'?'; 9];
        let mut bits = id >> 10;
        for slot in chars.iter_mut().rev() {
            let index = usize::try_from(bits & 63).unwrap_or(0);
            *slot = ALPHABET.get(index).copied().unwrap_or(b'?');
            bits >>= 6;
        }
        let version = u16::try_from(id & 1023).unwrap_or(0);
        ModuleName { chars, version }
    }

    /// The nine characters.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.chars).unwrap_or("?????????")
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Whether the bytes are known to be those that were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// The CRC64 at the end matches.
    Verified,
    /// The writer left it out: `rdbchecksum no`, or a version before 5.
    Absent,
}

/// Odd, but loaded by at least one server of the matrix: noted, not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// A stream node's header counts are not those of its entries.
    StreamNodeCounts {
        /// Live entries counted.
        live: u64,
        /// Deleted entries counted.
        deleted: u64,
    },
    /// `XLEN` is not the sum over the nodes.
    StreamLength {
        /// What the stream claims.
        length: u64,
        /// What its nodes hold.
        live: u64,
    },
    /// Pending ids of a group or consumer are not in ascending order.
    PendingOrder,
    /// A DUMP payload has bytes between its value and its footer. Servers do not look.
    PayloadTail {
        /// How many.
        bytes: u64,
    },
}

/// One step of a snapshot. The order is drawn at the top of the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item<'a> {
    /// The magic.
    Header(Header),
    /// A fact about the writer.
    Aux {
        /// Its name.
        key: &'a [u8],
        /// Its value.
        value: Text<'a>,
    },
    /// Keys that follow are in this database.
    SelectDb(u32),
    /// Size hints for the database.
    ResizeDb {
        /// Keys.
        keys: u64,
        /// Keys with an expiry.
        expires: u64,
    },
    /// Size hints for a slot, from a cluster node.
    SlotInfo {
        /// The slot.
        slot: u32,
        /// Keys in it.
        keys: u64,
        /// Keys in it with an expiry.
        expires: u64,
    },
    /// A slot migration that was under way.
    SlotImport {
        /// The job's name.
        job: &'a [u8],
        /// Slot ranges it covers.
        ranges: u64,
    },
    /// A function library.
    Function {
        /// Length of its code.
        len: u64,
    },
    /// Data a module keeps outside of keys.
    ModuleAux {
        /// Whose data.
        name: ModuleName,
    },
    /// A key begins.
    Key(Key<'a>),
    /// A DUMP payload begins: a value without a key.
    Kind(ValueType),
    /// The value of a string.
    Str {
        /// Its length.
        len: u64,
        /// Its number, if it is the canonical decimal of one.
        int: Option<i64>,
    },
    /// An element of a list or set.
    Element(Text<'a>),
    /// A member of a sorted set.
    Scored {
        /// The member.
        member: Text<'a>,
        /// Its score, never NaN.
        score: f64,
    },
    /// A field of a hash.
    Field {
        /// Its name.
        field: Text<'a>,
        /// Its value. One longer than 20 bytes may be only a length: [`Text::Long`] with digest 0.
        value: Text<'a>,
        /// Unix time in milliseconds at which the field goes.
        expire_ms: Option<i64>,
    },
    /// A node of a list.
    ListNode(ListNode),
    /// Bytes per member of the intset that follows.
    IntsetWidth(u8),
    /// Earliest field expiry of the hash, 0 if none.
    MinExpire(i64),
    /// A node of a stream.
    StreamNode(StreamNode),
    /// A field name that the node's entries share.
    StreamField(Text<'a>),
    /// An entry of the node.
    StreamEntry {
        /// Its id.
        id: StreamId,
        /// Marked deleted, still stored.
        deleted: bool,
    },
    /// The stream's own counters.
    StreamMeta(StreamMeta),
    /// A consumer group.
    Group {
        /// Its name.
        name: &'a [u8],
        /// Last id delivered.
        last: StreamId,
        /// Entries read, where the writer knew.
        entries_read: Option<u64>,
        /// Pending entries that follow.
        pending: u64,
    },
    /// A pending entry of the group.
    Pending {
        /// Its id.
        id: StreamId,
        /// When it was delivered, Unix time.
        delivered_ms: u64,
        /// How often.
        count: u64,
    },
    /// A consumer of the group.
    Consumer {
        /// Its name.
        name: &'a [u8],
        /// Last seen, Unix time.
        seen_ms: u64,
        /// Last active, Unix time, -1 for never; from type 21 on.
        active_ms: Option<i64>,
        /// Pending entries that follow.
        pending: u64,
    },
    /// An entry pending at the consumer.
    ConsumerPending {
        /// Its id.
        id: StreamId,
    },
    /// A module's value, skipped.
    Module {
        /// Whose value.
        name: ModuleName,
    },
    /// Something odd.
    Warning(Warning),
    /// The key's items are complete.
    ObjectEnd(ObjectEnd),
    /// The file or payload is complete.
    End {
        /// What its checksum says.
        checksum: Checksum,
    },
}

/// Takes the items. Only [`Sink::item`] must be written; the hot kinds have a method of their own so
/// that an implementation can take them without a match, inlined into the decoder's loops.
pub trait Sink {
    /// Any item for which the specific method was not overridden.
    fn item(&mut self, item: Item<'_>);

    /// A key begins.
    #[inline]
    fn key(&mut self, key: Key<'_>) {
        self.item(Item::Key(key));
    }

    /// A string's value.
    #[inline]
    fn string(&mut self, len: u64, int: Option<i64>) {
        self.item(Item::Str { len, int });
    }

    /// A key that holds a string, from beginning to end.
    #[inline]
    fn string_key(&mut self, key: Key<'_>, (len, int): (u64, Option<i64>), end: ObjectEnd) {
        self.key(key);
        self.string(len, int);
        self.end(end);
    }

    /// An element of a list or set.
    #[inline]
    fn element(&mut self, text: Text<'_>) {
        self.item(Item::Element(text));
    }

    /// A member of a sorted set.
    #[inline]
    fn scored(&mut self, member: Text<'_>, score: f64) {
        self.item(Item::Scored { member, score });
    }

    /// A field of a hash.
    #[inline]
    fn field(&mut self, field: Text<'_>, value: Text<'_>, expire_ms: Option<i64>) {
        self.item(Item::Field {
            field,
            value,
            expire_ms,
        });
    }

    /// The key's items are complete.
    #[inline]
    fn end(&mut self, end: ObjectEnd) {
        self.item(Item::ObjectEnd(end));
    }
}

impl<F: FnMut(Item<'_>)> Sink for F {
    #[inline]
    fn item(&mut self, item: Item<'_>) {
        self(item);
    }
}
