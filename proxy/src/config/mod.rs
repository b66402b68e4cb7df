//! The configuration as the rest of the process uses it: typed, checked, with every default filled
//! in. `raw` reads it; nothing else knows how it was spelled.

use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;

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
}

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
        }
    }
}
