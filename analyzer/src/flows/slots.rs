//! Flows by hash slot, of a server in cluster mode.
//!
//! A write adds to one sum, that of its slot in the second under way. When the second is over its
//! sums go into those of the minute and the hour, and an interval that is closed keeps the slots that
//! changed most; the others of it are one row, the rest. So an interval's rows always sum up to what
//! commands did in it.
//!
//! ```text
//! a closed interval:  (gap to the slot, ten counters) ..   all LEB128, in the order of slots
//! ```
//!
//! Bounds: 7 KB for every 32 slots that were ever written (3.5 MB for all of a cluster's), and for
//! closed intervals some 15 bytes a row: 2 MB if all of them are full.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::history::SCALES;
use super::{Change, Flow};
use crate::slots::SLOTS;
use crate::store::varint;

/// Slots of a block.
const BLOCK: usize = 32;

/// Slots that an interval of each resolution tells one by one.
const TOLD: [usize; SCALES.len()] = [64, 512, 1024];

/// What stands for the other slots: no slot has this number.
pub(super) const REST: u16 = 16_384;

#[derive(Debug)]
struct Block {
    /// True if the second under way has anything.
    written: bool,
    /// Intervals under way, the second first. What is in it is not in the others yet.
    open: [[Flow; BLOCK]; SCALES.len()],
}

impl Block {
    fn new() -> Block {
        Block {
            written: false,
            open: [[Flow::default(); BLOCK]; SCALES.len()],
        }
    }
}

/// What commands did to the keys of each slot, in the intervals under way.
#[derive(Debug, Default)]
pub(crate) struct SlotFlows {
    blocks: Vec<Option<Box<Block>>>,
}

/// Sums by slot, with [`REST`].
pub(super) type Sums = BTreeMap<u16, Flow>;

impl SlotFlows {
    /// A command changed a key of that slot.
    #[inline]
    pub(crate) fn enter(&mut self, slot: u16, change: &Change) {
        if self.blocks.is_empty() {
            self.blocks.resize_with(SLOTS / BLOCK, || None);
        }
        let slot = usize::from(slot);
        let Some(block) = self.blocks.get_mut(slot / BLOCK) else {
            return;
        };
        let block = block.get_or_insert_with(|| Box::new(Block::new()));
        block.written = true;
        let [second, ..] = &mut block.open;
        change.enter(&mut second[slot % BLOCK]);
    }

    /// Ends the interval under way of a resolution; the second ends before the minute, and that
    /// before the hour. One in `m` keys has a record.
    pub(super) fn close(&mut self, scale: usize, m: u64) -> Box<[u8]> {
        let mut rows = Vec::new();
        let blocks = (0u16..).step_by(BLOCK).zip(&mut self.blocks);
        for (first, block) in blocks.filter_map(|(first, block)| Some((first, block.as_mut()?))) {
            let Block { written, open } = &mut **block;
            if scale == 0 {
                if !std::mem::take(written) {
                    continue;
                }
                fold(open, m);
            }
            for (slot, flow) in (first..).zip(&mut open[scale]) {
                let flow = std::mem::take(flow);
                if !flow.is_nothing() {
                    rows.push((slot, flow));
                }
            }
        }
        encode(shortened(rows, TOLD[scale]))
    }

    /// Adds the interval under way of a resolution.
    pub(super) fn add_open(&self, scale: usize, m: u64, sums: &mut Sums) {
        let blocks = (0u16..).step_by(BLOCK).zip(&self.blocks);
        for (first, block) in blocks.filter_map(|(first, block)| Some((first, block.as_ref()?))) {
            let [second, ..] = &block.open;
            for (slot, flow) in (first..).zip(second) {
                let mut flow = *flow;
                flow.scale(m);
                add(sums, slot, &flow);
            }
            if scale > 0 {
                let longer = (first..).zip(&block.open[scale]);
                longer.for_each(|(slot, flow)| add(sums, slot, flow));
            }
        }
    }

    /// Bytes allocated.
    pub(super) fn heap_bytes(&self) -> usize {
        let made = self.blocks.iter().flatten().count();
        made * size_of::<Block>() + self.blocks.capacity() * size_of::<usize>()
    }
}

/// Takes the second that is over into the longer intervals.
fn fold(open: &mut [[Flow; BLOCK]; SCALES.len()], m: u64) {
    let [second, longer @ ..] = open;
    for (at, flow) in second.iter_mut().enumerate() {
        flow.scale(m);
        longer.iter_mut().for_each(|flows| flows[at].add(flow));
    }
}

fn add(sums: &mut Sums, slot: u16, flow: &Flow) {
    if !flow.is_nothing() {
        sums.entry(slot).or_default().add(flow);
    }
}

/// The `most` slots that changed most, in order, and the others as [`REST`].
fn shortened(mut rows: Vec<(u16, Flow)>, most: usize) -> Vec<(u16, Flow)> {
    if rows.len() <= most {
        return rows;
    }
    rows.sort_by_key(|(_, flow)| Reverse(flow.bytes().saturating_add(flow.writes())));
    let mut rest = Flow::default();
    rows.drain(most..).for_each(|(_, flow)| rest.add(&flow));
    rows.sort_by_key(|(slot, _)| *slot);
    rows.push((REST, rest));
    rows
}

fn encode(rows: Vec<(u16, Flow)>) -> Box<[u8]> {
    let mut out = Vec::new();
    let mut next = 0;
    for (slot, flow) in rows {
        varint::put(u64::from(slot - next), &mut out);
        next = slot + 1;
        let all = flow.figures();
        all.into_iter().for_each(|n| varint::put(n, &mut out));
    }
    out.into()
}

/// Adds the rows of a closed interval.
pub(super) fn decode(bytes: &[u8], sums: &mut Sums) {
    let mut next = 0u64;
    let mut at = 0;
    while at < bytes.len() {
        let mut take = || {
            let (n, behind) = varint::get(bytes, at);
            at = behind;
            n
        };
        let slot = next + take();
        let mut flow = Flow::default();
        let figures = flow.figures_mut();
        figures.into_iter().for_each(|figure| *figure = take());
        // What was encoded is a slot's number.
        let slot = u16::try_from(slot).unwrap_or(REST);
        sums.entry(slot).or_default().add(&flow);
        next = u64::from(slot) + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(n: u64) -> Flow {
        Flow {
            created: n,
            bytes_in: 100 * n,
            bytes_out: 1,
            ..Flow::default()
        }
    }

    #[test]
    fn rows_survive_and_the_rest_is_one_of_them() {
        let rows: Vec<(u16, Flow)> = (1..=300).map(|n| (n * 54, flow(n.into()))).collect();
        let whole = encode(rows.clone());
        let mut sums = Sums::new();
        decode(&whole, &mut sums);
        assert!(sums.clone().into_iter().eq(rows.clone()));
        let mut all = Flow::default();
        rows.iter().for_each(|(_, flow)| all.add(flow));
        let mut sums = Sums::new();
        decode(&encode(shortened(rows, 64)), &mut sums);
        assert_eq!(sums.len(), 65);
        assert_eq!(sums.get(&(300 * 54)), Some(&flow(300)), "the largest");
        assert_eq!(sums.get(&54), None, "the smallest");
        let mut told = Flow::default();
        sums.values().for_each(|flow| told.add(flow));
        assert_eq!(told, all);
    }
}
