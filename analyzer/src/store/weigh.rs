//! What a key weighs on its server: MEMORY USAGE, the part of the key included
//! (`reference/memory-model.md` sections 1 and 3.2).

use crate::command::{Doubt, Entry};
use crate::profile::{Family, Profile, Version};
use crate::store::record::{Body, Form, Record};
use crate::value::string::{Blocks, Str, header_of};
use crate::value::{Encoding, Value};

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
    /// Bytes of a string, elements of a collection.
    pub(crate) count: u64,
    /// MEMORY USAGE.
    pub(crate) bytes: u64,
}

/// A key as its weight depends on it.
#[derive(Clone, Copy, Debug)]
struct Holder {
    name: u64,
    expires: bool,
}

/// The formulas of one server.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    profile: Profile,
    blocks: Blocks,
    cluster_extra: u64,
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
            cluster_extra: if profile.cluster { slot_links } else { 0 },
            profile,
        }
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

    /// Weighs a record; `name` is the length of its name and `large` its value, if elsewhere.
    pub(crate) fn weigh<'a>(
        &self,
        record: &Record<'_>,
        name: u64,
        large: impl FnOnce(u32) -> Option<&'a Entry>,
    ) -> Weight {
        let holder = Holder {
            name,
            expires: record.expire_ms.is_some(),
        };
        let (count, bytes) = match record.body() {
            Body::Str(value) => (value.len(), self.string(&value, holder)),
            Body::Packed { count, memory, .. } => (count, self.keyed(memory, holder)),
            Body::Elsewhere(handle) => large(handle).map_or((0, 0), |entry| {
                let memory = entry.value.memory(&self.profile);
                (entry.value.count(), self.keyed(memory, holder))
            }),
        };
        Weight {
            form: record.form,
            doubt: record.doubt,
            expire_ms: record.expire_ms,
            count,
            bytes,
        }
    }

    /// Weighs a string that is not in the store yet.
    pub(crate) fn weigh_str(
        &self,
        value: &Str,
        name: u64,
        expire_ms: Option<i64>,
        doubt: Doubt,
    ) -> Weight {
        let holder = Holder {
            name,
            expires: expire_ms.is_some(),
        };
        Weight {
            form: Form::of_str(value),
            doubt,
            expire_ms,
            count: value.len(),
            bytes: self.string(value, holder),
        }
    }

    /// Weighs an entry that is not in the store yet.
    pub(crate) fn weigh_entry(&self, entry: &Entry, name: u64) -> Weight {
        let holder = Holder {
            name,
            expires: entry.expire_ms.is_some(),
        };
        let bytes = match &entry.value {
            Value::String(value) => self.string(value, holder),
            Value::List(_)
            | Value::Set(_)
            | Value::Zset(_)
            | Value::Hash(_)
            | Value::Stream(_)
            | Value::Module(_) => self.keyed(entry.value.memory(&self.profile), holder),
        };
        Weight {
            form: Form::of(entry.value.kind(), entry.value.encoding()),
            doubt: entry.doubt,
            expire_ms: entry.expire_ms,
            count: entry.value.count(),
            bytes,
        }
    }

    fn string(&self, value: &Str, holder: Holder) -> u64 {
        let allocator = self.profile.allocator;
        let name = u64::from(header_of(holder.name)) + holder.name + 1;
        let slot = if holder.expires { 8 } else { 0 };
        match (self.blocks, value.encoding()) {
            (Blocks::KeyInObject64, Encoding::Embstr) => {
                allocator.class(OBJECT + 4 + value.len() + 1 + name + slot)
            }
            (Blocks::KeyInObject128, Encoding::Embstr) => {
                allocator.class(8 + 1 + name + (value.len() + 4).max(8) + slot)
            }
            _ => self.keyed(value.memory(&self.profile), holder),
        }
    }

    /// A value's memory with its key's part.
    fn keyed(&self, memory: u64, holder: Holder) -> u64 {
        let allocator = self.profile.allocator;
        let header = u64::from(header_of(holder.name));
        match self.blocks {
            Blocks::Split => memory + DICT_ENTRY + self.cluster_extra + allocator.sds(holder.name),
            Blocks::KeyInEntry => memory + allocator.class(17 + header + holder.name + 1),
            Blocks::KeyInObject64 => memory,
            Blocks::KeyInObject128 => {
                let slot = if holder.expires || holder.name >= 128 {
                    8
                } else {
                    0
                };
                let object = allocator.class(OBJECT + 1 + header + holder.name + 1 + slot);
                (memory + object).saturating_sub(OBJECT)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::string::Holder as StrHolder;

    fn usage(profile: Profile, name: u64, len: u64, expire_ms: Option<i64>) -> u64 {
        let holder = StrHolder {
            name,
            expires: expire_ms.is_some(),
        };
        let value = Str::fresh(len, None, holder, &profile);
        Scale::new(profile)
            .weigh_str(&value, name, expire_ms, Doubt::None)
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
