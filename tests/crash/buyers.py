"""Agents that buy for as long as they are let, from honest and from lying routes, and repeat what did not end well."""
import http.client
import itertools
import json
import threading
import time

from harness.gate import policy

CAP = 300_000  # atomic units an agent may spend a day; every price is a hundredth of a dollar or two
BUDGET = policy("cap", "budget", {"limits": [{"chainId": "*", "token": "USDC", "payment": "1", "daily": "0.3"}]})

HONEST = ["/weather", "/v1/weather", "/translate", "/free"]
LYING = ["/lie/refuse-but-cash", "/lie/fail-but-cash", "/lie/error-but-cash", "/lie/cut", "/lie/keep", "/lie/serve",
         "/v1/lie/refuse-but-cash", "/v1/lie/keep"]


class Buyers:
    def __init__(self, gate, shop, dice, number=8):
        self.gate, self.shop, self.dice = gate, shop, dice
        self.names = []
        self.numbers = itertools.count()
        self.lock = threading.Lock()
        self.going = threading.Event()
        self.idle = threading.Semaphore(0)
        self.done = False
        self.paid = self.denied = self.broken = 0
        first = [self.new_agent() for _ in range(number)]
        self.threads = [threading.Thread(target=self._buy_on, args=(agent,), daemon=True) for agent in first]
        for thread in self.threads:
            thread.start()

    def new_agent(self):
        with self.lock:
            name = f"buyer-{next(self.numbers)}"
            self.names.append(name)
        return self.gate.make_agent(name, policies=["cap"])

    def caps(self):
        return [(name, "day", CAP) for name in self.names]

    def run_for(self, seconds):
        self.going.set()
        time.sleep(seconds)

    def pause(self):
        """Returns when no request is under way any more."""
        self.going.clear()
        for _ in self.threads:
            self.idle.acquire()
        for _ in self.threads:
            self.idle.release()

    def stop(self):
        self.done = True
        self.going.set()
        for thread in self.threads:
            thread.join(30)

    def _buy_on(self, agent):
        while not self.done:
            if not self.going.is_set():
                self.idle.release()
                self.going.wait()
                self.idle.acquire()
                continue
            if not self._buy(agent):
                try:
                    agent = self.new_agent()
                except AssertionError:
                    time.sleep(0.2)  # the gate is being killed under the command

    def _buy(self, agent):
        """One logical request, repeated while its outcome is unknown. False when the agent's cap is full."""
        with self.lock:
            path = self.dice.choice(HONEST if self.dice.random() < 0.6 else LYING)
            url = f"{self.shop.url}{path}?n={next(self.numbers)}"
            tries = self.dice.randint(1, 4)
        for _ in range(tries):
            try:
                answer = agent.post(url, b"text", timeout=15) if "translate" in path else agent.get(url, timeout=15)
            except (OSError, http.client.HTTPException):
                self.broken += 1
                time.sleep(0.05)
                continue
            if answer.status == 200:
                self.paid += 1
                return True
            if answer.status == 403 and b"daily_limit_exceeded" in answer.body:
                self.denied += 1
                return json.loads(answer.body)["remaining"] not in ("0", "0.01")
            if answer.status >= 500:
                time.sleep(0.05)
        return True
