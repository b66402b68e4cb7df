//! The reader of one connection: socket to bounded queue, nothing else.
//!
//! It drains the socket independently of the model, because a replica that stalls swells the
//! master's output buffer and is cut. The queue is bounded in bytes; when it is full the reader
//! waits, and TCP tells the master. The queue is also where the receive time of a byte is taken.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;

use crate::clock;
use crate::link::connect::Reader;

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
    /// Their share of the queue; given back when the chunk is dropped.
    _room: OwnedSemaphorePermit,
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
pub enum Arrival {
    /// Bytes.
    Chunk(Chunk),
    /// The end; nothing follows.
    End(End),
}

/// The owner's end of the queue. Dropping it ends the reader.
#[derive(Debug)]
pub struct Inbox {
    arrivals: mpsc::Receiver<Arrival>,
    room: Arc<Semaphore>,
    room_max: usize,
    _reader: AbortOnDropHandle<()>,
}

impl Inbox {
    /// Starts to read.
    pub fn start(reader: Reader, bytes_max: usize) -> Inbox {
        // A semaphore counts up to 2^61, a chunk's share is a u32: both above any sane limit.
        let room_max = bytes_max.clamp(CHUNK_MAX, u32::MAX as usize);
        let room = Arc::new(Semaphore::new(room_max));
        let (sender, arrivals) = mpsc::channel(CHUNKS_MAX);
        let task = tokio::spawn(read(reader, sender, room.clone()));
        Inbox {
            arrivals,
            room,
            room_max,
            _reader: AbortOnDropHandle::new(task),
        }
    }

    /// The next arrival. After [`Arrival::End`] it is `End` for ever.
    pub async fn next(&mut self) -> Arrival {
        self.arrivals
            .recv()
            .await
            .unwrap_or(Arrival::End(End::Closed))
    }

    /// Bytes in the queue.
    pub fn queued(&self) -> u64 {
        self.room_max.saturating_sub(self.room.available_permits()) as u64
    }
}

async fn read(mut reader: Reader, queue: mpsc::Sender<Arrival>, room: Arc<Semaphore>) {
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
            _room: permit,
        };
        if queue.send(Arrival::Chunk(chunk)).await.is_err() {
            return;
        }
    };
    // The owner may be gone already; then nobody wants to know.
    drop(queue.send(Arrival::End(end)).await);
}
