//! KS.SLOTS HASHTAGS: the hash tags with most bytes or keys. All keys of a tag are in one slot, so a
//! large tag is what no rebalancing can divide (rule CLU-03).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use analyzer::heat::{TagSum, Tagged};
use cluster_map::Slot;

use super::layout::{Cell, Format, Table};
use super::refuse::SYNTAX;
use super::reply::Reply;
use super::report::{finish, limit, named_format, pairs, split};
use super::request::Request;
use super::scope::Answered;
use super::session::Session;
use crate::fleet::{Master, MasterId};
use crate::model::analytic::Analytic;
use crate::model::ask::Ask;

/// Rows by default, and at most: more are not counted.
const LIMIT_DEFAULT: usize = 20;
const LIMIT_MAX: usize = 1000;

const BY: Reply = Reply::error("ERR BY must be BYTES or KEYS");

struct Options {
    by_keys: bool,
    limit: usize,
    format: Format,
}

fn parse(request: &Request) -> Result<Options, Reply> {
    let mut options = Options {
        by_keys: false,
        limit: LIMIT_DEFAULT,
        format: Format::Resp,
    };
    pairs(request, 2, |at| {
        if request.is(at, "BY") {
            options.by_keys = match (request.is(at + 1, "KEYS"), request.is(at + 1, "BYTES")) {
                (true, _) => true,
                (_, true) => false,
                (false, false) => return Err(BY),
            };
        } else if request.is(at, "LIMIT") {
            options.limit = limit(request, at + 1, LIMIT_MAX)?;
        } else if request.is(at, "FORMAT") {
            options.format = named_format(request, at + 1)?;
        } else {
            return Err(SYNTAX);
        }
        Ok(())
    })?;
    Ok(options)
}

/// KS.SLOTS HASHTAGS [BY <BYTES | KEYS>] [LIMIT n] [FORMAT ..]
pub(super) async fn hashtags(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let options = parse(request)?;
    let scope = session.scope()?;
    let ask = |reply| Ask::Analytic(Analytic::Tags { reply });
    let answers = scope.ask_all(ask).await;
    let mut tags: Vec<(&TagSum, &Master)> = Vec::new();
    let mut all = 0u64;
    for (master, answer) in &answers {
        let Some(answer) = answer else { continue };
        let found = &answer.value;
        tags.extend(found.tags.iter().map(|tag| (tag, &**master)));
        all = all.saturating_add(if options.by_keys {
            found.keys
        } else {
            found.bytes
        });
    }
    let measure = |tag: &TagSum| if options.by_keys { tag.keys } else { tag.bytes };
    tags.sort_by_key(|(tag, master)| (Reverse(measure(tag)), tag.tag.clone(), master.id));
    let cut = tags.split_off(options.limit.min(tags.len()));
    let totals = tagged(&answers, &cut);
    let row = |(tag, master): (&TagSum, &Master)| {
        let is_whole = tag.tag.len() as u64 == tag.tag_len;
        let slot = is_whole.then(|| Slot::of(&tag.tag).number());
        vec![
            ("hashtag", Cell::Name(tag.tag.clone())),
            ("name_bytes", Cell::Count(tag.tag_len)),
            ("db", Cell::Count(tag.db.into())),
            (
                "slot",
                slot.map_or(Cell::Nothing, |slot| Cell::Count(slot.into())),
            ),
            ("keys", Cell::Count(tag.keys)),
            ("bytes", Cell::Count(tag.bytes)),
            ("share", Cell::share(measure(tag), all)),
            ("master", Cell::Text(master.name())),
        ]
    };
    let tables = vec![
        totals,
        Table::rows("hashtags", tags.into_iter().map(row).collect()),
    ];
    let (fresh, _) = split(answers);
    let notes = vec![
        "keys that have a hash tag only; counted by walks over all keys while the stream went on"
            .to_owned(),
    ];
    Ok(finish(&scope, &fresh, tables, notes, options.format))
}

/// All tags of each master, and the most that one of them can have that is not shown.
fn tagged(answers: &[Answered<Tagged>], cut: &[(&TagSum, &Master)]) -> Table {
    let mut most: BTreeMap<MasterId, (u64, u64)> = BTreeMap::new();
    for (tag, master) in cut {
        let (keys, bytes) = most.entry(master.id).or_default();
        (*keys, *bytes) = (tag.keys.max(*keys), tag.bytes.max(*bytes));
    }
    let row = |(master, answer): &Answered<Tagged>| {
        let found = &answer.as_ref()?.value;
        let (keys, bytes) = most.get(&master.id).copied().unwrap_or_default();
        let (keys, bytes) = (
            found.unlisted_keys.max(keys),
            found.unlisted_bytes.max(bytes),
        );
        Some(vec![
            ("master", Cell::Text(master.name())),
            ("keys", Cell::Count(found.keys)),
            ("bytes", Cell::Count(found.bytes)),
            ("unlisted_keys_max", Cell::Count(keys)),
            ("unlisted_bytes_max", Cell::Count(bytes)),
        ])
    };
    Table::rows("tagged", answers.iter().filter_map(row).collect())
}
