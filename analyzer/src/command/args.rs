//! The arguments of one command, read by position.

use crate::command::Malformed;
use crate::text::Text;

/// The whole argument vector, the command's name first.
#[derive(Clone, Copy)]
pub(crate) struct Args<'a>(pub(crate) &'a [Text<'a>]);

impl<'a> Args<'a> {
    /// How many, the name included.
    pub(crate) fn len(self) -> usize {
        self.0.len()
    }

    /// Argument `i`; the name is 0.
    pub(crate) fn get(self, i: usize) -> Result<Text<'a>, Malformed> {
        self.0.get(i).copied().ok_or(Malformed)
    }

    /// The arguments from `i` on; empty if there are none.
    pub(crate) fn from(self, i: usize) -> &'a [Text<'a>] {
        self.0.get(i..).unwrap_or(&[])
    }

    /// Argument `i` as a key name. A name too long to be kept is malformed here: the caller
    /// counts it and says so.
    pub(crate) fn key(self, i: usize) -> Result<&'a [u8], Malformed> {
        match self.get(i)? {
            Text::Bytes(bytes) => Ok(bytes),
            Text::Int(_) | Text::Long { .. } => Err(Malformed),
        }
    }

    /// Argument `i` as a 64-bit integer.
    pub(crate) fn int(self, i: usize) -> Result<i64, Malformed> {
        self.get(i)?.int().ok_or(Malformed)
    }

    /// Argument `i` as a count or index that is not negative.
    pub(crate) fn count(self, i: usize) -> Result<u64, Malformed> {
        u64::try_from(self.int(i)?).map_err(|_| Malformed)
    }

    /// True if argument `i` is there and is `word` (upper case) in any case.
    pub(crate) fn is(self, i: usize, word: &str) -> bool {
        self.0.get(i).is_some_and(|text| text.is(word))
    }
}
