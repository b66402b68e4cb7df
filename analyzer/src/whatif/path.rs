//! Other servers by name, whether they read the snapshots of this one, and how to get there.

use crate::profile::{Family, Profile, Version, nearest_frame};
use crate::size::Allocator;

/// Allocators by name.
const ALLOCATORS: [(&str, Allocator); 4] = [
    (
        "jemalloc-bundled",
        Allocator {
            quantum: 8,
            page_above_16k: false,
            libc: false,
        },
    ),
    (
        "jemalloc-shared",
        Allocator {
            quantum: 16,
            page_above_16k: false,
            libc: false,
        },
    ),
    (
        "jemalloc-shared-5.3.1",
        Allocator {
            quantum: 16,
            page_above_16k: true,
            libc: false,
        },
    ),
    (
        "libc",
        Allocator {
            quantum: 16,
            page_above_16k: false,
            libc: true,
        },
    ),
];

/// RDB version that only Valkey 9 and later write and read.
const VALKEY_OWN: u16 = 80;
/// Last RDB version that both families write.
const SHARED: u16 = 11;

/// An allocator by name: `jemalloc-bundled` (built with the server: classes of 8 bytes),
/// `jemalloc-shared` (a distribution's library: classes of 16), `jemalloc-shared-5.3.1` (the same
/// with whole pages above 16 KiB) or `libc`. The error names them all.
///
/// # Errors
/// There is none of that name.
fn allocator(name: &str) -> Result<Allocator, String> {
    let found = ALLOCATORS
        .iter()
        .find(|known| known.0.eq_ignore_ascii_case(name));
    found.map(|known| known.1).ok_or_else(|| {
        let names: Vec<&str> = ALLOCATORS.iter().map(|known| known.0).collect();
        format!("no such allocator; one of {}", names.join(", "))
    })
}

/// A server by name, as `redis-8.0` or `valkey-9.1`, configured as `like` is.
///
/// # Errors
/// The name is not of that form, or its memory is not known.
fn server(name: &str, like: &Profile) -> Result<Profile, String> {
    const FORM: &str = "a server is named as redis-8.0 or valkey-9.1";
    let (family, version) = name.split_once('-').ok_or(FORM)?;
    let family = match family.to_ascii_lowercase().as_str() {
        "redis" => Family::Redis,
        "valkey" => Family::Valkey,
        _ => return Err(FORM.to_owned()),
    };
    let plain = version
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let version = Version::parse(version).filter(|_| plain).ok_or(FORM)?;
    if let Some(nearest) = nearest_frame(family, version) {
        return Err(format!(
            "the memory of {name} is not known; the nearest is {nearest}"
        ));
    }
    Ok(Profile {
        family,
        version,
        ..like.clone()
    })
}

/// What is to be different; nothing named is as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Goal {
    /// Another server, as `valkey-9.1`.
    pub server: Option<String>,
    /// Options with their values.
    pub options: Vec<(String, String)>,
    /// Another allocator, see [`allocator`].
    pub allocator: Option<String>,
}

impl Goal {
    /// The server that is meant, where the present one is `from`.
    ///
    /// # Errors
    /// A name or a value is not known, or the server has no such option.
    pub fn profile(&self, from: &Profile) -> Result<Profile, String> {
        let mut to = match &self.server {
            Some(name) => server(name, from)?,
            None => from.clone(),
        };
        if let Some(name) = &self.allocator {
            to.allocator = allocator(name)?;
        }
        for (name, value) in &self.options {
            let small_sets_only = name.starts_with("set-max-listpack-");
            if small_sets_only && !to.small_sets() {
                return Err(format!("{} has no {name}", named(&to)));
            }
            if !to.set(name, value) {
                return Err(format!(
                    "{name} {value} does not change how keys are kept; options that do are \
                     {{hash,zset,set}}-max-listpack-{{entries,value}}, set-max-intset-entries, \
                     list-max-listpack-size, list-compress-depth, stream-node-max-{{bytes,entries}} \
                     and hll-sparse-max-bytes, with a number each"
                ));
            }
        }
        Ok(to)
    }

    /// How to get there from `from`; `to` is what [`Goal::profile`] made of it.
    pub fn path(&self, from: &Profile, to: &Profile) -> Path {
        path(from, to, &self.options, self.allocator.as_deref())
    }
}

/// Whether a server reads the snapshots of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readable {
    /// It is the same server.
    Same,
    /// It does.
    Yes,
    /// It does not: keys have to be copied by commands.
    No,
}

/// How to get from one server to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Whether the other server reads the snapshots of this one.
    pub readable: Readable,
    /// What to do, a line each, commands literally.
    pub steps: Vec<String>,
}

/// The way from one server to another; `options` are the names and values that were asked for, and
/// `allocator` is that of the other server if it is another one.
fn path(
    from: &Profile,
    to: &Profile,
    options: &[(String, String)],
    allocator: Option<&str>,
) -> Path {
    let readable = readable(from, to);
    let mut steps = Vec::new();
    if let Some(name) = allocator {
        steps.push(format!(
            "build or install the server with {name} as its allocator"
        ));
    }
    match readable {
        Readable::Same if allocator.is_none() => {}
        Readable::Same => steps.push("restart the server on its RDB file".to_owned()),
        Readable::Yes => steps.push(format!(
            "start {} on the RDB file of this server, or attach it as a replica and fail over",
            named(to)
        )),
        Readable::No => steps.push(format!(
            "{} does not read RDB files of {}: copy the keys by commands",
            named(to),
            named(from)
        )),
    }
    let old_names = to.version < Version::new(7, 0);
    for (name, value) in options {
        let spelled = if old_names {
            name.replace("listpack", "ziplist")
        } else {
            name.clone()
        };
        steps.push(format!("CONFIG SET {spelled} {value}"));
    }
    if !options.is_empty() && readable == Readable::Same && allocator.is_none() {
        steps.push(
            "CONFIG REWRITE; keys that are there change when they are loaded: by a restart, DEBUG \
             RELOAD, or a failover to a replica that synced after the change (small ones also as they \
             are written beyond a smaller limit)"
                .to_owned(),
        );
    }
    Path { readable, steps }
}

/// A server as it is named on the command line.
pub fn named(profile: &Profile) -> String {
    let family = match profile.family {
        Family::Redis => "redis",
        Family::Valkey => "valkey",
    };
    format!(
        "{family}-{}.{}",
        profile.version.major, profile.version.minor
    )
}

fn readable(from: &Profile, to: &Profile) -> Readable {
    let release =
        |profile: &Profile| (profile.family, profile.version.major, profile.version.minor);
    if release(from) == release(to) {
        return Readable::Same;
    }
    let (written, own) = (rdb_version(from), rdb_version(to));
    // Valkey takes what came before the families parted, and what it writes itself.
    let reads = match to.family {
        Family::Redis => written <= own,
        Family::Valkey => written <= SHARED || (written >= VALKEY_OWN && written <= own),
    };
    if reads { Readable::Yes } else { Readable::No }
}

/// The version of the RDB files that a server writes (rdb.h `RDB_VERSION`).
fn rdb_version(profile: &Profile) -> u16 {
    let at_least = |major, minor| profile.version >= Version::new(major, minor);
    match profile.family {
        Family::Redis if at_least(7, 4) => 12,
        Family::Redis if at_least(7, 2) => SHARED,
        Family::Redis if at_least(7, 0) => 10,
        Family::Redis => 9,
        Family::Valkey if at_least(9, 0) => VALKEY_OWN,
        Family::Valkey => SHARED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Profile {
        let like = Profile::defaults(Family::Redis, Version::new(7, 0));
        server(name, &like).expect("a known server")
    }

    #[test]
    fn servers_are_known_by_name() {
        assert_eq!(of("valkey-9.1").version, Version::new(9, 1));
        assert_eq!(of("Redis-6.2").family, Family::Redis);
        let like = of("redis-7.0");
        for wrong in [
            "redis",
            "redis-",
            "keydb-6.0",
            "redis-8.0x",
            "redis-8.2",
            "valkey-7.0",
        ] {
            assert!(server(wrong, &like).is_err(), "{wrong}");
        }
        assert!(allocator("JEMALLOC-bundled").is_ok_and(|found| found.quantum == 8));
        assert!(allocator("mimalloc").is_err_and(|told| told.contains("jemalloc-shared")));
    }

    #[test]
    fn newer_servers_of_one_line_read_snapshots() {
        for (from, to, readable) in [
            ("redis-6.0", "valkey-9.1", Readable::Yes),
            ("redis-7.0", "redis-8.0", Readable::Yes),
            ("redis-7.2", "valkey-8.1", Readable::Yes),
            ("valkey-8.1", "redis-8.0", Readable::Yes),
            ("redis-8.0", "valkey-9.1", Readable::No),
            ("valkey-9.1", "redis-8.0", Readable::No),
            ("valkey-9.1", "valkey-8.1", Readable::No),
            ("redis-7.0", "redis-6.2", Readable::No),
            ("redis-7.0", "redis-7.0", Readable::Same),
        ] {
            assert_eq!(
                path(&of(from), &of(to), &[], None).readable,
                readable,
                "{from} {to}"
            );
        }
    }

    #[test]
    fn options_are_named_as_the_server_does() {
        let options = [("hash-max-listpack-entries".to_owned(), "64".to_owned())];
        let old = path(&of("redis-6.2"), &of("redis-6.2"), &options, None);
        assert_eq!(old.steps[0], "CONFIG SET hash-max-ziplist-entries 64");
        let new = path(&of("redis-6.2"), &of("redis-7.0"), &options, None);
        assert!(new.steps[0].starts_with("start redis-7.0 on the RDB file"));
        assert_eq!(new.steps[1], "CONFIG SET hash-max-listpack-entries 64");
    }
}
