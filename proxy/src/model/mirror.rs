//! One master's model, and everything that changes with it when the link says something.
//!
//! Pure of tasks and sockets: events and answers go in, and what is to be done outside is left in
//! plain fields ([`Mirror::getack`], [`Mirror::strangers`], ..) for the owner to pick up.
//!
//! Answers from the second connection carry the offset they are true for. One from ahead of the
//! stream is held until the stream is exactly there: [`Mirror::held`] is looked at behind every
//! command, so a key that is written all the time can still be settled.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use analyzer::bridge::Told;
use analyzer::census::Plan;
use analyzer::input::Outcome;
use analyzer::keyspace::{Found, Looked, Probed, Seen};
use analyzer::profile::{Origin, Profile};
use analyzer::value::Kind;
use analyzer::{Keyspace, Text};
use replica_shim::{Command, Event, Position, Streamed};

use crate::clock;
use crate::filling;
use crate::fleet::{Bridged, Counters, UNKNOWN_NAMES_MAX};
use crate::ingest::{self, LoadState, Loading, ProfileFrom};
use crate::link::trail::Trail;
use crate::model::ask::{Freshness, Generation};
use crate::model::monitor::Monitors;
use crate::model::strangers::Strangers;
use crate::side::intro;
use crate::side::look::Sight;
use crate::side::task::{Count, Name, Probe};
use crate::side::values::Value;

/// Held answers: more than can be in flight.
const HELD_MAX: usize = 64;

/// The model of one master.
#[derive(Debug)]
pub struct Mirror {
    /// The keys.
    pub keyspace: Keyspace,
    /// What was counted.
    pub counters: Counters,
    /// Unknown commands met.
    pub unknown_names: BTreeMap<String, u64>,
    /// Who wants to see the writes.
    pub monitors: Monitors,
    /// The history followed.
    pub replid: Arc<str>,
    /// Where a new link continues; `None` before the first snapshot and after a loss of trust.
    pub position: Option<Position>,
    /// Where else it may continue.
    pub trail: Trail,
    /// Grows with every committed snapshot: a walk that began before one starts over.
    pub generation: u64,
    /// When the answering generation was committed, unix milliseconds.
    pub loaded_ms: u64,
    /// How long that took, milliseconds.
    pub load_took_ms: u64,
    /// The master asked for an ACK: it may be shutting down.
    pub getack: bool,
    /// A transaction is open: what is there now is no state the master ever had.
    pub in_transaction: bool,
    /// The stream held something that the model cannot follow.
    pub desync: bool,
    /// Commands whose key positions are not known.
    pub strangers: Strangers,
    /// Keys in flight that the server would not or could not tell: to be asked again later.
    pub parked: Vec<Name>,
    /// What looks came to.
    pub looked: Vec<Sighting>,
    /// Collections in flight without elements whose value is too large: to be counted instead.
    pub uncounted: Vec<(Kind, Name)>,
    /// The running load, if there is one.
    pub load: Option<Load>,
    /// The answering generation was dropped, and no other is there yet.
    forgotten: bool,
    /// The last look at what the server uses.
    pub bridged: Option<Arc<Bridged>>,
    profile_from: ProfileFrom,
    /// The configuration was another one when the link came back.
    reconfigured: bool,
    held: VecDeque<Held>,
    /// Offset of the first of `held`; `u64::MAX` if there is none.
    held_at: u64,
}

/// A running load.
#[derive(Debug)]
pub struct Load {
    /// What lasts from piece to piece.
    pub state: LoadState,
    /// When it began.
    pub began: Instant,
    /// Bytes read.
    pub bytes: u64,
    /// Bytes expected.
    pub total: Option<u64>,
}

/// An answer that waits for the stream.
#[derive(Debug)]
struct Held {
    at: u64,
    answer: Stamped,
}

/// Answers that are true for one offset.
#[derive(Debug)]
pub enum Stamped {
    /// Encodings and expiries.
    Probes(Vec<(Name, Probe)>),
    /// Looks.
    Looks(Vec<(Name, Sight)>),
    /// Values.
    Values(Vec<(Name, Value)>),
    /// What CONFIG GET told.
    Config(Configured),
    /// Keys by database, and those with an expiry.
    Keys(BTreeMap<u32, (u64, u64)>),
    /// Counts of collections whose elements were given up.
    Counts(Vec<(Name, Count)>),
    /// What the server says of its memory.
    Memory(Told),
}

/// What a look at one key came to.
#[derive(Debug)]
pub struct Sighting {
    /// The key.
    pub name: Name,
    /// The offset that it was true for.
    pub at: u64,
    /// What was told.
    pub seen: Seen,
    /// What became of it; `None` if the server refused.
    pub looked: Option<Looked>,
}

/// What a look at the server's configuration told.
#[derive(Debug)]
pub struct Configured {
    /// CONFIG GET pairs.
    pub pairs: Vec<(String, String)>,
    /// Somebody may have changed it, and changed it back, since the last look.
    pub is_doubtful: bool,
    /// The server may have loaded its own keys anew since the last look.
    pub is_reloaded: bool,
    /// Seconds since the last look.
    pub since_s: u32,
}

impl Mirror {
    /// An empty model, that counts what is planned; `counters` go on where owners before this one
    /// stopped.
    pub fn new(profile: Profile, seed: u64, plan: Plan, counters: Counters) -> Mirror {
        Mirror {
            keyspace: Keyspace::new(profile, seed)
                .with_slots(cluster_map_slot)
                .with_helper(filling::hire)
                .with_plan(plan),
            unknown_names: BTreeMap::new(),
            monitors: Monitors::default(),
            replid: Arc::from(""),
            position: None,
            trail: Trail::default(),
            generation: 0,
            loaded_ms: 0,
            load_took_ms: 0,
            getack: false,
            in_transaction: false,
            desync: false,
            strangers: Strangers::default(),
            parked: Vec::new(),
            looked: Vec::new(),
            uncounted: Vec::new(),
            load: None,
            forgotten: false,
            bridged: None,
            profile_from: ProfileFrom::Snapshot,
            reconfigured: false,
            counters,
            held: VecDeque::new(),
            held_at: u64::MAX,
        }
    }

    /// Where an answer is from; `live` if the link follows the stream.
    pub fn freshness(&self, live: bool) -> Freshness {
        Freshness {
            replid: self.replid.clone(),
            offset: self.keyspace.applied(),
            generation: self.worth(live),
            detail: self.keyspace.detail(),
        }
    }

    /// What the answering generation is worth.
    pub fn worth(&self, live: bool) -> Generation {
        match (
            self.generation > 0 && !self.forgotten,
            self.load.is_some(),
            live,
        ) {
            (false, true, _) => Generation::Loading,
            (false, false, _) => Generation::Empty,
            (true, false, true) => Generation::Current,
            (true, true, _) | (true, false, false) => Generation::Lagging,
        }
    }

    /// A link begins: the server told its profile, or only the snapshot will.
    pub fn attached(&mut self, profile: Option<Profile>) {
        match profile {
            Some(profile) => {
                self.profile_from = ProfileFrom::Server;
                let known = self.keyspace.profile();
                if *known != profile {
                    // What the server did to its keys is no configuration.
                    let past = known.past;
                    let alike = Profile {
                        past,
                        ..profile.clone()
                    };
                    self.reconfigured = self.generation > 0 && *known != alike;
                    self.keyspace.set_profile(profile);
                }
            }
            None => self.profile_from = ProfileFrom::Snapshot,
        }
        self.strangers.forget();
        self.getack = false;
        self.in_transaction = false;
        self.desync = false;
    }

    /// A link ended. What was half loaded goes, what was asked is asked again.
    pub fn detached(&mut self, position: Option<Position>) {
        if self.load.take().is_some() {
            self.keyspace.abort_load();
        } else if position.is_some() {
            self.position = position;
        }
        self.in_transaction = false;
        if self.desync {
            self.position = None;
        }
        self.drop_held();
    }

    /// Goes back to where another server's history begins. Keys that were written since are in
    /// doubt until they are read there; returns how many.
    pub fn rewind(&mut self, position: Position) -> usize {
        self.drop_held();
        self.trail.went_back(&position);
        self.position = Some(position);
        self.keyspace.go_back(position.offset.get())
    }

    /// Answers that were asked for on a lost second connection will not come.
    pub fn drop_held(&mut self) {
        self.held.clear();
        self.held_at = u64::MAX;
        self.parked.clear();
        self.uncounted.clear();
        self.strangers.lost();
        self.keyspace.give_up();
    }

    /// Drops the answering generation while another one is loaded. Until that one is whole there is
    /// nothing that a stream could go on with.
    pub fn forget(&mut self) {
        self.keyspace.forget();
        self.forgotten = true;
        self.position = None;
        self.trail.begin();
    }

    /// Where the origin of the profile stands.
    pub fn origin(&self) -> Option<Origin> {
        (self.generation > 0 || self.load.is_some()).then(|| self.keyspace.profile().origin)
    }

    /// The sink for the snapshot items of the next call of the link.
    pub fn sink<'a>(
        keyspace: &'a mut Keyspace,
        load: &'a mut LoadState,
        from: ProfileFrom,
    ) -> Loading<'a> {
        Loading {
            keyspace,
            state: load,
            profile: from,
        }
    }

    /// The parts that a link's step needs at the same time.
    pub fn loading<'a>(&'a mut self, idle: &'a mut LoadState) -> Loading<'a> {
        let from = self.profile_from;
        let state = self.load.as_mut().map_or(idle, |load| &mut load.state);
        Mirror::sink(&mut self.keyspace, state, from)
    }

    /// Takes what the stream says: of a command, when it arrived by the wall clock, and the digest of
    /// its first argument; `argv` is room for its words.
    #[inline]
    pub fn streamed<'a>(
        &mut self,
        streamed: &Streamed<'a>,
        of_command: (i64, u64),
        argv: &mut Vec<Text<'a>>,
    ) {
        match streamed {
            Streamed::Command(command) => self.command(command, of_command, argv),
            Streamed::Multi => self.in_transaction = true,
            Streamed::Exec { end_offset } => {
                self.in_transaction = false;
                self.advance(end_offset.get());
            }
            Streamed::Ping { end_offset } => self.advance(end_offset.get()),
            Streamed::GetAck { end_offset } => {
                self.getack = true;
                self.advance(end_offset.get());
            }
        }
    }

    /// Takes what the link says of itself. `now_ms` is the wall clock when the bytes arrived.
    pub fn event(&mut self, event: &Event, now_ms: i64) {
        match event {
            Event::FullResync { .. } => self.begin_load(now_ms),
            Event::SnapshotBegan { bytes } => {
                if let Some(load) = &mut self.load {
                    load.total = *bytes;
                    load.began = clock::now();
                }
            }
            Event::SnapshotEnded { position } => self.commit(position),
            Event::Continued { position, .. } => {
                self.counters.partial_syncs += 1;
                self.replid = Arc::from(position.replid.to_string());
                if let Some(before) = self.position.replace(*position) {
                    self.trail.went_on(before, position);
                }
            }
            Event::Declined { ask } => tracing::debug!(%ask, "declined by the server"),
            // Only a stand-by link says so, and that one is not ours.
            Event::StandsBy { .. } => {}
        }
    }

    /// Bytes that were no command: the position moved.
    pub fn advance(&mut self, offset: u64) {
        if offset > self.keyspace.applied() {
            self.keyspace.advance(offset);
        }
        self.settle_due();
    }

    fn begin_load(&mut self, now_ms: i64) {
        self.counters.full_syncs += 1;
        self.drop_held();
        self.keyspace.begin_load(now_ms);
        self.load = Some(Load {
            state: LoadState::default(),
            began: clock::now(),
            bytes: 0,
            total: None,
        });
    }

    fn commit(&mut self, position: &Position) {
        let Some(load) = self.load.take() else {
            return;
        };
        self.keyspace.commit_load(position.offset.get());
        self.trail.begin();
        self.generation += 1;
        self.forgotten = false;
        self.counters.full_syncs_done += 1;
        self.replid = Arc::from(position.replid.to_string());
        self.position = Some(*position);
        self.loaded_ms = clock::unix_ms();
        let took = clock::now().duration_since(load.began);
        self.load_took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            keys = load.state.report.keys,
            took_ms = self.load_took_ms,
            position = %position,
            "snapshot loaded"
        );
    }

    fn command<'a>(
        &mut self,
        command: &Command<'a>,
        of_command: (i64, u64),
        argv: &mut Vec<Text<'a>>,
    ) {
        self.in_transaction = command.in_transaction;
        if !self.monitors.is_empty() {
            self.counters.monitor_dropped += self.monitors.show(command);
        }
        match ingest::apply(&mut self.keyspace, command, of_command, argv) {
            Outcome::Applied | Outcome::NoChange | Outcome::Ignored => self.counters.commands += 1,
            Outcome::Unknown => self.unknown(command),
            Outcome::Malformed => {
                self.counters.malformed_commands += 1;
                tracing::warn!(command = %shown(command), "command does not parse");
            }
            Outcome::Resync => {
                self.desync = true;
                tracing::warn!(command = %shown(command), "command cannot be followed");
            }
        }
        // A held answer meets the state at its very offset.
        if command.end_offset.get() >= self.held_at {
            self.settle_due();
        }
    }

    fn unknown(&mut self, command: &Command<'_>) {
        self.counters.unknown_commands += 1;
        if !self.keyspace.has_key_spec(command.args.name()) {
            self.strangers.met(command.args.name());
        }
        let name = shown(command);
        let met = self.unknown_names.get_mut(&name);
        if let Some(times) = met {
            *times += 1;
            return;
        }
        tracing::warn!(command = %name, "unknown command in the stream");
        if self.unknown_names.len() < UNKNOWN_NAMES_MAX {
            self.unknown_names.insert(name, 1);
        }
    }

    /// Takes an answer that is true at `at`: at once, or when the stream is there.
    pub fn stamped(&mut self, at: u64, answer: Stamped) {
        if !self.keyspace.is_early(at) {
            return self.settle(at, answer);
        }
        if self.held.len() == HELD_MAX {
            return self.drop_held();
        }
        self.held.push_back(Held { at, answer });
        self.held_at = self.held.front().map_or(u64::MAX, |held| held.at);
    }

    fn settle_due(&mut self) {
        while self
            .held
            .front()
            .is_some_and(|held| !self.keyspace.is_early(held.at))
        {
            let Some(held) = self.held.pop_front() else {
                break;
            };
            self.settle(held.at, held.answer);
        }
        self.held_at = self.held.front().map_or(u64::MAX, |held| held.at);
    }

    fn settle(&mut self, at: u64, answer: Stamped) {
        match answer {
            Stamped::Probes(found) => {
                for (name, probe) in found {
                    self.settle_probe(at, name, probe);
                }
            }
            Stamped::Looks(found) => {
                for (name, sight) in found {
                    self.settle_look(at, name, sight);
                }
            }
            Stamped::Values(found) => {
                for (name, value) in found {
                    self.settle_value(at, name, value);
                }
            }
            Stamped::Config(configured) => self.configure(&configured),
            Stamped::Keys(keys) => self.keyspace.take_counts(at, &keys),
            Stamped::Counts(found) => {
                for (name, count) in found {
                    self.settle_count(at, name, count);
                }
            }
            Stamped::Memory(told) => self.weigh(at, &told),
        }
    }

    /// Explains what the server uses by what the model holds: at the same offset, or a little behind
    /// it where the stream was faster than the answer.
    fn weigh(&mut self, at: u64, told: &Told) {
        self.bridged = Some(Arc::new(Bridged {
            bridge: self.keyspace.bridge(told),
            offset: at,
            ahead_bytes: self.keyspace.applied().saturating_sub(at),
            at_ms: clock::unix_ms(),
        }));
    }

    fn settle_count(&mut self, at: u64, name: Name, count: Count) {
        let counted = match count {
            Count::Found(counted) => Some(counted),
            Count::Missing => None,
            Count::Refused => return self.parked.push(name),
        };
        self.keyspace.settle_count(name.db, &name.key, at, counted);
    }

    fn settle_probe(&mut self, at: u64, name: Name, probe: Probe) {
        let probed = match probe {
            Probe::Missing => Probed {
                encoding: None,
                expire_ms: None,
            },
            Probe::Found(Some(encoding), expire_ms) => Probed {
                encoding: Some(encoding),
                expire_ms,
            },
            Probe::Found(None, _) | Probe::Refused => {
                self.parked.push(name);
                return;
            }
        };
        self.keyspace.settle_probe(name.db, &name.key, at, probed);
    }

    fn settle_look(&mut self, at: u64, name: Name, sight: Sight) {
        let seen = match sight {
            Sight::Missing => None,
            Sight::Found(seen) => Some(seen),
            Sight::Refused => {
                self.looked.push(Sighting {
                    name: name.clone(),
                    at,
                    seen: Seen::default(),
                    looked: None,
                });
                self.parked.push(name);
                return;
            }
        };
        let looked = self.keyspace.settle_look(name.db, &name.key, at, seen);
        self.looked.push(Sighting {
            name,
            at,
            seen: seen.unwrap_or_default(),
            looked: Some(looked),
        });
    }

    fn settle_value(&mut self, at: u64, name: Name, value: Value) {
        match value {
            Value::Missing => {
                self.keyspace.settle_value(name.db, &name.key, at, None);
            }
            Value::Found {
                payload,
                encoding,
                expire_ms,
            } => {
                self.counters.reread_bytes += payload.len() as u64;
                let begin = |shape| self.keyspace.image_for(name.db, &name.key, shape);
                match ingest::image(self.keyspace.seed(), &payload, begin) {
                    Ok(image) => {
                        let found = Found {
                            image,
                            encoding,
                            expire_ms: Some(expire_ms),
                        };
                        self.keyspace
                            .settle_value(name.db, &name.key, at, Some(found));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a value that was read again does not decode");
                        self.parked.push(name);
                    }
                }
            }
            Value::TooLarge(_) => {
                self.counters.rereads_too_large += 1;
                // Without its elements at least the count can be right.
                match self.keyspace.bare_kind(name.db, &name.key) {
                    Some(kind) => self.uncounted.push((kind, name)),
                    None => self.parked.push(name),
                }
            }
            Value::Unread => self.keyspace.settle_failed(name.db, &name.key),
            Value::Refused => self.parked.push(name),
        }
    }

    /// Takes the server's configuration. If it is not what it was, what was written since the last
    /// look is looked at again: which of it met the old one cannot be known.
    fn configure(&mut self, configured: &Configured) {
        let mut profile = self.keyspace.profile().clone();
        if intro::apply(&mut profile, &configured.pairs) {
            profile.origin = Origin::Server;
        }
        let changed = profile != *self.keyspace.profile();
        if changed {
            tracing::info!("the server's configuration changed");
            self.keyspace.set_profile(profile);
        }
        let reconfigured = std::mem::take(&mut self.reconfigured);
        if configured.is_reloaded {
            self.keyspace.suspect_all();
        } else if changed || reconfigured || configured.is_doubtful {
            self.keyspace.suspect(configured.since_s);
        }
    }
}

fn cluster_map_slot(key: &[u8]) -> u16 {
    cluster_map::slot::Slot::of(key).number()
}

/// A command's name for logs: printable, cut. Names of commands are no data, unless the stream is
/// garbage, so it is kept short.
fn shown(command: &Command<'_>) -> String {
    const NAME_MAX: usize = 32;
    let name = command.args.name();
    name.iter()
        .take(NAME_MAX)
        .map(|&b| char::from(b))
        .filter(char::is_ascii_graphic)
        .collect()
}

#[cfg(test)]
mod tests {
    use analyzer::profile::{Family, Version};
    use replica_shim::Offset;
    use replica_shim::position::ReplId;

    use super::*;
    use crate::model::fixture;

    fn at(offset: u64) -> Position {
        Position {
            replid: ReplId::parse(&[b'a'; 40]).unwrap(),
            offset: Offset(offset),
            db: 0,
        }
    }

    #[test]
    fn where_the_model_was_dropped_for_a_load_that_was_cut_no_stream_goes_on() {
        let profile = Profile::defaults(Family::Redis, Version::new(7, 0));
        let mut mirror = Mirror::new(profile, 7, Plan::default(), Counters::default());
        fixture::load(&mut mirror.keyspace, [(0, "k".to_owned())].into_iter());
        mirror.position = Some(at(9));
        mirror.event(&Event::FullResync { start: None }, 1);
        mirror.forget();
        mirror.detached(None);
        assert_eq!(mirror.position, None);
        // A load that is whole leads on.
        mirror.event(&Event::FullResync { start: None }, 1);
        mirror.forget();
        mirror.event(&Event::SnapshotEnded { position: at(20) }, 1);
        mirror.detached(None);
        assert_eq!(mirror.position, Some(at(20)));
    }
}
