//! Which patterns grow fast, by what the stream did to their keys in the last minute. Their sums are not
//! compared: a pattern that others are merged into, or that takes keys of others, has not grown.

use std::collections::BTreeSet;

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
    /// Looks at what each pattern grew by. One that is not told of one by one has ceased.
    pub(super) fn look(&mut self, now: &Prospects, limit: u64) -> Vec<Turned> {
        let mut turned = Vec::new();
        for (id, own) in now {
            for (name, bytes) in own.patterns.rows() {
                let grown = own.grown.get(name).copied();
                let rate = u64::try_from(grown.unwrap_or(0)).unwrap_or(0);
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
        // Whoever heard that it grows hears that it does no more.
        let gone = self.0.extract_if(.., |(id, name)| {
            let here = now.get(id);
            !here.is_some_and(|own| own.patterns.rows().any(|(own, _)| own == name))
        });
        turned.extend(gone.map(|(master, pattern)| Turned {
            master,
            pattern,
            raised: false,
            bytes_per_s: 0,
            bytes: 0,
        }));
        turned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::{PatternSum, Patterns, Prospect};

    fn at(bytes: u64, grown: i64) -> Prospects {
        let sum = PatternSum {
            bytes,
            ..PatternSum::default()
        };
        let prospect = Prospect {
            patterns: Patterns {
                count: 1,
                overflowed: false,
                sums: [("user:*".to_owned(), sum)].into(),
            },
            grown: [("user:*".to_owned(), grown)].into(),
            ..Prospect::default()
        };
        [(3, prospect)].into()
    }

    #[test]
    fn a_pattern_is_told_of_once_until_it_slows_down() {
        let mut growing = Growing::default();
        let mut told = Vec::new();
        let steps = [500, 2_000, 2_000, 700, 700, 400, -400, 1_500];
        for (step, grown) in (1..).zip(steps) {
            let found = growing.look(&at(9, grown), 1000);
            told.extend(found.iter().map(|one| (step, one.raised)));
        }
        assert_eq!(told, [(2, true), (6, false), (8, true)]);
    }

    #[test]
    fn a_pattern_that_is_not_told_any_more_has_ceased() {
        let mut growing = Growing::default();
        growing.look(&at(9, 2_000), 1000);
        let merged: Prospects = [(3, Prospect::default())].into();
        let told = growing.look(&merged, 1000);
        let told: Vec<_> = told.iter().map(|one| (&*one.pattern, one.raised)).collect();
        assert_eq!(told, [("user:*", false)]);
        assert_eq!(growing.look(&merged, 1000), [], "once");
    }

    /// As where patterns are merged, or more keys are behind each that is counted.
    #[test]
    fn what_only_has_more_bytes_has_not_grown() {
        let mut growing = Growing::default();
        assert_eq!(growing.look(&at(0, 0), 1), []);
        assert_eq!(growing.look(&at(1 << 40, 0), 1), []);
    }
}
