#!/usr/bin/env python3
"""Measures the gate beside its peers, everything on this machine. Started by `run`; see README.md.

    bench.py [--seconds N] [--json FILE] [pass] [paid] [memory]"""
import argparse
import base64
import collections
import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from harness import where  # noqa: E402
from harness.chain import NETWORK, PAYEE, USDC  # noqa: E402
from harness.gate import Gate, policy  # noqa: E402

Result = collections.namedtuple("Result", "requests bad errors p50 p99 worst seconds rate")

NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit; worker_processes auto;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; large_client_header_buffers 8 32k;
  client_body_temp_path {folder}/n1; proxy_temp_path {folder}/n2; fastcgi_temp_path {folder}/n3; uwsgi_temp_path {folder}/n4;
  scgi_temp_path {folder}/n5; default_type application/json;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location /free {{ return 200 '{{"free": true, "filler": "{filler}"}}'; }}
    location /paid {{
      if ($http_payment_signature) {{ rewrite ^ /served last; }}
      add_header PAYMENT-REQUIRED "{challenge}" always;
      return 402 '{{}}';
    }}
    location = /served {{ internal; add_header PAYMENT-RESPONSE "{settlement}"; return 200 '{{"paid": true, "filler": "{filler}"}}'; }}
  }}
}}
"""

HAPROXY = """
global
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  http-reuse always
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  server s 127.0.0.1:{origin}
"""

SQUID = """
http_port 127.0.0.1:{port}
pid_filename {folder}/squid.pid
cache_effective_user {user}
cache deny all
cache_mem 8 MB
access_log none
cache_log {folder}/squid.log
cache_store_log none
coredump_dir {folder}
http_access allow all
max_filedescriptors 4096
shutdown_lifetime 0 seconds
"""

TINYPROXY = """
Port {port}
Listen 127.0.0.1
Timeout 60
MaxClients 200
LogLevel Critical
LogFile "{folder}/tinyproxy.log"
PidFile "{folder}/tinyproxy.pid"
DisableViaHeader Yes
"""


def encode(value):
    return base64.b64encode(json.dumps(value, separators=(",", ":")).encode()).decode()


class Stage:
    """The servers of one run; everything is stopped and removed at its end."""

    def __init__(self, payer):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="aegis-bench-"))
        self.folder.chmod(0o777)
        self.processes = []
        self.missing = []
        self.origin = where.free_port()
        self._nginx(payer)
        self.haproxy = self._start("haproxy", HAPROXY, ["haproxy", "-q", "-f", "{file}"])
        self.squid = self._start("squid", SQUID, ["squid", "-N", "-f", "{file}"])
        self.tinyproxy = self._start("tinyproxy", TINYPROXY, ["tinyproxy", "-d", "-c", "{file}"])

    def _nginx(self, payer):
        offer = {"scheme": "exact", "network": NETWORK, "amount": "10000", "asset": USDC, "payTo": PAYEE,
                 "maxTimeoutSeconds": 60, "extra": {"name": "USDC", "version": "2"}}
        challenge = {"x402Version": 2, "error": "Payment required", "accepts": [offer],
                     "resource": {"url": f"http://127.0.0.1:{self.origin}/paid", "description": "", "mimeType": ""}}
        settlement = {"success": True, "payer": payer, "transaction": "0x" + "ab" * 32, "network": NETWORK}
        text = NGINX.format(folder=self.folder, port=self.origin, challenge=encode(challenge), settlement=encode(settlement),
                            filler="x" * 200)
        self._run("nginx", text, ["nginx", "-c", "{file}", "-p", str(self.folder)], self.origin)

    def _start(self, name, text, command):
        port = where.free_port()
        user = "nobody" if os.getuid() == 0 else __import__("pwd").getpwuid(os.getuid()).pw_name
        return self._run(name, text.format(folder=self.folder, port=port, origin=self.origin, user=user), command, port)

    def _run(self, name, text, command, port):
        program = shutil.which(command[0], path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        if program is None:
            self.missing.append(name)
            return None
        file = self.folder / f"{name}.conf"
        file.write_text(text)
        words = [program, *(word.format(file=file) for word in command[1:])]
        log = open(self.folder / f"{name}.out", "wb")
        self.processes.append(subprocess.Popen(words, stdout=log, stderr=log, cwd=self.folder))
        try:
            where.wait_until(lambda: listens(port), 15, f"{name} listening")
        except AssertionError:
            self.missing.append(f"{name} (did not start: {(self.folder / f'{name}.out').read_text(errors='replace')[-200:]})")
            return None
        return port

    def stop(self):
        for process in self.processes:
            where.stop(process, 5)
        shutil.rmtree(self.folder, ignore_errors=True)


def listens(port):
    import socket
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


runs = iter(range(1_000_000))


def wrk(port, seconds, connections, path, origin="", authorization="", unique=False):
    """One measurement with wrk; times in milliseconds."""
    environment = {**os.environ, "ORIGIN": origin, "AUTHORIZATION": authorization, "WHERE": path,
                   "UNIQUE": "yes" if unique else "no", "RUN": f"{os.getpid()}-{next(runs)}"}
    done = subprocess.run(["wrk", "-t", "1" if connections == 1 else "2", "-c", str(connections), "-d", f"{seconds}s",
                           "--timeout", "10s", "-s", str(HERE / "load.lua"), f"http://127.0.0.1:{port}"],
                          env=environment, capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    requests, bad, errors, p50, p99, worst, took = (float(word) for word in line.split()[1:])
    return Result(int(requests), int(bad), int(errors), p50 / 1000, p99 / 1000, worst / 1000, took / 1e6, requests / took * 1e6)


def official(port, seconds, connections):
    done = subprocess.run(["node", HERE / "client.mjs", f"http://127.0.0.1:{port}/paid", str(seconds), str(connections)],
                          env={**os.environ, "PEERS": str(where.PEERS)}, capture_output=True, text=True, check=True)
    value = json.loads(done.stdout)
    return Result(value["requests"], value["errors"], 0, value["p50"] / 1000, value["p99"] / 1000, 0, value["seconds"],
                  value["requests"] / value["seconds"])


def show(name, result, note=""):
    trouble = ""
    if result.bad:
        trouble = f"   {result.bad} answers other than 2xx"
    if result.errors > 0.9 * result.requests:
        trouble += "   (closes after each answer)"
    elif result.errors:
        trouble += f"   {result.errors} errors"
    print(f"  {name:34} {result.rate:10,.0f}/s   p50 {result.p50:8.3f} ms   p99 {result.p99:8.3f} ms{note}{trouble}", flush=True)


class Bench:
    def __init__(self, seconds):
        self.seconds = seconds
        rich = {"limits": [{"chainId": "*", "token": "USDC", "payment": "1", "daily": "1000000000"}]}
        guard = {"mode": "blocklist", "addresses": {}, "blockAddresses": ["0x" + "66" * 20], "knownAssetsOnly": True}
        switch = {"maxInactiveMinutes": 1440, "onTrigger": "revoke_key", "sweepFunds": False, "enabled": True}
        policies = [policy("budget", "budget", rich), policy("guard", "guard", guard), policy("switch", "deadswitch", switch)]
        self.gate = Gate(config={"log": {"level": "warning"}}, policies=policies, workers=0)
        payer = self.gate.make_wallet()
        self.agent = self.gate.make_agent()
        self.stage = Stage(payer)
        self.origin = f"127.0.0.1:{self.stage.origin}"
        self.reverse = where.free_port()
        self.gate.config["listeners"].append({"name": "reverse", "address": f"127.0.0.1:{self.reverse}", "mode": "reverse",
                                              "routes": [{"prefix": "/", "upstream": f"http://{self.origin}/"}]})
        self.gate.write_config()
        self.gate.start()
        self.numbers = {}

    def stop(self):
        self.gate.stop()
        self.stage.stop()

    def through_gate(self, path, connections, unique=False, seconds=None):
        return wrk(self.gate.port, seconds or self.seconds, connections, path, self.origin, self.agent.authorization, unique)

    def keep(self, name, result, **more):
        self.numbers[name] = {**result._asdict(), **more}
        show(name, result)
        return result

    def measure_pass(self):
        for connections in (1, 32):
            print(f"\nPass-through to the same nginx, {connections} connection{'s' * (connections > 1)}")
            at = f", {connections}"
            self.keep("nginx itself" + at, wrk(self.stage.origin, self.seconds, connections, "/free"))
            self.keep("gate, forward" + at, self.through_gate("/free", connections))
            self.keep("gate, reverse" + at, wrk(self.reverse, self.seconds, connections, "/free",
                                                authorization=self.agent.authorization))
            if self.stage.haproxy:
                self.keep("HAProxy, reverse" + at, wrk(self.stage.haproxy, self.seconds, connections, "/free"))
            for name in ("squid", "tinyproxy"):
                if getattr(self.stage, name):
                    self.keep(f"{name}, forward{at}", wrk(getattr(self.stage, name), self.seconds, connections, "/free", self.origin))

    def measure_paid(self):
        for connections in (1, 32):
            print(f"\nPaid requests (402, payment, 200; an instant seller), {connections} in flight")
            at = f", {connections}"
            self.keep("gate, durable, three policies" + at, self.through_gate("/paid", connections, unique=True))
            self.keep("official fetch client, no policy" + at, official(self.stage.origin, self.seconds, connections))
        trip = self.through_gate("/free", 1)
        paid = self.numbers["gate, durable, three policies, 1"]["p50"]
        self.numbers["added"] = paid - 2 * trip.p50
        print(f"\nA purchase alone: {paid:.3f} ms; two round trips through the gate: {2 * trip.p50:.3f} ms;"
              f" so it adds {paid - 2 * trip.p50:.3f} ms")

    def resident(self):
        """KiB by process."""
        sizes = {}
        for kind, pid in sorted(self.gate.children().items()):
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            sizes[kind] = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))
        return sizes

    def at_least(self, number, path, unique=False):
        done = 0
        while done < number:
            done += self.through_gate(path, 32, unique, seconds=2 if number > 1000 else 1).requests
        return done

    def measure_memory(self):
        self.at_least(1000, "/free")
        self.at_least(1000, "/paid", unique=True)
        time.sleep(1)
        first = self.resident()
        passed = self.at_least(100_000, "/free")
        bought = self.at_least(20_000, "/paid", unique=True)
        time.sleep(1)
        last = self.resident()
        print(f"\nResident memory, KiB: after the first thousand of each; after {passed:,} more passed and {bought:,} more bought")
        for kind, size in first.items():
            print(f"  {kind:34} {size:10,} {last.get(kind, 0):10,}")
        self.numbers["memory"] = {"first": first, "last": last, "passed": passed, "bought": bought}

    def compare(self):
        """The expectations of the project, against this run."""
        rates = {name: value["rate"] for name, value in self.numbers.items() if isinstance(value, dict) and "rate" in value}

        def line(text, value, wanted, good):
            print(f"  {'met ' if good else 'MISSED'}  {text}: {value} ({wanted})")
        print()
        gate, client = "gate, durable, three policies, 32", "official fetch client, no policy, 32"
        if gate in rates and client in rates:
            ratio = rates[gate] / rates[client]
            line("paid, 32 in flight, against the official client", f"{ratio:.1f} times", "at least 6", ratio >= 6)
        if "added" in self.numbers:
            line("a purchase adds", f"{self.numbers['added']:.3f} ms", "less than 2", self.numbers["added"] < 2)
        if "HAProxy, reverse, 32" in rates:
            ratio = rates["gate, forward, 32"] / rates["HAProxy, reverse, 32"]
            line("pass-through against HAProxy", f"{ratio:.2f}", "at least 0.6", ratio >= 0.6)
        if "squid, forward, 32" in rates:
            ratio = rates["gate, forward, 32"] / rates["squid, forward, 32"]
            line("pass-through against squid", f"{ratio:.2f}", "above 1", ratio > 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=8, help="for each measurement")
    parser.add_argument("--json", help="the numbers, for programs")
    parser.add_argument("parts", nargs="*", help="pass, paid, memory")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    bench = Bench(options.seconds)
    try:
        print(f"{platform.node()}: {os.cpu_count()} cores, Linux {platform.release()}; everything on this machine")
        for missing in bench.stage.missing:
            print(f"  not measured: {missing}")
        for part in options.parts or ["pass", "paid", "memory"]:
            getattr(bench, f"measure_{part}")()
        bench.compare()
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps(bench.numbers, indent=1) + "\n")
    finally:
        bench.stop()


if __name__ == "__main__":
    main()
