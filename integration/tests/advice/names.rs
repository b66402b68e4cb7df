//! Section 1, by pattern of names, and what patterns tell of expiries.

use super::check_all;
use super::kit::Case;

const SHAPES: &[Case] = &[
    Case::new(
        "MEM-01",
        &["lua for i=1,999 do redis.call('SET','user:'..i,'value') end"],
        &["SET user:1000 value"],
    ),
    Case::new(
        "MEM-09",
        &["lua for i=1,1100 do redis.call('SET','c:'..i,string.rep('x',200)) end"],
        &["lua for i=1,4000 do redis.call('SET','customer:profile:settings:'..i,'v') end"],
    ),
    Case::new(
        "MEM-10",
        &["lua for i=1,1100 do redis.call('HSET','r:'..i,'a',i,'b',i,'field'..i,i) end"],
        &[
            "lua for i=1,1100 do redis.call('HSET','rec:'..i,'first_name',i,'last_name',i,'birthday',i) end",
        ],
    ),
    Case::new(
        "MEM-11",
        &["lua for i=1,999 do for f=1,9 do \
           redis.call('HSET','rec:'..i,'name_of_field_'..f,i) end end"],
        &["lua for f=1,9 do redis.call('HSET','rec:1000','name_of_field_'..f,'x') end"],
    ),
];

const EXPIRIES: &[Case] = &[
    Case::new(
        "TTL-01",
        &[
            "lua for i=1,200 do redis.call('SET','app:a:'..i,'v','EX',1000) end",
            "lua for i=1,200 do redis.call('SET','app:b:'..i,'v','EX',1000) end",
        ],
        &["lua for i=1,200 do redis.call('SET','app:c:'..i,'v') end"],
    ),
    Case::new(
        "TTL-02",
        &[
            "lua for i=1,200 do redis.call('SET','k:'..i,'v','EX',1000) end",
            "lua for i=1,200 do redis.call('SET','k:'..i,'w','KEEPTTL') end",
        ],
        &["lua for i=1,100 do redis.call('SET','k:'..i,'v') end"],
    ),
];

#[test]
fn patterns_that_another_shape_would_hold() {
    check_all(SHAPES);
}

#[test]
fn patterns_without_their_expiries() {
    check_all(EXPIRIES);
}
