//! Section 3, first half: expiries.

use super::check_all;
use super::kit::Case;

const CASES: &[Case] = &[
    Case::new(
        "TTL-03",
        &[
            "DEBUG SET-ACTIVE-EXPIRE 0",
            "lua for i=1,2000 do redis.call('SET','k'..i,'v','EX',1000) end",
        ],
        // Our own audit reads a key a second, and the server deletes it then.
        &["lua for i=1,1000 do redis.call('PEXPIRE','k'..i,1) end"],
    ),
    Case::new(
        "TTL-04",
        &[
            "DEBUG SET-ACTIVE-EXPIRE 1",
            "lua for i=1,1500 do redis.call('SET','k'..i,'v','EX',100+i*50) end",
        ],
        &["lua for i=1,1000 do redis.call('SET','k'..i,'v','EX',600) end"],
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
    check_all(CASES);
}
