//! Keys that may have been written under another configuration than the profile's.
//!
//! CONFIG SET is not replicated. A server that was asked for its configuration once a second may
//! have converted, or not converted, what was written in between by thresholds that the model did
//! not know. Those keys, and no others, are probed.

use crate::command::Doubt;
use crate::keyspace::Keyspace;
use crate::value::Kind;
use crate::view::Cursor;

/// Pages that one slice looks through.
const SLICE_PAGES: usize = 64;

/// A walk for suspects.
#[derive(Debug)]
pub(crate) struct Suspicion {
    cursor: Cursor,
    /// On the clock of `Pulse`.
    since: u32,
}

impl Keyspace {
    /// The configuration was another one for some of the last `seconds`.
    pub fn suspect(&mut self, seconds: u32) {
        self.suspicion = Some(Suspicion {
            cursor: Cursor::start(),
            since: self.pulse().ago(seconds),
        });
    }

    /// True if suspects are still being looked for.
    pub fn is_suspecting(&self) -> bool {
        self.suspicion.is_some()
    }

    /// Looks for suspects, for about a millisecond, and puts them in doubt.
    pub fn find_suspects(&mut self) {
        self.catch_up();
        let Some(mut suspicion) = self.suspicion.take() else {
            return;
        };
        let mut met = Vec::new();
        let mut goes_on = true;
        for _ in 0..SLICE_PAGES {
            let Some((db, table, page)) = suspicion.cursor.page(self) else {
                goes_on = false;
                break;
            };
            let suspects = table.records(page).filter(|record| {
                record.doubt == Doubt::None
                    && depends_on_thresholds(record.form.kind())
                    && self.pulse().is_since(record.lru, suspicion.since)
            });
            met.extend(suspects.map(|record| (db, table.name(&record).to_vec())));
            goes_on = suspicion.cursor.advance(table);
            if !goes_on {
                break;
            }
        }
        for (db, name) in met {
            self.edit(db, &name, |slot, _| {
                if let Some(entry) = slot {
                    entry.doubt = entry.doubt.max(Doubt::Probe);
                }
            });
        }
        self.suspicion = goes_on.then_some(suspicion);
    }
}

/// True for types whose encodings are set by the configuration.
fn depends_on_thresholds(kind: Kind) -> bool {
    match kind {
        Kind::List | Kind::Set | Kind::Zset | Kind::Hash => true,
        Kind::String | Kind::Stream | Kind::Module => false,
    }
}
