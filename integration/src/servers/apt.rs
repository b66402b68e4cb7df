//! Packages of any Debian suite, without root and without touching the host's own package state.
//!
//! Each suite gets a private state directory: a source list, package lists, archives, and an empty
//! status file (nothing is installed, so nothing is left out). The mirror and its key are those
//! that the host's own apt uses; only the name of the suite differs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::shell::output;

/// Lists older than this are fetched anew before something is downloaded.
const LISTS_FRESH: Duration = Duration::from_secs(12 * 3600);

/// Unpacks `packages` and the libraries they need below `root`; returns the first one's version.
pub(super) fn unpack(
    cache: &Path,
    suites: &[&str],
    packages: &[&str],
    root: &Path,
) -> Result<String> {
    let state = State::open(&cache.join("apt"), suites)?;
    let wanted = state.closure(packages)?;
    let debs = match state.download(&wanted) {
        Ok(debs) => debs,
        // A suite that moves may have dropped the version that the lists still name.
        Err(_) => {
            state.update()?;
            state.download(&state.closure(packages)?)?
        }
    };
    let partial = root.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    for deb in &debs {
        output(
            Command::new("dpkg-deb").arg("-x").arg(deb).arg(&partial),
            "unpack a package",
        )?;
    }
    if root.exists() {
        fs::remove_dir_all(root)?;
    }
    fs::rename(&partial, root)?;
    let version = state.version(packages)?;
    for deb in &debs {
        fs::remove_file(deb)?;
    }
    Ok(version)
}

/// The private state of one suite.
struct State {
    dir: PathBuf,
}

impl State {
    fn open(base: &Path, suites: &[&str]) -> Result<Self> {
        let state = Self {
            dir: base.join(suites.first().context("a suite is needed")?),
        };
        fs::create_dir_all(state.dir.join("lists/partial"))?;
        fs::create_dir_all(state.dir.join("cache/archives/partial"))?;
        fs::write(state.dir.join("status"), "")?;
        let (mirror, key) = mirror()?;
        let list: String = suites
            .iter()
            .map(|suite| format!("deb {key}{mirror} {suite} main\n"))
            .collect();
        fs::write(state.dir.join("sources.list"), list)?;
        if !state.is_fresh() {
            state.update()?;
        }
        Ok(state)
    }

    fn is_fresh(&self) -> bool {
        let stamp = fs::metadata(self.dir.join("updated")).and_then(|meta| meta.modified());
        stamp.is_ok_and(|time| time.elapsed().is_ok_and(|age| age < LISTS_FRESH))
    }

    fn update(&self) -> Result<()> {
        output(
            self.command("apt-get").args(["-q", "update"]),
            "fetch package lists",
        )?;
        fs::write(self.dir.join("updated"), "")?;
        Ok(())
    }

    /// The packages and, of what they depend on, the libraries: no services, no accounts.
    fn closure(&self, packages: &[&str]) -> Result<BTreeSet<String>> {
        let mut command = self.command("apt-cache");
        command.args(["depends", "--recurse", "--no-recommends", "--no-suggests"]);
        command.args([
            "--no-conflicts",
            "--no-breaks",
            "--no-replaces",
            "--no-enhances",
        ]);
        let text = output(command.args(packages), "list what a package needs")?;
        let is_library = |name: &str| {
            (name.starts_with("lib") && !name.starts_with("libjs-"))
                || name.starts_with("lua-")
                || name == "zlib1g"
        };
        let mut wanted: BTreeSet<String> = text
            .lines()
            .filter(|line| line.starts_with(is_name) && is_library(line))
            .map(str::to_owned)
            .collect();
        wanted.extend(packages.iter().map(|&name| name.to_owned()));
        wanted.insert("libc6".to_owned());
        Ok(wanted)
    }

    fn download(&self, wanted: &BTreeSet<String>) -> Result<Vec<PathBuf>> {
        let archives = self.dir.join("cache/archives");
        let mut command = self.command("apt-get");
        command
            .current_dir(&archives)
            .args(["-q", "download"])
            .args(wanted);
        output(&mut command, "download packages")?;
        let mut newest = Vec::new();
        for name in wanted {
            newest.push(newest_archive(&archives, name)?);
        }
        Ok(newest)
    }

    fn version(&self, packages: &[&str]) -> Result<String> {
        let name = packages.first().context("a package is needed")?;
        let deb = newest_archive(&self.dir.join("cache/archives"), name)?;
        let mut command = Command::new("dpkg-deb");
        let text = output(
            command.arg("-f").arg(deb).arg("Version"),
            "read a package's version",
        )?;
        Ok(text.trim().to_owned())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let dir = self.dir.display();
        for option in [
            format!("Dir::Etc::SourceList={dir}/sources.list"),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            format!("Dir::State={dir}"),
            format!("Dir::State::Lists={dir}/lists"),
            format!("Dir::State::status={dir}/status"),
            format!("Dir::Cache={dir}/cache"),
            // Run as root, apt would drop to a user who cannot write here.
            format!("APT::Sandbox::User={}", user()),
            "Acquire::Languages=none".to_owned(),
            "Acquire::Retries=3".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            "APT::Update::Post-Invoke-Success=".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command.env("LC_ALL", "C");
        command
    }
}

fn user() -> String {
    std::env::var("USER").unwrap_or_else(|_| "root".to_owned())
}

fn is_name(first: char) -> bool {
    first.is_ascii_alphanumeric()
}

fn newest_archive(archives: &Path, name: &str) -> Result<PathBuf> {
    let prefix = format!("{name}_");
    let mut found = Vec::new();
    for entry in fs::read_dir(archives)?.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        if file.starts_with(&prefix) && file.ends_with(".deb") {
            found.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    let newest = found
        .into_iter()
        .max()
        .with_context(|| format!("no archive of {name}"))?;
    Ok(newest.1)
}

/// The Debian mirror that the host uses, and the option that names its key.
fn mirror() -> Result<(String, String)> {
    let mut command = Command::new("apt-get");
    command.args([
        "indextargets",
        "--format",
        "$(REPO_URI)",
        "Created-By: Packages",
    ]);
    let text = output(&mut command, "ask apt for its mirror")?;
    let uri = text
        .lines()
        .map(str::trim)
        .find(|uri| uri.trim_end_matches('/').ends_with("/debian"));
    let Some(uri) = uri else {
        bail!("apt on this host has no Debian mirror in its sources");
    };
    let ring = Path::new("/usr/share/keyrings/debian-archive-keyring.gpg");
    let key = if ring.exists() {
        format!("[signed-by={}] ", ring.display())
    } else {
        String::new()
    };
    Ok((uri.to_owned(), key))
}
