//! Where events go: a ring of the last ones, which every subscriber reads at its own pace, and the
//! log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use analyzer::flows::{Flow, PatternFlows};
use analyzer::keyspace::Big;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::conditions::Condition;
use super::counted::Counted;
use super::event::{Alert, Event, Subject};
use super::growing::Turned;
use super::prospect::{OTHER, Prospect};
use crate::admin;
use crate::clock;
use crate::fleet::{Fleet, Master, MasterId};
use crate::metrics::deployment_of;

/// Events that a subscriber may be behind; of the older ones it hears the number.
const EVENTS_MAX: usize = 1024;

/// What is ahead of each master.
pub(crate) type Prospects = BTreeMap<MasterId, Prospect>;

/// The same, for many readers.
pub(crate) type Ahead = BTreeMap<MasterId, Arc<Prospect>>;

/// What patterns did, by the labels of their deployment.
pub(crate) type CountedAll = BTreeMap<String, Counted>;

/// Where events go.
#[derive(Debug)]
pub(crate) struct Hub {
    ring: broadcast::Sender<Arc<Event>>,
    raised: Mutex<BTreeMap<(MasterId, Condition), Raised>>,
    prospects: Mutex<Arc<Ahead>>,
    counted: Mutex<Arc<CountedAll>>,
    alerts: AtomicU64,
    big_keys: AtomicU64,
    missed: AtomicU64,
}

/// A condition that is raised.
#[derive(Debug)]
struct Raised {
    subject: Subject,
    since_ms: u64,
}

/// What was told so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Conditions raised and cleared.
    pub(crate) alerts: u64,
    /// Keys that became big.
    pub(crate) big_keys: u64,
    /// Events that subscribers missed, each counted by each of them.
    pub(crate) missed: u64,
}

impl Hub {
    pub(crate) fn new() -> Hub {
        Hub {
            ring: broadcast::Sender::new(EVENTS_MAX),
            raised: Mutex::new(BTreeMap::new()),
            prospects: Mutex::default(),
            counted: Mutex::default(),
            alerts: AtomicU64::new(0),
            big_keys: AtomicU64::new(0),
            missed: AtomicU64::new(0),
        }
    }

    /// A condition of a master was raised or cleared.
    pub(crate) fn alert(&self, master: &Master, alert: &Alert) {
        let key = (master.id, alert.condition);
        let subject = Subject::of(master);
        let now_ms = clock::unix_ms();
        let since_ms = if alert.raised {
            let raised = Raised {
                subject: subject.clone(),
                since_ms: now_ms,
            };
            self.raised().insert(key, raised);
            now_ms
        } else {
            self.raised()
                .remove(&key)
                .map_or(now_ms, |was| was.since_ms)
        };
        self.tell_alert(&subject, alert, since_ms);
    }

    fn tell_alert(&self, subject: &Subject, alert: &Alert, since_ms: u64) {
        let figures = serde_json::Value::Object(alert.figures.clone());
        let (condition, text) = (alert.condition.name(), alert.text);
        if alert.raised {
            tracing::warn!(master = subject.master, condition, %figures, "raised: {text}");
        } else {
            tracing::info!(master = subject.master, condition, %figures, "cleared: {text}");
        }
        self.alerts.fetch_add(1, Ordering::Relaxed);
        self.tell(subject.alert(alert, since_ms));
    }

    /// Clears what was raised of masters that are gone: all but these.
    pub(crate) fn forget_all_but(&self, here: &BTreeSet<MasterId>) {
        let mut raised = self.raised();
        let gone = raised.extract_if(.., |(id, _), _| !here.contains(id));
        let gone: Vec<_> = gone.collect();
        drop(raised);
        for ((_, condition), was) in gone {
            self.tell_alert(&was.subject, &Alert::over(condition), was.since_ms);
        }
    }

    /// Keys that became big; `lost` more were not kept.
    pub(crate) fn big_keys(&self, master: &Master, found: &[Big], lost: u64) {
        let subject = Subject::of(master);
        let all = found.len() as u64 + lost;
        self.big_keys.fetch_add(all, Ordering::Relaxed);
        for (index, big) in found.iter().enumerate() {
            let (db, bytes, elements) = (big.db, big.bytes.1, big.elements.1);
            let kind = big.kind.name();
            let master = &subject.master;
            tracing::info!(master, db, kind, bytes, elements, "a key has become big");
            let key = || admin::readable(&big.name);
            tracing::trace!(master, db, key = key(), "its name");
            // The last one tells of those that found no room.
            let lost = if index + 1 == found.len() { lost } else { 0 };
            self.tell(subject.big(big, lost));
        }
    }

    /// Patterns that began or ceased to grow fast.
    pub(crate) fn patterns_grow(&self, fleet: &Fleet, turned: &[Turned]) {
        for one in turned {
            let Some(master) = fleet.master(one.master) else {
                continue;
            };
            let subject = Subject::of(&master);
            let (raised, rate) = (one.raised, one.bytes_per_s);
            let master = &subject.master;
            tracing::info!(master, raised, bytes_per_s = rate, "a pattern grows fast");
            tracing::trace!(master, pattern = one.pattern, "its name");
            self.alerts.fetch_add(1, Ordering::Relaxed);
            self.tell(subject.pattern(one));
        }
    }

    fn tell(&self, event: Event) {
        // Without subscribers there is nobody to tell.
        let _ = self.ring.send(Arc::new(event));
    }

    /// What is raised of a master.
    pub(crate) fn raised_of(&self, id: MasterId) -> Vec<Condition> {
        let raised = self.raised();
        let own = raised.range((id, Condition::FIRST)..);
        let own = own.take_while(|((master, _), _)| *master == id);
        own.map(|((_, condition), _)| *condition).collect()
    }

    /// What is ahead of each master, as gathered last.
    pub(crate) fn prospects(&self) -> Arc<Ahead> {
        let prospects = self.prospects.lock();
        prospects.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_prospects(&self, new: Prospects) {
        let new = new.into_iter();
        let new = new.map(|(id, prospect)| (id, Arc::new(prospect)));
        let new: Ahead = new.collect();
        let mut prospects = self
            .prospects
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *prospects = Arc::new(new);
    }

    /// Adds what commands did to the keys of each pattern since that was told last.
    pub(crate) fn count(&self, told: Vec<(Arc<Master>, PatternFlows)>) {
        let mut turns: BTreeMap<String, (BTreeMap<String, Flow>, Flow)> = BTreeMap::new();
        for (master, flows) in told {
            let (named, rest) = turns.entry(deployment_of(&master)).or_default();
            rest.add(&flows.rest);
            for (glob, flow) in flows.named {
                match admin::label_of(&glob) {
                    name if name == OTHER => rest.add(&flow),
                    name => named.entry(name).or_default().add(&flow),
                }
            }
        }
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let all = Arc::make_mut(&mut counted);
        for (deployment, (named, rest)) in turns {
            all.entry(deployment).or_default().turn(named, &rest);
        }
    }

    /// What patterns did so far.
    pub(crate) fn counted(&self) -> Arc<CountedAll> {
        let counted = self.counted.lock();
        counted.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was told so far.
    pub(crate) fn told(&self) -> Told {
        Told {
            alerts: self.alerts.load(Ordering::Relaxed),
            big_keys: self.big_keys.load(Ordering::Relaxed),
            missed: self.missed.load(Ordering::Relaxed),
        }
    }

    /// Everything from now on.
    pub(crate) fn listen(self: &Arc<Hub>) -> Listener {
        Listener {
            events: self.ring.subscribe(),
            hub: self.clone(),
            missed: 0,
        }
    }

    fn raised(&self) -> MutexGuard<'_, BTreeMap<(MasterId, Condition), Raised>> {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One subscriber.
#[derive(Debug)]
pub(crate) struct Listener {
    events: broadcast::Receiver<Arc<Event>>,
    hub: Arc<Hub>,
    missed: u64,
}

/// An event, and how many before it were missed.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) event: Arc<Event>,
    pub(crate) missed: u64,
}

impl Listener {
    /// The next event; never returns while there is none. Nothing is lost if the wait is given up.
    pub(crate) async fn next(&mut self) -> Heard {
        loop {
            match self.events.recv().await {
                Ok(event) => return self.heard(event),
                Err(RecvError::Lagged(events)) => self.miss(events),
                // The hub lives as long as we hold it.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// An event that is there already.
    pub(crate) fn ready(&mut self) -> Option<Heard> {
        loop {
            match self.events.try_recv() {
                Ok(event) => return Some(self.heard(event)),
                Err(TryRecvError::Lagged(events)) => self.miss(events),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }

    fn miss(&mut self, events: u64) {
        self.missed = self.missed.saturating_add(events);
        self.hub.missed.fetch_add(events, Ordering::Relaxed);
    }

    fn heard(&mut self, event: Arc<Event>) -> Heard {
        Heard {
            event,
            missed: self.missed,
        }
    }

    /// The client was told what it missed.
    pub(crate) fn told(&mut self) {
        self.missed = 0;
    }
}

#[cfg(test)]
mod tests;
