//! What a server tells of itself for advice: INFO, the options that rules read, its users and its
//! clock. Asked once a minute (`[advice] every_s`), and when KS.ADVISE wants to know.
//!
//! Passwords do not come here: `requirepass` and `masterauth` are never asked for, and of ACL LIST
//! only names and what they may do are kept.

use std::time::{Duration, Instant};

use analyzer::acl::{USERS_MAX, User, Users};
use analyzer::advice::reads_statistics_of;
use redis_protocol::resp2::types::BytesFrame;
use replica_shim::Outbound;
use replica_shim::outbound::InfoSection;

use super::client::{self, Client, SideError};
use super::info::Info;
use super::intro;
use super::task::{unix_ms, utf8};
use crate::clock;

/// What one server told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// INFO without its headlines, and without most commands' statistics; at most
    /// [`INFO_BYTES_MAX`].
    pub info: String,
    /// Options and their values, as CONFIG GET has them; empty without the right to it.
    pub config: Vec<(String, String)>,
    /// Who may do what.
    pub users: Users,
    /// The server's clock, unix milliseconds; `None` without the right to TIME.
    pub time_ms: Option<u64>,
    /// When it was asked for, by our clock: nothing of it is older.
    pub at_ms: u64,
    /// How long its slowest answer took since it told before, microseconds: to a PING or a poll.
    pub slowest_us: u64,
    /// What was counted at an earlier look; `None` if there was none, or the server has begun to
    /// count anew.
    pub before: Option<Counts>,
}

/// Counters of INFO stats at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// When, unix milliseconds of our clock.
    pub at_ms: u64,
    /// Which process counted.
    pub run_id: String,
    /// In the order of [`COUNTED`].
    pub values: [u64; COUNTED.len()],
}

/// The counters that rules compare with an earlier look.
pub const COUNTED: [&str; 9] = [
    "total_connections_received",
    "total_commands_processed",
    "rejected_connections",
    "keyspace_hits",
    "keyspace_misses",
    "evicted_keys",
    "expired_keys",
    "sync_full",
    "total_error_replies",
];

/// Most of INFO that is kept. A server has some 10 KiB; one with very many replicas has more.
pub const INFO_BYTES_MAX: usize = 64 * 1024;

/// Options in all that are kept; servers have some 250.
const OPTIONS_MAX: usize = 512;

const SECTIONS: [InfoSection; 9] = [
    InfoSection::Server,
    InfoSection::Clients,
    InfoSection::Memory,
    InfoSection::Persistence,
    InfoSection::Stats,
    InfoSection::Replication,
    InfoSection::Cluster,
    InfoSection::Keyspace,
    InfoSection::CommandStats,
];

/// Options that rules read. One pattern a command: several are known from 7.0 on only.
const OPTIONS: [&str; 28] = [
    "*-max-*",
    "active*",
    "aof-*",
    "append*",
    "auto-aof-*",
    "bind",
    "client-output-buffer-limit",
    "cluster-*",
    "databases",
    "enable-*-command",
    "hz",
    "lazyfree-*",
    "lfu-*",
    "list-*",
    "maxclients",
    "maxmemory*",
    "min-*-max-lag",
    "min-*-to-write",
    "no-appendfsync-on-rewrite",
    "protected-mode",
    "rdb-*",
    "rdbcompression",
    "repl-*",
    "save",
    "stop-writes-on-bgsave-error",
    "stream-*",
    "tcp-keepalive",
    "timeout",
];

/// Options of TLS, one by one: others of them hold a password.
const TLS_OPTIONS: [&str; 3] = ["tls-port", "tls-replication", "tls-cluster"];

/// Asks everything, in one batch behind a PING. `slowest` is the slowest answer of the polls until now.
///
/// # Errors
/// The connection failed. Refusals are no error.
pub async fn look(client: &mut Client, slowest: Duration) -> Result<Told, SideError> {
    // Nothing of it is older than this, however long the answers take.
    let at_ms = clock::unix_ms();
    let began: Instant = clock::now();
    client.ask_one(&Outbound::Ping).await?;
    let slowest = slowest.max(clock::now().duration_since(began));
    let mut requests = vec![Outbound::Time, Outbound::AclList];
    requests.extend(SECTIONS.map(Outbound::Info));
    requests.extend(OPTIONS.map(Outbound::ConfigGet));
    requests.extend(TLS_OPTIONS.map(Outbound::ConfigGet));
    let replies = client.ask(&requests).await?;
    let [time, acl, rest @ ..] = &replies[..] else {
        return Err(SideError::Decode);
    };
    let (sections, options) = rest.split_at(SECTIONS.len().min(rest.len()));
    let mut config: Vec<_> = options.iter().flat_map(intro::pairs).collect();
    config.sort_unstable();
    config.dedup();
    config.truncate(OPTIONS_MAX);
    Ok(Told {
        info: kept(sections),
        config,
        users: users(acl),
        time_ms: unix_ms(time).and_then(|ms| u64::try_from(ms).ok()),
        at_ms,
        slowest_us: u64::try_from(slowest.as_micros()).unwrap_or(u64::MAX),
        before: None,
    })
}

impl Told {
    /// The counters, to compare later ones with.
    pub fn counts(&self) -> Counts {
        let info = Info(&self.info);
        Counts {
            at_ms: self.at_ms,
            run_id: info.get("run_id").unwrap_or("").to_owned(),
            values: COUNTED.map(|name| info.number(name).unwrap_or(0)),
        }
    }
}

impl Counts {
    /// True if `later` goes on where this one was: the same process, and no counter set back.
    pub fn leads_to(&self, later: &Counts) -> bool {
        let grown = |(before, after): (&u64, &u64)| before <= after;
        self.run_id == later.run_id && self.values.iter().zip(&later.values).all(grown)
    }
}

/// The lines of INFO that are kept.
fn kept(sections: &[BytesFrame]) -> String {
    let mut info = String::new();
    for section in sections {
        for line in utf8(section).lines().map(str::trim_end) {
            if line.is_empty() || line.starts_with('#') || !is_wanted(line) {
                continue;
            }
            if info.len() + line.len() >= INFO_BYTES_MAX {
                return info;
            }
            info.push_str(line);
            info.push('\n');
        }
    }
    info
}

/// True but for the statistics of commands that no rule is about.
fn is_wanted(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("cmdstat_") else {
        return true;
    };
    let name = rest.split(':').next().unwrap_or("");
    reads_statistics_of(name)
}

fn users(reply: &BytesFrame) -> Users {
    let Some(lines) = client::members(reply) else {
        return Users::Refused;
    };
    let lines = lines.iter().filter_map(client::text).take(USERS_MAX);
    Users::Listed(lines.filter_map(|line| User::parse(line)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis_protocol::resp2::types::BytesFrame;

    #[test]
    fn info_loses_headlines_and_most_statistics_and_is_bounded() {
        let text = "# Server\r\nrun_id:a\r\n\r\n# Commandstats\r\n\
                    cmdstat_keys:calls=1,usec=5\r\ncmdstat_get:calls=9\r\ncmdstat_blpop:calls=2\r\n";
        let frame = |text: &str| BytesFrame::BulkString(text.to_owned().into());
        let expected = "run_id:a\ncmdstat_keys:calls=1,usec=5\ncmdstat_blpop:calls=2\n";
        assert_eq!(kept(&[frame(text)]), expected);
        let long = "x:".to_owned() + &"y".repeat(1000) + "\r\n";
        assert!(kept(&[frame(&long.repeat(200))]).len() <= INFO_BYTES_MAX);
        assert_eq!(kept(&[BytesFrame::Error("NOPERM".into())]), "");
    }

    #[test]
    fn users_are_listed_or_refused() {
        let refused = BytesFrame::Error("NOPERM this user has no permissions".into());
        assert_eq!(users(&refused), Users::Refused);
        let line = BytesFrame::BulkString("user default on nopass ~* +@all".into());
        let Users::Listed(users) = users(&BytesFrame::Array(vec![line])) else {
            panic!("not listed");
        };
        assert_eq!((users.len(), &*users[0].name), (1, "default"));
    }

    #[test]
    fn counters_are_compared_within_one_process() {
        let counts = |run: &str, connections: u64| Counts {
            run_id: run.to_owned(),
            values: [connections, 0, 0, 0, 0, 0, 0, 0, 0],
            ..Counts::default()
        };
        assert!(counts("a", 5).leads_to(&counts("a", 5)));
        assert!(!counts("a", 5).leads_to(&counts("a", 4)), "RESETSTAT");
        assert!(!counts("a", 5).leads_to(&counts("b", 9)), "a restart");
    }

    #[test]
    fn no_pattern_can_name_a_password() {
        for secret in [
            "requirepass",
            "masterauth",
            "masteruser",
            "primaryauth",
            "tls-key-file-pass",
            "tls-client-key-file-pass",
        ] {
            let all = OPTIONS.iter().chain(&TLS_OPTIONS);
            for pattern in all {
                let glob = analyzer::glob::Glob::new(pattern.as_bytes());
                assert!(!glob.matches(secret.as_bytes()), "{pattern} gives {secret}");
            }
        }
    }
}
