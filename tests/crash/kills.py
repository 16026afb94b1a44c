"""kill -9 of one process after the other."""
import os
import signal

import buyers
import invariants
from harness import where
from harness.gate import Gate
from harness.sellers import Sandbox

TARGETS = ["keeper", "keeper", "supervisor", "judge", "worker", "worker", "courier", "courier", "witness", "runner"]


def kill_one(gate, target):
    """Kills it and waits until it, or for the supervisor all of them, are there again."""
    if target == "supervisor":
        os.kill(gate.process.pid, signal.SIGKILL)
        gate.process.wait()
        where.wait_until(lambda: not gate.children(), 15, "the end of the children")
        gate.start()
        return
    before = gate.children()
    os.kill(before["worker0" if target == "worker" else target], signal.SIGKILL)

    def replaced():
        now = gate.children()
        return len(now) == len(before) and set(now.values()) - set(before.values())
    where.wait_until(replaced, 30, f"a new {target}")
    where.wait_until(lambda: gate.status(check=False), 30, "the gate's status")


def check(gate, shop, crowd):
    """What moved first, then the books: everything that was cashed must be in them."""
    settlements = shop.settlements()
    return invariants.check(gate.home, settlements, crowd.caps(), where.build() / "aegis")


def campaign(number, dice, count, workers=2):
    shop = Sandbox()
    gate = Gate(policies=[buyers.BUDGET], workers=workers, config={"log": {"level": "info"}, "timeouts": {"first_byte_ms": 5000}})
    try:
        gate.make_wallet()
        gate.start()
        crowd = buyers.Buyers(gate, shop, dice)
        for turn in range(1, number + 1):
            target = dice.choice(TARGETS)
            try:
                crowd.run_for(dice.uniform(0.1, 1.2))
                if dice.random() < 0.3:
                    shop.cash()
                kill_one(gate, target)
                crowd.run_for(0.2)
                crowd.pause()
                faults, summary = check(gate, shop, crowd)
            except AssertionError as failure:
                faults, summary = [str(failure)], ""
            count.add(f"kill {turn} of {number}: {target}", faults, summary)
            if faults:
                break
        crowd.stop()
        shop.cash()
        faults, summary = check(gate, shop, crowd)
        count.add("after the last payment was cashed", faults, summary)
        print(f"      {crowd.paid} served, {crowd.denied} denied by a cap, {crowd.broken} cut")
        gate.stop()
    except AssertionError as failure:
        count.add("the campaign", [str(failure)])
    finally:
        if gate.process is not None:
            gate.kill_all()
        shop.stop()
