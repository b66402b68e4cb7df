//! The walk itself, and what each key is looked at for.

use super::bars::Bars;
use super::collections::Lens;
use super::groups::Group;
use super::tally::Seen;
use super::tracks::Tracks;
use super::{Point, Survey, lifetimes, lists, strings};
use crate::advice::Limits;
use crate::keyspace::{Detail, Keyspace};
use crate::profile::Profile;
use crate::store::record::{Body, Record};
use crate::store::weigh::Seated;
use crate::store::{Table, packing};
use crate::value::string::Str;
use crate::value::{Encoding, Kind, Value};
use crate::view::Cursor;

/// A key as rules look at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looked<'a> {
    pub(super) db: u32,
    pub(super) name: &'a [u8],
    pub(super) kind: Kind,
    pub(super) encoding: Encoding,
    pub(super) count: u64,
    pub(super) bytes: u64,
    /// Seconds since the last write.
    pub(super) idle_s: u64,
    pub(super) seated: Seated,
}

impl Looked<'_> {
    /// The key as evidence, with a figure of the rule's own and its bytes as the remedy leaves it.
    pub(super) fn seen(&self, figure: u64, then: u64) -> Seen {
        Seen {
            db: self.db,
            name: self.name.to_vec(),
            kind: self.kind,
            encoding: self.encoding,
            count: self.count,
            figure,
            now: self.bytes,
            then,
        }
    }
}

/// A walk under way.
#[derive(Debug)]
pub struct Surveyor {
    cursor: Cursor,
    lens: Lens,
    bars: Bars,
    survey: Survey,
    /// Calls so far.
    steps: u64,
}

/// Calls between two looks at whether groups are still what the tree of patterns calls them, which
/// takes as long as a thousand keys; the last look is at the end.
const STEPS_UNCHECKED: u64 = 64;

impl Surveyor {
    /// A walk from the beginning, over keys of a server as `profile`. `before` is the last survey of
    /// the same keys, and `now_ms` unix milliseconds.
    pub fn new(
        profile: &Profile,
        limits: &Limits,
        before: Option<&Survey>,
        now_ms: i64,
    ) -> Surveyor {
        let mut survey = Survey::new(profile.clone(), now_ms);
        survey.tracks = Tracks::beside(before.map(|before| &before.tracks), now_ms);
        Surveyor {
            cursor: Cursor::start(),
            lens: Lens::new(profile),
            bars: Bars::new(limits),
            survey,
            steps: 0,
        }
    }

    /// Keys met so far.
    pub fn keys(&self) -> u64 {
        self.survey.keys
    }

    /// What was found, with sums of all keys though only those with a record were met.
    pub fn survey(mut self, detail: &Detail) -> Survey {
        let Survey { tracks, groups, .. } = &mut self.survey;
        tracks.patterns(groups);
        tracks.end();
        self.survey.extend(detail);
        self.survey
    }

    fn key(&mut self, keyspace: &Keyspace, (db, table): (u32, &Table), record: &Record<'_>) {
        let weight = table.weigh(record, keyspace.scale());
        let name = table.name(record);
        let key = Looked {
            db,
            name,
            kind: record.form.kind(),
            encoding: record.form.encoding(),
            count: weight.count,
            bytes: weight.bytes,
            idle_s: keyspace.idle_s(record),
            seated: Seated {
                name: name.len() as u64,
                expire_ms: record.expire_ms,
                seat: record.seat,
            },
        };
        self.survey.keys += 1;
        self.survey.bytes += key.bytes;
        if record.expire_ms.is_none() {
            self.survey.lasting_keys += 1;
            self.survey.lasting_bytes += key.bytes;
        }
        self.survey.secrets.take(name);
        self.survey.tags.take(name, key.bytes);
        if self.survey.tally(Point::Largest).names(key.bytes) {
            let seen = key.seen(0, key.bytes);
            self.survey.tally_mut(Point::Largest).take(key.bytes, seen);
        }
        lifetimes::look(&key, &self.bars, &mut self.survey);
        let scale = keyspace.scale();
        let mut group = self.survey.groups.of(&key, keyspace);
        match &mut group {
            Some(group) => group.take(&key, scale),
            None => self.survey.unnamed += 1,
        }
        let (lens, is_big) = (&self.lens, self.bars.are_met_by(&key));
        let by_group = |group: Option<&mut Group>, value: &Value| {
            let Some(group) = group else { return };
            if is_big {
                group.big(&key);
            }
            if let Value::Hash(hash) = value {
                group.hash(hash, &key, scale);
            }
            if let Some(edge) = lens.edge(value, &key) {
                group.packed.take(&edge, &key);
            }
        };
        match record.body() {
            Body::Str(value) => {
                if let Some(group) = group {
                    group.string(&value, &key, scale);
                }
                self.string(&value, &key);
            }
            Body::Packed { .. } => {
                if let Some(value) = packing::value_of(record) {
                    by_group(group, &value);
                    self.collection(&value, &key);
                }
            }
            Body::Elsewhere(handle) => {
                if let Some(entry) = table.large().get(handle) {
                    by_group(group, &entry.value);
                    self.collection(&entry.value, &key);
                }
            }
        }
    }

    fn string(&mut self, value: &Str, key: &Looked<'_>) {
        let by = (&self.bars, self.lens.reload());
        strings::look(value, key, by, &mut self.survey);
    }

    fn collection(&mut self, value: &Value, key: &Looked<'_>) {
        self.lens.look(value, key, &self.bars, &mut self.survey);
        let by = (&self.bars, self.lens.profile());
        match value {
            Value::List(value) => lists::list(value, key, by, &mut self.survey),
            Value::Stream(value) => lists::stream(value, key, by, &mut self.survey),
            Value::Bare(bare) if bare.kind == Kind::Stream => self.survey.bare_streams += 1,
            Value::String(_)
            | Value::Set(_)
            | Value::Zset(_)
            | Value::Hash(_)
            | Value::Module(_)
            | Value::Bare(_) => {}
        }
        if self.bars.are_met_by(key) {
            self.survey.tracks.collection(key);
            let seen = key.seen(0, key.bytes);
            if let Some(at_ms) = key.seated.expire_ms {
                let left_ms = at_ms.saturating_sub(self.survey.at_ms).max(0);
                let expiring = self.survey.tally_mut(Point::BigExpiring);
                let figure = left_ms.unsigned_abs() / 1000;
                expiring.take(
                    key.count,
                    Seen {
                        figure,
                        ..seen.clone()
                    },
                );
            }
            self.survey
                .tally_mut(Point::BigCollection)
                .take(key.count, seen);
        }
    }
}

impl Keyspace {
    /// Goes on with a survey, for about as long as `budget` elements take, or one key; true when it
    /// is done.
    pub fn survey(&self, surveyor: &mut Surveyor, budget: u64) -> bool {
        let mut cursor = surveyor.cursor;
        let done = self.each_record(&mut cursor, budget, &mut |at, record| {
            surveyor.key(self, at, record);
        });
        surveyor.cursor = cursor;
        surveyor.steps += 1;
        if done || surveyor.steps.is_multiple_of(STEPS_UNCHECKED) {
            surveyor.survey.groups.check(self);
        }
        done
    }
}
