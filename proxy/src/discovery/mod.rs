//! Finding the masters of a deployment and keeping the links on the right nodes.

pub mod nat;
