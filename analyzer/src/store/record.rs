//! The bytes of one key in a page.
//!
//! ```text
//! 1  form (4 bits: type and encoding) | has expiry | has second byte | doubt (2 bits)
//! 1  second byte, if any: value elsewhere | name elsewhere | string with room | wide expiry | seat |
//!    bytes of chance
//! 4  last write: unix seconds (24 bits) and a logarithmic counter (8 bits), as a server's own lru
//! n  varint length and name; or a u32 handle of a long name
//! 6  expiry, unix milliseconds, if any (8 if wide)
//! n  bytes of chance (zigzag varint), if any
//! n  body: number (zigzag varint), length (varint), length and room, count + bytes + packed value,
//!    or a u32 handle of a large value
//! ```
//!
//! Nothing is aligned, so that a key costs what it holds.

use crate::command::Doubt;
use crate::store::varint;
use crate::value::string::{Form as StrForm, Room, Str};
use crate::value::{Encoding, Kind};

/// Longest name inside a record; a longer one is kept elsewhere.
pub(crate) const NAME_MAX: usize = 1024;

const HAS_EXPIRY: u8 = 0x10;
const HAS_MORE: u8 = 0x20;
const DOUBT_SHIFT: u32 = 6;

const VALUE_ELSEWHERE: u8 = 1;
const NAME_ELSEWHERE: u8 = 2;
const ROOM: u8 = 4;
const WIDE_EXPIRY: u8 = 8;
const SEAT: u8 = 16;
const EXTRA: u8 = 32;

/// Type and encoding in four bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form(u8);

/// Every pair of type and encoding, in code order.
const FORMS: [(Kind, Encoding); Form::COUNT] = [
    (Kind::String, Encoding::Raw),
    (Kind::String, Encoding::Embstr),
    (Kind::String, Encoding::Int),
    (Kind::List, Encoding::Quicklist),
    (Kind::List, Encoding::Listpack),
    (Kind::Set, Encoding::Hashtable),
    (Kind::Set, Encoding::Intset),
    (Kind::Set, Encoding::Listpack),
    (Kind::Zset, Encoding::Skiplist),
    (Kind::Zset, Encoding::Listpack),
    (Kind::Hash, Encoding::Hashtable),
    (Kind::Hash, Encoding::Listpack),
    (Kind::Hash, Encoding::ListpackEx),
    (Kind::Stream, Encoding::Stream),
    (Kind::Module, Encoding::Module),
];

impl Form {
    /// How many there are.
    pub(crate) const COUNT: usize = 15;

    pub(crate) const RAW: Form = Form(0);
    pub(crate) const EMBSTR: Form = Form(1);
    pub(crate) const INT: Form = Form(2);

    /// The form of a pair; a pair that no server makes counts as the first form of its type.
    pub(crate) fn of(kind: Kind, encoding: Encoding) -> Form {
        let first = |want: &dyn Fn(&(Kind, Encoding)) -> bool| FORMS.iter().position(want);
        let index =
            first(&|pair| *pair == (kind, encoding)).or_else(|| first(&|pair| pair.0 == kind));
        // Every kind is in the table, which has 15 rows.
        Form(
            index
                .and_then(|index| u8::try_from(index).ok())
                .unwrap_or(14),
        )
    }

    pub(crate) fn of_str(value: &Str) -> Form {
        match value.form() {
            StrForm::Int(_) => Form::INT,
            StrForm::Embstr => Form::EMBSTR,
            StrForm::Raw | StrForm::Grown(_) => Form::RAW,
        }
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(crate) fn kind(self) -> Kind {
        FORMS.get(self.index()).map_or(Kind::Module, |pair| pair.0)
    }

    pub(crate) fn encoding(self) -> Encoding {
        FORMS
            .get(self.index())
            .map_or(Encoding::Module, |pair| pair.1)
    }

    pub(crate) fn is_string(self) -> bool {
        self.0 <= Form::INT.0
    }

    /// Every form, in code order.
    pub(crate) fn all() -> impl Iterator<Item = Form> {
        (0..15).map(Form)
    }
}

/// Where a name is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name<'a> {
    Here(&'a [u8]),
    /// Handle of a long name.
    Elsewhere(u32),
}

/// Where a value is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body<'a> {
    Str(Str),
    Packed {
        /// Elements.
        count: u64,
        /// What MEMORY USAGE says of the value part.
        memory: u64,
        packed: &'a [u8],
    },
    /// Handle of a large value.
    Elsewhere(u32),
}

/// A record to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) form: Form,
    pub(crate) doubt: Doubt,
    pub(crate) lru: u32,
    pub(crate) expire_ms: Option<i64>,
    /// See [`Weight::seat`](crate::store::weigh::Weight).
    pub(crate) seat: bool,
    /// See [`Entry::extra`](crate::command::Entry).
    pub(crate) extra: i32,
    pub(crate) name: Name<'a>,
    pub(crate) body: Body<'a>,
}

impl Draft<'_> {
    /// Appends the record.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut more = 0;
        if let Body::Elsewhere(_) = self.body {
            more |= VALUE_ELSEWHERE;
        }
        if let Name::Elsewhere(_) = self.name {
            more |= NAME_ELSEWHERE;
        }
        if let Body::Str(value) = &self.body
            && let StrForm::Grown(_) = value.form()
        {
            more |= ROOM;
        }
        if self.seat {
            more |= SEAT;
        }
        if self.extra != 0 {
            more |= EXTRA;
        }
        let expiry = self.expire_ms.map(i64::to_le_bytes);
        if expiry.is_some_and(|bytes| bytes[6..] != [0, 0]) {
            more |= WIDE_EXPIRY;
        }
        let mut first = self.form.0 | (self.doubt as u8) << DOUBT_SHIFT;
        if expiry.is_some() {
            first |= HAS_EXPIRY;
        }
        if more != 0 {
            first |= HAS_MORE;
        }
        out.push(first);
        if more != 0 {
            out.push(more);
        }
        out.extend_from_slice(&self.lru.to_le_bytes());
        match self.name {
            Name::Here(name) => {
                varint::put(name.len() as u64, out);
                out.extend_from_slice(name);
            }
            Name::Elsewhere(handle) => out.extend_from_slice(&handle.to_le_bytes()),
        }
        if let Some(bytes) = expiry {
            let width = if more & WIDE_EXPIRY == 0 { 6 } else { 8 };
            out.extend_from_slice(&bytes[..width]);
        }
        if self.extra != 0 {
            varint::put(varint::zigzag(i64::from(self.extra)), out);
        }
        self.write_body(out);
    }

    fn write_body(&self, out: &mut Vec<u8>) {
        match self.body {
            Body::Str(value) => match value.form() {
                StrForm::Int(n) => varint::put(varint::zigzag(n), out),
                StrForm::Embstr | StrForm::Raw => varint::put(value.len(), out),
                StrForm::Grown(room) => {
                    varint::put(value.len(), out);
                    varint::put(room.block, out);
                    out.push(room.header);
                }
            },
            Body::Packed {
                count,
                memory,
                packed,
            } => {
                varint::put(count, out);
                varint::put(memory, out);
                varint::put(packed.len() as u64, out);
                out.extend_from_slice(packed);
            }
            Body::Elsewhere(handle) => out.extend_from_slice(&handle.to_le_bytes()),
        }
    }
}

/// A record as it lies in a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    bytes: &'a [u8],
    pub(crate) form: Form,
    pub(crate) doubt: Doubt,
    pub(crate) lru: u32,
    pub(crate) expire_ms: Option<i64>,
    pub(crate) seat: bool,
    pub(crate) extra: i32,
    pub(crate) name: Name<'a>,
    room: bool,
    elsewhere: bool,
    body: usize,
}

/// Position of the last-write field behind the first byte.
fn lru_at(bytes: &[u8]) -> usize {
    if bytes[0] & HAS_MORE == 0 { 1 } else { 2 }
}

/// True if the record at the front of `bytes` has that name; `long` looks up long names.
#[inline]
pub(crate) fn has_name<'a>(
    bytes: &[u8],
    name: &[u8],
    long: impl FnOnce(u32) -> Option<&'a [u8]>,
) -> bool {
    let Some(&first) = bytes.first() else {
        return false;
    };
    if first & HAS_MORE != 0 && bytes[1] & NAME_ELSEWHERE != 0 {
        return long(u32_at(bytes, 6)) == Some(name);
    }
    let (len, at) = varint::get_len(bytes, lru_at(bytes) + 4);
    len == name.len() && bytes.get(at..at + name.len()) == Some(name)
}

/// Completes a record written with a value elsewhere: the handle stands at its end.
pub(crate) fn set_value_handle(record: &mut [u8], handle: u32) {
    if let Some(field) = record.last_chunk_mut() {
        *field = handle.to_le_bytes();
    }
}

/// Completes a record written with a name elsewhere: the handle stands behind the last write.
pub(crate) fn set_name_handle(record: &mut [u8], handle: u32) {
    if let Some(field) = record.get_mut(6..).and_then(<[u8]>::first_chunk_mut) {
        *field = handle.to_le_bytes();
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let field = bytes.get(at..).and_then(|tail| tail.first_chunk());
    field.map_or(0, |field| u32::from_le_bytes(*field))
}

fn doubt_of(first: u8) -> Doubt {
    match first >> DOUBT_SHIFT {
        0 => Doubt::None,
        1 => Doubt::Probe,
        2 => Doubt::Size,
        _ => Doubt::Value,
    }
}

impl<'a> Record<'a> {
    /// Reads the record at the front of `bytes`, which may go on behind it.
    #[inline]
    pub(crate) fn read(bytes: &'a [u8]) -> Record<'a> {
        let first = bytes[0];
        let more = if first & HAS_MORE == 0 { 0 } else { bytes[1] };
        let mut at = lru_at(bytes);
        let lru = u32_at(bytes, at);
        at += 4;
        let name = if more & NAME_ELSEWHERE == 0 {
            let (len, start) = varint::get_len(bytes, at);
            at = start + len;
            Name::Here(&bytes[start..at])
        } else {
            at += 4;
            Name::Elsewhere(u32_at(bytes, at - 4))
        };
        let mut expire_ms = None;
        if first & HAS_EXPIRY != 0 {
            let width = if more & WIDE_EXPIRY == 0 { 6 } else { 8 };
            let mut wide = [0; 8];
            wide[..width].copy_from_slice(&bytes[at..at + width]);
            expire_ms = Some(i64::from_le_bytes(wide));
            at += width;
        }
        let mut extra = 0;
        if more & EXTRA != 0 {
            let (bytes, behind) = varint::get(bytes, at);
            extra = i32::try_from(varint::unzigzag(bytes)).unwrap_or(0);
            at = behind;
        }
        Record {
            bytes,
            form: Form(first & 0x0f),
            doubt: doubt_of(first),
            lru,
            expire_ms,
            seat: more & SEAT != 0,
            extra,
            name,
            room: more & ROOM != 0,
            elsewhere: more & VALUE_ELSEWHERE != 0,
            body: at,
        }
    }

    /// The name of the record at the front of `bytes`, which must not be elsewhere.
    #[inline]
    pub(crate) fn short_name(bytes: &[u8]) -> &[u8] {
        let (len, at) = varint::get_len(bytes, lru_at(bytes) + 4);
        bytes.get(at..at + len).unwrap_or_default()
    }

    /// The value part.
    #[inline]
    pub(crate) fn body(&self) -> Body<'a> {
        self.body_and_end().0
    }

    /// Bytes of the whole record.
    pub(crate) fn len(&self) -> usize {
        self.body_and_end().1
    }

    #[inline]
    fn body_and_end(&self) -> (Body<'a>, usize) {
        if self.elsewhere {
            return (
                Body::Elsewhere(u32_at(self.bytes, self.body)),
                self.body + 4,
            );
        }
        let (first, at) = varint::get(self.bytes, self.body);
        if self.form == Form::INT {
            return (Body::Str(Str::number(varint::unzigzag(first))), at);
        }
        if self.form.is_string() {
            if !self.room {
                let form = if self.form == Form::RAW {
                    StrForm::Raw
                } else {
                    StrForm::Embstr
                };
                return (Body::Str(Str::from_parts(first, form)), at);
            }
            let (block, at) = varint::get(self.bytes, at);
            let header = self.bytes[at];
            let form = StrForm::Grown(Room { block, header });
            return (Body::Str(Str::from_parts(first, form)), at + 1);
        }
        let (memory, at) = varint::get(self.bytes, at);
        let (len, at) = varint::get_len(self.bytes, at);
        let end = at + len;
        let body = Body::Packed {
            count: first,
            memory,
            packed: &self.bytes[at..end],
        };
        (body, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn round_trip(draft: Draft<'_>) {
        let mut bytes = Vec::new();
        draft.write(&mut bytes);
        let len = bytes.len();
        bytes.extend_from_slice(&[0xff; 9]);
        let record = Record::read(&bytes);
        assert_eq!(record.len(), len);
        assert_eq!(format!("{:?}", record.body()), format!("{:?}", draft.body));
        assert_eq!(format!("{:?}", record.name), format!("{:?}", draft.name));
        assert_eq!(record.form, draft.form);
        assert_eq!(record.doubt, draft.doubt);
        assert_eq!(record.expire_ms, draft.expire_ms);
        assert_eq!(record.seat, draft.seat);
        assert_eq!(record.extra, draft.extra);
        assert_eq!(record.lru, draft.lru);
    }

    #[test]
    fn records_round_trip() {
        let grown = StrForm::Grown(Room {
            block: 384,
            header: 5,
        });
        let strings = [
            Str::number(i64::MIN),
            Str::number(-1),
            Str::raw(1 << 33),
            Str::from_parts(0, StrForm::Embstr),
            Str::from_parts(200, grown),
        ];
        let names = [&b""[..], b"k", &[b'n'; 130], &[b'n'; NAME_MAX]];
        for value in strings {
            for name in names {
                for expire_ms in [None, Some(0), Some(1 << 47), Some(i64::MAX), Some(-1)] {
                    round_trip(Draft {
                        form: Form::of_str(&value),
                        doubt: Doubt::Probe,
                        lru: 0xdead_beef,
                        expire_ms,
                        seat: name.is_empty(),
                        extra: 0,
                        name: Name::Here(name),
                        body: Body::Str(value),
                    });
                }
            }
        }
        round_trip(Draft {
            form: Form::of(Kind::Hash, Encoding::ListpackEx),
            doubt: Doubt::Value,
            lru: 1,
            expire_ms: Some(9),
            seat: true,
            extra: -16,
            name: Name::Elsewhere(77),
            body: Body::Packed {
                count: 300,
                memory: 4000,
                packed: &[1, 2, 3],
            },
        });
        round_trip(Draft {
            form: Form::of(Kind::Zset, Encoding::Skiplist),
            doubt: Doubt::None,
            lru: 1,
            expire_ms: None,
            seat: false,
            extra: i32::MAX,
            name: Name::Here(b"z"),
            body: Body::Elsewhere(u32::MAX),
        });
    }

    #[test]
    fn every_kind_has_a_form() {
        for kind in Kind::ALL {
            for encoding in Encoding::ALL {
                assert_eq!(Form::of(kind, encoding).kind(), kind);
            }
        }
        assert_eq!(Form::of(Kind::String, Encoding::Raw), Form::RAW);
        assert_eq!(Form::of(Kind::String, Encoding::Embstr), Form::EMBSTR);
        assert_eq!(Form::of(Kind::String, Encoding::Int), Form::INT);
    }
}
