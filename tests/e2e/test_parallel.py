"""Room for ten under the cap, and sixty-four who want to buy."""
from harness.agent import in_parallel
from harness.case import Case, chain, sellers
from harness.gate import policy


class Parallel(Case):
    def test_64_agents_of_one_budget_with_room_for_10(self):
        limit = policy("limits", "budget", {"limits": [{"chainId": "*", "token": "USDC", "per": "gate", "daily": "0.1"}]})
        gate = self.make_gate(policies=[limit], workers=2)
        self.fund(gate.wallet)
        answers = in_parallel(64, lambda number: gate.agent.get(f"{sellers().v2}/weather?n={number}", timeout=120))
        paid = [one for one in answers if one.status == 200]
        denied = [one for one in answers if one.status == 403]
        self.assertEqual((10, 54), (len(paid), len(denied)), answers)
        for answer in paid:
            self.assert_settled(answer)
        for answer in denied:
            problem = self.assert_denied(answer, "daily_limit_exceeded")
            self.assertEqual(("0.1", "0"), (problem["limit"], problem["remaining"]))
            self.assertRegex(problem["resets_at"], r"^\d{4}-\d\d-\d\dT00:00:00(\.000)?Z$")
        transfers = chain().transfers(gate.wallet)
        self.assertEqual([10_000] * 10, [one["value"] for one in transfers])
        self.check_invariants(gate, transfers, [("*", "day", 100_000)])

    def test_64_purchases_with_room_for_all(self):
        gate = self.make_gate(workers=2)
        self.fund(gate.wallet)
        answers = in_parallel(64, lambda number: gate.agent.get(f"{sellers().v2}/weather?n={number}", timeout=120))
        self.assertEqual([200] * 64, [one.status for one in answers])
        self.assertEqual(640_000, sum(one["value"] for one in chain().transfers(gate.wallet)))
        self.check_invariants(gate, chain().transfers(gate.wallet), [("*", "day", 10_000_000)])
