//! A full sync: a second generation is built beside the live one and takes its place at the end.
//!
//! ```text
//! parts -> value -> Stage: record, into a batch of neighbours -> Filler: into the pages
//! ```
//!
//! The two halves share nothing but the batches that go from one to the other. The second takes each
//! as soon as it is full, here or, in a large load, beside the first (`fill`).

use crate::command::{Doubt, Entry};
use crate::input::{Key, Part, Source};
use crate::keyspace::batch::{BATCH_BYTES, BATCHES_LEVEL};
use crate::keyspace::db::Pulse;
use crate::keyspace::degrade::{Ease, Share, strip};
use crate::keyspace::fill::{Filler, Filling, Hire};
use crate::keyspace::image::{Image, unsaid};
use crate::keyspace::stage::{Finished, Head, Stage};
use crate::store::packing;
use crate::store::record::{Body, Form};
use crate::store::weigh::{Scale, Seated};
use crate::value::elements::Stay;
use crate::value::string::{Holder, Str};
use crate::value::{Bare, Value};

/// Most keys that room is made for before they come, whatever is announced: 11 MiB of empty pages.
const EXPECTED_MAX: u64 = 16 << 20;

/// Largest name buffer kept between keys, bytes.
const BUFFER_KEPT: usize = 64 * 1024;

/// A generation in the making.
#[derive(Debug)]
pub(crate) struct Loading {
    stage: Stage,
    filling: Filling,
    key: Option<Open>,
    image: Option<Image>,
    name: Vec<u8>,
    packed: Vec<u8>,
    /// Lent to the value under way.
    run: Vec<u8>,
    /// Keys that may still be announced: hints of all databases together are bounded.
    expectable: u64,
    /// Keys were weighed in more than one way.
    pub(crate) is_mixed: bool,
    /// Collections that came without elements.
    pub(crate) empty: u64,
    /// Keys with parts that did not fit their type.
    pub(crate) malformed: u64,
    /// Bytes of elements so far.
    pub(crate) collection_bytes: u64,
    /// Bytes of elements of the largest collection.
    pub(crate) largest: usize,
}

/// The key whose parts are coming; its name and value are beside it.
#[derive(Clone, Copy, Debug)]
struct Open {
    db: u32,
    expire_ms: Option<i64>,
    lru: u32,
}

impl Loading {
    pub(crate) fn new(seed: u64, filler: Filler, hire: Option<Hire>) -> Loading {
        Loading {
            stage: Stage::new(seed),
            filling: Filling::new(filler, hire),
            key: None,
            image: None,
            name: Vec::new(),
            packed: Vec::new(),
            run: Vec::new(),
            expectable: EXPECTED_MAX,
            is_mixed: false,
            empty: 0,
            malformed: 0,
            collection_bytes: 0,
            largest: 0,
        }
    }

    /// Keys so far.
    pub(crate) fn keys(&self) -> u64 {
        self.stage.keys_all()
    }

    /// From here on keys weigh differently, or at least may: `same` if they do not.
    pub(crate) fn set_scale(&mut self, scale: &Scale, same: bool) {
        self.is_mixed |= !same && self.keys() > 0;
        self.stage.set_scale(scale);
    }

    /// How much is kept, of what is loaded and from here on.
    pub(crate) fn ease(&mut self, ease: Ease) {
        // What waits may be large, too: it must be in its pages for the sweep to meet it.
        self.stage.flush(&mut self.filling);
        self.stage.set_ease(ease);
        self.stage.flush(&mut self.filling);
    }

    /// Which keys have records.
    pub(crate) fn share(&self) -> Share {
        self.stage.ease.share
    }

    /// Lets a part of so many bytes wait for its pages, which is slower than all that is worth it.
    fn stage_within(&mut self, bytes: u64) {
        /// What waits may take one part in so many.
        const PART: u64 = 8;
        let batches = (bytes / PART / BATCH_BYTES).max(1);
        self.stage.batches_level = batches.ilog2().min(BATCHES_LEVEL);
    }

    /// Folds as much of the keys that a database announces as does not fit into so many bytes: those
    /// that are left beside what was loaded so far.
    pub(crate) fn make_fit(&mut self, keys: u64, bytes: u64) {
        self.stage_within(bytes);
        let share = Share::fitting(keys, bytes);
        if share.one_in() > self.share().one_in() {
            self.ease(Ease {
                share,
                ..self.stage.ease
            });
        }
    }

    /// Makes pages for the keys that a database announces, as far as such hints are believed.
    pub(crate) fn expect(&mut self, db: u32, keys: u64) {
        let keys = (keys / self.share().one_in()).min(self.expectable);
        self.expectable -= keys;
        self.stage.expect(db, keys, &mut self.filling);
    }

    pub(crate) fn key(&mut self, key: &Key<'_>, pulse: &Pulse, scale: &Scale, seed: u64) {
        self.name.clear();
        self.name.extend_from_slice(key.name);
        let mut image = Image::new(key.shape, Source::Image, scale.profile(), seed);
        image.expect(key.count_hint, &mut self.run);
        self.image = Some(image);
        self.key = Some(Open {
            db: key.db,
            expire_ms: key.expire_ms,
            lru: pulse.loaded(key.idle_s, key.freq),
        });
    }

    #[inline]
    pub(crate) fn part(&mut self, part: &Part<'_>) {
        if let Some(image) = &mut self.image {
            image.part(part);
        }
    }

    pub(crate) fn end_key(&mut self, scale: &Scale) {
        let (Some(key), Some(image)) = (self.key.take(), self.image.take()) else {
            return;
        };
        self.malformed += u64::from(image.is_malformed());
        let name = std::mem::take(&mut self.name);
        let head = Head {
            db: key.db,
            name: &name,
            expire_ms: key.expire_ms,
            lru: key.lru,
        };
        match image.finish(name.len(), key.expire_ms, scale.profile()) {
            Some(entry) => self.entry(&head, entry, scale),
            None => self.empty += 1,
        }
        if name.capacity() <= BUFFER_KEPT {
            self.name = name;
        }
    }

    /// A key that holds a string, all at once: most keys do.
    #[inline]
    pub(crate) fn string(
        &mut self,
        key: &Key<'_>,
        (len, int): (u64, Option<i64>),
        pulse: &Pulse,
        scale: &Scale,
    ) {
        let holder = Holder {
            name: key.name.len() as u64,
            expires: key.expire_ms.is_some(),
        };
        let value = Str::loaded(len, int, holder, scale.profile());
        let seated = Seated {
            name: holder.name,
            expire_ms: key.expire_ms,
            seat: scale.loaded_seat(holder.name),
        };
        let mut doubt = unsaid(&Value::String(value));
        if scale.is_open(Form::of_str(&value), seated) {
            doubt = Doubt::Size;
        }
        let weight = scale.weigh_str(&value, seated, doubt);
        let head = Head {
            db: key.db,
            name: key.name,
            expire_ms: key.expire_ms,
            lru: pulse.loaded(key.idle_s, key.freq),
        };
        let value = Finished::Inside(Body::Str(value));
        self.stage.push(&head, &weight, value, &mut self.filling);
    }

    fn entry(&mut self, head: &Head<'_>, mut entry: Entry, scale: &Scale) {
        let name = head.name.len() as u64;
        let seated = Seated {
            name,
            expire_ms: head.expire_ms,
            seat: scale.loaded_seat(name),
        };
        let form = Form::of(entry.value.kind(), entry.value.encoding());
        if scale.is_open(form, seated) {
            entry.doubt(Doubt::Size);
        }
        let mut weight = scale.weigh_entry(&entry, name, seated.seat);
        self.packed.clear();
        let elements_max = self.stage.ease.elements_max;
        let value = if let Value::String(value) = &entry.value {
            Finished::Inside(Body::Str(*value))
        } else if packing::pack(&entry.value, &mut self.packed) {
            let memory = entry.value.memory(scale.profile());
            let goes = self.packed.len() > elements_max;
            let bare = goes
                .then(|| Bare::of(&entry.value, scale.profile()))
                .flatten();
            entry.value.give_back(Stay::Gone, &mut self.run);
            if let Some(bare) = bare {
                self.packed.clear();
                // As it is weighed from its record, which holds nothing of the elements.
                entry.value = Value::Bare(bare);
                weight = scale.weigh_entry(&entry, name, seated.seat);
            }
            self.collection_bytes += self.packed.len() as u64;
            self.largest = self.largest.max(self.packed.len());
            Finished::Inside(Body::Packed {
                count: weight.count,
                memory,
                packed: &self.packed,
            })
        } else {
            entry.value.give_back(Stay::Here, &mut self.run);
            match strip(&entry.value, elements_max, scale) {
                Some(bare) => {
                    entry.value = Value::Bare(bare);
                    weight = scale.weigh_entry(&entry, name, seated.seat);
                    Finished::Inside(Body::Packed {
                        count: bare.count,
                        memory: bare.memory,
                        packed: &[],
                    })
                }
                None => {
                    let bytes = entry.value.heap_bytes();
                    self.collection_bytes += bytes as u64;
                    self.largest = self.largest.max(bytes);
                    Finished::Apart(Box::new(entry))
                }
            }
        };
        self.stage.push(head, &weight, value, &mut self.filling);
    }

    /// Puts the waiting keys into their pages and ends the load.
    pub(crate) fn finish(&mut self) -> Option<Box<Filler>> {
        self.stage.flush(&mut self.filling);
        self.filling.finish()
    }

    /// Ends the load without the waiting keys.
    pub(crate) fn abort(&mut self) -> Option<Box<Filler>> {
        self.filling.finish()
    }
}
