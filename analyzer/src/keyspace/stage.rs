//! The first half of a load: finished keys become records, and records gather in batches.

use crate::aggregate::Totals;
use crate::command::Entry;
use crate::keyspace::batch::{Apart, BATCHES_LEVEL, Batch, Spread};
use crate::keyspace::degrade::Ease;
use crate::store::LOAD_MAX;
use crate::store::record::{Body, Draft, NAME_MAX, Name};
use crate::store::weigh::{Scale, Weight};
use crate::text;

/// A key's name and what stands beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) db: u32,
    pub(crate) name: &'a [u8],
    pub(crate) expire_ms: Option<i64>,
    pub(crate) lru: u32,
}

/// The value of a finished key.
#[derive(Debug)]
pub(crate) enum Finished<'a> {
    /// It fits the record.
    Inside(Body<'a>),
    /// It does not.
    Apart(Box<Entry>),
}

/// Takes the batches that are full.
pub(crate) trait Drain {
    /// Takes one and gives an empty one back.
    fn drain(&mut self, batch: Batch) -> Batch;
}

/// Batches of one database; another database's keys begin when these are on their way.
#[derive(Debug)]
pub(crate) struct Stage {
    seed: u64,
    db: u32,
    spread: Spread,
    batches: Vec<Batch>,
    /// Keys of this database so far.
    keys: u64,
    /// Keys of those before it.
    keys_before: u64,
    /// Announced keys that no batch carries yet.
    expected: u64,
    /// Of the keys that no batch carries the totals of yet.
    totals: Totals,
    /// Formulas that no batch carries yet.
    scale: Option<Box<Scale>>,
    /// Of the folded keys that no batch carries the totals of yet.
    folded: Option<Box<Totals>>,
    /// Most batches, as a power of two.
    pub(crate) batches_level: u32,
    /// How much is kept.
    pub(crate) ease: Ease,
    /// No batch carries that yet.
    is_eased: bool,
}

impl Stage {
    pub(crate) fn new(seed: u64) -> Stage {
        Stage {
            seed,
            db: 0,
            spread: Spread::default(),
            batches: Vec::new(),
            keys: 0,
            keys_before: 0,
            expected: 0,
            totals: Totals::default(),
            scale: None,
            folded: None,
            batches_level: BATCHES_LEVEL,
            ease: Ease::NONE,
            is_eased: false,
        }
    }

    /// From here on so much is kept.
    pub(crate) fn set_ease(&mut self, ease: Ease) {
        self.ease = ease;
        self.is_eased = true;
    }

    /// Keys so far.
    pub(crate) fn keys_all(&self) -> u64 {
        self.keys_before + self.keys
    }

    /// A database with so many keys begins.
    pub(crate) fn expect(&mut self, db: u32, keys: u64, drain: &mut impl Drain) {
        self.turn_to(db, drain);
        if self.keys == 0 {
            self.expected = keys;
            self.spread(Spread::of_pages(keys / LOAD_MAX, self.batches_level), drain);
        }
    }

    /// From here on keys weigh differently.
    pub(crate) fn set_scale(&mut self, scale: &Scale) {
        self.scale = Some(Box::new(scale.clone()));
    }

    /// Takes a finished key.
    #[inline]
    pub(crate) fn push(
        &mut self,
        head: &Head<'_>,
        weight: &Weight,
        value: Finished<'_>,
        drain: &mut impl Drain,
    ) {
        if head.db != self.db {
            self.turn_to(head.db, drain);
        }
        let digest = text::digest(head.name, self.seed);
        if !self.ease.share.keeps(digest) {
            let folded = self.folded.get_or_insert_default();
            folded.turn(head.name, None, Some(weight));
            self.keys += 1;
            return;
        }
        let mut draft = Draft {
            form: weight.form,
            doubt: weight.doubt,
            lru: head.lru,
            expire_ms: head.expire_ms,
            seat: weight.seat,
            extra: 0,
            name: Name::Here(head.name),
            // Handles are known when the key is filled in.
            body: Body::Elsewhere(0),
        };
        let mut apart = None;
        match value {
            Finished::Inside(body) => draft.body = body,
            Finished::Apart(entry) => {
                apart = Some(Apart {
                    entry: Some(entry),
                    ..Apart::default()
                });
            }
        }
        if head.name.len() > NAME_MAX {
            draft.name = Name::Elsewhere(0);
            apart.get_or_insert_default().name = Some(head.name.into());
        }
        self.totals.turn(head.name, None, Some(weight));
        self.make_batches();
        let number = self.spread.batch_of(digest);
        let batch = &mut self.batches[number];
        batch.push(digest, &draft, weight, apart);
        self.keys += 1;
        if batch.is_full() {
            self.emit(number, drain);
            self.widen(drain);
        }
    }

    /// More keys than were announced: spreads the next ones wider.
    fn widen(&mut self, drain: &mut impl Drain) {
        let pages = self.keys / LOAD_MAX;
        if pages >= 2 * self.spread.pages() {
            self.spread(Spread::of_pages(pages, self.batches_level), drain);
        }
    }

    fn spread(&mut self, spread: Spread, drain: &mut impl Drain) {
        if spread != self.spread {
            // A key that comes twice must not overtake itself.
            self.flush(drain);
            self.spread = spread;
            self.batches.clear();
        }
    }

    fn turn_to(&mut self, db: u32, drain: &mut impl Drain) {
        if db != self.db {
            self.flush(drain);
            self.spread(Spread::default(), drain);
            self.db = db;
            self.keys_before += std::mem::take(&mut self.keys);
            self.expected = 0;
        }
    }

    /// Sends everything on its way.
    pub(crate) fn flush(&mut self, drain: &mut impl Drain) {
        if self.folded.is_some() || self.is_eased {
            self.make_batches();
            self.emit(0, drain);
        }
        for number in 0..self.batches.len() {
            if !self.batches[number].is_empty() {
                self.emit(number, drain);
            }
        }
    }

    #[inline]
    fn make_batches(&mut self) {
        if self.batches.is_empty() {
            self.batches
                .resize_with(self.spread.batches(), Batch::default);
        }
    }

    fn emit(&mut self, number: usize, drain: &mut impl Drain) {
        let mut batch = std::mem::take(&mut self.batches[number]);
        batch.db = self.db;
        batch.spread = self.spread;
        batch.expected = std::mem::take(&mut self.expected);
        batch.totals = std::mem::take(&mut self.totals);
        batch.scale = self.scale.take();
        batch.folded = self.folded.take();
        batch.ease = std::mem::take(&mut self.is_eased).then_some(self.ease);
        self.batches[number] = drain.drain(batch);
    }
}
