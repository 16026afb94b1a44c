"""The gate's own life: reload, restart of each process, bad configurations, plugins that misbehave."""
import json
import os
import re
import signal
import subprocess
import time

from harness import where
from harness.case import Case, sandbox
from harness.gate import PASSPHRASE, policy
from harness.origin import Origin


def daily(amount):
    return policy("limits", "budget", {"limits": [{"chainId": "*", "token": "USDC", "daily": amount}]})


class Reload(Case):
    def test_a_new_policy_is_in_force(self):
        gate = self.make_gate(policies=[daily("1")])
        self.assert_settled(gate.agent.get(sandbox().url + "/weather"))
        gate.write_policy(daily("0.01"))
        gate.aegis("reload")
        self.assert_denied(gate.agent.get(sandbox().url + "/weather?2"), "daily_limit_exceeded")

    def test_sighup_reloads(self):
        gate = self.make_gate(policies=[daily("1")])
        gate.write_policy(daily("0.001"))
        gate.reload()
        where.wait_until(lambda: gate.agent.get(sandbox().url + f"/weather?{time.time()}").status == 403, 15, "the new cap")

    def broken(self, text, *expected):
        gate = self.make_gate(policies=[daily("1")])
        gate.write_config(text)
        gate.reload()
        line = gate.wait_log(expected[0])
        for words in expected[1:]:
            self.assertIn(words, gate.log())
        self.assert_settled(gate.agent.get(sandbox().url + "/weather"))
        self.assertTrue(line)
        return gate

    def test_a_broken_file_leaves_the_old_one_in_force(self):
        self.broken("workers: [\n", r"aegis\.yaml:\d+")

    def test_an_unknown_option_is_named(self):
        self.broken('payment:\n  lifetime_secnods: 3\n', r"aegis\.yaml:2", "lifetime_secnods", "lifetime_seconds")

    def test_a_broken_policy_leaves_the_old_one_in_force(self):
        gate = self.make_gate(policies=[daily("1")])
        (gate.vault / "policies" / "limits.json").write_text('{"id": "limits", "plugin": "budget"')
        gate.reload()
        gate.wait_log(r"limits\.json")
        self.assert_settled(gate.agent.get(sandbox().url + "/weather"))

    def test_what_the_gate_refuses_is_not_installed(self):
        gate = self.make_gate(policies=[daily("1")])
        before = (gate.vault / "policies" / "limits.json").read_text()
        other = gate.folder / "other.json"
        other.write_text(json.dumps(policy("limits", "no-such-plugin", {})))
        done = gate.aegis("install", other, check=False)
        self.assertEqual(1, done.returncode)
        self.assertIn("nothing is installed", done.stderr)
        self.assertEqual(before, (gate.vault / "policies" / "limits.json").read_text())
        self.assert_settled(gate.agent.get(sandbox().url + "/weather"))

    def test_connections_survive_a_reload(self):
        import http.client
        gate = self.make_gate()
        origin = Origin()
        self.addCleanup(origin.close)
        host, port = gate.address.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        headers = {"Host": origin.host, "Proxy-Authorization": gate.agent.authorization}
        connection.request("GET", origin.url + "/1", headers=headers)
        connection.getresponse().read()
        before = connection.sock
        gate.aegis("reload")
        connection.request("GET", origin.url + "/2", headers=headers)
        self.assertEqual(200, connection.getresponse().status)
        self.assertIs(before, connection.sock)

    def test_check_names_file_line_field_and_expectation(self):
        import subprocess
        gate = self.make_gate(start=False)
        gate.write_config("listeners:\n  - name: a\n    address: 127.0.0.1:99999\n")
        done = subprocess.run([where.build() / "aegis-gate", "-t"], env=gate.environment, capture_output=True, text=True)
        self.assertNotEqual(0, done.returncode)
        for words in ("aegis.yaml:3", "address", "99999"):
            self.assertIn(words, done.stderr + done.stdout)

    def test_check_of_a_good_configuration(self):
        import subprocess
        gate = self.make_gate(start=False)
        done = subprocess.run([where.build() / "aegis-gate", "-t"], env=gate.environment, capture_output=True, text=True)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def test_a_second_gate_on_the_same_home_is_refused(self):
        import subprocess
        gate = self.make_gate()
        done = subprocess.run([where.build() / "aegis-gate"], env=gate.environment, capture_output=True, text=True, timeout=30)
        self.assertNotEqual(0, done.returncode)
        self.assert_settled(gate.agent.get(sandbox().url + "/weather"))


class Restart(Case):
    def survive(self, kind):
        gate = self.make_gate()
        self.assert_settled(gate.agent.get(sandbox().url + "/weather?before"))
        old = gate.children()
        self.assertIn(kind, old, old)
        os.kill(old[kind], signal.SIGKILL)
        where.wait_until(lambda: gate.children().get(kind) not in (None, old[kind]), 20, f"a new {kind}")

        def buys():
            try:
                return gate.agent.get(f"{sandbox().url}/weather?{time.time()}").status == 200
            except OSError:
                return False
        where.wait_until(buys, 20, f"a purchase after the {kind} died")
        self.check_invariants(gate, sandbox().settlements(gate.wallet), [("*", "day", 10_000_000)])

    def test_keeper(self):
        self.survive("keeper")

    def test_judge(self):
        self.survive("judge")

    def test_worker(self):
        self.survive("worker0")

    def test_courier(self):
        self.survive("courier")

    def test_witness(self):
        self.survive("witness")

    def test_runner(self):
        self.survive("runner")

    def test_messages_after_the_courier_died(self):
        gate = self.make_gate(policies=[daily("0.001")])
        os.kill(gate.children()["courier"], signal.SIGKILL)
        for number in range(5):
            self.assert_denied(gate.agent.get(f"{sandbox().url}/weather?{number}"), "daily_limit_exceeded")
        self.assertEqual(5, len(gate.wait_messages(5, 20)))
        self.check_invariants(gate, [])

    def test_children_die_with_the_supervisor(self):
        gate = self.make_gate()
        children = gate.children()
        os.kill(gate.process.pid, signal.SIGKILL)
        gate.process.wait()
        where.wait_until(lambda: not gate.children(), 10, "the end of every child")
        self.assertGreaterEqual(len(children), 6)
        gate.start()
        self.assert_settled(gate.agent.get(sandbox().url + "/weather"))

    def test_polite_stop_finishes_what_runs(self):
        import threading
        gate = self.make_gate()
        answers = []
        thread = threading.Thread(target=lambda: answers.append(gate.agent.get(sandbox().url + "/lie/slow?ms=1500")))
        thread.start()
        gate.wait_entry("signed")
        gate.process.send_signal(signal.SIGTERM)
        thread.join()
        self.assert_settled(answers[0])
        self.assertEqual(0, gate.process.wait(20))
        self.assertEqual("settled", list(gate.payments().values())[0]["kinds"][-1])


class Processes(Case):
    """Who holds what, seen from /proc."""

    def test_nobody_has_what_it_does_not_need(self):
        gate = self.make_gate()
        self.assert_settled(gate.agent.get(sandbox().url + "/weather"))
        files = {}
        for kind, pid in gate.children().items():
            files[kind] = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        for kind, names in files.items():
            if kind != "keeper":
                self.assertFalse({one for one in names if "wallets" in one or "/keys" in one}, kind)
                if kind != "courier":
                    self.assertFalse({one for one in names if "ledger.db" in one}, f"{kind} has the ledger open")
        self.assertTrue({one for one in files["keeper"] if "ledger.db" in one})

    def test_no_new_privileges_and_a_filter(self):
        gate = self.make_gate()
        for kind, pid in gate.children().items():
            status = open(f"/proc/{pid}/status").read()
            self.assertRegex(status, r"NoNewPrivs:\s+1", kind)
            self.assertRegex(status, r"CapEff:\s+0000000000000000", kind)


class Plugins(Case):
    """The plugin that misbehaves is denied each time, and the gate goes on serving."""

    def misbehave(self, how):
        gate = self.make_gate(policies=[daily("5"), policy("bad", "misbehave", {"how": how})], start=False)
        gate.config["judge"]["hang_ms"] = 500
        gate.write_config()
        good = gate.make_agent("good", policies=["limits"])
        gate.start()
        for number in range(3):
            answer = gate.agent.get(f"{sandbox().url}/weather?bad{number}")
            self.assertIn(answer.status, (403, 503), answer)
            self.assertFalse(answer.json()["signed"])
            where.wait_until(lambda: good.get(f"{sandbox().url}/weather?{time.time()}").status == 200, 15, "a good purchase")
        names = {one["agent"]: one["body"]["name"] for one in gate.entries("agent")}
        self.assertEqual({"good"}, {names[one["agent"]] for one in gate.payments().values()})
        self.check_invariants(gate, sandbox().settlements(gate.wallet), [("*", "day", 10_000_000)])
        return gate

    def test_crashes(self):
        self.misbehave("crash")

    def test_hangs(self):
        self.misbehave("hang")

    def test_answers_nonsense(self):
        self.misbehave("nonsense")

    def test_allocates_without_end(self):
        self.misbehave("allocate")

    def test_answers_nothing(self):
        self.misbehave("silent")

    def test_ends_the_process(self):
        self.misbehave("exit")

    def test_asks_forever(self):
        self.misbehave("ask_forever")

    def test_the_sample_is_built_outside_the_tree_with_what_was_installed(self):
        """One compiler call with the installed header and pkg-config file; the gate loads the result."""
        gate = self.make_gate(agent=False, start=False, policies=[])
        stage = gate.folder / "stage"
        subprocess.run(["make", "-s", "-C", where.build(), "install", f"DESTDIR={stage}"], check=True, capture_output=True)
        pc = next(stage.rglob("aegis-plugin.pc"))
        environment = {**os.environ, "PKG_CONFIG_PATH": str(pc.parent), "PKG_CONFIG_SYSROOT_DIR": str(stage)}
        flags = subprocess.run(["pkg-config", "--cflags", "aegis-plugin"], env=environment, check=True, capture_output=True,
                               text=True).stdout.split()
        outside = gate.folder / "outside"
        outside.mkdir()
        (outside / "sample.c").write_bytes((where.SOURCE / "plugins" / "sample.c").read_bytes())
        subprocess.run(["cc", "-shared", "-fPIC", *flags, "sample.c", "-o", "sample.so"], cwd=outside, check=True)
        gate.config["judge"]["plugin_path"].insert(0, str(outside))
        gate.write_config()
        gate.write_policy(policy("first", "sample", {"first": 1}))
        gate.wallet = gate.make_wallet()
        gate.agent = gate.make_agent(policies=["first"])
        gate.start()
        self.assert_settled(gate.agent.get(sandbox().url + "/weather"))
        other = sandbox().url.replace("127.0.0.1", "localhost")
        self.assert_denied(gate.agent.get(other + "/whale"), "stranger_too_expensive")


class Checkup(Case):
    """aegis-gate -t looks at everything that the configuration names."""

    def check(self, gate, *expected, status=1):
        done = subprocess.run([where.build() / "aegis-gate", "-t"], env=gate.environment, capture_output=True, text=True)
        for words in expected:
            self.assertRegex(done.stderr, words)
        self.assertEqual(status, done.returncode, done.stderr)
        return done.stderr

    def test_what_is_not_there(self):
        gate = self.make_gate(start=False)
        self.check(gate, status=0)
        listener = gate.config["listeners"][0]
        for change, expected in [
                ({"vault": "/nope"}, r"vault: there is no folder /nope"),
                ({"judge": {"plugin_path": ["/nope"]}}, r"judge\.plugin_path\[0\]: there is no folder /nope"),
                ({"listeners": [{**listener, "address": "unix:/nope/x.sock"}]},
                 r"aegis\.yaml:\d+: listeners\[0\]\.address: there is no folder /nope"),
                ({"listeners": [{**listener, "address": f"unix:{gate.folder}/passphrase"}]}, r"is there, and is no socket"),
                ({"policies": ["nowhere"]}, r'policies\[0\]: expected the id of a policy in \S+, found "nowhere"')]:
            whole = gate.config
            gate.config = {**whole, **change}
            gate.write_config()
            self.check(gate, expected)
            gate.config = whole

    def test_the_passphrase_opens_the_wallet(self):
        gate = self.make_gate(start=False)
        owner = {"agent": "me", "wallet": "main", "policies": ["limits"], "passphrase_file": str(gate.folder / "other")}
        gate.config["listeners"] = [{"name": "own", "address": f"unix:{gate.folder}/own.sock", "owner": owner}]
        gate.write_config()
        for text, expected, status in (("wrong\n", r"the passphrase does not open the wallet", 1), (PASSPHRASE, "^", 0)):
            (gate.folder / "other").write_text(text)
            (gate.folder / "other").chmod(0o600)
            self.check(gate, expected, status=status)

    def test_only_documents_that_somebody_needs_count(self):
        gate = self.make_gate(start=False)
        gate.write_policy(policy("gone", "no-such-plugin", {}))
        gate.write_policy({**policy("script", "", {}), "plugin": None, "executable": "/nope"})
        said = self.check(gate, r"warning: \S+gone\.json: .*nobody refers to it", r"warning: \S+script\.json: .*/nope", status=0)
        gate.config["policies"] = ["gone"]
        gate.write_config()
        said = self.check(gate, r"(?m)^\S+gone\.json: ")
        self.assertNotIn("expected the id of a policy", said)
        gate.config["policies"] = ["script"]
        gate.write_config()
        self.check(gate, r"(?m)^\S+script\.json: executable: /nope")


class Emergency(Case):
    def test_an_agent_can_be_revoked_over_a_broken_configuration(self):
        """A half-saved edit, and a vault that nobody would guess: the running gate knows it."""
        gate = self.make_gate(agent=False, start=False)
        gate.vault = gate.folder / "elsewhere"
        gate.config["vault"] = str(gate.vault)
        gate._prepare()
        gate.make_wallet()
        gate.agent = gate.make_agent()
        gate.start()
        self.assert_settled(gate.agent.get(sandbox().url + "/weather"))
        gate.write_config("listeners: [\n")
        for command in (("status",), ("heartbeat", "agent"), ("key", "list"), ("revoke", "agent")):
            self.assertIn(str(gate.vault), gate.aegis(*command).stderr, command)
        self.assertEqual(407, gate.agent.get(sandbox().url + "/weather?after").status)
        gate.write_config()


class Clock(Case):
    def test_deadswitch_revokes_and_says_so(self):
        """The smallest countdown is a minute, so this one takes it."""
        gate = self.make_gate(policies=[daily("5"), policy("switch", "deadswitch", {
            "maxInactiveMinutes": 1, "onTrigger": "revoke_key", "sweepFunds": False, "enabled": True})],
            start=False)
        gate.config["judge"]["tick_ms"] = 1000
        gate.write_config()
        gate.start()
        self.assert_settled(gate.agent.get(sandbox().url + "/weather"))
        where.wait_until(lambda: any(one["metadata"].get("kind") == "deadswitch_warning" for one in gate.messages()), 90,
                         "the warning", every=1)
        gate.wait_entry("revoked", seconds=90)
        answer = gate.agent.get(sandbox().url + "/weather?after")
        self.assertIn(answer.status, (403, 407), answer)


class Log(Case):
    def test_json_lines(self):
        gate = self.make_gate(config={"log": {"format": "json", "level": "info"}})
        self.assert_settled(gate.agent.get(sandbox().url + "/weather"))
        lines = [line for line in gate.log().splitlines() if line.strip()]
        self.assertTrue(lines)
        for line in lines:
            self.assertIsInstance(json.loads(line), dict)

    def test_control_characters_of_a_seller_do_not_reach_the_terminal(self):
        from harness.origin import Seller, challenge, entry
        evil = challenge(entry(amount=5_000_000), error="\x1b[2J\nfake log line")
        seller = Seller(lambda head: evil)
        self.addCleanup(seller.close)
        gate = self.make_gate()
        gate.agent.get(seller.url + "/")
        self.assertNotIn("\x1b", gate.log())
        self.assertFalse(re.search(r"^fake log line", gate.log(), re.M))
