//! What one look at a server does not tell: collections that only grow, groups that stand still, and
//! figures that servers only make up while keys expire.
//!
//! Nothing here takes as long as a rule would wait: its threshold of time is 0, so that the second of
//! two surveys is enough.

use integration::wait::{self, PATIENCE};

use super::kit::{Bench, Case};
use super::{SERVERS, on_all};

const AT_ONCE: &str = "KEY-09 = { hours = 0 }\nKEY-10 = { minutes = 0 }\n\
    MEM-07 = { keys = 100, seconds = 1 }\n";

fn on_all_at_once(check: impl Fn(&mut Bench)) {
    for name in SERVERS {
        let mut bench = Bench::start_tuned(name, AT_ONCE, |_| {}).expect("a server and Keyscape");
        check(&mut bench);
    }
}

#[test]
fn collections_that_only_grow() {
    on_all_at_once(|bench| {
        bench.run(&["lua for i=1,3000 do redis.call('RPUSH','log',i) end"]);
        bench.quiet("KEY-09");
        bench.run(&["lua for i=1,3000 do redis.call('RPUSH','log',i) end"]);
        let found = bench.found("KEY-09");
        assert_eq!(found["keys"], 1, "{found}");
        // It is trimmed, and so it has an end.
        bench.run(&["LTRIM log -3000 -1"]);
        bench.quiet("KEY-09");
    });
    // A day is far.
    on_all(|bench| {
        bench.run(&["lua for i=1,3000 do redis.call('RPUSH','log',i) end"]);
        bench.quiet("KEY-09");
        bench.run(&["lua for i=1,3000 do redis.call('RPUSH','log',i) end"]);
        bench.quiet("KEY-09");
    });
}

#[test]
fn groups_that_stand_still() {
    let case = Case::new(
        "KEY-10",
        &[
            "XADD jobs 1-1 a 1",
            "XGROUP CREATE jobs g 0",
            "XREADGROUP GROUP g c STREAMS jobs >",
        ],
        &["XADD jobs 2-1 a 1"],
    );
    on_all_at_once(|bench| {
        case.check(bench);
        bench.run(&["XREADGROUP GROUP g c STREAMS jobs >"]);
        bench.quiet("KEY-10");
    });
    // An hour has not passed.
    on_all(|bench| {
        bench.run(case.near);
        bench.run(case.hit);
        bench.quiet("KEY-10");
    });
}

/// What a server says of its keys with an expiry: how many in a hundred are past it.
fn stale(bench: &mut Bench) -> f64 {
    let info = bench.client.ask(&["INFO", "stats"]).expect("INFO").string();
    let stale = integration::resp::field_of(&info, "expired_stale_perc");
    stale.and_then(|text| text.parse().ok()).expect("a number")
}

#[test]
fn expiry_cycles_that_meet_many_expired_keys() {
    const TUNED: &str = "TTL-03 = { stale_percent = 1 }\n";
    for name in SERVERS {
        let mut bench = Bench::start_tuned(name, TUNED, |_| {}).expect("a server and Keyscape");
        bench.run(&["SET k v"]);
        bench.quiet("TTL-03");
        wait::for_true(PATIENCE, "the server to meet expired keys", || {
            bench.run(&[
                "DEBUG SET-ACTIVE-EXPIRE 1",
                "lua for i=1,20000 do redis.call('SET','k'..i,'v','PX',1) end",
            ]);
            if stale(&mut bench) < 2.0 {
                return Ok(false);
            }
            // The figure stays when no cycle runs any more.
            bench.run(&["DEBUG SET-ACTIVE-EXPIRE 0"]);
            Ok(stale(&mut bench) > 1.5)
        })
        .expect("a figure");
        // No key is left that is past its expiry.
        bench.run(&["FLUSHALL", "SET k v"]);
        bench.found("TTL-03");
        bench.run(&["DEBUG SET-ACTIVE-EXPIRE 1"]);
        wait::for_true(PATIENCE, "cycles that meet none", || {
            Ok(stale(&mut bench) < 0.5)
        })
        .expect("a figure");
        bench.quiet("TTL-03");
    }
}

#[test]
fn packed_collections_that_grow_towards_their_limit() {
    let grow = |bench: &mut Bench, from: u32, to: u32| {
        let script = format!(
            "lua for i=1,120 do for f={from},{to} do redis.call('HSET','cart:'..i,f,'v') end end"
        );
        bench.run(&[&script]);
    };
    on_all_at_once(|bench| {
        // Nine tenths of 512 are 460.8.
        grow(bench, 1, 440);
        bench.quiet("MEM-07");
        grow(bench, 441, 480);
        let found = bench.found("MEM-07");
        assert_eq!(found["keys"], 120, "{found}");
        // What has become a table is no longer ahead.
        grow(bench, 481, 513);
        bench.quiet("MEM-07");
    });
    // As many that do not grow are close, and stay so.
    for name in SERVERS {
        let fill = |client: &mut integration::resp::Client| {
            let script =
                "for i=1,120 do for f=1,480 do redis.call('HSET','cart:'..i,f,'v') end end";
            let reply = client.ask(&["EVAL", script, "0"]).expect("a reply");
            assert!(!reply.is_error(), "{reply:?}");
        };
        let mut bench = Bench::start_tuned(name, AT_ONCE, fill).expect("a server and Keyscape");
        bench.run(&["SET k v"]);
        bench.quiet("MEM-07");
    }
}
