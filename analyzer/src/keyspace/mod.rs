//! One master's keys.

use std::collections::HashMap;

use crate::command::Entry;
use crate::profile::Profile;

/// The model of one master.
pub struct Keyspace {
    profile: Profile,
    seed: u64,
    keys: HashMap<(u32, Vec<u8>), Entry>,
}

impl Keyspace {
    /// An empty keyspace.
    pub fn new(profile: Profile, seed: u64) -> Keyspace {
        Keyspace {
            profile,
            seed,
            keys: HashMap::new(),
        }
    }

    /// The server that is mirrored.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Seed of every digest.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn edit<R>(
        &mut self,
        db: u32,
        key: &[u8],
        edit: impl FnOnce(&mut Option<Entry>, &Profile) -> R,
    ) -> R {
        let name = (db, key.to_vec());
        let mut entry = self.keys.remove(&name);
        let out = edit(&mut entry, &self.profile);
        if let Some(entry) = entry {
            self.keys.insert(name, entry);
        }
        out
    }

    pub(crate) fn read<R>(&self, db: u32, key: &[u8], look: impl FnOnce(Option<&Entry>) -> R) -> R {
        look(self.keys.get(&(db, key.to_vec())))
    }
}
