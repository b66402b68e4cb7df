//! Small values as bytes inside their key's record.

use crate::store::record::{Body, Record};
use crate::value::elements::{Table, take_varint};
use crate::value::{Bare, Encoding, Kind, Module, Value, hash, list, set, stream, zset};

/// More elements than this never fit a record: spares the attempt.
const COUNT_MAX: u64 = 512;

/// Appends the in-record form of a collection; false if it is too large for a record.
pub(crate) fn pack(value: &Value, out: &mut Vec<u8>) -> bool {
    if let Value::Bare(_) = value {
        // Count and memory are fields of the record, and there is nothing else.
        return true;
    }
    if value.count() > COUNT_MAX {
        return false;
    }
    match value {
        Value::List(value) => value.pack(out),
        Value::Set(value) => value.pack(out),
        Value::Zset(value) => value.pack(out),
        Value::Hash(value) => value.pack(out),
        Value::Stream(value) => value.pack(out),
        // Its only number is the record's own memory field.
        Value::Module(_) | Value::Bare(_) => true,
        // Strings have a record form of their own.
        Value::String(_) => false,
    }
}

/// True if a collection of so many elements is one without their records.
pub(crate) fn is_bare(kind: Kind, count: u64, bytes: &[u8]) -> bool {
    bytes.is_empty() && count > 0 && kind != Kind::Module
}

/// The server's table of a collection in its in-record form, if it is in one.
pub(crate) fn table(kind: Kind, encoding: Encoding, mut bytes: &[u8]) -> Option<Table> {
    match (kind, encoding) {
        (Kind::Hash, Encoding::Hashtable) => {
            // Fields that expire come first.
            take_varint(&mut bytes)?;
        }
        (Kind::Set, Encoding::Hashtable) | (Kind::Zset, Encoding::Skiplist) => {}
        (_, _) => return None,
    }
    Table::unpack(&mut bytes)
}

/// The value that a record holds itself, of a collection without records of its elements what is left
/// of it; `None` if it is elsewhere, or cannot be read.
pub(crate) fn value_of(record: &Record<'_>) -> Option<Value> {
    let (kind, encoding) = (record.form.kind(), record.form.encoding());
    match record.body() {
        Body::Str(value) => Some(Value::String(value)),
        Body::Packed {
            count,
            memory,
            packed,
        } if is_bare(kind, count, packed) => Some(Value::Bare(Bare {
            kind,
            encoding,
            count,
            memory,
        })),
        Body::Packed { memory, packed, .. } => unpack(kind, encoding, packed, memory),
        Body::Elsewhere(_) => None,
    }
}

/// The inverse of `pack` for whatever is not bare; `memory` is what the record says the value takes.
fn unpack(kind: Kind, encoding: Encoding, bytes: &[u8], memory: u64) -> Option<Value> {
    match kind {
        Kind::List => list::List::unpack(encoding, bytes).map(Value::List),
        Kind::Set => set::Set::unpack(encoding, bytes).map(Value::Set),
        Kind::Zset => zset::Zset::unpack(encoding, bytes).map(Value::Zset),
        Kind::Hash => hash::Hash::unpack(encoding, bytes).map(Value::Hash),
        Kind::Stream => {
            stream::Stream::unpack(encoding, bytes).map(|stream| Value::Stream(Box::new(stream)))
        }
        Kind::Module => Some(Value::Module(Module { serialized: memory })),
        Kind::String => None,
    }
}
