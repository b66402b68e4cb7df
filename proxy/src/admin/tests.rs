//! The port as clients see it, over real sockets, on owners that answer from a list of keys.

mod deployed;
mod lives;
mod merged;
mod owner;
mod rebalance;
mod sentinels;

use std::sync::Arc;
use std::time::Duration;

use analyzer::value::Kind;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::owner::{Keys, key, owner};
use crate::config;
use crate::fleet::{Build, Fleet, State, Status, testing};
use crate::model::ask::Generation;

/// A running port.
struct Rig {
    address: std::net::SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

async fn rig(config: config::Admin, masters: Vec<Keys>, generation: Generation) -> Rig {
    let fleet = Fleet::new(Build {
        version: "0.1.0",
        run_id: "c".repeat(40),
        started_ms: 1,
    });
    for (id, keys) in masters.into_iter().enumerate() {
        let id = u32::try_from(id).expect("few masters");
        let (master, seat) = testing::master(id);
        let status = Status {
            state: State::Synced,
            generation,
            offset: 1234,
            ..Status::default()
        };
        seat.status
            .send(Arc::new(status))
            .expect("the fleet listens");
        fleet.add(master);
        tokio::spawn(owner(seat, keys));
    }
    serve(fleet, config).await
}

async fn serve(fleet: Arc<Fleet>, config: config::Admin) -> Rig {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let stop = CancellationToken::new();
    let run = super::run(listener, fleet, Arc::new(config), stop.clone());
    Rig {
        address,
        stop,
        task: tokio::spawn(run),
    }
}

fn two_masters() -> Vec<Keys> {
    let first = [
        ((0, b"s".to_vec()), key(Kind::String, 11, 64, None)),
        (
            (0, b"l".to_vec()),
            key(Kind::List, 3, 100, Some(i64::MAX / 2)),
        ),
        ((0, b"gone".to_vec()), key(Kind::String, 1, 56, Some(1))),
        ((3, b"other".to_vec()), key(Kind::Hash, 2, 80, None)),
    ];
    let second = [
        ((0, b"x".to_vec()), key(Kind::Stream, 2, 900, None)),
        ((0, b"z".to_vec()), key(Kind::Zset, 9, 300, None)),
    ];
    vec![first.into_iter().collect(), second.into_iter().collect()]
}

async fn served() -> (Rig, TcpStream) {
    let rig = rig(config::Admin::default(), two_masters(), Generation::Current).await;
    let stream = TcpStream::connect(rig.address).await.expect("accepted");
    (rig, stream)
}

/// Sends and reads until the expected text has come; what came instead fails the test.
async fn exchange(stream: &mut TcpStream, send: &str, expect: &str) {
    stream.write_all(send.as_bytes()).await.expect("writable");
    let mut got = vec![0; expect.len()];
    let read = stream.read_exact(&mut got);
    let read = tokio::time::timeout(Duration::from_secs(60), read).await;
    let got = String::from_utf8_lossy(&got);
    assert!(
        read.is_ok_and(|read| read.is_ok()),
        "after {send:?}: {got:?}, not {expect:?}"
    );
    assert_eq!(got, expect, "after {send:?}");
}

/// Everything up to the end of a bulk or verbatim reply.
async fn text(stream: &mut TcpStream, send: &str) -> String {
    stream.write_all(send.as_bytes()).await.expect("writable");
    let mut got = Vec::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.expect("readable");
        got.push(byte[0]);
        if got.ends_with(b"\r\n") {
            break;
        }
    }
    let head = String::from_utf8_lossy(&got[1..got.len() - 2]).into_owned();
    let length: usize = head.parse().expect("a length");
    let mut body = vec![0; length + 2];
    stream.read_exact(&mut body).await.expect("readable");
    String::from_utf8(body).expect("text")
}

#[tokio::test]
async fn point_commands_are_answered_over_all_masters() {
    let (_rig, mut c) = served().await;
    exchange(
        &mut c,
        "TYPE s\r\nTYPE x\r\nTYPE nil\r\n",
        "+string\r\n+stream\r\n+none\r\n",
    )
    .await;
    exchange(
        &mut c,
        "STRLEN s\r\nLLEN l\r\nZCARD z\r\n",
        ":11\r\n:3\r\n:9\r\n",
    )
    .await;
    exchange(
        &mut c,
        "XLEN x\r\nHLEN nil\r\nSCARD nil\r\n",
        ":2\r\n:0\r\n:0\r\n",
    )
    .await;
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
    exchange(&mut c, "LLEN s\r\n", wrong).await;
    exchange(&mut c, "MEMORY USAGE z\r\n", ":300\r\n").await;
    exchange(
        &mut c,
        "MEMORY USAGE z SAMPLES 0\r\nMEMORY USAGE nil\r\n",
        ":300\r\n$-1\r\n",
    )
    .await;
    exchange(&mut c, "MEMORY USAGE z 1\r\n", "-ERR syntax error\r\n").await;
    exchange(
        &mut c,
        "OBJECT ENCODING l\r\nOBJECT FREQ l\r\n",
        "$8\r\nlistpack\r\n:5\r\n",
    )
    .await;
    exchange(&mut c, "EXISTS s s x nil\r\n", ":3\r\n").await;
    exchange(&mut c, "TTL s\r\nPTTL nil\r\n", ":-1\r\n:-2\r\n").await;
    exchange(
        &mut c,
        "PEXPIRETIME l\r\n",
        &format!(":{}\r\n", i64::MAX / 2),
    )
    .await;
}

#[tokio::test]
async fn a_key_past_its_expiry_is_hidden_from_reads_but_counted() {
    let (_rig, mut c) = served().await;
    exchange(&mut c, "TYPE gone\r\nEXISTS gone\r\n", "+none\r\n:0\r\n").await;
    exchange(
        &mut c,
        "TTL gone\r\nMEMORY USAGE gone\r\n",
        ":-2\r\n:56\r\n",
    )
    .await;
    exchange(&mut c, "DBSIZE\r\n", ":5\r\n").await;
}

#[tokio::test]
async fn databases_are_chosen_per_connection() {
    let (_rig, mut c) = served().await;
    exchange(
        &mut c,
        "SELECT 3\r\nTYPE other\r\nDBSIZE\r\n",
        "+OK\r\n+hash\r\n:1\r\n",
    )
    .await;
    exchange(&mut c, "SELECT 16\r\n", "-ERR DB index is out of range\r\n").await;
    exchange(&mut c, "SELECT x\r\n", "-ERR invalid DB index\r\n").await;
    exchange(&mut c, "RESET\r\nTYPE other\r\n", "+RESET\r\n+none\r\n").await;
}

#[tokio::test]
async fn a_scan_is_one_over_all_masters() {
    let (_rig, mut c) = served().await;
    let all = "*2\r\n$1\r\n0\r\n*5\r\n$4\r\ngone\r\n$1\r\nl\r\n$1\r\ns\r\n$1\r\nx\r\n$1\r\nz\r\n";
    exchange(&mut c, "SCAN 0\r\n", all).await;
    exchange(
        &mut c,
        "SCAN 0 TYPE zset COUNT 5\r\n",
        "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nz\r\n",
    )
    .await;
    exchange(
        &mut c,
        "SCAN 0 MATCH [sx]\r\n",
        "*2\r\n$1\r\n0\r\n*2\r\n$1\r\ns\r\n$1\r\nx\r\n",
    )
    .await;
    exchange(&mut c, "SCAN 0 TYPE none\r\n", "*2\r\n$1\r\n0\r\n*0\r\n").await;
    exchange(&mut c, "SCAN x\r\n", "-ERR invalid cursor\r\n").await;
    let end = "*2\r\n$1\r\n0\r\n*0\r\n";
    exchange(&mut c, "SCAN 18446744073709551615\r\n", end).await;
    exchange(&mut c, "SCAN 0 COUNT 0\r\n", "-ERR syntax error\r\n").await;
    exchange(&mut c, "KEYS s*\r\n", "*1\r\n$1\r\ns\r\n").await;
}

#[tokio::test]
async fn what_needs_values_or_writes_is_refused_by_name() {
    let (_rig, mut c) = served().await;
    for (send, code) in [
        ("GET s\r\n", "-NOVALUE "),
        ("HGETALL s\r\n", "-NOVALUE "),
        ("PFCOUNT s\r\n", "-NOVALUE "),
        ("SET a b\r\n", "-READONLY "),
        ("EVALSHA 0123 0\r\n", "-NOSCRIPT "),
        ("EVAL 'return 1' 0\r\n", "-ERR scripts"),
        ("PSYNC ? -1\r\n", "-ERR no values kept"),
        ("REPLCONF capa eof\r\n", "-ERR no values kept"),
        (
            "CLUSTER NODES\r\n",
            "-ERR This instance has cluster support disabled\r\n",
        ),
        (
            "SENTINEL MASTERS\r\n",
            "-ERR unknown command 'SENTINEL', with args",
        ),
        (
            "CONFIG SET a b\r\n",
            "-ERR unknown subcommand 'SET'. Try CONFIG HELP.",
        ),
        (
            "TYPE\r\n",
            "-ERR wrong number of arguments for 'type' command\r\n",
        ),
    ] {
        let mut c2 = TcpStream::connect(_rig.address).await.expect("accepted");
        exchange(&mut c2, send, code).await;
    }
    exchange(&mut c, "READONLY\r\n", "+OK\r\n").await;
    exchange(&mut c, "CLUSTER KEYSLOT foo\r\n", ":12182\r\n").await;
}

#[tokio::test]
async fn before_anything_is_loaded_reads_say_loading() {
    let rig = rig(config::Admin::default(), two_masters(), Generation::Loading).await;
    let mut c = TcpStream::connect(rig.address).await.expect("accepted");
    exchange(&mut c, "PING\r\n", "+PONG\r\n").await;
    exchange(
        &mut c,
        "TYPE s\r\n",
        "-LOADING Keyscape has loaded nothing yet: 10.0.0.1:6379 is ",
    )
    .await;
    let info = text(
        &mut TcpStream::connect(rig.address).await.expect("accepted"),
        "INFO\r\n",
    )
    .await;
    assert!(info.contains("\r\nloading:1\r\n"));
    assert!(info.contains("\r\nkeyscape_synced:0\r\n"));
}

#[tokio::test]
async fn a_password_locks_the_connection() {
    let config = config::Admin {
        password: Some(SecretString::from("pw")),
        ..config::Admin::default()
    };
    let rig = rig(config, two_masters(), Generation::Current).await;
    let mut c = TcpStream::connect(rig.address).await.expect("accepted");
    exchange(&mut c, "PING\r\n", "-NOAUTH Authentication required.\r\n").await;
    exchange(&mut c, "NOSUCH\r\n", "-NOAUTH Authentication required.\r\n").await;
    exchange(
        &mut c,
        "AUTH no\r\n",
        "-WRONGPASS invalid username-password pair",
    )
    .await;
    let mut c = TcpStream::connect(rig.address).await.expect("accepted");
    // In one read, with more arguments than a locked client may send.
    let many = format!(
        "AUTH pw\r\n*21\r\n$6\r\nEXISTS\r\n{}",
        "$1\r\ns\r\n".repeat(20)
    );
    exchange(&mut c, &many, "+OK\r\n:20\r\n").await;
    let mut c = TcpStream::connect(rig.address).await.expect("accepted");
    exchange(
        &mut c,
        "HELLO 3 AUTH default pw\r\nTYPE s\r\n",
        "%7\r\n$6\r\nserver\r\n",
    )
    .await;
    let mut c = TcpStream::connect(rig.address).await.expect("accepted");
    let refusal = "-ERR Protocol error: unauthenticated multibulk length\r\n";
    exchange(&mut c, "*11\r\n", refusal).await;
    assert_eq!(c.read(&mut [0; 8]).await.expect("closed in order"), 0);
}

#[tokio::test]
async fn hello_switches_the_protocol() {
    let (_rig, mut c) = served().await;
    exchange(
        &mut c,
        "HELLO 4\r\n",
        "-NOPROTO unsupported protocol version\r\n",
    )
    .await;
    exchange(
        &mut c,
        "HELLO 3 SETNAME me\r\nMEMORY USAGE nil\r\nCLIENT GETNAME\r\n",
        "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$5\r\nproto\r\n:3\r\n\
         $2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$7\r\nreplica\r\n\
         $7\r\nmodules\r\n*0\r\n_\r\n$2\r\nme\r\n",
    )
    .await;
    exchange(&mut c, "LATENCY HISTOGRAM\r\n", "%0\r\n").await;
}

#[tokio::test]
async fn sentinel_finds_a_replica_that_obeys() {
    let (rig, mut c) = served().await;
    let info = text(&mut c, "INFO\r\n").await;
    for line in [
        "role:slave",
        "master_host:10.0.0.1",
        "master_port:6379",
        "master_link_status:up",
        "slave_repl_offset:1234",
        "slave_priority:0",
        "replica_announced:0",
        "db0:keys=5,expires=2,avg_ttl=0",
    ] {
        assert!(
            info.contains(&format!("\r\n{line}\r\n")),
            "{line} in {info}"
        );
    }
    exchange(
        &mut c,
        "MULTI\r\nSLAVEOF 10.0.0.9 6380\r\nCONFIG REWRITE\r\nCLIENT KILL TYPE normal\r\n\
         CLIENT KILL TYPE pubsub\r\nEXEC\r\n",
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n+OK\r\n+OK\r\n:0\r\n:0\r\n",
    )
    .await;
    exchange(&mut c, "SLAVEOF NO ONE\r\n", "+OK\r\n").await;
    let info = text(&mut c, "INFO replication\r\n").await;
    assert!(
        info.contains(
            "role:slave\r\nmaster_host:10.0.0.9\r\nmaster_port:6380\r\nmaster_link_status:up\r\n"
        ),
        "{info}"
    );
    exchange(&mut c, "PUBLISH __sentinel__:hello x\r\n", ":0\r\n").await;
    let mut sub = TcpStream::connect(rig.address).await.expect("accepted");
    exchange(
        &mut sub,
        "SUBSCRIBE __sentinel__:hello\r\nPING\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$18\r\n__sentinel__:hello\r\n:1\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n",
    )
    .await;
    exchange(
        &mut sub,
        "DBSIZE\r\n",
        "-ERR Can't execute 'dbsize': only (P|S)SUBSCRIBE",
    )
    .await;
}

#[tokio::test]
async fn transactions_queue_and_break() {
    let (_rig, mut c) = served().await;
    exchange(&mut c, "EXEC\r\n", "-ERR EXEC without MULTI\r\n").await;
    exchange(
        &mut c,
        "MULTI\r\nTYPE s\r\nNOSUCH\r\n",
        "+OK\r\n+QUEUED\r\n-ERR unknown command 'NOSUCH', with args beginning with: \r\n",
    )
    .await;
    let abort = "-EXECABORT Transaction discarded because of previous errors.\r\n";
    exchange(&mut c, "EXEC\r\n", abort).await;
    exchange(
        &mut c,
        "MULTI\r\nTYPE s\r\nEXEC\r\n",
        "+OK\r\n+QUEUED\r\n*1\r\n+string\r\n",
    )
    .await;
}

#[tokio::test]
async fn monitor_shows_the_stream_of_every_master() {
    let (_rig, mut c) = served().await;
    let line = "+1.000001 [0 10.0.0.1:6379] \"SET\" \"a\" \"<3 bytes>\"\r\n";
    exchange(&mut c, "MONITOR\r\n", &format!("+OK\r\n{line}{line}")).await;
}

#[tokio::test]
async fn streams_are_described_without_their_entries() {
    let (_rig, mut c) = served().await;
    exchange(&mut c, "XINFO STREAM nil\r\n", "-ERR no such key\r\n").await;
    exchange(
        &mut c,
        "XINFO STREAM x\r\n",
        "*18\r\n$6\r\nlength\r\n:2\r\n",
    )
    .await;
    let (_rig, mut c) = served().await;
    exchange(
        &mut c,
        "XINFO GROUPS x\r\n",
        "*1\r\n*12\r\n$4\r\nname\r\n$1\r\ng\r\n",
    )
    .await;
    let (_rig, mut c) = served().await;
    exchange(
        &mut c,
        "XINFO CONSUMERS x g\r\n",
        "*1\r\n*8\r\n$4\r\nname\r\n$1\r\nc\r\n",
    )
    .await;
}

#[tokio::test]
async fn reports_have_three_forms_and_say_how_fresh_they_are() {
    let (_rig, mut c) = served().await;
    let json = text(&mut c, "KS.TOP BYTES 1 FORMAT JSON\r\n").await;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["top"][0]["key"], "x");
    assert_eq!(json["top"].as_array().map(Vec::len), Some(1));
    assert_eq!(json["freshness"][1]["offset"], 1234);
    assert_eq!(json["notes"], serde_json::json!([]));
    let json = text(&mut c, "KS.SUMMARY FORMAT JSON\r\n").await;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["total"]["keys"], 6);
    assert_eq!(json["total"]["bytes"], 1500);
    assert_eq!(json["by_db"][1]["db"], 3);
    exchange(
        &mut c,
        "KS.TOP ELEMENTS 2 TYPE string FORMAT TEXT\r\n",
        "*9\r\n+freshness\r\n+ master",
    )
    .await;
    let (_rig, mut c) = served().await;
    exchange(&mut c, "KS.TOP\r\n", "-ERR wrong number").await;
    let (_rig, mut c) = served().await;
    exchange(&mut c, "KS.WHATIF LIMIT 3\r\n", "-ERR KS.WHATIF wants").await;
    let (_rig, mut c) = served().await;
    exchange(&mut c, "KS.WHATIF CONFIG a\r\n", "-ERR syntax").await;
    let (_rig, mut c) = served().await;
    exchange(&mut c, "HELLO 3\r\n", "%7").await;
    let (_rig, mut c) = served().await;
    exchange(
        &mut c,
        "KS.NODES\r\n",
        "*6\r\n$5\r\nnotes\r\n*0\r\n$9\r\nfreshness\r\n*2\r\n",
    )
    .await;
}

#[tokio::test]
async fn an_empty_or_loading_model_says_so_in_every_report() {
    let rig = rig(config::Admin::default(), vec![], Generation::Empty).await;
    let mut c = TcpStream::connect(rig.address).await.expect("accepted");
    let json = text(&mut c, "KS.SUMMARY FORMAT JSON\r\n").await;
    assert!(json.contains("no master is configured"), "{json}");
}

#[tokio::test]
async fn stopping_ends_every_client_at_once() {
    let (rig, mut c) = served().await;
    exchange(&mut c, "PING\r\n", "+PONG\r\n").await;
    rig.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(60), rig.task).await;
    assert!(ended.expect("in time").expect("no panic").is_ok());
    assert_eq!(c.read(&mut [0; 8]).await.unwrap_or(0), 0);
}
