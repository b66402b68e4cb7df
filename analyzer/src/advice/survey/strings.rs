//! What strings are looked at for.

use super::walk::{Bars, Looked};
use super::{Point, Survey};
use crate::value::string::Str;

pub(super) fn look(_value: &Str, key: &Looked<'_>, bars: &Bars, survey: &mut Survey) {
    if key.bytes >= bars.string_bytes {
        let seen = key.seen(0, key.bytes);
        survey.tally_mut(Point::BigString).take(key.bytes, seen);
    }
}
