//! Keys and bytes by hash tag, of one master: a walk in slices.

use analyzer::Keyspace;
use analyzer::heat::{TagWalk, Tagged};

use crate::model::answer::send;
use crate::model::ask::{Freshness, Reply};

/// The walk.
pub(super) struct Job {
    walk: TagWalk,
    reply: Reply<Tagged>,
}

impl Job {
    pub(super) fn new(reply: Reply<Tagged>) -> Job {
        Job {
            walk: TagWalk::default(),
            reply,
        }
    }

    pub(super) fn restart(&mut self) {
        self.walk = TagWalk::default();
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Looks at about so many keys more; true at the end.
    pub(super) fn advance(&mut self, keyspace: &Keyspace, budget: usize) -> bool {
        self.walk.advance(keyspace, budget)
    }

    /// Where keys have no record: an estimate for all of them.
    pub(super) fn finish(self, fresh: Freshness) {
        let detail = fresh.detail;
        let mut found = self.walk.finish();
        let tags = found.tags.iter_mut();
        let tags = tags.flat_map(|tag| [&mut tag.keys, &mut tag.bytes]);
        for figure in tags.chain([
            &mut found.keys,
            &mut found.bytes,
            &mut found.unlisted_keys,
            &mut found.unlisted_bytes,
        ]) {
            *figure = detail.for_all(*figure);
        }
        send(self.reply, fresh, found);
    }
}
