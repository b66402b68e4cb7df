//! How rules of advice are spelled in the configuration: ids and thresholds are checked while they
//! are read, so that what is not known is said with its line and the nearest name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use analyzer::advice::{Limits, Rule, Severity, rule, rules};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// A rule, by its id.
#[derive(Clone, Copy)]
pub struct Id(&'static Rule);

/// `[advice.limits.X-01]`: thresholds of rules.
#[derive(Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Thresholds(BTreeMap<Id, BTreeMap<&'static str, u64>>);

/// `[advice.severities]`.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Severities(BTreeMap<Id, Grade>);

/// A severity.
#[derive(Clone, Copy)]
pub struct Grade(Severity);

/// `[[advice.silence]]`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// Which rule.
    pub rule: Id,
    /// Why.
    pub reason: String,
    /// On which master, by one of its names; empty for all.
    #[serde(default)]
    pub master: String,
}

/// What the rules are tuned to.
///
/// # Errors
/// A rule is silenced without a reason.
pub fn limits(
    (thresholds, severities): (&Thresholds, &Severities),
    silences: &[Silence],
    enabled: &[Id],
) -> Result<Limits, String> {
    let mut limits = Limits::default();
    for (Id(rule), values) in &thresholds.0 {
        for (name, value) in values {
            limits.tune(rule, name, *value)?;
        }
    }
    for (Id(rule), Grade(severity)) in &severities.0 {
        limits.grade(rule, *severity);
    }
    for Id(rule) in enabled {
        limits.enable(rule);
    }
    for silence in silences {
        if silence.reason.trim().is_empty() {
            return Err(format!("{} has no reason", silence.rule.0.id));
        }
        let master = Some(silence.master.clone()).filter(|master| !master.is_empty());
        limits.silence(silence.rule.0, master, silence.reason.clone());
    }
    Ok(limits)
}

impl PartialEq for Id {
    fn eq(&self, other: &Id) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Id {}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Id) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Id {
    fn cmp(&self, other: &Id) -> std::cmp::Ordering {
        self.0.id.cmp(other.0.id)
    }
}

impl Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.id)
    }
}

impl Serialize for Grade {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Id, D::Error> {
        from.deserialize_str(Word(|text: &str| {
            static IDS: LazyLock<Vec<&str>> =
                LazyLock::new(|| rules().map(|rule| rule.id).collect());
            rule(text)
                .map(Id)
                .ok_or_else(|| unknown("rule", text, &IDS))
        }))
    }
}

impl<'de> Deserialize<'de> for Grade {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Grade, D::Error> {
        from.deserialize_str(Word(|text: &str| {
            let names = Severity::ALL.map(Severity::name);
            let found = Severity::parse(text).map(Grade);
            found.ok_or_else(|| unknown("severity", text, &names))
        }))
    }
}

/// As serde speaks of unknown fields: `raw` reads it.
fn unknown(what: &str, text: &str, names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    format!(
        "unknown {what} `{text}`, expected one of {}",
        names.join(", ")
    )
}

/// A word and what it is read as.
struct Word<F>(F);

impl<T, F: FnOnce(&str) -> Result<T, String>> Visitor<'_> for Word<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Thresholds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Thresholds, D::Error> {
        from.deserialize_map(OfRules)
    }
}

struct OfRules;

impl<'de> Visitor<'de> for OfRules {
    type Value = Thresholds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table for each rule")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Thresholds, A::Error> {
        let mut all = BTreeMap::new();
        while let Some(id) = map.next_key::<Id>()? {
            all.insert(id, map.next_value_seed(OfRule(id.0))?);
        }
        Ok(Thresholds(all))
    }
}

/// The thresholds of one rule.
struct OfRule(&'static Rule);

impl<'de> DeserializeSeed<'de> for OfRule {
    type Value = BTreeMap<&'static str, u64>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OfRule {
    type Value = BTreeMap<&'static str, u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut all = BTreeMap::new();
        while let Some(name) = map.next_key_seed(Named(self.0))? {
            all.insert(name, map.next_value()?);
        }
        Ok(all)
    }
}

/// A threshold of a rule, by its name.
struct Named(&'static Rule);

impl<'de> DeserializeSeed<'de> for Named {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<&'static str, D::Error> {
        from.deserialize_str(Word(|text: &str| {
            let names: Vec<&str> = self.0.thresholds.iter().map(|row| row.name).collect();
            let found = self.0.thresholds.iter().find(|row| row.name == text);
            found
                .map(|row| row.name)
                .ok_or_else(|| match names.is_empty() {
                    true => format!("unknown limit {text}: {} has none", self.0.id),
                    false => unknown("limit", text, &names),
                })
        }))
    }
}
