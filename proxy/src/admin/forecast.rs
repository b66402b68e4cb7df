//! Where a master's memory is going: the slope of what commands did to its keys, against what it must
//! not exceed.

use analyzer::flows::{Growth, Slope, slope};

use super::growth::Told;
use super::layout::{Cell, Table};
use crate::clock;
use crate::fleet::Status;

/// A forecast reaches no further than this, seconds: ten years.
const REACH_S: f64 = 10.0 * 365.0 * 86_400.0;

/// What a master's memory comes to.
pub(super) fn table(told: &[Told]) -> Table {
    let line = |(master, growth): &Told| {
        let slope = slope(&growth.points);
        let rate = |of: fn(&Slope) -> f64| {
            slope.map_or(Cell::Nothing, |slope| Cell::Signed(whole_bytes(of(&slope))))
        };
        let (used, limit) = room(&master.status());
        let outlook = Outlook::of(slope.as_ref(), used, &limit);
        vec![
            ("master", Cell::Text(master.name())),
            ("bytes_per_s", rate(|slope| slope.median)),
            ("at_least", rate(|slope| slope.low)),
            ("at_most", rate(|slope| slope.high)),
            (
                "used_memory",
                used.map_or(Cell::Nothing, |used| Cell::Signed(whole_bytes(used))),
            ),
            ("limit", Cell::text(limit.name)),
            (
                "limit_bytes",
                limit
                    .bytes
                    .map_or(Cell::Nothing, |bytes| Cell::Signed(whole_bytes(bytes))),
            ),
            ("full_in_s", outlook.full_in(|times| times.median)),
            ("full_at", outlook.full_at()),
            ("earliest_in_s", outlook.full_in(|times| times.earliest)),
            ("latest_in_s", outlook.full_in(|times| times.latest)),
            ("confidence", Cell::text(outlook.confidence)),
            ("words", Cell::Text(outlook.words)),
        ]
    };
    Table::rows("forecast", told.iter().map(line).collect())
}

/// What a server uses, and what it must not exceed.
fn room(status: &Status) -> (Option<f64>, Limit) {
    let figure = |field| status.vitals.as_ref().and_then(|vitals| vitals.get(field));
    let limit = Limit::of(figure("maxmemory"), figure("total_system_memory"));
    (figure("used_memory"), limit)
}

/// Where a master is going.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forecast {
    /// By how much its keys change; `None` if that is not known yet.
    pub(crate) bytes_per_s: Option<f64>,
    /// Until its memory is full; `None` if it does not surely grow, or nobody knows the limit.
    pub(crate) full_in_s: Option<f64>,
}

/// The forecast as figures.
pub(crate) fn forecast_of(status: &Status, growth: &Growth) -> Forecast {
    let slope = slope(&growth.points);
    let (used, limit) = room(status);
    let outlook = Outlook::of(slope.as_ref(), used, &limit);
    Forecast {
        bytes_per_s: slope.map(|slope| slope.median),
        full_in_s: outlook.times.map(|times| times.median),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a figure for people; far below the limits"
)]
fn whole_bytes(bytes: f64) -> i64 {
    bytes.round() as i64
}

/// What a server's memory must not exceed.
struct Limit {
    name: &'static str,
    bytes: Option<f64>,
}

impl Limit {
    fn of(maxmemory: Option<f64>, system: Option<f64>) -> Limit {
        let set = |bytes: &f64| *bytes > 0.0;
        match (maxmemory.filter(set), system.filter(set)) {
            (Some(bytes), _) => Limit {
                name: "maxmemory",
                bytes: Some(bytes),
            },
            (None, Some(bytes)) => Limit {
                name: "total_system_memory",
                bytes: Some(bytes),
            },
            (None, None) => Limit {
                name: "unknown",
                bytes: None,
            },
        }
    }
}

/// Seconds until the limit is reached.
#[derive(Clone, Copy)]
struct Times {
    median: f64,
    earliest: f64,
    latest: f64,
}

struct Outlook {
    times: Option<Times>,
    confidence: &'static str,
    words: String,
}

impl Outlook {
    fn none(words: &str) -> Outlook {
        Outlook {
            times: None,
            confidence: "none",
            words: words.to_owned(),
        }
    }

    fn of(slope: Option<&Slope>, used: Option<f64>, limit: &Limit) -> Outlook {
        let Some(slope) = slope else {
            return Outlook::none("the history is too short to tell: ten points are needed");
        };
        if !slope.rises() {
            return Outlook::none("no growth that can be told from chance");
        }
        let (Some(used), Some(bytes)) = (used, limit.bytes) else {
            return Outlook::none("it grows; the server's limit is not known");
        };
        let room = bytes - used;
        if room <= 0.0 {
            return Outlook::none("the limit is reached");
        }
        let times = Times {
            median: room / slope.median,
            earliest: room / slope.high,
            latest: room / slope.low,
        };
        if times.median > REACH_S {
            return Outlook::none("it grows so slowly that the limit is more than ten years away");
        }
        Outlook {
            times: Some(times),
            confidence: slope.confidence(),
            words: format!("{} is reached if it goes on like this", limit.name),
        }
    }

    fn full_in(&self, of: fn(Times) -> f64) -> Cell {
        let seconds = self.times.map(of).filter(|seconds| *seconds <= REACH_S);
        seconds.map_or(Cell::Nothing, |seconds| Cell::Signed(whole_bytes(seconds)))
    }

    fn full_at(&self) -> Cell {
        let now = i64::try_from(clock::unix_ms() / 1000).unwrap_or(i64::MAX);
        self.times.map_or(Cell::Nothing, |times| {
            Cell::Signed(now.saturating_add(whole_bytes(times.median)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forecast_says_what_it_cannot_tell() {
        let slope = |median: f64| Slope {
            median,
            low: median - 10.0,
            high: median + 10.0,
            points: 60,
        };
        let limit = Limit::of(Some(2e6), None);
        let words = |slope: Option<Slope>, used| Outlook::of(slope.as_ref(), used, &limit).words;
        assert!(words(None, Some(1e6)).contains("too short"));
        assert!(words(Some(slope(5.0)), Some(1e6)).contains("no growth"));
        assert!(words(Some(slope(100.0)), None).contains("not known"));
        assert!(words(Some(slope(100.0)), Some(3e6)).contains("is reached"));
        let sure = Outlook::of(Some(&slope(100.0)), Some(1e6), &limit);
        assert_eq!(sure.full_in(|times| times.median), Cell::Signed(10_000));
        assert_eq!(sure.full_in(|times| times.earliest), Cell::Signed(9091));
        assert_eq!(sure.full_in(|times| times.latest), Cell::Signed(11_111));
        assert_eq!(sure.confidence, "medium");
    }
}
