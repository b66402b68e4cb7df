//! What MEMORY USAGE tells of a collection in a hash table: which table it is, and what chance made
//! of the rest.
//!
//! ```text
//! usage = base(table) + sum of the elements              SAMPLES 0, walks all elements
//! usage = base(table) + n * (size of the first element)  SAMPLES 1, at no cost
//! ```
//!
//! A table is one of few: each power of two from the smallest that holds the elements on, or two of
//! them while the elements move. With all elements walked the table that comes nearest is taken, and
//! what is left over (levels of skiplist nodes, child buckets, entries that kept their block) joins
//! the running sum, so that the answer is met to the byte and later writes go on from there. With
//! one sample the elements are multiplied by an unknown size, but it is a multiple of 8, so all but
//! one of the tables do not divide; where two do (a power of two of elements), the one whose element
//! is nearer to the mean is taken.

use super::table::{Kind, Table};

/// How much of a collection MEMORY USAGE is to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Samples {
    /// Everything: SAMPLES 0.
    All,
    /// One element: SAMPLES 1.
    One,
}

/// What MEMORY USAGE answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes.
    pub bytes: u64,
    /// What was looked at.
    pub samples: Samples,
}

/// How an answer agrees with the model, which has taken it when this is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// To the byte, as far as it can be told.
    Same,
    /// Within what chance, reads and the server's children make of it.
    Chance,
    /// Not explained by anything that is known.
    Odd,
}

/// The blocks that elements come in are multiples of this.
const UNIT: u64 = 8;
/// An average in doubles may lose a byte.
const LOST: u64 = 1;

/// A collection to be fitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sought {
    /// Elements.
    pub(crate) n: u64,
    /// What the server says of the value part.
    pub(crate) usage: Usage,
    /// Bytes that chance may add to the elements or take from them.
    pub(crate) elements_slack: u64,
    /// The same for a table: its child buckets.
    pub(crate) table_slack: u64,
}

/// A table, and what its elements weigh more than they should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) fit: Fit,
    pub(crate) table: Table,
    pub(crate) rest: i64,
}

impl Sought {
    /// Finds the table. `weigh` is what the value weighs with a table and elements of so many bytes
    /// more, `base` the same without the elements.
    pub(crate) fn find(
        &self,
        kind: Kind,
        now: Table,
        weigh: impl Fn(Table, i64) -> u64,
        base: impl Fn(Table) -> u64,
    ) -> Found {
        let rest = |table: Table| match self.usage.samples {
            Samples::All => (difference(self.usage.bytes, weigh(table, 0)), 0),
            Samples::One => self.rest_of_one(base(table), weigh(table, 0)),
        };
        let slack = self.slack();
        let (mut best, mut best_rest) = (now, rest(now));
        if self.usage.samples == Samples::One && slack > self.n {
            // Tables cannot be told apart by what is left over.
            let (fit, rest) = (Fit::Chance, 0);
            return Found {
                fit,
                table: now,
                rest,
            };
        }
        // Where chance has a part, many a table leaves as little over as the right one: another is
        // taken only if this one explains nothing, and then the one with the likeliest element.
        let chance = self.usage.samples == Samples::One && self.table_slack > 0;
        let unlikely = best_rest.1 > 0 && !chance;
        if best_rest.0.unsigned_abs() > slack || unlikely {
            for table in Table::candidates(kind, self.n) {
                let rest = rest(table);
                let forgiven = if chance { slack } else { 0 };
                let score =
                    |(rest, off): (i64, u64)| (rest.unsigned_abs().saturating_sub(forgiven), off);
                if score(rest) < score(best_rest) {
                    (best, best_rest) = (table, rest);
                }
            }
        }
        let (rest, _) = best_rest;
        let small = rest.unsigned_abs() <= LOST;
        let fit = match (best == now, rest.unsigned_abs() <= slack) {
            (true, true) if small => Fit::Same,
            (_, true) => Fit::Chance,
            (_, false) => Fit::Odd,
        };
        let rest = match self.usage.samples {
            // The average that it was left over by may have lost a byte, and the one that it makes.
            Samples::All => [0, 1, -1]
                .map(|by| rest.saturating_add(by))
                .into_iter()
                .find(|rest| weigh(best, *rest) == self.usage.bytes)
                .unwrap_or(rest),
            Samples::One if small => 0,
            Samples::One => rest,
        };
        Found {
            fit,
            table: best.told(),
            rest,
        }
    }

    fn slack(&self) -> u64 {
        let elements = match self.usage.samples {
            Samples::All => self.elements_slack,
            Samples::One => 0,
        };
        LOST.max(elements + self.table_slack)
    }

    /// What is left over beside `n` elements of one size, and how far that size is from the mean.
    fn rest_of_one(&self, base: u64, whole: u64) -> (i64, u64) {
        let n = self.n.max(1);
        let elements = whole.saturating_sub(base);
        let theirs = self.usage.bytes.saturating_sub(base);
        let unit = n.saturating_mul(UNIT);
        let times = (theirs.saturating_add(unit / 2) / unit).max(1);
        let size = times.saturating_mul(UNIT);
        let rest = difference(
            self.usage.bytes,
            base.saturating_add(size.saturating_mul(n)),
        );
        (rest, size.abs_diff(elements / n))
    }
}

/// Adds a remainder to a running sum.
pub(crate) fn shift(sum: u64, rest: i64) -> u64 {
    sum.saturating_add_signed(rest)
}

fn difference(theirs: u64, ours: u64) -> i64 {
    let theirs = i64::try_from(theirs).unwrap_or(i64::MAX);
    theirs.saturating_sub(i64::try_from(ours).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Family, Profile, Version};
    use crate::value::elements::sizes::Sizes;

    const KIND: Kind = Kind::DictTenth;

    /// A set of `n` members of 40 bytes each, the first of which has `first`.
    fn find(n: u64, theirs: Table, samples: Samples, first: u64) -> Found {
        let base = |table: Table| 72 + table.bytes(KIND, n);
        let elements = match samples {
            Samples::All => n * 40,
            Samples::One => n * first,
        };
        let sought = Sought {
            n,
            usage: Usage {
                bytes: base(theirs) + elements,
                samples,
            },
            elements_slack: 0,
            table_slack: 0,
        };
        let now = Table::grown(KIND, n);
        let weigh = |table, rest| shift(base(table) + n * 40, rest);
        sought.find(KIND, now, weigh, base)
    }

    #[test]
    fn a_sparse_table_is_told_by_all_elements_and_by_one() {
        for n in [5, 100, 129, 1000, 12_345] {
            let sparse = Table::sized(KIND, n * 6);
            for (samples, first) in [(Samples::All, 40), (Samples::One, 64), (Samples::One, 40)] {
                let found = find(n, sparse, samples, first);
                assert_eq!((found.table, found.rest), (sparse, 0), "{n} {samples:?}");
                assert_eq!(found.fit, Fit::Chance);
            }
            let same = find(n, Table::grown(KIND, n), Samples::All, 40);
            assert_eq!(same.fit, Fit::Same);
        }
    }

    /// Hashes of 5,000 to 25,000 fields on Valkey 9.1 that grew before our eyes: one look in twenty
    /// made the table of one 45% larger.
    #[test]
    fn chance_does_not_make_another_table() {
        const BUCKETS: Kind = Kind::Buckets;
        for n in (5_001..25_000).step_by(487) {
            let now = Table::grown(BUCKETS, n);
            let base = |table: Table| 72 + table.bytes(BUCKETS, n);
            for (children, first) in [(-9, 16), (-2, 24), (1, 32), (4, 40), (11, 64)] {
                let sought = Sought {
                    n,
                    usage: Usage {
                        bytes: (base(now) + n * first).saturating_add_signed(64 * children),
                        samples: Samples::One,
                    },
                    elements_slack: 0,
                    table_slack: 1_500,
                };
                let weigh = |table, rest| shift(base(table) + n * 36, rest);
                let found = sought.find(BUCKETS, now, weigh, base);
                assert_eq!(found.table, now, "{n} {children} {first}");
            }
        }
    }

    #[test]
    fn a_table_on_the_move_is_two() {
        let n = 300;
        let mut moving = Table::grown(KIND, 256);
        moving.insert(KIND, 256, 1);
        let found = find(n, moving, Samples::All, 40);
        assert_eq!(found.table.bytes(KIND, n), moving.bytes(KIND, n));
        assert_eq!(found.fit, Fit::Chance);
    }

    /// Three members are left of many, and four came while the table was still shrinking.
    #[test]
    fn a_table_that_shrank_too_far_is_known() {
        let mut shrinking = Table::sized(KIND, 32);
        shrinking.remove(KIND, 3);
        assert_eq!(shrinking.buckets(), 32 + 4);
        let found = find(7, shrinking, Samples::All, 40);
        assert_eq!((found.fit, found.rest), (Fit::Chance, 0));
        assert_eq!(found.table.buckets(), 32 + 4);
    }

    /// Averages in doubles lose a byte at some numbers of elements.
    #[test]
    fn what_was_walked_is_met_to_the_byte() {
        let profile = Profile::defaults(Family::Redis, Version::new(7, 0));
        let sizes = Sizes::of(&profile);
        let mut lost = 0;
        for n in 3..400 {
            let table = Table::grown(KIND, n);
            let whole = |blocks: u64| sizes.skiplist(table, n, blocks * 1000);
            let ours = 72 * n + 8;
            for theirs in (72 * n..72 * n + 80).step_by(8) {
                lost += u64::from(whole(theirs) % 8 > 0);
                let usage = Usage {
                    bytes: whole(theirs),
                    samples: Samples::All,
                };
                let found = sizes.fit_skiplist(table, n, ours * 1000, usage);
                assert_eq!(found.table, table);
                let fitted = whole(shift(ours, found.rest));
                assert_eq!(fitted, usage.bytes, "{n} {theirs}");
            }
        }
        assert!(lost > 100, "{lost}");
    }

    #[test]
    fn what_no_table_explains_is_odd_and_taken_all_the_same() {
        let n = 100;
        let sought = Sought {
            n,
            usage: Usage {
                bytes: 10_000,
                samples: Samples::All,
            },
            elements_slack: 0,
            table_slack: 0,
        };
        let weigh = |table: Table, rest| shift(4072 + table.bytes(KIND, n), rest);
        let found = sought.find(KIND, Table::grown(KIND, n), weigh, |_| 0);
        assert_eq!(found.fit, Fit::Odd);
        assert_eq!(difference(10_000, weigh(found.table, 0)), found.rest);
    }
}
