//! What real servers answered (`data/record.py`): clusters of three masters and two replicas before,
//! during and after the loss of a master, on IPv6 with and without host names, and three Sentinels
//! before and after a failover.

#![allow(clippy::unwrap_used, reason = "what was recorded is known")]

mod answers;
mod clusters;
mod sentinels;

/// Every server that was recorded.
const SERVERS: [&str; 5] = [
    "redis-6.0",
    "redis-7.0",
    "redis-8.0",
    "valkey-8.1",
    "valkey-9.1",
];
