"""Agents: programs that know a proxy and a token, and nothing of wallets."""
import base64
import http.client
import json
import subprocess
import threading
import urllib.parse


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    def json(self):
        return json.loads(self.body)

    @property
    def payment(self):
        """(id, state) as the gate tells the agent, or (None, None)."""
        value = self.headers.get("aegis-payment")
        if value is None:
            return None, None
        identifier, _, rest = value.partition(";")
        return identifier.strip(), rest.strip().removeprefix("state=")

    def settlement(self):
        """The decoded settlement header of either version, or None."""
        value = self.headers.get("payment-response") or self.headers.get("x-payment-response")
        return None if value is None else json.loads(base64.b64decode(value))

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


class Agent:
    def __init__(self, proxy, token, name="agent"):
        self.proxy = proxy
        self.token = token
        self.name = name

    @property
    def authorization(self):
        return "Basic " + base64.b64encode(f"agent:{self.token}".encode()).decode()

    @property
    def proxy_url(self):
        return f"http://agent:{self.token}@{self.proxy}"

    def request(self, method, url, body=None, headers=None, timeout=60):
        """One request on a connection of its own. http.client's exceptions mean that the gate cut it."""
        host, port = self.proxy.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
        try:
            fields = {"Host": urllib.parse.urlsplit(url).netloc, "Proxy-Authorization": self.authorization}
            connection.request(method, url, body, {**fields, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    def get(self, url, **more):
        return self.request("GET", url, **more)

    def post(self, url, body, **more):
        return self.request("POST", url, body, **more)

    def curl(self, *arguments):
        """The same with curl; (status, body)."""
        done = subprocess.run(["curl", "-sS", "--noproxy", "", "-x", self.proxy_url, "-w", "\n%{http_code}", *arguments],
                              capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise AssertionError(f"curl: {done.stderr}")
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body


def in_parallel(count, work):
    """work(0) ... work(count - 1) at the same time, each in a thread; their results or exceptions, in order."""
    results = [None] * count
    gate = threading.Barrier(count)

    def run(index):
        gate.wait()
        try:
            results[index] = work(index)
        except Exception as failure:  # the caller looks at what came
            results[index] = failure

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
