//! The largest hash tags of clusters: a walk over all keys of each master, every five minutes.
//!
//! Each master has its own walk and its own time. One that is silent, or so large that its walk takes
//! long, neither makes the others walk again nor loses what it told before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::prospect::{GATHER_EVERY_S, LargeTag};
use crate::admin;
use crate::fleet::{Fleet, Master, MasterId};

/// How often the keys of a master are walked over, and how long a walk may take.
const WALK_EVERY: Duration = Duration::from_secs(300);

/// When each master was asked.
#[derive(Debug, Default)]
struct Turns(BTreeMap<MasterId, Instant>);

impl Turns {
    /// Those of `masters` that are to be asked now, and are taken to be.
    fn due(&mut self, masters: &BTreeSet<MasterId>, now: Instant) -> BTreeSet<MasterId> {
        self.0.retain(|id, _| masters.contains(id));
        let is_due = |asked: Option<&Instant>| {
            asked.is_none_or(|asked| now.duration_since(*asked) >= WALK_EVERY)
        };
        let due = masters.iter().copied();
        let due: BTreeSet<MasterId> = due.filter(|id| is_due(self.0.get(id))).collect();
        self.0.extend(due.iter().map(|id| (*id, now)));
        due
    }
}

/// What is known of each master.
#[derive(Debug, Default)]
pub(super) struct Tags(Mutex<BTreeMap<MasterId, Vec<LargeTag>>>);

impl Tags {
    /// What was told of a master last.
    pub(super) fn of(&self, master: MasterId) -> Vec<LargeTag> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&master).cloned().unwrap_or_default()
    }

    fn keep(&self, master: MasterId, tags: Vec<LargeTag>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(master, tags);
    }

    fn forget_all_but(&self, masters: &[Arc<Master>]) {
        let here: BTreeSet<MasterId> = masters.iter().map(|master| master.id).collect();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|id, _| here.contains(id));
    }

    /// Asks, for ever.
    pub(super) async fn gather(&self, fleet: &Fleet) {
        let mut turns = Turns::default();
        let mut walks = JoinSet::new();
        let mut looks = tokio::time::interval(Duration::from_secs(GATHER_EVERY_S));
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(walked) = walks.join_next() => {
                    if let Ok((master, Some(tags))) = walked {
                        self.keep(master, tags);
                    }
                    continue;
                }
                _ = looks.tick() => {}
            }
            let masters = fleet.masters();
            self.forget_all_but(&masters);
            // What has no model yet has nothing to walk over.
            let ready = masters.iter().filter(|master| {
                !master.place().slots.is_empty() && master.status().generation.loaded()
            });
            let ready: BTreeSet<MasterId> = ready.map(|master| master.id).collect();
            let now = Instant::now();
            let due = turns.due(&ready, now);
            for master in masters.into_iter().filter(|m| due.contains(&m.id)) {
                walks.spawn(async move {
                    let id = master.id;
                    (id, admin::large_tags(master, now + WALK_EVERY).await)
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_master_makes_nobody_walk_more_often() {
        let start = Instant::now();
        let mut turns = Turns::default();
        let mut walked = BTreeMap::new();
        for turn in 0..21 {
            // The second has a model from the fourth turn on; whether one answers plays no part.
            let masters = if turn < 3 { [1].into() } else { [1, 2].into() };
            let now = start + turn * Duration::from_secs(GATHER_EVERY_S);
            for master in turns.due(&masters, now) {
                walked.entry(master).or_insert_with(Vec::new).push(turn);
            }
        }
        assert_eq!(walked[&1], [0, 10, 20]);
        assert_eq!(walked[&2], [3, 13]);
        assert!(turns.due(&BTreeSet::new(), start).is_empty() && turns.0.is_empty());
    }
}
