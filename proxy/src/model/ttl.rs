//! When keys expire: from the census at once, or for keys chosen by name by a walk in slices.

use analyzer::Keyspace;
use analyzer::census::{Expiries, Gathered, Progress};
use analyzer::glob::Glob;
use analyzer::view::{Cursor, Item};

use crate::model::answer::send;
use crate::model::ask::{Freshness, Reply};

/// What is known of expiries, or how far the census has come.
pub type Outlook = Result<Expiries, Progress>;

/// A walk over the keys of some names.
pub(super) struct Job {
    now_ms: i64,
    glob: Glob,
    cursor: Cursor,
    gathered: Gathered,
    reply: Reply<Outlook>,
}

/// Answers from the census.
pub(super) fn all(keyspace: &Keyspace, now_ms: i64, reply: Reply<Outlook>, fresh: Freshness) {
    let mut told = keyspace.expiries(None, now_ms);
    if let Ok(told) = &mut told {
        told.scale(fresh.detail.one_in);
    }
    send(reply, fresh, told);
}

impl Job {
    pub(super) fn new(now_ms: i64, glob: &[u8], reply: Reply<Outlook>) -> Job {
        Job {
            now_ms,
            glob: Glob::new(glob),
            cursor: Cursor::start(),
            gathered: Gathered::new(now_ms),
            reply,
        }
    }

    pub(super) fn restart(&mut self) {
        self.cursor = Cursor::start();
        self.gathered = Gathered::new(self.now_ms);
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Looks at about so many keys more; true at the end.
    pub(super) fn advance(&mut self, keyspace: &Keyspace, budget: usize) -> bool {
        let (glob, gathered) = (&self.glob, &mut self.gathered);
        let mut take = |item: Item<'_>| {
            if glob.matches(item.name) {
                gathered.take(&item.facts);
            }
        };
        keyspace.walk(&mut self.cursor, budget, &mut take)
    }

    pub(super) fn finish(self, fresh: Freshness) {
        let mut told = self.gathered.tell();
        told.scale(fresh.detail.one_in);
        send(self.reply, fresh, Ok(told));
    }
}
