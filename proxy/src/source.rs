//! What to follow, as URLs: one server (`redis://[user:pass@]host[:port]`), a cluster
//! (`redis-cluster://host[:port][,host[:port]]`), or masters that Sentinel watches
//! (`redis-sentinel://host[:port][,host[:port]]/name[,name]`). `rediss` for `redis` is TLS,
//! `valkey` for `redis` the same thing.
//!
//! User and password are those of the data servers, also behind Sentinel, and percent-decoded; IPv6
//! hosts stand in brackets. A fragment names the deployment (`#shop`): the label `cluster` of its
//! masters. A database path is refused instead of ignored, because a replica always follows every
//! database. Errors never repeat the text between `//` and `@`.

use std::fmt;

use cluster_map::Addr;
use secrecy::SecretString;
use thiserror::Error;

/// The port of a server whose URL names none.
pub const PORT_DEFAULT: u16 = 6379;

/// The port of a Sentinel whose URL names none.
pub const SENTINEL_PORT_DEFAULT: u16 = 26_379;

/// One server to connect to.
#[derive(Clone, Debug)]
pub struct Source {
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS from the first byte.
    pub tls: bool,
    /// Credentials of the URL; `None` takes those of the configuration.
    pub credentials: Option<Credentials>,
}

/// What AUTH sends.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// ACL user; `None` is the default user.
    pub user: Option<String>,
    /// Password.
    pub password: SecretString,
}

/// What a URL names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One server, followed as it is.
    Standalone,
    /// A cluster.
    Cluster,
    /// Masters that Sentinel watches.
    Sentinel,
}

impl Kind {
    /// The word used in answers and logs.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Standalone => "standalone",
            Kind::Cluster => "cluster",
            Kind::Sentinel => "sentinel",
        }
    }
}

/// One URL of the configuration.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What it names.
    pub kind: Kind,
    /// The server; nodes of the cluster to begin with; the Sentinels. Never empty.
    pub seeds: Vec<Source>,
    /// The masters of Sentinel that are wanted; all that it watches if empty.
    pub names: Vec<String>,
    /// What the deployment is called; empty for a plain server that was not given a name.
    pub label: String,
}

/// Most servers in one URL.
pub const SEEDS_MAX: usize = 64;

/// Longest name of a deployment or of a Sentinel's master, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// Why a source is not one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SourceError {
    /// No scheme.
    #[error("{0:?} is not a URL: write redis://{0}")]
    NoScheme(String),
    /// A scheme that we do not speak.
    #[error(
        "scheme {0:?} is not one of redis, redis-cluster, redis-sentinel, with rediss for TLS and valkey for redis"
    )]
    Scheme(String),
    /// A database in the path.
    #[error("a source has no database path (found {0:?}): a replica follows every database")]
    Path(String),
    /// A query.
    #[error("a source has no query (found {0:?}): options stand in the configuration")]
    Query(String),
    /// No host.
    #[error("a source names a host: redis://host:port")]
    NoHost,
    /// Several hosts in one URL.
    #[error("redis:// names one server: give {0:?} as several sources, or as redis-cluster://")]
    Several(String),
    /// More servers than anyone needs to begin with.
    #[error("a source names at most {SEEDS_MAX} servers")]
    TooMany,
    /// A port that is not one.
    #[error("{0:?} is not a port (1 to 65535)")]
    Port(String),
    /// A name that is not one.
    #[error("{0:?} is not a name: at most {NAME_BYTES_MAX} bytes, no blanks, no quotes")]
    Name(String),
    /// A percent sequence that does not decode.
    #[error("a percent sequence in user or password is not two hex digits of UTF-8")]
    Percent,
}

impl Spec {
    /// Reads a URL.
    ///
    /// # Errors
    /// Says what is wrong and what to write instead.
    pub fn parse(text: &str) -> Result<Spec, SourceError> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://") else {
            let shown = text.rsplit_once('@').map_or(text, |(_, after)| after);
            return Err(SourceError::NoScheme(shown.to_owned()));
        };
        let (kind, tls) = scheme_kind(scheme)?;
        let (userinfo, rest) = match rest.rsplit_once('@') {
            Some((userinfo, rest)) => (Some(userinfo), rest),
            None => (None, rest),
        };
        if let Some(at) = rest.find('?') {
            return Err(SourceError::Query(rest[at..].to_owned()));
        }
        let (rest, label) = rest.split_once('#').unwrap_or((rest, ""));
        let (addresses, path) = rest.split_once('/').unwrap_or((rest, ""));
        let credentials = userinfo.map(credentials).transpose()?.flatten();
        let port = match kind {
            Kind::Standalone | Kind::Cluster => PORT_DEFAULT,
            Kind::Sentinel => SENTINEL_PORT_DEFAULT,
        };
        let mut seeds: Vec<Source> = Vec::new();
        for address in addresses.split(',') {
            let (host, port) = split_address(address, port)?;
            let is_known = |seed: &Source| seed.host == host && seed.port == port;
            if seeds.iter().any(is_known) {
                continue;
            }
            seeds.push(Source {
                host,
                port,
                tls,
                credentials: credentials.clone(),
            });
        }
        if seeds.len() > SEEDS_MAX {
            return Err(SourceError::TooMany);
        }
        if kind == Kind::Standalone && addresses.contains(',') {
            return Err(SourceError::Several(addresses.to_owned()));
        }
        let names = match (kind, path) {
            (_, "") => Vec::new(),
            (Kind::Standalone | Kind::Cluster, path) => {
                return Err(SourceError::Path(format!("/{path}")));
            }
            (Kind::Sentinel, path) => path.split(',').map(name).collect::<Result<_, _>>()?,
        };
        let label = match (kind, label) {
            (Kind::Standalone, "") => String::new(),
            // A deployment without a name is called after its first seed.
            (Kind::Cluster | Kind::Sentinel, "") => seeds[0].to_string(),
            (_, label) => name(label)?,
        };
        Ok(Spec {
            kind,
            seeds,
            names,
            label,
        })
    }

    /// The first server that it names.
    pub fn first(&self) -> &Source {
        &self.seeds[0]
    }

    /// True if both name the same thing.
    pub fn overlaps(&self, other: &Spec) -> bool {
        let same = |a: &Source, b: &Source| a.host == b.host && a.port == b.port;
        let mut seeds = self.seeds.iter();
        let seeds = seeds.any(|a| other.seeds.iter().any(|b| same(a, b)));
        let all = self.names.is_empty() || other.names.is_empty();
        let names = all || self.names.iter().any(|name| other.names.contains(name));
        self.kind == other.kind && seeds && names
    }
}

fn name(text: &str) -> Result<String, SourceError> {
    let good = |c: char| !c.is_whitespace() && !c.is_control() && c != '"';
    if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.chars().all(good) {
        return Err(SourceError::Name(text.to_owned()));
    }
    Ok(text.to_owned())
}

impl Source {
    /// The address.
    pub fn addr(&self) -> Addr {
        Addr {
            host: self.host.clone(),
            port: self.port,
        }
    }
}

/// The address, as it names the master everywhere.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn scheme_kind(scheme: &str) -> Result<(Kind, bool), SourceError> {
    let lower = scheme.to_ascii_lowercase();
    let (family, kind) = match lower.split_once('-') {
        None => (lower.as_str(), Kind::Standalone),
        Some((family, "cluster")) => (family, Kind::Cluster),
        Some((family, "sentinel")) => (family, Kind::Sentinel),
        Some(_) => return Err(SourceError::Scheme(scheme.to_owned())),
    };
    match family {
        "redis" | "valkey" => Ok((kind, false)),
        "rediss" | "valkeys" => Ok((kind, true)),
        _ => Err(SourceError::Scheme(scheme.to_owned())),
    }
}

fn split_address(address: &str, default: u16) -> Result<(String, u16), SourceError> {
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(SourceError::NoHost)?;
        (host, after.strip_prefix(':').unwrap_or(after))
    } else {
        address.split_once(':').unwrap_or((address, ""))
    };
    if host.is_empty() {
        return Err(SourceError::NoHost);
    }
    let port = match port {
        "" => default,
        text => match text.parse() {
            Ok(port) if port > 0 => port,
            Ok(_) | Err(_) => return Err(SourceError::Port(text.to_owned())),
        },
    };
    Ok((host.to_owned(), port))
}

/// `user:pass`, `:pass`, `pass` (as redis-cli has it) or nothing.
fn credentials(userinfo: &str) -> Result<Option<Credentials>, SourceError> {
    if userinfo.is_empty() {
        return Ok(None);
    }
    let (user, password) = match userinfo.split_once(':') {
        Some((user, password)) => (decode(user)?, decode(password)?),
        None => (String::new(), decode(userinfo)?),
    };
    Ok(Some(Credentials {
        user: (!user.is_empty()).then_some(user),
        password: password.into(),
    }))
}

fn decode(text: &str) -> Result<String, SourceError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let hex = rest.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let value = hex
            .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(value.ok_or(SourceError::Percent)?);
        rest = rest.get(2..).unwrap_or(&[]);
    }
    String::from_utf8(bytes).map_err(|_| SourceError::Percent)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn shown(text: &str) -> String {
        let spec = match Spec::parse(text) {
            Ok(spec) => spec,
            Err(error) => return format!("error: {error}"),
        };
        let first = spec.first();
        let mut shown = spec.kind.name().to_owned();
        for seed in &spec.seeds {
            shown += &format!(" {seed}");
        }
        if !spec.names.is_empty() {
            shown += &format!(" /{}", spec.names.join(","));
        }
        if !spec.label.is_empty() {
            shown += &format!(" #{}", spec.label);
        }
        if first.tls {
            shown += " tls";
        }
        if let Some(c) = &first.credentials {
            let user = c.user.as_deref().unwrap_or("-");
            shown += &format!(" {user}/{}", c.password.expose_secret());
        }
        shown.trim_start_matches("standalone ").to_owned()
    }

    #[test]
    fn urls_are_read() {
        for (text, expected) in [
            ("redis://a:1", "a:1"),
            ("redis://a", "a:6379"),
            ("redis://a/", "a:6379"),
            ("VALKEYS://h:7", "h:7 tls"),
            ("rediss://:p%40ss@h:7", "h:7 tls -/p@ss"),
            ("redis://u:p@h", "h:6379 u/p"),
            ("redis://secret@h", "h:6379 -/secret"),
            ("redis://u:a@b:c@h:2", "h:2 u/a@b:c"),
            ("redis://[::1]:7000", "[::1]:7000"),
            ("redis://[fe80::1]", "[fe80::1]:6379"),
            ("redis://h#shop", "h:6379 #shop"),
            ("redis-cluster://a:1,b", "cluster a:1 b:6379 #a:1"),
            (
                "rediss-cluster://u:p@a,a:6379",
                "cluster a:6379 #a:6379 tls u/p",
            ),
            ("valkeys-cluster://[::1]:1#x", "cluster [::1]:1 #x tls"),
            (
                "redis-sentinel://a,b:7/m,n",
                "sentinel a:26379 b:7 /m,n #a:26379",
            ),
            (
                "rediss-sentinel://p@a/m#s",
                "sentinel a:26379 /m #s tls -/p",
            ),
            ("valkey-sentinel://a", "sentinel a:26379 #a:26379"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_source_says_what_to_write() {
        for (text, part) in [
            ("127.0.0.1:6379", "write redis://127.0.0.1:6379"),
            ("u:secret@h:1", "write redis://h:1"),
            ("http://h", "scheme \"http\""),
            ("redis-clusters://h", "scheme \"redis-clusters\""),
            ("redis-cluster://h:1/0", "no database path"),
            ("redis-cluster://h:1,", "names a host"),
            ("redis-sentinel://h/a,,b", "\"\" is not a name"),
            ("redis-sentinel://h/a%20b#x y", "is not a name"),
            ("redis://h:1/3", "no database path (found \"/3\")"),
            ("redis://h:1?x=1", "no query"),
            ("redis://", "names a host"),
            ("redis://h:0", "\"0\" is not a port"),
            ("redis://h:x", "\"x\" is not a port"),
            ("redis://h:1,i:2", "as several sources"),
            ("redis://u:%zz@h", "percent"),
        ] {
            let got = shown(text);
            assert!(
                got.starts_with("error: ") && got.contains(part),
                "{text}: {got}"
            );
            assert!(!got.contains("secret"), "{text}: {got}");
        }
    }

    #[test]
    fn debug_output_hides_the_password() {
        let source = Spec::parse("redis://u:hidden@h").unwrap();
        assert!(!format!("{source:?}").contains("hidden"));
    }
}
