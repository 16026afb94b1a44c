"""Only the chain gives money back."""
import json
import subprocess
import time

from harness import ows, where
from harness.case import Case, chain, sellers
from harness.chain import NETWORK
from harness.gate import policy
from harness.origin import Origin, plain


class Proof(Case):
    def setUp(self):
        limit = policy("limits", "budget", {"limits": [{"chainId": "*", "token": "USDC", "daily": "0.01"}]})
        network = {"network": NETWORK, "rpc": chain().url, "confirmations": 0, "poll_ms": 200}
        self.gate = self.make_gate(policies=[limit], config={"networks": [network], "payment": {"lifetime_seconds": 8}})
        self.fund(self.gate.wallet)
        sellers().cash()

    def wait_state(self, state):
        payment = next(iter(self.gate.payments()))

        def arrived():
            chain().mine()
            return self.gate.payments()[payment]["kinds"][-1] == state
        where.wait_until(arrived, 30, f"the state {state}", every=0.3)

    def let_expire(self):
        """Waits until the payment cannot be cashed any more. The clock of the shared chain is left alone: other tests pay
        there too."""
        until = max(int(one["authorization"]["validBefore"]) for one in self.gate.payments().values())
        time.sleep(max(0, until + 1 - time.time()))
        chain().mine()

    def assert_full(self):
        self.assert_denied(self.gate.agent.get(sellers().v2 + "/weather?full"), "daily_limit_exceeded")

    def test_expired_and_unused_gives_back(self):
        self.assertEqual(402, self.gate.agent.get(sellers().liar + "/lie/keep").status)
        self.assert_full()
        self.let_expire()
        self.wait_state("expired")
        self.assertEqual([False], [one["success"] for one in sellers().cash()])
        self.assert_settled(self.gate.agent.get(sellers().v2 + "/weather?room"))
        self.check_invariants(self.gate, chain().transfers(self.gate.wallet), [("*", "day", 10_000)])

    def test_not_before_the_chain_says_so(self):
        """Our clock passes validBefore, the chain's last block does not: nothing is given back."""
        self.assertEqual(402, self.gate.agent.get(sellers().liar + "/lie/keep").status)
        time.sleep(11)
        self.assertEqual("refused", next(iter(self.gate.payments().values()))["kinds"][-1])
        self.assert_full()

    def test_transferred_though_the_seller_said_no(self):
        self.assertEqual(402, self.gate.agent.get(sellers().liar + "/lie/refuse-but-cash").status)
        self.wait_state("settled")
        entry = self.gate.entries("settled")[-1]
        self.assertEqual("chain", entry["body"]["by"])
        self.assertEqual(chain().transfers(self.gate.wallet)[0]["transaction"], entry["body"]["transaction"])
        self.let_expire()
        self.assert_full()
        self.check_invariants(self.gate, chain().transfers(self.gate.wallet), [("*", "day", 10_000)])

    def test_cancelled_gives_back_and_is_not_taken_for_paid(self):
        """authorizationState is true for used and for cancelled."""
        self.assertEqual(402, self.gate.agent.get(sellers().liar + "/lie/keep").status)
        authorization = sellers().kept()[0]["payload"]["authorization"]
        phrase = self.export_phrase()
        signature = subprocess.run(["node", "cancel.mjs", phrase, authorization["nonce"]], cwd=where.PEERS, check=True,
                                   capture_output=True, text=True).stdout.strip()
        chain().cancel(self.gate.wallet, authorization["nonce"], signature)
        self.assertTrue(chain().nonce_used(self.gate.wallet, authorization["nonce"]))
        self.wait_state("cancelled")
        self.assertEqual([False], [one["success"] for one in sellers().cash()], json.dumps(authorization))
        self.assert_settled(self.gate.agent.get(sellers().v2 + "/weather?room"))
        self.check_invariants(self.gate, chain().transfers(self.gate.wallet), [("*", "day", 10_000)])

    def export_phrase(self):
        """The wallet's phrase, by the official package: ours exports no secrets."""
        return ows.call("exportWallet", "main", ows.PASSPHRASE, str(self.gate.vault))

    def test_without_an_rpc_nothing_is_given_back(self):
        limit = policy("limits", "budget", {"limits": [{"chainId": "*", "token": "USDC", "daily": "0.01"}]})
        gate = self.make_gate(policies=[limit], config={"payment": {"lifetime_seconds": 8}})
        self.assertEqual(402, gate.agent.get(sellers().liar + "/lie/keep").status)
        self.gate = gate
        self.let_expire()
        self.assert_denied(gate.agent.get(sellers().v2 + "/weather"), "daily_limit_exceeded")

    def test_rpc_that_lies_about_the_network_is_not_believed(self):
        """An endpoint that answers for another chain proves nothing."""

        def node(head, body, connection):
            asked = json.loads(body)
            batch = asked if isinstance(asked, list) else [asked]
            answers = [{"jsonrpc": "2.0", "id": one["id"], "result": self.answer_of_another_chain(one["method"])} for one in batch]
            return plain(200, json.dumps(answers if isinstance(asked, list) else answers[0]).encode(),
                         [("Content-Type", "application/json")])

        liar = Origin(node)
        self.addCleanup(liar.close)
        limit = policy("limits", "budget", {"limits": [{"chainId": "*", "token": "USDC", "daily": "0.01"}]})
        network = {"network": NETWORK, "rpc": liar.url, "confirmations": 0, "poll_ms": 200}
        gate = self.make_gate(policies=[limit], config={"networks": [network], "payment": {"lifetime_seconds": 8}})
        self.assertEqual(402, gate.agent.get(sellers().liar + "/lie/keep").status)
        where.wait_until(lambda: len(liar.requests) > 3, 15, "questions to the node")
        self.assertEqual("refused", next(iter(gate.payments().values()))["kinds"][-1])

    @staticmethod
    def answer_of_another_chain(method):
        block = {"number": "0x10000", "timestamp": hex(2**32), "hash": "0x" + "11" * 32, "parentHash": "0x" + "10" * 32}
        return {"eth_chainId": "0x1", "net_version": "1", "eth_blockNumber": "0x10000", "eth_getLogs": [],
                "eth_getBlockByNumber": block, "eth_call": "0x" + "0" * 64}.get(method)
