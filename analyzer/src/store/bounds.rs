//! What no record of a page, or of several, is beyond.

use crate::store::weigh::Weight;

/// Largest bounds that are handed on without looking at the records again.
const COARSE: u64 = 1024;

/// Limits that some records do not go beyond; they may be higher than need be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// None takes more bytes of the server's memory.
    pub(crate) bytes: u64,
    /// None has more elements.
    pub(crate) count: u64,
}

impl Bounds {
    /// Those of one record.
    #[inline]
    pub(crate) fn of(weight: &Weight) -> Bounds {
        Bounds {
            bytes: weight.bytes,
            count: weight.count,
        }
    }

    /// Takes other records in.
    #[inline]
    pub(crate) fn raise(&mut self, other: Bounds) {
        self.bytes = self.bytes.max(other.bytes);
        self.count = self.count.max(other.count);
    }

    /// True if they are so low that it is not worth while to make them exact.
    #[inline]
    pub(crate) fn is_coarse(self) -> bool {
        self.bytes.max(self.count) <= COARSE
    }
}
