"""Sends cases of other projects through a gate and looks only for what must never happen. See run_suites."""
import collections
import socket

from harness import strict
from harness.gate import Gate
from harness.origin import Origin, plain

PATIENCE = 0.4  # seconds for a case that the gate rightly waits for


class Runner:
    def __init__(self, gate):
        self.gate = gate
        self.response = None
        self.origin = Origin(self._answer)
        host, port = gate.address.split(":")
        self.proxy = (host, int(port))

    def _answer(self, head, body, connection):
        if self.response is None or b"/second" in head.split(b"\r\n")[0]:
            return plain(200, b"own")
        connection.sendall(self.response)
        return None

    def send(self, raw):
        """What came back. The client closes its side when nothing more comes."""
        received = b""
        with socket.create_connection(self.proxy, timeout=PATIENCE) as client:
            try:
                client.sendall(raw)
                while chunk := client.recv(65536):
                    received += chunk
            except (TimeoutError, ConnectionError, BrokenPipeError):
                pass
        return received

    def request(self, raw):
        """None, or what must never happen."""
        self.response = None
        self.origin.forget()
        received = self.send(raw)
        seen = []
        for record in list(self.origin.connections):
            try:
                seen += strict.requests(record)
            except strict.Incomplete:
                pass  # the client sent half a request of known length: half of it may arrive
            except strict.Dirty as fault:
                return f"dirty forward: {fault}", received
        sent = max(1, raw.count(b"HTTP/1."))
        if len(seen) > sent:
            return f"desync: {len(seen)} requests of {sent}", received
        return self.own_answer(), received

    def answer(self, raw):
        self.response = raw
        self.origin.forget()
        received = self.send(self.get("t"))
        self.response = None
        return self.own_answer(), received

    def get(self, path):
        return (f"GET {self.origin.url}/{path} HTTP/1.1\r\nHost: {self.origin.host}\r\n"
                f"Proxy-Authorization: {self.gate.agent.authorization}\r\n\r\n").encode()

    def own_answer(self):
        """The next client gets its own answer, or the reason why not."""
        with socket.create_connection(self.proxy, timeout=5) as client:
            client.sendall(self.get("second"))
            received = b""
            try:
                while chunk := client.recv(65536):
                    received += chunk
                    if received.endswith(b"own"):
                        break
            except (TimeoutError, ConnectionError):
                pass
        try:
            answer, rest = strict.response(received)
        except (strict.Dirty, strict.Incomplete) as fault:
            return f"the next client got {received[:100]!r}: {fault}"
        return None if (answer.status, answer.body, rest) == (200, b"own", b"") else f"the next client got {received[:100]!r}"


def run(cases, for_agent, verbose):
    gate = Gate(workers=1)
    gate.make_wallet()
    gate.agent = gate.make_agent()
    gate.start()
    runner = Runner(gate)
    count = collections.Counter()
    try:
        for name, kind, raw in cases:
            if kind == "request":
                raw = for_agent(raw.replace(b"{o}", runner.origin.host.encode()), runner.origin.host.encode(),
                                gate.agent.authorization.encode())
            ask = runner.request if kind == "request" else runner.answer
            fault, received = ask(raw)
            if fault:  # what the case before left under way may have arrived meanwhile; what is wrong is wrong twice
                fault, received = ask(raw)
            suite = name.split(" ")[0]
            count[suite, "failed" if fault else "passed"] += 1
            if fault:
                print(f"FAIL  {name}: {fault}\n      {raw[:300]!r}", flush=True)
            elif verbose:
                print(f"ok    {name}: {received[:60]!r}", flush=True)
        gate.stop()
    finally:
        if gate.process is not None:
            gate.kill_all()
    for suite in sorted({one for one, _ in count}):
        print(f"{suite}: {count[suite, 'passed']} passed, {count[suite, 'failed']} failed")
    failed = sum(number for (_, verdict), number in count.items() if verdict == "failed")
    print(f"{sum(count.values()) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0
