//! Transactions: held back up to EXEC, then released in one run, or passed through if too large.

use super::kind::Kind;
use super::{Broken, Commands, Ready};

/// Where the stream stands with respect to MULTI and EXEC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transaction {
    Outside,
    /// Commands are copied until EXEC.
    Held {
        began: u64,
    },
    /// Copies are released; `next` counts them, 0 being MULTI. `whole` if EXEC follows.
    Replaying {
        next: usize,
        whole: bool,
    },
    /// Larger than is held: commands are released as they arrive.
    Through,
}

/// A command held back: its spans end here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) spans_end: usize,
    pub(super) end_offset: u64,
    pub(super) db: u32,
}

impl Commands {
    /// A command that was applied from another link.
    #[cold]
    pub(super) fn skipped(&mut self, kind: Kind) -> Result<Option<Ready>, Broken> {
        if self.offset > self.skip_until {
            let expected = "the end of a command at the hand-over offset";
            return Err(Broken::Order {
                expected,
                got: "a command across it",
            });
        }
        match kind {
            Kind::Select(db) => self.db = db,
            Kind::Multi => self.transaction = Transaction::Through,
            Kind::Exec => self.transaction = Transaction::Outside,
            Kind::Ordinary | Kind::Ping | Kind::GetAck => {}
        }
        Ok(None)
    }

    /// What a command means where the stream stands.
    pub(super) fn sort(&mut self, kind: Kind, ready: Ready) -> Result<Option<Ready>, Broken> {
        match self.transaction {
            Transaction::Outside if kind == Kind::Multi => {
                self.transaction = Transaction::Held { began: self.offset };
                Ok(None)
            }
            Transaction::Held { began } => self.hold(kind, began),
            Transaction::Outside | Transaction::Through | Transaction::Replaying { .. } => {
                self.release(kind, ready)
            }
        }
    }

    /// A command that is not held back: outside, or in a transaction too large for it.
    fn release(&mut self, kind: Kind, ready: Ready) -> Result<Option<Ready>, Broken> {
        let ready = match kind {
            Kind::Multi => return Err(nested()),
            Kind::Ordinary => Some(ready),
            Kind::Ping => Some(Ready::Ping),
            Kind::GetAck => Some(Ready::GetAck),
            Kind::Select(db) => {
                self.db = db;
                None
            }
            Kind::Exec => {
                self.transaction = Transaction::Outside;
                Some(Ready::Exec)
            }
        };
        self.committed = (self.offset, self.db);
        Ok(ready)
    }

    /// A command inside a transaction that is held back. Its arguments are in `kept` already.
    fn hold(&mut self, kind: Kind, began: u64) -> Result<Option<Ready>, Broken> {
        match kind {
            Kind::Multi => return Err(nested()),
            Kind::Ping => return Ok(Some(Ready::Ping)),
            Kind::GetAck => return Ok(Some(Ready::GetAck)),
            Kind::Select(db) => self.db = db,
            Kind::Exec => {
                self.transaction = Transaction::Replaying {
                    next: 0,
                    whole: true,
                }
            }
            Kind::Ordinary => {
                self.records.push(Record {
                    spans_end: self.kept.len(),
                    end_offset: self.offset,
                    db: self.db,
                });
                if self.offset.saturating_sub(began) > self.thresholds.transaction_bytes {
                    self.transaction = Transaction::Replaying {
                        next: 0,
                        whole: false,
                    };
                }
            }
        }
        Ok(None)
    }

    /// The next thing to tell of a transaction that was held back, if one is being released.
    pub(super) fn replay(&mut self) -> Option<Ready> {
        let Transaction::Replaying { next, whole } = self.transaction else {
            return None;
        };
        self.transaction = Transaction::Replaying {
            next: next.saturating_add(1),
            whole,
        };
        let Some(index) = next.checked_sub(1) else {
            return Some(Ready::Multi);
        };
        if let Some(record) = self.records.get(index) {
            // Whoever follows may be cut off between any two of them, and what was followed must not
            // come again.
            self.committed = (record.end_offset, record.db);
            return Some(Ready::Held { index });
        }
        self.is_spent = true;
        self.committed = (self.offset, self.db);
        if whole {
            self.transaction = Transaction::Outside;
            return Some(Ready::Exec);
        }
        self.transaction = Transaction::Through;
        None
    }
}

fn nested() -> Broken {
    Broken::Order {
        expected: "commands or EXEC",
        got: "MULTI inside MULTI",
    }
}
