//! Commands of the stream by name. Names are those of the model's table, which is a closed list; of
//! commands that it does not know the status keeps a bounded number.

use super::keyspace::Sample;
use super::text::{Kind, Text};
use crate::watch::OTHER;

pub(super) fn write(samples: &[Sample], text: &mut Text) {
    let mut family = text.family(
        "keyscape_stream_commands_total",
        Kind::Counter,
        "Commands of the stream since the model was made, by name.",
    );
    for sample in samples {
        for (name, work) in &sample.commands {
            let name = if name.is_empty() { OTHER } else { name };
            family.put_of(&sample.labels, &[("cmd", name)], work.writes);
        }
    }
    unknown(samples, text);
}

/// By name as far as the status has names, the rest together.
fn unknown(samples: &[Sample], text: &mut Text) {
    let mut family = text.family(
        "keyscape_unknown_commands_total",
        Kind::Counter,
        "Commands of the stream that are not known here.",
    );
    for sample in samples {
        let names = &sample.status.unknown_names;
        let named: u64 = names.values().sum();
        for (name, count) in names {
            family.put_of(&sample.labels, &[("cmd", name)], count);
        }
        let rest = sample
            .status
            .counters
            .unknown_commands
            .saturating_sub(named);
        family.put_of(&sample.labels, &[("cmd", OTHER)], rest);
    }
}
