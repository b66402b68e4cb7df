//! Keys that are removed and made anew by one command: what their blocks had room for is gone.

use crate::command::Entry;
use crate::keyspace::Keyspace;
use crate::keyspace::db::Tools;

impl Keyspace {
    /// Puts an entry where a command has removed what was there (RENAME, COPY and RESTORE with
    /// REPLACE), which counts as one write; `None` removes alone.
    pub(crate) fn put_anew(&mut self, db: u32, key: &[u8], entry: Option<Entry>) {
        let share = self.live.share();
        let target = self.live.db_mut(db);
        let key = target.named(key);
        if target.is_folded(key, share) {
            target.folded.get_or_insert_default();
            self.note_folded(db, key);
            return;
        }
        let (held, _) = target.checkout(key, &self.scale);
        let mut tools = Tools {
            scale: &self.scale,
            pulse: &mut self.pulse,
            scratch: &mut self.scratch,
        };
        let turn = target.checkin(key, held.anew(), entry, &mut tools);
        self.note(db, key, &turn);
    }
}
