//! Counted and uncounted models give the same answers.

use analyzer::Profile;
use analyzer::keyspace::Detail;
use analyzer::profile::{Family, Version};
use tokio::sync::oneshot;

use super::*;
use crate::model::ask::Generation;
use crate::model::fixture;

/// Keys of a tag in databases 0 and 3: `{a}0`, `{a}1`, .. share a slot.
fn keyspace(cluster: bool) -> Keyspace {
    let mut profile = Profile::defaults(Family::Redis, Version::new(7, 0));
    profile.cluster = cluster;
    let mut keyspace = Keyspace::new(profile, 7).with_slots(slot_of);
    let keys = (0..3000_u32).map(|n| {
        let tag = ["a", "b", "c"][n as usize % 3];
        (if n % 10 == 0 { 3 } else { 0 }, format!("{{{tag}}}{n}"))
    });
    fixture::load(&mut keyspace, keys);
    keyspace
}

fn set(tag: &[u8]) -> Slots {
    Slots::from_iter([Slot::of(tag)])
}

fn fresh() -> Freshness {
    Freshness {
        replid: "".into(),
        offset: 9,
        generation: Generation::Current,
        detail: Detail::default(),
    }
}

/// The sums of a database, and how many slices that took.
fn all(keyspace: &Keyspace, db: Option<u32>) -> (Vec<SlotTotal>, u32) {
    let (reply, mut answer) = oneshot::channel();
    let mut slices = 0;
    if let Some(mut tally) = sums(keyspace, db, reply, fresh()) {
        slices = 1;
        while !tally.advance(keyspace, 200) {
            slices += 1;
        }
        tally.finish(fresh());
    }
    (answer.try_recv().expect("answered").value, slices)
}

#[test]
fn sums_are_the_same_counted_or_walked() {
    let (counted, walked) = (keyspace(true), keyspace(false));
    for (db, keys) in [(None, 3000), (Some(0), 2700), (Some(3), 300), (Some(9), 0)] {
        let (kept, slices) = all(&counted, db);
        assert_eq!(slices, 0, "what is counted needs no walk");
        let (found, slices) = all(&walked, db);
        assert!(slices > 1 || db == Some(9), "{slices} slices");
        assert_eq!(found.len(), kept.len());
        for (kept, found) in kept.iter().zip(&found) {
            assert_eq!((kept.slot, kept.keys), (found.slot, found.keys));
        }
        assert_eq!(found.iter().map(|total| total.keys).sum::<u64>(), keys);
    }
    let one = |keyspace: &Keyspace| {
        let (reply, mut answer) = oneshot::channel();
        let at = (Some(0), slot_of(b"a"));
        if let Some(mut tally) = count(keyspace, at, reply, fresh()) {
            while !tally.advance(keyspace, 200) {}
            tally.finish(fresh());
        }
        answer.try_recv().expect("answered").value
    };
    assert_eq!((one(&counted), one(&walked)), (900, 900));
}

#[test]
fn names_of_a_slot_are_found_without_walking_on_for_more() {
    let (counted, walked) = (keyspace(true), keyspace(false));
    for (keyspace, limit, found) in [
        (&counted, 5, 5),
        (&counted, usize::MAX, 100),
        (&counted, 0, 0),
        (&walked, usize::MAX, 100),
        (&walked, 0, 0),
    ] {
        let (reply, mut answer) = oneshot::channel();
        let mut named = Named::new((3, set(b"b")), limit, reply);
        while !named.advance(keyspace, 20) {}
        named.finish(fresh());
        let names = answer.try_recv().expect("answered").value;
        assert_eq!(names.len(), found);
        assert!(names.iter().all(|name| name.starts_with(b"{b}")));
    }
    let (reply, _answer) = oneshot::channel();
    let mut named = Named::new((0, set(b"nobody")), 10, reply);
    assert!(
        named.advance(&counted, 1),
        "the count says that there is none"
    );
}

#[test]
fn a_tally_begins_anew_with_another_generation() {
    let walked = keyspace(false);
    let (reply, mut answer) = oneshot::channel();
    let mut tally = sums(&walked, None, reply, fresh()).expect("a walk");
    tally.advance(&walked, 500);
    tally.restart();
    while !tally.advance(&walked, 500) {}
    assert!(!tally.is_abandoned());
    tally.finish(fresh());
    let sums = answer.try_recv().expect("answered").value;
    assert_eq!(sums.iter().map(|total| total.keys).sum::<u64>(), 3000);
}
