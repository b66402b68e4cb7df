//! The patterns of an RDB file's keys, largest first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use analyzer::Keyspace;
use analyzer::patterns::PatternRow;
use comfy_table::Table;
use serde_json::{Value, json};

use super::shown;

/// The largest patterns of all databases.
fn rows(keyspace: &Keyspace, k: usize) -> Vec<PatternRow> {
    let mut rows: BTreeMap<Vec<u8>, PatternRow> = BTreeMap::new();
    for row in keyspace.patterns() {
        match rows.get_mut(&row.name.glob) {
            Some(known) => known.add(row),
            None => drop(rows.insert(row.name.glob.clone(), row)),
        }
    }
    let mut rows: Vec<PatternRow> = rows.into_values().collect();
    rows.sort_by_key(|row| Reverse(row.bytes));
    rows.truncate(k);
    rows
}

fn ids(row: &PatternRow) -> String {
    row.ids.names().collect::<Vec<_>>().join(",")
}

fn example(row: &PatternRow) -> Option<String> {
    row.example.as_deref().map(shown)
}

/// For people.
pub(super) fn table(keyspace: &Keyspace, k: usize) -> Table {
    let head = [
        "bytes", "keys", "no ttl", "largest", "ids", "pattern", "example",
    ];
    let mut table = super::table(&head);
    for row in rows(keyspace, k) {
        table.add_row([
            row.bytes.to_string(),
            row.keys.to_string(),
            row.fixed_keys.to_string(),
            row.largest.to_string(),
            ids(&row),
            shown(&row.name.glob),
            example(&row).unwrap_or_default(),
        ]);
    }
    table
}

/// For programs.
pub(super) fn json(keyspace: &Keyspace, k: usize) -> Vec<Value> {
    let rows = rows(keyspace, k).into_iter().map(|row| {
        json!({
            "pattern": shown(&row.name.glob),
            "keys": row.keys,
            "bytes": row.bytes,
            "no_ttl_keys": row.fixed_keys,
            "no_ttl_bytes": row.fixed_bytes,
            "name_bytes": row.name_bytes,
            "largest": row.largest,
            "ids": ids(&row),
            "example": example(&row),
        })
    });
    rows.collect()
}
