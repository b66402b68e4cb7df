//! Values: tables row by row, lists node by node, and packed blocks in one piece.

use super::error::{Container, ErrorKind, PackFault};
use super::intset::Intset;
use super::item::{Item, ListNode, Sink};
use super::limits::{BATCH, FIELD_EXPIRE_MAX};
use super::listpack::Listpack;
use super::machine::{Head, Machine, NodeKind, Object, Packing, Row, State, announce, repeat};
use super::opcode::ValueType;
use super::packed::{Walk, elements, expiring_fields, fields, integers, scored};
use super::read::{Parts, Raw, Role, Stop};
use super::text::{Scratch, element, size, value, whole};
use super::ziplist::Ziplist;
use super::zipmap::Zipmap;

impl Machine {
    /// A key and the beginning of its value, or all of it.
    pub(super) fn value<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        kind: ValueType,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let row = match kind {
            ValueType::String => return self.string(parts, sink),
            ValueType::List | ValueType::Set => Row::Element,
            ValueType::Zset => Row::TextScored,
            ValueType::Zset2 => Row::Scored,
            ValueType::Hash => Row::Field,
            ValueType::HashTtl => Row::FieldExpire,
            // Absolute times: relative to a base that adds nothing.
            ValueType::HashMetadataRc => Row::ExpireField { base: 1 },
            ValueType::HashMetadata => return self.hash_metadata(parts, sink),
            ValueType::ListQuicklist => {
                return self.quicklist(kind, NodeKind::Ziplist, parts, sink);
            }
            ValueType::ListQuicklist2 => {
                return self.quicklist(kind, NodeKind::Tagged, parts, sink);
            }
            ValueType::Stream | ValueType::Stream2 | ValueType::Stream3 => {
                return self.stream_head(kind, parts, sink);
            }
            ValueType::Module2 => return self.module_head(parts, sink),
            ValueType::ModuleRc => return Err(ErrorKind::ModuleRc.into()),
            ValueType::HashZipmap => return self.block(kind, Packing::HashZipmap, parts, sink),
            ValueType::ListZiplist => return self.block(kind, Packing::ListZiplist, parts, sink),
            ValueType::SetIntset => return self.block(kind, Packing::SetIntset, parts, sink),
            ValueType::ZsetZiplist => return self.block(kind, Packing::ZsetZiplist, parts, sink),
            ValueType::HashZiplist => return self.block(kind, Packing::HashZiplist, parts, sink),
            ValueType::HashListpack => return self.block(kind, Packing::HashListpack, parts, sink),
            ValueType::ZsetListpack => return self.block(kind, Packing::ZsetListpack, parts, sink),
            ValueType::SetListpack => return self.block(kind, Packing::SetListpack, parts, sink),
            ValueType::HashListpackExRc => {
                return self.block(kind, Packing::HashListpackExRc, parts, sink);
            }
            ValueType::HashListpackEx => {
                return self.block(kind, Packing::HashListpackEx, parts, sink);
            }
        };
        let name = self.name(parts)?;
        let start = parts.position();
        let count = parts.count()?;
        self.begin(Head { name, kind, count }, start, sink)?;
        if kind == ValueType::List {
            let node = ListNode {
                plain: false,
                bytes: 0,
                compressed: None,
                count,
            };
            sink.item(Item::ListNode(node));
        }
        self.enter(
            State::Rows { row, left: count },
            count,
            parts.position(),
            sink,
        );
        Ok(())
    }

    /// Hands out the key.
    pub(super) fn begin<S: Sink>(
        &mut self,
        head: Head<'_>,
        start: u64,
        sink: &mut S,
    ) -> Result<(), ErrorKind> {
        self.object = Object {
            kind: head.kind,
            start,
            elements: 0,
        };
        announce(&mut self.attributes, &mut self.scratch.name, sink, head)
    }

    /// Goes on to the rows or nodes, if there are any.
    fn enter<S: Sink>(&mut self, state: State, left: u64, position: u64, sink: &mut S) {
        if left == 0 {
            self.end_object(position, sink);
        } else {
            self.state = state;
        }
    }

    /// Type 24: expiry times are stored relative to the earliest.
    fn hash_metadata<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let name = self.name(parts)?;
        let start = parts.position();
        let base = parts.u64_le()?;
        let count = parts.count()?;
        let min_expire = min_expire(base)?;
        self.begin(
            Head {
                name,
                kind: ValueType::HashMetadata,
                count,
            },
            start,
            sink,
        )?;
        sink.item(Item::MinExpire(min_expire));
        let state = State::Rows {
            row: Row::ExpireField { base },
            left: count,
        };
        self.enter(state, count, parts.position(), sink);
        Ok(())
    }

    fn quicklist<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        kind: ValueType,
        node: NodeKind,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let name = self.name(parts)?;
        let start = parts.position();
        let left = parts.count()?;
        self.begin(
            Head {
                name,
                kind,
                count: 0,
            },
            start,
            sink,
        )?;
        self.enter(
            State::Nodes { kind: node, left },
            left,
            parts.position(),
            sink,
        );
        Ok(())
    }

    pub(super) fn rows<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        (row, left): (Row, u64),
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let most = left.min(BATCH);
        let (seed, scratch) = (self.seed, &mut self.scratch);
        let (done, outcome) = match row {
            Row::Element => repeat(parts, most, |parts| {
                let text = parts.string(Role::Element)?;
                sink.element(element(text, seed, &mut scratch.blob)?);
                Ok(())
            }),
            Row::TextScored => repeat(parts, most, |parts| {
                let (member, score) = (parts.string(Role::Element)?, parts.text_double()?);
                sink.scored(element(member, seed, &mut scratch.blob)?, score);
                Ok(())
            }),
            Row::Scored => repeat(parts, most, |parts| {
                let member = parts.string(Role::Element)?;
                let score = f64::from_le_bytes(parts.array()?);
                if score.is_nan() {
                    return Err(ErrorKind::Score.into());
                }
                sink.scored(element(member, seed, &mut scratch.blob)?, score);
                Ok(())
            }),
            Row::Field => repeat(parts, most, |parts| {
                let pair = (parts.string(Role::Element)?, parts.string(Role::Size)?);
                Ok(field(pair, None, seed, scratch, sink)?)
            }),
            Row::FieldExpire => repeat(parts, most, |parts| {
                let pair = (parts.string(Role::Element)?, parts.string(Role::Size)?);
                let expire_ms = match parts.i64_le()? {
                    -1 => None,
                    expire if expire >= 0 => Some(expire),
                    _ => return Err(ErrorKind::FieldExpire.into()),
                };
                Ok(field(pair, expire_ms, seed, scratch, sink)?)
            }),
            Row::ExpireField { base } => repeat(parts, most, |parts| {
                let expire_ms = relative_expire(parts.length()?, base)?;
                let pair = (parts.string(Role::Element)?, parts.string(Role::Size)?);
                Ok(field(pair, expire_ms, seed, scratch, sink)?)
            }),
        };
        self.object.elements = self.object.elements.saturating_add(done);
        let left = left.saturating_sub(done);
        self.enter(State::Rows { row, left }, left, parts.position(), sink);
        outcome
    }

    pub(super) fn nodes<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        (kind, left): (NodeKind, u64),
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let (seed, scratch) = (self.seed, &mut self.scratch);
        let mut count = 0_u64;
        // A node is some kilobytes, so that a few of them make a batch.
        let (done, outcome) = repeat(parts, left.min(8), |parts| {
            let plain = match kind {
                NodeKind::Ziplist => false,
                NodeKind::Tagged => match parts.length()? {
                    1 => true,
                    2 => false,
                    other => return Err(ErrorKind::QuicklistContainer(other).into()),
                },
            };
            let added = if plain {
                plain_node(parts.string(Role::Element)?, seed, scratch, sink)?
            } else {
                packed_node(kind, parts.string(Role::Blob)?, (seed, scratch), sink)?
            };
            count = count.saturating_add(added);
            Ok(())
        });
        self.object.elements = self.object.elements.saturating_add(count);
        let left = left.saturating_sub(done);
        self.enter(State::Nodes { kind, left }, left, parts.position(), sink);
        outcome
    }

    /// A value that is one packed block: key and value are one item.
    fn block<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        kind: ValueType,
        packing: Packing,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let name = self.name(parts)?;
        let start = parts.position();
        let min = if packing == Packing::HashListpackEx {
            Some(min_expire(parts.u64_le()?)?)
        } else {
            None
        };
        let raw = parts.string(Role::Blob)?;
        self.object = Object {
            kind,
            start,
            elements: 0,
        };
        let blob = whole(raw, &mut self.scratch.blob)?;
        let block = Block {
            blob,
            seed: self.seed,
            compressed: compressed(raw),
            min,
        };
        let (space, attributes) = (&mut self.scratch.name, &mut self.attributes);
        let begin =
            |count, sink: &mut S| announce(attributes, space, sink, Head { name, kind, count });
        self.object.elements = block.emit(packing, begin, sink)?;
        self.end_object(parts.position(), sink);
        Ok(())
    }
}

/// A packed block and what is known about it.
struct Block<'b> {
    blob: &'b [u8],
    seed: u64,
    compressed: Option<u64>,
    min: Option<i64>,
}

impl<'b> Block<'b> {
    /// Hands out the key, then what is in the block; the number of elements.
    fn emit<S: Sink>(
        &self,
        packing: Packing,
        begin: impl FnOnce(u64, &mut S) -> Result<(), ErrorKind>,
        sink: &mut S,
    ) -> Result<u64, ErrorKind> {
        let (blob, seed) = (self.blob, self.seed);
        match packing {
            Packing::SetIntset => {
                let set = Intset::open(blob)?;
                begin(set.count(), sink)?;
                integers(set, sink)
            }
            Packing::SetListpack => {
                let walk = Listpack::open(blob)?;
                begin(walk.declared(), sink)?;
                elements(walk, seed, sink)
            }
            Packing::ListZiplist => {
                let walk = Ziplist::open(blob)?;
                let (bytes, count) = (blob.len() as u64, walk.declared());
                begin(count, sink)?;
                let compressed = self.compressed;
                sink.item(Item::ListNode(ListNode {
                    plain: false,
                    bytes,
                    compressed,
                    count,
                }));
                elements(walk, seed, sink)
            }
            Packing::ZsetListpack => self.members(Listpack::open(blob)?, begin, sink),
            Packing::ZsetZiplist => self.members(Ziplist::open(blob)?, begin, sink),
            Packing::HashListpack => self.pairs(Listpack::open(blob)?, begin, sink),
            Packing::HashZiplist => self.pairs(Ziplist::open(blob)?, begin, sink),
            Packing::HashZipmap => self.pairs(Zipmap::open(blob)?, begin, sink),
            Packing::HashListpackEx | Packing::HashListpackExRc => {
                let walk = Listpack::open(blob)?;
                begin(walk.declared() / 3, sink)?;
                if let Some(min) = self.min {
                    sink.item(Item::MinExpire(min));
                }
                expiring_fields(walk, seed, sink)
            }
        }
    }

    fn members<S: Sink>(
        &self,
        walk: impl Walk<'b>,
        begin: impl FnOnce(u64, &mut S) -> Result<(), ErrorKind>,
        sink: &mut S,
    ) -> Result<u64, ErrorKind> {
        begin(walk.declared() / 2, sink)?;
        scored(walk, self.seed, sink)
    }

    fn pairs<S: Sink>(
        &self,
        walk: impl Walk<'b>,
        begin: impl FnOnce(u64, &mut S) -> Result<(), ErrorKind>,
        sink: &mut S,
    ) -> Result<u64, ErrorKind> {
        begin(walk.declared() / 2, sink)?;
        fields(walk, self.seed, sink)
    }
}

/// Size in the file, if it is compressed there.
fn compressed(raw: Raw<'_>) -> Option<u64> {
    match raw {
        Raw::Lzf { data, .. } => Some(data.len() as u64),
        Raw::Gone { compressed, .. } => compressed,
        Raw::Plain(_) | Raw::Int(_) => None,
    }
}

fn plain_node<S: Sink>(
    raw: Raw<'_>,
    seed: u64,
    scratch: &mut Scratch,
    sink: &mut S,
) -> Result<u64, ErrorKind> {
    let (bytes, _) = size(raw, &mut scratch.blob)?;
    if bytes == 0 {
        return Err(Container::Listpack.fault(PackFault::Empty));
    }
    let node = ListNode {
        plain: true,
        bytes,
        compressed: compressed(raw),
        count: 1,
    };
    sink.item(Item::ListNode(node));
    sink.element(element(raw, seed, &mut scratch.blob)?);
    Ok(1)
}

fn packed_node<S: Sink>(
    kind: NodeKind,
    raw: Raw<'_>,
    (seed, scratch): (u64, &mut Scratch),
    sink: &mut S,
) -> Result<u64, ErrorKind> {
    let blob = whole(raw, &mut scratch.blob)?;
    let (bytes, compressed) = (blob.len() as u64, compressed(raw));
    let node = |count| {
        Item::ListNode(ListNode {
            plain: false,
            bytes,
            compressed,
            count,
        })
    };
    match kind {
        NodeKind::Ziplist => {
            let walk = Ziplist::open(blob)?;
            sink.item(node(walk.declared()));
            elements(walk, seed, sink)
        }
        NodeKind::Tagged => {
            let walk = Listpack::open(blob)?;
            sink.item(node(walk.declared()));
            elements(walk, seed, sink)
        }
    }
}

#[inline(always)]
fn field<S: Sink>(
    (name, text): (Raw<'_>, Raw<'_>),
    expire_ms: Option<i64>,
    seed: u64,
    scratch: &mut Scratch,
    sink: &mut S,
) -> Result<(), ErrorKind> {
    let name = element(name, seed, &mut scratch.name)?;
    let text = value(text, &mut scratch.blob)?;
    sink.field(name, text, expire_ms);
    Ok(())
}

fn min_expire(stored: u64) -> Result<i64, ErrorKind> {
    if stored > FIELD_EXPIRE_MAX {
        return Err(ErrorKind::FieldExpire);
    }
    i64::try_from(stored).map_err(|_| ErrorKind::FieldExpire)
}

/// Zero is none; the earliest is stored as 1.
fn relative_expire(stored: u64, base: u64) -> Result<Option<i64>, ErrorKind> {
    if stored == 0 {
        return Ok(None);
    }
    let at = stored.checked_add(base).and_then(|sum| sum.checked_sub(1));
    match at {
        Some(at) if at <= FIELD_EXPIRE_MAX => Ok(i64::try_from(at).ok()),
        _ => Err(ErrorKind::FieldExpire),
    }
}
