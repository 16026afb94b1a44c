"""Disks that fail under the ledger. Whatever happens: what was signed is in the books, and the gate says so when it cannot
write them."""
import http.client
import os
import pathlib
import shutil
import subprocess
import time

import buyers
import invariants
from harness import where
from harness.gate import Gate
from harness.sellers import Sandbox

# (name, strace's words): each once, and from then on for good.
FAULTS = [
    ("fdatasync fails once", "inject=fdatasync,fsync:error=EIO:when=1"),
    ("fdatasync fails for good", "inject=fdatasync,fsync:error=EIO:when=1+"),
    ("the disk is full once", "inject=pwrite64,write:error=ENOSPC:when=2"),
    ("the disk is full for good", "inject=pwrite64:error=ENOSPC:when=1+"),
    ("writing fails for good", "inject=pwrite64:error=EIO:when=2+"),
    ("reading fails", "inject=pread64:error=EIO:when=1+"),
    ("killed while syncing", "inject=fdatasync:signal=SIGKILL:when=1"),
    ("killed while writing", "inject=pwrite64:signal=SIGKILL:when=2"),
]


def make_gate(folder=None, shop=None):
    # The sanitizers' leak check cannot run under a tracer.
    gate = Gate(policies=[buyers.BUDGET], folder=folder, environment={"ASAN_OPTIONS": "detect_leaks=0"})
    gate.make_wallet()
    gate.agent = gate.make_agent("agent", policies=["cap"])
    gate.start()
    return gate


def buy(gate, shop, number):
    """The status, or 0 when the connection broke."""
    try:
        return gate.agent.get(f"{shop.url}/weather?f={number}", timeout=20).status
    except (OSError, http.client.HTTPException):
        return 0


def examine(gate, shop, before):
    faults, summary = invariants.check(gate.home, shop.settlements(), [("agent", "day", buyers.CAP)], where.build() / "aegis")
    if len(shop.settlements()) <= before:
        faults.append("I6: nothing could be bought after the fault had gone")
    return faults, summary


def under_fault(words, shop):
    gate = make_gate()
    try:
        assert buy(gate, shop, "before") == 200
        keeper = gate.children()["keeper"]
        tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", os.devnull, "-e", words, "-p", str(keeper)],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(0.5)
        if tracer.poll() is not None:
            return None, "strace may not attach: " + tracer.stderr.read().decode().strip()
        statuses = [buy(gate, shop, number) for number in range(4)]
        where.stop(tracer)
        before = len(shop.settlements())
        recovered = lambda: buy(gate, shop, f"after-{time.monotonic()}") == 200  # noqa: E731
        try:
            where.wait_until(recovered, 30, "a purchase after the fault", every=0.3)
        except AssertionError:
            pass
        faults, summary = examine(gate, shop, before)
        return faults, f"answers {statuses}; {summary}"
    finally:
        gate.kill_all()


def full_disk(shop):
    """AEGIS_HOME on a small tmpfs that something else fills up."""
    mount = where.make_folder("full")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", mount], capture_output=True).returncode != 0:
        return None, "tmpfs cannot be mounted by this user"
    gate = None
    try:
        gate = make_gate(folder=mount / "gate")
        assert buy(gate, shop, "before") == 200
        filler = mount / "filler"
        with open(filler, "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass  # full
        statuses = [buy(gate, shop, f"full-{number}") for number in range(6)]
        filler.unlink()
        before = len(shop.settlements())
        where.wait_until(lambda: buy(gate, shop, f"room-{time.monotonic()}") == 200, 30, "a purchase with room again", every=0.3)
        faults, summary = examine(gate, shop, before)
        if 200 in statuses[3:]:
            faults.append(f"I6: bought on a full disk: {statuses}")
        return faults, f"answers {statuses}; {summary}"
    finally:
        if gate is not None:
            gate.kill_all()
        subprocess.run(["umount", "-l", mount], capture_output=True)


def campaign(count):
    if shutil.which("strace") is None:
        count.add("faults under the ledger", None, "strace is not installed")
        return
    pathlib.Path(os.environ.get("TMPDIR", "/tmp")).mkdir(exist_ok=True)
    for name, work in [*((name, lambda shop, words=words: under_fault(words, shop)) for name, words in FAULTS),
                       ("the disk fills up", full_disk)]:
        shop = Sandbox()
        try:
            faults, note = work(shop)
        except AssertionError as failure:
            faults, note = [str(failure)], ""
        finally:
            shop.stop()
        count.add(name, faults, note)
