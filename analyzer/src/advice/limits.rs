//! How the rules are tuned: thresholds, severities, and which of them are silenced and why.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Severity;
use super::rule::{Rule, Threshold};

/// A rule whose findings are not wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Silence {
    rule: &'static str,
    /// `None`: on every master.
    master: Option<String>,
    reason: String,
}

/// What differs from the defaults of the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    thresholds: BTreeMap<(&'static str, &'static str), u64>,
    severities: BTreeMap<&'static str, Severity>,
    silences: Vec<Silence>,
    /// Rules that are asked though they are off by default.
    enabled: BTreeSet<&'static str>,
}

impl Limits {
    /// Another value for a threshold.
    ///
    /// # Errors
    /// The rule has none of that name, and the text names those that it has; or such a value could
    /// never be met.
    pub fn tune(&mut self, rule: &'static Rule, name: &str, value: u64) -> Result<(), String> {
        let found = rule.thresholds.iter().find(|row| row.name == name);
        let Some(found) = found else {
            let names: Vec<&str> = rule.thresholds.iter().map(|row| row.name).collect();
            return Err(match names.is_empty() {
                true => format!("{} has no thresholds", rule.id),
                false => format!("{} has {}", rule.id, names.join(", ")),
            });
        };
        if value > found.most {
            let (id, most) = (rule.id, found.most);
            return Err(format!("{id}: {name} is at most {most}"));
        }
        self.thresholds.insert((rule.id, found.name), value);
        Ok(())
    }

    /// Another severity, whatever the finding says.
    pub fn grade(&mut self, rule: &'static Rule, severity: Severity) {
        self.severities.insert(rule.id, severity);
    }

    /// Findings of the rule are not wanted, on that master or on any, for that reason.
    pub fn silence(&mut self, rule: &'static Rule, master: Option<String>, reason: String) {
        self.silences.push(Silence {
            rule: rule.id,
            master,
            reason,
        });
    }

    /// Rules that are silenced on one master, and what it is called there.
    pub fn silenced_on(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = self.silences.iter();
        all.filter_map(|silence| Some((silence.rule, silence.master.as_deref()?)))
    }

    /// To be asked though it is off by default.
    pub fn enable(&mut self, rule: &'static Rule) {
        self.enabled.insert(rule.id);
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

    /// Why the rule's findings are not wanted, if they are not, on a master of these names.
    pub fn silenced(&self, rule: &Rule, names: &[&str]) -> Option<&str> {
        let is_meant = |silence: &&Silence| {
            let master = silence.master.as_deref();
            silence.rule == rule.id && master.is_none_or(|master| names.contains(&master))
        };
        let configured = self.silences.iter().find(is_meant);
        let off = rule.off.filter(|_| !self.enabled.contains(rule.id));
        configured.map(|silence| silence.reason.as_str()).or(off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::rule;

    #[test]
    fn what_can_never_be_met_is_refused() {
        let rule = rule("KEY-07").expect("it is in the catalogue");
        let mut limits = Limits::default();
        assert_eq!(limits.tune(rule, "days", 180), Ok(()));
        let error = limits.tune(rule, "days", 181).expect_err("too many");
        assert_eq!(error, "KEY-07: days is at most 180");
        assert_eq!(limits.get(rule, "days"), 180);
        assert_eq!(limits.tune(rule, "percent", u64::MAX), Ok(()));
    }
}
