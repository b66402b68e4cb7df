//! What keys would be elsewhere: rules of a load, walks in pieces, large collections by a part.

mod kit;

use analyzer::profile::{Family, Version};
use analyzer::value::Encoding;
use analyzer::whatif::{FormChange, Goal, Guess, Outcome, WhatIf};
use analyzer::{Keyspace, Profile};
use kit::Driver;

fn profile(goal: &[(&str, &str)], server: Option<&str>, from: &Profile) -> Profile {
    let options = goal.iter().map(|&(k, v)| (k.to_owned(), v.to_owned()));
    let goal = Goal {
        server: server.map(str::to_owned),
        options: options.collect(),
        allocator: None,
    };
    goal.profile(from).expect("a goal that is known")
}

fn ask(keyspace: &Keyspace, to: &Profile) -> Outcome {
    let mut walk = WhatIf::new(keyspace.profile(), to, 3);
    while !keyspace.what_if(&mut walk, 100) {}
    walk.outcome()
}

fn only(outcome: &Outcome) -> FormChange {
    let [row] = outcome.forms[..] else {
        panic!("one row: {outcome:?}");
    };
    row
}

#[test]
fn a_load_gives_back_the_room_of_growth() {
    let mut d = Driver::new();
    d.line("SET k 01234567890123456789012345678901234567890123456789");
    d.line("APPEND k x");
    let row = only(&ask(&d.keyspace, &d.keyspace.profile().clone()));
    assert!(row.sum.now > row.sum.reload);
    assert_eq!(row.sum.reload, row.sum.then);
}

#[test]
fn encodings_are_those_of_a_load() {
    let mut d = Driver::on(Profile::defaults(Family::Redis, Version::new(8, 0)));
    let from = d.keyspace.profile().clone();
    let long = "v".repeat(100);
    for n in 0..100 {
        d.line(&format!("HSET h f{n} v"));
    }
    // Few fields stay a blob, however long they are; more than the limit become a table.
    let shorter = profile(&[("hash-max-listpack-value", "1")], None, &from);
    assert_eq!(only(&ask(&d.keyspace, &shorter)).then, Encoding::Listpack);
    let fewer = profile(&[("hash-max-listpack-entries", "64")], None, &from);
    let row = only(&ask(&d.keyspace, &fewer));
    assert_eq!(
        (row.now, row.then),
        (Encoding::Listpack, Encoding::Hashtable)
    );
    assert!(row.sum.then > row.sum.reload);
    // A table becomes a blob if its fields are short enough.
    d.line(&format!("HSET h long {long}"));
    let longer = profile(&[("hash-max-listpack-value", "100")], None, &from);
    let row = only(&ask(&d.keyspace, &longer));
    assert_eq!(
        (row.now, row.then),
        (Encoding::Hashtable, Encoding::Listpack)
    );
    let same = only(&ask(&d.keyspace, &from));
    assert_eq!(same.then, Encoding::Hashtable);
}

#[test]
fn field_expiries_that_another_server_lacks_are_said() {
    let mut d = Driver::on(Profile::defaults(Family::Redis, Version::new(8, 0)));
    let from = d.keyspace.profile().clone();
    d.line("HSET h a 1 b 2");
    d.line("HPEXPIREAT h 4000000000000 FIELDS 1 a");
    let there = ask(&d.keyspace, &profile(&[], Some("valkey-9.1"), &from));
    assert_eq!(only(&there).then, Encoding::Hashtable);
    assert_eq!(there.guesses, []);
    let lost = ask(&d.keyspace, &profile(&[], Some("valkey-8.1"), &from));
    assert_eq!(only(&lost).then, Encoding::Listpack);
    assert_eq!(lost.guesses, [(Guess::FieldExpiry, 1)]);
}

#[test]
fn options_that_a_server_lacks_are_refused() {
    let from = Profile::defaults(Family::Redis, Version::new(7, 0));
    for (name, value) in [
        ("set-max-listpack-entries", "1"),
        ("maxmemory", "1"),
        ("hash-max-listpack-entries", "many"),
    ] {
        let goal = Goal {
            options: vec![(name.to_owned(), value.to_owned())],
            ..Goal::default()
        };
        assert!(goal.profile(&from).is_err(), "{name} {value}");
    }
}

#[test]
fn a_walk_meets_every_key_once_while_others_come_and_go() {
    let mut d = Driver::new();
    for n in 0..5_000 {
        d.line(&format!("SET stay:{n} {n}"));
    }
    let profile = d.keyspace.profile().clone();
    let mut walk = WhatIf::new(&profile, &profile, 0);
    let mut n = 0;
    while !d.keyspace.what_if(&mut walk, 500) {
        for _ in 0..50 {
            d.line(&format!("SET more:{n} x"));
            d.line(&format!("DEL more:{}", n / 3));
            n += 1;
        }
    }
    assert!(n > 1_000, "in pieces");
    let numbers = walk.outcome().forms;
    let ints = numbers.iter().find(|row| row.now == Encoding::Int);
    assert_eq!(ints.map(|row| row.sum.keys), Some(5_000));
}

#[test]
fn a_part_of_a_large_collection_stands_for_it() {
    let mut d = Driver::new();
    let mut small = Driver::new();
    for n in 0..60_000 {
        let line = format!("HSET h field:{n} {}", "v".repeat(n % 90));
        d.line(&line);
        if n < 10_000 {
            small.line(&line);
        }
    }
    let to = profile(&[], Some("valkey-8.0"), d.keyspace.profile());
    let part = ask(&d.keyspace, &to);
    assert_eq!(part.guesses, [(Guess::Sampled, 1)]);
    // The table aside, six times the fields are six times the bytes.
    let (large, tenth) = (only(&part).sum, only(&ask(&small.keyspace, &to)).sum);
    let fields = |sum: u64, table: u64| sum - 8 * table;
    let (large, tenth) = (fields(large.then, 65_536), fields(tenth.then, 16_384));
    let off = large.abs_diff(6 * tenth);
    assert!(off * 500 < large, "{large} and six times {tenth}");
    let mut all = part;
    all.seen = 1;
    let totals = d.keyspace.totals();
    let before = only(&all).sum;
    all.extend_to(&totals);
    assert_eq!(only(&all).sum.now, before.now);
}
