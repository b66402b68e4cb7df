//! A stream (its builder's shape for now).

use crate::command::Malformed;
use crate::input::{Part, Source};
use crate::profile::Profile;
use crate::value::Encoding;

/// A stream.
#[derive(Clone, Debug)]
pub struct Stream {}

impl Stream {
    /// Live entries.
    pub fn count(&self) -> u64 {
        0
    }
    /// Bytes of the value part of MEMORY USAGE, the 16 of the object included.
    pub fn memory(&self, _profile: &Profile) -> u64 {
        0
    }
    /// Bytes the model allocates.
    pub fn heap_bytes(&self) -> usize {
        0
    }
    /// A stream never lives in a record.
    pub fn pack(&self, _out: &mut Vec<u8>) -> bool {
        false
    }
    /// A stream never lives in a record.
    pub fn unpack(_encoding: Encoding, _bytes: &[u8]) -> Option<Stream> {
        None
    }
    /// For tests.
    pub fn describe(&self) -> String {
        String::new()
    }
}

/// Takes the parts of a stream.
#[derive(Debug)]
pub struct Builder {}

impl Builder {
    /// A builder for one stream.
    pub fn new(_source: Source, _profile: &Profile, _seed: u64) -> Builder {
        Builder {}
    }
    /// Takes one part.
    ///
    /// # Errors
    /// If the part is not one of a stream.
    pub fn part(&mut self, _part: &Part<'_>) -> Result<(), Malformed> {
        Ok(())
    }
    /// The stream.
    pub fn finish(self) -> Option<Stream> {
        None
    }
}
