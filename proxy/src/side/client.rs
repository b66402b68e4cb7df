//! One connection that asks and is answered: requests of the closed outbound list, pipelined,
//! replies whole.

use std::time::Duration;

use analyzer::profile::{Family, Version};
use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::decode::decode_bytes;
use redis_protocol::resp2::types::BytesFrame;
use replica_shim::Outbound;
use replica_shim::outbound::Secret;
use secrecy::ExposeSecret;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::config;
use crate::fleet::{Loss, Server};
use crate::link::connect::{self, Connection, DialError};
use crate::side::skim::{Skim, SkimError};
use crate::source::{Credentials, Source};

/// Longest wait for the replies to one batch.
const REPLY_LIMIT: Duration = Duration::from_secs(15);

/// What a reply may have beyond the largest value that is read: names, INFO, framing.
const REPLY_EXTRA: usize = 16 * 1024 * 1024;

/// Block size of reads.
const READ_BYTES: usize = 64 * 1024;

/// Why there are no replies.
#[derive(Debug, Error)]
pub enum SideError {
    /// No connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection broke.
    #[error("second connection")]
    Broken(#[from] std::io::Error),
    /// It was closed.
    #[error("second connection closed by the server")]
    Closed,
    /// No reply in time.
    #[error("no reply on the second connection within {} ms", REPLY_LIMIT.as_millis())]
    Silent,
    /// The reply is not one.
    #[error("reply on the second connection")]
    Reply(#[from] SkimError),
    /// The reply does not decode.
    #[error("a reply on the second connection does not decode")]
    Decode,
    /// Credentials were refused.
    #[error("AUTH was refused: {0}")]
    Denied(String),
}

impl SideError {
    /// True if what was asked may be more than the server or we can bear.
    pub fn is_too_much(&self) -> bool {
        match self {
            SideError::Silent | SideError::Reply(SkimError::Limit(..)) => true,
            SideError::Dial(_)
            | SideError::Broken(_)
            | SideError::Closed
            | SideError::Reply(SkimError::Kind(_) | SkimError::Length)
            | SideError::Decode
            | SideError::Denied(_) => false,
        }
    }

    /// The reason to count.
    pub fn loss(&self) -> Loss {
        match self {
            SideError::Dial(e) => e.loss(),
            // What TLS has to say after the handshake comes as invalid data.
            SideError::Broken(e) if e.kind() == std::io::ErrorKind::InvalidData => Loss::Tls,
            SideError::Broken(_) | SideError::Closed => Loss::Closed,
            SideError::Silent => Loss::Silent,
            SideError::Reply(_) | SideError::Decode => Loss::Corrupt,
            SideError::Denied(_) => Loss::Denied,
        }
    }
}

/// Where and how to connect.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server.
    pub source: Source,
    /// Links.
    pub link: config::Link,
    /// TLS.
    pub tls: config::Tls,
    /// Largest value that will be asked for.
    pub value_bytes_max: u64,
}

impl Target {
    /// The credentials to use: the URL's, else the configuration's.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.source
            .credentials
            .as_ref()
            .or(self.link.credentials.as_ref())
    }
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    input: BytesMut,
    output: Vec<u8>,
    skim: Skim,
}

impl Client {
    /// Connects and authenticates.
    ///
    /// # Errors
    /// No connection, or credentials are refused.
    pub async fn connect(target: &Target) -> Result<Client, SideError> {
        let limit = target.link.connect_timeout;
        let connection = connect::dial(&target.source, &target.tls, limit).await?;
        let value_max = usize::try_from(target.value_bytes_max).unwrap_or(usize::MAX);
        let mut client = Client {
            connection,
            input: BytesMut::with_capacity(READ_BYTES),
            output: Vec::new(),
            skim: Skim::new(value_max.saturating_mul(2).saturating_add(REPLY_EXTRA)),
        };
        if let Some(credentials) = target.credentials() {
            let auth = Outbound::Auth {
                user: credentials.user.as_deref(),
                password: Secret(credentials.password.expose_secret().as_bytes()),
            };
            if let Some(text) = error_text(&client.ask_one(&auth).await?) {
                return Err(SideError::Denied(text.to_owned()));
            }
        }
        // The name is a courtesy: without the right to it nothing is lost.
        client
            .ask_one(&Outbound::ClientSetName(&target.link.client_name))
            .await?;
        Ok(client)
    }

    /// Makes reads leave no trace where the server can do that, and work on a cluster's replica.
    ///
    /// # Errors
    /// The connection failed. Refusals are no error.
    pub async fn settle_in(&mut self, server: &Server) -> Result<(), SideError> {
        if can_leave_no_trace(server) {
            self.ask_one(&Outbound::ClientNoTouch).await?;
        }
        if server.cluster {
            self.ask_one(&Outbound::ReadOnly).await?;
        }
        Ok(())
    }

    /// Asks one thing.
    ///
    /// # Errors
    /// The connection failed; it must not be used again.
    pub async fn ask_one(&mut self, request: &Outbound<'_>) -> Result<BytesFrame, SideError> {
        let mut replies = self.ask(std::slice::from_ref(request)).await?;
        replies.pop().ok_or(SideError::Decode)
    }

    /// Asks in one pipeline; one reply each, in order. Error replies are replies.
    ///
    /// # Errors
    /// The connection failed; it must not be used again.
    pub async fn ask(&mut self, requests: &[Outbound<'_>]) -> Result<Vec<BytesFrame>, SideError> {
        self.output.clear();
        for request in requests {
            request.encode(&mut self.output);
        }
        let exchange = self.exchange(requests.len());
        timeout(REPLY_LIMIT, exchange)
            .await
            .map_err(|_| SideError::Silent)?
    }

    /// Sends a request whose replies [`Client::next`] gives, as they come.
    ///
    /// # Errors
    /// The connection failed; it must not be used again.
    pub async fn send(&mut self, request: &Outbound<'_>) -> Result<(), SideError> {
        self.output.clear();
        request.encode(&mut self.output);
        let send = async {
            self.connection.writer.write_all(&self.output).await?;
            self.connection.writer.flush().await
        };
        let sent = timeout(REPLY_LIMIT, send).await;
        Ok(sent.map_err(|_| SideError::Silent)??)
    }

    /// The next reply, however long it takes. Nothing is lost if the wait is given up.
    ///
    /// # Errors
    /// The connection failed; it must not be used again.
    pub async fn next(&mut self) -> Result<BytesFrame, SideError> {
        loop {
            if let Some(end) = self.skim.find_end(&self.input)? {
                return decode(&self.input.split_to(end).freeze());
            }
            self.fill().await?;
        }
    }

    async fn exchange(&mut self, count: usize) -> Result<Vec<BytesFrame>, SideError> {
        self.connection.writer.write_all(&self.output).await?;
        self.connection.writer.flush().await?;
        let mut replies = Vec::with_capacity(count);
        while replies.len() < count {
            match self.skim.find_end(&self.input)? {
                Some(end) => replies.push(decode(&self.input.split_to(end).freeze())?),
                None => self.fill().await?,
            }
        }
        Ok(replies)
    }

    async fn fill(&mut self) -> Result<(), SideError> {
        self.input.reserve(READ_BYTES);
        match self.connection.reader.read_buf(&mut self.input).await? {
            0 => Err(SideError::Closed),
            _ => Ok(()),
        }
    }
}

/// Whether NO-TOUCH is there and harmless. Never on a cluster's node: Redis 8.0 and Valkey 8.1 die
/// of a read with it of a key whose slot moves (`lookupKey` from `getNodeByQuery`, before there is
/// an executing client; mended by redis/redis#14415 and valkey-io/valkey#2347).
fn can_leave_no_trace(server: &Server) -> bool {
    let known = match server.family {
        Family::Redis => server.version >= Version::new(7, 2),
        Family::Valkey => true,
    };
    known && !server.cluster
}

fn decode(reply: &Bytes) -> Result<BytesFrame, SideError> {
    match decode_bytes(reply) {
        Ok(Some((frame, _))) => Ok(frame),
        Ok(None) | Err(_) => Err(SideError::Decode),
    }
}

/// The text of an error reply.
pub fn error_text(frame: &BytesFrame) -> Option<&str> {
    match frame {
        BytesFrame::Error(text) => Some(text),
        BytesFrame::SimpleString(_)
        | BytesFrame::Integer(_)
        | BytesFrame::BulkString(_)
        | BytesFrame::Array(_)
        | BytesFrame::Null => None,
    }
}

/// The bytes of a string reply.
pub fn text(frame: &BytesFrame) -> Option<&Bytes> {
    match frame {
        BytesFrame::SimpleString(bytes) | BytesFrame::BulkString(bytes) => Some(bytes),
        BytesFrame::Error(_) | BytesFrame::Integer(_) | BytesFrame::Array(_) | BytesFrame::Null => {
            None
        }
    }
}

/// The number of an integer reply.
pub fn integer(frame: &BytesFrame) -> Option<i64> {
    match frame {
        BytesFrame::Integer(number) => Some(*number),
        BytesFrame::SimpleString(_)
        | BytesFrame::Error(_)
        | BytesFrame::BulkString(_)
        | BytesFrame::Array(_)
        | BytesFrame::Null => None,
    }
}

/// The members of an array reply.
pub fn members(frame: &BytesFrame) -> Option<&[BytesFrame]> {
    match frame {
        BytesFrame::Array(members) => Some(members),
        BytesFrame::SimpleString(_)
        | BytesFrame::Error(_)
        | BytesFrame::Integer(_)
        | BytesFrame::BulkString(_)
        | BytesFrame::Null => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reshard under our re-reads ended a Redis 8.0.2.
    #[test]
    fn no_touch_is_never_asked_of_a_clusters_node() {
        for (family, major, minor, cluster, expected) in [
            (Family::Redis, 7, 0, false, false),
            (Family::Redis, 8, 0, false, true),
            (Family::Valkey, 8, 1, false, true),
            (Family::Redis, 8, 0, true, false),
            (Family::Valkey, 9, 1, true, false),
        ] {
            let server = Server {
                family,
                version: Version::new(major, minor),
                run_id: String::new(),
                cluster,
                upstream: None,
                used_memory: None,
            };
            assert_eq!(can_leave_no_trace(&server), expected, "{server:?}");
        }
    }
}
