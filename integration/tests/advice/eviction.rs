//! Section 3, second half: when memory is full.

use super::kit::{Bench, Case};
use super::{check_all, on_all};

const CASES: &[Case] = &[
    Case::new(
        "EVI-01",
        &["CONFIG SET maxmemory 1gb"],
        &["CONFIG SET maxmemory 0"],
    ),
    Case::new(
        "EVI-02",
        &["CONFIG SET maxmemory 1gb"],
        &["CONFIG SET maxmemory 9000gb"],
    ),
    Case::new(
        "EVI-04",
        &[
            "CONFIG SET maxmemory 1gb",
            "CONFIG SET maxmemory-policy volatile-lru",
            "SET a value EX 1000",
            "SET b value",
        ],
        &["lua for i=1,20 do redis.call('SET','k'..i,'value') end"],
    ),
    Case::new(
        "EVI-05",
        &[
            "CONFIG SET maxmemory 1gb",
            "CONFIG SET maxmemory-policy allkeys-lru",
            "SET cache:1 value",
        ],
        &["RPUSH jobs one"],
    ),
    Case::new(
        "EVI-05",
        &["SET session:1 value EX 1000"],
        &["PERSIST session:1"],
    ),
    Case::new(
        "EVI-08",
        &["CONFIG SET maxmemory-samples 5"],
        &["CONFIG SET maxmemory-samples 4"],
    ),
];

#[test]
fn limits_and_policies() {
    check_all(CASES);
}

fn used(bench: &mut Bench) -> u64 {
    let info = bench
        .client
        .ask(&["INFO", "memory"])
        .expect("INFO")
        .string();
    let used = integration::resp::field_of(&info, "used_memory");
    used.and_then(|text| text.parse().ok()).expect("a number")
}

#[test]
fn memory_that_is_nearly_full() {
    on_all(|bench| {
        bench.run(&[
            "CONFIG SET maxmemory-policy noeviction",
            "CONFIG SET maxmemory 1gb",
            // Beside this, the buffers of those who ask do not count.
            "SETRANGE large 50000000 x",
        ]);
        bench.quiet("EVI-03");
        let limit = used(bench) / 100 * 105;
        bench.run(&[&format!("CONFIG SET maxmemory {limit}")]);
        bench.found("EVI-03");
    });
}

#[test]
fn keys_that_are_evicted_before_they_expire() {
    on_all(|bench| {
        bench.run(&[
            "CONFIG SET maxmemory-policy allkeys-lru",
            "lua for i=1,5000 do redis.call('SET','k'..i,string.rep('x',1000),'EX',1000) end",
        ]);
        bench.quiet("EVI-07");
        let limit = used(bench) - 1_000_000;
        bench.run(&[&format!("CONFIG SET maxmemory {limit}")]);
        bench.found("EVI-07");
        // One key without an expiry, and evictions may be meant.
        bench.run(&["SET lasting value"]);
        bench.quiet("EVI-07");
    });
}

#[test]
fn few_keys_with_most_writes() {
    on_all(|bench| {
        bench.run(&[
            "CONFIG SET maxmemory 1gb",
            "CONFIG SET maxmemory-policy allkeys-lru",
            "lua for r=1,3 do for i=1,300 do redis.call('SET','k'..i,'v') end end",
        ]);
        bench.quiet("EVI-06");
        bench.found_after("EVI-06", |bench| {
            bench.run(&["lua for r=1,5000 do for i=1,3 do redis.call('SET','k'..i,r) end end"]);
        });
        bench.run(&["CONFIG SET maxmemory-policy allkeys-lfu"]);
        bench.quiet("EVI-06");
    });
}
