//! Building a hash from a loaded object.

use super::{Form, Hash};
use crate::command::Malformed;
use crate::input::{Part, Shape, Source};
use crate::profile::Profile;
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
                table: Table::grown(self.sizes.kind, n),
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
        Some(hash)
    }
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
