//! The second half of a load: batches are filled into the pages of a new generation.

use crate::keyspace::SlotOf;
use crate::keyspace::batch::{Apart, Batch, Sorted, Staged};
use crate::keyspace::db::Db;
use crate::keyspace::generation::Generation;
use crate::keyspace::stage::Drain;
use crate::store::record::{self, Record};
use crate::store::weigh::Scale;

/// Keys whose pages are brought into the caches together.
const WINDOW: usize = 192;

/// A generation in the making. It needs nothing of the keyspace it is for, so that it may be filled
/// elsewhere than where the keys are made.
#[derive(Debug)]
pub(crate) struct Filler {
    pub(crate) generation: Generation,
    scale: Scale,
    sorted: Sorted,
    /// Keys that came twice.
    pub(crate) twice: u64,
}

impl Filler {
    pub(crate) fn new(seed: u64, scale: &Scale, slot_of: Option<SlotOf>) -> Filler {
        Filler {
            generation: Generation::new(seed, slot_of),
            scale: scale.clone(),
            sorted: Sorted::default(),
            twice: 0,
        }
    }

    /// Fills the keys of a batch in, in the order of the batches, and empties it.
    pub(crate) fn fill(&mut self, batch: &mut Batch) {
        if let Some(scale) = batch.scale.take() {
            self.scale = *scale;
        }
        let db = self.generation.db_mut(batch.db);
        db.table.expect(std::mem::take(&mut batch.expected));
        db.totals.add(&std::mem::take(&mut batch.totals));
        batch.sort_into(&mut self.sorted);
        let mut filling = Filling {
            db,
            scale: &self.scale,
            batch,
            twice: 0,
        };
        for window in self.sorted.keys.chunks(WINDOW) {
            filling.warm(window);
            let mut rest = window;
            while !rest.is_empty() {
                rest = filling.page(rest);
            }
        }
        self.twice += filling.twice;
        batch.clear();
    }
}

impl Drain for Filler {
    fn drain(&mut self, mut batch: Batch) -> Batch {
        self.fill(&mut batch);
        batch
    }
}

struct Filling<'a> {
    db: &'a mut Db,
    scale: &'a Scale,
    batch: &'a mut Batch,
    twice: u64,
}

impl Filling<'_> {
    /// Touches the pages of some keys, one step of all of them after the other: no step of one page
    /// has to wait until the memory has answered for another.
    fn warm(&self, keys: &[u16]) {
        let table = &self.db.table;
        let pages = || {
            let pages = keys.iter().map(|&key| self.batch.key(key).digest);
            let mut last = usize::MAX;
            pages.filter(move |&digest| {
                let page = table.page_of(digest);
                std::mem::replace(&mut last, page) != page
            })
        };
        let mut sum = 0;
        for digest in pages() {
            sum ^= table.touch_page(digest);
        }
        for digest in pages() {
            sum ^= table.touch_tags(digest);
        }
        std::hint::black_box(sum);
    }

    /// Fills in the keys at the front that go to the same page; returns the others.
    fn page<'k>(&mut self, keys: &'k [u16]) -> &'k [u16] {
        let table = &self.db.table;
        let page_of = |key: u16| table.page_of(self.batch.key(key).digest);
        let page = page_of(keys[0]);
        let count = keys.iter().take_while(|&&key| page_of(key) == page).count();
        let (here, rest) = keys.split_at(count);
        let bytes = here.iter().map(|&key| self.batch.key(key).len()).sum();
        self.db.table.make_room(page, count, bytes);
        for &key in here {
            let key = self.batch.key(key);
            self.key(&key);
        }
        self.db.table.grow_to_load(self.scale);
        rest
    }

    #[inline]
    fn key(&mut self, key: &Staged) {
        if let Some(apart) = self.batch.take_apart(key) {
            return self.key_apart(key, apart);
        }
        let record = self.batch.record(key);
        let name = Record::short_name(record);
        if let Some(old) = self.db.table.find(key.digest, name) {
            self.twice += 1;
            self.db.remove_at(old, name, self.scale);
        }
        self.db.totals.count_slot(name, key.bounds().0);
        self.db.table.push(key.digest, record, key.bounds());
    }

    /// The same for a key with a long name or a large value.
    #[inline(never)]
    fn key_apart(&mut self, key: &Staged, apart: Apart) {
        let bounds = apart.bounds;
        let record = self.batch.record_mut(key);
        if let Some(entry) = apart.entry {
            let handle = self.db.table.large_mut().insert(entry);
            record::set_value_handle(record, handle);
        }
        let found = if let Some(name) = &apart.name {
            self.db.totals.count_slot(name, bounds.0);
            self.db.table.find(key.digest, name)
        } else {
            let name = Record::short_name(record);
            self.db.totals.count_slot(name, bounds.0);
            self.db.table.find(key.digest, name)
        };
        if let Some(old) = found {
            self.twice += 1;
            let name = self.db.table.name(&self.db.table.record(old)).to_vec();
            self.db.remove_at(old, &name, self.scale);
        }
        if let Some(name) = apart.name {
            let handle = self.db.table.keep_long_name(key.digest, name);
            record::set_name_handle(record, handle);
        }
        self.db.table.push(key.digest, record, bounds);
    }
}
