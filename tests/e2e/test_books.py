"""The `aegis` command over the books: what a person asks afterwards."""
import csv
import io
import json

from harness.case import Case, sandbox
from harness.gate import policy


def budget(**limits):
    return policy("limits", "budget", {"limits": [{"chainId": "*", "token": "USDC", **limits}]})


class Books(Case):
    def setUp(self):
        self.gate = self.make_gate(policies=[budget(payment="1", daily="1.1")])
        self.bought = [self.assert_settled(self.gate.agent.get(f"{sandbox().url}/report?{n}")) for n in range(2)]
        self.assert_denied(self.gate.agent.get(sandbox().url + "/whale"), "payment_limit_exceeded")
        self.assert_denied(self.gate.agent.get(sandbox().url + "/report?3"), "daily_limit_exceeded")
        self.gate.wait_settled()

    def test_verify_finds_nothing_and_then_a_changed_entry(self):
        self.assertEqual(0, self.gate.aegis("ledger", "verify").returncode)
        self.gate.stop()
        import sqlite3
        with sqlite3.connect(self.gate.home / "ledger.db") as database:
            database.execute("DROP TRIGGER entry_never_changes")
            database.execute("UPDATE entry SET body = replace(body, '500000', '400000') WHERE kind = 'reserved'")
        database.close()
        done = self.gate.aegis("ledger", "verify", check=False)
        self.assertEqual(1, done.returncode, done.stdout)
        first = next(one["seq"] for one in self.gate.entries("reserved"))
        self.assertIn(str(first), done.stdout + done.stderr)

    def test_replay_reaches_the_same_verdicts(self):
        """Also after the policy has changed: what counts is the version that was in force."""
        self.assertEqual(0, self.gate.aegis("ledger", "replay").returncode)
        self.gate.write_policy(budget(payment="0.001"))
        self.gate.aegis("reload")
        done = self.gate.aegis("ledger", "replay")
        self.assertIn("4", done.stdout)

    def test_export_as_json_lines_is_the_ledger(self):
        lines = [json.loads(line) for line in self.gate.aegis("ledger", "export").stdout.splitlines()]
        entries = self.gate.entries()
        self.assertEqual([(one["seq"], one["kind"], one["body"]) for one in entries],
                         [(one["seq"], one["kind"], one["body"]) for one in lines])

    def test_export_as_csv_has_a_row_for_each_payment(self):
        text = self.gate.aegis("ledger", "export", "--format", "csv").stdout
        rows = list(csv.DictReader(io.StringIO(text)))
        self.assertEqual(sorted(self.bought), sorted(row["id"] if "id" in row else row["payment"] for row in rows))

    def test_budget_says_what_is_left(self):
        text = json.dumps(self.gate.aegis_json("budget"))
        for words in ("1.1", "0.1"):
            self.assertIn(f'"{words}"', text)

    def test_explain_a_past_payment(self):
        done = self.gate.aegis("policy", "explain", self.bought[0])
        self.assertIn("limits", done.stdout)
        self.assertIn("allow", done.stdout)

    def test_status_names_agents_and_processes(self):
        status = json.dumps(self.gate.status())
        for word in ("keeper", "judge", "worker", "courier", self.gate.agent.name):
            self.assertIn(word, status)

    def test_receipts_hold_what_was_paid_and_nothing_else(self):
        text = json.dumps(self.gate.aegis_json("receipts"))
        for identifier in self.bought:
            self.assertIn(identifier, text)
        self.assertNotIn(self.gate.agent.token, text)

    def test_books_are_read_without_a_gate(self):
        self.gate.stop()
        for command in (["receipts"], ["budget"], ["ledger", "verify"], ["payment", self.bought[0]]):
            self.assertEqual(0, self.gate.aegis(*command).returncode)
