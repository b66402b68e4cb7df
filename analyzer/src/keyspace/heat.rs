//! Where the stream's writes reach the heat (`crate::heat`): every command once, every key that it
//! changes once, whether the key has a record or was folded.

use crate::flows::{Flows, Verb};
use crate::heat::{Heat, hash_tag};
use crate::keyspace::Keyspace;
use crate::keyspace::db::{Named, Turn};
use crate::keyspace::generation::Generation;
use crate::text::{self, Text};

impl Keyspace {
    pub(crate) fn heat(&self) -> &Heat {
        &self.heat
    }

    pub(crate) fn heat_mut(&mut self) -> &mut Heat {
        &mut self.heat
    }

    pub(crate) fn live_mut(&mut self) -> &mut Generation {
        &mut self.live
    }

    pub(crate) fn flows(&self) -> &Flows {
        &self.flows
    }

    pub(crate) fn flows_mut(&mut self) -> &mut Flows {
        &mut self.flows
    }

    /// What the command does that is being applied.
    pub(crate) fn verb(&self) -> Verb {
        self.dispatch.verb(self.command)
    }

    /// The name of a command by its number.
    pub(crate) fn command_name(&self, number: usize) -> String {
        self.dispatch.name(number)
    }

    /// A command begins that does not go through `apply`.
    pub(super) fn begin_heat(&mut self, name: &str, bytes: u64) {
        let (_, number) = self.dispatch.call(&Text::Bytes(name.as_bytes()));
        self.command = number;
        self.heat.begin(number, bytes);
    }

    /// A command changed a key. Returns its slot, where keys are counted by slot.
    #[inline]
    pub(super) fn note_heat(
        &mut self,
        db: u32,
        key: Named<'_>,
        turn: Option<&Turn>,
    ) -> Option<u16> {
        self.heat.wrote(db, key.name, key.digest, turn);
        if let Some(tag) = hash_tag(key.name) {
            let digest = text::digest(tag, self.seed);
            self.heat.wrote_tag(db, tag, digest);
        }
        let slot = self.live.slot_of().map(|slot_of| slot_of(key.name));
        if let Some(slot) = slot {
            self.heat.wrote_slot(slot);
        }
        slot
    }

    /// A command wrote a key that has no record.
    #[cold]
    pub(super) fn note_folded(&mut self, db: u32, key: Named<'_>) {
        self.writes += 1;
        if self.offset > self.applied {
            self.note_heat(db, key, None);
        }
    }
}
