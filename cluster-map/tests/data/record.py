"""Records what a real cluster and real Sentinels answer, raw, into <out file>.

usage: record.py <path of a redis-server or valkey-server> <first free port of 40> <out file>

A record is a line `== <name> <length>`, that many bytes, and a newline. Names: <state><node>.<answer>.<protocol>.
"""
import socket, subprocess, sys, tempfile, time, os
run, base, out = sys.argv[1], int(sys.argv[2]), open(sys.argv[3], "wb")
work = tempfile.mkdtemp()
server = "redis-6" if "=6." in subprocess.check_output([run, "--version"], text=True) else ""
procs = []
def start(port, *args, sentinel=None):
    d = f"{work}/{port}"; os.makedirs(d, exist_ok=True)
    if sentinel:
        open(f"{d}/s.conf", "w").write(sentinel)
        cmd = [run, f"{d}/s.conf", "--sentinel"]
    else:
        cmd = [run, "--port", str(port), "--save", "", "--appendonly", "no", "--protected-mode", "no", *args]
    p = subprocess.Popen(cmd, cwd=d, stdout=open(f"{d}/log", "w"), stderr=subprocess.STDOUT)
    procs.append(p); return p
def raw(port, *args, resp3=False, host="127.0.0.1"):
    s = socket.create_connection((host, port), 5); f = s.makefile("rb")
    def enc(a): return b"*%d\r\n" % len(a) + b"".join(b"$%d\r\n%s\r\n" % (len(x.encode()), x.encode()) for x in a)
    if resp3:
        s.sendall(enc(("HELLO", "3"))); frame(f)
    s.sendall(enc(args)); r = frame(f); s.close(); return r
def frame(f):
    line = f.readline(); t = line[:1]
    if t in b"$=!":
        n = int(line[1:]); return line if n < 0 else line + f.read(n + 2)
    if t in b"*%~>":
        n = int(line[1:]);
        if t == b"%": n *= 2
        return line + b"".join(frame(f) for _ in range(max(n, 0)))
    return line
def text(port, *args, host="127.0.0.1"):
    r = raw(port, *args, host=host)
    return r.split(b"\r\n", 1)[1].rstrip(b"\r\n").decode() if r[:1] == b"$" else r[1:].decode().strip()
def wait(what, cond, n=60):
    for _ in range(n):
        try:
            if cond(): return
        except Exception: pass
        time.sleep(0.5)
    raise SystemExit(f"timeout: {what}")
def save(name, data):
    out.write(f"== {name} {len(data)}\n".encode() + data + b"\n")
def shards(name, port, host="127.0.0.1"):
    save(f"{name}.slots.resp2", raw(port, "CLUSTER", "SLOTS", host=host))
    r = raw(port, "CLUSTER", "SHARDS", host=host)
    if not r.startswith(b"-"):
        save(f"{name}.shards.resp2", r)
        save(f"{name}.shards.resp3", raw(port, "CLUSTER", "SHARDS", resp3=True, host=host))
    r = raw(port, "CLUSTER", "MYSHARDID", host=host)
    if not r.startswith(b"-"): save(f"{name}.myshardid.resp2", r)
def nodes(name, port, host="127.0.0.1"):
    save(f"{name}.nodes.resp2", raw(port, "CLUSTER", "NODES", host=host))
def cluster(n, first, bind, host, *extra):
    ports = list(range(first, first + n))
    ps = [start(p, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--bind", bind, *extra) for p in ports]
    wait("up", lambda: all(raw(p, "PING", host=host) == b"+PONG\r\n" for p in ports))
    for p in ports[1:]: raw(ports[0], "CLUSTER", "MEET", bind, str(p), host=host)
    m = [p for p in ports[:3]]
    for p, (a, b) in zip(m, [(0, 5460), (5461, 10922), (10923, 16383)]):
        raw(p, "CLUSTER", "ADDSLOTS", *map(str, range(a, b + 1)), host=host)
    wait("met", lambda: all(len(text(p, "CLUSTER", "NODES", host=host).splitlines()) == n and "handshake" not in text(p, "CLUSTER", "NODES", host=host) for p in ports))
    for i, p in enumerate(ports[3:]):
        wait("replicate", lambda: raw(p, "CLUSTER", "REPLICATE", text(m[i % 3], "CLUSTER", "MYID", host=host), host=host) == b"+OK\r\n")
    wait("ok", lambda: all("cluster_state:ok" in text(p, "CLUSTER", "INFO", host=host) for p in ports))
    wait("replicas", lambda: all("master_link_status:up" in text(p, "INFO", "replication", host=host) for p in ports[3:]))
    wait("gossip", lambda: all(text(p, "CLUSTER", "NODES", host=host).count(" slave ") + text(p, "CLUSTER", "NODES", host=host).count("myself,slave") == n - 3 for p in ports))
    return ports, ps
def end():
    for p in procs:
        if p.poll() is None: p.kill()
    for p in procs: p.wait()
    procs.clear()
try:
    h = "127.0.0.1"
    ports, ps = cluster(5, base, h, h)
    time.sleep(2.5)
    ids = [text(p, "CLUSTER", "MYID") for p in ports]
    raw(ports[0], "CLUSTER", "SETSLOT", "93", "MIGRATING", ids[1])
    raw(ports[1], "CLUSTER", "SETSLOT", "93", "IMPORTING", ids[0])
    for i, p in enumerate(ports): nodes(f"steady{i}", p)
    shards("steady0", ports[0])
    save("plain.info.resp2", raw(ports[0], "INFO", "replication"))
    save("replica.info.resp2", raw(ports[3], "INFO", "replication"))
    raw(ports[0], "CLUSTER", "SETSLOT", "93", "STABLE"); raw(ports[1], "CLUSTER", "SETSLOT", "93", "STABLE")
    ps[0].kill(); ps[0].wait()
    wait("suspect", lambda: "fail" in text(ports[1], "CLUSTER", "NODES"), 60)
    nodes("failing1", ports[1]); shards("failing1", ports[1])
    wait("failover", lambda: "myself,master" in text(ports[3], "CLUSTER", "NODES"))
    time.sleep(2)
    for i in range(1, 5): nodes(f"failedover{i}", ports[i])
    shards("failedover1", ports[1])
    end()
    # IPv6, and names.
    extra = ["--cluster-announce-hostname", "node.example", "--cluster-preferred-endpoint-type", "hostname"] if not server else []
    ports, ps = cluster(4, base + 10, "::1", "::1", *extra)
    time.sleep(2)
    nodes("ipv6", ports[0], host="::1"); shards("ipv6", ports[0], host="::1")
    if extra:
        raw(ports[0], "CONFIG", "SET", "cluster-preferred-endpoint-type", "unknown-endpoint", host="::1")
        shards("unknown", ports[0], host="::1")
        for p in ports: raw(p, "CONFIG", "SET", "cluster-announce-hostname", "", host="::1")
        raw(ports[0], "CONFIG", "SET", "cluster-preferred-endpoint-type", "hostname", host="::1")
        wait("nameless", lambda: "node.example" not in text(ports[0], "CLUSTER", "NODES", host="::1"))
        shards("nameless", ports[0], host="::1")
    end()
    # A lone node: no address of its own yet.
    start(base + 20, "--cluster-enabled", "yes")
    wait("lone", lambda: raw(base + 20, "PING") == b"+PONG\r\n"); nodes("lone", base + 20); shards("lone", base + 20)
    start(base + 21); wait("off", lambda: raw(base + 21, "PING") == b"+PONG\r\n")
    save("off.nodes.resp2", raw(base + 21, "CLUSTER", "NODES"))
    end()
    # Sentinels.
    m, r = base + 30, base + 31; s = [base + 32, base + 33, base + 34]
    start(m); start(r, "--replicaof", "127.0.0.1", str(m))
    wait("sync", lambda: "master_link_status:up" in text(r, "INFO", "replication"))
    save("master.info.resp2", raw(m, "INFO", "replication"))
    conf = f"port %d\ndir .\nprotected-mode no\nsentinel monitor main 127.0.0.1 {m} 2\nsentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 15000\n"
    sp = [start(p, sentinel=conf % p) for p in s]
    wait("sentinels", lambda: all(b"num-other-sentinels\r\n$1\r\n2" in raw(p, "SENTINEL", "MASTER", "main") and str(r).encode() in raw(p, "SENTINEL", "REPLICAS" if not server else "SLAVES", "main") for p in s))
    time.sleep(3)
    def sentinel(name):
        for i, p in enumerate(s):
            for kind in (False, True):
                k = "resp3" if kind else "resp2"
                if kind and i: continue
                save(f"{name}{i}.masters.{k}", raw(p, "SENTINEL", "MASTERS", resp3=kind))
                save(f"{name}{i}.replicas.{k}", raw(p, "SENTINEL", "SLAVES" if server else "REPLICAS", "main", resp3=kind))
                save(f"{name}{i}.sentinels.{k}", raw(p, "SENTINEL", "SENTINELS", "main", resp3=kind))
                save(f"{name}{i}.addr.{k}", raw(p, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main", resp3=kind))
    sentinel("steady")
    save("master.resp2", raw(s[0], "SENTINEL", "MASTER", "main"))
    save("nomaster.resp2", raw(s[0], "SENTINEL", "MASTER", "other"))
    save("noaddr.resp2", raw(s[0], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "other"))
    procs[0].kill(); procs[0].wait()
    wait("switch", lambda: all(str(r).encode() in raw(p, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main") for p in s), 100)
    time.sleep(2)
    sentinel("switched")
finally:
    end()
