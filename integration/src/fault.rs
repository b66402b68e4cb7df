//! A TCP proxy that fails on purpose: it cuts after so many bytes, delays, splits into single bytes,
//! stalls, half-closes and resets, each connection after its own [`Plan`].
//!
//! Plans come from a function of the connection's number, so that a seed decides everything that
//! the network does.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::seed::Rng;

/// How a connection ends when its bytes are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Both sides are closed, in order.
    Close,
    /// Both sides are closed with unread input, which resets the connection.
    Reset,
    /// The client's side is told that no more comes; what it sends is still passed on.
    HalfClose,
    /// Nothing more passes, and nobody is told.
    Stall,
}

/// What happens to one connection. Bytes are counted from the server to the client.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The connection ends after this many bytes.
    pub end: Option<(u64, Ending)>,
    /// At most this many bytes are passed on at once.
    pub piece: usize,
    /// Each piece waits so long.
    pub delay: Duration,
}

impl Plan {
    /// Passes everything on.
    pub const CLEAN: Self = Self {
        end: None,
        piece: usize::MAX,
        delay: Duration::ZERO,
    };

    /// Ends somewhere within the next `most` bytes; sometimes in small pieces on the way.
    pub fn random(rng: &mut Rng, most: u64) -> Self {
        let ending = match rng.below(8) {
            0..=2 => Ending::Reset,
            3 => Ending::HalfClose,
            _ => Ending::Close,
        };
        // Half of all cuts fall into the first bytes: handshake, snapshot header, short keys.
        let within = if rng.one_in(3) { most.min(3000) } else { most };
        let piece = match rng.below(6) {
            0 => 1,
            1 => 7,
            _ => usize::MAX,
        };
        let after = rng.below(within.max(1)) + 1;
        // Single bytes are slow; they are for the short connections.
        let piece = if after > 50_000 { usize::MAX } else { piece };
        Self {
            end: Some((after, ending)),
            piece,
            delay: Duration::ZERO,
        }
    }
}

/// Says what happens to the connection of that number.
pub type Schedule = Box<dyn FnMut(u64) -> Plan + Send>;

struct Shared {
    target: Mutex<SocketAddr>,
    schedule: Mutex<Schedule>,
    open: Mutex<Vec<(TcpStream, Arc<AtomicBool>)>>,
    stop: AtomicBool,
    held: AtomicBool,
    accepted: AtomicU64,
    ended: AtomicU64,
}

impl Shared {
    fn wait_while_held(&self) {
        while self.held.load(Ordering::SeqCst) && !self.stop.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A running proxy; dropping it closes all its connections.
pub struct Proxy {
    /// Where to connect instead of to the server.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens on a free port for connections to `target`.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn start(target: SocketAddr, schedule: Schedule) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("bind the proxy")?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            schedule: Mutex::new(schedule),
            open: Mutex::new(Vec::new()),
            stop: AtomicBool::new(false),
            held: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        });
        let own = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &own));
        Ok(Self { addr, shared })
    }

    /// How many connections came in.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many replication links were ended by their plan or by [`Self::cut`]. A connection is a
    /// link once its client has said PSYNC.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.shared.ended.load(Ordering::SeqCst)
    }

    /// Changes what happens to the connections to come.
    pub fn reschedule(&self, schedule: Schedule) {
        *self
            .shared
            .schedule
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = schedule;
    }

    /// Leads the connections to come to another server.
    pub fn retarget(&self, target: SocketAddr) {
        *self
            .shared
            .target
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// Holds back everything that comes from the server, on connections old and new, or lets it
    /// pass again.
    pub fn hold(&self, held: bool) {
        self.shared.held.store(held, Ordering::SeqCst);
    }

    /// Ends all connections now.
    pub fn cut(&self) {
        let mut open = self
            .shared
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (stream, link) in open.drain(..) {
            let was_open = stream.shutdown(Shutdown::Both).is_ok();
            if was_open && link.swap(false, Ordering::SeqCst) {
                self.shared.ended.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the listener, which then sees that it is to stop.
        let _ = TcpStream::connect_timeout(&self.addr, Duration::from_secs(1));
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming().flatten() {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
        let plan = {
            let mut schedule = shared
                .schedule
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            schedule(number)
        };
        let target = *shared.target.lock().unwrap_or_else(PoisonError::into_inner);
        // A server that is away refuses; so does the proxy, by closing.
        let Ok(server) = TcpStream::connect_timeout(&target, Duration::from_secs(2)) else {
            continue;
        };
        // A failure here is a connection that closed at once.
        let _ = serve(client, server, plan, shared);
    }
}

/// Starts the two pumps of a connection.
fn serve(client: TcpStream, server: TcpStream, plan: Plan, shared: &Arc<Shared>) -> Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let link = Arc::new(AtomicBool::new(false));
    {
        let mut open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(stream, _)| stream.peer_addr().is_ok());
        open.push((client.try_clone()?, Arc::clone(&link)));
        open.push((server.try_clone()?, Arc::clone(&link)));
    }
    let (up_from, up_to, up_link) = (client.try_clone()?, server.try_clone()?, Arc::clone(&link));
    thread::spawn(move || {
        pump(&up_from, &up_to, &Plan::CLEAN, Watch::Psync(&up_link));
        let _ = up_to.shutdown(Shutdown::Both);
        let _ = up_from.shutdown(Shutdown::Both);
    });
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let planned = pump(&server, &client, &plan, Watch::Held(&shared));
        if planned && link.swap(false, Ordering::SeqCst) {
            shared.ended.fetch_add(1, Ordering::SeqCst);
        }
        finish(
            &server,
            &client,
            planned.then_some(plan.end).flatten(),
            &shared,
        );
    });
    Ok(())
}

/// What a pump looks after besides its bytes.
enum Watch<'a> {
    /// Marks this when it sees a PSYNC.
    Psync(&'a AtomicBool),
    /// Waits while the proxy is held.
    Held(&'a Shared),
}

/// Passes bytes on; returns true if the plan ended it.
fn pump(mut from: &TcpStream, mut to: &TcpStream, plan: &Plan, watch: Watch<'_>) -> bool {
    let mut left = plan.end.map_or(u64::MAX, |end| end.0);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let most = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if most == 0 {
            return true;
        }
        let Ok(got @ 1..) = from.read(&mut buffer[..most]) else {
            return false;
        };
        match watch {
            Watch::Psync(link) if buffer[..got].windows(5).any(|word| word == b"PSYNC") => {
                link.store(true, Ordering::SeqCst);
            }
            Watch::Psync(_) => {}
            Watch::Held(shared) => shared.wait_while_held(),
        }
        for piece in buffer[..got].chunks(plan.piece.max(1)) {
            if !plan.delay.is_zero() {
                thread::sleep(plan.delay);
            }
            if to.write_all(piece).is_err() {
                return false;
            }
        }
        left -= got as u64;
    }
}

fn finish(server: &TcpStream, client: &TcpStream, end: Option<(u64, Ending)>, shared: &Shared) {
    match end.map_or(Ending::Close, |end| end.1) {
        Ending::Close => {}
        // Input that nobody read makes the kernel answer with a reset when we close.
        Ending::Reset => thread::sleep(Duration::from_millis(5)),
        Ending::HalfClose => {
            let _ = client.shutdown(Shutdown::Write);
            thread::sleep(Duration::from_millis(200));
        }
        Ending::Stall => {
            while !shared.stop.load(Ordering::SeqCst) && client.peer_addr().is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
