//! KS.GROWTH: its forecast against the limits that a real server and the operator name.

use integration::resp::Client;
use integration::wait;
use serde_json::Value;

use crate::heat::json;
use crate::scene::{self, PATIENCE};

/// Bytes that the container of the test may take, and maxmemory.
const CONTAINER: u64 = 4 << 30;
const MAXMEMORY: u64 = 3 << 30;

/// So many keys more.
fn grow(client: &mut Client, from: u64) {
    let value = "v".repeat(1000);
    for n in from..from + 200 {
        client.push(&["SET", &format!("grown:{n}"), &value]);
    }
    client.flush().expect("send");
    for _ in 0..200 {
        assert!(!client.read().expect("a reply").is_error());
    }
}

fn forecast(told: &Value, limit: &str) -> Option<Value> {
    let rows = told["forecast"].as_array().expect("rows").iter();
    let mut own = rows.filter(|row| row["limit"] == limit);
    own.next().cloned()
}

#[test]
fn the_forecast_knows_maxmemory_and_the_container() {
    let maxmemory = MAXMEMORY.to_string();
    let server = scene::server("redis-7.0", &[("maxmemory", &maxmemory)]);
    let name = server.addr.to_string();
    let limits = format!("[container]\nlimit = \"1TiB\"\nlimits = [\"{name}={CONTAINER}\"]\n");
    let app = scene::follow(&server, &limits);
    let mut client = server.client().expect("connect");
    let (mut written, mut told) = (0, Value::Null);
    // Ten points of a second each that rise, and a look at INFO.
    wait::for_true(PATIENCE, "a forecast for both limits", || {
        grow(&mut client, written);
        written += 200;
        told = json(&app, &["KS.GROWTH", "WINDOW", "60s"]);
        let sure = |limit| {
            let row = forecast(&told, limit);
            row.is_some_and(|row| row["full_in_s"].is_i64() && row["confidence"] != "none")
        };
        Ok(sure("maxmemory") && sure("container"))
    })
    .unwrap_or_else(|error| panic!("{error:#}: {told}"));
    let rows = told["forecast"].as_array().expect("rows");
    assert_eq!(rows.len(), 2, "{told}");
    let expected = [
        ("maxmemory", MAXMEMORY, "used_memory"),
        ("container", CONTAINER, "used_memory_rss"),
    ];
    for (limit, bytes, measure) in expected {
        let row = forecast(&told, limit).expect("a row");
        assert_eq!(row["limit_bytes"], bytes, "{row}");
        assert_eq!(row["measure"], measure, "{row}");
        let times = ["earliest_in_s", "full_in_s"].map(|time| row[time].as_i64());
        assert!(times[0] <= times[1] && times[0] > Some(0), "{row}");
    }
    let (_, body) = app.get("/metrics").expect("a scrape");
    let mut lines = body.lines();
    let limit = lines.find(|line| line.starts_with("keyscape_server_container_limit_bytes{"));
    let said = format!("keyscape_server_container_limit_bytes{{master=\"{name}\"}} {CONTAINER}");
    assert_eq!(limit, Some(said.as_str()));
}

#[test]
fn without_a_limit_the_forecast_is_about_the_host() {
    let server = scene::server("valkey-9.1", &[]);
    let app = scene::follow(&server, "");
    wait::for_true(PATIENCE, "a look at INFO", || {
        let told = json(&app, &["KS.GROWTH"]);
        let row = forecast(&told, "total_system_memory");
        Ok(row.is_some_and(|row| row["limit_bytes"].is_i64() && row["confidence"] == "none"))
    })
    .expect("the host's memory");
}
