//! Watching: what happens is told as it happens, to subscribers of the admin port and to the log.
//!
//! ```text
//! status of every master, once a second -> conditions (raised, cleared) --+
//! keys that a write made big, from the owner of their model --------------+-> hub -> SUBSCRIBE, log
//! ```
//!
//! What is ahead of them (forecasts, storms of expiries, advice) is gathered every half minute; the
//! large hash tags of clusters beside it.
//!
//! Channels are `ks.alert.<condition>`, `ks.growth` and `ks.bigkey`; every message is one JSON object.
//! Nobody waits for a subscriber: each reads behind the others from one ring of the last events, and
//! one that is too slow is told how many it missed.

mod conditions;
mod counted;
mod event;
mod growing;
mod hub;
mod prospect;
mod tags;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub(crate) use conditions::Condition;
use conditions::{Seen, Watched};
pub(crate) use counted::Counted;
use event::Alert;
use growing::Growing;
pub(crate) use hub::{Heard, Hub, Listener, Told};
use prospect::GATHER_EVERY_S;
pub(crate) use prospect::{
    Advised, Full, Group, LargeKey, LargeTag, OTHER, PATTERNS_MAX, PatternSum, Patterns, Prospect,
    Rate, Storm,
};
use tags::Tags;

use crate::admin;
use crate::clock;
use crate::config;
use crate::fleet::{Fleet, MasterId};

/// How often every master is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks at every master until `shutdown`.
pub async fn run(fleet: Arc<Fleet>, config: config::Watch, shutdown: CancellationToken) {
    let mut watched: BTreeMap<MasterId, Watched> = BTreeMap::new();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = looks.tick() => {}
        }
        let masters = fleet.masters();
        let ahead = fleet.hub.prospects();
        for master in &masters {
            let status = master.status();
            let own = watched.entry(master.id).or_default();
            let seen = Seen {
                status: &status,
                prospect: ahead.get(&master.id).map(Arc::as_ref),
                config: &config,
            };
            for change in own.look(clock::now(), seen) {
                fleet.hub.alert(master, &Alert::of(&change));
            }
        }
        let here: BTreeSet<MasterId> = masters.iter().map(|master| master.id).collect();
        watched.retain(|id, _| here.contains(id));
        fleet.hub.forget_all_but(&here);
    }
}

/// Gathers what is ahead of every master until `shutdown`.
pub async fn look_ahead(fleet: Arc<Fleet>, config: config::Watch, shutdown: CancellationToken) {
    let mut turns = tokio::time::interval(Duration::from_secs(GATHER_EVERY_S));
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let tags = Tags::default();
    let gather = async {
        let mut growing = Growing::default();
        loop {
            turns.tick().await;
            let mut prospects = admin::prospects(&fleet, config.forecast_s).await;
            for (master, prospect) in &mut prospects {
                prospect.tags = tags.of(*master);
            }
            if let Some(limit) = config.growth_bytes_per_s {
                let masters = fleet.masters();
                let here = masters.iter().map(|master| master.id).collect();
                let turned = growing.look(&prospects, &here, limit);
                fleet.hub.patterns_grow(&fleet, &turned);
            }
            fleet.hub.set_prospects(prospects);
            fleet.hub.count(admin::pattern_flows(&fleet).await);
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = gather => {}
        () = tags.gather(&fleet) => {}
    }
}
