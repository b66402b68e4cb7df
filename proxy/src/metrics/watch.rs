//! Events, and the conditions that are raised.

use super::keyspace::Sample;
use super::text::{Kind, Text};
use crate::watch::{Condition, Told};

/// What the process told so far.
pub(super) fn events(told: Told, text: &mut Text) {
    let mut family = text.family(
        "keyscape_events_total",
        Kind::Counter,
        "Events told to subscribers and to the log: conditions raised and cleared, big keys.",
    );
    for (event, count) in [("alert", told.alerts), ("bigkey", told.big_keys)] {
        family.put(&[("event", event)], count);
    }
    text.family(
        "keyscape_events_missed_total",
        Kind::Counter,
        "Events that slow subscribers were only told the number of.",
    )
    .put(&[], told.missed);
}

/// What is wrong with each master, by the levels that subscribers are told of.
pub(super) fn conditions(samples: &[Sample], text: &mut Text) {
    let mut family = text.family(
        "keyscape_condition",
        Kind::Gauge,
        "1 while the condition is raised.",
    );
    for sample in samples {
        for condition in Condition::ALL {
            let raised = u8::from(sample.raised.contains(&condition));
            family.put_of(&sample.labels, &[("condition", condition.name())], raised);
        }
    }
}
