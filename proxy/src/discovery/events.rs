//! What Sentinels say by themselves.
//!
//! Every event rings the bell: what is true is asked, so a lying or late one costs a look. Those
//! that come before a promotion do one thing more. The leader chooses the replica a moment before
//! it promotes it (Redis 6.0 and Valkey 9.1 `sentinelFailoverStateMachine`, a step every 100 ms),
//! and the old master, if it lives, takes writes until somebody tells it. Having followed those we
//! could not continue at the new master, which never had them. So the stream is left alone from
//! then on, for as long as a promotion takes; if it is called off, it is taken up again.

use std::sync::Arc;
use std::time::Duration;

use redis_protocol::resp2::types::BytesFrame;
use replica_shim::Outbound;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::fleet::{Deployment, Fleet};
use crate::link::backoff::Backoff;
use crate::side::client::{self, Client, SideError, Target};

/// Silence after which a Sentinel is asked whether it still lives.
const SILENCE: Duration = Duration::from_secs(20);

/// How long it has to say so.
const PONG_LIMIT: Duration = Duration::from_secs(10);

/// Longest pause for a promotion: it takes the leader a second or two to see that it is done, and
/// the others as long to hear of it.
const PAUSE_LIMIT: Duration = Duration::from_secs(6);

/// Who listens, and for whom.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    /// The masters.
    pub(super) fleet: Arc<Fleet>,
    /// The deployment; its bell.
    pub(super) deployment: Arc<Deployment>,
    /// How to connect to the Sentinel.
    pub(super) target: Target,
    /// The end of the process.
    pub(super) stop: CancellationToken,
}

/// What an event means to the stream of a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// A replica is about to be promoted.
    Before,
    /// It was, or will not be.
    After,
    /// Neither.
    Other,
}

impl Listener {
    /// Listens to one Sentinel until told to end.
    pub(super) async fn run(self) {
        let link = &self.target.link;
        let mut backoff = Backoff::new(link.retry_min, link.retry_max);
        loop {
            let began = Instant::now();
            let ended = tokio::select! {
                () = self.stop.cancelled() => return,
                ended = self.follow() => ended,
            };
            if let Err(error) = ended {
                tracing::debug!(sentinel = %self.target.source, %error, "events");
            }
            if began.elapsed() > SILENCE {
                backoff.reset();
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(backoff.next_wait()) => {}
            }
        }
    }

    /// Until the connection fails.
    async fn follow(&self) -> Result<(), SideError> {
        let mut client = Client::connect(&self.target).await?;
        client.send(&Outbound::SentinelEvents).await?;
        let mut wait = SILENCE;
        loop {
            match timeout(wait, client.next()).await {
                Ok(frame) => {
                    self.take(&frame?);
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

    fn take(&self, frame: &BytesFrame) {
        let words: Vec<String> = client::members(frame)
            .unwrap_or(&[])
            .iter()
            .filter_map(client::text)
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect();
        let [kind, channel, text] = words.as_slice() else {
            // The answer to SUBSCRIBE. What was said while nobody listened is made up for by a look.
            return self.deployment.look();
        };
        if kind != "message" {
            return;
        }
        tracing::debug!(sentinel = %self.target.source, %channel, %text, "event");
        let limit = match meaning(channel) {
            Meaning::Before => Some(PAUSE_LIMIT),
            Meaning::After => None,
            Meaning::Other => return self.deployment.look(),
        };
        let masters = self.fleet.masters();
        let ours = masters
            .iter()
            .filter(|m| m.source == self.deployment.source);
        let name = master_of(text);
        if let Some(master) = ours.into_iter().find(|m| Some(&*m.shard) == name) {
            master.pause(limit);
        }
        self.deployment.look();
    }
}

fn meaning(channel: &str) -> Meaning {
    match channel {
        "+selected-slave" | "+failover-state-send-slaveof-noone" => Meaning::Before,
        "-failover-abort-no-good-slave" | "-failover-abort-slave-timeout" => Meaning::After,
        _ => Meaning::Other,
    }
}

/// The master that an event is about: `master NAME ip port` or `slave .. @ NAME ip port`.
fn master_of(text: &str) -> Option<&str> {
    match text.split_once(" @ ") {
        Some((_, master)) => master.split(' ').next(),
        None => text.strip_prefix("master ")?.split(' ').next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_name_their_master() {
        for (text, master) in [
            (
                "slave 127.0.0.1:7001 127.0.0.1 7001 @ mm 127.0.0.1 7000",
                Some("mm"),
            ),
            ("master mm 127.0.0.1 7000", Some("mm")),
            ("mm 127.0.0.1 7000 127.0.0.1 7001", None),
            ("", None),
        ] {
            assert_eq!(master_of(text), master, "{text}");
        }
    }

    #[test]
    fn only_a_promotion_to_come_stops_the_stream() {
        assert_eq!(meaning("+selected-slave"), Meaning::Before);
        assert_eq!(meaning("-failover-abort-no-good-slave"), Meaning::After);
        assert_eq!(meaning("+switch-master"), Meaning::Other);
    }
}
