//! What a key weighs on its server: MEMORY USAGE, the part of the key included
//! (`reference/memory-model.md` sections 1 and 3.2).

use crate::command::{Doubt, Entry};
use crate::profile::{Family, Profile, Version};
use crate::store::beyond::{Beyond, Usage};
use crate::store::packing;
use crate::store::record::{Body, Form, Record};
use crate::value::hash::Hash;
use crate::value::string::{Blocks, Form as StrForm, Holder, Str, embedded_block, tight_header};
use crate::value::{Encoding, TableKind, Value};

/// A dict entry, as MEMORY USAGE counts it.
const DICT_ENTRY: u64 = 24;

/// The object that every value has.
const OBJECT: u64 = 16;

/// The facts of one key that totals are sums of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) form: Form,
    pub(crate) doubt: Doubt,
    pub(crate) expire_ms: Option<i64>,
    /// The key's block is not the usual one: on Valkey 8.1 and later it has room for an expiry that
    /// is gone, on 8.0 it was made by a load. See [`Scale::seat`].
    pub(crate) seat: bool,
    /// Bytes of a string, elements of a collection.
    pub(crate) count: u64,
    /// MEMORY USAGE.
    pub(crate) bytes: u64,
    /// A collection without the records of its elements.
    pub(crate) bare: bool,
    /// What the server's blocks take beyond that; see [`Beyond`].
    pub(crate) beyond: i64,
    /// A hash with fields that expire: some servers keep a table of those.
    pub(crate) volatile: bool,
}

/// A key as its weight depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seated {
    /// Bytes of its name.
    pub(crate) name: u64,
    pub(crate) expire_ms: Option<i64>,
    /// See [`Weight::seat`].
    pub(crate) seat: bool,
}

#[cfg(test)]
impl Weight {
    /// What a raw string of some bytes weighs, as far as sums are concerned.
    pub(crate) fn of_raw(bytes: u64) -> Weight {
        Weight {
            form: Form::RAW,
            doubt: Doubt::None,
            expire_ms: None,
            seat: false,
            count: 1,
            bytes,
            bare: false,
            beyond: 0,
            volatile: false,
        }
    }
}

impl Seated {
    /// The key's object has room for an expiry (Valkey 8.1 and later).
    pub(crate) fn has_slot(self) -> bool {
        self.expire_ms.is_some() || self.seat
    }
}

/// How what a key holds came to it, which decides what becomes of the key's block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The key was there and is edited, or gets a value that a command has made (BITOP,
    /// SUNIONSTORE).
    Edit,
    /// SET gives its argument, which is an object of its own first: an embedded one if it is short.
    Argument {
        /// It is.
        short: bool,
    },
    /// The key was removed and made anew (RENAME, COPY, RESTORE).
    Anew,
}

/// The formulas of one server.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    profile: Profile,
    blocks: Blocks,
    cluster_extra: u64,
    beyond: Beyond,
}

impl Scale {
    pub(crate) fn new(profile: Profile) -> Scale {
        let slot_links = match profile.family {
            Family::Redis if profile.version < Version::new(7, 0) => 0,
            Family::Redis if profile.version < Version::new(7, 2) => 16,
            Family::Redis if profile.version < Version::new(7, 4) => 8,
            Family::Redis => 0,
            Family::Valkey if profile.version < Version::new(8, 0) => 8,
            Family::Valkey => 0,
        };
        Scale {
            blocks: Blocks::of(&profile),
            beyond: Beyond::new(&profile),
            cluster_extra: if profile.cluster { slot_links } else { 0 },
            profile,
        }
    }

    pub(crate) fn blocks(&self) -> Blocks {
        self.blocks
    }

    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// True if keys weigh the same under `other`.
    pub(crate) fn same_as(&self, other: &Profile) -> bool {
        let mine = &self.profile;
        (mine.family, mine.version, mine.cluster, mine.allocator)
            == (other.family, other.version, other.cluster, other.allocator)
    }

    /// True if the allocator gives equal requests blocks of different sizes, by what was freed before
    /// anywhere in the process: there only the server knows what a key's blocks are.
    #[inline]
    pub(crate) fn blocks_vary(&self) -> bool {
        self.profile.allocator.libc
    }

    /// True if writes themselves leave the bytes of some keys open.
    #[inline]
    pub(crate) fn writes_leave_open(&self) -> bool {
        self.blocks_vary() || self.profile.list_compress > 0 || self.has_dicts()
    }

    /// True if collections have dicts: how long two tables of one stand beside each other is a matter of
    /// chance, unlike with the tables of Valkey 8.1 and later as they grow.
    #[inline]
    pub(crate) fn has_dicts(&self) -> bool {
        matches!(
            TableKind::of(&self.profile),
            TableKind::DictTenth | TableKind::DictEighth
        )
    }

    /// Weighs a record; `name` is the length of its name and `large` its value, if elsewhere.
    pub(crate) fn weigh<'a>(
        &self,
        record: &Record<'_>,
        name: u64,
        large: impl FnOnce(u32) -> Option<&'a Entry>,
    ) -> Weight {
        let key = Seated {
            name,
            expire_ms: record.expire_ms,
            seat: record.seat,
        };
        let (mut bare, mut table) = (false, None);
        let arrays = self.beyond.rounds_arrays();
        let (count, memory, value, volatile) = match record.body() {
            Body::Str(value) => {
                let weight = self.weigh_str(&value, key, record.doubt);
                return Weight {
                    bytes: with_extra(weight.bytes, record.extra),
                    ..weight
                };
            }
            Body::Packed {
                count,
                memory,
                packed,
            } => {
                let (kind, encoding) = (record.form.kind(), record.form.encoding());
                bare = packing::is_bare(kind, count, packed);
                if arrays {
                    table = packing::table(kind, encoding, packed);
                }
                let volatile = Hash::packed_volatile(kind, encoding, packed);
                (count, memory, None, volatile)
            }
            Body::Elsewhere(handle) => large(handle).map_or((0, 0, None, false), |entry| {
                let value = &entry.value;
                table = value.table().filter(|_| arrays);
                let memory = value.memory(&self.profile);
                (value.count(), memory, Some(value), value.is_volatile())
            }),
        };
        Weight {
            form: record.form,
            doubt: record.doubt,
            expire_ms: record.expire_ms,
            seat: record.seat,
            count,
            bytes: with_extra(self.keyed(memory, key), record.extra),
            bare,
            beyond: self.beyond.of(&Usage {
                form: record.form,
                key,
                count,
                memory,
                number: None,
                value,
                table,
            }),
            volatile,
        }
    }

    /// Weighs a string that is not in the store yet.
    pub(crate) fn weigh_str(&self, value: &Str, key: Seated, doubt: Doubt) -> Weight {
        let form = Form::of_str(value);
        let number = match value.form() {
            StrForm::Int(n) => Some(n),
            StrForm::Raw | StrForm::Grown(_) | StrForm::Embstr => None,
        };
        Weight {
            form,
            doubt,
            expire_ms: key.expire_ms,
            seat: key.seat,
            count: value.len(),
            bytes: self.string(value, key),
            bare: false,
            beyond: self.beyond.of(&Usage {
                form,
                key,
                count: value.len(),
                memory: 0,
                number,
                value: None,
                table: None,
            }),
            volatile: false,
        }
    }

    /// Weighs an entry that is not in the store yet.
    pub(crate) fn weigh_entry(&self, entry: &Entry, name: u64, seat: bool) -> Weight {
        let key = Seated {
            name,
            expire_ms: entry.expire_ms,
            seat,
        };
        let memory = match &entry.value {
            Value::String(value) => {
                let weight = self.weigh_str(value, key, entry.doubt);
                return Weight {
                    bytes: with_extra(weight.bytes, entry.extra),
                    ..weight
                };
            }
            Value::List(_)
            | Value::Set(_)
            | Value::Zset(_)
            | Value::Hash(_)
            | Value::Stream(_)
            | Value::Module(_)
            | Value::Bare(_) => entry.value.memory(&self.profile),
        };
        let form = Form::of(entry.value.kind(), entry.value.encoding());
        let count = entry.value.count();
        let bare = matches!(entry.value, Value::Bare(_));
        Weight {
            form,
            doubt: entry.doubt,
            expire_ms: entry.expire_ms,
            seat,
            count,
            bytes: with_extra(self.keyed(memory, key), entry.extra),
            bare,
            beyond: self.beyond.of(&Usage {
                form,
                key,
                count,
                memory,
                number: None,
                // As from its record, which holds nothing of it.
                value: (!bare).then_some(&entry.value),
                table: entry.value.table().filter(|_| self.beyond.rounds_arrays()),
            }),
            volatile: entry.value.is_volatile(),
        }
    }

    /// Which block a key has after a write: `old` is what it was before, `after` what it is to be, in
    /// that form.
    ///
    /// Valkey 8.1 and later (db.c `dbSetValue`, object.c `objectSetExpire`): an object without room
    /// for an expiry gets a new block with the first one and keeps it when the expiry goes; a new
    /// value moves into the old block unless one of the two is embedded, and then the new block is
    /// made with the expiry of the moment. Valkey 8.0: the block is the entry's, for as long as the
    /// key is there.
    pub(crate) fn seat(
        &self,
        old: Option<&Weight>,
        after: Seated,
        form: Form,
        arrival: Arrival,
    ) -> bool {
        let Some(old) = old else { return false };
        match (self.blocks, arrival) {
            (Blocks::Split, _) | (_, Arrival::Anew) => false,
            (Blocks::KeyInEntry, _) => old.seat,
            (Blocks::KeyInObject64 | Blocks::KeyInObject128, _) => {
                let had = old.expire_ms.is_some();
                let was_embedded = old.form == Form::EMBSTR;
                let moves = match arrival {
                    Arrival::Argument { short } => short || was_embedded,
                    Arrival::Edit | Arrival::Anew => was_embedded && form != Form::EMBSTR,
                };
                let slot = had || (old.seat && !moves);
                slot && after.expire_ms.is_none()
            }
        }
    }

    /// The same for a key that came with a snapshot: only Valkey 8.0 leaves a difference, where it
    /// loaded the key itself (db.c `dbAddRDBLoad`).
    pub(crate) fn loaded_seat(&self, name: u64) -> bool {
        self.blocks == Blocks::KeyInEntry && self.profile.reloaded && name < 32
    }

    pub(crate) fn string(&self, value: &Str, key: Seated) -> u64 {
        let holder = Holder {
            name: key.name,
            expires: key.has_slot(),
        };
        if value.encoding() == Encoding::Embstr
            && let Some(block) = embedded_block(value.len(), holder, self.blocks)
        {
            return self.profile.allocator.class(block);
        }
        self.keyed(value.memory(&self.profile), key)
    }

    /// A key of so many bytes, that is no string, under another name.
    pub(crate) fn renamed(&self, bytes: u64, key: Seated, then: Seated) -> u64 {
        // The part of the key does not depend on the value.
        let (part, other) = (self.keyed(OBJECT, key), self.keyed(OBJECT, then));
        (bytes + other).saturating_sub(part).min(bytes)
    }

    /// A value's memory with its key's part.
    pub(crate) fn keyed(&self, memory: u64, key: Seated) -> u64 {
        let allocator = self.profile.allocator;
        let header = u64::from(tight_header(key.name));
        match self.blocks {
            Blocks::Split => memory + DICT_ENTRY + self.cluster_extra + allocator.sds(key.name),
            Blocks::KeyInEntry => {
                // The header is that of the text it was copied from: an argument's is never the
                // shortest one, a loaded name's is (sds.c `sdscopytobuffer`).
                let header = if key.seat { header } else { header.max(3) };
                memory + allocator.class(17 + header + key.name + 1)
            }
            Blocks::KeyInObject64 => memory,
            Blocks::KeyInObject128 => {
                let slot = if key.has_slot() || key.name >= 128 {
                    8
                } else {
                    0
                };
                let object = allocator.class(OBJECT + 1 + header + key.name + 1 + slot);
                (memory + object).saturating_sub(OBJECT)
            }
        }
    }
}

/// Bytes with those that the server told of beside them.
#[inline]
fn with_extra(bytes: u64, extra: i32) -> u64 {
    bytes.saturating_add_signed(i64::from(extra))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(profile: Profile, name: u64, len: u64, expire_ms: Option<i64>) -> u64 {
        let holder = Holder {
            name,
            expires: expire_ms.is_some(),
        };
        let value = Str::fresh(len, None, holder, &profile);
        let key = Seated {
            name,
            expire_ms,
            seat: false,
        };
        Scale::new(profile)
            .weigh_str(&value, key, Doubt::None)
            .bytes
    }

    #[test]
    fn redis_adds_the_name_and_its_entry() {
        let redis = Profile::defaults(Family::Redis, Version::new(7, 0));
        // object and text 16+3+5+1 = 25 -> 32, entry 24, name 1+3+1 -> 8.
        assert_eq!(usage(redis.clone(), 3, 5, None), 32 + 24 + 8);
        assert_eq!(usage(redis, 3, 100, Some(1)), 16 + 112 + 24 + 8);
    }

    #[test]
    fn valkey_9_counts_one_block() {
        let valkey = Profile::defaults(Family::Valkey, Version::new(9, 1));
        // 8+1+(1+3+1)+(5+4) = 23 -> 32; with a slot for the expiry 31 -> 32.
        assert_eq!(usage(valkey.clone(), 3, 5, None), 32);
        assert_eq!(usage(valkey, 3, 5, Some(1)), 32);
    }
}
