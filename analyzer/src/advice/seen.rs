//! What several rules read from the facts.

use super::facts::{Asked, Cannot, Facts};
use super::finding::{Evidence, Subject};
use super::standing::{Attached, Cluster, Pace};

impl Facts {
    /// The server's clock; ours, where it does not tell.
    pub(super) fn server_ms(&self) -> u64 {
        self.told.time_ms.unwrap_or(self.now_ms)
    }

    /// How fast the stream is.
    pub(super) fn pace(&self) -> Result<Pace, Cannot> {
        let pace = self.standing.pace;
        pace.ok_or_else(|| Cannot("the stream is being measured".to_owned()))
    }

    /// Bytes until maxmemory, or until the machine's memory where there is none; `None` if that is not
    /// told.
    pub(super) fn room(&self) -> Option<u64> {
        let told = |number: Result<Option<u64>, Cannot>| number.ok().flatten().filter(|n| *n > 0);
        let limit = told(self.config_number("maxmemory"));
        let limit = limit.or_else(|| told(self.info_number("total_system_memory")))?;
        let used = told(self.info_number("used_memory"))?;
        Some(limit.saturating_sub(used))
    }

    /// The server is a master, not a replica.
    pub(super) fn is_master(&self) -> Result<bool, Cannot> {
        Ok(self.info("role")? == Some("master"))
    }

    /// Everybody who follows the server.
    pub(super) fn attached(&self) -> Result<Vec<Attached>, Cannot> {
        self.info("role")?;
        let Asked::Known(map) = &self.told.info else {
            return Ok(Vec::new());
        };
        let own_port = self.standing.link.announced_port;
        let lines = map.range("slave0".to_owned().."slave:".to_owned());
        let lines = lines.filter(|(name, _)| name["slave".len()..].parse::<u32>().is_ok());
        Ok(lines
            .filter_map(|(_, value)| Attached::parse(value, own_port))
            .collect())
    }

    /// Replicas that follow the server, programs left out.
    pub(super) fn replicas(&self) -> Result<Vec<Attached>, Cannot> {
        let mut all = self.attached()?;
        all.retain(|one| !one.is_program);
        Ok(all)
    }

    /// How much a counter grew and in how many milliseconds: since an earlier look, else since the
    /// server started.
    pub(super) fn since(&self, field: &str) -> Result<Option<(u64, u64)>, Cannot> {
        let Some(total) = self.info_number(field)? else {
            return Ok(None);
        };
        if let Ok(Some(grown)) = self.grown(field) {
            return Ok(Some(grown));
        }
        let uptime = self.info_number("uptime_in_seconds")?.unwrap_or(0);
        Ok(Some((total, uptime.saturating_mul(1000).max(1))))
    }

    /// Figures of INFO and options as evidence, those that the server has.
    pub(super) fn shown(&self, names: &[&str]) -> Vec<Evidence> {
        let value = |name: &str| {
            let of_info = self.info(name).ok().flatten();
            of_info.or_else(|| self.config(name).ok().flatten())
        };
        let rows = names.iter().filter_map(|name| {
            let value = value(name)?;
            let value = if value.is_empty() { "(empty)" } else { value };
            Some(Evidence::named(name, value))
        });
        rows.collect()
    }

    /// The cluster, for rules that speak of all of it: they hold for the first of its masters only.
    pub(super) fn whole_cluster(&self) -> Option<&Cluster> {
        let cluster = self.standing.cluster.as_ref()?;
        let first = self.peers.iter().map(|peer| &peer.name).min()?;
        (*first == self.master).then_some(cluster)
    }
}

impl Evidence {
    /// What it is about, as text.
    pub(super) fn subject_text(&self) -> &str {
        match &self.subject {
            Subject::Named(name) => name,
            Subject::Key { .. } | Subject::Pattern(_) => "",
        }
    }
}
