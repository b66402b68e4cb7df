//! Small answers about the process: CONFIG GET, TIME, and what monitoring tools ask of every server.

use analyzer::glob::Glob;

use super::reply::Reply;
use super::request::Request;
use super::session::Session;
use super::table;
use crate::clock;

pub(crate) fn empty_array(_: &mut Session, _: &Request) -> Reply {
    Reply::Array(Vec::new())
}

pub(crate) fn empty_map(_: &mut Session, _: &Request) -> Reply {
    Reply::Map(Vec::new())
}

pub(crate) fn zero(_: &mut Session, _: &Request) -> Reply {
    Reply::Int(0)
}

pub(crate) fn latency_doctor(_: &mut Session, _: &Request) -> Reply {
    Reply::Verbatim(
        "No latency events are recorded here. /metrics has the time that answers take, and how \
         far every model is behind its master.\n"
            .to_owned(),
    )
}

pub(crate) fn script_exists(_: &mut Session, request: &Request) -> Reply {
    Reply::Array(vec![Reply::Int(0); request.from(2).len()])
}

pub(crate) fn script_kill(_: &mut Session, _: &Request) -> Reply {
    Reply::error("NOTBUSY No scripts in execution right now.")
}

pub(crate) fn time(_: &mut Session, _: &Request) -> Reply {
    let now_us = clock::unix_us();
    let part = |number: u64| Reply::from(number.to_string());
    Reply::Array(vec![part(now_us / 1_000_000), part(now_us % 1_000_000)])
}

/// HELP of any container, from the table.
pub(crate) fn help(_: &mut Session, request: &Request) -> Reply {
    let Some(parent) = table::find(request.name()) else {
        return Reply::Array(Vec::new());
    };
    let title = format!(
        "{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        parent.name.to_uppercase()
    );
    let mut lines = vec![Reply::Simple(title.into())];
    for row in parent.children() {
        let word = row.name.rsplit('|').next().unwrap_or(row.name);
        let usage = format!("{} {}", word.to_uppercase(), row.syntax);
        lines.push(Reply::Simple(usage.trim_end().to_owned().into()));
        lines.push(Reply::Simple(format!("    {}", row.summary).into()));
    }
    Reply::Array(lines)
}

/// CONFIG GET pattern [pattern ...]. Secrets are shown as whether they are set.
pub(crate) fn config_get(session: &mut Session, request: &Request) -> Reply {
    let globs: Vec<Glob> = request
        .from(2)
        .iter()
        .map(|pattern| Glob::new(&pattern.to_ascii_lowercase()))
        .collect();
    let wanted = |name: &str| globs.iter().any(|glob| glob.matches(name.as_bytes()));
    Reply::Map(
        settings(session)
            .into_iter()
            .filter(|(name, _)| wanted(name))
            .map(|(name, value)| (Reply::text(name), value.into()))
            .collect(),
    )
}

/// The settings, by the names that clients ask for, ours behind `keyscape-`.
fn settings(session: &Session) -> Vec<(&'static str, String)> {
    let port = &session.port;
    let config = &port.config;
    let yes = |truth: bool| if truth { "yes" } else { "no" }.to_owned();
    let tls = config.tls.is_some();
    let number = port.number.to_string();
    let (plain, secure) = if tls {
        ("0".to_owned(), number)
    } else {
        (number, "0".to_owned())
    };
    let masters = port.fleet.masters();
    let names: Vec<String> = masters.iter().map(|master| master.name()).collect();
    vec![
        ("appendonly", yes(false)),
        ("bind", config.listen.ip().to_string()),
        ("cluster-enabled", yes(false)),
        ("databases", port.databases().to_string()),
        ("keyscape-masters", names.join(" ")),
        ("keyscape-run-id", port.fleet.build.run_id.clone()),
        ("keyscape-users", config.users.len().to_string()),
        ("keyscape-version", port.fleet.build.version.to_owned()),
        ("maxclients", config.clients_max.to_string()),
        ("maxmemory", "0".to_owned()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("port", plain),
        ("protected-mode", yes(config.protected)),
        ("replica-announced", yes(false)),
        ("replica-priority", "0".to_owned()),
        ("replica-read-only", yes(true)),
        (
            "requirepass",
            config.password.as_ref().map_or("", |_| "(set)").to_owned(),
        ),
        ("save", String::new()),
        ("slowlog-log-slower-than", "-1".to_owned()),
        ("slowlog-max-len", "0".to_owned()),
        ("timeout", (config.idle_ms / 1000).to_string()),
        ("tls-port", secure),
    ]
}
