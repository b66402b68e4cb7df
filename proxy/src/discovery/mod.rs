//! Finding the masters of a deployment, and keeping one link on the right node of each.
//!
//! ```text
//! bell (a link lost, an event, a notice) --+
//! poll, with jitter -----------------------+--> ask the panel --> map --> plan --> crew: owners
//!                                                                  |
//!                                                                  +--> view: who asks, routes
//! ```
//!
//! One task a deployment. A look never fails as a whole: who does not answer is left out, a map
//! that is worse than the one before closes nothing (`cluster_map::plan`), and without any answer
//! the links stay as they are. While a link is down the looks follow each other quickly, because
//! that is when a failover is under way.

pub mod ask;
mod crew;
mod events;
mod local;
pub mod nat;
pub mod panel;
mod prefer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster_map::sentinel::{self, Meant};
use cluster_map::{Addr, Complaint, Follow, Group, NodeId, Policy, Topology, plan};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use self::crew::{Crew, Means};
use self::events::Listener;
use self::panel::{Ask, Panel};
use crate::app::{random, target};
use crate::clock;
use crate::config::Config;
use crate::fleet::{
    Deployment, Guard, Kind, Master, Named, NotFollowed, Order, Place, Post, Reach, Routes, View,
    Why,
};
use crate::link::attach::Shared;
use crate::link::supervisor::supervise;
use crate::model::owner;
use crate::side::client::Target;
use crate::source::Spec;

/// What is said where the map before stands in for one of strangers.
const STRANGERS: &str = "all who answer are of another deployment, and no configured address is among \
                         them: the map is the one before";

/// Looks while a link is down.
const QUICK: Duration = Duration::from_millis(400);

/// A link that is down for longer than this is no failover under way.
const QUICK_TIME: Duration = Duration::from_secs(120);

/// Longest wait while nobody answers.
const UNANSWERED_MAX: Duration = Duration::from_secs(20);

/// Looks are no closer to each other than this, however often the bell rings.
const GAP: Duration = Duration::from_millis(100);

/// To the next look behind one that panicked.
const PANIC_WAIT: Duration = Duration::from_secs(5);

/// Sentinels that are listened to: two would do, but only the leader of a failover knows of it
/// beforehand.
const LISTENERS: usize = 7;

/// What a discovery is given.
#[derive(Clone, Debug)]
pub struct Given {
    /// Index of the source in the configuration.
    pub source: usize,
    /// Everything configured.
    pub config: Arc<Config>,
    /// What all links share.
    pub shared: Arc<Shared>,
    /// Where owners run.
    pub tasks: TaskTracker,
    /// The end of the process.
    pub shutdown: CancellationToken,
}

/// One deployment's discovery.
#[derive(Debug)]
pub struct Discovery {
    given: Given,
    spec: Spec,
    deployment: Arc<Deployment>,
    post: Post,
    panel: Panel,
    crew: Crew,
    map: Option<Arc<Topology>>,
    /// Addresses that the servers at our side announce, and where we reach them.
    local: local::Local,
    own: Vec<Addr>,
    listeners: BTreeMap<Addr, AbortOnDropHandle<()>>,
    /// Looks in a row without any answer.
    unanswered: u32,
    /// Masters of Sentinel beyond those that are followed.
    left_out: usize,
    /// A group that is ours has no link.
    wanting: bool,
    /// Since when a link is down or wanting.
    down: Option<Instant>,
    view: View,
}

/// Follows one server as it is, without any discovery.
pub fn follow(given: Given, spec: &Spec) {
    let label: Arc<str> = spec.label.as_str().into();
    let (deployment, _) = Deployment::new(given.source, label.clone(), spec.kind);
    let fleet = &given.shared.fleet;
    fleet.deploy(deployment.clone());
    let addr = spec.first().addr();
    let named = Named {
        id: fleet.next_id(),
        source: given.source,
        cluster: label,
        shard: addr.to_string().into(),
    };
    let order = Order {
        target: target(&given.config, spec.first()),
        node: None,
        why: Why::Configured,
    };
    let (master, seat, _) = Master::new(named, Place::of(&addr), order);
    fleet.add(master.clone());
    let owner = owner::Given {
        shared: given.shared.clone(),
        master,
        deployment,
        config: given.config,
        shutdown: given.shutdown,
    };
    given.tasks.spawn(supervise(owner, seat));
}

impl Discovery {
    /// Announces the deployment to the fleet; nothing is asked before [`Discovery::run`].
    pub fn new(given: Given, spec: &Spec) -> Discovery {
        let label = Arc::from(spec.label.as_str());
        let (deployment, post) = Deployment::new(given.source, label, spec.kind);
        given.shared.fleet.deploy(deployment.clone());
        let nodes = target(&given.config, spec.first());
        let means = Means {
            shared: given.shared.clone(),
            config: given.config.clone(),
            deployment: deployment.clone(),
            target: nodes.clone(),
            tasks: given.tasks.clone(),
            shutdown: given.shutdown.clone(),
        };
        let asked = match spec.kind {
            Kind::Standalone | Kind::Cluster => nodes,
            Kind::Sentinel => sentinel_target(&given.config, nodes),
        };
        let seeds = spec.seeds.iter().map(|seed| seed.addr()).collect();
        Discovery {
            own: local::own(&given.config),
            panel: Panel::new(seeds, asked),
            crew: Crew::new(means),
            spec: spec.clone(),
            deployment,
            post,
            map: None,
            local: local::Local::default(),
            listeners: BTreeMap::new(),
            unanswered: 0,
            left_out: 0,
            wanting: false,
            down: None,
            view: View::default(),
            given,
        }
    }

    /// Looks until the process ends. A look that panics is one that found nothing: the links stay
    /// as they are, and the next one may do better.
    pub async fn run(self) {
        let (shutdown, bell) = (self.given.shutdown.clone(), self.post.bell.clone());
        let label = self.spec.label.clone();
        let discovery = Arc::new(Mutex::new(self));
        loop {
            let began = clock::now();
            let mut discovery = discovery.clone().lock_owned().await;
            let look = AbortOnDropHandle::new(tokio::spawn(async move {
                discovery.look().await;
                discovery.pace()
            }));
            let looked = tokio::select! {
                () = shutdown.cancelled() => return,
                looked = look => looked,
            };
            let pace = looked.unwrap_or_else(|error| {
                tracing::error!(cluster = %label, %error, "a look at the deployment panicked");
                PANIC_WAIT
            });
            let rung = async {
                bell.notified().await;
                tokio::time::sleep_until((began + GAP).into()).await;
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = rung => {}
                () = tokio::time::sleep(pace) => {}
            }
        }
    }

    /// Asks, plans, acts, and publishes what was found.
    async fn look(&mut self) {
        let map = match self.spec.kind {
            // A plain server is followed as it is.
            Kind::Standalone => return,
            Kind::Cluster => self.ask_nodes().await,
            Kind::Sentinel => self.ask_sentinels().await,
        };
        self.view.seeds = self.panel.seats();
        match map {
            Some(map) => {
                self.unanswered = 0;
                self.view.last_error = match map.stands_in() {
                    true => STRANGERS.to_owned(),
                    false => self.unknown_names(&map),
                };
                self.view.refreshed_ms = clock::unix_ms();
                self.view.looks += u64::from(!map.stands_in());
                self.act(map).await;
            }
            None => {
                let mut failed = self.view.seeds.iter().filter_map(|seed| match &seed.reach {
                    Reach::Failed(why) => Some(format!("{}: {why}", seed.addr)),
                    Reach::Unknown | Reach::Answered => None,
                });
                let text = failed.next().unwrap_or_else(|| "nobody answers".to_owned());
                if self.view.last_error.is_empty() {
                    tracing::warn!(cluster = %self.spec.label, error = %text, "nobody answers");
                }
                self.view.last_error = text;
                self.unanswered = self.unanswered.saturating_add(1);
                self.count_down();
            }
        }
        self.post.view.send_replace(Arc::new(self.view.clone()));
    }

    /// The map by what some nodes of a cluster say; `None` if nobody says anything of use.
    async fn ask_nodes(&mut self) -> Option<Topology> {
        let doubted = self.map.as_ref().is_some_and(|map| map.stands_in());
        let seeds = match self.given.config.follow {
            Follow::Master | Follow::Replica | Follow::PreferReplica if !doubted => Ask::Some,
            // Where all who answered are strangers, the seeds say whether they are meant.
            Follow::Local | Follow::Master | Follow::Replica | Follow::PreferReplica => Ask::All,
        };
        let answers = self.panel.ask(seeds, |mut witness| async move {
            let report = witness.cluster().await;
            (witness, report)
        });
        let answers = answers.await;
        if answers.is_empty() {
            return None;
        }
        let seed = answers.iter().any(|(asked, _)| self.panel.is_seed(asked));
        for (asked, report) in &answers {
            if let Some(told) = report.myself().and_then(|id| report.nodes().get(id)) {
                self.local.heard(asked, told.addr.as_ref());
            }
        }
        // Two addresses of one node are one witness.
        let mut reports: Vec<_> = Vec::with_capacity(answers.len());
        for (_, report) in answers {
            let is_same = |other: &cluster_map::report::Report| {
                report.myself().is_some() && other.myself() == report.myself()
            };
            if !reports.iter().any(is_same) {
                reports.push(report);
            }
        }
        let mut map = Topology::of_cluster_by(&reports, self.map.as_deref(), seed);
        self.warn_of_strangers(&map, doubted);
        self.reach(&mut map);
        let nodes = map.groups().iter().flat_map(|group| &group.nodes);
        let found = nodes.filter_map(|node| node.addr.clone());
        self.panel.found(found.collect());
        Some(map)
    }

    /// The map by what some Sentinels say.
    async fn ask_sentinels(&mut self) -> Option<Topology> {
        let doubted = self.map.as_ref().is_some_and(|map| map.stands_in());
        let seeds = if doubted { Ask::All } else { Ask::Some };
        let names = self.spec.names.clone();
        let answers = self.panel.ask(seeds, move |mut witness| {
            let names = names.clone();
            async move {
                let report = witness.sentinel(&names).await;
                (witness, report)
            }
        });
        let answers = answers.await;
        if answers.is_empty() {
            return None;
        }
        let left_out = answers.iter().map(|(_, survey)| survey.left_out).max();
        self.warn_of_more(left_out.unwrap_or(0));
        let mut others: BTreeMap<Addr, ask::Others> = BTreeMap::new();
        let mut reports = Vec::with_capacity(answers.len());
        for (asked, survey) in answers {
            others.insert(asked, survey.others);
            reports.push(survey.report);
        }
        let meant = Meant::of(reports, self.map.as_deref(), &self.panel_seeds());
        self.remember(&meant.reports, &others);
        let names: Vec<&str> = self.spec.names.iter().map(String::as_str).collect();
        let mut map = Topology::of_meant(&meant, &names, self.panel.len());
        self.warn_of_strangers(&map, doubted);
        self.reach(&mut map);
        self.listen(&map);
        Some(map)
    }

    /// Who watches each master, and whom they know: those are asked from now on. Strangers' words are
    /// not among the reports, so that theirs are not.
    fn remember(&mut self, reports: &[sentinel::Report], others: &BTreeMap<Addr, ask::Others>) {
        if reports.is_empty() {
            return;
        }
        let nat = &self.given.config.discovery.nat;
        let mut found: Vec<Addr> = Vec::new();
        let mut guards: BTreeMap<Box<str>, Guard> = BTreeMap::new();
        for report in reports {
            let asked = &report.asked;
            for master in report.masters.iter().map(|watched| &watched.master) {
                let guard = guards.entry(master.name.clone()).or_default();
                let others = others.get(asked).and_then(|of| of.get(&master.name));
                let others = others.into_iter().flatten();
                let others: Vec<Addr> = others.map(|addr| nat.reachable(addr)).collect();
                guard.quorum = guard.quorum.max(master.quorum);
                guard.sentinels.extend(others.iter().cloned());
                guard.sentinels.insert(asked.clone());
                found.extend(others);
            }
            found.push(asked.clone());
        }
        self.view.guards = guards;
        self.panel.found(found);
    }

    /// Says that the map before stands in for one of strangers, once.
    fn warn_of_strangers(&self, map: &Topology, doubted: bool) {
        if map.stands_in() && !doubted {
            let cluster = &self.spec.label;
            tracing::warn!(%cluster, "all who answer are of another deployment; the map before stays");
        }
    }

    /// Says that there are more masters than are followed, once.
    fn warn_of_more(&mut self, left_out: usize) {
        if left_out > 0 && self.left_out == 0 {
            let (cluster, followed) = (&self.spec.label, ask::MASTERS_MAX);
            tracing::warn!(%cluster, left_out, followed, "too many masters: name those to follow");
        }
        self.left_out = left_out;
    }

    /// Puts the addresses that can be reached in place of those that are announced.
    fn reach(&self, map: &mut Topology) {
        let (nat, local) = (&self.given.config.discovery.nat, &self.local);
        map.map_addrs(|addr| match local.reached(addr) {
            Some(reached) if self.given.config.follow == Follow::Local => reached.clone(),
            Some(_) | None => nat.reachable(addr),
        });
    }

    /// Brings the links in line with a map.
    async fn act(&mut self, map: Topology) {
        let (links, _) = self.crew.muster();
        let mut avoid = self.crew.avoided();
        let nodes = map.groups().iter().flat_map(|group| &group.nodes);
        let silent = nodes.filter(|node| {
            let addr = node.addr.as_ref();
            addr.is_some_and(|addr| self.panel.is_failed(addr))
        });
        avoid.extend(silent.map(|node| node.id.clone()));
        let here = match self.spec.kind {
            Kind::Standalone | Kind::Cluster => self.panel_seeds(),
            Kind::Sentinel => local::on_this_host(&map, self.spec.first()).await,
        };
        let policy = Policy {
            follow: self.given.config.follow,
            local: &here,
            own: &self.own,
            avoid: &avoid,
            shard: self.given.config.shard,
        };
        let mut plan = plan(&map, &links, &policy);
        if matches!(policy.follow, Follow::Replica | Follow::PreferReplica) {
            let wishes = self.crew.wishes(&plan);
            prefer::look_again(&mut plan.actions, wishes).await;
        }
        self.crew.carry_out(&plan, &map);
        let alone = |group: &&Group| !self.crew.follows(&group.id);
        let alone: Vec<&Group> = map.groups().iter().filter(alone).collect();
        if self.given.config.follow == Follow::Local {
            // Groups without a node at our side are followed at the side of their own.
            let elsewhere = |node: &NodeId| alone.iter().any(|group| group.node(node).is_some());
            plan.not_followed.retain(|(node, _)| !elsewhere(node));
            plan.unowned
                .extend(alone.iter().map(|group| group.id.clone()));
            plan.unowned.sort_unstable();
            plan.unowned.dedup();
        }
        self.view.unowned = plan.unowned.len();
        self.wanting = alone.len() > plan.unowned.len();
        let addr = |node| map.group_of(node)?.node(node)?.addr.clone();
        self.view.not_followed = plan
            .not_followed
            .iter()
            .map(|(node, why)| NotFollowed {
                node: node.clone(),
                addr: addr(node),
                why: why.name().to_owned(),
            })
            .collect();
        self.complain(&map);
        let map = Arc::new(map);
        self.view.topology = Some(map.clone());
        self.map = Some(map);
        self.route();
        self.count_down();
    }

    /// Logs what is wrong with the map, once.
    fn complain(&self, map: &Topology) {
        let before = self.map.as_deref().map_or(&[][..], Topology::complaints);
        for complaint in map.complaints() {
            if !before.contains(complaint) {
                tracing::warn!(cluster = %self.spec.label, kind = complaint.name(), "{complaint}");
            }
        }
    }

    /// Where keys are asked for, if this is the only deployment and has slots.
    fn route(&self) {
        if self.given.config.sources.len() != 1 || self.spec.kind != Kind::Cluster {
            return;
        }
        let places = self.crew.places();
        let owners = places.iter().map(|(id, place)| (*id, &place.slots));
        self.given
            .shared
            .fleet
            .set_routes(Some(Routes::new(owners)));
    }

    fn count_down(&mut self) {
        let (_, down) = self.crew.muster();
        self.down = match (down > 0 || self.wanting, self.down) {
            (false, _) => None,
            (true, since) => since.or_else(|| Some(clock::now())),
        };
    }

    /// How long to the next look, unless the bell rings.
    fn pace(&self) -> Duration {
        let poll = self.given.config.discovery.poll;
        let down = self.down.map(|since| clock::now().duration_since(since));
        let pace = match (self.unanswered, down) {
            // Nobody is there, or nobody lets us in: that is not asked twice a second for ever.
            (1.., _) => QUICK
                .saturating_mul(1 << self.unanswered.min(8))
                .min(UNANSWERED_MAX),
            (0, Some(down)) if down < QUICK_TIME => QUICK.min(poll),
            (0, _) => poll,
        };
        // From three quarters to five quarters, so that several of us do not ask together.
        pace * 3 / 4 + pace.mul_f64(fraction() / 2.0)
    }

    /// Says which of the wanted names no Sentinel knows; empty if there is none.
    fn unknown_names(&self, map: &Topology) -> String {
        let unknown = |name: &&String| map.group(name).is_none();
        let names: Vec<&str> = self
            .spec
            .names
            .iter()
            .filter(unknown)
            .map(String::as_str)
            .collect();
        if names.is_empty() {
            return String::new();
        }
        let text = format!("no Sentinel that answers watches {}", names.join(", "));
        if self.view.last_error != text {
            tracing::warn!(cluster = %self.spec.label, error = %text, "unknown master");
        }
        text
    }

    /// Listens to a few Sentinels, which are no strangers.
    fn listen(&mut self, map: &Topology) {
        let foreign = |complaint: &Complaint| {
            if let Complaint::Foreign { asked } = complaint {
                Some(asked.clone())
            } else {
                None
            }
        };
        let foreign: Vec<Addr> = map.complaints().iter().filter_map(foreign).collect();
        let chosen: Vec<Addr> = self
            .view
            .seeds
            .iter()
            .chain(&self.panel.seats())
            .filter(|seat| seat.reach == Reach::Answered && !foreign.contains(&seat.addr))
            .map(|seat| seat.addr.clone())
            .collect();
        self.listeners
            .retain(|addr, task| !task.is_finished() && chosen.contains(addr));
        for addr in chosen {
            if self.listeners.len() >= LISTENERS {
                return;
            }
            self.listeners.entry(addr.clone()).or_insert_with(|| {
                let listener = Listener {
                    fleet: self.given.shared.fleet.clone(),
                    deployment: self.deployment.clone(),
                    target: self.panel.target_of(&addr),
                    stop: self.given.shutdown.clone(),
                };
                AbortOnDropHandle::new(tokio::spawn(listener.run()))
            });
        }
    }

    fn panel_seeds(&self) -> Vec<Addr> {
        self.spec.seeds.iter().map(|seed| seed.addr()).collect()
    }
}

/// The Sentinels have credentials of their own, or none.
pub(crate) fn sentinel_target(config: &Config, nodes: Target) -> Target {
    let mut target = nodes;
    target.source.credentials = config.discovery.sentinel.clone();
    target.link.credentials = None;
    target
}

/// A number from 0 to 1.
fn fraction() -> f64 {
    /// As many values as matter here.
    const STEPS: u32 = 1 << 20;
    let step = u32::try_from(random() % u64::from(STEPS)).unwrap_or(0);
    f64::from(step) / f64::from(STEPS)
}
