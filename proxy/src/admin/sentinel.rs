//! What Sentinel and masters see of us: a replica that can never be promoted.
//!
//! Sentinel finds our announced port in its master's INFO. It reads role, master and priority from
//! our INFO every ten seconds, and on a failover sends `MULTI, SLAVEOF host port, ..., EXEC`; it
//! counts the failover done when our INFO names the new master (`reference/replication.md` 4.2).
//! So REPLICAOF changes what we report at once. Which master is followed is decided by discovery,
//! never by whoever can reach this port.

use std::sync::Arc;

use super::port::Port;
use super::reply::Reply;
use super::request::Request;
use super::session::Session;
use crate::fleet::{Master, State};

/// Whom we say to replicate: Sentinel's last word, else the first master.
#[derive(Clone, Debug, Default)]
pub(crate) struct Followed {
    pub host: String,
    pub port: u16,
    /// The master that the figures are of.
    pub master: Option<Arc<Master>>,
    /// The link as Sentinel should see it. A failover is not finished before every replica that
    /// Sentinel knows says "up", so a server that we were sent to and do not follow counts as up:
    /// a tool that watches must not hold a failover back. `# Keyscape` has the truth.
    pub up: bool,
}

pub(crate) fn followed(port: &Port) -> Followed {
    let masters = port.fleet.masters();
    let synced = |master: &Arc<Master>| master.status().state == State::Synced;
    let Some((host, number)) = port.notice() else {
        let first = masters.into_iter().next();
        let place = first.as_ref().map(|m| m.place()).unwrap_or_default();
        return Followed {
            host: place.host.clone(),
            port: place.port,
            up: first.as_ref().is_some_and(synced),
            master: first,
        };
    };
    let noticed = masters.iter().find(|m| is_at(m, &host, number));
    Followed {
        up: noticed.is_none_or(synced),
        master: noticed.or(masters.first()).cloned(),
        host,
        port: number,
    }
}

fn is_at(master: &Master, host: &str, port: u16) -> bool {
    let place = master.place();
    place.host == host && place.port == port
}

/// REPLICAOF host port: noted, reported, and logged. NO ONE never makes a master of us.
pub(crate) fn replicaof(session: &mut Session, request: &Request) -> Reply {
    if request.is(1, "NO") && request.is(2, "ONE") {
        tracing::info!(client = session.client.id, "refused to become a master");
        return Reply::OK;
    }
    let Some(number) = request.number::<u16>(2) else {
        return Reply::error("ERR Invalid master port");
    };
    let host = request.text(1);
    let masters = session.port.fleet.masters();
    let known = masters.iter().any(|m| is_at(m, &host, number));
    tracing::info!(
        client = session.client.id,
        known,
        "took the notice of a failover"
    );
    session.port.fleet.notice(&host, number);
    session.port.set_notice(Some((host, number)));
    Reply::OK
}

/// ROLE, as a replica answers it.
pub(crate) fn role(session: &mut Session, _: &Request) -> Reply {
    let followed = followed(&session.port);
    let (state, offset) = match &followed.master {
        None => ("connect", -1),
        Some(master) => {
            let status = master.status();
            let offset = i64::try_from(status.offset).unwrap_or(i64::MAX);
            (word(&status.state), offset)
        }
    };
    Reply::Array(vec![
        Reply::text("slave"),
        Reply::text(followed.host),
        Reply::Int(i64::from(followed.port)),
        Reply::text(state),
        Reply::Int(offset),
    ])
}

fn word(state: &State) -> &'static str {
    match state {
        State::Connecting | State::Lost { .. } | State::Failed { .. } => "connect",
        State::Waiting => "connecting",
        State::Loading { .. } => "sync",
        State::Synced => "connected",
    }
}
