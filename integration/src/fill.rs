//! Data by the million: the keyspaces that figures are quoted for.
//!
//! `small` is one string of 8 to 64 bytes under "user:<i>:session" per key; `mixed` has every type in
//! the sizes that caches, queues and indexes have. Both follow from the key's number alone.

use anyhow::{Result, bail};

use crate::resp::{Client, Command};
use crate::seed::Rng;

/// Commands sent before their replies are read.
const BATCH: usize = 400;

/// What a keyspace consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Only small strings.
    Small,
    /// All types.
    Mixed,
}

/// Writes `count` keys of that shape.
///
/// # Errors
/// If the server refuses a command.
pub fn fill(client: &mut Client, shape: Shape, count: u64) -> Result<()> {
    let mut pending = 0;
    for number in 0..count {
        client.push(&command(shape, number));
        pending += 1;
        if pending == BATCH {
            drain(client, &mut pending)?;
        }
    }
    drain(client, &mut pending)
}

/// The command that writes the key of that number.
#[must_use]
pub fn command(shape: Shape, number: u64) -> Command {
    let mut rng = Rng::new(number.wrapping_mul(31));
    match shape {
        Shape::Small => small(&mut rng, number),
        Shape::Mixed => mixed(&mut rng, number),
    }
}

fn drain(client: &mut Client, pending: &mut usize) -> Result<()> {
    client.flush()?;
    for _ in 0..std::mem::take(pending) {
        let reply = client.read()?;
        if reply.is_error() {
            bail!("fill: {}", reply.string());
        }
    }
    Ok(())
}

fn small(rng: &mut Rng, number: u64) -> Command {
    let len = 8 + rng.index(57);
    let name = format!("user:{number}:session").into_bytes();
    vec![b"SET".to_vec(), name, text(rng, len)]
}

fn mixed(rng: &mut Rng, number: u64) -> Command {
    let word = |text: &str| text.as_bytes().to_vec();
    let name = |kind: &str| format!("app:{kind}:{number}").into_bytes();
    // One collection in a hundred is large.
    let count = if rng.one_in(100) {
        200 + rng.below(800)
    } else {
        2 + rng.below(12)
    };
    let mut command: Command;
    match number % 20 {
        0..=7 => {
            let len = 8 + rng.index(200);
            command = vec![word("SET"), name("page"), text(rng, len)];
            if number.is_multiple_of(3) {
                command.extend([word("PX"), word(&(80_000_000 + number).to_string())]);
            }
        }
        8 => {
            command = vec![
                word("SET"),
                name("counter"),
                word(&rng.below(1_000_000).to_string()),
            ]
        }
        9..=13 => {
            command = vec![word("HSET"), name("profile")];
            for field in 0..count {
                let len = 4 + rng.index(28);
                command.extend([format!("field:{field}").into_bytes(), text(rng, len)]);
            }
        }
        14 | 15 => {
            command = vec![word("ZADD"), name("board")];
            for member in 0..count {
                let score = rng.below(100_000).to_string();
                command.extend([word(&score), format!("player:{member}").into_bytes()]);
            }
        }
        16 => {
            command = vec![word("SADD"), name("tags")];
            command.extend((0..count).map(|n| format!("tag:{}", n * 7).into_bytes()));
        }
        17 => {
            command = vec![word("SADD"), name("ids")];
            command.extend((0..count).map(|n| (n * 1013 + number % 997).to_string().into_bytes()));
        }
        18 => {
            command = vec![word("RPUSH"), name("queue")];
            for _ in 0..count {
                let len = 10 + rng.index(60);
                command.push(text(rng, len));
            }
        }
        _ => {
            let len = 10 + rng.index(60);
            command = vec![
                word("XADD"),
                name("events"),
                word("*"),
                word("type"),
                word("click"),
            ];
            command.extend([word("body"), text(rng, len)]);
        }
    }
    command
}

fn text(rng: &mut Rng, len: usize) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    rng.bytes(len)
        .into_iter()
        .map(|byte| LETTERS[usize::from(byte & 63)])
        .collect()
}
