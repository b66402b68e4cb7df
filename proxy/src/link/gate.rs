//! Few full syncs at once: each costs its host a fork and copied pages. One per host in any case,
//! and a number over all hosts. Whoever waits is served in the order of coming.
//!
//! A host is its addresses, so that two names of one host count as one; every loopback address is
//! this host.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio::net::lookup_host;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::source::Source;

/// Hosts remembered before those that nobody syncs from are forgotten.
const HOSTS_MAX: usize = 1_024;

/// Longest wait for the addresses of a name.
const LOOKUP_LIMIT: Duration = Duration::from_secs(2);

/// The gate of the process.
#[derive(Debug)]
pub struct Gate {
    all: Arc<Semaphore>,
    hosts: DashMap<Host, Arc<Semaphore>>,
}

/// A host, by its smallest address; by its name while that has none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host(String);

/// The right to one full sync; given back when dropped.
#[derive(Debug)]
pub struct Pass {
    _host: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Host {
    fn of(name: &str, addresses: impl Iterator<Item = IpAddr>) -> Host {
        let plain = |ip: IpAddr| ip.to_canonical();
        match addresses.map(plain).min() {
            Some(ip) if ip.is_loopback() => Host("loopback".to_owned()),
            Some(ip) => Host(ip.to_string()),
            None => Host(name.to_owned()),
        }
    }
}

impl Gate {
    /// A gate for `full_syncs_max` at once.
    pub fn new(full_syncs_max: usize) -> Gate {
        Gate {
            all: Arc::new(Semaphore::new(full_syncs_max)),
            hosts: DashMap::with_shard_amount(16),
        }
    }

    /// The host of a server.
    pub async fn host(&self, server: &Source) -> Host {
        let looked_up = lookup_host((server.host.as_str(), server.port));
        match timeout(LOOKUP_LIMIT, looked_up).await {
            Ok(Ok(found)) => Host::of(&server.host, found.map(|address| address.ip())),
            Ok(Err(_)) | Err(_) => Host::of(&server.host, std::iter::empty()),
        }
    }

    /// Waits for the right to a full sync from `host`. `None` only if the process ends.
    pub async fn pass(&self, host: &Host) -> Option<Pass> {
        let of_host = self.of(host);
        let host = of_host.acquire_owned().await.ok()?;
        let all = self.all.clone().acquire_owned().await.ok()?;
        Some(Pass {
            _host: host,
            _all: all,
        })
    }

    /// The right to a full sync, if it is free now.
    pub fn try_pass(&self, host: &Host) -> Option<Pass> {
        let host = self.of(host).try_acquire_owned().ok()?;
        let all = self.all.clone().try_acquire_owned().ok()?;
        Some(Pass {
            _host: host,
            _all: all,
        })
    }

    fn of(&self, host: &Host) -> Arc<Semaphore> {
        if self.hosts.len() >= HOSTS_MAX {
            // A permit holds its semaphore, and so does whoever waits for one.
            self.hosts
                .retain(|_, of_host| Arc::strong_count(of_host) > 1);
        }
        self.hosts
            .entry(host.clone())
            .or_insert_with(|| Arc::new(Semaphore::new(1)))
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, addresses: &[&str]) -> Host {
        Host::of(name, addresses.iter().map(|ip| ip.parse().unwrap()))
    }

    #[test]
    fn a_host_serves_one_full_sync_at_a_time() {
        let gate = Gate::new(2);
        let [a, b, c] = ["a", "b", "c"].map(|name| host(name, &[]));
        let first = gate.try_pass(&a);
        assert!(first.is_some());
        assert!(gate.try_pass(&a).is_none());
        let second = gate.try_pass(&b);
        assert!(second.is_some());
        assert!(gate.try_pass(&c).is_none());
        drop(second);
        assert!(gate.try_pass(&c).is_some());
        drop(first);
        assert!(gate.try_pass(&a).is_some());
    }

    #[test]
    fn names_of_one_host_are_one_host() {
        let by_name = host("db-1", &["10.0.0.9", "10.0.0.1"]);
        assert_eq!(by_name, host("10.0.0.1", &["10.0.0.1"]));
        assert_eq!(by_name, host("v6", &["::ffff:10.0.0.1"]));
        assert_eq!(
            host("localhost", &["::1", "127.0.0.1"]),
            host("x", &["127.0.0.2"])
        );
        assert_ne!(by_name, host("db-2", &["10.0.0.2"]));
        assert_ne!(host("gone", &[]), host("lost", &[]));
    }

    #[test]
    fn hosts_without_a_sync_are_forgotten() {
        let gate = Gate::new(1);
        let held = gate.try_pass(&host("held", &[]));
        for i in 0..2 * HOSTS_MAX {
            drop(gate.of(&host(&i.to_string(), &[])));
        }
        assert!(gate.hosts.len() <= HOSTS_MAX);
        assert!(gate.try_pass(&host("held", &[])).is_none());
        drop(held);
    }
}
