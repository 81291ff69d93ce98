#!/usr/bin/env python3
"""The load balancer beside nginx and HAProxy, in one run: requests/s, p99, CPU per request.

One worker each, 64 client connections that stay, connections to the upstream that stay, no access log; 1 KiB
and 100 KiB bodies, in the clear and over TLS (one ECDSA P-256 certificate). weir and nginx read the very same
file. wrk asks; the upstream is an nginx that answers from memory. The one under test has a CPU of its own, wrk
and the upstream share the others, so that req/s is what one CPU carries as long as that CPU is full ("CPU" says
how full it was: below 95 % the others were the limit, and only the CPU per request compares).
The proxies take turns, round after round; the figure is the median of the rounds. CPU is user and system time
of all the proxy's threads and children, from /proc. Ratios are to nginx.
  SECONDS_EACH=10  ROUNDS=3  CASES="plain:1024 plain:102400 tls:1024 tls:102400"  PEERS="nginx haproxy weir"
"""

import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WEIR = os.environ.get("BENCH_BIN") or f"{os.environ.get('CARGO_TARGET_DIR', ROOT / 'target')}/release/weir"
SECONDS = int(os.environ.get("SECONDS_EACH", "10"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
CASES = os.environ.get("CASES", "plain:1024 plain:102400 tls:1024 tls:102400").split()
PEERS = os.environ.get("PEERS", "nginx haproxy weir").split()
CONNECTIONS = 64
START_TIMEOUT_S = 20
TICKS = os.sysconf("SC_CLK_TCK")

NGINX_CONF = """
worker_processes 1; pid {dir}/{name}.pid; error_log {dir}/{name}.log warn; {user} daemon off;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  upstream back {{ server 127.0.0.1:{back}; keepalive 128; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl;
    keepalive_requests 1000000;
    ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem;
    location / {{ proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; }}
  }}
}}
"""

BACK_CONF = """
worker_processes 1; pid {dir}/back.pid; error_log {dir}/back.log warn; {user} daemon off;
events {{ worker_connections 4096; }}
http {{
  access_log off; open_file_cache max=16; sendfile on; keepalive_requests 100000000;
  server {{ listen 127.0.0.1:{back}; root {dir}/www; }}
}}
"""

HAPROXY_CONF = """
global
  nbthread 1
  maxconn 4096
  log 127.0.0.1 local0 emerg
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend all
  bind 127.0.0.1:{plain}
  bind 127.0.0.1:{tls} ssl crt {dir}/both.pem
  default_backend back
backend back
  server one 127.0.0.1:{back}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, who):
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{who}: nothing listens on {port}")


def family(pid):
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] + [int(child) for child in children]


def cpu_s(pid):
    total = 0
    for one in family(pid):
        fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


class Bench:
    def __init__(self, dir):
        self.dir = dir
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            sys.exit("this bench needs two CPUs: one for the proxy, one for its client and upstream")
        self.own, self.rest = cpus[0], ",".join(map(str, cpus[1:]))
        self.back = free_port()
        self.user = f"user {subprocess.check_output(['id', '-un'], text=True).strip()};"
        (dir / "www").mkdir()
        for case in CASES:
            size = int(case.split(":")[1])
            (dir / "www" / str(size)).write_bytes(os.urandom(size // 2).hex().encode())
        subprocess.run(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost "
            "-addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem 2>/dev/null && cat cert.pem key.pem > both.pem",
            shell=True, cwd=dir, check=True)
        (dir / "back.conf").write_text(BACK_CONF.format(dir=dir, back=self.back, user=self.user))
        self.started = [self.start(self.rest, [nginx(), "-p", str(dir), "-c", str(dir / "back.conf")])]
        wait_port(self.back, "upstream")

    def start(self, cpus, command):
        with open(self.dir / "out.log", "ab") as log:
            return subprocess.Popen(["taskset", "-c", str(cpus), *command], stdout=log, stderr=log)

    def proxy(self, name):
        plain, tls = free_port(), free_port()
        text = (HAPROXY_CONF if name == "haproxy" else NGINX_CONF).format(
            dir=self.dir, name=name, back=self.back, plain=plain, tls=tls, user=self.user)
        conf = self.dir / f"{name}.conf"
        conf.write_text(text)
        command = {
            "nginx": [nginx(), "-p", str(self.dir), "-c", str(conf)],
            "weir": [WEIR, "nginx", "-p", str(self.dir), "-c", str(conf)],
            "haproxy": ["haproxy", "-db", "-f", str(conf)],
        }[name]
        process = self.start(self.own, command)
        self.started.append(process)
        wait_port(plain, name)
        return process, plain, tls

    def stop(self, process):
        self.started.remove(process)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)

    def one(self, name, kind, size):
        process, plain, tls = self.proxy(name)
        url = f"http://127.0.0.1:{plain}/{size}" if kind == "plain" else f"https://127.0.0.1:{tls}/{size}"
        wrk = ["taskset", "-c", self.rest, "wrk", "-t1", f"-c{CONNECTIONS}", "--latency"]
        subprocess.run([*wrk, "-d1s", url], check=True, capture_output=True)  # fills the pools
        before, start = cpu_s(process.pid), time.monotonic()
        out = subprocess.run([*wrk, f"-d{SECONDS}s", url], check=True, capture_output=True, text=True).stdout
        cpu, wall = cpu_s(process.pid) - before, time.monotonic() - start
        self.stop(process)
        if re.search(r"Non-2xx|Socket errors", out):
            sys.exit(f"{name}: requests failed:\n{out}")
        count = int(re.search(r"(\d+) requests in", out).group(1))
        p99, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", out).groups()
        p99_ms = float(p99) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
        return count / wall, p99_ms, cpu / count * 1e6, cpu / wall

    def close(self):
        for process in self.started:
            process.terminate()
        for process in self.started:
            process.wait(timeout=20)


def nginx():
    return shutil.which("nginx") or "/usr/sbin/nginx"


def main():
    dir = pathlib.Path(tempfile.mkdtemp())
    bench = Bench(dir)
    try:
        for command in ([WEIR, "--version"], [nginx(), "-v"], ["haproxy", "-v"]):
            out = subprocess.run(command, capture_output=True, text=True)
            print((out.stdout + out.stderr).splitlines()[0])
        print(f"{CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS} s, medians")
        row = "{:>6} {:>7} {:>8} {:>9} {:>7} {:>8} {:>6} {:>13} {:>12}"
        print(row.format("kind", "bytes", "proxy", "req/s", "p99 ms", "us/req", "CPU %", "req/s ÷ nginx", "us ÷ nginx"))
        for case in CASES:
            kind, size = case.split(":")
            figures = {name: [] for name in PEERS}
            for _ in range(ROUNDS):
                for name in PEERS:
                    figures[name].append(bench.one(name, kind, size))
            medians = {name: [statistics.median(column) for column in zip(*all)] for name, all in figures.items()}
            base = medians.get("nginx")
            for name, (rate, p99, us, full) in medians.items():
                ratios = (f"{rate / base[0]:.2f}", f"{us / base[2]:.2f}") if base else ("-", "-")
                print(row.format(kind, size, name, f"{rate:.0f}", f"{p99:.2f}", f"{us:.1f}", f"{full * 100:.0f}", *ratios), flush=True)
    finally:
        bench.close()
        shutil.rmtree(dir)


if __name__ == "__main__":
    main()
