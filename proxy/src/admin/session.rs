//! One client's state, and how its requests become answers.
//!
//! ```text
//! requests of one read -> table::resolve -> arity, AUTH, subscribed, MULTI -> handler
//!     Point, Point, Point  collected, asked of every master in one question each, rendered
//!     anything else        first the points before it, then itself: answers keep their order
//! ```
//!
//! A session knows nothing of sockets: [`super::connection`] reads, writes and closes.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::handlers;
use super::monitor::Feed;
use super::points::Point;
use super::port::{Client, Port};
use super::refuse;
use super::reply::{Protocol, Reply};
use super::request::Request;
use super::scope::{Fact, Scope, Target};
use super::sentinel::Told;
use super::table::{self, Command, Handler};
use super::transaction::Transaction;
use crate::fleet::Fleet;
use crate::model::ask::{FACTS_MAX, Facts};
use crate::watch::Listener;

/// Bytes of answers that are written before the next request is looked at.
const WRITE_AT: usize = 1024 * 1024;

/// One client's state.
#[derive(Debug)]
pub(crate) struct Session {
    pub port: Arc<Port>,
    pub client: Arc<Client>,
    pub protocol: Protocol,
    pub db: u32,
    /// Which masters it asks.
    pub target: Target,
    /// What Sentinel last said on this connection about our master.
    pub told: Option<Told>,
    /// Who it is; `None` before AUTH where a password is set.
    pub user: Option<String>,
    pub channels: BTreeSet<Bytes>,
    pub patterns: BTreeSet<Bytes>,
    /// Events, while one of those may be about them.
    pub listener: Option<Listener>,
    pub transaction: Option<Transaction>,
    /// Lines of the masters, after MONITOR.
    pub monitor: Option<Feed>,
    /// The connection ends when what was answered is written.
    pub closing: bool,
}

/// Where answers are collected, already in the client's protocol.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub bytes: BytesMut,
}

impl Output {
    fn put(&mut self, reply: &Reply, protocol: Protocol) {
        reply.encode(protocol, &mut self.bytes);
    }
}

impl Session {
    pub(crate) fn new(port: Arc<Port>, client: Arc<Client>) -> Session {
        let user = (!port.users.required()).then(|| super::auth::DEFAULT_USER.to_owned());
        Session {
            port,
            client,
            protocol: Protocol::Resp2,
            db: 0,
            target: Target::All,
            told: None,
            user,
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
            listener: None,
            transaction: None,
            monitor: None,
            closing: false,
        }
    }

    /// The masters that its commands are about.
    ///
    /// # Errors
    /// The one that it chose is not followed any more.
    pub(crate) fn scope(&self) -> Result<Scope, Reply> {
        Scope::of(&self.port.fleet, &self.target)
    }

    /// Every master of the process.
    pub(crate) fn fleet(&self) -> &Fleet {
        &self.port.fleet
    }

    /// True if the client waits for messages.
    pub(crate) fn subscribed(&self) -> bool {
        !self.channels.is_empty() || !self.patterns.is_empty()
    }

    /// Answers requests in order, and says how many: it stops early at a QUIT, and when so much is
    /// to be written that it should be written first.
    pub(crate) async fn answer(&mut self, requests: &[Request], out: &mut Output) -> usize {
        let mut batch = Batch::default();
        for (index, request) in requests.iter().enumerate() {
            let admitted = self.admit(request);
            // Whatever else may change what the points before it mean.
            if !matches!(&admitted, Ok(command) if matches!(command.handler, Handler::Point(_))) {
                self.flush(&mut batch, out).await;
            }
            let step = match admitted {
                Ok(command) => self.begin(command, request),
                Err(refusal) => Step::Reply(refusal),
            };
            if let Step::Point(point) = step {
                batch.add(self.db, request, &point);
                if batch.keys.len() >= FACTS_MAX {
                    self.flush(&mut batch, out).await;
                }
                continue;
            }
            self.flush(&mut batch, out).await;
            let reply = match step {
                Step::Reply(reply) => reply,
                // Boxed, so that an idle client's task does not hold the room for it.
                Step::Model(model) => Box::pin(handlers::answer(self, model, request)).await,
                Step::Point(_) => continue,
            };
            out.put(&reply, self.protocol);
            if self.closing || out.bytes.len() >= WRITE_AT {
                return index + 1;
            }
        }
        self.flush(&mut batch, out).await;
        requests.len()
    }

    /// The answer to one request outside any pipeline: what EXEC runs.
    pub(crate) async fn answer_one(&mut self, request: &Request) -> Reply {
        let command = match self.admit(request) {
            Ok(command) => command,
            Err(refusal) => return refusal,
        };
        match self.begin(command, request) {
            Step::Reply(reply) => reply,
            Step::Point(point) => {
                let mut batch = Batch::default();
                batch.add(self.db, request, &point);
                self.render(&mut batch).await.pop().unwrap_or(Reply::Null)
            }
            // EXEC is never queued, so this recursion is one level deep.
            Step::Model(model) => Box::pin(handlers::answer(self, model, request)).await,
        }
    }

    /// The command of a request, if this client may send it now.
    fn admit(&mut self, request: &Request) -> Result<&'static Command, Reply> {
        let admitted = self.check(request);
        if admitted.is_err()
            && let Some(transaction) = &mut self.transaction
        {
            transaction.broken = true;
        }
        admitted
    }

    fn check(&self, request: &Request) -> Result<&'static Command, Reply> {
        let command = table::resolve(request);
        if self.user.is_none() && !command.is_some_and(Command::before_auth) {
            return Err(Reply::error("NOAUTH Authentication required."));
        }
        let command = command.ok_or_else(|| refuse::unserved(request))?;
        if !command.takes(request.len()) {
            return Err(refuse::arity(command.name));
        }
        if self.subscribed() && self.protocol == Protocol::Resp2 && !command.while_subscribed() {
            return Err(refuse::subscribed(command.name));
        }
        Ok(command)
    }

    /// What is to be done for a command: queue it, answer it, or ask.
    fn begin(&mut self, command: &'static Command, request: &Request) -> Step {
        self.client.note(|seen| seen.command = command.name);
        if let Some(transaction) = &mut self.transaction
            && !Transaction::runs_at_once(command.name)
        {
            let reply = transaction.queue(request);
            let queued = i64::try_from(transaction.requests.len()).unwrap_or(i64::MAX);
            self.client.note(|seen| seen.queued = queued);
            return Step::Reply(reply);
        }
        match command.handler {
            Handler::Session(handler) => Step::Reply(handler(self, request)),
            Handler::Model(model) => Step::Model(model),
            Handler::Point(parse) => match parse(request) {
                Ok(point) => Step::Point(point),
                Err(error) => Step::Reply(error),
            },
            // Only COMMAND may stand without a subcommand.
            Handler::Container => Step::Reply(super::docs::command()),
        }
    }

    async fn flush(&mut self, batch: &mut Batch, out: &mut Output) {
        if batch.points.is_empty() {
            return;
        }
        for reply in self.render(batch).await {
            out.put(&reply, self.protocol);
        }
    }

    /// The answers of a batch, in order; the batch is empty afterwards.
    async fn render(&mut self, batch: &mut Batch) -> Vec<Reply> {
        let batch = std::mem::take(batch);
        let points = batch.points.len();
        let scope = match self.scope() {
            Ok(scope) => scope,
            Err(gone) => return vec![gone; points],
        };
        if let Some(loading) = scope.nothing() {
            return vec![loading; points];
        }
        let facts = scope.facts(&batch.keys).await;
        let mut rest = &facts[..];
        batch
            .points
            .into_iter()
            .map(|(keys, render)| {
                let (own, others) = rest.split_at(keys.min(rest.len()));
                rest = others;
                let own: Result<Vec<_>, _> = own.iter().map(Fact::known).collect();
                own.map_or_else(|error| error, |own| render(&own))
            })
            .collect()
    }
}

/// What a request comes to.
enum Step {
    Reply(Reply),
    Point(Point),
    Model(handlers::Model),
}

/// Point commands whose facts are asked for together.
#[derive(Default)]
struct Batch {
    keys: Vec<(u32, Vec<u8>)>,
    /// How many of the keys belong to each command, and what it makes of them.
    points: Vec<(usize, Render)>,
}

type Render = fn(&[Option<Facts>]) -> Reply;

impl Batch {
    fn add(&mut self, db: u32, request: &Request, point: &Point) {
        let names = point.keys.clone().map(|index| request.arg(index).to_vec());
        self.keys.extend(names.map(|name| (db, name)));
        self.points.push((point.keys.len(), point.render));
    }
}
