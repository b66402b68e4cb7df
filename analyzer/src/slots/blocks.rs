//! Something for every slot, in blocks that are made when a slot of them is first written.

use super::SLOTS;

/// Blocks of `OF` slots each: `B` is all that is kept for the slots of one.
#[derive(Clone, Debug)]
pub(crate) struct Blocks<B, const OF: usize> {
    /// Empty until the first is made.
    blocks: Vec<Option<Box<B>>>,
}

impl<B, const OF: usize> Default for Blocks<B, OF> {
    fn default() -> Blocks<B, OF> {
        Blocks { blocks: Vec::new() }
    }
}

impl<B, const OF: usize> Blocks<B, OF> {
    /// The block of a slot, made if it is not there, and the slot's place in it; `None` for what is no
    /// slot.
    #[inline]
    pub(crate) fn make(&mut self, slot: u16, new: impl FnOnce() -> B) -> Option<(&mut B, usize)> {
        if self.blocks.is_empty() {
            self.blocks.resize_with(SLOTS / OF, || None);
        }
        let slot = usize::from(slot);
        let block = self.blocks.get_mut(slot / OF)?;
        Some((block.get_or_insert_with(|| Box::new(new())), slot % OF))
    }

    /// The block of a slot, if there is one, and the slot's place in it.
    pub(crate) fn get(&self, slot: u16) -> Option<(&B, usize)> {
        let slot = usize::from(slot);
        let block = self.blocks.get(slot / OF)?.as_deref()?;
        Some((block, slot % OF))
    }

    /// The blocks that were made, each with its first slot, in order.
    pub(crate) fn made(&self) -> impl Iterator<Item = (u16, &B)> {
        let blocks = (0u16..).step_by(OF).zip(&self.blocks);
        blocks.filter_map(|(first, block)| Some((first, block.as_deref()?)))
    }

    /// The same, to be changed.
    pub(crate) fn made_mut(&mut self) -> impl Iterator<Item = (u16, &mut B)> {
        let blocks = (0u16..).step_by(OF).zip(&mut self.blocks);
        blocks.filter_map(|(first, block)| Some((first, block.as_deref_mut()?)))
    }

    /// Bytes allocated.
    pub(crate) fn heap_bytes(&self) -> usize {
        let made = self.blocks.iter().flatten().count();
        made * size_of::<B>() + self.blocks.capacity() * size_of::<usize>()
    }
}
