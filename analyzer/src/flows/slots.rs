//! Flows by hash slot, of a server in cluster mode.
//!
//! A write adds to one sum, that of its slot in the second under way. When the second is over its
//! sums go into those of the minute and the hour, and an interval that is closed keeps the slots that
//! changed most; the others of it are one row, the rest. So an interval's rows always sum up to what
//! commands did in it.
//!
//! Bounds: 7 KB for every 32 slots that were ever written (3.5 MB for all of a cluster's), and for
//! closed intervals some 15 bytes a row: 2 MB if all of them are full.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::history::SCALES;
use super::{Change, Flow};
use crate::slots::{Blocks, Packed};

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
pub(crate) struct SlotFlows(Blocks<Block, BLOCK>);

/// The rows of a closed interval.
pub(super) type Closed = Packed<{ Flow::FIGURES }>;

/// Sums by slot, with [`REST`].
pub(super) type Sums = BTreeMap<u16, Flow>;

impl SlotFlows {
    /// A command changed a key of that slot. One in `m` keys has a record and stands for the others:
    /// of now, since the share may be another one when the second is over.
    #[inline]
    pub(crate) fn enter(&mut self, slot: u16, change: &Change, m: u64) {
        let Some((block, at)) = self.0.make(slot, Block::new) else {
            return;
        };
        block.written = true;
        let [second, ..] = &mut block.open;
        if m == 1 {
            change.enter(&mut second[at]);
        } else {
            let mut flow = Flow::default();
            change.enter(&mut flow);
            flow.scale(m);
            second[at].add(&flow);
        }
    }

    /// Ends the interval under way of a resolution; the second ends before the minute, and that
    /// before the hour.
    pub(super) fn close(&mut self, scale: usize) -> Closed {
        let mut rows = Vec::new();
        for (first, Block { written, open }) in self.0.made_mut() {
            if scale == 0 {
                if !std::mem::take(written) {
                    continue;
                }
                fold(open);
            }
            for (slot, flow) in (first..).zip(&mut open[scale]) {
                let flow = std::mem::take(flow);
                if !flow.is_nothing() {
                    rows.push((slot, flow));
                }
            }
        }
        packed(shortened(rows, TOLD[scale]))
    }

    /// Adds the interval under way of a resolution.
    pub(super) fn add_open(&self, scale: usize, sums: &mut Sums) {
        for (first, block) in self.0.made() {
            let [second, ..] = &block.open;
            let mut take = |flows: &[Flow; BLOCK]| {
                let rows = (first..).zip(flows);
                rows.for_each(|(slot, flow)| add(sums, slot, flow));
            };
            take(second);
            if scale > 0 {
                take(&block.open[scale]);
            }
        }
    }

    /// Bytes allocated.
    pub(super) fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }
}

/// Takes the second that is over into the longer intervals.
fn fold(open: &mut [[Flow; BLOCK]; SCALES.len()]) {
    let [second, longer @ ..] = open;
    for (at, flow) in second.iter().enumerate() {
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

fn packed(rows: Vec<(u16, Flow)>) -> Closed {
    let rows = rows.into_iter();
    Packed::new(rows.map(|(slot, flow)| (slot, flow.figures())))
}

/// Adds the rows of a closed interval.
pub(super) fn add_closed(rows: &Closed, sums: &mut Sums) {
    for (slot, figures) in rows.iter() {
        add(sums, slot, &Flow::of_figures(figures));
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
        let whole = packed(rows.clone());
        let mut sums = Sums::new();
        add_closed(&whole, &mut sums);
        assert!(sums.clone().into_iter().eq(rows.clone()));
        let mut all = Flow::default();
        rows.iter().for_each(|(_, flow)| all.add(flow));
        let mut sums = Sums::new();
        add_closed(&packed(shortened(rows, 64)), &mut sums);
        assert_eq!(sums.len(), 65);
        assert_eq!(sums.get(&(300 * 54)), Some(&flow(300)), "the largest");
        assert_eq!(sums.get(&54), None, "the smallest");
        let mut told = Flow::default();
        sums.values().for_each(|flow| told.add(flow));
        assert_eq!(told, all);
    }
}
