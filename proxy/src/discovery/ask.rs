//! Asking one server about its deployment, and turning its frames into what `cluster_map` reads.
//!
//! Every version has CLUSTER NODES; CLUSTER SHARDS (7.0 and later) complements it with endpoints,
//! offsets and shard ids. Where CLUSTER NODES is not permitted, CLUSTER SHARDS or SLOTS stands in.

use std::collections::BTreeMap;

use cluster_map::report::Report;
use cluster_map::sentinel::{self, Watched};
use cluster_map::{Addr, Asked, NodeId, Value, nodes_text, shards, slots_reply};
use redis_protocol::resp2::types::BytesFrame;
use replica_shim::Outbound;
use thiserror::Error;

use crate::side::client::{Client, SideError, Target};
use crate::source::Source;

/// Masters of Sentinel that one process follows at most.
pub const MASTERS_MAX: usize = 1_000;

/// Other Sentinels that one knows, by the name of the master that they watch.
pub type Others = BTreeMap<Box<str>, Vec<Addr>>;

/// Why a server said nothing of use.
#[derive(Debug, Error)]
pub enum AskError {
    /// The connection.
    #[error(transparent)]
    Side(#[from] SideError),
    /// The answer.
    #[error(transparent)]
    Answer(#[from] cluster_map::Error),
}

/// A connection to someone who is asked.
#[derive(Debug)]
pub struct Witness {
    client: Client,
    asked: Asked,
    /// It knows CLUSTER SHARDS, as far as we know.
    shards: bool,
}

impl Witness {
    /// Connects.
    ///
    /// # Errors
    /// No connection, or credentials are refused.
    pub async fn connect(target: &Target) -> Result<Witness, SideError> {
        let source = &target.source;
        let asked = Asked {
            addr: source.addr(),
            tls: source.tls,
        };
        Ok(Witness {
            client: Client::connect(target).await?,
            asked,
            shards: true,
        })
    }

    /// What a node of a cluster says.
    ///
    /// # Errors
    /// The connection failed, or no answer could be read.
    pub async fn cluster(&mut self) -> Result<Report, AskError> {
        let nodes = value(&self.client.ask_one(&Outbound::ClusterNodes).await?);
        let nodes = nodes_text::parse(&nodes, &self.asked);
        if self.shards {
            let reply = value(&self.client.ask_one(&Outbound::ClusterShards).await?);
            // An error before 7.0, or without the right to it: not asked on this connection again.
            self.shards = !matches!(reply, Value::Error(_));
            match (&nodes, shards::parse(&reply, &self.asked)) {
                (_, Err(error)) if self.shards => {
                    tracing::debug!(asked = %self.asked.addr, %error, "CLUSTER SHARDS");
                }
                (_, Err(_)) => {}
                (Ok(nodes), Ok(shards)) => {
                    let mut report = nodes.clone();
                    report.complement(&shards);
                    return Ok(report);
                }
                (Err(_), Ok(shards)) => return Ok(shards),
            }
        }
        match nodes {
            Ok(report) => Ok(report),
            Err(error) => {
                let reply = value(&self.client.ask_one(&Outbound::ClusterSlots).await?);
                // What CLUSTER NODES was refused for says more than that SLOTS was refused too.
                slots_reply::parse(&reply, &self.asked).map_err(|_| error.into())
            }
        }
    }

    /// What a Sentinel says of the masters of those names, of all if there are none; and for each of
    /// them the other Sentinels that it knows.
    ///
    /// # Errors
    /// The connection failed, or an answer could not be read.
    pub async fn sentinel(
        &mut self,
        names: &[String],
    ) -> Result<(sentinel::Report, Others), AskError> {
        let reply = self.client.ask_one(&Outbound::SentinelMasters).await?;
        let rows = sentinel::masters(&value(&reply))?;
        let mut report = sentinel::Report {
            asked: self.asked.addr.clone(),
            masters: Vec::new(),
        };
        let mut others = Others::new();
        let wanted = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
        let rows = rows.into_iter().filter(|row| wanted(&row.name));
        for master in rows.take(MASTERS_MAX) {
            let requests = [
                Outbound::SentinelMasterAddress(&master.name),
                Outbound::SentinelReplicas(&master.name),
                Outbound::SentinelSentinels(&master.name),
            ];
            let replies = self.client.ask(&requests).await?;
            let [addr, replicas, sentinels] = replies.as_slice() else {
                return Err(SideError::Decode.into());
            };
            let found = sentinel::sentinels(&value(sentinels))?;
            let found = found.into_iter().filter_map(|row| row.addr);
            others.insert(master.name.clone(), found.collect());
            report.masters.push(Watched {
                addr: sentinel::addr(&value(addr))?,
                replicas: sentinel::replicas(&value(replicas))?,
                master,
            });
        }
        Ok((report, others))
    }
}

/// Which node of a cluster the server at the other end is; `None` if it does not say.
///
/// # Errors
/// The connection failed.
pub async fn myself(client: &mut Client, source: &Source) -> Result<Option<NodeId>, SideError> {
    let asked = Asked {
        addr: source.addr(),
        tls: source.tls,
    };
    let reply = value(&client.ask_one(&Outbound::ClusterNodes).await?);
    let report = nodes_text::parse(&reply, &asked).ok();
    Ok(report.and_then(|report| report.myself().cloned()))
}

/// A frame, free of its protocol. The skim in front of the decoder has bounded its depth and size.
fn value(frame: &BytesFrame) -> Value {
    match frame {
        BytesFrame::SimpleString(bytes) | BytesFrame::BulkString(bytes) => Value::text(bytes),
        BytesFrame::Error(text) => Value::Error(text.to_string()),
        BytesFrame::Integer(number) => Value::Int(*number),
        BytesFrame::Array(members) => Value::List(members.iter().map(value).collect()),
        BytesFrame::Null => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_become_values() {
        let frame = BytesFrame::Array(vec![
            BytesFrame::Integer(-1),
            BytesFrame::BulkString("a".into()),
            BytesFrame::Array(vec![BytesFrame::Null]),
            BytesFrame::Error("ERR no".into()),
        ]);
        let expected = Value::List(vec![
            Value::Int(-1),
            Value::text("a"),
            Value::List(vec![Value::Null]),
            Value::Error("ERR no".to_owned()),
        ]);
        assert_eq!(value(&frame), expected);
    }
}
