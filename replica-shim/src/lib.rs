//! The replication link of Redis and Valkey, as a machine that does no IO.
//!
//! ```text
//!   bytes in --> Link::next --> Event          handshake -> transfer -> stream
//!            --> Link::read --> Batch --> Link::follow --> Streamed
//!   time  in --> Link::handle_timeout             RESP        RDB        RESP
//!   bytes out <- Link::poll_transmit (a closed enum of what may be said: outbound.rs)
//! ```
//!
//! The contract of every reader here: the caller owns the buffer. It hands in what it has, drops
//! `consumed` bytes from the front once it is done with the event, and calls again. No event and
//! nothing consumed means: come back with more bytes. Nothing queues inside, so events can borrow.
//!
//! What is absent on purpose: sockets, tasks, clocks, logging, and any way to write to a server.
//! Peer bytes never panic and never allocate by a declared length; caps are in [`limits`].

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::arithmetic_side_effects
    )
)]

pub mod batch;
mod commands;
pub mod error;
pub mod event;
mod handshake;
pub mod limits;
mod link;
mod options;
pub mod outbound;
pub mod position;
pub mod rdb;
mod reader;
pub mod resp;
pub mod text;
mod transfer;

pub use batch::Batch;
#[doc(hidden)]
pub use commands::Thresholds;
pub use error::{Attempts, Error, Refusal, Verdict};
pub use event::{Command, Event, Phase, Step, Streamed};
pub use handshake::Ask;
pub use link::Link;
pub use options::{Announce, Auth, Options, Role};
pub use outbound::Outbound;
pub use position::{Backlog, Coverage, Offset, Position, ReplId};
pub use reader::Reader;
pub use text::Text;
