//! What the model must know of the server it mirrors: family, version, allocator and the
//! configuration that decides encodings. Read from INFO and CONFIG GET where permitted, else the
//! defaults of the version.

use crate::size::Allocator;

/// Who wrote the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Redis.
    Redis,
    /// Valkey.
    Valkey,
}

/// A server version, ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major.
    pub major: u16,
    /// Minor.
    pub minor: u16,
    /// Patch.
    pub patch: u16,
}

impl Version {
    /// A version from its first two numbers.
    pub const fn new(major: u16, minor: u16) -> Version {
        Version {
            major,
            minor,
            patch: 0,
        }
    }

    /// Parses `a.b.c`; missing parts are 0, trailing text is ignored.
    pub fn parse(text: &str) -> Option<Version> {
        let mut parts = text.split('.').map(|part| {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            part[..digits].parse::<u16>().ok()
        });
        Some(Version {
            major: parts.next()??,
            minor: parts.next().flatten().unwrap_or(0),
            patch: parts.next().flatten().unwrap_or(0),
        })
    }
}

/// The nearest server whose memory is known, by name, where that of `version` is not: sizes are
/// then computed as if the server were that one, and none of them is exact. `None` where it is
/// known: Redis 6.0 to 8.0 and Valkey 7.2 to 9.1.
///
/// Redis 8.2 moved the key into the value's object; what later versions do is unknown.
pub fn nearest_frame(family: Family, version: Version) -> Option<&'static str> {
    let (low, high) = match family {
        Family::Redis => (Version::new(6, 0), Version::new(8, 1)),
        Family::Valkey => (Version::new(7, 2), Version::new(9, 2)),
    };
    match family {
        _ if (low..high).contains(&version) => None,
        Family::Redis if version < low => Some("redis-6.0"),
        Family::Redis => Some("redis-8.0"),
        Family::Valkey if version < low => Some("valkey-7.2"),
        Family::Valkey => Some("valkey-9.1"),
    }
}

/// What the server did, as far as its command statistics tell: a snapshot does not show what some
/// commands leave behind. A server counts what it replays as a replica, too, and begins anew with a
/// restart, whose load leaves nothing behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// Strings may have been grown in place (APPEND, SETRANGE, SETBIT, BITFIELD, PFADD).
    pub grew: bool,
    /// Expiries may have been taken back (PERSIST, GETEX).
    pub persisted: bool,
}

impl Past {
    /// Anything may have been done.
    pub const UNKNOWN: Past = Past {
        grew: true,
        persisted: true,
    };
}

/// Where the numbers of a [`Profile`] come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The version's defaults: CONFIG GET was not permitted or not asked yet.
    Defaults,
    /// The server's own CONFIG GET.
    Server,
}

/// Server facts that decide how a write changes a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Redis or Valkey.
    pub family: Family,
    /// Server version.
    pub version: Version,
    /// Cluster mode: keys carry slot links on some versions.
    pub cluster: bool,
    /// How the allocator rounds.
    pub allocator: Allocator,
    /// The server read most of its keys from a file (a restart, DEBUG RELOAD) and did not make them
    /// by commands: what it loaded has no spare room. A guess, from INFO persistence.
    pub reloaded: bool,
    /// What was done to its keys before they came in a snapshot.
    pub past: Past,
    /// Where the thresholds below come from.
    pub origin: Origin,
    /// `hash-max-listpack-entries` (`-ziplist-` before 7.0).
    pub hash_entries_max: u64,
    /// `hash-max-listpack-value`, bytes.
    pub hash_value_max: u64,
    /// `zset-max-listpack-entries`.
    pub zset_entries_max: u64,
    /// `zset-max-listpack-value`, bytes.
    pub zset_value_max: u64,
    /// `set-max-intset-entries`.
    pub set_intset_max: u64,
    /// `set-max-listpack-entries` (7.2 and later).
    pub set_listpack_max: u64,
    /// `set-max-listpack-value`, bytes (7.2 and later).
    pub set_value_max: u64,
    /// `list-max-listpack-size`: negative is a size class, positive a count.
    pub list_fill: i64,
    /// `list-compress-depth`.
    pub list_compress: u64,
    /// `stream-node-max-bytes`.
    pub stream_node_bytes: u64,
    /// `stream-node-max-entries`.
    pub stream_node_entries: u64,
    /// `hll-sparse-max-bytes`.
    pub hll_sparse_max: u64,
}

impl Profile {
    /// The defaults of a version, with the allocator of Debian's packages.
    pub fn defaults(family: Family, version: Version) -> Profile {
        Profile {
            family,
            version,
            cluster: false,
            allocator: Allocator {
                quantum: 16,
                page_above_16k: false,
                libc: false,
            },
            reloaded: false,
            past: Past::UNKNOWN,
            origin: Origin::Defaults,
            hash_entries_max: 512,
            hash_value_max: 64,
            zset_entries_max: 128,
            zset_value_max: 64,
            set_intset_max: 512,
            set_listpack_max: 128,
            set_value_max: 64,
            list_fill: -2,
            list_compress: 0,
            stream_node_bytes: 4096,
            stream_node_entries: 100,
            hll_sparse_max: 3000,
        }
    }

    /// Takes one CONFIG GET pair; false if it is not one that the model reads.
    pub fn set(&mut self, name: &str, value: &str) -> bool {
        let name = name.replace("ziplist", "listpack");
        if name == "list-max-listpack-size" {
            return value.parse().map(|n| self.list_fill = n).is_ok();
        }
        let field = match name.as_str() {
            "hash-max-listpack-entries" => &mut self.hash_entries_max,
            "hash-max-listpack-value" => &mut self.hash_value_max,
            "zset-max-listpack-entries" => &mut self.zset_entries_max,
            "zset-max-listpack-value" => &mut self.zset_value_max,
            "set-max-intset-entries" => &mut self.set_intset_max,
            "set-max-listpack-entries" => &mut self.set_listpack_max,
            "set-max-listpack-value" => &mut self.set_value_max,
            "list-compress-depth" => &mut self.list_compress,
            "stream-node-max-bytes" => &mut self.stream_node_bytes,
            "stream-node-max-entries" => &mut self.stream_node_entries,
            "hll-sparse-max-bytes" => &mut self.hll_sparse_max,
            _ => return false,
        };
        value.parse().map(|n| *field = n).is_ok()
    }

    /// True if small collections are ziplists (before 7.0).
    pub fn ziplists(&self) -> bool {
        self.version < Version::new(7, 0)
    }

    /// True if sets and lists have a listpack encoding (Redis 7.2, every Valkey).
    pub fn small_sets(&self) -> bool {
        self.family == Family::Valkey || self.version >= Version::new(7, 2)
    }

    /// True if the server has hash field expiry (Redis 7.4, Valkey 9.0).
    pub fn field_ttl(&self) -> bool {
        match self.family {
            Family::Redis => self.version >= Version::new(7, 4),
            Family::Valkey => self.version >= Version::new(9, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_servers_have_the_nearest_frame() {
        let of = |family, text: &str| {
            let version = Version::parse(text).expect("a version");
            nearest_frame(family, version)
        };
        for known in ["6.0.16", "6.2.14", "7.0.15", "7.2.6", "7.4.1", "8.0.6"] {
            assert_eq!(of(Family::Redis, known), None);
        }
        for known in ["7.2.7", "8.0.1", "8.1.1", "9.0.0", "9.1.2"] {
            assert_eq!(of(Family::Valkey, known), None);
        }
        assert_eq!(of(Family::Redis, "5.0.14"), Some("redis-6.0"));
        assert_eq!(of(Family::Redis, "8.2.1"), Some("redis-8.0"));
        assert_eq!(of(Family::Redis, "255.255.255"), Some("redis-8.0"));
        assert_eq!(of(Family::Valkey, "9.2.0"), Some("valkey-9.1"));
    }
}
