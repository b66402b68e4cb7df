#!/usr/bin/env python3
"""Writes the RDB files of this directory with real servers.

    generate.py <directory of server launchers> [out]

A launcher is <directory>/<name>/run, a program that execs the server with the arguments it is given.
Every file is small and holds every layout that its server can write; thresholds are lowered so that
a few elements are enough. Names are <what>_<server>_v<rdb version>.rdb. Times, run ids and hash order
differ from run to run, so a file is regenerated only together with its snapshot
(UPDATE_SNAPSHOTS=1 cargo test -p replica-shim --test golden).
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

FUTURE_MS = 4102444800000  # 2100-01-01

THRESHOLDS = {
    "hash-max-ziplist-entries": "8",
    "zset-max-ziplist-entries": "8",
    "set-max-intset-entries": "8",
    "list-max-ziplist-size": "6",
    "stream-node-max-entries": "4",
}


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")

    def __call__(self, *args, must=True):
        out = b"*%d\r\n" % len(args)
        for arg in args:
            arg = arg if isinstance(arg, bytes) else str(arg).encode()
            out += b"$%d\r\n%s\r\n" % (len(arg), arg)
        self.socket.sendall(out)
        reply = self.read()
        if must and isinstance(reply, Exception):
            raise RuntimeError(f"{args[:3]}: {reply}")
        return reply

    def read(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            return Exception(rest.decode())
        if kind in b"+:":
            return rest
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        return [self.read() for _ in range(max(0, int(rest)))]


class Server:
    def __init__(self, launcher, *options):
        self.dir = tempfile.mkdtemp()
        probe = socket.socket()
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [launcher, "--port", str(port), "--save", "", "--dir", self.dir, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for _ in range(200):
            try:
                self.client = Client(port)
                break
            except OSError:
                time.sleep(0.05)

    def save(self, target):
        self.client("SAVE")
        shutil.copy(os.path.join(self.dir, "dump.rdb"), target)

    def stop(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def scalars(c):
    c("SET", "string:empty", "")
    c("SET", "string:text", "hello")
    c("SET", "string:int8", "-7")
    c("SET", "string:int16", "30000")
    c("SET", "string:int32", "-2000000000")
    c("SET", "string:int64", "9223372036854775807")
    c("SET", "string:notint", "007")
    c("SET", "string:lzf", "a" * 5000)
    c("SET", "string:plain", bytes(range(256)) * 2)
    c("SET", "string:twolength", bytes((i * 7919 + i * i) % 251 for i in range(100)))
    c("SET", "12345", "key that is a number")
    c("SET", "long key " * 20, "key that is compressed")
    c("SET", b"binary\x00\xff\r\nkey", "x")
    c("SET", "string:ttl", "x")
    c("PEXPIREAT", "string:ttl", FUTURE_MS + 123)


def collections(c):
    c("RPUSH", "list:small", "a", "-1", "300", "70000", "9999999999", "b" * 70, "", "20" * 9)
    for i in range(40):
        c("RPUSH", "list:nodes", f"element {i} " + "z" * (i % 30))
    c("RPUSH", "list:large", "before", "y" * 9000, bytes(i % 251 for i in range(9000)), "after")
    c("SADD", "set:intset16", 1, -2, 300)
    c("SADD", "set:intset32", 1, 70000)
    c("SADD", "set:intset64", 1, -70000000000)
    c("SADD", "set:table", *range(20))
    c("SADD", "set:words", "apple", "pear", "12", "x" * 40)
    c("SADD", "set:manywords", *[f"member:{i}" for i in range(30)])
    c("ZADD", "zset:small", 1, "one", "-1.5", "minus", "inf", "up", "-inf", "down", "3e300", "big")
    c("ZADD", "zset:table", *[x for i in range(20) for x in (i / 3, f"member:{i}")])
    c("HSET", "hash:small", "f", "v", "1", "2", "long", "v" * 60, "", "", "n", "-129")
    c("HSET", "hash:table", *[x for i in range(20) for x in (f"field:{i}", "v" * i * 3)])
    c("HSET", "hash:bigvalue", "field", "q" * 3000, "number", "123456789012")
    c("SADD", "set:ttl", "a")
    c("PEXPIREAT", "set:ttl", FUTURE_MS)


def streams(c):
    c("XADD", "stream:one", "5-1", "a", "1", "b", "2")
    for i in range(1, 15):
        fields = ("temp", i, "text", "t" * i) if i % 5 else ("other", i)
        c("XADD", "stream:many", f"{1000 + i}-{i % 3}", *fields)
    c("XDEL", "stream:many", "1003-0", "1007-1")
    c("XGROUP", "CREATE", "stream:many", "readers", "0")
    c("XGROUP", "CREATE", "stream:many", "idle", "1005-0")
    c("XREADGROUP", "GROUP", "readers", "alice", "COUNT", 3, "STREAMS", "stream:many", ">")
    c("XREADGROUP", "GROUP", "readers", "bob", "COUNT", 2, "STREAMS", "stream:many", ">")
    c("XACK", "stream:many", "readers", "1001-1")
    c("XGROUP", "CREATECONSUMER", "stream:many", "readers", "carol", must=False)
    c("XADD", "stream:empty", "9-9", "a", "b")
    c("XDEL", "stream:empty", "9-9")
    c("XGROUP", "CREATE", "stream:made", "g", "$", "MKSTREAM")


def functions(c):
    code = "#!lua name=lib\nredis.register_function('f', function(keys, args) return 1 end)"
    c("FUNCTION", "LOAD", code, must=False)


def other_dbs(c):
    c("SELECT", 3)
    c("SET", "in db three", "x")
    c("SELECT", 15)
    c("SET", "in db fifteen", "y")
    c("SELECT", 0)


def field_expiry(c):
    c("HSET", "hash:ttl:small", "keep", "1", "late", "2", "early", "3")
    c("HPEXPIREAT", "hash:ttl:small", FUTURE_MS + 5000, "FIELDS", 1, "late")
    c("HPEXPIREAT", "hash:ttl:small", FUTURE_MS, "FIELDS", 1, "early")
    c("HSET", "hash:ttl:table", *[x for i in range(20) for x in (f"field:{i}", "v" * i * 3)])
    c("HPEXPIREAT", "hash:ttl:table", FUTURE_MS + 7, "FIELDS", 2, "field:3", "field:11")
    c("HPEXPIREAT", "hash:ttl:table", FUTURE_MS, "FIELDS", 1, "field:4")
    c("HSET", "hash:ttl:gone", "a", "1", "b", "2")
    c("HPEXPIREAT", "hash:ttl:gone", FUTURE_MS, "FIELDS", 1, "a")
    c("HPERSIST", "hash:ttl:gone", "FIELDS", 1, "a")


def version(path):
    head = open(path, "rb").read(9)
    return int(head[6:]) if head.startswith(b"VALKEY") else int(head[5:])


def write(server, out, what, name):
    path = os.path.join(out, "new.rdb")
    server.save(path)
    final = os.path.join(out, f"{what}_{name.replace('-', '').replace('.', '')}_v{version(path)}.rdb")
    os.rename(path, final)
    print(final, os.path.getsize(final))


def dump(c, out, name, key):
    payload = c("DUMP", key)
    what = key.replace(":", "-")
    final = os.path.join(out, f"{what}_{name.replace('-', '').replace('.', '')}.dump")
    open(final, "wb").write(payload)
    print(final, len(payload))


def types(launchers, name, out):
    server = Server(os.path.join(launchers, name, "run"))
    c = server.client
    for key, value in THRESHOLDS.items():
        c("CONFIG", "SET", key, value)
    scalars(c)
    collections(c)
    streams(c)
    functions(c)
    other_dbs(c)
    if name in ("redis-8.0", "valkey-9.1"):
        field_expiry(c)
        for key in ("hash:ttl:small", "hash:ttl:table", "stream:many"):
            dump(c, out, name, key)
    if name in ("redis-6.2", "redis-7.0", "valkey-8.0"):
        for key in ("string:lzf", "list:nodes", "zset:small", "stream:many"):
            dump(c, out, name, key)
    write(server, out, "types", name)
    server.stop()


def variants(launchers, name, out):
    """Without compression and checksum; with the attributes of LRU and LFU; compressed lists."""
    run = os.path.join(launchers, name, "run")
    server = Server(run, "--rdbcompression", "no", "--rdbchecksum", "no")
    scalars(server.client)
    write(server, out, "raw", name)
    server.stop()
    for policy in ("allkeys-lru", "allkeys-lfu"):
        server = Server(run, "--maxmemory", "100mb", "--maxmemory-policy", policy)
        c = server.client
        c("CONFIG", "SET", "list-compress-depth", "1")
        c("CONFIG", "SET", "list-max-ziplist-size", "6")
        for i in range(30):
            c("RPUSH", "list:compressed", "w" * (50 + i))
        c("SET", "string:ttl", "x", "PX", 10**12)
        write(server, out, policy[-3:], name)
        server.stop()


def cluster(launchers, name, out):
    server = Server(os.path.join(launchers, name, "run"), "--cluster-enabled", "yes")
    c = server.client
    c("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    while b"cluster_state:ok" not in c("CLUSTER", "INFO"):
        time.sleep(0.05)
    for i in range(6):
        c("SET", f"key:{i}", i)
    c("PEXPIREAT", "key:1", FUTURE_MS)
    c("HSET", "hash", "a", "1")
    write(server, out, "cluster", name)
    server.stop()


def main():
    launchers = sys.argv[1]
    out = sys.argv[2] if len(sys.argv) > 2 else os.path.dirname(os.path.abspath(__file__))
    for name in sorted(os.listdir(launchers)):
        if not name.startswith(("redis-", "valkey-")) or "exporter" in name:
            continue
        types(launchers, name, out)
        if name in ("redis-6.2", "redis-8.0", "valkey-9.1"):
            variants(launchers, name, out)
        if name in ("redis-8.0", "valkey-8.1", "valkey-9.1"):
            cluster(launchers, name, out)


main()
