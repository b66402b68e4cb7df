//! Section 1: memory.

use super::kit::{Bench, many};
use super::on_all;

#[test]
fn hashes_that_larger_limits_would_pack() {
    on_all(|bench| {
        let short = |i: u32| format!("f{i} v{i}");
        bench.run(&["FLUSHALL", &many("HSET h", 512, short)]);
        bench.quiet("MEM-02");
        bench.run(&[&many("HSET h", 600, short)]);
        let found = bench.found("MEM-02");
        assert_eq!(found["keys"], 1);
        // Four times as many fields are no longer "somewhat" more.
        bench.run(&[&many("HSET h", 2100, short)]);
        bench.quiet("MEM-02");

        bench.run(&["FLUSHALL", &format!("HSET h a {} b c", "x".repeat(64))]);
        bench.quiet("MEM-03");
        bench.run(&[&format!("HSET h a {}", "x".repeat(65))]);
        bench.found("MEM-03");
        bench.quiet("MEM-08");
        bench.run(&["HSET h a short"]);
        bench.quiet("MEM-03");
        bench.found("MEM-08");
    });
}

#[test]
fn sets_that_larger_limits_would_pack() {
    on_all(|bench: &mut Bench| {
        bench.run(&["FLUSHALL", &many("SADD s", 512, |i| i.to_string())]);
        bench.quiet("MEM-05");
        bench.run(&[&many("SADD s", 600, |i| i.to_string())]);
        bench.found("MEM-05");
        bench.run(&["SADD s word"]);
        bench.quiet("MEM-05");
    });
}
