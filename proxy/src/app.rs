//! The three verbs, assembled: settings in, exit code out.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::{self, LogFormat};
use crate::config::{self, Config, ConfigError, raw::Raw};
use crate::discovery::{self, Discovery};
use crate::fault::chain;
use crate::fleet::{Build, Fleet, Kind};
use crate::link::attach::Shared;
use crate::link::gate::Gate;
use crate::memory::Memory;
use crate::side::client::Target;
use crate::source::Source;
use crate::{admin, clock, http, telemetry, watch};

/// The command line is wrong (`EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;
/// Something that is needed is not there: a port, a file, a server (`EX_UNAVAILABLE`).
pub const EXIT_UNAVAILABLE: u8 = 69;
/// The configuration is wrong (`EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;

/// After the signal everything ends within this time, or is left behind.
const DRAIN_LIMIT: Duration = Duration::from_millis(500);

/// Why a verb did not do its work.
#[derive(Debug, Error)]
pub enum AppError {
    /// The configuration.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// No server is named.
    #[error("no server to follow: name one, like keyscape serve redis://127.0.0.1:6379")]
    NoSources,
    /// A port cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be used.
    #[error("{file}")]
    File {
        /// Which.
        file: String,
        /// Why.
        source: anyhow::Error,
    },
    /// The process cannot do something basic.
    #[error("{0}")]
    Process(&'static str, #[source] std::io::Error),
}

impl AppError {
    /// The exit code.
    pub fn exit(&self) -> ExitCode {
        ExitCode::from(match self {
            AppError::Config(_) => EXIT_CONFIG,
            AppError::NoSources => EXIT_USAGE,
            AppError::Listen { .. } | AppError::File { .. } | AppError::Process(..) => {
                EXIT_UNAVAILABLE
            }
        })
    }
}

/// Everything the process is told, flags on top.
///
/// # Errors
/// Something in file, environment or flags is wrong.
pub fn settings(common: &cli::Common) -> Result<Raw, AppError> {
    let env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let mut raw = config::load(common.config.as_deref(), &env)?;
    if let Some(format) = common.log_format {
        raw.log.format = match format {
            LogFormat::Text => "text".to_owned(),
            LogFormat::Json => "json".to_owned(),
        };
    }
    if let Some(level) = &common.log_level {
        raw.log.level.clone_from(level);
    }
    let files = [
        (&common.tls_ca_file, &mut raw.tls.ca_file),
        (&common.tls_cert_file, &mut raw.tls.cert_file),
        (&common.tls_key_file, &mut raw.tls.key_file),
    ];
    for (flag, slot) in files {
        if let Some(file) = flag {
            *slot = file.display().to_string();
        }
    }
    if let Some(name) = &common.tls_server_name {
        raw.tls.server_name.clone_from(name);
    }
    Ok(raw)
}

/// Everything that `serve` is told.
///
/// # Errors
/// As [`settings`].
pub fn serve_settings(flags: cli::Serve) -> Result<Raw, AppError> {
    let mut raw = settings(&flags.common)?;
    if !flags.sources.is_empty() {
        raw.sources = flags.sources;
    }
    if let Some(follow) = flags.follow {
        raw.follow = follow;
    }
    if let Some(shard) = flags.shard {
        raw.shard = shard;
    }
    let pod = ["POD_NAME", "HOSTNAME"].map(|name| std::env::var(name).ok());
    let pod = pod.iter().flatten().next();
    raw.shard = config::with_ordinal(&raw.shard, pod.map(String::as_str))?;
    if let Some(cap) = flags.memory_cap {
        raw.memory_cap = cap;
    }
    if let Some(listen) = flags.listen {
        raw.admin.listen = listen.to_string();
    }
    if let Some(http) = flags.http {
        raw.http.listen = http.to_string();
    }
    Ok(raw)
}

/// Starts logging as configured.
///
/// # Errors
/// Format or level are not ones.
pub fn start_logging(raw: &Raw) -> Result<(), AppError> {
    let format = match raw.log.format.as_str() {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        _ => return Err(ConfigError::at("log.format", "is text or json").into()),
    };
    Ok(telemetry::start(format, &raw.log.level)?)
}

/// `keyscape serve`: follows and answers until the process is told to end.
///
/// # Errors
/// It could not begin.
pub async fn serve(config: Config) -> Result<(), AppError> {
    let admin = listen(config.admin.listen).await?;
    let http = listen(config.http.listen).await?;
    run(config, admin, http, told_to_end()?).await
}

/// The service on sockets that are bound already, until `shutdown`.
///
/// # Errors
/// There is nothing to follow.
pub async fn run(
    config: Config,
    admin: TcpListener,
    http: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), AppError> {
    if config.sources.is_empty() {
        return Err(AppError::NoSources);
    }
    let config = Arc::new(config);
    let memory = Memory::new(config.memory_cap.cap());
    let fleet = Fleet::within((memory.clone(), config.containers.clone()), build());
    let shared = Arc::new(Shared {
        fleet: fleet.clone(),
        gate: Gate::new(config.link.full_syncs_max),
        followed: DashMap::with_shard_amount(16),
        seed: random(),
    });
    let tasks = TaskTracker::new();
    tasks.spawn(memory.watch(shutdown.clone()));
    tasks.spawn(watch::run(fleet.clone(), config.watch, shutdown.clone()));
    tasks.spawn(watch::look_ahead(
        fleet.clone(),
        config.watch,
        shutdown.clone(),
    ));
    for (i, spec) in config.sources.iter().enumerate() {
        let given = discovery::Given {
            source: i,
            config: config.clone(),
            shared: shared.clone(),
            tasks: tasks.clone(),
            shutdown: shutdown.clone(),
        };
        match spec.kind {
            Kind::Standalone => discovery::follow(given, spec),
            Kind::Cluster | Kind::Sentinel => {
                tasks.spawn(Discovery::new(given, spec).run());
            }
        }
    }
    let ports = (
        Arc::new(config.admin.clone()),
        Arc::new(config.http.clone()),
    );
    tracing::info!(
        resp = %config.admin.listen,
        http = %config.http.listen,
        sources = config.sources.len(),
        "serving"
    );
    tasks.spawn(port(
        "resp",
        admin::run(admin, fleet.clone(), ports.0, shutdown.clone()),
    ));
    tasks.spawn(port(
        "http",
        http::run(http, fleet.clone(), ports.1, shutdown.clone()),
    ));
    tasks.close();
    shutdown.cancelled().await;
    tracing::info!("ending");
    // Who does not end in time is dropped with the runtime; links close first of all.
    drop(tokio::time::timeout(DRAIN_LIMIT, tasks.wait()).await);
    Ok(())
}

/// Everything needed to connect to a source.
pub fn target(config: &Config, source: &Source) -> Target {
    Target {
        source: source.clone(),
        link: config.link.clone(),
        tls: config.tls.clone(),
        value_bytes_max: config.reread.value_bytes_max,
    }
}

async fn port(name: &'static str, serving: impl Future<Output = anyhow::Result<()>>) {
    if let Err(error) = serving.await {
        tracing::error!(port = name, error = %format!("{error:#}"), "port failed");
    }
}

async fn listen(address: std::net::SocketAddr) -> Result<TcpListener, AppError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| AppError::Listen {
            address: address.to_string(),
            source,
        })
}

/// A token that SIGTERM or SIGINT cancels.
fn told_to_end() -> Result<CancellationToken, AppError> {
    let failed = |e| AppError::Process("cannot listen for signals", e);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let token = CancellationToken::new();
    let cancel = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancel.cancel();
    });
    Ok(token)
}

fn build() -> Build {
    let words: [u64; 3] = std::array::from_fn(|_| random());
    let run_id: String = words.iter().map(|word| format!("{word:016x}")).collect();
    Build {
        version: env!("CARGO_PKG_VERSION"),
        run_id: run_id.chars().take(40).collect(),
        started_ms: clock::unix_ms(),
    }
}

/// A number that nobody outside can guess: the keys of the standard library's hash maps are random.
pub fn random() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(clock::unix_us());
    hasher.finish()
}

/// What to say when a verb fails.
pub fn complaint(error: &AppError) -> String {
    format!("keyscape: {}", chain(error))
}
