//! Streams: nodes of entries, the stream's counters, groups with their pending entries.
//!
//! ```text
//!   len n { string 16-byte id | string listpack }
//!   len length | len len last id | since 19: len len first, len len max deleted, len entries added
//!   len groups { string name | len len last id | since 19: len entries read
//!                len pending   { 16-byte id | u64le delivered | len count }
//!                len consumers { string name | u64le seen | since 21: u64le active
//!                                len pending { 16-byte id } } }
//!
//!   a node's listpack:
//!   live | deleted | fields | field ... | 0
//!     { flags (1 deleted, 2 same fields) | ms - id.ms | seq - id.seq
//!       | same: value ...  else: count | { field value } ... | entries of this record }
//! ```
//!
//! Shape is checked in full (`streamValidateListpackIntegrity`). Counters that do not add up are
//! refused by Valkey 9 and loaded by Redis: a [`Warning`]. Whether a consumer's pending id is also in
//! its group is left to the reader, who holds the ids; this decoder holds none.

use super::error::{Container, ErrorKind, PackFault, StreamFault};
use super::item::{Item, Sink, StreamId, StreamMeta, StreamNode, Warning};
use super::limits::BATCH;
use super::listpack::Listpack;
use super::machine::{Head, Machine, State, item};
use super::opcode::ValueType;
use super::packed::{Entry, Walk};
use super::read::{Parts, Role, Stop};
use super::text::whole;

/// Where in a stream the decoder stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum StreamPhase {
    /// Before a node.
    Nodes { left: u64 },
    /// Before the counters.
    #[default]
    Meta,
    /// Before a group.
    Group,
    /// Before a pending entry of the group.
    Pending { left: u64 },
    /// Before the number of consumers.
    Consumers,
    /// Before a consumer.
    Consumer,
    /// Before a pending id of the consumer.
    ConsumerPending { left: u64 },
    /// After the last group.
    End,
}

/// The stream under way.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StreamBody {
    phase: StreamPhase,
    groups_left: u64,
    consumers_left: u64,
    /// Live entries by the nodes' headers.
    live: u64,
    /// The node or pending id before, in its list.
    before: Option<StreamId>,
    /// Whether this pending list was already found out of order.
    is_warned: bool,
}

impl Machine {
    pub(super) fn stream_head<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        kind: ValueType,
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
        let phase = if left == 0 {
            StreamPhase::Meta
        } else {
            StreamPhase::Nodes { left }
        };
        self.stream = StreamBody {
            phase,
            ..StreamBody::default()
        };
        self.state = State::Stream;
        Ok(())
    }

    pub(super) fn stream<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        for _ in 0..BATCH {
            item(parts, |parts| match self.stream.phase {
                StreamPhase::Nodes { left } => self.stream_node(left, parts, sink),
                StreamPhase::Meta => self.stream_meta(parts, sink),
                StreamPhase::Group => self.group(parts, sink),
                StreamPhase::Pending { left } => self.pending(left, parts, sink),
                StreamPhase::Consumers => self.consumers(parts),
                StreamPhase::Consumer => self.consumer(parts, sink),
                StreamPhase::ConsumerPending { left } => self.consumer_pending(left, parts, sink),
                StreamPhase::End => Ok(()),
            })?;
            if matches!(self.stream.phase, StreamPhase::End) {
                self.end_object(parts.position(), sink);
                break;
            }
        }
        Ok(())
    }

    fn stream_node<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        left: u64,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let (key, blob) = (parts.string(Role::Name)?, parts.string(Role::Blob)?);
        let key = whole(key, &mut self.scratch.name)?;
        let key = key.first_chunk::<16>().filter(|_| key.len() == 16);
        let id = stream_id(*key.ok_or(ErrorKind::from(StreamFault::NodeKey))?);
        if self.stream.before.is_some_and(|before| before >= id) {
            return Err(ErrorKind::from(StreamFault::NodeOrder).into());
        }
        let blob = whole(blob, &mut self.scratch.blob)?;
        let counts = node(id, blob, self.seed, sink)?;
        self.stream.before = Some(id);
        self.stream.live = self.stream.live.saturating_add(counts.declared);
        self.object.elements = self.object.elements.saturating_add(counts.live);
        let left = left.saturating_sub(1);
        self.stream.phase = match left {
            0 => StreamPhase::Meta,
            left => StreamPhase::Nodes { left },
        };
        Ok(())
    }

    fn stream_meta<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let length = parts.length()?;
        let last = id_of_lengths(parts)?;
        let (mut first, mut max_deleted, mut entries_added) = (None, None, None);
        if self.object.kind != ValueType::Stream {
            first = Some(id_of_lengths(parts)?);
            max_deleted = Some(id_of_lengths(parts)?);
            entries_added = Some(parts.length()?);
        }
        let groups = parts.count()?;
        if length > 0 && self.stream.before.is_none() {
            return Err(ErrorKind::from(StreamFault::NoNodes).into());
        }
        let live = self.stream.live;
        if length != live {
            sink.item(Item::Warning(Warning::StreamLength { length, live }));
        }
        let meta = StreamMeta {
            length,
            last,
            first,
            max_deleted,
            entries_added,
        };
        sink.item(Item::StreamMeta(meta));
        self.stream.groups_left = groups;
        self.next_group();
        Ok(())
    }

    fn next_group(&mut self) {
        self.stream.phase = match self.stream.groups_left.checked_sub(1) {
            None => StreamPhase::End,
            Some(left) => {
                self.stream.groups_left = left;
                StreamPhase::Group
            }
        };
    }

    fn group<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let name = parts.string(Role::Name)?;
        let last = id_of_lengths(parts)?;
        let entries_read = if self.object.kind == ValueType::Stream {
            None
        } else {
            // 2^64-1 is how "not known" is written here, and only here.
            Some(parts.length()?).filter(|read| *read != u64::MAX)
        };
        let pending = parts.count()?;
        let name = whole(name, &mut self.scratch.name)?;
        sink.item(Item::Group {
            name,
            last,
            entries_read,
            pending,
        });
        self.start_pending();
        self.stream.phase = match pending {
            0 => StreamPhase::Consumers,
            left => StreamPhase::Pending { left },
        };
        Ok(())
    }

    fn start_pending(&mut self) {
        self.stream.before = None;
        self.stream.is_warned = false;
    }

    /// Pending ids are written in ascending order; one that repeats is no server's.
    fn check_pending<S: Sink>(&mut self, id: StreamId, sink: &mut S) -> Result<(), ErrorKind> {
        match self.stream.before {
            Some(before) if before == id => return Err(StreamFault::PendingTwice.into()),
            Some(before) if before > id && !self.stream.is_warned => {
                self.stream.is_warned = true;
                sink.item(Item::Warning(Warning::PendingOrder));
            }
            Some(_) | None => {}
        }
        self.stream.before = Some(id);
        Ok(())
    }

    fn pending<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        left: u64,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let id = stream_id(parts.array()?);
        let delivered_ms = parts.u64_le()?;
        let count = parts.length()?;
        self.check_pending(id, sink)?;
        sink.item(Item::Pending {
            id,
            delivered_ms,
            count,
        });
        self.stream.phase = match left.saturating_sub(1) {
            0 => StreamPhase::Consumers,
            left => StreamPhase::Pending { left },
        };
        Ok(())
    }

    fn consumers<'a, P: Parts<'a>>(&mut self, parts: &mut P) -> Result<(), Stop> {
        self.stream.consumers_left = parts.count()?;
        self.next_consumer();
        Ok(())
    }

    fn next_consumer(&mut self) {
        match self.stream.consumers_left.checked_sub(1) {
            None => self.next_group(),
            Some(left) => {
                self.stream.consumers_left = left;
                self.stream.phase = StreamPhase::Consumer;
            }
        }
    }

    fn consumer<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let name = parts.string(Role::Name)?;
        let seen_ms = parts.u64_le()?;
        let active_ms = if self.object.kind == ValueType::Stream3 {
            Some(parts.i64_le()?)
        } else {
            None
        };
        let pending = parts.count()?;
        let name = whole(name, &mut self.scratch.name)?;
        sink.item(Item::Consumer {
            name,
            seen_ms,
            active_ms,
            pending,
        });
        self.start_pending();
        match pending {
            0 => self.next_consumer(),
            left => self.stream.phase = StreamPhase::ConsumerPending { left },
        }
        Ok(())
    }

    fn consumer_pending<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        left: u64,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let id = stream_id(parts.array()?);
        self.check_pending(id, sink)?;
        sink.item(Item::ConsumerPending { id });
        match left.saturating_sub(1) {
            0 => self.next_consumer(),
            left => self.stream.phase = StreamPhase::ConsumerPending { left },
        }
        Ok(())
    }
}

/// Sixteen bytes, both halves big-endian so that they sort.
fn stream_id(bytes: [u8; 16]) -> StreamId {
    let both = u128::from_be_bytes(bytes);
    let (high, low) = (both >> 64, both & u128::from(u64::MAX));
    StreamId {
        ms: u64::try_from(high).unwrap_or(0),
        seq: u64::try_from(low).unwrap_or(0),
    }
}

fn id_of_lengths<'a, P: Parts<'a>>(parts: &mut P) -> Result<StreamId, Stop> {
    Ok(StreamId {
        ms: parts.length()?,
        seq: parts.length()?,
    })
}

/// Live entries of a node: as its header says, and counted.
struct Live {
    declared: u64,
    live: u64,
}

const CUT: ErrorKind = ErrorKind::Stream(StreamFault::Entry);

fn node<S: Sink>(id: StreamId, blob: &[u8], seed: u64, sink: &mut S) -> Result<Live, ErrorKind> {
    let mut walk = Listpack::open(blob)?;
    let (live, deleted, fields) = (count(&mut walk)?, count(&mut walk)?, count(&mut walk)?);
    // Every field is an entry of at least two bytes.
    if fields > blob.len() as u64 {
        return Err(StreamFault::NodeCount.into());
    }
    sink.item(Item::StreamNode(StreamNode {
        id,
        bytes: blob.len() as u64,
        live,
        deleted,
        fields,
    }));
    for _ in 0..fields {
        sink.item(Item::StreamField(walk.need(CUT)?.text(seed)));
    }
    if walk.need_int(CUT)? != 0 {
        return Err(StreamFault::MasterEntry.into());
    }
    let (mut counted, mut marked) = (0_u64, 0_u64);
    while let Some(flags) = walk.next()? {
        let Entry::Int(flags) = flags else {
            return Err(Container::Listpack.fault(PackFault::NotInteger));
        };
        let id = entry(&mut walk, id, flags, fields)?;
        let deleted = flags & 1 != 0;
        if deleted {
            marked = marked.wrapping_add(1);
        } else {
            counted = counted.wrapping_add(1);
        }
        sink.item(Item::StreamEntry { id, deleted });
    }
    if (counted, marked) != (live, deleted) {
        let warning = Warning::StreamNodeCounts {
            live: counted,
            deleted: marked,
        };
        sink.item(Item::Warning(warning));
    }
    Ok(Live {
        declared: live,
        live: counted,
    })
}

/// The rest of an entry after its flags; its id.
fn entry(
    walk: &mut Listpack<'_>,
    node: StreamId,
    flags: i64,
    fields: u64,
) -> Result<StreamId, ErrorKind> {
    let (ms, seq) = (walk.need_int(CUT)?, walk.need_int(CUT)?);
    let is_same = flags & 2 != 0;
    let (skip, around) = if is_same {
        (fields, 3_u64)
    } else {
        (count(walk)?, 4)
    };
    let skip = if is_same {
        skip
    } else {
        skip.saturating_mul(2)
    };
    for _ in 0..skip {
        walk.need(CUT)?;
    }
    let pieces = i64::try_from(skip.saturating_add(around)).unwrap_or(i64::MAX);
    if walk.need_int(CUT)? != pieces {
        return Err(StreamFault::EntryCount.into());
    }
    Ok(StreamId {
        ms: node.ms.wrapping_add_signed(ms),
        seq: node.seq.wrapping_add_signed(seq),
    })
}

fn count(walk: &mut Listpack<'_>) -> Result<u64, ErrorKind> {
    u64::try_from(walk.need_int(CUT)?).map_err(|_| StreamFault::NodeCount.into())
}
