//! The notation in which the command table writes arguments, and what COMMAND DOCS makes of it.
//!
//! ```text
//! key                 an argument
//! key [key ...]       one or more of it
//! MATCH pattern       an argument behind its word
//! FULL                a word alone
//! <TEXT | JSON>       one of these
//! [ ... ]             optional
//! ```
//!
//! redis-cli aborts if the shape of COMMAND DOCS is not the one it knows: names and texts are bulk
//! strings, flags are a set (RESP3) or array (RESP2) of simple strings.

use super::reply::Reply;

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arg {
    /// Its name.
    pub name: String,
    /// The type as COMMAND DOCS names it.
    pub kind: &'static str,
    /// The word before it, or the word that it is.
    pub token: Option<&'static str>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// The alternatives of a choice, or the parts of a group.
    pub parts: Vec<Arg>,
}

/// Parses a notation.
pub(crate) fn parse(syntax: &'static str) -> Vec<Arg> {
    let mut tokens = Tokens { rest: syntax };
    sequence(&mut tokens, None)
}

/// The `arguments` of COMMAND DOCS.
pub(crate) fn describe(args: &[Arg]) -> Reply {
    Reply::Array(args.iter().map(describe_one).collect())
}

fn describe_one(arg: &Arg) -> Reply {
    let mut fields = vec![
        (Reply::text("name"), Reply::text(&arg.name)),
        (Reply::text("type"), Reply::text(arg.kind)),
    ];
    if arg.parts.is_empty() {
        fields.push((Reply::text("display_text"), Reply::text(&arg.name)));
    }
    if arg.kind == "key" {
        fields.push((Reply::text("key_spec_index"), Reply::Int(0)));
    }
    if let Some(token) = arg.token {
        fields.push((Reply::text("token"), Reply::text(token)));
    }
    let flags: Vec<Reply> = [(arg.optional, "optional"), (arg.multiple, "multiple")]
        .into_iter()
        .filter(|(set, _)| *set)
        .map(|(_, name)| Reply::status(name))
        .collect();
    if !flags.is_empty() {
        fields.push((Reply::text("flags"), Reply::Set(flags)));
    }
    if !arg.parts.is_empty() {
        fields.push((Reply::text("arguments"), describe(&arg.parts)));
    }
    Reply::Map(fields)
}

struct Tokens {
    rest: &'static str,
}

impl Iterator for Tokens {
    type Item = &'static str;

    fn next(&mut self) -> Option<&'static str> {
        self.rest = self.rest.trim_start();
        let first = self.rest.chars().next()?;
        let end = if "[]<>|".contains(first) {
            1
        } else {
            let stop = |c: char| c.is_whitespace() || "[]<>|".contains(c);
            self.rest.find(stop).unwrap_or(self.rest.len())
        };
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(token)
    }
}

/// Arguments up to `close`. Alternatives are separated by `|`, so each ends up a part of its own.
fn sequence(tokens: &mut Tokens, close: Option<&str>) -> Vec<Arg> {
    let mut args: Vec<Arg> = Vec::new();
    // A word that may yet turn out to stand before an argument.
    let mut word: Option<&'static str> = None;
    while let Some(token) = tokens.next() {
        if Some(token) == close {
            break;
        }
        match token {
            "[" => {
                args.extend(word.take().map(alone));
                optional(sequence(tokens, Some("]")), &mut args);
            }
            "<" => {
                let mut choice = named("choice", "oneof");
                choice.token = word.take();
                choice.parts = sequence(tokens, Some(">"));
                args.push(choice);
            }
            "|" => args.extend(word.take().map(alone)),
            "..." => {
                if let Some(last) = args.last_mut() {
                    last.multiple = true;
                }
            }
            _ if token.starts_with(|c: char| c.is_ascii_uppercase()) => {
                args.extend(word.replace(token).map(alone));
            }
            _ => {
                let mut arg = named(token, kind(token));
                arg.token = word.take();
                args.push(arg);
            }
        }
    }
    args.extend(word.map(alone));
    args
}

/// What stands in brackets: a repetition of the argument before, or something optional.
fn optional(mut inner: Vec<Arg>, args: &mut Vec<Arg>) {
    let repeats = match (&inner[..], args.last()) {
        ([one], Some(last)) => one.multiple && one.name == last.name,
        _ => false,
    };
    if repeats {
        if let Some(last) = args.last_mut() {
            last.multiple = true;
        }
        return;
    }
    let mut arg = match inner.len() {
        1 => inner.remove(0),
        _ => Arg {
            parts: inner,
            ..named("options", "block")
        },
    };
    arg.optional = true;
    args.push(arg);
}

fn named(name: &str, kind: &'static str) -> Arg {
    Arg {
        name: name.to_owned(),
        kind,
        token: None,
        optional: false,
        multiple: false,
        parts: Vec::new(),
    }
}

fn alone(word: &'static str) -> Arg {
    Arg {
        token: Some(word),
        ..named(&word.to_lowercase(), "pure-token")
    }
}

fn kind(name: &str) -> &'static str {
    match name {
        "key" => "key",
        "pattern" => "pattern",
        "cursor" | "count" | "index" | "numreplicas" | "timeout" | "port" | "protover"
        | "client-id" => "integer",
        _ => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arguments as redis-cli prints them.
    fn show(args: &[Arg]) -> String {
        let one = |arg: &Arg| {
            let inner = match (&arg.parts[..], arg.kind) {
                ([], "pure-token") => String::new(),
                ([], _) => arg.name.clone(),
                (parts, "oneof") => {
                    let parts: Vec<_> = parts
                        .iter()
                        .map(|p| show(std::slice::from_ref(p)))
                        .collect();
                    format!("<{}>", parts.join("|"))
                }
                (parts, _) => show(parts),
            };
            let mut text = [arg.token.unwrap_or(""), &inner]
                .join(" ")
                .trim()
                .to_owned();
            if arg.multiple {
                text = format!("{text}+");
            }
            if arg.optional {
                format!("[{text}]")
            } else {
                text
            }
        };
        args.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn check(syntax: &'static str, expect: &str) {
        assert_eq!(show(&parse(syntax)), expect);
    }

    #[test]
    fn notations_become_arguments() {
        check("", "");
        check("key", "key");
        check("key [key ...]", "key+");
        check(
            "cursor [MATCH pattern] [COUNT count]",
            "cursor [MATCH pattern] [COUNT count]",
        );
        check("<BYTES | ELEMENTS> [count]", "<BYTES|ELEMENTS> [count]");
        check("[FORMAT <TEXT | JSON>]", "[FORMAT <TEXT|JSON>]");
        check("[protover [AUTH username]]", "[protover [AUTH username]]");
        check("<NO ONE | host>", "<NO|ONE|host>");
    }
}
