//! TLS towards the followed servers: rustls with the aws-lc-rs provider, named explicitly, because
//! two providers in one dependency tree make the implicit choice a panic.
//!
//! Files are read anew for every connection, so a renewed certificate is used at the next one; a
//! Kubernetes secret swaps a symlink that no file watch sees.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName};
use thiserror::Error;

use crate::config;

/// Why TLS cannot be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A PEM file.
    #[error("{file}: cannot read PEM")]
    Pem {
        /// Which.
        file: String,
        /// Why.
        source: pem::Error,
    },
    /// No authorities.
    #[error("{0}: holds no certificate")]
    Empty(String),
    /// The configuration as a whole.
    #[error("certificates cannot be used")]
    Config(#[from] rustls::Error),
    /// The name to verify.
    #[error("{name:?} is not a server name")]
    Name {
        /// The name.
        name: String,
        /// Why.
        source: InvalidDnsNameError,
    },
}

/// Builds the client side. Reads files: call it where blocking is allowed.
///
/// # Errors
/// A file cannot be read, or what it holds cannot be used.
pub fn client(files: &config::Tls) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(authorities(files.ca_file.as_deref())?);
    let config = match (&files.cert_file, &files.key_file) {
        (Some(cert), Some(key)) => {
            builder.with_client_auth_cert(certificates(cert)?, private_key(key)?)?
        }
        (Some(_) | None, None) | (None, Some(_)) => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// The name to verify and to send: the configured one, else the URL's host.
///
/// # Errors
/// It is neither a DNS name nor an address.
pub fn server_name(files: &config::Tls, host: &str) -> Result<ServerName<'static>, TlsError> {
    let name = files.server_name.as_deref().unwrap_or(host).to_owned();
    ServerName::try_from(name.clone()).map_err(|source| TlsError::Name { name, source })
}

fn authorities(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
        }
        None => {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs);
        }
    }
    if roots.is_empty() {
        let place = file.map_or("the system's store".to_owned(), |p| p.display().to_string());
        return Err(TlsError::Empty(place));
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let broken = |source| TlsError::Pem {
        file: file.display().to_string(),
        source,
    };
    let all = CertificateDer::pem_file_iter(file).map_err(broken)?;
    let list = all.collect::<Result<Vec<_>, _>>().map_err(broken)?;
    if list.is_empty() {
        return Err(TlsError::Empty(file.display().to_string()));
    }
    Ok(list)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(file).map_err(|source| TlsError::Pem {
        file: file.display().to_string(),
        source,
    })
}
