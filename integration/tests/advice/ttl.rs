//! Section 3, first half: expiries.

use integration::resp::Client;

use super::SERVERS;
use super::kit::{Bench, Case};

const LATE: Case = Case::new(
    "TTL-03",
    &["lua for i=1,2000 do redis.call('SET','k'..i,'v','EX',1000) end"],
    // Our own audit reads a key a second, and the server deletes it then.
    &["lua for i=1,1000 do redis.call('PEXPIRE','k'..i,1) end"],
);

const CASES: &[Case] = &[
    Case::new(
        "TTL-04",
        &[
            "DEBUG SET-ACTIVE-EXPIRE 1",
            "lua for i=1,1500 do redis.call('SET','k'..i,'v','EX',100+i*50) end",
        ],
        // More than twice the threshold: one of two minutes has enough where a minute ends meanwhile.
        &["lua for i=1,2200 do redis.call('SET','k'..i,'v','EX',600) end"],
    ),
    Case::new(
        "TTL-06",
        &["SET a 1 EX 31536000"],
        // Milliseconds taken for seconds.
        &["SET a 1 EX 604800000"],
    ),
];

#[test]
fn expiries_late_at_once_and_absurd() {
    for name in SERVERS {
        // Before Keyscape comes: behind a DEBUG it looks at every key anew, since it may have been a
        // RELOAD, and then the server deletes those that are expired.
        let leave_expired = |client: &mut Client| {
            let reply = client.ask(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
            reply.expect("a reply");
        };
        let mut bench = Bench::start_with(name, leave_expired).expect("a server and Keyscape");
        LATE.check(&mut bench);
        CASES.iter().for_each(|case| case.check(&mut bench));
    }
}
