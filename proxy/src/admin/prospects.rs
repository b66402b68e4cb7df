//! What metrics and alerts want of the answers that KS.GROWTH, KS.TTL, KS.HOT and KS.ADVISE give
//! people: the same figures, of every master.

use std::collections::BTreeMap;
use std::sync::Arc;

use analyzer::advice::rules;
use analyzer::census::Expiries;
use analyzer::flows::{Growth, PatternFlows};
use analyzer::heat::{By, TagSum, Window, Work};
use analyzer::patterns::{PatternName, PatternRow, is_literal};
use cluster_map::Slot;
use tokio::time::Instant;

use super::forecast::forecast_of;
use super::judge::{Judged, Known};
use super::layout::readable;
use super::report::Answers;
use super::scope::{Scope, Target, ask_each_until};
use crate::clock;
use crate::fleet::{Fleet, Master, MasterId};
use crate::model::analytic::Analytic;
use crate::model::ask::{Ask, Filter, Measure, Row};
use crate::model::hot::{Heated, Subject, Wanted, What};
use crate::model::patterns::Told;
use crate::model::ttl::{Outlook, Which};
use crate::watch::{
    Advised, Group, LargeKey, LargeTag, OTHER, PATTERNS_MAX, PatternSum, Patterns, Prospect, Rate,
    Storm,
};

/// Hash tags of each master that are kept for scrapes.
const TAGS_KEPT: usize = 10;

/// The largest keys of each master, likewise.
const KEYS_KEPT: usize = 10;

/// Growth of patterns is told from so many seconds, and from half of them at least.
const MINUTE_S: u32 = 60;

/// What is ahead of each master that has a model; its growth is told from the last `window_s`.
pub(crate) async fn prospects(fleet: &Arc<Fleet>, window_s: u32) -> BTreeMap<MasterId, Prospect> {
    let Ok(scope) = Scope::of(fleet, &Target::All) else {
        return BTreeMap::new();
    };
    let now_ms = clock::unix_ms();
    let mut all = BTreeMap::new();
    let grown = |reply| Ask::Analytic(Analytic::Growth { window_s, reply });
    each(scope.ask_all(grown).await, |master, growth| {
        let forecast = forecast_of(fleet, master, &growth);
        let prospect: &mut Prospect = all.entry(master.id).or_default();
        prospect.growth_bytes_per_s = forecast.bytes_per_s;
        prospect.full = forecast.full;
    });
    let window_s = MINUTE_S;
    let lately = |reply| Ask::Analytic(Analytic::Growth { window_s, reply });
    each(scope.ask_all(lately).await, |master, growth| {
        all.entry(master.id).or_default().grown = Some(grown_by(&growth));
    });
    let wall = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let lives = |reply| {
        Ask::Analytic(Analytic::Expiries {
            now_ms: wall,
            which: Which::All,
            reply,
        })
    };
    each(scope.ask_all(lives).await, |master, outlook: Outlook| {
        let next = outlook.ok().and_then(|told| storm(&told, wall));
        all.entry(master.id).or_default().storm = next;
    });
    let wanted = Wanted {
        what: What::Commands,
        by: By::Writes,
        window: Window::Minute,
        limit: usize::MAX,
    };
    let hot = |reply| Ask::Analytic(Analytic::Hot { wanted, reply });
    each(scope.ask_all(hot).await, |master, heated| {
        all.entry(master.id).or_default().commands = commands(&heated);
    });
    let window = Window::TenMinutes;
    let written = |reply| Ask::Analytic(Analytic::Written { window, reply });
    each(scope.ask_all(written).await, |master, (ms, work)| {
        all.entry(master.id).or_default().writes_per_s = writes_per_s(ms, work);
    });
    by_name(&scope, &mut all).await;
    let known = Known::already(fleet, &scope).await;
    // Rules look at all that was gathered of every master, which no other task should wait for.
    let judged = tokio::task::spawn_blocking(move || known.judge(rules())).await;
    advise(&mut all, &judged.unwrap_or_default());
    for prospect in all.values_mut() {
        prospect.at_ms = now_ms;
    }
    all
}

/// Keys by pattern and group, and the largest of them.
async fn by_name(scope: &Scope, all: &mut BTreeMap<MasterId, Prospect>) {
    let patterns = |reply| Ask::Analytic(Analytic::Patterns { reply });
    each(scope.ask_all(patterns).await, |master, told: Told| {
        let own = all.entry(master.id).or_default();
        own.told_patterns = told.is_ok();
        let counted = told.unwrap_or_default();
        own.patterns = sums(counted.patterns.unwrap_or_default());
        let groups = counted.groups.iter().chain(&counted.ungrouped);
        own.groups = groups.filter(|row| row.keys > 0).map(group).collect();
    });
    let largest = |reply| Ask::Top {
        by: Measure::Bytes,
        k: KEYS_KEPT,
        filter: Filter::default(),
        reply,
    };
    each(scope.ask_all(largest).await, |master, rows: Vec<Row>| {
        let keys = rows.iter().map(|row| LargeKey {
            kind: row.facts.kind.name(),
            bytes: row.facts.memory,
        });
        all.entry(master.id).or_default().keys = keys.collect();
    });
}

/// What commands did to the keys of each pattern since this was asked last. Nobody else may ask.
pub(crate) async fn pattern_flows(fleet: &Arc<Fleet>) -> Vec<(Arc<Master>, PatternFlows)> {
    let Ok(scope) = Scope::of(fleet, &Target::All) else {
        return Vec::new();
    };
    let flows = |reply| Ask::Analytic(Analytic::PatternFlows { reply });
    let answers = scope.ask_all(flows).await.into_iter();
    let told = answers.filter_map(|(master, answer)| Some((master, answer?.value)));
    told.collect()
}

/// What a pattern is called in labels. What has no star is a key's own name, and those are in no
/// label.
pub(crate) fn label_of(glob: &[u8]) -> String {
    match glob == PatternName::other().glob || is_literal(glob) {
        true => OTHER.to_owned(),
        false => readable(glob),
    }
}

/// The largest hash tags of a master, by bytes, if it tells them until then: that is a walk over all
/// its keys.
pub(crate) async fn large_tags(master: Arc<Master>, deadline: Instant) -> Option<Vec<LargeTag>> {
    let tags = |(), reply| Ask::Analytic(Analytic::Tags { reply });
    let mut answers = ask_each_until(deadline, vec![(master, ())], tags).await;
    let (_, answer) = answers.pop()?;
    let tagged = answer
        .filter(|answer| answer.fresh.generation.loaded())?
        .value;
    // Of a name that was cut the slot cannot be told.
    let whole = |tag: &&TagSum| tag.tag.len() as u64 == tag.tag_len;
    let tags = tagged.tags.iter().filter(whole).take(TAGS_KEPT);
    let large = |tag: &TagSum| LargeTag {
        slot: Slot::of(&tag.tag).number(),
        keys: tag.keys,
        bytes: tag.bytes,
    };
    Some(tags.map(large).collect())
}

#[expect(clippy::cast_precision_loss, reason = "a rate in a scrape is a double")]
fn writes_per_s(ms: u64, work: Work) -> Option<f64> {
    (ms > 0).then(|| work.writes as f64 * 1000.0 / ms as f64)
}

/// Hands on what masters with a model have answered.
fn each<T>(answers: Answers<T>, mut take: impl FnMut(&Master, T)) {
    for (master, answer) in answers {
        if let Some(answer) = answer.filter(|answer| answer.fresh.generation.loaded()) {
            take(&master, answer.value);
        }
    }
}

/// Bytes a second by which the keys of each pattern grew.
fn grown_by(growth: &Growth) -> BTreeMap<String, i64> {
    let seconds = i64::try_from(growth.covered_s).unwrap_or(i64::MAX);
    let rows = growth.patterns.iter();
    let rows = rows.filter(|_| seconds >= i64::from(MINUTE_S / 2));
    rows.map(|row| (readable(&row.of), row.flow.net_bytes() / seconds))
        .collect()
}

fn storm(told: &Expiries, now_ms: i64) -> Option<Storm> {
    let next = told.storms().into_iter().min_by_key(|storm| storm.at_ms)?;
    let in_ms = next.at_ms.saturating_sub(now_ms).max(0);
    Some(Storm {
        in_s: u64::try_from(in_ms / 1000).unwrap_or(0),
        keys: next.portion.keys,
        bytes: next.portion.bytes,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a rate in a scrape is a double")]
fn commands(heated: &Heated) -> Vec<(String, Rate)> {
    let seconds = heated.covered_ms.max(1000) as f64 / 1000.0;
    let rows = heated.rows.iter().filter_map(|row| match &row.subject {
        Subject::Command(name) => {
            let rate = Rate {
                writes_per_s: row.work.writes as f64 / seconds,
                bytes_per_s: row.work.bytes as f64 / seconds,
            };
            Some((name.clone(), rate))
        }
        Subject::Named(..) | Subject::Slot(_) => None,
    });
    rows.collect()
}

fn group(row: &PatternRow) -> Group {
    Group {
        db: row.db,
        name: readable(&row.name.glob),
        keys: row.keys,
        bytes: row.bytes,
    }
}

fn sums(rows: Vec<PatternRow>) -> Patterns {
    let mut patterns = Patterns::default();
    for row in rows {
        let name = label_of(&row.name.glob);
        patterns.count += u64::from(row.name != PatternName::other());
        patterns.overflowed |= row.name == PatternName::other();
        patterns.sums.entry(name).or_default().add(PatternSum {
            keys: row.keys,
            bytes: row.bytes,
            fixed_bytes: row.fixed_bytes,
        });
    }
    patterns.shorten(PATTERNS_MAX);
    patterns
}

fn advise(all: &mut BTreeMap<MasterId, Prospect>, judged: &[Judged]) {
    for one in judged {
        for (master, finding) in one.found() {
            let advised = Advised {
                id: one.rule.id,
                severity: finding.severity,
                saving: finding.saving(),
            };
            all.entry(master.id).or_default().advice.push(advised);
        }
    }
}

#[cfg(test)]
mod tests {
    use analyzer::patterns::{Classes, Deleted};

    use super::*;

    #[test]
    fn the_name_of_a_key_is_no_label() {
        let row = |glob: &[u8], bytes| PatternRow {
            name: PatternName {
                glob: glob.to_vec(),
                cuts: vec![glob.len()],
            },
            keys: 1,
            bytes,
            forms: Vec::new(),
            fixed_keys: 0,
            fixed_bytes: 0,
            name_bytes: 0,
            largest: bytes,
            largest_is_met: true,
            deleted: Deleted::default(),
            ids: Classes::default(),
            example: None,
            db: 0,
        };
        let rows = vec![
            row(b"user:*", 1),
            row(b"leaderboard", 20),
            row(b"odd\\*name", 300),
            row(b"odd\\\\*", 4_000),
            row(b"(other)", 50_000),
        ];
        let patterns = sums(rows);
        let told = patterns.sums.iter();
        let told: Vec<(&str, u64)> = told.map(|(name, sum)| (name.as_str(), sum.bytes)).collect();
        let expected = [(OTHER, 50_320), ("odd\\\\*", 4_000), ("user:*", 1)];
        assert_eq!(told, expected);
        assert_eq!(patterns.count, 4);
    }
}
