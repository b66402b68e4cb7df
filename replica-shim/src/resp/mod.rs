//! RESP in one page.
//!
//! ```text
//!   request  = "*" n CRLF { "$" len CRLF bytes CRLF }     the stream, and clients of the admin port
//!            | word { space word } LF                     inline: clients only
//!   reply    = "+" line | "-" line | ":" i64 | "$" len .. | "$-1" | "*" n .. | "*-1"    (RESP2)
//!   between commands of the stream: LF, a keepalive that counts nothing
//! ```
//!
//! Requests are scanned in place ([`request`]), replies are built as values ([`reply`]), because a
//! stream has millions of the former and a connection has few of the latter. Numbers are checked
//! digit by digit: no sign but `-`, no leading zero, no overflow.

mod args;
mod inline;
mod number;
pub mod reply;
pub mod request;

pub use args::{Args, Name};
pub(crate) use args::{LongArg, Span};
pub use number::signed;
pub(crate) use number::{Line, line, unsigned};

/// What is wrong with bytes that should have been RESP. The texts are those that Redis clients
/// know, because the admin port answers with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The count behind `*` is no number, or negative where that is not allowed.
    #[error("invalid multibulk length")]
    Count,
    /// The length behind `$` is no number or negative.
    #[error("invalid bulk length")]
    Length,
    /// Something else than `$` where an argument must begin.
    #[error("expected '$', got '{}'", char::from(*.0).escape_default())]
    Dollar(u8),
    /// An argument is not followed by CRLF.
    #[error("expected CRLF after an argument")]
    Terminator,
    /// A quote in an inline request does not close.
    #[error("unbalanced quotes in request")]
    Quotes,
    /// Something else than a command where one must begin.
    #[error("expected '*', got '{}'", char::from(*.0).escape_default())]
    Star(u8),
    /// A reply that begins with no type byte of RESP2.
    #[error("expected a reply, got '{}'", char::from(*.0).escape_default())]
    Reply(u8),
    /// A line of a reply or header does not end in CRLF.
    #[error("expected CRLF at the end of a line")]
    LineEnd,
    /// A number in a reply is none.
    #[error("invalid number in a reply")]
    Number,
    /// A cap was exceeded: which one, its value, and what came (at least).
    #[error("too big {what}: {got} exceeds {max}")]
    TooBig {
        /// The thing that is too big.
        what: &'static str,
        /// Its cap.
        max: u64,
        /// What was declared, or had arrived when the cap was passed.
        got: u64,
    },
}
