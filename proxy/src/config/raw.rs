//! How the configuration is spelled: one TOML file, every key optional, unknown keys refused with
//! file, line, column and the nearest name; then the environment on top.
//!
//! Every key `section.key` is `KEYSCAPE_SECTION_KEY` in the environment. Variables that name no key
//! are ignored: a Kubernetes service called keyscape makes `KEYSCAPE_PORT` and the like appear.
//! A text that is empty means "not set". No type here is `Debug`, since secrets pass through.

mod watch;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use toml::Value;

pub use self::watch::Watch;
use super::containers::Container;
use super::{patterns, rules};

/// The whole file.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Raw {
    /// URLs of the servers to follow.
    pub sources: Vec<String>,
    /// A file with one URL a line, for URLs that hold passwords.
    pub sources_file: String,
    /// `master`, `replica`, `prefer-replica` or `local`.
    pub follow: String,
    /// `i/n` or `ordinal/n`: follow a part of the masters.
    pub shard: String,
    /// `auto`, `off`, or bytes.
    pub memory_cap: String,
    /// The RESP port.
    pub admin: Admin,
    /// Advice.
    pub advice: Advice,
    /// Limits of the masters' containers.
    pub container: Container,
    /// How deployments are found out.
    pub discovery: Discovery,
    /// The HTTP port.
    pub http: Http,
    /// Links to servers.
    pub link: Link,
    /// Logging.
    pub log: Log,
    /// Keys by pattern.
    pub patterns: Patterns,
    /// Limits of reads from the followed servers.
    pub reread: Reread,
    /// Sentinels themselves.
    pub sentinel: Sentinel,
    /// TLS towards the followed servers.
    pub tls: Tls,
    /// Events.
    pub watch: Watch,
    /// Series of other names.
    pub metrics: Metrics,
}

/// `[admin]`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Address and port.
    pub listen: String,
    /// Password of the default user.
    pub password: String,
    /// File that holds it.
    pub password_file: String,
    /// Without a password, serve loopback only.
    pub protected: bool,
    /// Clients at once.
    pub clients_max: usize,
    /// Silent clients are closed after this; 0 never.
    pub idle_ms: u64,
    /// PEM certificate chain.
    pub tls_cert_file: String,
    /// PEM key.
    pub tls_key_file: String,
    /// PEM authorities of client certificates.
    pub tls_client_ca_file: String,
    /// Further users.
    pub users: Vec<User>,
}

/// `[advice]`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Advice {
    /// How often servers are asked what rules need to know.
    pub every_ms: u64,
    /// How long after one survey of all keys the next begins.
    pub survey_every_ms: u64,
    /// Rules that are off by default and are wanted.
    pub enable: Vec<rules::Id>,
    /// What rules compare with, by rule.
    pub limits: rules::Thresholds,
    /// How bad findings are, by rule.
    pub severities: rules::Severities,
    /// Rules whose findings are not wanted.
    pub silence: Vec<rules::Silence>,
}

/// `[[admin.users]]`.
#[derive(Clone, Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct User {
    /// Name.
    pub name: String,
    /// Password.
    pub password: String,
    /// File that holds it.
    pub password_file: String,
}

/// `[http]`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address and port.
    pub listen: String,
    /// Connections at once.
    pub connections_max: usize,
}

/// `[link]`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Link {
    /// ACL user for sources whose URL has no credentials.
    pub user: String,
    /// Its password.
    pub password: String,
    /// File that holds it.
    pub password_file: String,
    /// CLIENT SETNAME of our connections.
    pub client_name: String,
    /// `REPLCONF listening-port`.
    pub announce_port: u32,
    /// `REPLCONF ip-address`.
    pub announce_ip: String,
    /// Longest wait for a connection.
    pub connect_timeout_ms: u64,
    /// Silence after which the server is asked whether it still lives.
    pub silence_ms: u64,
    /// First wait before a reconnect.
    pub retry_min_ms: u64,
    /// Longest wait before a reconnect.
    pub retry_max_ms: u64,
    /// Bytes received and not yet applied.
    pub queue_bytes_max: usize,
    /// Full syncs at once, over all servers; at most one per host in any case.
    pub full_syncs_max: usize,
    /// `warn`, `wait` or `refuse`: what becomes of a full sync that something speaks against.
    pub preflight: String,
    /// How often INFO and CONFIG GET are asked on the second connection.
    pub poll_ms: u64,
}

/// `[discovery]`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Discovery {
    /// How often nodes or Sentinels are asked while all is well.
    pub poll_ms: u64,
    /// `announced=reachable` pairs of `host` or `host:port`.
    pub nat: Vec<String>,
}

/// `[sentinel]`.
#[derive(Clone, Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Sentinel {
    /// ACL user on the Sentinels.
    pub user: String,
    /// Its password.
    pub password: String,
    /// File that holds it.
    pub password_file: String,
}

/// `[log]`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` or `json`.
    pub format: String,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a tracing filter.
    pub level: String,
}

/// `[patterns]`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Patterns {
    /// Patterns of a database at most; 0 turns counting by pattern off.
    pub max: usize,
    /// Groups of keys that are counted together.
    pub groups: Vec<Group>,
}

/// `[[patterns.groups]]`: one of glob and regex.
#[derive(Clone, Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Group {
    /// What it is called.
    pub name: String,
    /// A Redis glob over whole names.
    pub glob: String,
    /// A regular expression, found anywhere in a name.
    pub regex: String,
}

/// `[reread]`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reread {
    /// Keys a second whose encoding or expiry is asked; 0 turns it off.
    pub probes_per_s_max: u32,
    /// Keys a second whose size is asked because a snapshot or a write leaves it open; 0 turns it
    /// off.
    pub sizes_per_s_max: u32,
    /// Keys a second that are compared though nothing speaks against them; 0 turns it off.
    pub audits_per_s_max: u32,
    /// Elements of collections a second that the server walks for MEMORY USAGE.
    pub elements_per_s_max: u64,
    /// Keys a second whose value is read again; 0 turns it off.
    pub values_per_s_max: u32,
    /// Bytes a second of such values.
    pub bytes_per_s_max: u64,
    /// Largest value that is read again.
    pub value_bytes_max: u64,
}

/// `[tls]`.
#[derive(Clone, Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// PEM authorities; not set: the system's.
    pub ca_file: String,
    /// PEM client certificate chain.
    pub cert_file: String,
    /// PEM client key.
    pub key_file: String,
    /// Name to verify and to send, where it is not the URL's host.
    pub server_name: String,
}

/// `[metrics]`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Have series by pattern.
    pub patterns: bool,
    /// Have series by redis_exporter's names as well.
    pub compat: bool,
    /// Keys that have some, each `db0=name`.
    pub compat_keys: Vec<String>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            patterns: true,
            compat: false,
            compat_keys: Vec::new(),
        }
    }
}

impl Default for Admin {
    fn default() -> Admin {
        Admin {
            listen: "127.0.0.1:6479".to_owned(),
            password: String::new(),
            password_file: String::new(),
            protected: true,
            clients_max: 256,
            idle_ms: 0,
            tls_cert_file: String::new(),
            tls_key_file: String::new(),
            tls_client_ca_file: String::new(),
            users: Vec::new(),
        }
    }
}

impl Default for Advice {
    fn default() -> Advice {
        Advice {
            every_ms: 60_000,
            survey_every_ms: 600_000,
            enable: Vec::new(),
            limits: rules::Thresholds::default(),
            severities: rules::Severities::default(),
            silence: Vec::new(),
        }
    }
}

impl Default for Http {
    fn default() -> Http {
        Http {
            listen: "127.0.0.1:9479".to_owned(),
            connections_max: 64,
        }
    }
}

impl Default for Link {
    fn default() -> Link {
        Link {
            user: String::new(),
            password: String::new(),
            password_file: String::new(),
            client_name: "keyscape".to_owned(),
            announce_port: 65_536,
            announce_ip: String::new(),
            connect_timeout_ms: 5_000,
            silence_ms: 60_000,
            retry_min_ms: 500,
            retry_max_ms: 30_000,
            queue_bytes_max: 64 * 1024 * 1024,
            full_syncs_max: 4,
            preflight: "wait".to_owned(),
            poll_ms: 1_000,
        }
    }
}

impl Default for Raw {
    fn default() -> Raw {
        Raw {
            sources: Vec::new(),
            sources_file: String::new(),
            follow: "master".to_owned(),
            shard: String::new(),
            memory_cap: "auto".to_owned(),
            admin: Admin::default(),
            advice: Advice::default(),
            container: Container::default(),
            discovery: Discovery::default(),
            http: Http::default(),
            link: Link::default(),
            log: Log::default(),
            patterns: Patterns::default(),
            reread: Reread::default(),
            sentinel: Sentinel::default(),
            tls: Tls::default(),
            watch: Watch::default(),
            metrics: Metrics::default(),
        }
    }
}

impl Default for Patterns {
    fn default() -> Patterns {
        Patterns {
            max: patterns::PATTERNS_DEFAULT,
            groups: Vec::new(),
        }
    }
}

impl Default for Discovery {
    fn default() -> Discovery {
        Discovery {
            poll_ms: 5_000,
            nat: Vec::new(),
        }
    }
}

impl Default for Log {
    fn default() -> Log {
        Log {
            format: "text".to_owned(),
            level: "info".to_owned(),
        }
    }
}

impl Default for Reread {
    fn default() -> Reread {
        Reread {
            probes_per_s_max: 5_000,
            sizes_per_s_max: 2_000,
            audits_per_s_max: 1,
            elements_per_s_max: 200_000,
            values_per_s_max: 200,
            bytes_per_s_max: 64 * 1024 * 1024,
            value_bytes_max: 16 * 1024 * 1024,
        }
    }
}

/// Why a configuration cannot be used. The text is made for people and holds no value.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{place}: {problem}")]
pub struct ConfigError {
    /// File, line and column, or the variable or flag.
    pub place: String,
    /// What is wrong.
    pub problem: String,
}

impl ConfigError {
    /// An error at a place.
    pub fn at(place: impl Into<String>, problem: impl Into<String>) -> ConfigError {
        ConfigError {
            place: place.into(),
            problem: problem.into(),
        }
    }
}

/// Reads a file's text.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn parse(file: &str, text: &str) -> Result<Raw, ConfigError> {
    let document = toml::Deserializer::parse(text).map_err(|e| located(file, text, "", &e))?;
    serde_path_to_error::deserialize(document)
        .map_err(|e| located(file, text, &e.path().to_string(), e.inner()))
}

/// Lays the environment over a file's values.
///
/// # Errors
/// A variable whose value does not fit its key.
pub fn overlay(raw: Raw, env: &BTreeMap<String, String>) -> Result<Raw, ConfigError> {
    let mut tree = Value::try_from(&raw).map_err(|e| ConfigError::at("defaults", e.to_string()))?;
    let Some(table) = tree.as_table_mut() else {
        return Ok(raw);
    };
    for (name, value) in table.iter_mut() {
        let variable = format!("KEYSCAPE_{}", name.to_uppercase());
        match value {
            Value::Table(section) => {
                for (key, value) in section.iter_mut() {
                    override_one(value, &format!("{variable}_{}", key.to_uppercase()), env)?;
                }
            }
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_) => override_one(value, &variable, env)?,
        }
    }
    tree.try_into()
        .map_err(|e: toml::de::Error| ConfigError::at("environment", e.message()))
}

fn override_one(
    value: &mut Value,
    variable: &str,
    env: &BTreeMap<String, String>,
) -> Result<(), ConfigError> {
    let Some(text) = env.get(variable) else {
        return Ok(());
    };
    let wrong = |expected: &str| Err(ConfigError::at(variable, format!("expected {expected}")));
    match value {
        Value::String(old) => old.clone_from(text),
        Value::Boolean(old) => match text.as_str() {
            "true" | "1" | "yes" => *old = true,
            "false" | "0" | "no" => *old = false,
            _ => return wrong("true or false"),
        },
        Value::Integer(old) => match text.parse() {
            Ok(number) if number >= 0 => *old = number,
            Ok(_) | Err(_) => return wrong("a number of 0 or more"),
        },
        Value::Array(old) => *old = words(text).into_iter().map(Value::String).collect(),
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => return wrong("nothing"),
    }
    Ok(())
}

/// The members of a list: apart by blanks, or by commas outside URLs. A comma in a URL is followed
/// by another host of it, unless a scheme follows.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for part in text.split_whitespace() {
        let mut in_url = false;
        for word in part.split(',').filter(|word| !word.is_empty()) {
            match words.last_mut() {
                Some(last) if in_url && !word.contains("://") => {
                    last.push(',');
                    last.push_str(word);
                }
                Some(_) | None => words.push(word.to_owned()),
            }
            in_url |= word.contains("://");
        }
    }
    words
}

fn located(file: &str, text: &str, path: &str, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let before = text.get(..at).unwrap_or("");
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |tail| tail.chars().count())
        + 1;
    let message = without_values(error.message());
    let mut problem = if path.is_empty() || path == "." || message.starts_with("unknown field") {
        message.clone()
    } else {
        format!("{path}: {message}")
    };
    if let Some((what, near)) = nearest(&message) {
        problem = format!(
            "unknown {what} {}: did you mean {near}?",
            near_subject(&message)
        );
    }
    ConfigError::at(format!("{file}:{line}:{column}"), problem)
}

/// serde repeats what it found (`invalid type: string "hunter2", expected ...`), which may be a
/// secret in the wrong place.
fn without_values(message: &str) -> String {
    let found = ["string \"", "byte array"]
        .iter()
        .any(|w| message.contains(w));
    match message.find(", expected ") {
        Some(at) if found && message.starts_with("invalid ") => {
            format!("a value of the wrong type{}", &message[at..])
        }
        _ => message.lines().next().unwrap_or("").to_owned(),
    }
}

fn near_subject(message: &str) -> &str {
    message.split('`').nth(1).unwrap_or("")
}

/// What is unknown, and the expected name nearest to it, if the message is serde's about unknown
/// fields, or one like it.
fn nearest(message: &str) -> Option<(&str, &str)> {
    const KINDS: [(&str, &str); 4] = [
        ("unknown field", "key"),
        ("unknown rule", "rule"),
        ("unknown limit", "limit"),
        ("unknown severity", "severity"),
    ];
    let (_, what) = KINDS.into_iter().find(|kind| message.starts_with(kind.0))?;
    let mut names = message.split('`').skip(1).step_by(2);
    let wrong = names.next()?;
    let near = names.min_by_key(|name| distance(wrong, name));
    Some((what, near?))
}

/// Levenshtein distance in one row.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        match parse("k.toml", text) {
            Ok(_) => "no error".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn errors_name_the_place_and_the_nearest_key() {
        for (text, expected) in [
            (
                "[admin]\nlissten = 'x'\n",
                "k.toml:2:1: unknown key lissten: did you mean listen?",
            ),
            (
                "adminn = 1",
                "k.toml:1:1: unknown key adminn: did you mean admin?",
            ),
        ] {
            assert_eq!(problem(text), expected);
        }
        for (text, expected) in [
            (
                "[advice]\nenable = ['ALR-24']\n",
                "k.toml:2:11: unknown rule ALR-24: did you mean ALR-23?",
            ),
            (
                "[advice.limits]\nREP-033 = { bridge_s = 1 }\n",
                "k.toml:2:1: unknown rule REP-033: did you mean REP-03?",
            ),
            (
                "[advice.limits.REP-03]\nbridges = 5\n",
                "k.toml:2:1: unknown limit bridges: did you mean bridge_s?",
            ),
            (
                "[advice.severities]\nSEC-01 = 'mild'\n",
                "k.toml:2:10: unknown severity mild: did you mean ",
            ),
            (
                "[[advice.silence]]\nrule = 'SEC01'\nreason = 'x'\n",
                "k.toml:2:8: unknown rule SEC01: did you mean SEC-01?",
            ),
            (
                "[[advice.silence]]\nrule = 'SEC-01'\nreasons = 'x'\n",
                "k.toml:3:1: unknown key reasons: did you mean reason?",
            ),
        ] {
            assert!(problem(text).starts_with(expected), "{}", problem(text));
        }
        assert!(
            problem("[advice.limits.REP-07]\nx = 5").ends_with("unknown limit x: REP-07 has none")
        );
        assert!(
            problem("[link]\n  silence_ms = \"hunter2\"")
                .starts_with("k.toml:2:16: link.silence_ms")
        );
        assert!(!problem("[link]\nsilence_ms = \"hunter2\"").contains("hunter2"));
        assert!(problem("[link\n").starts_with("k.toml:1:"));
        assert!(problem("[admin]\nclients_max = -1").contains("admin.clients_max"));
    }

    #[test]
    fn the_environment_lies_over_the_file() {
        let env = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        let raw = parse(
            "k.toml",
            "[http]\nlisten = '0.0.0.0:1'\n[log]\nlevel = 'warn'",
        )
        .unwrap();
        let over = overlay(
            raw,
            &env(&[
                ("KEYSCAPE_HTTP_LISTEN", "[::1]:2"),
                (
                    "KEYSCAPE_SOURCES",
                    "redis://a, redis-cluster://b,c:1,redis://d",
                ),
                ("KEYSCAPE_ADMIN_PROTECTED", "no"),
                ("KEYSCAPE_PORT", "tcp://10.0.0.1:6479"),
            ]),
        )
        .map_err(|e| e.to_string())
        .ok()
        .unwrap();
        assert_eq!(over.http.listen, "[::1]:2");
        assert_eq!(
            over.sources,
            ["redis://a", "redis-cluster://b,c:1", "redis://d"]
        );
        assert!(!over.admin.protected);
        assert_eq!(over.log.level, "warn");
        let wrong = overlay(
            Raw::default(),
            &env(&[("KEYSCAPE_LINK_SILENCE_MS", "soon")]),
        );
        assert_eq!(
            wrong.err().map(|e| e.to_string()).unwrap(),
            "KEYSCAPE_LINK_SILENCE_MS: expected a number of 0 or more"
        );
    }
}
