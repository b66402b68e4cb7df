//! The keys of the last writes, for the case that those writes turn out not to be history.
//!
//! A master that dies has often told us more than the replica that takes over: some bytes of stream,
//! which nobody has any more. A replica in our place would copy everything anew. We know which keys
//! those bytes wrote, so we go back to where the histories part and read those keys again.
//!
//! ```text
//!   old half                     young half
//!   [offset db len name]...      [offset db len name]...  <- push
//!   ^ goes when the young one is full: what can be gone back to moves on with it
//! ```

/// Bytes of a half. At forty bytes a write, both remember some three thousand writes, which is more
/// than a replica that is in sync may be late.
const HALF_BYTES: usize = 64 * 1024;

/// Bytes before the name.
const HEAD: usize = 16;

/// The last writes of a keyspace.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// Every write beyond this offset is here.
    since: u64,
    old: Half,
    young: Half,
}

#[derive(Debug, Default)]
struct Half {
    bytes: Vec<u8>,
    /// Offset of the last write.
    last: u64,
}

/// A write: offset, database and name.
type Write<'a> = (u64, u32, &'a [u8]);

impl Journal {
    /// Begins anew: nothing before `offset` can be undone.
    pub(crate) fn begin(&mut self, offset: u64) {
        self.since = offset;
        self.old.bytes.clear();
        self.young.bytes.clear();
    }

    /// The earliest offset that can be gone back to.
    pub(crate) fn since(&self) -> u64 {
        self.since
    }

    /// A command that ends at `offset` wrote the key.
    #[inline]
    pub(crate) fn push(&mut self, offset: u64, db: u32, name: &[u8]) {
        if self.young.bytes.len() + HEAD + name.len() > HALF_BYTES {
            self.turn();
        }
        let len = match u32::try_from(name.len()) {
            Ok(len) if name.len() <= HALF_BYTES - HEAD => len,
            _ => return self.begin(offset),
        };
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&offset.to_le_bytes());
        head[8..12].copy_from_slice(&db.to_le_bytes());
        head[12..].copy_from_slice(&len.to_le_bytes());
        self.young.bytes.extend_from_slice(&head);
        self.young.bytes.extend_from_slice(name);
        self.young.last = offset;
    }

    #[cold]
    fn turn(&mut self) {
        std::mem::swap(&mut self.old, &mut self.young);
        if !self.young.bytes.is_empty() {
            self.since = self.young.last;
        }
        self.young.bytes.clear();
    }

    /// Takes the keys that were written beyond `offset`, each once.
    pub(crate) fn take_after(&mut self, offset: u64) -> Vec<(u32, Vec<u8>)> {
        let mut keys = Vec::new();
        for half in [&mut self.old, &mut self.young] {
            let mut keep = half.bytes.len();
            for (at, (written, db, name)) in writes(&half.bytes) {
                if written > offset {
                    keep = keep.min(at);
                    keys.push((db, name.to_vec()));
                }
            }
            half.bytes.truncate(keep);
            half.last = half.last.min(offset);
        }
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// Writes with their places.
fn writes(bytes: &[u8]) -> impl Iterator<Item = (usize, Write<'_>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (head, rest) = bytes.get(at..)?.split_first_chunk::<HEAD>()?;
        let (offset, rest_of_head) = head.split_first_chunk::<8>()?;
        let (db, len) = rest_of_head.split_first_chunk::<4>()?;
        let len = u32::from_le_bytes(*len.first_chunk()?);
        let name = rest.get(..usize::try_from(len).ok()?)?;
        let found = (
            at,
            (u64::from_le_bytes(*offset), u32::from_le_bytes(*db), name),
        );
        at += HEAD + name.len();
        Some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(keys: &[(u32, Vec<u8>)]) -> Vec<(u32, &str)> {
        let text = |name| std::str::from_utf8(name).unwrap();
        keys.iter().map(|(db, name)| (*db, text(name))).collect()
    }

    #[test]
    fn what_was_written_beyond_an_offset_is_taken_once() {
        let mut journal = Journal::default();
        journal.begin(10);
        for (offset, name) in [(20, "a"), (30, "b"), (40, "a"), (40, "c"), (50, "a")] {
            journal.push(offset, 3, name.as_bytes());
        }
        assert_eq!(names(&journal.take_after(30)), [(3, "a"), (3, "c")]);
        assert_eq!(names(&journal.take_after(30)), []);
        assert_eq!(names(&journal.take_after(10)), [(3, "a"), (3, "b")]);
        assert_eq!(journal.since(), 10);
    }

    #[test]
    fn what_is_no_longer_remembered_cannot_be_gone_back_to() {
        let mut journal = Journal::default();
        for offset in 1..=100_000 {
            journal.push(offset, 0, format!("key:{offset}").as_bytes());
        }
        let since = journal.since();
        let kept = 100_000 - since;
        assert!((2000..10_000).contains(&kept), "{kept}");
        let bytes = journal.old.bytes.len() + journal.young.bytes.len();
        assert!(bytes <= 2 * HALF_BYTES, "{bytes}");
        let taken = journal.take_after(since);
        assert_eq!(taken.len() as u64, kept);
    }

    #[test]
    fn a_name_that_does_not_fit_ends_what_can_be_undone() {
        let mut journal = Journal::default();
        journal.push(5, 0, b"a");
        journal.push(6, 0, &vec![b'x'; HALF_BYTES]);
        journal.push(7, 0, b"b");
        assert_eq!(journal.since(), 6);
        assert_eq!(names(&journal.take_after(6)), [(0, "b")]);
    }
}
