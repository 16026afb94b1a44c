"""Where things are, and small helpers for processes and waiting."""
import atexit
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parents[2]
SOURCE = TESTS.parent
PEERS = TESTS / "e2e" / "peers"


def build():
    """The folder in which the tree was built: AEGIS_BUILD, or the only sensible guess."""
    if "AEGIS_BUILD" in os.environ:
        return pathlib.Path(os.environ["AEGIS_BUILD"]).resolve()
    for guess in (pathlib.Path.cwd(), SOURCE / "build" / "check", SOURCE / "build", SOURCE):
        if (guess / "aegis-gate").exists():
            return guess.resolve()
    sys.exit("tests: no aegis-gate was found; set AEGIS_BUILD to the folder that it was built in")


def make_folder(prefix):
    """A fresh folder that goes away with the process, unless AEGIS_KEEP is set."""
    path = pathlib.Path(tempfile.mkdtemp(prefix=f"aegis-{prefix}-"))
    if "AEGIS_KEEP" in os.environ:
        print(f"kept: {path}", file=sys.stderr)
    else:
        atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(check, seconds=10, what="what was waited for", every=0.02):
    """The first true value that check() returns; an AssertionError when none comes in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {seconds} s")
        time.sleep(every)


def stop(process, seconds=10):
    """Ends a process that we started, politely, then not."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
