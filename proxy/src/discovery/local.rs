//! What is on this host: ourselves, and for the mode `local` the instance at our side.
//!
//! A sidecar names its instance by a loopback address, which the instance itself never announces.
//! A cluster's node says which of the nodes it is (`myself`), so its announced address is known to
//! be the one that was dialled. Sentinels cannot say that: there, a node with our own address
//! towards the Sentinel is at our side.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use cluster_map::{Addr, Topology};
use tokio::net::{UdpSocket, lookup_host};

use crate::config::Config;
use crate::source::Source;

/// Announced addresses of those that were dialled.
#[derive(Debug, Default)]
pub(super) struct Local {
    /// From what is announced to what was dialled.
    announced: BTreeMap<Addr, Addr>,
}

/// Of nodes that said where they are; more than seeds and nodes of one look.
const HEARD_MAX: usize = 256;

impl Local {
    /// The server that was dialled at `asked` announces an address.
    pub(super) fn heard(&mut self, asked: &Addr, announced: Option<&Addr>) {
        let Some(announced) = announced else {
            return;
        };
        self.announced.retain(|_, dialled| dialled != asked);
        if self.announced.len() < HEARD_MAX {
            self.announced.insert(announced.clone(), asked.clone());
        }
    }

    /// Where an announced address was dialled.
    pub(super) fn reached(&self, announced: &Addr) -> Option<&Addr> {
        self.announced.get(announced)
    }
}

/// The nodes of a map that are at an address of this host, as `towards` would see us.
pub(super) async fn on_this_host(map: &Topology, towards: &Source) -> Vec<Addr> {
    let own = own_ip(towards).await.map(|ip| ip.to_string());
    let is_here = |addr: &&Addr| is_loopback(&addr.host) || Some(&addr.host) == own.as_ref();
    let nodes = map.groups().iter().flat_map(|group| &group.nodes);
    let addrs = nodes.filter_map(|node| node.addr.as_ref());
    addrs.filter(is_here).cloned().collect()
}

/// Our address towards a server; nothing is sent for that.
async fn own_ip(towards: &Source) -> Option<IpAddr> {
    let mut found = lookup_host((towards.host.as_str(), towards.port))
        .await
        .ok()?;
    let to = found.next()?;
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(to).await.ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The addresses of our own RESP port: what announces one of them is us.
pub(super) fn own(config: &Config) -> Vec<Addr> {
    let listen = config.admin.listen;
    let hosts = match listen.ip() {
        ip if ip.is_unspecified() => vec!["127.0.0.1".to_owned(), "::1".to_owned()],
        ip => vec![ip.to_string()],
    };
    let port = listen.port();
    let mut own: Vec<Addr> = hosts
        .into_iter()
        .filter_map(|host| Addr::new(&host, u64::from(port)))
        .collect();
    let announced = config.link.announce_ip.as_deref();
    own.extend(announced.and_then(|ip| Addr::new(ip, u64::from(config.link.announce_port))));
    own
}
