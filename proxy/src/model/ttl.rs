//! When keys expire: from the census at once, or for keys chosen by name by a walk in slices.

use analyzer::Keyspace;
use analyzer::census::{Expiries, Gathered, Progress, StormLimits};
use analyzer::glob::Glob;
use analyzer::patterns::Only;
use analyzer::view::{Cursor, Item};

use crate::model::answer::send;
use crate::model::ask::{Freshness, Reply};

/// What is known of expiries, or how far the census has come.
pub type Outlook = Result<Expiries, Progress>;

/// The keys that are meant.
#[derive(Clone, Debug)]
pub enum Which {
    /// All: told at once.
    All,
    /// Whose name matches this Redis glob: by a walk.
    Match(Vec<u8>),
    /// Of this pattern, as KS.PATTERNS names it: by a walk.
    Pattern(Vec<u8>),
}

/// How keys are told.
enum Filter {
    Glob(Glob),
    Pattern(Only),
}

impl Filter {
    fn new(which: &Which) -> Option<Filter> {
        match which {
            Which::All => None,
            Which::Match(glob) => Some(Filter::Glob(Glob::new(glob))),
            Which::Pattern(glob) => Some(Filter::Pattern(Only::new(glob))),
        }
    }
}

/// When all keys expire, from the census.
pub(super) fn all(keyspace: &Keyspace, now_ms: i64, limits: StormLimits) -> Outlook {
    let mut told = keyspace.expiries(None, now_ms)?;
    told.scale(&keyspace.detail());
    told.limits = limits;
    Ok(told)
}

/// A walk over some keys.
pub(super) struct Job {
    now_ms: i64,
    limits: StormLimits,
    filter: Filter,
    cursor: Cursor,
    gathered: Gathered,
    reply: Reply<Outlook>,
}

/// Answers from the census, or begins the walk that will.
pub(super) fn begin(
    (now_ms, which, limits): (i64, Which, StormLimits),
    keyspace: &Keyspace,
    reply: Reply<Outlook>,
    fresh: Freshness,
) -> Option<Job> {
    if let Some(filter) = Filter::new(&which) {
        let progress = keyspace.counted(None);
        if matches!(filter, Filter::Pattern(_)) && !progress.complete {
            send(reply, fresh, Err(progress));
            return None;
        }
        return Some(Job::new((now_ms, limits), filter, reply));
    }
    send(reply, fresh, all(keyspace, now_ms, limits));
    None
}

impl Job {
    fn new((now_ms, limits): (i64, StormLimits), filter: Filter, reply: Reply<Outlook>) -> Job {
        Job {
            now_ms,
            limits,
            filter,
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
        let gathered = &mut self.gathered;
        match &mut self.filter {
            Filter::Glob(glob) => {
                let mut take = |item: Item<'_>| {
                    if glob.matches(item.name) {
                        gathered.take(&item.facts);
                    }
                };
                keyspace.walk(&mut self.cursor, budget, &mut take)
            }
            Filter::Pattern(only) => {
                let mut take = |item: Item<'_>| gathered.take(&item.facts);
                keyspace.walk_pattern(only, &mut self.cursor, budget, &mut take)
            }
        }
    }

    pub(super) fn finish(self, fresh: Freshness) {
        let mut told = self.gathered.tell();
        told.scale(&fresh.detail);
        told.limits = self.limits;
        send(self.reply, fresh, Ok(told));
    }
}
