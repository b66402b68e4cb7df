//! The machine: what comes next, and the items between and before values.
//!
//! ```text
//!            +---------------------------------------------+
//!            v                                             | last element
//!   Magic -> Objects -- key of a plain table -> Rows ------+
//!              | |  --- key of a quicklist ---> Nodes -----+
//!              | |  --- key of a stream ------> Stream ----+
//!              | |  --- module value or aux --> Module ----+
//!              | |  --- slot import ----------> Slots -----+
//!              | '-- string or packed block: whole item, stays
//!              v
//!            Checksum -> Done                   (version < 5: Done at once)
//!
//!   Payload -> (value as above) -> Footer -> Done
//! ```
//!
//! A step parses items of one state until the input is short, a batch is full or the state changes.
//! It is written over [`Parts`], so that it reads the contiguous input and gathered parts alike.

use super::error::{Bounded, ErrorKind};
use super::item::{Checksum, Header, Item, Key, ObjectEnd, Sink};
use super::limits::{BATCH, DB_MAX, SLOTS};
use super::opcode::{Family, Opcode, VALKEY_FIRST, ValueType};
use super::read::{Parts, Raw, Role, Stop};
use super::streams::StreamBody;
use super::text::{Scratch, element, size, whole};

/// Where the machine stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    /// At the start of a file.
    Magic,
    /// At the type byte of a DUMP payload.
    Payload,
    /// Before an opcode or key.
    Objects,
    /// In a table stored row by row.
    Rows { row: Row, left: u64 },
    /// In a list stored node by node.
    Nodes { kind: NodeKind, left: u64 },
    /// In a stream; where, says [`StreamBody`].
    Stream,
    /// In a module's value, or in its auxiliary data.
    Module { aux: bool },
    /// In the ranges of a slot import.
    Slots { left: u64 },
    /// Before the checksum of a file.
    Checksum,
    /// Before the footer of a payload.
    Footer,
    /// After everything.
    Done,
}

/// What a row of a table looks like.
#[derive(Debug, Clone, Copy)]
pub(super) enum Row {
    /// string
    Element,
    /// string, text double
    TextScored,
    /// string, binary double
    Scored,
    /// string, string
    Field,
    /// string, string, i64le expiry
    FieldExpire,
    /// len expiry relative to `base`, string, string
    ExpireField { base: u64 },
}

/// What a list's node looks like.
#[derive(Debug, Clone, Copy)]
pub(super) enum NodeKind {
    /// A ziplist.
    Ziplist,
    /// A tag, then a plain value or a listpack.
    Tagged,
}

/// What a packed block holds, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// A list.
    ListZiplist,
    /// A set.
    SetIntset,
    /// A set.
    SetListpack,
    /// Members and scores.
    ZsetZiplist,
    /// Members and scores.
    ZsetListpack,
    /// Fields and values.
    HashZipmap,
    /// Fields and values.
    HashZiplist,
    /// Fields and values.
    HashListpack,
    /// Fields, values and expiry times; the earliest of these stands before the block.
    HashListpackEx,
    /// The same without the earliest.
    HashListpackExRc,
}

/// Who is to act: the states as the driver sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The machine.
    Items,
    /// The driver, which has the checksum.
    Checksum,
    /// The driver likewise.
    Footer,
    /// Nobody.
    Done,
}

/// What stands before a key and belongs to it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Attributes {
    expire_ms: Option<i64>,
    idle_s: Option<u64>,
    freq: Option<u8>,
}

/// The value under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object {
    pub(super) kind: ValueType,
    /// Offset of the body.
    pub(super) start: u64,
    pub(super) elements: u64,
}

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) state: State,
    pub(super) seed: u64,
    pub(super) object: Object,
    pub(super) stream: StreamBody,
    pub(super) scratch: Scratch,
    pub(super) attributes: Attributes,
    family: Family,
    version: u32,
    is_payload: bool,
}

/// Parses one item; on failure nothing is used up.
#[inline(always)]
pub(super) fn item<'a, P: Parts<'a>>(
    parts: &mut P,
    parse: impl FnOnce(&mut P) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mark = parts.mark();
    parse(parts).inspect_err(|_| parts.reset(mark))
}

/// Parses up to `most` items of the same kind; says how many.
#[inline(always)]
pub(super) fn repeat<'a, P: Parts<'a>>(
    parts: &mut P,
    most: u64,
    mut parse: impl FnMut(&mut P) -> Result<(), Stop>,
) -> (u64, Result<(), Stop>) {
    let mut done = 0_u64;
    while done < most {
        if let Err(stop) = item(parts, &mut parse) {
            return (done, Err(stop));
        }
        done = done.wrapping_add(1);
    }
    (done, Ok(()))
}

impl Machine {
    pub(super) fn for_file(seed: u64) -> Self {
        Self::new(seed, Family::Redis, State::Magic)
    }

    pub(super) fn for_payload(seed: u64, family: Family) -> Self {
        Machine {
            is_payload: true,
            ..Self::new(seed, family, State::Payload)
        }
    }

    fn new(seed: u64, family: Family, state: State) -> Self {
        Machine {
            state,
            seed,
            object: Object {
                kind: ValueType::String,
                start: 0,
                elements: 0,
            },
            stream: StreamBody::default(),
            scratch: Scratch::default(),
            attributes: Attributes::default(),
            family,
            version: 0,
            is_payload: false,
        }
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn header(&self) -> Option<Header> {
        (self.version > 0).then_some(Header {
            family: self.family,
            version: self.version,
        })
    }

    #[inline]
    pub(super) fn phase(&self) -> Phase {
        match self.state {
            State::Magic
            | State::Payload
            | State::Objects
            | State::Rows { .. }
            | State::Nodes { .. }
            | State::Stream
            | State::Module { .. }
            | State::Slots { .. } => Phase::Items,
            State::Checksum => Phase::Checksum,
            State::Footer => Phase::Footer,
            State::Done => Phase::Done,
        }
    }

    /// Parses some items.
    pub(super) fn step<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        match self.state {
            State::Magic => item(parts, |parts| self.magic(parts, sink)),
            State::Payload => item(parts, |parts| self.payload_kind(parts, sink)),
            State::Objects => self.objects(parts, sink),
            State::Rows { row, left } => self.rows((row, left), parts, sink),
            State::Nodes { kind, left } => self.nodes((kind, left), parts, sink),
            State::Stream => self.stream(parts, sink),
            State::Module { aux } => self.module_items(aux, parts, sink),
            State::Slots { left } => self.slot_ranges(left, parts),
            State::Checksum | State::Footer | State::Done => Ok(()),
        }
    }

    fn magic<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let bytes: [u8; 9] = parts.array()?;
        let (family, digits) = if let Some(digits) = bytes.strip_prefix(b"REDIS") {
            (Family::Redis, digits)
        } else if let Some(digits) = bytes.strip_prefix(b"VALKEY") {
            (Family::Valkey, digits)
        } else {
            return Err(ErrorKind::Magic.into());
        };
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(ErrorKind::Magic.into());
        }
        let version = digits.iter().fold(0_u32, |version, digit| {
            version
                .saturating_mul(10)
                .saturating_add(u32::from(digit.wrapping_sub(b'0')))
        });
        // Valkey numbers its own versions from 80 on and writes older ones under the other name.
        let exists = match family {
            Family::Redis => version > 0,
            Family::Valkey => version >= VALKEY_FIRST,
        };
        if !exists {
            return Err(ErrorKind::Version { family, version }.into());
        }
        (self.family, self.version) = (family, version);
        self.state = State::Objects;
        sink.item(Item::Header(Header { family, version }));
        Ok(())
    }

    fn payload_kind<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let [byte] = parts.array()?;
        let kind = self.value_type(byte)?;
        self.object.kind = kind;
        self.value(kind, parts, sink)
    }

    /// Whether the type that was read means the same to the family that the footer names.
    pub(super) fn check_payload_family(
        &self,
        family: Family,
        version: u32,
    ) -> Result<(), ErrorKind> {
        let byte = self.object.kind.byte();
        if ValueType::from_byte(byte, family) == Some(self.object.kind) {
            Ok(())
        } else {
            Err(ErrorKind::UnknownByte {
                byte,
                family,
                version,
            })
        }
    }

    pub(super) fn finish_payload(&mut self) {
        self.state = State::Done;
    }

    pub(super) fn finish<S: Sink>(&mut self, checksum: Checksum, sink: &mut S) {
        self.state = State::Done;
        sink.item(Item::End { checksum });
    }

    /// Opcodes and keys, as many as fit a batch and leave the state as it is.
    #[inline]
    fn objects<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        for _ in 0..BATCH {
            item(parts, |parts| self.object(parts, sink))?;
            if !matches!(self.state, State::Objects) {
                break;
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn object<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let [byte] = parts.array()?;
        // Strings first: there are the most of them.
        if byte == 0 {
            return self.string(parts, sink);
        }
        match Opcode::from_byte(byte, self.family) {
            Some(Opcode::ExpireMs) => {
                self.attributes.expire_ms = Some(parts.i64_le()?);
                Ok(())
            }
            Some(opcode) => self.opcode(opcode, parts, sink),
            None => {
                let kind = self.value_type(byte)?;
                self.value(kind, parts, sink)
            }
        }
    }

    fn value_type(&self, byte: u8) -> Result<ValueType, ErrorKind> {
        let (family, version) = (self.family, self.version);
        match ValueType::from_byte(byte, family) {
            Some(ValueType::ModuleRc) => Err(ErrorKind::ModuleRc),
            Some(kind) => Ok(kind),
            None => Err(ErrorKind::UnknownByte {
                byte,
                family,
                version,
            }),
        }
    }

    #[inline(never)]
    fn opcode<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        opcode: Opcode,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        match opcode {
            Opcode::ExpireMs => self.attributes.expire_ms = Some(parts.i64_le()?),
            Opcode::Expire => {
                let seconds = i64::from(i32::from_le_bytes(parts.array()?));
                self.attributes.expire_ms = Some(seconds.saturating_mul(1000));
            }
            Opcode::Freq => {
                let [freq] = parts.array()?;
                self.attributes.freq = Some(freq);
            }
            Opcode::Idle => self.attributes.idle_s = Some(parts.length()?),
            Opcode::SelectDb => {
                let db = bounded(parts.length()?, Bounded::Db, DB_MAX)?;
                sink.item(Item::SelectDb(db));
            }
            Opcode::ResizeDb => {
                let (keys, expires) = (parts.length()?, parts.length()?);
                sink.item(Item::ResizeDb { keys, expires });
            }
            Opcode::SlotInfo => {
                let slot = parts.length()?;
                let (keys, expires) = (parts.length()?, parts.length()?);
                let slot = bounded(slot, Bounded::Slot, SLOTS)?;
                sink.item(Item::SlotInfo {
                    slot,
                    keys,
                    expires,
                });
            }
            Opcode::Aux => self.aux(parts, sink)?,
            Opcode::Function => self.function(parts, sink)?,
            Opcode::FunctionRc => {
                let (_name, _engine) = (parts.string(Role::Size)?, parts.string(Role::Size)?);
                if parts.length()? != 0 {
                    parts.string(Role::Size)?;
                }
                self.function(parts, sink)?;
            }
            Opcode::ModuleAux => self.module_aux(parts, sink)?,
            Opcode::SlotImport => {
                let (job, ranges) = (parts.string(Role::Name)?, parts.count()?);
                let job = whole(job, &mut self.scratch.name)?;
                sink.item(Item::SlotImport { job, ranges });
                if ranges > 0 {
                    self.state = State::Slots { left: ranges };
                }
            }
            Opcode::Eof if self.version >= 5 => self.state = State::Checksum,
            Opcode::Eof => self.finish(Checksum::Absent, sink),
        }
        Ok(())
    }

    fn aux<'a, P: Parts<'a>, S: Sink>(&mut self, parts: &mut P, sink: &mut S) -> Result<(), Stop> {
        let (key, value) = (parts.string(Role::Name)?, parts.string(Role::Element)?);
        let key = whole(key, &mut self.scratch.name)?;
        let value = element(value, self.seed, &mut self.scratch.blob)?;
        sink.item(Item::Aux { key, value });
        self.scratch.shrink();
        Ok(())
    }

    fn function<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let (len, _) = size(parts.string(Role::Size)?, &mut self.scratch.blob)?;
        sink.item(Item::Function { len });
        Ok(())
    }

    fn slot_ranges<'a, P: Parts<'a>>(&mut self, left: u64, parts: &mut P) -> Result<(), Stop> {
        let (done, outcome) = repeat(parts, left.min(BATCH), |parts| {
            let (start, end) = (parts.length()?, parts.length()?);
            if start > end || end >= SLOTS {
                return Err(ErrorKind::SlotRange { start, end }.into());
            }
            Ok(())
        });
        self.state = match left.saturating_sub(done) {
            0 => State::Objects,
            left => State::Slots { left },
        };
        outcome
    }

    /// A string: key and value are one item.
    #[inline(always)]
    pub(super) fn string<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let name = self.name(parts)?;
        let start = parts.position();
        let value = parts.string(Role::Size)?;
        let serialized = parts.position().wrapping_sub(start);
        let (len, int) = size(value, &mut self.scratch.blob)?;
        let end = ObjectEnd {
            serialized,
            elements: 1,
        };
        let Some(name) = name else {
            sink.item(Item::Kind(ValueType::String));
            sink.string(len, int);
            sink.end(end);
            self.state = State::Footer;
            return Ok(());
        };
        let name = whole(name, &mut self.scratch.name)?;
        let key = key(&mut self.attributes, name, ValueType::String, 1);
        sink.string_key(key, (len, int), end);
        Ok(())
    }

    /// The key, unless this is a payload.
    #[inline(always)]
    pub(super) fn name<'a, P: Parts<'a>>(&self, parts: &mut P) -> Result<Option<Raw<'a>>, Stop> {
        if self.is_payload {
            Ok(None)
        } else {
            parts.string(Role::Name).map(Some)
        }
    }

    /// The value is complete, and so is its key.
    pub(super) fn end_object<S: Sink>(&mut self, end: u64, sink: &mut S) {
        let serialized = end.wrapping_sub(self.object.start);
        sink.end(ObjectEnd {
            serialized,
            elements: self.object.elements,
        });
        self.scratch.shrink();
        self.state = if self.is_payload {
            State::Footer
        } else {
            State::Objects
        };
    }
}

/// The beginning of a value.
pub(super) struct Head<'h> {
    pub(super) name: Option<Raw<'h>>,
    pub(super) kind: ValueType,
    pub(super) count: u64,
}

/// Hands out the key with its attributes, which are then used up.
#[inline(always)]
pub(super) fn announce<S: Sink>(
    attributes: &mut Attributes,
    space: &mut Vec<u8>,
    sink: &mut S,
    head: Head<'_>,
) -> Result<(), ErrorKind> {
    let Head { name, kind, count } = head;
    match name {
        Some(name) => {
            let name = whole(name, space)?;
            sink.key(key(attributes, name, kind, count));
        }
        None => sink.item(Item::Kind(kind)),
    }
    Ok(())
}

/// The key with its attributes, which are then used up.
#[inline(always)]
fn key<'k>(attributes: &mut Attributes, name: &'k [u8], kind: ValueType, count: u64) -> Key<'k> {
    let Attributes {
        expire_ms,
        idle_s,
        freq,
    } = std::mem::take(attributes);
    Key {
        name,
        kind,
        expire_ms,
        idle_s,
        freq,
        count,
    }
}

fn bounded(value: u64, what: Bounded, count: u64) -> Result<u32, ErrorKind> {
    let max = count.saturating_sub(1);
    match u32::try_from(value) {
        Ok(small) if value <= max => Ok(small),
        _ => Err(ErrorKind::Limit { what, value, max }),
    }
}
