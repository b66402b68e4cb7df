//! A hash: fields by fingerprint, their values' lengths and numbers, and the server's encoding.
//!
//! ```text
//! listpack --(first field expiry: Redis)--> listpackex
//!     \                                       /
//!      +--(too many fields, or one too long)-+--> hashtable       never back while it lives
//!      (first field expiry: Valkey)
//! ```
//!
//! Conversions are those of t_hash.c. An expired field stays, and counts in HLEN, until the
//! server's HDEL for it comes down the stream.

mod build;

pub use build::Builder;
pub(crate) use build::loaded_table;

use super::elements::{
    At, BLOB_MAX, Block, Elements, Field, FieldRecord, Fit, Sizes, Stay, Table, Usage,
    expiry_entry, put_varint, shift, table_on, take_varint,
};
use crate::profile::{Family, Profile};
use crate::value::{Encoding, Kind};

/// A hash.
#[derive(Clone, Debug)]
pub struct Hash {
    form: Form,
    /// Fields with an expiry.
    expiring: u64,
    fields: Elements<FieldRecord>,
}

/// The server's representation, with its running sum.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// A blob whose entries are `bytes` in all.
    Listpack { bytes: u64 },
    /// The same with an expiry entry per field.
    ListpackEx { bytes: u64 },
    /// A table whose blocks are `blocks` in all.
    Hashtable { table: Table, blocks: u64 },
}

/// What a write does with the expiry that the field had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Dropped.
    Clear,
    /// Kept.
    Keep,
    /// Replaced, unix milliseconds.
    At(i64),
}

impl Default for Hash {
    fn default() -> Hash {
        Hash::new()
    }
}

/// Bits that are known of every element's digest.
const ELEMENT_BITS: u64 = (1 << 48) - 1;

impl Hash {
    /// An empty hash, as every command creates one.
    pub(crate) fn new() -> Hash {
        Hash {
            form: Form::Listpack { bytes: 0 },
            expiring: 0,
            fields: Elements::new(),
        }
    }

    /// Fields.
    pub fn count(&self) -> u64 {
        self.fields.len() as u64
    }

    /// Fields that have an expiry.
    pub fn expiring(&self) -> u64 {
        self.expiring
    }

    /// The server's table, if it is in one.
    pub(crate) fn table(&self) -> Option<Table> {
        match self.form {
            Form::Listpack { .. } | Form::ListpackEx { .. } => None,
            Form::Hashtable { table, .. } => Some(table),
        }
    }

    /// Encoding.
    pub fn encoding(&self) -> Encoding {
        match self.form {
            Form::Listpack { .. } => Encoding::Listpack,
            Form::ListpackEx { .. } => Encoding::ListpackEx,
            Form::Hashtable { .. } => Encoding::Hashtable,
        }
    }

    /// Bytes of the value part of MEMORY USAGE.
    pub fn memory(&self, profile: &Profile) -> u64 {
        let sizes = Sizes::of(profile);
        match self.form {
            Form::Listpack { bytes } => sizes.blob(bytes),
            Form::ListpackEx { bytes } => sizes.blob_ex(bytes),
            Form::Hashtable { table, blocks } => {
                sizes.hash_table(table, self.count(), blocks, self.expiring)
            }
        }
    }

    /// Takes what the server says of the value part, if the hash is in a table.
    pub(crate) fn fit(&mut self, usage: Usage, profile: &Profile) -> Option<Fit> {
        let (sizes, n) = (Sizes::of(profile), self.count());
        let Form::Hashtable { table, blocks } = &mut self.form else {
            return None;
        };
        let found = sizes.fit_hash(*table, n, (*blocks, self.expiring), usage);
        (*table, *blocks) = (found.table, shift(*blocks, found.rest));
        Some(found.fit)
    }

    /// Returns the buffer that the builder was lent, see `Elements::give_back`.
    pub(crate) fn give_back(&mut self, stay: Stay, run: &mut Vec<u8>) {
        self.fields.give_back(stay, run);
    }

    /// Bytes the model allocates.
    pub fn heap_bytes(&self) -> usize {
        self.fields.heap_bytes()
    }

    /// Appends the in-record form; false if it is too large for one.
    pub fn pack(&self, out: &mut Vec<u8>) -> bool {
        let mut head = Vec::with_capacity(24);
        match self.form {
            Form::Listpack { bytes } => put_varint(bytes, &mut head),
            Form::ListpackEx { bytes } => {
                put_varint(self.expiring, &mut head);
                put_varint(bytes, &mut head);
            }
            Form::Hashtable { table, blocks } => {
                put_varint(self.expiring, &mut head);
                table.pack(&mut head);
                put_varint(blocks, &mut head);
            }
        }
        self.fields.pack(&head, out)
    }

    /// True if any field of an in-record form expires.
    pub(crate) fn packed_volatile(kind: Kind, encoding: Encoding, mut packed: &[u8]) -> bool {
        let counts = matches!(encoding, Encoding::Hashtable | Encoding::ListpackEx);
        // What expires comes first.
        kind == Kind::Hash && counts && take_varint(&mut packed).is_some_and(|n| n > 0)
    }

    /// The inverse of [`Hash::pack`].
    pub fn unpack(encoding: Encoding, mut bytes: &[u8]) -> Option<Hash> {
        let mut expiring = 0;
        let form = match encoding {
            Encoding::Listpack => Form::Listpack {
                bytes: take_varint(&mut bytes)?,
            },
            Encoding::ListpackEx => {
                expiring = take_varint(&mut bytes)?;
                Form::ListpackEx {
                    bytes: take_varint(&mut bytes)?,
                }
            }
            Encoding::Hashtable => {
                expiring = take_varint(&mut bytes)?;
                Form::Hashtable {
                    table: Table::unpack(&mut bytes)?,
                    blocks: take_varint(&mut bytes)?,
                }
            }
            Encoding::Raw
            | Encoding::Embstr
            | Encoding::Int
            | Encoding::Intset
            | Encoding::Quicklist
            | Encoding::Skiplist
            | Encoding::Stream
            | Encoding::Module => return None,
        };
        Some(Hash {
            form,
            expiring,
            fields: Elements::unpack(bytes)?,
        })
    }

    /// The field with this digest.
    pub(crate) fn get(&self, digest: u64) -> Option<Field> {
        self.find(digest).map(|(_, field)| field)
    }

    fn find(&self, digest: u64) -> Option<(At, Field)> {
        let at = self.fields.find(digest)?;
        Some((at, Field::unpack(self.fields.payload(at))))
    }

    /// Calls `visit` with every field.
    pub(crate) fn each(&self, mut visit: impl FnMut(Field)) {
        self.fields.each(|_, payload| visit(Field::unpack(payload)));
    }

    /// Calls `visit` with every field and a figure that fields of the same name share.
    pub(crate) fn each_named(&self, mut visit: impl FnMut(u64, Field)) {
        self.fields.each(|digest, payload| {
            visit(digest & ELEMENT_BITS, Field::unpack(payload));
        });
    }

    /// Calls `visit` with fields until it says that it has seen enough.
    pub(crate) fn some(&self, mut visit: impl FnMut(Field) -> bool) {
        self.fields.all(|payload| visit(Field::unpack(payload)));
    }

    /// A figure that hashes of the same field names share, and others hardly ever.
    pub(crate) fn signature(&self) -> u64 {
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut sum = 0u64;
        self.fields.each(|digest, _| {
            sum = sum.wrapping_add((digest & ELEMENT_BITS).wrapping_mul(SPREAD).rotate_left(29));
        });
        sum
    }

    /// The running sum of the form: entry bytes or blocks.
    pub(crate) fn known_sum(&self) -> u64 {
        let (Form::Listpack { bytes: sum }
        | Form::ListpackEx { bytes: sum }
        | Form::Hashtable { blocks: sum, .. }) = self.form;
        sum
    }

    /// A command with these pairs comes: the server converts before it looks at any of them
    /// (`hashTypeTryConversion`; the count matters from 7.2 on). `longest` is the longest field or
    /// value, `total` all of them.
    pub(crate) fn expect(&mut self, pairs: u64, longest: u64, total: u64, profile: &Profile) {
        let (Form::Listpack { bytes } | Form::ListpackEx { bytes }) = self.form else {
            return;
        };
        if profile.small_sets() && pairs > profile.hash_entries_max {
            self.become_table(pairs, profile);
        } else if longest > profile.hash_value_max || bytes + total > BLOB_MAX {
            self.become_table(0, profile);
        }
    }

    /// Sets a field (`hashTypeSet`); true if it is new.
    pub(crate) fn set(
        &mut self,
        digest: u64,
        mut field: Field,
        expiry: Expiry,
        profile: &Profile,
    ) -> bool {
        // 6.x looks at lengths only up front, so that HINCRBY does not convert.
        if !profile.ziplists()
            && field.name.len.max(field.value.len) > profile.hash_value_max
            && self.encoding() != Encoding::Hashtable
        {
            self.become_table(0, profile);
        }
        let found = self.find(digest);
        let old = found.map(|(_, old)| old);
        field.expire_ms = match expiry {
            Expiry::Clear => None,
            Expiry::Keep => old.and_then(|old| old.expire_ms),
            Expiry::At(ms) => Some(ms),
        };
        if let Some(old) = old {
            // The server keeps the first spelling's block; equal text has equal lengths.
            field.name = old.name;
            field.block = self.block_after(&old, &field, profile);
        }
        self.put(digest, found, &field, profile);
        if old.is_some() {
            self.make_room(profile);
        }
        if self.count() > profile.hash_entries_max && self.encoding() != Encoding::Hashtable {
            self.become_table(0, profile);
        }
        found.is_none()
    }

    /// The block that a field has after a change of its value or expiry.
    fn block_after(&self, old: &Field, new: &Field, profile: &Profile) -> Block {
        match self.form {
            Form::Listpack { .. } | Form::ListpackEx { .. } => Block::Usual,
            Form::Hashtable { .. } => Sizes::of(profile).block_after(old, new),
        }
    }

    /// Some versions look for a free place even where the field is there already.
    fn make_room(&mut self, profile: &Profile) {
        let (sizes, used) = (Sizes::of(profile), self.count());
        if let Form::Hashtable { table, .. } = &mut self.form
            && sizes.field_room()
        {
            table.make_room(sizes.kind, used);
        }
    }

    /// Gives an existing field another expiry; false if there is no such field.
    pub(crate) fn expire(
        &mut self,
        digest: u64,
        expire_ms: Option<i64>,
        profile: &Profile,
    ) -> bool {
        let Some((at, old)) = self.find(digest) else {
            return false;
        };
        let mut field = Field { expire_ms, ..old };
        field.block = self.block_after(&old, &field, profile);
        self.put(digest, Some((at, old)), &field, profile);
        true
    }

    /// Writes a field and keeps the sums.
    fn put(&mut self, digest: u64, found: Option<(At, Field)>, field: &Field, profile: &Profile) {
        let sizes = Sizes::of(profile);
        let used = self.count();
        if let Form::Hashtable { table, .. } = &mut self.form {
            if found.is_none() {
                table.insert(sizes.kind, used, sizes.field_steps());
            } else {
                table.step(sizes.kind, used, 1);
            }
        }
        let gone = found.map_or(0, |(_, old)| self.weigh(&old, sizes));
        let come = self.weigh(field, sizes);
        let (Form::Listpack { bytes: sum }
        | Form::ListpackEx { bytes: sum }
        | Form::Hashtable { blocks: sum, .. }) = &mut self.form;
        *sum = (*sum + come).saturating_sub(gone);
        if found.is_some_and(|(_, old)| old.expire_ms.is_some()) {
            self.expiring -= 1;
        }
        if field.expire_ms.is_some() {
            self.expiring += 1;
        }
        match found {
            Some((at, _)) => self.fields.replace(at, field.pack().as_bytes()),
            None => self.fields.add(digest, &field.pack()),
        }
    }

    /// What one field adds to the running sum.
    fn weigh(&self, field: &Field, sizes: Sizes) -> u64 {
        match self.form {
            Form::Listpack { .. } => sizes.entry(&field.name) + sizes.entry(&field.value),
            Form::ListpackEx { .. } => {
                sizes.entry(&field.name) + sizes.entry(&field.value) + expiry_entry(field.expire_ms)
            }
            Form::Hashtable { .. } => sizes.field_block(field),
        }
    }

    /// Removes a field; false if it was not there.
    pub(crate) fn remove(&mut self, digest: u64, profile: &Profile) -> bool {
        let (sizes, used) = (Sizes::of(profile), self.count());
        let Some((at, old)) = self.find(digest) else {
            if let Form::Hashtable { table, .. } = &mut self.form {
                table.step(sizes.kind, used, 1);
            }
            return false;
        };
        let gone = self.weigh(&old, sizes);
        self.fields.remove(at);
        self.expiring -= u64::from(old.expire_ms.is_some());
        let used = self.count();
        let (Form::Listpack { bytes: sum }
        | Form::ListpackEx { bytes: sum }
        | Form::Hashtable { blocks: sum, .. }) = &mut self.form;
        *sum = sum.saturating_sub(gone);
        if let Form::Hashtable { table, .. } = &mut self.form {
            table.remove(sizes.kind, used);
        }
        true
    }

    /// The first field expiry comes: Redis adds it to the listpack, Valkey goes to a table for ever.
    pub(crate) fn prepare_expiry(&mut self, profile: &Profile) {
        let Form::Listpack { .. } = self.form else {
            return;
        };
        match profile.family {
            Family::Redis => self.reform(Form::ListpackEx { bytes: 0 }, profile),
            Family::Valkey => self.become_table(0, profile),
        }
    }

    /// Takes the encoding that the server says the hash has.
    pub(crate) fn take_encoding(&mut self, encoding: Encoding, profile: &Profile) {
        if encoding == self.encoding() {
            return;
        }
        if encoding == Encoding::Hashtable {
            self.become_table(0, profile);
        } else if encoding == Encoding::ListpackEx {
            self.reform(Form::ListpackEx { bytes: 0 }, profile);
        } else if encoding == Encoding::Listpack {
            self.reform(Form::Listpack { bytes: 0 }, profile);
        }
    }

    /// A table for the fields there are, then made larger for `hint` (`hashTypeConvert`). Before 7.0 it
    /// is not made for as many, but grows as they come.
    fn become_table(&mut self, hint: u64, profile: &Profile) {
        let kind = Sizes::of(profile).kind;
        let mut table = if profile.ziplists() {
            Table::filled(kind, self.count())
        } else {
            Table::sized(kind, self.count())
        };
        if hint > 0 {
            table.expand(kind, self.count(), hint);
        }
        self.reform(Form::Hashtable { table, blocks: 0 }, profile);
    }

    /// Follows another server than before; `None` if it is not known which one that was.
    pub(crate) fn reweigh(&mut self, from: Option<&Profile>, to: &Profile) {
        let mut form = self.form;
        if let Form::Hashtable { table, .. } = &mut form {
            *table = table_on(*table, self.count(), from, to);
        }
        self.reform(form, to);
    }

    /// Takes a form and sums the fields in it.
    fn reform(&mut self, form: Form, profile: &Profile) {
        let sizes = Sizes::of(profile);
        self.form = form;
        let mut total = 0;
        self.each(|field| total += self.weigh(&field, sizes));
        let (Form::Listpack { bytes: sum }
        | Form::ListpackEx { bytes: sum }
        | Form::Hashtable { blocks: sum, .. }) = &mut self.form;
        *sum = total;
    }
}

#[cfg(test)]
mod tests;
