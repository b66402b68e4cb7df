//! When a list node is full, when two merge, and when a list changes its encoding: quicklist.c and
//! t_list.c of Redis 6.0, 7.0, 7.2, 7.4 and Valkey 8.0, as functions of the profile.

use super::QUICKLIST;
use super::item::frame;
use super::node::Node;
use crate::profile::{Family, Profile, Version};
use crate::size::Allocator;

/// Nodes limited by count are limited to this size as well.
const SAFE_BYTES: u64 = 8192;

/// Sizes of the negative fills -1..=-5.
const FILLS: [u64; 5] = [4096, 8192, 16_384, 32_768, 65_536];

/// Header of a compressed blob (7.0 and later).
const LZF_HEADER: u64 = 8;

/// Largest positive fill (15 bits).
const FILL_MAX: i64 = 32_767;

/// The rules of one server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Largest node in bytes; `None` if the count decides.
    bytes_max: Option<u64>,
    /// Largest node in elements, where the count decides.
    count_max: u64,
    /// Nodes are ziplists (before 7.0).
    pub(super) ziplist: bool,
    /// Small lists are bare listpacks (7.2, every Valkey).
    pub(super) small_lists: bool,
    /// An element longer than this has a plain node of its own.
    plain_above: u64,
    /// What the server takes off the sum of two blobs to guess the size of the merged one.
    merge_saves: u64,
    /// Interior nodes are compressed behind this many at both ends; 0 is never.
    pub(super) depth: usize,
    allocator: Allocator,
    /// Struct of a node.
    pub(super) node_struct: u64,
}

impl Rules {
    pub(super) fn of(profile: &Profile) -> Rules {
        let ziplist = profile.ziplists();
        let v7_2 = profile.small_sets();
        let fill = profile.list_fill.clamp(-5, FILL_MAX);
        let bytes_max = match fill {
            0.. => None,
            -5..=-1 => usize::try_from(-fill - 1)
                .ok()
                .and_then(|i| FILLS.get(i))
                .copied(),
            i64::MIN..=-6 => FILLS.last().copied(),
        };
        let plain_by_fill = match profile.family {
            Family::Redis => profile.version >= Version::new(7, 4),
            Family::Valkey => profile.version >= Version::new(8, 0),
        };
        Rules {
            bytes_max,
            count_max: u64::try_from(fill).unwrap_or(0).max(1),
            ziplist,
            small_lists: v7_2,
            plain_above: match (ziplist, plain_by_fill) {
                (true, _) => u64::MAX,
                (false, true) => bytes_max.unwrap_or(SAFE_BYTES),
                (false, false) => (1 << 30) - 1,
            },
            merge_saves: if v7_2 { 7 } else { 11 },
            depth: usize::try_from(profile.list_compress).unwrap_or(usize::MAX),
            allocator: profile.allocator,
            node_struct: if ziplist { 32 } else { 40 },
        }
    }

    /// Bytes of an empty blob.
    pub(super) fn frame(&self) -> u64 {
        frame(self.ziplist)
    }

    /// True if an element of `len` bytes has a node of its own.
    pub(super) fn plain(&self, len: u64) -> bool {
        len > self.plain_above
    }

    fn exceeds(&self, bytes: u64, count: u64) -> bool {
        match self.bytes_max {
            Some(max) => bytes > max,
            None => bytes > SAFE_BYTES || count > self.count_max,
        }
    }

    /// True if an element of `len` bytes may join `node`.
    pub(super) fn takes(&self, node: Option<&Node>, len: u64) -> bool {
        let Some(node) = node else { return false };
        if node.is_plain() || self.plain(len) {
            return false;
        }
        let overhead = match (self.ziplist, len) {
            (false, _) => 8,
            (true, 0..=63) => 2,
            (true, 64..=253) => 3,
            (true, 254..=16_383) => 7,
            (true, _) => 10,
        };
        !self.exceeds(node.bytes() + len + overhead, node.count() + 1)
    }

    /// True if two neighbours may become one.
    pub(super) fn merges(&self, left: &Node, right: &Node) -> bool {
        !left.is_plain()
            && !right.is_plain()
            && !self.exceeds(
                (left.bytes() + right.bytes()).saturating_sub(self.merge_saves),
                left.count() + right.count(),
            )
    }

    /// True if a bare listpack must become a quicklist before `added` elements of `bytes` text
    /// bytes join it.
    pub(super) fn outgrows(&self, node: &Node, bytes: u64, added: u64) -> bool {
        self.exceeds(node.bytes() + bytes, node.count() + added)
    }

    /// True if a quicklist of this one node becomes a bare listpack; `shrinking` asks for half the
    /// limit.
    pub(super) fn fits_bare(&self, node: &Node, shrinking: bool) -> bool {
        let part = if shrinking { 2 } else { 1 };
        !node.is_plain() && self.fits(node.bytes(), node.count(), part)
    }

    /// True if a blob is within a part of the limit.
    pub(super) fn fits(&self, bytes: u64, count: u64, part: u64) -> bool {
        match self.bytes_max {
            Some(max) => bytes <= max / part,
            None => count <= self.count_max / part,
        }
    }

    /// True if a packed node can only be in a quicklist: its one element was too large to be pushed
    /// to a bare listpack.
    pub(super) fn surely_quicklist(&self, node: &Node) -> bool {
        let mut items = node.iter();
        match (items.next(), items.next()) {
            (Some(only), None) => self.exceeds(self.frame() + only.len(), 1),
            (_, _) => false,
        }
    }

    /// Bytes that a node takes in a quicklist: its struct and its block.
    pub(super) fn node_memory(&self, node: &Node) -> u64 {
        self.node_struct + self.block(node)
    }

    /// What the allocator adds to a node of so many bytes: its struct is counted as it is, and in
    /// 6.x its block too.
    pub(super) fn node_spare(&self, memory: u64) -> u64 {
        let rounded = |bytes: u64| self.allocator.class(bytes) - bytes;
        let block = match self.ziplist {
            true => rounded(memory - self.node_struct),
            false => 0,
        };
        rounded(self.node_struct) + block
    }

    /// What the allocator adds to the list's own struct.
    pub(super) fn list_spare(&self) -> u64 {
        self.allocator.class(QUICKLIST) - QUICKLIST
    }

    /// Compressed bytes that a block of that size holds.
    pub(super) fn compressed_in(&self, block: u64) -> u64 {
        let header = if self.ziplist { 0 } else { LZF_HEADER };
        block.saturating_sub(header).max(1)
    }

    /// Bytes of the node's block. MEMORY USAGE of 6.x does not ask the allocator: it reads the length
    /// field of the blob, which in a compressed one is that of the compressed bytes.
    pub(super) fn block(&self, node: &Node) -> u64 {
        self.block_of(node.bytes(), node.compressed())
    }

    /// The block of a blob of `bytes`, compressed or not.
    pub(super) fn block_of(&self, bytes: u64, compressed: Option<u64>) -> u64 {
        match (compressed, self.ziplist) {
            (None, true) => bytes,
            (Some(bytes), true) => bytes,
            (None, false) => self.allocator.class(bytes),
            (Some(bytes), false) => self.allocator.class(LZF_HEADER + bytes),
        }
    }
}
