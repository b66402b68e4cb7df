//! One fetcher at a time: test processes may start together on an empty cache.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};

/// Waits for the lock of the cache directory; dropping the file gives it back, and so does the
/// death of its holder.
pub(super) fn hold(cache: &Path) -> Result<File> {
    fs::create_dir_all(cache).with_context(|| format!("create {}", cache.display()))?;
    let path = cache.join("lock");
    let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
    file.lock()
        .with_context(|| format!("lock {}", path.display()))?;
    Ok(file)
}
