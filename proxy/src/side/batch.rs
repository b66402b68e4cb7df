//! Reads between MULTI and EXEC, with the stream offset of their instant.
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

/// The replies to each key's requests, none for a key that was refused, and their common instant.
pub(super) async fn read<'a>(
    client: &mut Client,
    names: &'a [Name],
    requests: impl Fn(&'a Name) -> Vec<Outbound<'a>>,
) -> Result<(Option<Stamp>, Vec<Vec<BytesFrame>>), SideError> {
    const TRIES: usize = 2;
    let mut answers: Vec<Vec<BytesFrame>> = names.iter().map(|_| Vec::new()).collect();
    if names.is_empty() {
        return Ok((None, answers));
    }
    let mut refused = vec![false; names.len()];
    for _ in 0..TRIES {
        let (all, owners) = lay_out(names, &refused, &requests);
        match transact(client, &all).await? {
            Transaction::Done { info, replies } => {
                for (reply, owner) in replies.into_iter().zip(owners) {
                    if let Some(answer) = owner.and_then(|i| answers.get_mut(i)) {
                        answer.push(reply);
                    }
                }
                return Ok((stamp(&info), answers));
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
    Ok((None, answers))
}

/// All requests in order, and which key each is for; `None` for a SELECT.
fn lay_out<'a>(
    names: &'a [Name],
    refused: &[bool],
    requests: &impl Fn(&'a Name) -> Vec<Outbound<'a>>,
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
        for request in requests(name) {
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
