//! A real master with two replicas, watched by three real Sentinels of which two must agree.

pub mod campaign;
pub mod writer;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::cluster::free_port;
use crate::resp::{Client, Reply, field_of};
use crate::server::Server;
use crate::servers::{Install, Program};
use crate::wait::{self, PATIENCE};

/// What the Sentinels call the master.
pub const NAME: &str = "mymaster";

/// Sentinels, of which [`QUORUM`] must agree.
const SENTINELS: usize = 3;
const QUORUM: u32 = 2;

/// `down-after-milliseconds`: a busy machine must not make the Sentinels give a master up.
const DOWN_AFTER_MS: u32 = 4000;

/// `failover-timeout`: the same failover is tried again no sooner than after twice that.
const FAILOVER_TIMEOUT_MS: u32 = 5000;

/// How long somebody who runs may take to answer before he is asked anew.
const ANSWER: Duration = Duration::from_secs(30);

/// How long a Sentinel may take to start, and all of them to agree.
pub const AGREEMENT: Duration = PATIENCE;

/// One Sentinel; dropping it kills it.
pub struct Sentinel {
    /// Where it listens.
    pub addr: SocketAddr,
    install: Install,
    child: Child,
    dir: TempDir,
}

impl Sentinel {
    fn start(install: &Install, master: SocketAddr, host: Ipv4Addr) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("keyscape-").tempdir()?;
        let addr = SocketAddr::from((host, free_port(0)?));
        let text = format!(
            "port {}\nbind {host}\nsentinel announce-ip {host}\ndir {}\n\
             sentinel monitor {NAME} {} {} {QUORUM}\n\
             sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}\n\
             sentinel failover-timeout {NAME} {FAILOVER_TIMEOUT_MS}\n\
             sentinel parallel-syncs {NAME} 1\n",
            addr.port(),
            dir.path().display(),
            master.ip(),
            master.port(),
        );
        fs::write(dir.path().join("sentinel.conf"), text)?;
        let child = launch(install, &dir)?;
        let mut sentinel = Self {
            addr,
            install: install.clone(),
            child,
            dir,
        };
        sentinel.wait_ready()?;
        Ok(sentinel)
    }

    /// A new connection.
    ///
    /// # Errors
    /// If it is gone.
    pub fn client(&self) -> Result<Client> {
        let client = Client::connect(self.addr)?;
        client.read_timeout(ANSWER)?;
        Ok(client)
    }

    /// Kills it.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        // An error means that it is gone already.
        let _ = self.child.kill();
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again with what it remembers.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start_again(&mut self) -> Result<()> {
        self.child = launch(&self.install, &self.dir)?;
        self.wait_ready()
    }

    /// Whether the process lives.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = fs::read(self.dir.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn wait_ready(&mut self) -> Result<()> {
        let addr = self.addr;
        wait::for_true(AGREEMENT, "the Sentinel to answer", || {
            Ok(!Client::connect(addr)?.call(&["PING"])?.is_error())
        })
        .with_context(|| self.log())
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        // An error means that it is gone already.
        let _ = self.kill();
    }
}

fn launch(install: &Install, dir: &TempDir) -> Result<Child> {
    let mut command = install.command(Program::Server)?;
    command.arg(dir.path().join("sentinel.conf"));
    command.arg("--sentinel").current_dir(dir.path());
    let mut log = fs::OpenOptions::new();
    let log = log.create(true).append(true).open(dir.path().join("log"))?;
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    command.spawn().context("start a Sentinel")
}

/// The whole of it; all processes are ended when it is dropped.
pub struct Watched {
    /// What everybody is.
    pub install: Install,
    /// A master and two replicas, in any order by the time.
    pub servers: Vec<Server>,
    /// Three of them.
    pub sentinels: Vec<Sentinel>,
}

impl Watched {
    /// Starts servers and Sentinels, and waits until they know each other.
    ///
    /// # Errors
    /// If one does not start, or they do not come to agree.
    pub fn start(install: &Install) -> Result<Self> {
        Self::start_on(install, [Ipv4Addr::LOCALHOST; SENTINELS])
    }

    /// The same with the Sentinels on these addresses, which are all of this host.
    ///
    /// # Errors
    /// If one does not start, or they do not come to agree.
    pub fn start_on(install: &Install, hosts: [Ipv4Addr; SENTINELS]) -> Result<Self> {
        let mut servers: Vec<Server> = Vec::new();
        for _ in 0..3 {
            let port = free_port(0)?.to_string();
            let options = [("port", port.as_str()), ("repl-backlog-size", "32mb")];
            let server = Server::start_once(install, &options)?;
            anyhow::ensure!(server.is_ours()?, "another program took port {port}");
            servers.push(server);
        }
        let master = servers[0].addr;
        for replica in &servers[1..] {
            replica_of(replica.addr, master)?;
        }
        let sentinels = hosts
            .into_iter()
            .map(|host| Sentinel::start(install, master, host))
            .collect::<Result<_>>()?;
        let mut watched = Self {
            install: install.clone(),
            servers,
            sentinels,
        };
        wait::for_true(AGREEMENT, "the Sentinels to know each other", || {
            watched.all_know()
        })?;
        watched.wait_agreed(AGREEMENT)?;
        Ok(watched)
    }

    fn all_know(&self) -> Result<bool> {
        for sentinel in &self.sentinels {
            let mut client = sentinel.client()?;
            let others = client.ask(&["SENTINEL", "SENTINELS", NAME])?.items().len();
            let replicas = client.ask(&["SENTINEL", "SLAVES", NAME])?.items().len();
            if others + 1 < SENTINELS || replicas + 1 < self.servers.len() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The source that Keyscape is given.
    #[must_use]
    pub fn url(&self) -> String {
        let all = self.sentinels.iter().map(|s| s.addr.to_string());
        format!(
            "redis-sentinel://{}/{NAME}",
            all.collect::<Vec<_>>().join(",")
        )
    }

    /// Changes an option of the master's at every Sentinel.
    ///
    /// # Errors
    /// If one of them does not take it.
    pub fn set(&self, option: &str, value: &str) -> Result<()> {
        for sentinel in &self.sentinels {
            let mut client = sentinel.client()?;
            client.ask(&["SENTINEL", "SET", NAME, option, value])?;
        }
        Ok(())
    }

    /// Has every Sentinel watch one more master.
    ///
    /// # Errors
    /// If one of them does not take it.
    pub fn watch(&self, name: &str, master: SocketAddr) -> Result<()> {
        let (host, port) = (master.ip().to_string(), master.port().to_string());
        for sentinel in &self.sentinels {
            let mut client = sentinel.client()?;
            client.ask(&[
                "SENTINEL",
                "MONITOR",
                name,
                &host,
                &port,
                &QUORUM.to_string(),
            ])?;
        }
        Ok(())
    }

    /// Where the Sentinels listen.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sentinels.iter().map(|s| s.addr).collect()
    }

    /// The process that listens there.
    #[must_use]
    pub fn index_of(&self, addr: SocketAddr) -> Option<usize> {
        self.servers.iter().position(|server| server.addr == addr)
    }

    /// The master that all running Sentinels name, if it is one, and every other server that runs
    /// follows it; `None` if it is not so yet.
    ///
    /// # Errors
    /// If somebody who runs does not answer.
    pub fn agreed(&mut self) -> Result<Option<SocketAddr>> {
        let mut named = None;
        for sentinel in &mut self.sentinels {
            if !sentinel.is_running() {
                continue;
            }
            let master = master_of(&mut sentinel.client()?)?;
            if *named.get_or_insert(master) != master {
                return Ok(None);
            }
        }
        let master = named.context("no Sentinel runs")?;
        for server in &mut self.servers {
            if server.is_well() && !follows(server.addr, master)? {
                return Ok(None);
            }
        }
        Ok(Some(master))
    }

    /// Waits for [`Self::agreed`].
    ///
    /// # Errors
    /// If they do not agree by then.
    pub fn wait_agreed(&mut self, limit: Duration) -> Result<SocketAddr> {
        let mut found = None;
        let result = wait::for_true(limit, "the Sentinels to agree", || {
            found = self.agreed()?;
            Ok(found.is_some())
        });
        match (found, result) {
            (Some(master), _) => Ok(master),
            (None, Err(error)) => {
                let log = self.sentinels[0].log();
                let tail: Vec<&str> = log.lines().rev().take(12).collect();
                Err(error.context(tail.join("\n")))
            }
            (None, Ok(())) => anyhow::bail!("no master"),
        }
    }
}

/// The master's address as this Sentinel gives it.
///
/// # Errors
/// If it does not answer, or knows no such master.
pub fn master_of(sentinel: &mut Client) -> Result<SocketAddr> {
    let reply = sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME])?;
    let words: Vec<String> = reply.items().iter().map(Reply::string).collect();
    words.join(":").parse().context("the master's address")
}

/// Makes a server the replica of another.
///
/// # Errors
/// If it does not answer.
pub fn replica_of(replica: SocketAddr, master: SocketAddr) -> Result<()> {
    let (ip, port) = (master.ip().to_string(), master.port().to_string());
    let mut client = Client::connect(replica)?;
    client.ask(&["REPLICAOF", &ip, &port])?;
    Ok(())
}

/// Whether the server is that master, or a replica of it whose link is up.
fn follows(addr: SocketAddr, master: SocketAddr) -> Result<bool> {
    let mut client = Client::connect(addr)?;
    client.read_timeout(ANSWER)?;
    let info = client.ask(&["INFO", "replication"])?.string();
    let is = |field: &str, value: &str| field_of(&info, field).as_deref() == Some(value);
    if addr == master {
        return Ok(is("role", "master"));
    }
    Ok(is("role", "slave")
        && is("master_port", &master.port().to_string())
        && is("master_link_status", "up"))
}
