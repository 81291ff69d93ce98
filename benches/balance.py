"""Who gets how many of 10,000 requests, behind Debian's nginx and behind weir as nginx.

One slow and three fast servers, the same clients and requests for both, one worker each. Prints a
table: requests of each server by method, and by how much the two spreads differ. It asserts
nothing: what depends on time (least_conn, random) differs from run to run with either.
"""

import asyncio
import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

REQUESTS = 10_000
# Each from a network of its own, so that ip_hash has something to hash.
CLIENTS = 50
SLOW_S = 0.04
IP = "127.0.0.1"

METHODS = [
    ("round robin", "", (1, 1, 1, 1)),
    ("weights 1 2 3 4", "", (1, 2, 3, 4)),
    ("least_conn", "least_conn;", (1, 1, 1, 1)),
    ("least_conn, weights", "least_conn;", (1, 2, 3, 4)),
    ("ip_hash", "ip_hash;", (1, 1, 1, 1)),
    ("hash $arg_k", "hash $arg_k;", (1, 1, 1, 1)),
    ("hash, weights", "hash $arg_k;", (1, 2, 3, 4)),
    ("hash consistent", "hash $arg_k consistent;", (1, 1, 1, 1)),
    ("random", "random;", (1, 1, 1, 1)),
    ("random two", "random two least_conn;", (1, 1, 1, 1)),
    ("least_time header", "least_time header;", (1, 1, 1, 1)),
    ("least_load", "least_load;", (1, 1, 1, 1)),
]
# nginx has these only for money, or not.
ONLY_WEIR = ("least_time header", "least_load")


class Backend:
    def __init__(self, delay_s):
        self.delay_s = delay_s
        self.count = 0

    async def start(self):
        self.server = await asyncio.start_server(self.serve, IP, 0)
        self.port = self.server.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        gone = (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError)
        with contextlib.suppress(*gone):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.count += 1
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
        writer.close()


def free_port():
    with socket.socket() as s:
        s.bind((IP, 0))
        return s.getsockname()[1]


def conf(port, method, servers):
    lines = "".join(f"server {IP}:{p} weight={w} max_fails=0;" for p, w in servers)
    user = "user root;" if os.geteuid() == 0 else ""
    return (
        f"daemon off; {user} worker_processes 1; pid nginx.pid; error_log error.log;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ access_log off; keepalive_requests 100000; upstream u {{ {method} {lines} }}\n"
        f"server {{ listen {IP}:{port}; location / {{ proxy_pass http://u; }} }} }}\n"
    )


async def ask(port, client, count):
    source = (f"127.{client}.0.1", 0)
    reader, writer = await asyncio.open_connection(IP, port, local_addr=source)
    for n in range(count):
        key = client * count + n
        writer.write(f"GET /?k={key} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            sys.exit(f"not answered: {head!r}")
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        await reader.readexactly(length)
    writer.close()


async def spread(command, method, weights, backends):
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        servers = [(b.port, w) for b, w in zip(backends, weights)]
        pathlib.Path(folder, "conf").write_text(conf(port, method, servers))
        words = [*command, "-p", folder, "-c", "conf", "-e", "error.log"]
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        try:
            for _ in range(200):
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(IP, port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
            for backend in backends:
                backend.count = 0
            each = REQUESTS // CLIENTS
            await asyncio.gather(*(ask(port, n + 1, each) for n in range(CLIENTS)))
            return [b.count for b in backends]
        finally:
            process.terminate()
            process.wait()


async def main(weir):
    backends = [Backend(SLOW_S), Backend(0), Backend(0), Backend(0)]
    for backend in backends:
        await backend.start()
    print(f"{REQUESTS} requests of {CLIENTS} clients; the first server takes {SLOW_S * 1000:.0f} ms")
    print(f"{'method':<21} {'nginx':<25} {'weir':<25} largest difference")
    for name, method, weights in METHODS:
        ours = await spread([weir, "nginx"], method, weights, backends)
        theirs, difference = None, ""
        if name not in ONLY_WEIR:
            theirs = await spread(["/usr/sbin/nginx"], method, weights, backends)
            most = max(abs(a - b) for a, b in zip(ours, theirs))
            difference = f"{most} ({100 * most / REQUESTS:.2f} %)"
        shown = lambda counts: " ".join(f"{c:>5}" for c in counts) if counts else "-"
        print(f"{name:<21} {shown(theirs):<25} {shown(ours):<25} {difference}", flush=True)


asyncio.run(main(sys.argv[1]))
