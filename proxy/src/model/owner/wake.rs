//! What wakes an owner: one select over everything that can happen.

use std::time::Instant;

use tokio::sync::watch;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use super::Owner;
use crate::clock;
use crate::fault::AttachError;
use crate::link::attach::Attached;
use crate::link::connect::{Connection, DialError};
use crate::link::driver::{Arrival, Inbox};
use crate::model::ask::Ask;
use crate::model::wire::{Sending, Wire};
use crate::side::task::{Side, SideAnswer};

/// What woke the owner.
pub(super) enum Wake {
    /// The process ends.
    Shutdown,
    /// Nobody can ask any more: the master was removed.
    Removed,
    /// Bytes of the followed link, or its end.
    Arrival(Arrival),
    /// Another server is to be followed.
    Ordered,
    /// A question.
    Ask(Ask),
    /// An answer of the second connection; `None` if its task is gone.
    Side(Option<SideAnswer>),
    /// An attempt to attach came to its end.
    Attached(Result<Box<Attached>, AttachError>),
    /// An attempt to attach panicked: it held nothing of ours.
    AttachPanicked,
    /// Bytes were sent.
    Sent(std::io::Result<usize>),
    /// A connection for a stand-by, or none.
    StandbyDialled(Option<Result<Connection, DialError>>),
    /// Bytes of the stand-by, or its end.
    StandbyArrival(Arrival),
    /// Bytes of the stand-by were sent.
    StandbySent(std::io::Result<usize>),
    /// Something is due.
    Time,
}

impl Owner<'_> {
    /// Waits for whatever comes first.
    pub(super) async fn wait(&mut self) -> Wake {
        let wake_at = self.wake_at();
        let paused = self.paused_until().is_some();
        // What is there inside a transaction is no state that the master ever had.
        let hold_asks = self.mirror.in_transaction;
        let (mut inbox, mut sending, mut side) = (None, None, None);
        let (mut standby_inbox, mut standby_sending) = (None, None);
        if let Some(session) = &mut self.session {
            let ends = session.ends();
            (inbox, sending, side) = (Some(ends.inbox), ends.sending, ends.side);
            inbox = inbox.filter(|_| !paused);
            (standby_inbox, standby_sending) = (ends.standby_inbox, ends.standby_sending);
        }
        // In no fixed order: a stream that never pauses must not keep answers and ACKs waiting.
        tokio::select! {
            () = self.given.shutdown.cancelled() => Wake::Shutdown,
            arrival = next(inbox) => Wake::Arrival(arrival),
            ask = self.seat.asks.recv(), if !hold_asks => ask.map_or(Wake::Removed, Wake::Ask),
            () = changed(&mut self.seat.orders) => Wake::Ordered,
            () = changed(&mut self.seat.pause) => Wake::Time,
            // Else a model that nobody writes to would keep what others need until its clock ticks.
            () = self.claim.given() => Wake::Time,
            answer = answered(side) => Wake::Side(answer),
            joined = joined(&mut self.attach) => {
                self.attach = None;
                joined.map_or(Wake::AttachPanicked, |done| Wake::Attached(done.map(Box::new)))
            }
            sent = sent(sending) => Wake::Sent(sent),
            joined = joined(&mut self.standby_dial) => {
                self.standby_dial = None;
                Wake::StandbyDialled(joined.ok())
            }
            arrival = next(standby_inbox) => Wake::StandbyArrival(arrival),
            sent = sent(standby_sending) => Wake::StandbySent(sent),
            () = tokio::time::sleep_until(wake_at.into()) => Wake::Time,
        }
    }

    /// When the stream is taken up again, if it is left alone now. A transaction is never left half
    /// applied: nobody could be answered meanwhile.
    fn paused_until(&self) -> Option<Instant> {
        let until = *self.seat.pause.borrow();
        until.filter(|until| *until > clock::now() && self.is_live() && !self.mirror.in_transaction)
    }

    /// When something is due without anyone asking.
    pub(super) fn wake_at(&self) -> Instant {
        let now = clock::now();
        let surveys = self.advise.wake_at().filter(|_| self.mirror.generation > 0);
        let walks = self.walks.pending().then_some(now);
        let looks = between_commands(self.mirror.in_transaction, [walks, surveys]);
        if self.is_relieving() || looks.is_some_and(|at| at <= now) {
            return now;
        }
        let mut at = self.timers.clock;
        at = at.min(self.chores_at(now).unwrap_or(at));
        at = at.min(looks.unwrap_or(at));
        if self.timers.dirty {
            at = at.min(self.timers.publish);
        }
        if let Some(until) = self.paused_until() {
            at = at.min(until);
        }
        if self.telling.is_wanted() {
            at = at.min(self.timers.work);
        }
        match &self.session {
            Some(session) => {
                at = at.min(session.timeout().unwrap_or(at));
                if session.side.is_some() && session.is_live() {
                    // Where the queue is full it is tried again at the next look.
                    let asks = [Some(self.timers.poll), self.telling.due()];
                    let due = asks.into_iter().flatten().min();
                    at = at.min(due.map_or(at, |due| due.max(self.timers.work)));
                    let keyspace = &self.mirror.keyspace;
                    let (work, verifies) = (self.timers.work, self.verify.is_wanted());
                    let reads = self.rereads.wake_at(keyspace, verifies, work);
                    at = at.min(reads.unwrap_or(at));
                    let looked = !self.mirror.looked.is_empty();
                    if self.mirror.getack || keyspace.is_suspecting() || looked {
                        at = at.min(work);
                    }
                }
            }
            None if self.attach.is_none() => at = at.min(self.retry_at),
            None => {}
        }
        at
    }
}

/// When a look at all keys goes on. Inside a transaction none does, and nothing is to wake the owner for
/// it: the rest of the transaction will.
fn between_commands(in_transaction: bool, looks: [Option<Instant>; 2]) -> Option<Instant> {
    match in_transaction {
        true => None,
        false => looks.into_iter().flatten().min(),
    }
}

async fn next(inbox: Option<&mut Inbox>) -> Arrival {
    match inbox {
        Some(inbox) => inbox.next().await,
        None => std::future::pending().await,
    }
}

async fn changed<T>(told: &mut watch::Receiver<T>) {
    if told.changed().await.is_err() {
        // Nobody is left to say anything: the last word holds.
        std::future::pending::<()>().await;
    }
}

async fn answered(side: Option<&mut Side>) -> Option<SideAnswer> {
    match side {
        Some(side) => side.answers.recv().await,
        None => std::future::pending().await,
    }
}

async fn joined<T>(task: &mut Option<AbortOnDropHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

async fn sent(sending: Option<Sending<'_>>) -> std::io::Result<usize> {
    match sending {
        Some(sending) => Wire::send(sending).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_that_stalls_wakes_nobody() {
        let due = Some(clock::now());
        assert_eq!(between_commands(true, [due, due]), None);
        assert_eq!(between_commands(false, [None, due]), due);
        assert_eq!(between_commands(false, [None, None]), None);
    }
}
