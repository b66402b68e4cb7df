//! Unmodified clients on the admin port: redis-py and the Prometheus exporter for Redis.

use std::process::{Command, Stdio};

use integration::child::Running;
use integration::server::free_addr;
use integration::{http, servers, wait};

use crate::scene::{self, PATIENCE};

const PYTHON: &str = r#"
import sys, redis
port = int(sys.argv[1])
for protocol in (2, 3):
    r = redis.Redis(port=port, protocol=protocol)
    assert r.ping()
    assert r.info()["role"] == "slave"
    n = r.dbsize()
    assert n > 0, n
    keys = list(r.scan_iter(count=500))
    assert len(keys) == len(set(keys)) == n, (len(keys), n)
    kinds = set()
    for key in keys[:300]:
        kind = r.type(key).decode()
        kinds.add(kind)
        assert r.memory_usage(key) > 0
        assert r.object("encoding", key)
        r.pttl(key)
        size = {"string": r.strlen, "list": r.llen, "set": r.scard, "zset": r.zcard,
                "hash": r.hlen, "stream": r.xlen}[kind](key)
        assert size > 0 or kind in ("string", "stream"), (key, kind, size)
    assert len(kinds) > 3, kinds
    assert r.config_get("maxmemory") is not None
    try:
        r.set("x", "y")
        raise SystemExit("a write was accepted")
    except redis.exceptions.ResponseError:
        pass
    p = r.pipeline(transaction=False)
    for key in keys[:100]:
        p.type(key)
    assert len(p.execute()) == len(keys[:100])
"#;

#[test]
fn redis_py() {
    let python = servers::venv("redis").expect("redis-py can be had");
    let server = scene::quiet_server("redis-7.0");
    let app = scene::follow(&server, "");
    scene::settle(&server, &app);
    let port = app.admin.port().to_string();
    let output = Command::new(python)
        .args(["-c", PYTHON, &port])
        .stdin(Stdio::null())
        .output()
        .expect("python runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_exporter_for_redis() {
    let server = scene::quiet_server("redis-7.0");
    let app = scene::follow(&server, "");
    scene::settle(&server, &app);
    let web = free_addr().expect("a port");
    let mut command = servers::tool("redis-exporter").expect("the exporter can be had");
    command.arg(format!("--redis.addr=redis://{}", app.admin));
    command.arg(format!("--web.listen-address={web}"));
    command.args([
        "--check-keys=db0=app:queue:*",
        "--include-system-metrics=false",
    ]);
    let _exporter = Running::start(&mut command).expect("the exporter starts");
    let keys = server
        .client()
        .and_then(|mut c| c.ask(&["DBSIZE"]))
        .expect("DBSIZE")
        .string();
    wait::for_true(PATIENCE, "the exporter", || {
        let (_, body) = http::get(web, "/metrics")?;
        let db0 = body
            .lines()
            .find(|line| line.starts_with("redis_db_keys{db=\"db0\"}"));
        let count: f64 = db0
            .and_then(|l| l.rsplit(' ').next())
            .unwrap_or("-1")
            .parse()?;
        let same = (count - keys.parse::<f64>()?).abs() < 0.5;
        Ok(body.contains("\nredis_up 1") && same && body.contains("\nredis_key_size{"))
    })
    .unwrap_or_else(|error| panic!("{error:#}: {:?}", http::get(web, "/metrics")));
}
