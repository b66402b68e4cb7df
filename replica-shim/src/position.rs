//! Where we are in a master's history: `replid:offset`, and the database selected there.
//!
//! An offset means something only within one replid, so positions are compared through methods that
//! look at the replid first. The database belongs to the position because `+CONTINUE` does not
//! repeat the SELECT that came before our offset.

use std::fmt;

/// The name of one history: 40 hexadecimal digits, lower case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplId([u8; 40]);

impl ReplId {
    /// Parses 40 hexadecimal digits of either case.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<ReplId> {
        let mut id: [u8; 40] = text.try_into().ok()?;
        if !id.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        id.make_ascii_lowercase();
        Some(ReplId(id))
    }

    /// The 40 digits.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 40] {
        &self.0
    }
}

impl fmt::Display for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{}", char::from(byte))?;
        }
        Ok(())
    }
}

impl fmt::Debug for ReplId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A count of stream bytes since the history began. The byte after offset `n` is number `n + 1`,
/// which is what PSYNC asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Offset(pub u64);

impl Offset {
    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    /// Bytes from `earlier` to here; zero if we are not beyond it.
    #[must_use]
    pub fn bytes_since(self, earlier: Offset) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The offset `bytes` further on.
    #[must_use]
    pub fn advanced(self, bytes: u64) -> Offset {
        Offset(self.0.saturating_add(bytes))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Everything a new connection needs to continue where the last one stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The history.
    pub replid: ReplId,
    /// The last byte that was applied.
    pub offset: Offset,
    /// The database selected at that byte.
    pub db: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.replid, self.offset)
    }
}

/// What a server's `INFO replication` says about its history and backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// `master_replid`.
    pub replid: ReplId,
    /// `master_replid2` with `second_repl_offset`, if there is a second history.
    pub second: Option<(ReplId, Offset)>,
    /// `master_repl_offset` (the same as `slave_repl_offset` on a replica).
    pub offset: Offset,
    /// `repl_backlog_first_byte_offset`; `None` without an active backlog.
    pub first_byte: Option<Offset>,
}

/// What PSYNC from a position would give, as far as can be known beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// `+CONTINUE`.
    Continues,
    /// Another history: a full resync.
    Foreign,
    /// Our next byte has left the backlog, or there is none: a full resync.
    Gone,
    /// We are beyond the server. A replica that lags will catch up if one waits; a promoted one
    /// means that our last bytes are lost history.
    Ahead,
}

impl Position {
    /// Applies the server's own rule (Redis 8.0 `masterTryPartialResynchronization`), so that a
    /// full resync is a decision and not a surprise.
    #[must_use]
    pub fn coverage(&self, backlog: &Backlog) -> Coverage {
        let next = self.offset.advanced(1);
        let known = self.replid == backlog.replid
            || backlog
                .second
                .is_some_and(|(id, end)| id == self.replid && next <= end);
        if !known {
            return Coverage::Foreign;
        }
        match backlog.first_byte {
            None => Coverage::Gone,
            Some(first) if next < first => Coverage::Gone,
            Some(_) if self.offset > backlog.offset => Coverage::Ahead,
            Some(_) => Coverage::Continues,
        }
    }
}
