//! KS.VERIFY: keys compared with the server because somebody wants to know, and what becomes of
//! every comparison, the audit's included.
//!
//! A run takes random keys, or all of them in the order of the table. It is answered when it ends,
//! and at the latest after [`ANSWER_MAX`], with how far it has come; a run over all keys then goes
//! on, and whoever asks for all keys again joins it.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use analyzer::Keyspace;
use analyzer::keyspace::{Difference, Fact, Looked, Need, Want};
use analyzer::value::Fit;
use analyzer::view::{Cursor, Item};

use crate::clock;
use crate::model::answer::send;
use crate::model::ask::{Freshness, Reply};
use crate::model::mirror::Sighting;
use crate::side::task::Name;

/// Longest wait for an answer.
pub const ANSWER_MAX: Duration = Duration::from_secs(8);

/// Most random keys of one run; beyond, ask for all.
pub const KEYS_MAX: u64 = 10_000;

/// Mismatching keys that an answer names; further ones are counted.
pub const NAMED_MAX: usize = 100;

/// Runs at once; one more is answered at once with nothing compared.
const RUNS_MAX: usize = 8;

/// Who may wait for the run over all keys.
const REPLIES_MAX: usize = 64;

/// Dice thrown for each random key before the run gives up on finding another one.
const THROWS: u64 = 8;

/// Keys that the walk over all of them takes at once.
const KEYS_AT_ONCE: usize = 256;

/// What a run found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Keys in the model when it began.
    pub keys: u64,
    /// Keys that are to be compared.
    pub wanted: u64,
    /// Keys compared.
    pub compared: u64,
    /// Of those, keys in which something differs.
    pub differing: u64,
    /// Keys left out because they were written between question and answer.
    pub written: u64,
    /// Keys left out because they are in doubt, or being read at this moment.
    pub doubtful: u64,
    /// Keys that are gone, or that the server did not tell.
    pub untold: u64,
    /// Comparisons and mismatches, by fact in the order of [`Fact::ALL`].
    pub facts: [(u64, u64); Fact::ALL.len()],
    /// Keys whose bytes differ by no more than chance, reads and the server's children explain.
    pub by_chance: u64,
    /// Keys that differ, at most [`NAMED_MAX`].
    pub mismatches: Vec<Mismatch>,
    /// True if nothing is left to be compared.
    pub finished: bool,
}

/// A key that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Database.
    pub db: u32,
    /// Name.
    pub key: Vec<u8>,
    /// The offset at which it did.
    pub offset: u64,
    /// In what.
    pub differences: Vec<Difference>,
}

/// The runs of one master.
#[derive(Debug, Default)]
pub struct Verify {
    runs: VecDeque<Run>,
}

#[derive(Debug)]
struct Run {
    /// Of which generation its keys are.
    generation: u64,
    source: Source,
    in_flight: HashSet<Name>,
    found: Verified,
    waiting: Vec<(Reply<Verified>, Instant)>,
}

/// Where a run's keys come from.
#[derive(Debug)]
enum Source {
    Random {
        left: u64,
        throws: u64,
        dice: u64,
        met: HashSet<u64>,
    },
    All {
        cursor: Cursor,
        queue: VecDeque<Name>,
        walked: bool,
    },
}

impl Verify {
    /// Begins a run over so many random keys, or all of them; or joins the one over all.
    pub fn begin(&mut self, keyspace: &Keyspace, of: (u64, Option<u64>), reply: Reply<Verified>) {
        let (generation, count) = of;
        let until = clock::now() + ANSWER_MAX;
        let keys = keyspace.keys();
        let random = count.filter(|count| *count < keys);
        let all = self.runs.iter_mut().find(|run| match run.source {
            Source::All { .. } => run.generation == generation,
            Source::Random { .. } => false,
        });
        if let (None, Some(run)) = (random, all) {
            if run.waiting.len() < REPLIES_MAX {
                run.waiting.push((reply, until));
            }
            return;
        }
        if self.runs.len() == RUNS_MAX {
            // The reply is dropped: who asked is told that the master does not answer.
            return;
        }
        let source = match random {
            Some(left) => Source::Random {
                left,
                throws: left.saturating_mul(THROWS),
                dice: clock::unix_us() | 1,
                met: HashSet::new(),
            },
            None => Source::All {
                cursor: Cursor::start(),
                queue: VecDeque::new(),
                walked: false,
            },
        };
        self.runs.push_back(Run {
            generation,
            source,
            in_flight: HashSet::new(),
            found: Verified {
                keys,
                wanted: random.unwrap_or(keys),
                ..Verified::default()
            },
            waiting: vec![(reply, until)],
        });
    }

    /// True if there are keys to ask for, or answers due.
    pub fn is_wanted(&self) -> bool {
        !self.runs.is_empty()
    }

    /// The next key to look at; `None` if there is none, or none was met in so many tries.
    pub fn next(&mut self, keyspace: &mut Keyspace, tries: &mut usize) -> Option<Want> {
        self.runs
            .iter_mut()
            .find_map(|run| run.next(keyspace, tries))
    }

    /// A key of a run was looked at.
    pub fn looked(&mut self, sighting: &Sighting) {
        for run in &mut self.runs {
            if run.in_flight.remove(&sighting.name) {
                run.found.take(sighting);
            }
        }
    }

    /// These keys were not told.
    pub fn untold(&mut self, names: &[Name]) {
        for run in &mut self.runs {
            for name in names {
                run.found.untold += u64::from(run.in_flight.remove(name));
            }
        }
    }

    /// Nothing that was asked for will be told.
    pub fn lost(&mut self) {
        for run in &mut self.runs {
            run.found.untold += run.in_flight.len() as u64;
            run.in_flight.clear();
        }
    }

    /// Answers whoever has waited long enough, and ends what has come to its end: nothing is left to
    /// ask, or the keys are those of another generation by now.
    pub fn answer(&mut self, generation: u64, fresh: impl Fn() -> Freshness) {
        let now = clock::now();
        self.runs.retain_mut(|run| {
            let ended = run.is_over() || run.generation != generation;
            run.found.finished = run.is_over();
            let mut waiting = std::mem::take(&mut run.waiting);
            for (reply, until) in waiting.drain(..) {
                if ended || until <= now {
                    send(reply, fresh(), run.found.clone());
                } else if !reply.is_closed() {
                    run.waiting.push((reply, until));
                }
            }
            // A run over all keys goes on for whoever asks again; for nobody, random ones do not.
            let lasts = match run.source {
                Source::All { .. } => true,
                Source::Random { .. } => !run.waiting.is_empty(),
            };
            !ended && lasts
        });
    }
}

impl Run {
    fn is_over(&self) -> bool {
        let asked = match &self.source {
            Source::Random { left, throws, .. } => *left == 0 || *throws == 0,
            Source::All { queue, walked, .. } => *walked && queue.is_empty(),
        };
        asked && self.in_flight.is_empty()
    }

    fn next(&mut self, keyspace: &mut Keyspace, tries: &mut usize) -> Option<Want> {
        while *tries > 0
            && let Some(name) = self.source.next(keyspace)
        {
            *tries -= 1;
            if keyspace.begin_look(name.db, &name.key) {
                let want = Want {
                    db: name.db,
                    name: name.key.clone(),
                    need: Need::Size,
                };
                self.in_flight.insert(name);
                return Some(want);
            }
            if keyspace.question(name.db, &name.key).is_some() {
                self.found.doubtful += 1;
            } else {
                self.found.untold += 1;
            }
        }
        None
    }
}

impl Source {
    fn next(&mut self, keyspace: &Keyspace) -> Option<Name> {
        match self {
            Source::Random {
                left,
                throws,
                dice,
                met,
            } => {
                while *left > 0 && *throws > 0 {
                    *throws -= 1;
                    let Some(name) = random(keyspace, dice) else {
                        continue;
                    };
                    let mark = keyspace.key_hash(&name.key) ^ u64::from(name.db);
                    if met.insert(mark) {
                        *left -= 1;
                        return Some(name);
                    }
                }
                None
            }
            Source::All {
                cursor,
                queue,
                walked,
            } => {
                if queue.is_empty() && !*walked {
                    let mut take = |item: Item<'_>| {
                        queue.push_back(Name {
                            db: item.db,
                            key: item.name.to_vec(),
                        });
                    };
                    *walked = keyspace.walk(cursor, KEYS_AT_ONCE, &mut take);
                }
                queue.pop_front()
            }
        }
    }
}

/// A random key of all databases.
fn random(keyspace: &Keyspace, dice: &mut u64) -> Option<Name> {
    let mut throw = || {
        *dice ^= *dice << 13;
        *dice ^= *dice >> 7;
        *dice ^= *dice << 17;
        *dice
    };
    let mut at = throw() % keyspace.keys().max(1);
    for db in keyspace.dbs() {
        if at < db.keys {
            let key = keyspace.random(db.db, throw())?;
            return Some(Name { db: db.db, key });
        }
        at -= db.keys;
    }
    None
}

impl Verified {
    /// Keys that are done, one way or the other.
    pub fn done(&self) -> u64 {
        self.compared + self.written + self.doubtful + self.untold
    }

    fn take(&mut self, sighting: &Sighting) {
        let compared = match &sighting.looked {
            Some(Looked::Compared(compared)) => compared,
            Some(Looked::Stale | Looked::Early) => {
                self.written += 1;
                return;
            }
            Some(Looked::Moot) | None => {
                self.untold += 1;
                return;
            }
        };
        self.compared += 1;
        let seen = &sighting.seen;
        let told = [
            true,
            seen.kind.is_some(),
            seen.encoding.is_some(),
            seen.count.is_some(),
            seen.expire_ms.is_some(),
            compared.memory.is_some(),
        ];
        for ((compared, _), told) in self.facts.iter_mut().zip(told) {
            *compared += u64::from(told);
        }
        for (fact, (_, wrong)) in Fact::ALL.iter().zip(&mut self.facts) {
            let differs = compared.differences.iter().any(|d| d.fact == *fact);
            *wrong += u64::from(differs);
        }
        self.by_chance += u64::from(compared.memory == Some(Fit::Chance));
        self.differing += u64::from(!compared.differences.is_empty());
        if !compared.differences.is_empty() && self.mismatches.len() < NAMED_MAX {
            self.mismatches.push(Mismatch {
                db: sighting.name.db,
                key: sighting.name.key.clone(),
                offset: sighting.at,
                differences: compared.differences.clone(),
            });
        }
    }
}
