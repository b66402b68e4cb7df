//! The modes of `follow`, and what each of them promises about where our links are.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::app::App;
use crate::resp::Client;
use crate::wait::{self, PATIENCE};

/// Which node of a master and its replicas is followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Follow {
    /// The master.
    #[default]
    Master,
    /// A replica, never a master.
    Replica,
    /// A replica if there is one.
    PreferReplica,
    /// The instance on our host, whatever its role.
    Local,
}

impl Follow {
    /// The line of the configuration; it belongs before the first section.
    #[must_use]
    pub fn config(self) -> String {
        let name = match self {
            Self::Master => "master",
            Self::Replica => "replica",
            Self::PreferReplica => "prefer-replica",
            Self::Local => "local",
        };
        format!("follow = \"{name}\"\n")
    }

    /// Whether a link belongs on a replica where there is one.
    #[must_use]
    pub const fn wants_replica(self) -> bool {
        matches!(self, Self::Replica | Self::PreferReplica)
    }
}

/// A link of Keyscape's, as KS.NODES tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// Where the master of the shard is said to be.
    pub master: String,
    /// Where the link is.
    pub node: String,
    /// What that node is said to be.
    pub role: String,
}

/// The links of Keyscape.
///
/// # Errors
/// If the admin port does not answer.
pub fn seats(app: &App) -> Result<Vec<Seat>> {
    let text = app.client()?.ask(&["KS.NODES", "FORMAT", "JSON"])?.string();
    let json: Value = serde_json::from_str(&text).context("KS.NODES as JSON")?;
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let rows = json["nodes"].as_array().cloned().unwrap_or_default();
    let followed = rows.iter().filter(|row| row["standing"] == "followed");
    let seat = |row: &Value| Seat {
        master: text(row, "master"),
        node: text(row, "node"),
        role: text(row, "role"),
    };
    Ok(followed.map(seat).collect())
}

/// Waits until every master that has a replica is followed on one. The text says who is not.
///
/// # Errors
/// If a server or the admin port does not answer.
pub fn wait_on_replicas(
    app: &App,
    masters: &[SocketAddr],
    reached: &BTreeMap<SocketAddr, SocketAddr>,
) -> Result<Option<String>> {
    let mut wrong = String::new();
    let result = wait::for_true(PATIENCE, "links to be on replicas", || {
        let seats = seats(app)?;
        wrong.clear();
        for addr in masters {
            let name = reached.get(addr).unwrap_or(addr).to_string();
            let own = seats.iter().find(|seat| seat.master == name);
            let on_replica = own.is_some_and(|seat| seat.role == "replica");
            if !on_replica && has_replica(*addr)? {
                wrong += &format!("{name} has a replica and is followed on {own:?}; ");
            }
        }
        Ok(wrong.is_empty())
    });
    match (result, wrong.is_empty()) {
        (Ok(()), _) => Ok(None),
        (Err(_), false) => Ok(Some(wrong)),
        (Err(error), true) => Err(error),
    }
}

/// Whether a master has a replica that announces a port at which it can be one.
fn has_replica(master: SocketAddr) -> Result<bool> {
    let info = Client::connect(master)?.ask(&["INFO", "replication"])?;
    let info = info.string();
    let mut lines = info.lines();
    // Our own line has the port that no server can have.
    Ok(lines.any(|line| {
        let own = line.starts_with("slave") && line.contains("state=online");
        own && !line.contains("port=65536")
    }))
}
