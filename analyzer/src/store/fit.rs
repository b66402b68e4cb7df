//! Fitting a key to what MEMORY USAGE says of it (`value::elements::fit` has the tables).
//!
//! What a snapshot does not tell: the block of a string that was grown in place, the table of a
//! collection, and on Valkey 8.1 and later whether a key's object has room for an expiry that is
//! gone. A key is *open* where these would give different answers; the others need not be asked.

use crate::command::Entry;
use crate::profile::nearest_frame;
use crate::store::record::Form;
use crate::store::weigh::{Scale, Seated};
use crate::value::string::{Blocks, Form as StrForm, Holder, Str, embeds, tight_header};
use crate::value::{Encoding, Fit, Kind, Samples, Table, TableKind, Usage, Value};

/// What an update of a sparse `HyperLogLog` may be away from the guess (`Str::take_sparse`).
const SPARSE_SLACK: u64 = 320;

/// Room that a script's argument may have left in the object of a short string.
const SCRIPT_SLACK: u64 = 64;

/// Large enough for any value, so that a key's own part can be taken from the whole.
const LARGE: u64 = 1 << 40;

/// With the C library's malloc a block may have 16 bytes more: one byte in so many.
const LIBC_PART: u64 = 20;

/// Elements that MEMORY USAGE is made to walk: less than half a millisecond of the server's time. Of
/// a larger collection one element is looked at, which tells its table all the same.
pub(crate) const WALKED_MAX: u64 = 4096;

/// Elements of a node of a list or a stream, at least, where there are many of them.
const NODE_ELEMENTS: u64 = 16;

impl Scale {
    /// True if the snapshot leaves the bytes of such a key open.
    #[inline]
    pub(crate) fn is_open(&self, form: Form, key: Seated) -> bool {
        let past = self.profile().past;
        // Of compressed lists, unlike those that were written, an image tells all.
        if self.blocks_vary() && form.kind() != Kind::Module {
            return true;
        }
        if form == Form::RAW && past.grew {
            return true;
        }
        let tail = form.kind() == Kind::Stream && !self.profile().reloaded;
        is_table(form)
            || tail
            || (past.persisted && key.expire_ms.is_none() && self.seats_differ(form, key))
    }

    /// True if another process may hold such a key in other bytes, though it has the same history:
    /// a load gives a string no room to grow in, a table of its own size and a name the header of a
    /// name that was loaded. Where it grew or took back no expiry itself, the one before may have.
    pub(crate) fn is_open_elsewhere(&self, form: Form, key: Seated) -> bool {
        let persisted = self.profile().past.persisted || key.seat;
        let slot = persisted && key.expire_ms.is_none() && self.seats_differ(form, key);
        self.varies(form) || is_roomy(form) || slot || self.headers_differ(key)
    }

    /// True if no formula may tell what keys of that form weigh: blocks of equal requests differ (those
    /// of a module's value the module counts), lists are compressed, or dicts are moved.
    #[inline]
    pub(crate) fn varies(&self, form: Form) -> bool {
        match form.kind() {
            Kind::Module => false,
            Kind::List => self.blocks_vary() || self.profile().list_compress > 0,
            Kind::Set | Kind::Hash if is_table(form) => self.blocks_vary() || self.has_dicts(),
            Kind::String | Kind::Set | Kind::Zset | Kind::Hash | Kind::Stream => self.blocks_vary(),
        }
    }

    /// True if the size of a key of that form, with that table, may be open for a write: such a key is
    /// to rest before it is asked for. What a snapshot leaves open may be asked for at once.
    pub(crate) fn rests(&self, form: Form, table: impl FnOnce() -> Option<Table>) -> bool {
        self.blocks_vary()
            || (self.varies(form) && (!is_table(form) || self.guesses(form, table())))
    }

    /// True if chance decides how many tables there are. A sorted set has levels of chance as well,
    /// which no write settles.
    fn guesses(&self, form: Form, table: Option<Table>) -> bool {
        let kind = TableKind::of(self.profile());
        form.kind() != Kind::Zset && table.is_some_and(|table| table.is_guess(kind))
    }

    /// True if no formula tells what this value weighs, and nothing that the model has explains it: blocks
    /// differ, or nodes of a list are compressed. Nothing of a collection whose elements were given up.
    fn is_vague(&self, value: &Value) -> bool {
        match value {
            Value::Bare(_) | Value::Module(_) => false,
            Value::List(list) => self.blocks_vary() || list.compresses(self.profile()),
            Value::String(_)
            | Value::Set(_)
            | Value::Zset(_)
            | Value::Hash(_)
            | Value::Stream(_) => self.blocks_vary(),
        }
    }

    /// True if nothing but a look tells what such a value weighs behind a write, and a look does: of
    /// a collection that it does not walk it says too little.
    #[inline]
    pub(crate) fn is_open_when_written(&self, value: &Value) -> bool {
        let form = || Form::of(value.kind(), value.encoding());
        let is_open = self.is_vague(value) || self.guesses(form(), value.table());
        is_open && Self::samples(form(), value.count()) == Samples::All
    }

    /// True if a name that was loaded takes another block than one that a command brought (Valkey
    /// 8.0, db.c `dbAddRDBLoad`).
    fn headers_differ(&self, key: Seated) -> bool {
        let weigh = |seat| self.keyed(0, Seated { seat, ..key });
        self.blocks() == Blocks::KeyInEntry && weigh(true) != weigh(false)
    }

    /// True if room for an expiry would be seen: the object's block would be of another class.
    fn seats_differ(&self, form: Form, key: Seated) -> bool {
        let blocks = self.blocks();
        if blocks != Blocks::KeyInObject128
            && (blocks, form) != (Blocks::KeyInObject64, Form::EMBSTR)
        {
            return false;
        }
        // An embedded string's length is not looked at here: half of them differ.
        let need = 16 + 2 + u64::from(tight_header(key.name)) + key.name;
        let class = |bytes| self.profile().allocator.class(bytes);
        form == Form::EMBSTR || class(need) != class(need + 8)
    }

    /// How much of a value may be looked at.
    pub(crate) fn samples(form: Form, count: u64) -> Samples {
        let walks = match form.kind() {
            Kind::Set | Kind::Zset | Kind::Hash => count > WALKED_MAX,
            // Nodes of many elements each.
            Kind::List | Kind::Stream => count > WALKED_MAX * NODE_ELEMENTS,
            Kind::String | Kind::Module => false,
        };
        if walks { Samples::One } else { Samples::All }
    }

    /// Takes what MEMORY USAGE says of a key; `None` if nothing can be learnt from it.
    pub(crate) fn fit(&self, entry: &mut Entry, key: &mut Seated, usage: Usage) -> Option<Fit> {
        let profile = self.profile();
        if nearest_frame(profile.family, profile.version).is_some() {
            return None;
        }
        let ours = self.weigh_entry(entry, key.name, key.seat).bytes;
        if !self.is_vague(&entry.value) || usage.samples == Samples::One {
            return self.fit_facts(entry, key, usage);
        }
        if ours == usage.bytes {
            return Some(Fit::Same);
        }
        entry.extra = 0;
        let fit = self.fit_facts(entry, key, usage);
        let explained = self.weigh_entry(entry, key.name, key.seat).bytes;
        entry.extra = difference(usage.bytes, explained);
        let is_near = ours.abs_diff(usage.bytes) <= 32 + ours / LIBC_PART;
        match fit {
            Some(Fit::Odd) if !is_near => fit,
            _ => Some(Fit::Chance),
        }
    }

    /// Takes as much of it as facts explain.
    fn fit_facts(&self, entry: &mut Entry, key: &mut Seated, usage: Usage) -> Option<Fit> {
        let profile = self.profile();
        let value_part = Usage {
            bytes: usage.bytes.saturating_sub(self.keyed(LARGE, *key) - LARGE),
            ..usage
        };
        let tabled = match &mut entry.value {
            Value::Set(value) => value.fit(value_part, profile),
            Value::Zset(value) => value.fit(value_part, profile),
            Value::Hash(value) => value.fit(value_part, profile),
            Value::List(value) if value.compresses(profile) => {
                value.fit_compressed(value_part, profile);
                return None;
            }
            Value::Module(_) | Value::Bare(_) => return None,
            Value::Stream(_) => match self.fit_seat(entry, key, usage.bytes) {
                None => self.fit_stream(entry, value_part),
                known => known,
            },
            Value::String(_) | Value::List(_) => None,
        };
        match tabled {
            Some(fit) => Some(fit),
            None if usage.samples == Samples::One => None,
            None => Some(self.fit_blocks(entry, key, usage.bytes)),
        }
    }

    /// Room for an expiry alone explains the bytes, or nothing has to.
    fn fit_seat(&self, entry: &Entry, key: &mut Seated, bytes: u64) -> Option<Fit> {
        let weigh = |seat| self.weigh_entry(entry, key.name, seat).bytes;
        let seat = self
            .seats(*key)
            .into_iter()
            .find(|seat| weigh(*seat) == bytes)?;
        let same = key.seat == seat;
        key.seat = seat;
        Some(if same { Fit::Same } else { Fit::Chance })
    }

    fn fit_stream(&self, entry: &mut Entry, usage: Usage) -> Option<Fit> {
        match &mut entry.value {
            Value::Stream(value) => value.fit(usage, self.profile()),
            Value::String(_)
            | Value::List(_)
            | Value::Set(_)
            | Value::Zset(_)
            | Value::Hash(_)
            | Value::Module(_)
            | Value::Bare(_) => None,
        }
    }

    /// A value without a table: room for an expiry, and the block of a string, is all there is. A
    /// string that is not embedded though it would fit was edited in place: there its own room comes
    /// first.
    fn fit_blocks(&self, entry: &mut Entry, key: &mut Seated, bytes: u64) -> Fit {
        let mut odd = Fit::Odd;
        if let Value::String(value) = &mut entry.value {
            let ours = self.string(value, *key);
            if self.is_guess(value, ours, bytes) {
                odd = Fit::Chance;
            }
            let holder = Holder {
                name: key.name,
                expires: true,
            };
            let edited =
                value.encoding() == Encoding::Raw && embeds(value.len(), holder, self.profile());
            let seats = self.seats(*key).into_iter();
            let explained = seats
                .map(|seat| self.string(value, Seated { seat, ..*key }))
                .any(|weight| weight == bytes);
            if edited && ours != bytes && self.fit_room(value, *key, bytes) {
                return if explained { Fit::Chance } else { odd };
            }
        }
        if let Some(fit) = self.fit_seat(entry, key, bytes) {
            return fit;
        }
        let Value::String(value) = &mut entry.value else {
            return Fit::Odd;
        };
        for seat in self.seats(*key) {
            let seated = Seated { seat, ..*key };
            if self.fit_room(value, seated, bytes) {
                key.seat = seat;
                return odd;
            }
        }
        odd
    }

    /// The block of a string alone explains the bytes.
    fn fit_room(&self, value: &mut Str, key: Seated, bytes: u64) -> bool {
        let rest = bytes.checked_sub(self.keyed(LARGE, key) - LARGE + 16);
        rest.is_some_and(|block| value.take_block(block, self.profile()))
    }

    /// True if what a string weighs is a guess: a sparse `HyperLogLog`'s room, or that of a short
    /// string set by a script, whose argument's object had held a longer one (script.c
    /// `luaArgsToRedisArgv`).
    fn is_guess(&self, value: &Str, ours: u64, theirs: u64) -> bool {
        match value.form() {
            StrForm::Grown(_) => {
                let sparse = value.len() <= self.profile().hll_sparse_max;
                sparse && ours.abs_diff(theirs) <= SPARSE_SLACK
            }
            StrForm::Embstr => theirs > ours && theirs - ours <= SCRIPT_SLACK,
            StrForm::Int(_) | StrForm::Raw => false,
        }
    }

    /// Which blocks a key may have, the one that is assumed first.
    fn seats(&self, key: Seated) -> [bool; 2] {
        let other = match self.blocks() {
            Blocks::Split => false,
            Blocks::KeyInEntry => true,
            Blocks::KeyInObject64 | Blocks::KeyInObject128 => key.expire_ms.is_none(),
        };
        [key.seat, if other { !key.seat } else { key.seat }]
    }
}

/// What was asked for less what it was taken for, as far as it can be kept.
fn difference(theirs: u64, ours: u64) -> i32 {
    let more = i128::from(theirs) - i128::from(ours);
    i32::try_from(more).unwrap_or(0)
}

/// True if such a value has room that its content does not tell.
pub(crate) fn is_roomy(form: Form) -> bool {
    form == Form::RAW || is_table(form) || form.kind() == Kind::Stream
}

fn is_table(form: Form) -> bool {
    form.encoding() == Encoding::Hashtable || form.encoding() == Encoding::Skiplist
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Family, Profile, Version};

    /// What this says of a raw string of `len` bytes, as a snapshot tells it, that weighs as one with
    /// room for an expiry: whether it has that, and whether its block has room.
    fn explained(len: u64) -> (bool, bool) {
        let profile = Profile::defaults(Family::Valkey, Version::new(9, 1));
        let scale = Scale::new(profile);
        let mut key = Seated {
            name: 10,
            expire_ms: None,
            seat: false,
        };
        let mut entry = Entry::new(Value::String(Str::raw(len)));
        let seen = Usage {
            bytes: scale.weigh_entry(&entry, key.name, true).bytes,
            samples: Samples::All,
        };
        assert!(scale.weigh_entry(&entry, key.name, false).bytes < seen.bytes);
        scale.fit(&mut entry, &mut key, seen);
        assert_eq!(
            scale.weigh_entry(&entry, key.name, key.seat).bytes,
            seen.bytes
        );
        let Value::String(value) = entry.value else {
            panic!("a string, not {:?}", entry.value);
        };
        (key.seat, matches!(value.form(), StrForm::Grown(_)))
    }

    /// APPEND and PEXPIREAT on Valkey 9.1: 80 bytes before the expiry, 96 with it, of which one that
    /// was taken for room for an expiry made 80.
    #[test]
    fn a_raw_string_that_could_be_embedded_has_grown() {
        assert_eq!(explained(24), (false, true));
        assert_eq!(explained(500), (true, false));
    }
}
