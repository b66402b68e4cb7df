//! Writing a command down in one line: `c("SET").a(key).a(5).done()`.

use crate::resp::Command;

use super::keys::Key;

/// A command under construction.
pub(super) struct Building(Command);

/// Starts a command.
pub(super) fn c(name: &str) -> Building {
    Building(vec![name.as_bytes().to_vec()])
}

impl Building {
    /// Adds one argument.
    pub(super) fn a(mut self, arg: impl Arg) -> Self {
        self.0.push(arg.bytes());
        self
    }

    /// Adds an argument if there is one.
    pub(super) fn opt(self, arg: Option<impl Arg>) -> Self {
        match arg {
            Some(arg) => self.a(arg),
            None => self,
        }
    }

    /// Adds all arguments.
    pub(super) fn all<A: Arg>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.0.extend(args.into_iter().map(Arg::bytes));
        self
    }

    /// Adds the words of a text.
    pub(super) fn words(self, text: &str) -> Self {
        self.all(text.split_whitespace())
    }

    /// The command.
    pub(super) fn done(self) -> Command {
        self.0
    }
}

/// What can be an argument.
pub(super) trait Arg {
    /// Its bytes on the wire.
    fn bytes(self) -> Vec<u8>;
}

impl Arg for &str {
    fn bytes(self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

impl Arg for String {
    fn bytes(self) -> Vec<u8> {
        self.into_bytes()
    }
}

impl Arg for Vec<u8> {
    fn bytes(self) -> Vec<u8> {
        self
    }
}

impl Arg for i64 {
    fn bytes(self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

impl Arg for usize {
    fn bytes(self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

impl Arg for f64 {
    fn bytes(self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

impl Arg for &Key {
    fn bytes(self) -> Vec<u8> {
        self.name.clone()
    }
}

impl Arg for Key {
    fn bytes(self) -> Vec<u8> {
        self.name
    }
}
