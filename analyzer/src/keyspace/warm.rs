//! Lookups that wait together: a keyspace is far larger than the caches, so that a lookup waits for
//! memory three or four times. The keys of the next commands are looked up all at once before the
//! commands are applied one by one, which lets those waits overlap.

use std::hint::black_box;

use crate::keyspace::Keyspace;
use crate::store::Spot;

/// Keys that are looked up together: more would push each other out of the caches.
pub const WARM_KEYS: usize = 32;

impl Keyspace {
    /// Brings what commands on these keys will read into the caches: their databases, and the digests
    /// of their names. At most [`WARM_KEYS`] are of use. One step of all of them comes after the
    /// other: no step of one key has to wait until the memory has answered for another. Each step is
    /// short, so that the processor gets to the next keys while it waits.
    pub fn warm(&self, keys: impl Iterator<Item = (u32, u64)>) {
        let mut of_db = None;
        let mut spots = Vec::with_capacity(WARM_KEYS);
        for (number, digest) in keys.take(WARM_KEYS) {
            let db = match of_db {
                Some((known, db)) if known == number => Some(db),
                _ => self.live.db(number),
            };
            if let Some(db) = db {
                of_db = Some((number, db));
                spots.push(db.table.spot(digest));
            }
        }
        let sum = spots.iter().fold(0, |sum, spot| sum ^ spot.touch_page());
        let sum = spots.iter().fold(sum, |sum, spot| sum ^ spot.touch_tags());
        spots.iter_mut().for_each(Spot::seek);
        let sum = spots
            .iter()
            .fold(sum, |sum, spot| sum ^ spot.touch_record());
        black_box(sum);
    }
}
