//! A tap on a master's stream: remembers which commands named which key, so that a mismatch can be
//! told with its history.
//!
//! The tap is a replica of the simplest kind, attached while the master is still empty. It says
//! nothing more, so the master needs a long `repl-timeout`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::resp::{Client, Command, Reply};
use crate::server::Server;

/// Commands remembered for each key.
const KEPT: usize = 12;

type History = BTreeMap<(String, Vec<u8>), Vec<String>>;

/// A running tap; it ends with its master.
pub struct Tap {
    seen: Arc<Mutex<History>>,
}

impl Tap {
    /// Attaches to an empty master.
    ///
    /// # Errors
    /// If the master does not accept a replica.
    pub fn attach(master: &Server) -> Result<Self> {
        let mut client = master.client()?;
        client.read_timeout(Duration::from_secs(3600))?;
        let reply = client.call(&["PSYNC", "?", "-1"])?;
        anyhow::ensure!(
            reply.string().starts_with("FULLRESYNC"),
            "{}",
            reply.string()
        );
        client.skip_snapshot()?;
        let seen: Arc<Mutex<History>> = Arc::default();
        let own = Arc::clone(&seen);
        thread::spawn(move || follow(&mut client, &own));
        Ok(Self { seen })
    }

    /// The last commands that named the key, in any database, oldest first.
    #[must_use]
    pub fn history(&self, key: &[u8]) -> Vec<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = seen.iter().filter(|((_, name), _)| name == key);
        wanted
            .flat_map(|((db, _), lines)| lines.iter().map(move |l| format!("{db}: {l}")))
            .collect()
    }
}

fn follow(client: &mut Client, seen: &Mutex<History>) -> Result<()> {
    let mut db = "0".to_owned();
    loop {
        let reply = client.read().context("the stream")?;
        let words: Command = reply
            .items()
            .iter()
            .filter_map(Reply::text)
            .map(<[u8]>::to_vec)
            .collect();
        let name = words
            .first()
            .map_or(&[][..], Vec::as_slice)
            .to_ascii_lowercase();
        if name == b"select" {
            db = String::from_utf8_lossy(words.get(1).map_or(&[][..], Vec::as_slice)).into_owned();
            continue;
        }
        let line = show(&words);
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Any argument may be a key; what is none does no harm but for the room it takes.
        for word in words.iter().skip(1).take(6).filter(|word| word.len() < 300) {
            let lines = seen.entry((db.clone(), word.clone())).or_default();
            if lines.len() == KEPT {
                lines.remove(0);
            }
            lines.push(line.clone());
        }
    }
}

/// A command as text, with the lengths of what is too long to show.
fn show(words: &Command) -> String {
    let shown = words.iter().take(14).map(|word| {
        if word.len() > 48 {
            format!("<{} bytes>", word.len())
        } else {
            word.escape_ascii().to_string()
        }
    });
    let rest = words.len().saturating_sub(14);
    let tail = if rest > 0 {
        format!(" ... {rest} more")
    } else {
        String::new()
    };
    shown.collect::<Vec<_>>().join(" ") + &tail
}
