//! Subscriptions, as Sentinel needs them: it subscribes to its hello channel on every replica and
//! only watches that the connection lives. Nothing is ever published.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::reply::Reply;
use super::request::Request;
use super::session::Session;

/// Channels and patterns of one client, each.
const SUBSCRIPTIONS_MAX: usize = 1024;

pub(crate) fn subscribe(session: &mut Session, request: &Request) -> Reply {
    add(session, request, "subscribe", |session| {
        &mut session.channels
    })
}

pub(crate) fn psubscribe(session: &mut Session, request: &Request) -> Reply {
    add(session, request, "psubscribe", |session| {
        &mut session.patterns
    })
}

pub(crate) fn unsubscribe(session: &mut Session, request: &Request) -> Reply {
    remove(session, request, "unsubscribe", |session| {
        &mut session.channels
    })
}

pub(crate) fn punsubscribe(session: &mut Session, request: &Request) -> Reply {
    remove(session, request, "punsubscribe", |session| {
        &mut session.patterns
    })
}

type Set = fn(&mut Session) -> &mut BTreeSet<Bytes>;

fn add(session: &mut Session, request: &Request, word: &'static str, set: Set) -> Reply {
    let names = request.from(1);
    if set(session).len() + names.len() > SUBSCRIPTIONS_MAX {
        return Reply::error("ERR too many subscriptions");
    }
    let pushes = names.iter().map(|name| {
        // The name is a slice of the read buffer, which must not live as long as the client.
        set(session).insert(Bytes::copy_from_slice(name));
        push(session, word, Reply::Bulk(name.clone()))
    });
    let replies = Reply::Several(pushes.collect());
    note(session);
    replies
}

fn remove(session: &mut Session, request: &Request, word: &'static str, set: Set) -> Reply {
    let names: Vec<Bytes> = match request.from(1) {
        [] => set(session).iter().cloned().collect(),
        names => names.to_vec(),
    };
    if names.is_empty() {
        return push(session, word, Reply::Null);
    }
    let pushes = names.into_iter().map(|name| {
        set(session).remove(&name);
        push(session, word, Reply::Bulk(name))
    });
    let replies = Reply::Several(pushes.collect());
    note(session);
    replies
}

fn push(session: &Session, word: &'static str, name: Reply) -> Reply {
    let left = session.channels.len() + session.patterns.len();
    Reply::Push(vec![Reply::text(word), name, Reply::count(left as u64)])
}

fn note(session: &Session) {
    let (channels, patterns) = (session.channels.len(), session.patterns.len());
    session.client.note(|seen| {
        seen.channels = channels;
        seen.patterns = patterns;
    });
}
