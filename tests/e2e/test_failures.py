"""What went wrong in other people's gates. Each case is one of them, named after it."""
import http.client
import json
import sqlite3
import time

from harness import chain as chains
from harness import origin as origins
from harness.agent import in_parallel
from harness.case import Case, chain, sandbox, sellers
from harness.gate import policy
from harness.origin import Seller, challenge, entry, plain, settled


def daily(amount, **more):
    return policy("limits", "budget", {"limits": [{"chainId": "*", "token": "USDC", "daily": amount, **more}]})


class Failures(Case):
    def seller(self, *arguments, **options):
        seller = Seller(*arguments, **options)
        self.addCleanup(seller.close)
        return seller

    def exhaust(self, gate, url, count):
        """Buys until the cap should be full; the purchase after that must be denied."""
        for number in range(count):
            try:
                gate.agent.get(f"{url}?n={number}")
            except (http.client.HTTPException, OSError):
                pass  # a seller that cuts the line may be felt
        self.assert_denied(gate.agent.get(f"{url}?n=last"), "daily_limit_exceeded")

    # 1. The cap was given back on the seller's word.

    def given_back(self, lie, *states):
        gate = self.make_gate(policies=[daily("0.03")])
        self.fund(gate.wallet)
        self.exhaust(gate, f"{sellers().liar}/lie/{lie}", 3)
        gate.wait_settled()
        for one in gate.payments().values():
            self.assertIn(one["kinds"][-1], states)
        self.assertLessEqual(sum(one["value"] for one in chain().transfers(gate.wallet)), 30_000)
        self.check_invariants(gate, chain().transfers(gate.wallet), [("*", "day", 30_000)])

    def test_01_cap_not_given_back_on_402(self):
        self.given_back("refuse-but-cash", "refused")

    def test_01_cap_not_given_back_on_success_false(self):
        self.given_back("fail-but-cash", "refused", "unknown")

    def test_01_cap_not_given_back_on_500(self):
        self.given_back("error-but-cash", "unknown")

    def test_01_cap_not_given_back_on_a_cut_connection(self):
        self.given_back("cut", "unknown")

    def test_01_cap_not_given_back_when_cashed_later(self):
        gate = self.make_gate(policies=[daily("0.03")])
        self.fund(gate.wallet)
        sellers().cash()
        self.exhaust(gate, sellers().liar + "/lie/keep", 3)
        self.assertEqual([True] * 3, [one["success"] for one in sellers().cash()])
        self.check_invariants(gate, chain().transfers(gate.wallet), [("*", "day", 30_000)])

    # 2. Load-then-append of spend under concurrency.

    def test_02_concurrent_purchases_share_one_cap(self):
        gate = self.make_gate(policies=[daily("0.05")], workers=2)
        slow = self.seller(paid=lambda head, body, given, connection: origins.slowly(0.3, settled(given)))
        answers = in_parallel(20, lambda n: gate.agent.get(f"{slow.url}/{n}"))
        self.assertEqual([200] * 5 + [403] * 15, sorted(one.status for one in answers))
        self.assertEqual(5, len(set(slow.nonces())))

    # 3. A per-payment cap bound to one asset; the seller asked in another.

    def test_03_cap_holds_for_every_asset(self):
        other = "0x" + "77" * 20
        assets = [{"network": chains.NETWORK, "address": other, "symbol": "OTHER", "decimals": 6, "name": "Other", "version": "1"}]
        gate = self.make_gate(config={"assets": assets}, policies=[daily("1")])
        seller = self.seller(lambda head: challenge(entry(asset=other, extra={"name": "Other", "version": "1"})))
        answer = gate.agent.get(seller.url + "/")
        self.assertEqual(403, answer.status, answer)
        self.assertEqual([], seller.paid_requests)

    # 4. The merchant's identity taken from the 402's own `resource`.

    def test_04_seller_is_the_origin_that_was_connected_to(self):
        guard = policy("who", "guard", {"hosts": {"allow": ["honest.example"]}})
        gate = self.make_gate(policies=[guard])
        seller = self.seller(lambda head: challenge(entry(), url="http://honest.example/"))
        self.assert_denied(gate.agent.get(seller.url + "/"), "host_not_allowed")
        self.assertEqual([], seller.paid_requests)

    def test_04_host_header_does_not_name_the_seller(self):
        guard = policy("who", "guard", {"hosts": {"allow": ["honest.example"]}})
        gate = self.make_gate(policies=[guard])
        seller = self.seller()
        answer = gate.agent.get(seller.url + "/", headers={"Host": "honest.example"})
        self.assertIn(answer.status, (400, 403), answer)
        self.assertEqual([], seller.paid_requests)

    # 5. Spend counted only on 2xx with a v1 header; a corrupt ledger read as empty.

    def test_05_spend_counts_without_a_settlement_header(self):
        gate = self.make_gate(policies=[daily("0.03")])
        seller = self.seller(paid=lambda head, body, given, connection: plain(200, b"here you are"))
        self.exhaust(gate, seller.url + "/", 3)
        self.assertEqual(["delivered"] * 3, [one["kinds"][-1] for one in gate.payments().values()])

    def test_05_corrupt_ledger_stops_the_gate(self):
        gate = self.make_gate()
        self.assert_settled(gate.agent.get(sandbox().url + "/weather"))
        gate.stop()
        ledger = gate.home / "ledger.db"
        with sqlite3.connect(ledger) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        whole = ledger.read_bytes()
        ledger.write_bytes(whole[:4096] + b"\xff" * 8192 + whole[12288:])
        bought = len(sandbox().settlements(gate.wallet))
        try:
            gate.start()
            answer = gate.agent.get(sandbox().url + "/weather?again")
            self.assertIn(answer.status, (403, 407, 502, 503))
        except (AssertionError, OSError):
            pass  # it did not start: as good
        self.assertEqual(bought, len(sandbox().settlements(gate.wallet)))
        gate.kill_all()
        gate.process = None

    # 6. One 402 judged, a second one fetched and paid; 11. the cap checked on the first offer, another one paid.

    def test_06_what_was_judged_is_what_is_signed(self):
        prices = iter(range(10_000, 900_000, 100_000))
        gate = self.make_gate(policies=[daily("10", payment="0.02")])
        seller = self.seller(lambda head: challenge(entry(amount=next(prices))))
        self.assertEqual(200, gate.agent.get(seller.url + "/").status)
        self.assertEqual(["10000"], [one["payload"]["authorization"]["value"] for _, one in seller.paid_requests])
        self.assert_denied(gate.agent.get(seller.url + "/?second"), "payment_limit_exceeded")

    def test_06_second_402_after_paying_is_passed_on(self):
        gate = self.make_gate()
        seller = self.seller(paid=lambda head, body, given, connection: challenge(entry(amount=20_000)))
        answer = gate.agent.get(seller.url + "/")
        self.assertEqual((402, "refused"), (answer.status, answer.payment[1]))
        self.assertEqual(1, len(seller.paid_requests), "one 402 is answered at most once per request")

    def test_11_the_offer_that_passed_is_the_one_that_is_paid(self):
        """The first offer is over the cap, the second under it, the third unknown."""
        offers = [entry(amount=5_000_000), entry(amount=10_000), entry(amount=1, asset="0x" + "42" * 20)]
        gate = self.make_gate()
        seller = self.seller(lambda head: challenge(*offers))
        self.assertEqual(200, gate.agent.get(seller.url + "/").status)
        given = seller.paid_requests[0][1]
        self.assertEqual("10000", given["payload"]["authorization"]["value"])
        self.assertEqual(offers[1], given["accepted"])

    # 7. Totals from a trimmed history; write errors swallowed.

    def test_07_old_payments_count_in_the_total(self):
        total = policy("limits", "budget", {"limits": [{"chainId": "*", "token": "*", "total": "0.25"}]})
        gate = self.make_gate(policies=[total])
        for number in range(25):
            self.assert_settled(gate.agent.get(f"{sandbox().url}/weather?{number}"))
        gate.stop()
        gate.start()
        problem = self.assert_denied(gate.agent.get(sandbox().url + "/weather?more"), "total_limit_exceeded")
        self.assertEqual("0", problem["remaining"])

    # 8. Policies shown a constant zero; the lifetime taken from the server.

    def test_08_executable_policies_see_true_totals(self):
        gate = self.make_gate(agent=False, start=False, policies=[])
        program = gate.folder / "policy.py"
        program.write_text("#!/usr/bin/env python3\nimport json, sys\nc = json.load(sys.stdin)\n"
                           "print(json.dumps({'allow': c['spending']['daily_total'] in ('0', '0.0'),"
                           " 'reason': c['spending']['daily_total']}))\n")
        program.chmod(0o755)
        document = {"id": "program", "name": "program", "version": 1, "created_at": "2026-01-01T00:00:00Z", "rules": [],
                    "executable": str(program), "action": "deny"}
        gate.write_policy(document)
        gate.wallet = gate.make_wallet()
        gate.agent = gate.make_agent(policies=["program"])
        gate.start()
        self.assert_settled(gate.agent.get(sandbox().url + "/weather"))
        answer = gate.agent.get(sandbox().url + "/weather?2")
        self.assertEqual(403, answer.status, answer)
        self.assertIn("10000", json.dumps(answer.json()).replace("0.01", "10000"))

    def test_08_lifetime_is_ours(self):
        gate = self.make_gate(config={"payment": {"lifetime_seconds": 30}})
        seller = self.seller(lambda head: challenge(entry(maxTimeoutSeconds=86_400)))
        began = int(time.time())
        gate.agent.get(seller.url + "/")
        until = int(seller.paid_requests[0][1]["payload"]["authorization"]["validBefore"])
        self.assertLessEqual(until, began + 32)
        self.assertGreater(until, began + 20)

    def test_08_shorter_lifetime_of_the_seller_counts(self):
        gate = self.make_gate()
        seller = self.seller(lambda head: challenge(entry(maxTimeoutSeconds=10)))
        began = int(time.time())
        gate.agent.get(seller.url + "/")
        self.assertLessEqual(int(seller.paid_requests[0][1]["payload"]["authorization"]["validBefore"]), began + 12)

    # 9. A refused payment left its replay mark behind, so the honest retry looked like a replay.

    def test_09_honest_retry_after_a_refusal(self):
        times = iter([False, True])
        gate = self.make_gate()
        seller = self.seller(paid=lambda head, body, given, connection:
                             settled(given) if next(times) else challenge(entry(), error="the facilitator was away"))
        self.assertEqual(402, gate.agent.get(seller.url + "/").status)
        self.assert_settled(gate.agent.get(seller.url + "/"))
        self.assertEqual(1, len(set(seller.nonces())))

    # 10. A fresh signature for every 402.

    def test_10_retries_carry_the_same_payment(self):
        gate = self.make_gate()
        seller = self.seller(paid=lambda head, body, given, connection: None)
        for _ in range(4):
            self.assertIn(gate.agent.get(seller.url + "/same").status, (502, 504))
        self.assertEqual(4, len(seller.nonces()))
        self.assertEqual(1, len(set(seller.nonces())))
        signatures = {given["payload"]["signature"] for _, given in seller.paid_requests}
        self.assertEqual(1, len(signatures))
        self.assertEqual(1, len(gate.payments()))

    def test_10_other_terms_while_unresolved_are_not_paid(self):
        prices = iter([10_000, 10_001, 10_002])
        gate = self.make_gate()
        seller = self.seller(price=lambda head: challenge(entry(amount=next(prices))),
                             paid=lambda head, body, given, connection: None)
        self.assertIn(gate.agent.get(seller.url + "/same").status, (502, 504))
        problem = self.assert_denied(gate.agent.get(seller.url + "/same"), "previous_payment_unresolved", 409)
        self.assertGreater(problem["retry_after"], 0)
        self.assertEqual(1, len(seller.nonces()))

    # 12. Agent id supplied by the caller: a new id, a new budget.

    def test_12_an_agent_is_its_token(self):
        gate = self.make_gate(policies=[daily("0.01")])
        self.assert_settled(gate.agent.get(sandbox().url + "/weather?1"))
        for disguise in ({"X-Agent-Id": "other"}, {"Aegis-Agent": "other"}, {"X-Forwarded-User": "other"}):
            self.assert_denied(gate.agent.get(sandbox().url + "/weather?2", headers=disguise), "daily_limit_exceeded")
        import base64
        other_user = "Basic " + base64.b64encode(f"somebody-else:{gate.agent.token}".encode()).decode()
        bearer = f"Bearer {gate.agent.token}"
        for credential in (other_user, bearer):
            answer = gate.agent.get(sandbox().url + "/weather?3", headers={"Proxy-Authorization": credential})
            self.assert_denied(answer, "daily_limit_exceeded")

    def test_12_two_agents_have_two_budgets(self):
        gate = self.make_gate(policies=[daily("0.01")])
        second = gate.make_agent("second")
        self.assert_settled(gate.agent.get(sandbox().url + "/weather?a"))
        self.assert_settled(second.get(sandbox().url + "/weather?b"))
        self.assert_denied(gate.agent.get(sandbox().url + "/weather?c"), "daily_limit_exceeded")
        self.assert_denied(second.get(sandbox().url + "/weather?d"), "daily_limit_exceeded")

    # 13. The allowlist checked one field, money went to another.

    def test_13_money_goes_to_the_address_that_was_judged(self):
        friend, foe = chains.PAYEE, "0x" + "66" * 20
        guard = policy("who", "guard", {"mode": "allowlist", "addresses": {"eip155:*": [friend]}})
        gate = self.make_gate(policies=[guard])
        offer = entry(payTo=foe, extra={"name": "USDC", "version": "2", "payTo": friend, "recipient": friend})
        seller = self.seller(lambda head: challenge(offer, payTo=friend, recipient=friend))
        self.assert_denied(gate.agent.get(seller.url + "/"), "payee_not_allowed")
        offers = [entry(payTo=foe), entry(amount=20_000)]
        second = self.seller(lambda head: challenge(*offers))
        self.assertEqual(200, gate.agent.get(second.url + "/").status)
        self.assertEqual([friend], [given["payload"]["authorization"]["to"] for _, given in second.paid_requests])

    # 15. Policy after the signature; floats for money.

    def test_15_no_signature_before_the_policies(self):
        gate = self.make_gate(policies=[daily("0.005")])
        self.assert_denied(gate.agent.get(sandbox().url + "/weather"), "daily_limit_exceeded")
        self.assertEqual(["decision"], [one["kind"] for one in gate.entries() if one["payment"]])

    def test_15_amounts_are_exact(self):
        """0.1 + 0.2 is 0.3 here, and 2^53 + 1 is not 2^53."""
        gate = self.make_gate(policies=[daily("0.3")])
        prices = iter([100_000, 200_000, 1])
        seller = self.seller(lambda head: challenge(entry(amount=next(prices))))
        self.assertEqual([200, 200, 403], [gate.agent.get(f"{seller.url}/{n}").status for n in range(3)])
        rich = self.make_gate(policies=[daily("9007199254.740993")])
        amounts = iter([2**53 + 2, 2**53 + 1])
        big = self.seller(lambda head: challenge(entry(amount=next(amounts))))
        self.assertEqual(403, rich.agent.get(big.url + "/1").status)
        self.assertEqual(200, rich.agent.get(big.url + "/2").status)
        self.assertEqual(str(2**53 + 1), big.paid_requests[0][1]["payload"]["authorization"]["value"])

    # 16. Approvals lost when the caller's connection closed: here, the payment must not be lost from the books.

    def test_16_agent_that_leaves_while_paying_is_in_the_books(self):
        gate = self.make_gate(policies=[daily("0.01")])
        seller = self.seller(paid=lambda head, body, given, connection: origins.slowly(1.0, settled(given)))
        with self.assertRaises(OSError):
            gate.agent.get(seller.url + "/slow", timeout=0.5)
        gate.wait_entry("unknown")
        self.assert_denied(gate.agent.get(seller.url + "/other"), "daily_limit_exceeded")
        self.assertEqual(1, len(seller.nonces()))
        self.assert_settled(gate.agent.get(seller.url + "/slow"))
        self.assertEqual(1, len(set(seller.nonces())))
