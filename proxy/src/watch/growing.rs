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
    /// Looks at what each pattern of the masters that are `here` grew by. One that is not told of one
    /// by one has ceased; of a master that did not tell in time it is as it was.
    pub(super) fn look(
        &mut self,
        now: &Prospects,
        here: &BTreeSet<MasterId>,
        limit: u64,
    ) -> Vec<Turned> {
        let mut turned = Vec::new();
        let told = now.iter().filter(|(_, own)| own.told_patterns);
        let told = told.filter_map(|(id, own)| Some((id, own, own.grown.as_ref()?)));
        for (id, own, grown) in told {
            for (name, bytes) in own.patterns.rows() {
                let grown = grown.get(name).copied();
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
            let own = now.get(id).filter(|own| own.told_patterns);
            match own {
                Some(own) => !own.patterns.rows().any(|(own, _)| own == name),
                None => !here.contains(id),
            }
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
    use std::collections::BTreeMap;

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
            grown: Some([("user:*".to_owned(), grown)].into()),
            told_patterns: true,
            ..Prospect::default()
        };
        [(3, prospect)].into()
    }

    fn here() -> BTreeSet<MasterId> {
        [3].into()
    }

    /// A master without patterns.
    fn told() -> Prospect {
        Prospect {
            grown: Some(BTreeMap::new()),
            told_patterns: true,
            ..Prospect::default()
        }
    }

    #[test]
    fn a_master_that_is_late_has_not_turned() {
        let mut growing = Growing::default();
        growing.look(&at(9, 2_000), &here(), 1000);
        let half = |told_patterns, grown| -> Prospects {
            let late = Prospect {
                told_patterns,
                grown,
                ..at(9, 2_000).remove(&3).unwrap_or_default()
            };
            [(3, late)].into()
        };
        for late in [
            Prospects::new(),
            [(3, Prospect::default())].into(),
            half(false, Some(BTreeMap::new())),
            half(true, None),
        ] {
            assert_eq!(growing.look(&late, &here(), 1000), []);
        }
        assert_eq!(growing.look(&at(9, 2_000), &here(), 1000), [], "known");
        let told = growing.look(&Prospects::new(), &BTreeSet::new(), 1000);
        let told: Vec<_> = told.iter().map(|one| (&*one.pattern, one.raised)).collect();
        assert_eq!(told, [("user:*", false)], "it is not followed any more");
    }

    #[test]
    fn a_pattern_is_told_of_once_until_it_slows_down() {
        let mut growing = Growing::default();
        let mut told = Vec::new();
        let steps = [500, 2_000, 2_000, 700, 700, 400, -400, 1_500];
        for (step, grown) in (1..).zip(steps) {
            let found = growing.look(&at(9, grown), &here(), 1000);
            told.extend(found.iter().map(|one| (step, one.raised)));
        }
        assert_eq!(told, [(2, true), (6, false), (8, true)]);
    }

    #[test]
    fn a_pattern_that_is_not_told_any_more_has_ceased() {
        let mut growing = Growing::default();
        growing.look(&at(9, 2_000), &here(), 1000);
        let merged: Prospects = [(3, told())].into();
        let told = growing.look(&merged, &here(), 1000);
        let told: Vec<_> = told.iter().map(|one| (&*one.pattern, one.raised)).collect();
        assert_eq!(told, [("user:*", false)]);
        assert_eq!(growing.look(&merged, &here(), 1000), [], "once");
    }

    /// As where patterns are merged, or more keys are behind each that is counted.
    #[test]
    fn what_only_has_more_bytes_has_not_grown() {
        let mut growing = Growing::default();
        assert_eq!(growing.look(&at(0, 0), &here(), 1), []);
        assert_eq!(growing.look(&at(1 << 40, 0), &here(), 1), []);
    }
}
