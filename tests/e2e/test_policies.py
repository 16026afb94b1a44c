"""Policies seen from outside: what stock OWS is told by aegis-policy, executables of the standard, and why something was denied."""
import json
import os
import subprocess
import time

from harness import where
from harness.case import Case, sandbox
from harness.gate import policy
from test_ows import TYPED

PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
USDC = TYPED["domain"]["verifyingContract"]


def budget(identifier="limits", **limits):
    return policy(identifier, "budget", {"limits": [{"chainId": "*", "token": "USDC", **limits}]})


class StockOws(Case):
    """What OWS 1.3 would hand to the executable that our documents name. (1.2.4 signs no typed data with a token.)"""

    def context(self, gate, amount, nonce=1, payer=None, **changes):
        key = gate.aegis_json("key", "list")
        message = {"from": payer or gate.wallet, "to": PAYEE, "value": str(amount), "validAfter": "0",
                   "validBefore": str(int(time.time()) + 60), "nonce": f"0x{nonce:064x}"}
        typed = {**TYPED, "message": message}
        return {"api_key_id": (key["keys"] if isinstance(key, dict) else key)[0]["id"], "chain_id": "eip155:84532",
                "spending": {"daily_total": "0", "date": "2026-11-20"}, "timestamp": "2026-11-20T07:36:01.472013697+00:00",
                "transaction": {"raw_hex": ""}, "wallet_id": "w",
                "typed_data": {"raw_json": json.dumps(typed), "domain_chain_id": 84532}, **changes}

    def ask(self, gate, context):
        done = subprocess.run([where.build() / "aegis-policy"], input=json.dumps(context), env=gate.environment,
                              capture_output=True, text=True, timeout=20)
        self.assertEqual(0, done.returncode, done.stderr)
        return json.loads(done.stdout)

    def test_a_payment_is_judged_and_counts(self):
        gate = self.make_gate(policies=[budget(payment="1", daily="1.5")])
        self.assertEqual({"allow": True}, self.ask(gate, self.context(gate, 1_000_000, 1)))
        booked = gate.wait_entry("external")
        self.assertEqual(("1000000", PAYEE), (booked["body"]["amount"], booked["body"]["pay_to"]))
        denied = self.ask(gate, self.context(gate, 600_000, 2))
        self.assertFalse(denied["allow"])
        self.assertIn("daily limit", denied["reason"])
        self.assertFalse(self.ask(gate, self.context(gate, 1_000_001, 3))["allow"])
        # What was signed past the gate is counted when the agent comes through it.
        self.assert_settled(gate.agent.get(sandbox().url + "/weather"))
        self.assertEqual(1, len(gate.entries("external")))

    def test_several_documents_ask_but_it_counts_once(self):
        """OWS runs the executable once for each document that names it."""
        gate = self.make_gate(policies=[budget(payment="1", daily="1.5"), policy("known", "guard", {"knownAssetsOnly": True})])
        context = self.context(gate, 1_000_000)
        self.assertEqual([True, True], [self.ask(gate, context)["allow"] for _ in range(2)])
        self.assertEqual(1, len(gate.entries("external")))

    def test_what_is_no_payment_of_the_agents_is_denied(self):
        gate = self.make_gate()
        good = self.context(gate, 1000)
        typed = json.loads(good["typed_data"]["raw_json"])
        foreign = {**typed, "domain": {**typed["domain"], "verifyingContract": PAYEE}}
        for name, context in {
            "raw bytes": {**good, "transaction": {"raw_hex": "1901" + "ab" * 64}},
            "other bytes": {**good, "transaction": {"raw_hex": "68656c6c6f"}},
            "no typed data": {key: value for key, value in good.items() if key != "typed_data"},
            "other chain": {**good, "chain_id": "eip155:1"},
            "unknown asset": {**good, "typed_data": {"raw_json": json.dumps(foreign)}},
            "other types": {**good, "typed_data": {"raw_json": json.dumps({**typed, "primaryType": "Permit"})}},
            "foreign wallet": self.context(gate, 1000, payer=PAYEE),
            "unknown key": {**good, "api_key_id": "00000000-0000-4000-8000-000000000000"},
            "nothing": {},
        }.items():
            answer = self.ask(gate, context)
            self.assertEqual((False, True), (answer["allow"], bool(answer["reason"])), name)
        self.assertEqual([], gate.entries("external"))

    def test_without_a_gate_everything_is_denied(self):
        gate = self.make_gate(start=False)
        answer = self.ask(gate, self.context(gate, 1000))
        self.assertEqual({"allow": False, "reason": "there is no running gate to ask"}, answer)


class Executables(Case):
    """Documents of stock OWS that name a program and no plugin."""

    def gate_with(self, script, **config):
        document = {"id": "program", "name": "program", "version": 1, "created_at": "2026-01-01T00:00:00Z", "rules": [],
                    "executable": "check", "config": {"max": "1"}, "action": "deny"}
        gate = self.make_gate(policies=[document], start=False, config=None)
        path = gate.vault / "policies" / "check"
        path.write_text("#!/bin/sh\n" + script)
        path.chmod(0o755)
        gate.config["judge"].update(config)
        gate.write_config()
        gate.start()
        return gate

    def test_a_program_decides(self):
        gate = self.gate_with("""cat > context
            grep -q '"max":"1"' context && grep -q 'api_key_id' context || exit 9
            grep -q /weather context; grep -q '"value\\\\":\\\\"' context || exit 8
            [ -e refuse ] && echo '{"allow":false,"reason":"not today"}' || echo '{"allow":true}'
            """, timeout_ms=10000)
        self.assert_settled(gate.agent.get(sandbox().url + "/weather"))
        context = json.loads((gate.vault / "context").read_text())
        self.assertEqual(gate.wallet, json.loads(context["typed_data"]["raw_json"])["message"]["from"])
        self.assertEqual("0", context["spending"]["daily_total"])
        self.assert_settled(gate.agent.get(sandbox().url + "/weather?2"))
        self.assertNotEqual("0", json.loads((gate.vault / "context").read_text())["spending"]["daily_total"])
        (gate.vault / "refuse").touch()
        problem = self.assert_denied(gate.agent.get(sandbox().url + "/weather?3"), "executable_denied")
        self.assertIn("not today", problem["detail"])
        # Its answers stand in the ledger, so that what it said can be judged again without it.
        (gate.vault / "policies" / "check").unlink()
        self.assertIn("3 decisions judged again", gate.aegis("ledger", "replay").stdout)

    def test_a_slow_program_is_a_denial(self):
        gate = self.gate_with("sleep 600\n", timeout_ms=500)
        answer = gate.agent.get(sandbox().url + "/weather")
        self.assertIn(answer.json()["code"], ("judge_timeout", "executable_failed"))
        self.assertEqual({}, gate.payments())

    def test_a_program_that_fails_is_a_denial(self):
        gate = self.gate_with("echo '{\"allow\":true}'; exit 3\n", timeout_ms=10000)
        self.assertEqual("executable_failed", gate.agent.get(sandbox().url + "/weather").json()["code"])
        self.assertEqual({}, gate.payments())


class Explaining(Case):
    def test_a_past_denial_is_explained_with_its_facts(self):
        gate = self.make_gate(policies=[budget(payment="0.0001", daily="10"), policy("known", "guard", {"methods": ["GET"]})])
        problem = self.assert_denied(gate.agent.get(sandbox().url + "/weather"), "payment_limit_exceeded")
        told = gate.aegis("policy", "explain", problem["decision"]).stdout
        self.assertIn("denied (payment_limit_exceeded)", told)
        self.assertIn("limits: deny", told)
        allowed = self.make_gate(policies=[budget(payment="1", daily="10")])
        payment = self.assert_settled(allowed.agent.get(sandbox().url + "/weather"))
        told = allowed.aegis_json("policy", "explain", payment)
        self.assertEqual("allow", told["verdict"])
        self.assertIn("spent/agent/day/*/USDC", told["facts"])
        self.assertIn("spent/agent/day/*/USDC: {", allowed.aegis("policy", "explain", payment).stdout)

    def test_a_payment_in_a_file_is_asked_of_the_gate(self):
        gate = self.make_gate(policies=[budget(payment="1", daily="10"), policy("known", "guard", {"methods": ["GET"]})])
        self.assert_settled(gate.agent.get(sandbox().url + "/weather"))
        path = gate.folder / "payment.json"
        payment = {"agent": "agent", "network": "eip155:84532", "asset": USDC, "amount": "1000001", "pay_to": PAYEE,
                   "method": "POST", "url": "https://api.example.com/x"}
        path.write_text(json.dumps(payment))
        told = gate.aegis_json("policy", "explain", path)
        self.assertEqual("deny", told["verdict"])
        self.assertEqual(["payment_limit_exceeded", "method_not_allowed"], [row["code"] for row in told["verdicts"]])
        self.assertEqual("api.example.com", told["subject"]["host"])
        path.write_text(json.dumps({**payment, "amount": "1", "method": "GET"}))
        self.assertIn("limits: allow", gate.aegis("policy", "explain", path).stdout)
        # Nothing was booked by asking.
        self.assertEqual(1, len(gate.payments()))

    def test_without_a_gate_it_says_so(self):
        gate = self.make_gate(start=False)
        path = gate.folder / "payment.json"
        path.write_text("{}")
        done = gate.aegis("policy", "explain", path, check=False)
        self.assertEqual(1, done.returncode)
        self.assertIn("no gate answers", done.stderr)

    def test_list_and_check(self):
        gate = self.make_gate(policies=[budget(payment="1")], start=False)
        listed = gate.aegis_json("policy", "list")
        self.assertEqual([("limits", "budget", "agent")], [(one["id"], one["plugin"], one["agents"])
                                                            for one in listed["policies"]])
        bad = gate.vault / "policies" / "bad.json"
        bad.write_text(json.dumps(policy("bad", "budget", {"limits": [{"chainId": "*", "token": "USDC", "dayly": "1"}]})))
        done = gate.aegis("policy", "check", bad, gate.vault / "policies" / "limits.json", check=False)
        self.assertEqual(1, done.returncode)
        self.assertIn("bad.json: config: limits[0].dayly: is not a field of a limit", done.stderr)
        self.assertIn("limits.json: good", done.stdout)
        self.assertFalse(os.path.exists(gate.home / "ledger.db"))
