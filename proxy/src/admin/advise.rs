//! KS.ADVISE: what the rules of the catalogue find on the masters that are meant, worst first.
//!
//! Each master is judged by itself, from what its owner has gathered; findings of one rule are then
//! one line, with the sums of all masters and the evidence of each. Nothing is walked for an answer
//! and no server is asked: the table `survey` says how old the facts are.

use std::sync::Arc;

use analyzer::advice::{
    Decide, EVIDENCE_MAX, Effect, Evidence, Finding, Rule, Severity, Subject, Told, Verdict, rule,
};

use super::judge::{Judged, Known};
use super::layout::{Cell, Format, Table};
use super::refuse::SYNTAX;
use super::reply::Reply;
use super::report::{finish, fresh_only, named_format};
use super::request::Request;
use super::session::Session;
use crate::clock;
use crate::fleet::Master;
use crate::model::advise::Gathered;

/// Rows of evidence for each rule where all rules are shown.
const EVIDENCE_SHORT: usize = 3;

type Line = Vec<(&'static str, Cell)>;

/// A finding and whose it is.
type OnMaster<'a> = (&'a Arc<Master>, &'a Finding);

struct Question {
    severity: Severity,
    rule: Option<&'static Rule>,
    /// Only what is silenced.
    silenced: bool,
    format: Format,
}

fn parse(request: &Request) -> Result<Question, Reply> {
    let mut question = Question {
        severity: Severity::Info,
        rule: None,
        silenced: false,
        format: Format::Resp,
    };
    let mut at = 1;
    while at < request.len() {
        if request.is(at, "SILENCED") {
            question.silenced = true;
            at += 1;
            continue;
        }
        if at + 1 == request.len() {
            return Err(SYNTAX);
        }
        let text = String::from_utf8_lossy(request.arg(at + 1));
        if request.is(at, "SEVERITY") {
            let severity = Severity::parse(&text);
            question.severity = severity.ok_or(Reply::error(
                "ERR SEVERITY must be INFO, LOW, MEDIUM, HIGH or CRITICAL",
            ))?;
        } else if request.is(at, "RULE") {
            let found = rule(&text);
            let found = found.ok_or(Reply::error(
                "ERR no such rule; KS.ADVISE and proxy/ADVICE.md have their ids, as MEM-02",
            ))?;
            question.rule = Some(found);
        } else if request.is(at, "FORMAT") {
            question.format = named_format(request, at + 1)?;
        } else {
            return Err(SYNTAX);
        }
        at += 2;
    }
    Ok(question)
}

/// `KS.ADVISE [SEVERITY s] [RULE id] [SILENCED] [FORMAT ..]`
pub(crate) async fn advise(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let question = parse(request)?;
    let scope = session.scope()?;
    let known = Known::of(session.fleet(), &scope).await;
    let only = question.rule;
    let wanted = move |rule: &&'static Rule| only.is_none_or(|only| only.id == rule.id);
    let (known, judged) = known.judged(wanted).await?;
    let silenced = Table::rows("silenced", silenced(&judged));
    let notes = silences_of_nobody(&known, &session.port.fleet.masters());
    if question.silenced {
        let fresh = fresh_only(known.answers);
        let tables = vec![silenced];
        return Ok(finish(&scope, &fresh, tables, notes, question.format));
    }
    let found: Vec<&Judged> = judged
        .iter()
        .filter(|judged| judged.severity() >= Some(question.severity))
        .collect();
    let rows = match question.rule {
        Some(_) => EVIDENCE_MAX,
        None => EVIDENCE_SHORT,
    };
    let mut tables = vec![
        survey(&known),
        Table::rows(
            "findings",
            found.iter().map(|judged| line(judged)).collect(),
        ),
        Table::rows("evidence", evidence(&found, rows)),
        Table::rows("remedy", remedies(&found)),
        Table::rows("undecided", undecided(&judged)),
        silenced,
    ];
    if let Some(rule) = question.rule {
        tables.push(about(rule));
        tables.push(thresholds(rule, &known));
    }
    let fresh = fresh_only(known.answers);
    Ok(finish(&scope, &fresh, tables, notes, question.format))
}

/// Silences that are for a master which is not there: a mistake, or one that is not discovered yet.
fn silences_of_nobody(known: &Known, masters: &[Arc<Master>]) -> Vec<String> {
    let limits = known
        .masters()
        .next()
        .map(|(_, gathered, _)| &gathered.limits);
    let silences = limits.into_iter().flat_map(|limits| limits.silenced_on());
    let is_there = |name: &str| {
        masters
            .iter()
            .any(|m| m.name() == name || *m.shard == *name)
    };
    let lost = silences.filter(|(_, master)| !is_there(master));
    lost.map(|(rule, master)| format!("{rule} is silenced on {master}, which is not followed"))
        .collect()
}

/// How old the facts are.
fn survey(known: &Known) -> Table {
    let now = clock::unix_ms();
    let row = |(master, gathered, told): (&Arc<Master>, &Gathered, &Told)| -> Line {
        let count = |count: Option<u64>| count.map_or(Cell::Nothing, Cell::Count);
        let done = gathered.survey.as_ref().ok();
        let told = told.at_ms;
        vec![
            ("master", Cell::Text(master.name())),
            (
                "survey",
                match &gathered.survey {
                    Ok(_) => Cell::text("done"),
                    Err(why) => Cell::text(why),
                },
            ),
            (
                "age_ms",
                count(done.map(|done| now.saturating_sub(done.at_ms))),
            ),
            ("took_ms", count(done.map(|done| done.took_ms))),
            ("keys", count(done.map(|done| done.survey.keys))),
            ("offset_from", count(done.map(|done| done.offsets.0))),
            ("offset_to", count(done.map(|done| done.offsets.1))),
            (
                "server_age_ms",
                count((told > 0).then(|| now.saturating_sub(told))),
            ),
        ]
    };
    Table::rows("survey", known.masters().map(row).collect())
}

fn line(judged: &&Judged) -> Line {
    let found: Vec<(&Arc<Master>, &Finding)> = judged.found().collect();
    let sum = |of: fn(&Finding) -> u64| found.iter().map(|(_, finding)| of(finding)).sum();
    let worst = found
        .iter()
        .max_by_key(|(_, finding)| (finding.severity, finding.saving(), finding.keys));
    let told = worst.map_or(String::new(), |(master, finding)| match found.len() {
        1 => finding.what.clone(),
        _ => format!("{}: {}", master.name(), finding.what),
    });
    let severity = judged.severity().map_or("", Severity::name);
    vec![
        ("rule", Cell::text(judged.rule.id)),
        ("severity", Cell::text(severity)),
        ("title", Cell::text(judged.rule.title)),
        ("masters", Cell::Count(found.len() as u64)),
        ("keys", Cell::Count(sum(|finding| finding.keys))),
        ("bytes", Cell::Count(sum(|finding| finding.bytes))),
        ("saving", Cell::Count(judged.saving())),
        ("what", Cell::Text(told)),
        (
            "effect",
            Cell::Text(worst.map_or(String::new(), |(_, finding)| effect(finding))),
        ),
        ("caveat", Cell::text(judged.rule.caveat)),
        ("docs", Cell::Text(judged.rule.anchor())),
    ]
}

/// What is won, in words.
pub(crate) fn effect(finding: &Finding) -> String {
    match &finding.effect {
        Effect::Saves(bytes) => format!("saves {bytes} bytes"),
        Effect::SavesUpTo(bytes, clause) => format!("saves up to {bytes} bytes: {clause}"),
        Effect::Risk(risk) => risk.clone(),
    }
}

fn evidence(found: &[&Judged], rows: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for judged in found {
        let mut all: Vec<(&Arc<Master>, &Evidence)> = judged
            .found()
            .flat_map(|(master, finding)| finding.evidence.iter().map(move |row| (master, row)))
            .collect();
        // A stable sort: what is no key stays in the order that the rule chose.
        all.sort_by_key(|(_, row)| std::cmp::Reverse((row.saving, row.bytes)));
        lines.extend(all.into_iter().take(rows).map(|(master, row)| {
            let (db, subject) = match &row.subject {
                Subject::Key { db, name } => {
                    (Cell::Count(u64::from(*db)), Cell::Name(name.clone()))
                }
                Subject::Pattern(name) => (Cell::Nothing, Cell::Name(name.clone())),
                Subject::Named(name) => (Cell::Nothing, Cell::text(name)),
            };
            vec![
                ("rule", Cell::text(judged.rule.id)),
                ("subject", subject),
                ("db", db),
                ("seen", Cell::text(&row.seen)),
                ("bytes", Cell::Count(row.bytes)),
                ("saving", Cell::Count(row.saving)),
                ("master", Cell::Text(master.name())),
            ]
        }));
    }
    lines
}

fn remedies(found: &[&Judged]) -> Vec<Line> {
    let steps = found.iter().flat_map(|judged| {
        let steps = judged.remedy().into_iter();
        steps.map(|step| {
            vec![
                ("rule", Cell::text(judged.rule.id)),
                ("step", Cell::text(step)),
            ]
        })
    });
    steps.collect()
}

/// Rules that cannot be told of some master, each reason once.
fn undecided(judged: &[Judged]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let whys = judged.iter().flat_map(|judged| {
        let verdicts = judged.verdicts.iter();
        verdicts.filter_map(move |(_, verdict)| match verdict {
            Verdict::Cannot(why) => Some((judged.rule, why)),
            Verdict::Found(_) | Verdict::Quiet | Verdict::Silenced(..) => None,
        })
    });
    for (rule, why) in whys {
        let line = vec![
            ("rule", Cell::text(rule.id)),
            ("title", Cell::text(rule.title)),
            ("why", Cell::text(why)),
        ];
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// Rules whose findings are not wanted, each reason once, with what they would have said.
fn silenced(judged: &[Judged]) -> Vec<Line> {
    judged.iter().flat_map(silenced_of).collect()
}

fn silenced_of(judged: &Judged) -> Vec<Line> {
    let mut reasons: Vec<(&str, Vec<OnMaster<'_>>)> = Vec::new();
    for (master, verdict) in &judged.verdicts {
        let Verdict::Silenced(reason, found) = verdict else {
            continue;
        };
        let at = reasons.iter().position(|(known, _)| known == reason);
        let at = at.unwrap_or_else(|| {
            reasons.push((reason, Vec::new()));
            reasons.len() - 1
        });
        reasons[at]
            .1
            .extend(found.iter().map(|found| (master, &**found)));
    }
    let line = |(reason, found): (&str, Vec<OnMaster<'_>>)| {
        let what = found
            .first()
            .map(|(master, finding)| Cell::Text(format!("{}: {}", master.name(), finding.what)));
        vec![
            ("rule", Cell::text(judged.rule.id)),
            ("title", Cell::text(judged.rule.title)),
            ("reason", Cell::text(reason)),
            ("findings", Cell::Count(found.len() as u64)),
            ("what", what.unwrap_or(Cell::Nothing)),
        ]
    };
    reasons.into_iter().map(line).collect()
}

fn about(rule: &'static Rule) -> Table {
    let needs = match rule.decide {
        Decide::By(_) => {
            let needs: Vec<&str> = rule.needs.iter().map(|need| need.name()).collect();
            needs.join(", ")
        }
        Decide::NeedsTraffic(_) => "captured traffic".to_owned(),
        Decide::NeedsContent(_) => "values".to_owned(),
        Decide::NeedsHost(_) => "the host".to_owned(),
    };
    let line = vec![
        ("rule", Cell::text(rule.id)),
        ("title", Cell::text(rule.title)),
        ("severity", Cell::text(rule.severity.name())),
        ("needs", Cell::Text(needs)),
        ("why", Cell::text(rule.why)),
        ("caveat", Cell::text(rule.caveat)),
        ("docs", Cell::Text(rule.anchor())),
    ];
    Table::single("about", line)
}

fn thresholds(rule: &'static Rule, known: &Known) -> Table {
    let first = known.masters().next();
    let limits = first.map_or_else(Arc::default, |(_, gathered, _)| gathered.limits.clone());
    let rows = rule.thresholds.iter().map(|row| {
        vec![
            ("threshold", Cell::text(row.name)),
            ("value", Cell::Count(limits.get(rule, row.name))),
            ("default", Cell::Count(row.default)),
            ("about", Cell::text(row.about)),
        ]
    });
    Table::rows("thresholds", rows.collect())
}
