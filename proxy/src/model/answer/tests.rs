use analyzer::Text;
use analyzer::input::Command;
use analyzer::profile::{Family, Profile, Version};
use tokio::sync::oneshot;

use super::*;
use crate::fleet::Counters;
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
