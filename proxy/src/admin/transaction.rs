//! MULTI and EXEC. Nothing can be written here, so a transaction is only a list of requests that
//! are answered together; Sentinel sends its REPLICAOF in one.

use super::client;
use super::reply::Reply;
use super::request::Request;
use super::session::Session;

/// Requests that one transaction may hold, and bytes of their arguments.
const QUEUED_MAX: usize = 1024;
const QUEUED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of answers that one EXEC may collect; the rest is errors.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// An open MULTI.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    pub requests: Vec<Request>,
    bytes: usize,
    /// A request was refused: EXEC will fail.
    pub broken: bool,
}

impl Transaction {
    /// Commands that are not queued.
    pub(crate) fn runs_at_once(name: &str) -> bool {
        matches!(
            name,
            "exec" | "discard" | "multi" | "watch" | "quit" | "reset"
        )
    }

    pub(crate) fn queue(&mut self, request: &Request) -> Reply {
        let bytes: usize = request.from(0).iter().map(|arg| arg.len()).sum();
        if self.requests.len() >= QUEUED_MAX || self.bytes + bytes > QUEUED_BYTES_MAX {
            self.broken = true;
            return Reply::error("ERR transaction is too large");
        }
        self.bytes += bytes;
        self.requests.push(request.clone());
        Reply::status("QUEUED")
    }
}

pub(crate) fn multi(session: &mut Session, _: &Request) -> Reply {
    if session.transaction.is_some() {
        return Reply::error("ERR MULTI calls can not be nested");
    }
    session.transaction = Some(Transaction::default());
    session.client.note(|seen| seen.queued = 0);
    Reply::OK
}

/// Takes the open transaction, if there is one.
fn end(session: &mut Session) -> Option<Transaction> {
    session.client.note(|seen| seen.queued = -1);
    session.transaction.take()
}

pub(crate) fn discard(session: &mut Session, _: &Request) -> Reply {
    match end(session) {
        Some(_) => Reply::OK,
        None => Reply::error("ERR DISCARD without MULTI"),
    }
}

pub(crate) fn watch(session: &mut Session, request: &Request) -> Reply {
    match session.transaction {
        Some(_) => Reply::error("ERR WATCH inside MULTI is not allowed"),
        None => client::accepted(session, request),
    }
}

/// EXEC.
pub(crate) async fn exec(session: &mut Session) -> Reply {
    let Some(transaction) = end(session) else {
        return Reply::error("ERR EXEC without MULTI");
    };
    if transaction.broken {
        return Reply::error("EXECABORT Transaction discarded because of previous errors.");
    }
    let mut replies = Vec::with_capacity(transaction.requests.len());
    let mut bytes = 0;
    for request in &transaction.requests {
        let reply = match bytes > ANSWER_BYTES_MAX {
            true => Reply::error("ERR the answers of this transaction are too large"),
            false => session.answer_one(request).await,
        };
        bytes += reply.weight();
        replies.push(reply);
    }
    Reply::Array(replies)
}
