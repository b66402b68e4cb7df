//! The second connection to a followed server: INFO, CONFIG GET and re-reads, never a write.
//!
//! `client` asks and is answered, `skim` guards what is decoded, `info` and `intro` read the first
//! answers, `batch` reads keys at a known offset, `look` all facts of some, `values` their values,
//! `memory` what the server says of its own memory, `vitals` what only INFO knows, `task` serves the
//! owner for the life of a link.

pub mod batch;
pub mod client;
pub mod info;
pub mod intro;
pub mod look;
pub mod memory;
pub mod skim;
pub mod task;
pub mod told;
pub mod values;
pub mod vitals;
