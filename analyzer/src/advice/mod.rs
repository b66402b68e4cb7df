//! Advice: what a keyspace and its server tell about how they could be better kept.
//!
//! ```text
//! survey (a walk over all keys) --+
//! CONFIG, INFO, ACL LIST ---------+--> Facts --> rule --> Ruling: a Finding, none, or why it
//! totals, neighbours -------------+                       cannot be told
//! ```
//!
//! A rule is one small pure function over [`Facts`] of one master. Each stands in the table of its
//! theme's file with all that is said of it; [`rules`] is all of them. What a rule compares with is a
//! [`Threshold`] of its row, which [`Limits`] may change. What needs what we do not have, captured
//! traffic or the bytes of values, says so in its row and never fires: a catalogue with holes that
//! are named is worth more than guesses.
//!
//! Savings are sums of MEMORY USAGE now and as the same formulas weigh the keys afterwards
//! (`crate::whatif`), never a constant. Remedies are text: nothing here or elsewhere runs them.

mod clients;
mod cluster;
mod document;
mod edges;
mod eviction;
mod facts;
mod finding;
mod footprint;
mod keys;
mod limits;
mod memory;
mod names;
mod operations;
mod persistence;
mod replication;
mod rule;
mod secrets;
mod security;
mod seen;
mod source;
mod standing;
mod survey;
mod traffic;
mod ttl;

pub use document::document;
pub use facts::{Asked, Before, Cannot, Facts, Flows, Heat, Peer, Told};
pub use finding::{EVIDENCE_MAX, Effect, Evidence, Finding, Severity, Subject};
pub use limits::Limits;
pub use rule::{Decide, Need, Rule, Ruling, Threshold, Tuned};
pub use standing::{Attached, Cluster, Guard, Link, Node, Pace, Standing};
pub use survey::{
    Filling, Group, Groups, Packed, PatternGroup, Seen, Survey, Surveyor, TOP_KEYS, TagSum, Tags,
    Tally, Track, Tracks,
};

pub use traffic::{BLOCKING_POPS, reads_statistics_of};
pub use ttl::storm_limits;

/// What became of a rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It holds.
    Found(Finding),
    /// It does not.
    Quiet,
    /// It cannot be told, and why.
    Cannot(String),
    /// What it says is not wanted, and why; the finding, if it holds.
    Silenced(String, Option<Box<Finding>>),
}

/// Every rule, in the order of the catalogue.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    [
        names::RULES,
        memory::RULES,
        edges::RULES,
        footprint::RULES,
        keys::RULES,
        ttl::RULES,
        eviction::RULES,
        persistence::RULES,
        replication::RULES,
        cluster::RULES,
        clients::RULES,
        traffic::RULES,
        security::RULES,
        operations::RULES,
    ]
    .into_iter()
    .flatten()
}

/// The rule of an id, as `MEM-02`, in any case.
pub fn rule(id: &str) -> Option<&'static Rule> {
    rules().find(|rule| rule.id.eq_ignore_ascii_case(id))
}

/// What a rule says of one master.
pub fn decide(rule: &'static Rule, facts: &Facts, limits: &Limits) -> Verdict {
    let names = [facts.master.as_str(), &facts.standing.shard];
    let Some(reason) = limits.silenced(rule, &names) else {
        return ask(rule, facts, limits);
    };
    let found = match ask(rule, facts, limits) {
        Verdict::Found(finding) => Some(Box::new(finding)),
        Verdict::Quiet | Verdict::Cannot(_) | Verdict::Silenced(..) => None,
    };
    Verdict::Silenced(reason.to_owned(), found)
}

fn ask(rule: &'static Rule, facts: &Facts, limits: &Limits) -> Verdict {
    let ruling = match rule.decide {
        Decide::By(decide) => decide(facts, &Tuned::new(rule, limits)),
        Decide::NeedsTraffic(what) => {
            return Verdict::Cannot(format!("needs captured traffic: {what}"));
        }
        Decide::NeedsContent(what) => {
            return Verdict::Cannot(format!(
                "cannot be decided from a model without values: {what}"
            ));
        }
        Decide::NeedsHost(what) => {
            return Verdict::Cannot(format!("only the host knows: {what}"));
        }
    };
    match ruling {
        Ok(Some(mut finding)) => {
            finding.severity = limits.severity(rule, finding.severity);
            Verdict::Found(finding)
        }
        Ok(None) => Verdict::Quiet,
        Err(Cannot(why)) => Verdict::Cannot(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_rule_is_there_once_and_complete() {
        let mut ids = BTreeSet::new();
        for rule in rules() {
            assert!(ids.insert(rule.id), "{} is there twice", rule.id);
            let (theme, number) = rule.id.split_once('-').expect("a dash");
            assert!(theme.len() == 3 && number.len() == 2, "{}", rule.id);
            assert!(
                !rule.title.is_empty() && rule.why.ends_with('.'),
                "{}",
                rule.id
            );
            let decidable = matches!(rule.decide, Decide::By(_));
            assert_eq!(decidable, !rule.needs.is_empty(), "{}", rule.id);
        }
    }
}
