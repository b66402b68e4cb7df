//! A master made of a script: it says what real ones rarely or never say.
//!
//! A test hands over a function that plays one connection. [`Peer::greet`] answers everything that a
//! well-behaved master is asked before PSYNC (on the link as on the side connection), and from there
//! on the script decides: send, send in pieces, stall, cut, reset, send garbage. [`Snapshot`] writes
//! small RDB files by hand, correct ones and others.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::resp::{Command, encode};

/// What a fake master says of itself.
#[derive(Debug, Clone)]
pub struct Identity {
    /// `redis_version`.
    pub version: String,
    /// `redis_mode`.
    pub mode: String,
    /// `run_id`.
    pub run_id: String,
    /// `master_replid`.
    pub replid: String,
    /// `master_repl_offset`.
    pub offset: u64,
    /// It shuts down, and waits for its replicas.
    pub shuts_down: Arc<AtomicBool>,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            version: "7.0.15".to_owned(),
            mode: "standalone".to_owned(),
            run_id: "f".repeat(40),
            replid: "a".repeat(40),
            offset: 1000,
            shuts_down: Arc::default(),
        }
    }
}

/// What came in place of a question: the request to replicate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Psync {
    /// The replication id asked for, or `?`.
    pub replid: String,
    /// The offset asked for, or -1.
    pub offset: i64,
}

/// Plays one connection; the number counts connections from 0.
pub type Script = dyn Fn(usize, &mut Peer) -> Result<()> + Send + Sync;

/// A listening fake; dropping it closes its port.
pub struct FakeMaster {
    /// Where it listens.
    pub addr: SocketAddr,
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
}

impl FakeMaster {
    /// Listens on a free port and plays `script` on every connection.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn start(
        script: impl Fn(usize, &mut Peer) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("bind a fake master")?;
        let addr = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let accepted = Arc::new(AtomicUsize::new(0));
        let script: Arc<Script> = Arc::new(script);
        let (own_stop, own_accepted) = (Arc::clone(&stop), Arc::clone(&accepted));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if own_stop.load(Ordering::SeqCst) {
                    return;
                }
                let number = own_accepted.fetch_add(1, Ordering::SeqCst);
                let (script, stop) = (Arc::clone(&script), Arc::clone(&own_stop));
                thread::spawn(move || {
                    let mut peer = Peer {
                        stream,
                        input: Vec::new(),
                        stop,
                    };
                    // A script ends with an error when the other side goes away, which is its right.
                    let _ = script(number, &mut peer);
                    let _ = peer.stream.shutdown(Shutdown::Both);
                });
            }
        });
        Ok(Self {
            addr,
            stop,
            accepted,
        })
    }

    /// The address as a source.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.addr)
    }

    /// How many connections came in.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for FakeMaster {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is to stop.
        let _ = TcpStream::connect_timeout(&self.addr, Duration::from_secs(1));
    }
}

/// The other side of one connection.
pub struct Peer {
    stream: TcpStream,
    input: Vec<u8>,
    stop: Arc<AtomicBool>,
}

impl Peer {
    /// Answers like a master until the other side asks to replicate; `None` if it hangs up before.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn greet(&mut self, identity: &Identity) -> Result<Option<Psync>> {
        while let Some(command) = self.command()? {
            let word = |index: usize| -> String {
                let bytes = command.get(index).map_or(&[][..], Vec::as_slice);
                String::from_utf8_lossy(bytes).to_ascii_lowercase()
            };
            if word(0) == "psync" {
                let offset = word(2).parse().context("PSYNC with an offset")?;
                return Ok(Some(Psync {
                    replid: word(1),
                    offset,
                }));
            }
            let reply = answer(&word(0), &word(1), identity);
            self.send(reply.as_bytes())?;
        }
        Ok(None)
    }

    /// The next command, or `None` at the end of the connection.
    ///
    /// # Errors
    /// If it is no command.
    pub fn command(&mut self) -> Result<Option<Command>> {
        loop {
            if let Some((command, used)) = parse(&self.input)? {
                self.input.drain(..used);
                if !command.is_empty() {
                    return Ok(Some(command));
                }
                continue;
            }
            let mut buffer = [0; 16 * 1024];
            let got = self
                .stream
                .read(&mut buffer)
                .context("read from the replica")?;
            if got == 0 {
                return Ok(None);
            }
            self.input.extend_from_slice(&buffer[..got]);
        }
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// If the other side is gone.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("send to the replica")
    }

    /// Sends bytes in pieces of that size, each on its own.
    ///
    /// # Errors
    /// If the other side is gone.
    pub fn send_pieces(&mut self, bytes: &[u8], size: usize) -> Result<()> {
        self.stream.set_nodelay(true)?;
        for piece in bytes.chunks(size.max(1)) {
            self.send(piece)?;
            thread::sleep(Duration::from_micros(50));
        }
        Ok(())
    }

    /// Sends commands as a replication stream has them; returns how many bytes that was.
    ///
    /// # Errors
    /// If the other side is gone.
    pub fn stream(&mut self, commands: &[&[&str]]) -> Result<u64> {
        let mut bytes = Vec::new();
        for command in commands {
            encode(&mut bytes, command);
        }
        self.send(&bytes)?;
        Ok(bytes.len() as u64)
    }

    /// `+FULLRESYNC` and a snapshot of known length.
    ///
    /// # Errors
    /// If the other side is gone.
    pub fn full_resync(&mut self, identity: &Identity, snapshot: &[u8]) -> Result<()> {
        let head = format!("+FULLRESYNC {} {}\r\n", identity.replid, identity.offset);
        self.send(head.as_bytes())?;
        self.send(format!("${}\r\n", snapshot.len()).as_bytes())?;
        self.send(snapshot)
    }

    /// Reads and drops whatever comes until the other side hangs up or the fake is dropped.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn listen_on(&mut self) -> Result<()> {
        self.stream
            .set_read_timeout(Some(Duration::from_millis(50)))?;
        let mut buffer = [0; 4096];
        while !self.stop.load(Ordering::SeqCst) {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error).context("listen to the replica"),
            }
        }
        Ok(())
    }

    /// Whether the fake is being dropped: endless scripts look at this.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    // The last one where the process was stopped and went on.
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

pub(crate) fn answer(name: &str, argument: &str, identity: &Identity) -> String {
    match name {
        "ping" => "+PONG\r\n".to_owned(),
        "info" => {
            let text = info(identity);
            format!("${}\r\n{text}\r\n", text.len())
        }
        "config" | "command" => "*0\r\n".to_owned(),
        "role" => format!("*3\r\n$6\r\nmaster\r\n:{}\r\n*0\r\n", identity.offset),
        "time" => "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n".to_owned(),
        "auth" | "select" | "readonly" | "replconf" => "+OK\r\n".to_owned(),
        "client" if argument == "id" => ":1\r\n".to_owned(),
        "client" => "+OK\r\n".to_owned(),
        _ => "-ERR unknown command\r\n".to_owned(),
    }
}

fn info(identity: &Identity) -> String {
    let Identity {
        version,
        mode,
        run_id,
        replid,
        offset,
        shuts_down,
    } = identity;
    let stopping = if shuts_down.load(Ordering::SeqCst) {
        "shutdown_in_milliseconds:9000\r\n"
    } else {
        ""
    };
    format!(
        "# Server\r\nredis_version:{version}\r\nredis_mode:{mode}\r\nrun_id:{run_id}\r\n{stopping}\
         # Persistence\r\nloading:0\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n\
         master_replid:{replid}\r\nmaster_replid2:{}\r\nmaster_repl_offset:{offset}\r\n\
         second_repl_offset:-1\r\nrepl_backlog_active:1\r\nrepl_backlog_size:1048576\r\n\
         repl_backlog_first_byte_offset:1\r\nrepl_backlog_histlen:{offset}\r\n",
        "0".repeat(40)
    )
}

/// One command from the front of the input and its length; an empty one for a bare newline.
pub(crate) fn parse(input: &[u8]) -> Result<Option<(Command, usize)>> {
    let Some((line, mut at)) = line(input, 0) else {
        return Ok(None);
    };
    let Some(count) = line.strip_prefix(b"*") else {
        let words = line
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty());
        return Ok(Some((words.map(<[u8]>::to_vec).collect(), at)));
    };
    let mut command = Command::new();
    for _ in 0..number(count)? {
        let Some((head, body)) = self::line(input, at) else {
            return Ok(None);
        };
        let Some(len) = head.strip_prefix(b"$") else {
            bail!("expected a bulk string")
        };
        let end = body + number(len)?;
        let Some(bytes) = input.get(body..end) else {
            return Ok(None);
        };
        command.push(bytes.to_vec());
        at = end + 2;
    }
    Ok((at <= input.len()).then_some((command, at)))
}

fn line(input: &[u8], from: usize) -> Option<(&[u8], usize)> {
    let rest = input.get(from..)?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let line = rest.get(..end)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), from + end + 1))
}

fn number(text: &[u8]) -> Result<usize> {
    Ok(std::str::from_utf8(text)?.parse()?)
}

/// An RDB file written by hand.
#[derive(Debug, Clone)]
pub struct Snapshot(Vec<u8>);

impl Snapshot {
    /// The header: `REDIS0011`.
    #[must_use]
    pub fn new(version: u32) -> Self {
        Self(format!("REDIS{version:04}").into_bytes())
    }

    /// Selects a database below 64.
    #[must_use]
    pub fn db(mut self, db: u8) -> Self {
        self.0.extend([0xfe, db & 0x3f]);
        self
    }

    /// A string key, both parts shorter than 64 bytes.
    #[must_use]
    pub fn string(mut self, key: &str, value: &str) -> Self {
        self.0.push(0);
        self.text(key);
        self.text(value);
        self
    }

    /// A collection in its oldest form, each part shorter than 64 bytes: a list (1) or set (2) of
    /// these, a hash (4) of these with themselves, a sorted set (5) of these with the score 1.
    #[must_use]
    pub fn collection(mut self, kind: u8, key: &str, elements: &[&str]) -> Self {
        self.0.push(kind);
        self.text(key);
        self.0
            .push(u8::try_from(elements.len()).unwrap_or(63) & 0x3f);
        for element in elements {
            self.text(element);
            match kind {
                4 => self.text(element),
                5 => self.0.extend(1_f64.to_le_bytes()),
                _ => {}
            }
        }
        self
    }

    /// Any bytes.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The end mark and the right checksum.
    #[must_use]
    pub fn end(mut self) -> Vec<u8> {
        self.0.push(0xff);
        let crc = crc64(&self.0);
        self.0.extend(crc.to_le_bytes());
        self.0
    }

    /// The bytes so far, without an end.
    #[must_use]
    pub fn open(self) -> Vec<u8> {
        self.0
    }

    fn text(&mut self, text: &str) {
        self.0.push(u8::try_from(text.len()).unwrap_or(63) & 0x3f);
        self.0.extend_from_slice(text.as_bytes());
    }
}

/// CRC-64 as RDB files have it (Jones, reflected), a bit at a time.
fn crc64(bytes: &[u8]) -> u64 {
    const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;
    let mut crc = 0_u64;
    for byte in bytes {
        crc ^= u64::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ POLYNOMIAL
            } else {
                crc >> 1
            };
        }
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::crc64;

    #[test]
    fn the_checksum_is_the_one_that_servers_use() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }
}
