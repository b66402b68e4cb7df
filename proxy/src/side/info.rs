//! Reading INFO: `field:value` lines.

use std::collections::BTreeMap;

use analyzer::profile::{Family, Version};
use replica_shim::position::{Backlog, Offset, ReplId};

use crate::fleet::{Role, Server};

/// The text of one or several INFO sections.
#[derive(Clone, Copy, Debug)]
pub struct Info<'a>(pub &'a str);

impl<'a> Info<'a> {
    /// The value of a field.
    pub fn get(self, field: &str) -> Option<&'a str> {
        let mut lines = self.0.lines();
        lines
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .map(str::trim_end)
    }

    /// The value of a field that is a number.
    pub fn number(self, field: &str) -> Option<u64> {
        self.get(field)?.parse().ok()
    }

    /// True if the field is there and 1.
    pub fn flag(self, field: &str) -> bool {
        self.get(field) == Some("1")
    }

    /// Family and version. Valkey still reports a `redis_version` of 7.2.4 for old clients.
    pub fn version(self) -> Option<(Family, Version)> {
        if let Some(text) = self.get("valkey_version") {
            return Some((Family::Valkey, Version::parse(text)?));
        }
        Some((Family::Redis, Version::parse(self.get("redis_version")?)?))
    }

    /// The role.
    pub fn role(self) -> Role {
        match self.get("role") {
            Some("master") => Role::Master,
            Some("slave" | "replica") => Role::Replica,
            Some(_) | None => Role::Unknown,
        }
    }

    /// The stream offset of this instant, on a master as on a replica.
    pub fn offset(self) -> Option<u64> {
        // A replica's own master_repl_offset follows what it applied, as slave_repl_offset does.
        self.number("slave_repl_offset")
            .or_else(|| self.number("master_repl_offset"))
    }

    /// The history that the offset is in.
    pub fn replid(self) -> Option<ReplId> {
        ReplId::parse(self.get("master_replid")?.as_bytes())
    }

    /// History and backlog, to know what PSYNC would give.
    pub fn backlog(self) -> Option<Backlog> {
        let second = self
            .get("master_replid2")
            .and_then(|id| ReplId::parse(id.as_bytes()))
            .zip(self.number("second_repl_offset").map(Offset));
        let active = self.flag("repl_backlog_active");
        Some(Backlog {
            replid: self.replid()?,
            second,
            offset: Offset(self.number("master_repl_offset")?),
            first_byte: self
                .number("repl_backlog_first_byte_offset")
                .filter(|_| active)
                .map(Offset),
        })
    }

    /// Keys by database, and those with an expiry: `db0:keys=1,expires=0,..`.
    pub fn keys(self) -> BTreeMap<u32, (u64, u64)> {
        let line = |line: &str| {
            let (db, facts) = line.trim_end().strip_prefix("db")?.split_once(':')?;
            let number = |name: &str| {
                let mut facts = facts.split(',').filter_map(|fact| fact.split_once('='));
                facts.find(|(key, _)| *key == name)?.1.parse().ok()
            };
            Some((db.parse().ok()?, (number("keys")?, number("expires")?)))
        };
        self.0.lines().filter_map(line).collect()
    }

    /// Who the server is.
    pub fn server(self) -> Option<Server> {
        let (family, version) = self.version()?;
        let upstream = self.get("master_host").zip(self.get("master_port"));
        Some(Server {
            family,
            version,
            run_id: self.get("run_id").unwrap_or("").to_owned(),
            cluster: self.flag("cluster_enabled") || self.get("redis_mode") == Some("cluster"),
            upstream: upstream.map(|(host, port)| format!("{host}:{port}")),
            used_memory: self.number("used_memory"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: &str = "# Server\r\nredis_version:7.2.4\r\nvalkey_version:9.1.2\r\n\
        run_id:abc\r\nredis_mode:standalone\r\n# Replication\r\nrole:master\r\n\
        master_replid:00000000000000000000000000000000000000aa\r\n\
        master_replid2:0000000000000000000000000000000000000000\r\n\
        master_repl_offset:120\r\nsecond_repl_offset:-1\r\nrepl_backlog_active:1\r\n\
        repl_backlog_first_byte_offset:1\r\n";

    #[test]
    fn keys_are_read_by_database() {
        let text = "# Keyspace\r\ndb0:keys=12,expires=3,avg_ttl=0,subexpiry=0\r\n\
            db11:keys=1,expires=0\r\ndbx:keys=1\r\n";
        let expected = BTreeMap::from([(0, (12, 3)), (11, (1, 0))]);
        assert_eq!(Info(text).keys(), expected);
    }

    #[test]
    fn fields_are_found_whole() {
        let info = Info(MASTER);
        assert_eq!(info.get("version"), None);
        assert_eq!(
            info.version(),
            Some((
                Family::Valkey,
                Version {
                    major: 9,
                    minor: 1,
                    patch: 2
                }
            ))
        );
        assert_eq!(info.role(), Role::Master);
        assert_eq!(info.offset(), Some(120));
        let backlog = info.backlog().unwrap();
        assert_eq!(backlog.first_byte, Some(Offset(1)));
        assert_eq!(backlog.second, None);
        assert_eq!(info.server().unwrap().upstream, None);
    }
}
