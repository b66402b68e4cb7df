//! One database: its table and its totals, changed together.

use crate::aggregate::{Folded, Sum, Totals};
use crate::census::{Census, PatternId, Portion};
use crate::command::{Doubt, Entry};
use crate::keyspace::SlotOf;
use crate::keyspace::degrade::Share;
use crate::store::record::{Body, Draft, Form, Name, Record};
use crate::store::weigh::{Arrival, Scale, Seated, Weight};
use crate::store::{Place, Table, packing};
use crate::value::string::{Form as StrForm, Holder, Str, is_short};
use crate::value::{Module, Value};

/// LFU counter of a new key, as servers start it.
pub(in crate::keyspace) const COUNTER_INIT: u8 = 5;

/// Writes per doubling of the counter's step, as `lfu-log-factor 10`.
const COUNTER_FACTOR: u64 = 10;

/// Bits of the last-write seconds.
pub(in crate::keyspace) const SECONDS_MASK: u32 = 0x00ff_ffff;

/// The time of a write and the dice for the write counter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pulse {
    seconds: u32,
    dice: u64,
    /// Changes are no writes at the moment.
    is_still: bool,
}

impl Pulse {
    pub(crate) fn new(seed: u64) -> Pulse {
        Pulse {
            seconds: 0,
            dice: seed | 1,
            is_still: false,
        }
    }

    /// From now on changes are no writes, or are again: what is only learnt of a key leaves the time
    /// of its last write as it is.
    pub(crate) fn stand(&mut self, still: bool) {
        self.is_still = still;
    }

    /// True if changes are no writes at the moment.
    pub(crate) fn is_still(&self) -> bool {
        self.is_still
    }

    /// The second that it is on this clock.
    pub(crate) fn second(&self) -> u32 {
        self.seconds
    }

    /// Takes the wall clock, unix milliseconds.
    pub(crate) fn clock(&mut self, now_ms: i64) {
        // 24 bits of seconds: 194 days, as a server's own clock.
        let seconds = now_ms.div_euclid(1000) & i64::from(SECONDS_MASK);
        self.seconds = u32::try_from(seconds).unwrap_or(0);
    }

    /// The last-write field of a new key.
    pub(crate) fn fresh(&self) -> u32 {
        self.seconds << 8 | u32::from(COUNTER_INIT)
    }

    /// The last-write field of a loaded key.
    pub(crate) fn loaded(&self, idle_s: Option<u64>, freq: Option<u8>) -> u32 {
        let idle = u32::try_from(idle_s.unwrap_or(0)).unwrap_or(SECONDS_MASK);
        let idle = idle.min(SECONDS_MASK);
        let seconds = self.seconds.wrapping_sub(idle) & SECONDS_MASK;
        seconds << 8 | u32::from(freq.unwrap_or(COUNTER_INIT))
    }

    /// The last-write field of a key that is written again.
    #[inline]
    pub(crate) fn again(&mut self, lru: u32) -> u32 {
        if self.is_still {
            return lru;
        }
        let mut counter = self.freq(lru);
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        let base = u64::from(counter.saturating_sub(COUNTER_INIT));
        if (self.dice >> 32) * (base * COUNTER_FACTOR + 1) < 1 << 32 {
            counter = counter.saturating_add(1);
        }
        self.seconds << 8 | u32::from(counter)
    }

    /// So many seconds ago, on this clock.
    pub(crate) fn ago(&self, seconds: u32) -> u32 {
        self.seconds.wrapping_sub(seconds) & SECONDS_MASK
    }

    /// Which of two moments of the past is longer ago.
    pub(crate) fn earlier(&self, a: u32, b: u32) -> u32 {
        let age = |then| self.seconds.wrapping_sub(then) & SECONDS_MASK;
        if age(a) >= age(b) { a } else { b }
    }

    /// True if the last write was then or later.
    pub(crate) fn is_since(&self, lru: u32, then: u32) -> bool {
        self.idle_s(lru) <= self.seconds.wrapping_sub(then) & SECONDS_MASK
    }

    /// Seconds since the last write.
    pub(crate) fn idle_s(&self, lru: u32) -> u32 {
        self.seconds.wrapping_sub(lru >> 8) & SECONDS_MASK
    }

    /// The write counter, one less for every minute without a write.
    #[inline]
    pub(crate) fn freq(&self, lru: u32) -> u8 {
        let minutes = self.idle_s(lru) / 60;
        let counter = lru & 0xff;
        let [low, ..] = counter.saturating_sub(minutes).to_le_bytes();
        low
    }
}

/// What a change needs besides the key.
pub(crate) struct Tools<'a> {
    pub(crate) scale: &'a Scale,
    pub(crate) pulse: &'a mut Pulse,
    pub(crate) scratch: &'a mut Scratch,
}

/// Buffers that records are written into first.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) record: Vec<u8>,
    pub(crate) packed: Vec<u8>,
}

/// A key's weight before and after a change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) before: Option<Weight>,
    pub(crate) after: Option<Weight>,
    /// The pattern of the key, where keys are counted by pattern.
    pub(crate) pattern: PatternId,
}

impl Turn {
    /// The key was not there and is not.
    pub(crate) const NOTHING: Turn = Turn {
        before: None,
        after: None,
        pattern: PatternId::NONE,
    };
}

/// A key's name with its digest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) digest: u64,
}

/// An entry taken out of its record, to be put back by `checkin`.
pub(crate) struct Held {
    place: Option<Place>,
    before: Option<Weight>,
    handle: Option<u32>,
    lru: u32,
    /// Not a write, but a correction: the block that the key has.
    corrected: Option<bool>,
    /// How the value comes, if it is a write.
    arrival: Arrival,
}

impl Held {
    /// The key is removed first: nothing of it is left for what comes.
    pub(crate) fn anew(self) -> Held {
        Held {
            arrival: Arrival::Anew,
            ..self
        }
    }
}

/// A key as a string command finds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OldStr {
    /// `None` if the key holds another type.
    pub(crate) value: Option<Str>,
    pub(crate) expire_ms: Option<i64>,
    pub(crate) doubt: Doubt,
}

/// A key as a string command leaves it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewStr {
    pub(crate) value: Str,
    pub(crate) expire_ms: Option<i64>,
    pub(crate) doubt: Doubt,
    /// The value is SET's argument; if not, the key was edited, or a command made the value.
    pub(crate) is_argument: bool,
}

impl NewStr {
    fn arrival(&self, scale: &Scale) -> Arrival {
        if !self.is_argument {
            return Arrival::Edit;
        }
        let short = match self.value.form() {
            StrForm::Embstr => true,
            StrForm::Raw => is_short(self.value.len(), scale.profile()),
            StrForm::Int(_) | StrForm::Grown(_) => false,
        };
        Arrival::Argument { short }
    }
}

/// The keys of one database and their sums.
#[derive(Debug)]
pub(crate) struct Db {
    pub(crate) table: Table,
    pub(crate) totals: Totals,
    pub(crate) census: Census,
    /// Keys without a record, if there may be any.
    pub(crate) folded: Option<Box<Folded>>,
}

impl Db {
    pub(crate) fn new(seed: u64, slot_of: Option<SlotOf>) -> Db {
        Db {
            table: Table::new(seed),
            totals: Totals::new(slot_of),
            census: Census::default(),
            folded: None,
        }
    }

    /// Takes one key's change into everything that is counted by deltas: `None` is "not there".
    #[inline]
    pub(crate) fn turn(
        &mut self,
        key: Named<'_>,
        before: Option<Weight>,
        after: Option<Weight>,
    ) -> Turn {
        self.totals.turn(key.name, before.as_ref(), after.as_ref());
        Turn {
            before,
            after,
            pattern: self.census.turn(key, before.as_ref(), after.as_ref()),
        }
    }

    /// The sums of one form, over keys with a record and without.
    pub(crate) fn form(&self, form: Form, share: Share) -> Sum {
        let mut sum = self.totals.form(form);
        if let Some(folded) = &self.folded {
            let more = folded.form(form, &self.totals, share.one_in());
            sum.keys = sum.keys.saturating_add(more.keys);
            sum.elements = sum.elements.saturating_add(more.elements);
            sum.name_bytes = sum.name_bytes.saturating_add(more.name_bytes);
            sum.bytes = sum.bytes.saturating_add(more.bytes);
            sum.beyond = sum.beyond.saturating_add(more.beyond);
        }
        sum
    }

    /// All keys, with a record or without.
    pub(crate) fn total(&self, share: Share) -> Portion {
        let forms = Form::all().map(|form| self.form(form, share));
        forms.fold(Portion::default(), |sum, form| {
            sum.and_told(Portion {
                keys: form.keys,
                bytes: form.bytes,
            })
        })
    }

    /// Keys without a record.
    pub(crate) fn folded_keys(&self, share: Share) -> u64 {
        let folded = self.folded.as_ref();
        folded.map_or(0, |folded| folded.keys(&self.totals, share.one_in()))
    }

    /// Keys with an expiry and without a record.
    pub(crate) fn folded_expires(&self, share: Share) -> u64 {
        let folded = self.folded.as_ref();
        folded.map_or(0, |folded| folded.expires(&self.totals, share.one_in()))
    }

    /// True if the key was folded, or never was: it has no record and is not to have one.
    #[inline]
    pub(crate) fn is_folded(&self, key: Named<'_>, share: Share) -> bool {
        share.is_partial()
            && !share.keeps(key.digest)
            && self.table.find(key.digest, key.name).is_none()
    }

    /// The key's name with its digest.
    pub(crate) fn named<'a>(&self, name: &'a [u8]) -> Named<'a> {
        Named {
            name,
            digest: self.table.digest(name),
        }
    }

    /// Takes the entry of a key out.
    pub(crate) fn checkout(&mut self, key: Named<'_>, scale: &Scale) -> (Held, Option<Entry>) {
        let Some(place) = self.table.find(key.digest, key.name) else {
            let held = Held {
                place: None,
                before: None,
                handle: None,
                lru: 0,
                corrected: None,
                arrival: Arrival::Edit,
            };
            return (held, None);
        };
        let record = self.table.record(place);
        let before = self.table.weigh(&record, scale);
        let mut held = Held {
            place: Some(place),
            before: Some(before),
            handle: None,
            lru: record.lru,
            corrected: None,
            arrival: Arrival::Edit,
        };
        if let Body::Elsewhere(handle) = record.body() {
            held.handle = Some(handle);
            let slot = self.table.large_mut().get_mut(handle);
            return (held, slot.map(|slot| std::mem::replace(slot, hollow())));
        }
        let entry = small_entry(&record);
        (held, Some(entry))
    }

    /// Puts back what is left of an entry.
    pub(crate) fn checkin(
        &mut self,
        key: Named<'_>,
        held: Held,
        entry: Option<Entry>,
        tools: &mut Tools<'_>,
    ) -> Turn {
        let Some(mut entry) = entry else {
            return self.drop_held(key, &held, tools.scale);
        };
        if let Value::String(value) = &mut entry.value {
            let holder = Holder {
                name: key.name.len() as u64,
                expires: entry.expire_ms.is_some(),
            };
            value.refit(holder, tools.scale.profile());
        }
        self.write(key, &held, entry, tools)
    }

    /// Corrects what is known of a key, which is no write to it; what that changed comes along.
    pub(crate) fn correct<R>(
        &mut self,
        key: Named<'_>,
        tools: &mut Tools<'_>,
        correct: impl FnOnce(&mut Entry, &mut Seated, &Scale) -> R,
    ) -> Option<(R, Turn)> {
        let (mut held, entry) = self.checkout(key, tools.scale);
        let (mut entry, before) = entry.zip(held.before)?;
        let mut seated = Seated {
            name: key.name.len() as u64,
            expire_ms: entry.expire_ms,
            seat: before.seat,
        };
        let out = correct(&mut entry, &mut seated, tools.scale);
        held.corrected = Some(seated.seat);
        let turn = self.write(key, &held, entry, tools);
        Some((out, turn))
    }

    fn drop_held(&mut self, key: Named<'_>, held: &Held, scale: &Scale) -> Turn {
        let Some(place) = held.place else {
            return Turn::NOTHING;
        };
        if let Some(handle) = held.handle {
            self.table.large_mut().remove(handle);
        }
        self.table.remove(place, scale);
        self.turn(key, held.before, None)
    }

    fn write(&mut self, key: Named<'_>, held: &Held, entry: Entry, tools: &mut Tools<'_>) -> Turn {
        let after = Seated {
            name: key.name.len() as u64,
            expire_ms: entry.expire_ms,
            seat: false,
        };
        let form = Form::of(entry.value.kind(), entry.value.encoding());
        let (seat, lru) = match (held.corrected, held.place) {
            (Some(seat), _) => (seat, held.lru),
            (None, place) => (
                tools
                    .scale
                    .seat(held.before.as_ref(), after, form, held.arrival),
                match place {
                    Some(_) => tools.pulse.again(held.lru),
                    None => tools.pulse.fresh(),
                },
            ),
        };
        let weight = tools.scale.weigh_entry(&entry, after.name, seat);
        let Scratch { record, packed } = &mut *tools.scratch;
        record.clear();
        packed.clear();
        let (doubt, expire_ms, extra) = (entry.doubt, entry.expire_ms, entry.extra);
        let body = if let Value::String(value) = &entry.value {
            Body::Str(*value)
        } else if packing::pack(&entry.value, packed) {
            Body::Packed {
                count: weight.count,
                memory: entry.value.memory(tools.scale.profile()),
                packed,
            }
        } else {
            Body::Elsewhere(self.place_large(held.handle, entry))
        };
        let stays = matches!(body, Body::Elsewhere(_));
        if let Some(handle) = held.handle
            && !stays
        {
            self.table.large_mut().remove(handle);
        }
        let name = match held.place {
            Some(place) => self.table.record(place).name,
            None => self.table.keep_name(key.digest, key.name),
        };
        Draft {
            form: weight.form,
            doubt,
            lru,
            expire_ms,
            seat,
            extra,
            name,
            body,
        }
        .write(record);
        match held.place {
            Some(place) => self.table.replace(place, record, &weight, tools.scale),
            None => self.table.insert(key.digest, record, &weight, tools.scale),
        }
        self.turn(key, held.before, Some(weight))
    }

    pub(in crate::keyspace) fn place_large(&mut self, handle: Option<u32>, entry: Entry) -> u32 {
        let large = self.table.large_mut();
        if let Some(handle) = handle
            && let Some(slot) = large.get_mut(handle)
        {
            *slot = entry;
            return handle;
        }
        large.insert(Box::new(entry))
    }

    /// Edits a key that holds, or is to hold, a string; `None` leaves it as it is.
    #[inline]
    pub(crate) fn edit_str(
        &mut self,
        key: Named<'_>,
        tools: &mut Tools<'_>,
        edit: impl FnOnce(Option<OldStr>) -> Option<NewStr>,
    ) -> Turn {
        let place = self.table.find(key.digest, key.name);
        let record = place.map(|place| self.table.record(place));
        let before = record.map(|record| self.table.weigh(&record, tools.scale));
        let body = record.map(|record| record.body());
        let old = record.zip(body).map(|(record, body)| OldStr {
            value: match body {
                Body::Str(value) => Some(value),
                Body::Packed { .. } | Body::Elsewhere(_) => None,
            },
            expire_ms: record.expire_ms,
            doubt: record.doubt,
        });
        let Some(new) = edit(old) else {
            return self.turn(key, before, before);
        };
        let mut after = Seated {
            name: key.name.len() as u64,
            expire_ms: new.expire_ms,
            seat: false,
        };
        let form = Form::of_str(&new.value);
        after.seat = tools
            .scale
            .seat(before.as_ref(), after, form, new.arrival(tools.scale));
        let weight = tools.scale.weigh_str(&new.value, after, new.doubt);
        let lru = match &record {
            Some(record) => tools.pulse.again(record.lru),
            None => tools.pulse.fresh(),
        };
        let out = &mut tools.scratch.record;
        out.clear();
        let write = |name: Name<'_>, out: &mut Vec<u8>| {
            let draft = Draft {
                form: weight.form,
                doubt: new.doubt,
                lru,
                expire_ms: new.expire_ms,
                seat: after.seat,
                extra: 0,
                name,
                body: Body::Str(new.value),
            };
            draft.write(out);
        };
        if let (Some(place), Some(record)) = (place, record) {
            write(record.name, out);
            if let Some(Body::Elsewhere(handle)) = body {
                self.table.large_mut().remove(handle);
            }
            self.table.replace(place, out, &weight, tools.scale);
        } else {
            write(self.table.keep_name(key.digest, key.name), out);
            self.table.insert(key.digest, out, &weight, tools.scale);
        }
        self.turn(key, before, Some(weight))
    }

    /// Removes a key without building its value.
    pub(crate) fn remove(&mut self, key: Named<'_>, scale: &Scale) -> Turn {
        match self.table.find(key.digest, key.name) {
            Some(place) => self.remove_at(place, key, scale),
            None => Turn::NOTHING,
        }
    }

    /// Removes the key of that name at `place`.
    pub(crate) fn remove_at(&mut self, place: Place, key: Named<'_>, scale: &Scale) -> Turn {
        let record = self.table.record(place);
        let before = self.table.weigh(&record, scale);
        if let Body::Elsewhere(handle) = record.body() {
            self.table.large_mut().remove(handle);
        }
        self.table.remove(place, scale);
        self.turn(key, Some(before), None)
    }

    /// Shows the entry of a key.
    pub(crate) fn look<R>(&self, name: &[u8], look: impl FnOnce(Option<&Entry>) -> R) -> R {
        let digest = self.table.digest(name);
        let Some(place) = self.table.find(digest, name) else {
            return look(None);
        };
        let record = self.table.record(place);
        match record.body() {
            Body::Elsewhere(handle) => look(self.table.large().get(handle)),
            Body::Str(_) | Body::Packed { .. } => look(Some(&small_entry(&record))),
        }
    }
}

/// The entry of a record that holds its value itself; in doubt if that cannot be read.
fn small_entry(record: &Record<'_>) -> Entry {
    let value = packing::value_of(record);
    Entry {
        doubt: match value {
            Some(_) => record.doubt,
            None => Doubt::Value,
        },
        value: value.unwrap_or(Value::Module(Module { serialized: 0 })),
        expire_ms: record.expire_ms,
        extra: record.extra,
    }
}

/// What stands in a large value's box while the value is out.
pub(in crate::keyspace) fn hollow() -> Entry {
    Entry::new(Value::Module(Module { serialized: 0 }))
}
