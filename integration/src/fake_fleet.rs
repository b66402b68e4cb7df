//! A cluster of a thousand scripted masters: what real processes would take ten machines for.
//!
//! Each master owns its share of the slots and has a small snapshot with keys of all types in them;
//! it answers everything that a master is asked on the link, on the side connection and for the map,
//! stamps included, and sends a PING every ten seconds. All of them are tasks of one runtime with one
//! thread, so that what is measured is Keyscape. Loopback is one host, so full syncs come one after
//! the other.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::cluster::client::slot_of;
use crate::fake_master::{Identity, Snapshot, answer, parse};
use crate::resp::Command;

/// A master sends one so often.
const PING_EVERY: Duration = Duration::from_secs(10);

/// What it sends.
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// The first letter of a key's name, its type in an RDB file, and what OBJECT ENCODING says.
const KINDS: [(&str, u8, &str); 5] = [
    ("s", 0, "embstr"),
    ("l", 1, "quicklist"),
    ("e", 2, "hashtable"),
    ("h", 4, "listpack"),
    ("z", 5, "listpack"),
];

/// The value of every string.
const VALUE: &str = "a value of some length";

/// The elements of every collection.
const ELEMENTS: [&str; 3] = ["first", "second", "third"];

/// The masters; dropping this ends them.
pub struct FakeFleet {
    /// Where they listen.
    pub addrs: Vec<SocketAddr>,
    /// Keys of all of them.
    pub keys: usize,
    /// What each of them says of all, but for the word `myself`.
    nodes: Lines,
    runtime: Option<Runtime>,
}

/// Lines of CLUSTER NODES, by master.
type Lines = Arc<RwLock<Vec<String>>>;

/// One of them.
struct Member {
    /// Where its line in the map says that it is itself.
    index: usize,
    identity: Identity,
    snapshot: Vec<u8>,
    offset: AtomicU64,
    nodes: Lines,
}

impl FakeFleet {
    /// Starts so many masters with so many keys each.
    ///
    /// # Errors
    /// If addresses cannot be had.
    pub fn start(masters: usize, keys: usize) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let mut listeners = Vec::new();
        for _ in 0..masters {
            let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
            listeners.push(runtime.block_on(bound).context("bind a fake master")?);
        }
        let addrs = listeners.iter().map(TcpListener::local_addr);
        let addrs = addrs.collect::<std::io::Result<Vec<SocketAddr>>>()?;
        let shares: Vec<Range<usize>> = (0..masters).map(|index| share(index, masters)).collect();
        let names = names(&shares, keys);
        let lines = addrs.iter().zip(&shares).enumerate();
        let nodes = lines.map(|(index, (addr, share))| line(index, *addr, share));
        let nodes = Arc::new(RwLock::new(nodes.collect::<Vec<String>>()));
        for ((index, listener), names) in listeners.into_iter().enumerate().zip(&names) {
            let identity = Identity {
                mode: "cluster".to_owned(),
                run_id: format!("{index:040x}"),
                replid: format!("{:040x}", index + 1_000_000),
                ..Identity::default()
            };
            let member = Arc::new(Member {
                index,
                offset: AtomicU64::new(identity.offset),
                identity,
                snapshot: snapshot(names),
                nodes: Arc::clone(&nodes),
            });
            runtime.spawn(serve(listener, member));
        }
        Ok(Self {
            addrs,
            keys: names.iter().map(Vec::len).sum(),
            nodes,
            runtime: Some(runtime),
        })
    }

    /// Changes the lines that all of them say from now on; the empty ones are left out.
    pub fn say(&self, change: impl FnOnce(&mut [String])) {
        let mut lines = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut lines);
    }

    /// Some seeds as a source.
    #[must_use]
    pub fn url(&self) -> String {
        let seeds = self.addrs.iter().take(3).map(ToString::to_string);
        format!("redis-cluster://{}", seeds.collect::<Vec<_>>().join(","))
    }
}

impl Drop for FakeFleet {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The slots of a master.
fn share(index: usize, masters: usize) -> Range<usize> {
    let slots = usize::from(crate::cluster::SLOTS);
    index * slots / masters..(index + 1) * slots / masters
}

/// Names of all types in the slots of each master.
fn names(shares: &[Range<usize>], keys: usize) -> Vec<Vec<String>> {
    let mut names: Vec<Vec<String>> = vec![Vec::new(); shares.len()];
    let mut missing = shares.len() * keys;
    let mut number = 0_u64;
    while missing > 0 {
        let (letter, ..) = KINDS[usize::try_from(number % 5).unwrap_or(0)];
        let name = format!("{letter}:session:{number}");
        number += 1;
        let slot = usize::from(slot_of(name.as_bytes()));
        let owner = shares.partition_point(|share| share.end <= slot);
        if names[owner].len() < keys {
            names[owner].push(name);
            missing -= 1;
        }
    }
    names
}

fn snapshot(names: &[String]) -> Vec<u8> {
    let mut snapshot = Snapshot::new(10).db(0);
    for name in names {
        let kind = KINDS.iter().find(|(letter, ..)| name.starts_with(letter));
        let kind = kind.map_or(0, |(_, kind, _)| *kind);
        snapshot = match kind {
            0 => snapshot.string(name, VALUE),
            _ => snapshot.collection(kind, name, &ELEMENTS),
        };
    }
    snapshot.end()
}

/// A line of CLUSTER NODES.
fn line(index: usize, addr: SocketAddr, share: &Range<usize>) -> String {
    let (last, bus) = (share.end - 1, addr.port().wrapping_add(10_000));
    format!(
        "{index:040x} {addr}@{bus} master - 0 1700000000000 {} connected {}-{last}\n",
        index + 1,
        share.start
    )
}

async fn serve(listener: TcpListener, member: Arc<Member>) {
    while let Ok((stream, _)) = listener.accept().await {
        let member = Arc::clone(&member);
        // It ends when the other side goes away, which is its right.
        tokio::spawn(async move { drop(talk(stream, &member).await) });
    }
}

/// Answers, until the other side asks to replicate.
async fn talk(mut stream: TcpStream, member: &Member) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::new();
    let mut held: Option<Vec<Command>> = None;
    loop {
        let mut out = String::new();
        while let Some((command, used)) = parse(&input)? {
            input.drain(..used);
            match word(&command, 0).as_str() {
                "" => {}
                "psync" => return replicate(stream, member).await,
                "multi" => {
                    held = Some(Vec::new());
                    out.push_str("+OK\r\n");
                }
                "exec" => {
                    let held = held.take().unwrap_or_default();
                    write!(out, "*{}\r\n", held.len())?;
                    held.iter()
                        .for_each(|command| out += &member.answer(command));
                }
                _ => match &mut held {
                    Some(held) => {
                        held.push(command);
                        out.push_str("+QUEUED\r\n");
                    }
                    None => out += &member.answer(&command),
                },
            }
        }
        stream.write_all(out.as_bytes()).await?;
        let got = stream.read_buf(&mut input).await?;
        anyhow::ensure!(got > 0, "the other side hung up");
    }
}

/// The whole snapshot, and then a PING now and then; what the replica says is read and dropped.
async fn replicate(mut stream: TcpStream, member: &Member) -> Result<()> {
    let (replid, offset) = (
        &member.identity.replid,
        member.offset.load(Ordering::SeqCst),
    );
    let length = member.snapshot.len();
    let head = format!("+FULLRESYNC {replid} {offset}\r\n${length}\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&member.snapshot).await?;
    let mut input = [0; 4096];
    let mut ping = tokio::time::interval(PING_EVERY);
    ping.tick().await;
    loop {
        tokio::select! {
            _ = ping.tick() => {
                stream.write_all(PING).await?;
                member.offset.fetch_add(PING.len() as u64, Ordering::SeqCst);
            }
            got = stream.read(&mut input) => anyhow::ensure!(got? > 0, "the replica hung up"),
        }
    }
}

impl Member {
    fn answer(&self, command: &Command) -> String {
        let (name, argument) = (word(command, 0), word(command, 1));
        match (name.as_str(), argument.as_str()) {
            ("cluster", "nodes") => {
                let mut lines = self
                    .nodes
                    .read()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                let own = &mut lines[self.index];
                *own = own.replace(" master", " myself,master");
                let text = lines.concat();
                format!("${}\r\n{text}\r\n", text.len())
            }
            ("object", "encoding") => {
                let key = word(command, 2);
                let kind = KINDS.iter().find(|(letter, ..)| key.starts_with(letter));
                kind.map_or("$-1\r\n".to_owned(), |(.., encoding)| {
                    format!("${}\r\n{encoding}\r\n", encoding.len())
                })
            }
            ("memory", "usage") => ":120\r\n".to_owned(),
            ("strlen", _) => format!(":{}\r\n", VALUE.len()),
            ("llen" | "scard" | "hlen" | "zcard", _) => format!(":{}\r\n", ELEMENTS.len()),
            ("pttl" | "pexpiretime", _) => ":-1\r\n".to_owned(),
            _ => {
                let identity = Identity {
                    offset: self.offset.load(Ordering::SeqCst),
                    ..self.identity.clone()
                };
                answer(&name, &argument, &identity)
            }
        }
    }
}

fn word(command: &Command, index: usize) -> String {
    let bytes = command.get(index).map_or(&[][..], Vec::as_slice);
    String::from_utf8_lossy(bytes).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_one_owner_and_every_master_its_keys() {
        let shares: Vec<_> = (0..1000).map(|index| share(index, 1000)).collect();
        assert!(shares.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!((shares[0].start, shares[999].end), (0, 16_384));
        let names = names(&shares, 3);
        for (share, names) in shares.iter().zip(&names) {
            let own = |name: &String| share.contains(&usize::from(slot_of(name.as_bytes())));
            assert!(names.len() == 3 && names.iter().all(own), "{share:?}");
        }
    }
}
