//! Addresses that are announced but cannot be reached from here: behind NAT, a port forward or a
//! container network, the operator says where each one is reached instead.

use cluster_map::Addr;

/// Pairs `announced=reachable`. A pair of hosts maps every port; a pair with ports maps one server,
/// and comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nat {
    servers: Vec<(Addr, Addr)>,
    hosts: Vec<(String, String)>,
}

impl Nat {
    /// Reads the pairs.
    ///
    /// # Errors
    /// The pair that is not one.
    pub fn parse(pairs: &[String]) -> Result<Nat, String> {
        let mut nat = Nat::default();
        for pair in pairs {
            let Some((announced, reachable)) = pair.split_once('=') else {
                return Err(pair.clone());
            };
            match (server(announced), server(reachable)) {
                (Some(a), Some(b)) => nat.servers.push((a, b)),
                (None, None) => match (host(announced), host(reachable)) {
                    (Some(a), Some(b)) => nat.hosts.push((a, b)),
                    _ => return Err(pair.clone()),
                },
                _ => return Err(pair.clone()),
            }
        }
        Ok(nat)
    }

    /// Where an announced address is reached.
    pub fn reachable(&self, addr: &Addr) -> Addr {
        if let Some((_, to)) = self.servers.iter().find(|(from, _)| from == addr) {
            return to.clone();
        }
        let host = self.hosts.iter().find(|(from, _)| *from == addr.host);
        Addr {
            host: host.map_or_else(|| addr.host.clone(), |(_, to)| to.clone()),
            port: addr.port,
        }
    }
}

/// `host:port`, an IPv6 host in brackets.
fn server(text: &str) -> Option<Addr> {
    let bracketed = text.starts_with('[');
    if !bracketed && text.matches(':').count() > 1 {
        return None;
    }
    text.parse().ok()
}

/// A host without a port.
fn host(text: &str) -> Option<String> {
    Addr::new(text, 1).map(|addr| addr.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nat(pairs: &[&str]) -> Result<Nat, String> {
        Nat::parse(&pairs.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn servers_come_before_hosts() {
        let nat = nat(&["10.0.0.1=localhost", "10.0.0.1:7001=h:9", "fe80::1=[::1]"]).unwrap();
        for (announced, reachable) in [
            ("10.0.0.1:7000", "localhost:7000"),
            ("10.0.0.1:7001", "h:9"),
            ("10.0.0.2:7001", "10.0.0.2:7001"),
            ("[fe80::1]:7", "[::1]:7"),
        ] {
            let addr = announced.parse().unwrap();
            assert_eq!(nat.reachable(&addr).to_string(), reachable, "{announced}");
        }
    }

    #[test]
    fn what_is_no_pair_is_named() {
        for pair in ["a", "a:1=b", "a=b:1", "=b", "a b=c", "a:0=b:1"] {
            assert_eq!(nat(&[pair]), Err(pair.to_owned()), "{pair}");
        }
    }
}
