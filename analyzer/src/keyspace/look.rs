//! A look at a key: every fact of it is asked of the server at one offset and compared.
//!
//! Three occasions, one question. *Probes* ask for the keys whose bytes are left open by a snapshot
//! (`Scale::is_open`), after a full sync, or by a write (`rest`); *audits* go round all keys for
//! ever, a few a second; and somebody may want keys *verified*. A probe expects other bytes than the
//! model has. For the others any difference is a mistake of the model, unless chance, reads or the
//! server's children explain it (`Fit::Chance`). Whatever differs is repaired: by what the look said,
//! or by reading the value.

use crate::command::server::unread;
use crate::command::{Doubt, Entry};
use crate::keyspace::Keyspace;
use crate::keyspace::settle::{EXPIRY_SLACK_MS, WALK_PAGES, take_encoding};
use crate::keyspace::wants::{Need, Settled, Want};
use crate::profile::Version;
use crate::store::fit::WALKED_MAX;
use crate::store::record::Form;
use crate::store::weigh::{Scale, Seated};
use crate::value::{Encoding, Fit, Kind, Samples, Usage};
use crate::view::{Cursor, Facts};

/// How long an expired key is left to the server before an audit asks for it, milliseconds.
const EXPIRED_LEFT_MS: i64 = 600_000;

/// Bytes of a list that is read again for its nodes, at most: the values of a longer one, which takes
/// the server milliseconds to tell, are not worth them.
const LIST_MAX: u64 = 1024 * 1024;

/// How a look at one key is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Which command counts the elements.
    pub kind: Kind,
    /// How much MEMORY USAGE may look at.
    pub samples: Samples,
    /// Elements that it will walk, for a budget.
    pub walked: u64,
}

/// What a look found; what was not told is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// TYPE; `None` for a module's.
    pub kind: Option<Kind>,
    /// OBJECT ENCODING.
    pub encoding: Option<Encoding>,
    /// STRLEN, LLEN, ..
    pub count: Option<u64>,
    /// The expiry in unix milliseconds.
    pub expire_ms: Option<Option<i64>>,
    /// MEMORY USAGE.
    pub usage: Option<Usage>,
}

/// A fact that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of the facts")]
pub enum Fact {
    Existence,
    Type,
    Encoding,
    Count,
    Expiry,
    Memory,
}

impl Fact {
    /// Every fact, in order.
    pub const ALL: [Fact; 6] = [
        Fact::Existence,
        Fact::Type,
        Fact::Encoding,
        Fact::Count,
        Fact::Expiry,
        Fact::Memory,
    ];

    /// The word in labels and reports.
    pub fn name(self) -> &'static str {
        match self {
            Fact::Existence => "existence",
            Fact::Type => "type",
            Fact::Encoding => "encoding",
            Fact::Count => "count",
            Fact::Expiry => "expiry",
            Fact::Memory => "memory",
        }
    }
}

/// One fact that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which.
    pub fact: Fact,
    /// As the model had it.
    pub ours: String,
    /// As the server says.
    pub theirs: String,
}

/// What a look came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// What the key was taken for: type, encoding and count, if anything differs.
    pub what: String,
    /// What the model was wrong about; each is repaired.
    pub differences: Vec<Difference>,
    /// How the bytes agree; `None` if that was not compared.
    pub memory: Option<Fit>,
}

impl Compared {
    fn existence(what: String, [ours, theirs]: [&str; 2]) -> Looked {
        let differences = vec![Difference {
            fact: Fact::Existence,
            ours: ours.to_owned(),
            theirs: theirs.to_owned(),
        }];
        Looked::Compared(Compared {
            what,
            differences,
            memory: None,
        })
    }
}

/// What became of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// It was compared and taken.
    Compared(Compared),
    /// The key was written after the server looked.
    Stale,
    /// The model has not reached the reply's offset: nothing was changed, hold it.
    Early,
    /// There is nothing to compare any more.
    Moot,
}

impl Keyspace {
    /// How to look at a key; `None` if the model has no such key.
    pub fn question(&self, db: u32, name: &[u8]) -> Option<Question> {
        let facts = self.facts(db, name)?;
        let form = Form::of(facts.kind, facts.encoding);
        let samples = Scale::samples(form, facts.count);
        let walked = match samples {
            Samples::All if facts.kind != Kind::String => facts.count.min(WALKED_MAX),
            Samples::All | Samples::One => 1,
        };
        Some(Question {
            kind: facts.kind,
            samples,
            walked,
        })
    }

    /// The next key that is in no doubt, to be compared with the server all the same. Goes round all
    /// keys; `None` if none was met within one slice of work. A key that has just expired is left out:
    /// a look would make the server delete it, which is its own business.
    pub fn next_audit(&mut self) -> Option<Want> {
        for round in 0..2 {
            while let Some((db, name)) = self.wants.audits.pop() {
                let expire_ms = self.facts(db, &name).and_then(|facts| facts.expire_ms);
                if !self.has_just_expired(expire_ms) && self.begin_look(db, &name) {
                    return Some(Want {
                        db,
                        name: name.into_vec(),
                        need: Need::Size,
                    });
                }
            }
            if round == 0 && !self.walk_for_audit() {
                break;
            }
        }
        None
    }

    /// Whether the server may still be about to delete a key with that expiry.
    fn has_just_expired(&self, expire_ms: Option<i64>) -> bool {
        let due = self.now_ms.saturating_sub(EXPIRED_LEFT_MS)..=self.now_ms;
        expire_ms.is_some_and(|at| due.contains(&at))
    }

    /// Counts a look at the key as under way from now on; false if it is not there, in doubt, or
    /// being read already.
    pub fn begin_look(&mut self, db: u32, name: &[u8]) -> bool {
        let sure = self
            .facts(db, name)
            .is_some_and(|facts| self.is_sure(facts.doubt, Form::of(facts.kind, facts.encoding)));
        let free = sure && !self.wants.is_in_flight(db, name);
        if free {
            self.start(db, name, true);
        }
        free
    }

    /// True if an audit may find a mistake: but for its bytes, what a write itself leaves in doubt is
    /// known as well as before.
    fn is_sure(&self, doubt: Doubt, form: Form) -> bool {
        doubt == Doubt::None || (doubt == Doubt::Size && self.scale.varies(form))
    }

    /// Queues the next keys to be audited; false if none was met.
    fn walk_for_audit(&mut self) -> bool {
        let mut cursor = self.wants.audits.walk;
        let mut met = Vec::new();
        for _ in 0..WALK_PAGES {
            let Some((db, table, page)) = cursor.page(self) else {
                cursor = Cursor::start();
                break;
            };
            let sure = table
                .records(page)
                .filter(|record| self.is_sure(record.doubt, record.form));
            met.extend(sure.map(|record| (db, table.name(&record).to_vec())));
            if !cursor.advance(table) {
                cursor = Cursor::start();
                break;
            }
            if !met.is_empty() {
                break;
            }
        }
        self.wants.audits.walk = cursor;
        for (db, name) in &met {
            self.wants.audits.push(*db, name);
        }
        !met.is_empty()
    }

    /// Takes the reply to a look, stamped with the server's offset; `None` if there is no such key.
    pub fn settle_look(&mut self, db: u32, name: &[u8], at: u64, seen: Option<Seen>) -> Looked {
        let doubt = match self.receive(db, name, at) {
            Ok(doubt) => doubt,
            Err(Settled::Stale | Settled::Taken) => return Looked::Stale,
            Err(Settled::Early) => return Looked::Early,
            Err(Settled::Moot) => return Looked::Moot,
        };
        if doubt == Doubt::Value {
            // Only the value settles that.
            self.requeue(db, name);
            return Looked::Stale;
        }
        let (facts, seen) = match (self.facts(db, name), seen) {
            (Some(facts), Some(seen)) => (facts, seen),
            (Some(facts), None) => return self.look_at_nothing(db, name, &facts),
            // It was folded in the meantime.
            (None, Some(_)) if !self.knows(db, name) => return Looked::Moot,
            (None, Some(_)) => return self.look_at_unknown(db, name),
            // It has gone in the meantime, there as here.
            (None, None) => return Looked::Moot,
        };
        let mut differences = self.compare(&facts, &seen);
        let exact_expiry = self.has_exact_expiry();
        let repair = |entry: &mut Entry, key: &mut Seated, scale: &Scale| {
            if let Some(expire_ms) = seen.expire_ms
                && (exact_expiry || doubt != Doubt::None)
            {
                (entry.expire_ms, key.expire_ms) = (expire_ms, expire_ms);
            }
            repair(entry, key, &seen, scale)
        };
        let Some((fit, doubt_after)) = self.correct(db, name, repair) else {
            return Looked::Moot;
        };
        if doubt_after == Doubt::None {
            self.counters.settled += u64::from(doubt != Doubt::None);
        } else {
            self.requeue(db, name);
        }
        if doubt != Doubt::None {
            // What was in doubt is no mistake. How many elements there are never was.
            let writes_raise_it = self.scale.varies(Form::of(facts.kind, facts.encoding));
            differences.retain(|difference| match difference.fact {
                Fact::Type => true,
                Fact::Count => writes_raise_it,
                Fact::Existence | Fact::Encoding | Fact::Expiry | Fact::Memory => false,
            });
        } else if fit == Some(Fit::Odd) && differences.is_empty() {
            let theirs = seen.usage.map_or(0, |usage| usage.bytes);
            differences.push(Difference {
                fact: Fact::Memory,
                ours: facts.bytes.to_string(),
                theirs: theirs.to_string(),
            });
        }
        self.counters.drifted += u64::from(!differences.is_empty());
        let what = if differences.is_empty() {
            String::new()
        } else {
            self.describe(&facts)
        };
        Looked::Compared(Compared {
            what,
            differences,
            memory: fit,
        })
    }

    /// The server has no such key.
    fn look_at_nothing(&mut self, db: u32, name: &[u8], facts: &Facts) -> Looked {
        // An expired key is there for us until its DEL comes, which the very look has caused.
        let due = self.now_ms + EXPIRY_SLACK_MS;
        let is_due = facts.expire_ms.is_some_and(|at| at <= due);
        match self.settle_missing(db, name) {
            Settled::Taken if !is_due => {
                let what = self.describe(facts);
                Compared::existence(what, ["there", "missing"])
            }
            Settled::Taken | Settled::Stale | Settled::Early | Settled::Moot => Looked::Moot,
        }
    }

    /// The model has no such key.
    fn look_at_unknown(&mut self, db: u32, name: &[u8]) -> Looked {
        self.amend(db, name, |slot, _| {
            slot.get_or_insert_with(unread).doubt(Doubt::Value);
        });
        Compared::existence(String::new(), ["missing", "there"])
    }

    /// What a key is, in words.
    fn describe(&self, facts: &Facts) -> String {
        let encoding = facts.encoding.name(self.profile());
        format!("{} {encoding} {}", facts.kind.name(), facts.count)
    }

    /// Before 7.0 expiries travel as what is left, and are right to some milliseconds only.
    fn has_exact_expiry(&self) -> bool {
        self.profile().version >= Version::new(7, 0)
    }

    /// The facts that differ, but for the bytes.
    fn compare(&self, facts: &Facts, seen: &Seen) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut differ = |fact, ours: String, theirs: String| {
            found.push(Difference { fact, ours, theirs });
        };
        if let Some(kind) = seen.kind.filter(|kind| *kind != facts.kind) {
            differ(Fact::Type, facts.kind.name().into(), kind.name().into());
            return found;
        }
        if let Some(encoding) = seen.encoding.filter(|seen| *seen != facts.encoding) {
            let word = |encoding: Encoding| encoding.name(self.profile()).to_owned();
            differ(Fact::Encoding, word(facts.encoding), word(encoding));
        }
        if let Some(count) = seen.count.filter(|count| *count != facts.count) {
            differ(Fact::Count, facts.count.to_string(), count.to_string());
        }
        if let Some(expire_ms) = seen.expire_ms {
            let near = facts
                .expire_ms
                .zip(expire_ms)
                .is_some_and(|(ours, theirs)| {
                    !self.has_exact_expiry()
                        && ours.abs_diff(theirs) < EXPIRY_SLACK_MS.unsigned_abs()
                });
            if expire_ms != facts.expire_ms && !near {
                let word = |at: Option<i64>| at.map_or("never".to_owned(), |at| at.to_string());
                differ(Fact::Expiry, word(facts.expire_ms), word(expire_ms));
            }
        }
        found
    }
}

/// Takes what a look said, or asks for the value if that contradicts what is known. How the bytes
/// agree, and what is left in doubt.
fn repair(entry: &mut Entry, key: &mut Seated, seen: &Seen, scale: &Scale) -> (Option<Fit>, Doubt) {
    let other_kind = seen.kind.is_some_and(|kind| kind != entry.value.kind());
    let other_count = seen.count.is_some_and(|count| count != entry.value.count());
    if other_kind || other_count {
        entry.doubt = Doubt::Value;
        return (None, entry.doubt);
    }
    if let Some(encoding) = seen.encoding {
        take_encoding(entry, encoding, scale.profile());
        if entry.value.encoding() != encoding {
            entry.doubt = Doubt::Value;
            return (None, entry.doubt);
        }
    }
    // A value that is to be read again settles more than this.
    if entry.doubt != Doubt::Value {
        entry.doubt = Doubt::None;
    }
    let fit = seen.usage.and_then(|usage| scale.fit(entry, key, usage));
    let is_short = seen.usage.is_some_and(|usage| usage.bytes <= LIST_MAX);
    let is_list = entry.value.kind() == Kind::List;
    if fit == Some(Fit::Odd) && is_short && is_list && !scale.blocks_vary() {
        // Its nodes were cut by options that the model did not know, and only the value has them.
        // Where blocks vary, the answer stands, and another value would be as odd.
        entry.doubt = Doubt::Value;
    }
    (fit, entry.doubt)
}
