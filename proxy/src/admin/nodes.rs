//! KS.NODES: every node of every deployment, with its link if it has one.

use std::sync::Arc;

use super::info;
use super::layout::{Cell, Table};
use super::reply::Reply;
use super::report::{self, finish, format, fresh_only};
use super::request::Request;
use super::roster::{self, Entry};
use super::scope::Scope;
use super::session::Session;
use super::strays::Strays;
use crate::clock;
use crate::fleet::{Deployment, Kind, Reach, Status};
use crate::model::ask::Ask;

/// KS.NODES [FORMAT ..]
pub(crate) async fn nodes(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let format = format(request, 1)?;
    let scope = session.scope()?;
    let answers = fresh_only(scope.ask_all(|reply| Ask::Dbs { reply }).await);
    let strays = Strays::of(&scope, None).await;
    let entries = roster::entries(&session.port.fleet);
    let meant = entries.iter().filter(|entry| is_meant(&scope, entry));
    let rows = meant.map(|entry| row(entry, &strays)).collect();
    let mut tables = vec![Table::rows("nodes", rows)];
    let found = scope.deployments.iter();
    let found: Vec<_> = found.filter(|d| d.kind != Kind::Standalone).collect();
    if !found.is_empty() {
        let rows = found.iter().map(|deployment| about(deployment)).collect();
        tables.push(Table::rows("deployments", rows));
    }
    let mut notes: Vec<String> = found.iter().flat_map(|d| complaints(d)).collect();
    notes.extend(strays.note());
    Ok(finish(&scope, &answers, tables, notes, format))
}

fn is_meant(scope: &Scope, entry: &Entry) -> bool {
    if scope.is_single() {
        let master = entry.master.as_ref();
        return master.is_some_and(|m| scope.masters.iter().any(|own| own.id == m.id));
    }
    let mut deployments = scope.deployments.iter();
    deployments.any(|d| d.source == entry.deployment.source)
}

fn row(entry: &Entry, strays: &Strays) -> Vec<(&'static str, Cell)> {
    let status = entry.master.as_ref().filter(|_| entry.followed);
    let status = status.map(|master| master.status());
    let mut cells = vec![
        ("master", Cell::Text(master_name(entry))),
        ("cluster", Cell::text(&entry.deployment.label)),
        ("shard", Cell::Text(entry.group.clone())),
        ("node", Cell::Text(entry.place())),
        ("id", Cell::Text(entry.id.clone())),
        ("server", status.as_deref().map_or(Cell::Nothing, server)),
        ("role", Cell::text(entry.role)),
        (
            "health",
            entry.health.map_or(Cell::Nothing, |h| Cell::text(h.name())),
        ),
        ("reachable", reachable(&entry.reach)),
        ("standing", Cell::text(entry.standing().name())),
        ("why_not", Cell::text(&entry.why)),
        ("slots", Cell::Count(entry.slots.count() as u64)),
    ];
    cells.extend(link(status.as_deref()));
    let orphans = entry.master.as_ref().filter(|_| entry.followed);
    cells.push((
        "stray_keys",
        orphans.map_or(Cell::Nothing, |m| Cell::Count(strays.keys_on(m.id))),
    ));
    cells.push(("last_error", Cell::Text(last_error(entry, status))));
    cells
}

/// The master of its shard now.
fn master_name(entry: &Entry) -> String {
    entry.master.as_ref().map_or_else(String::new, |m| m.name())
}

fn server(status: &Status) -> Cell {
    status.server.as_ref().map_or(Cell::Nothing, |server| {
        let v = server.version;
        Cell::Text(format!(
            "{:?} {}.{}.{}",
            server.family, v.major, v.minor, v.patch
        ))
    })
}

fn reachable(reach: &Reach) -> Cell {
    match reach {
        Reach::Unknown => Cell::Nothing,
        Reach::Answered => Cell::Bool(true),
        Reach::Failed(_) => Cell::Bool(false),
    }
}

fn last_error(entry: &Entry, status: Option<Arc<Status>>) -> String {
    match (status, &entry.reach) {
        (Some(status), _) if !status.last_error.is_empty() => status.last_error.clone(),
        (_, Reach::Failed(why)) => why.clone(),
        (_, Reach::Unknown | Reach::Answered) => String::new(),
    }
}

/// A figure of a link.
type Figure = (&'static str, fn(&Status) -> Cell);

const LINK: &[Figure] = &[
    ("state", |s| Cell::Text(report::state(s))),
    ("replid", |s| Cell::text(&s.replid)),
    ("offset", |s| Cell::Count(s.offset)),
    ("lag_bytes", |s| Cell::Count(s.lag_bytes)),
    ("lag_ms", |s| Cell::Count(s.lag_ms)),
    ("keys", |s| Cell::Count(s.keys)),
    ("model_bytes", |s| Cell::Count(s.model_bytes)),
    ("used_memory", |s| {
        let memory = s.server.as_ref().and_then(|server| server.used_memory);
        memory.map_or(Cell::Nothing, Cell::Count)
    }),
    ("unaccounted_bytes", |s| {
        let bytes = s.bridged.as_ref().map(|b| b.bridge.unexplained());
        bytes.map_or(Cell::Nothing, Cell::Signed)
    }),
    ("inexact", |s| Cell::Count(s.inexact)),
    ("unverified", |s| Cell::Count(s.unverified)),
    ("unsized", |s| Cell::Count(s.unsized_keys)),
    ("profile", |s| Cell::text(info::profile(s))),
    ("memory_as", |s| {
        info::memory_as(s).map_or(Cell::Nothing, Cell::text)
    }),
    ("full_syncs", |s| Cell::Count(s.counters.full_syncs)),
    ("partial_syncs", |s| Cell::Count(s.counters.partial_syncs)),
    ("drops", |s| Cell::Count(s.counters.drops.values().sum())),
    ("unknown_commands", |s| {
        Cell::Count(s.counters.unknown_commands)
    }),
    ("loaded_at_ms", |s| Cell::Count(s.loaded_ms)),
    ("load_took_ms", |s| Cell::Count(s.load_took_ms)),
];

fn link(status: Option<&Status>) -> Vec<(&'static str, Cell)> {
    let cell = |(name, of): &Figure| (*name, status.map_or(Cell::Nothing, of));
    LINK.iter().map(cell).collect()
}

fn about(deployment: &Deployment) -> Vec<(&'static str, Cell)> {
    let view = deployment.view();
    let map = view.topology.as_ref();
    let age_ms = clock::unix_ms().saturating_sub(view.refreshed_ms);
    let failed = view
        .seeds
        .iter()
        .filter(|s| matches!(s.reach, Reach::Failed(_)));
    vec![
        ("cluster", Cell::text(&deployment.label)),
        ("kind", Cell::text(deployment.kind.name())),
        ("map", Cell::Bool(map.is_some())),
        (
            "map_age_ms",
            if view.refreshed_ms == 0 {
                Cell::Nothing
            } else {
                Cell::Count(age_ms)
            },
        ),
        (
            "masters",
            Cell::Count(map.map_or(0, |map| map.groups().len() as u64)),
        ),
        ("unowned_masters", Cell::Count(view.unowned as u64)),
        (
            "slots_covered",
            Cell::Count(map.map_or(0, |map| map.covered() as u64)),
        ),
        ("asked", Cell::Count(view.seeds.len() as u64)),
        ("unreachable", Cell::Count(failed.count() as u64)),
        ("last_error", Cell::text(&view.last_error)),
    ]
}

/// What is wrong with the map of a deployment, in sentences.
fn complaints(deployment: &Deployment) -> Vec<String> {
    let view = deployment.view();
    let complaints = view.topology.iter().flat_map(|map| map.complaints());
    complaints
        .map(|c| format!("{}: {c}", deployment.label))
        .collect()
}
