//! The thresholds of rules that decide what a survey gathers.

use super::walk::Looked;
use crate::advice::{Limits, rule};
use crate::value::Kind;

const SECONDS_PER_DAY: u64 = 86_400;

/// One figure for each of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bars {
    /// KEY-01.
    pub(super) string_bytes: u64,
    /// KEY-02.
    pub(super) elements: u64,
    pub(super) hash_bytes: u64,
    /// KEY-07, seconds.
    pub(super) cold_s: u64,
    /// KEY-10.
    pub(super) stream_entries: u64,
    pub(super) pending: u64,
    /// TTL-06, milliseconds.
    pub(super) far_ms: i64,
    /// MEM-12.
    pub(super) shard_fields: u64,
    /// MEM-17.
    pub(super) list_elements: u64,
    /// MEM-18 and MEM-25, percent.
    pub(super) list_fill: u64,
    pub(super) stream_fill: u64,
    /// MEM-19.
    pub(super) set_members: u64,
    /// MEM-23.
    pub(super) scored: u64,
}

impl Bars {
    /// True for a big collection, as KEY-02 means it.
    pub(super) fn are_met_by(&self, key: &Looked<'_>) -> bool {
        let is_collection = !matches!(key.kind, Kind::String | Kind::Module);
        let is_wide = key.kind == Kind::Hash && key.bytes >= self.hash_bytes;
        (is_collection && key.count >= self.elements) || is_wide
    }

    pub(super) fn new(limits: &Limits) -> Bars {
        let of = |id: &str, name: &str| rule(id).map_or(u64::MAX, |rule| limits.get(rule, name));
        let days = of("TTL-06", "days").saturating_mul(SECONDS_PER_DAY * 1000);
        Bars {
            string_bytes: of("KEY-01", "bytes"),
            elements: of("KEY-02", "elements"),
            hash_bytes: of("KEY-02", "hash_bytes"),
            cold_s: of("KEY-07", "days").saturating_mul(SECONDS_PER_DAY),
            stream_entries: of("KEY-10", "entries"),
            pending: of("KEY-10", "pending"),
            far_ms: i64::try_from(days).unwrap_or(i64::MAX),
            shard_fields: of("MEM-12", "fields"),
            list_elements: of("MEM-17", "elements"),
            list_fill: of("MEM-18", "fill_percent"),
            stream_fill: of("MEM-25", "fill_percent"),
            set_members: of("MEM-19", "members"),
            scored: of("MEM-23", "members"),
        }
    }
}
