//! What of a command has left the caller's buffer: its arguments, in one arena.
//!
//! The arena also holds whole transactions, one command behind the other. It is addressed by 32
//! bits, which its limits respect: one transaction and one command.

use std::fmt;

use xxhash_rust::xxh3::Xxh3;

use crate::limits;
use crate::resp::{Args, Fault, LongArg, Span};

/// An argument that is consumed in pieces.
#[derive(Debug)]
pub(super) struct Large {
    left: u64,
    len: u64,
    into: Into,
}

impl Large {
    /// One of which only the digest is kept.
    pub(super) fn digest(len: u64, seed: u64) -> Large {
        Large {
            left: len,
            len,
            into: Into::Digest(Box::new(Xxh3::with_seed(seed))),
        }
    }
}

/// Where the bytes of a large argument go.
enum Into {
    /// To the arena, from here on.
    Kept(u32),
    /// Into this and away.
    Digest(Box<Xxh3>),
}

impl fmt::Debug for Into {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Into::Kept(_) => "Kept",
            Into::Digest(_) => "Digest",
        })
    }
}

/// The arena.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    longs: Vec<LongArg>,
}

impl Kept {
    /// How many arguments there are.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// A run of them.
    pub(crate) fn args(&self, from: usize, to: usize) -> Args<'_> {
        let spans = self.spans.get(from..to).unwrap_or_default();
        Args {
            bytes: &self.bytes,
            spans,
            longs: &self.longs,
        }
    }

    /// Drops the last ones.
    pub(super) fn truncate(&mut self, to: usize) {
        self.spans.truncate(to);
    }

    /// Drops all, and gives back what was much.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.longs.clear();
        self.bytes.shrink_to(limits::IDLE_CAPACITY);
        self.spans.shrink_to(limits::IDLE_CAPACITY >> 3);
        self.longs.shrink_to(limits::IDLE_CAPACITY >> 4);
    }

    /// Whether `more` bytes may be kept.
    pub(super) fn check(&self, more: u64) -> Result<(), Fault> {
        const MAX: u64 = limits::COMMAND_KEPT_BYTES_MAX as u64 + limits::TRANSACTION_BYTES;
        let got = (self.bytes.len() as u64).saturating_add(more);
        if got > MAX {
            return Err(Fault::TooBig {
                what: "command",
                max: MAX,
                got,
            });
        }
        Ok(())
    }

    /// Copies arguments of another buffer. Those that are whole lie in one piece there, so that is one
    /// copy, headers between them included.
    pub(crate) fn absorb(&mut self, args: &Args<'_>) -> Result<(), Fault> {
        let mut whole = args.spans.iter().filter(|span| span.len != Span::LONG);
        let first = whole.next();
        let last = whole.next_back().or(first);
        let (Some(first), Some(last)) = (first, last) else {
            return self.refer(args, |span| span);
        };
        let from = first.start as usize;
        let to = (last.start as usize).saturating_add(last.len as usize);
        let base = address(self.bytes.len())?;
        self.bytes
            .extend_from_slice(args.bytes.get(from..to).unwrap_or_default());
        address(self.bytes.len())?;
        self.refer(args, |span| Span {
            start: span.start.wrapping_sub(first.start).wrapping_add(base),
            len: span.len,
        })
    }

    /// Enters arguments whose bytes are here already.
    #[inline]
    fn refer(&mut self, args: &Args<'_>, moved: impl Fn(Span) -> Span) -> Result<(), Fault> {
        if args.longs.is_empty() {
            self.spans
                .extend(args.spans.iter().map(|span| moved(*span)));
            return Ok(());
        }
        for span in args.spans {
            let span = match args.longs.get(span.start as usize) {
                Some(long) if span.len == Span::LONG => {
                    let start = address(self.longs.len())?;
                    self.longs.push(*long);
                    Span { start, ..*span }
                }
                Some(_) | None => moved(*span),
            };
            self.spans.push(span);
        }
        Ok(())
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Begins an argument that is kept whole.
    pub(super) fn begin(&self, len: u64) -> Result<Large, Fault> {
        Ok(Large {
            left: len,
            len,
            into: Into::Kept(address(self.bytes.len())?),
        })
    }

    /// Consumes from a large argument and its CRLF; says how many bytes, and whether that was all.
    pub(super) fn take(&mut self, large: &mut Large, view: &[u8]) -> Result<(usize, bool), Fault> {
        let fits = usize::try_from(large.left)
            .unwrap_or(usize::MAX)
            .min(view.len());
        let (piece, after) = view.split_at_checked(fits).unwrap_or((view, &[]));
        match &mut large.into {
            Into::Kept(_) => self.bytes.extend_from_slice(piece),
            Into::Digest(digest) => digest.update(piece),
        }
        large.left = large.left.saturating_sub(piece.len() as u64);
        if large.left > 0 {
            return Ok((fits, false));
        }
        match after {
            [b'\r', b'\n', ..] => {}
            [] | [b'\r'] => return Ok((fits, false)),
            _ => return Err(Fault::Terminator),
        }
        self.finish(large)?;
        Ok((fits.saturating_add(2), true))
    }

    /// Enters a large argument among the others.
    fn finish(&mut self, large: &Large) -> Result<(), Fault> {
        let span = match &large.into {
            Into::Kept(start) => {
                let len = u32::try_from(large.len).map_err(|_| too_much(self.bytes.len()))?;
                Span { start: *start, len }
            }
            Into::Digest(digest) => {
                let start = address(self.longs.len())?;
                self.longs.push(LongArg {
                    len: large.len,
                    digest: digest.digest(),
                });
                Span {
                    start,
                    len: Span::LONG,
                }
            }
        };
        self.spans.push(span);
        Ok(())
    }
}

/// A place in the arena.
fn address(place: usize) -> Result<u32, Fault> {
    u32::try_from(place).map_err(|_| too_much(place))
}

#[cold]
fn too_much(got: usize) -> Fault {
    Fault::TooBig {
        what: "command",
        max: u64::from(u32::MAX),
        got: got as u64,
    }
}
