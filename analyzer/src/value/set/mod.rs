//! A set: members by fingerprint, and the encoding that the server has.
//!
//! ```text
//! intset ----> listpack (7.2) ----> hashtable       never back while it lives;
//!    \___________________________/                  *STORE, SPOP of most members and loads rebuild
//! ```
//!
//! Conversions are those of t_set.c: an intset ends at `set-max-intset-entries` or the first member
//! that is no integer; a listpack at `set-max-listpack-entries` or a member longer than
//! `set-max-listpack-value`.

mod build;

pub use build::Builder;

use super::elements::{
    Elements, Fit, Member, MemberRecord, Sizes, Stay, Table, Usage, put_varint, shift, table_on,
    take_varint,
};
use crate::profile::Profile;
use crate::text::Text;
use crate::value::Encoding;

/// A set.
#[derive(Clone, Debug)]
pub struct Set {
    form: Form,
    members: Elements<MemberRecord>,
}

/// The server's representation, with its running sum.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// Sorted integers of `width` bytes.
    Intset { width: u8 },
    /// A blob whose entries are `bytes` in all.
    Listpack { bytes: u64 },
    /// A table whose member blocks are `blocks` in all.
    Hashtable { table: Table, blocks: u64 },
}

/// Bytes per integer of a new intset.
const INTSET_WIDTH: u8 = 2;

impl Set {
    /// The empty set that a server makes for a first member and `hint` members in all
    /// (t_set.c `setTypeCreate`; hints count from 7.2 on).
    pub(crate) fn create(first: &Text<'_>, hint: u64, profile: &Profile) -> Set {
        let integer = first.int().is_some();
        let form = if !profile.small_sets() {
            if integer {
                Form::Intset {
                    width: INTSET_WIDTH,
                }
            } else {
                Form::table(profile, 0)
            }
        } else if integer && hint <= profile.set_intset_max {
            Form::Intset {
                width: INTSET_WIDTH,
            }
        } else if hint <= profile.set_listpack_max {
            Form::Listpack { bytes: 0 }
        } else {
            Form::table(profile, hint)
        };
        Set {
            form,
            members: Elements::new(),
        }
    }

    /// An empty set to collect a result in; [`Set::settle`] gives it its encoding.
    pub(crate) fn collector(profile: &Profile) -> Set {
        Set {
            form: Form::table(profile, 0),
            members: Elements::new(),
        }
    }

    /// Members.
    pub fn count(&self) -> u64 {
        self.members.len() as u64
    }

    /// Encoding.
    pub fn encoding(&self) -> Encoding {
        match self.form {
            Form::Intset { .. } => Encoding::Intset,
            Form::Listpack { .. } => Encoding::Listpack,
            Form::Hashtable { .. } => Encoding::Hashtable,
        }
    }

    /// The server's table, if it is in one.
    pub(crate) fn table(&self) -> Option<Table> {
        match self.form {
            Form::Intset { .. } | Form::Listpack { .. } => None,
            Form::Hashtable { table, .. } => Some(table),
        }
    }

    /// Bytes of the value part of MEMORY USAGE.
    pub fn memory(&self, profile: &Profile) -> u64 {
        let sizes = Sizes::of(profile);
        match self.form {
            Form::Intset { width } => sizes.intset(self.count(), width),
            Form::Listpack { bytes } => sizes.blob(bytes),
            Form::Hashtable { table, blocks } => sizes.set_table(table, self.count(), blocks),
        }
    }

    /// Takes what the server says of the value part, if the set is in a table.
    pub(crate) fn fit(&mut self, usage: Usage, profile: &Profile) -> Option<Fit> {
        let (sizes, n) = (Sizes::of(profile), self.count());
        let Form::Hashtable { table, blocks } = &mut self.form else {
            return None;
        };
        let found = sizes.fit_set(*table, n, *blocks, usage);
        (*table, *blocks) = (found.table, shift(*blocks, found.rest));
        Some(found.fit)
    }

    /// Returns the buffer that the builder was lent, see `Elements::give_back`.
    pub(crate) fn give_back(&mut self, stay: Stay, run: &mut Vec<u8>) {
        self.members.give_back(stay, run);
    }

    /// Bytes the model allocates.
    pub fn heap_bytes(&self) -> usize {
        self.members.heap_bytes()
    }

    /// Appends the in-record form; false if it is too large for one.
    pub fn pack(&self, out: &mut Vec<u8>) -> bool {
        let mut head = Vec::with_capacity(16);
        match self.form {
            Form::Intset { width } => head.push(width),
            Form::Listpack { bytes } => put_varint(bytes, &mut head),
            Form::Hashtable { table, blocks } => {
                table.pack(&mut head);
                put_varint(blocks, &mut head);
            }
        }
        self.members.pack(&head, out)
    }

    /// The inverse of [`Set::pack`].
    pub fn unpack(encoding: Encoding, mut bytes: &[u8]) -> Option<Set> {
        let form = match encoding {
            Encoding::Intset => {
                let (&width, rest) = bytes.split_first()?;
                bytes = rest;
                Form::Intset { width }
            }
            Encoding::Listpack => Form::Listpack {
                bytes: take_varint(&mut bytes)?,
            },
            Encoding::Hashtable => Form::Hashtable {
                table: Table::unpack(&mut bytes)?,
                blocks: take_varint(&mut bytes)?,
            },
            Encoding::Raw
            | Encoding::Embstr
            | Encoding::Int
            | Encoding::ListpackEx
            | Encoding::Quicklist
            | Encoding::Skiplist
            | Encoding::Stream
            | Encoding::Module => return None,
        };
        Some(Set {
            form,
            members: Elements::unpack(bytes)?,
        })
    }

    /// True if the member with this digest is there.
    pub(crate) fn contains(&self, digest: u64) -> bool {
        self.members.find(digest).is_some()
    }

    /// The member with this digest.
    pub(crate) fn get(&self, digest: u64) -> Option<Member> {
        let at = self.members.find(digest)?;
        Some(Member::unpack(self.members.payload(at)))
    }

    /// Calls `visit` with the known digest bits of every member, and the member.
    pub(crate) fn each(&self, mut visit: impl FnMut(u64, Member)) {
        self.members
            .each(|digest, payload| visit(digest, Member::unpack(payload)));
    }

    /// A command with `hint` members comes: from 7.2 on the server may convert at once
    /// (`setTypeMaybeConvert`).
    pub(crate) fn expect(&mut self, hint: u64, profile: &Profile) {
        let over = match self.form {
            Form::Intset { .. } => hint > profile.set_intset_max,
            Form::Listpack { .. } => hint > profile.set_listpack_max,
            Form::Hashtable { .. } => false,
        };
        if over && profile.small_sets() {
            self.become_table(hint, profile);
        }
    }

    /// Adds a member (`setTypeAdd`); false if it was there.
    pub(crate) fn add(&mut self, digest: u64, member: &Member, profile: &Profile) -> bool {
        if self.contains(digest) {
            let (sizes, used) = (Sizes::of(profile), self.count());
            if let Form::Hashtable { table, .. } = &mut self.form {
                table.step(sizes.kind, used, 1);
                if sizes.member_room() {
                    table.make_room(sizes.kind, used);
                }
            }
            return false;
        }
        self.make_room(member, profile);
        let sizes = Sizes::of(profile);
        let used = self.count();
        match &mut self.form {
            Form::Intset { width } => *width = (*width).max(member.text.class.intset_width()),
            Form::Listpack { bytes } => *bytes += sizes.entry(&member.text),
            Form::Hashtable { table, blocks } => {
                table.insert(sizes.kind, used, 1);
                *blocks += sizes.member_block(&member.text);
            }
        }
        self.members.add(digest, &member.pack());
        if let Form::Intset { .. } = self.form
            && self.count() > profile.set_intset_max
        {
            self.become_table(0, profile);
        }
        true
    }

    /// Converts so that `member` can be added.
    fn make_room(&mut self, member: &Member, profile: &Profile) {
        match self.form {
            Form::Intset { .. } if member.text.number_class() => {}
            Form::Intset { .. } => {
                if profile.small_sets()
                    && self.count() < profile.set_listpack_max
                    && member.text.len <= profile.set_value_max
                    && self.longest() <= profile.set_value_max
                {
                    self.become_listpack(profile);
                } else {
                    // Before 7.2 only what is there is made room for.
                    let more = u64::from(profile.small_sets());
                    self.become_table(self.count() + more, profile);
                }
            }
            Form::Listpack { bytes } => {
                let safe = bytes + member.text.len < super::elements::BLOB_MAX;
                if self.count() >= profile.set_listpack_max
                    || member.text.len > profile.set_value_max
                    || !safe
                {
                    self.become_table(self.count() + 1, profile);
                }
            }
            Form::Hashtable { .. } => {}
        }
    }

    /// Removes a member; false if it was not there.
    pub(crate) fn remove(&mut self, digest: u64, profile: &Profile) -> bool {
        let (sizes, used) = (Sizes::of(profile), self.count());
        let Some(at) = self.members.find(digest) else {
            if let Form::Hashtable { table, .. } = &mut self.form {
                table.step(sizes.kind, used, 1);
            }
            return false;
        };
        let member = Member::unpack(self.members.payload(at));
        self.members.remove(at);
        let used = self.count();
        match &mut self.form {
            Form::Intset { .. } => {}
            Form::Listpack { bytes } => *bytes -= sizes.entry(&member.text).min(*bytes),
            Form::Hashtable { table, blocks } => {
                if sizes.orphans() {
                    table.orphan(used + 1);
                }
                table.remove(sizes.kind, used);
                *blocks -= sizes.member_block(&member.text).min(*blocks);
            }
        }
        true
    }

    /// Takes the encoding that the server says the set has, where its members allow it.
    pub(crate) fn take_encoding(&mut self, encoding: Encoding, profile: &Profile) {
        if encoding == self.encoding() {
            return;
        }
        if encoding == Encoding::Hashtable {
            self.become_table(0, profile);
        } else if encoding == Encoding::Listpack {
            self.become_listpack(profile);
        } else if encoding == Encoding::Intset {
            self.become_intset();
        }
    }

    /// Removes all members but those that `wanted` accepts, without a change of encoding.
    pub(crate) fn keep(&mut self, wanted: impl Fn(u64) -> bool, profile: &Profile) {
        let mut gone = Vec::new();
        self.each(|digest, _| {
            if !wanted(digest) {
                gone.push(digest);
            }
        });
        for digest in gone {
            self.remove(digest, profile);
        }
    }

    /// Calls `visit` with members until it says that it has seen enough.
    pub(crate) fn some(&self, mut visit: impl FnMut(Member) -> bool) {
        self.members.all(|payload| visit(Member::unpack(payload)));
    }

    /// Bytes per integer of an intset: of the widest that was ever in it.
    pub(crate) fn int_width(&self) -> Option<u8> {
        match self.form {
            Form::Intset { width } => Some(width),
            Form::Listpack { .. } | Form::Hashtable { .. } => None,
        }
    }

    /// The running sum of the form: members of an intset, entry bytes or blocks.
    pub(crate) fn known_sum(&self) -> u64 {
        match self.form {
            Form::Intset { .. } => self.count(),
            Form::Listpack { bytes } => bytes,
            Form::Hashtable { blocks, .. } => blocks,
        }
    }

    fn longest(&self) -> u64 {
        let mut longest = 0;
        self.each(|_, member| longest = longest.max(member.text.len));
        longest
    }

    /// Only for members that are all integers.
    fn become_intset(&mut self) {
        let mut width = INTSET_WIDTH;
        self.each(|_, member| width = width.max(member.text.class.intset_width()));
        self.form = Form::Intset { width };
    }

    fn become_listpack(&mut self, profile: &Profile) {
        let sizes = Sizes::of(profile);
        let mut bytes = 0;
        self.each(|_, member| bytes += sizes.entry(&member.text));
        self.form = Form::Listpack { bytes };
    }

    fn become_table(&mut self, hint: u64, profile: &Profile) {
        let kind = Sizes::of(profile).kind;
        self.stand_in(Table::sized(kind, hint.max(self.count())), profile);
    }

    fn stand_in(&mut self, table: Table, profile: &Profile) {
        let sizes = Sizes::of(profile);
        let mut blocks = 0;
        self.each(|_, member| blocks += sizes.member_block(&member.text));
        self.form = Form::Hashtable { table, blocks };
    }

    /// Follows another server than before; `None` if it is not known which one that was.
    pub(crate) fn reweigh(&mut self, from: Option<&Profile>, to: &Profile) {
        match self.form {
            Form::Intset { .. } => {}
            Form::Listpack { .. } => self.become_listpack(to),
            Form::Hashtable { table, .. } => {
                self.stand_in(table_on(table, self.count(), from, to), to);
            }
        }
    }

    /// The set as a *STORE command or a load leaves it, whatever the order of its members: integers
    /// only are an intset, few and short ones a listpack (7.2), all others a table.
    pub(crate) fn settle(&mut self, profile: &Profile) {
        let (mut integers, mut longest) = (true, 0);
        self.each(|_, member| {
            integers &= member.text.number_class();
            longest = longest.max(member.text.len);
        });
        if integers && self.count() <= profile.set_intset_max {
            self.become_intset();
        } else if profile.small_sets()
            && !integers
            && self.count() <= profile.set_listpack_max
            && longest <= profile.set_value_max
        {
            self.become_listpack(profile);
        } else {
            self.become_table(0, profile);
        }
    }

    /// True if SPOP of most members would leave another encoding behind than the one the set has:
    /// it builds a new set of what remains (`spopWithCountCommand`, its third case).
    pub(crate) fn would_change_if_rebuilt(&self, profile: &Profile) -> bool {
        if self.encoding() != Encoding::Hashtable {
            return false;
        }
        let small = profile.small_sets();
        let most = if small {
            profile.set_listpack_max
        } else {
            profile.set_intset_max
        };
        self.count() <= most
            && self.members.all(|payload| {
                let text = Member::unpack(payload).text;
                if small {
                    text.len <= profile.set_value_max
                } else {
                    text.number_class()
                }
            })
    }
}

impl Form {
    fn table(profile: &Profile, hint: u64) -> Form {
        Form::Hashtable {
            table: Table::sized(Sizes::of(profile).kind, hint),
            blocks: 0,
        }
    }
}

#[cfg(test)]
mod tests;
