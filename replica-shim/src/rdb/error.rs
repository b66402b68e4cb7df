//! Why a file was refused, and where.
//!
//! Every error names the byte offset of the smallest unit that was being read: an opcode, a key, an
//! element, or the packed block that an element is in. No error carries content of the data set.

use super::opcode::Family;

/// A refusal. The decoder gives the same one for ever after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} (byte {offset})")]
pub struct Error {
    /// Where, counted from the magic or from the start of a DUMP payload.
    pub offset: u64,
    /// Why.
    pub kind: ErrorKind,
}

impl Error {
    /// Whose fault it is, and so what to do next.
    pub fn blame(&self) -> Blame {
        self.kind.blame()
    }
}

/// Errors by who can do something about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The bytes are not what a server writes: damaged, cut, or hostile. Another copy may be fine.
    Peer,
    /// The bytes may be fine, but this decoder does not know them. Another copy will not help.
    Unsupported,
    /// Larger than this decoder is willing to believe.
    Limit,
}

/// The kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Neither magic.
    #[error("not an RDB file: it begins with neither REDIS nor VALKEY and a version")]
    Magic,
    /// A version that its magic cannot have.
    #[error("{family} RDB version {version} does not exist")]
    Version {
        /// The magic's family.
        family: Family,
        /// The number.
        version: u32,
    },
    /// Neither an opcode nor a value type of this family.
    #[error("unknown opcode or value type {byte} in {family} RDB version {version}")]
    UnknownByte {
        /// The byte.
        byte: u8,
        /// Whose table was used.
        family: Family,
        /// Version of the file, 0 if not yet known.
        version: u32,
    },
    /// Type 6.
    #[error("value type 6 (module data of a 4.0 release candidate) has no framing to skip it by")]
    ModuleRc,
    /// A length was expected.
    #[error("byte {0:#04x} does not begin a length")]
    Length(u8),
    /// A count of 2^64-1.
    #[error("a count or size of 2^64-1")]
    Count,
    /// A special string encoding above 3.
    #[error("unknown string encoding {0}")]
    StringEncoding(u8),
    /// A compressed string that does not decompress.
    #[error("compressed string: {0}")]
    Lzf(#[from] LzfFault),
    /// A packed block that is not whole.
    #[error("{container}: {fault}")]
    Packed {
        /// What it should be.
        container: Container,
        /// What is wrong with it.
        fault: PackFault,
    },
    /// A score that is no number.
    #[error("a score is not a number")]
    Score,
    /// A field expiry outside of 48 bits.
    #[error("a hash field's expiry is out of range")]
    FieldExpire,
    /// A quicklist node of unknown kind.
    #[error("unknown quicklist container {0}")]
    QuicklistContainer(u64),
    /// A module item of unknown kind.
    #[error("unknown module item tag {0}")]
    ModuleTag(u64),
    /// Slot ranges of a migration.
    #[error("slot range {start}-{end} does not exist")]
    SlotRange {
        /// First slot.
        start: u64,
        /// Last slot.
        end: u64,
    },
    /// A stream that cannot be.
    #[error("stream: {0}")]
    Stream(#[from] StreamFault),
    /// A number above its cap.
    #[error("{what} of {value} is above the limit of {max}")]
    Limit {
        /// What is limited.
        what: Bounded,
        /// What was declared.
        value: u64,
        /// The cap.
        max: u64,
    },
    /// The CRC64 does not match.
    #[error("checksum {computed:016x} computed, {stored:016x} stored")]
    Checksum {
        /// Over the bytes that were read.
        computed: u64,
        /// In the file.
        stored: u64,
    },
    /// The input ended early. Only the caller can know that.
    #[error("the input ends here, inside the file")]
    Truncated,
    /// A DUMP payload without room for its footer.
    #[error("a payload of {0} bytes is too short to be one")]
    PayloadLength(u64),
    /// A DUMP payload whose value runs into its footer.
    #[error("the payload's value ends at byte {end}, but its footer begins at {footer}")]
    PayloadEnd {
        /// End of the value.
        end: u64,
        /// Begin of the footer.
        footer: u64,
    },
}

impl ErrorKind {
    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        match self {
            ErrorKind::UnknownByte { .. } | ErrorKind::ModuleRc | ErrorKind::Version { .. } => {
                Blame::Unsupported
            }
            ErrorKind::Limit { .. } => Blame::Limit,
            ErrorKind::Magic
            | ErrorKind::Length(_)
            | ErrorKind::Count
            | ErrorKind::StringEncoding(_)
            | ErrorKind::Lzf(_)
            | ErrorKind::Packed { .. }
            | ErrorKind::Score
            | ErrorKind::FieldExpire
            | ErrorKind::QuicklistContainer(_)
            | ErrorKind::ModuleTag(_)
            | ErrorKind::SlotRange { .. }
            | ErrorKind::Stream(_)
            | ErrorKind::Checksum { .. }
            | ErrorKind::Truncated
            | ErrorKind::PayloadLength(_)
            | ErrorKind::PayloadEnd { .. } => Blame::Peer,
        }
    }
}

/// What is wrong with a compressed string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LzfFault {
    /// No compressed string of this size can expand, or shrink, to what is declared.
    #[error("{compressed} bytes cannot stand for {len}")]
    Ratio {
        /// Compressed length.
        compressed: u64,
        /// Declared length.
        len: u64,
    },
    /// It ends inside of a control sequence.
    #[error("it ends inside of a run")]
    Input,
    /// It goes on after the declared length.
    #[error("it is longer than declared")]
    Overflow,
    /// It ends before the declared length.
    #[error("it is shorter than declared")]
    Short,
    /// It refers to bytes before its start.
    #[error("it refers to bytes before its start")]
    Distance,
}

/// The packed containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// Since RDB 10.
    Listpack,
    /// Before.
    Ziplist,
    /// Sorted integers.
    Intset,
    /// Hashes before 2.6.
    Zipmap,
}

impl std::fmt::Display for Container {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Container::Listpack => "listpack",
            Container::Ziplist => "ziplist",
            Container::Intset => "intset",
            Container::Zipmap => "zipmap",
        })
    }
}

impl Container {
    /// The fault as an error of this container.
    pub(super) fn fault(self, fault: PackFault) -> ErrorKind {
        ErrorKind::Packed {
            container: self,
            fault,
        }
    }
}

/// What is wrong with a packed block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PackFault {
    /// Shorter than its own header.
    #[error("shorter than its header")]
    Header,
    /// The size in the header is not the size of the block.
    #[error("its header declares another size")]
    Total,
    /// The last byte is not the end mark, or an end mark stands before the last byte.
    #[error("its end mark is missing or misplaced")]
    EndMark,
    /// An encoding byte that does not exist.
    #[error("unknown entry encoding {0:#04x}")]
    Encoding(u8),
    /// An entry that goes past the end.
    #[error("an entry goes past the end")]
    Overrun,
    /// An entry's length as seen from behind is not its length.
    #[error("an entry's backward length is wrong")]
    Backward,
    /// The tail offset does not point to the last entry.
    #[error("its tail offset is wrong")]
    Tail,
    /// The header's count is not the number of entries.
    #[error("its header declares another count")]
    Count,
    /// Pairs or triples do not come out even.
    #[error("its entries do not come in whole records")]
    Uneven,
    /// An integer was expected.
    #[error("an entry is not an integer where it must be one")]
    NotInteger,
    /// Integers not strictly ascending, or expiry times not ascending.
    #[error("its entries are out of order")]
    Order,
    /// Nothing where servers never store nothing.
    #[error("it is empty")]
    Empty,
}

/// What is wrong with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamFault {
    /// A node key that is no id.
    #[error("a node's key is not 16 bytes")]
    NodeKey,
    /// Node ids not ascending.
    #[error("nodes are out of order")]
    NodeOrder,
    /// A listpack that ends inside of an entry or goes on after the last.
    #[error("a node ends inside of an entry")]
    Entry,
    /// A count below zero or beyond the node.
    #[error("a count in a node is impossible")]
    NodeCount,
    /// The length of an entry as seen from behind.
    #[error("an entry's backward count is wrong")]
    EntryCount,
    /// The master entry does not end with zero.
    #[error("a node's first record is not terminated")]
    MasterEntry,
    /// Entries without a node.
    #[error("it has a length but no nodes")]
    NoNodes,
    /// The same id twice in a pending list.
    #[error("an id is pending twice")]
    PendingTwice,
}

/// What has a cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounded {
    /// A key name or another name that is kept.
    Name,
    /// A packed block.
    Blob,
    /// A string that is not kept.
    String,
    /// A database index.
    Db,
    /// A slot.
    Slot,
}

impl std::fmt::Display for Bounded {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Bounded::Name => "a name length",
            Bounded::Blob => "a packed block length",
            Bounded::String => "a string length",
            Bounded::Db => "a database index",
            Bounded::Slot => "a slot number",
        })
    }
}
