//! MEMORY STATS: what the keys take on their masters, and what the model takes here. MEMORY DOCTOR:
//! the same in a sentence, and all advice in words.

use analyzer::advice::{Effect, Finding, Rule, Verdict};

use super::advise::effect;
use super::judge::{Judged, Known};
use super::reply::Reply;
use super::session::Session;
use super::strays::Strays;
use crate::model::ask::Ask;

/// Sums over the masters that are meant, each key once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub keys: u64,
    /// Bytes of the keys on their masters.
    pub dataset: u64,
    /// Bytes of the model.
    pub model: u64,
}

pub(crate) async fn sums(session: &Session) -> Result<Sums, Reply> {
    let scope = session.scope()?;
    let strays = Strays::counted_twice(&scope, None).await;
    let mut sums = Sums::default();
    for (master, answer) in scope.ask_everyone(|reply| Ask::Dbs { reply }).await? {
        sums.keys += answer.value.iter().map(|total| total.keys).sum::<u64>();
        sums.dataset += answer.value.iter().map(|total| total.memory).sum::<u64>();
        sums.model += master.status().model_bytes;
    }
    let hidden = strays.all_hidden();
    sums.keys = sums.keys.saturating_sub(hidden.keys);
    sums.dataset = sums.dataset.saturating_sub(hidden.bytes);
    Ok(sums)
}

pub(crate) async fn stats(session: &Session) -> Result<Reply, Reply> {
    let sums = sums(session).await?;
    let process = process();
    Ok(Reply::fields([
        (
            "total.allocated",
            Reply::count(process.allocated.max(sums.model)),
        ),
        ("keys.count", Reply::count(sums.keys)),
        (
            "keys.bytes-per-key",
            Reply::count(per(sums.dataset, sums.keys)),
        ),
        ("dataset.bytes", Reply::count(sums.dataset)),
        ("keyscape.model.bytes", Reply::count(sums.model)),
        (
            "keyscape.model.bytes-per-key",
            Reply::count(per(sums.model, sums.keys)),
        ),
        ("keyscape.process.resident", Reply::count(process.resident)),
    ]))
}

pub(crate) async fn doctor(session: &Session) -> Result<Reply, Reply> {
    let sums = sums(session).await?;
    let sums = format!(
        "{} keys take {} bytes on their masters ({} bytes a key). Their model takes {} bytes here \
         ({} bytes a key).\n\n",
        sums.keys,
        sums.dataset,
        per(sums.dataset, sums.keys),
        sums.model,
        per(sums.model, sums.keys),
    );
    let known = Known::of(session.fleet(), &session.scope()?).await;
    let (known, judged) = known.judged(|_| true).await?;
    let survey = known.masters().filter_map(|(master, gathered, _)| {
        let why = gathered.survey.as_ref().err()?;
        Some(format!("{}: {why}.\n", master.name()))
    });
    let survey: String = survey.collect();
    Ok(Reply::Verbatim(sums + &survey + &prescription(&judged)))
}

/// Findings that are told in words; more are nothing that anybody reads.
const PARAGRAPHS_MAX: usize = 100;

/// All findings in words, worst first.
fn prescription(judged: &[Judged]) -> String {
    let mut text = String::new();
    let mut found = 0;
    for judged in judged {
        for (master, finding) in judged.found() {
            found += 1;
            if found <= PARAGRAPHS_MAX {
                text += &paragraph(found, (judged.rule, finding), &master.name());
            }
        }
    }
    let cannot = |of: &&Judged| {
        of.verdicts
            .iter()
            .any(|(_, v)| matches!(v, Verdict::Cannot(_)))
    };
    let open = judged.iter().filter(cannot).count();
    let silenced = judged.iter().flat_map(|of| &of.verdicts);
    let silenced = silenced.filter(|(_, v)| matches!(v, Verdict::Silenced(_, Some(_))));
    let end = format!(
        "{open} rules cannot be told here (KS.ADVISE says why); {} findings are silenced.\n",
        silenced.count()
    );
    match found {
        0 => format!("I have nothing to complain of. {end}"),
        1..=PARAGRAPHS_MAX => text + &end,
        _ => {
            let more = found - PARAGRAPHS_MAX;
            text + &format!("{more} further findings are left to KS.ADVISE. {end}")
        }
    }
}

fn paragraph(number: usize, (rule, finding): (&Rule, &Finding), master: &str) -> String {
    let outcome = match finding.effect {
        Effect::Saves(_) | Effect::SavesUpTo(..) => "What to do, it",
        Effect::Risk(_) => "Otherwise:",
    };
    let steps = finding.remedy.iter().map(|step| format!("   > {step}\n"));
    let steps: String = steps.collect();
    let caveat = match rule.caveat {
        "" => String::new(),
        caveat => format!("   Mind: {caveat}\n"),
    };
    format!(
        "{number}. {} on {master} ({}, {}): {}.\n   {outcome} {}.\n{steps}{caveat}   See {}.\n\n",
        rule.title,
        finding.severity.name(),
        rule.id,
        finding.what,
        effect(finding),
        rule.anchor(),
    )
}

fn per(bytes: u64, keys: u64) -> u64 {
    bytes.checked_div(keys).unwrap_or(0)
}

/// Memory of this process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Process {
    /// Bytes handed out by the allocator; 0 if it does not say.
    pub allocated: u64,
    /// Bytes resident.
    pub resident: u64,
}

pub(crate) fn process() -> Process {
    // The figures of the allocator are those of its last epoch.
    let _ = tikv_jemalloc_ctl::epoch::advance();
    let figure = |read: Result<usize, _>| read.map_or(0, |bytes: usize| bytes as u64);
    Process {
        allocated: figure(tikv_jemalloc_ctl::stats::allocated::read()),
        resident: resident().unwrap_or_else(|| figure(tikv_jemalloc_ctl::stats::resident::read())),
    }
}

/// Resident bytes as the kernel counts them (`/proc/self/statm`, second figure, in pages).
fn resident() -> Option<u64> {
    /// Page size of x86-64 and of most arm64 kernels; a wrong guess only scales the figure.
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}
