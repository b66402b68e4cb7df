//! How well the model explains what each master uses, as of the last look at its memory. A master
//! that was not looked at yet has no series: 0 would say that everything is explained.

use analyzer::bridge::Bridge;

use super::keyspace::Sample;
use super::text::{Kind, Text};

type Figure = (&'static str, &'static str, fn(&Bridge) -> String);

const FIGURES: [Figure; 3] = [
    (
        "keyscape_model_error_ratio",
        "Keys and overhead less used_memory, by used_memory.",
        |bridge| format!("{:.6}", bridge.error_ratio()),
    ),
    (
        "keyscape_unaccounted_bytes",
        "Bytes of used_memory that neither keys nor overhead explain.",
        |bridge| bridge.unexplained().to_string(),
    ),
    (
        "keyscape_overhead_bytes",
        "Bytes beside the keys that are explained.",
        |bridge| (i128::from(bridge.explained()) - i128::from(bridge.keys)).to_string(),
    ),
];

pub(super) fn write(samples: &[Sample], text: &mut Text) {
    for (name, help, figure) in FIGURES {
        let mut family = text.family(name, Kind::Gauge, help);
        for sample in samples {
            if let Some(bridged) = &sample.status.bridged {
                family.put_of(&sample.labels, &[], figure(&bridged.bridge));
            }
        }
    }
}
