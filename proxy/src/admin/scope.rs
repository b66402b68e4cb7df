//! Which masters a command is about, and how they are asked as one keyspace.
//!
//! By default that is every master of every deployment; KS.TARGET narrows it, per connection.
//!
//! - A key of a cluster belongs to the master that owns its slot. That one is asked first, and alone
//!   as long as it has the key; the others are asked about what it does not have, because the map
//!   may be some seconds old and a slot that moves has keys on both sides. Where several have a key,
//!   the owner's word counts.
//! - Elsewhere every master is asked. A name that stands on several plain masters, or in several
//!   deployments, is several keys: the first in the order of the configuration answers for it, and
//!   DBSIZE counts them all.
//! - A part of the keyspace is never taken for the whole: while a master of the scope is silent or
//!   has no model yet, what it might know is an error that names it.

mod search;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cluster_map::node::Group;
use cluster_map::{Slot, Topology};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;
use tokio::time::Instant;

pub(crate) use self::search::Fact;
use self::search::Search;
use super::port::silent;
use super::reply::Reply;
use crate::fleet::{Deployment, Fleet, Kind, Master, MasterId};
use crate::model::ask::{Answer, Ask, FACTS_MAX};

/// An owner answers in milliseconds; one that takes longer than this is not waited for.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What KS.TARGET chose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Target {
    /// Every master.
    #[default]
    All,
    /// Those of one deployment, by its label.
    Deployment(Arc<str>),
    /// One master.
    Master(MasterId),
}

/// The masters that a command is about.
#[derive(Debug)]
pub(crate) struct Scope {
    /// In the order of the configuration.
    pub masters: Vec<Arc<Master>>,
    /// Their deployments.
    pub deployments: Vec<Arc<Deployment>>,
    /// Who is asked about a key first.
    routing: Routing,
}

/// How the owner of a key is found.
#[derive(Debug)]
enum Routing {
    /// Every master is asked about every key.
    Everyone,
    /// All masters are of one cluster.
    Slots,
    /// One master, as it is.
    Single,
}

/// An answer of one master; `None` if it did not give one.
pub(crate) type Answered<T> = (Arc<Master>, Option<Answer<T>>);

/// A part of the scope that cannot answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Absent {
    /// A master, a shard that nobody follows yet, or a deployment.
    pub name: String,
    /// Why.
    pub why: String,
}

impl Scope {
    /// The scope of a target.
    ///
    /// # Errors
    /// The target is not followed any more.
    pub(crate) fn of(fleet: &Fleet, target: &Target) -> Result<Scope, Reply> {
        let (masters, deployments) = (fleet.masters(), fleet.deployments());
        match target {
            Target::All => Ok(Scope::new(masters, deployments)),
            Target::Deployment(label) => {
                let deployments = deployments.into_iter().filter(|d| d.label == *label);
                let masters = masters.into_iter().filter(|m| m.cluster == *label);
                Ok(Scope::new(masters.collect(), deployments.collect()))
            }
            Target::Master(id) => {
                let master = fleet.master(*id).ok_or(GONE)?;
                let of = deployments
                    .into_iter()
                    .filter(|d| d.source == master.source);
                Ok(Scope {
                    deployments: of.collect(),
                    masters: vec![master],
                    routing: Routing::Single,
                })
            }
        }
    }

    /// The part of a scope that is one deployment.
    pub(crate) fn of_deployment(&self, deployment: &Arc<Deployment>) -> Scope {
        let masters = self.masters.iter().cloned();
        let own = masters.filter(|master| master.source == deployment.source);
        Scope::new(own.collect(), vec![deployment.clone()])
    }

    fn new(masters: Vec<Arc<Master>>, deployments: Vec<Arc<Deployment>>) -> Scope {
        let routing = match &deployments[..] {
            [only] if only.kind == Kind::Cluster => Routing::Slots,
            _ => Routing::Everyone,
        };
        Scope {
            masters,
            deployments,
            routing,
        }
    }

    /// True if it was narrowed to one master: that one is shown as it is.
    pub(crate) fn is_single(&self) -> bool {
        matches!(self.routing, Routing::Single)
    }

    /// The clusters in it.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = &Arc<Deployment>> {
        let all = self.deployments.iter();
        all.filter(|deployment| deployment.kind == Kind::Cluster)
    }

    /// The master that owns a slot, by its index.
    fn owner(&self, slot: Slot) -> Option<usize> {
        self.masters
            .iter()
            .position(|master| master.place().slots.contains(slot))
    }

    /// Asks every master at once.
    pub(crate) async fn ask_all<T>(
        &self,
        question: impl Fn(oneshot::Sender<Answer<T>>) -> Ask,
    ) -> Vec<Answered<T>> {
        let all = self.masters.iter().map(|master| (master.clone(), ()));
        ask_each(all.collect(), |(), reply| question(reply)).await
    }

    /// As [`Scope::ask_all`], but an error if any part of the scope is silent or has no model yet.
    pub(crate) async fn ask_everyone<T>(
        &self,
        question: impl Fn(oneshot::Sender<Answer<T>>) -> Ask,
    ) -> Result<Vec<(Arc<Master>, Answer<T>)>, Reply> {
        if let Some(loading) = self.loading() {
            return Err(loading);
        }
        let answers = self.ask_all(question).await.into_iter();
        let here = |(master, answer): Answered<T>| match answer {
            Some(answer) if answer.fresh.generation.loaded() => Ok((master, answer)),
            Some(_) | None => Err(silent(&master)),
        };
        answers.map(here).collect()
    }

    /// What of the scope has no model that could answer.
    pub(crate) fn absent(&self) -> Vec<Absent> {
        let mut absent = Vec::new();
        for master in &self.masters {
            let status = master.status();
            if !status.generation.loaded() {
                absent.push(Absent {
                    name: master.name(),
                    why: status.state.name().to_owned(),
                });
            }
        }
        absent.extend(self.unfollowed());
        absent
    }

    /// What of the scope has no link at all, though it should.
    pub(crate) fn unfollowed(&self) -> Vec<Absent> {
        match self.is_single() {
            true => Vec::new(),
            false => {
                let all = self.deployments.iter();
                all.flat_map(|deployment| self.unseen(deployment)).collect()
            }
        }
    }

    /// Masters of a deployment that have no link yet.
    fn unseen(&self, deployment: &Deployment) -> Vec<Absent> {
        let view = deployment.view();
        let Some(topology) = &view.topology else {
            return match deployment.kind {
                Kind::Standalone => Vec::new(),
                Kind::Cluster | Kind::Sentinel => vec![Absent {
                    name: deployment.label.to_string(),
                    why: "not discovered yet".to_owned(),
                }],
            };
        };
        let ours = |group: &&Group| {
            let named = |node| view.not_followed.iter().any(|n| n.node == node);
            group.nodes.iter().any(|node| named(node.id.clone()))
        };
        let needed = |group: &&Group| deployment.kind == Kind::Sentinel || !group.slots.is_empty();
        let own = self
            .masters
            .iter()
            .filter(|m| m.source == deployment.source);
        let followed: BTreeSet<Box<str>> = own.map(|m| m.place().group.clone()).collect();
        let groups = topology.groups().iter();
        groups
            .filter(|group| needed(group) && !followed.contains(&group.id))
            .filter(ours)
            .map(|group| Absent {
                name: group
                    .master()
                    .and_then(|node| node.addr.as_ref())
                    .map_or_else(|| group.id.to_string(), ToString::to_string),
                why: "not followed".to_owned(),
            })
            .collect()
    }

    /// The error for reads while a part of the scope has no model.
    pub(crate) fn loading(&self) -> Option<Reply> {
        let absent = self.absent();
        if self.masters.is_empty() && absent.is_empty() {
            let text = "LOADING Keyscape has loaded nothing yet: no master is known";
            return Some(Reply::error(text));
        }
        /// Parts named in the error.
        const NAMED_MAX: usize = 3;
        let shown = absent.iter().take(NAMED_MAX);
        let named: Vec<String> = shown.map(|a| format!("{} is {}", a.name, a.why)).collect();
        let more = match absent.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let named = named.join(", ");
        let none = !self
            .masters
            .iter()
            .any(|master| master.status().generation.loaded());
        let text = match (&absent[..], none) {
            ([], _) => return None,
            (_, true) => format!("LOADING Keyscape has loaded nothing yet: {named}{more}"),
            (_, false) => format!(
                "LOADING a part of the keyspace is not loaded yet: {named}{more}; KS.TARGET \
                 chooses a master that is"
            ),
        };
        Some(Reply::Error(text.into()))
    }

    /// The same error, but only while there is no model at all.
    pub(crate) fn nothing(&self) -> Option<Reply> {
        let mut masters = self.masters.iter();
        match masters.any(|master| master.status().generation.loaded()) {
            true => None,
            false => self.loading(),
        }
    }

    /// What is known of these keys, each from its owner or else from the first master that has it.
    pub(crate) async fn facts(&self, keys: &[(u32, Vec<u8>)]) -> Vec<Fact> {
        let mut facts = Vec::with_capacity(keys.len());
        // Only an EXISTS of very many names takes more than one round.
        for chunk in keys.chunks(FACTS_MAX) {
            facts.extend(self.facts_of(chunk).await);
        }
        facts
    }

    async fn facts_of(&self, keys: &[(u32, Vec<u8>)]) -> Vec<Fact> {
        let mut search = Search::new(self, keys);
        if let Routing::Slots = self.routing {
            search.ask_owners(self).await;
            if search.missing().next().is_none() {
                return search.finish(self);
            }
        }
        search.ask_rest(self).await;
        search.finish(self)
    }

    /// Asks the owner of a key, and all others if `found` does not accept its answer; the first
    /// answer that is accepted.
    pub(crate) async fn find<T, U>(
        &self,
        key: &[u8],
        question: impl Fn(oneshot::Sender<Answer<T>>) -> Ask,
        found: impl Fn(T) -> Option<U>,
    ) -> Result<Option<U>, Reply> {
        let owner = match self.routing {
            Routing::Slots => self.owner(Slot::of(key)),
            Routing::Everyone | Routing::Single => None,
        };
        let first = owner.and_then(|at| self.masters.get(at));
        let rest = |master: &&Arc<Master>| first.is_none_or(|first| first.id != master.id);
        let rounds: [Vec<&Arc<Master>>; 2] = [
            first.into_iter().collect(),
            self.masters.iter().filter(rest).collect(),
        ];
        let mut errors = BTreeMap::new();
        for round in rounds {
            let round = round.into_iter().map(|master| (master.clone(), ()));
            let round = round.collect();
            for (master, answer) in ask_each(round, |(), reply| question(reply)).await {
                let loaded = answer.filter(|answer| answer.fresh.generation.loaded());
                let Some(answer) = loaded else {
                    errors.insert(master.id, unable(&master));
                    continue;
                };
                if let Some(found) = found(answer.value) {
                    return Ok(Some(found));
                }
            }
        }
        let error = match (&self.routing, first) {
            (Routing::Slots, Some(owner)) => errors.remove(&owner.id),
            (Routing::Slots, None) => Some(unowned(self, key)),
            (Routing::Everyone | Routing::Single, _) => errors.into_values().next(),
        };
        error.map_or(Ok(None), Err)
    }
}

/// The error of a master that is silent, or has no model.
fn unable(master: &Master) -> Reply {
    let status = master.status();
    if status.generation.loaded() {
        return silent(master);
    }
    let text = format!(
        "LOADING the model of {} is not loaded yet: {}",
        master.name(),
        status.state.name()
    );
    Reply::Error(text.into())
}

const GONE: Reply =
    Reply::error("ERR the target is not followed any more; KS.TARGET ALL chooses all masters");

/// The error for a key whose slot no master of the scope owns.
fn unowned(scope: &Scope, key: &[u8]) -> Reply {
    if let Some(loading) = scope.loading() {
        return loading;
    }
    let slot = Slot::of(key);
    let views = scope.deployments.iter().map(|deployment| deployment.view());
    let maps: Vec<Arc<Topology>> = views.filter_map(|view| view.topology.clone()).collect();
    let owner = maps.iter().find_map(|map| map.owner(slot));
    let text = match owner.and_then(Group::master) {
        Some(node) => format!(
            "TRYAGAIN slot {slot} is on {}, which is not followed here",
            node.addr
                .as_ref()
                .map_or_else(|| node.id.to_string(), ToString::to_string)
        ),
        None => format!("CLUSTERDOWN Hash slot {slot} has no master"),
    };
    Reply::Error(text.into())
}

/// Asks one master; `None` if it does not answer in time.
pub(crate) async fn ask_one<T>(
    master: &Arc<Master>,
    question: impl Fn(oneshot::Sender<Answer<T>>) -> Ask,
) -> Option<Answer<T>> {
    let all = vec![(master.clone(), ())];
    let mut answers = ask_each(all, |(), reply| question(reply)).await;
    answers.pop().and_then(|(_, answer)| answer)
}

/// Asks each of these masters its question, all at once.
pub(crate) async fn ask_each<Q, T>(
    questions: Vec<(Arc<Master>, Q)>,
    ask: impl Fn(Q, oneshot::Sender<Answer<T>>) -> Ask,
) -> Vec<Answered<T>> {
    let deadline = Instant::now() + ANSWER_MAX;
    ask_each_until(deadline, questions, ask).await
}

/// As [`ask_each`], with a deadline for all of them together: a master that is silent costs the
/// others neither time nor their answers.
pub(crate) async fn ask_each_until<Q, T>(
    deadline: Instant,
    questions: Vec<(Arc<Master>, Q)>,
    ask: impl Fn(Q, oneshot::Sender<Answer<T>>) -> Ask,
) -> Vec<Answered<T>> {
    let mut waiting = Vec::with_capacity(questions.len());
    let mut crowded = Vec::new();
    for (master, question) in questions {
        let (reply, answer) = oneshot::channel();
        let sent = match master.asks.try_send(ask(question, reply)) {
            Ok(()) => true,
            Err(TrySendError::Full(question)) => {
                crowded.push((waiting.len(), question));
                false
            }
            Err(TrySendError::Closed(_)) => false,
        };
        waiting.push((master, sent, answer));
    }
    // Those whose queue is full come behind those that have their question already.
    for (at, question) in crowded {
        let (master, sent, _) = &mut waiting[at];
        let send = master.asks.send(question);
        let done = tokio::time::timeout_at(deadline, send).await;
        *sent = matches!(done, Ok(Ok(())));
    }
    let mut answers = Vec::with_capacity(waiting.len());
    for (master, sent, answer) in waiting {
        let answer = match sent {
            true => tokio::time::timeout_at(deadline, answer).await.ok(),
            false => None,
        };
        answers.push((master, answer.and_then(Result::ok)));
    }
    answers
}
