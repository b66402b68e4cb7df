//! The command line: verbs and flags only. What they mean together with environment and file is
//! `config`'s business.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Knows what is in a Redis or Valkey deployment, always, without touching it.
#[derive(Debug, Parser)]
#[command(name = "keyscape", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Follow servers and answer: RESP on 127.0.0.1:6479, HTTP on 127.0.0.1:9479.
    Serve(Serve),
    /// Say what `serve` would meet, without doing it. Exit status 1 if something would fail.
    Check(Check),
    /// Report on an RDB file.
    Analyze(Analyze),
}

/// `keyscape serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Servers: `redis://user:pass@host:port`, `redis-cluster://host:port,host:port`,
    /// `redis-sentinel://host:port/name`; rediss with TLS, valkey likewise.
    pub sources: Vec<String>,
    /// Which node of each master's group: master, replica, prefer-replica or local.
    #[arg(long, value_name = "MODE")]
    pub follow: Option<String>,
    /// Follow a part of the masters only: the i-th of n, from 0; `ordinal/n` takes i from the end
    /// of `POD_NAME` or `HOSTNAME`, as a StatefulSet gives it.
    #[arg(long, value_name = "I/N")]
    pub shard: Option<String>,
    /// Memory that the process may take: auto (four fifths of its control group's), off, or bytes
    /// such as 512MiB.
    #[arg(long, value_name = "BYTES")]
    pub memory_cap: Option<String>,
    /// Where the RESP port listens.
    #[arg(long, env = "KEYSCAPE_LISTEN", value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Where the HTTP port listens.
    #[arg(long, env = "KEYSCAPE_HTTP", value_name = "ADDR")]
    pub http: Option<SocketAddr>,
    /// What all verbs share.
    #[command(flatten)]
    pub common: Common,
}

/// `keyscape check`.
#[derive(Debug, Args)]
pub struct Check {
    /// A server, a cluster or what Sentinels watch, as for `serve`.
    pub source: String,
    /// Which node of each master's group: master, replica, prefer-replica or local.
    #[arg(long, value_name = "MODE")]
    pub follow: Option<String>,
    /// What all verbs share.
    #[command(flatten)]
    pub common: Common,
}

/// `keyscape analyze`.
#[derive(Debug, Args)]
pub struct Analyze {
    /// The RDB file; `-` reads standard input.
    pub file: PathBuf,
    /// What to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Largest keys to list in text and JSON.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub top: usize,
    /// What the keys would take on another server that loads the file, as `valkey-9.1`; may be given
    /// several times. The allocator is taken to be the same.
    #[arg(long = "as", value_name = "SERVER")]
    pub servers: Vec<String>,
}

/// Flags of every verb that talks to servers.
#[derive(Debug, Args)]
pub struct Common {
    /// Configuration file (TOML).
    #[arg(long, env = "KEYSCAPE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How to log.
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
    /// How much to log: error, warn, info, debug, trace, or a filter.
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Authorities of the servers' certificates (PEM).
    #[arg(long, value_name = "FILE")]
    pub tls_ca_file: Option<PathBuf>,
    /// Our client certificate chain (PEM).
    #[arg(long, value_name = "FILE")]
    pub tls_cert_file: Option<PathBuf>,
    /// Key of our client certificate (PEM).
    #[arg(long, value_name = "FILE")]
    pub tls_key_file: Option<PathBuf>,
    /// Name to verify, where it is not the URL's host.
    #[arg(long, value_name = "NAME")]
    pub tls_server_name: Option<String>,
}

/// How reports are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables for people.
    Text,
    /// One object.
    Json,
    /// One line a key, with the header that redis-rdb-tools prints.
    Csv,
}

/// How log lines are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn verbs_and_flags_are_read() {
        for (line, good) in [
            (
                "keyscape serve redis://a redis://b --listen 0.0.0.0:1 --log-format json",
                true,
            ),
            ("keyscape serve --http [::1]:2 --config x", true),
            (
                "keyscape serve redis-cluster://a,b --follow local --shard 0/3 --memory-cap 1g",
                true,
            ),
            ("keyscape check redis://a --tls-ca-file ca.pem", true),
            ("keyscape analyze d.rdb --format csv", true),
            (
                "keyscape analyze d.rdb --as redis-8.0 --as valkey-9.1",
                true,
            ),
            ("keyscape analyze d.rdb --format xml", false),
            ("keyscape serve --listen nowhere", false),
            ("keyscape check", false),
            ("keyscape", false),
        ] {
            let parsed = Cli::try_parse_from(line.split(' '));
            assert_eq!(parsed.is_ok(), good, "{line}");
        }
    }
}
