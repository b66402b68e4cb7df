//! Which slots to move so that no master carries more than it must, with few moves.
//!
//! Each step takes from the heaviest master the largest slot that fits into what it has too much and
//! the lightest has too little (largest processing time first); where none fits, the smallest one
//! that still leaves the lightest below the heaviest. A master of which nothing helps is left alone,
//! and the next one has its turn.
//!
//! Every step makes the sum of squares smaller, so it ends; no master ever becomes heavier than the
//! heaviest was, nor lighter than the lightest was. The same input gives the same plan, and where the
//! limit did not cut it short, the plan for its own result is empty.

use std::collections::{BTreeMap, BTreeSet};

use crate::slot::Slot;

/// One part in so many above the mean is even enough.
const EVEN: u64 = 100;

/// A slot and what it weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// The slot.
    pub slot: Slot,
    /// Its weight, in whatever is to be even.
    pub weight: u64,
    /// It has to stay where it is.
    pub held: bool,
}

/// A slot to be moved from one master to another, by their indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The slot.
    pub slot: Slot,
    /// Its weight.
    pub weight: u64,
    /// Whose it is.
    pub from: usize,
    /// Whose it becomes.
    pub to: usize,
}

/// The masters as they would be.
struct State {
    sums: Vec<u64>,
    /// What may leave each master: by weight, then by slot.
    movable: Vec<BTreeSet<(u64, Slot)>>,
    /// Masters by weight.
    order: BTreeSet<(u64, usize)>,
    mean: u64,
    /// Where the slots are that are not where they were: weight, from, to.
    moved: BTreeMap<Slot, (u64, usize, usize)>,
}

/// Plans at most `moves_max` moves between masters that have these slots; the heaviest slots come
/// first. Slots without weight are not moved.
pub fn rebalance(masters: &[Vec<Load>], moves_max: usize) -> Vec<Move> {
    let mut state = State::new(masters);
    let mut stuck = BTreeSet::new();
    while state.moved.len() < moves_max {
        let mut heaviest = state.order.iter().rev();
        let Some(&(weight, from)) = heaviest.find(|(_, at)| !stuck.contains(at)) else {
            break;
        };
        if weight <= state.mean.saturating_add(state.mean / EVEN) {
            break;
        }
        let lightest = state.order.first().copied();
        let step = lightest.and_then(|lightest| state.choose((weight, from), lightest));
        match step {
            Some((weight, slot, to)) => state.carry((weight, slot), from, to),
            None => {
                stuck.insert(from);
            }
        }
    }
    let moves = state.moved.into_iter();
    let mut moves: Vec<Move> = moves
        .map(|(slot, (weight, from, to))| Move {
            slot,
            weight,
            from,
            to,
        })
        .collect();
    moves.sort_by(|a, b| (b.weight, a.slot).cmp(&(a.weight, b.slot)));
    moves
}

impl State {
    fn new(masters: &[Vec<Load>]) -> State {
        let weight = |loads: &Vec<Load>| {
            let weights = loads.iter().map(|load| load.weight);
            weights.fold(0u64, u64::saturating_add)
        };
        let sums: Vec<u64> = masters.iter().map(weight).collect();
        let movable = masters.iter().map(|loads| {
            let free = loads.iter().filter(|load| !load.held && load.weight > 0);
            free.map(|load| (load.weight, load.slot)).collect()
        });
        let all: u128 = sums.iter().map(|sum| u128::from(*sum)).sum();
        let count = u128::try_from(sums.len()).unwrap_or(1).max(1);
        let mean = all.checked_div(count).unwrap_or(0);
        State {
            movable: movable.collect(),
            order: sums
                .iter()
                .enumerate()
                .map(|(at, sum)| (*sum, at))
                .collect(),
            mean: u64::try_from(mean).unwrap_or(u64::MAX),
            sums,
            moved: BTreeMap::new(),
        }
    }

    /// What is best carried from one master to another, lighter one.
    fn choose(
        &self,
        (heavy, from): (u64, usize),
        (light, to): (u64, usize),
    ) -> Option<(u64, Slot, usize)> {
        let gap = heavy.saturating_sub(light);
        let over = heavy.saturating_sub(self.mean);
        let wanted = over.min(self.mean.saturating_sub(light));
        let slots = self.movable.get(from)?;
        let behind = wanted.saturating_add(1);
        // Of equal ones the first slot.
        let fits = slots.range(..first(behind)).next_back();
        let fits = fits.and_then(|(weight, _)| slots.range(first(*weight)..).next());
        let found = fits.or_else(|| slots.range(first(behind)..).next());
        let (weight, slot) = found.filter(|(weight, _)| *weight < gap)?;
        Some((*weight, *slot, to))
    }

    fn carry(&mut self, (weight, slot): (u64, Slot), from: usize, to: usize) {
        for (at, is_target) in [(from, false), (to, true)] {
            let (Some(sum), Some(movable)) = (self.sums.get_mut(at), self.movable.get_mut(at))
            else {
                continue;
            };
            self.order.remove(&(*sum, at));
            if is_target {
                *sum = sum.saturating_add(weight);
                movable.insert((weight, slot));
            } else {
                *sum = sum.saturating_sub(weight);
                movable.remove(&(weight, slot));
            }
            self.order.insert((*sum, at));
        }
        // One that goes on, or back, is one move, or none.
        let home = self.moved.get(&slot).map_or(from, |(_, home, _)| *home);
        if home == to {
            self.moved.remove(&slot);
        } else {
            self.moved.insert(slot, (weight, home, to));
        }
    }
}

/// The first of a weight.
fn first(weight: u64) -> (u64, Slot) {
    (weight, Slot::FIRST)
}

#[cfg(test)]
mod tests;
