//! One running server: its own port, its own directory, ended by its process id.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::cluster::free_port;
use crate::resp::{Client, Reply};
use crate::servers::{Family, Install, Program};
use crate::wait::{self, PATIENCE};

/// The RDB file in a server's directory.
pub const DUMP: &str = "dump.rdb";

/// A server process; dropping it kills it and removes its directory.
#[derive(Debug)]
pub struct Server {
    /// What it is.
    pub install: Install,
    /// Where it listens.
    pub addr: SocketAddr,
    options: Vec<(String, String)>,
    child: Child,
    dir: TempDir,
    stopped: bool,
}

impl Server {
    /// Starts a server on a free port, with these options (name, value) besides the usual ones.
    ///
    /// # Errors
    /// If it does not come up; the message ends with its log.
    pub fn start(install: &Install, options: &[(&str, &str)]) -> Result<Self> {
        let mut last = None;
        // Another process may take the port between our look and the server's bind.
        for _ in 0..4 {
            match Self::start_once(install, options) {
                Ok(server) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no attempt was made")?)
    }

    /// As [`Self::start`], but the server finds this RDB file and loads it.
    ///
    /// # Errors
    /// As [`Self::start`], or the file cannot be copied.
    pub fn start_on(install: &Install, options: &[(&str, &str)], dump: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("keyscape-").tempdir()?;
        fs::copy(dump, dir.path().join(DUMP)).context("copy the RDB file")?;
        Self::start_in(dir, install, options)
    }

    /// As [`Self::start`], without trying again: for those who chose a port and may choose another.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_once(install: &Install, options: &[(&str, &str)]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("keyscape-").tempdir()?;
        Self::start_in(dir, install, options)
    }

    fn start_in(dir: TempDir, install: &Install, options: &[(&str, &str)]) -> Result<Self> {
        let mut addr = free_addr()?;
        if let Some((_, port)) = options.iter().find(|option| option.0 == "port") {
            addr.set_port(port.parse()?);
        }
        let own = options.iter().map(|&(k, v)| (k.to_owned(), v.to_owned()));
        let options: Vec<(String, String)> = own.collect();
        let child = spawn(install, addr, dir.path(), &options)?;
        let mut server = Self {
            install: install.clone(),
            addr,
            options,
            child,
            dir,
            stopped: false,
        };
        server.wait_ready()?;
        Ok(server)
    }

    /// Ends the process with SIGKILL, as a crash or the kernel would.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        // A stopped process takes SIGKILL too; an error means that it is gone already.
        let _ = self.child.kill();
        self.child.wait().context("wait for the server's end")?;
        Ok(())
    }

    /// Starts the program again with the same port, directory and options, after it has ended.
    ///
    /// # Errors
    /// If it does not come up; the message ends with its log.
    pub fn start_again(&mut self) -> Result<()> {
        self.child = spawn(&self.install, self.addr, self.dir.path(), &self.options)?;
        self.stopped = false;
        self.wait_ready()
    }

    /// Stops the process where it is, as a debugger or an overloaded host would.
    ///
    /// # Errors
    /// If it is gone.
    pub fn stop(&mut self) -> Result<()> {
        self.stopped = true;
        self.signal("STOP")
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// If it is gone.
    pub fn go_on(&mut self) -> Result<()> {
        self.stopped = false;
        self.signal("CONT")
    }

    /// SAVE, as soon as no child writes another snapshot.
    ///
    /// # Errors
    /// If it cannot.
    pub fn save(&self) -> Result<()> {
        let mut client = self.client()?;
        client.read_timeout(PATIENCE)?;
        wait::for_true(PATIENCE, "SAVE", || client.ask(&["SAVE"]).map(|_| true))
    }

    /// Whether it runs and was not stopped.
    pub fn is_well(&mut self) -> bool {
        !self.stopped && self.is_running()
    }

    /// A new connection.
    ///
    /// # Errors
    /// If the server is gone.
    pub fn client(&self) -> Result<Client> {
        Client::connect(self.addr)
    }

    /// The address as a source that Keyscape understands.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.addr)
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, such as `STOP`, `CONT` or `TERM`.
    ///
    /// # Errors
    /// If there is no `kill`.
    pub fn signal(&self, name: &str) -> Result<()> {
        signal(self.pid(), name)
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Errors
    /// If it has not by then.
    pub fn wait_exit(&mut self, limit: Duration) -> Result<()> {
        wait::until(limit, "the server to exit", || {
            Ok(self.child.try_wait()?.map(|_| ()))
        })
    }

    /// Whether the process lives.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// A file in the server's directory.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What the server wrote to its log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.dir.path().join("log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Whether it is of at least these versions (major, minor), one for each family.
    #[must_use]
    pub fn at_least(&self, redis: (u32, u32), valkey: (u32, u32)) -> bool {
        let (major, minor, _) = self.install.numbers();
        match self.install.family {
            Family::Redis => (major, minor) >= redis,
            Family::Valkey => (major, minor) >= valkey,
        }
    }

    /// Whether the one who answers on the port is our process: another may have taken the port
    /// between our look and the bind, and ours is about to end.
    ///
    /// # Errors
    /// If nobody answers, or not as a server that is open to everybody.
    pub fn is_ours(&self) -> Result<bool> {
        let pid = self.client()?.info("server", "process_id")?;
        Ok(pid == self.pid().to_string())
    }

    /// Whether slots can be moved atomically.
    #[must_use]
    pub fn has_atomic_migration(&self) -> bool {
        self.install.family == Family::Valkey && self.install.numbers() >= (9, 0, 0)
    }

    fn wait_ready(&mut self) -> Result<()> {
        let addr = self.addr;
        let child = &mut self.child;
        let result = wait::until(PATIENCE, "the server to answer", || {
            if let Some(status) = child.try_wait()? {
                bail!("it ended with {status}");
            }
            let pong = Client::connect(addr).and_then(|mut client| client.call(&["PING"]));
            Ok(matches!(pong, Ok(Reply::Status(_) | Reply::Error(_))).then_some(()))
        });
        result.with_context(|| format!("start {}: {}", self.install.name, tail(&self.log())))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it is gone already.
        let _ = self.kill();
    }
}

/// Sends a signal to a process that we started.
///
/// # Errors
/// If there is no `kill`, or no such process.
pub fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status()?;
    if !status.success() {
        bail!("kill -{name} {pid}: {status}");
    }
    Ok(())
}

/// An address on loopback that nobody listens on at this moment, and that neither the kernel gives to
/// a connection nor this program to anybody else.
///
/// # Errors
/// If there is none.
pub fn free_addr() -> Result<SocketAddr> {
    Ok((Ipv4Addr::LOCALHOST, free_port(0)?).into())
}

/// Starts the program; what it logs is appended to the log in its directory.
fn spawn(
    install: &Install,
    addr: SocketAddr,
    dir: &Path,
    options: &[(String, String)],
) -> Result<Child> {
    let mut command = install.command(Program::Server)?;
    // A file of its own lets CONFIG REWRITE remember across starts what was changed at run time.
    let file = dir.join("server.conf");
    if !file.exists() {
        fs::write(&file, "")?;
    }
    command.arg(&file).current_dir(dir);
    let path = dir.to_string_lossy().into_owned();
    let port = addr.port().to_string();
    for (name, value) in [
        ("port", port.as_str()),
        ("bind", "127.0.0.1"),
        ("dir", &path),
    ] {
        command.arg(format!("--{name}")).arg(value);
    }
    let own = options.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    for (name, value) in defaults(install).into_iter().chain(own) {
        command.arg(format!("--{name}"));
        // `save ""` has to stay one argument, `client-output-buffer-limit` has several.
        if value.is_empty() {
            command.arg("");
        }
        command.args(value.split_whitespace());
    }
    let mut log = fs::OpenOptions::new();
    let log = log.create(true).append(true).open(dir.join("log"))?;
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    command.spawn().context("start the server")
}

/// Options that every server gets.
fn defaults(install: &Install) -> Vec<(&'static str, &'static str)> {
    let mut options = vec![
        ("save", ""),
        ("repl-diskless-sync-delay", "0"),
        ("databases", "16"),
    ];
    if install.numbers() >= (6, 2, 0) {
        // A crashed server shall be gone, not hang while it writes about itself.
        options.push(("crash-log-enabled", "no"));
    }
    if install.numbers() >= (7, 0, 0) {
        options.push(("enable-debug-command", "yes"));
    }
    options
}

fn tail(log: &str) -> String {
    let mut lines: Vec<&str> = log.lines().rev().take(6).collect();
    lines.reverse();
    lines.join(" | ")
}
