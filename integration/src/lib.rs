//! How Keyscape is tested and measured: against real servers, scripted peers and a hostile network.
//!
//! - [`servers`] gets the servers of the matrix without root and names their programs;
//!
//! Nothing here is part of the product. Everything runs on loopback, on free ports, in temporary
//! directories, and is ended by process id.

pub mod servers;
