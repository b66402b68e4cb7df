//! Asking one server about its deployment, and turning its frames into what `cluster_map` reads.
//!
//! Every version has CLUSTER NODES; CLUSTER SHARDS (7.0 and later) complements it with endpoints,
//! offsets and shard ids. Where CLUSTER NODES is not permitted, CLUSTER SHARDS or SLOTS stands in.

use std::collections::BTreeMap;

use cluster_map::report::Report;
use cluster_map::sentinel::{self, Row, Watched};
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

/// Masters that a Sentinel is asked about at once.
const BATCH: usize = 64;

/// What a Sentinel says.
#[derive(Debug)]
pub struct Survey {
    /// Its masters.
    pub report: sentinel::Report,
    /// The other Sentinels that it knows.
    pub others: Others,
    /// Masters beyond [`MASTERS_MAX`], of which nothing was asked.
    pub left_out: usize,
}

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
    pub async fn sentinel(&mut self, names: &[String]) -> Result<Survey, AskError> {
        let reply = self.client.ask_one(&Outbound::SentinelMasters).await?;
        let rows = sentinel::masters(&value(&reply))?;
        let (rows, left_out) = chosen(rows, names);
        let mut survey = Survey {
            report: sentinel::Report {
                asked: self.asked.addr.clone(),
                masters: Vec::with_capacity(rows.len()),
            },
            others: Others::new(),
            left_out,
        };
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let batch: Vec<Row> = rows.by_ref().take(BATCH).collect();
            self.watched(batch, &mut survey).await?;
        }
        Ok(survey)
    }

    /// What it says of a batch of masters, in one round trip: one for each would take longer than a
    /// look may, from some hundred masters a few milliseconds away on.
    async fn watched(&mut self, batch: Vec<Row>, survey: &mut Survey) -> Result<(), AskError> {
        let requests: Vec<Outbound<'_>> = batch.iter().flat_map(questions).collect();
        let replies = self.client.ask(&requests).await?;
        let mut replies = replies.chunks_exact(3);
        for master in batch {
            let Some([addr, replicas, sentinels]) = replies.next() else {
                return Err(SideError::Decode.into());
            };
            let found = sentinel::sentinels(&value(sentinels))?;
            let found = found.into_iter().filter_map(|row| row.addr);
            survey.others.insert(master.name.clone(), found.collect());
            survey.report.masters.push(Watched {
                addr: sentinel::addr(&value(addr))?,
                replicas: sentinel::replicas(&value(replicas))?,
                master,
            });
        }
        Ok(())
    }
}

fn questions(master: &Row) -> [Outbound<'_>; 3] {
    [
        Outbound::SentinelMasterAddress(&master.name),
        Outbound::SentinelReplicas(&master.name),
        Outbound::SentinelSentinels(&master.name),
    ]
}

/// The masters of those names, of all if there are none: the first [`MASTERS_MAX`] by name, for a
/// Sentinel tells of them in an order of its own; and how many are left out.
fn chosen(rows: Vec<Row>, names: &[String]) -> (Vec<Row>, usize) {
    let wanted = |row: &Row| names.is_empty() || names.iter().any(|name| **name == *row.name);
    let mut rows: Vec<Row> = rows.into_iter().filter(wanted).collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let left_out = rows.len().saturating_sub(MASTERS_MAX);
    rows.truncate(MASTERS_MAX);
    (rows, left_out)
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
    use cluster_map::Health;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::{Config, raw::Raw};
    use crate::source::Spec;

    fn row(number: usize) -> Row {
        Row {
            name: format!("m{number:04}").into(),
            addr: None,
            health: Health::Online,
            epoch: 0,
            offset: None,
            others: 0,
            quorum: 0,
        }
    }

    /// A Sentinel tells of its masters in the order of a hash table: each look had others.
    #[test]
    fn of_too_many_masters_the_same_are_left_out() {
        let all = MASTERS_MAX + 2;
        let mut rows: Vec<Row> = (0..all).map(row).collect();
        let (first, left_out) = chosen(rows.clone(), &[]);
        assert_eq!((first.len(), left_out), (MASTERS_MAX, 2));
        assert_eq!(&*first.last().unwrap().name, "m0999");
        rows.reverse();
        assert_eq!(chosen(rows.clone(), &[]).0, first);
        let (named, left_out) = chosen(rows, &["m1001".to_owned(), "other".to_owned()]);
        assert_eq!((named, left_out), (vec![row(MASTERS_MAX + 1)], 0));
    }

    fn fake_answer(request: &str, masters: usize) -> String {
        let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
        let row = |number| {
            let words = ["name", &row(number).name, "ip", "10.0.0.1", "port", "6379"];
            format!("*6\r\n{}", words.map(bulk).concat())
        };
        if request.contains("get-master-addr") {
            format!("*2\r\n{}{}", bulk("10.0.0.1"), bulk("6379"))
        } else if request.contains("masters") {
            let rows: String = (0..masters).map(row).collect();
            format!("*{masters}\r\n{rows}")
        } else if request.contains("client") {
            "+OK\r\n".to_owned()
        } else {
            "*0\r\n".to_owned()
        }
    }

    /// A Sentinel of so many masters, which says how often it had to wait for a request.
    async fn fake_sentinel(listener: TcpListener, masters: usize) -> usize {
        let (mut stream, _) = listener.accept().await.unwrap();
        // A request begins with an asterisk, and has no other.
        let is_whole = |request: &&str| {
            let words = request.split("\r\n").next().unwrap().parse::<usize>();
            words.is_ok_and(|words| request.matches("\r\n").count() == 2 * words + 1)
        };
        let (mut input, mut waits) = (String::new(), 0);
        let mut read = vec![0; 1 << 16];
        while let Ok(count @ 1..) = stream.read(&mut read).await {
            waits += 1;
            input += &String::from_utf8_lossy(&read[..count]).to_lowercase();
            let mut rest = 0;
            let mut output = String::new();
            for request in input.split('*').skip(1).take_while(is_whole) {
                rest += 1 + request.len();
                output += &fake_answer(request, masters);
            }
            input.drain(..rest);
            stream.write_all(output.as_bytes()).await.unwrap();
        }
        waits
    }

    /// A thousand masters of a Sentinel 5 ms away took five seconds, and a look has three.
    #[tokio::test]
    async fn many_masters_take_few_round_trips() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let sentinel = tokio::spawn(fake_sentinel(listener, 3 * BATCH + 1));
        let config = Config::from_raw(Raw::default()).unwrap();
        let target = crate::app::target(&config, Spec::parse(&url).unwrap().first());
        let mut witness = Witness::connect(&target).await.unwrap();
        let survey = witness.sentinel(&[]).await.unwrap();
        assert_eq!(survey.report.masters.len(), 3 * BATCH + 1);
        assert_eq!(survey.others.len(), 3 * BATCH + 1);
        let last = survey.report.masters.last().unwrap();
        assert_eq!(&*last.master.name, "m0192");
        assert_eq!(last.addr, Addr::new("10.0.0.1", 6379));
        drop(witness);
        // Its name, the masters, four batches; and a batch may come in two pieces.
        let waits = sentinel.await.unwrap();
        assert!(waits <= 10, "{waits}");
    }

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
