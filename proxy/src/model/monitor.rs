//! MONITOR: the writes of the stream, values left out.
//!
//! Lines are made only while somebody listens. Key names, option words and the numbers of expiry
//! commands are shown; every other argument is `<n bytes>`.

use replica_shim::{Command, Text};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::clock;
use crate::model::ask::MonitorLine;

/// Listeners of one master; one more replaces the oldest.
const LISTENERS_MAX: usize = 64;

/// Arguments shown of one command.
const ARGS_MAX: usize = 64;

/// Longest name shown.
const NAME_MAX: usize = 1024;

/// Who listens.
#[derive(Debug, Default)]
pub struct Monitors {
    listeners: Vec<Listener>,
}

#[derive(Debug)]
struct Listener {
    lines: mpsc::Sender<MonitorLine>,
    dropped: u64,
}

/// Which arguments are key names.
#[derive(Clone, Copy)]
enum Keys {
    /// None.
    None,
    /// From `first`, every `step`, to the end.
    Every(usize, usize),
    /// The first so many.
    First(usize),
}

impl Monitors {
    /// True if nobody listens.
    pub fn is_empty(&self) -> bool {
        self.listeners.is_empty()
    }

    /// Adds a listener.
    pub fn add(&mut self, lines: mpsc::Sender<MonitorLine>) {
        self.listeners
            .retain(|listener| !listener.lines.is_closed());
        if self.listeners.len() == LISTENERS_MAX {
            self.listeners.remove(0);
        }
        self.listeners.push(Listener { lines, dropped: 0 });
    }

    /// Shows a command to everyone; the number of lines that had no room.
    pub fn show(&mut self, command: &Command<'_>) -> u64 {
        let line = MonitorLine {
            at_us: clock::unix_us(),
            db: command.db,
            args: arguments(command),
            dropped: 0,
        };
        let mut dropped = 0;
        self.listeners.retain_mut(|listener| {
            let mut line = line.clone();
            line.dropped = listener.dropped;
            match listener.lines.try_send(line) {
                Ok(()) => listener.dropped = 0,
                Err(TrySendError::Full(_)) => {
                    listener.dropped += 1;
                    dropped += 1;
                }
                Err(TrySendError::Closed(_)) => return false,
            }
            true
        });
        dropped
    }
}

fn arguments(command: &Command<'_>) -> Vec<Vec<u8>> {
    let args = command.args;
    let name = args.upper_name();
    let keys = keys(name.as_bytes());
    let times = matches!(
        name.as_bytes(),
        b"EXPIRE" | b"PEXPIRE" | b"EXPIREAT" | b"PEXPIREAT"
    );
    let shown = args.iter().take(ARGS_MAX).enumerate().map(|(i, argument)| {
        let literal =
            i == 0 || keys.is_at(i) || (times && i == 2) || (i > 1 && is_option(&argument));
        match argument {
            Text::Bytes(bytes) if literal && bytes.len() <= NAME_MAX => bytes.to_vec(),
            Text::Int(number) if literal => number.to_string().into_bytes(),
            Text::Bytes(_) | Text::Int(_) | Text::Long { .. } => {
                format!("<{} bytes>", argument.len()).into_bytes()
            }
        }
    });
    shown.collect()
}

impl Keys {
    fn is_at(self, i: usize) -> bool {
        match self {
            Keys::None => false,
            Keys::Every(first, step) => i >= first && (i - first).is_multiple_of(step),
            Keys::First(count) => i >= 1 && i <= count,
        }
    }
}

fn keys(name: &[u8]) -> Keys {
    match name {
        b"DEL" | b"UNLINK" | b"PFMERGE" | b"SUNIONSTORE" | b"SINTERSTORE" | b"SDIFFSTORE" => {
            Keys::Every(1, 1)
        }
        b"MSET" | b"MSETNX" => Keys::Every(1, 2),
        b"RENAME" | b"RENAMENX" | b"COPY" | b"LMOVE" | b"RPOPLPUSH" | b"SMOVE" | b"BLMOVE"
        | b"BRPOPLPUSH" | b"GEOSEARCHSTORE" | b"ZRANGESTORE" => Keys::First(2),
        b"FLUSHALL" | b"FLUSHDB" | b"SWAPDB" | b"PUBLISH" | b"SPUBLISH" | b"FUNCTION"
        | b"SCRIPT" => Keys::None,
        b"XGROUP" => Keys::Every(2, usize::MAX),
        b"BITOP" => Keys::Every(2, 1),
        _ => Keys::First(1),
    }
}

/// Words that stand between values in write commands.
fn is_option(argument: &Text<'_>) -> bool {
    const OPTIONS: [&[u8]; 32] = [
        b"EX",
        b"PX",
        b"EXAT",
        b"PXAT",
        b"NX",
        b"XX",
        b"GT",
        b"LT",
        b"CH",
        b"INCR",
        b"KEEPTTL",
        b"GET",
        b"LEFT",
        b"RIGHT",
        b"BEFORE",
        b"AFTER",
        b"MAXLEN",
        b"MINID",
        b"LIMIT",
        b"NOMKSTREAM",
        b"WEIGHTS",
        b"AGGREGATE",
        b"REPLACE",
        b"ABSTTL",
        b"IDLETIME",
        b"FREQ",
        b"FIELDS",
        b"DB",
        b"ASYNC",
        b"SYNC",
        b"MKSTREAM",
        b"ENTRIESREAD",
    ];
    match argument {
        Text::Bytes(bytes) => OPTIONS.iter().any(|word| bytes.eq_ignore_ascii_case(word)),
        Text::Int(_) | Text::Long { .. } => false,
    }
}
