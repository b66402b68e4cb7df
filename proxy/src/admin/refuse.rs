//! Why a command is not served, in words that client libraries and people both understand.

use super::reply::Reply;
use super::request::Request;
use super::table::{self, is_value, is_write};

/// Characters of a name or argument that an error quotes, as Redis does.
const QUOTED_MAX: usize = 128;

/// The refusal of a command that is not in the table.
pub(crate) fn unserved(request: &Request) -> Reply {
    let name = request.name().to_ascii_lowercase();
    if let Some(fixed) = fixed(&name) {
        return Reply::error(fixed);
    }
    // SORT and GEORADIUS are writes by their flags, and read values anyway.
    if is_write(&name) {
        return Reply::error("READONLY Keyscape only watches its masters; nothing is written here");
    }
    if is_value(&name) {
        return Reply::error("NOVALUE the model keeps no values; ask the master for them");
    }
    match table::find(&name) {
        Some(parent) => subcommand(parent.name, request),
        None => unknown(request),
    }
}

/// Commands with a refusal of their own.
fn fixed(name: &[u8]) -> Option<&'static str> {
    Some(match name {
        b"psync" | b"sync" | b"replconf" => {
            "ERR no values kept; nothing can be replicated from here, ask the master"
        }
        // Clients try EVALSHA first, and EVAL when they are told NOSCRIPT.
        b"evalsha" | b"evalsha_ro" => "NOSCRIPT No matching script. Please use EVAL.",
        b"eval" | b"eval_ro" | b"fcall" | b"fcall_ro" => {
            "ERR scripts are not run here: the model keeps no values"
        }
        _ => return None,
    })
}

fn subcommand(parent: &str, request: &Request) -> Reply {
    // redis-cli knows this text, whatever the subcommand.
    if parent == "cluster" {
        return Reply::error("ERR This instance has cluster support disabled");
    }
    Reply::Error(
        format!(
            "ERR unknown subcommand '{}'. Try {} HELP.",
            quoted(request.arg(1)),
            parent.to_uppercase()
        )
        .into(),
    )
}

fn unknown(request: &Request) -> Reply {
    let mut args = String::new();
    for arg in request.from(1) {
        if args.len() >= QUOTED_MAX {
            break;
        }
        args.push_str(&format!("'{}' ", quoted(arg)));
    }
    Reply::Error(
        format!(
            "ERR unknown command '{}', with args beginning with: {args}",
            quoted(request.name())
        )
        .into(),
    )
}

fn quoted(text: &[u8]) -> String {
    let text = &text[..text.len().min(QUOTED_MAX)];
    String::from_utf8_lossy(text)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The error for a wrong number of arguments.
pub(crate) fn arity(name: &str) -> Reply {
    Reply::Error(format!("ERR wrong number of arguments for '{name}' command").into())
}

/// The error for anything else while a RESP2 client is subscribed.
pub(crate) fn subscribed(name: &str) -> Reply {
    Reply::Error(
        format!(
            "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
             RESET are allowed in this context"
        )
        .into(),
    )
}

/// The error for arguments that do not parse.
pub(crate) const SYNTAX: Reply = Reply::error("ERR syntax error");

/// The error for a number that is none.
pub(crate) const NOT_A_NUMBER: Reply = Reply::error("ERR value is not an integer or out of range");
