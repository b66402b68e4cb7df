//! The facts of some keys, from whoever has them.

use std::collections::{BTreeMap, BTreeSet};

use cluster_map::Slot;

use super::{Routing, Scope, ask_each, unable, unowned};
use crate::admin::points::GIVEN_UP;
use crate::admin::reply::Reply;
use crate::model::ask::{Ask, Facts};

/// What was found out about a key.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    /// It is known to be there, or not to be.
    Known(Option<Facts>),
    /// Who could tell did not.
    Unknown(Reply),
}

impl Fact {
    /// The facts, or the error of who could tell.
    pub(crate) fn known(&self) -> Result<Option<Facts>, Reply> {
        match self {
            Fact::Known(facts) => Ok(*facts),
            Fact::Unknown(error) => Err(error.clone()),
        }
    }
}

/// A search for the facts of some keys.
pub(super) struct Search<'a> {
    keys: &'a [(u32, Vec<u8>)],
    /// Index of the master that owns each key, where keys have owners.
    owners: Vec<Option<usize>>,
    found: Vec<Option<Facts>>,
    /// Masters that did not answer, by index.
    silent: BTreeMap<usize, Reply>,
    /// Masters that have not got all keys, by index, and what they were asked.
    partial: Vec<(usize, Vec<usize>)>,
    /// Keys that a master may have, by their index.
    folded: BTreeSet<usize>,
}

impl<'a> Search<'a> {
    pub(super) fn new(scope: &Scope, keys: &'a [(u32, Vec<u8>)]) -> Search<'a> {
        // Places change under way; one look at them does for all keys.
        let places: Vec<_> = scope.masters.iter().map(|master| master.place()).collect();
        let mut known: BTreeMap<Slot, Option<usize>> = BTreeMap::new();
        let owner = |(_, name): &(u32, Vec<u8>)| {
            let slot = Slot::of(name);
            let find = || places.iter().position(|place| place.slots.contains(slot));
            *known.entry(slot).or_insert_with(find)
        };
        let owners = match scope.routing {
            Routing::Slots => keys.iter().map(owner).collect(),
            Routing::Everyone | Routing::Single => vec![None; keys.len()],
        };
        Search {
            keys,
            owners,
            found: vec![None; keys.len()],
            silent: BTreeMap::new(),
            partial: Vec::new(),
            folded: BTreeSet::new(),
        }
    }

    /// The keys without facts so far.
    pub(super) fn missing(&self) -> impl Iterator<Item = usize> {
        let found = self.found.iter().enumerate();
        found.filter(|(_, facts)| facts.is_none()).map(|(at, _)| at)
    }

    /// Asks each owner about its keys.
    pub(super) async fn ask_owners(&mut self, scope: &Scope) {
        let mut parts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, owner) in self.owners.iter().enumerate() {
            if let Some(owner) = owner {
                parts.entry(*owner).or_default().push(at);
            }
        }
        self.ask_parts(scope, parts).await;
    }

    /// Asks every master about each key that is missing and not its own.
    pub(super) async fn ask_rest(&mut self, scope: &Scope) {
        let missing: Vec<usize> = self.missing().collect();
        let foreign = |master: usize| {
            let keys = missing.iter().copied();
            keys.filter(|&at| self.owners[at] != Some(master)).collect()
        };
        let all = 0..scope.masters.len();
        let parts = all.map(|master| (master, foreign(master)));
        let parts = parts.filter(|(_, keys): &(usize, Vec<usize>)| !keys.is_empty());
        self.ask_parts(scope, parts.collect()).await;
    }

    async fn ask_parts(&mut self, scope: &Scope, parts: BTreeMap<usize, Vec<usize>>) {
        let keys = self.keys;
        let masters: Vec<usize> = parts.keys().copied().collect();
        let asked: Vec<Vec<usize>> = parts.into_values().collect();
        let question = |(&master, part): (&usize, &Vec<usize>)| {
            let names = part.iter().map(|&at| keys[at].clone()).collect::<Vec<_>>();
            (scope.masters[master].clone(), names)
        };
        let questions = masters.iter().zip(&asked).map(question).collect();
        let ask = |keys, reply| Ask::Facts { keys, reply };
        let answers = ask_each(questions, ask).await;
        for ((index, part), (master, answer)) in masters.into_iter().zip(asked).zip(answers) {
            match answer {
                Some(answer) if answer.fresh.generation.loaded() => {
                    if answer.fresh.detail.one_in > 1 {
                        self.partial.push((index, part.clone()));
                    }
                    for (at, facts) in part.into_iter().zip(answer.value) {
                        self.found[at] = self.found[at].or(facts);
                    }
                }
                Some(_) | None => {
                    self.silent.insert(index, unable(&master));
                }
            }
        }
        self.ask_partial(scope).await;
    }

    /// A model that folded keys is asked whether one that it has not got was folded.
    async fn ask_partial(&mut self, scope: &Scope) {
        let mut questions = Vec::new();
        let mut asked = Vec::new();
        for (master, part) in std::mem::take(&mut self.partial) {
            let missing = part.into_iter().filter(|&at| self.found[at].is_none());
            let missing: Vec<usize> = missing.collect();
            let names = missing.iter().map(|&at| self.keys[at].clone());
            questions.push((scope.masters[master].clone(), names.collect::<Vec<_>>()));
            asked.push(missing);
        }
        let ask = |keys, reply| Ask::Knows { keys, reply };
        let answers = ask_each(questions, ask).await;
        for (missing, (_, answer)) in asked.into_iter().zip(answers) {
            // Who falls silent in between is taken to know nothing.
            let knows = answer.map_or(Vec::new(), |answer| answer.value);
            let knows = knows.into_iter().chain(std::iter::repeat(false));
            let folded = missing.into_iter().zip(knows).filter(|(_, knows)| !knows);
            self.folded.extend(folded.map(|(at, _)| at));
        }
    }

    pub(super) fn finish(self, scope: &Scope) -> Vec<Fact> {
        let one = |(at, found): (usize, Option<Facts>)| match found {
            Some(facts) => Fact::Known(Some(facts)),
            None => self.absence(scope, at),
        };
        let found = self.found.clone();
        found.into_iter().enumerate().map(one).collect()
    }

    /// Whether a key that nobody has is known not to be there.
    fn absence(&self, scope: &Scope, at: usize) -> Fact {
        let error = match (&scope.routing, self.owners[at]) {
            (Routing::Slots, Some(owner)) => self.silent.get(&owner).cloned(),
            (Routing::Slots, None) => Some(unowned(scope, &self.keys[at].1)),
            (Routing::Everyone | Routing::Single, _) => self.silent.values().next().cloned(),
        };
        let folded = self.folded.contains(&at).then_some(GIVEN_UP);
        let error = error.or(folded);
        error.map_or(Fact::Known(None), Fact::Unknown)
    }
}
