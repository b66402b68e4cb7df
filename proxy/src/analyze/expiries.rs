//! When the keys of an RDB file expire, seen from now: what is expired already is still in the file.

use analyzer::Keyspace;
use analyzer::census::{Expiries, LIVES, Portion};
use anyhow::anyhow;
use comfy_table::Table;
use serde_json::{Value, json};

/// Hours ahead that are told one by one.
const HOURS: usize = 24;

/// Minutes of an hour.
const MINUTES: usize = 60;

/// What is known of all keys, once they are counted.
pub(super) fn of(keyspace: &Keyspace, now_ms: i64) -> anyhow::Result<Expiries> {
    let told = keyspace.expiries(None, now_ms);
    told.map_err(|progress| anyhow!("{} keys are not counted", progress.keys))
}

/// Keys and bytes by what is left of their lives.
fn lives(told: &Expiries) -> Vec<(String, Portion)> {
    let lives = LIVES.iter().zip(told.boundaries()).zip(told.lives);
    let lives = lives.map(|((name, until), portion)| match until {
        Some(_) => (format!("<{name}"), portion),
        None => ((*name).to_owned(), portion),
    });
    let rest = [
        ("no ttl".to_owned(), told.fixed),
        ("expired".to_owned(), told.expired),
    ];
    rest.into_iter().chain(lives).collect()
}

/// For people: the lives that keys have.
pub(super) fn table(told: &Expiries) -> Table {
    let mut table = super::table(&["life", "keys", "bytes"]);
    for (life, portion) in lives(told) {
        if portion.keys > 0 {
            table.add_row([life, portion.keys.to_string(), portion.bytes.to_string()]);
        }
    }
    table
}

/// For programs.
pub(super) fn json(told: &Expiries) -> Value {
    let portion = |portion: Portion| json!({ "keys": portion.keys, "bytes": portion.bytes });
    let lives = lives(told).into_iter().map(|(life, own)| {
        let mut row = portion(own);
        row["life"] = life.into();
        row
    });
    let hours = (0..HOURS).map(|hour| portion(told.within(hour * MINUTES, MINUTES)));
    let storms = told.storms().into_iter().map(|storm| {
        let mut row = portion(storm.portion);
        row["at_ms"] = storm.at_ms.into();
        row
    });
    json!({
        "as_of_ms": told.as_of_ms,
        "by_life": lives.collect::<Vec<_>>(),
        "next_hours": hours.collect::<Vec<_>>(),
        "storms": storms.collect::<Vec<_>>(),
    })
}
