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
    let named = |word: &&[u8]| key.name.windows(word.len()).any(|part| part == *word);
    if queue || PRECIOUS.iter().any(named) {
        let seen = key.seen(0, key.bytes);
        survey.tally_mut(Point::Precious).take(key.bytes, seen);
    }
}
