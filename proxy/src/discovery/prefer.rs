//! A second look before a link that is well is moved for the sake of the mode alone.
//!
//! A map does not say whether a replica is in sync: an old master that came back, or one that was
//! overruled, is in it as a replica while it still has to take a full sync itself. A link that went
//! there would lose its history with it. So the replica is asked: it must be connected to its
//! master, be in the history that the link is in, and have all of it that the link lacks.

use std::time::Duration;

use cluster_map::{Action, Cause};
use replica_shim::Outbound;
use replica_shim::outbound::InfoSection;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::fleet::{Role, Status};
use crate::side::client::{self, Client, SideError, Target};
use crate::side::info::Info;

/// How long the replica may take to answer.
const LIMIT: Duration = Duration::from_secs(2);

/// Moves in one look; the others are for the next ones.
const MOVES_MAX: usize = 32;

/// One link, and the replica that it should move to.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    /// The link.
    link: u32,
    /// The replica.
    target: Target,
    /// How far it is.
    at: Point,
}

/// A point of a history.
#[derive(Clone, Debug)]
struct Point {
    replid: String,
    offset: u64,
}

impl Wish {
    /// The link as its owner tells it.
    pub(super) fn new(link: u32, target: Target, status: &Status) -> Wish {
        Wish {
            link,
            target,
            at: Point {
                replid: status.replid.to_string(),
                offset: status.offset,
            },
        }
    }

    async fn is_fit(&self) -> Result<bool, SideError> {
        let mut client = Client::connect(&self.target).await?;
        let reply = client.ask_one(&Outbound::Info(InfoSection::Replication));
        let reply = reply.await?;
        let Some(text) = client::text(&reply) else {
            // Without the right to ask, the map's word is taken.
            return Ok(true);
        };
        Ok(self.at.continues(&String::from_utf8_lossy(text)))
    }
}

impl Point {
    /// By what INFO replication says.
    fn continues(&self, text: &str) -> bool {
        let info = Info(text);
        let is_replica = info.role() == Role::Replica;
        let connected = info.get("master_link_status") == Some("up");
        let same = info.get("master_replid") == Some(self.replid.as_str());
        let first = info.backlog().and_then(|backlog| backlog.first_byte);
        // An empty backlog, whose first byte is the next one, will do as well.
        let has_rest = first.is_some_and(|first| first.get() <= self.offset.saturating_add(1));
        is_replica && connected && same && has_rest
    }
}

/// Takes out of the actions the moves whose replica cannot continue the link's history, or does not
/// say so in time.
pub(super) async fn look_again(actions: &mut Vec<Action>, wishes: Vec<Wish>) {
    let mut asked = JoinSet::new();
    for wish in wishes.into_iter().take(MOVES_MAX) {
        asked.spawn(async move {
            let fit = timeout(LIMIT, wish.is_fit()).await;
            matches!(fit, Ok(Ok(true))).then_some(wish.link)
        });
    }
    let fit: Vec<u32> = asked.join_all().await.into_iter().flatten().collect();
    actions.retain(|action| match action {
        Action::Move {
            link,
            why: Cause::Preferred,
            ..
        } => fit.contains(link),
        Action::Open { .. }
        | Action::Move { .. }
        | Action::Regroup { .. }
        | Action::Close { .. } => true,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(change: (&str, &str)) -> String {
        let id = "a".repeat(40);
        let fields = [
            ("role", "slave"),
            ("master_link_status", "up"),
            ("master_replid", id.as_str()),
            ("master_repl_offset", "900"),
            ("repl_backlog_active", "1"),
            ("repl_backlog_first_byte_offset", "100"),
        ];
        let field = |(name, value)| {
            let value = if name == change.0 { change.1 } else { value };
            format!("{name}:{value}\r\n")
        };
        fields.map(field).concat()
    }

    #[test]
    fn a_replica_must_hold_the_links_history() {
        let at = |offset| Point {
            replid: "a".repeat(40),
            offset,
        };
        assert!(at(500).continues(&info(("", ""))));
        assert!(at(99).continues(&info(("", ""))));
        assert!(
            !at(98).continues(&info(("", ""))),
            "the backlog begins later"
        );
        for change in [
            ("role", "master"),
            ("master_link_status", "down"),
            ("master_replid", "b"),
            ("repl_backlog_active", "0"),
        ] {
            assert!(!at(500).continues(&info(change)), "{change:?}");
        }
    }
}
