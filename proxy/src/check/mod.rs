//! `keyscape check`: what `serve` would meet on a server, found out with reads alone.
//!
//! A list of named checks in the order in which a link would fail on them; each one that is not
//! well says what to do, with a line to paste. Whoever fails a check that later ones build on ends
//! the list.

mod rules;

use std::io::Write;

use redis_protocol::resp2::types::BytesFrame;
use replica_shim::Outbound;
use replica_shim::outbound::InfoSection;

use crate::side::client::{self, Client, SideError, Target};
use crate::side::{info::Info, intro};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Well,
    /// It will work, at a price that is said.
    Odd,
    /// It will not work.
    Bad,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// How it ended.
    pub grade: Grade,
    /// What was found.
    pub found: String,
    /// A line to paste, if something can be done.
    pub cure: Option<String>,
}

impl Finding {
    fn well(name: &'static str, found: impl Into<String>) -> Finding {
        Finding {
            name,
            grade: Grade::Well,
            found: found.into(),
            cure: None,
        }
    }

    fn odd(name: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Finding {
        Finding {
            name,
            grade: Grade::Odd,
            found: found.into(),
            cure: Some(cure.into()).filter(|cure: &String| !cure.is_empty()),
        }
    }

    fn bad(name: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Finding {
        Finding {
            grade: Grade::Bad,
            ..Finding::odd(name, found, cure)
        }
    }
}

/// What a server told: the material of the rules.
#[derive(Clone, Debug, Default)]
struct Facts {
    /// All INFO sections that matter.
    info: String,
    /// CONFIG GET pairs; empty without the right to it.
    config: Vec<(String, String)>,
    /// Whether the server has a command called PSYNC.
    has_psync: bool,
    /// Rights that are missing, as ACL rules.
    missing: Vec<&'static str>,
    /// Bytes written a second, over the time of the check.
    write_rate: u64,
}

impl Facts {
    fn info(&self) -> Info<'_> {
        Info(&self.info)
    }

    fn setting(&self, name: &str) -> Option<&str> {
        let found = self.config.iter().find(|(setting, _)| setting == name);
        found.map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.setting(name)?.parse().ok()
    }
}

/// Checks a server and prints the list; true if a link would work.
///
/// # Errors
/// The output is gone.
pub async fn check(target: &Target, out: &mut dyn Write) -> std::io::Result<bool> {
    writeln!(out, "keyscape check {}", target.source)?;
    let findings = match ask(target).await {
        Ok(facts) => {
            let mut findings = vec![Finding::well("reach", "connected and let in")];
            findings.extend(rules::judge(&facts, target));
            findings
        }
        Err(error) => vec![rules::unreachable(&error, target)],
    };
    let mut works = true;
    for finding in &findings {
        let mark = match finding.grade {
            Grade::Well => "ok  ",
            Grade::Odd => "warn",
            Grade::Bad => "FAIL",
        };
        writeln!(out, "[{mark}] {}: {}", finding.name, finding.found)?;
        if let Some(cure) = &finding.cure {
            writeln!(out, "         {cure}")?;
        }
        works &= finding.grade != Grade::Bad;
    }
    Ok(works)
}

/// How long the write rate is measured.
const RATE_TIME: std::time::Duration = std::time::Duration::from_secs(1);

const SETTINGS: [&str; 8] = [
    "repl-*",
    "client-output-buffer-limit",
    "min-*-to-write",
    "maxmemory",
    "save",
    "appendonly",
    "rdbcompression",
    "shutdown-timeout",
];

async fn ask(target: &Target) -> Result<Facts, SideError> {
    let mut client = Client::connect(target).await?;
    let sections = [
        InfoSection::Server,
        InfoSection::Replication,
        InfoSection::Persistence,
        InfoSection::Memory,
        InfoSection::Stats,
        InfoSection::Cluster,
    ];
    let mut facts = Facts::default();
    let replies = client.ask(&sections.map(Outbound::Info)).await?;
    facts.missing.extend(denied(&replies[..1], "+info"));
    facts.info = replies.iter().filter_map(client::text).map(utf8).collect();
    let replies = client.ask(&SETTINGS.map(Outbound::ConfigGet)).await?;
    facts.missing.extend(denied(&replies[..1], "+config|get"));
    facts.config = replies.iter().flat_map(intro::pairs).collect();
    let psync = client.ask_one(&Outbound::CommandInfo(&[b"psync"])).await?;
    // Without the right to COMMAND nothing is known; the link will tell.
    facts.has_psync = match client::members(&psync) {
        Some([BytesFrame::Null]) => false,
        Some(_) | None => true,
    };
    facts.missing.extend(rights(&mut client).await?);
    let before = facts.info().number("total_net_input_bytes");
    tokio::time::sleep(RATE_TIME).await;
    let after = client.ask_one(&Outbound::Info(InfoSection::Stats)).await?;
    let after = client::text(&after).map(utf8).unwrap_or_default();
    let after = Info(&after).number("total_net_input_bytes");
    facts.write_rate = before.zip(after).map_or(0, |(b, a)| a.saturating_sub(b));
    Ok(facts)
}

/// Rights that re-reads and the link need, tried on a key that nobody has.
async fn rights(client: &mut Client) -> Result<Vec<&'static str>, SideError> {
    const KEY: &[u8] = b"keyscape:check";
    let tries = [
        (Outbound::ListeningPort(65_536), "+replconf"),
        (Outbound::ObjectEncoding(KEY), "+object|encoding"),
        (
            Outbound::MemoryUsage {
                key: KEY,
                samples: 1,
            },
            "+memory|usage",
        ),
        (Outbound::Dump(KEY), "+dump"),
        (Outbound::Select(0), "+select"),
        (Outbound::Multi, "+multi"),
        (Outbound::Exec, "+exec"),
    ];
    let requests: Vec<_> = tries.iter().map(|(request, _)| *request).collect();
    let replies = client.ask(&requests).await?;
    let rights = tries.iter().map(|(_, right)| *right);
    let missing = replies
        .iter()
        .zip(rights)
        .filter(|(reply, _)| is_denied(reply));
    Ok(missing.map(|(_, right)| right).collect())
}

fn is_denied(reply: &BytesFrame) -> bool {
    client::error_text(reply).is_some_and(|text| text.starts_with("NOPERM"))
}

fn denied(replies: &[BytesFrame], right: &'static str) -> Option<&'static str> {
    replies.iter().any(is_denied).then_some(right)
}

fn utf8(text: &bytes::Bytes) -> String {
    String::from_utf8_lossy(text).into_owned()
}
