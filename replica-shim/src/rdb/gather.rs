//! Items too large to wait for in one piece.
//!
//! The parsers of items are deterministic: given the same parts they ask for the same next part. So
//! a large item is parsed by asking, gathering, and asking again:
//!
//! ```text
//!   parts = []
//!   loop: replay the parser over parts
//!           it is content          -> the item is out, done
//!           it asks for one more   -> gather that part from the input, however long it takes
//! ```
//!
//! A gathered string is kept if its role needs the bytes, digested if it is a long element, and
//! counted if only its size matters; so memory is bounded by what the item needs, and grows only
//! with bytes that have arrived. An item has a handful of parts, so a replay costs nothing beside the
//! 64 KiB that make an item large.

use super::error::ErrorKind;
use super::limits::VALUE_KEPT_MAX;
use super::lzf;
use super::read::{Cursor, Head, Parts, Raw, Role, Stop, is_long};
use std::fmt;
use xxhash_rust::xxh3::Xxh3;

/// A part that a parser asked for.
#[derive(Debug, Clone, Copy)]
enum Want {
    String(Role),
    Length,
    Array(usize),
    Double,
}

/// A part that is there.
#[derive(Debug)]
enum Part {
    Plain(Vec<u8>),
    Int(i64),
    Lzf {
        data: Vec<u8>,
        len: u64,
    },
    Gone {
        len: u64,
        digest: u64,
        compressed: Option<u64>,
    },
    Length(u64),
    Array([u8; 16]),
    Double(f64),
}

/// A string that is passing by.
enum Body {
    Keep { bytes: Vec<u8>, lzf: Option<u64> },
    Digest(Box<Xxh3>),
    DigestLzf(Box<(Xxh3, lzf::Stream)>),
    Skip,
}

impl fmt::Debug for Body {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Body::Keep { .. } => "Keep",
            Body::Digest(_) => "Digest",
            Body::DigestLzf(_) => "DigestLzf",
            Body::Skip => "Skip",
        })
    }
}

#[derive(Debug)]
struct Passing {
    /// Bytes of input it still has.
    left: u64,
    /// Length of the string it stands for.
    len: u64,
    /// Length in the file if it is compressed.
    compressed: Option<u64>,
    body: Body,
}

/// An item under way.
#[derive(Debug)]
pub(super) struct Gather {
    /// Each with the offset of its end.
    parts: Vec<(Part, u64)>,
    start: u64,
    seed: u64,
    want: Option<Want>,
    passing: Option<Passing>,
}

impl Gather {
    /// For the item that begins at an offset.
    pub(super) fn new(start: u64, seed: u64) -> Self {
        Gather {
            parts: Vec::new(),
            start,
            seed,
            want: None,
            passing: None,
        }
    }

    /// The parts so far, to be parsed.
    pub(super) fn replay(&self) -> Replay<'_> {
        Replay {
            parts: &self.parts,
            at: 0,
            start: self.start,
            want: None,
        }
    }

    /// Takes over what a replay found missing.
    pub(super) fn want(&mut self, missing: Missing) {
        self.want = missing.0;
    }

    /// Gathers the missing part. [`Stop::Short`] when the input is used up before; what then is left
    /// of the input are at most a few bytes of a header.
    pub(super) fn advance(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        let Some(want) = self.want else { return Ok(()) };
        let mark = cursor.mark();
        let part = self.part(want, cursor).inspect_err(|_| {
            // A string that is passing has used up the input; anything else is read again whole.
            if self.passing.is_none() {
                cursor.reset(mark);
            }
        })?;
        self.parts.push((part, cursor.position()));
        self.want = None;
        Ok(())
    }

    fn part(&mut self, want: Want, cursor: &mut Cursor<'_>) -> Result<Part, Stop> {
        Ok(match want {
            Want::String(role) => return self.string(role, cursor),
            Want::Length => Part::Length(cursor.length()?),
            Want::Double => Part::Double(cursor.text_double()?),
            Want::Array(size) => {
                let mut bytes = [0; 16];
                if cursor.rest().len() < size {
                    return Err(Stop::Short);
                }
                let taken = cursor.take(size as u64);
                for (to, from) in bytes.iter_mut().zip(taken) {
                    *to = *from;
                }
                Part::Array(bytes)
            }
        })
    }

    fn string(&mut self, role: Role, cursor: &mut Cursor<'_>) -> Result<Part, Stop> {
        let mut passing = match self.passing.take() {
            Some(passing) => passing,
            None => match cursor.string_head(role)? {
                Head::Int(number) => return Ok(Part::Int(number)),
                Head::Plain { len } => {
                    let body = plain_body(role, len, self.seed);
                    Passing {
                        left: len,
                        len,
                        compressed: None,
                        body,
                    }
                }
                Head::Lzf { compressed, len } => {
                    let body = compressed_body(role, len, self.seed);
                    Passing {
                        left: compressed,
                        len,
                        compressed: Some(compressed),
                        body,
                    }
                }
            },
        };
        let bytes = cursor.take(passing.left);
        passing.left = passing.left.saturating_sub(bytes.len() as u64);
        passing.body.feed(bytes)?;
        if passing.left > 0 {
            self.passing = Some(passing);
            return Err(Stop::Short);
        }
        Ok(passing.body.finish(passing.len, passing.compressed)?)
    }
}

fn plain_body(role: Role, len: u64, seed: u64) -> Body {
    let keep = Body::Keep {
        bytes: Vec::new(),
        lzf: None,
    };
    match role {
        Role::Name | Role::Blob => keep,
        Role::Element if is_long(len) => Body::Digest(Box::new(Xxh3::with_seed(seed))),
        Role::Element => keep,
        Role::Size if len > VALUE_KEPT_MAX => Body::Skip,
        Role::Size => keep,
    }
}

fn compressed_body(role: Role, len: u64, seed: u64) -> Body {
    let keep = Body::Keep {
        bytes: Vec::new(),
        lzf: Some(len),
    };
    match role {
        Role::Name | Role::Blob => keep,
        Role::Element if is_long(len) => {
            Body::DigestLzf(Box::new((Xxh3::with_seed(seed), lzf::Stream::new(len))))
        }
        Role::Element => keep,
        Role::Size if len > VALUE_KEPT_MAX => Body::Skip,
        Role::Size => keep,
    }
}

impl Body {
    fn feed(&mut self, input: &[u8]) -> Result<(), ErrorKind> {
        match self {
            Body::Keep { bytes, .. } => bytes.extend_from_slice(input),
            Body::Digest(digest) => digest.update(input),
            Body::DigestLzf(both) => {
                let (digest, stream) = &mut **both;
                stream.feed(input, |bytes| digest.update(bytes))?;
            }
            Body::Skip => {}
        }
        Ok(())
    }

    fn finish(self, len: u64, compressed: Option<u64>) -> Result<Part, ErrorKind> {
        Ok(match self {
            Body::Keep { bytes, lzf: None } => Part::Plain(bytes),
            Body::Keep {
                bytes,
                lzf: Some(len),
            } => Part::Lzf { data: bytes, len },
            Body::Digest(digest) => Part::Gone {
                len,
                digest: digest.digest(),
                compressed,
            },
            Body::DigestLzf(both) => {
                let (mut digest, stream) = *both;
                stream.finish(|bytes| digest.update(bytes))?;
                Part::Gone {
                    len,
                    digest: digest.digest(),
                    compressed,
                }
            }
            Body::Skip => Part::Gone {
                len,
                digest: 0,
                compressed,
            },
        })
    }
}

/// The digest of a long compressed string that is all there, the same as if it had been gathered.
pub(super) fn digest_lzf(data: &[u8], len: u64, seed: u64) -> Result<u64, ErrorKind> {
    let (mut digest, mut stream) = (Xxh3::with_seed(seed), lzf::Stream::new(len));
    stream.feed(data, |bytes| digest.update(bytes))?;
    stream.finish(|bytes| digest.update(bytes))?;
    Ok(digest.digest())
}

/// What a replay found missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missing(Option<Want>);

/// Gathered parts, in the order in which they are asked for.
#[derive(Debug)]
pub(super) struct Replay<'g> {
    parts: &'g [(Part, u64)],
    at: usize,
    start: u64,
    want: Option<Want>,
}

impl<'g> Replay<'g> {
    /// Whether any part was used up, that is, the item is out.
    pub(super) fn is_used(&self) -> bool {
        self.at > 0
    }

    /// What was missing.
    pub(super) fn missing(&self) -> Missing {
        Missing(self.want)
    }

    fn next(&mut self, want: Want) -> Result<&'g Part, Stop> {
        let Some((part, _)) = self.parts.get(self.at) else {
            self.want = Some(want);
            return Err(Stop::Short);
        };
        self.at = self.at.saturating_add(1);
        Ok(part)
    }
}

/// The parser asked for another part than it asked for before.
const FICKLE: &str = "a parser asks for the same parts each time";

impl<'g> Parts<'g> for Replay<'g> {
    type Mark = usize;

    fn mark(&self) -> usize {
        self.at
    }

    fn reset(&mut self, mark: usize) {
        self.at = mark;
    }

    fn position(&self) -> u64 {
        let last = self.at.checked_sub(1).and_then(|last| self.parts.get(last));
        last.map_or(self.start, |(_, end)| *end)
    }

    fn string(&mut self, role: Role) -> Result<Raw<'g>, Stop> {
        Ok(match self.next(Want::String(role))? {
            Part::Plain(bytes) => Raw::Plain(bytes),
            Part::Int(number) => Raw::Int(*number),
            Part::Lzf { data, len } => Raw::Lzf { data, len: *len },
            Part::Gone {
                len,
                digest,
                compressed,
            } => Raw::Gone {
                len: *len,
                digest: *digest,
                compressed: *compressed,
            },
            Part::Length(_) | Part::Array(_) | Part::Double(_) => {
                debug_assert!(false, "{FICKLE}");
                Raw::Plain(&[])
            }
        })
    }

    fn length(&mut self) -> Result<u64, Stop> {
        let part = self.next(Want::Length)?;
        debug_assert!(matches!(part, Part::Length(_)), "{FICKLE}");
        if let Part::Length(length) = part {
            Ok(*length)
        } else {
            Ok(0)
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let part = self.next(Want::Array(N))?;
        debug_assert!(matches!(part, Part::Array(_)) && N <= 16, "{FICKLE}");
        let Part::Array(bytes) = part else {
            return Ok([0; N]);
        };
        Ok(*bytes.first_chunk::<N>().unwrap_or(&[0; N]))
    }

    fn text_double(&mut self) -> Result<f64, Stop> {
        let part = self.next(Want::Double)?;
        debug_assert!(matches!(part, Part::Double(_)), "{FICKLE}");
        if let Part::Double(value) = part {
            Ok(*value)
        } else {
            Ok(0.0)
        }
    }
}
