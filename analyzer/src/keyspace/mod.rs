//! One master's keys: loaded by a full sync, changed by the command stream, asked by anyone.
//!
//! A keyspace belongs to one task. It takes time and offsets as arguments, does no input or output
//! and never works longer than one page, one command or one budget at once; the exceptions are
//! named where they are (`set_profile` on another server, whole slots removed).
//!
//! - `load_key`, `part`, `end_key`: a full sync, into a generation of its own (`load`)
//! - `apply`: one command of the stream (`crate::command`)
//! - `next_want`, `settle_*`: what must be read again, and how it is fitted in (`settle`)
//! - `facts`, `scan`, `walk`, `top`, `totals`: questions (`crate::view`)

mod batch;
mod bigs;
mod counters;
pub(crate) mod db;
pub(crate) mod degrade;
mod fill;
mod gauge;
mod generation;
mod heat;
mod image;
mod journal;
mod load;
mod look;
mod recent;
mod reprice;
mod rest;
mod settle;
mod stage;
mod suspects;
mod wants;
mod warm;
mod whole;

use std::collections::{BTreeMap, VecDeque};

use crate::census::{Plan, Progress};
use crate::command::dispatch::{Call, Dispatch, Numbered};
use crate::command::{Args, Context, Doubt, Entry, server};
use crate::flows::{Cause, Flows};
use crate::heat::Heat;
use crate::input::{Command, Key, KeySpec, Outcome, Part, Shape, Source};
use crate::keyspace::bigs::Bigs;
use crate::keyspace::db::{Db, Held, NewStr, OldStr, Pulse, Scratch, Tools};
use crate::keyspace::degrade::{Ease, Sweep};
use crate::keyspace::gauge::Gauge;
use crate::keyspace::generation::Generation;
use crate::keyspace::journal::Journal;
use crate::keyspace::load::Loading;
use crate::keyspace::recent::Recent;
use crate::keyspace::reprice::Change;
use crate::keyspace::suspects::Suspicion;
use crate::keyspace::wants::Wants;
use crate::profile::Profile;
use crate::store::weigh::Scale;
use crate::text::Text;
use crate::value::Value;

pub use batch::Batch;
pub use bigs::{Big, BigLimits};
pub use counters::Counters;
pub use degrade::{Detail, SHARE_BITS_MAX};
pub use fill::{Filler, Helper, Hire};
pub use image::Image;
pub use look::{Compared, Difference, Fact, Looked, Question, Seen};
pub use recent::Touch;
pub use settle::{Counted, Found, Probed, Restore};
pub use wants::{Need, Settled, Want};
pub use warm::WARM_KEYS;

/// The hash slot of a key name.
pub type SlotOf = fn(&[u8]) -> u16;

/// The model of one master.
#[derive(Debug)]
pub struct Keyspace {
    scale: Scale,
    seed: u64,
    now_ms: i64,
    pulse: Pulse,
    /// Everything before this offset is in the model.
    applied: u64,
    /// End of the command that is being applied.
    offset: u64,
    /// Keys written so far, to tell a command that changed nothing.
    writes: u64,
    live: Generation,
    loading: Option<Box<Loading>>,
    /// Databases that are no longer used and are freed bit by bit.
    retired: VecDeque<Db>,
    journal: Journal,
    wants: Wants,
    bigs: Bigs,
    suspicions: VecDeque<Suspicion>,
    swaps: u64,
    gauge: Gauge,
    /// Bytes that the elements of one collection may take.
    elements_max: usize,
    sweep: Option<Sweep>,
    /// Bytes that a load may take from now on.
    room: u64,
    counters: Counters,
    specs: BTreeMap<Vec<u8>, KeySpec>,
    slot_of: Option<SlotOf>,
    /// The answers are those of a replica.
    of_replica: bool,
    hire: Option<Hire>,
    plan: Plan,
    dispatch: Dispatch,
    recent: Recent,
    heat: Heat,
    flows: Box<Flows>,
    /// Number of the command that is being applied.
    command: u16,
    scratch: Scratch,
}

impl Keyspace {
    /// An empty keyspace. `seed` keys every digest and must be the one of the replication link.
    pub fn new(profile: Profile, seed: u64) -> Keyspace {
        Keyspace {
            scale: Scale::new(profile),
            seed,
            now_ms: 0,
            pulse: Pulse::new(seed),
            applied: 0,
            offset: 0,
            writes: 0,
            live: Generation::new(seed, None),
            loading: None,
            retired: VecDeque::new(),
            journal: Journal::default(),
            wants: Wants::new(seed),
            bigs: Bigs::default(),
            suspicions: VecDeque::new(),
            swaps: 0,
            gauge: Gauge::default(),
            elements_max: usize::MAX,
            sweep: None,
            room: u64::MAX,
            counters: Counters::default(),
            specs: BTreeMap::new(),
            slot_of: None,
            of_replica: false,
            hire: None,
            plan: Plan::default(),
            dispatch: Dispatch::new(),
            recent: Recent::default(),
            heat: Heat::new(),
            flows: Box::default(),
            command: 0,
            scratch: Scratch::default(),
        }
    }

    /// With the slot function that CLUSTER FLUSHSLOT, TRIMSLOTS and SFLUSH need; without it they do
    /// not parse. While the server is in cluster mode keys are counted by slot as well.
    pub fn with_slots(self, slot_of: SlotOf) -> Keyspace {
        let seed = self.seed;
        let mut keyspace = Keyspace {
            slot_of: Some(slot_of),
            ..self
        };
        keyspace.live = Generation::new(seed, keyspace.counted_by());
        keyspace
    }

    /// With somebody who helps with large loads.
    pub fn with_helper(self, hire: Hire) -> Keyspace {
        Keyspace {
            hire: Some(hire),
            ..self
        }
    }

    /// With what is to be counted beside the totals, once `recount` has begun.
    pub fn with_plan(self, plan: Plan) -> Keyspace {
        Keyspace { plan, ..self }
    }

    /// The slot function, if keys are to be counted by slot.
    fn counted_by(&self) -> Option<SlotOf> {
        self.slot_of.filter(|_| self.profile().cluster)
    }

    /// The server that is mirrored.
    pub fn profile(&self) -> &Profile {
        self.scale.profile()
    }

    /// Seed of every digest.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Takes what is now known of the server. New thresholds act on later writes, as on the server.
    /// Another family, version or allocator weighs every key anew, in one go: do it before a load.
    /// Cluster mode counts keys by slot in the next generation, and in this one if it has no keys.
    pub fn set_profile(&mut self, profile: Profile) {
        let same = self.scale.same_as(&profile);
        let former = std::mem::replace(&mut self.scale, Scale::new(profile));
        if let Some(loading) = &mut self.loading {
            loading.set_scale(&self.scale, same);
        }
        if !same || self.live.keys() == 0 {
            let counted = self.counted_by();
            // What happened until now stands in counts that are made anew.
            self.close_flows();
            let before = self.live.total();
            let change = Change {
                from: Some(former.profile()),
                scale: &self.scale,
            };
            self.live.reprice(change, counted);
            self.flows
                .cause(Cause::Reweighed, before, self.live.total());
        }
    }

    /// Where commands that the model does not know have their keys, as COMMAND INFO says: all that a
    /// server told, in place of what another one did.
    pub fn set_key_specs(&mut self, specs: impl IntoIterator<Item = (Vec<u8>, KeySpec)>) {
        self.specs.clear();
        self.add_key_specs(specs);
    }

    /// Where some more commands have their keys.
    pub fn add_key_specs(&mut self, specs: impl IntoIterator<Item = (Vec<u8>, KeySpec)>) {
        let specs = specs.into_iter();
        self.specs
            .extend(specs.map(|(name, spec)| (name.to_ascii_uppercase(), spec)));
    }

    /// True if it is told where a command of that name has its keys.
    pub fn has_key_spec(&self, name: &[u8]) -> bool {
        self.key_spec(&name.to_ascii_uppercase()).is_some()
    }

    /// Whether it is a replica that is followed and asked, which deletes nothing by itself.
    pub fn set_of_replica(&mut self, of_replica: bool) {
        self.of_replica = of_replica;
    }

    /// Takes the wall clock, unix milliseconds; call it about once a second. Windows and histories
    /// go by it alone: a command's own time is that of its arrival, which is behind the clock by as
    /// much as the stream has to wait, so that time told by both would go to and fro.
    pub fn clock(&mut self, now_ms: i64) {
        self.set_now(now_ms);
        self.heat.clock(now_ms);
        if self.flows.history.is_over(now_ms) {
            self.pass_flows(now_ms);
        }
    }

    /// The time that changes are made at from now on.
    pub(in crate::keyspace) fn set_now(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        self.pulse.clock(now_ms);
    }

    /// Everything before this offset is in the model.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Begins a full sync beside the live generation; one that is under way is dropped.
    pub fn begin_load(&mut self, now_ms: i64) {
        self.abort_load();
        self.set_now(now_ms);
        let filler = Filler::new(self.seed, &self.scale, self.counted_by());
        let mut loading = Loading::new(self.seed, filler, self.hire);
        if self.elements_max != usize::MAX {
            loading.ease(Ease {
                elements_max: self.elements_max,
                ..Ease::NONE
            });
        }
        self.loading = Some(Box::new(loading));
    }

    /// How many keys of a database the full sync announces, before the first of them: a hint.
    pub fn expect_keys(&mut self, db: u32, keys: u64) {
        if let Some(loading) = &mut self.loading {
            loading.make_fit(keys, self.room);
            loading.expect(db, keys);
        }
    }

    /// The next key of the full sync; its parts follow.
    #[inline]
    pub fn load_key(&mut self, key: Key<'_>) {
        if let Some(loading) = &mut self.loading {
            loading.key(&key, &self.pulse, &self.scale, self.seed);
        }
    }

    /// The next key of the full sync, if it is a string: the key, its length in bytes, and its value
    /// if it is a canonical integer.
    #[inline]
    pub fn load_string(&mut self, key: Key<'_>, len: u64, int: Option<i64>) {
        if let Some(loading) = &mut self.loading {
            loading.string(&key, (len, int), &self.pulse, &self.scale);
        }
    }

    /// The next part of the key.
    #[inline]
    pub fn part(&mut self, part: Part<'_>) {
        if let Some(loading) = &mut self.loading {
            loading.part(&part);
        }
    }

    /// The key is complete.
    #[inline]
    pub fn end_key(&mut self) {
        if let Some(loading) = &mut self.loading {
            loading.end_key(&self.scale);
        }
    }

    /// The full sync is complete: its generation, which is the master's state at `offset`, takes
    /// the place of the live one.
    pub fn commit_load(&mut self, offset: u64) {
        let Some(mut loading) = self.loading.take() else {
            return;
        };
        let Some(mut filled) = loading.finish() else {
            return;
        };
        // What is loaded now is as the server has it now.
        self.suspicions.clear();
        // Before anything is weighed anew: until it begins, what is folded seems to have grown as much
        // as all that was loaded beside it.
        filled.generation.begin_folded();
        if loading.is_mixed {
            let counted = self.counted_by();
            let change = Change {
                from: None,
                scale: &self.scale,
            };
            filled.generation.reprice(change, counted);
        }
        filled.generation.take_round(&self.live);
        self.counters.loaded_twice += filled.twice;
        self.counters.loaded_empty += loading.empty;
        self.counters.loaded_malformed += loading.malformed;
        self.close_flows();
        let before = self.live.total();
        let mut old = std::mem::replace(&mut self.live, filled.generation);
        self.begin_sweep();
        self.gauge.restart();
        self.flows.cause(Cause::Resynced, before, self.live.total());
        self.retired.extend(old.take_all());
        self.wants = Wants::new(self.seed);
        self.journal.begin(offset);
        self.applied = offset;
        self.offset = offset;
    }

    /// The full sync failed: the live generation stays.
    pub fn abort_load(&mut self) {
        let loading = self.loading.take();
        if let Some(mut filled) = loading.and_then(|mut loading| loading.abort()) {
            self.retired.extend(filled.generation.take_all());
        }
    }

    /// Keys of the full sync that is under way.
    pub fn loading_keys(&self) -> Option<u64> {
        self.loading.as_ref().map(|loading| loading.keys())
    }

    /// Starts a value apart from the keyspace, for `settle_value` of that key.
    pub fn image_for(&self, db: u32, name: &[u8], shape: Shape) -> Image {
        let prints = self.read(db, name, |entry| match entry.map(|entry| &entry.value) {
            Some(Value::List(list)) => list.wants_fingerprints(),
            Some(_) | None => false,
        });
        Image::new(shape, Source::Image, self.profile(), self.seed).with_fingerprints(prints)
    }

    /// Starts a value apart from the keyspace, for `restore`.
    pub fn image(&self, shape: Shape, source: Source) -> Image {
        Image::new(shape, source, self.profile(), self.seed)
    }

    /// Applies one command of the stream.
    pub fn apply(&mut self, command: &Command<'_>) -> Outcome {
        let key = command.argv.get(1);
        self.follow(command, key.map_or(0, |key| key.digest(self.seed)))
    }

    /// Applies one command of the stream; `digest` is that of its second word, or 0 if it has none.
    #[inline]
    pub fn follow(&mut self, command: &Command<'_>, digest: u64) -> Outcome {
        let Some(name) = command.argv.first() else {
            return Outcome::Malformed;
        };
        let call = self.dispatch.call(name);
        let bytes = command.argv.iter().map(Text::len).sum();
        if command.argv.len() > 1 {
            self.recent
                .note(digest, command.end_offset, (command.argv, bytes));
        }
        self.apply_as(command, call, bytes)
    }

    fn apply_as(&mut self, command: &Command<'_>, (call, number): Numbered, bytes: u64) -> Outcome {
        if command.now_ms != self.now_ms {
            self.set_now(command.now_ms);
        }
        self.offset = command.end_offset;
        self.command = number;
        self.heat.begin(number, bytes);
        let outcome = self.call(command, call);
        self.applied = command.end_offset;
        *match outcome {
            Outcome::Applied => &mut self.counters.applied,
            Outcome::NoChange => &mut self.counters.no_change,
            Outcome::Ignored => &mut self.counters.ignored,
            Outcome::Unknown => &mut self.counters.unknown,
            Outcome::Malformed => &mut self.counters.malformed,
            Outcome::Resync => &mut self.counters.resync,
        } += 1;
        outcome
    }

    fn call(&mut self, command: &Command<'_>, call: Call) -> Outcome {
        let writes = self.writes;
        let mut context = Context {
            keyspace: self,
            db: command.db,
            now_ms: command.now_ms,
        };
        let args = Args(command.argv);
        let result = match call {
            Call::Handler(handler) => handler(&mut context, args),
            Call::Ignore => return Outcome::Ignored,
            Call::Resync => {
                self.journal.begin(command.end_offset);
                return Outcome::Resync;
            }
            Call::Unknown => {
                let outcome = server::unknown(&mut context, args);
                self.journal.begin(command.end_offset);
                return outcome;
            }
        };
        match result {
            Err(_) => {
                server::malformed(&mut context, args);
                Outcome::Malformed
            }
            Ok(()) if self.writes == writes => Outcome::NoChange,
            Ok(()) => Outcome::Applied,
        }
    }

    /// The stream went on to `end_offset` with bytes that are no command to the model.
    pub fn advance(&mut self, end_offset: u64) {
        self.applied = end_offset;
    }

    /// How often databases were exchanged: a walk over several meets one twice and another never if
    /// that happens on its way.
    pub fn swaps(&self) -> u64 {
        self.swaps
    }

    /// The earliest offset that [`Keyspace::go_back`] can go back to.
    pub fn undoable_from(&self) -> u64 {
        self.journal.since()
    }

    /// Goes back to an offset at which another history begins: keys that were written beyond it are
    /// to be read again, and are in doubt until then. Returns how many. The offset must not be
    /// before `undoable_from()`.
    pub fn go_back(&mut self, offset: u64) -> usize {
        self.applied = offset;
        self.offset = offset;
        let keys = self.journal.take_after(offset);
        for (db, name) in &keys {
            self.edit(*db, name, |slot, _| {
                slot.get_or_insert_with(server::unread).doubt(Doubt::Value);
            });
        }
        keys.len()
    }

    /// Frees a piece of what is no longer used: some ten thousand keys without their values, or values
    /// of 256 KiB. True if nothing is left.
    pub fn tidy(&mut self) -> bool {
        if let Some(db) = self.retired.front_mut()
            && db.table.shed()
        {
            self.retired.pop_front();
        }
        self.is_tidy()
    }

    /// Counts what a thousand large values allocate; true if that ended a round through all.
    pub fn gauge(&mut self) -> bool {
        self.gauge.step(&self.live)
    }

    /// True if nothing is left that [`Keyspace::tidy`] would free.
    pub fn is_tidy(&self) -> bool {
        self.retired.is_empty()
    }

    /// Counts keys beyond their totals, about `budget` of them: 10,000 are a millisecond or two.
    /// True if nothing is left to count. The first call begins it; from then on every database is
    /// counted behind a full sync, and again whenever its counts want to be made anew.
    pub fn recount(&mut self, budget: usize) -> bool {
        let Keyspace {
            live, scale, plan, ..
        } = self;
        live.recount(scale, plan, (self.now_ms, budget))
    }

    /// True if [`Keyspace::recount`] may have something to do.
    pub fn is_recount_due(&self) -> bool {
        self.live.is_recount_due(self.now_ms)
    }

    /// How far the recount has come: of one database, or of all.
    pub fn counted(&self, db: Option<u32>) -> Progress {
        let nothing = Progress {
            complete: !self.live.is_uncounted(),
            ..Progress::default()
        };
        let all = self.live.all();
        let asked = all.filter(|(number, _)| db.is_none_or(|db| db == *number));
        asked.fold(nothing, |sum, (_, db)| sum.and(Progress::of(db)))
    }

    /// What large values allocate, as of the last round.
    pub(crate) fn large_heap(&self) -> usize {
        self.gauge.last()
    }

    pub(crate) fn live(&self) -> &Generation {
        &self.live
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn scale(&self) -> &Scale {
        &self.scale
    }

    pub(crate) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.now_ms
    }

    pub(crate) fn key_spec(&self, name: &[u8]) -> Option<KeySpec> {
        self.specs.get(name).copied()
    }

    pub(crate) fn rebound(&mut self, db: u32, page: usize) {
        self.live.db_mut(db).table.rebound(page, &self.scale);
    }

    /// Edits the entry of a key; what is left there is written back.
    pub(crate) fn edit<R>(
        &mut self,
        db: u32,
        key: &[u8],
        edit: impl FnOnce(&mut Option<Entry>, &Profile) -> R,
    ) -> R {
        self.edit_held(db, key, |held| held, edit)
    }

    /// Puts an entry where a command has removed what was there (RENAME, COPY and RESTORE with
    /// REPLACE): what its block had room for is gone. It counts as one write; `None` removes alone.
    pub(crate) fn put_anew(&mut self, db: u32, key: &[u8], put: Option<Entry>) {
        self.edit_held(db, key, Held::anew, |entry, _| *entry = put);
    }

    /// Edits the entry of a key that `hold` lets be written back as it stood, or otherwise.
    #[inline]
    fn edit_held<R>(
        &mut self,
        db: u32,
        key: &[u8],
        hold: impl FnOnce(Held) -> Held,
        edit: impl FnOnce(&mut Option<Entry>, &Profile) -> R,
    ) -> R {
        let share = self.live.share();
        let target = self.live.db_mut(db);
        let key = target.named(key);
        if target.folds(key, share, &self.scale) {
            // Nothing is known of it, so it passes for a key that must be read, and is not kept.
            target.folded.get_or_insert_default();
            self.note_folded(db, key);
            return edit(&mut Some(server::unread()), self.scale.profile());
        }
        let (held, mut entry) = target.checkout(key, &self.scale);
        let lifted = !self.pulse.is_still() && self.scale.lift(&mut entry);
        let out = edit(&mut entry, self.scale.profile());
        self.scale.leave_open(&mut entry, lifted);
        let mut tools = Tools {
            scale: &self.scale,
            pulse: &mut self.pulse,
            scratch: &mut self.scratch,
        };
        let turn = target.checkin(key, hold(held), entry, &mut tools);
        self.note(db, key, &turn);
        out
    }

    /// Edits a key that holds, or is to hold, a string.
    #[inline]
    pub(crate) fn edit_str(
        &mut self,
        db: u32,
        key: &[u8],
        edit: impl FnOnce(Option<OldStr>, &Profile) -> Option<NewStr>,
    ) {
        let share = self.live.share();
        let target = self.live.db_mut(db);
        let key = target.named(key);
        if target.folds(key, share, &self.scale) {
            target.folded.get_or_insert_default();
            self.note_folded(db, key);
            return;
        }
        let mut tools = Tools {
            scale: &self.scale,
            pulse: &mut self.pulse,
            scratch: &mut self.scratch,
        };
        let turn = target.edit_str(key, &mut tools, |old| {
            let scale = &self.scale;
            scale.edit_open(old, |old| edit(old, scale.profile()))
        });
        self.note(db, key, &turn);
    }

    /// Removes a key.
    pub(crate) fn remove(&mut self, db: u32, key: &[u8]) {
        let share = self.live.share();
        let target = self.live.db_mut(db);
        let key = target.named(key);
        if target.folds(key, share, &self.scale) {
            self.note_folded(db, key);
            return;
        }
        let turn = target.remove(key, &self.scale);
        self.note(db, key, &turn);
    }

    /// Shows the entry of a key.
    pub(crate) fn read<R>(&self, db: u32, key: &[u8], look: impl FnOnce(Option<&Entry>) -> R) -> R {
        match self.live.db(db) {
            Some(db) if db.is_folded(db.named(key), self.live.share()) => {
                look(Some(&server::unread()))
            }
            Some(db) => db.look(key, look),
            None => look(None),
        }
    }
}
