"""The base of the test cases. Chain and sellers are expensive and shared by all of them; a gate is cheap and never shared."""
import atexit
import os
import sys
import threading
import unittest

from . import where
from .chain import Chain
from .gate import Gate
from .sellers import Sandbox, Sellers

sys.path.insert(0, str(where.TESTS / "crash"))
import invariants  # noqa: E402

_shared = {}
_sharing = threading.RLock()


def _once(name, make):
    """The one of this name, made by whoever asks first: agents of a case ask side by side."""
    with _sharing:
        if name not in _shared:
            _shared[name] = make()
            atexit.register(_shared[name].stop)
        return _shared[name]


def chain():
    return _once("chain", Chain)


def sellers():
    the_chain = chain()
    return _once("sellers", lambda: Sellers(the_chain))


def sandbox():
    return _once("sandbox", Sandbox)


class Case(unittest.TestCase):
    maxDiff = None

    def make_gate(self, start=True, agent=True, **options):
        """A running gate with a wallet and an agent (gate.wallet, gate.agent)."""
        gate = Gate(**options)
        self.addCleanup(self._close, gate)
        if agent:
            gate.wallet = gate.make_wallet()
            gate.agent = gate.make_agent()
        if start:
            gate.start()
        return gate

    def _close(self, gate):
        if gate.process is None:
            return
        failed = self._outcome is not None and not self._outcome.success
        if failed:
            gate.kill_all()
            gate.process = None
            print(f"\n--- the end of the gate's log, {self.id()}\n{gate.log()[-3000:]}", file=sys.stderr)
        else:
            gate.stop()

    def fund(self, address, amount=100_000_000):
        chain().mint(address, amount)

    def check_invariants(self, gate, settlements, caps=(), **options):
        faults, summary = invariants.check(gate.home, settlements, caps, where.build() / "aegis", **options)
        self.assertEqual([], list(faults), summary)

    def assert_denied(self, answer, code, status=403):
        """A denial in the gate's own words; its problem document."""
        self.assertEqual(status, answer.status, answer)
        self.assertEqual("application/problem+json", answer.headers.get("content-type"))
        problem = answer.json()
        self.assertEqual(code, problem["code"], problem)
        self.assertEqual(f"urn:aegis:problem:{code}", problem["type"])
        self.assertEqual(status, problem["status"])
        self.assertFalse(problem["signed"])
        return problem

    def assert_settled(self, answer, status=200):
        self.assertEqual(status, answer.status, answer)
        identifier, state = answer.payment
        self.assertEqual("settled", state, answer)
        return identifier


def need(tool):
    """Skips the test when a program is missing."""
    found = any(os.access(os.path.join(folder, tool), os.X_OK) for folder in os.environ.get("PATH", "").split(":"))
    return unittest.skipUnless(found, f"{tool} is not installed")
