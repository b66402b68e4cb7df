//! Every cap of this crate, with the reason for the number and what happens at it.
//!
//! A declared length never allocates: memory grows with bytes that have arrived. So these caps stop
//! a peer that keeps sending, and lengths that no server can mean.

/// A string above this is not kept whole: it is consumed as it arrives and becomes its length and
/// digest ([`crate::text::Text::Long`]). 1 MiB: longer elements are rare, and hashing them costs
/// less than holding them. Keys are exempt.
pub const LONG_BYTES: usize = 1 << 20;

/// What a caller's buffer must be able to hold in one piece. Beyond it the machine consumes what it
/// has and keeps the parts itself. Exceptions, which the RDB decoder names: whole key names and
/// compressed blobs.
pub const CONTIGUOUS_MAX: usize = 4 << 20;

/// An unfinished command longer than this is taken out of the caller's buffer and collected inside.
/// With one argument of [`LONG_BYTES`] behind it, it still fits in [`CONTIGUOUS_MAX`].
pub const SPILL_BYTES: usize = 1 << 20;

/// A key name. Servers allow what `proto-max-bulk-len` allows, 512 MiB by default. Above it:
/// `Error::Limit`.
pub const KEY_BYTES_MAX: usize = 512 << 20;

/// A `RESTORE` payload, kept whole because it is decoded from its end backwards (footer first).
/// Same origin as [`KEY_BYTES_MAX`]. Above it: `Error::Limit`.
pub const PAYLOAD_BYTES_MAX: usize = 512 << 20;

/// The longest argument that is believed. `proto-max-bulk-len` can be raised above 512 MiB; nobody
/// stores 64 GiB in one string. Above it: `Error::Limit`.
pub const ARGUMENT_BYTES_MAX: u64 = 64 << 30;

/// Arguments in one command. Servers accept `INT_MAX`; with 8 bytes kept per argument this is
/// 128 MiB. Above it: `Error::Limit`.
pub const ARGUMENTS_MAX: usize = 1 << 24;

/// Bytes kept of one command, long values not counted. The server's own query buffer ends at 1 GiB
/// (`client-query-buffer-limit`). Above it: `Error::Limit`.
pub const COMMAND_KEPT_BYTES_MAX: usize = 1 << 30;

/// A transaction of up to this many bytes of stream is held back until its EXEC is here, so that a
/// cut inside it is resumed before it. A longer one is released as it arrives, and positions inside
/// it are committed; the server resumes there just as well, only a failover in that moment costs a
/// full resync.
pub const TRANSACTION_BYTES: u64 = 32 << 20;

/// Bytes of arguments in one [`crate::Batch`]; the command that passes it is the last. A fifth of a
/// millisecond's work at full speed, which is what a question between two batches waits for.
pub const BATCH_BYTES: usize = 16 << 10;

/// Commands in one [`crate::Batch`]: what the same bytes hold of short ones.
pub const BATCH_ENTRIES: usize = 1024;

/// Capacity that buffers of the stream keep between commands; above it they are given back.
pub const IDLE_CAPACITY: usize = 1 << 20;

/// One status or error line of the handshake. Servers cut their own error texts far below.
/// Above it: `Error::Limit`.
pub const LINE_BYTES_MAX: usize = 4096;

/// What is kept of a refusal's text for the operator.
pub const REFUSAL_TEXT_MAX: usize = 160;

/// Keepalive newlines in a row. A master sends one a second while it saves, so this is twelve days
/// of saving, or a flood. Above it: `Error::Limit`.
pub const NEWLINES_MAX: u64 = 1 << 20;

/// Digits of any RESP number, sign included: those of `i64::MIN`.
pub const NUMBER_DIGITS_MAX: usize = 20;

/// Nesting of a reply. `COMMAND INFO` with subcommands and key specs nests 8 deep in RESP2.
pub const REPLY_DEPTH_MAX: usize = 8;

/// Values in one reply, nested ones included, unless the caller asks for less. A whole `COMMAND`
/// has some ten thousand.
pub const REPLY_VALUES_MAX: usize = 1 << 20;

/// Bytes of one reply, unless the caller asks for less. `DUMP` of a 512 MiB string is the largest
/// that any request of ours can draw.
pub const REPLY_BYTES_MAX: usize = 576 << 20;

/// One line of a reply: errors of scripts can be long.
pub const REPLY_LINE_BYTES_MAX: usize = 64 << 10;

/// Longest wait for one reply of the handshake before PSYNC.
pub const HANDSHAKE_SILENCE_MS: u64 = 15_000;

/// Longest silence between PSYNC and the end of the transfer; twice `repl-timeout`, if that is
/// longer. Newlines come every second in most phases, but not while a diskless child
/// starts, and a group transfer stalls on its slowest member for up to `repl-timeout` (60 s).
pub const TRANSFER_SILENCE_MS: u64 = 120_000;

/// And at most: a host that vanished says nothing either.
pub const TRANSFER_SILENCE_MAX_MS: u64 = 1_800_000;

/// Longest silence of a master's stream: it pings every 10 s by default.
pub const STREAM_SILENCE_MS: u64 = 60_000;

/// Upper and lower end of the keepalive period towards a master (ACK 0).
pub const MASTER_ACK_MAX_MS: u64 = 50_000;
/// See [`MASTER_ACK_MAX_MS`].
pub const MASTER_ACK_MIN_MS: u64 = 1_000;
/// Period of the true-offset ACK towards a replica.
pub const REPLICA_ACK_MS: u64 = 1_000;
/// First wait between the ACKs that a diskless transfer needs before its stream starts: about as
/// often as a master looks for its child. Each wait is twice the one before.
pub const START_ACK_MIN_MS: u64 = 100;
/// Longest wait between them.
pub const START_ACK_MAX_MS: u64 = 1_000;
