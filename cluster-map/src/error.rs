//! Why an answer gives no map.

/// What was wrong with an answer. The whole answer is refused: half a map would look like nodes
/// that are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The server refused; its words, at most [`WORDS_MAX`] bytes of them.
    Refused(String),
    /// The answer is not what it should be.
    Malformed {
        /// The command that was asked.
        reply: &'static str,
        /// Which line or member of the answer, counted from 1; 0 for the whole.
        item: usize,
        /// What should have been there.
        expected: &'static str,
    },
    /// The answer is larger than any real one.
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
}

/// Bytes kept of what a server says in an error.
pub const WORDS_MAX: usize = 200;

impl Error {
    /// The refusal of a server, cut to length.
    pub fn refused(words: &str) -> Error {
        Error::Refused(words.chars().take(WORDS_MAX).collect())
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Refused(words) => write!(f, "the server refused: {words}"),
            Error::Malformed {
                reply,
                item: 0,
                expected,
            } => write!(f, "{reply}: expected {expected}"),
            Error::Malformed {
                reply,
                item,
                expected,
            } => write!(f, "{reply}, item {item}: expected {expected}"),
            Error::Limit { what, max } => write!(f, "more than {max} {what}"),
        }
    }
}

impl std::error::Error for Error {}
