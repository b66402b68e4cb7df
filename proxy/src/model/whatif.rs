//! KS.WHATIF on one master: a walk over all keys in slices, for as long as whoever asked waits.

use std::time::{Duration, Instant};

use analyzer::Keyspace;
use analyzer::whatif::{Goal, Outcome, Path, WhatIf, named};

use crate::clock;
use crate::model::answer::send;
use crate::model::ask::{Freshness, Reply};

/// Longest walk, slices of others included: whoever asked waits for ten seconds. What was weighed by
/// then, in the order of the keys' digests and so by chance, stands for the rest.
const WALK_MAX: Duration = Duration::from_secs(8);

/// Most single keys that are named.
pub const LIMIT_MAX: usize = 1_000;

/// What one master's keys would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The server, as `redis-7.0`.
    pub from: String,
    /// The server that was asked about.
    pub to: String,
    /// How to get there.
    pub path: Path,
    /// Keys there are.
    pub keys: u64,
    /// Those with a record: no others can be weighed.
    pub records: u64,
    /// The sums, of all keys even if not all were weighed.
    pub outcome: Outcome,
}

/// A walk under way.
pub(super) struct Job {
    goal: Goal,
    limit: usize,
    until: Instant,
    /// The walk and the way; in words, why there is none.
    walk: Result<Box<(WhatIf, Found)>, String>,
    reply: Reply<Result<Found, String>>,
}

impl Job {
    pub(super) fn new(
        (goal, limit): (Goal, usize),
        keyspace: &Keyspace,
        reply: Reply<Result<Found, String>>,
    ) -> Job {
        let limit = limit.min(LIMIT_MAX);
        Job {
            walk: begin(&goal, limit, keyspace),
            goal,
            limit,
            until: clock::now() + WALK_MAX,
            reply,
        }
    }

    pub(super) fn restart(&mut self, keyspace: &Keyspace) {
        self.walk = begin(&self.goal, self.limit, keyspace);
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Weighs keys for about as long as `budget` elements take; true at the end.
    pub(super) fn advance(&mut self, keyspace: &Keyspace, budget: u64) -> bool {
        match &mut self.walk {
            Ok(walk) => keyspace.what_if(&mut walk.0, budget) || clock::now() >= self.until,
            Err(_) => true,
        }
    }

    pub(super) fn finish(self, keyspace: &Keyspace, fresh: Freshness) {
        let found = self.walk.map(|walk| {
            let (walk, mut found) = *walk;
            found.outcome = walk.outcome();
            let totals = keyspace.totals();
            found.keys = totals.iter().map(|form| form.keys).sum();
            found.records = keyspace.keys();
            if found.outcome.seen < found.keys {
                found.outcome.extend_to(&totals);
            }
            found
        });
        send(self.reply, fresh, found);
    }
}

fn begin(goal: &Goal, limit: usize, keyspace: &Keyspace) -> Result<Box<(WhatIf, Found)>, String> {
    let from = keyspace.profile();
    let to = goal.profile(from)?;
    let found = Found {
        from: named(from),
        to: named(&to),
        path: goal.path(from, &to),
        keys: 0,
        records: 0,
        outcome: Outcome::default(),
    };
    Ok(Box::new((WhatIf::new(from, &to, limit), found)))
}

#[cfg(test)]
mod tests {
    use analyzer::keyspace::Detail;
    use analyzer::profile::{Family, Profile, Version};
    use tokio::sync::oneshot;

    use super::*;
    use crate::model::ask::Generation;
    use crate::model::fixture;

    fn asked(keyspace: &Keyspace) -> Found {
        let (reply, mut answer) = oneshot::channel();
        let mut job = Job::new((Goal::default(), 3), keyspace, reply);
        while !job.advance(keyspace, 1000) {}
        let fresh = Freshness {
            replid: "".into(),
            offset: 0,
            generation: Generation::Current,
            detail: Detail::default(),
        };
        job.finish(keyspace, fresh);
        let answer = answer.try_recv().expect("answered");
        answer.value.expect("the same server")
    }

    #[test]
    fn a_share_of_the_keys_stands_for_all() {
        let profile = Profile::defaults(Family::Redis, Version::new(7, 0));
        let mut keyspace = Keyspace::new(profile, 7);
        fixture::load(&mut keyspace, (0..8000).map(|n| (0, format!("key:{n:04}"))));
        let all = asked(&keyspace);
        assert!(keyspace.fold() && keyspace.fold());
        while !keyspace.sweep(1000) {}
        let share = asked(&keyspace);
        assert!((1800..2200).contains(&share.outcome.seen), "a quarter");
        assert_eq!(share.outcome.seen, share.records);
        assert_eq!(share.keys, 8000);
        assert_eq!(share.outcome.forms, all.outcome.forms);
        assert_eq!(share.outcome.guesses, all.outcome.guesses);
    }
}
