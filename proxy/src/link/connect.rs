//! Dialling: TCP, and TLS on top where the source asks for it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::config;
use crate::fleet::Loss;
use crate::source::Source;
use crate::tls::{self, TlsError};

/// The receiving half.
pub type Reader = Box<dyn AsyncRead + Send + Unpin>;

/// The sending half.
pub type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// A connection, in two halves.
pub struct Connection {
    /// Receives.
    pub reader: Reader,
    /// Sends.
    pub writer: Writer,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum DialError {
    /// TCP.
    #[error("cannot connect to {address}")]
    Tcp {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// TCP or TLS took too long.
    #[error("no connection to {address} within {} ms", waited.as_millis())]
    Timeout {
        /// Where.
        address: String,
        /// How long it was tried.
        waited: Duration,
    },
    /// Our side of TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The handshake.
    #[error("TLS handshake with {address}")]
    Handshake {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
}

impl DialError {
    /// The reason to count.
    pub fn loss(&self) -> Loss {
        match self {
            DialError::Tcp { .. } | DialError::Timeout { .. } => Loss::Connect,
            DialError::Tls(_) | DialError::Handshake { .. } => Loss::Tls,
        }
    }
}

/// Connects.
///
/// # Errors
/// There is no connection within `limit`, or TLS cannot be set up.
pub async fn dial(
    source: &Source,
    files: &config::Tls,
    limit: Duration,
) -> Result<Connection, DialError> {
    let wait = timeout(limit, open(source, files)).await;
    wait.unwrap_or_else(|_| {
        Err(DialError::Timeout {
            address: source.to_string(),
            waited: limit,
        })
    })
}

async fn open(source: &Source, files: &config::Tls) -> Result<Connection, DialError> {
    let failed = |e| DialError::Tcp {
        address: source.to_string(),
        source: e,
    };
    let stream = TcpStream::connect((source.host.as_str(), source.port))
        .await
        .map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    if !source.tls {
        let (reader, writer) = stream.into_split();
        return Ok(Connection {
            reader: Box::new(reader),
            writer: Box::new(writer),
        });
    }
    let (config, name) = client(source, files).await?;
    let stream = TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|e| DialError::Handshake {
            address: source.to_string(),
            source: e,
        })?;
    let (reader, writer) = tokio::io::split(stream);
    Ok(Connection {
        reader: Box::new(reader),
        writer: Box::new(writer),
    })
}

async fn client(
    source: &Source,
    files: &config::Tls,
) -> Result<(Arc<rustls::ClientConfig>, ServerName<'static>), DialError> {
    let name = tls::server_name(files, &source.host)?;
    let files = files.clone();
    let built = tokio::task::spawn_blocking(move || tls::client(&files)).await;
    match built {
        Ok(config) => Ok((config?, name)),
        // The task cannot be cancelled, so it panicked, which reading PEM files does not.
        Err(_) => Err(DialError::Tls(TlsError::Empty("TLS files".to_owned()))),
    }
}
