//! What a server tells, as the material of the rules: INFO, CONFIG GET, rights, and two samples a
//! second apart for what changes.

use std::time::Duration;

use redis_protocol::resp2::types::BytesFrame;
use replica_shim::Outbound;
use replica_shim::outbound::InfoSection;

use crate::clock;
use crate::side::client::{self, Client, SideError};
use crate::side::{info::Info, intro};

/// What a server told.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// All INFO sections that matter.
    pub(super) info: String,
    /// CONFIG GET pairs; empty without the right to it.
    pub(super) config: Vec<(String, String)>,
    /// Whether the server has a command called PSYNC.
    pub(super) has_psync: bool,
    /// Rights that are missing, as ACL rules.
    pub(super) missing: Vec<&'static str>,
    /// What changes.
    pub(super) rates: Rates,
}

/// What changes in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rates {
    /// Bytes of the stream; of all input, where there is no stream yet.
    pub(super) bytes: u64,
    /// Writes that changed something.
    pub(super) changes: u64,
}

/// How long rates are measured.
const RATE_TIME: Duration = Duration::from_secs(1);

/// Copying less than this is over before anything else matters; rates are not measured for it.
const SMALL_BYTES: u64 = 64 << 20;

/// Sections for everything.
const ALL: [InfoSection; 6] = [
    InfoSection::Server,
    InfoSection::Replication,
    InfoSection::Persistence,
    InfoSection::Memory,
    InfoSection::Stats,
    InfoSection::Cluster,
];

/// Sections for a full sync.
const VITALS: [InfoSection; 4] = [
    InfoSection::Replication,
    InfoSection::Persistence,
    InfoSection::Memory,
    InfoSection::Stats,
];

/// Sections that have what changes.
const MOVING: [InfoSection; 3] = [
    InfoSection::Replication,
    InfoSection::Persistence,
    InfoSection::Stats,
];

/// Settings that the rules read; one pattern a command, as old servers want it.
const SETTINGS: [&str; 4] = [
    "repl-*",
    "client-output-buffer-limit",
    "min-*-to-write",
    "maxmemory",
];

impl Facts {
    pub(super) fn info(&self) -> Info<'_> {
        Info(&self.info)
    }

    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        let found = self.config.iter().find(|(setting, _)| setting == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.setting(name)?.parse().ok()
    }

    /// Everything, with rights and rates.
    pub(super) async fn ask(client: &mut Client) -> Result<Facts, SideError> {
        let mut facts = Facts::default();
        let replies = client.ask(&ALL.map(Outbound::Info)).await?;
        facts.missing.extend(denied(&replies[..1], "+info"));
        facts.info = texts(&replies);
        let replies = client.ask(&SETTINGS.map(Outbound::ConfigGet)).await?;
        facts.missing.extend(denied(&replies[..1], "+config|get"));
        facts.config = replies.iter().flat_map(intro::pairs).collect();
        let psync = client.ask_one(&Outbound::CommandInfo(&[b"psync"])).await?;
        // Without the right to COMMAND nothing is known; the link will tell.
        facts.has_psync = match client::members(&psync) {
            Some([BytesFrame::Null]) => false,
            Some(_) | None => true,
        };
        facts.missing.extend(rights(client).await?);
        facts.rates = rates(client, &facts.info).await?;
        Ok(facts)
    }

    /// What a full sync depends on; rates only where the data are large enough for them to matter.
    pub(super) async fn vitals(client: &mut Client) -> Result<Facts, SideError> {
        let mut facts = Facts::glance(client).await?;
        if facts.info().number("used_memory").unwrap_or(0) >= SMALL_BYTES {
            facts.rates = rates(client, &facts.info).await?;
        }
        Ok(facts)
    }

    /// The same without rates.
    pub(super) async fn glance(client: &mut Client) -> Result<Facts, SideError> {
        let info = client.ask(&VITALS.map(Outbound::Info)).await?;
        let config = client.ask(&SETTINGS.map(Outbound::ConfigGet)).await?;
        Ok(Facts {
            info: texts(&info),
            config: config.iter().flat_map(intro::pairs).collect(),
            ..Facts::default()
        })
    }
}

/// Asks again after a while, and compares.
async fn rates(client: &mut Client, before: &str) -> Result<Rates, SideError> {
    let began = clock::now();
    tokio::time::sleep(RATE_TIME).await;
    let after = texts(&client.ask(&MOVING.map(Outbound::Info)).await?);
    let took = clock::now().duration_since(began);
    Ok(compare(Info(before), Info(&after), took))
}

fn compare(before: Info<'_>, after: Info<'_>, took: Duration) -> Rates {
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = |field: &str| {
        let (before, after) = (before.number(field)?, after.number(field)?);
        // A save begins the count of changes anew.
        Some(after.saturating_sub(before).saturating_mul(1000) / took_ms)
    };
    let stream = rate("master_repl_offset").filter(|_| before.flag("repl_backlog_active"));
    Rates {
        bytes: stream
            .or_else(|| rate("total_net_input_bytes"))
            .unwrap_or(0),
        changes: rate("rdb_changes_since_last_save").unwrap_or(0),
    }
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

fn texts(replies: &[BytesFrame]) -> String {
    let texts = replies.iter().filter_map(client::text);
    texts
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_stream_where_there_is_one() {
        let second = Duration::from_millis(2000);
        let after = Info(
            "master_repl_offset:5000\r\ntotal_net_input_bytes:9000\r\n\
             rdb_changes_since_last_save:30\r\n",
        );
        for (before, bytes, changes) in [
            (
                "repl_backlog_active:1\r\nmaster_repl_offset:1000\r\ntotal_net_input_bytes:0\r\n\
                 rdb_changes_since_last_save:10\r\n",
                2000,
                10,
            ),
            (
                "repl_backlog_active:0\r\nmaster_repl_offset:0\r\ntotal_net_input_bytes:1000\r\n\
                 rdb_changes_since_last_save:90\r\n",
                4000,
                0,
            ),
            ("", 0, 0),
        ] {
            let rates = compare(Info(before), after, second);
            assert_eq!(rates, Rates { bytes, changes }, "{before}");
        }
    }
}
