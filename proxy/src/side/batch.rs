//! Reads with the stream offset of their instant.
//!
//! A single server is asked between MULTI and EXEC. A node of a cluster refuses transactions over
//! several slots, so it is asked in two ways:
//!
//! ```text
//!   INFO, reads.., INFO                       the same offset before and after: nothing came between
//!   for each slot: MULTI, INFO, reads, EXEC   otherwise, and an instant for each slot
//! ```
//!
//! One refused command makes EXEC refuse all (`-EXECABORT`), and one key can be refused alone: the
//! ACL rule `%R~*` of 7.0 does not match the empty name. So a batch that was refused is tried once
//! more without the keys at fault.

use redis_protocol::resp2::types::BytesFrame;
use replica_shim::Outbound;
use replica_shim::outbound::InfoSection;
use replica_shim::position::ReplId;

use super::client::{self, Client, SideError};
use super::info::Info;
use super::task::{Name, utf8};
use crate::fleet::Server;

/// The instant that an answer is true for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The history.
    pub replid: ReplId,
    /// The offset in it.
    pub offset: u64,
}

/// The stamp in the text of INFO replication.
pub(super) fn stamp(info: &str) -> Option<Stamp> {
    let info = Info(info);
    let stamp = info.replid().zip(info.offset());
    stamp.map(|(replid, offset)| Stamp { replid, offset })
}

/// Text of INFO and replies to the requests; both empty if the server refused.
pub(super) async fn exec(
    client: &mut Client,
    requests: &[Outbound<'_>],
) -> Result<(String, Vec<BytesFrame>), SideError> {
    match transact(client, requests).await? {
        Transaction::Done { info, replies } => Ok((info, replies)),
        Transaction::Refused(_) => Ok((String::new(), Vec::new())),
    }
}

/// The replies to one key's requests and their instant; no replies for a key that was refused.
pub(super) type Answer = (Option<Stamp>, Vec<BytesFrame>);

/// The replies to each key's requests, in the order of the keys; `requests` gets a key's place and
/// name.
pub(super) async fn read<'a>(
    client: &mut Client,
    server: &Server,
    names: &'a [Name],
    requests: impl Fn(usize, &'a Name) -> Vec<Outbound<'a>>,
) -> Result<Vec<Answer>, SideError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    if !server.cluster {
        return read_at_once(client, names, &requests).await;
    }
    if let Some(answers) = read_between(client, names, &requests).await? {
        return Ok(answers);
    }
    read_by_slot(client, names, &requests).await
}

/// All keys in one transaction.
async fn read_at_once<'a>(
    client: &mut Client,
    names: &'a [Name],
    requests: &impl Fn(usize, &'a Name) -> Vec<Outbound<'a>>,
) -> Result<Vec<Answer>, SideError> {
    const TRIES: usize = 2;
    let mut refused = vec![false; names.len()];
    for _ in 0..TRIES {
        let (all, owners) = lay_out(names, &refused, requests);
        match transact(client, &all).await? {
            Transaction::Done { info, replies } => {
                return Ok(deal(names.len(), stamp(&info), (replies, owners)));
            }
            Transaction::Refused(at) => {
                for owner in at
                    .into_iter()
                    .filter_map(|i| owners.get(i).copied().flatten())
                {
                    refused[owner] = true;
                }
            }
        }
    }
    Ok(unanswered(names))
}

/// Nothing can be used, and all of it is asked again soon.
fn unanswered(names: &[Name]) -> Vec<Answer> {
    names.iter().map(|_| (None, Vec::new())).collect()
}

/// A refusal that says nothing of the key: a node that comes back serves nobody for some seconds.
fn is_passing(reply: &BytesFrame) -> bool {
    let passing = ["CLUSTERDOWN", "LOADING", "MASTERDOWN"];
    client::error_text(reply).is_some_and(|text| passing.iter().any(|word| text.starts_with(word)))
}

/// All keys between two looks at the offset; `None` if the stream went on in between. A request
/// that is refused alone has an error for a reply.
async fn read_between<'a>(
    client: &mut Client,
    names: &'a [Name],
    requests: &impl Fn(usize, &'a Name) -> Vec<Outbound<'a>>,
) -> Result<Option<Vec<Answer>>, SideError> {
    let (mut all, mut owners) = lay_out(names, &vec![false; names.len()], requests);
    let look = Outbound::Info(InfoSection::Replication);
    all.insert(0, look);
    owners.insert(0, None);
    all.push(look);
    owners.push(None);
    let replies = client.ask(&all).await?;
    if replies.iter().any(is_passing) {
        return Ok(Some(unanswered(names)));
    }
    let instant = |reply: Option<&BytesFrame>| reply.and_then(|reply| stamp(&utf8(reply)));
    let (before, after) = (instant(replies.first()), instant(replies.last()));
    let still = before.is_some() && before == after;
    Ok(still.then(|| deal(names.len(), before, (replies, owners))))
}

/// A transaction for each key of its own: keys of one batch rarely share a slot.
async fn read_by_slot<'a>(
    client: &mut Client,
    names: &'a [Name],
    requests: &impl Fn(usize, &'a Name) -> Vec<Outbound<'a>>,
) -> Result<Vec<Answer>, SideError> {
    let look = Outbound::Info(InfoSection::Replication);
    let (mut all, mut ends) = (Vec::new(), Vec::new());
    for (i, name) in names.iter().enumerate() {
        all.extend([Outbound::Multi, look]);
        all.extend(requests(i, name));
        all.push(Outbound::Exec);
        ends.push(all.len() - 1);
    }
    let replies = client.ask(&all).await?;
    if replies.iter().any(is_passing) {
        return Ok(unanswered(names));
    }
    let done = ends.into_iter().map(|end| match replies.get(end) {
        Some(BytesFrame::Array(replies)) if !replies.is_empty() => {
            (stamp(&utf8(&replies[0])), replies[1..].to_vec())
        }
        Some(_) | None => (None, Vec::new()),
    });
    let mut answers: Vec<Answer> = done.collect();
    // A key that was refused alone is answered at the instant of any other: it says nothing.
    let known = answers.iter().find_map(|(stamp, _)| *stamp);
    for (stamp, _) in &mut answers {
        *stamp = stamp.or(known);
    }
    Ok(answers)
}

/// Gives each key the replies to its requests.
fn deal(
    keys: usize,
    stamp: Option<Stamp>,
    (replies, owners): (Vec<BytesFrame>, Vec<Option<usize>>),
) -> Vec<Answer> {
    let mut answers: Vec<Answer> = (0..keys).map(|_| (stamp, Vec::new())).collect();
    for (reply, owner) in replies.into_iter().zip(owners) {
        if let Some((_, answer)) = owner.and_then(|i| answers.get_mut(i)) {
            answer.push(reply);
        }
    }
    answers
}

/// All requests in order, and which key each is for; `None` for a SELECT.
fn lay_out<'a>(
    names: &'a [Name],
    refused: &[bool],
    requests: &impl Fn(usize, &'a Name) -> Vec<Outbound<'a>>,
) -> (Vec<Outbound<'a>>, Vec<Option<usize>>) {
    let (mut all, mut owners) = (Vec::new(), Vec::new());
    let mut selected = None;
    let kept = names
        .iter()
        .enumerate()
        .zip(refused)
        .filter(|(_, refused)| !**refused);
    for ((i, name), _) in kept {
        if selected != Some(name.db) {
            selected = Some(name.db);
            all.push(Outbound::Select(name.db));
            owners.push(None);
        }
        for request in requests(i, name) {
            all.push(request);
            owners.push(Some(i));
        }
    }
    (all, owners)
}

enum Transaction {
    Done {
        info: String,
        replies: Vec<BytesFrame>,
    },
    /// The positions of the requests that were refused.
    Refused(Vec<usize>),
}

async fn transact(
    client: &mut Client,
    requests: &[Outbound<'_>],
) -> Result<Transaction, SideError> {
    let head = [Outbound::Multi, Outbound::Info(InfoSection::Replication)];
    let before = head.len();
    let all: Vec<_> = head
        .into_iter()
        .chain(requests.iter().copied())
        .chain([Outbound::Exec])
        .collect();
    let mut queued = client.ask(&all).await?;
    if let Some(BytesFrame::Array(mut replies)) = queued.pop()
        && !replies.is_empty()
    {
        let info = utf8(&replies.remove(0));
        return Ok(Transaction::Done { info, replies });
    }
    let refused = queued.iter().enumerate().skip(before);
    let refused = refused.filter(|(_, reply)| client::error_text(reply).is_some());
    Ok(Transaction::Refused(
        refused.map(|(i, _)| i - before).collect(),
    ))
}
