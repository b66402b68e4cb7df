//! From what a link says to what the model takes: the only file that names both
//! `replica_shim`'s events and `analyzer`'s input. Every match is exhaustive, so a new kind of
//! either side stops the build here.
//!
//! A snapshot is poured through [`Loading`] into the keyspace's next generation; a DUMP or RESTORE
//! payload through [`Imaging`] into an image that stands alone; a command goes through [`apply`].

use std::io::{self, Read};

use analyzer::input::{self, Command, Outcome, Part, Shape, Source};
use analyzer::keyspace::{Image, Restore};
use analyzer::profile::{Family, Origin, Profile, Version};
use analyzer::{Keyspace, Text};
use replica_shim::rdb::{self, Checksum, Decoder, Item, Key, ObjectEnd, Sink, StreamId, ValueType};
use thiserror::Error;

/// What a load met besides keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Keys in the snapshot.
    pub keys: u64,
    /// Family and RDB version of the header.
    pub header: Option<(Family, u32)>,
    /// Version of the server that wrote it.
    pub writer: Option<Version>,
    /// Bytes of the snapshot, where the load counts them itself.
    pub bytes: u64,
    /// Function libraries.
    pub functions: u64,
    /// Values of modules.
    pub modules: u64,
    /// Odd but loadable things.
    pub warnings: u64,
    /// True if the snapshot's checksum was there and right.
    pub verified: bool,
}

/// Why a snapshot cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// Reading.
    #[error("cannot read the snapshot")]
    Io(#[from] io::Error),
    /// Decoding.
    #[error("the snapshot does not decode")]
    Rdb(#[from] rdb::Error),
}

/// State of a load from one piece of the snapshot to the next.
#[derive(Debug, Default)]
pub struct LoadState {
    db: u32,
    family: Option<Family>,
    in_module: bool,
    /// What was met.
    pub report: LoadReport,
}

/// Whether the snapshot's own version decides the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileFrom {
    /// The server's INFO told already.
    Server,
    /// There is only the snapshot.
    Snapshot,
}

/// A sink that fills the keyspace's next generation.
#[derive(Debug)]
pub struct Loading<'a> {
    /// The keyspace, between `begin_load` and `commit_load`.
    pub keyspace: &'a mut Keyspace,
    /// What lasts from one piece to the next.
    pub state: &'a mut LoadState,
    /// Who tells the profile.
    pub profile: ProfileFrom,
}

impl Sink for Loading<'_> {
    fn item(&mut self, item: Item<'_>) {
        match item {
            Item::Header(header) => {
                let family = family(header.family);
                self.state.family = Some(family);
                self.state.report.header = Some((family, header.version));
            }
            Item::Aux { key, value } => self.aux(key, value),
            Item::SelectDb(db) => self.state.db = db,
            Item::ResizeDb { keys, .. } => self.keyspace.expect_keys(self.state.db, keys),
            Item::Function { .. } => self.state.report.functions += 1,
            Item::Warning(_) => self.state.report.warnings += 1,
            Item::End { checksum } => self.state.report.verified = checksum == Checksum::Verified,
            Item::Key(key) => self.key(key),
            Item::ObjectEnd(end) => self.end(end),
            Item::Module { .. } => {
                self.state.report.modules += 1;
                self.state.in_module = true;
            }
            // A payload has no place in a snapshot; hints and migrations say nothing of keys.
            Item::Kind(_)
            | Item::SlotInfo { .. }
            | Item::SlotImport { .. }
            | Item::ModuleAux { .. } => {}
            Item::Str { .. }
            | Item::Element(_)
            | Item::Scored { .. }
            | Item::Field { .. }
            | Item::ListNode(_)
            | Item::IntsetWidth(_)
            | Item::MinExpire(_)
            | Item::StreamNode(_)
            | Item::StreamField(_)
            | Item::StreamEntry { .. }
            | Item::StreamMeta(_)
            | Item::Group { .. }
            | Item::Pending { .. }
            | Item::Consumer { .. }
            | Item::ConsumerPending { .. } => {
                if let Some(part) = part(item) {
                    self.keyspace.part(part);
                }
            }
        }
    }

    #[inline]
    fn key(&mut self, key: Key<'_>) {
        self.state.report.keys += 1;
        let key = input_key(key, self.state.db);
        self.keyspace.load_key(key);
    }

    #[inline]
    fn string_key(&mut self, key: Key<'_>, (len, int): (u64, Option<i64>), _: ObjectEnd) {
        self.state.report.keys += 1;
        let key = input_key(key, self.state.db);
        self.keyspace.load_string(key, len, int);
    }

    #[inline]
    fn string(&mut self, len: u64, int: Option<i64>) {
        self.keyspace.part(Part::Str { len, int });
    }

    #[inline]
    fn element(&mut self, element: replica_shim::Text<'_>) {
        self.keyspace.part(Part::Element(text(element)));
    }

    #[inline]
    fn scored(&mut self, member: replica_shim::Text<'_>, score: f64) {
        let member = text(member);
        self.keyspace.part(Part::Scored { member, score });
    }

    #[inline]
    fn field(
        &mut self,
        field: replica_shim::Text<'_>,
        value: replica_shim::Text<'_>,
        expire_ms: Option<i64>,
    ) {
        let (field, value) = (text(field), text(value));
        self.keyspace.part(Part::Field {
            field,
            value,
            expire_ms,
        });
    }

    #[inline]
    fn end(&mut self, end: ObjectEnd) {
        if std::mem::take(&mut self.state.in_module) {
            let serialized = end.serialized;
            self.keyspace.part(Part::Module { serialized });
        }
        self.keyspace.end_key();
    }
}

#[inline]
fn input_key(key: Key<'_>, db: u32) -> input::Key<'_> {
    input::Key {
        db,
        name: key.name,
        shape: shape(key.kind),
        expire_ms: key.expire_ms,
        idle_s: key.idle_s,
        freq: key.freq,
        count_hint: key.count,
    }
}

impl Loading<'_> {
    fn aux(&mut self, key: &[u8], value: replica_shim::Text<'_>) {
        let (Some(family), b"redis-ver" | b"valkey-ver") = (self.state.family, key) else {
            return;
        };
        let version = value
            .bytes()
            .and_then(|bytes| std::str::from_utf8(bytes).ok());
        let Some(version) = version.and_then(Version::parse) else {
            return;
        };
        self.state.report.writer = Some(version);
        // Valkey up to 8.1 writes the magic of Redis, but its own name in the aux field.
        let family = if key == b"valkey-ver" {
            Family::Valkey
        } else {
            family
        };
        match self.profile {
            ProfileFrom::Server => {}
            ProfileFrom::Snapshot => {
                let mut profile = Profile::defaults(family, version);
                profile.origin = Origin::Defaults;
                self.keyspace.set_profile(profile);
            }
        }
    }
}

/// Loads a whole RDB into the keyspace and makes it the answering generation. `progress` hears
/// how many bytes were read, now and then.
///
/// # Errors
/// The input cannot be read or does not decode; the keyspace keeps its generation.
pub fn load_rdb(
    mut input: impl Read,
    keyspace: &mut Keyspace,
    now_ms: i64,
    progress: &mut dyn FnMut(u64),
) -> Result<LoadReport, LoadError> {
    const READ_BYTES: usize = 1 << 17;
    let mut decoder = Decoder::new(keyspace.seed());
    let mut state = LoadState::default();
    let mut buffer = vec![0; rdb::CONTIGUOUS_MAX + READ_BYTES];
    let mut kept = 0;
    keyspace.begin_load(now_ms);
    while !decoder.is_done() {
        let read = match input.read(&mut buffer[kept..]) {
            Ok(0) => {
                keyspace.abort_load();
                return Err(decoder.truncated().into());
            }
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                keyspace.abort_load();
                return Err(error.into());
            }
        };
        let filled = kept + read;
        let mut sink = Loading {
            keyspace: &mut *keyspace,
            state: &mut state,
            profile: ProfileFrom::Snapshot,
        };
        let consumed = match decoder.feed(&buffer[..filled], &mut sink) {
            Ok(consumed) => consumed,
            Err(error) => {
                keyspace.abort_load();
                return Err(error.into());
            }
        };
        buffer.copy_within(consumed..filled, 0);
        kept = filled - consumed;
        progress(decoder.position());
    }
    keyspace.commit_load(0);
    state.report.bytes = decoder.position();
    Ok(state.report)
}

/// A sink that builds one object from a DUMP payload.
struct Imaging<F> {
    begin: F,
    image: Option<Image>,
    in_module: bool,
}

impl<F: Fn(Shape) -> Image> Sink for Imaging<F> {
    fn item(&mut self, item: Item<'_>) {
        match (&mut self.image, item) {
            (None, Item::Kind(kind)) => {
                self.image = Some((self.begin)(shape(kind)));
            }
            (Some(_), Item::Module { .. }) => self.in_module = true,
            (Some(image), Item::ObjectEnd(end)) if self.in_module => {
                let serialized = end.serialized;
                image.part(&Part::Module { serialized });
            }
            (Some(image), item) => {
                if let Some(part) = part(item) {
                    image.part(&part);
                }
            }
            (None, _) => {}
        }
    }
}

/// Decodes a DUMP payload into what `begin` gives for its layout.
///
/// # Errors
/// It does not decode, or its checksum is wrong.
pub fn image(
    seed: u64,
    payload: &[u8],
    begin: impl Fn(Shape) -> Image,
) -> Result<Image, rdb::Error> {
    let mut sink = Imaging {
        begin,
        image: None,
        in_module: false,
    };
    rdb::payload(seed, payload, &mut sink)?;
    // A payload that decodes begins with its kind.
    Ok(sink.image.unwrap_or_else(|| (sink.begin)(Shape::Module)))
}

/// Applies one command of the stream. `now_ms` is the wall clock when it arrived, `digest` that of its
/// first argument; `argv` is room for its words.
#[inline]
pub fn apply<'a>(
    keyspace: &mut Keyspace,
    command: &replica_shim::Command<'a>,
    (now_ms, digest): (i64, u64),
    argv: &mut Vec<Text<'a>>,
) -> Outcome {
    let args = command.args;
    if is_restore(args.name())
        && let Some(outcome) = restore(keyspace, command, now_ms)
    {
        return outcome;
    }
    argv.clear();
    argv.extend(args.iter().map(text));
    let command = Command {
        db: command.db,
        argv,
        now_ms,
        end_offset: command.end_offset.get(),
    };
    keyspace.follow(&command, digest)
}

/// Database of a command of the stream, and digest of its first argument, as [`Keyspace::warm`] wants
/// to know them.
#[inline]
pub fn key(command: &replica_shim::Command<'_>, seed: u64) -> (u32, u64) {
    let key = command.args.get(1);
    (command.db, key.map_or(0, |key| text(key).digest(seed)))
}

#[inline]
fn is_restore(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"RESTORE") || name.eq_ignore_ascii_case(b"RESTORE-ASKING")
}

/// RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME s] [FREQ n]. `None` if the payload cannot
/// be read: the model then marks the key.
fn restore(
    keyspace: &mut Keyspace,
    command: &replica_shim::Command<'_>,
    now_ms: i64,
) -> Option<Outcome> {
    let args = command.args;
    let name = args.bytes(1)?;
    let ttl = args.get(2)?.int()?;
    let begin = |shape| keyspace.image(shape, Source::Rebuilt);
    let image = image(keyspace.seed(), args.bytes(3)?, begin).ok()?;
    let mut absolute = false;
    let mut i = 4;
    while let Some(option) = args.bytes(i) {
        if option.eq_ignore_ascii_case(b"ABSTTL") {
            absolute = true;
        } else if option.eq_ignore_ascii_case(b"IDLETIME") || option.eq_ignore_ascii_case(b"FREQ") {
            i += 1;
        }
        i += 1;
    }
    let expire_ms = match ttl {
        0 => None,
        at if absolute => Some(at),
        left => Some(now_ms.saturating_add(left)),
    };
    Some(keyspace.restore(Restore {
        db: command.db,
        name,
        image,
        expire_ms,
        now_ms,
        end_offset: command.end_offset.get(),
        bytes: args.iter().map(|word| text(word).len()).sum(),
    }))
}

fn unix(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// The model's family.
pub fn family(family: rdb::Family) -> Family {
    match family {
        rdb::Family::Redis => Family::Redis,
        rdb::Family::Valkey => Family::Valkey,
    }
}

#[inline]
fn text(text: replica_shim::Text<'_>) -> Text<'_> {
    match text {
        replica_shim::Text::Bytes(bytes) => Text::Bytes(bytes),
        replica_shim::Text::Int(number) => Text::Int(number),
        replica_shim::Text::Long { len, digest } => Text::Long { len, digest },
    }
}

fn id(id: StreamId) -> input::StreamId {
    (id.ms, id.seq)
}

/// How the model names a layout.
fn shape(kind: ValueType) -> Shape {
    match kind {
        ValueType::String => Shape::String,
        ValueType::List
        | ValueType::ListZiplist
        | ValueType::ListQuicklist
        | ValueType::ListQuicklist2 => Shape::List,
        ValueType::Set => Shape::SetTable,
        ValueType::SetIntset => Shape::SetIntset,
        ValueType::SetListpack => Shape::SetListpack,
        ValueType::Zset | ValueType::Zset2 => Shape::ZsetSkiplist,
        ValueType::ZsetZiplist | ValueType::ZsetListpack => Shape::ZsetListpack,
        ValueType::Hash
        | ValueType::HashMetadata
        | ValueType::HashMetadataRc
        | ValueType::HashTtl => Shape::HashTable,
        ValueType::HashZipmap | ValueType::HashZiplist | ValueType::HashListpack => {
            Shape::HashListpack
        }
        ValueType::HashListpackEx | ValueType::HashListpackExRc => Shape::HashListpackEx,
        ValueType::Stream | ValueType::Stream2 | ValueType::Stream3 => Shape::Stream,
        ValueType::ModuleRc | ValueType::Module2 => Shape::Module,
    }
}

/// The part of a value that an item is; `None` for what the model does not keep.
fn part(item: Item<'_>) -> Option<Part<'_>> {
    Some(match item {
        Item::Str { len, int } => Part::Str { len, int },
        // A node's field names stand behind it as elements.
        Item::Element(element) | Item::StreamField(element) => Part::Element(text(element)),
        Item::Scored { member, score } => Part::Scored {
            member: text(member),
            score,
        },
        Item::Field {
            field,
            value,
            expire_ms,
        } => Part::Field {
            field: text(field),
            value: text(value),
            expire_ms,
        },
        Item::ListNode(node) => Part::Node {
            plain: node.plain,
            bytes: node.bytes,
            compressed: node.compressed,
        },
        Item::IntsetWidth(width) => Part::IntsetWidth(width),
        Item::StreamNode(node) => Part::StreamNode {
            id: id(node.id),
            bytes: node.bytes,
        },
        Item::StreamEntry { id: entry, deleted } => Part::StreamEntry {
            id: id(entry),
            deleted,
        },
        Item::StreamMeta(meta) => Part::StreamMeta {
            length: meta.length,
            last: id(meta.last),
            first: meta.first.map_or((0, 0), id),
            max_deleted: meta.max_deleted.map_or((0, 0), id),
            // Type 15 has no counter; servers take the length for it.
            entries_added: meta.entries_added.unwrap_or(meta.length),
        },
        Item::Group { .. }
        | Item::Pending { .. }
        | Item::Consumer { .. }
        | Item::ConsumerPending { .. } => return group_part(item),
        // The earliest expiry follows from the fields; the rest is not part of a value.
        Item::MinExpire(_)
        | Item::Header(_)
        | Item::Aux { .. }
        | Item::SelectDb(_)
        | Item::ResizeDb { .. }
        | Item::SlotInfo { .. }
        | Item::SlotImport { .. }
        | Item::Function { .. }
        | Item::ModuleAux { .. }
        | Item::Key(_)
        | Item::Kind(_)
        | Item::Module { .. }
        | Item::Warning(_)
        | Item::ObjectEnd(_)
        | Item::End { .. } => return None,
    })
}

fn group_part(item: Item<'_>) -> Option<Part<'_>> {
    if let Item::Group {
        name,
        last,
        entries_read,
        ..
    } = item
    {
        let last = id(last);
        return Some(Part::Group {
            name,
            last,
            entries_read,
        });
    }
    if let Item::Pending {
        id: entry,
        delivered_ms,
        count,
    } = item
    {
        return Some(Part::Pending {
            id: id(entry),
            delivered_ms: unix(delivered_ms),
            count,
        });
    }
    if let Item::Consumer {
        name,
        seen_ms,
        active_ms,
        ..
    } = item
    {
        return Some(Part::Consumer {
            name,
            seen_ms: unix(seen_ms),
            active_ms,
        });
    }
    if let Item::ConsumerPending { id: entry } = item {
        return Some(Part::ConsumerPending(id(entry)));
    }
    None
}
