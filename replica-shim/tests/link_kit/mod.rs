//! What the link's tests share: a driver over byte strings, and the strings.
//!
//! The driver does what a real one does and nothing else: it keeps a buffer, feeds it until the link
//! is stuck, and sends what there is to send after every call.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file is a crate and uses a part of this"
)]

use replica_shim::rdb::{Item, Sink};
use replica_shim::{
    Announce, Batch, Error, Event, Link, Options, Position, ReplId, Role, Streamed, Text,
};

/// A history.
pub const ID: &str = "0123456789abcdef0123456789abcdef01234567";
/// Another one.
pub const ID2: &str = "fedcba9876543210fedcba9876543210fedcba98";

pub fn id(text: &str) -> ReplId {
    ReplId::parse(text.as_bytes()).expect("40 digits")
}

pub fn at(offset: u64, db: u32) -> Position {
    Position {
        replid: id(ID),
        offset: replica_shim::Offset(offset),
        db,
    }
}

pub fn options() -> Options {
    Options {
        auth: None,
        client_name: None,
        announce_port: Options::DEFAULT_PORT,
        announce_ip: None,
        role: Role::DEFAULT_MASTER,
        announce: Announce::Nothing,
        resume: None,
        seed: 7,
    }
}

/// Encodes a command.
pub fn cmd(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Encodes a command given as words.
pub fn words(text: &str) -> Vec<u8> {
    cmd(&text.split(' ').map(str::as_bytes).collect::<Vec<_>>())
}

/// A snapshot with one key, and the aux fields of a replication RDB.
pub fn snapshot(replid: &str, offset: u64, db: u32) -> Vec<u8> {
    let mut rdb = b"REDIS0011".to_vec();
    for (key, value) in [
        ("repl-stream-db", db.to_string()),
        ("repl-id", replid.to_string()),
        ("repl-offset", offset.to_string()),
    ] {
        rdb.push(0xFA);
        for text in [key.as_bytes(), value.as_bytes()] {
            rdb.push(u8::try_from(text.len()).expect("short"));
            rdb.extend_from_slice(text);
        }
    }
    // SELECTDB 0, one string.
    rdb.extend_from_slice(b"\xFE\x00\x00\x03key\x05value");
    rdb.push(0xFF);
    // No checksum.
    rdb.extend_from_slice(&[0; 8]);
    rdb
}

/// Collects items by their names.
#[derive(Default)]
pub struct Items(pub Vec<String>);

impl Sink for Items {
    #[expect(clippy::wildcard_enum_match_arm, reason = "items are shown, not used")]
    fn item(&mut self, item: Item<'_>) {
        self.0.push(match item {
            Item::Aux { key, value } => format!("aux {} {}", key.escape_ascii(), show(&value)),
            other => format!("{other:?}").chars().take(60).collect(),
        });
    }
}

pub fn show(text: &Text<'_>) -> String {
    match text {
        Text::Bytes(bytes) => bytes.escape_ascii().to_string(),
        Text::Int(number) => number.to_string(),
        Text::Long { len, digest } => format!("<{len}:{digest:016x}>"),
    }
}

/// An event as one line.
pub fn line(event: &Event) -> String {
    match event {
        Event::Declined { ask } => format!("declined {ask}"),
        Event::FullResync { start: None } => "full ?".into(),
        Event::FullResync {
            start: Some((id, offset)),
        } => format!("full {id}:{offset}"),
        Event::Continued { position, renamed } => {
            format!("continued {position} db={} renamed={renamed}", position.db)
        }
        Event::SnapshotBegan { bytes } => format!("began {bytes:?}"),
        Event::SnapshotEnded { position } => format!("ended {position} db={}", position.db),
        Event::StandsBy { replid, offset } => format!("stands by {replid}:{offset}"),
    }
}

/// What the stream says, as one line.
pub fn streamed_line(streamed: &Streamed<'_>) -> String {
    match streamed {
        Streamed::Command(command) => {
            let args: Vec<String> = command.args.iter().map(|text| show(&text)).collect();
            let mark = if command.in_transaction { " tx" } else { "" };
            format!(
                "{}@{}{mark}: {}",
                command.db,
                command.end_offset,
                args.join(" ")
            )
        }
        Streamed::Multi => "multi".into(),
        Streamed::Exec { end_offset } => format!("exec @{end_offset}"),
        Streamed::Ping { end_offset } => format!("ping @{end_offset}"),
        Streamed::GetAck { end_offset } => format!("getack @{end_offset}"),
    }
}

/// A link and everything that came of it.
pub struct Drive {
    pub link: Link,
    pub buffer: Vec<u8>,
    pub items: Items,
    pub events: Vec<String>,
    /// Commands and control events only.
    pub sent: Vec<u8>,
    pub error: Option<Error>,
    pub now: u64,
    /// The most that had to be kept in the buffer.
    pub buffered_max: usize,
    /// Batches read so far: every other one by a reader that is lent.
    pub batches: usize,
}

impl Drive {
    pub fn new(link: Link) -> Drive {
        let mut drive = Drive {
            link,
            buffer: Vec::new(),
            items: Items::default(),
            events: Vec::new(),
            sent: Vec::new(),
            error: None,
            now: 0,
            buffered_max: 0,
            batches: 0,
        };
        drive.transmit();
        drive
    }

    /// A link that is in its stream already, continuing behind `offset`.
    pub fn streaming(offset: u64, db: u32) -> Drive {
        Drive::streaming_with(Options {
            resume: Some(at(offset, db)),
            ..options()
        })
    }

    pub fn streaming_with(options: Options) -> Drive {
        Drive::streaming_on(Link::new(options, 0))
    }

    /// The same on a link of the caller's, which continues somewhere.
    pub fn streaming_on(link: Link) -> Drive {
        let mut drive = Drive::new(link);
        drive
            .feed(b"+PONG\r\n")
            .feed(b"+OK\r\n")
            .feed(b"+OK\r\n")
            .feed(b"+CONTINUE\r\n");
        assert_eq!(
            drive.events.len(),
            1,
            "{:?} {:?}",
            drive.events,
            drive.error
        );
        drive.events.clear();
        drive.sent.clear();
        drive
    }

    pub fn transmit(&mut self) {
        while let Some(outbound) = self.link.poll_transmit() {
            outbound.encode(&mut self.sent);
        }
    }

    /// Bytes arrive.
    pub fn feed(&mut self, bytes: &[u8]) -> &mut Drive {
        if self.error.is_some() {
            return self;
        }
        self.buffer.extend_from_slice(bytes);
        self.link.arrived(self.now);
        let mut pos = 0;
        loop {
            match self.link.next(&self.buffer[pos..], &mut self.items) {
                Err(error) => {
                    self.error = Some(error);
                    break;
                }
                Ok(step) => {
                    assert!(step.consumed <= self.buffer.len() - pos);
                    pos += step.consumed;
                    if let Some(event) = &step.event {
                        self.events.push(line(event));
                    }
                    if step.is_stuck() {
                        pos += self.follow(pos);
                        break;
                    }
                }
            }
            self.transmit();
        }
        self.transmit();
        self.buffer.drain(..pos);
        self.buffered_max = self.buffered_max.max(self.buffer.len());
        self
    }

    /// Reads and follows the stream, if it is one, from `pos` on; says how much was consumed.
    fn follow(&mut self, pos: usize) -> usize {
        let mut consumed = 0;
        let mut batch = Batch::default();
        while self.error.is_none() {
            batch.clear();
            let rest = &self.buffer[pos + consumed..];
            self.batches += 1;
            // Nobody reads ahead of nothing.
            let lent = if self.batches.is_multiple_of(2) && !rest.is_empty() {
                self.link.lend()
            } else {
                None
            };
            consumed += match lent {
                Some(mut reader) => {
                    let consumed = reader.read(rest, &mut batch);
                    assert_eq!(self.link.read(rest, &mut Batch::default()), 0, "it is lent");
                    self.link.take_back(reader);
                    consumed
                }
                None => self.link.read(rest, &mut batch),
            };
            assert!(pos + consumed <= self.buffer.len());
            for index in 0..=batch.len() {
                match self.link.follow(&batch, index) {
                    Ok(Some(streamed)) => self.events.push(streamed_line(&streamed)),
                    Ok(None) => assert_eq!(index, batch.len()),
                    Err(error) => self.error = Some(error),
                }
                self.transmit();
            }
            if !batch.is_full() {
                break;
            }
        }
        consumed
    }

    /// Bytes arrive in pieces of `size`.
    pub fn feed_by(&mut self, bytes: &[u8], size: usize) -> &mut Drive {
        for piece in bytes.chunks(size) {
            self.feed(piece);
        }
        self
    }

    /// Time passes.
    pub fn wait_until(&mut self, now: u64) -> &mut Drive {
        while self.error.is_none() {
            let Some(due) = self.link.poll_timeout().filter(|due| *due <= now) else {
                break;
            };
            assert!(due >= self.now, "time runs forward");
            self.now = due;
            if let Err(error) = self.link.handle_timeout(due) {
                self.error = Some(error);
            }
            self.transmit();
        }
        self.now = now;
        self
    }

    /// What was sent since the last call, as words; commands separated by `; `.
    pub fn said(&mut self) -> String {
        let sent = std::mem::take(&mut self.sent);
        said(&sent)
    }
}

/// Decodes requests into words.
pub fn said(sent: &[u8]) -> String {
    use replica_shim::resp::request::{Limits, Scanned, Scanner};
    let mut scanner = Scanner::new(Limits::client(64, 4096, 65536));
    let mut rest = sent;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let Ok(Scanned::Done { len }) = scanner.scan(rest) else {
            panic!("half a request was sent: {}", rest.escape_ascii());
        };
        let args: Vec<String> = scanner.args(rest).iter().map(|text| show(&text)).collect();
        out.push(args.join(" "));
        rest = &rest[len..];
    }
    out.join("; ")
}

/// A small seeded generator (xorshift64*), so that failures can be repeated.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).expect("below usize")
    }
}
