"""A gate of the tests' own: its configuration, its processes, its books."""
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import time

from . import where
from .agent import Agent

PASSPHRASE = "a passphrase of the tests"
EASY_BUDGET = {"limits": [{"chainId": "*", "token": "USDC", "payment": "1", "daily": "10"}]}


def policy(name, plugin, config, **more):
    """A policy document that names one of our plugins, and for stock OWS the executable that answers from it."""
    return {"id": name, "name": name, "version": 1, "created_at": "2026-01-01T00:00:00Z", "rules": [],
            "plugin": plugin, "executable": str(where.build() / "aegis-policy"), "config": config,
            "action": "deny", **more}


class Gate:
    """Use as a context manager. `config` is merged over the tests' configuration; `policies` are documents that every key
    made without its own list gets."""

    def __init__(self, config=None, policies=None, workers=1, environment=None, folder=None):
        self.folder = folder or where.make_folder("gate")
        self.folder.mkdir(exist_ok=True)
        self.home = self.folder / "aegis"
        self.vault = self.folder
        self.port = where.free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.environment = {**os.environ, "HOME": str(self.folder), "AEGIS_HOME": str(self.home),
                            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "exitcode=99"), **(environment or {})}
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
            self.environment.pop(name, None)
        self.log_path = self.folder / "gate.log"
        self.process = None
        self.policies = [policy("limits", "budget", EASY_BUDGET)] if policies is None else policies
        self.config = {
            "workers": workers,
            "vault": str(self.vault),
            "listeners": [{"name": "agents", "address": self.address, "mode": "forward"}],
            "judge": {"plugin_path": [str(path) for path in self._plugin_path()]},
            "log": {"level": "debug"},
            **(config or {}),
        }
        self._prepare()

    @staticmethod
    def _plugin_path():
        build = where.build()
        return [path for path in (build / "plugins", build / "tests" / "plugins") if path.is_dir()]

    def _prepare(self):
        for folder in (self.home, self.vault / "wallets", self.vault / "keys", self.vault / "policies"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.folder / "passphrase").write_text(PASSPHRASE + "\n")
        (self.folder / "passphrase").chmod(0o600)
        for document in self.policies:
            self.write_policy(document)
        self.write_config()

    def write_config(self, text=None):
        path = self.home / "aegis.yaml"
        path.write_text(json.dumps(self.config, indent=1) if text is None else text)
        path.chmod(0o600)

    def write_policy(self, document):
        path = self.vault / "policies" / f"{document['id']}.json"
        path.write_text(json.dumps(document, indent=1))
        path.chmod(0o600)
        return document["id"]

    # The `aegis` command.

    def aegis(self, *arguments, check=True, text=None):
        done = subprocess.run([where.build() / "aegis", *map(str, arguments)], env=self.environment, input=text,
                              capture_output=True, text=True, timeout=60)
        if check and done.returncode != 0:
            raise AssertionError(f"aegis {arguments}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def aegis_json(self, *arguments):
        return json.loads(self.aegis("--json", *arguments).stdout)

    def make_wallet(self, name="main"):
        """A wallet whose address is returned."""
        self.aegis("wallet", "create", name, "--passphrase-file", self.folder / "passphrase")
        return self.aegis("wallet", "export-address", name).stdout.split()[-1]

    def make_agent(self, name="agent", wallet="main", policies=None):
        """An API key for the wallet: an agent that can buy."""
        arguments = ["key", "create", name, "--wallet", wallet, "--passphrase-file", self.folder / "passphrase"]
        for identifier in policies if policies is not None else [one["id"] for one in self.policies]:
            arguments += ["--policy", identifier]
        token = re.search(r"ows_key_[0-9a-f]{64}", self.aegis(*arguments).stdout).group()
        return Agent(self.address, token, name)

    # Its life.

    def start(self):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen([where.build() / "aegis-gate"], env=self.environment, stdout=log, stderr=log,
                                        stdin=subprocess.DEVNULL, cwd=self.folder, start_new_session=True)
        log.close()
        where.wait_until(self._ready, 30, "the gate's readiness")
        return self

    def _ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"aegis-gate ended with {self.process.returncode}:\n{self.log()[-4000:]}")
        return self.status(check=False) is not None

    def status(self, check=True):
        done = self.aegis("--json", "status", check=check)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        """Ends the gate; a sanitizer's or an assertion's word in the log fails the test."""
        if self.process is not None:
            where.stop(self.process, 40)
            self.kill_all()
            self.process = None
        self.check_log()

    def check_log(self):
        bad = re.search(r"^.*(?:ERROR: \w+Sanitizer|runtime error:|: expected .* at ).*$", self.log(), re.M)
        if bad:
            raise AssertionError("the gate's log:\n" + self.log()[bad.start():bad.start() + 5000])

    def kill_all(self):
        """kill -9 for the supervisor and every child that is left."""
        for pid in [self.process.pid, *self.children().values()]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def children(self):
        """{"keeper": pid, "judge": pid, "worker0": pid, ...}: read from /proc, so that it works whatever state they are in."""
        found = {}
        workers = 0
        for path in pathlib.Path("/proc").iterdir():
            if not path.name.isdigit():
                continue
            try:
                words = (path / "cmdline").read_bytes().split(b"\0")
                session = int((path / "stat").read_text().rsplit(")", 1)[1].split()[3])
            except (OSError, IndexError):
                continue
            kind = next((word[10:].decode() for word in words if word.startswith(b"--process=")), None)
            if kind is None or session != self.process.pid:
                continue
            if kind == "worker":
                kind, workers = f"worker{workers}", workers + 1
            found[kind] = int(path.name)
        return found

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        if failure[0] is None:
            self.stop()
        elif self.process is not None:
            self.kill_all()

    # Its words.

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_log(self, pattern, seconds=10):
        return where.wait_until(lambda: re.search(pattern, self.log()), seconds, f"a log line like {pattern!r}")

    def entries(self, kind=None):
        """The ledger's entries, oldest first, with the body parsed."""
        with sqlite3.connect(f"file:{self.home / 'ledger.db'}?mode=ro", uri=True, timeout=10) as database:
            rows = database.execute("SELECT seq, at, kind, agent, payment, body FROM entry ORDER BY seq").fetchall()
        names = ("seq", "at", "kind", "agent", "payment", "body")
        entries = [dict(zip(names, row)) for row in rows]
        for entry in entries:
            entry["body"] = json.loads(entry["body"])
        return [entry for entry in entries if kind is None or entry["kind"] == kind]

    def payments(self):
        """What the ledger says of each payment: {id: {"kinds": [...], "authorization": {...}, "amount": int, ...}}."""
        found = {}
        for entry in self.entries():
            if entry["kind"] == "reserved":
                found[entry["payment"]] = {**entry["body"], "kinds": [], "agent": entry["agent"],
                                           "amount": int(entry["body"]["amount"]),
                                           "nonce": entry["body"]["authorization"]["nonce"]}
            if entry["payment"] in found:
                found[entry["payment"]]["kinds"].append(entry["kind"])
        return found

    def wait_entry(self, kind, payment=None, seconds=15):
        def found():
            return [one for one in self.entries(kind) if payment is None or one["payment"] == payment]
        return where.wait_until(found, seconds, f"a ledger entry {kind}")[-1]

    def messages(self):
        """The bus as the mirror file shows it."""
        path = self.home / "messages.json"
        return json.loads(path.read_text())["messages"] if path.exists() else []

    def wait_settled(self):
        """Waits until the outcome of every payment that was signed is written: the agent has its answer before that."""
        where.wait_until(lambda: all(one["kinds"][-1] != "signed" for one in self.payments().values()), 10, "every outcome")

    def wait_messages(self, count, seconds=10):
        """Waits until there are at least so many messages; returns them all."""
        where.wait_until(lambda: len(self.messages()) >= count, seconds, f"{count} messages")
        time.sleep(0.2)  # one too many would come in this time
        return self.messages()
