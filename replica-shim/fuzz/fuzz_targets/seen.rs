//! A sink that keeps a digest of the items, to compare two decodings without holding them.

use replica_shim::rdb::{Item, Sink};
use std::fmt::Write;
use xxhash_rust::xxh3::Xxh3;

pub struct Seen {
    digest: Xxh3,
    line: String,
}

impl Seen {
    pub fn new() -> Self {
        Seen {
            digest: Xxh3::new(),
            line: String::new(),
        }
    }

    pub fn digest(&self) -> u64 {
        self.digest.digest()
    }
}

impl Sink for Seen {
    fn item(&mut self, item: Item<'_>) {
        self.line.clear();
        write!(self.line, "{item:?}").expect("a String takes anything");
        self.digest.update(self.line.as_bytes());
    }
}
