//! Serving one owner on the second connection: polls, re-reads, and the question whether the server
//! shuts down.
//!
//! Reads of keys are offset-stamped: `MULTI, INFO replication, reads.., EXEC` gives them and the
//! stream offset of the same instant, so that the owner can fit them in exactly
//! (`reference/replication.md` 6.5). When the connection fails, the request that was under way is
//! answered [`SideAnswer::Lost`], and the task connects again by itself.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use analyzer::input::KeySpec;
use analyzer::keyspace::Counted;
use analyzer::profile::Version;
use analyzer::value::Encoding;
use redis_protocol::resp2::types::BytesFrame;
use replica_shim::Outbound;
use replica_shim::outbound::{InfoSection, LengthOf};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::clock;
use crate::fleet::{self, Role};
use crate::link::backoff::Backoff;
use crate::side::batch::{self, Stamp};
use crate::side::client::{self, Client, SideError, Target};
use crate::side::info::Info;
use crate::side::intro;
use crate::side::look::{self, Look, Rights, Sight};
use crate::side::memory::{self, Memory};
use crate::side::told::{self, Told};
use crate::side::values::{self, Heavy, Value};
use crate::side::vitals::{self, Vitals};

/// Questions that may wait for the connection; the owner sends no more than that.
pub const QUEUE_MAX: usize = 4;

/// What INFO commandstats says of commands that are not replicated and change encodings. Only
/// whether it is the same as before means anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// CONFIG SET, from 7.0 on; before, it is counted together with CONFIG GET.
    pub config_set: Option<String>,
    /// DEBUG, whose RELOAD encodes every key anew.
    pub debug: Option<String>,
}

/// A question of the owner.
#[derive(Debug)]
pub enum SideAsk {
    /// INFO replication and CONFIG GET, stamped.
    Poll {
        /// Ask for the number of keys, of the same instant.
        keys: bool,
    },
    /// What it says of its memory, stamped.
    Memory,
    /// What only INFO knows of it.
    Vitals,
    /// What it tells of itself.
    Told,
    /// Does the server shut down and wait for replicas?
    Shutdown,
    /// Encoding, and before 7.0 expiry, of these keys.
    Probes(Vec<Name>),
    /// Every fact of these keys.
    Looks(Vec<Look>),
    /// The values of these keys.
    Values(Vec<Name>),
    /// Length, encoding and expiry of these collections.
    Counts(Vec<(Name, LengthOf)>),
    /// Key positions of these commands.
    KeySpecs(Vec<Vec<u8>>),
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// Database.
    pub db: u32,
    /// Name.
    pub key: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub enum SideAnswer {
    /// To a poll.
    Poll(Polled),
    /// To the question for memory.
    Memory(Memory),
    /// What INFO told; `None` if the server refused.
    Vitals(Option<Box<Vitals>>),
    /// What it tells of itself.
    Told(Box<Told>),
    /// The server shuts down.
    Shutdown(bool),
    /// To probes: everything that was asked, in order, by moments.
    Probes(Vec<Moment<Probe>>),
    /// To looks, likewise.
    Looks(Vec<Moment<Sight>>),
    /// To value reads, likewise.
    Values(Vec<Moment<Value>>),
    /// To counts, likewise.
    Counts(Vec<Moment<Count>>),
    /// To key positions.
    KeySpecs(Vec<(Vec<u8>, KeySpec)>),
    /// The connection failed; whatever was asked is not answered.
    Lost(SideError),
    /// There is a connection again.
    Ready,
}

/// What was true at the same time.
#[derive(Debug)]
pub struct Moment<T> {
    /// When. No stamp: nothing of it can be used.
    pub stamp: Option<Stamp>,
    /// The keys.
    pub found: Vec<(Name, T)>,
}

/// Neighbours of the same instant together.
pub(super) fn by_moment<T>(
    found: impl Iterator<Item = (Option<Stamp>, (Name, T))>,
) -> Vec<Moment<T>> {
    let mut moments: Vec<Moment<T>> = Vec::new();
    for (stamp, key) in found {
        match moments.last_mut().filter(|last| last.stamp == stamp) {
            Some(last) => last.found.push(key),
            None => moments.push(Moment {
                stamp,
                found: vec![key],
            }),
        }
    }
    moments
}

/// What a poll tells.
#[derive(Debug, Default)]
pub struct Polled {
    /// When it was true.
    pub stamp: Option<Stamp>,
    /// The server's role.
    pub role: Role,
    /// A replica without a link to its own master.
    pub orphan: bool,
    /// `min-replicas-to-write` is on; `None` if nothing was told.
    pub min_replicas: Option<bool>,
    /// What decides encodings; empty without the right to CONFIG GET.
    pub config: Vec<(String, String)>,
    /// What was called that is not replicated and changes encodings.
    pub calls: Calls,
    /// Keys by database, and those with an expiry, if they were asked for.
    pub keys: Option<BTreeMap<u32, (u64, u64)>>,
}

/// What a probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// No such key, or one that is expired.
    Missing,
    /// Encoding and, if asked, expiry.
    Found(Option<Encoding>, Option<Option<i64>>),
    /// The server answered with an error.
    Refused,
}

/// What a count found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// No such key, or one that is expired.
    Missing,
    /// So many elements, and what goes with them.
    Found(Counted),
    /// The server answered with an error: a key of another type, perhaps.
    Refused,
}

/// The owner's end.
#[derive(Debug)]
pub struct Side {
    /// Questions.
    pub asks: mpsc::Sender<SideAsk>,
    /// Answers.
    pub answers: mpsc::Receiver<SideAnswer>,
    _task: AbortOnDropHandle<()>,
}

impl Side {
    /// Serves on a connection that was introduced, or on one that it makes itself.
    pub fn start(client: Option<Client>, target: Target, of: fleet::Server) -> Side {
        let (asks, asked) = mpsc::channel(QUEUE_MAX);
        let (answered, answers) = mpsc::channel(QUEUE_MAX * 2);
        let server = Server {
            target,
            of,
            rights: None,
            lacks_config: false,
            slowest: Duration::ZERO,
            heavy: Heavy::default(),
        };
        let task = tokio::spawn(server.run(client, asked, answered));
        Side {
            asks,
            answers,
            _task: AbortOnDropHandle::new(task),
        }
    }
}

struct Server {
    target: Target,
    of: fleet::Server,
    /// What our user may ask, once that was needed on this connection.
    rights: Option<Rights>,
    /// CONFIG GET was refused on this connection.
    lacks_config: bool,
    /// The slowest answer to a part of a poll since the server told of itself.
    slowest: Duration,
    /// Values that cost us a connection.
    heavy: Heavy,
}

impl Server {
    async fn run(
        mut self,
        client: Option<Client>,
        mut asks: mpsc::Receiver<SideAsk>,
        answers: mpsc::Sender<SideAnswer>,
    ) {
        let mut client = match client {
            Some(client) => client,
            None => {
                let client = self.reconnect(&mut asks).await;
                if answers.send(SideAnswer::Ready).await.is_err() {
                    return;
                }
                client
            }
        };
        while let Some(ask) = asks.recv().await {
            let answer = match self.answer(&mut client, ask).await {
                Ok(answer) => answer,
                Err(error) => {
                    self.heavy.lost(&error);
                    if answers.send(SideAnswer::Lost(error)).await.is_err() {
                        return;
                    }
                    client = self.reconnect(&mut asks).await;
                    self.rights = None;
                    self.lacks_config = false;
                    SideAnswer::Ready
                }
            };
            if answers.send(answer).await.is_err() {
                return;
            }
        }
    }

    /// Connects for as long as it takes; the owner drops this task with the link.
    async fn reconnect(&self, asks: &mut mpsc::Receiver<SideAsk>) -> Client {
        let link = &self.target.link;
        let mut backoff = Backoff::new(link.retry_min, link.retry_max);
        loop {
            tokio::time::sleep(backoff.next_wait()).await;
            // What was asked meanwhile belongs to the connection that was lost.
            while asks.try_recv().is_ok() {}
            let connected = async {
                let mut client = Client::connect(&self.target).await?;
                client.settle_in(&self.of).await?;
                Ok::<_, SideError>(client)
            };
            match connected.await {
                Ok(client) => return client,
                Err(error) => tracing::debug!(error = %error, "second connection"),
            }
        }
    }

    async fn answer(&mut self, client: &mut Client, ask: SideAsk) -> Result<SideAnswer, SideError> {
        Ok(match ask {
            SideAsk::Poll { keys } => SideAnswer::Poll(self.poll(client, keys).await?),
            SideAsk::Memory => SideAnswer::Memory(memory::look(client).await?),
            SideAsk::Vitals => {
                let own_port = self.target.link.announce_port;
                SideAnswer::Vitals(vitals::look(client, own_port).await?.map(Box::new))
            }
            SideAsk::Told => {
                let slowest = mem::take(&mut self.slowest);
                SideAnswer::Told(Box::new(told::look(client, slowest).await?))
            }
            SideAsk::Shutdown => {
                let info = client.ask_one(&Outbound::Info(InfoSection::Server)).await?;
                let text = utf8(&info);
                SideAnswer::Shutdown(Info(&text).get("shutdown_in_milliseconds").is_some())
            }
            SideAsk::Probes(names) => self.probes(client, names).await?,
            SideAsk::Looks(asked) => {
                let rights = match self.rights {
                    Some(rights) => rights,
                    None => *self.rights.insert(Rights::of(client).await?),
                };
                let of = (&self.of, self.relative_expiry(), rights);
                SideAnswer::Looks(look::looks(client, of, asked).await?)
            }
            SideAsk::Values(names) => {
                let of = (
                    &self.of,
                    self.relative_expiry(),
                    self.target.value_bytes_max,
                );
                SideAnswer::Values(values::read(client, of, names, &mut self.heavy).await?)
            }
            SideAsk::Counts(names) => self.counts(client, names).await?,
            SideAsk::KeySpecs(names) => {
                let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
                let reply = client.ask_one(&Outbound::CommandInfo(&names)).await?;
                SideAnswer::KeySpecs(intro::key_specs(&reply))
            }
        })
    }

    async fn poll(&mut self, client: &mut Client, keys: bool) -> Result<Polled, SideError> {
        let slowest = &mut self.slowest;
        let allowed = !self.lacks_config;
        let (info, replies) = match timed(slowest, ask_at_once(client, keys, allowed)).await? {
            (info, _) if info.is_empty() && allowed => {
                // One refused command makes EXEC refuse all, and INFO is needed the most.
                let (info, replies) = timed(slowest, ask_at_once(client, keys, false)).await?;
                self.lacks_config = !info.is_empty();
                if self.lacks_config {
                    tracing::warn!("without the right to CONFIG GET changes of it are not seen");
                }
                (info, replies)
            }
            told => told,
        };
        let mut config = replies;
        let counts = config.pop_if(|_| keys).map(|reply| utf8(&reply));
        let stats = Outbound::Info(InfoSection::CommandStats);
        let stats = utf8(&timed(slowest, client.ask_one(&stats)).await?);
        let line = |name| Info(&stats).get(name).map(str::to_owned);
        let text = Info(&info);
        Ok(Polled {
            stamp: batch::stamp(&info),
            role: text.role(),
            orphan: text.get("master_link_status") == Some("down"),
            min_replicas: (!info.is_empty()).then(|| text.get("min_slaves_good_slaves").is_some()),
            config: config.iter().flat_map(intro::pairs).collect(),
            calls: Calls {
                config_set: line("cmdstat_config|set"),
                debug: line("cmdstat_debug"),
            },
            keys: counts.map(|text| Info(&text).keys()),
        })
    }

    /// Before 7.0 the stream carries relative expiries, and a read gives the time left.
    fn relative_expiry(&self) -> bool {
        self.of.version < Version::new(7, 0)
    }

    async fn probes(&self, client: &mut Client, names: Vec<Name>) -> Result<SideAnswer, SideError> {
        let answers = batch::read(client, &self.of, &names, |_, name| {
            let mut requests = vec![Outbound::ObjectEncoding(&name.key)];
            if self.relative_expiry() {
                requests.extend([Outbound::Time, Outbound::Pttl(&name.key)]);
            }
            requests
        })
        .await?;
        let found = names
            .into_iter()
            .zip(answers)
            .map(|(name, (stamp, replies))| {
                let expiry = match replies.as_slice() {
                    [_, time, left] => Some(left_to_unix(time, left)),
                    _ => None,
                };
                let probe = match replies.first() {
                    Some(BytesFrame::Null) => Probe::Missing,
                    Some(BytesFrame::SimpleString(name) | BytesFrame::BulkString(name)) => {
                        Probe::Found(Encoding::parse(name), expiry)
                    }
                    Some(BytesFrame::Error(_) | BytesFrame::Integer(_) | BytesFrame::Array(_))
                    | None => Probe::Refused,
                };
                (stamp, (name, probe))
            });
        Ok(SideAnswer::Probes(by_moment(found)))
    }

    async fn counts(
        &self,
        client: &mut Client,
        asked: Vec<(Name, LengthOf)>,
    ) -> Result<SideAnswer, SideError> {
        let (names, kinds): (Vec<Name>, Vec<LengthOf>) = asked.into_iter().unzip();
        let answers = batch::read(client, &self.of, &names, |at, name| {
            let of = kinds.get(at);
            let of = of.copied().unwrap_or(LengthOf::String);
            let mut requests = vec![
                Outbound::Length(of, &name.key),
                Outbound::ObjectEncoding(&name.key),
            ];
            requests.extend(expiry(&name.key, self.relative_expiry()));
            requests
        })
        .await?;
        let found = names.into_iter().zip(answers);
        let found = found.map(|(name, (stamp, replies))| (stamp, (name, count(&replies))));
        Ok(SideAnswer::Counts(by_moment(found)))
    }
}

/// What the replies to the reads of a count say.
fn count(replies: &[BytesFrame]) -> Count {
    let (len, encoding, expire_ms) = match replies {
        [len, encoding, at] => (len, encoding, client::integer(at).filter(|ms| *ms >= 0)),
        [len, encoding, time, left] => (len, encoding, left_to_unix(time, left)),
        _ => return Count::Refused,
    };
    match client::integer(len).and_then(|len| u64::try_from(len).ok()) {
        None => Count::Refused,
        Some(0) => Count::Missing,
        Some(count) => Count::Found(Counted {
            count,
            encoding: client::text(encoding).and_then(|name| Encoding::parse(name)),
            expire_ms: Some(expire_ms),
        }),
    }
}

/// Waits for an answer that the server has at hand, and keeps how long the slowest took.
async fn timed<T>(slowest: &mut Duration, answer: impl Future<Output = T>) -> T {
    let began = clock::now();
    let answer = answer.await;
    *slowest = (*slowest).max(clock::now().duration_since(began));
    answer
}

/// INFO replication, CONFIG GET if it is `allowed`, and INFO keyspace for the `keys`, of one instant.
async fn ask_at_once(
    client: &mut Client,
    keys: bool,
    allowed: bool,
) -> Result<(String, Vec<BytesFrame>), SideError> {
    let mut requests = Vec::new();
    if allowed {
        requests.extend(intro::CONFIG_PATTERNS.map(Outbound::ConfigGet));
    }
    requests.extend(keys.then_some(Outbound::Info(InfoSection::Keyspace)));
    batch::exec(client, &requests).await
}

/// What asks for a key's expiry; `relative` where it is told as what is left.
pub(super) fn expiry(key: &[u8], relative: bool) -> Vec<Outbound<'_>> {
    if relative {
        vec![Outbound::Time, Outbound::Pttl(key)]
    } else {
        vec![Outbound::PexpireTime(key)]
    }
}

/// Unix milliseconds from TIME and PTTL; `None` if the key does not expire.
pub(super) fn left_to_unix(time: &BytesFrame, left: &BytesFrame) -> Option<i64> {
    let left = client::integer(left).filter(|ms| *ms >= 0)?;
    unix_ms(time)?.checked_add(left)
}

/// Unix milliseconds of a reply to TIME.
pub(super) fn unix_ms(time: &BytesFrame) -> Option<i64> {
    let parts = client::members(time)?;
    let part = |i: usize| -> Option<i64> {
        std::str::from_utf8(client::text(parts.get(i)?)?)
            .ok()?
            .parse()
            .ok()
    };
    part(0)?.checked_mul(1000)?.checked_add(part(1)? / 1000)
}

pub(super) fn utf8(frame: &BytesFrame) -> String {
    client::text(frame).map_or(String::new(), |text| {
        String::from_utf8_lossy(text).into_owned()
    })
}

/// How long the owner waits before it asks for keys again after answers without a stamp.
pub const UNSTAMPED_PAUSE: Duration = Duration::from_secs(5);
