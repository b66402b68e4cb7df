//! Words that became heavy after the tree was learned.
//!
//! At a place that is open an unknown word is `*`, however many keys come with it. Of every few new
//! keys one is looked at: its first such word is counted by the scheme of Misra and Gries, in a table
//! that is small and forgets what is rare. A word that has a good share of its place's keys by that
//! count, which is never too high, is a reason to learn the tree anew.

/// Words that are counted at once.
const WORDS_MAX: usize = 64;

/// One new key in so many is looked at.
const EVERY: u64 = 8;

/// Keys that came with a word that is worth it.
const KEYS_MIN: u64 = 64;

/// What came with one word.
#[derive(Clone, Copy, Debug)]
struct Word {
    /// Fingerprint of the word at its place.
    print: u64,
    place: u32,
    keys: u64,
}

/// The counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Hitters {
    new: u64,
    words: Vec<Word>,
}

impl Hitters {
    /// A new key came; true if it is to be looked at.
    #[inline]
    pub(super) fn is_next(&mut self) -> bool {
        self.new += 1;
        self.new.is_multiple_of(EVERY)
    }

    /// A key came with that word at a place where it is unknown.
    pub(super) fn note(&mut self, place: u32, print: u64) {
        if let Some(word) = self.words.iter_mut().find(|word| word.print == print) {
            word.keys += EVERY;
        } else if self.words.len() < WORDS_MAX {
            self.words.push(Word {
                print,
                place,
                keys: EVERY,
            });
        } else {
            for word in &mut self.words {
                word.keys -= EVERY;
            }
            self.words.retain(|word| word.keys > 0);
        }
    }

    /// The places with heavy words, and how many keys came with those at least.
    pub(super) fn heavy(&self) -> impl Iterator<Item = (u32, u64)> {
        let words = self.words.iter().filter(|word| word.keys >= KEYS_MIN);
        words.map(|word| (word.place, word.keys))
    }

    /// Bytes allocated.
    pub(super) fn heap_bytes(&self) -> usize {
        self.words.capacity() * size_of::<Word>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_among_many_is_noticed_and_many_alone_are_not() {
        let mut hitters = Hitters::default();
        for n in 0..100_000 {
            hitters.note(3, n);
        }
        assert_eq!(hitters.heavy().count(), 0);
        for n in 0..10_000 {
            hitters.note(3, if n % 10 == 0 { 7 } else { 1_000_000 + n });
        }
        let heavy: Vec<(u32, u64)> = hitters.heavy().collect();
        assert!(
            matches!(heavy[..], [(3, keys)] if keys <= 1000 * EVERY),
            "{heavy:?}"
        );
    }
}
