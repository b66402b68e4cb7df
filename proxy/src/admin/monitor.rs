//! MONITOR: the writes of every master as they are applied, in the form of Redis, with sizes where
//! values would stand, and the master's name where a client's address would.
//!
//! ```text
//! 1732101600.123456 [0 10.0.0.1:6379] "SET" "user:1" "<12 bytes>"
//! ```

use std::fmt::Write;
use std::future::poll_fn;
use std::task::{Context, Poll};

use tokio::sync::mpsc;

use super::reply::Reply;
use super::session::Session;
use crate::clock;
use crate::model::ask::{Ask, MonitorLine};

/// Lines of one master that wait for a slow client; beyond that they are dropped and counted.
const LINES_MAX: usize = 1024;

/// The lines of every master, for one client.
#[derive(Debug)]
pub(crate) struct Feed {
    masters: Vec<(String, mpsc::Receiver<MonitorLine>)>,
    /// Whose turn it is, so that a busy master does not hide the others.
    turn: usize,
}

pub(crate) async fn begin(session: &mut Session) -> Result<Reply, Reply> {
    let mut masters = Vec::new();
    for master in session.scope()?.masters {
        let (lines, receiver) = mpsc::channel(LINES_MAX);
        // A master whose owner is gone has nothing to show.
        if master.asks.send(Ask::Monitor { lines }).await.is_ok() {
            masters.push((master.name(), receiver));
        }
    }
    session.monitor = Some(Feed { masters, turn: 0 });
    session.client.note(|seen| seen.monitor = true);
    Ok(Reply::OK)
}

impl Feed {
    /// The next line, as the client gets it. Never returns while no master has anything to show.
    pub(crate) async fn next(&mut self) -> String {
        poll_fn(|context| self.poll(context)).await
    }

    /// A line that is there already.
    pub(crate) fn ready(&mut self) -> Option<String> {
        for _ in 0..self.masters.len() {
            self.turn = (self.turn + 1) % self.masters.len();
            let (name, lines) = self.masters.get_mut(self.turn)?;
            if let Ok(line) = lines.try_recv() {
                return Some(show(name, &line));
            }
        }
        None
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<String> {
        let mut ended = None;
        for step in 0..self.masters.len() {
            let at = (self.turn + 1 + step) % self.masters.len();
            let Some((name, lines)) = self.masters.get_mut(at) else {
                continue;
            };
            match lines.poll_recv(context) {
                Poll::Ready(Some(line)) => {
                    let text = show(name, &line);
                    self.turn = at;
                    return Poll::Ready(text);
                }
                Poll::Ready(None) => ended = Some(at),
                Poll::Pending => {}
            }
        }
        // An owner that is gone must not be polled again.
        match ended {
            Some(at) => Poll::Ready(farewell(&self.masters.remove(at).0)),
            None => Poll::Pending,
        }
    }
}

/// The line, behind one that says how many were dropped before it.
fn show(master: &str, line: &MonitorLine) -> String {
    let (seconds, micros) = (line.at_us / 1_000_000, line.at_us % 1_000_000);
    let head = format!("{seconds}.{micros:06} [{} {master}]", line.db);
    let mut text = String::new();
    // Writing to a string cannot fail.
    if line.dropped > 0 {
        let dropped = line.dropped;
        let _ = write!(
            text,
            "+{head} \"KS.DROPPED\" \"{dropped} lines, the client is slow\"\r\n"
        );
    }
    let _ = write!(text, "+{head}");
    for arg in &line.args {
        text.push(' ');
        quote(arg, &mut text);
    }
    text.push_str("\r\n");
    text
}

/// The last line of a master whose owner is gone: removed, or restarted.
fn farewell(master: &str) -> String {
    let now_us = clock::unix_us();
    let (seconds, micros) = (now_us / 1_000_000, now_us % 1_000_000);
    format!(
        "+{seconds}.{micros:06} [0 {master}] \"KS.ENDED\" \"its model ended; MONITOR again\"\r\n"
    )
}

/// Appends bytes in quotes, escaped as `sdscatrepr` does.
pub(crate) fn quote(bytes: &[u8], text: &mut String) {
    text.push('"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            7 => text.push_str("\\a"),
            8 => text.push_str("\\b"),
            b' '..=b'~' => text.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(text, "\\x{byte:02x}")),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_looks_like_that_of_redis() {
        let line = MonitorLine {
            at_us: 1_732_101_600_000_123,
            db: 3,
            args: vec![b"SET".to_vec(), b"a\"\x01".to_vec(), b"<3 bytes>".to_vec()],
            dropped: 2,
        };
        assert_eq!(
            show("h:1", &line),
            "+1732101600.000123 [3 h:1] \"KS.DROPPED\" \"2 lines, the client is slow\"\r\n\
             +1732101600.000123 [3 h:1] \"SET\" \"a\\\"\\x01\" \"<3 bytes>\"\r\n"
        );
    }

    #[tokio::test]
    async fn a_master_that_ends_says_so_once() {
        let (lines, receiver) = mpsc::channel(1);
        let (_kept, other) = mpsc::channel(1);
        let mut feed = Feed {
            masters: vec![("h:1".to_owned(), receiver), ("h:2".to_owned(), other)],
            turn: 0,
        };
        drop(lines);
        assert!(feed.next().await.contains("[0 h:1] \"KS.ENDED\""));
        assert_eq!(feed.masters.len(), 1);
        assert_eq!(feed.ready(), None);
    }
}
