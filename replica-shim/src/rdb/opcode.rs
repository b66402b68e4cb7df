//! Opcode and type bytes, with the RDB version that introduced each.
//!
//! The two families went separate ways after version 11: type 22 is a different layout in each, and
//! 243 is a slot import in Valkey and something else in newer Redis. So a byte means something only
//! together with its family ([`ValueType::from_byte`], [`Opcode::from_byte`]); an unknown one is a
//! typed error of the caller, never a guess.

use std::fmt;

/// Who wrote the file. Decided by the magic, or for a DUMP payload by its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// `REDIS` magic: every Redis, and Valkey when it writes RDB 11 or older.
    Redis,
    /// `VALKEY` magic: Valkey from 9.0 on, RDB 80 and newer.
    Valkey,
}

impl fmt::Display for Family {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Family::Redis => "Redis",
            Family::Valkey => "Valkey",
        })
    }
}

/// The first Valkey version of its own.
pub(super) const VALKEY_FIRST: u32 = 80;

/// What stands between keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    /// 255.
    Eof,
    /// 254.
    SelectDb,
    /// 253: seconds.
    Expire,
    /// 252.
    ExpireMs,
    /// 251, since 7.
    ResizeDb,
    /// 250, since 7.
    Aux,
    /// 249, since 9.
    Freq,
    /// 248, since 9.
    Idle,
    /// 247, since 9.
    ModuleAux,
    /// 246: functions as the release candidates of 7.0 wrote them.
    FunctionRc,
    /// 245, since 10.
    Function,
    /// 244, since 12.
    SlotInfo,
    /// 243 of Valkey, since 80.
    SlotImport,
}

impl Opcode {
    #[inline]
    pub(super) fn from_byte(byte: u8, family: Family) -> Option<Self> {
        Some(match byte {
            255 => Opcode::Eof,
            254 => Opcode::SelectDb,
            253 => Opcode::Expire,
            252 => Opcode::ExpireMs,
            251 => Opcode::ResizeDb,
            250 => Opcode::Aux,
            249 => Opcode::Freq,
            248 => Opcode::Idle,
            247 => Opcode::ModuleAux,
            246 => Opcode::FunctionRc,
            245 => Opcode::Function,
            244 => Opcode::SlotInfo,
            243 if family == Family::Valkey => Opcode::SlotImport,
            _ => return None,
        })
    }
}

/// What kind of value a key holds, as `TYPE` would say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DataType {
    /// `string`
    String,
    /// `list`
    List,
    /// `set`
    Set,
    /// `zset`
    Zset,
    /// `hash`
    Hash,
    /// `stream`
    Stream,
    /// A module's own type.
    Module,
}

macro_rules! value_types {
    ($($(#[$doc:meta])* $name:ident = $byte:literal, $family:pat, $data:ident, $text:literal;)*) => {
        /// How a value is laid out in the file. It says the encoding the writer had in memory, which
        /// need not be the one a loading server chooses.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ValueType { $($(#[$doc])* $name,)* }

        impl ValueType {
            /// The type that a byte stands for in a file of this family.
            #[inline]
            pub fn from_byte(byte: u8, family: Family) -> Option<Self> {
                match (byte, family) {
                    $(($byte, $family) => Some(ValueType::$name),)*
                    _ => None,
                }
            }

            /// The byte in the file.
            pub fn byte(self) -> u8 {
                match self { $(ValueType::$name => $byte,)* }
            }

            /// What the key holds.
            #[inline]
            pub fn data_type(self) -> DataType {
                match self { $(ValueType::$name => DataType::$data,)* }
            }

            /// A short name for reports.
            pub fn name(self) -> &'static str {
                match self { $(ValueType::$name => $text,)* }
            }
        }
    };
}

value_types! {
    /// 0: a string.
    String = 0, _, String, "string";
    /// 1: strings one by one.
    List = 1, _, List, "list";
    /// 2: strings one by one, a hashtable in memory.
    Set = 2, _, Set, "set";
    /// 3: members with scores as text.
    Zset = 3, _, Zset, "zset";
    /// 4: pairs, a hashtable in memory.
    Hash = 4, _, Hash, "hash";
    /// 5, since 8: members with binary scores, a skip list in memory.
    Zset2 = 5, _, Zset, "zset-2";
    /// 6, release candidates of 4.0: no framing, so it cannot be read past.
    ModuleRc = 6, _, Module, "module-rc";
    /// 7, since 8.
    Module2 = 7, _, Module, "module-2";
    /// 9.
    HashZipmap = 9, _, Hash, "hash-zipmap";
    /// 10.
    ListZiplist = 10, _, List, "list-ziplist";
    /// 11.
    SetIntset = 11, _, Set, "set-intset";
    /// 12.
    ZsetZiplist = 12, _, Zset, "zset-ziplist";
    /// 13.
    HashZiplist = 13, _, Hash, "hash-ziplist";
    /// 14, since 7: nodes of ziplists.
    ListQuicklist = 14, _, List, "list-quicklist";
    /// 15, since 9.
    Stream = 15, _, Stream, "stream";
    /// 16, since 10.
    HashListpack = 16, _, Hash, "hash-listpack";
    /// 17, since 10.
    ZsetListpack = 17, _, Zset, "zset-listpack";
    /// 18, since 10: nodes of listpacks or single plain values.
    ListQuicklist2 = 18, _, List, "list-quicklist-2";
    /// 19, since 10.
    Stream2 = 19, _, Stream, "stream-2";
    /// 20, since 11.
    SetListpack = 20, _, Set, "set-listpack";
    /// 21, since 11.
    Stream3 = 21, _, Stream, "stream-3";
    /// 22 of Redis, release candidates of 7.4: hash with field expiry.
    HashMetadataRc = 22, Family::Redis, Hash, "hash-metadata-rc";
    /// 23 of Redis, release candidates of 7.4: listpack hash with field expiry.
    HashListpackExRc = 23, Family::Redis, Hash, "hash-listpack-ex-rc";
    /// 24 of Redis, since 12: hashtable hash with field expiry.
    HashMetadata = 24, Family::Redis, Hash, "hash-metadata";
    /// 25 of Redis, since 12: listpack hash with field expiry.
    HashListpackEx = 25, Family::Redis, Hash, "hash-listpack-ex";
    /// 22 of Valkey, since 80: hashtable hash with field expiry.
    HashTtl = 22, Family::Valkey, Hash, "hash-ttl";
}
