#!/usr/bin/env python3
"""Records what a real server says to a replica, for splits_link.rs.

    record.py PATH-OF-SERVER OUT PORT [SERVER-ARGUMENTS..]

OUT.bin gets every byte the server sent, from the reply to PING on; OUT.end the position it reported
at the end (replid:offset:db). The conversation is that of the handshake in handshake.rs.
"""
import socket, subprocess, sys, tempfile, time

server, out, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
extra = sys.argv[4:]


def command(*words):
    data = b"*%d\r\n" % len(words)
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        data += b"$%d\r\n%s\r\n" % (len(word), word)
    return data


class Client:
    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(10)

    def say(self, *words):
        self.socket.sendall(command(*words))
        return self.line()

    def line(self):
        data = b""
        while not data.endswith(b"\r\n"):
            data += self.socket.recv(1)
        if data[:1] == b"$" and data != b"$-1\r\n":
            want = int(data[1:]) + 2
            body = b""
            while len(body) < want:
                body += self.socket.recv(want - len(body))
            return body[:-2]
        if data[:1] == b"*":
            return [self.line() for _ in range(int(data[1:]))]
        return data[:-2]


with tempfile.TemporaryDirectory() as directory:
    process = subprocess.Popen(
        [server, "--port", str(port), "--save", "", "--dir", directory,
         "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"] + extra,
        stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                client = Client()
                break
            except OSError:
                time.sleep(0.05)
        client.say("SELECT", 3)
        client.say("SET", "before", "the snapshot")
        client.say("HSET", "hash", "a", "1", "b", "two")
        client.say("ZADD", "zset", "1.5", "x", "-inf", "y")
        client.say("XADD", "stream", "1-1", "f", "v")
        client.say("RPUSH", "list", *range(20))

        replica = Client().socket
        replica.settimeout(0.2)
        heard = b""

        def listen(seconds):
            global heard
            end = time.time() + seconds
            while time.time() < end:
                try:
                    heard += replica.recv(65536)
                except socket.timeout:
                    pass

        for question in [("PING",), ("REPLCONF", "listening-port", 65536),
                         ("REPLCONF", "capa", "eof", "capa", "psync2"), ("PSYNC", "?", -1)]:
            replica.sendall(command(*question))
            listen(0.3)
        listen(2.0)
        for _ in range(3):
            replica.sendall(command("REPLCONF", "ACK", 0))
            listen(1.1)
        client.say("SET", "k", "v")
        client.say("SET", "k\r\n$1\r\n", "\r\n*1\r\n", "PX", 100000)
        client.say("SELECT", 11)
        for words in [("MULTI",), ("INCR", "n"), ("SELECT", 2), ("LPUSH", "l", "a", "b"),
                      ("SELECT", 11), ("EXPIRE", "n", 100), ("EXEC",)]:
            client.say(*words)
        client.say("EVAL", "redis.call('set', 'a', 1); return redis.call('hSet', 'h', 'f', '')", 0)
        client.say("WAIT", 1, 50)
        client.say("GEOADD", "geo", 13.36, 38.11, "Palermo")
        client.say("SPOP", "none")
        client.say("SWAPDB", 0, 1)
        client.say("FLUSHDB")
        listen(1.5)
        # Until nothing was sent while the offset was asked for.
        fields, later = {}, ""
        while fields.get("master_repl_offset") != later:
            info = client.say("INFO", "replication").decode()
            fields = dict(line.split(":", 1) for line in info.split("\r\n") if ":" in line)
            listen(0.1)
            again = client.say("INFO", "replication").decode()
            later = again.split("master_repl_offset:")[1].split("\r\n")[0]
        with open(out + ".bin", "wb") as file:
            file.write(heard)
        with open(out + ".end", "w") as file:
            file.write(fields["master_replid"] + ":" + fields["master_repl_offset"] + "\n")
    finally:
        process.kill()
        process.wait()
