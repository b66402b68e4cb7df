//! A row of the catalogue: everything that is said of one rule, and what it compares with.

use super::facts::{Cannot, Facts};
use super::finding::{Finding, Severity};
use super::limits::Limits;

/// What a rule says of one master: that it holds, that it does not, or why it cannot be told.
pub type Ruling = Result<Option<Finding>, Cannot>;

/// Where a rule's facts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Totals that are always current.
    Totals,
    /// The walk over all keys.
    Survey,
    /// Patterns of key names.
    Patterns,
    /// CONFIG GET.
    Config,
    /// INFO.
    Info,
    /// ACL LIST.
    Acl,
    /// What the stream of writes was counted for.
    Stream,
    /// Other nodes of the deployment.
    Topology,
    /// A PING of ours.
    Ping,
}

impl Need {
    /// The word in answers.
    pub fn name(self) -> &'static str {
        match self {
            Need::Totals => "totals",
            Need::Survey => "survey",
            Need::Patterns => "patterns",
            Need::Config => "config",
            Need::Info => "info",
            Need::Acl => "acl",
            Need::Stream => "stream",
            Need::Topology => "topology",
            Need::Ping => "ping",
        }
    }
}

/// How a rule is decided.
#[derive(Clone, Copy, Debug)]
pub enum Decide {
    /// By this function.
    By(fn(&Facts, &Tuned<'_>) -> Ruling),
    /// Only reads would tell, which the stream does not have.
    NeedsTraffic(&'static str),
    /// Only the bytes of values would tell, which the model does not keep.
    NeedsContent(&'static str),
    /// Only the host of the server would tell, which a replica does not see.
    NeedsHost(&'static str),
}

/// A figure that a rule compares with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// Its name in the configuration, unit included.
    pub name: &'static str,
    /// Its value unless it is configured.
    pub default: u64,
    /// What it is, as a clause.
    pub about: &'static str,
    /// The largest value that can be decided.
    pub most: u64,
}

impl Threshold {
    /// A threshold.
    pub const fn new(name: &'static str, default: u64, about: &'static str) -> Threshold {
        Threshold {
            name,
            default,
            about,
            most: u64::MAX,
        }
    }

    /// No larger value can be decided.
    #[must_use]
    pub const fn at_most(self, most: u64) -> Threshold {
        Threshold { most, ..self }
    }
}

/// A rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// As `MEM-02`: the id of the catalogue.
    pub id: &'static str,
    /// A few words.
    pub title: &'static str,
    /// How bad it is, unless the finding says otherwise.
    pub severity: Severity,
    /// What it asks for; empty if it is never decided.
    pub needs: &'static [Need],
    /// What it compares with.
    pub thresholds: &'static [Threshold],
    /// Why it matters and when it holds, in sentences for people.
    pub why: &'static str,
    /// What its advice leaves out.
    pub caveat: &'static str,
    /// Not asked unless the configuration says so, and why.
    pub off: Option<&'static str>,
    /// How it is decided.
    pub decide: Decide,
}

impl Rule {
    /// A rule that `decide` decides, of medium severity and without thresholds.
    pub const fn new(
        id: &'static str,
        title: &'static str,
        needs: &'static [Need],
        decide: fn(&Facts, &Tuned<'_>) -> Ruling,
    ) -> Rule {
        Rule {
            id,
            title,
            severity: Severity::Medium,
            needs,
            thresholds: &[],
            why: "",
            caveat: "",
            off: None,
            decide: Decide::By(decide),
        }
    }

    /// A rule that only captured traffic would decide.
    pub const fn traffic(id: &'static str, title: &'static str, what: &'static str) -> Rule {
        Rule {
            id,
            title,
            severity: Severity::Medium,
            needs: &[],
            thresholds: &[],
            why: "",
            caveat: "",
            off: None,
            decide: Decide::NeedsTraffic(what),
        }
    }

    /// A rule that only the bytes of values would decide.
    pub const fn content(id: &'static str, title: &'static str, what: &'static str) -> Rule {
        Rule {
            decide: Decide::NeedsContent(what),
            ..Rule::traffic(id, title, what)
        }
    }

    /// A rule that only the host of the server would decide.
    pub const fn host(id: &'static str, title: &'static str, what: &'static str) -> Rule {
        Rule {
            decide: Decide::NeedsHost(what),
            why: "A row of the classic monitoring table that nothing which a replica hears can decide.",
            ..Rule::traffic(id, title, what)
        }
    }

    /// With that severity.
    pub const fn severity(self, severity: Severity) -> Rule {
        Rule { severity, ..self }
    }

    /// With these thresholds.
    pub const fn thresholds(self, thresholds: &'static [Threshold]) -> Rule {
        Rule { thresholds, ..self }
    }

    /// With its reason.
    pub const fn why(self, why: &'static str) -> Rule {
        Rule { why, ..self }
    }

    /// With what it leaves out.
    pub const fn caveat(self, caveat: &'static str) -> Rule {
        Rule { caveat, ..self }
    }

    /// Off unless the configuration says so.
    pub const fn off(self, reason: &'static str) -> Rule {
        Rule {
            off: Some(reason),
            ..self
        }
    }

    /// The heading of its section in `proxy/ADVICE.md`.
    pub fn anchor(&self) -> String {
        format!("proxy/ADVICE.md#{}", self.id.to_ascii_lowercase())
    }

    /// A finding of this rule without figures yet, of its own severity.
    pub fn finding(&self, what: String) -> Finding {
        Finding::new(self.severity, what)
    }
}

/// A rule's thresholds as they are configured.
#[derive(Clone, Copy, Debug)]
pub struct Tuned<'a> {
    rule: &'static Rule,
    limits: &'a Limits,
}

impl<'a> Tuned<'a> {
    /// The thresholds of `rule`.
    pub fn new(rule: &'static Rule, limits: &'a Limits) -> Tuned<'a> {
        Tuned { rule, limits }
    }

    /// The threshold of that name, which the rule's row has.
    pub fn of(&self, name: &str) -> u64 {
        self.limits.get(self.rule, name)
    }

    /// A finding of the rule.
    pub fn finding(&self, what: String) -> Finding {
        self.rule.finding(what)
    }
}
