"""Raw bytes through the whole proxy, beside a recording origin: never a dirty forward, never a desync."""
import pathlib
import re
import socket
import unittest

from harness import strict
from harness.case import Case
from harness.origin import Origin, plain

DATA = pathlib.Path(__file__).parent / "data"
PATIENCE = 3  # seconds until a silent gate has refused
ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}


def read_cases(name):
    for line in (DATA / name).read_text(encoding="ascii").splitlines():
        if line and not line.startswith("#"):
            yield line.split(" ", 2)


def escape(match):
    text = match.group(1)
    return (bytes([int(text[1:], 16)]) if text.startswith("x") else ESCAPES[text]).decode("latin-1")


def expand(text, host, credential):
    """The bytes of a case."""
    smuggled = f"GET http://{host}/smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n"
    text = re.sub(r"\\(x[0-9a-f]{2}|.)", escape, text)
    for method in ("GET", "POST", "HEAD"):
        text = text.replace("{%s}" % method.lower(), f"{method} http://{{o}}/t HTTP/1.1\r\nHost: {{o}}\r\n{{cred}}")
    text = text.replace("{cred}", f"Proxy-Authorization: {credential}\r\n").replace("{o}", host)
    text = text.replace("{smuggled}", smuggled).replace("{smuggled-length}", str(len(smuggled)))
    text = re.sub(r"\{fields\*(\d+)\}", lambda m: "".join(f"X{n}: y\r\n" for n in range(int(m.group(1)))), text)
    text = re.sub(r"\{(.)\*(\d+)\}", lambda m: m.group(1) * int(m.group(2)), text)
    return text.encode("latin-1")


def receive(connection):
    """Everything until the gate closes or has nothing more to say."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except (TimeoutError, ConnectionError):
        pass
    return received


class Raw(Case):
    """One gate for all cases: one that breaks it shows in the next."""

    @classmethod
    def setUpClass(cls):
        cls.failures_of_cases = []

    def setUp(self):
        self.gate = self.make_gate()
        host, port = self.gate.address.split(":")
        self.proxy = (host, int(port))

    def exchange(self, origin, raw, wanted):
        """Sends raw; returns what came back, reading until `wanted` answers are whole or the gate is done."""
        origin.forget()
        with socket.create_connection(self.proxy, timeout=PATIENCE) as client:
            try:
                client.sendall(raw)
            except OSError:
                pass  # it was refused before it was all there
            received = b""
            try:
                while self.count(received) < wanted and (chunk := client.recv(65536)):
                    received += chunk
                client.settimeout(0.05)
                received += receive(client)
            except (TimeoutError, ConnectionError):
                pass
        return received

    @staticmethod
    def count(received):
        """How many whole answers are there."""
        answers = 0
        try:
            while received:
                _, received = strict.response(received)
                answers += 1
        except (strict.Incomplete, strict.Dirty):
            pass
        return answers

    def check_request(self, origin, expectation, raw):
        kind, _, body = expectation.partition("=")
        allowed = {"refuse": 0, "pass2": 2}.get(kind, 1)
        received = self.exchange(origin, raw, max(allowed, 1))
        seen = []
        for record in origin.connections:
            try:
                seen += strict.requests(record)
            except strict.Incomplete:
                self.assertEqual("either", kind, bytes(record)[:300])
        self.assertLessEqual(len(seen), allowed, [one.first for one in seen])
        for one in seen:
            self.assertNotIn(b"smuggled", one.first[1])
            self.assertEqual([], one.all("X-PAYMENT"), "a trailer became a header")
        if kind.startswith("pass"):
            self.assertEqual(allowed, len(seen), received[:300])
            answer, _ = strict.response(received)
            self.assertEqual(200, answer.status)
            if "=" in expectation:
                self.assertEqual(expand(body, origin.host, ""), seen[0].body)
        elif kind == "refuse" and received:
            answer, _ = strict.response(received, b"HEAD" if raw.startswith(b"HEAD") else b"GET")
            self.assertGreaterEqual(answer.status, 400, received[:300])

    def test_requests(self):
        origin = Origin()
        self.addCleanup(origin.close)
        cases = list(read_cases("requests.txt"))
        self.assertGreaterEqual(len(cases), 200)
        for name, expectation, text in cases:
            raw = expand(text, origin.host, self.gate.agent.authorization)
            with self.subTest(name, expectation=expectation):
                try:
                    self.check_request(origin, expectation, raw)
                except (strict.Dirty, strict.Incomplete) as fault:
                    self.fail(f"{type(fault).__name__}: {fault}")

    def check_response(self, origin, expectation):
        """GET /t and then, on the same connection where it still stands, GET /second."""
        request = (f"GET {origin.url}/{{}} HTTP/1.1\r\nHost: {origin.host}\r\n"
                   f"Proxy-Authorization: {self.gate.agent.authorization}\r\n\r\n")
        received = self.exchange(origin, request.format("t").encode(), 1)
        kind, _, body = expectation.partition("=")
        try:
            answer, _ = strict.response(received)
        except strict.Incomplete:
            self.assertIn(kind, ("cut", "either"), f"cut: {received[:200]!r}")
            answer = None
        if answer is not None and kind != "close" and kind != "either":
            self.assertFalse(answer.until_close, received[:200])
        if answer is not None and kind == "close":
            self.assertEqual((200, True, body.encode()), (answer.status, answer.until_close, answer.body))
        elif answer is not None and kind == "cut":
            self.assertGreaterEqual(answer.status, 500, f"looks whole: {received[:200]!r}")
        elif kind == "refuse":
            self.assertIn(answer.status, (502, 504), received[:200])
        elif answer is not None and kind.isdigit():
            self.assertEqual(int(kind), answer.status, received[:200])
            self.assertEqual(body.encode(), answer.body)
            self.assertEqual([], answer.all("PAYMENT-RESPONSE"), "a trailer became a header")
        self.assertNotIn(b"smuggled", received)
        second, _ = strict.response(self.exchange(origin, request.format("second").encode(), 1))
        self.assertEqual((200, b"second"), (second.status, second.body))

    def test_responses(self):
        raw = {}

        def answer(head, body, connection):
            if head.split(b" ")[1] == b"/second":
                return plain(200, b"second")
            connection.sendall(raw["bytes"])
            return None if raw["close"] else b""

        origin = Origin(answer)
        self.addCleanup(origin.close)
        for name, expectation, text in read_cases("responses.txt"):
            raw["close"] = text.endswith("{close}")
            raw["bytes"] = expand(text.removesuffix("{close}"), origin.host, "")
            with self.subTest(name, expectation=expectation):
                try:
                    self.check_response(origin, expectation)
                except strict.Dirty as fault:
                    self.fail(f"Dirty: {fault}")

    def test_payment_named_in_connection_is_not_stripped_silently(self):
        """`Connection: X-PAYMENT` would make an agent's own payment disappear on the way."""
        origin = Origin()
        self.addCleanup(origin.close)
        for name in ("X-PAYMENT", "PAYMENT-SIGNATURE"):
            raw = (f"GET {origin.url}/t HTTP/1.1\r\nHost: {origin.host}\r\nProxy-Authorization: "
                   f"{self.gate.agent.authorization}\r\nConnection: {name}\r\n{name}: abc\r\n\r\n").encode()
            self.exchange(origin, raw, 1)
            for record in origin.connections:
                for one in strict.requests(record):
                    self.assertEqual(["abc"], one.all(name))

    def test_byte_by_byte(self):
        """Framing does not depend on how the bytes are cut."""
        origin = Origin()
        self.addCleanup(origin.close)
        raw = expand(r"{post}Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n{get}Connection: close\r\n\r\n",
                     origin.host, self.gate.agent.authorization)
        with socket.create_connection(self.proxy, timeout=PATIENCE) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in raw:
                client.send(bytes([byte]))
            received = receive(client)
        self.assertEqual(2, self.count(received), received)
        seen = [one for record in origin.connections for one in strict.requests(record)]
        self.assertEqual([b"hello", b""], [one.body for one in seen])


if __name__ == "__main__":
    unittest.main()
