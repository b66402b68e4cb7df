//! What the allocator and the packed encodings make of a length: allocator classes, sds blocks and
//! listpack entries. Pure functions of a length and of the server's [`Profile`](crate::Profile).

use crate::text::decimal_len;

/// How the server's allocator rounds a request; see [`Allocator::class`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocator {
    /// jemalloc's quantum: 8 in the bundled build, 16 in a stock libjemalloc.
    pub quantum: u64,
    /// jemalloc 5.3.1 with `opt.disable_large_size_classes`: pages above 16 KiB.
    pub page_above_16k: bool,
    /// The C library's malloc, not jemalloc (INFO `mem_allocator`).
    pub libc: bool,
}

impl Allocator {
    /// Usable size of a block requested with `n` bytes.
    pub fn class(self, n: u64) -> u64 {
        if self.libc {
            return libc_usable(n);
        }
        if n <= 8 {
            return 8;
        }
        if self.page_above_16k && n > 16 * 1024 {
            return n.next_multiple_of(4096);
        }
        let spacing = 1u64 << ((n - 1).ilog2().saturating_sub(2));
        n.next_multiple_of(spacing.max(self.quantum))
    }

    /// Usable size of the block that holds an sds string of `len` bytes (sds.c `_sdsnewlen`).
    pub fn sds(self, len: u64) -> u64 {
        let header = match len {
            1..=31 => 1,
            0 | 32..=255 => 3,
            256..=65_535 => 5,
            65_536..=0xffff_ffff => 9,
            _ => 17,
        };
        self.class(header + len + 1)
    }
}

/// `malloc_usable_size` of glibc on 64 bits: chunks of 16 bytes, 8 of them the header; 24 at least
/// (malloc.c `request2size`). A free chunk that is 16 bytes larger is not split, so that a block may
/// have 16 bytes more, and nobody can tell which: it depends on what was freed before, anywhere in
/// the process.
///
/// Measured on Redis 6.2.14: 200 hashes of the same 600 fields, made by the same commands, weigh 74,480
/// to 74,528 bytes in a fresh process, and 74,496 to 79,632 after 180,000 strings were written and
/// most of them deleted: 0.77% off their median on average (0.43% for sets of 100 members). So no
/// function of what a key holds is within 0.15% there; loaded at a start, where nothing was freed
/// yet, the same keys are 0.10% off on average. So keys are asked for after they were written
/// (`keyspace::rest`).
fn libc_usable(n: u64) -> u64 {
    const HEADER: u64 = 8;
    const SMALLEST: u64 = 24;
    /// From here on a block is a mapping of its own, until the process has freed larger ones.
    const MAPPED: u64 = 128 * 1024;
    if n >= MAPPED {
        return (n + 2 * HEADER).next_multiple_of(4096) - 2 * HEADER;
    }
    ((n + HEADER).next_multiple_of(16) - HEADER).max(SMALLEST)
}

/// The width that a listpack or an intset gives to an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum IntClass {
    /// Not a canonical integer.
    Text = 0,
    /// 0..=127.
    Uint7 = 1,
    /// 13 bits, signed.
    Int13 = 2,
    /// 16 bits, signed.
    Int16 = 3,
    /// 24 bits, signed.
    Int24 = 4,
    /// 32 bits, signed.
    Int32 = 5,
    /// 64 bits, signed.
    Int64 = 6,
}

impl IntClass {
    /// The class of an integer (listpack.c `lpEncodeIntegerGetType`).
    #[inline]
    pub fn of(n: i64) -> IntClass {
        match n {
            0..=127 => IntClass::Uint7,
            -4096..=4095 => IntClass::Int13,
            -32_768..=32_767 => IntClass::Int16,
            -8_388_608..=8_388_607 => IntClass::Int24,
            -2_147_483_648..=2_147_483_647 => IntClass::Int32,
            _ => IntClass::Int64,
        }
    }

    /// Bytes that an intset needs for this integer: 2, 4 or 8.
    pub fn intset_width(self) -> u8 {
        match self {
            IntClass::Text | IntClass::Int64 => 8,
            IntClass::Uint7 | IntClass::Int13 | IntClass::Int16 => 2,
            IntClass::Int24 | IntClass::Int32 => 4,
        }
    }
}

/// Bytes of the back-length field behind an entry of `size` bytes (listpack.c `lpEncodeBacklen`).
#[inline]
pub fn backlen(size: u64) -> u64 {
    match size {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

/// Bytes of a listpack entry for a text of `len` bytes and integer class `class`.
#[inline]
pub fn listpack_entry(len: u64, class: IntClass) -> u64 {
    let size = match class {
        IntClass::Text => match len {
            0..=63 => 1 + len,
            64..=4095 => 2 + len,
            _ => 5 + len,
        },
        IntClass::Uint7 => 1,
        IntClass::Int13 => 2,
        IntClass::Int16 => 3,
        IntClass::Int24 => 4,
        IntClass::Int32 => 5,
        IntClass::Int64 => 9,
    };
    size + backlen(size)
}

/// Header and terminator of a listpack, bytes.
pub const LISTPACK_FRAME: u64 = 7;

/// Bytes of a listpack entry for an integer.
pub fn listpack_int_entry(n: i64) -> u64 {
    listpack_entry(decimal_len(n), IntClass::of(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_jemalloc() {
        let debian = Allocator {
            quantum: 16,
            page_above_16k: false,
            libc: false,
        };
        let bundled = Allocator {
            quantum: 8,
            page_above_16k: false,
            libc: false,
        };
        let asked = [
            1, 8, 9, 16, 17, 24, 25, 40, 49, 65, 81, 113, 129, 161, 257, 1025, 14_337,
        ];
        let got: Vec<u64> = asked.iter().map(|&n| debian.class(n)).collect();
        assert_eq!(
            got,
            [
                8, 8, 16, 16, 32, 32, 32, 48, 64, 80, 96, 128, 160, 192, 320, 1280, 16_384
            ]
        );
        let got: Vec<u64> = asked.iter().map(|&n| bundled.class(n)).collect();
        assert_eq!(
            got,
            [
                8, 8, 16, 16, 24, 24, 32, 40, 56, 80, 96, 128, 160, 192, 320, 1280, 16_384
            ]
        );
        let paged = Allocator {
            quantum: 16,
            page_above_16k: true,
            libc: false,
        };
        assert_eq!(paged.class(16_384), 16_384);
        assert_eq!(paged.class(16_385), 20_480);
    }

    #[test]
    fn listpack_entries_have_their_back_length() {
        assert_eq!(listpack_int_entry(0), 2);
        assert_eq!(listpack_int_entry(-1), 3);
        assert_eq!(listpack_int_entry(i64::MIN), 10);
        assert_eq!(listpack_entry(0, IntClass::Text), 2);
        assert_eq!(listpack_entry(63, IntClass::Text), 65);
        assert_eq!(listpack_entry(64, IntClass::Text), 67);
        assert_eq!(listpack_entry(126, IntClass::Text), 130);
    }
}
