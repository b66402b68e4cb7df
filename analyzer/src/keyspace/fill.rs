//! The second half of a load: batches are filled into the pages of a new generation.

use crate::keyspace::SlotOf;
use std::fmt;

use crate::keyspace::batch::{Apart, Batch, Sorted, Staged};
use crate::keyspace::db::{Db, Named};
use crate::keyspace::degrade::{Ease, Sweep};
use crate::keyspace::generation::Generation;
use crate::keyspace::stage::Drain;
use crate::store::record::{self, Record};
use crate::store::weigh::Scale;

/// Batches before a helper is looked for.
const PATIENCE: u32 = 32;

/// Keys whose pages are brought into the caches together.
const WINDOW: usize = 192;

/// A generation in the making. It needs nothing of the keyspace it is for, so that it may be filled
/// elsewhere than where the keys are made.
#[derive(Debug)]
pub struct Filler {
    pub(crate) generation: Generation,
    scale: Scale,
    sorted: Sorted,
    /// Keys that came twice.
    pub(crate) twice: u64,
    /// How much is kept.
    ease: Ease,
    sweep: Option<Sweep>,
}

/// Keys that are looked at beside every batch while detail is given up: more than it brings.
const SWEPT_BESIDE: usize = 4_000;

impl Filler {
    pub(crate) fn new(seed: u64, scale: &Scale, slot_of: Option<SlotOf>) -> Filler {
        Filler {
            generation: Generation::new(seed, slot_of),
            scale: scale.clone(),
            sorted: Sorted::default(),
            twice: 0,
            ease: Ease::NONE,
            sweep: None,
        }
    }

    /// Gives up detail, if that is to be.
    fn give_up_detail(&mut self, batch: &mut Batch) {
        if let Some(ease) = batch.ease.take() {
            self.ease = ease;
            self.generation.set_share(ease.share);
            self.sweep = Some(Sweep::default());
        }
        if let Some(folded) = batch.folded.take() {
            let db = self.generation.db_mut(batch.db);
            db.folded.get_or_insert_default().load(&folded);
        }
        if let Some(mut sweep) = self.sweep.take() {
            let done = sweep.step(&mut self.generation, self.ease, &self.scale, SWEPT_BESIDE);
            self.sweep = (!done).then_some(sweep);
        }
    }

    /// Fills the keys of a batch in, in the order of the batches, and empties it.
    pub fn fill(&mut self, batch: &mut Batch) {
        if let Some(scale) = batch.scale.take() {
            self.scale = *scale;
        }
        self.give_up_detail(batch);
        let db = self.generation.db_mut(batch.db);
        db.table.expect(std::mem::take(&mut batch.expected));
        db.totals.add(&std::mem::take(&mut batch.totals));
        batch.sort_into(&mut self.sorted);
        let mut work = Work {
            db,
            scale: &self.scale,
            batch,
            twice: 0,
        };
        for window in self.sorted.keys.chunks(WINDOW) {
            work.warm(window);
            let mut rest = window;
            while !rest.is_empty() {
                rest = work.page(rest);
            }
        }
        self.twice += work.twice;
        batch.clear();
    }
}

/// Somebody who fills batches in while the next ones are made: a thread, which this crate has none
/// of. It is given a [`Filler`] and calls [`Filler::fill`] with every batch, in order.
pub trait Helper: fmt::Debug + Send {
    /// Takes a batch and gives an empty one back. May wait while many batches are on their way.
    fn take(&mut self, batch: Batch) -> Batch;

    /// Waits until all batches are filled in and gives the filler back, unless that is lost.
    fn finish(self: Box<Self>) -> Option<Box<Filler>>;
}

/// Finds a helper; gives the filler back if there is none.
pub type Hire = fn(Box<Filler>) -> Result<Box<dyn Helper>, Box<Filler>>;

/// Where batches are filled in.
#[derive(Debug)]
pub(crate) enum Workplace {
    /// Where they are made.
    Here(Box<Filler>),
    /// Elsewhere, at the same time.
    Aside(Box<dyn Helper>),
    /// Between the two, and at the end.
    Left,
}

/// The second half of a load, wherever it is done.
#[derive(Debug)]
pub(crate) struct Filling {
    workplace: Workplace,
    hire: Option<Hire>,
    /// Batches before a helper is looked for: small loads need none.
    patience: u32,
}

impl Filling {
    pub(crate) fn new(filler: Filler, hire: Option<Hire>) -> Filling {
        Filling {
            workplace: Workplace::Here(Box::new(filler)),
            hire,
            patience: PATIENCE,
        }
    }

    fn look_for_help(&mut self) {
        self.patience = self.patience.saturating_sub(1);
        if self.patience > 0 {
            return;
        }
        let (Some(hire), Workplace::Here(_)) = (self.hire.take(), &self.workplace) else {
            return;
        };
        if let Workplace::Here(filler) = std::mem::replace(&mut self.workplace, Workplace::Left) {
            self.workplace = match hire(filler) {
                Ok(helper) => Workplace::Aside(helper),
                Err(filler) => Workplace::Here(filler),
            };
        }
    }

    /// The filler, when all batches are filled in.
    pub(crate) fn finish(&mut self) -> Option<Box<Filler>> {
        match std::mem::replace(&mut self.workplace, Workplace::Left) {
            Workplace::Here(filler) => Some(filler),
            Workplace::Aside(helper) => helper.finish(),
            Workplace::Left => None,
        }
    }
}

impl Drain for Filling {
    fn drain(&mut self, mut batch: Batch) -> Batch {
        self.look_for_help();
        match &mut self.workplace {
            Workplace::Here(filler) => {
                filler.fill(&mut batch);
                batch
            }
            Workplace::Aside(helper) => helper.take(batch),
            Workplace::Left => batch,
        }
    }
}

/// One batch on its way into the pages of one database.
struct Work<'a> {
    db: &'a mut Db,
    scale: &'a Scale,
    batch: &'a mut Batch,
    twice: u64,
}

impl Work<'_> {
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
            sum ^= table.spot(digest).touch_page();
        }
        for digest in pages() {
            sum ^= table.spot(digest).touch_tags();
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
            let digest = key.digest;
            self.db.remove_at(old, Named { name, digest }, self.scale);
        }
        self.db.totals.count_slot(name, key.bounds().bytes);
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
            self.db.totals.count_slot(name, bounds.bytes);
            self.db.table.find(key.digest, name)
        } else {
            let name = Record::short_name(record);
            self.db.totals.count_slot(name, bounds.bytes);
            self.db.table.find(key.digest, name)
        };
        if let Some(old) = found {
            self.twice += 1;
            let name = self.db.table.name(&self.db.table.record(old)).to_vec();
            let named = Named {
                name: &name,
                digest: key.digest,
            };
            self.db.remove_at(old, named, self.scale);
        }
        if let Some(name) = apart.name {
            let handle = self.db.table.keep_long_name(key.digest, name);
            record::set_name_handle(record, handle);
        }
        self.db.table.push(key.digest, record, bounds);
    }
}
