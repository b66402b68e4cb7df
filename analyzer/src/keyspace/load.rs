//! A full sync: a second generation is built beside the live one and takes its place at the end.
//!
//! Finished keys wait in a small ring until there are [`RING`] of them; then the pages that they
//! go to are touched together and filled, so that one wait for memory serves many keys.

use crate::command::Entry;
use crate::input::{Key, Part, Shape, Source};
use crate::keyspace::SlotOf;
use crate::keyspace::db::{Db, Pulse};
use crate::keyspace::generation::Generation;
use crate::keyspace::image::{Image, unsaid};
use crate::keyspace::ring::warm;
use crate::store::packing;
use crate::store::record::{Body, Draft, Name, Record};
use crate::store::weigh::{Scale, Weight};
use crate::value::Value;
use crate::value::string::{Holder, Str};

/// Keys that wait together.
const RING: usize = 32;

/// Most keys that pages are made for before they come, whatever is announced: 11 MiB of pages.
const EXPECTED_MAX: u64 = 16 << 20;

/// Largest record buffer kept between keys, bytes.
const BUFFER_KEPT: usize = 64 * 1024;

/// A generation in the making.
#[derive(Debug)]
pub(crate) struct Loading {
    pub(crate) generation: Generation,
    key: Option<Open>,
    staged: Vec<Staged>,
    records: Vec<u8>,
    packed: Vec<u8>,
    name_buffer: Vec<u8>,
    /// Keys that may still be announced: hints of all databases together are bounded.
    expectable: u64,
    /// Collections that came without elements.
    pub(crate) empty: u64,
    /// Keys with parts that did not fit their type.
    pub(crate) malformed: u64,
    /// Keys that came twice.
    pub(crate) twice: u64,
}

/// The key whose parts are coming.
#[derive(Debug)]
struct Open {
    db: u32,
    name: Vec<u8>,
    expire_ms: Option<i64>,
    lru: u32,
    value: OpenValue,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time")]
enum OpenValue {
    /// Strings skip the general way.
    Str(Option<(u64, Option<i64>)>),
    Image(Image),
}

/// A finished key: its record, on its way to a page.
#[derive(Debug)]
struct Staged {
    db: u32,
    digest: u64,
    start: usize,
    end: usize,
    weight: Weight,
}

impl Loading {
    pub(crate) fn new(seed: u64, slot_of: Option<SlotOf>) -> Loading {
        Loading {
            generation: Generation::new(seed, slot_of),
            key: None,
            staged: Vec::with_capacity(RING),
            records: Vec::new(),
            packed: Vec::new(),
            name_buffer: Vec::new(),
            expectable: EXPECTED_MAX,
            empty: 0,
            malformed: 0,
            twice: 0,
        }
    }

    /// Makes pages for the keys that a database announces, as far as such hints are believed.
    pub(crate) fn expect(&mut self, db: u32, keys: u64) {
        let keys = keys.min(self.expectable);
        self.expectable -= keys;
        self.generation.db_mut(db).table.expect(keys);
    }

    pub(crate) fn key(&mut self, key: &Key<'_>, pulse: &Pulse, scale: &Scale, seed: u64) {
        let lru = pulse.loaded(key.idle_s, key.freq);
        let value = match key.shape {
            Shape::String => OpenValue::Str(None),
            Shape::List
            | Shape::SetTable
            | Shape::SetIntset
            | Shape::SetListpack
            | Shape::HashTable
            | Shape::HashListpack
            | Shape::HashListpackEx
            | Shape::ZsetSkiplist
            | Shape::ZsetListpack
            | Shape::Stream
            | Shape::Module => {
                OpenValue::Image(Image::new(key.shape, Source::Image, scale.profile(), seed))
            }
        };
        let mut name = std::mem::take(&mut self.name_buffer);
        name.clear();
        name.extend_from_slice(key.name);
        self.key = Some(Open {
            db: key.db,
            name,
            expire_ms: key.expire_ms,
            lru,
            value,
        });
    }

    pub(crate) fn part(&mut self, part: &Part<'_>) {
        let Some(open) = &mut self.key else {
            return;
        };
        match &mut open.value {
            OpenValue::Str(found) => match part {
                Part::Str { len, int } => *found = Some((*len, *int)),
                Part::Element(_)
                | Part::Scored { .. }
                | Part::Field { .. }
                | Part::Node { .. }
                | Part::IntsetWidth(_)
                | Part::StreamNode { .. }
                | Part::StreamEntry { .. }
                | Part::StreamMeta { .. }
                | Part::Group { .. }
                | Part::Pending { .. }
                | Part::Consumer { .. }
                | Part::ConsumerPending(_)
                | Part::Module { .. } => {}
            },
            OpenValue::Image(image) => image.part(part),
        }
    }

    pub(crate) fn end_key(&mut self, scale: &Scale) {
        let Some(mut open) = self.key.take() else {
            return;
        };
        match std::mem::replace(&mut open.value, OpenValue::Str(None)) {
            OpenValue::Str(Some((len, int))) => self.end_str(&open, len, int, scale),
            OpenValue::Str(None) => self.malformed += 1,
            OpenValue::Image(image) => {
                self.malformed += u64::from(image.is_malformed());
                match image.finish(open.name.len(), open.expire_ms, scale.profile()) {
                    Some(entry) => self.end_entry(&open, entry, scale),
                    None => self.empty += 1,
                }
            }
        }
        if open.name.capacity() <= BUFFER_KEPT {
            self.name_buffer = open.name;
        }
        if self.staged.len() == RING || self.records.len() > BUFFER_KEPT {
            self.flush(scale);
        }
    }

    fn end_str(&mut self, open: &Open, len: u64, int: Option<i64>, scale: &Scale) {
        let holder = Holder {
            name: open.name.len() as u64,
            expires: open.expire_ms.is_some(),
        };
        let value = Str::fresh(len, int, holder, scale.profile());
        let doubt = unsaid(&Value::String(value));
        let weight = scale.weigh_str(&value, holder.name, open.expire_ms, doubt);
        self.stage(open, weight, Body::Str(value));
    }

    fn end_entry(&mut self, open: &Open, entry: Entry, scale: &Scale) {
        let weight = scale.weigh_entry(&entry, open.name.len() as u64);
        let mut packed = std::mem::take(&mut self.packed);
        packed.clear();
        if packing::pack(&entry.value, &mut packed) {
            let memory = entry.value.memory(scale.profile());
            let body = Body::Packed {
                count: weight.count,
                memory,
                packed: &packed,
            };
            self.stage(open, weight, body);
        } else {
            let large = self.generation.db_mut(open.db).table.large_mut();
            let handle = large.insert(Box::new(entry));
            self.stage(open, weight, Body::Elsewhere(handle));
        }
        self.packed = packed;
    }

    fn stage(&mut self, open: &Open, weight: Weight, body: Body<'_>) {
        let table = &mut self.generation.db_mut(open.db).table;
        let digest = table.digest(&open.name);
        let start = self.records.len();
        Draft {
            form: weight.form,
            doubt: weight.doubt,
            lru: open.lru,
            expire_ms: open.expire_ms,
            name: table.keep_name(digest, &open.name),
            body,
        }
        .write(&mut self.records);
        self.staged.push(Staged {
            db: open.db,
            digest,
            start,
            end: self.records.len(),
            weight,
        });
    }

    /// Puts the waiting keys into their pages.
    pub(crate) fn flush(&mut self, scale: &Scale) {
        warm(&self.generation, || {
            self.staged.iter().map(|staged| (staged.db, staged.digest))
        });
        for staged in self.staged.drain(..) {
            let db = self.generation.db_mut(staged.db);
            let record = &self.records[staged.start..staged.end];
            self.twice += u64::from(insert(db, &staged, record, scale));
        }
        self.records.clear();
    }
}

/// Inserts a staged key; true if the name was there already, which only a broken file does: the
/// later key stays.
fn insert(db: &mut Db, staged: &Staged, record: &[u8], scale: &Scale) -> bool {
    let mut twice = false;
    let written = Record::read(record);
    let found = match written.name {
        Name::Here(name) => db.table.find(staged.digest, name),
        Name::Elsewhere(handle) => db.table.find_long(staged.digest, handle),
    };
    if let Some(place) = found {
        twice = true;
        let old = db.table.record(place);
        let before = db.table.weigh(&old, scale);
        if let Body::Elsewhere(handle) = old.body() {
            db.table.large_mut().remove(handle);
        }
        db.table.remove(place, scale);
        db.totals.turn(db.table.name(&written), Some(&before), None);
    }
    db.table
        .insert(staged.digest, record, &staged.weight, scale);
    db.totals
        .turn(db.table.name(&written), None, Some(&staged.weight));
    twice
}
