//! From a configured source to bytes in an owner's hands, and back to the source when they stop.
//!
//! `attach` decides (`trail`: where else to continue) and dials (`connect`), `driver` reads, `backoff`
//! waits, `gate` lets few full syncs happen at once and `full` none too soon behind another, and
//! `supervisor` keeps one owner per master alive.

pub mod ahead;
pub mod attach;
pub mod backoff;
pub mod connect;
pub mod driver;
pub mod full;
pub mod gate;
pub mod settle;
pub mod supervisor;
pub mod trail;
