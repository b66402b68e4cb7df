//! Keyscape's assembly: sockets, tasks, time, files and the ports, around three pure libraries.
//!
//! ```text
//! socket -> link::driver (reader task) -> bounded queue -> model::owner (one task per master)
//!                                                           |  replica_shim::Link -> ingest
//! side connection (INFO, CONFIG, re-reads) <-> model::owner  |  analyzer::Keyspace
//!                                                           v
//!                        fleet::Fleet: asks, status  <- admin (RESP), http, metrics
//!                                  ^ places, views
//! nodes, Sentinels <-> discovery (one per deployment): map -> plan -> orders to owners
//! ```

pub mod admin;
pub mod http;
pub mod metrics;

pub mod analyze;
pub mod app;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod discovery;
pub mod fault;
pub mod filling;
pub mod fleet;
pub mod ingest;
pub mod link;
pub mod memory;
pub mod model;
pub mod side;
pub mod source;
pub mod telemetry;
pub mod tls;
pub mod watch;
