//! Section 1, second half: memory that is not in keys. Each server is fresh: fragmentation and peaks
//! remember what came before.

use super::on_all;

#[test]
fn memory_that_is_not_in_keys() {
    on_all(|bench| {
        for rule in ["MEM-26", "MEM-27", "MEM-28", "MEM-29", "MEM-30", "MEM-31"] {
            bench.quiet(rule);
        }
        bench.run(&[
            "lua for i=1,500 do redis.call('SET','k'..i,'v') end",
            "SELECT 1",
            "SET k v",
        ]);
        bench.found("MEM-31");
        bench.run(&["SELECT 0"]);
        for n in 0..500 {
            let script = format!("return {n}");
            let reply = bench
                .client
                .ask(&["SCRIPT", "LOAD", &script])
                .expect("a reply");
            assert!(!reply.is_error(), "{reply:?}");
        }
        bench.found("MEM-29");
    });
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

#[test]
fn pages_that_are_partly_free() {
    on_all(|bench| {
        bench.run(&["CONFIG SET activedefrag no"]);
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let value = "x".repeat(600);
        bench.write(160_000, |n| words(&["SET", &format!("k{n}"), &value]));
        bench.quiet("MEM-27");
        bench.write(80_000, |n| words(&["DEL", &format!("k{}", n * 2)]));
        bench.found("MEM-27");
    });
}
