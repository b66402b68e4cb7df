//! How the rules are tuned: thresholds, severities, and which of them are silenced and why.

use std::collections::BTreeMap;

use super::finding::Severity;
use super::rule::{Rule, Threshold};

/// What differs from the defaults of the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    thresholds: BTreeMap<(&'static str, &'static str), u64>,
    severities: BTreeMap<&'static str, Severity>,
    /// Why a rule is silenced; `None` for one that is asked though it is off by default.
    silenced: BTreeMap<&'static str, Option<String>>,
}

impl Limits {
    /// Another value for a threshold.
    ///
    /// # Errors
    /// The rule has none of that name; the text names those that it has.
    pub fn tune(&mut self, rule: &'static Rule, name: &str, value: u64) -> Result<(), String> {
        let found = rule.thresholds.iter().find(|row| row.name == name);
        let Some(found) = found else {
            let names: Vec<&str> = rule.thresholds.iter().map(|row| row.name).collect();
            return Err(match names.is_empty() {
                true => format!("{} has no thresholds", rule.id),
                false => format!("{} has {}", rule.id, names.join(", ")),
            });
        };
        self.thresholds.insert((rule.id, found.name), value);
        Ok(())
    }

    /// Another severity, whatever the finding says.
    pub fn grade(&mut self, rule: &'static Rule, severity: Severity) {
        self.severities.insert(rule.id, severity);
    }

    /// Not to be asked, for that reason.
    pub fn silence(&mut self, rule: &'static Rule, reason: String) {
        self.silenced.insert(rule.id, Some(reason));
    }

    /// To be asked though it is off by default.
    pub fn enable(&mut self, rule: &'static Rule) {
        self.silenced.insert(rule.id, None);
    }

    /// The value of a threshold of the rule.
    pub fn get(&self, rule: &Rule, name: &str) -> u64 {
        let of = |row: &Threshold| {
            let tuned = self.thresholds.get(&(rule.id, row.name));
            tuned.copied().unwrap_or(row.default)
        };
        let row = rule.thresholds.iter().find(|row| row.name == name);
        debug_assert!(row.is_some(), "{} has no threshold {name}", rule.id);
        row.map_or(u64::MAX, of)
    }

    /// The severity of a finding of the rule.
    pub(super) fn severity(&self, rule: &Rule, found: Severity) -> Severity {
        self.severities.get(rule.id).copied().unwrap_or(found)
    }

    /// Why the rule is not asked, if it is not.
    pub fn silenced(&self, rule: &Rule) -> Option<&str> {
        match self.silenced.get(rule.id) {
            Some(reason) => reason.as_deref(),
            None => rule.off,
        }
    }
}
