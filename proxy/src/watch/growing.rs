//! Which patterns grow fast: their bytes now against those of half a minute before.

use std::collections::{BTreeMap, BTreeSet};

use super::hub::Prospects;
use crate::fleet::MasterId;

/// A pattern that began or ceased to grow fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turned {
    pub(crate) master: MasterId,
    pub(crate) pattern: String,
    pub(crate) raised: bool,
    pub(crate) bytes_per_s: u64,
    pub(crate) bytes: u64,
}

/// The patterns that grow fast.
#[derive(Debug, Default)]
pub(super) struct Growing(BTreeSet<(MasterId, String)>);

impl Growing {
    /// Compares; a pattern that is new in the list is not told of, because it may only have been
    /// found.
    pub(super) fn look(&mut self, was: &Prospects, now: &Prospects, limit: u64) -> Vec<Turned> {
        let mut turned = Vec::new();
        for (id, after) in now {
            let Some(before) = was.get(id) else { continue };
            let ms = after.at_ms.saturating_sub(before.at_ms);
            if ms == 0 || before.loaded_ms != after.loaded_ms {
                continue;
            }
            let old: BTreeMap<&str, u64> = before.patterns.rows().collect();
            for (name, bytes) in after.patterns.rows() {
                let Some(old) = old.get(name) else { continue };
                let rate = bytes.saturating_sub(*old).saturating_mul(1000) / ms;
                let key = (*id, name.to_owned());
                let raised = match self.0.contains(&key) {
                    false if rate > limit => self.0.insert(key),
                    true if rate < limit / 2 => !self.0.remove(&key),
                    false | true => continue,
                };
                turned.push(Turned {
                    master: *id,
                    pattern: name.to_owned(),
                    raised,
                    bytes_per_s: rate,
                    bytes,
                });
            }
        }
        self.0.retain(|(id, name)| {
            let here = now.get(id);
            here.is_some_and(|own| own.patterns.rows().any(|(own, _)| own == name))
        });
        turned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::{PatternSum, Patterns, Prospect};

    fn at(at_ms: u64, bytes: u64) -> Prospects {
        let sum = PatternSum {
            bytes,
            ..PatternSum::default()
        };
        let prospect = Prospect {
            at_ms,
            patterns: Patterns {
                count: 1,
                sums: [("user:*".to_owned(), sum)].into(),
            },
            ..Prospect::default()
        };
        [(3, prospect)].into()
    }

    #[test]
    fn a_pattern_is_told_of_once_until_it_slows_down() {
        let mut growing = Growing::default();
        let mut before = at(0, 0);
        let mut told = Vec::new();
        let steps = [500, 2_000, 2_000, 700, 700, 400, 400, 1_500];
        for (step, grown) in (1..).zip(steps) {
            let bytes = before[&3].patterns.rows().next().map_or(0, |row| row.1);
            let now = at(step * 1000, bytes + grown);
            let found = growing.look(&before, &now, 1000);
            told.extend(found.iter().map(|one| (step, one.raised)));
            before = now;
        }
        assert_eq!(told, [(2, true), (6, false), (8, true)]);
    }

    #[test]
    fn what_was_only_found_has_not_grown() {
        let mut growing = Growing::default();
        assert_eq!(growing.look(&Prospects::new(), &at(1000, 1 << 40), 1), []);
    }
}
