//! What the rules say of the masters that are meant: facts are asked of their owners, and each master
//! is judged by itself.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use analyzer::advice::{
    Asked, Before, Facts, Finding, Peer, Rule, Severity, Standing, Told, Verdict, decide, rule,
    rules,
};
use cluster_map::Slot;
use cluster_map::rebalance::{Load, rebalance};

use super::reply::Reply;
use super::report::Answers;
use super::scope::{Scope, ask_each};
use super::standing::Whole;
use crate::clock;
use crate::fleet::{Deployment, Fleet, Master, MasterId};
use crate::model::advise::Gathered;
use crate::model::ask::Ask;
use crate::side::told::{self, COUNTED};

/// Moves that are planned to see whose slots they are.
const MOVES_MAX: usize = 1000;

/// What the masters that are meant know for their advice.
pub(crate) struct Known {
    /// What each gathered.
    pub(crate) answers: Answers<Box<Gathered>>,
    /// What each one's server told, in the same order.
    told: Vec<Told>,
    deployments: Vec<Arc<Deployment>>,
    /// Bytes of each cluster's master that are in slots of others.
    astray: BTreeMap<MasterId, u64>,
    /// Bytes that the containers of masters may take, as far as the operator said so.
    containers: BTreeMap<MasterId, u64>,
}

impl Known {
    /// Asks every master. The servers are asked if what they told is older than a second.
    pub(crate) async fn of(fleet: &Fleet, scope: &Scope) -> Known {
        Known::ask(fleet, scope, false).await
    }

    /// Asks every master for what it knows already: no server is asked more often for that.
    pub(crate) async fn already(fleet: &Fleet, scope: &Scope) -> Known {
        Known::ask(fleet, scope, true).await
    }

    async fn ask(fleet: &Fleet, scope: &Scope, known: bool) -> Known {
        let sharded = scope.masters.iter();
        let sharded = sharded.filter(|master| !master.place().slots.is_empty());
        let own = sharded.map(|master| (master.clone(), master.place().slots.clone()));
        let outside = |own, reply| Ask::Outside {
            db: None,
            own,
            reply,
        };
        let (answers, told, astray) = tokio::join!(
            scope.ask_all(|reply| Ask::Advice { reply }),
            scope.ask_all(|reply| Ask::Told { known, reply }),
            ask_each(own.collect(), outside),
        );
        let astray = astray.into_iter().filter_map(|(master, answer)| {
            let totals = answer?.value?;
            Some((master.id, totals.iter().map(|total| total.memory).sum()))
        });
        let told = told.into_iter().map(|(_, answer)| {
            let told = answer.and_then(|answer| answer.value);
            told.map_or_else(Told::default, |told| as_facts(&told))
        });
        let containers = scope.masters.iter();
        let containers =
            containers.filter_map(|master| Some((master.id, fleet.container_limit(master)?)));
        Known {
            told: told.collect(),
            answers,
            deployments: scope.deployments.clone(),
            astray: astray.collect(),
            containers: containers.collect(),
        }
    }

    /// Every master that has a model, with what it gathered and what its server told.
    pub(crate) fn masters(&self) -> impl Iterator<Item = (&Arc<Master>, &Gathered, &Told)> {
        let all = self.answers.iter().zip(&self.told);
        all.filter_map(|((master, answer), told)| {
            let answer = answer.as_ref()?;
            let loaded = answer.fresh.generation.loaded();
            loaded.then_some((master, &*answer.value, told))
        })
    }

    /// As [`Known::judge`], away from what other tasks wait for: a hundred rules look at all that was
    /// gathered of every master.
    pub(crate) async fn judged(
        self,
        wanted: impl Fn(&&'static Rule) -> bool + Send + 'static,
    ) -> Result<(Known, Vec<Judged>), Reply> {
        let judge = move || {
            let judged = self.judge(rules().filter(wanted));
            (self, judged)
        };
        let judged = tokio::task::spawn_blocking(judge).await;
        judged.map_err(|_| Reply::error("ERR the rules could not be judged"))
    }

    /// Judges all masters by some rules; those with findings first, worst and largest first.
    pub(crate) fn judge(&self, wanted: impl Iterator<Item = &'static Rule>) -> Vec<Judged> {
        let facts = self.facts();
        let of = |rule: &'static Rule| {
            let verdicts = facts.iter().map(|(master, gathered, facts)| {
                ((*master).clone(), decide(rule, facts, &gathered.limits))
            });
            Judged {
                rule,
                verdicts: verdicts.collect(),
            }
        };
        let mut judged: Vec<Judged> = wanted.map(of).collect();
        judged.sort_by_key(|judged| Reverse((judged.severity(), judged.saving())));
        judged
    }

    fn facts(&self) -> Vec<(&Arc<Master>, &Gathered, Facts)> {
        let planned = self.planned();
        let peers = self.peers();
        let wholes = self.deployments.iter();
        let wholes = wholes.map(|deployment| (deployment.source, Whole::of(deployment)));
        let wholes: BTreeMap<usize, Whole> = wholes.collect();
        let standing = |master: &Master| {
            let planned = planned.get(&master.id).map_or(&[][..], Vec::as_slice);
            let whole = wholes.get(&master.source);
            Standing {
                container_bytes: self.containers.get(&master.id).copied(),
                ..whole.map_or_else(Standing::default, |whole| whole.standing(master, planned))
            }
        };
        let all = self.masters();
        all.map(|(master, gathered, told)| {
            let facts = Facts {
                master: master.name(),
                now_ms: clock::unix_ms(),
                profile: gathered.profile.clone(),
                told: told.clone(),
                dbs: gathered.dbs.clone(),
                totals: gathered.totals.clone(),
                detail: gathered.detail,
                survey: match &gathered.survey {
                    Ok(surveyed) => Ok(surveyed.survey.clone()),
                    Err(why) => Err(why.clone()),
                },
                heat: gathered.heat.clone(),
                heat_hour: gathered.heat_hour.clone(),
                slots: gathered.slots.clone(),
                flows: gathered.flows.clone(),
                storms: gathered.storms.clone(),
                peers: peers.get(&master.source).cloned().unwrap_or_default(),
                standing: standing(master),
            };
            (master, gathered, facts)
        })
        .collect()
    }

    /// The masters of each deployment: told once, because there may be a thousand, and the facts of
    /// each of them have all.
    fn peers(&self) -> BTreeMap<usize, Arc<[Peer]>> {
        let mut peers: BTreeMap<usize, Vec<Peer>> = BTreeMap::new();
        for (master, gathered, _) in self.masters() {
            let bytes: u64 = gathered.dbs.iter().map(|db| db.bytes).sum();
            let astray = self.astray.get(&master.id);
            peers.entry(master.source).or_default().push(Peer {
                name: master.name(),
                keys: gathered.dbs.iter().map(|db| db.keys).sum(),
                bytes,
                bytes_per_day: gathered.flows.bytes_per_day,
                own_bytes: astray.map(|astray| bytes.saturating_sub(*astray)),
            });
        }
        let all = peers.into_iter();
        all.map(|(source, peers)| (source, peers.into())).collect()
    }

    /// The slots of each master that KS.REBALANCE would move if none had to stay: asked for only where
    /// a key is so large that the answer matters (rule CLU-04).
    fn planned(&self) -> BTreeMap<MasterId, Vec<u16>> {
        let mut planned = BTreeMap::new();
        for deployment in &self.deployments {
            let own = self
                .masters()
                .filter(|row| row.0.source == deployment.source);
            let own: Vec<_> = own
                .map(|(master, gathered, _)| (master.id, gathered))
                .collect();
            if !own.iter().any(|(_, gathered)| has_hazard(gathered)) {
                continue;
            }
            let load = |(slot, bytes): (&u16, &u64)| {
                let slot = Slot::new(*slot)?;
                Some(Load {
                    slot,
                    weight: *bytes,
                    held: false,
                })
            };
            let loads = own.iter().map(|(_, gathered)| {
                let slots = gathered.slots.iter();
                slots.filter_map(load).collect()
            });
            let loads: Vec<Vec<Load>> = loads.collect();
            for step in rebalance(&loads, MOVES_MAX) {
                if let Some((id, _)) = own.get(step.from) {
                    let slots: &mut Vec<u16> = planned.entry(*id).or_default();
                    slots.push(step.slot.number());
                }
            }
        }
        planned
    }
}

/// True if a key of a cluster's master is too large to be moved.
fn has_hazard(gathered: &Gathered) -> bool {
    let least = rule("CLU-04").map(|rule| gathered.limits.get(rule, "bytes"));
    let survey = gathered.survey.as_ref().ok();
    let largest = survey.map_or(0, |surveyed| surveyed.survey.largest_bytes());
    !gathered.slots.is_empty() && least.is_some_and(|least| largest > least)
}

/// What a server told, as rules read it. One that tells nothing of INFO refuses it.
fn as_facts(told: &told::Told) -> Told {
    fn asked(map: BTreeMap<String, String>) -> Asked<BTreeMap<String, String>> {
        match map.is_empty() {
            true => Asked::Denied,
            false => Asked::Known(map),
        }
    }
    let fields = told.info.lines().filter_map(|line| line.split_once(':'));
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let before = told.before.as_ref().map(|before| Before {
        at_ms: before.at_ms,
        counters: COUNTED.into_iter().zip(before.values).collect(),
    });
    Told {
        at_ms: told.at_ms,
        time_ms: told.time_ms,
        slowest_us: (told.at_ms > 0).then_some(told.slowest_us),
        info: asked(fields.collect()),
        config: asked(named_anew(&told.config)),
        users: told.users.clone(),
        before,
    }
}

/// Options by their newest names: those of packed blobs before 7.0, and of replicas before 5.0, have
/// others.
fn named_anew(config: &[(String, String)]) -> BTreeMap<String, String> {
    let mut map: BTreeMap<String, String> = config.iter().cloned().collect();
    for (name, value) in config {
        let newest = name
            .replace("ziplist", "listpack")
            .replace("slave", "replica");
        map.entry(newest).or_insert_with(|| value.clone());
    }
    map
}

/// What one master's facts say of one rule.
pub(crate) struct Judged {
    pub(crate) rule: &'static Rule,
    /// A verdict for each master that answered.
    pub(crate) verdicts: Vec<(Arc<Master>, Verdict)>,
}

impl Judged {
    /// What was found, by master.
    pub(crate) fn found(&self) -> impl Iterator<Item = (&Arc<Master>, &Finding)> {
        self.verdicts
            .iter()
            .filter_map(|(master, verdict)| match verdict {
                Verdict::Found(finding) => Some((master, finding)),
                Verdict::Quiet | Verdict::Cannot(_) | Verdict::Silenced(..) => None,
            })
    }

    /// The worst that was found.
    pub(crate) fn severity(&self) -> Option<Severity> {
        self.found().map(|(_, finding)| finding.severity).max()
    }

    /// Bytes that all masters would give back.
    pub(crate) fn saving(&self) -> u64 {
        self.found().map(|(_, finding)| finding.saving()).sum()
    }

    /// Remedies, once each.
    pub(crate) fn remedy(&self) -> Vec<&str> {
        let mut steps: Vec<&str> = Vec::new();
        for step in self.found().flat_map(|(_, finding)| &finding.remedy) {
            if !steps.contains(&step.as_str()) {
                steps.push(step);
            }
        }
        steps
    }
}
