//! Placeholder of Set until its owner lands.

use crate::profile::Profile;
use crate::value::Encoding;

/// A set.
#[derive(Clone, Debug)]
pub struct Set {}

impl Set {
    /// Elements.
    pub fn count(&self) -> u64 {
        0
    }
    /// Encoding.
    pub fn encoding(&self) -> Encoding {
        Encoding::Raw
    }
    /// Bytes of the value part of MEMORY USAGE.
    pub fn memory(&self, _profile: &Profile) -> u64 {
        0
    }
    /// Bytes the model allocates.
    pub fn heap_bytes(&self) -> usize {
        0
    }
}
