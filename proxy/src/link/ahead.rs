//! Reading ahead: while much of a stream waits, a thread beside the owner reads it into parts, and the
//! owner has only to follow them.
//!
//! ```text
//!   queue of chunks --> owner: read, follow                          little waits
//!   queue of chunks --> thread: read --parts, at most RUNS_MAX--> owner: follow
//!                                    <-- all comes back when the queue is empty --
//! ```
//!
//! The thread is lent the stream's reader and the queue's end, and gives both back as soon as nothing
//! waits, or behind a command of megabytes: a stream that is kept up with costs no thread and no
//! detour. There are as many such threads as cores beside the first, whatever the number of masters;
//! who gets none reads for itself.

use std::mem;
use std::num::NonZero;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Instant;

use replica_shim::{Batch, Reader};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::ingest;
use crate::link::driver::{Chunk, End, Received};

/// Bytes in the queue from which on a thread is worth its while: some 25 ms of work. Less waits now and
/// then of any busy stream, where a core is better left to those who ask.
pub const AHEAD_MIN: usize = 4 << 20;

/// Runs that are read and not followed.
const RUNS_MAX: usize = 8;

/// Parts of a run: 128 KiB of a transaction that is released at its end, and of a chunk all.
const PARTS_MAX: usize = 8;

/// The right to a thread.
static THREADS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    Arc::new(Semaphore::new(cores.saturating_sub(1)))
});

/// A piece of the stream that was read.
#[derive(Debug, Default)]
pub struct Part {
    /// What it says.
    pub batch: Batch,
    /// Of each thing said the database and the digest of the key; zeros where there is none.
    pub keys: Vec<(u32, u64)>,
    /// Bytes of the stream.
    pub bytes: usize,
}

impl Part {
    /// Reads a part with what `read` takes from the front of `input` to the batch.
    #[inline]
    pub fn read(&mut self, seed: u64, read: impl FnOnce(&mut Batch) -> usize) -> usize {
        self.clear();
        self.bytes = read(&mut self.batch);
        self.keys.extend((0..self.batch.len()).map(|index| {
            let command = self.batch.command(index);
            command.map_or((0, 0), |command| ingest::key(&command, seed))
        }));
        self.bytes
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.batch.clear();
        self.keys.clear();
        self.bytes = 0;
    }
}

/// What was read of a chunk, or the first of it.
#[derive(Debug)]
pub struct Run {
    /// In order.
    pub parts: Vec<Part>,
    /// When the chunk arrived.
    pub at: Instant,
    /// The chunk's share of the queue, with the last of it.
    _room: Option<OwnedSemaphorePermit>,
}

/// What comes from the thread.
#[derive(Debug)]
pub enum Ahead {
    /// What comes next.
    Run(Run),
    /// All that was lent.
    Home(Box<Home>),
}

/// What a thread is lent, and gives back.
#[derive(Debug)]
pub struct Home {
    /// Reads the stream.
    pub reader: Reader,
    /// Bytes of a command that is not whole.
    pub carry: Vec<u8>,
    /// The queue.
    pub arrivals: mpsc::Receiver<Received>,
    /// How the connection ended, if it has.
    pub end: Option<End>,
}

/// The right to a thread, if there is one to be had.
pub fn permit() -> Option<OwnedSemaphorePermit> {
    THREADS.clone().try_acquire_owned().ok()
}

/// Starts to read ahead.
pub fn start(home: Home, seed: u64, permit: OwnedSemaphorePermit) -> mpsc::Receiver<Ahead> {
    let (sender, runs) = mpsc::channel(RUNS_MAX);
    tokio::task::spawn_blocking(move || {
        work(home, seed, &sender);
        drop(permit);
    });
    runs
}

/// What is to be done behind a chunk.
enum Then {
    /// The next one is to be read.
    GoOn,
    /// All that was lent is to be given back.
    GoHome,
    /// The owner is gone.
    Leave,
}

/// Reads until nothing waits, or nobody wants to know.
fn work(mut home: Home, seed: u64, runs: &mpsc::Sender<Ahead>) {
    loop {
        let then = match home.arrivals.try_recv() {
            Ok(Received::Chunk(chunk)) => home.read(chunk, seed, runs),
            Ok(Received::End(end)) => {
                home.end = Some(end);
                Then::GoHome
            }
            Err(TryRecvError::Disconnected) => {
                home.end = Some(End::Closed);
                Then::GoHome
            }
            Err(TryRecvError::Empty) => Then::GoHome,
        };
        match then {
            // Whoever asks or answers wants this core for a moment only, and should not have to wait
            // for the end of our time on it.
            Then::GoOn => thread::yield_now(),
            // Nobody wants it where the link is gone.
            Then::GoHome => return drop(runs.blocking_send(Ahead::Home(Box::new(home)))),
            Then::Leave => return,
        }
    }
}

impl Home {
    /// Reads a chunk.
    fn read(&mut self, chunk: Chunk, seed: u64, runs: &mpsc::Sender<Ahead>) -> Then {
        let Chunk { bytes, at, room } = chunk;
        let carried = !self.carry.is_empty();
        if carried {
            self.carry.extend_from_slice(&bytes);
        }
        let input = if carried { &self.carry[..] } else { &bytes };
        let (mut parts, mut done, mut then) = (Vec::new(), 0, Then::GoOn);
        loop {
            let mut part = Part::default();
            let reader = &mut self.reader;
            done += part.read(seed, |batch| reader.read(&input[done..], batch));
            // One large command at a time is enough.
            if part.batch.is_broken() || part.batch.is_large() {
                then = Then::GoHome;
            }
            let is_more = part.batch.is_full() && !part.batch.is_broken();
            parts.push(part);
            if !is_more {
                break;
            }
            if parts.len() == PARTS_MAX {
                let (parts, room) = (mem::take(&mut parts), None);
                let run = Run {
                    parts,
                    at,
                    _room: room,
                };
                if runs.blocking_send(Ahead::Run(run)).is_err() {
                    return Then::Leave;
                }
            }
        }
        if carried {
            self.carry.drain(..done);
        } else {
            self.carry.extend_from_slice(&bytes[done..]);
        }
        let run = Run {
            parts,
            at,
            _room: Some(room),
        };
        match runs.blocking_send(Ahead::Run(run)) {
            Ok(()) => then,
            Err(_) => Then::Leave,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use replica_shim::rdb::Item;
    use replica_shim::{Announce, Link, Offset, Options, Position, ReplId, Role, Streamed};

    use super::*;
    use crate::clock;

    const SEED: u64 = 7;

    fn link() -> Link {
        let replid = ReplId::parse(&[b'0'; 40]).expect("40 digits");
        let options = Options {
            auth: None,
            client_name: None,
            announce_port: Options::DEFAULT_PORT,
            announce_ip: None,
            role: Role::DEFAULT_MASTER,
            announce: Announce::Nothing,
            resume: Some(Position {
                replid,
                offset: Offset(0),
                db: 0,
            }),
            seed: SEED,
        };
        let mut link = Link::new(options, 0);
        for reply in ["+PONG\r\n", "+OK\r\n", "+OK\r\n", "+CONTINUE\r\n"] {
            while link.poll_transmit().is_some() {}
            let mut sink = |_: Item<'_>| {};
            link.next(reply.as_bytes(), &mut sink).expect("a handshake");
        }
        link
    }

    fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
        out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            out.extend_from_slice(word);
            out.extend_from_slice(b"\r\n");
        }
    }

    fn stream() -> Vec<u8> {
        let mut out = Vec::new();
        let large = vec![b'x'; 3 << 20];
        for n in 0..3000usize {
            let name = format!("key:{n}");
            command(&mut out, &[b"SET", name.as_bytes(), &large[..n % 500]]);
            match n % 1000 {
                10 => command(&mut out, &[b"MULTI"]),
                400 => command(&mut out, &[b"EXEC"]),
                500 => command(&mut out, &[b"SELECT", b"3"]),
                600 => command(&mut out, &[b"SET", &large, &large]),
                700 => command(&mut out, &[b"APPEND", b"k", &large]),
                _ => {}
            }
        }
        out
    }

    /// What a part says, as lines, and where the link stands behind it.
    fn follow(link: &mut Link, part: &Part, said: &mut Vec<String>) {
        for (index, key) in part.keys.iter().enumerate() {
            let streamed = link.follow(&part.batch, index).expect("a healthy stream");
            let Some(Streamed::Command(command)) = streamed else {
                said.push(format!("{streamed:?}"));
                continue;
            };
            let lens: Vec<u64> = command.args.iter().map(|word| word.len()).collect();
            let (db, end, held) = (command.db, command.end_offset, command.in_transaction);
            said.push(format!("{db} {end} {held} {lens:?} {key:?}"));
        }
        let end = link.follow(&part.batch, part.keys.len());
        assert!(end.expect("a healthy stream").is_none());
    }

    #[tokio::test]
    async fn what_is_read_ahead_is_what_is_read() {
        let bytes = stream();
        let mut here = link();
        let (mut said, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let mut part = Part::default();
            at += part.read(SEED, |batch| here.read(&bytes[at..], batch));
            follow(&mut here, &part, &mut said);
        }
        for size in [1009, 4096, 65_536, 1 << 20] {
            let mut there = link();
            assert!(
                read_there(&bytes, size, &mut there).await == said,
                "pieces of {size}"
            );
            assert_eq!(there.position(), here.position());
        }
    }

    /// What somebody who reads ahead makes of it in pieces.
    async fn read_there(bytes: &[u8], size: usize, link: &mut Link) -> Vec<String> {
        let room = Arc::new(Semaphore::new(1 << 30));
        let (queue, arrivals) = mpsc::channel(bytes.len() / size + 2);
        for piece in bytes.chunks(size) {
            queue.try_send(chunk(piece, &room)).expect("a queue");
        }
        let permits = Arc::new(Semaphore::new(1));
        let mut runs = start(lent(link, arrivals), SEED, next(&permits).await);
        let (mut said, mut total) = (Vec::new(), 0);
        while let Some(ahead) = runs.recv().await {
            match ahead {
                Ahead::Run(run) => {
                    for part in &run.parts {
                        follow(link, part, &mut said);
                        total += part.bytes;
                    }
                }
                Ahead::Home(home) if total < bytes.len() => {
                    // It came home behind a large command.
                    assert!(home.end.is_none());
                    runs = start(*home, SEED, next(&permits).await);
                }
                Ahead::Home(home) => {
                    assert!(home.end.is_none(), "the queue is only empty");
                    assert!(home.carry.is_empty());
                    break;
                }
            }
        }
        assert_eq!(total, bytes.len());
        assert_eq!(room.available_permits(), 1 << 30, "all room is given back");
        drop(next(&permits).await);
        said
    }

    /// The permit, when it is given back.
    async fn next(permits: &Arc<Semaphore>) -> OwnedSemaphorePermit {
        let permit = permits.clone().acquire_owned().await;
        permit.expect("it is never closed")
    }

    fn chunk(bytes: &[u8], room: &Arc<Semaphore>) -> Received {
        let share = u32::try_from(bytes.len()).expect("a piece");
        let room = room.clone().try_acquire_many_owned(share).expect("room");
        Received::Chunk(Chunk {
            bytes: Bytes::copy_from_slice(bytes),
            at: clock::now(),
            room,
        })
    }

    fn lent(link: &mut Link, arrivals: mpsc::Receiver<Received>) -> Home {
        Home {
            reader: link.lend().expect("a reader"),
            carry: Vec::new(),
            arrivals,
            end: None,
        }
    }

    #[tokio::test]
    async fn a_fault_is_told_behind_what_was_said_before_it() {
        let mut bytes = Vec::new();
        command(&mut bytes, &[b"SET", b"k", b"v"]);
        bytes.extend_from_slice(b"$nonsense\r\n");
        let room = Arc::new(Semaphore::new(1000));
        let (queue, arrivals) = mpsc::channel(2);
        queue.try_send(chunk(&bytes, &room)).expect("a queue");
        let mut link = link();
        let permit = room.clone().try_acquire_owned().expect("a permit");
        let mut runs = start(lent(&mut link, arrivals), SEED, permit);
        let Some(Ahead::Run(run)) = runs.recv().await else {
            panic!("a run comes first");
        };
        let parts: Vec<&Part> = run.parts.iter().collect();
        let [part] = parts[..] else {
            panic!("one part: {parts:?}");
        };
        let first = link.follow(&part.batch, 0).expect("a command");
        assert!(matches!(first, Some(Streamed::Command(_))));
        link.follow(&part.batch, 1).expect_err("a fault");
        assert!(matches!(runs.recv().await, Some(Ahead::Home(_))));
    }
}
