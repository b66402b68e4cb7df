//! Files and DUMP payloads of real servers, decoded and compared with recorded items.
//!
//! `data/generate.py` wrote the files; `data/<name>.snap` is what the decoder made of each, one item
//! per line, reviewed when recorded. `UPDATE_SNAPSHOTS=1` records again.

mod rdb_files;
mod rdb_text;

use rdb_files::{Lines, data_files};
use rdb_text::describe;
use replica_shim::rdb::{Decoder, payload};
use std::path::Path;

const SEED: u64 = 7;

fn check(path: &Path, lines: &[String]) {
    let snapshot = path.with_added_extension("snap");
    let text = lines.join("\n") + "\n";
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&snapshot, text).expect("the data directory is writable");
        return;
    }
    let recorded = std::fs::read_to_string(&snapshot)
        .unwrap_or_else(|fault| panic!("{}: {fault}", snapshot.display()));
    for (number, (now, then)) in text.lines().zip(recorded.lines()).enumerate() {
        assert_eq!(now, then, "{} line {}", snapshot.display(), number + 1);
    }
    assert_eq!(
        text.lines().count(),
        recorded.lines().count(),
        "{}",
        snapshot.display()
    );
}

#[test]
fn files_of_real_servers() {
    let files = data_files("rdb");
    assert!(files.len() >= 19, "the matrix is there");
    for path in files {
        let bytes = std::fs::read(&path).expect("listed a moment ago");
        let mut lines = Lines::default();
        let mut decoder = Decoder::new(SEED);
        let taken = decoder.feed(&bytes, &mut lines);
        assert_eq!(taken, Ok(bytes.len()), "{}", path.display());
        assert!(decoder.is_done(), "{}", path.display());
        check(&path, &lines.0);
    }
}

#[test]
fn payloads_of_real_servers() {
    let files = data_files("dump");
    assert!(files.len() >= 18, "the matrix is there");
    for path in files {
        let bytes = std::fs::read(&path).expect("listed a moment ago");
        let mut lines = Vec::new();
        let mut sink = |item: replica_shim::rdb::Item<'_>| lines.push(describe(&item));
        assert_eq!(
            payload(SEED, &bytes, &mut sink),
            Ok(()),
            "{}",
            path.display()
        );
        check(&path, &lines);
    }
}
