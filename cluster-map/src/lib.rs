//! Slots, nodes and who owns what: pure data, no sockets and no time.
//!
//! The keyspace of a cluster is cut into 16384 slots; a key's slot is the CRC16 of its name, or of
//! the hash tag in it. Every slot has one master, every master some replicas, and the nodes tell
//! each other, and whoever asks, about all of them. What they say comes in four forms, and nobody
//! has all of the truth:
//!
//! ```text
//! CLUSTER NODES  CLUSTER SHARDS/SLOTS      SENTINEL MASTER, REPLICAS       INFO replication
//!        \          /                             |                             |
//!   Report::complement                      sentinel::Report                    |
//!         one per node asked               one per Sentinel                     |
//!              \                                  |                             |
//!     Topology::of_cluster            Topology::of_sentinels         Topology::of_info
//!                 \_______________________________|_____________________________/
//!                                                 |
//!                     links that exist ----->  plan()  -----> open, move, close
//! ```
//!
//! Everything here is handed in by peers that may be wrong: lengths and numbers are bounded, an
//! answer that is not what it should be is an [`Error`], and what contradicts itself is a
//! [`Complaint`] of the map that comes of it.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod cluster;
pub mod error;
pub mod info_text;
pub mod node;
pub mod nodes_text;
pub mod plan;
pub mod rebalance;
pub mod report;
pub mod sentinel;
pub mod shards;
pub mod slot;
pub mod slots;
pub mod slots_reply;
pub mod topology;
pub mod value;

pub use cluster::{REPORTS_MAX, STRANGERS_MAX};
pub use error::Error;
pub use node::{Addr, Asked, Group, Health, Node, NodeId, Role};
pub use plan::{Action, Cause, Follow, Link, LinkState, Plan, Policy, Share, Why, plan};
pub use report::{Report, Told};
pub use slot::Slot;
pub use slots::Slots;
pub use topology::{Complaint, Topology};
pub use value::Value;
