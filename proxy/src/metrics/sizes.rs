//! How large keys are, as histograms of each deployment: of a cluster with a thousand masters those
//! of every master would be most of the scrape. What is still being counted is left out, and makes
//! the histogram of its deployment smaller.

use std::collections::BTreeMap;

use analyzer::census::{CLASSES, Progress, Sizes};
use analyzer::value::Kind;

use super::keyspace::Sample;
use super::text::{Kind as Series, Text};
use crate::model::ask::Answer;

/// Keys of each type by class.
type Classes = [[u64; CLASSES]; Kind::ALL.len()];

/// The classes of one master's keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Sized {
    bytes: Classes,
    elements: Classes,
}

impl Sized {
    /// `None` while keys are being counted. Under a memory cap some are.
    pub(super) fn of(answer: &Answer<Result<Sizes, Progress>>) -> Option<Sized> {
        let told = answer.value.as_ref().ok()?;
        let detail = answer.fresh.detail;
        let scaled = |classes: [u64; CLASSES]| classes.map(|keys| detail.for_all(keys));
        answer.fresh.generation.loaded().then(|| Sized {
            bytes: Kind::ALL.map(|kind| scaled(told.bytes(kind))),
            elements: Kind::ALL.map(|kind| scaled(told.elements(kind))),
        })
    }
}

/// What is summed up of one deployment: classes, and bytes and elements of each type.
#[derive(Default)]
struct Sum {
    sizes: Sized,
    totals: [(u64, u64); Kind::ALL.len()],
}

impl Sum {
    fn add(&mut self, sample: &Sample, sizes: &Sized) {
        let pairs = [
            (&mut self.sizes.bytes, &sizes.bytes),
            (&mut self.sizes.elements, &sizes.elements),
        ];
        for (own, more) in pairs {
            let own = own.iter_mut().flatten();
            for (keys, more) in own.zip(more.iter().flatten()) {
                *keys += more;
            }
        }
        for (kind, (bytes, elements)) in Kind::ALL.iter().zip(&mut self.totals) {
            for total in sample.totals.iter().filter(|total| total.kind == *kind) {
                *bytes += total.memory;
                *elements += total.elements;
            }
        }
    }
}

pub(super) fn write(samples: &[Sample], text: &mut Text) {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for sample in samples {
        let Some(sizes) = &sample.sizes else { continue };
        let own = sums.entry(sample.deployment()).or_default();
        own.add(sample, sizes);
    }
    let help = "Keys by what they take on their master now: goes down as well, so not for rate().";
    let mut family = text.family("keyscape_key_size_bytes", Series::Histogram, help);
    for (head, sum) in &sums {
        let all = Kind::ALL.iter().zip(&sum.sizes.bytes).zip(&sum.totals);
        for ((kind, classes), (bytes, _)) in all.filter(|((_, classes), _)| any(*classes)) {
            let labels = [("type", kind.name())];
            let ends = Sizes::bytes_ends();
            family.histogram((head, &labels), (classes, &ends), *bytes);
        }
    }
    let help = "Collections by their number of elements now: goes down as well, so not for rate().";
    let mut family = text.family("keyscape_key_elements", Series::Histogram, help);
    for (head, sum) in &sums {
        let all = Kind::ALL.iter().zip(&sum.sizes.elements).zip(&sum.totals);
        let counted = |kind: Kind| kind != Kind::String && kind != Kind::Module;
        let all = all.filter(|((kind, classes), _)| counted(**kind) && any(*classes));
        for ((kind, classes), (_, elements)) in all {
            let labels = [("type", kind.name())];
            let ends = Sizes::elements_ends();
            family.histogram((head, &labels), (classes, &ends), *elements);
        }
    }
}

fn any(classes: &[u64]) -> bool {
    classes.iter().any(|keys| *keys > 0)
}
