//! The sums over the elements of one collection, from all of them or from the first of many.

use super::SAMPLE_MAX;

/// Sums over the elements that were looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Survey {
    /// Elements in all.
    count: u64,
    seen: u64,
    /// Every one is an integer.
    pub(super) integers: bool,
    /// Bytes of the longest text.
    pub(super) longest: u64,
    /// What they are now, in the unit of the form that they are in.
    now: u64,
    /// Their entries in a packed blob.
    entries: u64,
    /// Their blocks beside a table.
    blocks: u64,
}

/// One element's part of a [`Survey`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    pub(super) integer: bool,
    pub(super) longest: u64,
    pub(super) now: u64,
    pub(super) entry: u64,
    pub(super) block: u64,
}

impl Survey {
    pub(super) fn new(count: u64) -> Survey {
        Survey {
            count,
            seen: 0,
            integers: true,
            longest: 0,
            now: 0,
            entries: 0,
            blocks: 0,
        }
    }

    /// Takes one element; false if no more are wanted.
    pub(super) fn take(&mut self, part: Part) -> bool {
        self.seen += 1;
        self.integers &= part.integer;
        self.longest = self.longest.max(part.longest);
        self.now += part.now;
        self.entries += part.entry;
        self.blocks += part.block;
        self.seen < SAMPLE_MAX
    }

    /// True if some elements stand for all.
    pub(super) fn is_sample(&self) -> bool {
        self.seen < self.count
    }

    /// Entries of all in a packed blob; `known` is what all are now, in the unit of `Part::now`.
    pub(super) fn entries(&self, known: u64) -> u64 {
        self.whole(self.entries, known)
    }

    /// Blocks of all beside a table, likewise.
    pub(super) fn blocks(&self, known: u64) -> u64 {
        self.whole(self.blocks, known)
    }

    /// What is known of all times the ratio of what was seen, which is surer than a mean.
    fn whole(&self, seen: u64, known: u64) -> u64 {
        if !self.is_sample() || self.now == 0 {
            return seen;
        }
        let whole = u128::from(known) * u128::from(seen) / u128::from(self.now);
        u64::try_from(whole).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_elements_stand_for_many() {
        let mut survey = Survey::new(SAMPLE_MAX * 3);
        let part = Part {
            integer: true,
            longest: 9,
            now: 10,
            entry: 4,
            block: 20,
        };
        while survey.take(part) {}
        assert!(survey.is_sample());
        assert_eq!(survey.blocks(SAMPLE_MAX * 30), SAMPLE_MAX * 60);
        let mut few = Survey::new(2);
        assert!(few.take(part) && few.take(part));
        assert!(!few.is_sample());
        // The sum itself, not a ratio to what was kept.
        assert_eq!(few.entries(1000), 8);
    }
}
