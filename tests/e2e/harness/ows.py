"""The official Open Wallet Standard package, one call at a time."""
import json
import subprocess

from . import where
from .gate import PASSPHRASE  # noqa: F401  (the tests' wallets have it)


class Refused(Exception):
    pass


def call(name, *arguments):
    done = subprocess.run(["node", "ows.mjs", name, json.dumps(arguments)], cwd=where.PEERS, capture_output=True, text=True,
                          timeout=60)
    if done.returncode != 0:
        raise Refused(done.stderr.strip())
    return json.loads(done.stdout)
