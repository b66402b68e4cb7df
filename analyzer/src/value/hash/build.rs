//! Building a hash from a loaded object.

use super::{Form, Hash};
use crate::command::Malformed;
use crate::input::{Part, Shape, Source};
use crate::profile::{Family, Profile};
use crate::value::elements::{Elements, Field, FieldRecord, Sizes, Table, expiry_entry};

/// Takes the parts of a loaded hash.
#[derive(Debug)]
pub struct Builder {
    shape: Shape,
    source: Source,
    seed: u64,
    sizes: Sizes,
    /// Running sum of the shape: entry bytes or blocks.
    sum: u64,
    expiring: u64,
    longest: u64,
    /// Fields that no listpack takes.
    long: u64,
    value_max: u64,
    fields: Elements<FieldRecord>,
}

impl Builder {
    /// Starts one.
    pub fn new(shape: Shape, source: Source, profile: &Profile, seed: u64) -> Builder {
        Builder {
            shape,
            source,
            seed,
            sizes: Sizes::of(profile),
            sum: 0,
            expiring: 0,
            longest: 0,
            long: 0,
            value_max: profile.hash_value_max,
            fields: Elements::new(),
        }
    }

    /// Gets ready for so many elements, see `Elements::expect`.
    pub(crate) fn expect(&mut self, count: u64, run: &mut Vec<u8>) {
        self.fields.expect(count, run);
    }

    /// Takes the next part.
    ///
    /// # Errors
    /// If the part is not one of a hash.
    pub fn part(&mut self, part: &Part<'_>) -> Result<(), Malformed> {
        let Part::Field {
            field: name,
            value,
            expire_ms,
        } = part
        else {
            return Err(Malformed);
        };
        let mut field = Field::of(name, value);
        field.expire_ms = *expire_ms;
        self.expiring += u64::from(expire_ms.is_some());
        self.longest = self.longest.max(field.name.len).max(field.value.len);
        self.long += u64::from(field.name.len.max(field.value.len) > self.value_max);
        self.sum += match self.shape {
            Shape::HashListpack => self.sizes.entry(&field.name) + self.sizes.entry(&field.value),
            Shape::HashListpackEx => {
                self.sizes.entry(&field.name)
                    + self.sizes.entry(&field.value)
                    + expiry_entry(*expire_ms)
            }
            Shape::HashTable
            | Shape::String
            | Shape::List
            | Shape::SetTable
            | Shape::SetIntset
            | Shape::SetListpack
            | Shape::ZsetSkiplist
            | Shape::ZsetListpack
            | Shape::Stream
            | Shape::Module => self.sizes.field_block(&field),
        };
        self.fields.add(name.digest(self.seed), &field.pack());
        Ok(())
    }

    /// The hash; `None` if it has no fields, which servers drop.
    pub fn finish(self, profile: &Profile) -> Option<Hash> {
        let n = self.fields.len() as u64;
        if n == 0 {
            return None;
        }
        let form = match self.shape {
            Shape::HashListpack => Form::Listpack { bytes: self.sum },
            Shape::HashListpackEx => Form::ListpackEx { bytes: self.sum },
            Shape::HashTable
            | Shape::String
            | Shape::List
            | Shape::SetTable
            | Shape::SetIntset
            | Shape::SetListpack
            | Shape::ZsetSkiplist
            | Shape::ZsetListpack
            | Shape::Stream
            | Shape::Module => Form::Hashtable {
                table: Table::in_image(self.sizes.kind, n, profile.reloaded),
                blocks: self.sum,
            },
        };
        let mut hash = Hash {
            form,
            expiring: self.expiring,
            fields: self.fields,
        };
        if self.source == Source::Rebuilt {
            hash.reload(self.longest, profile);
        }
        let loaded = self.source == Source::Rebuilt || profile.reloaded;
        if let Form::Hashtable { table, .. } = &mut hash.form
            && loaded
        {
            *table = loaded_table(n, self.long, self.expiring > 0, profile);
        }
        Some(hash)
    }
}

/// The table that a load leaves behind (rdb.c `rdbLoadObject`): fields go to a listpack until one is
/// too long for it, and then to a table that is made for those so far, and made anew for those that
/// are still to come.
///
/// The order in which they came is not that of the table they went to, so the first long one is
/// assumed where it is on average.
pub(crate) fn loaded_table(n: u64, long: u64, expiring: bool, profile: &Profile) -> Table {
    let kind = Sizes::of(profile).kind;
    let redis = profile.family == Family::Redis;
    if expiring && redis && n > profile.hash_entries_max {
        // Made for none of them, because they come with their expiries.
        let mut table = Table::empty(kind);
        table.fill(kind, 0, n);
        return table;
    }
    if long == 0 || n > profile.hash_entries_max || (!redis && expiring) {
        return Table::sized(kind, n);
    }
    let before = (n - long) / (long + 1);
    let mut table = if profile.ziplists() {
        // Before 7.0 a blob that is unpacked gets no table made for it.
        Table::filled(kind, before)
    } else {
        Table::sized(kind, before)
    };
    table.insert(kind, before, 1);
    let left = n - before - 1;
    if left > if redis { 4 } else { 0 } {
        table.expand(kind, before + 1, left);
    }
    table.fill(kind, before + 1, n);
    table
}

impl Hash {
    /// Re-encodes as a load does: a blob stays one unless it has too many fields, a table is built
    /// anew; one with expiries becomes a listpack with expiries on Redis and stays on Valkey.
    fn reload(&mut self, longest: u64, profile: &Profile) {
        let few = self.count() <= profile.hash_entries_max;
        match self.form {
            Form::Listpack { .. } | Form::ListpackEx { .. } if few => {}
            Form::Listpack { .. } | Form::ListpackEx { .. } => self.become_table(0, profile),
            Form::Hashtable { .. } => {
                if !few || longest > profile.hash_value_max {
                    self.become_table(0, profile);
                } else if self.expiring == 0 {
                    self.reform(Form::Listpack { bytes: 0 }, profile);
                } else {
                    self.form = Form::Listpack { bytes: 0 };
                    self.prepare_expiry(profile);
                }
            }
        }
    }
}
