//! The recorded files, and a sink that makes lines of them.

use crate::rdb_text::describe;
use replica_shim::rdb::{Item, Sink};
use std::path::PathBuf;

/// The recorded files with an extension, sorted.
pub(crate) fn data_files(extension: &str) -> Vec<PathBuf> {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut files: Vec<_> = std::fs::read_dir(data)
        .expect("tests/data is part of the crate")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

/// Collects a line per item.
#[derive(Default)]
pub(crate) struct Lines(pub(crate) Vec<String>);

impl Sink for Lines {
    fn item(&mut self, item: Item<'_>) {
        self.0.push(describe(&item));
    }
}
