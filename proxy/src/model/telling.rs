//! What the followed server tells of itself: when it is asked, who waits for it, and what later
//! looks are compared with.
//!
//! It is asked once a period, and at once when a question finds what is known older than a second.
//! Whoever waits is answered with what is known after [`WAIT_MAX`], whatever the server does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::model::ask::{Answer, Freshness, Reply};
use crate::side::told::{Counts, Told};

/// A look that is no older answers for now.
const FRESH: Duration = Duration::from_secs(1);

/// Longest wait for a look.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Questions that wait at once; one more is answered with what is known.
const WAITING_MAX: usize = 64;

/// Its state.
#[derive(Debug)]
pub struct Telling {
    known: Option<Arc<Told>>,
    heard: Option<Instant>,
    /// The look that the next ones are compared with, and the one before it.
    base: Option<Counts>,
    older: Option<Counts>,
    period: Duration,
    due: Instant,
    asked: Option<Instant>,
    waiting: Vec<(Instant, Reply<Option<Arc<Told>>>)>,
}

impl Telling {
    /// Nothing told yet, due at once.
    pub fn new(period: Duration, now: Instant) -> Telling {
        Telling {
            known: None,
            heard: None,
            base: None,
            older: None,
            period,
            due: now,
            asked: None,
            waiting: Vec::new(),
        }
    }

    /// A question; answered at once if what is known is fresh, or if it may be of any age (`known`).
    pub fn ask(&mut self, known: bool, reply: Reply<Option<Arc<Told>>>, fresh: Freshness) {
        let now = clock::now();
        let is_fresh = self.heard.is_some_and(|at| now.duration_since(at) < FRESH);
        if known || is_fresh || self.waiting.len() >= WAITING_MAX {
            let value = self.known.clone();
            drop(reply.send(Answer { fresh, value }));
            return;
        }
        self.due = now;
        self.waiting.push((now, reply));
    }

    /// True if the server is to be asked now.
    pub fn is_due(&self, now: Instant) -> bool {
        self.due <= now && self.asked.is_none()
    }

    /// True if somebody waits.
    pub fn is_wanted(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// When it is to be asked next; `None` while an answer is under way.
    pub fn due(&self) -> Option<Instant> {
        Some(self.due).filter(|_| self.asked.is_none())
    }

    /// The server was asked.
    pub fn asked(&mut self, now: Instant) {
        self.asked = Some(now);
        self.due = now + self.period;
    }

    /// It answered.
    pub fn heard(&mut self, mut told: Told, fresh: impl Fn() -> Freshness) {
        let now = clock::now();
        let counts = told.counts();
        let continues = |earlier: &Counts| earlier.leads_to(&counts);
        self.base = self.base.take().filter(continues);
        self.older = self.older.take().filter(continues);
        told.before = self.older.clone().or_else(|| self.base.clone());
        let period_ms = u64::try_from(self.period.as_millis()).unwrap_or(u64::MAX);
        let base_at = self.base.as_ref().map(|base| base.at_ms);
        if base_at.is_none_or(|at| counts.at_ms.saturating_sub(at) >= period_ms) {
            self.older = self.base.replace(counts);
        }
        self.known = Some(Arc::new(told));
        self.heard = Some(now);
        self.asked = None;
        self.answer(fresh, |_| true);
    }

    /// The connection is lost: what was asked is not answered.
    pub fn lost(&mut self) {
        self.asked = None;
    }

    /// Another server is followed: nothing is known of it.
    pub fn forget(&mut self) {
        self.known = None;
        self.heard = None;
        self.asked = None;
        self.due = clock::now();
    }

    /// Answers who has waited long enough; everybody if nobody can be asked.
    pub fn give_up(&mut self, can_ask: bool, fresh: impl Fn() -> Freshness) {
        let now = clock::now();
        let late = |since: Instant| now.duration_since(since) >= WAIT_MAX;
        self.answer(fresh, |since| !can_ask || late(since));
    }

    fn answer(&mut self, fresh: impl Fn() -> Freshness, whom: impl Fn(Instant) -> bool) {
        for (since, reply) in std::mem::take(&mut self.waiting) {
            if whom(since) {
                let (fresh, value) = (fresh(), self.known.clone());
                drop(reply.send(Answer { fresh, value }));
            } else {
                self.waiting.push((since, reply));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    fn fresh() -> Freshness {
        Freshness {
            replid: "".into(),
            offset: 0,
            generation: crate::model::ask::Generation::Current,
            detail: analyzer::keyspace::Detail::default(),
        }
    }

    fn told(at_ms: u64, connections: u64) -> Told {
        Told {
            info: format!("run_id:a\ntotal_connections_received:{connections}\n"),
            at_ms,
            ..Told::default()
        }
    }

    fn compared_with(telling: &Telling) -> Option<u64> {
        let known = telling.known.as_ref();
        Some(known.and_then(|told| told.before.as_ref())?.at_ms)
    }

    #[test]
    fn looks_are_compared_with_one_that_is_a_period_old() {
        let mut telling = Telling::new(Duration::from_secs(60), clock::now());
        let mut seen = Vec::new();
        for (at_s, connections) in [
            (0, 1),
            (5, 2),
            (59, 3),
            (60, 4),
            (61, 5),
            (130, 6),
            (131, 0),
        ] {
            telling.heard(told(at_s * 1000, connections), fresh);
            seen.push(compared_with(&telling).map(|ms| ms / 1000));
        }
        // At last the counters were set back.
        let expected = [None, Some(0), Some(0), Some(0), Some(0), Some(0), None];
        assert_eq!(seen, expected);
    }

    #[test]
    fn who_asks_is_answered_by_a_new_look_or_with_what_is_known() {
        let mut telling = Telling::new(Duration::from_secs(60), clock::now());
        let ask = |telling: &mut Telling| {
            let (reply, answer) = oneshot::channel();
            telling.ask(false, reply, fresh());
            answer
        };
        let mut first = ask(&mut telling);
        assert!(telling.is_due(clock::now()) && telling.is_wanted());
        telling.asked(clock::now());
        assert!(!telling.is_due(clock::now()));
        telling.give_up(true, fresh);
        assert!(first.try_recv().is_err(), "it has just been asked");
        telling.heard(told(1, 1), fresh);
        assert!(first.try_recv().unwrap().value.is_some());
        let mut second = ask(&mut telling);
        assert!(second.try_recv().unwrap().value.is_some(), "fresh enough");
        telling.forget();
        let (reply, mut at_once) = oneshot::channel();
        telling.ask(true, reply, fresh());
        assert!(at_once.try_recv().is_ok() && !telling.is_wanted());
        let mut third = ask(&mut telling);
        telling.give_up(false, fresh);
        assert!(third.try_recv().unwrap().value.is_none());
    }
}
