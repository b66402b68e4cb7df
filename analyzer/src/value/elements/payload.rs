//! What follows the fingerprint in a record.
//!
//! ```text
//! set member    Info
//! hash field    [0xF0 expiry, 6 bytes le: unix ms | 0xF1 room for an expiry that is gone]
//!               [0xF2 block larger than its content, in eighths] Info of the field, Info of the value
//! scored        Info of the member, score
//! score         0xE0..=0xE8 integer as in Info | 0xF4 f32 | 0xF8 f64, little-endian
//! ```
//!
use crate::text::Text;
use crate::value::info::Info;

/// The payload of one type of collection: enough to step over it.
pub(crate) trait Payload {
    /// Bytes that the payload at the front of `bytes` takes.
    fn width(bytes: &[u8]) -> usize;

    /// The same for the usual payloads, from a window that the payload begins at `at` (at most 8)
    /// in; 0 for all others.
    fn quick(window: &[u8; 16], at: usize) -> usize;
}

const TEXT_FORMS: u8 = 0xDE;
const NUMBERS: u8 = 0xE0;
const EXPIRY: u8 = 0xF0;
const EXPIRY_WIDTH: usize = 7;
const TIMED: u8 = 0xF1;
const KEPT: u8 = 0xF2;
const KEPT_WIDTH: usize = 2;
const SCORE32: u8 = 0xF4;
const SCORE64: u8 = 0xF8;

/// Width of the info that begins with `first`; most are one byte, and the branch predicts that.
#[inline]
fn info_width(first: u8) -> usize {
    if first < TEXT_FORMS {
        1
    } else {
        Info::width(first)
    }
}

/// Marks set elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemberRecord;

impl Payload for MemberRecord {
    #[inline]
    fn width(bytes: &[u8]) -> usize {
        bytes.first().map_or(1, |&first| info_width(first))
    }

    #[inline]
    fn quick(window: &[u8; 16], at: usize) -> usize {
        usize::from(window[at & 15] < TEXT_FORMS)
    }
}

/// Marks hash elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldRecord;

impl Payload for FieldRecord {
    #[inline]
    fn width(bytes: &[u8]) -> usize {
        let at = |i: usize| bytes.get(i).copied().unwrap_or(0);
        let mut width = 0;
        match at(0) {
            EXPIRY => width = EXPIRY_WIDTH,
            TIMED => width = 1,
            _ => {}
        }
        if at(width) == KEPT {
            width += KEPT_WIDTH;
        }
        width += info_width(at(width));
        width + info_width(at(width))
    }

    #[inline]
    fn quick(window: &[u8; 16], at: usize) -> usize {
        let (name, value) = (window[at & 15], window[(at + 1) & 15]);
        if name >= TEXT_FORMS {
            0
        } else if value < TEXT_FORMS {
            2
        } else if value >= NUMBERS {
            // An integer by value: its width is in the code.
            2 + usize::from(value - NUMBERS)
        } else {
            0
        }
    }
}

/// Marks sorted-set elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScoredRecord;

impl Payload for ScoredRecord {
    #[inline]
    fn width(bytes: &[u8]) -> usize {
        let at = |i: usize| bytes.get(i).copied().unwrap_or(0);
        let width = info_width(at(0));
        width + score_width(at(width))
    }

    #[inline]
    fn quick(window: &[u8; 16], at: usize) -> usize {
        let (text, score) = (window[at & 15], window[(at + 1) & 15]);
        if text >= TEXT_FORMS {
            return 0;
        }
        // Both the integers' codes and the doubles' say how many bytes follow.
        match score {
            SCORE32 => 6,
            SCORE64 => 10,
            _ => 2 + usize::from(score.saturating_sub(NUMBERS)),
        }
    }
}

fn score_width(tag: u8) -> usize {
    match tag {
        SCORE32 => 5,
        SCORE64 => 9,
        _ => Info::width(tag),
    }
}

/// Room for the largest payload: expiry and two infos of nine bytes.
pub(super) const PAYLOAD_MAX: usize = 32;

/// A packed payload on the stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed {
    bytes: [u8; PAYLOAD_MAX],
    len: usize,
}

impl Packed {
    #[inline]
    fn new() -> Packed {
        Packed {
            bytes: [0; PAYLOAD_MAX],
            len: 0,
        }
    }

    /// A payload as it lies in a record.
    pub(super) fn of(payload: &[u8]) -> Packed {
        let mut out = Packed::new();
        out.push(payload);
        out
    }

    /// The bytes, and zeros behind them.
    #[inline]
    pub(super) fn whole(&self) -> &[u8; PAYLOAD_MAX] {
        &self.bytes
    }

    #[inline]
    fn push(&mut self, more: &[u8]) {
        self.bytes[self.len..self.len + more.len()].copy_from_slice(more);
        self.len += more.len();
    }

    #[inline]
    fn put_info(&mut self, info: &Info) {
        match info.short() {
            Some(byte) => self.extend([byte]),
            None => info.put(self),
        }
    }

    /// The bytes.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Extend<u8> for Packed {
    #[inline]
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        for byte in bytes {
            self.bytes[self.len] = byte;
            self.len += 1;
        }
    }
}

/// A set member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) text: Info,
}

impl Member {
    /// What is kept of a member.
    #[inline]
    pub(crate) fn of(text: &Text<'_>) -> Member {
        Member {
            text: Info::of(text),
        }
    }

    #[inline]
    pub(crate) fn pack(&self) -> Packed {
        let mut out = Packed::new();
        out.put_info(&self.text);
        out
    }

    pub(crate) fn unpack(bytes: &[u8]) -> Member {
        Member {
            text: info_at(bytes).0,
        }
    }
}

/// A hash field and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: Info,
    /// Kept as a number if it is one, for HINCRBY.
    pub(crate) value: Info,
    /// Unix milliseconds.
    pub(crate) expire_ms: Option<i64>,
    /// The server's block for it.
    pub(crate) block: Block,
}

/// What is special about the block of a hash field in a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Block {
    /// Nothing: it is as its content needs it.
    #[default]
    Usual,
    /// It has room for an expiry that is gone (Redis 7.4 and later).
    Timed,
    /// It was made for more and stayed: its size in eighths (Valkey 8.1 and later).
    Kept(u8),
}

impl Field {
    /// What is kept of a field that does not expire.
    #[inline]
    pub(crate) fn of(name: &Text<'_>, value: &Text<'_>) -> Field {
        Field {
            name: Info::of(name),
            value: value_info(value),
            expire_ms: None,
            block: Block::Usual,
        }
    }

    #[inline]
    pub(crate) fn pack(&self) -> Packed {
        let mut out = Packed::new();
        if let Some(ms) = self.expire_ms {
            // 48 bits of milliseconds last until the year 10889; servers stop at 46.
            out.push(&[EXPIRY]);
            out.push(&ms.to_le_bytes()[..EXPIRY_WIDTH - 1]);
        }
        match self.block {
            // Beside an expiry it goes without saying.
            Block::Timed if self.expire_ms.is_none() => out.push(&[TIMED]),
            Block::Usual | Block::Timed => {}
            Block::Kept(eighths) => out.push(&[KEPT, eighths]),
        }
        out.put_info(&self.name);
        out.put_info(&self.value);
        out
    }

    pub(crate) fn unpack(bytes: &[u8]) -> Field {
        let mut rest = bytes;
        let mut expire_ms = None;
        if let Some((&EXPIRY, tail)) = bytes.split_first() {
            let (ms, tail) = tail.split_at(tail.len().min(EXPIRY_WIDTH - 1));
            let mut wide = [0; 8];
            wide[..ms.len()].copy_from_slice(ms);
            expire_ms = Some(i64::from_le_bytes(wide));
            rest = tail;
        }
        let mut block = Block::Usual;
        if let Some((&TIMED, tail)) = rest.split_first() {
            block = Block::Timed;
            rest = tail;
        }
        if let Some((&[KEPT, eighths], tail)) = rest.split_first_chunk() {
            block = Block::Kept(eighths);
            rest = tail;
        }
        let (name, width) = info_at(rest);
        let (value, _) = info_at(rest.get(width..).unwrap_or(&[]));
        Field {
            name,
            value,
            expire_ms,
            block,
        }
    }
}

/// The info of a hash value: by number if it is one.
#[inline]
pub(crate) fn value_info(value: &Text<'_>) -> Info {
    match value.int() {
        Some(n) => Info::number(n),
        None => Info::text(value.len()),
    }
}

/// A score; never NaN.
type Score = f64;

/// A member of a sorted set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scored {
    pub(crate) text: Info,
    pub(crate) score: Score,
}

impl Scored {
    #[inline]
    pub(crate) fn pack(&self) -> Packed {
        let mut out = Packed::new();
        out.put_info(&self.text);
        if let Some(n) = exact_int(self.score) {
            out.put_info(&Info::number(n));
            return out;
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "used only if it comes back the same"
        )]
        let short = self.score as f32;
        if f64::from(short).to_bits() == self.score.to_bits() {
            out.push(&[SCORE32]);
            out.push(&short.to_le_bytes());
        } else {
            out.push(&[SCORE64]);
            out.push(&self.score.to_le_bytes());
        }
        out
    }

    pub(crate) fn unpack(bytes: &[u8]) -> Scored {
        let (text, width) = info_at(bytes);
        let rest = bytes.get(width..).unwrap_or(&[]);
        Scored {
            text,
            score: score_at(rest),
        }
    }
}

fn score_at(bytes: &[u8]) -> Score {
    let Some((&tag, rest)) = bytes.split_first() else {
        return 0.0;
    };
    match tag {
        SCORE32 => f64::from(f32::from_le_bytes(
            rest.first_chunk().copied().unwrap_or_default(),
        )),
        SCORE64 => f64::from_le_bytes(rest.first_chunk().copied().unwrap_or_default()),
        #[expect(
            clippy::cast_precision_loss,
            reason = "only integers that a double holds exactly are packed"
        )]
        _ => Info::get(bytes)
            .and_then(|(info, _)| info.number)
            .unwrap_or(0) as f64,
    }
}

/// The integer that a score is, if packing it as one is exact and shorter.
#[inline]
fn exact_int(score: Score) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if score.abs() > EXACT || score.fract() != 0.0 || (score == 0.0 && score.is_sign_negative()) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "integral and within 2^53")]
    let n = score as i64;
    Some(n)
}

/// The info at the front of `bytes` and its width; records are only ever written by `pack`.
fn info_at(bytes: &[u8]) -> (Info, usize) {
    Info::get(bytes).unwrap_or((Info::text(0), 1))
}
