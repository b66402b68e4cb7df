//! What Sentinel and masters see of us: a replica that can never be promoted.
//!
//! Sentinel finds our announced port in its master's INFO. It reads role, master and priority from
//! our INFO every ten seconds, and on a failover sends `MULTI, SLAVEOF host port, ..., EXEC`; it
//! counts the failover done when our INFO names the new master (`reference/replication.md` 4.2).
//! So REPLICAOF changes what we report at once, and has discovery look; which master is followed
//! is decided by discovery, never by whoever can reach this port.
//!
//! We follow many masters, and each Sentinel that watches one of them expects to hear of that one.
//! It has a connection for each, and on it publishes a hello every two seconds that names the
//! master as the Sentinel sees it:
//!
//! ```text
//! PUBLISH __sentinel__:hello ip,port,runid,epoch,name,master-ip,master-port,master-epoch
//! ```
//!
//! So a connection is answered by what was last said on it, hello or REPLICAOF. Where nothing was
//! said (people, tools, the first INFO of a Sentinel) the answer is the target of KS.TARGET or else
//! the first master, with the address of the last REPLICAOF that concerned it, until discovery has
//! found out itself.

use std::sync::Arc;

use super::port::Port;
use super::reply::Reply;
use super::request::Request;
use super::session::Session;
use crate::fleet::{Master, MasterId, State};

/// The channel of Sentinel's hellos.
const HELLO: &[u8] = b"__sentinel__:hello";

/// What was last said on a connection about the master that we replicate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub host: String,
    pub port: u16,
    /// The master that this concerns, if it is one of ours.
    pub master: Option<MasterId>,
}

/// Where a REPLICAOF sent one of our masters.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    pub host: String,
    pub port: u16,
    /// What the master was called then. Discovery's word counts when that has changed.
    pub was: String,
}

/// Whom we say to replicate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Followed {
    pub host: String,
    pub port: u16,
    /// The master that the figures are of.
    pub master: Option<Arc<Master>>,
    /// The link. A Sentinel always hears that it is up: a failover is not finished before every
    /// replica that Sentinel knows says so, and a tool that watches must not hold a failover back.
    /// `# Keyscape` has the truth.
    pub up: bool,
}

pub(crate) fn followed(session: &Session) -> Followed {
    let port = &session.port;
    let scope = session.scope().ok();
    let first = scope.and_then(|scope| scope.masters.into_iter().next());
    if let Some(told) = &session.told {
        let known = told.master.and_then(|id| port.fleet.master(id));
        return Followed {
            host: told.host.clone(),
            port: told.port,
            master: known.or(first),
            up: true,
        };
    }
    let place = first.as_ref().map(|m| m.place()).unwrap_or_default();
    let notice = first.as_ref().and_then(|master| port.notice(master.id));
    let (host, number) = match notice.filter(|notice| notice.was == place.name) {
        Some(notice) => (notice.host, notice.port),
        None => (place.host.clone(), place.port),
    };
    Followed {
        host,
        port: number,
        up: first
            .as_ref()
            .is_some_and(|master| master.status().state == State::Synced),
        master: first,
    }
}

/// The master that Sentinel calls so, or that has a node at that address.
fn identify(port: &Port, name: Option<&str>, (host, number): (&str, u16)) -> Option<Arc<Master>> {
    let masters = port.fleet.masters();
    let here = |master: &&Arc<Master>| {
        let place = master.place();
        let addrs = place.nodes.iter().filter_map(|node| node.addr.as_ref());
        place.host == host && place.port == number
            || addrs
                .into_iter()
                .any(|a| a.host == host && a.port == number)
    };
    let at = masters.iter().filter(here);
    let called = |master: &&Arc<Master>| name.is_some_and(|name| *master.shard == *name);
    // Two deployments may call a master the same: the address decides.
    let both = at.clone().find(called);
    let one = both.or_else(|| masters.iter().find(called));
    one.or_else(|| at.clone().next()).cloned()
}

/// PUBLISH reaches nobody, and is never passed on to a master. A hello of Sentinel says whose
/// replica it takes us for.
pub(crate) fn publish(session: &mut Session, request: &Request) -> Reply {
    if request.arg(1) == HELLO
        && let Some(told) = hello(&session.port, &request.text(2))
    {
        session.told = Some(told);
    }
    Reply::Int(0)
}

fn hello(port: &Port, message: &str) -> Option<Told> {
    let fields: Vec<&str> = message.split(',').collect();
    let &[_, _, _, _, name, host, number, _] = &fields[..] else {
        return None;
    };
    /// A host name is no longer.
    const HOST_MAX: usize = 255;
    let number: u16 = number.parse().ok()?;
    if host.is_empty() || host.len() > HOST_MAX {
        return None;
    }
    Some(Told {
        host: host.to_owned(),
        port: number,
        master: identify(port, Some(name), (host, number)).map(|master| master.id),
    })
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
    let port = session.port.clone();
    let before = session.told.as_ref().and_then(|told| told.master);
    let master = before
        .and_then(|id| port.fleet.master(id))
        .or_else(|| identify(&port, None, (&host, number)))
        .or_else(|| only(&port));
    tracing::info!(
        client = session.client.id,
        master = master.as_ref().map(|master| master.name()),
        "took the notice of a failover"
    );
    port.fleet.notice(&host, number);
    if let Some(master) = &master {
        let notice = Notice {
            host: host.clone(),
            port: number,
            was: master.name(),
        };
        port.set_notice(master.id, notice);
    }
    session.told = Some(Told {
        host,
        port: number,
        master: master.map(|master| master.id),
    });
    Reply::OK
}

/// The master, if there is one only: an address that nobody knows can only concern that one.
fn only(port: &Port) -> Option<Arc<Master>> {
    let mut masters = port.fleet.masters().into_iter();
    let first = masters.next();
    first.filter(|_| masters.next().is_none())
}

/// ROLE, as a replica answers it.
pub(crate) fn role(session: &mut Session, _: &Request) -> Reply {
    let followed = followed(session);
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
