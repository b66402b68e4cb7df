//! Keys that may have been encoded by what the stream does not tell.
//!
//! CONFIG SET is not replicated. A server that was asked for its configuration once a second may
//! have converted, or not converted, what was written in between by thresholds that the model did
//! not know. Those keys, and no others, are probed. Neither is DEBUG RELOAD, which encodes every key
//! anew, and a replica that was promoted holds what its own load and its own stream made of the same
//! history: a string that grew on one has the room for it, on another, which loaded it later, it has
//! not. There bytes are asked for as well, where they may differ (`Scale::is_open_elsewhere`).

use crate::command::Doubt;
use crate::keyspace::Keyspace;
use crate::store::Table;
use crate::store::record::Record;
use crate::store::weigh::Seated;
use crate::value::Kind;
use crate::view::Cursor;

/// Pages that one slice looks through.
const SLICE_PAGES: usize = 64;

/// A walk for suspects.
#[derive(Debug)]
pub(crate) struct Suspicion {
    cursor: Cursor,
    /// Written since then, on the clock of `Pulse`; `None` suspects every key.
    since: Option<u32>,
}

impl Suspicion {
    fn begin(since: Option<u32>) -> Suspicion {
        Suspicion {
            cursor: Cursor::start(),
            since,
        }
    }
}

impl Keyspace {
    /// The configuration was another one for some of the last `seconds`.
    pub fn suspect(&mut self, seconds: u32) {
        let since = self.pulse().ago(seconds);
        self.suspicions.push_back(Suspicion::begin(Some(since)));
        self.join_suspicions();
    }

    /// Every key may have been encoded anew.
    pub fn suspect_all(&mut self) {
        self.suspicions.push_back(Suspicion::begin(None));
        self.join_suspicions();
    }

    /// One walk may be under way while one waits; more of them become one that looks at all that
    /// any of them would.
    fn join_suspicions(&mut self) {
        while self.suspicions.len() > 2
            && let (Some(last), Some(former)) =
                (self.suspicions.pop_back(), self.suspicions.pop_back())
        {
            let since = last.since.zip(former.since);
            let since = since.map(|(a, b)| self.pulse().earlier(a, b));
            self.suspicions.push_back(Suspicion::begin(since));
        }
    }

    /// Databases have changed places: one that was not looked through may be where a walk was already.
    pub(in crate::keyspace) fn suspect_again(&mut self) {
        for suspicion in &mut self.suspicions {
            suspicion.cursor = Cursor::start();
        }
    }

    /// True if suspects are still being looked for.
    pub fn is_suspecting(&self) -> bool {
        !self.suspicions.is_empty()
    }

    /// Looks for suspects, for about a millisecond, and puts them in doubt.
    pub fn find_suspects(&mut self) {
        let Some(mut suspicion) = self.suspicions.pop_front() else {
            return;
        };
        let mut met = Vec::new();
        let mut goes_on = true;
        for _ in 0..SLICE_PAGES {
            let Some((db, table, page)) = suspicion.cursor.page(self) else {
                goes_on = false;
                break;
            };
            for record in table.records(page) {
                let doubt = self.suspected(&record, table, suspicion.since);
                if doubt > record.doubt {
                    met.push((db, table.name(&record).to_vec(), doubt));
                }
            }
            goes_on = suspicion.cursor.advance(table);
            if !goes_on {
                break;
            }
        }
        for (db, name, doubt) in met {
            self.amend(db, &name, |slot, _| {
                if let Some(entry) = slot {
                    entry.doubt(doubt);
                }
            });
        }
        if goes_on {
            self.suspicions.push_front(suspicion);
        }
    }
}

impl Keyspace {
    /// What a suspicion makes of a key.
    fn suspected(&self, record: &Record<'_>, table: &Table, since: Option<u32>) -> Doubt {
        let kind = record.form.kind();
        let Some(since) = since else {
            let key = Seated {
                name: table.name(record).len() as u64,
                expire_ms: record.expire_ms,
                seat: record.seat,
            };
            return match kind {
                _ if self.scale().is_open_elsewhere(record.form, key) => Doubt::Size,
                Kind::String | Kind::List | Kind::Set | Kind::Zset | Kind::Hash => Doubt::Probe,
                Kind::Stream | Kind::Module => Doubt::None,
            };
        };
        if depends_on_thresholds(kind) && self.pulse().is_since(record.lru, since) {
            Doubt::Probe
        } else {
            Doubt::None
        }
    }
}

/// True for types whose encodings are set by the configuration.
fn depends_on_thresholds(kind: Kind) -> bool {
    match kind {
        Kind::List | Kind::Set | Kind::Zset | Kind::Hash => true,
        Kind::String | Kind::Stream | Kind::Module => false,
    }
}
