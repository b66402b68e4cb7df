//! One owner task per master: it alone holds the keyspace, applies the stream, and answers.

pub mod advise;
pub mod analytic;
pub mod answer;
pub mod ask;
#[cfg(test)]
mod fixture;
pub mod hot;
pub mod mirror;
pub mod monitor;
pub mod owner;
pub mod pace;
pub mod patterns;
pub mod rereads;
pub mod session;
pub mod slots;
pub mod strangers;
pub mod tags;
pub mod telling;
pub mod ttl;
pub mod verify;
pub mod whatif;
pub mod wire;
