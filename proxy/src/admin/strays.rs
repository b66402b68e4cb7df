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
//! | has the same keys on its owner | double | not those that the owner has |
//! | has others, or none | orphan | as what it is: a key that takes memory |
//!
//! Whether keys are the same is looked at by name as long as that is cheap; else they are taken for
//! a copy, if the owner has any.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cluster_map::{Slot, Slots, Topology};

use super::scope::{Scope, ask_each, ask_one};
use crate::fleet::{Deployment, Master, MasterId};
use crate::model::ask::{Ask, SlotTotal};

/// Why keys stand in a slot of another master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The slot is on its way in.
    Importing,
    /// Its owner has the same keys, or some of them.
    Double,
    /// Its owner has not.
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
    /// Keys of it that the owner has as well.
    pub twice: u64,
}

/// Keys of a master in slots that are its owners' too, and keys of that master altogether, up to
/// which they are compared by name: a walk of some ten milliseconds.
const NAMES_MAX: u64 = 10_000;
const WALK_MAX: u64 = 1_000_000;

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
        let answers = ask_each(questions, ask).await;
        let maps: BTreeMap<usize, Places> = scope
            .clusters()
            .map(|cluster| (cluster.source, Places::new(scope, cluster)))
            .collect();
        let mut strays = Vec::new();
        for (master, answer) in answers {
            let totals = answer.and_then(|answer| answer.value).unwrap_or_default();
            let Some(places) = maps.get(&master.source) else {
                continue;
            };
            strays.extend(totals.into_iter().filter_map(|total| {
                let (kind, owner) = places.of(&master, total.slot)?;
                Some(Stray {
                    master: master.clone(),
                    total,
                    kind,
                    owner,
                    twice: 0,
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

    /// Tells those whose owner has the same keys.
    async fn compare(&mut self, db: Option<u32>) {
        let mut owners: BTreeMap<MasterId, Arc<Master>> = BTreeMap::new();
        for stray in &self.0 {
            owners.extend(stray.owner.clone().map(|owner| (owner.id, owner)));
        }
        let questions = owners.into_values();
        let questions = questions.map(|owner| (owner, Slots::default())).collect();
        let ask = |own, reply| Ask::Outside { db, own, reply };
        let mut held: BTreeSet<(MasterId, u16)> = BTreeSet::new();
        for (owner, answer) in ask_each(questions, ask).await {
            let totals = answer.and_then(|answer| answer.value).unwrap_or_default();
            held.extend(totals.into_iter().map(|total| (owner.id, total.slot)));
        }
        let mut contested: BTreeMap<MasterId, Vec<&mut Stray>> = BTreeMap::new();
        for stray in &mut self.0 {
            let owner = stray.owner.as_ref();
            let both = owner.is_some_and(|o| held.contains(&(o.id, stray.total.slot)));
            if both && stray.kind == Kind::Orphan {
                contested.entry(stray.master.id).or_default().push(stray);
            }
        }
        for strays in contested.into_values() {
            compare_names(strays, db).await;
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
        self.note_that("counted once")
    }

    /// The same for reports that cannot tell which of their keys those are.
    pub(crate) fn note_of_both(&self) -> Option<String> {
        self.note_that("counted on both")
    }

    fn note_that(&self, counted: &str) -> Option<String> {
        let all: u64 = self.0.iter().map(|stray| stray.total.keys).sum();
        let hidden = self.all_hidden().keys;
        (all > 0).then(|| {
            format!(
                "{all} keys stand in slots of another master (a slot moves, or they are orphans; \
                 KS.SLOTS lists them); {hidden} of them are there twice and {counted}"
            )
        })
    }
}

/// What of these is there twice.
fn sum<'a>(strays: impl Iterator<Item = &'a Stray>) -> Hidden {
    strays.fold(Hidden::default(), |sum, stray| {
        let bytes = u128::from(stray.total.memory) * u128::from(stray.twice);
        let bytes = bytes / u128::from(stray.total.keys.max(1));
        Hidden {
            keys: sum.keys + stray.twice,
            bytes: sum.bytes + u64::try_from(bytes).unwrap_or(u64::MAX),
        }
    })
}

/// Finds out which keys of one master's strays their owners have, too.
async fn compare_names(mut strays: Vec<&mut Stray>, db: Option<u32>) {
    let keys: u64 = strays.iter().map(|stray| stray.total.keys).sum();
    let master = strays.first().map(|stray| stray.master.clone());
    let cheap = keys <= NAMES_MAX && master.is_some_and(|m| m.status().keys <= WALK_MAX);
    let twice = match cheap {
        true => names_twice(&strays, db).await,
        false => None,
    };
    for stray in &mut strays {
        stray.twice = match &twice {
            Some(twice) => twice.get(&stray.total.slot).copied().unwrap_or(0),
            None => stray.total.keys,
        };
        if stray.twice > 0 {
            stray.kind = Kind::Double;
        }
    }
}

/// Keys by database and name.
type Names = Vec<(u32, Vec<u8>)>;

/// Keys by slot that a master and the owners of its strays both have; `None` if someone does not say.
async fn names_twice(strays: &[&mut Stray], db: Option<u32>) -> Option<BTreeMap<u16, u64>> {
    let master = &strays.first()?.master;
    let dbs = match db {
        Some(db) => vec![db],
        None => {
            let dbs = ask_one(master, |reply| Ask::Dbs { reply }).await?.value;
            dbs.into_iter().map(|total| total.db).collect()
        }
    };
    let slots: Slots = strays
        .iter()
        .filter_map(|s| Slot::new(s.total.slot))
        .collect();
    let owner = |slot: u16| {
        let mut own = strays.iter().filter(|stray| stray.total.slot == slot);
        own.next().and_then(|stray| stray.owner.clone())
    };
    let mut asked: BTreeMap<MasterId, (Arc<Master>, Names)> = BTreeMap::new();
    for db in dbs {
        let ask = |reply| Ask::KeysInSlots {
            db,
            slots: slots.clone(),
            limit: usize::try_from(NAMES_MAX).unwrap_or(usize::MAX),
            reply,
        };
        for name in ask_one(master, ask).await?.value {
            if let Some(owner) = owner(Slot::of(&name).number()) {
                let (_, names) = asked.entry(owner.id).or_insert((owner, Vec::new()));
                names.push((db, name));
            }
        }
    }
    let mut twice: BTreeMap<u16, u64> = BTreeMap::new();
    for (owner, names) in asked.into_values() {
        let ask = |reply| Ask::Facts {
            keys: names.clone(),
            reply,
        };
        let facts = ask_one(&owner, ask).await?.value;
        for ((_, name), facts) in names.iter().zip(facts) {
            *twice.entry(Slot::of(name).number()).or_default() += u64::from(facts.is_some());
        }
    }
    Some(twice)
}

/// Who owns and who imports what in one cluster.
struct Places {
    topology: Option<Arc<Topology>>,
    /// The masters that follow its groups.
    followers: BTreeMap<Box<str>, Arc<Master>>,
}

impl Places {
    fn new(scope: &Scope, cluster: &Deployment) -> Places {
        let own = scope.masters.iter().filter(|m| m.source == cluster.source);
        Places {
            topology: cluster.view().topology.clone(),
            followers: own.map(|m| (m.place().group.clone(), m.clone())).collect(),
        }
    }

    /// Why a master may have keys of a slot, and who owns it; `None` if the map gives it the slot.
    fn of(&self, master: &Master, slot: u16) -> Option<(Kind, Option<Arc<Master>>)> {
        let topology = self.topology.as_ref()?;
        let slot = Slot::new(slot)?;
        let owner = topology
            .owner(slot)
            .and_then(|group| self.followers.get(&group.id));
        if owner.is_some_and(|owner| owner.id == master.id) {
            return None;
        }
        let own = topology.group(&master.place().group);
        let imports =
            own.is_some_and(|own| own.importing.iter().any(|(moving, _)| *moving == slot));
        let kind = if imports {
            Kind::Importing
        } else {
            Kind::Orphan
        };
        Some((kind, owner.cloned()))
    }
}
