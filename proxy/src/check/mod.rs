//! `keyscape check`: what `serve` would meet, found out with reads alone; and the part of it that
//! every link heeds before a full sync (`preflight`).
//!
//! For each server that would be followed, a list of named checks in the order in which a link
//! would fail on them; each one that is not well says what to do, with a line to paste. A cluster,
//! or what Sentinels watch, is found out first, as `serve` does it.

mod deployment;
mod facts;
pub mod preflight;
mod rules;
mod survey;
mod sync;

use std::fmt;
use std::io::Write;

use self::facts::Facts;
use crate::config::Config;
use crate::side::client::{Client, Target};
use crate::source::{Kind, Spec};

/// How a check ended. Later ones are worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It will work, at a price that is said.
    Warn,
    /// Not now: something is running that will end.
    Wait,
    /// It will not work, or do harm.
    Refuse,
}

impl Verdict {
    /// Four letters for the margin.
    fn mark(self) -> &'static str {
        match self {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
            Verdict::Wait => "wait",
            Verdict::Refuse => "FAIL",
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// A line to paste, if something can be done.
    pub cure: Option<String>,
}

impl Finding {
    fn new(name: &'static str, verdict: Verdict, found: impl Into<String>) -> Finding {
        Finding {
            name,
            verdict,
            found: found.into(),
            cure: None,
        }
    }

    fn ok(name: &'static str, found: impl Into<String>) -> Finding {
        Finding::new(name, Verdict::Ok, found)
    }

    fn cure(mut self, cure: impl Into<String>) -> Finding {
        self.cure = Some(cure.into());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.found)
    }
}

/// Checks the sources and prints what was found; true if nothing failed.
///
/// # Errors
/// The output is gone.
pub async fn check(config: &Config, out: &mut dyn Write) -> std::io::Result<bool> {
    let mut works = true;
    for spec in &config.sources {
        works &= source(config, spec, out).await?;
    }
    Ok(works)
}

async fn source(config: &Config, spec: &Spec, out: &mut dyn Write) -> std::io::Result<bool> {
    match spec.kind {
        Kind::Standalone => {
            let target = crate::app::target(config, spec.first());
            writeln!(out, "keyscape check {}", target.source)?;
            print(&server(&target).await.findings, out)
        }
        Kind::Cluster | Kind::Sentinel => deployment::check(config, spec, out).await,
    }
}

fn print(findings: &[Finding], out: &mut dyn Write) -> std::io::Result<bool> {
    for finding in findings {
        writeln!(out, "[{}] {finding}", finding.verdict.mark())?;
        if let Some(cure) = &finding.cure {
            writeln!(out, "         {cure}")?;
        }
    }
    Ok(findings.iter().all(|f| f.verdict < Verdict::Refuse))
}

/// What was found on one server.
#[derive(Debug)]
struct Visit {
    findings: Vec<Finding>,
    /// Seconds that a full sync is expected to take, and the bytes that the model may need.
    cost: Option<(u64, u64)>,
}

async fn server(target: &Target) -> Visit {
    let asked = async {
        let mut client = Client::connect(target).await?;
        Facts::ask(&mut client).await
    };
    match asked.await {
        Ok(facts) => {
            let mut findings = vec![Finding::ok("reach", "connected and let in")];
            findings.extend(rules::judge(&facts, target));
            Visit {
                findings,
                cost: Some((sync::sync_s(&facts), rules::model_bytes(&facts))),
            }
        }
        Err(error) => Visit {
            findings: vec![rules::unreachable(&error, target)],
            cost: None,
        },
    }
}
