//! Data by the million: the keyspaces that figures are quoted for.
//!
//! `small` is one string of 8 to 64 bytes under `user:<i>:session` per key; `mixed` has every type in
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
    /// Not keys but traffic: writes of all kinds to the same hundred thousand keys.
    Traffic,
}

/// Writes `count` keys of that shape; returns how many elements they have together.
///
/// # Errors
/// If the server refuses a command.
pub fn fill(client: &mut Client, shape: Shape, count: u64) -> Result<u64> {
    let mut pending = 0;
    let mut elements = 0;
    for number in 0..count {
        let command = command(shape, number);
        elements += elements_of(&command);
        client.push(&command);
        pending += 1;
        if pending == BATCH {
            drain(client, &mut pending)?;
        }
    }
    drain(client, &mut pending)?;
    Ok(elements)
}

/// How many elements a command writes.
fn elements_of(command: &Command) -> u64 {
    let arguments = command.len().saturating_sub(2) as u64;
    match command.first().map(Vec::as_slice) {
        Some(b"HSET" | b"ZADD") => arguments / 2,
        Some(b"SADD" | b"RPUSH") => arguments,
        _ => 1,
    }
}

/// The command that writes the key of that number.
#[must_use]
pub fn command(shape: Shape, number: u64) -> Command {
    let mut rng = Rng::new(number.wrapping_mul(31));
    match shape {
        Shape::Small => small(&mut rng, number),
        Shape::Mixed => mixed(&mut rng, number),
        Shape::Traffic => traffic(&mut rng),
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

fn traffic(rng: &mut Rng) -> Command {
    let word = |text: &str| text.as_bytes().to_vec();
    let number = rng.below(100_000);
    let name = |kind: &str| format!("live:{kind}:{number}").into_bytes();
    let element = rng.below(40);
    let length = 8 + rng.index(60);
    match rng.below(20) {
        0..=4 => vec![word("SET"), name("page"), text(rng, length)],
        5 => vec![
            word("SET"),
            name("page"),
            text(rng, length),
            word("EX"),
            word("90000"),
        ],
        6 | 7 => vec![word("INCR"), name("counter")],
        8..=10 => {
            let field = format!("field:{element}").into_bytes();
            vec![word("HSET"), name("profile"), field, text(rng, length)]
        }
        11 => vec![
            word("HDEL"),
            name("profile"),
            format!("field:{element}").into_bytes(),
        ],
        12 | 13 => {
            let score = rng.below(100_000).to_string().into_bytes();
            vec![
                word("ZADD"),
                name("board"),
                score,
                format!("player:{element}").into_bytes(),
            ]
        }
        14 => vec![
            word("SADD"),
            name("tags"),
            format!("tag:{element}").into_bytes(),
        ],
        15 => vec![
            word("SREM"),
            name("tags"),
            format!("tag:{element}").into_bytes(),
        ],
        16 => vec![word("RPUSH"), name("queue"), text(rng, length)],
        17 => vec![word("LPOP"), name("queue")],
        18 => vec![word("PEXPIRE"), name("page"), word("80000000")],
        _ => vec![word("DEL"), name("page")],
    }
}

fn text(rng: &mut Rng, len: usize) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    rng.bytes(len)
        .into_iter()
        .map(|byte| LETTERS[usize::from(byte & 63)])
        .collect()
}
