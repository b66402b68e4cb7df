//! Conditions over made-up times.

use super::*;
use crate::fleet::Loss;
use crate::model::ask::Generation;
use crate::watch::Full;

const CONFIG: config::Watch = config::Watch {
    big: analyzer::keyspace::BigLimits::NEVER,
    growth_bytes_per_s: Some(1000),
    forecast_s: 3600,
};

/// One master, looked at once a second.
struct Looks {
    watched: Watched,
    now: Instant,
    status: Status,
    prospect: Prospect,
}

impl Looks {
    fn new() -> Looks {
        Looks {
            watched: Watched::default(),
            now: crate::clock::now(),
            prospect: Prospect::default(),
            status: Status {
                state: State::Synced,
                generation: Generation::Current,
                keys: 1_000_000,
                ..Status::default()
            },
        }
    }

    /// So many looks; what changed in which second.
    fn pass(&mut self, seconds: u32) -> Vec<(u32, &'static str, bool)> {
        let mut changes = Vec::new();
        for second in 0..seconds {
            let seen = Seen {
                status: &self.status,
                prospect: Some(&self.prospect),
                config: &CONFIG,
            };
            let found = self.watched.look(self.now, seen);
            let named = found.iter().map(|c| (second, c.condition.name(), c.raised));
            changes.extend(named);
            self.now += Duration::from_secs(1);
        }
        changes
    }
}

#[test]
fn a_link_that_is_down_is_raised_late_and_cleared_late() {
    let mut looks = Looks::new();
    assert_eq!(looks.pass(60), []);
    looks.status.state = State::Lost {
        reason: Loss::Closed,
        retry_in_ms: 1,
    };
    assert_eq!(looks.pass(5), [], "it may be there again at once");
    looks.status.state = State::Synced;
    assert_eq!(looks.pass(5), []);
    looks.status.state = State::Failed {
        reason: Loss::Denied,
    };
    assert_eq!(looks.pass(60), [(10, "link_down", true)]);
    // A load is neither.
    looks.status.state = State::Waiting;
    assert_eq!(looks.pass(60), []);
    looks.status.state = State::Synced;
    assert_eq!(looks.pass(60), [(5, "link_down", false)]);
}

#[test]
fn a_figure_that_swings_around_its_limit_is_one_event() {
    let mut looks = Looks::new();
    let mut changes = Vec::new();
    for _ in 0..60 {
        looks.status.lag_ms = 6_000;
        changes.extend(looks.pass(6));
        looks.status.lag_ms = 4_000;
        changes.extend(looks.pass(20));
    }
    assert_eq!(changes, [(5, "lag", true)]);
    looks.status.lag_ms = 0;
    assert_eq!(looks.pass(60), [(10, "lag", false)]);
}

#[test]
fn the_first_sync_is_none_again_and_three_are_a_loop() {
    let mut looks = Looks::new();
    let mut sync = |first: bool| {
        looks.status.counters.full_syncs += 1;
        looks.status.state = State::Loading {
            keys: 0,
            bytes: 0,
            total: None,
        };
        let mut changes = looks.pass(3);
        looks.status.counters.full_syncs_done += 1;
        looks.status.state = State::Synced;
        changes.extend(looks.pass(3));
        let resync = [(0, "resync", true), (0, "resync", false)];
        let expected = if first { &[][..] } else { &resync[..] };
        let (loops, rest): (Vec<_>, Vec<_>) = changes
            .into_iter()
            .partition(|change| change.1 == "resync_loop");
        assert_eq!(rest, expected);
        loops
    };
    assert_eq!(sync(true), []);
    assert_eq!(sync(false), []);
    assert_eq!(sync(false), [(0, "resync_loop", true)]);
    assert_eq!(sync(false), []);
    // One that is over before anybody looks.
    looks.status.counters.full_syncs += 1;
    looks.status.counters.full_syncs_done += 1;
    assert_eq!(looks.pass(2), [(0, "resync", true), (1, "resync", false)]);
    let cleared = looks.pass(700);
    assert!(
        matches!(cleared[..], [(second, "resync_loop", false)] if second > 500),
        "{cleared:?}"
    );
}

#[test]
fn a_link_that_comes_back_is_no_full_sync() {
    let mut looks = Looks::new();
    looks.status.counters.full_syncs = 1;
    looks.status.counters.full_syncs_done = 1;
    assert_eq!(looks.pass(3), []);
    for state in [State::Connecting, State::Waiting, State::Synced] {
        looks.status.state = state;
        assert_eq!(looks.pass(3), []);
    }
}

#[test]
fn doubts_and_mismatches_are_told_with_their_figures() {
    let mut looks = Looks::new();
    looks.status.inexact = 10_001;
    assert_eq!(looks.pass(31), [(30, "inexact", true)]);
    looks.status.inexact = 6_000;
    assert_eq!(looks.pass(60), []);
    looks.status.inexact = 4_000;
    assert_eq!(looks.pass(60), [(10, "inexact", false)]);
    looks.status.counters.audit_mismatches[1] = 2;
    let found = looks.watched.look(
        looks.now,
        Seen {
            status: &looks.status,
            prospect: None,
            config: &CONFIG,
        },
    );
    let expected = Change {
        condition: Condition::Mismatch,
        raised: true,
        figures: vec![("mismatches", 2), ("audited", 0)],
    };
    assert_eq!(found, [expected]);
    assert_eq!(looks.pass(700).len(), 1, "it is old news by then");
}

#[test]
fn growth_is_a_rate_over_ten_looks_of_one_generation() {
    let mut looks = Looks::new();
    let grow = |looks: &mut Looks, by: u64, seconds: u32| {
        let mut changes = Vec::new();
        for _ in 0..seconds {
            looks.status.key_bytes += by;
            changes.extend(looks.pass(1));
        }
        changes
    };
    assert_eq!(grow(&mut looks, 900, 60), []);
    assert_eq!(grow(&mut looks, 2_000, 20), [(0, "growth", true)]);
    assert_eq!(
        grow(&mut looks, 700, 60),
        [],
        "between the half and the limit"
    );
    assert_eq!(grow(&mut looks, 100, 60), [(0, "growth", false)]);
    // Another generation may be larger, and has not grown.
    looks.status.loaded_ms = 1;
    looks.status.key_bytes *= 2;
    assert_eq!(grow(&mut looks, 100, 60), []);
}

/// The later of two limits is of no matter.
fn full(in_s: f64) -> Vec<Full> {
    let limit = |limit, in_s| Full { limit, in_s };
    vec![limit("container", 2.0 * in_s), limit("maxmemory", in_s)]
}

#[test]
fn what_is_ahead_is_told_of_in_time() {
    let mut looks = Looks::new();
    looks.prospect.full = full(90_000.0);
    looks.prospect.storm = Some(Storm {
        in_s: 5000,
        keys: 7,
        bytes: 9,
    });
    assert_eq!(looks.pass(5), []);
    looks.prospect.full = full(80_000.0);
    looks.prospect.storm = looks.prospect.storm.map(|storm| Storm {
        in_s: 3000,
        ..storm
    });
    let raised = [(0, "memory_full", true), (0, "expiry_storm", true)];
    assert_eq!(looks.pass(5), raised);
    looks.prospect.full = full(0.0);
    looks.prospect.storm = None;
    assert_eq!(looks.pass(100), [(60, "expiry_storm", false)], "it is full");
    looks.prospect.full = full(100_000.0);
    assert_eq!(looks.pass(100), [], "it may be so again in a day");
    looks.prospect.full.clear();
    assert_eq!(looks.pass(100), [(60, "memory_full", false)]);
}
