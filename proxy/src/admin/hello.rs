//! PING, AUTH, HELLO and the rest of what a connection says about itself.

use super::auth::DEFAULT_USER;
use super::refuse;
use super::reply::{Protocol, Reply};
use super::request::Request;
use super::scope::Target;
use super::session::Session;
use super::{client, info};

pub(crate) fn ping(session: &mut Session, request: &Request) -> Reply {
    let message = request.bytes(1);
    if request.len() > 2 {
        return refuse::arity("ping");
    }
    if session.subscribed() && session.protocol == Protocol::Resp2 {
        return Reply::Array(vec![Reply::text("pong"), Reply::Bulk(message)]);
    }
    match request.len() {
        1 => Reply::status("PONG"),
        _ => Reply::Bulk(message),
    }
}

pub(crate) fn echo(_: &mut Session, request: &Request) -> Reply {
    Reply::Bulk(request.bytes(1))
}

pub(crate) fn quit(session: &mut Session, _: &Request) -> Reply {
    session.closing = true;
    Reply::OK
}

/// RESET: everything but the connection itself is as it was at first.
pub(crate) fn reset(session: &mut Session, _: &Request) -> Reply {
    session.transaction = None;
    session.monitor = None;
    session.channels.clear();
    session.patterns.clear();
    session.db = 0;
    session.target = Target::All;
    session.told = None;
    session.protocol = Protocol::Resp2;
    session.user = (!session.port.users.required()).then(|| DEFAULT_USER.to_owned());
    session.client.note(|seen| {
        seen.name.clear();
        seen.channels = 0;
        seen.patterns = 0;
        seen.monitor = false;
        seen.queued = -1;
        seen.db = 0;
        seen.protocol = 2;
    });
    Reply::status("RESET")
}

const WRONGPASS: Reply =
    Reply::error("WRONGPASS invalid username-password pair or user is disabled.");

pub(crate) fn auth(session: &mut Session, request: &Request) -> Reply {
    match request.len() {
        2 if !session.port.users.has_default() => Reply::error(
            "ERR AUTH <password> called without any password configured for the default user. \
             Are you sure your configuration is correct?",
        ),
        2 => log_in(session, DEFAULT_USER.as_bytes(), request.arg(1)),
        3 => log_in(session, request.arg(1), request.arg(2)),
        _ => refuse::SYNTAX,
    }
}

fn log_in(session: &mut Session, name: &[u8], password: &[u8]) -> Reply {
    // As in Redis, the default user of a port without passwords accepts any.
    let open = !session.port.users.required() && name == DEFAULT_USER.as_bytes();
    if !open && !session.port.users.accepts(name, password) {
        return WRONGPASS;
    }
    let user = String::from_utf8_lossy(name).into_owned();
    session.client.note(|seen| seen.user.clone_from(&user));
    session.user = Some(user);
    Reply::OK
}

/// HELLO [protover [AUTH user password] [SETNAME name]]
pub(crate) fn hello(session: &mut Session, request: &Request) -> Reply {
    let protocol = match request.len() {
        1 => session.protocol,
        _ => match request.number::<i64>(1) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Reply::error("NOPROTO unsupported protocol version"),
            None => {
                return Reply::error("ERR Protocol version is not an integer or out of range");
            }
        },
    };
    if let Err(error) = hello_options(session, request) {
        return error;
    }
    if session.user.is_none() {
        return Reply::error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        );
    }
    session.protocol = protocol;
    let number = match protocol {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    session.client.note(|seen| seen.protocol = number);
    Reply::fields([
        ("server", Reply::text("redis")),
        ("version", info::reported_version(&session.port).into()),
        ("proto", Reply::Int(i64::from(number))),
        ("id", Reply::count(session.client.id)),
        ("mode", Reply::text("standalone")),
        ("role", Reply::text("replica")),
        ("modules", Reply::Array(Vec::new())),
    ])
}

fn hello_options(session: &mut Session, request: &Request) -> Result<(), Reply> {
    let mut at = 2;
    while at < request.len() {
        let left = request.len() - at - 1;
        if request.is(at, "AUTH") && left >= 2 {
            let answer = log_in(session, request.arg(at + 1), request.arg(at + 2));
            if answer != Reply::OK {
                return Err(answer);
            }
            at += 3;
        } else if request.is(at, "SETNAME") && left >= 1 {
            client::set_name(session, request.arg(at + 1))?;
            at += 2;
        } else {
            return Err(Reply::Error(
                format!("ERR Syntax error in HELLO option '{}'", request.text(at)).into(),
            ));
        }
    }
    Ok(())
}
