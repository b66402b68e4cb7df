//! One client's socket: what arrives is cut into requests, answered, and written back.
//!
//! ```text
//! read -> guard -> requests (at most PIPELINE_MAX) -> Session::answer -> write -> read ...
//!                                        MONITOR lines, kill, idle timeout join in at the read
//! ```
//!
//! Nothing is read while answers wait to be written, so a client that does not read its answers
//! stops being served, and after `WRITE_MAX` it is closed. What one client can make us hold is the
//! input limit of the guard plus one answer; an idle one holds a few hundred bytes.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::guard::{Guard, LOCKED, OPEN, Refusal};
use super::pubsub;
use super::request::{self, Request};
use super::session::{Output, Session};
use crate::clock;
use crate::watch::Heard;

/// Requests taken from one read before their answers are written.
const PIPELINE_MAX: usize = 1024;

/// Time that a client has to take an answer.
const WRITE_MAX: Duration = Duration::from_secs(30);

/// Time that a client has to authenticate.
const LOCKED_MAX: Duration = Duration::from_secs(60);

/// Input buffers begin and grow to these sizes.
const READ_MIN: usize = 512;
const READ_MAX: usize = 64 * 1024;

/// A client that is silent this long gets a small input buffer again.
const REST_AFTER: Duration = Duration::from_secs(2);

/// A larger output buffer is not kept.
const WRITE_KEPT: usize = 64 * 1024;

/// A client's byte stream, plain or TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// One client's socket and what is in flight on it.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    session: Session,
    guard: Guard,
    input: BytesMut,
    output: Output,
    read_bytes: usize,
}

/// What woke the connection.
enum Woken {
    /// So many bytes arrived; 0 is the end.
    Read(usize),
    /// A line for a MONITOR client.
    Line(String),
    /// An event for a subscriber.
    Event(Heard),
    /// Silent for too long.
    Idle,
}

impl Connection {
    pub(crate) fn new(stream: Box<dyn Stream>, session: Session) -> Connection {
        Connection {
            stream,
            session,
            guard: Guard::new(),
            input: BytesMut::new(),
            output: Output::default(),
            read_bytes: READ_MIN,
        }
    }

    /// Serves the client until it leaves.
    pub(crate) async fn run(mut self) -> io::Result<()> {
        loop {
            match self.wait().await? {
                Woken::Idle | Woken::Read(0) => return Ok(()),
                Woken::Line(line) => self.pass_lines(&line).await?,
                Woken::Event(heard) => self.pass_events(heard).await?,
                Woken::Read(_) => self.serve().await?,
            }
            if self.session.closing {
                return self.stream.shutdown().await;
            }
        }
    }

    /// Waits for the next thing to do. A client that stays silent gives its large buffer back and
    /// is waited for again.
    async fn wait(&mut self) -> io::Result<Woken> {
        let idle = self.idle_max();
        if idle > REST_AFTER && self.read_bytes > READ_MIN {
            match self.wake(REST_AFTER).await? {
                Woken::Idle => self.read_bytes = READ_MIN,
                woken @ (Woken::Read(_) | Woken::Line(_) | Woken::Event(_)) => return Ok(woken),
            }
            return self.wake(idle - REST_AFTER).await;
        }
        self.wake(idle).await
    }

    fn idle_max(&self) -> Duration {
        let session = &self.session;
        if session.user.is_none() {
            return LOCKED_MAX;
        }
        match session.port.config.idle_ms {
            0 => Duration::MAX,
            // A subscriber or a MONITOR is silent by nature.
            _ if session.subscribed() || session.monitor.is_some() => Duration::MAX,
            ms => Duration::from_millis(ms),
        }
    }

    async fn wake(&mut self, idle: Duration) -> io::Result<Woken> {
        if self.input.is_empty() {
            // An idle client keeps no buffer of its busy times.
            self.input = BytesMut::with_capacity(self.read_bytes);
        } else {
            self.input.reserve(self.read_bytes);
        }
        let (monitor, listener) = (&mut self.session.monitor, &mut self.session.listener);
        let event = async {
            match listener {
                Some(listener) => listener.next().await,
                None => std::future::pending().await,
            }
        };
        let line = async {
            match monitor {
                Some(feed) => feed.next().await,
                None => std::future::pending().await,
            }
        };
        let woken = tokio::select! {
            read = self.stream.read_buf(&mut self.input) => Woken::Read(read?),
            line = line => Woken::Line(line),
            heard = event => Woken::Event(heard),
            () = tokio::time::sleep(idle) => Woken::Idle,
        };
        if let Woken::Read(bytes) = woken {
            self.session.port.meters.received.add(bytes as u64);
            // A pipeline should come in one read, so that its keys are asked for together.
            if bytes >= self.read_bytes {
                self.read_bytes = (self.read_bytes * 8).min(READ_MAX);
            }
        }
        Ok(woken)
    }

    /// Answers every complete request that has arrived.
    async fn serve(&mut self) -> io::Result<()> {
        loop {
            let (requests, refusal) = self.take();
            if requests.is_empty() && refusal.is_none() {
                return Ok(());
            }
            self.note(requests.len());
            let mut rest = &requests[..];
            while !rest.is_empty() && !self.session.closing {
                let started = clock::now();
                let answered = self.session.answer(rest, &mut self.output).await;
                let took = clock::now().duration_since(started);
                self.session.port.meters.answered(took);
                rest = rest.get(answered..).unwrap_or_default();
                self.write().await?;
            }
            if let Some(refusal) = refusal {
                let text = format!("-ERR Protocol error: {refusal}\r\n");
                self.output.bytes.extend_from_slice(text.as_bytes());
                self.session.closing = true;
                self.write().await?;
            }
            if self.session.closing {
                return Ok(());
            }
        }
    }

    /// The next requests in the input. One by one before AUTH: it may change the limits.
    fn take(&mut self) -> (Vec<Request>, Option<Refusal>) {
        let (limits, most) = match self.session.user {
            None => (&LOCKED, 1),
            Some(_) => (&OPEN, PIPELINE_MAX),
        };
        let mut requests = Vec::new();
        while requests.len() < most {
            match request::take(&mut self.guard, &mut self.input, limits) {
                Ok(Some(request)) if from_a_browser(&request) => {
                    self.session.closing = true;
                    break;
                }
                Ok(Some(request)) => requests.push(request),
                Ok(None) => break,
                Err(refusal) => return (requests, Some(refusal)),
            }
        }
        (requests, None)
    }

    fn note(&self, requests: usize) {
        self.session.port.meters.requests.add(requests as u64);
        self.session.client.note(|seen| seen.last = clock::now());
    }

    async fn pass_lines(&mut self, first: &str) -> io::Result<()> {
        self.output.bytes.extend_from_slice(first.as_bytes());
        while let Some(feed) = &mut self.session.monitor
            && self.output.bytes.len() < WRITE_KEPT
            && let Some(line) = feed.ready()
        {
            self.output.bytes.extend_from_slice(line.as_bytes());
        }
        self.write().await
    }

    async fn pass_events(&mut self, first: Heard) -> io::Result<()> {
        let mut next = Some(first);
        while let Some(heard) = next {
            let messages = pubsub::messages(&self.session, &heard);
            for message in &messages {
                message.encode(self.session.protocol, &mut self.output.bytes);
            }
            let Some(listener) = &mut self.session.listener else {
                break;
            };
            if !messages.is_empty() {
                listener.told();
            }
            let room = self.output.bytes.len() < WRITE_KEPT;
            next = room.then(|| listener.ready()).flatten();
        }
        self.write().await
    }

    async fn write(&mut self) -> io::Result<()> {
        let bytes = self.output.bytes.len() as u64;
        if bytes == 0 {
            return Ok(());
        }
        self.session.port.meters.sent.add(bytes);
        let write = async {
            self.stream.write_all(&self.output.bytes).await?;
            // TLS keeps what was written until it is flushed.
            self.stream.flush().await
        };
        tokio::time::timeout(WRITE_MAX, write)
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        self.output.bytes.clear();
        if self.output.bytes.capacity() > WRITE_KEPT {
            self.output.bytes = BytesMut::new();
        }
        Ok(())
    }
}

/// A web page can make a browser send `POST / HTTP/1.1` here, with commands in its body. Redis
/// closes such connections at the first line (networking.c `securityWarningCommand`), and so do we.
fn from_a_browser(request: &Request) -> bool {
    request.is(0, "POST") || request.is(0, "Host:")
}
