//! How long keys live: when they expire, and how long ago they were written.

use super::bars::Bars;
use super::walk::Looked;
use super::{Point, Survey};
use crate::value::Kind;

/// A key that is gone within this, and was written within it, was given a time to live in the
/// wrong unit.
const SECOND_MS: i64 = 1000;

/// What in a name says that the key must not go by itself.
const PRECIOUS: [&[u8]; 3] = [b"lock", b"queue", b"session"];

pub(super) fn look(key: &Looked<'_>, bars: &Bars, survey: &mut Survey) {
    if key.idle_s >= bars.cold_s {
        let seen = key.seen(key.idle_s, key.bytes);
        survey.tally_mut(Point::Cold).take(key.bytes, seen);
    }
    match key.seated.expire_ms {
        Some(at_ms) => expiring(key, at_ms, bars, survey),
        None => lasting(key, survey),
    }
}

fn expiring(key: &Looked<'_>, at_ms: i64, bars: &Bars, survey: &mut Survey) {
    let left_ms = at_ms.saturating_sub(survey.at_ms);
    let left_s = left_ms.unsigned_abs() / 1000;
    let point = if left_ms < 0 {
        Point::Expired
    } else if left_ms > bars.far_ms {
        Point::FarExpiry
    } else if left_ms < SECOND_MS && key.idle_s == 0 {
        Point::NearExpiry
    } else {
        return;
    };
    let seen = key.seen(left_s, key.bytes);
    survey.tally_mut(point).take(left_s, seen);
}

fn lasting(key: &Looked<'_>, survey: &mut Survey) {
    let queue = matches!(key.kind, Kind::List | Kind::Stream);
    if queue || looks_precious(key.name) {
        let seen = key.seen(0, key.bytes);
        survey.tally_mut(Point::Precious).take(key.bytes, seen);
    }
}

/// True if a word of the name begins as one that says so: `lock:7` and `job-locks`, not `clock`.
fn looks_precious(name: &[u8]) -> bool {
    let begins = |at: usize| match at.checked_sub(1).and_then(|before| name.get(before)) {
        Some(before) => !before.is_ascii_alphabetic(),
        None => true,
    };
    PRECIOUS.iter().any(|word| {
        let mut parts = name.windows(word.len()).enumerate();
        parts.any(|(at, part)| part == *word && begins(at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_no_lock() {
        for (name, precious) in [
            ("lock", true),
            ("job:locks:7", true),
            ("my-session", true),
            ("clock:1", false),
            ("block", false),
            ("", false),
        ] {
            assert_eq!(looks_precious(name.as_bytes()), precious, "{name}");
        }
    }
}
