#!/usr/bin/env python3
"""Checks the invariants of DESIGN I1 to I5 and I7 from outside: the ledger file, the message store, and what was really
cashed. It shares no code with the gate.

    invariants.py --home FOLDER [--aegis PROGRAM] [--sandbox FILE] [--cap AGENT:WINDOW:UNITS]...

WINDOW is day or total, UNITS atomic units of a token with six decimals, AGENT a name or `*` for all together. Prints what
is broken, one line each, and exits 1; else one line with what was looked at."""
import argparse
import collections
import hashlib
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import time

DAY = 86400000
RESOLVED = ("settled", "delivered", "expired", "cancelled")
GRACE = 30  # seconds after validBefore for which the same request still gets the same payment

# Where an entry of a payment may stand: the kinds that may come right before it (`repeated` and proofs apart).
BEFORE = {
    "decision": {None},
    "reserved": {"decision"},
    "signed": {"reserved"},
    "repeated": {"signed", "refused", "unknown", "delivered", "settled"},
    "delivered": {"signed", "unknown", "refused"},
    "refused": {"signed", "unknown", "refused"},
    "unknown": {"signed", "unknown", "refused"},
    "settled": {"signed", "unknown", "refused", "delivered"},
    "expired": {"signed", "unknown", "refused", "delivered"},
    "cancelled": {"signed", "unknown", "refused", "delivered"},
}


class Faults(list):
    def add(self, invariant, text, *values):
        self.append(f"{invariant}: {text % values if values else text}")


def read_entries(ledger):
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=20) as database:
        rows = database.execute("SELECT seq, at, kind, agent, payment, body, prev, hash FROM entry ORDER BY seq").fetchall()
        fault = database.execute("PRAGMA integrity_check").fetchone()[0]
    names = ("seq", "at", "kind", "agent", "payment", "text", "prev", "hash")
    entries = [dict(zip(names, row)) for row in rows]
    for entry in entries:
        entry["body"] = json.loads(entry["text"])
    return entries, fault


def quoted(text):
    return json.dumps(text, ensure_ascii=False)


def check_hashes(entries, faults):
    """I4: seq without gaps, each hash over the entry and the hash before it."""
    previous = bytes(32)
    for number, entry in enumerate(entries, 1):
        if entry["seq"] != number:
            faults.add("I4", "entry %d stands where %d was expected", entry["seq"], number)
            return
        text = (f'{{"agent":{quoted(entry["agent"])},"at":{entry["at"]},"body":{entry["text"]},'
                f'"kind":{quoted(entry["kind"])},"payment":{quoted(entry["payment"])},'
                f'"prev":"{previous.hex()}","seq":{number}}}')
        if entry["prev"] != previous or hashlib.sha256(text.encode()).digest() != entry["hash"]:
            faults.add("I4", "the hash of entry %d is not what its content gives", number)
            return
        previous = entry["hash"]


def check_books(home, aegis, faults):
    """I4: the gate's own check, which also rebuilds every derived table."""
    environment = {**os.environ, "AEGIS_HOME": str(home)}
    done = subprocess.run([aegis, "ledger", "verify"], env=environment, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        faults.add("I4", "aegis ledger verify: %s", (done.stdout + done.stderr).strip())


def collect_payments(entries, faults):
    """The payments with their state, in the order of reservation. I1, and that states only move as they may."""
    payments = {}
    last = {}
    for entry in entries:
        identifier, kind = entry["payment"], entry["kind"]
        if not identifier.startswith("pay_") or kind not in BEFORE:
            continue
        if last.get(identifier) not in BEFORE[kind]:
            faults.add("I3", "%s: %s came after %s", identifier, kind, last.get(identifier))
        if kind != "repeated":
            last[identifier] = kind
        body = entry["body"]
        if kind == "decision":
            payments[identifier] = {"id": identifier, "agent": entry["agent"], "decision": body, "history": []}
        payment = payments.get(identifier)
        if payment is None:
            faults.add("I1", "%s: %s without a decision", identifier, kind)
            continue
        payment["history"].append((kind, entry["at"]))
        if kind == "reserved":
            payment.update(body, at=entry["at"], state="reserved", nonce=body["authorization"]["nonce"],
                           value=int(body["authorization"]["value"]))
        elif kind != "repeated" and kind != "decision":
            payment["state"] = kind
    for payment in payments.values():
        check_allowed(payment, faults)
    return [payment for payment in payments.values() if "nonce" in payment]


def check_allowed(payment, faults):
    """I1: an allow from every policy that was asked, and a reservation, before the signature."""
    decision = payment["decision"]
    kinds = [kind for kind, _ in payment["history"]]
    if decision["verdict"] != "allow":
        faults.add("I1", "%s: paid after the verdict %s", payment["id"], decision["verdict"])
    if not decision["verdicts"] and decision.get("policies", True):
        faults.add("I1", "%s: no policy was asked", payment["id"])
    for verdict in decision["verdicts"]:
        if verdict["verdict"] != "allow":
            faults.add("I1", "%s: paid although policy %s said %s", payment["id"], verdict["policy"], verdict["verdict"])
    if "signed" in kinds and kinds[:3] != ["decision", "reserved", "signed"]:
        faults.add("I1", "%s: signed in the order %s", payment["id"], kinds)


def counted(payment):
    return payment["state"] not in ("expired", "cancelled")


def in_window(at, window, now):
    return window == "total" or at // DAY == now // DAY


def check_caps(payments, entries, settlements, caps, now, faults):
    """I2, in the books and where the money moved."""
    names = {entry["agent"]: entry["body"].get("name") for entry in entries if entry["kind"] == "agent"}
    at_of = {payment["nonce"]: payment for payment in payments}
    for agent, window, cap in caps:
        def mine(payment):
            return agent in ("*", payment["agent"], names.get(payment["agent"]))
        booked = sum(one["value"] for one in payments if mine(one) and counted(one) and in_window(one["at"], window, now))
        if booked > cap:
            faults.add("I2", "%s: %d units are settled or exposed this %s, the cap is %d", agent, booked, window, cap)
        cashed = sum(one["value"] for one in settlements if one["nonce"] in at_of and mine(at_of[one["nonce"]])
                     and in_window(at_of[one["nonce"]]["at"], window, now))
        if cashed > cap:
            faults.add("I2", "%s: %d units were cashed this %s, the cap is %d", agent, cashed, window, cap)


def check_settlements(payments, settlements, faults):
    """I1 and I3 seen from where the money moved."""
    by_nonce = {payment["nonce"]: payment for payment in payments}
    if len(by_nonce) != len(payments):
        faults.add("I7", "a nonce is in two reservations")
    for settlement in settlements:
        payment = by_nonce.get(settlement["nonce"])
        if payment is None:
            faults.add("I1", "nonce %s was cashed and is in no reservation", settlement["nonce"])
            continue
        if "signed" not in [kind for kind, _ in payment["history"]]:
            faults.add("I1", "%s was cashed and is not in the ledger as signed", payment["id"])
        if settlement["value"] != payment["value"] or settlement["payee"].lower() != payment["pay_to"].lower():
            faults.add("I1", "%s was cashed for other terms than were reserved", payment["id"])
        if not counted(payment):
            faults.add("I3", "%s was cashed, but its money was given back (%s)", payment["id"], payment["state"])
    nonces = collections.Counter(one["nonce"] for one in settlements)
    if nonces and max(nonces.values()) > 1:
        faults.add("I7", "a nonce was cashed twice")


def state_at(payment, at):
    state = None
    for kind, when in payment["history"]:
        if when <= at and kind not in ("repeated", "decision"):
            state = kind
    return state


def check_one_nonce(payments, faults):
    """I7, for agents that repeat a request one after the other: a second authorization only after the first was resolved."""
    earlier = {}
    for payment in payments:
        key = (payment["agent"], payment.get("idempotency_key") or payment["request_hash"])
        before = earlier.get(key)
        if before is not None:
            dead = int(before["authorization"]["validBefore"]) + GRACE < payment["at"] // 1000
            if state_at(before, payment["at"]) not in RESOLVED and not dead:
                faults.add("I7", "%s and %s pay for one request", before["id"], payment["id"])
        earlier[key] = payment


def calls_for_message(entry):
    return (entry["kind"] == "decision" and entry["body"]["verdict"] != "allow") or entry["kind"] in ("notice", "revoked")


def read_messages(home, faults):
    """The store's own messages by the entry that called for them, and the mirror file whole."""
    path = home / "messages.json"
    try:
        mirror = json.loads(path.read_text())["messages"] if path.exists() else []
    except (ValueError, KeyError) as failure:
        faults.add("I5", "messages.json is broken: %s", failure)
        mirror = []
    if not (home / "messages.db").exists():
        return [], mirror
    with sqlite3.connect(f"file:{home / 'messages.db'}?mode=ro", uri=True, timeout=20) as database:
        stored = [json.loads(row[0]) for row in database.execute("SELECT body FROM message ORDER BY number")]
    return stored, mirror


def check_messages(home, entries, faults, seconds):
    """I5. The courier may still be on its way: it gets `seconds` to arrive."""
    wanted = {"msg_" + entry["hash"][:16].hex(): entry["seq"] for entry in entries if calls_for_message(entry)}
    deadline = time.monotonic() + seconds
    while True:
        trial = Faults()
        stored, mirror = read_messages(home, trial)
        seen = collections.Counter(message["id"] for message in stored)
        for identifier, seq in wanted.items():
            if seen[identifier] != 1:
                trial.add("I5", "entry %d became %d messages", seq, seen[identifier])
        for identifier in seen.keys() - wanted.keys():
            trial.add("I5", "message %s comes from no entry", identifier)
        if [one.get("id") for one in mirror] != [one.get("id") for one in stored]:
            trial.add("I5", "messages.json has %d messages, the store %d", len(mirror), len(stored))
        if not trial or time.monotonic() > deadline:
            faults.extend(trial)
            return len(stored)
        time.sleep(0.1)


def sandbox_settlements(path):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20) as database:
        rows = database.execute("SELECT payer, payee, amount, nonce FROM settlement").fetchall()
    return [{"payer": payer, "payee": payee, "value": int(amount), "nonce": nonce} for payer, payee, amount, nonce in rows]


def check(home, settlements=(), caps=(), aegis=None, one_nonce=True, message_seconds=20):
    """Every check; (faults, one line about what was looked at). `settlements`: [{payer, payee, value, nonce}]."""
    home = pathlib.Path(home)
    faults = Faults()
    entries, integrity = read_entries(home / "ledger.db")
    if integrity != "ok":
        faults.add("I4", "SQLite: %s", integrity)
    check_hashes(entries, faults)
    if aegis is not None:
        check_books(home, aegis, faults)
    payments = collect_payments(entries, faults)
    check_settlements(payments, settlements, faults)
    check_caps(payments, entries, settlements, caps, int(time.time() * 1000), faults)
    if one_nonce:
        check_one_nonce(payments, faults)
    messages = check_messages(home, entries, faults, message_seconds)
    states = collections.Counter(payment["state"] for payment in payments)
    summary = (f"{len(entries)} entries, {len(payments)} payments ({', '.join(f'{n} {s}' for s, n in sorted(states.items()))}), "
               f"{len(settlements)} cashed, {messages} messages")
    return faults, summary


def read_cap(text):
    agent, window, units = text.rsplit(":", 2)
    if window not in ("day", "total"):
        raise argparse.ArgumentTypeError(f"{window}: expected day or total")
    return agent, window, int(units)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", required=True, type=pathlib.Path)
    parser.add_argument("--aegis", help="the aegis command; without it the derived tables are not rebuilt")
    parser.add_argument("--sandbox", help="the sandbox's state file: what was really cashed")
    parser.add_argument("--cap", type=read_cap, action="append", default=[])
    options = parser.parse_args()
    settlements = sandbox_settlements(options.sandbox) if options.sandbox else []
    faults, summary = check(options.home, settlements, options.cap, options.aegis)
    for fault in faults:
        print(fault)
    print(summary)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
