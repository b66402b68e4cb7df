//! The HTTP port: the scrape, and three questions that Kubernetes and people ask.
//!
//! ```text
//! /metrics   Prometheus text
//! /livez     200 while the event loop turns: restart the process if it does not
//! /readyz    200 while the ports answer and every master has an owner. Not about loading: a sidecar
//!            that is not ready takes its pod, and so the server itself, out of service
//! /synced    200 while every master has a committed model that is close behind it
//! ```
//!
//! The three answer JSON that says why not. The accept loop is our own, because axum's sets no
//! timer, and without one a client that sends its header a byte a minute holds its place for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::fleet::{self, Fleet, Status};
use crate::model::ask::Generation;
use crate::{admin, clock, config, metrics};

/// Time for a client to send its request header.
const HEADER_TIME_MAX: Duration = Duration::from_secs(5);

/// Time for one connection in all: a scrape takes milliseconds.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(120);

/// Bytes of a request header; hyper's smallest buffer.
const HEADER_BYTES_MAX: usize = 8 * 1024;

/// Pause after the system refused to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often the event loop notes that it turns, and how old that note may be.
const HEARTBEAT: Duration = Duration::from_secs(1);
const HEARTBEAT_AGE_MAX: Duration = Duration::from_secs(10);

/// How often the histograms are folded, so that they do not grow.
const UPKEEP: Duration = Duration::from_secs(5);

/// A model that is further behind than this is not synced.
const LAG_BYTES_MAX: u64 = 16 * 1024 * 1024;
const LAG_MS_MAX: u64 = 5_000;

/// What the handlers share.
struct Shared {
    fleet: Arc<Fleet>,
    config: Arc<config::Http>,
    started: Instant,
    /// Milliseconds from `started` to the last turn of the event loop.
    heartbeat_ms: AtomicU64,
}

/// Serves the HTTP port until `shutdown`.
///
/// # Errors
///
/// None today; the listener is there already.
pub async fn run(
    listener: TcpListener,
    fleet: Arc<Fleet>,
    config: Arc<config::Http>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let handle = metrics::install();
    let shared = Arc::new(Shared {
        fleet,
        config: config.clone(),
        started: clock::now(),
        heartbeat_ms: AtomicU64::new(0),
    });
    let router = Router::new()
        .route("/", get(index))
        .route("/metrics", get(scrape))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/synced", get(synced))
        .with_state(shared.clone());
    let permits = Arc::new(Semaphore::new(config.connections_max));
    let tasks = TaskTracker::new();
    let mut beat = tokio::time::interval(HEARTBEAT);
    let mut upkeep = tokio::time::interval(UPKEEP);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = beat.tick() => shared.heartbeat_ms.store(shared.age_ms(), Ordering::Relaxed),
            _ = upkeep.tick() => handle.upkeep(),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Beyond the limit the client is closed; a scrape is tried again.
                    let Ok(permit) = permits.clone().try_acquire_owned() else {
                        continue;
                    };
                    let (router, stop) = (router.clone(), shutdown.clone());
                    tasks.spawn(async move {
                        serve(stream, router, stop).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an HTTP client");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    tasks.close();
    tasks.wait().await;
    Ok(())
}

async fn serve(stream: TcpStream, router: Router, stop: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::select! {
        ended = tokio::time::timeout(CONNECTION_TIME_MAX, connection) => {
            if let Ok(Err(error)) = ended {
                tracing::debug!(%error, "an HTTP connection broke");
            }
        }
        () = stop.cancelled() => {}
    }
}

impl Shared {
    fn age_ms(&self) -> u64 {
        let age = clock::now().duration_since(self.started).as_millis();
        u64::try_from(age).unwrap_or(u64::MAX)
    }
}

async fn index() -> &'static str {
    "keyscape: /metrics /livez /readyz /synced\n"
}

async fn scrape(State(shared): State<Arc<Shared>>) -> Response {
    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
    match metrics::scrape(&shared.fleet, &shared.config).await {
        Some(body) => ([(header::CONTENT_TYPE, TEXT)], body).into_response(),
        // An empty body would look like a process that has nothing to tell.
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn answer(good: bool, body: &serde_json::Value) -> Response {
    let status = if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = format!("{body}\n");
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn livez(State(shared): State<Arc<Shared>>) -> Response {
    let age_ms = shared
        .age_ms()
        .saturating_sub(shared.heartbeat_ms.load(Ordering::Relaxed));
    let live = u128::from(age_ms) <= HEARTBEAT_AGE_MAX.as_millis();
    answer(live, &json!({ "live": live, "heartbeat_age_ms": age_ms }))
}

async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let masters = shared.fleet.masters();
    let dead: Vec<String> = masters
        .iter()
        .filter(|master| master.asks.is_closed())
        .map(|master| master.name())
        .collect();
    let ready = dead.is_empty();
    let body = json!({
        "ready": ready,
        "masters": masters.len(),
        "without_owner": dead,
        "synced": not_synced(&shared.fleet).is_empty(),
    });
    answer(ready, &body)
}

async fn synced(State(shared): State<Arc<Shared>>) -> Response {
    let why = not_synced(&shared.fleet);
    let good = why.is_empty();
    let why: Vec<_> = why
        .into_iter()
        .map(|(master, why)| json!({ "master": master, "why": why }))
        .collect();
    answer(good, &json!({ "synced": good, "why_not": why }))
}

/// The masters whose model is not close behind them, each with the reason, and the deployments and
/// shards that are not followed though they should be; if there is nothing at all, that is one too.
pub(crate) fn not_synced(fleet: &Fleet) -> Vec<(String, String)> {
    let masters = fleet.masters();
    let unfollowed = admin::unfollowed(fleet);
    if masters.is_empty() && unfollowed.is_empty() {
        return vec![(String::new(), "no master is configured".to_owned())];
    }
    let late = masters
        .iter()
        .filter_map(|master| Some((master.name(), behind(&master.status())?)));
    late.chain(unfollowed).collect()
}

/// Why a model is not close behind its master; `None` if it is.
pub(crate) fn behind(status: &Status) -> Option<String> {
    let state = status.state.name();
    match status.generation {
        Generation::Empty => Some(format!("nothing was ever loaded; the link is {state}")),
        Generation::Loading => Some(match &status.state {
            fleet::State::Loading { keys, bytes, .. } => {
                format!("the first load is running: {keys} keys, {bytes} bytes")
            }
            fleet::State::Connecting
            | fleet::State::Waiting
            | fleet::State::Synced
            | fleet::State::Lost { .. }
            | fleet::State::Failed { .. } => "the first load is running".to_owned(),
        }),
        Generation::Lagging => Some(format!("the link is {state}; {}", status.last_error)),
        Generation::Current if status.lag_bytes > LAG_BYTES_MAX => {
            Some(format!("{} bytes behind", status.lag_bytes))
        }
        Generation::Current if status.lag_ms > LAG_MS_MAX => {
            Some(format!("{} ms behind", status.lag_ms))
        }
        Generation::Current => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Build, testing};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn get(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("accepted");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("writable");
        let mut response = String::new();
        stream
            .read_to_string(&mut response)
            .await
            .expect("readable");
        response
    }

    #[tokio::test]
    async fn probes_say_why_not() {
        let fleet = Fleet::new(Build {
            version: "0.1.0",
            run_id: "c".repeat(40),
            started_ms: 1,
        });
        let (master, seat) = testing::master(0);
        fleet.add(master);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let stop = CancellationToken::new();
        let config = Arc::new(config::Http::default());
        let task = tokio::spawn(run(listener, fleet, config, stop.clone()));
        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200 "));
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200 "));
        let synced = get(address, "/synced").await;
        assert!(synced.starts_with("HTTP/1.1 503 "), "{synced}");
        assert!(
            synced.contains("nothing was ever loaded; the link is connecting"),
            "{synced}"
        );
        drop(seat);
        let ready = get(address, "/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
        assert!(
            ready.contains("\"without_owner\":[\"10.0.0.1:6379\"]"),
            "{ready}"
        );
        let metrics = get(address, "/metrics").await;
        assert!(
            metrics.contains("\nkeyscape_synced{master=\"10.0.0.1:6379\"} 0\n"),
            "{metrics}"
        );
        stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(60), task).await;
        assert!(ended.expect("in time").expect("no panic").is_ok());
    }
}
