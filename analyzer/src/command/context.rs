//! The keyspace as a handler sees it.

use crate::command::Entry;
use crate::keyspace::Keyspace;
use crate::keyspace::db::{NewStr, OldStr};
use crate::profile::Profile;

/// One command's view of the keyspace: the selected database, the time, and the keys.
pub(crate) struct Context<'a> {
    pub(crate) keyspace: &'a mut Keyspace,
    /// The selected database.
    pub(crate) db: u32,
    /// Wall clock when the command arrived, unix milliseconds (relative expiries of 6.x).
    pub(crate) now_ms: i64,
}

impl Context<'_> {
    /// The server that is mirrored.
    pub(crate) fn profile(&self) -> &Profile {
        self.keyspace.profile()
    }

    /// Seed of every digest.
    pub(crate) fn seed(&self) -> u64 {
        self.keyspace.seed()
    }

    /// Edits the entry of `key`: `None` is "no such key", both ways. What is left is written back.
    pub(crate) fn edit<R>(
        &mut self,
        key: &[u8],
        edit: impl FnOnce(&mut Option<Entry>, &Profile) -> R,
    ) -> R {
        self.keyspace.edit(self.db, key, edit)
    }

    /// Edits a key that holds, or is to hold, a string, without building a value; an edit that
    /// returns `None` leaves it as it is.
    pub(crate) fn edit_str(
        &mut self,
        key: &[u8],
        edit: impl FnOnce(Option<OldStr>, &Profile) -> Option<NewStr>,
    ) {
        self.keyspace.edit_str(self.db, key, edit);
    }

    /// Charges the next keys that are written so many bytes each: the command brought that for them.
    pub(crate) fn charge(&mut self, bytes: u64) {
        self.keyspace.heat_mut().charge(bytes);
    }

    /// Removes `key`, if it is there.
    pub(crate) fn remove(&mut self, key: &[u8]) {
        self.keyspace.remove(self.db, key);
    }

    /// Looks at the entry of `key` without changing it.
    pub(crate) fn read<R>(&self, key: &[u8], look: impl FnOnce(Option<&Entry>) -> R) -> R {
        self.keyspace.read(self.db, key, look)
    }
}
