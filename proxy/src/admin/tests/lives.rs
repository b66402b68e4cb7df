//! KS.TTL over several masters.

use analyzer::value::Kind;

use super::deployed::{cluster, json, spread};
use super::owner::key;
use super::*;

#[tokio::test]
async fn lives_of_several_masters_are_added_up() {
    let [mut a, mut b, c] = spread();
    let now = crate::admin::points::now_ms();
    let minute = now - now % 60_000;
    let (soon, past) = (minute + 90_000, minute - 1);
    // 1500 keys of one master end in the same minute, and two elsewhere.
    for n in 0..1500 {
        let name = format!("{{b}}storm{n}").into_bytes();
        a.insert((0, name), key(Kind::String, 1, 100, Some(soon)));
    }
    b.insert((0, b"{c}x".to_vec()), key(Kind::String, 1, 7, Some(soon)));
    b.insert((0, b"{c}y".to_vec()), key(Kind::String, 1, 5, Some(past)));
    b.insert(
        (0, b"{c}z".to_vec()),
        key(Kind::String, 1, 3, Some(i64::MAX)),
    );
    let (_rig, mut c) = cluster("", [a, b, c]).await;
    let told = json(&mut c, "KS.TTL").await;
    // The minute may have changed since.
    let first = told["next_minutes"][0]["in_minutes"]
        .as_i64()
        .expect("a minute");
    assert!((0..=1).contains(&first), "{told}");
    assert_eq!(told["next_minutes"][0]["at"], soon.div_euclid(60_000) * 60);
    assert_eq!(told["next_minutes"][0]["keys"], 1501);
    assert_eq!(told["next_minutes"][0]["bytes"], 150_007);
    assert_eq!(told["next_minutes"][0]["storm"], true);
    assert_eq!(told["next_hours"][0]["keys"], 1501);
    assert_eq!(told["total"]["no_ttl_keys"], 6);
    assert_eq!(told["total"]["no_ttl_bytes"], 210);
    assert_eq!(told["total"]["expired_resident_bytes"], 5);
    assert_eq!(told["storms"].as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!(told["storms"][0]["keys"], 1500);
    assert_eq!(told["storms"][0]["master"], "10.0.1.1:7001");
    let lives = told["by_life"].as_array().expect("rows");
    let bytes: u64 = lives.iter().filter_map(|row| row["bytes"].as_u64()).sum();
    assert_eq!(bytes, 150_015 + 210, "every byte has one life");
    assert_eq!(lives.last().map(|row| row["bytes"].as_u64()), Some(Some(3)));

    let some = json(&mut c, "KS.TTL MATCH {c}*").await;
    assert_eq!(some["total"]["keys"], 5);
    assert_eq!(some["total"]["expiring_keys"], 2);
    let both = "KS.TTL MATCH\r\nKS.TTL MATCH a* PATTERN b\r\n";
    exchange(&mut c, both, &"-ERR syntax error\r\n".repeat(2)).await;
}
