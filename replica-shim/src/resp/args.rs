//! The arguments of one request: spans into the bytes they were scanned from.
//!
//! A span is 8 bytes and relative to the request, so it survives the caller moving its buffer.
//! Arguments that were not kept are spans of a reserved length that point at their digest.

use crate::text::Text;

/// Where an argument lies. `len == Span::LONG` marks one that was not kept; `start` is then its
/// number among those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

impl Span {
    pub(crate) const LONG: u32 = u32::MAX;
}

/// An argument of which only length and digest are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LongArg {
    pub(crate) len: u64,
    pub(crate) digest: u64,
}

/// The arguments of one request, the command's name first.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) spans: &'a [Span],
    pub(crate) longs: &'a [LongArg],
}

impl<'a> Args<'a> {
    /// How many, the name included.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is nothing, not even a name (an empty line from a client).
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `index`; the name is 0.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<Text<'a>> {
        let span = *self.spans.get(index)?;
        Some(self.text(span))
    }

    /// Argument `index` if it was kept. Keys at index 1 always are.
    #[must_use]
    #[inline]
    pub fn bytes(&self, index: usize) -> Option<&'a [u8]> {
        let span = *self.spans.get(index)?;
        if span.len == Span::LONG {
            None
        } else {
            Some(self.slice(span))
        }
    }

    /// The command's name as it came, in whatever case. Empty if there are no arguments.
    #[must_use]
    #[inline]
    pub fn name(&self) -> &'a [u8] {
        self.bytes(0).unwrap_or_default()
    }

    /// The command's name in upper case, without allocation.
    #[must_use]
    #[inline]
    pub fn upper_name(&self) -> Name {
        Name::of(self.name())
    }

    /// All arguments in order.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Text<'a>> + use<'a> {
        let args = *self;
        self.spans.iter().map(move |span| args.text(*span))
    }

    #[inline]
    fn text(&self, span: Span) -> Text<'a> {
        if span.len == Span::LONG {
            return self.long(span);
        }
        Text::Bytes(self.slice(span))
    }

    #[cold]
    fn long(&self, span: Span) -> Text<'a> {
        let long = self.longs.get(span.start as usize);
        let LongArg { len, digest } = long.copied().unwrap_or(LongArg { len: 0, digest: 0 });
        Text::Long { len, digest }
    }

    #[inline]
    fn slice(&self, span: Span) -> &'a [u8] {
        let start = span.start as usize;
        let end = start.saturating_add(span.len as usize);
        self.bytes.get(start..end).unwrap_or_default()
    }
}

/// A command's name in upper case, held in place. Longer than any server's names: empty, which is
/// no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    bytes: [u8; Name::MAX],
    len: u8,
}

impl Name {
    /// The longest name held. `GEORADIUSBYMEMBER_RO` has 20 bytes; modules prefix theirs.
    pub const MAX: usize = 31;

    /// Upper-cases `name`.
    #[must_use]
    #[inline]
    pub fn of(name: &[u8]) -> Name {
        let mut bytes = [0; Name::MAX];
        match (bytes.get_mut(..name.len()), u8::try_from(name.len())) {
            (Some(slot), Ok(len)) => {
                slot.copy_from_slice(name);
                slot.make_ascii_uppercase();
                Name { bytes, len }
            }
            _ => Name { bytes, len: 0 },
        }
    }

    /// The name.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}
