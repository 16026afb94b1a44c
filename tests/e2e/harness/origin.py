"""An origin that remembers every byte it was sent, and says exactly what it was told to say."""
import base64
import json
import socket
import threading
import time

from .chain import NETWORK, PAYEE, USDC


class Origin:
    """answer(head, body, connection) -> bytes, called for each request that could be read (by a deliberately plain reader:
    head up to the empty line, body by Content-Length or chunked); None closes the connection without a word.
    .connections is a list of bytearrays: what came, connection by connection."""

    def __init__(self, answer=None):
        self.answer = answer or (lambda head, body, connection: plain(200, b"ok"))
        self.connections = []
        self.requests = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.host = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.url = "http://" + self.host
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        record = bytearray()
        with self.lock:
            self.connections.append(record)
        pending = bytearray()
        try:
            while True:
                request = self._read_request(connection, record, pending)
                if request is None:
                    return
                head, body = request
                with self.lock:
                    self.requests.append((head, body))
                reply = self.answer(head, body, connection)
                if reply is None:
                    return
                connection.sendall(reply)
                if b"connection: close" in reply.split(b"\r\n\r\n", 1)[0].lower():
                    return
        except OSError:
            pass
        finally:
            connection.close()

    @staticmethod
    def _more(connection, record, pending):
        data = connection.recv(65536)
        record += data
        pending += data
        return bool(data)

    def _read_request(self, connection, record, pending):
        while b"\r\n\r\n" not in pending:
            if not self._more(connection, record, pending):
                return None
        head, _, rest = bytes(pending).partition(b"\r\n\r\n")
        lower = head.lower()
        if b"\r\ntransfer-encoding:" in lower:
            while not rest.startswith(b"0\r\n\r\n") and b"\r\n0\r\n\r\n" not in rest:
                if not self._more(connection, record, pending):
                    return None
                rest = bytes(pending).partition(b"\r\n\r\n")[2]
            end = 5 if rest.startswith(b"0\r\n\r\n") else rest.index(b"\r\n0\r\n\r\n") + 7
        else:
            end = 0
            for line in lower.split(b"\r\n")[1:]:
                if line.startswith(b"content-length:"):
                    end = int(line.split(b":", 1)[1])
            while len(rest) < end:
                if not self._more(connection, record, pending):
                    return None
                rest = bytes(pending).partition(b"\r\n\r\n")[2]
        del pending[: len(head) + 4 + end]
        return head, rest[:end]

    def forget(self):
        """What came so far; connections that are open go on being recorded."""
        with self.lock:
            for record in self.connections:
                record.clear()
            self.requests = []

    def close(self):
        self.listener.close()


def plain(status, body=b"", headers=()):
    """A well-formed answer."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def header(head, name):
    """The values of a header in a request's head, as the origin saw them."""
    prefix = name.lower().encode() + b":"
    return [line.split(b":", 1)[1].strip().decode("latin-1")
            for line in head.split(b"\r\n")[1:] if line.lower().startswith(prefix)]


def encode(value):
    return base64.b64encode(json.dumps(value, separators=(",", ":")).encode()).decode()


def entry(amount="10000", **changes):
    """One entry of `accepts` in v2."""
    return {"scheme": "exact", "network": NETWORK, "amount": str(amount), "asset": USDC, "payTo": PAYEE,
            "maxTimeoutSeconds": 60, "extra": {"name": "USDC", "version": "2"}, **changes}


def challenge(*entries, url="http://example.test/", **changes):
    """A v2 challenge as an answer."""
    value = {"x402Version": 2, "error": "Payment required", "resource": {"url": url, "description": "", "mimeType": ""},
             "accepts": list(entries) or [entry()], **changes}
    return plain(402, b"{}", [("PAYMENT-REQUIRED", encode(value)), ("Content-Type", "application/json")])


def payment(head):
    """The payment in a request's head, decoded; None when there is none."""
    values = header(head, "PAYMENT-SIGNATURE") or header(head, "X-PAYMENT")
    return json.loads(base64.b64decode(values[0])) if values else None


def settled(payload, body=b"paid", success=True, **more):
    """200 with a settlement header for this payment (or what `success` and `more` make of it)."""
    payer = payload["payload"]["authorization"]["from"]
    value = {"success": success, "transaction": "0x" + "ab" * 32, "network": NETWORK, "payer": payer, **more}
    return plain(200, body, [("PAYMENT-RESPONSE", encode(value))])


class Seller(Origin):
    """An origin that asks for money. price(head) gives the challenge; paid(head, body, payment, connection) the answer to a
    payment. .paid_requests has every payment that came: [(head, payment)]."""

    def __init__(self, price=None, paid=None):
        self.paid_requests = []
        self.price = price or (lambda head: challenge())
        self.paid = paid or (lambda head, body, payment, connection: settled(payment))
        super().__init__(self._sell)

    def _sell(self, head, body, connection):
        given = payment(head)
        if given is None:
            return self.price(head)
        with self.lock:
            self.paid_requests.append((head, given))
        return self.paid(head, body, given, connection)

    def nonces(self):
        return [given["payload"]["authorization"]["nonce"] for _, given in self.paid_requests]


def slowly(seconds, reply):
    time.sleep(seconds)
    return reply
