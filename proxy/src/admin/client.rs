//! CLIENT: connections about themselves and each other.

use std::fmt::Write;

use super::port::{Client, Seen};
use super::refuse;
use super::reply::Reply;
use super::request::Request;
use super::session::Session;
use crate::clock;

/// Bytes of a name or library version that a client may give itself.
const NAME_MAX: usize = 256;

/// What is accepted because clients send it, and changes nothing.
pub(crate) fn accepted(_: &mut Session, _: &Request) -> Reply {
    Reply::OK
}

pub(crate) fn id(session: &mut Session, _: &Request) -> Reply {
    Reply::count(session.client.id)
}

pub(crate) fn getname(session: &mut Session, _: &Request) -> Reply {
    let name = session.client.seen().name;
    if name.is_empty() {
        return Reply::Null;
    }
    name.into()
}

pub(crate) fn setname(session: &mut Session, request: &Request) -> Reply {
    match set_name(session, request.arg(2)) {
        Ok(()) => Reply::OK,
        Err(error) => error,
    }
}

/// Names the connection; names stand in one line of CLIENT LIST, so they have no spaces.
pub(crate) fn set_name(session: &Session, name: &[u8]) -> Result<(), Reply> {
    if !printable(name) {
        return Err(Reply::error(
            "ERR Client names cannot contain spaces, newlines or special characters.",
        ));
    }
    session.client.note(|seen| seen.name = name.to_vec());
    Ok(())
}

fn printable(text: &[u8]) -> bool {
    text.len() <= NAME_MAX && text.iter().all(u8::is_ascii_graphic)
}

pub(crate) fn setinfo(session: &mut Session, request: &Request) -> Reply {
    let value = request.text(3);
    if !printable(value.as_bytes()) {
        return Reply::error(
            "ERR lib-name and lib-ver cannot contain spaces or special characters",
        );
    }
    if request.is(2, "LIB-NAME") {
        session.client.note(|seen| seen.library = value);
    } else if request.is(2, "LIB-VER") {
        session.client.note(|seen| seen.library_version = value);
    } else {
        return Reply::Error(format!("ERR Unrecognized option '{}'", request.text(2)).into());
    }
    Reply::OK
}

pub(crate) fn tracking(_: &mut Session, request: &Request) -> Reply {
    if request.is(2, "OFF") {
        return Reply::OK;
    }
    Reply::error("ERR client tracking is not served: invalidations never reach a replica")
}

pub(crate) fn info(session: &mut Session, _: &Request) -> Reply {
    Reply::Verbatim(describe(&session.client))
}

/// Which connections a CLIENT LIST shows.
type Keep = dyn Fn(&Client, &Seen) -> bool;

/// CLIENT LIST [TYPE normal|pubsub|...] [ID id ...]
pub(crate) fn list(session: &mut Session, request: &Request) -> Reply {
    let keep: Box<Keep> = match request.len() {
        2 => Box::new(|_, _| true),
        4 if request.is(2, "TYPE") => {
            let Some(kind) = Kind::parse(request, 3) else {
                return unknown_kind(request, 3);
            };
            Box::new(move |_, seen| Kind::of(seen) == kind)
        }
        _ if request.is(2, "ID") && request.len() > 3 => {
            let ids: Vec<u64> = (3..request.len())
                .filter_map(|i| request.number(i))
                .collect();
            if ids.len() + 3 < request.len() {
                return Reply::error("ERR Invalid client ID");
            }
            Box::new(move |client, _| ids.contains(&client.id))
        }
        _ => return refuse::SYNTAX,
    };
    let lines = session.port.clients.all();
    let lines = lines.iter().filter(|client| keep(client, &client.seen()));
    Reply::Verbatim(lines.map(|client| describe(client)).collect())
}

/// What CLIENT LIST and KILL sort connections into. There are no masters and replicas among ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Pubsub,
    Link,
}

impl Kind {
    fn of(seen: &Seen) -> Kind {
        match seen.channels + seen.patterns {
            0 => Kind::Normal,
            _ => Kind::Pubsub,
        }
    }

    fn parse(request: &Request, at: usize) -> Option<Kind> {
        match request.arg(at).to_ascii_lowercase().as_slice() {
            b"normal" => Some(Kind::Normal),
            b"pubsub" => Some(Kind::Pubsub),
            b"master" | b"replica" | b"slave" => Some(Kind::Link),
            _ => None,
        }
    }
}

fn unknown_kind(request: &Request, at: usize) -> Reply {
    Reply::Error(format!("ERR Unknown client type '{}'", request.text(at)).into())
}

/// CLIENT KILL addr | ID id | ADDR addr | TYPE type. Sentinel's TYPE, sent on a failover so that
/// clients look for their master again, closes nobody: ours have no other master to look for.
pub(crate) fn kill(session: &mut Session, request: &Request) -> Reply {
    if request.len() == 3 {
        return match kill_where(session, |client| client.peer.to_string() == request.text(2)) {
            0 => Reply::error("ERR No such client"),
            _ => Reply::OK,
        };
    }
    if request.len() != 4 {
        return refuse::SYNTAX;
    }
    let killed = if request.is(2, "ID") {
        let Some(id) = request.number::<u64>(3) else {
            return Reply::error("ERR client-id should be greater than 0");
        };
        kill_where(session, |client| client.id == id)
    } else if request.is(2, "ADDR") {
        kill_where(session, |client| client.peer.to_string() == request.text(3))
    } else if request.is(2, "TYPE") {
        if Kind::parse(request, 3).is_none() {
            return unknown_kind(request, 3);
        }
        0
    } else {
        return refuse::SYNTAX;
    };
    Reply::count(killed)
}

fn kill_where(session: &Session, wanted: impl Fn(&Client) -> bool) -> u64 {
    let clients = session.port.clients.all();
    let killed = clients.iter().filter(|client| wanted(client));
    killed.map(|client| client.kill.cancel()).count() as u64
}

fn describe(client: &Client) -> String {
    let seen = client.seen();
    let now = clock::now();
    let flags = match (seen.monitor, Kind::of(&seen), seen.queued >= 0) {
        (true, _, _) => "O",
        (false, Kind::Pubsub, _) => "P",
        (false, Kind::Normal | Kind::Link, true) => "x",
        (false, Kind::Normal | Kind::Link, false) => "N",
    };
    let mut line = format!(
        "id={} addr={} laddr={} fd=0 name={} age={} idle={} flags={flags} db={} sub={} psub={} \
         ssub=0 multi={}",
        client.id,
        client.peer,
        client.local,
        String::from_utf8_lossy(&seen.name),
        now.duration_since(client.since).as_secs(),
        now.duration_since(seen.last).as_secs(),
        seen.db,
        seen.channels,
        seen.patterns,
        seen.queued,
    );
    // Writing to a string cannot fail.
    let _ = writeln!(
        line,
        " qbuf=0 qbuf-free=0 argv-mem=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd={} user={} \
         resp={} lib-name={} lib-ver={}",
        if seen.command.is_empty() {
            "NULL"
        } else {
            seen.command
        },
        seen.user,
        seen.protocol,
        seen.library,
        seen.library_version,
    );
    line
}
