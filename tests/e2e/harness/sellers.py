"""Sellers: the official packages on the chain, and the sandbox shop."""
import json
import os
import re
import subprocess
import urllib.request

from . import where


def _direct(url, body=None):
    """One request past every proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, body, method="GET" if body is None else "POST"), timeout=30) as answer:
        return json.load(answer)


class Sellers:
    """peers/sellers.mjs: .v2, .v1 and .liar are base addresses, .facilitator the facilitator's."""

    def __init__(self, chain):
        environment = {**os.environ, "RPC": chain.url}
        self.process = subprocess.Popen(["node", "sellers.mjs"], cwd=where.PEERS, env=environment,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("sellers.mjs did not start")
        for name, url in json.loads(line).items():
            setattr(self, name, url)

    def kept(self):
        """The payments that the liar has not cashed yet."""
        return _direct(self.liar + "/kept")

    def cash(self):
        return _direct(self.liar + "/cash", b"")

    def stop(self):
        where.stop(self.process)


class Sandbox:
    """aegis-sandbox with a state file of its own."""

    def __init__(self, folder=None, grant="1000"):
        folder = folder or where.make_folder("sandbox")
        self.state = folder / "sandbox.db"
        self.process = subprocess.Popen(
            [where.build() / "aegis-sandbox", "--listen", "127.0.0.1:0", "--state", self.state, "--grant", grant],
            stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.url = re.search(r"http://\S+", line).group()
        self.host = self.url.removeprefix("http://")

    def settlements(self, payer=None):
        rows = _direct(self.url + "/sandbox/settlements")["settlements"]
        for row in rows:
            row["value"] = int(row["amount"])
        return [row for row in rows if payer is None or row["payer"].lower() == payer.lower()]

    def balances(self):
        return _direct(self.url + "/sandbox/balances")["balances"]

    def cash(self):
        """The lying routes cash what they kept."""
        return _direct(self.url + "/sandbox/cash", b"")["cashed"]

    def stop(self):
        where.stop(self.process)
