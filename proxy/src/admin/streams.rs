//! XINFO, without the entries that only the master has.

use std::cmp::Ordering;

use super::points::{GIVEN_UP, WRONGTYPE, now_ms};
use super::reply::Reply;
use super::request::Request;
use super::session::Session;
use crate::model::ask::{Ask, ConsumerFacts, GroupFacts, Looked, StreamFacts, StreamId};

/// The stream of that name, from its owner or the first master that has such a key.
async fn look(session: &Session, key: &[u8]) -> Result<StreamFacts, Reply> {
    let db = session.db;
    let ask = |reply| Ask::StreamInfo {
        db,
        key: key.to_vec(),
        reply,
    };
    let found = |looked| match looked {
        Looked::Missing => None,
        Looked::WrongType => Some(Err(WRONGTYPE)),
        Looked::GivenUp => Some(Err(GIVEN_UP)),
        Looked::Found(facts) => Some(Ok(facts)),
    };
    let scope = session.scope()?;
    match scope.find(key, ask, found).await? {
        Some(looked) => looked,
        None => Err(Reply::error("ERR no such key")),
    }
}

pub(crate) async fn stream(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let facts = look(session, request.arg(2)).await?;
    Ok(Reply::fields([
        ("length", Reply::count(facts.length)),
        ("radix-tree-keys", Reply::count(facts.nodes)),
        ("last-generated-id", id(facts.last)),
        ("max-deleted-entry-id", id(facts.max_deleted)),
        ("entries-added", Reply::count(facts.entries_added)),
        ("recorded-first-entry-id", id(facts.first)),
        ("groups", Reply::count(facts.groups.len() as u64)),
        // The entries themselves are values.
        ("first-entry", Reply::Null),
        ("last-entry", Reply::Null),
    ]))
}

pub(crate) async fn groups(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let facts = look(session, request.arg(2)).await?;
    let group = |group: &GroupFacts| {
        let lag = lag(&facts, group);
        Reply::fields([
            ("name", Reply::text(&group.name)),
            ("consumers", Reply::count(group.consumers.len() as u64)),
            ("pending", Reply::count(group.pending)),
            ("last-delivered-id", id(group.last)),
            (
                "entries-read",
                group.entries_read.map_or(Reply::Null, Reply::count),
            ),
            ("lag", lag.map_or(Reply::Null, Reply::count)),
        ])
    };
    Ok(Reply::Array(facts.groups.iter().map(group).collect()))
}

/// Entries that the group has not read, where it follows from the stream's own figures (t_stream.c
/// `streamReplyWithCGLag`). A group with a read counter may have deleted entries behind it, in which
/// case the servers say nothing; where those lie is known here only by the largest of them.
fn lag(stream: &StreamFacts, group: &GroupFacts) -> Option<u64> {
    if stream.entries_added == 0 {
        return Some(0);
    }
    let holes = stream.max_deleted > group.last && stream.max_deleted >= stream.first;
    if let Some(read) = group.entries_read.filter(|_| !holes) {
        return Some(stream.entries_added.saturating_sub(read));
    }
    read_up_to(stream, group.last).map(|read| stream.entries_added.saturating_sub(read))
}

/// How many entries were ever added up to this id, where that is certain
/// (`streamEstimateDistanceFromFirstEverEntry`).
fn read_up_to(stream: &StreamFacts, id: StreamId) -> Option<u64> {
    if id == stream.last || stream.length == 0 && id < stream.last {
        return Some(stream.entries_added);
    }
    let whole = stream.max_deleted == (0, 0) || stream.max_deleted < stream.first;
    let before = stream.entries_added.checked_sub(stream.length)?;
    match id.cmp(&stream.first) {
        Ordering::Less if whole => Some(before),
        Ordering::Equal if whole => Some(before + 1),
        Ordering::Less | Ordering::Equal | Ordering::Greater => None,
    }
}

pub(crate) async fn consumers(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let facts = look(session, request.arg(2)).await?;
    let wanted = request.arg(3);
    let Some(group) = facts.groups.iter().find(|group| group.name == wanted) else {
        return Err(Reply::Error(
            format!(
                "NOGROUP No such consumer group '{}' for key name '{}'",
                request.text(3),
                request.text(2)
            )
            .into(),
        ));
    };
    let now = now_ms();
    let consumer = |consumer: &ConsumerFacts| {
        let since = |at: i64| Reply::Int(now.saturating_sub(at).max(0));
        Reply::fields([
            ("name", Reply::text(&consumer.name)),
            ("pending", Reply::count(consumer.pending)),
            ("idle", since(consumer.seen_ms)),
            ("inactive", consumer.active_ms.map_or(Reply::Int(-1), since)),
        ])
    };
    Ok(Reply::Array(group.consumers.iter().map(consumer).collect()))
}

fn id((ms, seq): StreamId) -> Reply {
    format!("{ms}-{seq}").into()
}
