//! `KS.SUMMARY MEMORY`: from the sum of the keys to each master's `used_memory`, line by line, with
//! what is left unexplained.
//!
//! The figures are those of the last look (every tenth poll, so at most ten seconds old by default):
//! the server's memory and its stream offset in one transaction, and the model at that offset. So an
//! answer costs the master nothing, and `age_ms` says how old it is.

use std::sync::Arc;

use super::layout::{Cell, Table};
use super::reply::Reply;
use super::report::{self, finish, fresh_only};
use super::request::Request;
use super::session::Session;
use crate::clock;
use crate::fleet::{Bridged, Master};
use crate::model::ask::Ask;

type Row = Vec<(&'static str, Cell)>;

pub(super) async fn memory(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let format = report::format(request, 2)?;
    let scope = session.scope()?;
    let fresh = fresh_only(scope.ask_all(|reply| Ask::Dbs { reply }).await);
    let (mut whole, mut lines, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for master in &scope.masters {
        match &master.status().bridged {
            Some(bridged) => {
                whole.push(sum(master, bridged));
                lines.extend(bridge(master, bridged));
            }
            None => notes.push(format!(
                "{} was not asked for its memory yet, or does not permit INFO",
                master.name()
            )),
        }
    }
    let tables = vec![Table::rows("memory", whole), Table::rows("lines", lines)];
    Ok(finish(&scope, &fresh, tables, notes, format))
}

fn sum(master: &Arc<Master>, bridged: &Bridged) -> Row {
    let bridge = &bridged.bridge;
    let age_ms = clock::unix_ms().saturating_sub(bridged.at_ms);
    vec![
        ("master", Cell::Text(master.name())),
        ("cluster", Cell::text(&master.cluster)),
        ("used_memory", Cell::Count(bridge.used)),
        ("keys", Cell::Count(bridge.keys)),
        ("keys_share", Cell::share(bridge.keys, bridge.used)),
        ("explained", Cell::Signed(bridge.explained())),
        ("unexplained", Cell::Signed(bridge.unexplained())),
        ("error_ratio", Cell::Error(bridge.error_ratio())),
        ("offset", Cell::Count(bridged.offset)),
        ("ahead_bytes", Cell::Count(bridged.ahead_bytes)),
        ("at_ms", Cell::Count(bridged.at_ms)),
        ("age_ms", Cell::Count(age_ms)),
    ]
}

/// The lines, and what they leave.
fn bridge(master: &Arc<Master>, bridged: &Bridged) -> Vec<Row> {
    let row = |name: &str, bytes: i64, source: &str, at_rest: Option<u64>| -> Row {
        vec![
            ("master", Cell::Text(master.name())),
            ("line", Cell::text(name)),
            ("bytes", Cell::Signed(bytes)),
            ("source", Cell::text(source)),
            ("at_rest", at_rest.map_or(Cell::Nothing, Cell::Count)),
        ]
    };
    let bridge = &bridged.bridge;
    let lines = bridge.lines.iter();
    let mut rows: Vec<Row> = lines
        .map(|line| row(line.name, line.bytes, line.source.name(), line.at_rest))
        .collect();
    rows.push(row("unexplained", bridge.unexplained(), "rest", None));
    rows
}
