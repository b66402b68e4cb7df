//! LZF, the compression of strings in a file. Decompression only.
//!
//! ```text
//!   000LLLLL                      copy L+1 literal bytes that follow
//!   LLLddddd dddddddd             copy L+2 bytes from d+1 back          (L = 1..6)
//!   111ddddd LLLLLLLL dddddddd    copy L+9 bytes from d+1 back
//! ```
//!
//! There is no end mark: the declared length decides. Three decoders, which tests hold against each
//! other: [`decode`] into a reused buffer for nearly everything, the `lzf` crate for whole large
//! blobs ([`decode_large`]), and [`Stream`], which keeps only the 8 KiB that a reference can reach
//! back, for strings of any size that are digested and not kept.
//!
//! Best case of the format is 264 bytes out of 3, worst 1 out of 2. [`check_ratio`] refuses what lies
//! outside before anything is allocated, which disposes of decompression bombs.

use super::error::LzfFault;

/// As far as a reference reaches back.
const REACH: usize = 8192;

/// Bytes that may be written past the end of the output, so that short copies can be of fixed size.
const SLACK: usize = 32;

/// Above this the crate decodes: one allocation more does not matter, and its bounds are its own.
pub(super) const LARGE_BYTES: usize = 1 << 20;

/// Whether `compressed` bytes can stand for `len` bytes at all.
pub(super) fn check_ratio(compressed: u64, len: u64) -> Result<(), LzfFault> {
    let most = compressed.saturating_mul(88).saturating_add(264);
    let least = compressed / 2;
    if len > most || len < least {
        Err(LzfFault::Ratio { compressed, len })
    } else {
        Ok(())
    }
}

/// Decodes to exactly `len` bytes, in `out`, which is only a reused space: what it held is lost and
/// it may stay larger than what is returned.
pub(super) fn decode<'o>(
    data: &[u8],
    len: usize,
    out: &'o mut Vec<u8>,
) -> Result<&'o [u8], LzfFault> {
    check_ratio(data.len() as u64, len as u64)?;
    if len > LARGE_BYTES {
        *out = decode_large(data, len)?;
        return Ok(out);
    }
    let space = len.saturating_add(SLACK);
    if out.len() < space {
        out.resize(space, 0);
    }
    let mut to = 0_usize;
    let mut rest = data;
    while let Some((&control, tail)) = rest.split_first() {
        rest = if control < 32 {
            let run = usize::from(control).wrapping_add(1);
            literals(
                tail,
                run,
                Target {
                    out,
                    at: &mut to,
                    len,
                },
            )?
        } else {
            let (back, tail) = Back::parse(control, tail)?;
            copy_back(
                back,
                Target {
                    out,
                    at: &mut to,
                    len,
                },
            )?;
            tail
        };
    }
    if to != len {
        return Err(LzfFault::Short);
    }
    out.get(..len).ok_or(LzfFault::Short)
}

/// Where decoded bytes go.
struct Target<'t> {
    /// At least [`SLACK`] longer than `len`.
    out: &'t mut [u8],
    at: &'t mut usize,
    len: usize,
}

impl Target<'_> {
    /// Takes `run` bytes from the declared length; gives where they begin.
    #[inline(always)]
    fn claim(&mut self, run: usize) -> Result<usize, LzfFault> {
        let begin = *self.at;
        let end = begin.wrapping_add(run);
        if end > self.len {
            return Err(LzfFault::Overflow);
        }
        *self.at = end;
        Ok(begin)
    }
}

#[inline(always)]
fn literals<'i>(input: &'i [u8], run: usize, mut to: Target<'_>) -> Result<&'i [u8], LzfFault> {
    let (bytes, rest) = input.split_at_checked(run).ok_or(LzfFault::Input)?;
    let begin = to.claim(run)?;
    let space = to.out.get_mut(begin..).ok_or(LzfFault::Overflow)?;
    // A run has at most 32 bytes: where there are that many, a copy of fixed size is quicker, and
    // what it writes too much is overwritten or cut off.
    if let (Some(from), Some(space)) = (input.first_chunk::<32>(), space.first_chunk_mut::<32>()) {
        *space = *from;
    } else {
        space
            .get_mut(..run)
            .ok_or(LzfFault::Overflow)?
            .copy_from_slice(bytes);
    }
    Ok(rest)
}

/// A reference to bytes already decoded.
#[derive(Clone, Copy)]
struct Back {
    run: usize,
    distance: usize,
}

impl Back {
    #[inline(always)]
    fn parse(control: u8, input: &[u8]) -> Result<(Self, &[u8]), LzfFault> {
        let (extra, input) = if control >= 0xe0 {
            let (&extra, input) = input.split_first().ok_or(LzfFault::Input)?;
            (extra, input)
        } else {
            (0, input)
        };
        let (&low, input) = input.split_first().ok_or(LzfFault::Input)?;
        let run = usize::from(control >> 5)
            .wrapping_add(usize::from(extra))
            .wrapping_add(2);
        let distance = (usize::from(control & 31) << 8 | usize::from(low)).wrapping_add(1);
        Ok((Back { run, distance }, input))
    }
}

#[inline(always)]
fn copy_back(back: Back, mut to: Target<'_>) -> Result<(), LzfFault> {
    let begin = to.claim(back.run)?;
    let from = begin.checked_sub(back.distance).ok_or(LzfFault::Distance)?;
    if back.distance >= 16 {
        // Blocks of 16 bytes do not overlap their source; the last may write into the slack.
        let mut done = 0_usize;
        while done < back.run {
            let source = to.out.get(from.wrapping_add(done)..);
            let block = source.and_then(<[u8]>::first_chunk::<16>).copied();
            let block = block.ok_or(LzfFault::Overflow)?;
            let space = to.out.get_mut(begin.wrapping_add(done)..);
            let space = space.and_then(<[u8]>::first_chunk_mut::<16>);
            *space.ok_or(LzfFault::Overflow)? = block;
            done = done.wrapping_add(16);
        }
        return Ok(());
    }
    let end = begin.wrapping_add(back.run);
    let window = to.out.get_mut(from..end).ok_or(LzfFault::Overflow)?;
    repeat(window, back.distance);
    Ok(())
}

/// Repeats the first `period` bytes of `window` to its end.
#[inline]
fn repeat(window: &mut [u8], period: usize) {
    if let (1, Some((byte, rest))) = (period, window.split_first_mut()) {
        rest.fill(*byte);
        return;
    }
    // What is filled doubles with each copy.
    let mut filled = period;
    while filled < window.len() {
        let (pattern, rest) = window.split_at_mut(filled);
        let count = rest.len().min(pattern.len());
        let (Some(to), Some(from)) = (rest.get_mut(..count), pattern.get(..count)) else {
            return;
        };
        to.copy_from_slice(from);
        filled = filled.saturating_add(count);
    }
}

/// The `lzf` crate with its gaps closed: it allocates what it is told, and takes a short result for
/// a good one.
pub(super) fn decode_large(data: &[u8], len: usize) -> Result<Vec<u8>, LzfFault> {
    check_ratio(data.len() as u64, len as u64)?;
    let out = ::lzf::decompress(data, len).map_err(|fault| match fault {
        ::lzf::LzfError::BufferTooSmall => LzfFault::Overflow,
        ::lzf::LzfError::DataCorrupted
        | ::lzf::LzfError::NoCompressionPossible
        | ::lzf::LzfError::UnknownError(_) => LzfFault::Input,
    })?;
    if out.len() == len {
        Ok(out)
    } else {
        Err(LzfFault::Short)
    }
}

/// Decodes byte by byte, wherever the input is cut, in constant memory.
///
/// ```text
///   Control --000LLLLL--> Literal (L+1 times) --> Control
///           --LLLddddd--> Low --> Control
///           --111ddddd--> Extra --> Low --> Control
/// ```
#[derive(Debug)]
pub(super) struct Stream {
    step: Step,
    /// The last bytes decoded; a sliding window that is flushed to the caller when full.
    window: Vec<u8>,
    /// Bytes at the front of the window that the caller has seen.
    flushed: usize,
    /// Bytes still to be decoded.
    left: u64,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Control,
    Literal { left: usize },
    Extra { high: u8 },
    Low { high: u8, run: usize },
}

impl Stream {
    /// A decoder for a string that declares `len` bytes.
    pub(super) fn new(len: u64) -> Self {
        Stream {
            step: Step::Control,
            window: Vec::new(),
            flushed: 0,
            left: len,
        }
    }

    /// Decodes some input, handing out what it becomes.
    pub(super) fn feed(
        &mut self,
        mut input: &[u8],
        mut out: impl FnMut(&[u8]),
    ) -> Result<(), LzfFault> {
        while let Some((&byte, tail)) = input.split_first() {
            if let Step::Literal { left } = self.step {
                let count = left.min(input.len());
                let (bytes, rest) = input.split_at_checked(count).ok_or(LzfFault::Input)?;
                self.claim(count)?;
                self.window.extend_from_slice(bytes);
                let left = left.saturating_sub(count);
                self.step = if left == 0 {
                    Step::Control
                } else {
                    Step::Literal { left }
                };
                input = rest;
            } else {
                self.control(byte)?;
                input = tail;
            }
            if self.window.len() >= REACH * 8 {
                self.flush(&mut out);
                self.window.drain(..self.window.len().saturating_sub(REACH));
                self.flushed = self.window.len();
            }
        }
        Ok(())
    }

    /// Hands out the rest, and says whether the string is whole.
    pub(super) fn finish(mut self, mut out: impl FnMut(&[u8])) -> Result<(), LzfFault> {
        self.flush(&mut out);
        match self.step {
            Step::Control if self.left == 0 => Ok(()),
            Step::Control => Err(LzfFault::Short),
            Step::Literal { .. } | Step::Extra { .. } | Step::Low { .. } => Err(LzfFault::Input),
        }
    }

    fn control(&mut self, byte: u8) -> Result<(), LzfFault> {
        self.step = match self.step {
            Step::Control | Step::Literal { .. } => match byte >> 5 {
                0 => Step::Literal {
                    left: usize::from(byte).saturating_add(1),
                },
                7 => Step::Extra { high: byte & 31 },
                run => Step::Low {
                    high: byte & 31,
                    run: usize::from(run).saturating_add(2),
                },
            },
            Step::Extra { high } => Step::Low {
                high,
                run: usize::from(byte).saturating_add(9),
            },
            Step::Low { high, run } => {
                let distance = (usize::from(high) << 8 | usize::from(byte)).saturating_add(1);
                self.copy_back(run, distance)?;
                Step::Control
            }
        };
        Ok(())
    }

    fn copy_back(&mut self, run: usize, distance: usize) -> Result<(), LzfFault> {
        self.claim(run)?;
        let begin = self.window.len();
        let from = begin.checked_sub(distance).ok_or(LzfFault::Distance)?;
        self.window.resize(begin.saturating_add(run), 0);
        if let Some(window) = self.window.get_mut(from..) {
            repeat(window, distance);
        }
        Ok(())
    }

    fn claim(&mut self, count: usize) -> Result<(), LzfFault> {
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or(LzfFault::Overflow)?;
        Ok(())
    }

    fn flush(&mut self, out: &mut impl FnMut(&[u8])) {
        if let Some(bytes) = self.window.get(self.flushed..) {
            out(bytes);
        }
        self.flushed = self.window.len();
    }
}

#[cfg(test)]
mod tests;
