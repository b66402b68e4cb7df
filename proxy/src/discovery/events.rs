//! What Sentinels say by themselves. Every event rings the bell and nothing more: what is true is
//! asked, so a lying or late event costs one look.

use std::sync::Arc;
use std::time::Duration;

use replica_shim::Outbound;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::link::backoff::Backoff;
use crate::side::client::{Client, SideError, Target};

/// Silence after which a Sentinel is asked whether it still lives.
const SILENCE: Duration = Duration::from_secs(20);

/// How long it has to say so.
const PONG_LIMIT: Duration = Duration::from_secs(10);

/// Listens to one Sentinel until told to end.
pub(super) async fn listen(target: Target, bell: Arc<Notify>, stop: CancellationToken) {
    let mut backoff = Backoff::new(target.link.retry_min, target.link.retry_max);
    loop {
        let began = Instant::now();
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            ended = follow(&target, &bell) => ended,
        };
        if let Err(error) = ended {
            tracing::debug!(sentinel = %target.source, %error, "events");
        }
        if began.elapsed() > SILENCE {
            backoff.reset();
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(backoff.next_wait()) => {}
        }
    }
}

/// Until the connection fails.
async fn follow(target: &Target, bell: &Notify) -> Result<(), SideError> {
    let mut client = Client::connect(target).await?;
    client.send(&Outbound::SentinelEvents).await?;
    // What was said while nobody listened is made up for by a look.
    bell.notify_one();
    let mut wait = SILENCE;
    loop {
        match timeout(wait, client.next()).await {
            Ok(frame) => {
                frame?;
                bell.notify_one();
                wait = SILENCE;
            }
            Err(_) if wait == SILENCE => {
                client.send(&Outbound::Ping).await?;
                wait = PONG_LIMIT;
            }
            Err(_) => return Err(SideError::Silent),
        }
    }
}
