//! Few full syncs at once: each costs its host a fork and copied pages. One per host in any case,
//! and a number over all hosts.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The gate of the process.
#[derive(Debug)]
pub struct Gate {
    all: Arc<Semaphore>,
    hosts: DashMap<String, Arc<Semaphore>>,
}

/// The right to one full sync; given back when dropped.
#[derive(Debug)]
pub struct Pass {
    _host: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Gate {
    /// A gate for `full_syncs_max` at once.
    pub fn new(full_syncs_max: usize) -> Gate {
        Gate {
            all: Arc::new(Semaphore::new(full_syncs_max)),
            hosts: DashMap::with_shard_amount(16),
        }
    }

    /// Waits for the right to a full sync from `host`. `None` only if the process ends.
    pub async fn pass(&self, host: &str) -> Option<Pass> {
        let of_host = self.host(host);
        let host = of_host.acquire_owned().await.ok()?;
        let all = self.all.clone().acquire_owned().await.ok()?;
        Some(Pass {
            _host: host,
            _all: all,
        })
    }

    /// The right to a full sync, if it is free now.
    pub fn try_pass(&self, host: &str) -> Option<Pass> {
        let host = self.host(host).try_acquire_owned().ok()?;
        let all = self.all.clone().try_acquire_owned().ok()?;
        Some(Pass {
            _host: host,
            _all: all,
        })
    }

    /// Hosts are those of the configuration, so the map is bounded by it.
    fn host(&self, host: &str) -> Arc<Semaphore> {
        self.hosts
            .entry(host.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(1)))
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_serves_one_full_sync_at_a_time() {
        let gate = Gate::new(2);
        let a = gate.try_pass("a");
        assert!(a.is_some());
        assert!(gate.try_pass("a").is_none());
        let b = gate.try_pass("b");
        assert!(b.is_some());
        assert!(gate.try_pass("c").is_none());
        drop(b);
        assert!(gate.try_pass("c").is_some());
        drop(a);
        assert!(gate.try_pass("a").is_some());
    }
}
