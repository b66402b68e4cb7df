//! Words that became heavy after the tree was learned.
//!
//! At a place that is open an unknown word is `*`, however many keys come with it. Of every few new
//! keys one is looked at: its first such word is counted by the scheme of Misra and Gries, in a table
//! that is small and forgets what is rare. A word that has a good share of its place's keys by that
//! count, which is never too high, is a reason to learn the tree anew.
//!
//! What is counted is keys that came. A name that is deleted and made again all the time, such as a
//! lock, is heavy by that and has one key: learning does not keep its word, and it would be learned
//! for again and again. So each time that a heavy word was the reason, the next one has to wait for
//! twice as many new keys; that is forgotten when none was heavy for long.

/// Words that are counted at once.
const WORDS_MAX: usize = 64;

/// One new key in so many is looked at.
const EVERY: u64 = 8;

/// Keys that came with a word that is worth it.
const KEYS_MIN: u64 = 64;

/// New keys that a heavy word has to wait for once it was learned for, as one part in so many of all
/// keys; then twice as many, and so on.
const WAIT_SHARE: u64 = 16;

/// How often that is doubled at most.
const DOUBLED_MAX: u32 = 16;

/// So many times the new keys that were to be waited for came before a word was heavy: it is another.
const FORGET: u64 = 64;

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
    /// How often in a row the tree was learned for heavy words.
    learned: u32,
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

    /// New keys that heavy words are waited for, of so many keys.
    fn wait(&self, keys: u64) -> u64 {
        match self.learned.checked_sub(1) {
            Some(doubled) => (keys / WAIT_SHARE).max(KEYS_MIN) << doubled.min(DOUBLED_MAX),
            None => 0,
        }
    }

    /// True if heavy words were waited for long enough, of so many keys.
    pub(super) fn is_patient(&self, keys: u64) -> bool {
        self.new >= self.wait(keys)
    }

    /// Those of a tree that is learned in place of this one's, for a heavy word or not.
    pub(super) fn next(&self, keys: u64, for_heavy: bool) -> Hitters {
        let waited = self.wait(keys);
        let learned = match for_heavy {
            true if self.learned > 0 && self.new / FORGET >= waited => 1,
            true => self.learned.saturating_add(1),
            false => self.learned,
        };
        Hitters {
            learned,
            ..Hitters::default()
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

    #[test]
    fn learning_in_vain_is_put_off_longer_each_time() {
        let (keys, mut hitters) = (1_600_000, Hitters::default());
        let mut waited = Vec::new();
        for _ in 0..5 {
            let mut new = 0;
            while !hitters.is_patient(keys) {
                hitters.is_next();
                new += 1;
            }
            waited.push(new);
            hitters = hitters.next(keys, true);
        }
        assert_eq!(waited, [0, 100_000, 200_000, 400_000, 800_000]);
        // A quiet time: the next heavy word is another one.
        hitters.new = u64::MAX;
        assert_eq!(hitters.next(keys, true).wait(keys), 100_000);
        assert_eq!(hitters.next(keys, false).learned, 5);
    }
}
