"""kill -9 of one process after the other."""
import os
import signal

import buyers
import invariants
from harness import where
from harness.gate import Gate
from harness.sellers import Sandbox

TARGETS = ["keeper", "keeper", "supervisor", "judge", "worker", "worker", "courier", "courier", "witness", "runner"]

ROUND = 25


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


def round_of_kills(turns, dice, count, workers, whole):
    """A gate and a shop of their own for these turns. False when something was broken."""
    shop = Sandbox()
    gate = Gate(policies=[buyers.BUDGET], workers=workers,
                config={"log": {"level": "info"}, "timeouts": {"first_byte_ms": 5000}})
    good = True
    try:
        gate.make_wallet()
        gate.start()
        crowd = buyers.Buyers(gate, shop, dice)
        for turn in turns:
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
            count.add(f"kill {turn} of {whole}: {target}", faults, summary)
            if faults:
                good = False
                break
        crowd.stop()
        shop.cash()
        faults, summary = check(gate, shop, crowd)
        count.add("after the last payment was cashed", faults, summary)
        print(f"      {crowd.paid} served, {crowd.denied} denied by a cap, {crowd.broken} cut")
        gate.stop()
        return good and not faults
    except AssertionError as failure:
        count.add("the campaign", [str(failure)])
        return False
    finally:
        if gate.process is not None:
            gate.kill_all()
        shop.stop()


def campaign(number, dice, count, workers=2):
    """In rounds, because each check reads the whole ledger."""
    for first in range(1, number + 1, ROUND):
        turns = range(first, min(first + ROUND, number + 1))
        if not round_of_kills(turns, dice, count, workers, number):
            break
