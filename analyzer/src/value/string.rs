//! A string: its length, how the server holds it, and its number where it is held as one.
//!
//! The encoding follows `tryObjectEncoding`; the block of a grown string follows
//! `sdsMakeRoomFor` (`reference/memory-model.md` 3.3 and 3.4).

use crate::profile::{Family, Profile, Version};
use crate::text::{Text, decimal_len};
use crate::value::Encoding;

/// Longest string that may live in its object's block.
pub const EMBSTR_MAX: u64 = 44;

/// Length of a dense HyperLogLog: 16 header bytes and 16384 registers of 6 bits.
pub const HLL_DENSE: u64 = 12_304;

/// Marks, in place of a header, the room of a sparse HyperLogLog that is about to be read again.
const SPARSE: u8 = 0x40;
/// Length of an empty sparse HyperLogLog.
const SPARSE_FIRST: u64 = 18;
/// Bytes that a change of a sparse one may need.
const SPARSE_NEED: u64 = 3;
/// Most that it gets in advance.
const SPARSE_STEP: u64 = 300;

/// Below this a growing string doubles; from here on it grows by as much.
const GROWTH_STEP_MAX: u64 = 1024 * 1024;

/// A string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Str {
    len: u64,
    form: Form,
}

/// How the server holds the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As a number.
    Int(i64),
    /// In the object's own block.
    Embstr,
    /// In a block cut to the length.
    Raw,
    /// In a block with room left by growth.
    Grown(Room),
}

/// The block of a string that was grown in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Usable bytes of the block, as far as the server makes use of them.
    pub(crate) block: u64,
    /// Bytes of the sds header.
    pub(crate) header: u8,
}

/// The key that holds a string: newer Valkeys put both in one block, so that the encoding depends
/// on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Bytes of the key's name.
    pub name: u64,
    /// The key has, or had when the value was set, an expiry.
    pub expires: bool,
}

impl Str {
    /// A string as SET leaves it.
    pub fn set(text: &Text<'_>, holder: Holder, profile: &Profile) -> Str {
        Str::fresh(text.len(), text.int(), holder, profile)
    }

    /// A string of `len` bytes as SET leaves it; `int` is its value if it is a canonical integer.
    pub fn fresh(len: u64, int: Option<i64>, holder: Holder, profile: &Profile) -> Str {
        let form = match int {
            Some(n) => Form::Int(n),
            None if embeds(len, holder, profile) => Form::Embstr,
            None => Form::Raw,
        };
        Str { len, form }
    }

    /// A string as a load leaves it: made first, given its expiry then.
    pub(crate) fn loaded(len: u64, int: Option<i64>, holder: Holder, profile: &Profile) -> Str {
        let plain = Holder {
            expires: false,
            ..holder
        };
        let mut made = Str::fresh(len, int, plain, profile);
        made.refit(holder, profile);
        made
    }

    /// A number.
    pub fn number(n: i64) -> Str {
        Str {
            len: decimal_len(n),
            form: Form::Int(n),
        }
    }

    /// A string in a block of its own, cut to its length.
    pub fn raw(len: u64) -> Str {
        Str {
            len,
            form: Form::Raw,
        }
    }

    /// A string that a command makes with exactly `len` bytes, without SET's afterthought: SETRANGE,
    /// SETBIT and BITOP.
    pub fn made(len: u64, profile: &Profile) -> Str {
        let mut made = Str::raw(len);
        made.hold(Room::cut(len, profile), profile);
        made
    }

    /// PFADD changed it: once it is known how long a sparse HyperLogLog is now,
    /// [`Str::take_sparse`] guesses the block that it grew to.
    pub(crate) fn mark_sparse(&mut self) {
        let block = 0;
        self.form = Form::Grown(Room {
            block,
            header: SPARSE,
        });
    }

    /// Takes the block of a live sparse HyperLogLog, if `before` was marked as one. It grows by about
    /// as much as it is long, at most 300, when less than 3 bytes are left (hyperloglog.c
    /// `hllSparseSet`); before 7.2 as any other string. When exactly it ran out of room depends on
    /// its elements: measured, nine blocks of ten are right before 7.2, eight later, and the mean
    /// error is 0.1% and 5%.
    pub(crate) fn take_sparse(&mut self, before: Str, profile: &Profile) {
        let marked = matches!(before.form, Form::Grown(room) if room.header == SPARSE);
        if !marked || self.form == Form::Embstr || self.len >= HLL_DENSE {
            return;
        }
        let mut room = SPARSE_FIRST;
        while room < self.len + SPARSE_NEED - 1 {
            let need = room + SPARSE_NEED - 1;
            room = if !profile.small_sets() {
                // As any string grows; 6.2 has the whole block to grow in.
                let header = u64::from(header_on(2 * need, profile).max(3));
                usable(header + 2 * need + 1, profile) - header - 1
            } else {
                need + need.min(SPARSE_STEP)
            };
        }
        if profile.small_sets() {
            room = room.min(profile.hll_sparse_max.max(self.len));
        }
        let header = header_on(room, profile).max(3);
        self.form = Form::Grown(Room {
            block: profile.allocator.class(u64::from(header) + room + 1),
            header,
        });
    }

    pub(crate) fn from_parts(len: u64, form: Form) -> Str {
        Str { len, form }
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True for the empty string.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its value, if it is held as a number.
    pub fn int(&self) -> Option<i64> {
        match self.form {
            Form::Int(n) => Some(n),
            Form::Embstr | Form::Raw | Form::Grown(_) => None,
        }
    }

    /// Encoding.
    pub fn encoding(&self) -> Encoding {
        match self.form {
            Form::Int(_) => Encoding::Int,
            Form::Embstr => Encoding::Embstr,
            Form::Raw | Form::Grown(_) => Encoding::Raw,
        }
    }

    /// Takes the encoding that the server told, keeping the length.
    pub fn settle(&mut self, encoding: Encoding) {
        match (encoding, self.form) {
            (Encoding::Embstr, _) => self.form = Form::Embstr,
            (Encoding::Raw, Form::Int(_) | Form::Embstr) => self.form = Form::Raw,
            // A number cannot be made up; raw with room is raw.
            _ => {}
        }
    }

    /// Leaves the object's block if `holder` is too much for it (a longer name, a new expiry).
    pub fn refit(&mut self, holder: Holder, profile: &Profile) {
        if self.form == Form::Embstr
            && !embeds(self.len, holder, profile)
            && !self.has_free_slot(holder, profile)
        {
            self.form = Form::Raw;
        }
    }

    /// True if the object's block had room for an expiry from the start, because its class did
    /// (Valkey 8.1, object.c `createEmbeddedStringObjectWithKeyAndExpire`).
    fn has_free_slot(&self, holder: Holder, profile: &Profile) -> bool {
        let plain = Holder {
            expires: false,
            ..holder
        };
        let need = embedded_block(self.len, plain, Blocks::of(profile));
        embeds(self.len, plain, profile)
            && need.is_some_and(|need| profile.allocator.class(need) >= need + 8)
    }

    /// The same bytes in a block cut to their length, which SET's afterthought has not trimmed
    /// (object.c `dupStringObject`, for COPY): before 7.2 the next growth uses the whole of it.
    pub fn copy(&mut self, profile: &Profile) {
        if let Form::Raw | Form::Grown(_) = self.form {
            *self = Str::made(self.len, profile);
        }
    }

    /// Makes it at least `total` bytes long, as APPEND, SETRANGE, SETBIT and BITFIELD do: the
    /// string leaves its object's block even if nothing grows. False if it may have another block
    /// than this, see [`Str::may_have_room`].
    #[must_use]
    pub fn grow(&mut self, total: u64, profile: &Profile) -> bool {
        let (block, header, avail) = match self.form {
            Form::Grown(room) if room.header != SPARSE => {
                (room.block, room.header, room.capacity())
            }
            Form::Raw => {
                let room = Room::cut(self.len, profile);
                let avail = if room.is_trimmed(self.len, profile) {
                    self.len
                } else {
                    room.capacity()
                };
                (room.block, room.header, avail)
            }
            Form::Grown(_) | Form::Int(_) | Form::Embstr => {
                let room = Room::cut(self.len, profile);
                (room.block, room.header, room.capacity())
            }
        };
        if total <= self.len && self.form == Form::Raw {
            return true;
        }
        let sure = !self.may_have_room(total, profile);
        if total <= self.len || avail >= total {
            self.len = self.len.max(total);
            self.hold(Room { block, header }, profile);
            return sure;
        }
        let asked = if total < GROWTH_STEP_MAX {
            total * 2
        } else {
            total.saturating_add(GROWTH_STEP_MAX)
        };
        let header = header_on(asked, profile).max(3);
        let bytes = u64::from(header).saturating_add(asked).saturating_add(1);
        let block = usable(bytes, profile);
        self.len = total;
        self.hold(Room { block, header }, profile);
        sure
    }

    /// True if nobody can tell whether the block that the string has holds `total` bytes of it. Before
    /// 7.2 a server does not use all of a block: what SET trimmed was forgotten, what COPY or SETRANGE
    /// made was not, and 6.0 uses what it asked for. The block's size, which is all that the server
    /// tells of a string that is older than the model, is the same.
    fn may_have_room(&self, total: u64, profile: &Profile) -> bool {
        if !trims(profile) || !profile.past.grew || total <= self.len {
            return false;
        }
        let exact = profile.version >= Version::new(6, 2);
        let room = match self.form {
            Form::Raw => Room::cut(self.len, profile),
            Form::Grown(room) if room.header != SPARSE && !exact => room,
            Form::Grown(_) | Form::Int(_) | Form::Embstr => return false,
        };
        let block = profile.allocator.class(room.block);
        // What was told is a whole block, what was asked for seldom is.
        let is_told = exact || self.form == Form::Raw || block == room.block;
        is_told && Room { block, ..room }.capacity() >= total
    }

    fn hold(&mut self, room: Room, profile: &Profile) {
        let cut = Room::cut(self.len, profile);
        self.form = if room == cut && !cut.is_trimmed(self.len, profile) {
            Form::Raw
        } else {
            Form::Grown(room)
        };
    }

    /// Takes the block that the server says a raw string has; false if no such block can be.
    pub(crate) fn take_block(&mut self, block: u64, profile: &Profile) -> bool {
        let cut = Room::cut(self.len, profile);
        if self.encoding() != Encoding::Raw || profile.allocator.class(block) != block {
            return false;
        }
        if block == profile.allocator.class(cut.block) {
            self.form = Form::Raw;
            return true;
        }
        // The header is that of the room which was asked for.
        let header = header_on(block.saturating_sub(10).max(self.len), profile).max(3);
        let fits = u64::from(header) + self.len < block;
        if fits {
            self.form = Form::Grown(Room { block, header });
        }
        fits
    }

    /// Bytes of the value part of MEMORY USAGE, where the object holds no key.
    pub fn memory(&self, profile: &Profile) -> u64 {
        match self.form {
            Form::Int(_) => 16,
            // Before 7.0 the object's block is not rounded.
            Form::Embstr if profile.ziplists() => 16 + 2 + self.len,
            Form::Embstr => profile.allocator.class(16 + 3 + self.len + 1),
            Form::Raw | Form::Grown(_) => 16 + self.block(profile),
        }
    }

    /// Bytes of the block that holds the bytes of a raw string.
    pub(crate) fn block(&self, profile: &Profile) -> u64 {
        match self.form {
            // Rounding a block once more changes nothing; 6.0 has what was asked for.
            Form::Grown(room) if room.header != SPARSE => profile.allocator.class(room.block),
            Form::Grown(_) | Form::Int(_) | Form::Embstr | Form::Raw => {
                profile.allocator.sds(self.len)
            }
        }
    }
}

impl Room {
    /// The block of a string that was made in one piece.
    fn cut(len: u64, profile: &Profile) -> Room {
        let header = if len == 0 { 3 } else { header_on(len, profile) };
        Room {
            block: usable(
                u64::from(header).saturating_add(len).saturating_add(1),
                profile,
            ),
            header,
        }
    }

    /// True if SET would forget the slack of such a block: before 7.2, above a tenth. The block
    /// keeps it, but the next growth does not use it (object.c `trimStringObjectIfNeeded`).
    fn is_trimmed(self, len: u64, profile: &Profile) -> bool {
        trims(profile) && self.capacity().saturating_sub(len) > len / 10
    }

    /// Bytes of text that fit, as far as the header can say; the shortest header has no field for
    /// room and says 0.
    fn capacity(self) -> u64 {
        let fits = self.block.saturating_sub(u64::from(self.header) + 1);
        match self.header {
            1 => 0,
            3 => fits.min(255),
            5 => fits.min(65_535),
            9 => fits.min(0xffff_ffff),
            _ => fits,
        }
    }
}

/// Bytes of the sds header for a string of `len` bytes (sds.c `sdsReqType` of Redis).
fn header_of(len: u64) -> u8 {
    match len {
        0..=31 => 1,
        32..=255 => 3,
        256..=65_535 => 5,
        65_536..=0xffff_ffff => 9,
        _ => 17,
    }
}

/// The same on Valkey 8.0 and later, where a header's type is that of the whole block.
pub(crate) fn tight_header(len: u64) -> u8 {
    match len {
        0..=31 => 1,
        32..=252 => 3,
        253..=65_530 => 5,
        65_531..=0xffff_fff0 => 9,
        _ => 17,
    }
}

/// Bytes of a new string's header on that server.
fn header_on(len: u64, profile: &Profile) -> u8 {
    match Blocks::of(profile) {
        Blocks::Split => header_of(len),
        Blocks::KeyInEntry | Blocks::KeyInObject64 | Blocks::KeyInObject128 => tight_header(len),
    }
}

/// Bytes of a block of `bytes` that a string can grow into: before 6.2 those that were asked for,
/// later those that the allocator gave (sds.c `s_malloc_usable`).
fn usable(bytes: u64, profile: &Profile) -> u64 {
    if profile.version < Version::new(6, 2) {
        bytes
    } else {
        profile.allocator.class(bytes)
    }
}

fn trims(profile: &Profile) -> bool {
    profile.family == Family::Redis && profile.version < Version::new(7, 2)
}

/// True if the server puts a string of `len` bytes into its object's block.
pub(crate) fn embeds(len: u64, holder: Holder, profile: &Profile) -> bool {
    let slot = if holder.expires { 8 } else { 0 };
    match Blocks::of(profile) {
        Blocks::Split | Blocks::KeyInEntry => len <= EMBSTR_MAX,
        Blocks::KeyInObject64 => len <= EMBSTR_MAX && 16 + holder.name + 3 + 4 + len + slot <= 64,
        Blocks::KeyInObject128 => {
            let key = 1 + u64::from(tight_header(holder.name)) + holder.name + 1;
            8 + key + 3 + len + 1 + slot <= 128
        }
    }
}

/// Bytes asked for the object that holds its key and a string of `len` bytes; `None` where keys are
/// elsewhere. Valkey 9 counts the pointer that such an object has not got as part of the string, so
/// that fewer than four bytes take as much as four.
pub(crate) fn embedded_block(len: u64, holder: Holder, blocks: Blocks) -> Option<u64> {
    let slot = if holder.expires { 8 } else { 0 };
    let key = 1 + u64::from(tight_header(holder.name)) + holder.name + 1;
    match blocks {
        Blocks::Split | Blocks::KeyInEntry => None,
        Blocks::KeyInObject64 => Some(16 + key + 4 + len + slot),
        Blocks::KeyInObject128 => Some(8 + key + (len + 4).max(8) + slot),
    }
}

/// True if SET makes an object of its own for a string of `len` bytes before the key is put into it:
/// then the key's old block is not kept (object.c `shouldEmbedStringObject` without a key).
pub(crate) fn is_short(len: u64, profile: &Profile) -> bool {
    match Blocks::of(profile) {
        Blocks::Split | Blocks::KeyInEntry | Blocks::KeyInObject64 => len <= EMBSTR_MAX,
        Blocks::KeyInObject128 => 8 + 3 + len < 128,
    }
}

/// Where a version keeps a key's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocks {
    /// In a block of its own: every Redis up to 8.0, Valkey 7.2.
    Split,
    /// In the dict entry: Valkey 8.0.
    KeyInEntry,
    /// In the value's object, embedded strings up to 64 bytes in all: Valkey 8.1.
    KeyInObject64,
    /// In the value's object, embedded strings up to 128 bytes in all: Valkey 9.
    KeyInObject128,
}

impl Blocks {
    pub(crate) fn of(profile: &Profile) -> Blocks {
        match profile.family {
            Family::Redis => Blocks::Split,
            Family::Valkey if profile.version < Version::new(8, 0) => Blocks::Split,
            Family::Valkey if profile.version < Version::new(8, 1) => Blocks::KeyInEntry,
            Family::Valkey if profile.version < Version::new(9, 0) => Blocks::KeyInObject64,
            Family::Valkey => Blocks::KeyInObject128,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis() -> Profile {
        Profile::defaults(Family::Redis, Version::new(7, 0))
    }

    const PLAIN: Holder = Holder {
        name: 3,
        expires: false,
    };

    #[test]
    fn set_encodes_by_content_and_length() {
        let of = |text: &[u8]| Str::set(&Text::Bytes(text), PLAIN, &redis()).encoding();
        assert_eq!(of(b"12"), Encoding::Int);
        assert_eq!(of(b"-9223372036854775808"), Encoding::Int);
        assert_eq!(of(b"007"), Encoding::Embstr);
        assert_eq!(of(b""), Encoding::Embstr);
        assert_eq!(of(&[b'x'; 44]), Encoding::Embstr);
        assert_eq!(of(&[b'x'; 45]), Encoding::Raw);
    }

    #[test]
    fn valkey_counts_the_name_too() {
        let v81 = Profile::defaults(Family::Valkey, Version::new(8, 1));
        let v9 = Profile::defaults(Family::Valkey, Version::new(9, 1));
        let long = Holder {
            name: 40,
            expires: false,
        };
        assert!(embeds(38, PLAIN, &v81));
        assert!(!embeds(39, PLAIN, &v81));
        assert!(embeds(71, long, &v9));
        assert!(!embeds(72, long, &v9));
        assert!(!embeds(
            71,
            Holder {
                expires: true,
                ..long
            },
            &v9
        ));
    }

    #[test]
    fn growth_doubles_and_then_uses_its_room() {
        let profile = redis();
        let mut s = Str::set(&Text::Bytes(&[b'x'; 30]), PLAIN, &profile);
        assert!(s.grow(40, &profile));
        assert_eq!(s.encoding(), Encoding::Raw);
        assert_eq!(s.len(), 40);
        // 80 bytes asked for, header 3: class of 84.
        assert_eq!(s.memory(&profile), 16 + 96);
        assert!(s.grow(80, &profile));
        assert_eq!((s.len(), s.memory(&profile)), (80, 16 + 96));
        s.copy(&profile);
        assert_eq!(s.memory(&profile), 16 + 96);
        assert!(s.grow(93, &profile));
        assert_eq!(s.memory(&profile), 16 + 192);
    }

    #[test]
    fn room_that_may_have_been_trimmed_is_doubtful() {
        let grown = |grew, total| {
            let mut profile = redis();
            profile.past.grew = grew;
            let mut s = Str::raw(256);
            (s.grow(total, &profile), s.memory(&profile))
        };
        // The block is one of 320, header 5.
        assert_eq!(grown(true, 314), (false, 16 + 640));
        assert_eq!(grown(true, 315), (true, 16 + 640));
        assert_eq!(grown(false, 314), (true, 16 + 640));
        let mut copy = Str::raw(256);
        copy.copy(&redis());
        assert!(copy.grow(314, &redis()));
        assert_eq!(copy.memory(&redis()), 16 + 320);
    }

    #[test]
    fn growth_by_nothing_still_leaves_the_object() {
        let mut s = Str::number(17);
        assert!(s.grow(0, &redis()));
        assert_eq!((s.len(), s.encoding()), (2, Encoding::Raw));
    }
}
