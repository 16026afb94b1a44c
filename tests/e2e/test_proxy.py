"""The gate as an HTTP proxy: what passes, what does not, and what is said then."""
import http.client
import os
import socket
import time

from harness import where
from harness.case import Case, sandbox
from harness.gate import policy
from harness.origin import Origin, Seller, header, plain


class Proxy(Case):
    def setUp(self):
        self.origin = Origin()
        self.addCleanup(self.origin.close)

    def test_hop_by_hop_and_proxy_headers_do_not_travel(self):
        gate = self.make_gate()
        sent = {"Connection": "keep-alive, X-Private", "X-Private": "1", "Keep-Alive": "timeout=5", "TE": "trailers",
                "Proxy-Connection": "keep-alive", "Upgrade": "h2c", "X-Kept": "yes"}
        self.assertEqual(200, gate.agent.get(self.origin.url + "/p?q=1", headers=sent).status)
        head = self.origin.requests[0][0]
        self.assertTrue(head.startswith(b"GET /p?q=1 HTTP/1.1\r\n"), head)
        for name in ("Proxy-Authorization", "Proxy-Connection", "X-Private", "Keep-Alive", "TE", "Upgrade"):
            self.assertEqual([], header(head, name), head)
        self.assertEqual(["yes"], header(head, "X-Kept"))
        self.assertEqual([self.origin.host], header(head, "Host"))
        self.assertIn("aegis", header(head, "Via")[0])
        self.assertNotIn(gate.agent.token.encode(), b"".join(map(bytes, self.origin.connections)))

    def test_connections_are_kept_both_ways(self):
        gate = self.make_gate()
        host, port = gate.address.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        for number in range(5):
            connection.request("GET", f"{self.origin.url}/{number}", headers={
                "Host": self.origin.host, "Proxy-Authorization": gate.agent.authorization})
            self.assertEqual(b"ok", connection.getresponse().read())
        connection.close()
        self.assertEqual(1, len(self.origin.connections), "the origin was connected to more than once")

    def test_pipelined_requests_are_answered_in_order(self):
        origin = Origin(lambda head, body, connection: plain(200, head.split(b" ")[1]))
        self.addCleanup(origin.close)
        gate = self.make_gate()
        host, port = gate.address.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(b"".join(
                f"GET {origin.url}/{n} HTTP/1.1\r\nHost: {origin.host}\r\nProxy-Authorization: {gate.agent.authorization}\r\n"
                f"{'Connection: close' if n == 4 else 'X: y'}\r\n\r\n".encode() for n in range(5)))
            received = b""
            while chunk := client.recv(65536):
                received += chunk
        self.assertEqual([b"/0", b"/1", b"/2", b"/3", b"/4"],
                         [part.split(b"\r\n\r\n")[1] for part in received.split(b"HTTP/1.1 200")[1:]])

    def test_body_above_the_limit_is_413_that_says_why(self):
        gate = self.make_gate(config={"limits": {"request_body_bytes": 1000}})
        answer = gate.agent.post(self.origin.url + "/", b"x" * 2000)
        self.assertEqual(413, answer.status, answer)
        self.assertEqual("request_body_too_large", answer.json()["code"])
        self.assertEqual([], self.origin.requests)

    def test_body_above_the_limit_streams_to_a_free_origin(self):
        gate = self.make_gate(config={"limits": {"request_body_bytes": 1000},
                                      "upstream": {"free_origins": [self.origin.host]}})
        body = os.urandom(300_000)
        self.assertEqual(200, gate.agent.post(self.origin.url + "/", body).status)
        self.assertEqual(body, self.origin.requests[0][1])

    def test_head_above_the_limit_is_431(self):
        gate = self.make_gate(config={"limits": {"head_bytes": 4096}})
        answer = gate.agent.get(self.origin.url + "/", headers={"X-Long": "y" * 5000})
        self.assertEqual(431, answer.status, answer)
        self.assertEqual([], self.origin.requests)

    def test_metadata_addresses_are_refused(self):
        gate = self.make_gate()
        for address in ("169.254.169.254", "[fe80::1]", "0.0.0.0"):
            answer = gate.agent.get(f"http://{address}/latest/meta-data/")
            self.assertEqual(403, answer.status, answer)
            self.assertEqual("application/problem+json", answer.headers["content-type"])

    def test_refused_addresses_are_configurable(self):
        gate = self.make_gate(config={"addresses": {"refused": ["127.0.0.0/8"]}})
        self.assertEqual(403, gate.agent.get(self.origin.url + "/").status)
        self.assertEqual([], self.origin.connections)

    def test_unreachable_origin_is_502(self):
        gate = self.make_gate()
        answer = gate.agent.get(f"http://127.0.0.1:{where.free_port()}/")
        self.assertEqual(502, answer.status, answer)

    def test_silent_origin_is_504(self):
        silent = Origin(lambda head, body, connection: time.sleep(5))
        self.addCleanup(silent.close)
        gate = self.make_gate(config={"timeouts": {"first_byte_ms": 500}})
        began = time.monotonic()
        answer = gate.agent.get(silent.url + "/")
        self.assertEqual(504, answer.status, answer)
        self.assertLess(time.monotonic() - began, 4)

    def test_slow_head_is_cut(self):
        gate = self.make_gate(config={"timeouts": {"head_ms": 700}})
        host, port = gate.address.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            began = time.monotonic()
            client.sendall(b"GET http://x/ HTTP/1.1\r\n")
            try:
                for _ in range(40):
                    client.sendall(b"X: y\r\n")
                    time.sleep(0.1)
            except OSError:
                pass
            self.assertLess(time.monotonic() - began, 3.5, "a head that never ends was listened to")

    def test_402_that_is_not_x402_passes_untouched(self):
        body = b'{"error": "please subscribe"}'
        origin = Origin(lambda head, given, connection: plain(402, body, [("X-Reason", "quota")]))
        self.addCleanup(origin.close)
        gate = self.make_gate()
        answer = gate.agent.get(origin.url + "/")
        self.assertEqual((402, body, "quota"), (answer.status, answer.body, answer.headers["x-reason"]))
        self.assertEqual([], gate.entries("decision"))

    def test_agents_own_payment_headers_pass(self):
        """An agent that pays by itself is left alone, and its payment is not ours to retry."""
        gate = self.make_gate()
        answer = gate.agent.get(self.origin.url + "/", headers={"PAYMENT-SIGNATURE": "abc"})
        self.assertEqual(200, answer.status)
        self.assertEqual(["abc"], header(self.origin.requests[0][0], "PAYMENT-SIGNATURE"))

    def test_redirects_are_not_followed_with_a_payment(self):
        other = Origin()
        self.addCleanup(other.close)
        seller = Seller(paid=lambda head, body, given, connection: plain(302, b"", [("Location", other.url + "/")]))
        self.addCleanup(seller.close)
        gate = self.make_gate()
        answer = gate.agent.get(seller.url + "/")
        self.assertEqual((302, other.url + "/"), (answer.status, answer.headers["location"]))
        self.assertEqual([], other.connections)

    def test_cut_answer_never_looks_whole(self):
        def cut(head, body, connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it")
            return None

        origin = Origin(cut)
        self.addCleanup(origin.close)
        gate = self.make_gate()
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            gate.agent.get(origin.url + "/")

    def test_402_is_never_stored(self):
        seller = Seller()
        self.addCleanup(seller.close)
        gate = self.make_gate(policies=[policy("limits", "budget", {"limits": [
            {"chainId": "*", "token": "USDC", "daily": "0.001"}]})])
        answer = gate.agent.get(seller.url + "/")
        self.assertEqual(403, answer.status)
        self.assertIn("no-store", answer.headers["cache-control"])

    def test_head_request(self):
        gate = self.make_gate()
        answer = gate.agent.request("HEAD", self.origin.url + "/")
        self.assertEqual((200, b""), (answer.status, answer.body))


class Reverse(Case):
    """Path prefixes stand for upstream servers."""

    def make(self, routes, **owner):
        port = where.free_port()
        gate = self.make_gate(start=False)
        gate.config["listeners"].append({"name": "shops", "address": f"127.0.0.1:{port}", "mode": "reverse",
                                         "routes": routes, **owner})
        gate.write_config()
        gate.start()
        gate.agent.reverse = f"http://127.0.0.1:{port}"
        return gate

    def fetch(self, gate, path, **headers):
        connection = http.client.HTTPConnection(gate.agent.reverse.removeprefix("http://"), timeout=30)
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response, body

    def test_purchase_by_path_prefix(self):
        gate = self.make([{"prefix": "/shop/", "upstream": sandbox().url + "/"}])
        response, body = self.fetch(gate, "/shop/weather", **{"Proxy-Authorization": gate.agent.authorization})
        self.assertEqual(200, response.status, body)
        self.assertIn(b"sunny", body)
        self.assertEqual(1, len(sandbox().settlements(gate.wallet)))

    def test_longest_prefix_counts_and_the_rest_is_404(self):
        first, second = Origin(), Origin()
        for origin in (first, second):
            self.addCleanup(origin.close)
        gate = self.make([{"prefix": "/a/", "upstream": first.url + "/"}, {"prefix": "/a/b/", "upstream": second.url + "/x/"}])
        credential = {"Proxy-Authorization": gate.agent.authorization}
        self.assertEqual(200, self.fetch(gate, "/a/c", **credential)[0].status)
        self.assertEqual(200, self.fetch(gate, "/a/b/c?d", **credential)[0].status)
        self.assertTrue(first.requests[0][0].startswith(b"GET /c "), first.requests)
        self.assertTrue(second.requests[0][0].startswith(b"GET /x/c?d "), second.requests)
        self.assertEqual(404, self.fetch(gate, "/elsewhere", **credential)[0].status)

    def test_owner_mode_needs_no_token(self):
        gate = self.make([{"prefix": "/shop/", "upstream": sandbox().url + "/"}],
                         owner={"agent": "desk", "wallet": "main", "policies": ["limits"], "passphrase_file": "../passphrase"})
        response, body = self.fetch(gate, "/shop/weather")
        self.assertEqual(200, response.status, body)
        self.assertEqual(1, len(sandbox().settlements(gate.wallet)))
        self.assertEqual(403, self.fetch(gate, "/shop/whale")[0].status)
        reserved = gate.entries("reserved")[0]
        self.assertEqual("listener:shops", reserved["agent"])


class Owner(Case):
    def test_unix_socket_by_uid(self):
        """A listener on a Unix socket pays for its own user without a token."""
        gate = self.make_gate(start=False)
        path = gate.folder / "owner.sock"
        gate.config["listeners"].append({
            "name": "desk", "address": f"unix:{path}",
            "owner": {"agent": "desk", "wallet": "main", "policies": ["limits"], "passphrase_file": str(gate.folder / "passphrase")}})
        gate.write_config()
        gate.start()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(path))
            client.sendall(f"GET {sandbox().url}/weather HTTP/1.1\r\nHost: {sandbox().host}\r\nConnection: close\r\n\r\n".encode())
            received = b""
            while chunk := client.recv(65536):
                received += chunk
        self.assertTrue(received.startswith(b"HTTP/1.1 200"), received)
        self.assertIn(b"sunny", received)

    def test_the_passphrase_is_nowhere(self):
        gate = self.make_gate(start=False)
        gate.config["listeners"].append({
            "name": "desk", "address": f"127.0.0.1:{where.free_port()}",
            "owner": {"agent": "desk", "wallet": "main", "policies": ["limits"], "passphrase_file": str(gate.folder / "passphrase")}})
        gate.write_config()
        gate.start()
        self.assert_settled(gate.agent.get(sandbox().url + "/weather"))
        from harness.gate import PASSPHRASE
        for pid in [gate.process.pid, *gate.children().values()]:
            for name in ("cmdline", "environ"):
                content = open(f"/proc/{pid}/{name}", "rb").read()
                self.assertNotIn(PASSPHRASE.encode(), content)
                self.assertNotIn(gate.agent.token.encode(), content)
        self.assertNotIn(PASSPHRASE, gate.log())
        self.assertNotIn(gate.agent.token, gate.log())
        for path in gate.home.iterdir():
            if path.is_file():
                self.assertNotIn(gate.agent.token.encode(), path.read_bytes(), path)
