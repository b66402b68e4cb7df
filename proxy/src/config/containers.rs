//! `[container]`: how much memory the containers may take that masters run in.
//!
//! No server tells: INFO has `maxmemory` and the memory of the host, and our own control group is not
//! the master's, not even in the same pod. In Kubernetes the downward API can put the limit of the
//! neighbouring container into our environment:
//!
//! ```text
//! - name: KEYSCAPE_CONTAINER_LIMIT
//!   valueFrom: {resourceFieldRef: {containerName: redis, resource: limits.memory}}
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::memory::limits;

/// `[container]`.
#[derive(Clone, Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Container {
    /// Bytes, of every master.
    pub limit: String,
    /// `name=bytes` pairs, of masters by one of their names.
    pub limits: Vec<String>,
}

/// The limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Containers {
    every: Option<u64>,
    named: BTreeMap<String, u64>,
}

impl Containers {
    /// Checks what was read.
    ///
    /// # Errors
    /// What is no limit, or is there twice.
    pub(super) fn checked(raw: &Container) -> Result<Containers, ConfigError> {
        let every = match raw.limit.trim() {
            "" | "0" => None,
            text => {
                let problem = || format!("{text:?} is not bytes, like 4GiB");
                let bytes = limits::bytes(text);
                Some(bytes.ok_or_else(|| ConfigError::at("container.limit", problem()))?)
            }
        };
        let mut named = BTreeMap::new();
        for pair in &raw.limits {
            let wrong = |problem| {
                let problem = format!("{pair:?} {problem}");
                ConfigError::at("container.limits", problem)
            };
            let parts = pair.rsplit_once('=').and_then(|(name, text)| {
                let bytes = limits::bytes(text).filter(|bytes| *bytes > 0)?;
                Some((name.trim(), bytes)).filter(|(name, _)| !name.is_empty())
            });
            let (name, bytes) = parts.ok_or_else(|| wrong("is not name=bytes"))?;
            if named.insert(name.to_owned(), bytes).is_some() {
                return Err(wrong("is there twice"));
            }
        }
        Ok(Containers { every, named })
    }

    /// The limit of a master, by the first of its names that has one; `None` if nobody said it.
    pub fn limit(&self, names: &[&str]) -> Option<u64> {
        let named = names.iter().find_map(|name| self.named.get(*name));
        named.copied().or(self.every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(limit: &str, limits: &[&str]) -> Result<Containers, String> {
        let raw = Container {
            limit: limit.to_owned(),
            limits: limits.iter().map(|pair| (*pair).to_owned()).collect(),
        };
        Containers::checked(&raw).map_err(|error| error.to_string())
    }

    #[test]
    fn the_most_particular_name_counts() {
        let limits = checked("1g", &["[::1]:6379=2GiB", "shop=3221225472"]).unwrap();
        assert_eq!(limits.limit(&["[::1]:6379", "shop"]), Some(2 << 30));
        assert_eq!(limits.limit(&["[::1]:6380", "shop"]), Some(3 << 30));
        assert_eq!(limits.limit(&["a:1"]), Some(1 << 30));
        for none in ["", "0"] {
            assert_eq!(checked(none, &[]).unwrap().limit(&["a:1"]), None);
        }
    }

    #[test]
    fn what_is_no_limit_is_named() {
        for (limit, pairs, problem) in [
            ("much", vec![], "container.limit: \"much\" is not bytes"),
            (
                "",
                vec!["a:1"],
                "container.limits: \"a:1\" is not name=bytes",
            ),
            (
                "",
                vec!["=1g"],
                "container.limits: \"=1g\" is not name=bytes",
            ),
            (
                "",
                vec!["a=0"],
                "container.limits: \"a=0\" is not name=bytes",
            ),
            (
                "",
                vec!["a=1", "a=2"],
                "container.limits: \"a=2\" is there twice",
            ),
        ] {
            let error = checked(limit, &pairs).unwrap_err();
            assert!(error.starts_with(problem), "{error}");
        }
    }
}
