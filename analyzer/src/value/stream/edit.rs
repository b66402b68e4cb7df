//! Changes of a stream (t_stream.c `streamAppendItem`, `streamTrim`, `xdelCommand`,
//! `xclaimCommand`).

use super::Stream;
use super::group::{Group, Pending};
use super::node::{Node, join, ms, seq};
use super::rules::Rules;
use crate::profile::Profile;
use crate::size::listpack_int_entry;
use crate::text::Text;
use crate::value::info::Info;

/// Up to where a trim goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// As many entries stay.
    Length(u64),
    /// Entries from this id on stay.
    Id(u128),
}

/// A trim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trim {
    pub(crate) bound: Bound,
    /// Whole nodes only.
    pub(crate) nodes_only: bool,
    /// Entries to remove at most; 0 is no limit.
    pub(crate) limit: u64,
}

/// XCLAIM of some entries for one consumer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    /// Digest of the consumer's name.
    pub(crate) consumer: u64,
    pub(crate) consumer_len: u64,
    /// Entries delivered more recently than this are left alone.
    pub(crate) min_idle_ms: i64,
    pub(crate) delivered_ms: i64,
    pub(crate) count: Option<u64>,
    pub(crate) force: bool,
    pub(crate) just_id: bool,
    pub(crate) last: u128,
    pub(crate) now_ms: i64,
}

/// Sizes of the field and value pairs of a new entry.
struct Pairs {
    count: u64,
    /// Bytes of all texts.
    text: u64,
    /// Listpack entries of the fields and of the values.
    fields: u64,
    values: u64,
    /// Digest of the fields.
    digest: u64,
}

impl Pairs {
    fn of(pairs: &[Text<'_>], seed: u64) -> Pairs {
        let mut out = Pairs {
            count: pairs.len() as u64 / 2,
            text: 0,
            fields: 0,
            values: 0,
            digest: fields_digest(),
        };
        for (i, text) in pairs.iter().enumerate() {
            let entry = Info::of(text).listpack_entry();
            out.text += text.len();
            if i % 2 == 0 {
                out.fields += entry;
                out.digest = add_field(out.digest, text, seed);
            } else {
                out.values += entry;
            }
        }
        out
    }
}

/// The digest of no fields.
pub(super) fn fields_digest() -> u64 {
    0x9e37_79b9_7f4a_7c15
}

/// The digest of the fields so far and one more.
pub(super) fn add_field(digest: u64, field: &Text<'_>, seed: u64) -> u64 {
    (digest.rotate_left(23) ^ field.digest(seed)).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

impl Stream {
    /// XADD with its id; false if the id is not above the last one, which no server accepts.
    pub(crate) fn append(
        &mut self,
        id: u128,
        pairs: &[Text<'_>],
        seed: u64,
        profile: &Profile,
    ) -> bool {
        if id <= self.last {
            return false;
        }
        let rules = Rules::of(profile);
        let pairs = Pairs::of(pairs, seed);
        let tail = self.nodes.nodes.len().checked_sub(1);
        let open = tail.filter(|&at| {
            let node = self.nodes.nodes.get(at);
            node.is_some_and(|node| !rules.full(node, pairs.text))
        });
        let at = match (open, tail) {
            (Some(at), _) => {
                self.nodes.edit(at, &rules, |node| node.count_added(&rules));
                at
            }
            (None, tail) => {
                if let Some(at) = tail {
                    self.nodes.edit(at, &rules, |node| node.close(&rules));
                }
                let mut node = Node::new(id, 0, rules.new_block(), pairs.digest);
                node.grow(Node::head_bytes(pairs.fields, pairs.count), &rules);
                self.nodes.push(node, &rules);
                self.nodes.nodes.len() - 1
            }
        };
        self.nodes.edit(at, &rules, |node| {
            node.grow(entry_bytes(node, id, &pairs), &rules);
            node.append(id, false);
        });
        self.length += 1;
        self.entries_added += 1;
        self.last = id;
        if self.length == 1 {
            self.first = id;
        }
        true
    }

    /// Trims; returns how many entries went.
    pub(crate) fn trim(&mut self, trim: &Trim, profile: &Profile) -> u64 {
        let rules = Rules::of(profile);
        let mut deleted = 0;
        while let Some(node) = self.nodes.nodes.front() {
            let live = u64::from(node.live);
            if trim.bound.reached(self.length) || (trim.limit > 0 && deleted + live > trim.limit) {
                break;
            }
            let whole = match trim.bound {
                Bound::Length(max) => self.length.saturating_sub(live) >= max,
                Bound::Id(min) => node.last < min,
            };
            if whole {
                self.nodes.remove(0, &rules);
                self.length = self.length.saturating_sub(live);
                deleted += live;
                continue;
            }
            if !trim.nodes_only {
                deleted += self.trim_first_node(trim.bound, &rules);
            }
            break;
        }
        if self.length == 0 {
            self.first = 0;
        } else if deleted > 0 {
            self.first = self.first_live();
        }
        deleted
    }

    /// Marks the entries of the first node that are beyond the bound.
    fn trim_first_node(&mut self, bound: Bound, rules: &Rules) -> u64 {
        let mut length = self.length;
        let marked = self.nodes.edit(0, rules, |node| {
            let mut marks = Vec::new();
            for entry in node.entries() {
                let stop = match bound {
                    Bound::Length(_) => bound.reached(length),
                    Bound::Id(min) => entry.id >= min,
                };
                if stop {
                    break;
                }
                if !entry.deleted {
                    marks.push(entry.at);
                    length = length.saturating_sub(1);
                }
            }
            for &at in &marks {
                node.mark(at);
            }
            node.count_deleted(u32::try_from(marks.len()).unwrap_or(u32::MAX), rules);
            marks.len() as u64
        });
        self.length = length;
        marked.unwrap_or(0)
    }

    /// XDEL of one id; true if it was there.
    pub(crate) fn delete(&mut self, id: u128, profile: &Profile) -> bool {
        let rules = Rules::of(profile);
        let Some(at) = self.nodes.holding(id) else {
            return false;
        };
        let found = self.nodes.nodes.get(at).and_then(|node| node.find(id));
        let Some(entry) = found else { return false };
        let emptied = self.nodes.edit(at, &rules, |node| {
            if node.live > 1 {
                node.mark(entry);
                node.count_deleted(1, &rules);
            }
            node.live <= 1 && node.first_live() == Some(id)
        });
        if emptied == Some(true) {
            self.nodes.remove(at, &rules);
        }
        self.length = self.length.saturating_sub(1);
        self.max_deleted = self.max_deleted.max(id);
        if self.length == 0 {
            self.first = 0;
        } else if self.first == id {
            self.first = self.first_live();
        }
        true
    }

    /// What the stream knows of how many entries were ever added up to an id
    /// (`streamEstimateDistanceFromFirstEverEntry`, `streamRangeHasTombstones`).
    fn counted(&self, id: u128) -> Counted {
        let whole = self.max_deleted == 0 || self.max_deleted < self.first;
        let estimate = if id == self.last || (self.length == 0 && id < self.last) {
            Some(self.entries_added)
        } else if id > self.last || !whole || id > self.first {
            None
        } else {
            let before = self.entries_added.saturating_sub(self.length);
            Some(before + u64::from(id == self.first))
        };
        Counted {
            gaps_ahead: self.length > 0 && !whole && id <= self.max_deleted,
            estimate: estimate.filter(|_| self.entries_added > 0),
        }
    }

    /// True if the id is that of a live entry.
    fn has(&self, id: u128) -> bool {
        let node = self
            .nodes
            .holding(id)
            .and_then(|at| self.nodes.nodes.get(at));
        node.is_some_and(|node| node.find(id).is_some())
    }

    /// XSETID.
    pub(crate) fn set_id(&mut self, last: u128, added: Option<u64>, max_deleted: Option<u128>) {
        self.last = last;
        if let Some(added) = added {
            self.entries_added = added;
        }
        if let Some(max_deleted) = max_deleted {
            self.max_deleted = max_deleted;
        }
    }

    /// The last id, for `$`.
    pub(crate) fn last_key(&self) -> u128 {
        self.last
    }

    fn group_mut(&mut self, name: u64) -> Option<&mut Group> {
        self.groups.iter_mut().find(|group| group.name == name)
    }

    /// XGROUP CREATE; a group that is there already stays.
    pub(crate) fn create_group(
        &mut self,
        name: u64,
        last: u128,
        entries_read: Option<u64>,
        profile: &Profile,
    ) {
        if self.group_mut(name).is_none() {
            let group = Group::new(name, last, entries_read, &Rules::of(profile));
            self.groups.push(group);
        }
    }

    /// XGROUP SETID; false if there is no such group.
    pub(crate) fn set_group(&mut self, name: u64, last: u128, entries_read: Option<u64>) -> bool {
        let group = self.group_mut(name);
        group.is_some_and(|group| {
            group.last = last;
            group.entries_read = entries_read;
            true
        })
    }

    /// XGROUP DESTROY.
    pub(crate) fn destroy_group(&mut self, name: u64) {
        self.groups.retain(|group| group.name != name);
    }

    /// XGROUP CREATECONSUMER; false if there is no such group.
    pub(crate) fn create_consumer(
        &mut self,
        group: u64,
        consumer: (u64, u64),
        now_ms: i64,
        profile: &Profile,
    ) -> bool {
        let rules = Rules::of(profile);
        let group = self.group_mut(group);
        group.is_some_and(|group| {
            group.consumer(consumer.0, consumer.1, now_ms, &rules);
            true
        })
    }

    /// XGROUP DELCONSUMER.
    pub(crate) fn remove_consumer(&mut self, group: u64, consumer: u64, profile: &Profile) {
        let rules = Rules::of(profile);
        if let Some(group) = self.group_mut(group) {
            group.remove_consumer(consumer, &rules);
        }
    }

    /// XACK of one id in a group.
    pub(crate) fn acknowledge(&mut self, group: u64, id: u128, profile: &Profile) {
        let rules = Rules::of(profile);
        if let Some(group) = self.group_mut(group) {
            group.acknowledge(id, &rules);
        }
    }

    /// XACK of one id in every group.
    pub(crate) fn acknowledge_everywhere(&mut self, id: u128, profile: &Profile) {
        let rules = Rules::of(profile);
        for group in &mut self.groups {
            group.acknowledge(id, &rules);
        }
    }

    /// XCLAIM; false if there is no such group.
    pub(crate) fn claim(
        &mut self,
        group: u64,
        ids: impl Iterator<Item = u128>,
        claim: &Claim,
        profile: &Profile,
    ) -> bool {
        let rules = Rules::of(profile);
        let Some(at) = self.groups.iter().position(|found| found.name == group) else {
            return false;
        };
        for id in ids {
            let exists = self.has(id);
            let delivered = self.counted(id);
            if let Some(group) = self.groups.get_mut(at) {
                // Delivered just now: the group moves on to it. 7.0 does not send the counter.
                if rules.claims_check() && id == claim.last && id > group.last {
                    group.entries_read = delivered.next(group.entries_read);
                }
                group.claim(id, exists, claim, &rules);
            }
        }
        if let Some(group) = self.groups.get_mut(at) {
            group.last = group.last.max(claim.last);
        }
        true
    }
}

/// See [`Stream::counted`].
#[derive(Clone, Copy, Debug)]
struct Counted {
    /// Deleted entries may follow, so that counting on is not safe.
    gaps_ahead: bool,
    estimate: Option<u64>,
}

impl Counted {
    /// The counter of a group that is given this entry.
    fn next(self, read: Option<u64>) -> Option<u64> {
        match read {
            Some(read) if !self.gaps_ahead => Some(read + 1),
            Some(_) | None => self.estimate,
        }
    }
}

impl Group {
    fn claim(&mut self, id: u128, exists: bool, claim: &Claim, rules: &Rules) {
        let held = self.pending.get(&id).copied();
        if !exists && rules.claims_check() {
            self.acknowledge(id, rules);
            return;
        }
        if held.is_none() && !(claim.force && exists) {
            return;
        }
        if let Some(held) = held
            && claim.min_idle_ms > 0
            && claim.now_ms - held.delivered_ms < claim.min_idle_ms
        {
            return;
        }
        // A pending entry made by FORCE counts as delivered once.
        let before = held.map_or(1, |held| held.count);
        let pending = Pending {
            consumer: held.and_then(|held| held.consumer),
            delivered_ms: claim.delivered_ms,
            count: match claim.count {
                Some(count) => count,
                None if claim.just_id => before,
                None => before + 1,
            },
        };
        self.put(id, pending, rules);
        let consumer = self.consumer(claim.consumer, claim.consumer_len, claim.now_ms, rules);
        consumer.seen_ms = claim.now_ms;
        consumer.active_ms = Some(claim.now_ms);
        self.give(id, claim.consumer, rules);
    }
}

impl Bound {
    /// True if a stream of that length needs no more trimming; never for a bound by id.
    fn reached(self, length: u64) -> bool {
        match self {
            Bound::Length(max) => length <= max,
            Bound::Id(_) => false,
        }
    }
}

/// Bytes of an entry's listpack entries.
fn entry_bytes(node: &Node, id: u128, pairs: &Pairs) -> u64 {
    let int = |n: u64| listpack_int_entry(n.cast_signed());
    let delta = join(
        ms(id).wrapping_sub(ms(node.id)),
        seq(id).wrapping_sub(seq(node.id)),
    );
    let ids = int(ms(delta)) + int(seq(delta));
    // Flags are 0 or 2, of the same size.
    let own = int(0) + ids + pairs.values;
    if node.fields == pairs.digest {
        own + int(pairs.count + 3)
    } else {
        own + int(pairs.count) + pairs.fields + int(2 * pairs.count + 4)
    }
}
