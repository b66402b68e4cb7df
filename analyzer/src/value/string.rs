//! Placeholder of Str until its owner lands.

use crate::profile::Profile;
use crate::value::Encoding;

/// A string.
#[derive(Clone, Debug)]
pub struct Str {}

impl Str {
    /// Bytes.
    pub fn len(&self) -> u64 {
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
}
