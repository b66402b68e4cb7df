//! Subscriptions. Events are published on channels that begin with `ks.`
//! ([`crate::watch`]); on all others there is never anything, as Sentinel needs it: it subscribes to
//! its hello channel on every replica and only watches that the connection lives.

use std::collections::BTreeSet;

use analyzer::glob::Glob;
use bytes::{Bytes, BytesMut};

use super::reply::Reply;
use super::request::Request;
use super::session::Session;
use crate::watch::Heard;

/// What channels of events begin with.
const OWN: &[u8] = b"ks.";

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

/// Messages of an event to a client: one for its channel and for each pattern that matches, as
/// servers do it.
pub(crate) fn messages(session: &Session, heard: &Heard) -> Vec<Reply> {
    let event = &heard.event;
    let channel = || Reply::text(&event.channel);
    let mut replies = Vec::new();
    if session.channels.contains(event.channel.as_bytes()) {
        let payload = payload(heard);
        replies.push(Reply::Push(vec![
            Reply::text("message"),
            channel(),
            payload,
        ]));
    }
    for pattern in &session.patterns {
        if Glob::new(pattern).matches(event.channel.as_bytes()) {
            let name = Reply::Bulk(pattern.clone());
            let payload = payload(heard);
            replies.push(Reply::Push(vec![
                Reply::text("pmessage"),
                name,
                channel(),
                payload,
            ]));
        }
    }
    replies
}

/// The JSON object, with what the client missed before it.
fn payload(heard: &Heard) -> Reply {
    let payload = &heard.event.payload;
    let Some(open) = payload.strip_suffix(b"}").filter(|_| heard.missed > 0) else {
        return Reply::Bulk(payload.clone());
    };
    let mut with = BytesMut::from(open);
    with.extend_from_slice(format!(",\"missed\":{}}}", heard.missed).as_bytes());
    Reply::Bulk(with.freeze())
}

fn note(session: &mut Session) {
    let (channels, patterns) = (session.channels.len(), session.patterns.len());
    // Whoever only waits for Sentinel's messages keeps no place in the ring.
    let own = session.channels.iter().any(|name| name.starts_with(OWN));
    match &session.listener {
        None if own || patterns > 0 => session.listener = Some(session.port.fleet.hub.listen()),
        Some(_) if !own && patterns == 0 => session.listener = None,
        Some(_) | None => {}
    }
    session.client.note(|seen| {
        seen.channels = channels;
        seen.patterns = patterns;
    });
}
