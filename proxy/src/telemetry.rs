//! Logging: tracing to standard error, as text or as JSON lines.
//!
//! Levels by consequence: ERROR wakes someone, WARN is odd but working, INFO is one line per change
//! of state, DEBUG is decisions, TRACE is per command. Key names only at TRACE, values never.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::cli::LogFormat;
use crate::config::ConfigError;

/// Starts logging for the process; a second call does nothing.
///
/// # Errors
/// The level is not a level or filter.
pub fn start(format: LogFormat, level: &str) -> Result<(), ConfigError> {
    let filter = EnvFilter::builder()
        .parse(level)
        .map_err(|e| ConfigError::at("log.level", e.to_string()))?;
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => lines
            .with_target(false)
            .with_ansi(std::io::stderr().is_terminal())
            .try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    // Only tests start it twice; the first one stays.
    drop(started);
    Ok(())
}
