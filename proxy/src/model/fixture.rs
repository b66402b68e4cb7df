//! Keys for the tests of this folder.

use analyzer::Keyspace;
use analyzer::input::{Key, Part, Shape};

/// Loads strings of 20 bytes, each by its database and name, as of offset 9.
pub(super) fn load(keyspace: &mut Keyspace, keys: impl Iterator<Item = (u32, String)>) {
    keyspace.begin_load(1);
    for (db, name) in keys {
        keyspace.load_key(Key {
            db,
            name: name.as_bytes(),
            shape: Shape::String,
            expire_ms: None,
            idle_s: None,
            freq: None,
            count_hint: 0,
        });
        keyspace.part(Part::Str { len: 20, int: None });
        keyspace.end_key();
    }
    keyspace.commit_load(9);
}
