//! A list: lengths and integer classes of its elements in order, in the nodes that the server's
//! quicklist has, so that its encoding and its bytes follow every push, pop, trim, set and insert.
//!
//! ```text
//! listpack    one node, bare (7.2 and later, every Valkey)          the usual small list
//! quicklist   nodes of up to 8 KiB (list-max-listpack-size), and    everything else; the only
//!             one plain node for each element larger than that      encoding before 7.2
//! ```
//!
//! Which element equals a given text is known only by fingerprint, and those are not kept unless a
//! list is seen to need them: an LREM or LINSERT that cannot be proved by lengths alone makes the
//! list ask for them ([`List::wants_fingerprints`]), and the re-read that follows brings them in
//! ([`Builder::with_fingerprints`]). From then on such commands are exact without a re-read.
//!
//! A single node between half the limit and the limit may be either encoding in a loaded image
//! ([`List::encoding_open`]); any later push beyond the limit or pop below the half settles it.

mod edit;
mod item;
mod load;
mod node;
mod nodes;
mod reload;
mod rules;
mod search;
#[cfg(test)]
mod tests;

use crate::profile::{Family, Profile, Version};
use crate::text::Text;
use crate::value::{Encoding, INLINE_MAX, Samples, Usage};
use node::Node;
use nodes::Nodes;
use rules::Rules;

pub use load::Builder;

pub(crate) use edit::Side;
pub(crate) use item::Item;
pub(crate) use node::End;
pub(crate) use search::Followed;

/// Structs of a quicklist and of an object.
const QUICKLIST: u64 = 40;
const OBJECT: u64 = 16;

/// A list.
#[derive(Clone, Debug)]
pub struct List {
    nodes: Nodes,
    count: u64,
    /// One node that stands alone, without a quicklist around it.
    bare: bool,
    flags: Flags,
}

/// How a list's elements stand in its nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filling {
    pub(crate) nodes: u64,
    /// Bytes of their blobs.
    pub(crate) bytes: u64,
    /// Nodes of one element that is too large for a blob.
    pub(crate) plain: u64,
    /// Blocks of those that are neither first nor last and not compressed.
    pub(crate) inner: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Flags {
    /// Elements carry fingerprints.
    prints: bool,
    /// They should: see [`List::wants_fingerprints`].
    wants: bool,
    /// See [`List::encoding_open`].
    open: bool,
}

impl List {
    /// An empty list, about to be filled.
    pub fn new(profile: &Profile) -> List {
        let rules = Rules::of(profile);
        let mut nodes = Nodes::new();
        if rules.small_lists {
            nodes.insert(0, Node::new(false, &rules), &rules);
        }
        List {
            nodes,
            count: 0,
            bare: rules.small_lists,
            flags: Flags::default(),
        }
    }

    /// A list of which only the number of elements is known (SORT .. STORE), until it is read. A very
    /// long one is cut: it is in doubt anyway, and the stream must not wait.
    pub(crate) fn unread(count: u64, profile: &Profile) -> List {
        let mut list = List::new(profile);
        let one = [Text::Int(0)];
        for _ in 0..count.min(UNREAD_MAX) {
            list.push(End::Tail, &one, 0, profile);
        }
        list
    }

    /// Elements.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Encoding.
    pub fn encoding(&self) -> Encoding {
        if self.bare {
            Encoding::Listpack
        } else {
            Encoding::Quicklist
        }
    }

    /// Bytes of the value part of MEMORY USAGE, the 16 of the object included.
    pub fn memory(&self, profile: &Profile) -> u64 {
        let rules = Rules::of(profile);
        match self.nodes.get(0) {
            Some(node) if self.bare => OBJECT + rules.block(node),
            Some(_) | None => {
                let by_elements =
                    profile.family == Family::Redis && profile.version >= Version::new(8, 0);
                let parts = if by_elements {
                    self.count
                } else {
                    self.nodes.len() as u64
                };
                averaged(OBJECT + QUICKLIST, self.nodes.memory(&rules), parts)
            }
        }
    }

    /// True if the server compresses nodes of it, how well only it knows.
    pub(crate) fn compresses(&self, profile: &Profile) -> bool {
        !self.bare && self.nodes.compresses(&Rules::of(profile))
    }

    /// Takes what the server says of the value part of a list with compressed nodes: how well they
    /// are compressed, on average.
    pub(crate) fn fit_compressed(&mut self, usage: Usage, profile: &Profile) {
        let ours = self.memory(profile);
        if usage.samples == Samples::All && ours != usage.bytes {
            self.nodes.share_out(ours, usage.bytes, &Rules::of(profile));
        }
    }

    /// How its elements stand in its nodes.
    pub(crate) fn filling(&self, profile: &Profile) -> Filling {
        let rules = Rules::of(profile);
        let last = self.nodes.len().saturating_sub(1);
        let mut filling = Filling::default();
        for (at, node) in self.nodes.iter().enumerate() {
            filling.nodes += 1;
            filling.bytes += node.bytes();
            filling.plain += u64::from(node.is_plain());
            if at > 0 && at < last && node.compressed().is_none() {
                filling.inner += rules.block(node);
            }
        }
        filling
    }

    /// MEMORY USAGE of the value part if its nodes but the last one were filled up to so many bytes.
    pub(crate) fn refilled(&self, full: u64, profile: &Profile) -> u64 {
        let rules = Rules::of(profile);
        let all = self.filling(profile);
        let entries = all.bytes.saturating_sub(all.nodes * rules.frame());
        let room = full.saturating_sub(rules.frame()).max(1);
        let (nodes, rest) = (entries / room, entries % room);
        let tail = rules.node_struct + rules.block_of(rest + rules.frame(), None);
        OBJECT + QUICKLIST + nodes * (rules.node_struct + rules.block_of(full, None)) + tail
    }

    /// MEMORY USAGE of the value part of a list of one node with entries of so many bytes.
    pub(crate) fn packed_memory(entries: u64, profile: &Profile) -> u64 {
        let rules = Rules::of(profile);
        let block = rules.block_of(entries + rules.frame(), None);
        if rules.small_lists {
            OBJECT + block
        } else {
            OBJECT + QUICKLIST + rules.node_struct + block
        }
    }

    /// What the allocator adds to a list of nodes.
    pub(crate) fn spare(&self, profile: &Profile) -> u64 {
        let rules = Rules::of(profile);
        rules.list_spare() + self.nodes.spare(&rules)
    }

    /// Bytes the model allocates.
    pub fn heap_bytes(&self) -> usize {
        self.nodes.heap_bytes()
    }

    /// True if elements must be told apart to follow this list's commands: a re-read should bring
    /// fingerprints.
    pub fn wants_fingerprints(&self) -> bool {
        self.flags.wants
    }

    /// True if the image this list was loaded from could have had either encoding.
    pub fn encoding_open(&self) -> bool {
        self.flags.open
    }

    /// Takes the encoding that the server named.
    pub fn settle_encoding(&mut self, encoding: Encoding) {
        self.flags.open = false;
        if self.nodes.get(0).is_some_and(|node| !node.is_plain()) && self.nodes.len() == 1 {
            self.bare = encoding == Encoding::Listpack;
        }
    }

    /// Appends the in-record form; false if the list is too large for one.
    ///
    /// ```text
    /// flags u8 | count u16le | blob bytes u32le | packed infos
    /// ```
    pub fn pack(&self, out: &mut Vec<u8>) -> bool {
        let Nodes::One(node) = &self.nodes else {
            return false;
        };
        let sizes = u16::try_from(node.count())
            .ok()
            .zip(u32::try_from(node.bytes()).ok());
        match sizes {
            Some((count, bytes))
                if node.compressed().is_none() && PACK_HEAD + node.packed().len() <= INLINE_MAX =>
            {
                out.push(self.flags.to_byte(node.is_plain()));
                out.extend_from_slice(&count.to_le_bytes());
                out.extend_from_slice(&bytes.to_le_bytes());
                out.extend_from_slice(node.packed());
                true
            }
            Some(_) | None => false,
        }
    }

    /// The inverse of [`List::pack`].
    pub fn unpack(encoding: Encoding, bytes: &[u8]) -> Option<List> {
        let (&[flags, c0, c1, b0, b1, b2, b3], packed) = bytes.split_first_chunk::<PACK_HEAD>()?;
        let count = u16::from_le_bytes([c0, c1]);
        let blob = u32::from_le_bytes([b0, b1, b2, b3]);
        let (flags, plain) = Flags::from_byte(flags);
        let mut node = Node::unpack(flags.prints, u32::from(count), u64::from(blob), packed);
        if plain {
            node.set_plain();
        }
        Some(List {
            nodes: Nodes::One(node),
            count: u64::from(count),
            bare: encoding == Encoding::Listpack,
            flags,
        })
    }
}

const PACK_HEAD: usize = 7;

const UNREAD_MAX: u64 = 1 << 18;

impl Flags {
    fn to_byte(self, plain: bool) -> u8 {
        u8::from(self.prints)
            | u8::from(self.wants) << 1
            | u8::from(self.open) << 2
            | u8::from(plain) << 3
    }

    fn from_byte(byte: u8) -> (Flags, bool) {
        let bit = |i: u8| byte >> i & 1 == 1;
        let flags = Flags {
            prints: bit(0),
            wants: bit(1),
            open: bit(2),
        };
        (flags, bit(3))
    }
}

/// `base` and the sum of `parts` parts as the server adds them: in doubles, then cut. The result can
/// be a byte short of the plain sum.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the server's own arithmetic; sizes are far below 2^53 and not negative"
)]
fn averaged(base: u64, sum: u64, parts: u64) -> u64 {
    if parts == 0 {
        return base;
    }
    (base as f64 + sum as f64 / parts as f64 * parts as f64) as u64
}
