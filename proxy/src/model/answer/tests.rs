use std::sync::Arc;

use analyzer::Text;
use analyzer::input::Command;
use analyzer::profile::{Family, Profile, Version};
use tokio::sync::oneshot;

use super::*;
use crate::config;
use crate::fleet::Counters;
use crate::model::analytic::Analytic;
use crate::model::fixture;

const KEYS: u32 = 40_000;

/// Databases 0 and 1, whose keys have names of their own.
fn mirror() -> Mirror {
    let profile = Profile::defaults(Family::Redis, Version::new(7, 0));
    let plan = analyzer::census::Plan::default();
    let mut mirror = Mirror::new(profile, 7, plan, Counters::default());
    let keys = (0..2).flat_map(|db| (0..KEYS).map(move |n| (db, format!("{db}:{n}"))));
    fixture::load(&mut mirror.keyspace, keys);
    mirror
}

fn swap(mirror: &mut Mirror, end_offset: u64) {
    let argv = [&b"SWAPDB"[..], b"0", b"1"].map(Text::Bytes);
    let (db, now_ms) = (0, 1);
    mirror.keyspace.apply(&Command {
        db,
        argv: &argv,
        now_ms,
        end_offset,
    });
}

/// Slices take a time and not a number of keys, so a walk is disturbed wherever it stands.
#[test]
fn a_walk_meets_every_key_once_though_databases_are_exchanged() {
    let mut mirror = mirror();
    let mut walks = Walks::default();
    for swaps in 1..6 {
        let (reply, mut answer) = oneshot::channel();
        let filter = Filter {
            kind: None,
            glob: None,
        };
        walks.push(0, Job::walk(None, filter, WALK_MAX, reply));
        for slice in 0.. {
            if !walks.pending() {
                break;
            }
            walks.slice(&mut mirror, true);
            if slice < swaps {
                swap(&mut mirror, 10 + swaps * 10 + slice);
            }
        }
        let walked = answer.try_recv().expect("answered").value;
        let mut names: Vec<Vec<u8>> = walked.rows.into_iter().map(|row| row.key).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 2 * KEYS as usize, "{swaps} swaps");
    }
}

#[test]
fn what_nobody_waits_for_is_not_forgotten() {
    let mut mirror = mirror();
    let mut walks = Walks::default();
    let config = config::Advice {
        every: Duration::ZERO,
        survey_every: Duration::ZERO,
        limits: Arc::default(),
    };
    let advise = Advise::new(&config, clock::now());
    let mut ask = |mirror: &mut Mirror, reply| {
        let ask = Analytic::PatternFlows { reply };
        let fresh = mirror.freshness(true);
        analytic::answer(ask, mirror, (&mut walks, &advise), fresh);
    };
    let argv = [&b"SET"[..], b"new", b"v"].map(Text::Bytes);
    mirror.keyspace.apply(&Command {
        db: 0,
        argv: &argv,
        now_ms: 1,
        end_offset: 20,
    });
    let (reply, gone) = oneshot::channel();
    drop(gone);
    ask(&mut mirror, reply);
    let (reply, mut answer) = oneshot::channel();
    ask(&mut mirror, reply);
    let told = answer.try_recv().expect("answered").value;
    let named = told.named.values().map(|flow| flow.created);
    assert_eq!(named.sum::<u64>() + told.rest.created, 1);
}
