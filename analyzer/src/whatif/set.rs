//! What a load makes of a set.

use super::survey::{Part, Survey};
use super::{Becomes, Frame, Guess};
use crate::value::Encoding;
use crate::value::elements::{Sizes, Table};
use crate::value::info::Info;
use crate::value::set::Set;

/// Bytes per integer of an intset of small ones.
const NARROWEST: u8 = 2;

/// The set on the other server. An intset or listpack stays one unless it has too many members; a
/// table is read member by member into the smallest form that takes them, and into a table at once
/// if there are more than an intset may have, whatever a listpack may.
pub(super) fn becomes(set: &Set, frame: &Frame) -> Becomes {
    let (from, to) = (Sizes::of(&frame.from), Sizes::of(&frame.to));
    let (n, now, profile) = (set.count(), set.encoding(), &frame.to);
    let (mut survey, mut width) = (Survey::new(n), NARROWEST);
    set.some(|member| {
        let text = &member.text;
        width = width.max(text.class.intset_width());
        survey.take(Part {
            integer: text.number_class(),
            longest: text.len,
            now: weigh(text, now, from),
            entry: to.entry(text),
            block: to.member_block(text),
        })
    });
    let few = profile.small_sets() && n <= profile.set_listpack_max;
    let packed = if now == Encoding::Listpack && profile.small_sets() {
        few
    } else {
        let short = few && survey.longest <= profile.set_value_max;
        n <= profile.set_intset_max && (survey.integers || short)
    };
    let known = set.known_sum();
    let integers = now == Encoding::Intset || (now != Encoding::Listpack && survey.integers);
    let (encoding, memory) = if packed && integers {
        (
            Encoding::Intset,
            to.intset(n, set.int_width().unwrap_or(width)),
        )
    } else if packed {
        let same = now == Encoding::Listpack && frame.same_blobs();
        let bytes = if same { known } else { survey.entries(known) };
        (Encoding::Listpack, to.blob(bytes))
    } else {
        let table = Table::sized(to.kind, n);
        (
            Encoding::Hashtable,
            to.set_table(table, n, survey.blocks(known)),
        )
    };
    Becomes {
        encoding,
        memory,
        guess: survey.is_sample().then_some(Guess::Sampled),
    }
}

/// What a member is now, in the unit of the form's running sum.
fn weigh(text: &Info, form: Encoding, sizes: Sizes) -> u64 {
    if form == Encoding::Hashtable {
        sizes.member_block(text)
    } else if form == Encoding::Intset {
        1
    } else {
        sizes.entry(text)
    }
}
