//! Keeps one owner per master alive: a panic in one is contained, counted, and answered with a new
//! owner and an empty model, after a wait.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use crate::clock;
use crate::fleet::{Loss, Seat, State, Status};
use crate::link::backoff::{Backoff, GOOD_LIFE};
use crate::model::owner::{Given, Owner};

/// Runs owners of one master until the process ends.
pub async fn supervise(given: Given, seat: Seat) {
    // Owners hold the seat one after the other; it survives them.
    let seat = Arc::new(Mutex::new(seat));
    let link = &given.config.link;
    let mut backoff = Backoff::new(link.retry_min, link.retry_max);
    loop {
        let began = clock::now();
        let owner = own(given.clone(), seat.clone());
        let ended = AbortOnDropHandle::new(tokio::spawn(owner)).await;
        given
            .shared
            .followed
            .retain(|_, owner| *owner != given.master.id);
        let Err(error) = ended else {
            return;
        };
        if given.shutdown.is_cancelled() || !error.is_panic() {
            return;
        }
        if clock::now().duration_since(began) > GOOD_LIFE {
            backoff.reset();
        }
        let wait = backoff.next_wait();
        let retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        tracing::error!(master = %given.master, retry_in_ms, "the owner panicked; starting over");
        let old = given.master.status();
        let mut counters = old.counters.clone();
        counters.restarts += 1;
        *counters.drops.entry(Loss::Restart).or_default() += 1;
        let status = Status {
            state: State::Lost {
                reason: Loss::Restart,
                retry_in_ms,
            },
            counters,
            last_error: "internal error; the model is loaded anew".to_owned(),
            ..Status::default()
        };
        seat.lock().await.status.send_replace(Arc::new(status));
        tokio::select! {
            () = given.shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn own(given: Given, seat: Arc<Mutex<Seat>>) {
    let mut seat = seat.lock().await;
    let counters = given.master.status().counters.clone();
    // It holds all that there is of a master, which is much for a future.
    Box::pin(Owner::new(given, &mut seat, counters).run()).await;
}
