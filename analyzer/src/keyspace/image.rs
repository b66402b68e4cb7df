//! A value being built from the parts of its serialized form, apart from any keyspace: a key of a
//! full sync, the payload of a RESTORE, or a re-read that waits for its place in the stream.

use crate::command::{Doubt, Entry};
use crate::input::{Part, Shape, Source};
use crate::profile::Profile;
use crate::value::string::{Holder, Str};
use crate::value::{Encoding, Module, Value, hash, list, set, stream, zset};

/// A value in the making.
#[derive(Debug)]
pub struct Image {
    build: Build,
    source: Source,
    malformed: bool,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, and never moved while parts come"
)]
enum Build {
    String(Option<(u64, Option<i64>)>),
    List(list::Builder),
    Set(set::Builder),
    Zset(zset::Builder),
    Hash(hash::Builder),
    Stream(Box<stream::Builder>),
    Module(u64),
}

impl Image {
    /// Starts a value of that shape.
    pub(crate) fn new(shape: Shape, source: Source, profile: &Profile, seed: u64) -> Image {
        let build = match shape {
            Shape::String => Build::String(None),
            Shape::List => Build::List(list::Builder::new(source, profile, seed)),
            Shape::SetTable | Shape::SetIntset | Shape::SetListpack => {
                Build::Set(set::Builder::new(shape, source, profile, seed))
            }
            Shape::HashTable | Shape::HashListpack | Shape::HashListpackEx => {
                Build::Hash(hash::Builder::new(shape, source, profile, seed))
            }
            Shape::ZsetSkiplist | Shape::ZsetListpack => {
                Build::Zset(zset::Builder::new(shape, source, profile, seed))
            }
            Shape::Stream => Build::Stream(Box::new(stream::Builder::new(source, profile, seed))),
            Shape::Module => Build::Module(0),
        };
        Image {
            build,
            source,
            malformed: false,
        }
    }

    /// Keeps the fingerprints of a list's elements; to be said before the first part.
    pub(crate) fn with_fingerprints(mut self, keep: bool) -> Image {
        if let Build::List(build) = &mut self.build {
            build.with_fingerprints(keep);
        }
        self
    }

    /// Gets ready for so many elements, which is a hint, with a buffer that `Value::give_back` returns.
    pub(crate) fn expect(&mut self, count: u64, run: &mut Vec<u8>) {
        match &mut self.build {
            Build::Set(build) => build.expect(count, run),
            Build::Zset(build) => build.expect(count, run),
            Build::Hash(build) => build.expect(count, run),
            Build::String(_) | Build::List(_) | Build::Stream(_) | Build::Module(_) => {}
        }
    }

    /// Takes the next part. Parts of another type are remembered as malformed.
    #[inline]
    pub fn part(&mut self, part: &Part<'_>) {
        let taken = match (&mut self.build, part) {
            (Build::String(found), Part::Str { len, int }) => {
                *found = Some((*len, *int));
                true
            }
            (Build::Module(bytes), Part::Module { serialized }) => {
                *bytes = *serialized;
                true
            }
            (Build::String(_) | Build::Module(_), _) => false,
            (Build::List(build), _) => build.part(part).is_ok(),
            (Build::Set(build), _) => build.part(part).is_ok(),
            (Build::Zset(build), _) => build.part(part).is_ok(),
            (Build::Hash(build), _) => build.part(part).is_ok(),
            (Build::Stream(build), _) => build.part(part).is_ok(),
        };
        self.malformed |= !taken;
    }

    /// True if a part did not fit the shape.
    pub fn is_malformed(&self) -> bool {
        self.malformed
    }

    /// The entry of a key of that name; `None` for an empty collection, which servers skip.
    pub(crate) fn finish(
        self,
        name: usize,
        expire_ms: Option<i64>,
        profile: &Profile,
    ) -> Option<Entry> {
        let holder = Holder {
            name: name as u64,
            expires: expire_ms.is_some(),
        };
        let value = match self.build {
            Build::String(found) => {
                let (len, int) = found?;
                Value::String(Str::loaded(len, int, holder, profile))
            }
            Build::List(build) => Value::List(build.finish()?),
            Build::Set(build) => Value::Set(build.finish(profile)?),
            Build::Zset(build) => Value::Zset(build.finish(profile)?),
            Build::Hash(build) => Value::Hash(build.finish(profile)?),
            Build::Stream(build) => Value::Stream(Box::new(build.finish()?)),
            Build::Module(serialized) => Value::Module(Module { serialized }),
        };
        let mut doubt = match self.source {
            Source::Image => unsaid(&value),
            Source::Rebuilt => Doubt::None,
        };
        if self.malformed {
            doubt = Doubt::Value;
        }
        Some(Entry {
            doubt,
            expire_ms,
            ..Entry::new(value)
        })
    }
}

/// What the master's own image does not say: whether a short string is embedded, and whether a list
/// of one node is a listpack or a quicklist.
pub(crate) fn unsaid(value: &Value) -> Doubt {
    match value {
        Value::String(value) if value.encoding() != Encoding::Raw => Doubt::Probe,
        Value::List(list) if list.encoding_open() => Doubt::Probe,
        Value::String(_)
        | Value::List(_)
        | Value::Set(_)
        | Value::Zset(_)
        | Value::Hash(_)
        | Value::Stream(_)
        | Value::Module(_)
        | Value::Bare(_) => Doubt::None,
    }
}
