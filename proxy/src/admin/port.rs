//! What all connections of the admin port share.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::auth::Users;
use super::reply::Reply;
use super::sentinel::Notice;
use crate::fleet::{Fleet, Master, MasterId};
use crate::metrics::AdminMeters;
use crate::{clock, config};

/// Databases that a server has by default; SELECT accepts at least so many.
const DATABASES: u32 = 16;

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
    /// Where Sentinel last sent us, by master.
    notices: Mutex<BTreeMap<MasterId, Notice>>,
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
            notices: Mutex::new(BTreeMap::new()),
            databases: AtomicU32::new(DATABASES),
        }
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

    /// Where a REPLICAOF last sent a master.
    pub(crate) fn notice(&self, master: MasterId) -> Option<Notice> {
        self.notices().get(&master).cloned()
    }

    /// Takes note of a REPLICAOF; those of masters that are gone are forgotten.
    pub(crate) fn set_notice(&self, master: MasterId, notice: Notice) {
        let mut notices = self.notices();
        notices.retain(|id, _| self.fleet.master(*id).is_some());
        notices.insert(master, notice);
    }

    fn notices(&self) -> MutexGuard<'_, BTreeMap<MasterId, Notice>> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
