//! What is ahead of a master, and what is advised: gathered every half minute, because it takes more
//! than a look at its status.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use analyzer::advice::Severity;

/// How often it is gathered.
pub(crate) const GATHER_EVERY_S: u64 = 30;

/// What is ahead of one master.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prospect {
    /// By how many bytes a second its keys grow or shrink, most likely, over the time that `[watch]
    /// forecast_s` says; `None` if that cannot be told yet. Whether they surely do says `full_in_s`.
    pub(crate) growth_bytes_per_s: Option<f64>,
    /// When its memory is full if that goes on, by each of its limits.
    pub(crate) full: Vec<Full>,
    /// When it was gathered, unix milliseconds.
    pub(crate) at_ms: u64,
    /// Keys by pattern; none while they are being counted.
    pub(crate) patterns: Patterns,
    /// By how many bytes a second the keys of patterns grew in the last minute, of those that are told
    /// one by one; none before half a minute was seen. `None` if it did not tell.
    pub(crate) grown: Option<BTreeMap<String, i64>>,
    /// It told its patterns: where it did not, or they are being counted, there are none of them here.
    pub(crate) told_patterns: bool,
    /// Keys by the groups of the configuration.
    pub(crate) groups: Vec<Group>,
    /// The next minute in which very many keys or bytes expire.
    pub(crate) storm: Option<Storm>,
    /// What rules have found.
    pub(crate) advice: Vec<Advised>,
    /// Writes to keys a second, over the last ten minutes.
    pub(crate) writes_per_s: Option<f64>,
    /// Its hash tags with most bytes, if it is of a cluster.
    pub(crate) tags: Vec<LargeTag>,
    /// Its keys with most bytes.
    pub(crate) keys: Vec<LargeKey>,
    /// What the stream brought in the last minute, a second, by command.
    pub(crate) commands: Vec<(String, Rate)>,
}

/// When a limit of memory is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Full {
    /// Which one: `maxmemory`, `container` or `total_system_memory`.
    pub(crate) limit: &'static str,
    /// Seconds from when it was gathered.
    pub(crate) in_s: f64,
}

impl Prospect {
    /// Seconds until the first limit is reached.
    pub(super) fn full_in_s(&self) -> Option<f64> {
        let all = self.full.iter().map(|full| full.in_s);
        all.min_by(f64::total_cmp)
    }
}

/// A hash tag with many bytes, without its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LargeTag {
    pub(crate) slot: u16,
    pub(crate) keys: u64,
    pub(crate) bytes: u64,
}

/// A key with many bytes, without its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LargeKey {
    /// Its type, as TYPE says it.
    pub(crate) kind: &'static str,
    pub(crate) bytes: u64,
}

/// Keys of one group in one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) db: u32,
    pub(crate) name: String,
    pub(crate) keys: u64,
    pub(crate) bytes: u64,
}

/// A minute in which much expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Storm {
    pub(crate) in_s: u64,
    pub(crate) keys: u64,
    pub(crate) bytes: u64,
}

/// What one rule has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advised {
    /// Its id in the catalogue.
    pub(crate) id: &'static str,
    pub(crate) severity: Severity,
    /// Bytes that following it would give back.
    pub(crate) saving: u64,
}

/// How fast something is written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rate {
    pub(crate) writes_per_s: f64,
    pub(crate) bytes_per_s: f64,
}

/// Patterns of one master that are kept one by one, the largest.
pub(crate) const PATTERNS_MAX: usize = 200;

/// What stands for the other patterns, and for keys of none.
pub(crate) const OTHER: &str = "__other__";

/// Keys by pattern; the largest one by one, the others as [`OTHER`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Patterns {
    /// How many there are.
    pub(crate) count: u64,
    /// There are more of them than may be counted one by one.
    pub(crate) overflowed: bool,
    pub(crate) sums: BTreeMap<String, PatternSum>,
}

/// Keys of one pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PatternSum {
    pub(crate) keys: u64,
    pub(crate) bytes: u64,
    /// Bytes of those without an expiry.
    pub(crate) fixed_bytes: u64,
}

impl PatternSum {
    pub(crate) fn add(&mut self, more: PatternSum) {
        self.keys = self.keys.saturating_add(more.keys);
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.fixed_bytes = self.fixed_bytes.saturating_add(more.fixed_bytes);
    }
}

impl Patterns {
    /// Bytes by pattern, the others left out.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, u64)> {
        let named = self.sums.iter().filter(|(name, _)| *name != OTHER);
        named.map(|(name, sum)| (name.as_str(), sum.bytes))
    }

    /// Keeps the `most` largest and sums up the others.
    pub(crate) fn shorten(&mut self, most: usize) {
        let mut rows: Vec<(String, PatternSum)> =
            std::mem::take(&mut self.sums).into_iter().collect();
        rows.sort_by_key(|(name, sum)| (name == OTHER, Reverse(sum.bytes)));
        let rest = rows.split_off(rows.len().min(most));
        self.sums = rows.into_iter().collect();
        for (_, sum) in rest {
            self.sums.entry(OTHER.to_owned()).or_default().add(sum);
        }
    }
}
