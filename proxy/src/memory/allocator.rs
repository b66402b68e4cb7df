//! What the allocator holds, and how it gives free pages back.

use tikv_jemalloc_ctl::{Access, AsName, arenas, stats};

/// How long freed pages are kept for the next allocation while there is a cap, milliseconds.
const DECAY_MS: isize = 500;

/// Memory of the process, bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// What could not be given back: pages with live blocks, and all that is not the allocator's.
    pub(super) used: u64,
    /// What the kernel counts.
    pub(super) resident: u64,
}

/// The figures of now.
pub(super) fn usage() -> Usage {
    let resident = crate::admin::process_memory().resident;
    // `process_memory` began a new epoch of these figures.
    let figure = |read: Result<usize, _>| read.map_or(0, |bytes: usize| bytes as u64);
    let held = figure(stats::resident::read());
    let live = figure(stats::active::read()) + figure(stats::metadata::read());
    Usage {
        used: resident.saturating_sub(held.saturating_sub(live)),
        resident,
    }
}

/// From now on freed pages are kept for a short time only.
pub(super) fn be_thrifty() {
    let default = b"arenas.dirty_decay_ms\0".name();
    let _ = default.write(DECAY_MS);
    purge();
}

/// Gives every free page back at once. A time to keep them of 0 does that; what it was before is
/// shorter than usual, since whoever has a cap rather pays some time for it.
pub(super) fn purge() {
    let arenas = arenas::narenas::read().unwrap_or(0);
    for number in 0..arenas {
        let name = format!("arena.{number}.dirty_decay_ms\0");
        let name = name.as_bytes().name();
        // An arena that was never used has nothing to give back, and says so by an error.
        for decay_ms in [0, DECAY_MS] {
            let _ = name.write(decay_ms);
        }
    }
}
