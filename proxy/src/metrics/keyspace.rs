//! Masters, links and keyspaces, written at every scrape from what their owners publish.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use analyzer::census::{Progress, Sizes};
use analyzer::heat::Work;
use analyzer::keyspace::Fact;
use analyzer::profile::Family as ServerFamily;
use cluster_map::Slots;
use tokio::sync::oneshot;

use super::deployments::{self, Found};
use super::sizes::{self, Sized};
use super::text::{Kind, Text, seconds, written};
use super::ttl::{self, Lives};
use super::{
    bridge, commands, compat, flows, install, largest, patterns, process, prospects, server,
    shards, sums, watch,
};
use crate::clock;
use crate::config;
use crate::fleet::{Fleet, Loss, Master, Status};
use crate::http;
use crate::model::analytic::Analytic;
use crate::model::ask::{Answer, Ask, DbTotal, SlotTotal, Total};
use crate::model::ttl::{Outlook, Which};
use crate::watch::{Condition, Prospect};

/// An owner that does not answer in this time is left out of the scrape but for its status.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Every state of a link, for the one-hot family.
const STATES: [&str; 6] = [
    "connecting",
    "waiting",
    "loading",
    "synced",
    "lost",
    "failed",
];

/// What is known of one master at the scrape.
#[derive(Default)]
pub(super) struct Sample {
    /// Label of its deployment; empty for plain servers.
    pub(super) cluster: Arc<str>,
    /// The labels that tell it: `master`, where it is now, and `cluster` and `shard`, what it is
    /// called over failovers. Plain servers have one name only.
    pub(super) labels: String,
    /// The slots that it owns.
    pub(super) own: Slots,
    pub(super) status: Arc<Status>,
    pub(super) dbs: Vec<DbTotal>,
    pub(super) totals: Vec<Total>,
    /// Bytes that its container may take, if that is known.
    pub(super) container: Option<u64>,
    /// What is raised of it.
    pub(super) raised: Vec<Condition>,
    /// What is ahead of it, if that was gathered.
    pub(super) prospect: Option<Arc<Prospect>>,
    /// Keys by slot, of a cluster's master.
    pub(super) slots: Option<Vec<SlotTotal>>,
    /// When its keys expire, once they are counted.
    pub(super) lives: Option<Lives>,
    /// How large they are, likewise.
    pub(super) sizes: Option<Sized>,
    /// Commands of the stream since its model was made.
    pub(super) commands: BTreeMap<String, Work>,
}

impl Sample {
    /// The labels of its deployment, for what is summed up over masters: of a plain server its own.
    pub(super) fn deployment(&self) -> String {
        match &*self.cluster {
            "" => self.labels.clone(),
            cluster => written(&[("cluster", cluster)]),
        }
    }
}

/// The labels of a master.
pub(super) fn labels(name: &str, cluster: &str, shard: &str) -> String {
    let all = [("master", name), ("cluster", cluster), ("shard", shard)];
    let few = if cluster.is_empty() { 1 } else { 3 };
    written(&all[..few])
}

/// The labels of a master's deployment, as [`Sample::deployment`].
pub(crate) fn deployment_of(master: &Master) -> String {
    match &*master.cluster {
        "" => labels(&master.name(), "", ""),
        cluster => written(&[("cluster", cluster)]),
    }
}

/// Bytes of the last scrape: the next one is about as long, and copying it as it grows would take
/// as long as writing it.
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// The body of a scrape; `None` if it could not be written, which the log tells of.
pub(crate) async fn scrape(fleet: &Fleet, config: &config::Http) -> Option<String> {
    let masters = fleet.masters();
    let mut samples = samples(fleet, &masters).await;
    if !config.patterns {
        let ahead = samples.iter_mut().flat_map(|sample| &mut sample.prospect);
        ahead.for_each(|ahead| Arc::make_mut(ahead).patterns.sums.clear());
    }
    let known = match &config.compat {
        Some(wanted) => Some(compat::ask_all(&masters, wanted).await),
        None => None,
    };
    let build = fleet.build.clone();
    let cap = fleet.memory.cap();
    let found = Found::of(fleet);
    let told = fleet.hub.told();
    let counted = match config.patterns {
        true => fleet.hub.counted(),
        false => Arc::default(),
    };
    // Formatting a thousand masters takes tens of milliseconds, which no other task should wait for.
    let written = tokio::task::spawn_blocking(move || {
        let length = LENGTH.load(Ordering::Relaxed);
        let mut text = Text::new(install().render(), length + length / 16);
        process::write(&build, cap, &mut text);
        watch::events(told, &mut text);
        write(&samples, &found, &mut text);
        patterns::counters(&counted, &mut text);
        if let Some(known) = known {
            compat::write(&samples, &known, &mut text);
        }
        // Behind everything that may be left out.
        truncated(&mut text);
        LENGTH.store(text.body.len(), Ordering::Relaxed);
        text.body
    });
    written.await.ok()
}

/// What is asked of each owner.
struct Asked {
    dbs: oneshot::Receiver<Answer<Vec<DbTotal>>>,
    totals: oneshot::Receiver<Answer<Vec<Total>>>,
    slots: oneshot::Receiver<Answer<Option<Vec<SlotTotal>>>>,
    lives: oneshot::Receiver<Answer<Outlook>>,
    sizes: oneshot::Receiver<Answer<Result<Sizes, Progress>>>,
    commands: oneshot::Receiver<Answer<BTreeMap<String, Work>>>,
}

/// What an owner answered.
#[derive(Default)]
struct Answers {
    dbs: Vec<DbTotal>,
    totals: Vec<Total>,
    slots: Option<Vec<SlotTotal>>,
    lives: Option<Lives>,
    sizes: Option<Sized>,
    commands: BTreeMap<String, Work>,
}

impl Asked {
    /// Asks, unless the queue is full: then the owner is busy, and is not waited for here.
    fn of(master: &Master, now_ms: i64) -> Option<Asked> {
        let (dbs_in, dbs) = oneshot::channel();
        let (totals_in, totals) = oneshot::channel();
        let (slots_in, slots) = oneshot::channel();
        let (lives_in, lives) = oneshot::channel();
        let (sizes_in, sizes) = oneshot::channel();
        let (commands_in, commands) = oneshot::channel();
        master.asks.try_send(Ask::Dbs { reply: dbs_in }).ok()?;
        master
            .asks
            .try_send(Ask::Totals { reply: totals_in })
            .ok()?;
        let expiries = Analytic::Expiries {
            now_ms,
            which: Which::All,
            reply: lives_in,
        };
        master.asks.try_send(Ask::Analytic(expiries)).ok()?;
        let classes = Analytic::Sizes { reply: sizes_in };
        master.asks.try_send(Ask::Analytic(classes)).ok()?;
        let ever = Analytic::Commands { reply: commands_in };
        master.asks.try_send(Ask::Analytic(ever)).ok()?;
        if !master.place().slots.is_empty() {
            let all = Ask::Outside {
                db: None,
                own: Slots::default(),
                reply: slots_in,
            };
            master.asks.try_send(all).ok()?;
        }
        Some(Asked {
            dbs,
            totals,
            slots,
            lives,
            sizes,
            commands,
        })
    }

    async fn answers(self) -> Option<Answers> {
        let (dbs, totals) = (self.dbs.await.ok()?, self.totals.await.ok()?);
        let lives = self.lives.await.ok()?;
        // Only masters of clusters were asked.
        let slots = self.slots.await.ok();
        let slots = slots.filter(|answer| answer.fresh.generation.loaded());
        let loaded = lives.fresh.generation.loaded();
        let lives = lives.value.ok().filter(|_| loaded);
        Some(Answers {
            dbs: dbs.value,
            totals: totals.value,
            slots: slots.and_then(|answer| answer.value),
            lives: lives.as_ref().map(Lives::of),
            sizes: self.sizes.await.ok().and_then(|told| Sized::of(&told)),
            commands: self.commands.await.ok()?.value,
        })
    }
}

async fn samples(fleet: &Fleet, masters: &[Arc<Master>]) -> Vec<Sample> {
    let deadline = tokio::time::Instant::now() + ANSWER_MAX;
    let masters = masters.iter().cloned();
    let now_ms = i64::try_from(clock::unix_ms()).unwrap_or(i64::MAX);
    let waiting: Vec<_> = masters.map(|m| (Asked::of(&m, now_ms), m)).collect();
    let ahead = fleet.hub.prospects();
    let mut samples = Vec::with_capacity(waiting.len());
    for (asked, master) in waiting {
        let answered = match asked {
            Some(asked) => tokio::time::timeout_at(deadline, asked.answers()).await,
            None => Ok(None),
        };
        let answers = answered.ok().flatten().unwrap_or_default();
        samples.push(Sample {
            labels: labels(&master.name(), &master.cluster, &master.shard),
            cluster: master.cluster.clone(),
            own: master.place().slots.clone(),
            status: master.status(),
            container: fleet.container_limit(&master),
            raised: fleet.hub.raised_of(master.id),
            prospect: ahead.get(&master.id).cloned(),
            dbs: answers.dbs,
            totals: answers.totals,
            slots: answers.slots,
            lives: answers.lives,
            sizes: answers.sizes,
            commands: answers.commands,
        });
    }
    samples
}

fn write(samples: &[Sample], found: &[Found], text: &mut Text) {
    link(samples, text);
    for (name, kind, help, value) in FIGURES {
        let mut family = text.family(name, *kind, help);
        for sample in samples {
            family.put_of(&sample.labels, &[], value(&sample.status));
        }
    }
    for (name, kind, help, value) in TIMES {
        let mut family = text.family(name, *kind, help);
        for sample in samples {
            family.put_of(&sample.labels, &[], seconds(value(&sample.status)));
        }
    }
    bridge::write(samples, text);
    server::write(samples, text);
    watch::conditions(samples, text);
    flows::write(samples, text);
    prospects::write(samples, text);
    patterns::write(samples, text);
    commands::write(samples, text);
    sums::write(samples, text);
    sizes::write(samples, text);
    ttl::write(samples, text);
    deployments::write(samples, found, text);
    shards::write(samples, text);
    largest::write(samples, text);
}

type Figure = (&'static str, Kind, &'static str, fn(&Status) -> u64);

/// Families with one series per master.
const FIGURES: &[Figure] = &[
    (
        "keyscape_synced",
        Kind::Gauge,
        "1 while the model is close behind its master.",
        |s| u64::from(http::behind(s).is_none()),
    ),
    (
        "keyscape_model_loaded",
        Kind::Gauge,
        "1 if a model was ever committed.",
        |s| u64::from(s.generation.loaded()),
    ),
    (
        "keyscape_model_keys",
        Kind::Gauge,
        "Keys in the model.",
        |s| s.keys,
    ),
    (
        "keyscape_model_bytes",
        Kind::Gauge,
        "Bytes that the model takes here.",
        |s| s.model_bytes,
    ),
    (
        "keyscape_degraded",
        Kind::Gauge,
        "1 while detail is given up under the memory cap.",
        |s| u64::from(s.detail.is_degraded()),
    ),
    (
        "keyscape_keys_folded",
        Kind::Gauge,
        "Keys that are in the sums only, under the memory cap.",
        |s| s.detail.folded,
    ),
    (
        "keyscape_keys_without_elements",
        Kind::Gauge,
        "Collections without element records, under the memory cap.",
        |s| s.detail.bare,
    ),
    (
        "keyscape_keys_inexact",
        Kind::Gauge,
        "Keys whose value waits to be read again.",
        |s| s.inexact,
    ),
    (
        "keyscape_keys_unverified",
        Kind::Gauge,
        "Keys whose encoding or expiry is asked for.",
        |s| s.unverified,
    ),
    (
        "keyscape_keys_unsized",
        Kind::Gauge,
        "Keys whose bytes the snapshot or a write left open and that were not asked for yet.",
        |s| s.unsized_keys,
    ),
    (
        "keyscape_ingest_lag_bytes",
        Kind::Gauge,
        "Bytes behind the master at the last INFO.",
        |s| s.lag_bytes,
    ),
    (
        "keyscape_ingest_queued_bytes",
        Kind::Gauge,
        "Bytes received and not yet applied.",
        |s| s.queued_bytes,
    ),
    (
        "keyscape_applied_offset_bytes",
        Kind::Gauge,
        "Replication offset applied.",
        |s| s.offset,
    ),
    (
        "keyscape_master_used_memory_bytes",
        Kind::Gauge,
        "The master's used_memory.",
        |s| {
            s.server
                .as_ref()
                .and_then(|server| server.used_memory)
                .unwrap_or(0)
        },
    ),
    (
        "keyscape_stream_bytes_total",
        Kind::Counter,
        "Bytes received on the link.",
        |s| s.counters.bytes,
    ),
    (
        "keyscape_malformed_commands_total",
        Kind::Counter,
        "Commands that did not parse.",
        |s| s.counters.malformed_commands,
    ),
    (
        "keyscape_full_syncs_total",
        Kind::Counter,
        "Full syncs begun.",
        |s| s.counters.full_syncs,
    ),
    (
        "keyscape_full_syncs_done_total",
        Kind::Counter,
        "Full syncs committed.",
        |s| s.counters.full_syncs_done,
    ),
    (
        "keyscape_partial_syncs_total",
        Kind::Counter,
        "Partial resyncs granted.",
        |s| s.counters.partial_syncs,
    ),
    (
        "keyscape_owner_restarts_total",
        Kind::Counter,
        "Owners restarted after a panic.",
        |s| s.counters.restarts,
    ),
    (
        "keyscape_probes_total",
        Kind::Counter,
        "Keys whose encoding was asked for.",
        |s| s.counters.probes,
    ),
    (
        "keyscape_sizes_total",
        Kind::Counter,
        "Keys whose size was asked for because the snapshot or a write left it open.",
        |s| s.counters.sizes,
    ),
    (
        "keyscape_audit_keys_total",
        Kind::Counter,
        "Keys compared with the server though nothing spoke against them.",
        |s| s.counters.audits,
    ),
    (
        "keyscape_rereads_total",
        Kind::Counter,
        "Values read again.",
        |s| s.counters.rereads,
    ),
    (
        "keyscape_reread_bytes_total",
        Kind::Counter,
        "Bytes of values read again.",
        |s| s.counters.reread_bytes,
    ),
    (
        "keyscape_rereads_stale_total",
        Kind::Counter,
        "Values read again in vain.",
        |s| s.counters.rereads_stale,
    ),
    (
        "keyscape_rereads_too_large_total",
        Kind::Counter,
        "Values too large to be read again.",
        |s| s.counters.rereads_too_large,
    ),
    (
        "keyscape_side_errors_total",
        Kind::Counter,
        "Requests to the master that failed.",
        |s| s.counters.side_errors,
    ),
    (
        "keyscape_questions_total",
        Kind::Counter,
        "Questions answered from the model.",
        |s| s.counters.asks,
    ),
    (
        "keyscape_monitor_dropped_total",
        Kind::Counter,
        "MONITOR lines dropped.",
        |s| s.counters.monitor_dropped,
    ),
];

/// The same, in milliseconds where they come from.
const TIMES: &[Figure] = &[
    (
        "keyscape_ingest_lag_seconds",
        Kind::Gauge,
        "Age of the oldest byte not yet applied.",
        |s| s.lag_ms,
    ),
    (
        "keyscape_last_sync_duration_seconds",
        Kind::Gauge,
        "Time that the last load took.",
        |s| s.load_took_ms,
    ),
    (
        "keyscape_last_sync_timestamp_seconds",
        Kind::Gauge,
        "When the last load ended.",
        |s| s.loaded_ms,
    ),
    (
        "keyscape_last_byte_timestamp_seconds",
        Kind::Gauge,
        "When a byte last arrived.",
        |s| s.last_byte_ms,
    ),
];

fn link(samples: &[Sample], text: &mut Text) {
    let mut family = text.family(
        "keyscape_link_state",
        Kind::Gauge,
        "1 for the state that the link is in.",
    );
    for sample in samples {
        for state in STATES {
            let here = u8::from(sample.status.state.name() == state);
            family.put_of(&sample.labels, &[("state", state)], here);
        }
    }
    let mut family = text.family(
        "keyscape_link_drops_total",
        Kind::Counter,
        "Links lost, by reason.",
    );
    for sample in samples {
        for reason in Loss::ALL {
            let drops = sample.status.counters.drops.get(&reason).unwrap_or(&0);
            family.put_of(&sample.labels, &[("reason", reason.name())], drops);
        }
    }
    let mut family = text.family(
        "keyscape_audit_mismatches_total",
        Kind::Counter,
        "Facts in which such keys differed, by fact.",
    );
    for sample in samples {
        let mismatches = sample.status.counters.audit_mismatches;
        for (fact, count) in Fact::ALL.iter().zip(mismatches) {
            family.put_of(&sample.labels, &[("fact", fact.name())], count);
        }
    }
    let mut family = text.family(
        "keyscape_master_info",
        Kind::Gauge,
        "Always 1; the labels say what the followed server is.",
    );
    for sample in samples {
        let Some(server) = &sample.status.server else {
            continue;
        };
        let software = match server.family {
            ServerFamily::Redis => "redis",
            ServerFamily::Valkey => "valkey",
        };
        let v = server.version;
        let version = format!("{}.{}.{}", v.major, v.minor, v.patch);
        let labels = [
            ("role", sample.status.role.name()),
            ("software", software),
            ("version", version.as_str()),
        ];
        family.put_of(&sample.labels, &labels, 1);
    }
    let mut family = text.family(
        "keyscape_mode_info",
        Kind::Gauge,
        "Always 1; the label says how the model is kept: by a replication link.",
    );
    for sample in samples {
        family.put_of(&sample.labels, &[("mode", "psync")], 1);
    }
}

/// Series left out of scrapes since the start.
fn truncated(text: &mut Text) {
    static TRUNCATED: AtomicU64 = AtomicU64::new(0);
    let now = text.truncated;
    let all = TRUNCATED.fetch_add(now, Ordering::Relaxed) + now;
    text.body.push_str(&format!(
        "# HELP keyscape_series_truncated_total Series left out because a scrape was too large.\n\
         # TYPE keyscape_series_truncated_total counter\n\
         keyscape_series_truncated_total {all}\n"
    ));
}

#[cfg(test)]
mod tests;
