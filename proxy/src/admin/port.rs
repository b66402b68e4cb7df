//! What all connections of the admin port share.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::auth::Users;
use super::reply::Reply;
use crate::fleet::{Fleet, Master};
use crate::metrics::AdminMeters;
use crate::model::ask::{Answer, Ask};
use crate::{clock, config};

/// Databases that a server has by default; SELECT accepts at least so many.
const DATABASES: u32 = 16;

/// An owner answers in milliseconds; one that takes longer than this is not waited for.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What all connections of the admin port share.
#[derive(Debug)]
pub(crate) struct Port {
    pub fleet: Arc<Fleet>,
    pub config: Arc<config::Admin>,
    pub users: Users,
    /// The port that the listener got.
    pub number: u16,
    pub started: Instant,
    pub clients: Clients,
    pub meters: AdminMeters,
    /// Where Sentinel last sent us, `host` and `port`.
    notice: Mutex<Option<(String, u16)>>,
    databases: AtomicU32,
}

impl Port {
    pub(crate) fn new(fleet: Arc<Fleet>, config: Arc<config::Admin>, number: u16) -> Port {
        Port {
            fleet,
            users: Users::new(&config),
            config,
            number,
            started: clock::now(),
            clients: Clients::default(),
            meters: AdminMeters::new(),
            notice: Mutex::new(None),
            databases: AtomicU32::new(DATABASES),
        }
    }

    /// The error for reads of the keyspace while no master has ever been loaded.
    pub(crate) fn loading(&self) -> Option<Reply> {
        let masters = self.fleet.masters();
        if masters.iter().any(|m| m.status().generation.loaded()) {
            return None;
        }
        /// Masters named in the error.
        const NAMED_MAX: usize = 3;
        let named: Vec<String> = masters
            .iter()
            .take(NAMED_MAX)
            .map(|m| format!("{} is {}", m.name(), m.status().state.name()))
            .collect();
        let why = match &named[..] {
            [] => "no master is known".to_owned(),
            named => named.join(", "),
        };
        Some(Reply::Error(
            format!("LOADING Keyscape has loaded nothing yet: {why}").into(),
        ))
    }

    /// Asks every master at once; one answer per master, `None` for one that did not answer.
    pub(crate) async fn ask_all<T>(
        &self,
        question: impl Fn(oneshot::Sender<Answer<T>>) -> Ask,
    ) -> Vec<(Arc<Master>, Option<Answer<T>>)> {
        let deadline = tokio::time::Instant::now() + ANSWER_MAX;
        let mut waiting = Vec::new();
        for master in self.fleet.masters() {
            let (reply, answer) = oneshot::channel();
            let send = master.asks.send(question(reply));
            let sent = tokio::time::timeout_at(deadline, send).await;
            waiting.push((master, matches!(sent, Ok(Ok(()))).then_some(answer)));
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for (master, answer) in waiting {
            let answer = match answer {
                None => None,
                Some(answer) => match tokio::time::timeout_at(deadline, answer).await {
                    Ok(Ok(answer)) => Some(answer),
                    Ok(Err(_)) | Err(_) => None,
                },
            };
            answers.push((master, answer));
        }
        answers
    }

    /// As [`Port::ask_all`], but an error if any master is silent: a part of the keyspace would be
    /// taken for the whole.
    pub(crate) async fn ask_everyone<T>(
        &self,
        question: impl Fn(oneshot::Sender<Answer<T>>) -> Ask,
    ) -> Result<Vec<(Arc<Master>, Answer<T>)>, Reply> {
        self.ask_all(question)
            .await
            .into_iter()
            .map(|(master, answer)| match answer {
                Some(answer) => Ok((master, answer)),
                None => Err(silent(&master)),
            })
            .collect()
    }

    /// One more than the largest database that SELECT accepts.
    pub(crate) fn databases(&self) -> u32 {
        self.databases.load(Ordering::Relaxed)
    }

    /// Learns of a database that has keys.
    pub(crate) fn saw_database(&self, db: u32) {
        self.databases
            .fetch_max(db.saturating_add(1), Ordering::Relaxed);
    }

    /// Where Sentinel last sent us.
    pub(crate) fn notice(&self) -> Option<(String, u16)> {
        self.notice
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set_notice(&self, notice: Option<(String, u16)>) {
        *self.notice.lock().unwrap_or_else(PoisonError::into_inner) = notice;
    }
}

/// The error for a master whose owner does not answer.
pub(crate) fn silent(master: &Master) -> Reply {
    Reply::Error(format!("TRYAGAIN the model of {} does not answer", master.name()).into())
}

/// Every connection, for CLIENT LIST and CLIENT KILL.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    rows: Mutex<BTreeMap<u64, Arc<Client>>>,
    last_id: AtomicU64,
}

/// One connection as others see it.
#[derive(Debug)]
pub(crate) struct Client {
    pub id: u64,
    pub peer: SocketAddr,
    pub local: SocketAddr,
    pub since: Instant,
    /// Ends the connection.
    pub kill: CancellationToken,
    pub seen: Mutex<Seen>,
}

/// What changes while a connection lasts.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub last: Instant,
    pub name: Vec<u8>,
    pub library: String,
    pub library_version: String,
    pub user: String,
    pub command: &'static str,
    pub db: u32,
    pub protocol: u8,
    pub channels: usize,
    pub patterns: usize,
    /// Queued commands, or -1 outside MULTI.
    pub queued: i64,
    pub monitor: bool,
}

impl Seen {
    pub(crate) fn new(now: Instant) -> Seen {
        Seen {
            last: now,
            name: Vec::new(),
            library: String::new(),
            library_version: String::new(),
            user: super::auth::DEFAULT_USER.to_owned(),
            command: "",
            db: 0,
            protocol: 2,
            channels: 0,
            patterns: 0,
            queued: -1,
            monitor: false,
        }
    }
}

impl Client {
    pub(crate) fn seen(&self) -> Seen {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Clients {
    /// A number that no connection had before.
    pub(crate) fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn add(&self, client: Arc<Client>) {
        self.lock().insert(client.id, client);
    }

    pub(crate) fn remove(&self, id: u64) {
        self.lock().remove(&id);
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Every connection, by number.
    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
