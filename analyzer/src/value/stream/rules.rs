//! When a stream starts a new node, and what its blocks and structs weigh: t_stream.c and object.c
//! of Redis 6.0, 6.2, 7.0, 8.0 and Valkey 8.0, as functions of the profile.

use super::node::Node;
use super::rax::{Meter, signed};
use crate::profile::{Profile, Version};
use crate::size::Allocator;

/// A listpack never grows beyond this.
const BYTES_MAX: u64 = 1 << 30;

/// Room that a new node's listpack is given, unless nodes are to be smaller.
const ROOM: u64 = 4096;

/// The rules of one server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    allocator: Allocator,
    era: Era,
    node_bytes: u64,
    node_entries: u64,
    pub(super) meter: Meter,
    /// Struct of a consumer.
    consumer: u64,
}

/// What changed between versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Era {
    /// 6.0: listpacks are counted by their bytes, and deleted entries do not fill a node.
    V6_0,
    /// 6.2: listpacks are made with room and counted by their blocks; a node that ends by its bytes
    /// keeps the room.
    V6_2,
    /// 7.0 and later.
    V7,
}

impl Rules {
    pub(super) fn of(profile: &Profile) -> Rules {
        let era = if profile.version < Version::new(6, 2) {
            Era::V6_0
        } else if profile.version < Version::new(7, 0) {
            Era::V6_2
        } else {
            Era::V7
        };
        Rules {
            allocator: profile.allocator,
            era,
            node_bytes: profile.stream_node_bytes,
            node_entries: profile.stream_node_entries,
            meter: Meter::of(profile),
            // 7.2 keeps the time of the last activity too.
            consumer: if profile.small_sets() { 32 } else { 24 },
        }
    }

    /// Struct of the stream, as MEMORY USAGE counts it.
    pub(super) fn stream(&self) -> u64 {
        match self.era {
            Era::V6_0 => 0,
            Era::V6_2 => 40,
            Era::V7 => 80,
        }
    }

    /// What the allocator adds to the stream's struct, and before 6.2 the struct itself.
    pub(super) fn stream_beyond(&self) -> i64 {
        let real = self.allocator.class(self.stream().max(40));
        signed(real) - signed(self.stream())
    }

    /// Block of a name.
    pub(super) fn text(&self, len: u64) -> u64 {
        self.allocator.sds(len)
    }

    /// What the allocator adds to a struct of so many bytes.
    pub(super) fn spare(&self, bytes: u64) -> u64 {
        self.allocator.class(bytes) - bytes
    }

    /// What the allocator adds to a listpack's block as MEMORY USAGE counts it.
    pub(super) fn block_spare(&self, block: u64) -> u64 {
        match self.era {
            Era::V6_0 => self.spare(block),
            Era::V6_2 | Era::V7 => 0,
        }
    }

    /// Struct of a group.
    pub(super) fn group(&self) -> u64 {
        if self.era == Era::V7 { 40 } else { 32 }
    }

    /// Struct of a consumer.
    pub(super) fn consumer(&self) -> u64 {
        self.consumer
    }

    /// True if XCLAIM drops pending entries that are no longer in the stream.
    pub(super) fn claims_check(&self) -> bool {
        self.era == Era::V7
    }

    /// Block of a listpack without spare room, as MEMORY USAGE counts it.
    pub(super) fn block(&self, bytes: u64) -> u64 {
        match self.era {
            Era::V6_0 => bytes,
            Era::V6_2 | Era::V7 => self.allocator.class(bytes),
        }
    }

    /// True if listpacks have the same blocks by both rules.
    pub(super) fn blocks_as(&self, other: &Rules) -> bool {
        let counts_bytes = |rules: &Rules| rules.era == Era::V6_0;
        self.allocator == other.allocator && counts_bytes(self) == counts_bytes(other)
    }

    /// Block of a new node.
    pub(super) fn new_block(&self) -> u64 {
        let room = match self.node_bytes {
            0 => ROOM,
            limit => limit.min(ROOM),
        };
        match self.era {
            Era::V6_0 => 0,
            Era::V6_2 | Era::V7 => self.allocator.class(room),
        }
    }

    /// True if an entry of `bytes` text bytes does not join `node`.
    pub(super) fn full(&self, node: &Node, bytes: u64) -> bool {
        let limit = match self.node_bytes {
            0 => BYTES_MAX,
            limit => limit.min(BYTES_MAX),
        };
        // 6.0 compares with the bare setting once more, so that 0 means a node per entry.
        let never = self.era == Era::V6_0 && node.bytes >= self.node_bytes;
        never || node.bytes + bytes >= limit || self.counted_out(node)
    }

    fn counted_out(&self, node: &Node) -> bool {
        let count = match self.era {
            Era::V6_0 => u64::from(node.live),
            Era::V6_2 | Era::V7 => u64::from(node.live) + u64::from(node.deleted),
        };
        self.node_entries > 0 && count >= self.node_entries
    }

    /// True if a node that ends gives back the room it was made with.
    pub(super) fn gives_back(&self, node: &Node) -> bool {
        self.era != Era::V6_2 || self.counted_out(node)
    }
}
