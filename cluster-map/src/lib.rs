//! Slots, and later nodes and who owns what: pure data, no sockets and no time.
//!
//! The keyspace of a cluster is cut into 16384 slots; a key's slot is the CRC16 of its name, or of
//! the hash tag in it.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod slot;

pub use slot::Slot;
