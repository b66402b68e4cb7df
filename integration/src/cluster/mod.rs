//! A real cluster on loopback: masters, replicas, and what they say of each other.
//!
//! ```text
//!   start      nodes on free ports -> CLUSTER ADDSLOTS, SET-CONFIG-EPOCH, MEET, REPLICATE
//!   agreed     one map that every running node gives; what a quiescent point needs
//!   add, remove, and (in [`reshard`]) moving slots: a cluster's life
//! ```
//!
//! Ports lie below the range that the kernel hands out, with the cluster bus 10000 above, so that a
//! node that was killed finds its port free when it comes back. Everything is made with the plain
//! commands: the client's own `--cluster create` asks questions and differs between versions.

pub mod campaign;
pub mod client;
pub mod fleet;
pub mod nodes;
pub mod rebalance;
pub mod reshard;
pub mod writer;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use self::client::ClusterClient;
use crate::resp::Client;
use crate::server::Server;
use crate::servers::Install;
use crate::wait::{self, PATIENCE};

pub use nodes::{Map, Seen};

/// Slots of every cluster.
pub const SLOTS: u16 = 16384;

/// `cluster-node-timeout` in milliseconds: a busy machine must not make the nodes give each other up.
pub const NODE_TIMEOUT_MS: u64 = 5000;

/// How long a node that runs may take to answer before it is asked anew.
const ANSWER: Duration = Duration::from_secs(30);

/// How long the nodes may take to agree on a map.
pub const AGREEMENT: Duration = PATIENCE;

/// The ports that are listened on; bus ports are behind them, and end before the kernel's own range.
const PORTS: std::ops::Range<u16> = 10_500..20_500;

/// A replica that did not take over by then has given up.
const GIVEN_UP: Duration = Duration::from_secs(7);

/// How many nodes of each role.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Masters, each with an equal share of the slots.
    pub masters: usize,
    /// Replicas of each master.
    pub replicas: usize,
}

impl Shape {
    /// Three masters with a replica each.
    pub const USUAL: Self = Self {
        masters: 3,
        replicas: 1,
    };
}

/// A cluster whose nodes are ended when it is dropped.
pub struct Cluster {
    /// What the nodes are.
    pub install: Install,
    /// Every process, running or not.
    pub nodes: Vec<Server>,
    options: Vec<(String, String)>,
}

/// A replica takes over from its master, by CLUSTER FAILOVER in this way; asked again if it gave up, as
/// it does after five seconds on a busy machine.
///
/// # Errors
/// If it refuses, or is no master by then.
pub fn take_over(replica: SocketAddr, how: Option<&str>) -> Result<()> {
    let mut words = vec!["CLUSTER", "FAILOVER"];
    words.extend(how);
    Client::connect(replica)?.ask(&words)?;
    let mut asked = Instant::now();
    wait::for_true(AGREEMENT, "a replica to take over", || {
        let mut client = Client::connect(replica)?;
        if asked.elapsed() > GIVEN_UP {
            asked = Instant::now();
            // An error says that it is the master by now.
            client.call(&words)?;
        }
        Ok(client.info("replication", "role")? == "master")
    })
}

/// Waits until a node takes writes: for some seconds after all agree it says CLUSTERDOWN.
///
/// # Errors
/// If it does not by then.
pub fn wait_up(client: &mut Client) -> Result<()> {
    wait::for_true(AGREEMENT, "the cluster to be up", || {
        Ok(client.info_of_cluster("cluster_state")? == "ok")
    })
}

/// Gives all slots to a server in cluster mode that is alone, and waits until it takes writes.
///
/// # Errors
/// If it refuses, or does not by then.
pub fn own_all(client: &mut Client) -> Result<()> {
    let slots: Vec<String> = (0..SLOTS).map(|slot| slot.to_string()).collect();
    let mut words = vec!["CLUSTER", "ADDSLOTS"];
    words.extend(slots.iter().map(String::as_str));
    client.ask(&words)?;
    wait_up(client)
}

impl Cluster {
    /// Starts the nodes and waits until they agree that all slots are served.
    ///
    /// # Errors
    /// If a node does not start, or the nodes do not find each other.
    pub fn start(install: &Install, shape: Shape, options: &[(&str, &str)]) -> Result<Self> {
        let own = options.iter().map(|&(k, v)| (k.to_owned(), v.to_owned()));
        let mut cluster = Self {
            install: install.clone(),
            nodes: Vec::new(),
            options: own.collect(),
        };
        for _ in 0..shape.masters * (1 + shape.replicas) {
            cluster.launch()?;
        }
        cluster.assemble(shape)?;
        Ok(cluster)
    }

    /// Starts one more process in cluster mode; it belongs to nothing yet. Returns its index.
    ///
    /// # Errors
    /// If it does not start.
    pub fn launch(&mut self) -> Result<usize> {
        let timeout = NODE_TIMEOUT_MS.to_string();
        let mut last = None;
        for _ in 0..5 {
            let port = free_port(10_000)?.to_string();
            let mut options = vec![
                ("port", port.as_str()),
                ("cluster-enabled", "yes"),
                ("cluster-node-timeout", &timeout),
                // Shards that are well serve on while another is without a master, and a replica
                // takes over however long its link was down: otherwise a run would stand still.
                ("cluster-require-full-coverage", "no"),
                ("cluster-replica-validity-factor", "0"),
                // A restarted node is found by its offset; a small backlog would hide resumption.
                ("repl-backlog-size", "32mb"),
            ];
            options.extend(self.options.iter().map(|(k, v)| (k.as_str(), v.as_str())));
            match Server::start_once(&self.install, &options) {
                Ok(server) if server.is_ours()? => {
                    self.nodes.push(server);
                    return Ok(self.nodes.len() - 1);
                }
                Ok(_) => {}
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("others took every port")?)
    }

    fn assemble(&mut self, shape: Shape) -> Result<()> {
        let share = usize::from(SLOTS).div_ceil(shape.masters);
        let slots: Vec<String> = (0..SLOTS).map(|slot| slot.to_string()).collect();
        for (index, share) in slots.chunks(share).enumerate() {
            let mut client = self.nodes[index].client()?;
            let mut words = vec!["CLUSTER", "ADDSLOTS"];
            words.extend(share.iter().map(String::as_str));
            client.ask(&words)?;
            let epoch = (index + 1).to_string();
            client.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch])?;
        }
        for index in 1..self.nodes.len() {
            self.meet(index)?;
        }
        let count = self.nodes.len();
        wait::for_true(AGREEMENT, "every node to know every other", || {
            self.all_know(count)
        })?;
        for index in shape.masters..count {
            let master = self.id_of((index - shape.masters) % shape.masters)?;
            self.nodes[index]
                .client()?
                .ask(&["CLUSTER", "REPLICATE", &master])?;
        }
        self.wait_agreed(AGREEMENT)?;
        for node in &self.nodes {
            wait_up(&mut node.client()?)?;
        }
        Ok(())
    }

    fn all_know(&self, count: usize) -> Result<bool> {
        for node in &self.nodes {
            let map = Map::of(&mut node.client()?)?;
            if map.nodes.iter().filter(|seen| seen.usable()).count() != count {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A client of the whole, which starts from any of its nodes.
    #[must_use]
    pub fn client(&self) -> ClusterClient {
        let seeds: Vec<SocketAddr> = self.nodes.iter().map(|node| node.addr).collect();
        ClusterClient::new(&seeds)
    }

    /// Introduces a node to the first running one.
    ///
    /// # Errors
    /// If one of them does not answer.
    pub fn meet(&mut self, index: usize) -> Result<()> {
        let known =
            (0..self.nodes.len()).find(|&other| other != index && self.nodes[other].is_well());
        let known = self.nodes[known.context("a node that runs")?].addr;
        let (ip, port) = (known.ip().to_string(), known.port().to_string());
        let mut client = self.nodes[index].client()?;
        client.ask(&["CLUSTER", "MEET", &ip, &port])?;
        Ok(())
    }

    /// The node id of a process.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn id_of(&self, index: usize) -> Result<String> {
        let mut client = self.nodes[index].client()?;
        Ok(client.ask(&["CLUSTER", "MYID"])?.string())
    }

    /// The process that listens there.
    #[must_use]
    pub fn index_of(&self, addr: SocketAddr) -> Option<usize> {
        self.nodes.iter().position(|node| node.addr == addr)
    }

    /// Where all the processes listen that run.
    pub fn running(&mut self) -> Vec<SocketAddr> {
        let nodes = self.nodes.iter_mut();
        nodes
            .filter_map(|node| node.is_well().then_some(node.addr))
            .collect()
    }

    /// The source that Keyscape is given: two seeds, one of them maybe dead by then.
    #[must_use]
    pub fn url(&self) -> String {
        let seeds = self.nodes.iter().take(2).map(|node| node.addr.to_string());
        format!("redis-cluster://{}", seeds.collect::<Vec<_>>().join(","))
    }

    /// The map that every running node gives, all slots served and all replicas linked; `None` if
    /// they do not agree yet.
    ///
    /// # Errors
    /// If a running node does not answer.
    pub fn agreed(&mut self) -> Result<Option<Map>> {
        let running = self.running();
        let mut first: Option<Map> = None;
        for &addr in &running {
            let mut client = Client::connect(addr)?;
            client.read_timeout(ANSWER)?;
            let map = Map::of(&mut client)?;
            let replication = client.ask(&["INFO", "replication"])?.string();
            if !map.settled(&running) || replication.contains("master_link_status:down") {
                return Ok(None);
            }
            if first
                .as_ref()
                .is_some_and(|other| !other.says_the_same(&map))
            {
                return Ok(None);
            }
            first.get_or_insert(map);
        }
        Ok(first)
    }

    /// Waits for [`Self::agreed`].
    ///
    /// # Errors
    /// If the nodes do not agree by then; the message ends with one node's map.
    pub fn wait_agreed(&mut self, limit: Duration) -> Result<Map> {
        let mut found = None;
        let result = wait::for_true(limit, "the nodes to agree", || {
            found = self.agreed()?;
            Ok(found.is_some())
        });
        if let Some(map) = found {
            return Ok(map);
        }
        let maps = self.running().into_iter().map(|addr| {
            let text = Client::connect(addr).and_then(|mut c| c.ask(&["CLUSTER", "NODES"]));
            format!(
                "{addr} says\n{}",
                text.map(|t| t.string()).unwrap_or_default()
            )
        });
        let maps = maps.collect::<Vec<_>>().join("\n");
        match result {
            Err(error) => Err(error.context(maps)),
            Ok(()) => bail!("no map: {maps}"),
        }
    }

    /// Makes every other node forget this one, and ends it.
    ///
    /// # Errors
    /// If a node does not answer.
    pub fn remove(&mut self, index: usize) -> Result<()> {
        let id = self.id_of(index)?;
        let mut gone = self.nodes.remove(index);
        gone.kill()?;
        for addr in self.running() {
            // A replica refuses to forget its master, and somebody may not know it: both pass.
            Client::connect(addr)?.call(&["CLUSTER", "FORGET", &id])?;
        }
        Ok(())
    }
}

/// A port that is free, as is the one `above` it (0 for none).
///
/// # Errors
/// If there is none.
pub fn free_port(above: u16) -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = PORTS.end - PORTS.start;
    if NEXT.load(Ordering::SeqCst) == 0 {
        // Several programs may choose ports at the same time; each begins elsewhere.
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos();
        let start = (std::process::id().wrapping_mul(7919) ^ now) % u32::from(span);
        NEXT.store(u16::try_from(start)? + 1, Ordering::SeqCst);
    }
    for _ in 0..span {
        let port = PORTS.start + NEXT.fetch_add(1, Ordering::SeqCst) % span;
        let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if free(port) && (above == 0 || free(port + above)) {
            return Ok(port);
        }
    }
    bail!("no free port in {PORTS:?}")
}
