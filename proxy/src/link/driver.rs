//! The reader of one connection: socket to bounded queue, nothing else.
//!
//! It drains the socket independently of the model, because a replica that stalls swells the
//! master's output buffer and is cut. The queue is bounded in bytes; when it is full the reader
//! waits, and TCP tells the master. The queue is also where the receive time of a byte is taken.

use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;
use std::{future, io, mem};

use bytes::{Bytes, BytesMut};
use replica_shim::Reader;
use tokio::io::AsyncReadExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;

use crate::clock;
use crate::link::ahead::{self, Ahead, Home, Run};
use crate::link::connect;

/// Largest chunk handed to the owner. It answers questions between chunks, so this is what a
/// question waits for: about a millisecond at full speed.
pub const CHUNK_MAX: usize = 64 * 1024;

/// Chunks in a queue; small ones fill this before they fill the bytes.
const CHUNKS_MAX: usize = 4096;

/// Below this much room a fresh block is taken.
const ROOM_MIN: usize = 8 * 1024;

/// Bytes that arrived together.
#[derive(Debug)]
pub struct Chunk {
    /// The bytes.
    pub bytes: Bytes,
    /// When they were read from the socket.
    pub at: Instant,
    /// Their share of the queue; given back when it is dropped.
    pub room: OwnedSemaphorePermit,
}

/// How a connection ended.
#[derive(Debug)]
pub enum End {
    /// The peer closed it.
    Closed,
    /// It broke.
    Broken(io::Error),
}

/// What comes out of the queue.
#[derive(Debug)]
pub enum Received {
    /// Bytes.
    Chunk(Chunk),
    /// The end; nothing follows.
    End(End),
}

/// What comes to the owner.
#[derive(Debug)]
pub enum Arrival {
    /// Bytes.
    Chunk(Chunk),
    /// Bytes that were read ahead.
    Run(Run),
    /// What was lent for reading ahead; from here on chunks come again.
    Home(Box<Home>),
    /// The end; nothing follows.
    End(End),
}

/// Where arrivals come from.
#[derive(Debug)]
enum Arrivals {
    /// The reader.
    Queue(mpsc::Receiver<Received>),
    /// Somebody between the reader and us, who reads ahead.
    Ahead(mpsc::Receiver<Ahead>),
}

/// The owner's end of the queue. Dropping it ends the reader.
#[derive(Debug)]
pub struct Inbox {
    arrivals: Arrivals,
    room: Arc<Semaphore>,
    room_max: usize,
    _reader: AbortOnDropHandle<()>,
}

impl Inbox {
    /// Starts to read.
    pub fn start(reader: connect::Reader, bytes_max: usize) -> Inbox {
        // A semaphore counts up to 2^61, a chunk's share is a u32: both above any sane limit.
        let room_max = bytes_max.clamp(CHUNK_MAX, u32::MAX as usize);
        let room = Arc::new(Semaphore::new(room_max));
        let (sender, arrivals) = mpsc::channel(CHUNKS_MAX);
        let task = tokio::spawn(read(reader, sender, room.clone()));
        Inbox {
            arrivals: Arrivals::Queue(arrivals),
            room,
            room_max,
            _reader: AbortOnDropHandle::new(task),
        }
    }

    /// The next arrival. After [`Arrival::End`] it is `End` for ever.
    pub async fn next(&mut self) -> Arrival {
        let arrival = match &mut self.arrivals {
            Arrivals::Queue(queue) => queue.recv().await.map(|received| match received {
                Received::Chunk(chunk) => Arrival::Chunk(chunk),
                Received::End(end) => Arrival::End(end),
            }),
            Arrivals::Ahead(ahead) => ahead.recv().await.map(|ahead| match ahead {
                Ahead::Run(run) => Arrival::Run(run),
                Ahead::Home(home) => Arrival::Home(home),
            }),
        };
        arrival.unwrap_or(Arrival::End(End::Closed))
    }

    /// Lets somebody read ahead, with the reader that `lend` gives and what it left of earlier
    /// chunks, if so much waits that it is worth it.
    pub fn read_ahead(&mut self, seed: u64, lend: impl FnOnce() -> Option<(Reader, Vec<u8>)>) {
        let much = ahead::AHEAD_MIN.min(self.room_max / 2);
        if self.queued() < much as u64 {
            return;
        }
        let Arrivals::Queue(queue) = &mut self.arrivals else {
            return;
        };
        let Some(permit) = ahead::permit() else {
            return;
        };
        let Some((reader, carry)) = lend() else {
            return;
        };
        let (_, nothing) = mpsc::channel(1);
        let home = Home {
            reader,
            carry,
            arrivals: mem::replace(queue, nothing),
            end: None,
        };
        self.arrivals = Arrivals::Ahead(ahead::start(home, seed, permit));
    }

    /// Goes on with the queue.
    pub fn take_back(&mut self, arrivals: mpsc::Receiver<Received>) {
        self.arrivals = Arrivals::Queue(arrivals);
    }

    /// Bytes in the queue.
    pub fn queued(&self) -> u64 {
        self.room_max.saturating_sub(self.room.available_permits()) as u64
    }
}

async fn read(mut reader: connect::Reader, queue: mpsc::Sender<Received>, room: Arc<Semaphore>) {
    let mut block = BytesMut::with_capacity(CHUNK_MAX);
    let end = loop {
        if block.capacity() < ROOM_MIN {
            block = BytesMut::with_capacity(CHUNK_MAX);
        }
        match reader.read_buf(&mut block).await {
            Ok(0) => break End::Closed,
            Ok(_) => {}
            Err(error) => break End::Broken(error),
        }
        let bytes = block.split().freeze();
        let share = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let Ok(permit) = room.clone().acquire_many_owned(share).await else {
            return;
        };
        let chunk = Chunk {
            bytes,
            at: clock::now(),
            room: permit,
        };
        if queue.send(Received::Chunk(chunk)).await.is_err() {
            return;
        }
        give_way().await;
    };
    // The owner may be gone already; then nobody wants to know.
    drop(queue.send(Received::End(end)).await);
}

/// Lets another task have the thread. A full socket would keep it for megabytes, and who asks waits
/// for it. `tokio::task::yield_now` will not do: it goes on only when this thread has nothing else to
/// do, and that may be the owner, which has much; any thread may go on with a task that wakes itself.
async fn give_way() {
    let mut has_given = false;
    future::poll_fn(|context| {
        if mem::replace(&mut has_given, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
