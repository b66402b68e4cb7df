//! A sorted set: members by fingerprint, each with its score.
//!
//! ```text
//! listpack --(too many members, or one too long)--> skiplist    back only by *STORE and loads
//! ```
//!
//! Order by score is known, order among equal scores is not: that needs the members' text. Removals
//! by rank say whether they had to choose among equals (order.rs).

mod build;
mod order;

pub use build::Builder;
pub(crate) use order::Picked;

use super::elements::{
    BLOB_MAX, Elements, Fit, Scored, ScoredRecord, Sizes, Stay, Table, Usage, milli, put_varint,
    shift, table_on, take_varint,
};
use crate::profile::{Family, Profile, Version};
use crate::value::Encoding;
use crate::value::info::Info;

/// A sorted set.
#[derive(Clone, Debug)]
pub struct Zset {
    form: Form,
    members: Elements<ScoredRecord>,
    /// Large sets that are read by rank or score keep their order for a while.
    order: Option<Box<order::Order>>,
}

/// The server's representation, with its running sum.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// A blob whose entries are `bytes` in all.
    Listpack { bytes: u64 },
    /// A table and a skiplist whose blocks are `blocks` thousandths of a byte in all.
    Skiplist { table: Table, blocks: u64 },
}

impl Zset {
    /// The empty sorted set that a server makes for `hint` members, the first or longest of them
    /// `longest` bytes (`zsetTypeCreate`; the number matters from 7.2 on).
    pub(crate) fn create(hint: u64, longest: u64, profile: &Profile) -> Zset {
        let many = if profile.small_sets() {
            hint > profile.zset_entries_max
        } else {
            profile.zset_entries_max == 0
        };
        let mut zset = Zset::listpack();
        if many || longest > profile.zset_value_max {
            zset.become_skiplist(if profile.small_sets() { hint } else { 0 }, profile);
        }
        zset
    }

    fn listpack() -> Zset {
        Zset {
            form: Form::Listpack { bytes: 0 },
            members: Elements::new(),
            order: None,
        }
    }

    /// Members.
    pub fn count(&self) -> u64 {
        self.members.len() as u64
    }

    /// Encoding.
    pub fn encoding(&self) -> Encoding {
        match self.form {
            Form::Listpack { .. } => Encoding::Listpack,
            Form::Skiplist { .. } => Encoding::Skiplist,
        }
    }

    /// The server's table, if it is in one.
    pub(crate) fn table(&self) -> Option<Table> {
        match self.form {
            Form::Listpack { .. } => None,
            Form::Skiplist { table, .. } => Some(table),
        }
    }

    /// Bytes of the value part of MEMORY USAGE.
    pub fn memory(&self, profile: &Profile) -> u64 {
        let sizes = Sizes::of(profile);
        match self.form {
            Form::Listpack { bytes } => sizes.blob(bytes),
            Form::Skiplist { table, blocks } => sizes.skiplist(table, self.count(), blocks),
        }
    }

    /// Takes what the server says of the value part, if the set has a skiplist.
    pub(crate) fn fit(&mut self, usage: Usage, profile: &Profile) -> Option<Fit> {
        let (sizes, n) = (Sizes::of(profile), self.count());
        let Form::Skiplist { table, blocks } = &mut self.form else {
            return None;
        };
        let found = sizes.fit_skiplist(*table, n, *blocks, usage);
        (*table, *blocks) = (found.table, shift(*blocks, milli(found.rest)));
        Some(found.fit)
    }

    /// Returns the buffer that the builder was lent, see `Elements::give_back`.
    pub(crate) fn give_back(&mut self, stay: Stay, run: &mut Vec<u8>) {
        self.members.give_back(stay, run);
    }

    /// Bytes the model allocates.
    pub fn heap_bytes(&self) -> usize {
        let order = self.order.as_ref().map_or(0, |order| order.heap_bytes());
        self.members.heap_bytes() + order
    }

    /// Appends the in-record form; false if it is too large for one.
    pub fn pack(&self, out: &mut Vec<u8>) -> bool {
        let mut head = Vec::with_capacity(16);
        match self.form {
            Form::Listpack { bytes } => put_varint(bytes, &mut head),
            Form::Skiplist { table, blocks } => {
                table.pack(&mut head);
                put_varint(blocks, &mut head);
            }
        }
        self.members.pack(&head, out)
    }

    /// The inverse of [`Zset::pack`].
    pub fn unpack(encoding: Encoding, mut bytes: &[u8]) -> Option<Zset> {
        let form = match encoding {
            Encoding::Listpack => Form::Listpack {
                bytes: take_varint(&mut bytes)?,
            },
            Encoding::Skiplist => Form::Skiplist {
                table: Table::unpack(&mut bytes)?,
                blocks: take_varint(&mut bytes)?,
            },
            Encoding::Raw
            | Encoding::Embstr
            | Encoding::Int
            | Encoding::ListpackEx
            | Encoding::Quicklist
            | Encoding::Intset
            | Encoding::Hashtable
            | Encoding::Stream
            | Encoding::Module => return None,
        };
        Some(Zset {
            form,
            members: Elements::unpack(bytes)?,
            order: None,
        })
    }

    /// The member with this digest.
    pub(crate) fn get(&self, digest: u64) -> Option<Scored> {
        let at = self.members.find(digest)?;
        Some(Scored::unpack(self.members.payload(at)))
    }

    /// Calls `visit` with the known digest bits of every member, and the member.
    pub(crate) fn each(&self, mut visit: impl FnMut(u64, Scored)) {
        self.members
            .each(|digest, payload| visit(digest, Scored::unpack(payload)));
    }

    /// A ZADD with `hint` members comes (`zsetTypeMaybeConvert`: the number matters from 7.2 on, the
    /// longest member on Valkey 8).
    pub(crate) fn expect(&mut self, hint: u64, longest: u64, profile: &Profile) {
        let Form::Listpack { .. } = self.form else {
            return;
        };
        if (profile.small_sets() && hint > profile.zset_entries_max)
            || (by_longest(profile) && longest > profile.zset_value_max)
        {
            self.become_skiplist(hint, profile);
        }
    }

    /// Adds a member that is not there yet (`zsetAdd`).
    pub(crate) fn add(&mut self, digest: u64, text: Info, score: f64, profile: &Profile) {
        let sizes = Sizes::of(profile);
        let scored = Scored { text, score };
        if let Form::Listpack { bytes } = self.form
            && (self.count() + 1 > profile.zset_entries_max
                || text.len > profile.zset_value_max
                || bytes + text.len > BLOB_MAX)
        {
            self.outgrow(profile);
        }
        let used = self.count();
        let come = self.weigh(&scored, sizes);
        if let Form::Skiplist { table, .. } = &mut self.form {
            // Searched for first, then added.
            table.insert(sizes.kind, used, 2);
        }
        *self.sum() += come;
        self.members.add(digest, &scored.pack());
        if let Some(order) = &mut self.order {
            order.add(score, digest);
        }
        self.tick();
    }

    /// Gives an existing member another score.
    pub(crate) fn rescore(&mut self, digest: u64, score: f64, profile: &Profile) {
        let (sizes, used) = (Sizes::of(profile), self.count());
        let Some(at) = self.members.find(digest) else {
            return;
        };
        let old = Scored::unpack(self.members.payload(at));
        let new = Scored { score, ..old };
        let (gone, come) = (self.weigh(&old, sizes), self.weigh(&new, sizes));
        if let Form::Skiplist { table, .. } = &mut self.form {
            table.step(sizes.kind, used, 1);
        }
        let sum = self.sum();
        *sum = (*sum + come).saturating_sub(gone);
        self.members.replace(at, new.pack().as_bytes());
        if let Some(order) = &mut self.order {
            order.remove(old.score, digest);
            order.add(score, digest);
        }
        self.tick();
    }

    /// Removes a member; false if it was not there.
    pub(crate) fn remove(&mut self, digest: u64, profile: &Profile) -> bool {
        let (sizes, used) = (Sizes::of(profile), self.count());
        let Some(at) = self.members.find(digest) else {
            if let Form::Skiplist { table, .. } = &mut self.form {
                table.step(sizes.kind, used, 1);
            }
            return false;
        };
        let old = Scored::unpack(self.members.payload(at));
        let gone = self.weigh(&old, sizes);
        self.members.remove(at);
        let used = self.count();
        let sum = self.sum();
        *sum = sum.saturating_sub(gone);
        if let Form::Skiplist { table, .. } = &mut self.form {
            table.remove(sizes.kind, used);
        }
        if let Some(order) = &mut self.order {
            order.remove(old.score, digest);
        }
        self.tick();
        true
    }

    /// Calls `visit` with members until it says that it has seen enough.
    pub(crate) fn some(&self, mut visit: impl FnMut(Scored) -> bool) {
        self.members.all(|payload| visit(Scored::unpack(payload)));
    }

    /// The running sum of the form: entry bytes, or thousandths of block bytes.
    pub(crate) fn known_sum(&self) -> u64 {
        match self.form {
            Form::Listpack { bytes } => bytes,
            Form::Skiplist { blocks, .. } => blocks,
        }
    }

    fn sum(&mut self) -> &mut u64 {
        match &mut self.form {
            Form::Listpack { bytes } => bytes,
            Form::Skiplist { blocks, .. } => blocks,
        }
    }

    /// What one member adds to the running sum.
    fn weigh(&self, scored: &Scored, sizes: Sizes) -> u64 {
        match self.form {
            Form::Listpack { .. } => sizes.entry(&scored.text) + sizes.score_entry(scored.score),
            Form::Skiplist { .. } => sizes.node_block(scored),
        }
    }

    /// Takes the encoding that the server says the sorted set has.
    pub(crate) fn take_encoding(&mut self, encoding: Encoding, profile: &Profile) {
        if encoding == self.encoding() {
            return;
        }
        if encoding == Encoding::Skiplist {
            self.become_skiplist(0, profile);
        } else if encoding == Encoding::Listpack {
            self.reform(Form::Listpack { bytes: 0 }, profile);
        }
    }

    fn become_skiplist(&mut self, hint: u64, profile: &Profile) {
        let kind = Sizes::of(profile).kind;
        let table = Table::sized(kind, hint.max(self.count()));
        self.reform(Form::Skiplist { table, blocks: 0 }, profile);
    }

    /// The listpack is too small for one more: before 7.2 the table is not made for as many, but
    /// grows as they come (`zsetConvert`).
    fn outgrow(&mut self, profile: &Profile) {
        let kind = Sizes::of(profile).kind;
        if profile.small_sets() {
            return self.become_skiplist(self.count() + 1, profile);
        }
        let table = Table::filled(kind, self.count());
        self.reform(Form::Skiplist { table, blocks: 0 }, profile);
    }

    /// Follows another server than before; `None` if it is not known which one that was.
    pub(crate) fn reweigh(&mut self, from: Option<&Profile>, to: &Profile) {
        let mut form = self.form;
        if let Form::Skiplist { table, .. } = &mut form {
            *table = table_on(*table, self.count(), from, to);
        }
        self.reform(form, to);
    }

    /// Takes a form and sums the members in it.
    fn reform(&mut self, form: Form, profile: &Profile) {
        let sizes = Sizes::of(profile);
        self.form = form;
        let mut total = 0;
        self.each(|_, scored| total += self.weigh(&scored, sizes));
        *self.sum() = total;
    }

    /// The sorted set as a *STORE command or a load leaves it: a listpack if few and short members
    /// allow it, whatever it was built as (`zsetConvertToListpackIfNeeded`).
    pub(crate) fn settle(&mut self, profile: &Profile) {
        let mut longest = 0;
        self.each(|_, scored| longest = longest.max(scored.text.len));
        if self.count() <= profile.zset_entries_max && longest <= profile.zset_value_max {
            self.reform(Form::Listpack { bytes: 0 }, profile);
        } else {
            self.become_skiplist(0, profile);
        }
    }
}

/// True if ZADD's longest member decides for all of them (Valkey 8.0 and later).
pub(crate) fn by_longest(profile: &Profile) -> bool {
    profile.family == Family::Valkey && profile.version >= Version::new(8, 0)
}

#[cfg(test)]
mod tests;
