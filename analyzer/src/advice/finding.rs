//! What a rule found: figures, the keys that stand for it, what would be won, and what to do.

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Some memory or time.
    Low,
    /// Worth planning.
    Medium,
    /// Soon.
    High,
    /// Data or service is at risk now.
    Critical,
}

impl Severity {
    /// Every one, mildest first.
    pub const ALL: [Severity; 5] = [
        Severity::Info,
        Severity::Low,
        Severity::Medium,
        Severity::High,
        Severity::Critical,
    ];

    /// The word in answers and in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    /// The inverse of [`Severity::name`], in any case.
    pub fn parse(text: &str) -> Option<Severity> {
        let mut all = Severity::ALL.into_iter();
        all.find(|severity| severity.name().eq_ignore_ascii_case(text))
    }
}

/// Most rows of evidence that a finding has.
pub const EVIDENCE_MAX: usize = 20;

/// What a row of evidence is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A key.
    Key {
        /// Database.
        db: u32,
        /// Name.
        name: Vec<u8>,
    },
    /// A pattern of names.
    Pattern(Vec<u8>),
    /// An option, a figure of INFO, a user, a node: words.
    Named(String),
}

/// True for a name that a line to paste may have as it is. Others may mean something else to whatever
/// it is pasted into; and of what is no text, or cannot be printed, we have no more than a likeness
/// (`acl::User`), which names nobody, or somebody else.
pub(super) fn is_word(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.:@-".contains(c);
    !name.is_empty() && name.chars().all(is_plain)
}

/// A row of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What it is about.
    pub subject: Subject,
    /// What was seen, as `hashtable, 600 fields`.
    pub seen: String,
    /// Bytes that it takes now; 0 where that says nothing.
    pub bytes: u64,
    /// Bytes that the remedy would give back.
    pub saving: u64,
}

impl Evidence {
    /// Evidence that is no key: a name and what was seen.
    pub fn named(name: &str, seen: impl Into<String>) -> Evidence {
        Evidence {
            subject: Subject::Named(name.to_owned()),
            seen: seen.into(),
            bytes: 0,
            saving: 0,
        }
    }
}

/// What is won by following the advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// So many bytes of MEMORY USAGE.
    Saves(u64),
    /// So many at most: how many depends on what the clause says.
    SavesUpTo(u64, String),
    /// What happens if nothing is done, in words.
    Risk(String),
}

/// What a rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was found, one sentence with its figures.
    pub what: String,
    /// Keys concerned; 0 where it is not about keys.
    pub keys: u64,
    /// Bytes that they take now.
    pub bytes: u64,
    /// What is won.
    pub effect: Effect,
    /// The largest of what it is about, at most [`EVIDENCE_MAX`].
    pub evidence: Vec<Evidence>,
    /// Commands and steps to take, one a line. Printed, never run.
    pub remedy: Vec<String>,
}

impl Finding {
    /// A finding without figures yet.
    pub fn new(severity: Severity, what: String) -> Finding {
        Finding {
            severity,
            what,
            keys: 0,
            bytes: 0,
            effect: Effect::Risk(String::new()),
            evidence: Vec::new(),
            remedy: Vec::new(),
        }
    }

    /// As bad as that.
    #[must_use]
    pub fn severity(self, severity: Severity) -> Finding {
        Finding { severity, ..self }
    }

    /// About so many keys with so many bytes.
    #[must_use]
    pub fn about(self, keys: u64, bytes: u64) -> Finding {
        Finding {
            keys,
            bytes,
            ..self
        }
    }

    /// Would give back so many bytes.
    #[must_use]
    pub fn saves(self, bytes: u64) -> Finding {
        Finding {
            effect: Effect::Saves(bytes),
            ..self
        }
    }

    /// Would give back so many bytes at most.
    #[must_use]
    pub fn saves_up_to(self, bytes: u64, clause: &str) -> Finding {
        Finding {
            effect: Effect::SavesUpTo(bytes, clause.to_owned()),
            ..self
        }
    }

    /// What happens otherwise.
    #[must_use]
    pub fn risk(self, risk: impl Into<String>) -> Finding {
        Finding {
            effect: Effect::Risk(risk.into()),
            ..self
        }
    }

    /// With its evidence, of which the first rows are kept.
    #[must_use]
    pub fn evidence(self, rows: impl IntoIterator<Item = Evidence>) -> Finding {
        Finding {
            evidence: rows.into_iter().take(EVIDENCE_MAX).collect(),
            ..self
        }
    }

    /// With one more step to take.
    #[must_use]
    pub fn remedy(mut self, step: impl Into<String>) -> Finding {
        self.remedy.push(step.into());
        self
    }

    /// With these steps behind what there are.
    #[must_use]
    pub fn remedies(mut self, steps: Vec<String>) -> Finding {
        self.remedy.extend(steps);
        self
    }

    /// Bytes that it would give back; 0 for a risk.
    pub fn saving(&self) -> u64 {
        match &self.effect {
            Effect::Saves(bytes) | Effect::SavesUpTo(bytes, _) => *bytes,
            Effect::Risk(_) => 0,
        }
    }
}
