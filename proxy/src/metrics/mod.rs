//! Every metric: its name, kind, unit, help and labels stand in this folder and nowhere else.
//!
//! Two kinds of series meet in one scrape. What the process counts about itself (requests, bytes,
//! answer times) goes through `metrics` and its Prometheus recorder, by handles that are kept. What
//! is known about masters and keyspaces is written at the scrape straight from their status and
//! totals ([`keyspace`]): it shrinks as well as grows, masters come and go, and a registry would
//! have to be told of both.
//!
//! Labels come from closed lists, from the configuration and what discovery found there (`master`,
//! `cluster`, `shard`, `node`), or are bounded where they are counted (`db`, names of unknown
//! commands, the largest slots, patterns of names: `[metrics] patterns`); never the name of a key,
//! unless `[metrics] compat_keys` names it.

mod bridge;
mod commands;
mod compat;
mod deployments;
mod flows;
mod keyspace;
mod largest;
mod patterns;
mod process;
mod prospects;
mod server;
mod shards;
mod sizes;
mod sums;
mod text;
mod ttl;
mod watch;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

pub(crate) use self::keyspace::{deployment_of, scrape};

/// Answer times fall into these, seconds.
const ANSWER_SECONDS: [f64; 9] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.02, 0.1, 1.0,
];

const ADMIN_CONNECTIONS: &str = "keyscape_admin_connections_total";
const ADMIN_REJECTED: &str = "keyscape_admin_rejected_connections_total";
const ADMIN_REQUESTS: &str = "keyscape_admin_requests_total";
const ADMIN_IN: &str = "keyscape_admin_received_bytes_total";
const ADMIN_OUT: &str = "keyscape_admin_sent_bytes_total";
const ADMIN_CLIENTS: &str = "keyscape_admin_clients";
const ADMIN_ANSWER: &str = "keyscape_admin_answer_seconds";

/// The recorder of what the process counts about itself.
#[derive(Debug)]
pub struct Handle {
    recorder: PrometheusHandle,
}

impl Handle {
    /// Folds what histograms collected; call it every few seconds.
    pub fn upkeep(&self) {
        self.recorder.run_upkeep();
    }

    fn render(&self) -> String {
        self.recorder.render()
    }
}

/// Installs the recorder; later calls return the same one.
pub fn install() -> &'static Handle {
    static HANDLE: OnceLock<Handle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(ADMIN_ANSWER.to_owned()), &ANSWER_SECONDS)
            // Only an empty list of buckets is refused.
            .unwrap_or_default();
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        // In tests another recorder may be there; ours then only renders nothing.
        let _ = ::metrics::set_global_recorder(recorder);
        describe();
        Handle { recorder: handle }
    })
}

fn describe() {
    use ::metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!(ADMIN_CONNECTIONS, "Clients accepted on the admin port.");
    describe_counter!(
        ADMIN_REJECTED,
        "Clients refused by the limit or by protected mode."
    );
    describe_counter!(ADMIN_REQUESTS, "Requests taken on the admin port.");
    describe_counter!(ADMIN_IN, Unit::Bytes, "Bytes received on the admin port.");
    describe_counter!(ADMIN_OUT, Unit::Bytes, "Bytes sent on the admin port.");
    describe_gauge!(ADMIN_CLIENTS, "Clients connected to the admin port.");
    describe_histogram!(
        ADMIN_ANSWER,
        Unit::Seconds,
        "Time from reading a pipeline of requests to having its answers."
    );
}

/// A counter that INFO can read back.
#[derive(Debug)]
pub(crate) struct Tally {
    value: AtomicU64,
    counter: ::metrics::Counter,
}

impl Tally {
    fn new(counter: ::metrics::Counter) -> Tally {
        Tally {
            value: AtomicU64::new(0),
            counter,
        }
    }

    pub(crate) fn add(&self, more: u64) {
        self.value.fetch_add(more, Ordering::Relaxed);
        self.counter.increment(more);
    }

    pub(crate) fn get(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }
}

/// What the admin port counts.
#[derive(Debug)]
pub(crate) struct AdminMeters {
    pub connections: Tally,
    pub rejected: Tally,
    pub requests: Tally,
    pub received: Tally,
    pub sent: Tally,
    clients: ::metrics::Gauge,
    answer: ::metrics::Histogram,
}

impl AdminMeters {
    pub(crate) fn new() -> AdminMeters {
        install();
        AdminMeters {
            connections: Tally::new(::metrics::counter!(ADMIN_CONNECTIONS)),
            rejected: Tally::new(::metrics::counter!(ADMIN_REJECTED)),
            requests: Tally::new(::metrics::counter!(ADMIN_REQUESTS)),
            received: Tally::new(::metrics::counter!(ADMIN_IN)),
            sent: Tally::new(::metrics::counter!(ADMIN_OUT)),
            clients: ::metrics::gauge!(ADMIN_CLIENTS),
            answer: ::metrics::histogram!(ADMIN_ANSWER),
        }
    }

    pub(crate) fn clients(&self, now: usize) {
        // Far fewer clients than a double can count.
        self.clients.set(u32::try_from(now).unwrap_or(u32::MAX));
    }

    pub(crate) fn answered(&self, took: Duration) {
        self.answer.record(took);
    }
}
