//! Numbered boxes: what is too large for a record lives here and the record keeps the number.

/// Boxes per segment: the directory of segments grows without moving a box's slot.
const SEGMENT: usize = 1024;

/// A growing array of boxes with free slots reused.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    segments: Vec<Vec<Option<Box<T>>>>,
    free: Vec<u32>,
    used: usize,
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Slab<T> {
        Slab {
            segments: Vec::new(),
            free: Vec::new(),
            used: 0,
        }
    }

    /// Puts `item` into a free slot and returns its number.
    pub(crate) fn insert(&mut self, item: Box<T>) -> u32 {
        self.used += 1;
        if let Some(handle) = self.free.pop() {
            if let Some(slot) = self.slot(handle) {
                *slot = Some(item);
            }
            return handle;
        }
        if self
            .segments
            .last()
            .is_none_or(|last| last.len() == SEGMENT)
        {
            self.segments.push(Vec::new());
        }
        let before = (self.segments.len() - 1) * SEGMENT;
        let Some(last) = self.segments.last_mut() else {
            return u32::MAX;
        };
        last.push(Some(item));
        // 2^32 boxes of at least 48 bytes are more than any host of this program has.
        u32::try_from(before + last.len() - 1).unwrap_or(u32::MAX)
    }

    pub(crate) fn get(&self, handle: u32) -> Option<&T> {
        let index = handle as usize;
        self.segments
            .get(index / SEGMENT)?
            .get(index % SEGMENT)?
            .as_deref()
    }

    pub(crate) fn get_mut(&mut self, handle: u32) -> Option<&mut T> {
        self.slot(handle)?.as_deref_mut()
    }

    pub(crate) fn remove(&mut self, handle: u32) -> Option<Box<T>> {
        let item = self.slot(handle)?.take()?;
        self.used -= 1;
        self.free.push(handle);
        Some(item)
    }

    /// Frees boxes from the end, of one segment at most, until what `heap_bytes` says of them comes to
    /// `bytes`; false if there was none. For a slab that is no longer used: nothing else is kept right.
    pub(crate) fn shed(&mut self, bytes: usize, heap_bytes: impl Fn(&T) -> usize) -> bool {
        self.free = Vec::new();
        let Some(last) = self.segments.last_mut() else {
            return false;
        };
        let mut freed = 0;
        while freed < bytes {
            match last.pop() {
                Some(slot) => freed += slot.map_or(0, |item| heap_bytes(&item)),
                None => {
                    self.segments.pop();
                    break;
                }
            }
        }
        true
    }

    /// The boxes in use of one segment; `None` behind the last.
    pub(crate) fn segment(&self, number: usize) -> Option<impl Iterator<Item = &T>> {
        let segment = self.segments.get(number)?;
        Some(segment.iter().filter_map(|slot| slot.as_deref()))
    }

    /// Boxes in use.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Bytes of the slab itself and of the boxes, without what the items allocate.
    pub(crate) fn heap_bytes(&self) -> usize {
        let slots = self.segments.len() * SEGMENT;
        self.segments.capacity() * size_of::<Vec<Option<Box<T>>>>()
            + slots * size_of::<Option<Box<T>>>()
            + self.free.capacity() * size_of::<u32>()
            + self.used * size_of::<T>()
    }

    fn slot(&mut self, handle: u32) -> Option<&mut Option<Box<T>>> {
        let index = handle as usize;
        self.segments
            .get_mut(index / SEGMENT)?
            .get_mut(index % SEGMENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_reused() {
        let mut slab = Slab::new();
        let handles: Vec<u32> = (0..3000).map(|n| slab.insert(Box::new(n))).collect();
        assert_eq!(slab.get(handles[2999]), Some(&2999));
        assert_eq!(slab.remove(handles[7]).as_deref(), Some(&7));
        assert_eq!(slab.get(handles[7]), None);
        assert_eq!(slab.insert(Box::new(1)), handles[7]);
        assert_eq!(slab.used(), 3000);
    }

    #[test]
    fn what_is_shed_at_once_is_bounded() {
        let mut slab = Slab::new();
        for n in 0..1500 {
            slab.insert(Box::new(n));
        }
        slab.remove(1499);
        let mut steps = 0;
        while slab.shed(1000, |_| 100) {
            steps += 1;
        }
        // Ten at once, of one segment.
        assert_eq!(steps, 475_u32.div_ceil(10) + 1024_u32.div_ceil(10));
    }
}
