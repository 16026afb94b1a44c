"""An agent buys through the gate: official sellers, a real chain, ordinary clients."""
import json
import os
import subprocess
import sys
import time
import unittest
import urllib.request

from harness import chain as chains
from harness import where
from harness.case import Case, chain, need, sandbox, sellers

NODE_FETCH = """
import { ProxyAgent, EnvHttpProxyAgent, fetch } from "undici";
const { URL_TO_GET, PROXY, TOKEN } = process.env;
const dispatcher = PROXY
  ? new ProxyAgent({ uri: PROXY, token: `Bearer ${TOKEN}`, proxyTunnel: false })
  : new EnvHttpProxyAgent();
const response = await fetch(URL_TO_GET, { dispatcher });
console.log(JSON.stringify({ status: response.status, body: await response.text(), payment: response.headers.get("aegis-payment") }));
"""


class Purchase(Case):
    def setUp(self):
        self.gate = self.make_gate()
        self.fund(self.gate.wallet)
        self.before = {address: chain().balance(address) for address in (self.gate.wallet, chains.PAYEE)}

    def check_books(self, spent):
        """What left the wallet on the chain is what the ledger says, to the atomic unit."""
        self.gate.wait_settled()
        self.assertEqual(spent, self.before[self.gate.wallet] - chain().balance(self.gate.wallet))
        self.assertEqual(spent, chain().balance(chains.PAYEE) - self.before[chains.PAYEE])
        settled = [one for one in self.gate.payments().values() if one["kinds"][-1] == "settled"]
        self.assertEqual(spent, sum(one["amount"] for one in settled))
        self.check_invariants(self.gate, chain().transfers(self.gate.wallet), [("*", "day", 10_000_000)])

    def test_v2_get(self):
        answer = self.gate.agent.get(sellers().v2 + "/weather?city=Bern")
        identifier = self.assert_settled(answer)
        self.assertEqual({"weather": "sunny", "query": {"city": "Bern"}}, answer.json())
        self.assertTrue(answer.settlement()["success"])
        transfers = chain().transfers(self.gate.wallet)
        self.assertEqual([answer.settlement()["transaction"]], [one["transaction"] for one in transfers])
        self.gate.wait_entry("settled", identifier)
        self.assertEqual(["decision", "reserved", "signed", "settled"],
                         [one["kind"] for one in self.gate.entries() if one["payment"] == identifier])
        self.check_books(10_000)

    def test_v1_get(self):
        answer = self.gate.agent.get(sellers().v1 + "/weather")
        self.assert_settled(answer)
        self.assertEqual("sunny", answer.json()["weather"])
        self.check_books(10_000)

    def test_v2_post_with_body(self):
        answer = self.gate.agent.post(sellers().v2 + "/translate", b"good morning", headers={"Content-Type": "text/plain"})
        self.assert_settled(answer)
        self.assertEqual({"translated": "GOOD MORNING"}, answer.json())
        self.check_books(20_000)

    def test_v1_post_with_body(self):
        answer = self.gate.agent.post(sellers().v1 + "/translate", b"good evening", headers={"Content-Type": "text/plain"})
        self.assert_settled(answer)
        self.assertEqual({"translated": "GOOD EVENING"}, answer.json())
        self.check_books(20_000)

    def test_post_with_chunked_body(self):
        pieces = [b"one ", b"two ", b"three"]
        answer = self.gate.agent.request("POST", sellers().v2 + "/translate", iter(pieces),
                                         headers={"Content-Type": "text/plain"})
        self.assert_settled(answer)
        self.assertEqual({"translated": "ONE TWO THREE"}, answer.json())

    def test_body_of_half_a_megabyte(self):
        body = b"abcdefgh" * 65536
        answer = self.gate.agent.post(sellers().v2 + "/translate", body, headers={"Content-Type": "text/plain"})
        self.assert_settled(answer)
        self.assertEqual(body.decode().upper(), answer.json()["translated"])

    def test_stream_of_the_official_seller(self):
        answer = self.gate.agent.get(sellers().v2 + "/stream")
        self.assert_settled(answer)
        self.assertEqual(5, answer.body.count(b"data: event"))
        self.check_books(10_000)

    def test_free_routes_pass(self):
        answer = self.gate.agent.get(sellers().v2 + "/free")
        self.assertEqual((200, {"free": True}), (answer.status, answer.json()))
        self.assertEqual({}, self.gate.payments())
        self.assertEqual("404", str(self.gate.agent.get(sellers().v2 + "/nothing").status))
        self.check_books(0)

    def test_many_purchases(self):
        for number in range(5):
            self.assert_settled(self.gate.agent.get(f"{sellers().v2}/weather?n={number}"))
            self.assert_settled(self.gate.agent.get(f"{sellers().v1}/report?n={number}"))
        self.check_books(5 * 510_000)

    def test_handler_that_fails_is_not_settled(self):
        answer = self.gate.agent.get(sellers().v2 + "/fails")
        self.assertEqual((500, "unknown"), (answer.status, answer.payment[1]))
        self.assertEqual(10_000, list(self.gate.payments().values())[0]["amount"])
        self.assertEqual([], chain().transfers(self.gate.wallet))

    def test_receipts(self):
        identifier = self.assert_settled(self.gate.agent.get(sellers().v2 + "/weather"))
        transaction = chain().transfers(self.gate.wallet)[0]["transaction"]
        self.gate.wait_entry("settled", identifier)
        receipts = json.dumps(self.gate.aegis_json("receipts"))
        self.assertIn(identifier, receipts)
        self.assertIn(transaction, receipts)
        self.assertIn(transaction, json.dumps(self.gate.aegis_json("payment", identifier)))


class Clients(Case):
    """Programs that only know HTTP_PROXY."""

    def setUp(self):
        self.gate = self.make_gate()
        self.fund(self.gate.wallet)
        self.environment = {**os.environ, "HTTP_PROXY": self.gate.agent.proxy_url, "http_proxy": self.gate.agent.proxy_url,
                            "NO_PROXY": "", "no_proxy": ""}

    def assert_bought(self, amount):
        transfers = chain().transfers(self.gate.wallet)
        self.assertEqual([amount], [one["value"] for one in transfers])

    @need("curl")
    def test_curl(self):
        status, body = self.gate.agent.curl(sellers().v2 + "/weather")
        self.assertEqual(200, status, body)
        self.assert_bought(10_000)

    @need("curl")
    def test_curl_post(self):
        status, body = self.gate.agent.curl("--data", "hello", "-H", "Content-Type: text/plain", sellers().v2 + "/translate")
        self.assertEqual((200, {"translated": "HELLO"}), (status, json.loads(body)))
        self.assert_bought(20_000)

    @need("curl")
    def test_curl_by_environment(self):
        done = subprocess.run(["curl", "-sS", sellers().v2 + "/weather"], env=self.environment, capture_output=True,
                              text=True, timeout=60)
        self.assertIn("sunny", done.stdout, done.stderr)
        self.assert_bought(10_000)

    def test_python_urllib(self):
        handler = urllib.request.ProxyHandler({"http": self.gate.agent.proxy_url})
        with urllib.request.build_opener(handler).open(sellers().v2 + "/weather", timeout=60) as response:
            self.assertEqual(200, response.status)
            self.assertIn(b"sunny", response.read())
        self.assert_bought(10_000)

    def test_python_requests(self):
        try:
            import requests
        except ImportError:
            self.skipTest("requests is not installed for this Python")
        session = requests.Session()
        session.trust_env = False
        answer = session.get(sellers().v2 + "/weather", proxies={"http": self.gate.agent.proxy_url}, timeout=60)
        self.assertEqual((200, "sunny"), (answer.status_code, answer.json()["weather"]))
        self.assert_bought(10_000)

    def node(self, program, **environment):
        done = subprocess.run(["node", "--input-type=module", "-e", program], cwd=where.PEERS,
                              env={**self.environment, **environment}, capture_output=True, text=True, timeout=60)
        self.assertEqual(0, done.returncode, done.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    def need_undici(self):
        version = subprocess.run(["node", "-p", "process.versions.node"], capture_output=True, text=True).stdout.split(".")
        if tuple(map(int, version[:2])) < (20, 18):
            self.skipTest("undici 7 wants Node 20.18")

    def test_node_fetch_through_a_proxy_agent(self):
        self.need_undici()
        answer = self.node(NODE_FETCH, URL_TO_GET=sellers().v2 + "/weather", PROXY=f"http://{self.gate.address}",
                           TOKEN=self.gate.agent.token)
        self.assertEqual(200, answer["status"], answer)
        self.assertIn("state=settled", answer["payment"])
        self.assert_bought(10_000)

    def test_node_fetch_by_environment(self):
        """What Node 24 does with NODE_USE_ENV_PROXY=1: it tunnels to plain servers too."""
        self.need_undici()
        answer = self.node(NODE_FETCH, URL_TO_GET=sellers().v2 + "/weather")
        self.assertEqual(200, answer["status"], answer)
        self.assertIn("state=settled", answer["payment"])
        self.assert_bought(10_000)

    def test_node_http_with_absolute_uri(self):
        """What axios and node-fetch do with http_proxy."""
        program = """
        import http from "node:http";
        const { URL_TO_GET, PROXY_HOST, PROXY_PORT, AUTHORIZATION } = process.env;
        const headers = { host: new URL(URL_TO_GET).host, "proxy-authorization": AUTHORIZATION };
        http.get({ host: PROXY_HOST, port: PROXY_PORT, path: URL_TO_GET, headers }, (response) => {
          let body = "";
          response.on("data", (data) => (body += data));
          response.on("end", () => console.log(JSON.stringify({ status: response.statusCode, body })));
        });
        """
        host, port = self.gate.address.split(":")
        answer = self.node(program, URL_TO_GET=sellers().v2 + "/weather", PROXY_HOST=host, PROXY_PORT=port,
                           AUTHORIZATION=self.gate.agent.authorization)
        self.assertEqual(200, answer["status"], answer)
        self.assert_bought(10_000)


class Streaming(Case):
    """Against the sandbox, whose streams really take their time."""

    def setUp(self):
        self.gate = self.make_gate()

    def test_events_arrive_one_by_one(self):
        import http.client
        host, port = self.gate.address.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        connection.request("GET", sandbox().url + "/stream?n=4&ms=400",
                           headers={"Host": sandbox().host, "Proxy-Authorization": self.gate.agent.authorization})
        response = connection.getresponse()
        began = time.monotonic()
        self.assertEqual(200, response.status)
        first = response.read1(65536)
        first_after = time.monotonic() - began
        rest = response.read()
        self.assertIn(b"event 0", first)
        self.assertLess(first_after, 1.0, "the first event waited for later ones")
        self.assertGreater(time.monotonic() - began, first_after + 0.6)
        self.assertEqual(4, (first + rest).count(b"data: event"))
        connection.close()
        self.assertIn("state=settled", response.getheader("Aegis-Payment"))

    def test_v1_of_the_sandbox(self):
        answer = self.gate.agent.get(sandbox().url + "/v1/weather")
        self.assert_settled(answer)
        self.assertEqual("true", answer.headers["x-aegis-sandbox"])

    def test_v1_challenge_that_is_compressed(self):
        """A front end that compresses what the agent says it can read; a challenge is still one."""
        import gzip
        import urllib.error
        import urllib.request
        from harness.origin import Origin, header, plain

        def relay(head, given, connection):
            paid = header(head, "X-PAYMENT")
            request = urllib.request.Request(sandbox().url + "/v1/weather", headers={"X-PAYMENT": paid[0]} if paid else {})
            try:
                with urllib.request.urlopen(request) as got:
                    return plain(200, got.read(), [("X-PAYMENT-RESPONSE", got.headers["X-PAYMENT-RESPONSE"])])
            except urllib.error.HTTPError as refused:
                return plain(402, gzip.compress(refused.read()), [("Content-Encoding", "gzip")])
        origin = Origin(relay)
        self.addCleanup(origin.close)
        self.assert_settled(self.gate.agent.get(origin.url + "/v1/weather"))

    def test_body_of_ten_megabytes_from_a_free_origin(self):
        from harness.origin import Origin, plain
        body = os.urandom(10_000_000)
        origin = Origin(lambda head, given, connection: plain(200, body))
        self.addCleanup(origin.close)
        answer = self.gate.agent.get(origin.url + "/big")
        self.assertEqual((200, len(body)), (answer.status, len(answer.body)))
        self.assertEqual(body, answer.body)

    def test_agent_that_leaves_is_noticed(self):
        """The connection to a seller that streams ends when the agent is gone."""
        import socket
        import threading
        from harness.origin import Origin
        gone = threading.Event()

        def endless(head, given, connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            try:
                while True:
                    connection.sendall(b"5\r\ntick\n\r\n")
                    time.sleep(0.05)
            except OSError:
                gone.set()
            return None

        origin = Origin(endless)
        self.addCleanup(origin.close)
        host, port = self.gate.address.split(":")
        client = socket.create_connection((host, int(port)))
        client.sendall(f"GET {origin.url}/ HTTP/1.1\r\nHost: {origin.host}\r\n"
                       f"Proxy-Authorization: {self.gate.agent.authorization}\r\n\r\n".encode())
        self.assertIn(b"200", client.recv(100))
        client.close()
        self.assertTrue(gone.wait(5), "the seller was still being read from 5 s after the agent left")


if __name__ == "__main__":
    unittest.main(argv=sys.argv)
