//! What strings are looked at for: their size, and whether some bytes less would spare a block.

use super::bars::Bars;
use super::walk::Looked;
use super::{Point, Survey};
use crate::value::Encoding;
use crate::value::string::Str;
use crate::whatif::Frame;

/// Bytes that a trim may cost.
const TRIM_MAX: u64 = 4;

/// No server has longer strings in their object's block.
const EMBEDDED_MAX: u64 = 128;

pub(super) fn look(
    value: &Str,
    key: &Looked<'_>,
    (bars, reload): (&Bars, &Frame),
    survey: &mut Survey,
) {
    if key.bytes >= bars.string_bytes {
        let seen = key.seen(0, key.bytes);
        survey.tally_mut(Point::BigString).take(key.bytes, seen);
    }
    if value.encoding() == Encoding::Raw && value.len() <= EMBEDDED_MAX + TRIM_MAX {
        trimmed(value, key, reload, survey);
    }
}

/// The fewest bytes whose loss puts the string into its object's block.
fn trimmed(value: &Str, key: &Looked<'_>, reload: &Frame, survey: &mut Survey) {
    if reload.string(value, key.seated).encoding != Encoding::Raw {
        return;
    }
    for less in 1..=TRIM_MAX.min(value.len()) {
        let then = reload.string(&Str::raw(value.len() - less), key.seated);
        if then.encoding == Encoding::Embstr {
            if then.memory < key.bytes {
                let seen = key.seen(less, then.memory);
                survey
                    .tally_mut(Point::Cliff)
                    .take(key.bytes - then.memory, seen);
            }
            return;
        }
    }
}
