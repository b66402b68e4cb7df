//! The caps of the decoder. Above each of them: [`super::ErrorKind::Limit`].
//!
//! None of them is an allocation: memory only grows with bytes that have arrived.

/// The longest tail that the caller may have to hand in again together with what follows. Anything
/// longer is taken apart and kept, digested or skipped inside the decoder.
pub const CONTIGUOUS_MAX: usize = 64 << 10;

/// A packed blob (listpack, ziplist, intset, zipmap), decompressed. Servers stop at 1 GiB
/// (`LISTPACK_MAX_SAFETY_SIZE`).
pub const BLOB_BYTES_MAX: u64 = 1 << 30;

/// A string that streams by without being kept. `proto-max-bulk-len` may be raised above its
/// 512 MiB; nobody stores a tebibyte in one string.
pub const STREAMED_BYTES_MAX: u64 = 1 << 40;

/// Database index. Servers stop at their `databases` setting; 16 is the default.
pub const DB_MAX: u64 = 1 << 16;

/// Hash slots of a cluster.
pub const SLOTS: u64 = 16_384;

/// Field expiry of a hash: 48 bits, the bound that Redis itself enforces (`EB_EXPIRE_TIME_MAX`).
pub const FIELD_EXPIRE_MAX: u64 = (1 << 48) - 1;

/// The value of a hash field is kept up to this length, the longest that can be an integer.
pub const VALUE_KEPT_MAX: u64 = 20;

/// Items handled before the decoder looks up: checksum and state are brought up to date between.
pub(super) const BATCH: u64 = 512;

/// Input between two updates of the checksum: small enough to be still in the cache.
pub(super) const CHECKSUM_WINDOW: usize = 64 << 10;

/// Capacity a scratch buffer keeps between objects; above it the memory is given back.
pub(super) const IDLE_CAPACITY: usize = 4 << 20;
