//! Keys on a master of a cluster in slots that are not its own.
//!
//! While a slot moves its keys are on both sides: key by key with MIGRATE, where the new side says
//! that it imports the slot; as a copy that is hidden until the end with atomic migration. What a
//! broken move leaves behind is an orphan: the node keeps it, and no client ever gets it. Our map is
//! some seconds old, so a slot that has just changed hands looks like one of these, too.
//!
//! | the stray's slot | kind | counted |
//! |---|---|---|
//! | is imported by its master | importing | beside the owner's keys: a key is on one side |
//! | has keys on its owner as well | double | not: the owner's keys are the slot's |
//! | has no key elsewhere | orphan | as what it is: a key that takes memory |

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster_map::{Slot, Slots};

use super::scope::{Scope, ask_each};
use crate::fleet::{Deployment, Master, MasterId};
use crate::model::ask::{Ask, SlotTotal};

/// Why keys stand in a slot of another master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The slot is on its way in.
    Importing,
    /// Its owner has keys in it, too.
    Double,
    /// Nobody else has.
    Orphan,
}

impl Kind {
    /// The word used in answers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Importing => "importing",
            Kind::Double => "double",
            Kind::Orphan => "orphan",
        }
    }
}

/// Keys of one slot on one master that does not own it.
#[derive(Clone, Debug)]
pub(crate) struct Stray {
    pub master: Arc<Master>,
    pub total: SlotTotal,
    pub kind: Kind,
    /// The owner, if it is followed.
    pub owner: Option<Arc<Master>>,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strays(pub Vec<Stray>);

/// Keys and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hidden {
    pub keys: u64,
    pub bytes: u64,
}

impl Strays {
    /// Asks the clusters of a scope; masters that do not answer or do not count by slot have none.
    pub(crate) async fn of(scope: &Scope, db: Option<u32>) -> Strays {
        let clusters: Vec<usize> = scope.clusters().map(|cluster| cluster.source).collect();
        let masters = scope.masters.iter();
        let questions = masters
            .filter(|master| clusters.contains(&master.source))
            .map(|master| (master.clone(), master.place().slots.clone()))
            .collect();
        let ask = |own, reply| Ask::Outside { db, own, reply };
        let mut strays = Vec::new();
        for (master, answer) in ask_each(questions, ask).await {
            let totals = answer.and_then(|answer| answer.value).unwrap_or_default();
            let Some(deployment) = scope.deployment(&master).filter(|_| !totals.is_empty()) else {
                continue;
            };
            strays.extend(totals.into_iter().filter_map(|total| {
                let (kind, owner) = place(scope, deployment, &master, total.slot)?;
                Some(Stray {
                    master: master.clone(),
                    total,
                    kind,
                    owner,
                })
            }));
        }
        let mut strays = Strays(strays);
        strays.compare(db).await;
        strays
    }

    /// As [`Strays::of`], for those who count: a master that is looked at alone has nothing twice.
    pub(crate) async fn counted_twice(scope: &Scope, db: Option<u32>) -> Strays {
        match scope.is_single() {
            true => Strays::default(),
            false => Strays::of(scope, db).await,
        }
    }

    /// Tells those whose owner has keys of the slot, too.
    async fn compare(&mut self, db: Option<u32>) {
        let mut owners: BTreeMap<MasterId, Arc<Master>> = BTreeMap::new();
        for stray in &self.0 {
            owners.extend(stray.owner.clone().map(|owner| (owner.id, owner)));
        }
        let questions = owners.into_values();
        let questions = questions.map(|owner| (owner, Slots::default())).collect();
        let ask = |own, reply| Ask::Outside { db, own, reply };
        let mut held: BTreeMap<(MasterId, u16), SlotTotal> = BTreeMap::new();
        for (owner, answer) in ask_each(questions, ask).await {
            let totals = answer.and_then(|answer| answer.value).unwrap_or_default();
            held.extend(
                totals
                    .into_iter()
                    .map(|total| ((owner.id, total.slot), total)),
            );
        }
        for stray in &mut self.0 {
            let owner = stray.owner.as_ref();
            let both = owner.is_some_and(|o| held.contains_key(&(o.id, stray.total.slot)));
            if both && stray.kind == Kind::Orphan {
                stray.kind = Kind::Double;
            }
        }
    }

    /// What of a master is not to be counted, because another has it.
    pub(crate) fn hidden(&self, master: MasterId) -> Hidden {
        sum(self.0.iter().filter(|stray| stray.master.id == master))
    }

    /// The same of one slot.
    pub(crate) fn hidden_in(&self, slot: u16) -> Hidden {
        sum(self.0.iter().filter(|stray| stray.total.slot == slot))
    }

    /// The same over all masters.
    pub(crate) fn all_hidden(&self) -> Hidden {
        sum(self.0.iter())
    }

    /// Keys of a master in slots of others, whatever the reason.
    pub(crate) fn keys_on(&self, master: MasterId) -> u64 {
        let own = self.0.iter().filter(|stray| stray.master.id == master);
        own.map(|stray| stray.total.keys).sum()
    }

    /// A sentence about them for reports, if there are any.
    pub(crate) fn note(&self) -> Option<String> {
        let all: u64 = self.0.iter().map(|stray| stray.total.keys).sum();
        let hidden = self.all_hidden().keys;
        (all > 0).then(|| {
            format!(
                "{all} keys stand in slots of another master (a slot moves, or they are orphans; \
                 KS.SLOTS lists them); {hidden} of them are there twice and counted once"
            )
        })
    }
}

/// What of these is there twice.
fn sum<'a>(strays: impl Iterator<Item = &'a Stray>) -> Hidden {
    let double = strays.filter(|stray| stray.kind == Kind::Double);
    double.fold(Hidden::default(), |sum, stray| Hidden {
        keys: sum.keys + stray.total.keys,
        bytes: sum.bytes + stray.total.memory,
    })
}

/// Why a master may have keys of a slot, and who owns it; `None` if the map gives it the slot.
fn place(
    scope: &Scope,
    deployment: &Deployment,
    master: &Master,
    slot: u16,
) -> Option<(Kind, Option<Arc<Master>>)> {
    let view = deployment.view();
    let topology = view.topology.as_ref()?;
    let slot = Slot::new(slot)?;
    let follower = |group| scope.follower(deployment, group);
    let owner = topology.owner(slot).and_then(follower);
    if owner.is_some_and(|owner| owner.id == master.id) {
        return None;
    }
    let groups = topology.groups().iter();
    let mut own = groups.filter(|group| follower(group).is_some_and(|m| m.id == master.id));
    let imports = own.any(|group| group.importing.iter().any(|(moving, _)| *moving == slot));
    let kind = if imports {
        Kind::Importing
    } else {
        Kind::Orphan
    };
    Some((kind, owner.cloned()))
}
