//! How large keys are: their number by type and class of size, and by type and class of length.
//!
//! A write that leaves a key in its classes changes nothing here, so on its way stand only a few
//! shifts.

use crate::census::Progress;
use crate::keyspace::Keyspace;
use crate::store::record::Form;
use crate::store::weigh::Weight;
use crate::value::Kind;

/// Classes of each measure; the last one has no bound.
pub const CLASSES: usize = LAST as usize + 1;

/// The last of them.
const LAST: u32 = 11;

/// Each class ends at four times the one before it.
const STEP_BITS: u32 = 2;

/// The first class of bytes ends at 64, that of elements at 4.
const BYTES_BITS: u32 = 6;
const ELEMENTS_BITS: u32 = 2;

/// Keys by class.
type Classes = [u64; CLASSES];

/// How large keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    bytes: [Classes; Form::COUNT],
    elements: [Classes; Form::COUNT],
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes {
            bytes: [[0; CLASSES]; Form::COUNT],
            elements: [[0; CLASSES]; Form::COUNT],
        }
    }
}

/// The class of a figure, where the first one ends at two to the power of `bits`.
#[inline]
fn class(figure: u64, bits: u32) -> u32 {
    let last_below = figure.saturating_sub(1) | ((1 << bits) - 1);
    ((last_below.ilog2() + 1 - bits).div_ceil(STEP_BITS)).min(LAST)
}

/// The last figure of each class but the last.
fn ends(bits: u32) -> [u64; CLASSES - 1] {
    let mut ends = [1 << bits; CLASSES - 1];
    for at in 1..ends.len() {
        ends[at] = ends[at - 1] << STEP_BITS;
    }
    ends
}

/// True if both have their highest bit at one place, and so are in one class; cheaper than two
/// classes.
#[inline]
fn is_near(one: u64, other: u64) -> bool {
    let (one, other) = (one.saturating_sub(1), other.saturating_sub(1));
    one ^ other <= one & other
}

/// Where a key is counted: its form and its classes.
type Place = (Form, u32, u32);

#[inline]
fn place(weight: &Weight) -> Place {
    let bytes = class(weight.bytes, BYTES_BITS);
    (weight.form, bytes, class(weight.count, ELEMENTS_BITS))
}

impl Sizes {
    /// Takes one key's change: `None` is "not there".
    #[inline]
    pub(crate) fn turn(&mut self, before: Option<&Weight>, after: Option<&Weight>) {
        if let (Some(before), Some(after)) = (before, after)
            && before.form == after.form
            && is_near(before.bytes, after.bytes)
            && is_near(before.count, after.count)
        {
            return;
        }
        if let Some(weight) = before {
            self.change(place(weight), u64::MAX);
        }
        if let Some(weight) = after {
            self.change(place(weight), 1);
        }
    }

    /// Adds to both counts of a place, modulo 2^64: `u64::MAX` takes one away.
    fn change(&mut self, (form, bytes, elements): Place, more: u64) {
        for (all, class) in [(&mut self.bytes, bytes), (&mut self.elements, elements)] {
            let own = all.get_mut(form.index());
            if let Some(keys) = own.and_then(|own| own.get_mut(class as usize)) {
                *keys = keys.wrapping_add(more);
            }
        }
    }

    fn add(&mut self, other: &Sizes) {
        let pairs = [
            (&mut self.bytes, &other.bytes),
            (&mut self.elements, &other.elements),
        ];
        for (own, other) in pairs {
            let own = own.iter_mut().flatten();
            for (keys, more) in own.zip(other.iter().flatten()) {
                *keys = keys.wrapping_add(*more);
            }
        }
    }

    /// Keys of a type by MEMORY USAGE; see [`Sizes::bytes_ends`].
    pub fn bytes(&self, kind: Kind) -> Classes {
        of_kind(&self.bytes, kind)
    }

    /// Keys of a type by number of elements, of strings by length; see [`Sizes::elements_ends`].
    pub fn elements(&self, kind: Kind) -> Classes {
        of_kind(&self.elements, kind)
    }

    /// The most bytes in each class but the last, which has no bound.
    pub fn bytes_ends() -> [u64; CLASSES - 1] {
        ends(BYTES_BITS)
    }

    /// The most elements in each class but the last, which has no bound.
    pub fn elements_ends() -> [u64; CLASSES - 1] {
        ends(ELEMENTS_BITS)
    }
}

fn of_kind(all: &[Classes; Form::COUNT], kind: Kind) -> Classes {
    let mut sum = [0u64; CLASSES];
    for form in Form::all().filter(|form| form.kind() == kind) {
        let own = all.get(form.index()).into_iter().flatten();
        for (keys, more) in sum.iter_mut().zip(own) {
            *keys = keys.wrapping_add(*more);
        }
    }
    sum
}

impl Keyspace {
    /// How large keys are, of one database or of all.
    ///
    /// # Errors
    /// How far the count has come, if there is none yet.
    pub fn sizes(&self, db: Option<u32>) -> Result<Sizes, Progress> {
        let progress = self.counted(db);
        if !progress.complete {
            return Err(progress);
        }
        let mut sum = Sizes::default();
        let dbs = self.live().all();
        for (_, own) in dbs.filter(|(number, _)| db.is_none_or(|db| db == *number)) {
            if let Some(count) = own.census.count() {
                sum.add(&count.sizes);
            }
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_end_where_they_say() {
        for bits in [BYTES_BITS, ELEMENTS_BITS] {
            assert_eq!(class(0, bits), 0);
            for (at, end) in (0..).zip(ends(bits)) {
                assert_eq!((class(end, bits), class(end + 1, bits)), (at, at + 1));
            }
            assert_eq!(class(u64::MAX, bits) as usize, CLASSES - 1);
            let figures = (0..70).chain((6..63).flat_map(|bit| [1 << bit, (1 << bit) + 1]));
            let figures: Vec<u64> = figures.chain([u64::MAX]).collect();
            for one in &figures {
                let near = figures.iter().filter(|other| is_near(*one, **other));
                for other in near {
                    assert_eq!(class(*one, bits), class(*other, bits), "{one} {other}");
                }
            }
        }
        assert_eq!(Sizes::bytes_ends()[..3], [64, 256, 1024]);
        assert_eq!(Sizes::elements_ends()[10], 4 << 20);
    }
}
