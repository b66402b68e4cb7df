//! Where to attach: `redis://[user:pass@]host[:port]`, `rediss://` with TLS, `valkey` for `redis`
//! in either.
//!
//! User and password are percent-decoded; IPv6 hosts stand in brackets. A database path is refused
//! instead of ignored, because a replica always follows every database. Errors never repeat the
//! text between `//` and `@`.

use std::fmt;

use secrecy::SecretString;
use thiserror::Error;

/// The port of a URL that names none.
pub const PORT_DEFAULT: u16 = 6379;

/// One server to attach to.
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

/// Why a source is not one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SourceError {
    /// No scheme.
    #[error("{0:?} is not a URL: write redis://{0}")]
    NoScheme(String),
    /// A scheme that we do not speak.
    #[error("scheme {0:?} is not one of redis, rediss, valkey, valkeys")]
    Scheme(String),
    /// A scheme with discovery.
    #[error(
        "{0}:// needs discovery, which this version does not have: name each master as redis://host:port"
    )]
    Discovery(String),
    /// A database in the path.
    #[error("a source has no database path (found {0:?}): a replica follows every database")]
    Path(String),
    /// A query or fragment.
    #[error("a source has no query or fragment (found {0:?}): options stand in the configuration")]
    Query(String),
    /// No host.
    #[error("a source names a host: redis://host:port")]
    NoHost,
    /// Several hosts in one URL.
    #[error("one source names one server: give {0:?} as several sources")]
    Several(String),
    /// A port that is not one.
    #[error("{0:?} is not a port (1 to 65535)")]
    Port(String),
    /// A percent sequence that does not decode.
    #[error("a percent sequence in user or password is not two hex digits of UTF-8")]
    Percent,
}

impl Source {
    /// Reads a URL.
    ///
    /// # Errors
    /// Says what is wrong and what to write instead.
    pub fn parse(text: &str) -> Result<Source, SourceError> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://") else {
            let shown = text.rsplit_once('@').map_or(text, |(_, after)| after);
            return Err(SourceError::NoScheme(shown.to_owned()));
        };
        let tls = scheme_tls(scheme)?;
        let (userinfo, rest) = match rest.rsplit_once('@') {
            Some((userinfo, rest)) => (Some(userinfo), rest),
            None => (None, rest),
        };
        if let Some(at) = rest.find(['?', '#']) {
            return Err(SourceError::Query(rest[at..].to_owned()));
        }
        let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !path.is_empty() {
            return Err(SourceError::Path(format!("/{path}")));
        }
        let (host, port) = split_address(address)?;
        Ok(Source {
            host,
            port,
            tls,
            credentials: userinfo.map(credentials).transpose()?.flatten(),
        })
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

fn scheme_tls(scheme: &str) -> Result<bool, SourceError> {
    match scheme.to_ascii_lowercase().as_str() {
        "redis" | "valkey" => Ok(false),
        "rediss" | "valkeys" => Ok(true),
        "redis-cluster" | "rediss-cluster" | "valkey-cluster" | "valkeys-cluster"
        | "redis-sentinel" | "rediss-sentinel" | "valkey-sentinel" | "valkeys-sentinel" => {
            Err(SourceError::Discovery(scheme.to_owned()))
        }
        _ => Err(SourceError::Scheme(scheme.to_owned())),
    }
}

fn split_address(address: &str) -> Result<(String, u16), SourceError> {
    if address.contains(',') {
        return Err(SourceError::Several(address.to_owned()));
    }
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
        "" => PORT_DEFAULT,
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
        match Source::parse(text) {
            Ok(source) => {
                let tls = if source.tls { " tls" } else { "" };
                let auth = source.credentials.as_ref().map_or(String::new(), |c| {
                    let user = c.user.as_deref().unwrap_or("-");
                    format!(" {user}/{}", c.password.expose_secret())
                });
                format!("{source}{tls}{auth}")
            }
            Err(error) => format!("error: {error}"),
        }
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
            ("redis-cluster://h:1", "discovery"),
            ("rediss-sentinel://h:1/m", "discovery"),
            ("redis://h:1/3", "no database path (found \"/3\")"),
            ("redis://h:1?x=1", "no query"),
            ("redis://", "names a host"),
            ("redis://h:0", "\"0\" is not a port"),
            ("redis://h:x", "\"x\" is not a port"),
            ("redis://h:1,i:2", "several sources"),
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
        let source = Source::parse("redis://u:hidden@h").unwrap();
        assert!(!format!("{source:?}").contains("hidden"));
    }
}
