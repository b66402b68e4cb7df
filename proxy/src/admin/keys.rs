//! The whole keyspace: DBSIZE, KEYS, SCAN and RANDOMKEY over all masters as if they were one.
//!
//! Owners scan in one common order, so a SCAN asks all of them with the same cursor and answers what
//! stands before the least of their next cursors. The cursor stays valid while the model changes,
//! while keys move between masters, and while masters come and go; it stays below 2^48, because some
//! clients read it into a signed number.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use analyzer::value::Kind;

use super::points::expired;
use super::port::silent;
use super::refuse::{NOT_A_NUMBER, SYNTAX};
use super::reply::Reply;
use super::request::Request;
use super::scope::ask_one;
use super::session::Session;
use super::strays::Strays;
use crate::fleet::Master;
use crate::model::ask::{Ask, Filter, Page, SCAN_COUNT_MAX, Scanned, WALK_MAX};

/// No owner ever gave out a larger cursor.
const CURSOR_MAX: u64 = (1 << 48) - 1;

/// Keys that SCAN looks at by default, as the servers do.
const COUNT_DEFAULT: usize = 10;

/// Keys that SCAN looks at, at least. COUNT is a hint; tools that ask for ten at a time pay a round
/// trip each, and that, not the model, would be what they wait for.
const COUNT_MIN: usize = 500;

/// Bytes that one KEYS may answer.
const KEYS_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(crate) async fn select(session: &mut Session, request: &Request) -> Result<Reply, Reply> {
    let db: u32 = request
        .number::<i64>(1)
        .ok_or_else(|| Reply::error("ERR invalid DB index"))?
        .try_into()
        .map_err(|_| OUT_OF_RANGE)?;
    if db >= session.port.databases() {
        learn_databases(session).await;
    }
    if db >= session.port.databases() {
        return Err(OUT_OF_RANGE);
    }
    session.db = db;
    session.client.note(|seen| seen.db = db);
    Ok(Reply::OK)
}

const OUT_OF_RANGE: Reply = Reply::error("ERR DB index is out of range");

async fn learn_databases(session: &Session) {
    let Ok(scope) = session.scope() else {
        return;
    };
    for (_, answer) in scope.ask_all(|reply| Ask::Dbs { reply }).await {
        for total in answer.into_iter().flat_map(|answer| answer.value) {
            session.port.saw_database(total.db);
        }
    }
}

/// Keys of the selected database, per master, each key counted once.
async fn sizes(session: &Session) -> Result<Vec<(Arc<Master>, u64)>, Reply> {
    let (db, scope) = (session.db, session.scope()?);
    let answers = scope.ask_everyone(|reply| Ask::Dbs { reply }).await?;
    let strays = Strays::counted_twice(&scope, Some(db)).await;
    Ok(answers
        .into_iter()
        .map(|(master, answer)| {
            let own = answer.value.iter().find(|total| total.db == db);
            let keys = own.map_or(0, |total| total.keys);
            let keys = keys.saturating_sub(strays.hidden(master.id).keys);
            (master, keys)
        })
        .collect())
}

pub(crate) async fn dbsize(session: &Session) -> Result<Reply, Reply> {
    let sizes = sizes(session).await?;
    Ok(Reply::count(sizes.iter().map(|(_, keys)| keys).sum()))
}

/// RANDOMKEY: a master by the share of its keys, then a key of it.
pub(crate) async fn random(session: &Session) -> Result<Reply, Reply> {
    let sizes = sizes(session).await?;
    let total: u64 = sizes.iter().map(|(_, keys)| keys).sum();
    // Every RandomState has keys of its own.
    let mut left = RandomState::new().build_hasher().finish() % total.max(1);
    for (master, keys) in sizes {
        if left >= keys {
            left -= keys;
            continue;
        }
        let db = session.db;
        let answer = ask_one(&master, |reply| Ask::Random { db, reply }).await;
        let key = answer.ok_or_else(|| silent(&master))?.value;
        return Ok(key.map_or(Reply::Null, Reply::from));
    }
    Ok(Reply::Null)
}

pub(crate) async fn keys(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let filter = Filter {
        kind: None,
        glob: Some(request.arg(1).to_vec()),
    };
    let db = session.db;
    let walk = |reply| Ask::Walk {
        db: Some(db),
        filter: filter.clone(),
        limit: WALK_MAX,
        reply,
    };
    let mut names = BTreeSet::new();
    let mut bytes = 0;
    for (_, answer) in session.scope()?.ask_everyone(walk).await? {
        if answer.value.truncated {
            return Err(TOO_MANY);
        }
        let rows = answer.value.rows.into_iter();
        for row in rows.filter(|row| !expired(&row.facts)) {
            bytes += row.key.len();
            // A name that stands on several masters is there once, as in a SCAN.
            names.insert(row.key);
        }
        if bytes > KEYS_BYTES_MAX {
            return Err(TOO_MANY);
        }
    }
    Ok(Reply::Array(names.into_iter().map(Reply::from).collect()))
}

/// Names as one answer, each once, at most so many.
pub(crate) fn answer_names(
    names: impl Iterator<Item = Vec<u8>>,
    limit: usize,
) -> Result<Reply, Reply> {
    let names: BTreeSet<Vec<u8>> = names.collect();
    let names: Vec<Vec<u8>> = names.into_iter().take(limit).collect();
    if names.iter().map(Vec::len).sum::<usize>() > KEYS_BYTES_MAX {
        return Err(TOO_MANY);
    }
    Ok(Reply::Array(names.into_iter().map(Reply::from).collect()))
}

const TOO_MANY: Reply = Reply::error("ERR too many keys for one answer; use SCAN");

/// The options of a SCAN.
struct Scan {
    cursor: u64,
    count: usize,
    filter: Filter,
    /// TYPE named one that no key can have.
    nothing: bool,
}

fn parse(request: &Request) -> Result<Scan, Reply> {
    let mut scan = Scan {
        cursor: request
            .number(1)
            .ok_or(Reply::error("ERR invalid cursor"))?,
        count: COUNT_DEFAULT,
        filter: Filter::default(),
        nothing: false,
    };
    let mut at = 2;
    while at < request.len() {
        if at + 1 == request.len() {
            return Err(SYNTAX);
        }
        if request.is(at, "COUNT") {
            let count: i64 = request.number(at + 1).ok_or(NOT_A_NUMBER)?;
            scan.count = usize::try_from(count)
                .ok()
                .filter(|n| *n > 0)
                .ok_or(SYNTAX)?;
        } else if request.is(at, "MATCH") {
            let glob = request.arg(at + 1);
            scan.filter.glob = (glob != b"*").then(|| glob.to_vec());
        } else if request.is(at, "TYPE") {
            scan.filter.kind = kind(request.arg(at + 1));
            scan.nothing = scan.filter.kind.is_none();
        } else {
            return Err(SYNTAX);
        }
        at += 2;
    }
    scan.count = scan.count.clamp(COUNT_MIN, SCAN_COUNT_MAX);
    Ok(scan)
}

/// The type of that name, in any case.
pub(crate) fn kind(name: &[u8]) -> Option<Kind> {
    Kind::ALL
        .into_iter()
        .find(|kind| kind.name().as_bytes().eq_ignore_ascii_case(name))
}

pub(crate) async fn scan(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let scan = parse(request)?;
    if scan.nothing || scan.cursor > CURSOR_MAX {
        return Ok(page(0, Vec::new()));
    }
    let (db, cursor) = (session.db, scan.cursor);
    let scope = session.scope()?;
    let masters = scope.masters.len().max(1);
    let ask = |reply| Ask::Scan {
        db,
        cursor,
        count: scan.count.div_ceil(masters),
        filter: scan.filter.clone(),
        reply,
    };
    let answers = scope.ask_everyone(ask).await?;
    let pages = answers.into_iter().map(|(_, answer)| answer.value);
    let (next, names) = merge(pages.collect());
    Ok(page(next, names))
}

/// Where to go on, and the names up to there: a master that got further is asked for the rest again.
fn merge(pages: Vec<Page>) -> (u64, Vec<Vec<u8>>) {
    let unfinished = pages.iter().map(|page| page.cursor);
    let next = unfinished.filter(|cursor| *cursor != 0).min();
    let single = pages.len() == 1;
    let keys = pages.into_iter().flat_map(|page| page.keys);
    let mut keys: Vec<Scanned> = keys
        .filter(|key| next.is_none_or(|next| key.order < next))
        .collect();
    if !single {
        // A name that stands on several masters has one place in the order.
        keys.sort_by(|a, b| (a.order, &a.name).cmp(&(b.order, &b.name)));
        keys.dedup();
    }
    let names = keys.into_iter().map(|key| key.name).collect();
    (next.unwrap_or(0), names)
}

fn page(cursor: u64, keys: Vec<Vec<u8>>) -> Reply {
    let keys = keys.into_iter().map(Reply::from).collect();
    // Clients insist on a bulk string.
    Reply::Array(vec![Reply::from(cursor.to_string()), Reply::Array(keys)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(cursor: u64, keys: &[(u64, &str)]) -> Page {
        let key = |&(order, name): &(u64, &str)| Scanned {
            order,
            name: name.into(),
        };
        Page {
            cursor,
            keys: keys.iter().map(key).collect(),
        }
    }

    #[track_caller]
    fn check(pages: Vec<Page>, next: u64, names: &[&str]) {
        let names: Vec<Vec<u8>> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        assert_eq!(merge(pages), (next, names));
    }

    #[test]
    fn pages_merge_up_to_the_master_that_got_least_far() {
        check(vec![], 0, &[]);
        check(vec![page_of(9, &[(3, "b"), (1, "a")])], 9, &["b", "a"]);
        check(
            vec![
                page_of(5, &[(1, "a"), (4, "c")]),
                page_of(9, &[(2, "b"), (5, "d"), (8, "e")]),
            ],
            5,
            &["a", "b", "c"],
        );
        check(
            vec![page_of(0, &[(1, "a"), (7, "z")]), page_of(6, &[(2, "b")])],
            6,
            &["a", "b"],
        );
        check(
            vec![page_of(0, &[(1, "a")]), page_of(0, &[(1, "a"), (2, "b")])],
            0,
            &["a", "b"],
        );
    }
}
