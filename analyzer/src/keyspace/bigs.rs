//! Keys that a write has made big, for those who watch.
//!
//! A key is told of once, when what it was before the write lay below a limit and what it is now
//! does not. On the way of every write stand two comparisons; what is met waits in a short list for
//! the owner, and what finds no room there is only counted.

use crate::keyspace::Keyspace;
use crate::keyspace::db::Turn;
use crate::store::weigh::Weight;
use crate::value::Kind;

/// Keys that wait to be taken.
const MET_MAX: usize = 256;

/// Bytes of a name that are kept.
const NAME_MAX: usize = 1024;

/// From when on a key is big.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BigLimits {
    /// MEMORY USAGE, bytes; `u64::MAX` is never.
    pub bytes: u64,
    /// Elements of a collection; `u64::MAX` is never.
    pub elements: u64,
}

impl BigLimits {
    /// No key is big.
    pub const NEVER: BigLimits = BigLimits {
        bytes: u64::MAX,
        elements: u64::MAX,
    };
}

/// A key that has become big.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Big {
    /// Logical database.
    pub db: u32,
    /// Its name, of which at most 1024 bytes are kept.
    pub name: Vec<u8>,
    /// Bytes of the whole name.
    pub name_bytes: u64,
    /// Type.
    pub kind: Kind,
    /// MEMORY USAGE before the write and after it, bytes; 0 before there was a key.
    pub bytes: (u64, u64),
    /// Elements before and after; both 0 for strings.
    pub elements: (u64, u64),
    /// Offset behind the write.
    pub end_offset: u64,
}

/// Keys that became big and were not taken yet.
#[derive(Debug)]
pub(in crate::keyspace) struct Bigs {
    limits: BigLimits,
    met: Vec<Big>,
    lost: u64,
}

impl Default for Bigs {
    fn default() -> Bigs {
        Bigs {
            limits: BigLimits::NEVER,
            met: Vec::new(),
            lost: 0,
        }
    }
}

impl Bigs {
    /// True if a key of that weight is looked at: it is beyond a limit, or a string as long as a
    /// collection may have elements, which costs only a closer look.
    #[inline]
    pub(in crate::keyspace) fn may_be(&self, after: Option<&Weight>) -> bool {
        after.is_some_and(|weight| {
            weight.bytes >= self.limits.bytes || weight.count >= self.limits.elements
        })
    }

    #[cold]
    pub(in crate::keyspace) fn note(&mut self, (db, name): (u32, &[u8]), turn: &Turn, at: u64) {
        let Some(now) = &turn.after else { return };
        let kind = now.form.kind();
        let elements = |weight: &Weight| match weight.form.kind() {
            Kind::String => 0,
            Kind::List | Kind::Set | Kind::Zset | Kind::Hash | Kind::Stream | Kind::Module => {
                weight.count
            }
        };
        let before = turn.before.as_ref();
        let bytes = (before.map_or(0, |weight| weight.bytes), now.bytes);
        let elements = (before.map_or(0, elements), elements(now));
        let crossed = |(before, after): (u64, u64), limit| before < limit && after >= limit;
        if !crossed(bytes, self.limits.bytes) && !crossed(elements, self.limits.elements) {
            return;
        }
        if self.met.len() >= MET_MAX {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        self.met.push(Big {
            db,
            name: name.iter().take(NAME_MAX).copied().collect(),
            name_bytes: name.len() as u64,
            kind,
            bytes,
            elements,
            end_offset: at,
        });
    }
}

impl Keyspace {
    /// From when on a key is big; until told, none ever is.
    pub fn watch_big(&mut self, limits: BigLimits) {
        self.bigs.limits = limits;
    }

    /// Keys that became big since the last call, and how many more there were.
    pub fn take_big(&mut self) -> (Vec<Big>, u64) {
        if self.bigs.met.is_empty() {
            return (Vec::new(), 0);
        }
        let lost = std::mem::take(&mut self.bigs.lost);
        (std::mem::take(&mut self.bigs.met), lost)
    }
}
