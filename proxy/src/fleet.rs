//! The masters that are followed, as everyone else sees them: a name, a channel for questions, and
//! a status that is always there to read.
//!
//! The fleet owns no keyspace. It is the one place where the admin port, the scrape and the
//! readiness probes find the owners; a master is in it from its discovery to its removal, whatever
//! state its link is in.
//!
//! A master is a shard of a cluster, a named master of Sentinel, or a plain server. It outlives
//! failovers: what they change is in its [`Place`], and its owner is told by an [`Order`].

mod deployment;
mod status;

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use cluster_map::slots::SLOTS;
use cluster_map::{Addr, Cause, Node, NodeId, Slot, Slots};
use dashmap::DashMap;
use tokio::sync::{mpsc, oneshot, watch};

pub use deployment::{Deployment, Guard, NotFollowed, Post, Reach, Seed, View};
pub use status::{Bridged, Counters, Loss, Role, Server, State, Status, UNKNOWN_NAMES_MAX};

use crate::clock;
use crate::config::Containers;
use crate::memory::Memory;
use crate::model::ask::{ASKS_MAX, Answer, Ask, Reply};
use crate::side::client::Target;
pub use crate::source::Kind;
use crate::watch::Hub;

/// Names a master for the life of the process; also the order of listings.
pub type MasterId = u32;

/// Every master of this process.
#[derive(Debug)]
pub struct Fleet {
    masters: DashMap<MasterId, Arc<Master>>,
    deployments: RwLock<Vec<Arc<Deployment>>>,
    routes: RwLock<Option<Arc<Routes>>>,
    next_id: AtomicU32,
    /// What this process is.
    pub build: Build,
    /// The memory that the models share.
    pub memory: Arc<Memory>,
    /// How much memory the masters' containers may take.
    containers: Containers,
    /// Where events are told.
    pub(crate) hub: Arc<Hub>,
}

/// What this process is.
#[derive(Clone, Debug)]
pub struct Build {
    /// Version of the binary.
    pub version: &'static str,
    /// 40 hex digits, new in every process; answered as `run_id`, which is how we recognise
    /// ourselves when someone points us at our own port.
    pub run_id: String,
    /// When the process started, unix milliseconds.
    pub started_ms: u64,
}

impl Fleet {
    /// A fleet without masters and without a cap on memory.
    pub fn new(build: Build) -> Arc<Fleet> {
        Fleet::within((Memory::new(None), Containers::default()), build)
    }

    /// A fleet without masters, whose models share that memory, and whose masters will be in
    /// containers of those limits.
    pub fn within((memory, containers): (Arc<Memory>, Containers), build: Build) -> Arc<Fleet> {
        Arc::new(Fleet {
            memory,
            containers,
            masters: DashMap::with_shard_amount(16),
            deployments: RwLock::new(Vec::new()),
            routes: RwLock::new(None),
            next_id: AtomicU32::new(0),
            hub: Arc::new(Hub::new()),
            build,
        })
    }

    /// Adds a deployment; there is one for each configured source.
    pub fn deploy(&self, deployment: Arc<Deployment>) {
        let mut all = self
            .deployments
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        all.push(deployment);
    }

    /// Every deployment, in the order of the configuration.
    pub fn deployments(&self) -> Vec<Arc<Deployment>> {
        let all = self.deployments.read();
        all.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An id that no master had before.
    pub fn next_id(&self) -> MasterId {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds a master.
    pub fn add(&self, master: Arc<Master>) {
        self.masters.insert(master.id, master);
    }

    /// Takes a master out; its owner ends when the last sender of questions is gone.
    pub fn remove(&self, id: MasterId) -> Option<Arc<Master>> {
        self.masters.remove(&id).map(|(_, master)| master)
    }

    /// Every master, by id. The list is a copy: no lock of the registry outlives the call.
    pub fn masters(&self) -> Vec<Arc<Master>> {
        let mut list: Vec<_> = self
            .masters
            .iter()
            .map(|entry| entry.value().clone())
            .collect();
        list.sort_by_key(|master| master.id);
        list
    }

    /// The master of that id.
    pub fn master(&self, id: MasterId) -> Option<Arc<Master>> {
        self.masters.get(&id).map(|entry| entry.value().clone())
    }

    /// The master whose place has that name now (`host:port`).
    pub fn named(&self, name: &str) -> Option<Arc<Master>> {
        self.masters()
            .into_iter()
            .find(|master| master.place.borrow().name == name)
    }

    /// The master that owns a slot, where the process follows one cluster and nothing else; `None`
    /// otherwise, and for slots that nobody owns.
    pub fn route(&self, slot: Slot) -> Option<Arc<Master>> {
        let routes = self.routes.read();
        let routes = routes.unwrap_or_else(PoisonError::into_inner).clone()?;
        self.master((*routes.0.get(usize::from(slot.number()))?)?)
    }

    /// Says where the slots are; `None`: keys have no slots here, or masters of several
    /// deployments have the same.
    pub fn set_routes(&self, routes: Option<Routes>) {
        let mut current = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        *current = routes.map(Arc::new);
    }

    /// How much memory the master's container may take, if the operator said so: by where it is now,
    /// its name over failovers, its host or its deployment.
    pub fn container_limit(&self, master: &Master) -> Option<u64> {
        let place = master.place();
        let names = [&place.name, &*master.shard, &place.host, &*master.cluster];
        self.containers.limit(&names)
    }

    /// Somebody says that this is a master now (Sentinel, by REPLICAOF to our port). Nobody's word
    /// is taken for it: discovery looks at once.
    pub fn notice(&self, host: &str, port: u16) {
        for deployment in self.deployments() {
            tracing::debug!(deployment = %deployment.label, host, port, "notice of a failover");
            deployment.look();
        }
    }
}

/// Which master owns each slot.
#[derive(Clone, Debug)]
pub struct Routes(Vec<Option<MasterId>>);

impl Routes {
    /// Routes by the slots of each master; of two that claim a slot, the first has it.
    pub fn new<'a>(owners: impl IntoIterator<Item = (MasterId, &'a Slots)>) -> Routes {
        let mut routes = vec![None; usize::from(SLOTS)];
        for (id, slots) in owners {
            for slot in slots.iter() {
                if let Some(owner) = routes.get_mut(usize::from(slot.number())) {
                    owner.get_or_insert(id);
                }
            }
        }
        Routes(routes)
    }
}

/// One master, seen from outside its owner.
#[derive(Debug)]
pub struct Master {
    /// Its id.
    pub id: MasterId,
    /// Index of the configured source that it comes from.
    pub source: usize,
    /// Label of its deployment; empty for plain servers.
    pub cluster: Arc<str>,
    /// What it is called over failovers: the shard's id, Sentinel's name for it, or `host:port` as
    /// configured.
    pub shard: Arc<str>,
    /// Questions to its owner.
    pub asks: mpsc::Sender<Ask>,
    status: watch::Receiver<Arc<Status>>,
    place: watch::Receiver<Arc<Place>>,
    pause: watch::Sender<Option<Instant>>,
}

/// What failovers change about a master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// `host:port` of the master now.
    pub name: String,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its group in the map; where servers give shards no ids, failovers may change it.
    pub group: Box<str>,
    /// The slots that it owns; none outside clusters.
    pub slots: Slots,
    /// It and its replicas, as discovery found them; none for plain servers.
    pub nodes: Vec<Node>,
    /// The node that our link is to be on.
    pub following: Option<Addr>,
    /// What discovery takes that node for.
    pub following_role: Role,
}

impl Place {
    /// The place of a server that is known by its address alone, and followed as it is.
    pub fn of(addr: &Addr) -> Place {
        Place {
            name: addr.to_string(),
            host: addr.host.clone(),
            port: addr.port,
            group: addr.to_string().into(),
            following: Some(addr.clone()),
            ..Place::default()
        }
    }
}

/// Which server an owner is to follow.
#[derive(Clone, Debug)]
pub struct Order {
    /// The server.
    pub target: Target,
    /// The node of a cluster that has to be there.
    pub node: Option<NodeId>,
    /// Why it is that one.
    pub why: Why,
}

/// Why an order was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is the one that was configured.
    Configured,
    /// Discovery found it, and it is the first one.
    Found,
    /// What happened to the one before.
    Moved(Cause),
    /// It is the same one, and well again.
    Recovered,
}

impl Why {
    /// The word used in logs.
    pub fn name(self) -> &'static str {
        match self {
            Why::Configured => "configured",
            Why::Found => "found",
            Why::Moved(cause) => cause.name(),
            Why::Recovered => "recovered",
        }
    }
}

/// The owner's ends of a [`Master`].
#[derive(Debug)]
pub struct Seat {
    /// Where questions arrive.
    pub asks: mpsc::Receiver<Ask>,
    /// Where the status is published.
    pub status: watch::Sender<Arc<Status>>,
    /// Which server to follow. A new order for a live link drops it, and the new server is
    /// attached to at once.
    pub orders: watch::Receiver<Arc<Order>>,
    /// Until when the stream is left alone.
    pub pause: watch::Receiver<Option<Instant>>,
}

/// Discovery's ends of a [`Master`].
#[derive(Debug)]
pub struct Helm {
    /// Where it is published what failovers change.
    pub place: watch::Sender<Arc<Place>>,
    /// Where orders are given.
    pub orders: watch::Sender<Arc<Order>>,
}

/// What stays the same about a master.
#[derive(Clone, Debug)]
pub struct Named {
    /// Its id.
    pub id: MasterId,
    /// Index of its source.
    pub source: usize,
    /// Label of its deployment.
    pub cluster: Arc<str>,
    /// Its name over failovers.
    pub shard: Arc<str>,
}

impl Master {
    /// A master, and the ends that its owner and its discovery hold.
    pub fn new(named: Named, place: Place, order: Order) -> (Arc<Master>, Seat, Helm) {
        let (asks_in, asks) = mpsc::channel(ASKS_MAX);
        let (status_in, status) = watch::channel(Arc::new(Status::default()));
        let (place_in, place) = watch::channel(Arc::new(place));
        let (orders_in, orders) = watch::channel(Arc::new(order));
        let (pause_in, pause) = watch::channel(None);
        let master = Master {
            id: named.id,
            source: named.source,
            cluster: named.cluster,
            shard: named.shard,
            asks: asks_in,
            status,
            place,
            pause: pause_in,
        };
        let seat = Seat {
            asks,
            status: status_in,
            orders,
            pause,
        };
        let helm = Helm {
            place: place_in,
            orders: orders_in,
        };
        (Arc::new(master), seat, helm)
    }

    /// Where it is now.
    pub fn place(&self) -> Arc<Place> {
        self.place.borrow().clone()
    }

    /// `host:port` of the master now: the label `master`.
    pub fn name(&self) -> String {
        self.place.borrow().name.clone()
    }

    /// Leaves the stream alone for a while: a replica is about to be promoted, and what the old
    /// master sends beyond that moment is lost history. `None` goes on.
    pub fn pause(&self, limit: Option<Duration>) {
        self.pause
            .send_replace(limit.map(|limit| clock::now() + limit));
    }

    /// The status as last published.
    pub fn status(&self) -> Arc<Status> {
        self.status.borrow().clone()
    }

    /// A receiver that wakes when the status changes.
    pub fn watch(&self) -> watch::Receiver<Arc<Status>> {
        self.status.clone()
    }

    /// Asks the owner and waits for its answer; `None` if the owner is gone or being restarted.
    ///
    /// ```text
    /// let dbs = master.ask(|reply| Ask::Dbs { reply }).await;
    /// ```
    pub async fn ask<T>(&self, question: impl FnOnce(Reply<T>) -> Ask) -> Option<Answer<T>> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(question(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// The name of its place: what logs call a master.
impl fmt::Display for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place.borrow().name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_follow_the_slots() {
        let slots = |from: u16, to: u16| {
            let range = Slot::new(from).zip(Slot::new(to));
            Slots::from_ranges(range)
        };
        let (low, high) = (slots(0, 99), slots(90, 16_383));
        let routes = Routes::new([(4, &low), (7, &high)]);
        let at = |slot: usize| routes.0[slot];
        assert_eq!((at(0), at(95), at(100)), (Some(4), Some(4), Some(7)));
        let partly = Routes::new([(4, &low)]);
        assert_eq!(partly.0[100], None);
    }
}

/// Masters for tests of those who only look at them.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::config::{Config, raw::Raw};
    use crate::source::Spec;

    /// A plain master that is said to be at 10.0.0.1:6379; nobody dials it.
    pub(crate) fn master(id: MasterId) -> (Arc<Master>, Seat) {
        let place = Place::of(&"10.0.0.1:6379".parse().expect("an address"));
        let shard = place.name.clone();
        master_at((id, 0), ("", &shard), place)
    }

    /// A master of some deployment: its id and source, its cluster and shard.
    pub(crate) fn master_at(
        (id, source): (MasterId, usize),
        (cluster, shard): (&str, &str),
        place: Place,
    ) -> (Arc<Master>, Seat) {
        let named = Named {
            id,
            source,
            cluster: Arc::from(cluster),
            shard: Arc::from(shard),
        };
        let config = Config::from_raw(Raw::default()).expect("the defaults");
        let spec = Spec::parse("redis://10.0.0.1:6379").expect("a source");
        let source = spec.first();
        let order = Order {
            target: crate::app::target(&config, source),
            node: None,
            why: Why::Configured,
        };
        let (master, seat, _) = Master::new(named, place, order);
        (master, seat)
    }
}
