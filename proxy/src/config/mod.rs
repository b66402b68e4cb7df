//! The configuration as the rest of the process uses it: typed, checked, with every default filled
//! in. `raw` reads it; nothing else knows how it was spelled.
//!
//! Flag > environment > file > default. Secrets come from the file, the environment or files named
//! there; they are `SecretString`, so no debug output shows them.

pub mod containers;
mod patterns;
pub mod raw;
pub mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use analyzer::advice::Limits;
use analyzer::census::Plan;
use analyzer::keyspace::BigLimits;
use cluster_map::{Follow, Share};
use secrecy::SecretString;

use crate::discovery::nat::Nat;
use crate::memory::limits::{self, Wanted};
use crate::source::{Credentials, Kind, Spec};
pub use containers::Containers;
pub use patterns::PATTERNS_DEFAULT;
pub use raw::ConfigError;
use raw::Raw;

/// Everything.
#[derive(Clone, Debug)]
pub struct Config {
    /// What to follow, in the order given.
    pub sources: Vec<Spec>,
    /// Which node of each group.
    pub follow: Follow,
    /// The part of the masters that is ours.
    pub shard: Option<Share>,
    /// How much memory the process may take.
    pub memory_cap: Wanted,
    /// The RESP port.
    pub admin: Admin,
    /// Advice.
    pub advice: Advice,
    /// Limits of the masters' containers.
    pub containers: Containers,
    /// How deployments are found out.
    pub discovery: Discovery,
    /// The HTTP port.
    pub http: Http,
    /// Links.
    pub link: Link,
    /// What is counted of keys.
    pub counted: Plan,
    /// Limits of re-reads.
    pub reread: Reread,
    /// TLS towards the servers.
    pub tls: Tls,
    /// Events.
    pub watch: Watch,
}

/// What is told as it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// From when on a key is big.
    pub big: BigLimits,
    /// Keys that grow faster than so many bytes a second are told of; `None` never.
    pub growth_bytes_per_s: Option<u64>,
    /// How far back a forecast of metrics and alerts looks, seconds, 60 to three days.
    pub forecast_s: u32,
}

/// How deployments are found out.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// How often somebody is asked while all is well.
    pub poll: Duration,
    /// Announced addresses that are reached elsewhere.
    pub nat: Nat,
    /// Credentials of the Sentinels themselves.
    pub sentinel: Option<Credentials>,
}

/// How links are kept.
#[derive(Clone, Debug)]
pub struct Link {
    /// Credentials of sources that have none of their own.
    pub credentials: Option<Credentials>,
    /// CLIENT SETNAME of our connections.
    pub client_name: String,
    /// `REPLCONF listening-port`: 65536 keeps Sentinel from listing us.
    pub announce_port: u32,
    /// `REPLCONF ip-address`.
    pub announce_ip: Option<String>,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Silence after which the server is asked whether it still lives.
    pub silence: Duration,
    /// First wait before a reconnect.
    pub retry_min: Duration,
    /// Longest wait before a reconnect.
    pub retry_max: Duration,
    /// Bytes received and not yet applied; the reader waits there.
    pub queue_bytes_max: usize,
    /// Full syncs at once, over all servers.
    pub full_syncs_max: usize,
    /// What becomes of a full sync that something speaks against.
    pub preflight: Preflight,
    /// How often INFO and CONFIG GET are asked.
    pub poll: Duration,
}

/// What becomes of a full sync that something speaks against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preflight {
    /// It is done; the log says what was found.
    Warn,
    /// What is running is waited for, ten minutes at most; then as above.
    Wait,
    /// What is running is waited for; what would harm the server is not done.
    Refuse,
}

/// Limits of reads from the followed servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reread {
    /// Keys a second whose encoding or expiry is asked; 0 is off.
    pub probes_per_s_max: u32,
    /// Keys a second whose size is asked because a snapshot or a write leaves it open; 0 is off.
    pub sizes_per_s_max: u32,
    /// Keys a second that are compared though nothing speaks against them; 0 is off.
    pub audits_per_s_max: u32,
    /// Elements of collections a second that the server walks for MEMORY USAGE.
    pub elements_per_s_max: u64,
    /// Keys a second whose value is read; 0 is off.
    pub values_per_s_max: u32,
    /// Bytes a second of such values.
    pub bytes_per_s_max: u64,
    /// Largest value that is read.
    pub value_bytes_max: u64,
}

/// Files of a TLS client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM authorities; `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM client certificate chain.
    pub cert_file: Option<PathBuf>,
    /// PEM client key.
    pub key_file: Option<PathBuf>,
    /// Name to verify and to send, where it is not the URL's host.
    pub server_name: Option<String>,
}

/// How advice is given.
#[derive(Clone, Debug)]
pub struct Advice {
    /// How often servers are asked what rules need to know.
    pub every: Duration,
    /// How long after one survey of all keys the next begins.
    pub survey_every: Duration,
    /// How the rules are tuned.
    pub limits: Arc<Limits>,
}

/// The RESP admin port.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Password of the default user (`AUTH password`); `None` lets everyone in whom protected mode
    /// lets in.
    pub password: Option<SecretString>,
    /// Further users (`AUTH name password`).
    pub users: Vec<User>,
    /// As Redis has it: without any password, only loopback clients are served.
    pub protected: bool,
    /// Clients at once; one more is told so and closed.
    pub clients_max: usize,
    /// A client that is silent this long is closed; 0 never.
    pub idle_ms: u64,
    /// Certificate, key and client CA, if the port speaks TLS.
    pub tls: Option<ServerTls>,
}

/// A user of the admin port.
#[derive(Clone, Debug)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its password.
    pub password: SecretString,
}

/// Files of a TLS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// PEM certificate chain.
    pub cert_file: PathBuf,
    /// PEM private key.
    pub key_file: PathBuf,
    /// PEM authorities that client certificates must come from; `None` asks for none.
    pub client_ca_file: Option<PathBuf>,
}

/// The HTTP port.
#[derive(Clone, Debug)]
pub struct Http {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Requests at once.
    pub connections_max: usize,
    /// Have series by pattern.
    pub patterns: bool,
    /// Series by redis_exporter's names as well, and the keys that have some: database and name.
    pub compat: Option<Vec<Named>>,
}

/// A key: its database and name.
pub type Named = (u32, Vec<u8>);

impl Default for Admin {
    fn default() -> Admin {
        Admin {
            listen: SocketAddr::from(([127, 0, 0, 1], 6479)),
            password: None,
            users: Vec::new(),
            protected: true,
            clients_max: 256,
            idle_ms: 0,
            tls: None,
        }
    }
}

impl Default for Http {
    fn default() -> Http {
        Http {
            listen: SocketAddr::from(([127, 0, 0, 1], 9479)),
            connections_max: 64,
            patterns: true,
            compat: None,
        }
    }
}

impl Config {
    /// Checks what was read and fills it in.
    ///
    /// # Errors
    /// The key that cannot be used, and why.
    pub fn from_raw(raw: Raw) -> Result<Config, ConfigError> {
        let link_raw = &raw.link;
        let credentials = credentials(
            "link",
            &link_raw.user,
            &link_raw.password,
            &link_raw.password_file,
        )?;
        Ok(Config {
            sources: sources(&raw)?,
            follow: follow(&raw.follow)?,
            shard: shard(&raw.shard)?,
            memory_cap: memory_cap(&raw.memory_cap)?,
            discovery: discovery(&raw)?,
            admin: admin(raw.admin)?,
            advice: advice(&raw.advice)?,
            containers: Containers::checked(&raw.container)?,
            http: Http {
                listen: address("http.listen", &raw.http.listen)?,
                connections_max: at_least_one("http.connections_max", raw.http.connections_max)?,
                patterns: raw.metrics.patterns,
                compat: compat(&raw.metrics)?,
            },
            link: link(raw.link, credentials)?,
            counted: patterns::plan(&raw.patterns)?,
            reread: Reread {
                probes_per_s_max: raw.reread.probes_per_s_max,
                sizes_per_s_max: raw.reread.sizes_per_s_max,
                audits_per_s_max: raw.reread.audits_per_s_max,
                elements_per_s_max: raw.reread.elements_per_s_max,
                values_per_s_max: raw.reread.values_per_s_max,
                bytes_per_s_max: raw.reread.bytes_per_s_max,
                value_bytes_max: raw.reread.value_bytes_max,
            },
            tls: tls(raw.tls)?,
            watch: watch(&raw.watch)?,
        })
    }
}

/// Reads the file (if any) and lays the environment over it.
///
/// # Errors
/// The file cannot be read, or something in it or in the environment is wrong.
pub fn load(file: Option<&Path>, env: &BTreeMap<String, String>) -> Result<Raw, ConfigError> {
    let raw = match file {
        Some(path) => raw::parse(&path.display().to_string(), &read(path)?)?,
        None => Raw::default(),
    };
    raw::overlay(raw, env)
}

fn sources(raw: &Raw) -> Result<Vec<Spec>, ConfigError> {
    let mut urls = raw.sources.clone();
    if let Some(path) = path(&raw.sources_file) {
        let text = read(&path)?;
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        urls.extend(lines.map(str::to_owned));
    }
    let mut sources: Vec<Spec> = Vec::with_capacity(urls.len());
    for (i, url) in urls.iter().enumerate() {
        let place = format!("source {}", i + 1);
        let spec = Spec::parse(url).map_err(|e| ConfigError::at(&place, e.to_string()))?;
        if sources.iter().any(|other| spec.overlaps(other)) {
            let problem = format!("{} is named twice", spec.first());
            return Err(ConfigError::at(place, problem));
        }
        let is_named = |other: &Spec| other.label == spec.label && other.kind != Kind::Standalone;
        if spec.kind != Kind::Standalone && sources.iter().any(is_named) {
            let problem = format!("another one is called {} too", spec.label);
            return Err(ConfigError::at(place, problem));
        }
        sources.push(spec);
    }
    Ok(sources)
}

fn admin(raw: raw::Admin) -> Result<Admin, ConfigError> {
    let mut users = Vec::with_capacity(raw.users.len());
    for user in raw.users {
        let place = format!("admin.users {:?}", user.name);
        let password = secret(&place, user.password, &user.password_file)?
            .ok_or_else(|| ConfigError::at(place, "has no password"))?;
        users.push(User {
            name: user.name,
            password,
        });
    }
    Ok(Admin {
        listen: address("admin.listen", &raw.listen)?,
        password: secret("admin.password", raw.password, &raw.password_file)?,
        users,
        protected: raw.protected,
        clients_max: at_least_one("admin.clients_max", raw.clients_max)?,
        idle_ms: raw.idle_ms,
        tls: match pair("admin.tls", &raw.tls_cert_file, &raw.tls_key_file)? {
            Some((cert_file, key_file)) => Some(ServerTls {
                cert_file,
                key_file,
                client_ca_file: path(&raw.tls_client_ca_file),
            }),
            None => None,
        },
    })
}

fn advice(raw: &raw::Advice) -> Result<Advice, ConfigError> {
    const EVERY_MIN_MS: u64 = 1_000;
    if raw.every_ms < EVERY_MIN_MS {
        let problem = format!("must be {EVERY_MIN_MS} or more");
        return Err(ConfigError::at("advice.every_ms", problem));
    }
    const SURVEY_MIN_MS: u64 = 100;
    if raw.survey_every_ms < SURVEY_MIN_MS {
        let problem = format!("must be {SURVEY_MIN_MS} or more");
        return Err(ConfigError::at("advice.survey_every_ms", problem));
    }
    let tuned = (&raw.limits, &raw.severities);
    let limits = rules::limits(tuned, &raw.silence, &raw.enable);
    let limits = limits.map_err(|problem| ConfigError::at("advice", problem))?;
    Ok(Advice {
        every: Duration::from_millis(raw.every_ms),
        survey_every: Duration::from_millis(raw.survey_every_ms),
        limits: Arc::new(limits),
    })
}

fn link(raw: raw::Link, credentials: Option<Credentials>) -> Result<Link, ConfigError> {
    const POLL_MIN_MS: u64 = 100;
    if raw.retry_min_ms == 0 || raw.retry_min_ms > raw.retry_max_ms {
        let problem = "must be above 0 and not above link.retry_max_ms";
        return Err(ConfigError::at("link.retry_min_ms", problem));
    }
    if raw.poll_ms < POLL_MIN_MS {
        return Err(ConfigError::at(
            "link.poll_ms",
            format!("must be {POLL_MIN_MS} or more"),
        ));
    }
    if raw.client_name.bytes().any(|b| !b.is_ascii_graphic()) {
        let problem = "is a word of printable ASCII";
        return Err(ConfigError::at("link.client_name", problem));
    }
    Ok(Link {
        credentials,
        client_name: raw.client_name,
        announce_port: raw.announce_port,
        announce_ip: text(raw.announce_ip),
        connect_timeout: Duration::from_millis(raw.connect_timeout_ms.max(1)),
        silence: Duration::from_millis(raw.silence_ms.max(1000)),
        retry_min: Duration::from_millis(raw.retry_min_ms),
        retry_max: Duration::from_millis(raw.retry_max_ms),
        queue_bytes_max: raw.queue_bytes_max.max(1024 * 1024),
        full_syncs_max: at_least_one("link.full_syncs_max", raw.full_syncs_max)?,
        preflight: match raw.preflight.as_str() {
            "warn" => Preflight::Warn,
            "wait" => Preflight::Wait,
            "refuse" => Preflight::Refuse,
            _ => return Err(ConfigError::at("link.preflight", "is warn, wait or refuse")),
        },
        poll: Duration::from_millis(raw.poll_ms),
    })
}

fn tls(raw: raw::Tls) -> Result<Tls, ConfigError> {
    let (cert_file, key_file) = pair("tls", &raw.cert_file, &raw.key_file)?.unzip();
    Ok(Tls {
        ca_file: path(&raw.ca_file),
        cert_file,
        key_file,
        server_name: text(raw.server_name),
    })
}

/// Keys are named as redis_exporter's --check-single-keys has them: `db0=name`.
fn compat(raw: &raw::Metrics) -> Result<Option<Vec<Named>>, ConfigError> {
    const KEYS_MAX: usize = 1000;
    let place = "metrics.compat_keys";
    if raw.compat_keys.len() > KEYS_MAX {
        let problem = format!("has more than {KEYS_MAX} keys");
        return Err(ConfigError::at(place, problem));
    }
    let mut known = BTreeSet::new();
    let mut keys = Vec::with_capacity(raw.compat_keys.len());
    for text in &raw.compat_keys {
        let parts = text.split_once('=').and_then(|(db, name)| {
            let db = db.strip_prefix("db").unwrap_or(db).parse().ok()?;
            Some((db, name.as_bytes().to_vec()))
        });
        let wrong = |problem| ConfigError::at(place, format!("{text:?} {problem}"));
        let key = parts.ok_or_else(|| wrong("is not like db0=name"))?;
        // It would be a series twice, for which Prometheus refuses the whole scrape.
        if !known.insert(key.clone()) {
            return Err(wrong("is there twice"));
        }
        keys.push(key);
    }
    Ok(raw.compat.then_some(keys))
}

fn watch(raw: &raw::Watch) -> Result<Watch, ConfigError> {
    const FORECAST_S: std::ops::RangeInclusive<u32> = 60..=3 * 86_400;
    let limit = |limit: u64| Some(limit).filter(|limit| *limit > 0);
    if !FORECAST_S.contains(&raw.forecast_s) {
        let problem = format!("{} is not 60 to 259200 (three days)", raw.forecast_s);
        return Err(ConfigError::at("watch.forecast_s", problem));
    }
    Ok(Watch {
        big: BigLimits {
            bytes: limit(raw.bigkey_bytes).unwrap_or(u64::MAX),
            elements: limit(raw.bigkey_elements).unwrap_or(u64::MAX),
        },
        growth_bytes_per_s: limit(raw.growth_bytes_per_s),
        forecast_s: raw.forecast_s,
    })
}

fn follow(text: &str) -> Result<Follow, ConfigError> {
    match text {
        "master" => Ok(Follow::Master),
        "replica" => Ok(Follow::Replica),
        "prefer-replica" => Ok(Follow::PreferReplica),
        "local" => Ok(Follow::Local),
        _ => Err(ConfigError::at(
            "follow",
            format!("{text:?} is not master, replica, prefer-replica or local"),
        )),
    }
}

fn memory_cap(text: &str) -> Result<Wanted, ConfigError> {
    let least = limits::CAP_MIN >> 20;
    let problem = || format!("{text:?} is not auto, off, or bytes, {least}MiB at least");
    Wanted::parse(text).ok_or_else(|| ConfigError::at("memory_cap", problem()))
}

fn shard(text: &str) -> Result<Option<Share>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        let problem = "is not i/n with i from 0 to n - 1, or ordinal/n";
        ConfigError::at("shard", format!("{text:?} {problem}"))
    })
}

/// `ordinal/n` with the number at the end of a pod's name in place of the word, as a StatefulSet
/// numbers its pods (`keyscape-2`); any other text as it is.
///
/// # Errors
/// There is no name, or no number at its end.
pub fn with_ordinal(shard: &str, pod: Option<&str>) -> Result<String, ConfigError> {
    let Some(of) = shard.strip_prefix("ordinal/") else {
        return Ok(shard.to_owned());
    };
    let ordinal = pod.and_then(|name| name.rsplit_once('-')).map(|(_, n)| n);
    match ordinal.filter(|n| n.parse::<u32>().is_ok()) {
        Some(ordinal) => Ok(format!("{ordinal}/{of}")),
        None => Err(ConfigError::at(
            "shard",
            "ordinal: neither POD_NAME nor HOSTNAME ends in a number behind a dash",
        )),
    }
}

fn discovery(raw: &Raw) -> Result<Discovery, ConfigError> {
    const POLL_MIN_MS: u64 = 100;
    if raw.discovery.poll_ms < POLL_MIN_MS {
        let problem = format!("must be {POLL_MIN_MS} or more");
        return Err(ConfigError::at("discovery.poll_ms", problem));
    }
    let nat = Nat::parse(&raw.discovery.nat).map_err(|pair| {
        let problem = format!("{pair:?} is not announced=reachable, each a host or host:port");
        ConfigError::at("discovery.nat", problem)
    })?;
    let of = &raw.sentinel;
    Ok(Discovery {
        poll: Duration::from_millis(raw.discovery.poll_ms),
        nat,
        sentinel: credentials("sentinel", &of.user, &of.password, &of.password_file)?,
    })
}

fn credentials(
    section: &str,
    user: &str,
    password: &str,
    file: &str,
) -> Result<Option<Credentials>, ConfigError> {
    let place = format!("{section}.password");
    let password = secret(&place, password.to_owned(), file)?;
    match (text(user.to_owned()), password) {
        (user, Some(password)) => Ok(Some(Credentials { user, password })),
        (Some(_), None) => Err(ConfigError::at(
            format!("{section}.user"),
            format!("has no {place}"),
        )),
        (None, None) => Ok(None),
    }
}

fn secret(place: &str, text: String, file: &str) -> Result<Option<SecretString>, ConfigError> {
    match (text.is_empty(), path(file)) {
        (true, None) => Ok(None),
        (true, Some(path)) => {
            let text = read(&path)?;
            Ok(Some(text.trim_end_matches(['\r', '\n']).into()))
        }
        (false, None) => Ok(Some(text.into())),
        (false, Some(_)) => Err(ConfigError::at(
            place,
            "is given both directly and as a file",
        )),
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let place = path.display().to_string();
    std::fs::read_to_string(path)
        .map_err(|e| ConfigError::at(place, format!("cannot be read: {e}")))
}

fn address(place: &str, text: &str) -> Result<SocketAddr, ConfigError> {
    let problem = || format!("{text:?} is not an address with a port, like 127.0.0.1:6479");
    text.parse().map_err(|_| ConfigError::at(place, problem()))
}

fn at_least_one(place: &str, number: usize) -> Result<usize, ConfigError> {
    if number == 0 {
        return Err(ConfigError::at(place, "must be 1 or more"));
    }
    Ok(number)
}

fn pair(place: &str, cert: &str, key: &str) -> Result<Option<(PathBuf, PathBuf)>, ConfigError> {
    match (path(cert), path(key)) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some((cert, key))),
        (Some(_), None) => Err(ConfigError::at(place, "has a certificate but no key")),
        (None, Some(_)) => Err(ConfigError::at(place, "has a key but no certificate")),
    }
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

fn text(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
