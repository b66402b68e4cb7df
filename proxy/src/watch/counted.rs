//! What commands did to the keys of each pattern, as counters that only grow.
//!
//! Models hand over what happened since they were asked last. Here it is added up for each deployment,
//! so that a master that goes takes nothing away: a counter that falls looks like one that began anew.
//! A few patterns have a seat of their own, the others share one. A pattern keeps its seat as long as it
//! is written; after an hour of silence another may have it. So no figure ever moves from one counter to
//! another.

use std::collections::BTreeMap;

use analyzer::flows::Flow;

/// Patterns of a deployment that are counted one by one.
pub(crate) const SEATS: usize = 20;

/// Turns of gathering after which a silent pattern may lose its seat: an hour.
const SILENT_MAX: u32 = 120;

/// What one deployment's patterns did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    seats: BTreeMap<String, Seat>,
    /// The patterns without a seat, and keys of none.
    other: Flow,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    flow: Flow,
    /// Turns without a write.
    silent: u32,
}

impl Counted {
    /// Takes what happened since the last turn.
    pub(crate) fn turn(&mut self, named: BTreeMap<String, Flow>, rest: &Flow) {
        self.other.add(rest);
        for (name, seat) in &mut self.seats {
            seat.silent = match named.contains_key(name) {
                true => 0,
                false => seat.silent.saturating_add(1),
            };
        }
        let (seated, mut others): (Vec<_>, Vec<_>) = named
            .into_iter()
            .partition(|(name, _)| self.seats.contains_key(name));
        for (name, flow) in seated {
            self.seats.entry(name).or_default().flow.add(&flow);
        }
        others.sort_by_key(|(_, flow)| std::cmp::Reverse(flow.writes()));
        for (name, flow) in others {
            if self.has_room() {
                self.seats.entry(name).or_default().flow.add(&flow);
            } else {
                self.other.add(&flow);
            }
        }
    }

    /// True if a pattern may sit down, for which a silent one may have to get up.
    fn has_room(&mut self) -> bool {
        if self.seats.len() < SEATS {
            return true;
        }
        let silent = self.seats.iter().max_by_key(|(_, seat)| seat.silent);
        let silent = silent.filter(|(_, seat)| seat.silent >= SILENT_MAX);
        let Some(name) = silent.map(|(name, _)| name.clone()) else {
            return false;
        };
        self.seats.remove(&name).is_some()
    }

    /// Every pattern with a seat, and the others as [`OTHER`](super::OTHER).
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&str, &Flow)> {
        let seats = self.seats.iter();
        let named = seats.map(|(name, seat)| (name.as_str(), &seat.flow));
        named.chain([(super::OTHER, &self.other)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(counted: &mut Counted, writes: &[(&str, u64)]) {
        let flow = |created| Flow {
            created,
            ..Flow::default()
        };
        let named = writes.iter();
        let named = named.map(|(name, n)| ((*name).to_owned(), flow(*n)));
        counted.turn(named.collect(), &flow(1));
    }

    fn of(counted: &Counted, name: &str) -> Option<u64> {
        let mut rows = counted.rows();
        rows.find(|row| row.0 == name).map(|row| row.1.created)
    }

    #[test]
    fn counters_only_grow_and_silent_patterns_get_up() {
        let mut counted = Counted::default();
        let names: Vec<String> = (0..30).map(|n| format!("p{n}:*")).collect();
        let first: Vec<(&str, u64)> = names.iter().map(String::as_str).zip(1..).collect();
        turn(&mut counted, &first);
        assert_eq!(counted.rows().count(), SEATS + 1);
        // The ten least have no seat.
        assert_eq!(of(&counted, "__other__"), Some(1 + (1..=10).sum::<u64>()));
        assert_eq!(of(&counted, "p29:*"), Some(30));
        assert_eq!(of(&counted, "p9:*"), None);
        let busy = &first[11..];
        for _ in 0..SILENT_MAX {
            turn(&mut counted, busy);
            assert_eq!(of(&counted, "p10:*"), Some(11), "silent, and still there");
        }
        let other = of(&counted, "__other__");
        turn(&mut counted, &[("p9:*", 7), ("p8:*", 6)]);
        assert_eq!(of(&counted, "p10:*"), None);
        assert_eq!(
            of(&counted, "p9:*"),
            Some(7),
            "what it had before is elsewhere"
        );
        assert_eq!(of(&counted, "__other__"), other.map(|n| n + 6 + 1));
        assert_eq!(counted.rows().count(), SEATS + 1);
    }
}
