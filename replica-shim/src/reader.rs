//! The half of a stream that needs only its bytes: from bytes to batches.

use crate::batch::Batch;
use crate::commands::{Broken, Commands, Ready};

/// Reads one stream. It belongs to a link ([`crate::Link::read`]), or is lent to somebody who reads
/// ahead of it ([`crate::Link::lend`]).
#[derive(Debug)]
pub struct Reader {
    pub(crate) commands: Commands,
    is_broken: bool,
}

impl Reader {
    pub(crate) fn new(commands: Commands) -> Reader {
        Reader {
            commands,
            is_broken: false,
        }
    }

    /// Reads on in `input`, which begins where the last call stopped, until the batch is full or
    /// more bytes are needed; returns how many to drop from the front. Nothing is read behind a
    /// fault, which whoever follows the batch will hear of.
    pub fn read(&mut self, input: &[u8], batch: &mut Batch) -> usize {
        let mut at: usize = 0;
        while !self.is_broken && !batch.is_full() {
            let rest = input.get(at..).unwrap_or_default();
            match self.step(rest, batch) {
                Ok(Some(consumed)) => at = at.saturating_add(consumed),
                Ok(None) => break,
                Err(broken) => {
                    self.is_broken = true;
                    batch.broken = Some(broken);
                }
            }
        }
        batch.end = Some(self.commands.stand());
        at
    }

    /// Reads the next thing there is to tell; how many bytes that took, or `None` without any.
    #[inline]
    fn step(&mut self, rest: &[u8], batch: &mut Batch) -> Result<Option<usize>, Broken> {
        let advance = self.commands.advance(rest)?;
        let stand = self.commands.stand();
        let here = (stand.offset, stand.committed.1);
        let is_committed = stand.committed.0 == stand.offset;
        match advance.ready {
            Ready::Nothing => return Ok((advance.consumed > 0).then_some(advance.consumed)),
            Ready::InPlace { .. } | Ready::Held { .. } => {
                if let Some(command) = self.commands.command(advance.ready, rest) {
                    let place = (command.end_offset.0, command.db);
                    let is_committed = stand.committed.0 == command.end_offset.0;
                    batch.push(&command.args, place, (command.in_transaction, is_committed))?;
                }
            }
            Ready::Kept { span } => {
                let (kept, in_transaction) = self.commands.take_kept();
                let place = (stand.offset, self.commands.db());
                batch.adopt((kept, span), place, (in_transaction, is_committed))?;
            }
            Ready::Multi | Ready::Exec | Ready::Ping | Ready::GetAck => {
                batch.note(advance.ready, here, is_committed);
            }
        }
        Ok(Some(advance.consumed))
    }
}
