//! Keys by pattern: what a pattern's keys would take in another shape altogether.
//!
//! The pattern of a key is looked up in the tree that counts them (`crate::patterns`). That tree may
//! change while the walk goes on, and its numbers with it: a group whose example is elsewhere now is
//! left out.

use std::collections::BTreeMap;

use super::collections::Edge;
use super::walk::Looked;
use crate::keyspace::Keyspace;
use crate::profile::Profile;
use crate::store::weigh::{Scale, Seated};
use crate::text::Text;
use crate::value::elements::Sizes;
use crate::value::hash::Hash;
use crate::value::info::Info;
use crate::value::list::List;
use crate::value::string::Str;
use crate::value::{Encoding, Kind};

/// Most groups; keys of further patterns are in none.
const GROUPS_MAX: usize = 1024;

/// Literal parts of a name are thought to be shortened to this.
const SHORT: usize = 2;

/// Fields beyond which a hash is not looked at for its names.
const FIELDS_MAX: u64 = 512;

/// Names of fields that are told apart in one pattern.
const NAMES_MAX: usize = 64;

/// A hash is of a pattern's kind if so many percent of its fields are known from those before.
const KNOWN_PERCENT: u64 = 80;

/// Packed collections of one pattern, with those that are close to becoming tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// The option that limits their elements: that of the first one, others are left out.
    pub option: &'static str,
    /// Its value.
    pub limit: u64,
    /// How many there are.
    pub keys: u64,
    /// Their elements.
    pub elements: u64,
    /// Those with nearly as many elements as may be.
    pub near: u64,
    /// Their elements.
    pub near_elements: u64,
    /// What they take.
    pub now: u64,
    /// What they would take as tables.
    pub then: u64,
}

impl Packed {
    pub(super) fn take(&mut self, edge: &Edge, key: &Looked<'_>) {
        if self.keys == 0 {
            (self.option, self.limit) = (edge.option, edge.limit);
        }
        if self.option != edge.option {
            return;
        }
        self.keys += 1;
        self.elements += key.count;
        if let Some(then) = edge.then {
            self.near += 1;
            self.near_elements += key.count;
            self.now += key.bytes;
            self.then += then.max(key.bytes);
        }
    }
}

/// The keys of one pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// One of them.
    example: Vec<u8>,
    /// The pattern, as a glob.
    pub glob: Vec<u8>,
    /// Bytes before the only `*`, if that is at the end.
    pub prefix: Option<u64>,
    /// Bytes that its literal parts could do without.
    cut: u64,
    /// Keys.
    pub keys: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Keys with an expiry.
    pub expiring: u64,
    /// Bytes of their names.
    pub name_bytes: u64,
    /// What they would take with names shortened.
    pub renamed: u64,
    /// Strings among them.
    pub strings: u64,
    /// What those take.
    pub string_bytes: u64,
    /// Their entries in a packed hash, the rest of their names and their values.
    pub string_entries: u64,
    /// The longest of both.
    pub longest: u64,
    /// Packed hashes among them, of the same fields as the first one.
    pub alike: u64,
    signature: Option<(u64, u64)>,
    /// What those take.
    pub alike_bytes: u64,
    /// What they would take as lists of their values.
    pub as_lists: u64,
    /// Digests of field names that were met, in order.
    names: Vec<u64>,
    /// Packed hashes most of whose fields are among those.
    pub sharing: u64,
    /// What those take.
    pub sharing_bytes: u64,
    /// Bytes of those fields' names.
    pub field_bytes: u64,
    /// What they would take with two bytes for each such name.
    pub short_fields: u64,
    /// Packed collections among the keys.
    pub packed: Packed,
    /// Big collections (KEY-02) among them.
    pub big: u64,
    /// What those take.
    pub big_bytes: u64,
    /// The most elements of one.
    pub big_most: u64,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    all: BTreeMap<(u32, u32), Group>,
}

impl Groups {
    /// True if there were more: those that the walk met first are here.
    pub(crate) fn is_full(&self) -> bool {
        self.all.len() >= GROUPS_MAX
    }

    /// Each with its database.
    pub fn all(&self) -> impl Iterator<Item = (u32, &Group)> {
        self.all.iter().map(|((db, _), group)| (*db, group))
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Group> {
        self.all.values_mut()
    }

    /// Leaves out what the tree calls otherwise now.
    pub(super) fn check(&mut self, keyspace: &Keyspace) {
        self.all.retain(|(db, number), group| {
            keyspace.pattern_number(*db, &group.example) == Some(*number)
        });
    }

    /// The group of a key; `None` if its pattern is not known.
    pub(super) fn of(&mut self, key: &Looked<'_>, keyspace: &Keyspace) -> Option<&mut Group> {
        let number = keyspace.pattern_number(key.db, key.name)?;
        let at = (key.db, number);
        if !self.all.contains_key(&at) {
            if self.all.len() >= GROUPS_MAX {
                return None;
            }
            let group = Group::new(key, keyspace)?;
            self.all.insert(at, group);
        }
        self.all.get_mut(&at)
    }
}

impl Group {
    fn new(key: &Looked<'_>, keyspace: &Keyspace) -> Option<Group> {
        let name = keyspace.pattern_of(key.db, key.name)?;
        let cut = name.tokens().enumerate().map(|(at, token)| {
            // The separator before it stays.
            let text = token.len().saturating_sub(usize::from(at > 0));
            match token.contains(&b'*') {
                true => 0,
                false => text.saturating_sub(SHORT) as u64,
            }
        });
        let plain = name.glob.strip_suffix(b"*");
        let plain = plain.filter(|plain| !plain.contains(&b'*') && !plain.contains(&b'\\'));
        Some(Group {
            example: key.name.to_vec(),
            prefix: plain.map(|plain| plain.len() as u64),
            cut: cut.sum(),
            glob: name.glob,
            ..Group::default()
        })
    }

    /// What is added up over keys.
    pub(super) fn sums(&mut self) -> [&mut u64; 23] {
        let packed = &mut self.packed;
        [
            &mut self.keys,
            &mut self.bytes,
            &mut self.expiring,
            &mut self.name_bytes,
            &mut self.renamed,
            &mut self.strings,
            &mut self.string_bytes,
            &mut self.string_entries,
            &mut self.alike,
            &mut self.alike_bytes,
            &mut self.as_lists,
            &mut self.sharing,
            &mut self.sharing_bytes,
            &mut self.field_bytes,
            &mut self.short_fields,
            &mut packed.keys,
            &mut packed.elements,
            &mut packed.near,
            &mut packed.near_elements,
            &mut packed.now,
            &mut packed.then,
            &mut self.big,
            &mut self.big_bytes,
        ]
    }

    /// Takes a key of the pattern.
    pub(super) fn take(&mut self, key: &Looked<'_>, scale: &Scale) {
        self.keys += 1;
        self.bytes += key.bytes;
        self.expiring += u64::from(key.seated.expire_ms.is_some());
        self.name_bytes += key.seated.name;
        if key.kind != Kind::String {
            self.renamed += scale.renamed(key.bytes, key.seated, self.shortened(key));
        }
    }

    /// A big collection of the pattern.
    pub(super) fn big(&mut self, key: &Looked<'_>) {
        self.big += 1;
        self.big_bytes += key.bytes;
        self.big_most = self.big_most.max(key.count);
    }

    fn shortened(&self, key: &Looked<'_>) -> Seated {
        Seated {
            name: key.seated.name.saturating_sub(self.cut).max(1),
            ..key.seated
        }
    }

    /// A string of the pattern.
    pub(super) fn string(&mut self, value: &Str, key: &Looked<'_>, scale: &Scale) {
        let shortened = scale.string(value, self.shortened(key));
        self.renamed += shortened.min(key.bytes);
        let sizes = Sizes::of(scale.profile());
        let from = usize::try_from(self.prefix.unwrap_or(0)).unwrap_or(0);
        let rest = key.name.get(from..).unwrap_or(key.name);
        let field = Info::of(&Text::Bytes(rest));
        let value = value.int().map_or(Info::text(value.len()), Info::number);
        self.strings += 1;
        self.string_bytes += key.bytes;
        self.string_entries += sizes.entry(&field) + sizes.entry(&value);
        self.longest = self.longest.max(field.len).max(value.len);
    }

    /// A hash of the pattern.
    pub(super) fn hash(&mut self, hash: &Hash, key: &Looked<'_>, scale: &Scale) {
        if key.encoding != Encoding::Listpack || hash.count() > FIELDS_MAX || hash.expiring() > 0 {
            return;
        }
        self.named(hash, key, scale);
        let signature = (hash.count(), hash.signature());
        if *self.signature.get_or_insert(signature) != signature {
            return;
        }
        let profile: &Profile = scale.profile();
        let sizes = Sizes::of(profile);
        let (mut names, mut values) = (0, 0);
        hash.each(|field| {
            names += sizes.entry(&field.name);
            values += sizes.entry(&field.value);
        });
        self.alike += 1;
        self.alike_bytes += key.bytes;
        let same = key.bytes.saturating_sub(sizes.blob(names + values));
        self.as_lists += (same + List::packed_memory(values, profile)).min(key.bytes);
    }

    /// What the hash would take with short names for those fields that hashes before it had, too, or
    /// for all if it is the first.
    fn named(&mut self, hash: &Hash, key: &Looked<'_>, scale: &Scale) {
        let sizes = Sizes::of(scale.profile());
        let (mut known, mut bytes, mut now, mut short) = (0, 0, 0, 0);
        let is_first = self.names.is_empty();
        hash.each_named(|digest, field| {
            let entry = sizes.entry(&field.name);
            let value = sizes.entry(&field.value);
            now += entry + value;
            if self.knows(digest) || is_first {
                let brief = Info::text(field.name.len.min(SHORT as u64));
                known += 1;
                bytes += field.name.len;
                short += sizes.entry(&brief) + value;
            } else {
                short += entry + value;
            }
        });
        if known * 100 < hash.count() * KNOWN_PERCENT {
            return;
        }
        self.sharing += 1;
        self.sharing_bytes += key.bytes;
        self.field_bytes += bytes;
        let same = key.bytes.saturating_sub(sizes.blob(now));
        self.short_fields += (same + sizes.blob(short)).min(key.bytes);
    }

    /// True if a field of that name was met before; there is room for some that were not.
    fn knows(&mut self, digest: u64) -> bool {
        let Err(at) = self.names.binary_search(&digest) else {
            return true;
        };
        if self.names.len() < NAMES_MAX {
            self.names.insert(at, digest);
        }
        false
    }
}
