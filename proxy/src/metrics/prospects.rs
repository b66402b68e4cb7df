//! Where each master is going, and what is advised, as gathered last (half a minute ago at most).

use std::collections::BTreeMap;

use analyzer::advice::Severity;

use super::keyspace::Sample;
use super::text::{Kind, Text, seconds};
use crate::watch::{OTHER, Prospect, Rate};

/// Commands of one deployment that have a name; the others are one row.
const COMMANDS_SHOWN: usize = 20;

pub(super) fn write(samples: &[Sample], text: &mut Text) {
    forecast(samples, text);
    advice(samples, text);
    commands(samples, text);
}

fn told(samples: &[Sample]) -> impl Iterator<Item = (&Sample, &Prospect)> {
    let all = samples.iter();
    all.filter_map(|sample| Some((sample, sample.prospect.as_deref()?)))
}

fn forecast(samples: &[Sample], text: &mut Text) {
    let help = "By how much commands made the keys grow, over the last hour.";
    let name = "keyscape_memory_growth_bytes_per_second";
    let mut family = text.family(name, Kind::Gauge, help);
    for (sample, prospect) in told(samples) {
        if let Some(rate) = prospect.growth_bytes_per_s {
            family.put_of(&sample.labels, &[], format!("{rate:.3}"));
        }
    }
    let help = "When used_memory reaches maxmemory, or used_memory_rss the limit of the container or, where \
                there is neither, of the host, if that goes on, or now where it has; no series where it \
                cannot be told or does not grow.";
    let name = "keyscape_memory_full_timestamp_seconds";
    let mut family = text.family(name, Kind::Gauge, help);
    for (sample, prospect) in told(samples) {
        for full in &prospect.full {
            let at = seconds(prospect.at_ms) + full.in_s;
            family.put_of(&sample.labels, &[("limit", full.limit)], format!("{at:.0}"));
        }
    }
}

fn advice(samples: &[Sample], text: &mut Text) {
    let help = "Always 1: a rule has found something, as KS.ADVISE tells at length.";
    let mut family = text.family("keyscape_recommendation", Kind::Gauge, help);
    for (sample, prospect) in told(samples) {
        for one in &prospect.advice {
            let labels = [("id", one.id), ("severity", one.severity.name())];
            family.put_of(&sample.labels, &labels, 1);
        }
    }
    let help = "Bytes that following the recommendation would give back.";
    let name = "keyscape_recommendation_saving_bytes";
    let mut family = text.family(name, Kind::Gauge, help);
    for (sample, prospect) in told(samples) {
        for one in prospect.advice.iter().filter(|one| one.saving > 0) {
            family.put_of(&sample.labels, &[("id", one.id)], one.saving);
        }
    }
    let help = "Rules that have found something.";
    let mut family = text.family("keyscape_recommendations", Kind::Gauge, help);
    for (sample, prospect) in told(samples) {
        for severity in Severity::ALL {
            let own = prospect.advice.iter();
            let own = own.filter(|one| one.severity == severity);
            family.put_of(
                &sample.labels,
                &[("severity", severity.name())],
                own.count(),
            );
        }
    }
}

/// Of each deployment: a thousand masters with all of their commands would be most of the scrape.
fn commands(samples: &[Sample], text: &mut Text) {
    let mut sums: BTreeMap<String, BTreeMap<&str, Rate>> = BTreeMap::new();
    for (sample, prospect) in told(samples) {
        let own = sums.entry(sample.deployment()).or_default();
        for (name, rate) in &prospect.commands {
            let name = if name.is_empty() {
                OTHER
            } else {
                name.as_str()
            };
            add(own.entry(name).or_default(), rate);
        }
    }
    let shown: Vec<(String, Vec<(&str, Rate)>)> = sums
        .into_iter()
        .map(|(of, all)| (of, largest(all)))
        .collect();
    type Figure = (&'static str, &'static str, fn(&Rate) -> f64);
    let families: [Figure; 2] = [
        (
            "keyscape_command_writes_per_second",
            "Commands of the stream in the last minute, by name.",
            |rate| rate.writes_per_s,
        ),
        (
            "keyscape_command_bytes_per_second",
            "Bytes of their arguments.",
            |rate| rate.bytes_per_s,
        ),
    ];
    for (name, help, figure) in families {
        let mut family = text.family(name, Kind::Gauge, help);
        for (head, rows) in &shown {
            for (cmd, rate) in rows {
                let figure = format!("{:.3}", figure(rate));
                family.put_of(head, &[("cmd", cmd)], figure);
            }
        }
    }
}

fn add(sum: &mut Rate, more: &Rate) {
    sum.writes_per_s += more.writes_per_s;
    sum.bytes_per_s += more.bytes_per_s;
}

/// The commands that come most, and the others together.
fn largest(all: BTreeMap<&str, Rate>) -> Vec<(&str, Rate)> {
    let mut rows: Vec<(&str, Rate)> = all.into_iter().collect();
    let other = |row: &(&str, Rate)| row.0 == OTHER;
    rows.sort_by(|a, b| {
        let by_rate = b.1.writes_per_s.total_cmp(&a.1.writes_per_s);
        other(a).cmp(&other(b)).then(by_rate)
    });
    let rest = rows.split_off(rows.len().min(COMMANDS_SHOWN));
    let mut sum = Rate::default();
    for (_, rate) in &rest {
        add(&mut sum, rate);
    }
    match rows.iter_mut().find(|row| other(row)) {
        Some((_, own)) => add(own, &sum),
        None if !rest.is_empty() => rows.push((OTHER, sum)),
        None => {}
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::watch::Full;

    #[test]
    fn each_limit_has_its_time() {
        let limit = |limit, in_s| Full { limit, in_s };
        let sample = Sample {
            labels: "master=\"a:1\"".to_owned(),
            prospect: Some(Arc::new(Prospect {
                at_ms: 1_000_000,
                full: vec![limit("maxmemory", 60.4), limit("container", 9.0)],
                ..Prospect::default()
            })),
            ..Sample::default()
        };
        let mut text = Text::new(String::new(), 0);
        forecast(&[sample], &mut text);
        let name = "keyscape_memory_full_timestamp_seconds{master=\"a:1\",limit=";
        for (limit, at) in [("maxmemory", 1060), ("container", 1009)] {
            let line = format!("{name}\"{limit}\"}} {at}\n");
            assert!(text.body.contains(&line), "{}", text.body);
        }
    }

    #[test]
    fn commands_beyond_the_list_are_one_row() {
        let names: Vec<String> = (0..50).map(|n| format!("CMD{n}")).collect();
        let rate = |writes_per_s| Rate {
            writes_per_s,
            bytes_per_s: 1.0,
        };
        let mut all: BTreeMap<&str, Rate> = BTreeMap::new();
        for (name, n) in names.iter().zip(0u32..) {
            all.insert(name, rate(f64::from(n)));
        }
        all.insert(OTHER, rate(1000.0));
        let rows = largest(all);
        assert_eq!(rows.len(), COMMANDS_SHOWN + 1);
        assert_eq!(rows[0], ("CMD49", rate(49.0)));
        let sum: f64 = rows.iter().map(|row| row.1.writes_per_s).sum();
        assert!((sum - 2225.0).abs() < 1e-6, "{sum}");
        assert_eq!(rows.last().map(|row| row.0), Some(OTHER));
    }
}
