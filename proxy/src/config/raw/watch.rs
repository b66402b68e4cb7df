//! How `[watch]` is spelled.

use serde::{Deserialize, Serialize};

/// `[watch]`.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Watch {
    /// A key of so many bytes is big; 0 never.
    pub bigkey_bytes: u64,
    /// A collection of so many elements is big; 0 never.
    pub bigkey_elements: u64,
    /// A master whose keys grow faster is told of, bytes a second; 0 never.
    pub growth_bytes_per_s: u64,
    /// Forecasts look back so far, seconds.
    pub forecast_s: u32,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch {
            bigkey_bytes: 5 * 1024 * 1024,
            bigkey_elements: 10_000,
            growth_bytes_per_s: 10 * 1024 * 1024,
            forecast_s: 3600,
        }
    }
}
