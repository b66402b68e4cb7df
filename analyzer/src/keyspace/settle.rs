//! Doubts: raised by writes, settled by reads that carry an offset.

use crate::command::{Doubt, Entry};
use crate::input::Outcome;
use crate::keyspace::Keyspace;
use crate::keyspace::db::{Named, Tools, Turn};
use crate::keyspace::image::{Image, unsaid};
use crate::keyspace::wants::{Flight, Need, Settled, Want};
use crate::profile::Profile;
use crate::store::fit::is_roomy;
use crate::store::record::Form;
use crate::store::weigh::{Scale, Seated};
use crate::value::{Encoding, Value};
use crate::view::Cursor;

/// Pages that one call of `next_want` looks through for keys that are not queued.
pub(in crate::keyspace) const WALK_PAGES: usize = 64;

/// Keys that one call of `next_want` queues from them.
const WALK_KEYS: usize = 512;

/// How far the server's clock may be from ours: an expiry that is nearer may be past there, and
/// its key there and unreadable.
pub(in crate::keyspace) const EXPIRY_SLACK_MS: i64 = 10_000;

/// What a probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    /// OBJECT ENCODING; `None` if there is no such key.
    pub encoding: Option<Encoding>,
    /// The expiry in unix milliseconds, if it was asked for.
    pub expire_ms: Option<Option<i64>>,
}

/// What a re-read found.
#[derive(Debug)]
pub struct Found {
    /// The value, from `Keyspace::image_for`.
    pub image: Image,
    /// OBJECT ENCODING, if it was asked for.
    pub encoding: Option<Encoding>,
    /// The expiry in unix milliseconds, if it was asked for.
    pub expire_ms: Option<Option<i64>>,
}

/// What a count found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Elements.
    pub count: u64,
    /// OBJECT ENCODING, if it was told.
    pub encoding: Option<Encoding>,
    /// The expiry in unix milliseconds, if it was asked for.
    pub expire_ms: Option<Option<i64>>,
}

/// A RESTORE of the stream whose payload was read.
#[derive(Debug)]
pub struct Restore<'a> {
    /// Logical database.
    pub db: u32,
    /// Name.
    pub name: &'a [u8],
    /// The value, from `Keyspace::image(.., Source::Rebuilt)`.
    pub image: Image,
    /// Expiry, unix milliseconds.
    pub expire_ms: Option<i64>,
    /// Wall clock when the command arrived, unix milliseconds.
    pub now_ms: i64,
    /// Offset behind the command.
    pub end_offset: u64,
    /// Bytes of the command's words.
    pub bytes: u64,
}

impl Keyspace {
    /// Applies a RESTORE whose payload the caller has read.
    pub fn restore(&mut self, restore: Restore<'_>) -> Outcome {
        self.set_now(restore.now_ms);
        self.offset = restore.end_offset;
        let Restore {
            db,
            name,
            image,
            bytes,
            ..
        } = restore;
        let entry = image.finish(name.len(), restore.expire_ms, self.profile());
        self.begin_heat("RESTORE", bytes);
        self.put_anew(db, name, entry);
        self.applied = restore.end_offset;
        self.counters.applied += 1;
        Outcome::Applied
    }

    /// Takes note of a written key: its doubts, and what a read under way may still say.
    #[inline]
    pub(in crate::keyspace) fn note(&mut self, db: u32, key: Named<'_>, turn: &Turn) {
        let name = key.name;
        if turn.before.is_none() && turn.after.is_none() {
            return;
        }
        self.writes += 1;
        // What is settled between two commands changed nothing on the server.
        if self.offset > self.applied {
            self.journal.push(self.offset, db, name);
            let slot = self.note_heat(db, key, Some(turn));
            self.note_flow(db, turn, slot);
        } else {
            self.flows.corrected(turn);
        }
        if self.bigs.may_be(turn.after.as_ref()) {
            self.bigs.note((db, name), turn, self.offset);
        }
        let before = turn.before.map_or(Doubt::None, |weight| weight.doubt);
        let after = turn.after.map_or(Doubt::None, |weight| weight.doubt);
        let doubted = before != Doubt::None || after != Doubt::None;
        if doubted || self.wants.is_auditing() {
            self.wants.touch(db, key.digest, self.offset);
        }
        if doubted {
            self.note_doubt(db, name, before, after);
        }
    }

    #[cold]
    fn note_doubt(&mut self, db: u32, name: &[u8], before: Doubt, after: Doubt) {
        // A smaller doubt than before is another one, which waits elsewhere.
        if after == before {
            return;
        }
        if let Some(need) = need_of(after)
            && !self.wants.lane(need).push(db, name)
        {
            self.counters.wants_overflowed += 1;
        }
    }

    /// The next key to be read again; its read counts as under way from now on. `None` if there is
    /// none, or none was met within one slice of work: ask again later while `doubts` says so.
    pub fn next_want(&mut self, need: Need) -> Option<Want> {
        for round in 0..2 {
            if let Some((db, name)) = self.take_wanted(need) {
                self.start(db, &name, false);
                return Some(Want {
                    db,
                    name: name.into_vec(),
                    need,
                });
            }
            if round == 0 && !self.walk_for(need) {
                break;
            }
        }
        None
    }

    pub(in crate::keyspace) fn start(&mut self, db: u32, name: &[u8], audit: bool) {
        let written = self.applied;
        self.wants.start(db, name, Flight { written, audit });
    }

    /// Queues some doubtful keys that are not queued; false if none was met.
    fn walk_for(&mut self, need: Need) -> bool {
        let doubts = self.doubts();
        let open = match need {
            Need::Probe => doubts.probe,
            Need::Size => doubts.size,
            Need::Value => doubts.value,
        };
        // Writes themselves leave sizes open, and a server would be asked for its busiest keys for ever.
        let lets_rest = need == Need::Size && self.scale.writes_leave_open();
        let second = self.pulse.second();
        let lane = self.wants.lane(need);
        if open == 0 || (lets_rest && !lane.may_find(second)) {
            return false;
        }
        let mut cursor = lane.walk;
        let takes_all = lane.walks_all || !lets_rest;
        let (mut met, mut is_round, mut left_some) = (Vec::new(), false, false);
        for _ in 0..WALK_PAGES {
            let Some((db, table, page)) = cursor.page(self) else {
                cursor = Cursor::start();
                is_round = true;
                break;
            };
            let wanted = table
                .records(page)
                .filter(|record| need_of(record.doubt) == Some(need))
                .filter(|record| takes_all || is_roomy(record.form));
            for record in wanted {
                if lets_rest && self.is_restless(table, &record) {
                    left_some = true;
                } else {
                    met.push((db, table.name(&record).to_vec()));
                }
            }
            if !cursor.advance(table) {
                cursor = Cursor::start();
                is_round = true;
                break;
            }
            if met.len() >= WALK_KEYS {
                break;
            }
        }
        let lane = self.wants.lane(need);
        lane.walk = cursor;
        lane.walked(&met, left_some);
        if is_round {
            lane.end_round(second);
        }
        !met.is_empty()
    }

    /// Re-reads under way.
    pub fn in_flight(&self) -> usize {
        self.wants.in_flight()
    }

    /// True if a reply stamped `at` must be held until the model has come that far.
    pub fn is_early(&self, at: u64) -> bool {
        at > self.applied
    }

    /// Takes the reply to a probe, stamped with the server's offset.
    pub fn settle_probe(&mut self, db: u32, name: &[u8], at: u64, found: Probed) -> Settled {
        if let Err(settled) = self.receive(db, name, at) {
            return settled;
        }
        let Some(encoding) = found.encoding else {
            return self.settle_missing(db, name);
        };
        let doubt = self.amend(db, name, |slot, profile| {
            slot.as_mut().map_or(Doubt::None, |entry| {
                if entry.doubt == Doubt::Probe {
                    probe(entry, encoding, found.expire_ms, profile);
                }
                entry.doubt
            })
        });
        self.finish_settle(db, name, doubt)
    }

    /// Takes the reply to a re-read, stamped with the server's offset; `None` if there is no such
    /// key.
    pub fn settle_value(&mut self, db: u32, name: &[u8], at: u64, found: Option<Found>) -> Settled {
        if let Err(settled) = self.receive(db, name, at) {
            return settled;
        }
        let Some(found) = found else {
            return self.settle_missing(db, name);
        };
        let known = self.facts(db, name).and_then(|facts| facts.expire_ms);
        let expire_ms = found.expire_ms.unwrap_or(known);
        let Some(mut entry) = found.image.finish(name.len(), expire_ms, self.profile()) else {
            return self.settle_missing(db, name);
        };
        // Whatever does not fit a second time is not going to: the value is what was read.
        entry.doubt = unsaid(&entry.value);
        if let Some(encoding) = found.encoding {
            take_encoding(&mut entry, encoding, self.profile());
            entry.doubt = Doubt::None;
        }
        if entry.doubt == Doubt::None && is_roomy(form_of(&entry)) {
            entry.doubt = Doubt::Size;
        }
        self.amend(db, name, |slot, profile| {
            if let (Some(old), Value::String(new)) = (slot.as_ref(), &mut entry.value)
                && let Value::String(old) = &old.value
            {
                new.take_sparse(*old, profile);
            }
            *slot = Some(entry);
        });
        self.counters.settled += 1;
        Settled::Taken
    }

    /// Takes the count of a bare collection, and its encoding and expiry if they were asked for;
    /// `None` if there is no such key.
    pub fn settle_count(
        &mut self,
        db: u32,
        name: &[u8],
        at: u64,
        found: Option<Counted>,
    ) -> Settled {
        if let Err(settled) = self.receive(db, name, at) {
            return settled;
        }
        let Some(found) = found.filter(|found| found.count > 0) else {
            return self.settle_missing(db, name);
        };
        if self.bare_kind(db, name).is_none() {
            self.requeue(db, name);
            return Settled::Stale;
        }
        self.take_count(db, name, found);
        self.counters.settled += 1;
        Settled::Taken
    }

    /// The read of a key failed: it is queued again. How soon it is asked for is the caller's.
    pub fn settle_failed(&mut self, db: u32, name: &[u8]) {
        if self.wants.end(db, name).is_some() {
            self.requeue(db, name);
        }
    }

    /// The connection was lost: every read under way is queued again.
    pub fn give_up(&mut self) {
        for (db, name) in self.wants.give_up() {
            self.requeue(db, &name);
        }
    }

    /// Changes what is known of a key, which is no write to it.
    pub(in crate::keyspace) fn amend<R>(
        &mut self,
        db: u32,
        name: &[u8],
        edit: impl FnOnce(&mut Option<Entry>, &Profile) -> R,
    ) -> R {
        self.pulse.stand(true);
        let out = self.edit(db, name, edit);
        self.pulse.stand(false);
        out
    }

    /// Corrects what is known of a key by all that the server has to say, which leaves nothing open
    /// that it does not say.
    pub(in crate::keyspace) fn correct<R>(
        &mut self,
        db: u32,
        name: &[u8],
        correct: impl FnOnce(&mut Entry, &mut Seated, &Scale) -> R,
    ) -> Option<R> {
        let target = self.live.db_mut(db);
        let key = target.named(name);
        let mut tools = Tools {
            scale: &self.scale,
            pulse: &mut self.pulse,
            scratch: &mut self.scratch,
        };
        let (out, turn) = target.correct(key, &mut tools, correct)?;
        self.flows.corrected(&turn);
        Some(out)
    }

    pub(in crate::keyspace) fn requeue(&mut self, db: u32, name: &[u8]) {
        let doubt = self.facts(db, name).map(|facts| facts.doubt);
        if let Some(need) = doubt.and_then(need_of)
            && !self.wants.lane(need).push(db, name)
        {
            self.counters.wants_overflowed += 1;
        }
    }

    /// Ends a read and returns the doubt that its reply is to settle, which is none if it was an
    /// audit; an error says why the reply may not be taken.
    pub(in crate::keyspace) fn receive(
        &mut self,
        db: u32,
        name: &[u8],
        at: u64,
    ) -> Result<Doubt, Settled> {
        if self.is_early(at) && self.wants.is_in_flight(db, name) {
            return Err(Settled::Early);
        }
        let Some(flight) = self.wants.end(db, name) else {
            return Err(Settled::Moot);
        };
        if flight.written > at {
            self.counters.stale += 1;
            self.requeue(db, name);
            return Err(Settled::Stale);
        }
        let doubt = self
            .facts(db, name)
            .map_or(Doubt::None, |facts| facts.doubt);
        if doubt == Doubt::None && !flight.audit {
            return Err(Settled::Moot);
        }
        Ok(doubt)
    }

    /// The server has no such key at that offset. A key that has just expired reads as missing and
    /// stays until its DEL comes, which a master sends for the very read; if none came for long,
    /// there was no such key. A replica reads as missing what its master has not deleted yet, however
    /// long ago it expired: such a key is there, and nobody will tell more of it.
    pub(in crate::keyspace) fn settle_missing(&mut self, db: u32, name: &[u8]) -> Settled {
        let expire_ms = self.facts(db, name).and_then(|facts| facts.expire_ms);
        let just_expired = expire_ms.is_some_and(|at| {
            let age = self.now_ms.saturating_sub(at);
            (-EXPIRY_SLACK_MS..=EXPIRY_SLACK_MS).contains(&age)
        });
        if just_expired {
            // If no DEL comes, the walk is to find it.
            self.wants.sizes.leave();
            return Settled::Moot;
        }
        if self.of_replica && expire_ms.is_some_and(|at| at <= self.now_ms) {
            self.correct(db, name, |entry, _, _| entry.doubt = Doubt::None);
            return Settled::Moot;
        }
        self.remove(db, name);
        self.counters.drifted += 1;
        Settled::Taken
    }

    fn finish_settle(&mut self, db: u32, name: &[u8], doubt: Doubt) -> Settled {
        if doubt == Doubt::None {
            self.counters.settled += 1;
            return Settled::Taken;
        }
        self.requeue(db, name);
        if doubt == Doubt::Size {
            // What was asked is known; that it was so raises another question.
            self.counters.settled += 1;
            return Settled::Taken;
        }
        Settled::Stale
    }
}

pub(in crate::keyspace) fn need_of(doubt: Doubt) -> Option<Need> {
    match doubt {
        Doubt::None => None,
        Doubt::Probe => Some(Need::Probe),
        Doubt::Size => Some(Need::Size),
        Doubt::Value => Some(Need::Value),
    }
}

/// Takes what a probe says, or asks for the value if that contradicts what is known.
fn probe(entry: &mut Entry, encoding: Encoding, expire_ms: Option<Option<i64>>, profile: &Profile) {
    if let Some(expire_ms) = expire_ms {
        entry.expire_ms = expire_ms;
    }
    let known = entry.value.encoding();
    take_encoding(entry, encoding, profile);
    entry.doubt = if entry.value.encoding() != encoding {
        Doubt::Value
    } else if known != encoding && is_roomy(form_of(entry)) {
        // It was edited in place, which leaves room behind, or has a table that is not known.
        Doubt::Size
    } else {
        Doubt::None
    };
}

fn form_of(entry: &Entry) -> Form {
    Form::of(entry.value.kind(), entry.value.encoding())
}

pub(in crate::keyspace) fn take_encoding(entry: &mut Entry, encoding: Encoding, profile: &Profile) {
    match &mut entry.value {
        Value::String(value) => value.settle(encoding),
        Value::List(value) => value.settle_encoding(encoding),
        Value::Set(value) => value.take_encoding(encoding, profile),
        Value::Zset(value) => value.take_encoding(encoding, profile),
        Value::Hash(value) => value.take_encoding(encoding, profile),
        Value::Bare(value) => value.encoding = encoding,
        Value::Stream(_) | Value::Module(_) => {}
    }
}
