//! Section 1, second half: memory that is not in keys. Each server is fresh: fragmentation and peaks
//! remember what came before.

use super::kit::Bench;
use super::{SERVERS, on_all};

#[test]
fn memory_that_is_not_in_keys() {
    on_all(|bench| {
        bench.all_quiet(&["MEM-26", "MEM-27", "MEM-28", "MEM-29", "MEM-30", "MEM-31"]);
        bench.run(&[
            "lua for i=1,500 do redis.call('SET','k'..i,'v') end",
            "SELECT 1",
            "SET k v",
        ]);
        bench.found("MEM-31");
        bench.run(&["SELECT 0", "SCRIPT FLUSH"]);
        load(bench, 0, 10);
        bench.quiet("MEM-29");
        load(bench, 10, 11);
        assert_eq!(bench.found("MEM-29")["severity"], "low");
        load(bench, 11, 500);
        assert_eq!(bench.found("MEM-29")["severity"], "medium");
    });
}

/// Scripts that are the same but for a number.
fn load(bench: &mut Bench, from: u32, to: u32) {
    for n in from..to {
        let script = format!("return {n}");
        let reply = bench.client.ask(&["SCRIPT", "LOAD", &script]);
        assert!(!reply.expect("a reply").is_error());
    }
}

#[test]
fn buffers_of_a_client_that_sends_half_a_command() {
    on_all(|bench| {
        bench.quiet("MEM-30");
        let mut slow = bench.another();
        slow.push_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20000000\r\n");
        slow.push_raw(&vec![b'x'; 15_000_000]);
        slow.flush().expect("sent");
        bench.found("MEM-30");
    });
}

#[test]
fn memory_that_was_used_or_reserved() {
    on_all(|bench| {
        // More than half of each block is never touched.
        bench.run(&["lua for i=1,40 do redis.call('SETRANGE','k'..i,900000,'x') redis.call('APPEND','k'..i,string.rep('x',200000)) end"]);
        bench.found("MEM-28");
        bench.run(&["FLUSHALL"]);
        bench.found("MEM-26");
    });
}

/// Every second block is freed, of pages that have several.
fn free_half(bench: &mut Bench) {
    bench.run(&["CONFIG SET activedefrag no"]);
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let value = "x".repeat(600);
    bench.write(160_000, |n| words(&["SET", &format!("k{n}"), &value]));
    // Buffers of a link that was slow leave free pages behind as well.
    bench.calms("MEM-27", |bench| bench.run(&["MEMORY PURGE"]));
    bench.write(80_000, |n| words(&["DEL", &format!("k{}", n * 2)]));
    bench.found("MEM-27");
}

#[test]
fn pages_that_are_partly_free() {
    on_all(free_half);
}

#[test]
fn pages_that_are_partly_free_by_the_allocator_alone() {
    // By what is resident it would never hold.
    const TUNED: &str = "MEM-27 = { ratio_percent = 100000 }\n";
    for name in SERVERS {
        let mut bench = Bench::start_tuned(name, TUNED, |_| {}).expect("a server and Keyscape");
        free_half(&mut bench);
    }
}

#[test]
fn builds_that_are_wider_than_they_need_to_be() {
    for name in SERVERS {
        let mut bench = Bench::start_enabled(name, "MEM-32").expect("a server and Keyscape");
        bench.found("MEM-32");
        bench.run(&["lua for i=1,20000 do redis.call('SET','k'..i,string.rep('x',100)) end"]);
        bench.quiet("MEM-32");
    }
}
