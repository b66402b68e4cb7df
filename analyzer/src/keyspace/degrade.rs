//! Giving up detail for want of memory, in an order that keeps every answer true, and getting it
//! back.
//!
//! ```text
//! all ---- largest collections lose their elements ----> counts ---- keys are folded ----> a share
//!     <--- values are read again (DUMP), rate-limited --        <--- all keys gone, or a load ----
//! ```
//!
//! **Counts.** A collection that takes more than `elements_max` becomes [`Bare`]: type, encoding,
//! count, bytes and expiry stay and are exact until it is written. A write to it raises
//! [`Doubt::Value`](crate::command::Doubt), and while elements are not wanted the doubt is settled
//! by asking for the count and the encoding ([`Keyspace::counts_only`]), from when on the bytes are
//! the former mean times the count. When elements are wanted again, every bare collection is put in
//! doubt and read.
//!
//! **A share.** Which keys stay is decided by digest alone: one in `2^bits`. So what the stream says
//! of a key that has no record is never misread: outside the share it was folded, inside it is not
//! there. The kept keys stay as exact as ever. Of the others there are sums by type and encoding
//! ([`Folded`](crate::aggregate::Folded)): exact when folded, estimates after. The number of keys is
//! the server's own, whenever [`Keyspace::take_counts`] hears it. No name is kept, so only two
//! things bring detail back: the server has no key outside the share any more, or a load.
//!
//! What is folded is freed by a sweep, some pages at a time; until it comes by, a key outside the
//! share that has a record is as exact as any other, unless it is written, which folds it. Every step
//! is bounded, so is what is left: with few enough keys in the share the model fits any cap, and a load
//! that cannot fit even so ends with sums.

use std::collections::BTreeMap;

use crate::census::Portion;
use crate::command::Doubt;
use crate::flows::Cause;
use crate::keyspace::db::{Db, Named};
use crate::keyspace::generation::Generation;
use crate::keyspace::{Counted, Keyspace};
use crate::store::Place;
use crate::store::record::{Body, Draft, Form, Record};
use crate::store::weigh::Scale;
use crate::value::{Bare, Kind, Value};

/// Smallest share: one key in so many, as a power of two.
pub const SHARE_BITS_MAX: u8 = 16;

/// Where in a digest the bits of the share stand: pages, tags and batches use others.
const SHARE_SHIFT: u32 = 32;

/// Bytes that the record of a small key takes, with its part of a page, at the least.
const KEY_BYTES: u64 = 40;

/// Which keys have records: one in `2^bits`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    bits: u8,
}

impl Share {
    pub(crate) const ALL: Share = Share { bits: 0 };

    /// One key in so many.
    pub(crate) fn one_in(self) -> u64 {
        1 << self.bits
    }

    /// True if some keys are left out.
    #[inline]
    pub(crate) fn is_partial(self) -> bool {
        self.bits > 0
    }

    /// True if a key of that digest has a record.
    #[inline]
    pub(crate) fn keeps(self, digest: u64) -> bool {
        (digest >> SHARE_SHIFT) & (self.one_in() - 1) == 0
    }

    /// Half of it; `None` if it cannot be smaller.
    pub(crate) fn halved(self) -> Option<Share> {
        (self.bits < SHARE_BITS_MAX).then(|| Share {
            bits: self.bits + 1,
        })
    }

    /// The largest share of so many keys that fits into so many bytes.
    pub(crate) fn fitting(keys: u64, bytes: u64) -> Share {
        let fits = |bits: &u8| (keys >> bits).saturating_mul(KEY_BYTES) <= bytes;
        let bits = (0..SHARE_BITS_MAX).find(fits);
        Share {
            bits: bits.unwrap_or(SHARE_BITS_MAX),
        }
    }
}

/// How much is kept of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ease {
    pub(crate) share: Share,
    /// Bytes that the elements of one collection may take.
    pub(crate) elements_max: usize,
}

impl Ease {
    pub(crate) const NONE: Ease = Ease {
        share: Share::ALL,
        elements_max: usize::MAX,
    };
}

/// A way through all records, to make them what the rules say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sweep {
    db: u32,
    page: usize,
    /// Something was changed in this round, so pages may have moved.
    found: bool,
}

impl Sweep {
    /// Looks at about `budget` keys; true if nothing is left to be changed.
    pub(crate) fn step(
        &mut self,
        generation: &mut Generation,
        ease: Ease,
        scale: &Scale,
        budget: usize,
    ) -> bool {
        let mut met = 0;
        while met < budget {
            let Some(number) = generation.from(self.db).next().map(|(number, _)| number) else {
                if !self.found {
                    return true;
                }
                *self = Sweep::default();
                met += 1;
                continue;
            };
            if number != self.db {
                (self.db, self.page) = (number, 0);
            }
            let db = generation.db_mut(number);
            if self.page >= db.table.pages() {
                (self.db, self.page) = (number.saturating_add(1), 0);
                met += 1;
                continue;
            }
            met += 1 + db.table.page(self.page).len();
            self.found |= ease_page(db, self.page, ease, scale);
            self.page += 1;
        }
        false
    }
}

/// Makes the records of a page what the rules say; true if any was changed.
fn ease_page(db: &mut Db, page: usize, ease: Ease, scale: &Scale) -> bool {
    let mut changed = false;
    let slots = db.table.page(page).len();
    for slot in (0..slots).rev() {
        // Removing records may have merged pages.
        if page >= db.table.pages() || slot >= db.table.page(page).len() {
            continue;
        }
        let place = Place { page, slot };
        let record = db.table.record(place);
        let digest = db.table.digest_of(&record);
        if ease.share.is_partial() && !ease.share.keeps(digest) {
            let name = db.table.name(&record).to_vec();
            let key = Named {
                name: &name,
                digest,
            };
            db.fold_at(place, key, scale);
            changed = true;
        } else {
            changed |= ease_value(db, place, ease, scale);
        }
    }
    changed
}

impl Db {
    /// True if a key that is written is folded, or never was. One that the sweep has not come to is
    /// folded first: what happens to kept keys stands for all others, so that what happens to those
    /// must not be counted beside it.
    #[inline]
    pub(in crate::keyspace) fn folds(
        &mut self,
        key: Named<'_>,
        share: Share,
        scale: &Scale,
    ) -> bool {
        let folds = share.is_partial() && !share.keeps(key.digest);
        if folds {
            self.fold(key, scale);
        }
        folds
    }

    #[cold]
    fn fold(&mut self, key: Named<'_>, scale: &Scale) {
        if let Some(place) = self.table.find(key.digest, key.name) {
            self.fold_at(place, key, scale);
        }
    }

    /// Makes the key of that name at `place` a part of the sums.
    fn fold_at(&mut self, place: Place, key: Named<'_>, scale: &Scale) {
        if let Some(weight) = self.remove_at(place, key, scale).before {
            let folded = self.folded.get_or_insert_default();
            folded.fold(key.name.len() as u64, &weight);
        }
    }
}

/// Takes the elements from a collection that has too many, or doubts one that is to have them back;
/// true if that made its record another size. A doubt does not, and may be raised again and again: of
/// a value that is too large to be read only the count is asked.
fn ease_value(db: &mut Db, place: Place, ease: Ease, scale: &Scale) -> bool {
    let record = db.table.record(place);
    let Some((doubt, bare)) = eased(db, &record, ease, scale) else {
        return false;
    };
    let before = db.table.weigh(&record, scale);
    let is_bare = matches!(record.body(), Body::Packed { packed, .. } if packed.is_empty());
    let mut out = Vec::new();
    Draft {
        form: Form::of(bare.kind, bare.encoding),
        doubt,
        lru: record.lru,
        expire_ms: record.expire_ms,
        seat: record.seat,
        extra: record.extra,
        name: record.name,
        body: Body::Packed {
            count: bare.count,
            memory: bare.memory,
            packed: &[],
        },
    }
    .write(&mut out);
    let name = db.table.name(&record).to_vec();
    let digest = db.table.digest_of(&record);
    if let Body::Elsewhere(handle) = record.body() {
        db.table.large_mut().remove(handle);
    }
    let after = db.table.weigh(&Record::read(&out), scale);
    db.table.overwrite(place, &out, &after);
    let key = Named {
        name: &name,
        digest,
    };
    db.turn(key, Some(before), Some(after));
    !is_bare
}

/// What becomes of a record under the rules; `None` if it stays as it is.
fn eased(db: &Db, record: &Record<'_>, ease: Ease, scale: &Scale) -> Option<(Doubt, Bare)> {
    let (kind, encoding) = (record.form.kind(), record.form.encoding());
    match record.body() {
        Body::Str(_) => None,
        Body::Packed {
            count,
            memory,
            packed,
        } => {
            let bare = Bare {
                kind,
                encoding,
                count,
                memory,
            };
            let lost = packed.is_empty() && ease.elements_max == usize::MAX;
            let comes_back = lost && record.doubt != Doubt::Value;
            let goes = packed.len() > ease.elements_max;
            if kind == Kind::Module || count == 0 {
                return None;
            }
            let doubt = if comes_back {
                Doubt::Value
            } else {
                record.doubt
            };
            (comes_back || goes).then_some((doubt, bare))
        }
        Body::Elsewhere(handle) => {
            let entry = db.table.large().get(handle)?;
            let bare = strip(&entry.value, ease.elements_max, scale)?;
            Some((record.doubt, bare))
        }
    }
}

/// What is left of a value that takes more than it may; `None` if it does not.
pub(crate) fn strip(value: &Value, elements_max: usize, scale: &Scale) -> Option<Bare> {
    if elements_max == usize::MAX || value.heap_bytes() <= elements_max {
        return None;
    }
    Bare::of(value, scale.profile())
}

/// How much detail a keyspace has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detail {
    /// One key in so many has a record of its own; 1 if all have.
    pub one_in: u64,
    /// Keys without a record, as far as is known.
    pub folded: u64,
    /// Keys with one: those of the share, and what is outside it and was not swept yet.
    pub records: u64,
    /// Collections without the records of their elements.
    pub bare: u64,
    /// Bytes that the elements of a collection may take; `None` if any number.
    pub elements_max: Option<usize>,
}

impl Detail {
    /// True if anything was given up.
    pub fn is_degraded(&self) -> bool {
        self.one_in > 1 || self.bare > 0
    }

    /// What some keys with a record come to for all keys: an estimate where some have none. Keys are
    /// swept in the order of their digests, so that those with a record are a fair sample of all also
    /// while a sweep is under way, when there are more of them than one in `one_in`.
    pub fn for_all(&self, part: u64) -> u64 {
        if self.folded == 0 || self.records == 0 {
            return part;
        }
        let records = u128::from(self.records);
        let all = records + u128::from(self.folded);
        let whole = (u128::from(part) * all + records / 2) / records;
        u64::try_from(whole).unwrap_or(u64::MAX)
    }

    /// A sum over all keys that came of [`Detail::for_all`], where `key` is known to be one key's own
    /// part of it: that stands for no others, which matters where it is large.
    pub fn beside(&self, all: u64, key: u64) -> u64 {
        all.saturating_sub(self.for_all(key)).saturating_add(key)
    }
}

impl Default for Detail {
    fn default() -> Detail {
        Detail {
            one_in: 1,
            folded: 0,
            records: 0,
            bare: 0,
            elements_max: None,
        }
    }
}

impl Keyspace {
    /// How much detail there is.
    pub fn detail(&self) -> Detail {
        let live = self.live();
        let folded = live.all().map(|(_, db)| db.folded_keys(live.share()));
        Detail {
            one_in: live.share().one_in(),
            folded: folded.fold(0, u64::saturating_add),
            records: live.keys(),
            bare: live.all().map(|(_, db)| db.totals.bare).sum(),
            elements_max: (self.elements_max != usize::MAX).then_some(self.elements_max),
        }
    }

    /// False for a key of which nothing can be said: it was folded, or never was.
    pub fn knows(&self, db: u32, name: &[u8]) -> bool {
        let share = self.live().share();
        if !share.is_partial() {
            return true;
        }
        let digest = crate::text::digest(name, self.seed());
        let table = self.live().db(db).map(|db| &db.table);
        share.keeps(digest) || table.is_some_and(|table| table.find(digest, name).is_some())
    }

    /// Bytes that the elements of one collection may take from now on; `None`: any number. What has
    /// more loses them as [`Keyspace::sweep`] comes by.
    pub fn limit_elements(&mut self, bytes: Option<usize>) {
        self.elements_max = bytes.unwrap_or(usize::MAX);
        self.sweep = Some(Sweep::default());
        self.ease_loading();
    }

    /// Halves the share of keys that have records: of the load, if one is under way, and else of the
    /// live generation. False if it cannot be smaller. [`Keyspace::sweep`] frees the others.
    pub fn fold(&mut self) -> bool {
        let share = match &self.loading {
            Some(loading) => loading.share(),
            None => self.live.share(),
        };
        let Some(halved) = share.halved() else {
            return false;
        };
        if let Some(loading) = &mut self.loading {
            loading.ease(Ease {
                share: halved,
                elements_max: self.elements_max,
            });
            return true;
        }
        // What happened until now was of the share as it was.
        self.close_flows();
        self.live.settle_folded();
        self.live.set_share(halved);
        self.sweep = Some(Sweep::default());
        true
    }

    fn ease_loading(&mut self) {
        if let Some(loading) = &mut self.loading {
            let share = loading.share();
            loading.ease(Ease {
                share,
                elements_max: self.elements_max,
            });
        }
    }

    /// Begins a sweep of what was loaded, if anything is to be given up or to be had back.
    pub(super) fn begin_sweep(&mut self) {
        let is_whole = self.ease() == Ease::NONE && !self.detail().is_degraded();
        self.sweep = (!is_whole).then(Sweep::default);
    }

    fn ease(&self) -> Ease {
        Ease {
            share: self.live.share(),
            elements_max: self.elements_max,
        }
    }

    /// True if there is something for [`Keyspace::sweep`] to do.
    pub fn is_sweeping(&self) -> bool {
        self.sweep.is_some()
    }

    /// Frees what is not to be kept any more, looking at about `budget` keys; 10,000 are some
    /// milliseconds. True if nothing is left.
    pub fn sweep(&mut self, budget: usize) -> bool {
        let Some(mut sweep) = self.sweep.take() else {
            return true;
        };
        let ease = self.ease();
        let done = sweep.step(&mut self.live, ease, &self.scale, budget);
        if !done {
            self.sweep = Some(sweep);
        }
        done
    }

    /// Drops the live generation: its memory is wanted for the load that is under way.
    pub fn forget(&mut self) {
        self.close_flows();
        let before = self.live.total();
        self.flows
            .cause(Cause::Resynced, before, Portion::default());
        let dbs = self.live.take_all();
        self.gauge.restart();
        self.retired.extend(dbs);
        self.live.set_share(Share::ALL);
        self.wants = crate::keyspace::Wants::new(self.seed);
        self.suspicions.clear();
        self.sweep = None;
    }

    /// Bytes that the keys take: those of the load that is under way, if there is one and no other.
    pub fn model_bytes(&self) -> u64 {
        let live = self.heap_bytes() as u64;
        let loading = self.loading.as_ref();
        live + loading.map_or(0, |loading| {
            loading.keys() / loading.share().one_in() * KEY_BYTES
        })
    }

    /// Bytes of elements that could be given up, about: what large collections allocate, and those of
    /// the load that is under way.
    pub fn collection_bytes(&self) -> u64 {
        let loading = self.loading.as_ref();
        let loaded = loading.map_or(0, |loading| loading.collection_bytes);
        let packed = self.live().all().map(|(_, db)| db.totals.packed_bytes());
        self.large_heap() as u64 + packed.sum::<u64>() + loaded
    }

    /// Bytes of elements of the largest collection of the load that is under way; of a live
    /// generation that is not known.
    pub fn largest_collection(&self) -> Option<usize> {
        self.loading.as_ref().map(|loading| loading.largest)
    }

    /// Elements of all collections.
    pub fn elements(&self) -> u64 {
        let collections = |(_, db): (u32, &Db)| {
            let forms = Form::all().filter(|form| !form.is_string());
            let elements = forms.map(|form| db.totals.form(form).elements);
            elements.fold(0, u64::saturating_add)
        };
        let all = self.live().all().map(collections);
        all.fold(0, u64::saturating_add)
    }

    /// Bytes that a load may take from now on, beside what it took already: a database that announces
    /// more keys than fit folds them at once.
    pub fn set_room(&mut self, bytes: u64) {
        self.room = bytes;
    }

    /// Takes the server's own number of keys by database, and of those with an expiry, as of offset
    /// `at`. Where it says that no key is outside the share, all are kept from now on.
    pub fn take_counts(&mut self, at: u64, counts: &BTreeMap<u32, (u64, u64)>) {
        if !self.live.share().is_partial() {
            return;
        }
        let of_live: Vec<u32> = self.live.all().map(|(number, _)| number).collect();
        let numbers = counts.keys().copied().chain(of_live);
        let numbers: std::collections::BTreeSet<u32> = numbers.collect();
        let told = |number: u32| counts.get(&number).copied().unwrap_or((0, 0));
        let kept = |live: &Generation, number| live.db(number).map_or(0, |db| db.totals.keys);
        let all_kept = numbers
            .iter()
            .all(|&number| kept(&self.live, number) == told(number).0);
        if all_kept && at == self.applied {
            self.close_flows();
            self.live.unfold();
            return;
        }
        let m = self.live.share().one_in();
        for number in numbers {
            let db = self.live.db_mut(number);
            let (keys, expires) = told(number);
            let keys = keys.saturating_sub(db.totals.keys);
            let expires = expires.saturating_sub(db.totals.expires);
            let folded = db.folded.get_or_insert_default();
            folded.correct(&db.totals, m, (keys, expires));
        }
    }

    /// The type of a collection whose count is wanted and not its elements, if this is one.
    pub fn counts_only(&self, db: u32, name: &[u8]) -> Option<Kind> {
        self.bare_kind(db, name)
            .filter(|_| self.elements_max != usize::MAX)
    }

    /// The type of a collection without records of its elements, if this is one.
    pub fn bare_kind(&self, db: u32, name: &[u8]) -> Option<Kind> {
        let table = &self.live.db(db)?.table;
        let record = table.record(table.find(table.digest(name), name)?);
        let weight = table.weigh(&record, &self.scale);
        weight.bare.then(|| record.form.kind())
    }

    /// Takes what is now known of a bare collection.
    pub(in crate::keyspace) fn take_count(&mut self, db: u32, name: &[u8], found: Counted) {
        self.amend(db, name, |slot, _| {
            if let Some(entry) = slot
                && let Value::Bare(bare) = &mut entry.value
            {
                bare.recount(found.count, found.encoding.unwrap_or(bare.encoding));
                if let Some(expire_ms) = found.expire_ms {
                    entry.expire_ms = expire_ms;
                }
                entry.doubt = Doubt::None;
            }
        });
    }
}
