//! Every command of the port, as data. Dispatch, arity checks, COMMAND, COMMAND INFO, COMMAND DOCS,
//! KS.HELP and the usage errors are all read from these rows, so what is advertised is what exists.
//!
//! A subcommand is a row of its own, named `parent|child` as Redis names it.

mod analytics;
mod connection;
mod keyspace;
mod names;
mod server;

use std::collections::HashMap;
use std::sync::LazyLock;

use super::handlers::Model;
use super::points::Point;
use super::reply::Reply;
use super::request::Request;
use super::session::Session;

pub(crate) use names::{is_value, is_write};

/// One command or subcommand.
#[derive(Debug)]
pub(crate) struct Command {
    /// Lower case; `parent|child` for a subcommand.
    pub name: &'static str,
    /// Arguments, name included; negative means at least so many.
    pub arity: i32,
    /// Command flags as COMMAND names them.
    pub flags: &'static [&'static str],
    /// First key, last key and step; zeros if there are none.
    pub keys: (i32, i32, i32),
    /// Group of `help @group`.
    pub group: &'static str,
    /// Arguments in the notation of [`super::syntax`].
    pub syntax: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Version of the server, or of Keyscape for its own verbs, that first had it.
    pub since: &'static str,
    /// What answers it.
    pub handler: Handler,
}

/// What answers a command.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Handler {
    /// The session and the port, at once.
    Session(fn(&mut Session, &Request) -> Reply),
    /// Facts about the keys that it names. Such commands are batched.
    Point(fn(&Request) -> Result<Point, Reply>),
    /// Questions to the owners, or figures about them.
    Model(Model),
    /// Only its subcommands do anything.
    Container,
}

impl Command {
    /// A row without flags, keys and text.
    pub(super) const fn new(name: &'static str, arity: i32, handler: Handler) -> Command {
        Command {
            name,
            arity,
            flags: &[],
            keys: (0, 0, 0),
            group: "generic",
            syntax: "",
            summary: "",
            since: "1.0.0",
            handler,
        }
    }

    /// A row about one key, in the first argument.
    pub(super) const fn point(
        name: &'static str,
        arity: i32,
        handler: fn(&Request) -> Result<Point, Reply>,
    ) -> Command {
        Command {
            flags: &["readonly", "fast"],
            keys: (1, 1, 1),
            syntax: "key",
            ..Command::new(name, arity, Handler::Point(handler))
        }
    }

    pub(super) const fn flags(self, flags: &'static [&'static str]) -> Command {
        Command { flags, ..self }
    }

    pub(super) const fn keys(self, first: i32, last: i32, step: i32) -> Command {
        Command {
            keys: (first, last, step),
            ..self
        }
    }

    pub(super) const fn syntax(self, syntax: &'static str) -> Command {
        Command { syntax, ..self }
    }

    pub(super) const fn about(
        self,
        group: &'static str,
        since: &'static str,
        summary: &'static str,
    ) -> Command {
        Command {
            group,
            since,
            summary,
            ..self
        }
    }

    /// True if a client may send it before it has authenticated.
    pub(crate) fn before_auth(&self) -> bool {
        self.flags.contains(&"no_auth")
    }

    /// True if a RESP2 client may send it while it is subscribed.
    pub(crate) fn while_subscribed(&self) -> bool {
        self.flags.contains(&"pubsub") || matches!(self.name, "ping" | "quit" | "reset")
    }

    /// True if so many arguments can be right.
    pub(crate) fn takes(&self, argc: usize) -> bool {
        let argc = i64::try_from(argc).unwrap_or(i64::MAX);
        let arity = i64::from(self.arity);
        if arity >= 0 {
            argc == arity
        } else {
            argc >= -arity
        }
    }

    /// The command that it belongs to, if it is a subcommand.
    pub(crate) fn parent(&self) -> Option<&'static str> {
        self.name.split_once('|').map(|(parent, _)| parent)
    }

    /// Its subcommands, in table order.
    pub(crate) fn children(&self) -> impl Iterator<Item = &'static Command> {
        let name = self.name;
        commands().filter(move |row| row.parent() == Some(name))
    }
}

/// Every row: connection, keyspace, server, then our own.
pub(crate) fn commands() -> impl Iterator<Item = &'static Command> {
    [
        connection::COMMANDS,
        keyspace::COMMANDS,
        server::COMMANDS,
        analytics::COMMANDS,
    ]
    .into_iter()
    .flatten()
}

/// Rows that are no subcommands.
pub(crate) fn top_level() -> impl Iterator<Item = &'static Command> {
    commands().filter(|row| row.parent().is_none())
}

/// The row of that name, in any case.
pub(crate) fn find(name: &[u8]) -> Option<&'static Command> {
    static ROWS: LazyLock<HashMap<&'static str, &'static Command>> =
        LazyLock::new(|| commands().map(|row| (row.name, row)).collect());
    /// No name is longer.
    const NAME_MAX: usize = 48;
    let mut lower = [0; NAME_MAX];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    ROWS.get(std::str::from_utf8(lower).ok()?).copied()
}

/// The row that a request means: that of the subcommand, if its first word is a container.
pub(crate) fn resolve(request: &Request) -> Option<&'static Command> {
    let row = find(request.name())?;
    match row.handler {
        Handler::Container if request.len() > 1 => {
            find(&[row.name.as_bytes(), b"|", request.arg(1)].concat())
        }
        Handler::Container | Handler::Session(_) | Handler::Point(_) | Handler::Model(_) => {
            Some(row)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_complete_and_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for row in commands() {
            assert!(seen.insert(row.name), "{} is there twice", row.name);
            assert_eq!(row.name, row.name.to_lowercase());
            assert!(row.summary.ends_with('.'), "{} has no summary", row.name);
            assert!(find(row.name.to_uppercase().as_bytes()).is_some());
            if let Some(parent) = row.parent() {
                let parent = find(parent.as_bytes()).expect("the parent of a subcommand is a row");
                assert!(matches!(parent.handler, Handler::Container));
            }
            assert!(!is_value(row.name.as_bytes()) && !is_write(row.name.as_bytes()));
        }
        assert!(find(&[b'a'; 100]).is_none());
    }
}
