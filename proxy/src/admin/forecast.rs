//! Where a master's memory is going: the slope of what commands did to its keys, against what it must
//! not exceed.
//!
//! - `maxmemory`, against `used_memory`: then keys are evicted, or writes refused.
//! - The limit of its container, if the operator said it (`[container]`), against `used_memory_rss`:
//!   then the kernel kills it.
//! - Where there is neither, the memory of its host, against the same.
//!
//! Resident memory is taken to grow as the keys do. What it grows by beyond that (fragments, pages that
//! are copied while a snapshot is saved) nobody can foretell.

use analyzer::flows::{Growth, Slope, slope};

use super::growth::Told;
use super::layout::{Cell, Table};
use crate::clock;
use crate::fleet::{Fleet, Master, Status};
use crate::watch::Full;

/// A forecast reaches no further than this, seconds: ten years.
const REACH_S: f64 = 10.0 * 365.0 * 86_400.0;

/// What every master's memory comes to, a row for each of its limits.
pub(super) fn table(told: &[Told], fleet: &Fleet) -> Table {
    let mut lines = Vec::new();
    for (master, growth) in told {
        let slope = slope(&growth.points);
        for room in rooms(fleet, master) {
            let outlook = Outlook::of(slope.as_ref(), &room);
            let mut line = vec![("master", Cell::Text(master.name()))];
            line.extend(growing(slope.as_ref()));
            line.extend(filling(&room));
            line.extend(outlook.cells());
            lines.push(line);
        }
    }
    Table::rows("forecast", lines)
}

type Cells = Vec<(&'static str, Cell)>;

fn growing(slope: Option<&Slope>) -> Cells {
    let rate = |of: fn(&Slope) -> f64| amount(slope.map(of));
    vec![
        ("bytes_per_s", rate(|slope| slope.median)),
        ("at_least", rate(|slope| slope.low)),
        ("at_most", rate(|slope| slope.high)),
    ]
}

fn filling(room: &Room) -> Cells {
    vec![
        ("limit", Cell::text(room.limit.name())),
        ("limit_bytes", amount(room.bytes)),
        ("measure", Cell::text(room.limit.measure())),
        ("used_bytes", amount(room.used)),
    ]
}

fn amount(figure: Option<f64>) -> Cell {
    figure.map_or(Cell::Nothing, |figure| Cell::Signed(whole(figure)))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a figure for people; far below the limits"
)]
fn whole(figure: f64) -> i64 {
    figure.round() as i64
}

/// What a server's memory must not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    MaxMemory,
    Container,
    System,
    Unknown,
}

impl Limit {
    fn name(self) -> &'static str {
        match self {
            Limit::MaxMemory => "maxmemory",
            Limit::Container => "container",
            Limit::System => "total_system_memory",
            Limit::Unknown => "unknown",
        }
    }

    /// What reaches it, as INFO calls it.
    fn measure(self) -> &'static str {
        match self {
            Limit::MaxMemory | Limit::Unknown => "used_memory",
            Limit::Container | Limit::System => "used_memory_rss",
        }
    }
}

/// What a server uses, and a limit of it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Room {
    limit: Limit,
    bytes: Option<f64>,
    used: Option<f64>,
    /// Keys give way where there is no room, and nothing fails.
    evicts: bool,
}

/// One for each limit that a master has; one that is not known if it has none.
fn rooms(fleet: &Fleet, master: &Master) -> Vec<Room> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "an estimate; exact below 2^53 bytes"
    )]
    let container = fleet.container_limit(master).map(|bytes| bytes as f64);
    rooms_of(&master.status(), container)
}

fn rooms_of(status: &Status, container: Option<f64>) -> Vec<Room> {
    let figure = |field| status.vitals.as_ref().and_then(|vitals| vitals.get(field));
    let set = |bytes: &f64| *bytes > 0.0;
    let evicts = status.vitals.as_ref().is_some_and(|vitals| vitals.evicts);
    let room = |(limit, bytes): (Limit, Option<f64>)| {
        let bytes = bytes.filter(set)?;
        Some(Room {
            limit,
            bytes: Some(bytes),
            used: figure(limit.measure()),
            evicts: limit == Limit::MaxMemory && evicts,
        })
    };
    let own = [
        (Limit::MaxMemory, figure("maxmemory")),
        (Limit::Container, container),
    ];
    let mut rooms: Vec<Room> = own.into_iter().filter_map(room).collect();
    if rooms.is_empty() {
        rooms.extend(room((Limit::System, figure("total_system_memory"))));
    }
    if rooms.is_empty() {
        rooms.push(Room {
            limit: Limit::Unknown,
            bytes: None,
            used: figure(Limit::Unknown.measure()),
            evicts: false,
        });
    }
    rooms
}

/// Where a master is going.
#[derive(Clone, Debug)]
pub(crate) struct Forecast {
    /// By how much its keys change; `None` if that is not known yet.
    pub(crate) bytes_per_s: Option<f64>,
    /// When which limit is reached, at once if it is; none if it does not surely grow, or nobody knows
    /// one.
    pub(crate) full: Vec<Full>,
}

/// The forecast as figures.
pub(crate) fn forecast_of(fleet: &Fleet, master: &Master, growth: &Growth) -> Forecast {
    let slope = slope(&growth.points);
    let full = |room: Room| {
        let times = Outlook::of(slope.as_ref(), &room).times?;
        Some(Full {
            limit: room.limit.name(),
            in_s: times.median,
        })
    };
    let rooms = rooms(fleet, master).into_iter();
    Forecast {
        bytes_per_s: slope.map(|slope| slope.median),
        full: rooms.filter_map(full).collect(),
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

    /// Whatever its keys do: at a limit that refuses writes they do not grow any more.
    fn full() -> Outlook {
        Outlook {
            times: Some(Times {
                median: 0.0,
                earliest: 0.0,
                latest: 0.0,
            }),
            confidence: "high",
            words: "the limit is reached".to_owned(),
        }
    }

    fn of(slope: Option<&Slope>, room: &Room) -> Outlook {
        let left = room.bytes.zip(room.used).map(|(bytes, used)| bytes - used);
        if left.is_some_and(|left| left <= 0.0) {
            return match room.evicts {
                // A cache is always full.
                true => Outlook::none("the limit is reached: keys are evicted"),
                false => Outlook::full(),
            };
        }
        let Some(slope) = slope else {
            return Outlook::none("the history is too short to tell: ten points are needed");
        };
        if !slope.rises() {
            return Outlook::none("no growth that can be told from chance");
        }
        let Some(left) = left else {
            return Outlook::none("it grows; the server's limit is not known");
        };
        let times = Times {
            median: left / slope.median,
            earliest: left / slope.high,
            latest: left / slope.low,
        };
        if times.median > REACH_S {
            return Outlook::none("it grows so slowly that the limit is more than ten years away");
        }
        let then = match room.limit {
            Limit::MaxMemory if room.evicts => "keys are evicted then",
            Limit::MaxMemory => "writes are refused then",
            Limit::Container | Limit::System => "the kernel ends a process then",
            Limit::Unknown => "",
        };
        let name = room.limit.name();
        Outlook {
            times: Some(times),
            confidence: slope.confidence(),
            words: format!("{name} is reached if it goes on like this: {then}"),
        }
    }

    fn cells(self) -> Cells {
        vec![
            ("full_in_s", self.full_in(|times| times.median)),
            ("full_at", self.full_at()),
            ("earliest_in_s", self.full_in(|times| times.earliest)),
            ("latest_in_s", self.full_in(|times| times.latest)),
            ("confidence", Cell::text(self.confidence)),
            ("words", Cell::Text(self.words)),
        ]
    }

    fn full_in(&self, of: fn(Times) -> f64) -> Cell {
        amount(self.times.map(of).filter(|seconds| *seconds <= REACH_S))
    }

    fn full_at(&self) -> Cell {
        let now = i64::try_from(clock::unix_ms() / 1000).unwrap_or(i64::MAX);
        self.times.map_or(Cell::Nothing, |times| {
            Cell::Signed(now.saturating_add(whole(times.median)))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::side::info::Info;
    use crate::side::vitals::Vitals;

    fn slope(median: f64) -> Slope {
        Slope {
            median,
            low: median - 10.0,
            high: median + 10.0,
            points: 60,
        }
    }

    fn room(used: Option<f64>) -> Room {
        Room {
            limit: Limit::MaxMemory,
            bytes: Some(2e6),
            used,
            evicts: false,
        }
    }

    #[test]
    fn a_forecast_says_what_it_cannot_tell() {
        let words = |slope: Option<Slope>, used| Outlook::of(slope.as_ref(), &room(used)).words;
        assert!(words(None, Some(1e6)).contains("too short"));
        assert!(words(Some(slope(5.0)), Some(1e6)).contains("no growth"));
        assert!(words(Some(slope(100.0)), None).contains("not known"));
        assert!(words(Some(slope(100.0)), Some(3e6)).contains("is reached"));
        let sure = Outlook::of(Some(&slope(100.0)), &room(Some(1e6)));
        assert_eq!(sure.full_in(|times| times.median), Cell::Signed(10_000));
        assert_eq!(sure.full_in(|times| times.earliest), Cell::Signed(9091));
        assert_eq!(sure.full_in(|times| times.latest), Cell::Signed(11_111));
        assert_eq!(sure.confidence, "medium");
    }

    /// Writes are refused there, so that nothing grows any more.
    #[test]
    fn a_limit_that_is_reached_is_reached_now() {
        for slope in [None, Some(slope(5.0)), Some(slope(100.0))] {
            for used in [2e6, 3e6] {
                let full = Outlook::of(slope.as_ref(), &room(Some(used)));
                assert_eq!(full.full_in(|times| times.median), Cell::Signed(0));
                assert_eq!(full.full_in(|times| times.latest), Cell::Signed(0));
                assert_eq!(full.words, "the limit is reached");
            }
        }
    }

    #[test]
    fn a_cache_at_its_limit_is_as_it_should_be() {
        let evicting = |used| Room {
            evicts: true,
            ..room(Some(used))
        };
        let reached = Outlook::of(Some(&slope(100.0)), &evicting(2e6));
        assert_eq!(reached.full_in(|times| times.median), Cell::Nothing);
        assert!(reached.words.contains("evicted"));
        let ahead = Outlook::of(Some(&slope(100.0)), &evicting(1e6));
        assert_eq!(ahead.full_in(|times| times.median), Cell::Signed(10_000));
        assert!(ahead.words.contains("evicted"));
        let policy = |policy| format!("maxmemory:20\r\nmaxmemory_policy:{policy}\r\n");
        for (name, evicts) in [("noeviction", false), ("allkeys-lru", true)] {
            let rooms = rooms_of(&told(&policy(name)), Some(50.0));
            let evicting: Vec<bool> = rooms.iter().map(|room| room.evicts).collect();
            assert_eq!(
                evicting,
                [evicts, false],
                "{name}: a container evicts nothing"
            );
        }
    }

    fn told(info: &str) -> Status {
        Status {
            vitals: Some(Arc::new(Vitals::read(Info(info), 65_536))),
            ..Status::default()
        }
    }

    fn limits(info: &str, container: Option<f64>) -> Vec<(&'static str, Option<f64>)> {
        let rooms = rooms_of(&told(info), container).into_iter();
        rooms.map(|room| (room.limit.name(), room.used)).collect()
    }

    #[test]
    fn each_limit_has_its_own_measure() {
        let info = "used_memory:5\r\nused_memory_rss:7\r\ntotal_system_memory:100\r\n";
        assert_eq!(limits(info, None), [("total_system_memory", Some(7.0))]);
        assert_eq!(limits(info, Some(50.0)), [("container", Some(7.0))]);
        let capped = format!("{info}maxmemory:20\r\n");
        assert_eq!(limits(&capped, None), [("maxmemory", Some(5.0))]);
        let both = [("maxmemory", Some(5.0)), ("container", Some(7.0))];
        assert_eq!(limits(&capped, Some(50.0)), both);
        assert_eq!(limits("maxmemory:0\r\n", None), [("unknown", None)]);
    }
}
