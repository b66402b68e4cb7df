//! How fast the command stream is read: the scanner alone, and the whole link.
//!
//! The input fits in the cache, so this is the cost of the code. Goal: 20 million small SETs a
//! second on one core. `cargo bench -p replica-shim --bench scan`
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::hint::black_box;
use std::time::Instant;

use replica_shim::rdb::Item;
use replica_shim::resp::request::{Limits, Scanned, Scanner};
use replica_shim::{Announce, Batch, Link, Offset, Options, Position, ReplId, Role, Streamed};

const ID: &[u8] = b"0123456789abcdef0123456789abcdef01234567";

fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn sets(count: usize, value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for i in 0..count {
        command(
            &mut out,
            &[
                b"SET",
                format!("key:{:07}", i * 37 % 10_000_000).as_bytes(),
                &vec![b'v'; value],
            ],
        );
    }
    out
}

fn mixed(count: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for i in 0..count {
        let key = format!("user:{i}:x");
        let key = key.as_bytes();
        match i % 5 {
            0 => command(
                &mut out,
                &[b"HSET", key, b"name", b"somebody", b"age", b"44"],
            ),
            1 => command(&mut out, &[b"ZADD", key, b"1.5", b"member"]),
            2 => command(&mut out, &[b"LPUSH", key, b"a", b"b", b"c"]),
            3 => {
                command(&mut out, &[b"MULTI"]);
                command(&mut out, &[b"INCR", key]);
                command(&mut out, &[b"PEXPIREAT", key, b"1800000000000"]);
                command(&mut out, &[b"EXEC"]);
            }
            _ => command(&mut out, &[b"DEL", key]),
        }
    }
    out
}

/// Best of several rounds, in commands a second.
fn measure(name: &str, bytes: &[u8], mut round: impl FnMut(&[u8]) -> usize) {
    let mut best = f64::MAX;
    let mut commands = 0;
    for _ in 0..30 {
        let start = Instant::now();
        commands = black_box(round(black_box(bytes)));
        best = best.min(start.elapsed().as_secs_f64());
    }
    let (commands, len) = (commands as f64, bytes.len() as f64);
    println!(
        "{name:<28} {:>7.1} M commands/s {:>7.1} ns each {:>6.2} GB/s",
        commands / best / 1e6,
        best / commands * 1e9,
        len / best / 1e9
    );
}

fn scan(bytes: &[u8]) -> usize {
    let mut scanner = Scanner::new(Limits::client(1024, 1 << 20, 1 << 24));
    let mut rest = bytes;
    let mut commands = 0;
    while let Ok(Scanned::Done { len }) = scanner.scan(rest) {
        black_box(scanner.args(rest).bytes(1));
        commands += 1;
        rest = &rest[len..];
    }
    commands
}

fn link() -> Link {
    let replid = ReplId::parse(ID).expect("40 digits");
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
        seed: 1,
    };
    let mut link = Link::new(options, 0);
    for reply in [
        b"+PONG\r\n".as_slice(),
        b"+OK\r\n",
        b"+OK\r\n",
        b"+CONTINUE\r\n",
    ] {
        while link.poll_transmit().is_some() {}
        link.next(reply, &mut |_: Item<'_>| {})
            .expect("a handshake");
    }
    link
}

fn follow(link: &mut Link, bytes: &[u8]) -> usize {
    let mut rest = bytes;
    let mut commands = 0;
    let mut batch = Batch::default();
    loop {
        batch.clear();
        rest = &rest[link.read(rest, &mut batch)..];
        for index in 0..batch.len() {
            let streamed = link.follow(&batch, index).expect("a healthy stream");
            if let Some(Streamed::Command(command)) = streamed {
                black_box(command.args.bytes(1));
                commands += 1;
            }
        }
        if !batch.is_full() {
            return commands;
        }
    }
}

fn main() {
    let small = sets(5_000, 8);
    let large = sets(500, 1_000);
    let mixed = mixed(5_000);
    for (name, bytes) in [
        ("SET 8 bytes", &small),
        ("SET 1000 bytes", &large),
        ("mixed", &mixed),
    ] {
        measure(&format!("scanner, {name}"), bytes, scan);
        let mut link = link();
        measure(&format!("link, {name}"), bytes, |bytes| {
            follow(&mut link, bytes)
        });
    }
}
