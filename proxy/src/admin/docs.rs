//! COMMAND and its subcommands, from the table. redis-cli builds its interactive help from COMMAND
//! DOCS and aborts if a type is not the one it expects; see [`super::syntax`].

use analyzer::glob::Glob;

use super::refuse;
use super::reply::Reply;
use super::request::Request;
use super::session::Session;
use super::syntax;
use super::table::{self, Command};

pub(crate) fn count(_: &mut Session, _: &Request) -> Reply {
    Reply::count(table::top_level().count() as u64)
}

/// COMMAND: every command as client libraries want it.
pub(crate) fn command() -> Reply {
    Reply::Array(table::top_level().map(row).collect())
}

/// COMMAND INFO [name ...]
pub(crate) fn info(_: &mut Session, request: &Request) -> Reply {
    match request.from(2) {
        [] => command(),
        names => Reply::Array(
            names
                .iter()
                .map(|name| table::find(name).map_or(Reply::NullArray, row))
                .collect(),
        ),
    }
}

/// COMMAND LIST [FILTERBY PATTERN pattern]; we have no modules, and categories are not kept.
pub(crate) fn list(_: &mut Session, request: &Request) -> Reply {
    let pattern = match request.len() {
        2 => Glob::new(b"*"),
        5 if request.is(2, "FILTERBY") && request.is(3, "PATTERN") => {
            Glob::new(&request.arg(4).to_ascii_lowercase())
        }
        5 if request.is(2, "FILTERBY") => return Reply::Array(Vec::new()),
        _ => return refuse::SYNTAX,
    };
    Reply::Array(
        table::top_level()
            .filter(|row| pattern.matches(row.name.as_bytes()))
            .map(|row| Reply::text(row.name))
            .collect(),
    )
}

/// COMMAND DOCS [name ...]; unknown names are left out.
pub(crate) fn docs(_: &mut Session, request: &Request) -> Reply {
    let document = |row: &'static Command| (Reply::text(row.name), describe(row));
    Reply::Map(match request.from(2) {
        [] => table::top_level().map(document).collect(),
        names => names
            .iter()
            .filter_map(|name| table::find(name))
            .map(document)
            .collect(),
    })
}

/// COMMAND GETKEYS command [arg ...]
pub(crate) fn getkeys(_: &mut Session, request: &Request) -> Reply {
    let inner = request.shift(2);
    let Some(row) = table::resolve(&inner) else {
        return Reply::error("ERR Invalid command specified");
    };
    if !row.takes(inner.len()) {
        return Reply::error("ERR Invalid number of arguments specified for command");
    }
    let keys = key_indexes(row, inner.len());
    if keys.is_empty() {
        return Reply::error("ERR The command has no key arguments");
    }
    Reply::Array(
        keys.into_iter()
            .map(|at| Reply::Bulk(inner.bytes(at)))
            .collect(),
    )
}

fn key_indexes(row: &Command, argc: usize) -> Vec<usize> {
    let (first, last, step) = row.keys;
    let argc = i32::try_from(argc).unwrap_or(i32::MAX);
    let last = if last < 0 { argc + last } else { last };
    let step = usize::try_from(step).unwrap_or(0).max(1);
    if first <= 0 {
        return Vec::new();
    }
    (first..=last.min(argc - 1))
        .step_by(step)
        .filter_map(|at| usize::try_from(at).ok())
        .collect()
}

/// One element of COMMAND: name, arity, flags, first key, last key, step, ACL categories, tips, key
/// specifications, subcommands.
fn row(command: &'static Command) -> Reply {
    let (first, last, step) = command.keys;
    let flags = command
        .flags
        .iter()
        .map(|flag| Reply::status(flag))
        .collect();
    let category = if command.flags.contains(&"readonly") {
        "@read"
    } else {
        "@connection"
    };
    Reply::Array(vec![
        Reply::text(command.name),
        Reply::Int(i64::from(command.arity)),
        Reply::Set(flags),
        Reply::Int(i64::from(first)),
        Reply::Int(i64::from(last)),
        Reply::Int(i64::from(step)),
        Reply::Set(vec![Reply::status(category)]),
        Reply::Array(Vec::new()),
        Reply::Array(key_spec(command)),
        Reply::Array(command.children().map(row).collect()),
    ])
}

/// The keys once more, in the words of Redis 7.
fn key_spec(command: &Command) -> Vec<Reply> {
    let (first, last, step) = command.keys;
    if first == 0 {
        return Vec::new();
    }
    let last = if last < 0 { last } else { last - first };
    let number = |n: i32| Reply::Int(i64::from(n));
    let begin = Reply::fields([
        ("type", Reply::text("index")),
        ("spec", Reply::fields([("index", number(first))])),
    ]);
    let find = Reply::fields([
        ("type", Reply::text("range")),
        (
            "spec",
            Reply::fields([
                ("lastkey", number(last)),
                ("keystep", number(step)),
                ("limit", number(0)),
            ]),
        ),
    ]);
    vec![Reply::fields([
        ("flags", Reply::Set(vec![Reply::status("RO")])),
        ("begin_search", begin),
        ("find_keys", find),
    ])]
}

fn describe(command: &'static Command) -> Reply {
    let mut fields = vec![
        (Reply::text("summary"), Reply::text(command.summary)),
        (Reply::text("since"), Reply::text(command.since)),
        (Reply::text("group"), Reply::text(command.group)),
        (
            Reply::text("complexity"),
            Reply::text("O(answer), from the model"),
        ),
    ];
    // Also if there are none: redis-cli 8 prints "(null)" where they are missing.
    let arguments = syntax::describe(&syntax::parse(command.syntax));
    fields.push((Reply::text("arguments"), arguments));
    let children: Vec<_> = command
        .children()
        .map(|child| (Reply::text(child.name), describe(child)))
        .collect();
    if !children.is_empty() {
        fields.push((Reply::text("subcommands"), Reply::Map(children)));
    }
    Reply::Map(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(reply: &Reply) -> String {
        let Reply::Bulk(bytes) = reply else {
            panic!("{reply:?} is no bulk string");
        };
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// What redis-cli asserts in `cliInitCommandHelpEntry` and `cliAddCommandDocArgs`.
    fn check_document(document: &Reply, parent: Option<&str>) {
        let Reply::Map(fields) = document else {
            panic!("{document:?} is no map");
        };
        for (name, value) in fields {
            match (bulk(name).as_str(), value) {
                ("summary" | "since" | "group" | "complexity", text) => drop(bulk(text)),
                ("arguments", Reply::Array(arguments)) => arguments.iter().for_each(check_argument),
                ("subcommands", Reply::Map(children)) => {
                    for (child, document) in children {
                        let child = bulk(child);
                        let (own, _) = child.split_once('|').expect("parent|child");
                        assert!(parent.is_none_or(|parent| parent == own));
                        check_document(document, None);
                    }
                }
                (field, value) => panic!("{field} is {value:?}"),
            }
        }
    }

    fn check_argument(argument: &Reply) {
        let Reply::Map(fields) = argument else {
            panic!("{argument:?} is no map");
        };
        for (name, value) in fields {
            match (bulk(name).as_str(), value) {
                ("name" | "type" | "display_text" | "token", text) => drop(bulk(text)),
                ("key_spec_index", Reply::Int(_)) => {}
                ("flags", Reply::Set(flags)) => {
                    assert!(flags.iter().all(|flag| matches!(flag, Reply::Simple(_))));
                }
                ("arguments", Reply::Array(parts)) => parts.iter().for_each(check_argument),
                (field, value) => panic!("{field} is {value:?}"),
            }
        }
    }

    #[test]
    fn documents_have_the_shape_that_redis_cli_asserts() {
        for row in table::top_level() {
            check_document(&describe(row), Some(row.name));
        }
    }

    #[test]
    fn keys_are_where_the_table_says() {
        let row = |name: &str| table::find(name.as_bytes()).expect("a row");
        assert_eq!(key_indexes(row("exists"), 4), [1, 2, 3]);
        assert_eq!(key_indexes(row("memory|usage"), 5), [2]);
        assert!(key_indexes(row("ping"), 1).is_empty());
    }
}
