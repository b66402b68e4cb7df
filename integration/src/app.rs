//! Keyscape itself, as the program that users run: a child process on free ports.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::http;
use crate::resp::{Client, field_of};
use crate::server::{free_addr, signal};
use crate::wait::{self, PATIENCE};

/// A keyscape process; dropping it kills it.
pub struct App {
    /// The admin port.
    pub admin: SocketAddr,
    /// The HTTP port.
    pub http: SocketAddr,
    child: Child,
    dir: TempDir,
}

/// What the admin port says of the state of the whole.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Every master is loaded and followed.
    pub synced: bool,
    /// Keys marked inexact.
    pub inexact: u64,
    /// Keys whose facts wait for a check.
    pub unverified: u64,
    /// Offset of the first master.
    pub offset: i64,
    /// Full resyncs of all masters.
    pub full_syncs: u64,
    /// Partial resyncs of all masters.
    pub partial_syncs: u64,
    /// The sections that this was read from.
    pub text: String,
}

/// One master as INFO lists it.
#[derive(Debug, Clone, Default)]
pub struct Followed {
    /// `host:port` of the master.
    pub name: String,
    /// State of the link.
    pub state: String,
    /// Replication id of the model.
    pub replid: String,
    /// Offset of the model; -1 if there is none.
    pub offset: i64,
    /// Full resyncs so far.
    pub full_syncs: u64,
    /// Partial resyncs so far.
    pub partial_syncs: u64,
}

impl App {
    /// Starts `keyscape serve` on these sources with a configuration in TOML.
    ///
    /// # Errors
    /// If it cannot be built or does not answer on its admin port.
    pub fn start(sources: &[String], config: &str) -> Result<Self> {
        Self::start_at(sources, (free_addr()?, free_addr()?), config)
    }

    /// As [`Self::start`], with the addresses of the admin port and of HTTP.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_at(
        sources: &[String],
        ports: (SocketAddr, SocketAddr),
        config: &str,
    ) -> Result<Self> {
        Self::start_by(Command::new(binary()?), sources, ports, config)
    }

    fn start_by(
        mut command: Command,
        sources: &[String],
        (admin, http): (SocketAddr, SocketAddr),
        config: &str,
    ) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("keyscape-app-").tempdir()?;
        let log = fs::File::create(dir.path().join("log"))?;
        command.arg("serve").args(sources);
        command.args(["--listen", &admin.to_string(), "--http", &http.to_string()]);
        let file = dir.path().join("keyscape.toml");
        fs::write(&file, config)?;
        command.arg("--config").arg(&file).current_dir(dir.path());
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command.spawn().context("start keyscape")?;
        let mut app = Self {
            admin,
            http,
            child,
            dir,
        };
        app.wait_listening()?;
        Ok(app)
    }

    /// As [`Self::start`], in a process whose data may take so many bytes (`ulimit -d`).
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_within(sources: &[String], data_bytes: u64) -> Result<Self> {
        let mut limited = Command::new("sh");
        let line = format!("ulimit -d {} && exec \"$0\" \"$@\"", data_bytes >> 10);
        limited.args(["-c", &line]).arg(binary()?);
        Self::start_by(limited, sources, (free_addr()?, free_addr()?), "")
    }

    /// A connection to the admin port.
    ///
    /// # Errors
    /// If it is gone.
    pub fn client(&self) -> Result<Client> {
        Client::connect(self.admin)
    }

    /// Reads the state from INFO.
    ///
    /// # Errors
    /// If the admin port does not answer.
    pub fn status(&self) -> Result<Status> {
        let mut client = self.client()?;
        let own = client.ask(&["INFO", "keyscape"])?.string();
        let replication = client.ask(&["INFO", "replication"])?.string();
        let number = |name: &str| field_of(&own, name).and_then(|text| text.parse().ok());
        let mut status = Status {
            synced: field_of(&own, "keyscape_synced").as_deref() == Some("1"),
            inexact: number("keyscape_keys_inexact").unwrap_or(0),
            unverified: number("keyscape_keys_unverified").unwrap_or(0)
                + number("keyscape_keys_unsized").unwrap_or(0),
            offset: field_of(&replication, "slave_repl_offset")
                .and_then(|text| text.parse().ok())
                .unwrap_or(-1),
            ..Status::default()
        };
        for (index, master) in followed_in(&own).iter().enumerate() {
            status.full_syncs += master.full_syncs;
            status.partial_syncs += master.partial_syncs;
            if index == 0 {
                status.offset = master.offset;
            }
        }
        status.text = format!("{own}{replication}");
        Ok(status)
    }

    /// Every master with its link, in the order of INFO.
    ///
    /// # Errors
    /// If the admin port does not answer.
    pub fn followed(&self) -> Result<Vec<Followed>> {
        let own = self.client()?.ask(&["INFO", "keyscape"])?.string();
        Ok(followed_in(&own))
    }

    /// Waits until everything is loaded and followed.
    ///
    /// # Errors
    /// If that takes too long; the message ends with the log.
    pub fn wait_synced(&self, limit: Duration) -> Result<()> {
        let result = wait::for_true(limit, "keyscape to be synced", || Ok(self.status()?.synced));
        result.with_context(|| self.log_tail())
    }

    /// A GET on the HTTP port: status line and body.
    ///
    /// # Errors
    /// If the port does not answer.
    pub fn get(&self, path: &str) -> Result<(String, String)> {
        http::get(self.http, path)
    }

    /// The sum of a counter of `/metrics` over all its series.
    ///
    /// # Errors
    /// If the HTTP port does not answer.
    pub fn metric(&self, name: &str) -> Result<u64> {
        Ok(self.series(name)?.values().sum())
    }

    /// A counter of `/metrics` by the labels of its series.
    ///
    /// # Errors
    /// If the HTTP port does not answer.
    pub fn series(&self, name: &str) -> Result<BTreeMap<String, u64>> {
        let (_, text) = self.get("/metrics")?;
        let series = text.lines().filter_map(|line| line.strip_prefix(name));
        let series = series.filter(|rest| rest.starts_with(['{', ' ']));
        Ok(series
            .filter_map(|rest| {
                let (labels, value) = rest.rsplit_once(' ')?;
                Some((labels.to_owned(), value.parse().ok()?))
            })
            .collect())
    }

    /// Sends a signal by name.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn signal(&self, name: &str) -> Result<()> {
        signal(self.child.id(), name)
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end of the process; returns its exit code.
    ///
    /// # Errors
    /// If it does not end by then.
    pub fn wait_exit(&mut self, limit: Duration) -> Result<Option<i32>> {
        let child = &mut self.child;
        wait::until(limit, "keyscape to exit", || {
            Ok(child.try_wait()?.map(|status| status.code()))
        })
    }

    /// Everything it logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.dir.path().join("log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The last lines of the log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let mut lines: Vec<&str> = log.lines().rev().take(12).collect();
        lines.reverse();
        lines.join("\n")
    }

    fn wait_listening(&mut self) -> Result<()> {
        let admin = self.admin;
        let child = &mut self.child;
        let result = wait::until(PATIENCE, "the admin port", || {
            if let Some(status) = child.try_wait()? {
                bail!("keyscape ended with {status}");
            }
            Ok(Client::connect(admin)
                .and_then(|mut client| client.call(&["PING"]))
                .ok())
        });
        result.map(|_| ()).with_context(|| self.log_tail())
    }
}

/// The lines `keyscape_master<n>:name=...,state=...` of INFO.
pub(crate) fn followed_in(info: &str) -> Vec<Followed> {
    let lines = info.lines().filter_map(|line| {
        let (head, fields) = line.split_once(':')?;
        let index = head.strip_prefix("keyscape_master")?;
        index.parse::<u32>().ok().map(|_| fields)
    });
    let parse = |fields: &str| {
        let value = |name: &str| {
            let mut pairs = fields.split(',').filter_map(|field| field.split_once('='));
            pairs.find(|(own, _)| *own == name).map(|(_, value)| value)
        };
        let count = |name: &str| value(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        let text = |name: &str| value(name).unwrap_or_default().to_owned();
        Followed {
            name: text("name"),
            state: text("state"),
            replid: text("replid"),
            offset: value("offset")
                .and_then(|text| text.parse().ok())
                .unwrap_or(-1),
            full_syncs: count("full_syncs"),
            partial_syncs: count("partial_syncs"),
        }
    };
    lines.map(parse).collect()
}

impl Drop for App {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The keyscape binary beside this program, built by cargo first so that it is never stale.
///
/// # Errors
/// If it does not build.
pub fn binary() -> Result<PathBuf> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = BUILT.get() {
        return Ok(path.clone());
    }
    if let Some(given) = std::env::var_os("KEYSCAPE_BINARY") {
        return Ok(PathBuf::from(given));
    }
    let own = std::env::current_exe()?;
    let mut dir = own.parent().context("a program has a directory")?;
    if dir.ends_with("deps") {
        dir = dir.parent().context("a target directory")?;
    }
    build(dir)?;
    let path = dir.join("keyscape");
    if !path.exists() {
        bail!("cargo built no {}", path.display());
    }
    Ok(BUILT.get_or_init(|| path).clone())
}

fn build(profile_dir: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "keyscape", "--bin", "keyscape"]);
    if profile_dir.ends_with("release") {
        command.arg("--release");
    }
    if let Some(target) = profile_dir.parent() {
        command.arg("--target-dir").arg(target);
    }
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().context("run cargo")?;
    if !output.status.success() {
        bail!(
            "build keyscape: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
