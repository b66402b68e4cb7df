//! How Keyscape is tested and measured: against real servers, scripted peers and a hostile network.
//!
//! - [`servers`] gets the servers of the matrix without root; [`server`] runs one;
//! - [`driver`] writes to it whatever its command table allows, from a seed;
//! - [`app`] runs Keyscape beside it, [`fault`] puts a bad network between the two,
//!   [`fake_master`] says what no server would, [`fake_fleet`] is a thousand of them;
//! - [`truth`] compares every key of both, [`campaign`] is the whole of it, start to end;
//! - [`fill`] makes keyspaces of any size; [`follow`] knows where our links should be;
//! - [`suite`] has a server's own tests write;
//! - [`tap`] remembers what a master said of a key;
//! - [`resp`], [`http`], [`child`], [`seed`] and [`wait`] are the tools of these.
//!
//! Nothing here is part of the product. Everything runs on loopback, on free ports, in temporary
//! directories, and is ended by process id.

pub mod app;
pub mod campaign;
pub mod capped;
pub mod chaos;
pub mod child;
pub mod cluster;
pub mod driver;
pub mod fake_fleet;
pub mod fake_master;
pub mod fault;
pub mod fill;
pub mod follow;
pub mod http;
pub mod load;
pub mod quiet;
pub mod resp;
pub mod seed;
pub mod sentinel;
pub mod server;
pub mod servers;
pub mod suite;
pub mod tap;
pub mod truth;
pub mod wait;
