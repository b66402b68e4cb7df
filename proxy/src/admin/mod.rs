//! The RESP port: redis-cli, exporters, client libraries and Sentinel ask, the models answer.
//!
//! ```text
//! listener -> connection (socket) -> guard, request (bytes -> arguments)
//!                |                        -> session (state, AUTH, MULTI; finds the row in table)
//!                |                             -> points    facts of keys, batched
//!                |                             -> handlers  keys, streams, info, report, monitor
//!                +-- reply (RESP2 or RESP3) <--+
//! ```
//!
//! Everything is read-only. No master is ever asked anything on behalf of a client: an answer comes
//! from the models, or it is refused. All masters of all deployments look like one keyspace unless
//! KS.TARGET narrows it ([`scope`]).

mod advise;
mod auth;
mod bridge;
mod client;
mod cluster;
mod connection;
mod deployments;
mod docs;
mod forecast;
mod growth;
mod guard;
mod handlers;
mod hashtags;
mod hello;
mod hot;
mod hot_patterns;
mod info;
mod judge;
mod keys;
mod layout;
mod memory;
mod monitor;
mod nodes;
mod patterns;
mod points;
mod port;
mod prospects;
mod pubsub;
mod rebalance;
mod refuse;
mod reply;
mod report;
mod request;
pub(crate) mod roster;
mod scope;
mod sentinel;
mod session;
mod slots;
mod standing;
mod strays;
mod streams;
mod syntax;
mod system;
mod table;
mod target;
mod tls;
mod transaction;
mod ttl;
mod verify;
mod whatif;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::{Connection, Stream};
use self::port::{Client, Port, Seen};
use self::scope::{Scope, Target};
use self::session::Session;
use crate::fleet::Fleet;
use crate::{clock, config};

pub(crate) use self::layout::readable;
pub(crate) use self::memory::process as process_memory;
pub(crate) use self::prospects::{label_of, large_tags, pattern_flows, prospects};
pub(crate) use self::scope::ask_each_until;

/// Deployments without a map, and shards without a link that are ours to follow, each with why.
pub(crate) fn unfollowed(fleet: &Fleet) -> Vec<(String, String)> {
    let scope = Scope::of(fleet, &Target::All);
    let absent = scope.map_or_else(|_| Vec::new(), |scope| scope.unfollowed());
    absent.into_iter().map(|a| (a.name, a.why)).collect()
}

/// Time for a TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Pause after the system refused to accept (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the admin port until `shutdown`.
///
/// # Errors
///
/// If the TLS files cannot be used, or the listener has no address.
pub async fn run(
    listener: TcpListener,
    fleet: Arc<Fleet>,
    config: Arc<config::Admin>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
    let number = listener.local_addr()?.port();
    let permits = Arc::new(Semaphore::new(config.clients_max));
    let port = Arc::new(Port::new(fleet, config, number));
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(permit) = admit(&port, &permits, &stream, peer) {
                    let kill = shutdown.child_token();
                    let task = client_task(port.clone(), stream, tls.clone(), kill);
                    tasks.spawn(async move {
                        let _permit: OwnedSemaphorePermit = permit;
                        task.await;
                    });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a client");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    tasks.close();
    tasks.wait().await;
    Ok(())
}

/// A place for the client, unless protected mode or the limit keeps it out; then it is told.
fn admit(
    port: &Port,
    permits: &Arc<Semaphore>,
    stream: &TcpStream,
    peer: SocketAddr,
) -> Option<OwnedSemaphorePermit> {
    const FULL: &str = "-ERR max number of clients reached\r\n";
    port.meters.connections.add(1);
    let permit = permits.clone().try_acquire_owned().ok();
    let refusal = match permit {
        Some(_) if port.users.denies(peer) => auth::DENIED,
        Some(_) => return permit,
        None => FULL,
    };
    port.meters.rejected.add(1);
    // The socket is new: its buffer takes a line, or the client is gone.
    let _ = stream.try_write(refusal.as_bytes());
    None
}

/// One client from handshake to end.
async fn client_task(
    port: Arc<Port>,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    kill: CancellationToken,
) {
    let Some(client) = introduce(&port, &stream, kill.clone()) else {
        return;
    };
    let id = client.id;
    port.clients.add(client.clone());
    port.meters.clients(port.clients.len());
    let serve = async {
        let stream = handshake(stream, tls).await?;
        let session = Session::new(port.clone(), client);
        Connection::new(stream, session).run().await
    };
    tokio::select! {
        ended = serve => {
            if let Err(error) = ended {
                tracing::debug!(client = id, %error, "a client's connection broke");
            }
        }
        () = kill.cancelled() => {}
    }
    port.clients.remove(id);
    port.meters.clients(port.clients.len());
}

fn introduce(port: &Port, stream: &TcpStream, kill: CancellationToken) -> Option<Arc<Client>> {
    // A client that is gone already has no addresses.
    let (peer, local) = (stream.peer_addr().ok()?, stream.local_addr().ok()?);
    // Answers are written whole; waiting for more would only add latency.
    stream.set_nodelay(true).ok()?;
    let now = clock::now();
    Some(Arc::new(Client {
        id: port.clients.next_id(),
        peer,
        local,
        since: now,
        kill,
        seen: Mutex::new(Seen::new(now)),
    }))
}

async fn handshake(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
) -> std::io::Result<Box<dyn Stream>> {
    let Some(tls) = tls else {
        return Ok(Box::new(stream));
    };
    let stream = tokio::time::timeout(HANDSHAKE_MAX, tls.accept(stream)).await??;
    Ok(Box::new(stream))
}
