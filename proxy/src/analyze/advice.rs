//! What the rules say of the keys of an RDB file. A file tells nothing of its server's configuration,
//! clients and stream: the rules that ask for those are not decided, and named.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use analyzer::Keyspace;
use analyzer::advice::{
    Facts, Finding, Flows, Heat, Limits, Rule, Standing, Surveyor, Told, Verdict, decide, rules,
};
use analyzer::census::Expiries;
use serde_json::{Value, json};

use super::table;

/// Elements weighed in one go: nobody waits here.
const AT_ONCE: u64 = 1 << 20;

/// What became of all rules.
pub(super) struct Advice {
    /// Worst first.
    found: Vec<(&'static Rule, Finding)>,
    undecided: Vec<&'static Rule>,
}

impl Advice {
    /// Walks over all keys and judges them.
    pub(super) fn of(keyspace: &Keyspace, told: &Expiries, now_ms: i64) -> Advice {
        let limits = Limits::default();
        let mut surveyor = Surveyor::new(keyspace.profile(), &limits, None, now_ms);
        while !keyspace.survey(&mut surveyor, AT_ONCE) {}
        let facts = Facts {
            master: "the file".to_owned(),
            now_ms: now_ms.unsigned_abs(),
            profile: keyspace.profile().clone(),
            told: Told::default(),
            dbs: keyspace.dbs(),
            totals: keyspace.totals(),
            detail: keyspace.detail(),
            survey: Ok(Arc::new(surveyor.survey(&keyspace.detail()))),
            heat: Heat::default(),
            heat_hour: Heat::default(),
            slots: BTreeMap::new(),
            flows: Flows::default(),
            storms: Ok(told.storms()),
            peers: Arc::new([]),
            standing: Standing::default(),
        };
        let (mut found, mut undecided) = (Vec::new(), Vec::new());
        for rule in rules() {
            match decide(rule, &facts, &limits) {
                Verdict::Found(finding) => found.push((rule, finding)),
                Verdict::Cannot(_) => undecided.push(rule),
                Verdict::Quiet | Verdict::Silenced(..) => {}
            }
        }
        found.sort_by_key(|(_, finding)| Reverse((finding.severity, finding.saving())));
        Advice { found, undecided }
    }

    /// For people: a line for each finding, then what to do about it.
    pub(super) fn text(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut findings = table(&["advice", "severity", "saving", "keys", "what"]);
        for (rule, finding) in &self.found {
            findings.add_row([
                rule.id.to_owned(),
                finding.severity.name().to_owned(),
                finding.saving().to_string(),
                finding.keys.to_string(),
                finding.what.clone(),
            ]);
        }
        writeln!(out, "\n{}", findings.trim_fmt())?;
        for (rule, finding) in &self.found {
            for step in &finding.remedy {
                writeln!(out, "{}: {step}", rule.id)?;
            }
        }
        let undecided = self.undecided.len();
        writeln!(
            out,
            "{undecided} rules ask for more than a file tells; KS.ADVISE decides them. Options are taken to be \
             the defaults of the server's version"
        )?;
        Ok(())
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let found = self.found.iter().map(|(rule, finding)| {
            json!({
                "rule": rule.id,
                "severity": finding.severity.name(),
                "title": rule.title,
                "keys": finding.keys,
                "bytes": finding.bytes,
                "saving": finding.saving(),
                "what": finding.what,
                "remedy": finding.remedy,
                "caveat": rule.caveat,
            })
        });
        let undecided = self.undecided.iter().map(|rule| rule.id);
        json!({
            "findings": found.collect::<Vec<_>>(),
            "undecided": undecided.collect::<Vec<_>>(),
        })
    }
}
