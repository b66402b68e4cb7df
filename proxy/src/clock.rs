//! The only reader of time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock.
pub fn now() -> Instant {
    Instant::now()
}

/// Wall clock, unix milliseconds.
pub fn unix_ms() -> u64 {
    unix_us() / 1000
}

/// Wall clock, unix microseconds; 0 if the machine's clock is before 1970.
pub fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}
