# SPDX-License-Identifier: MIT
"""scripts/demo, ended as people end it: by Ctrl-C on a terminal, once or several times, at any moment. Nothing may be
left: no process, no folder."""

import os
import pathlib
import pty
import random
import re
import select
import signal
import subprocess
import urllib.request

import pytest

from harness import BINARY, ROOT, pause, wait_for

REPEATS = int(os.environ.get("TEST_DEMO_REPEATS", "4"))


def start_demo(folder, *args):
    """On a terminal of its own; returns its process id and the terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(DEMO_BINARY=BINARY, TMPDIR=str(folder), LINES="24", COLUMNS="80")
        os.execv(ROOT / "scripts/demo", ["demo", *args])
    return pid, terminal


def read_until(terminal, text, timeout=60):
    seen = b""

    def look():
        nonlocal seen
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:  # the other side is closed
                return True
        return text.encode() in seen
    wait_for(look, timeout, f"{text!r}; seen: {seen!r}")
    return seen.decode(errors="replace")


def drain_until_exit(pid, terminal, timeout=60):
    """What it still prints, and its exit status."""
    seen = b""
    status = None

    def ended():
        nonlocal seen, status
        done, result = os.waitpid(pid, os.WNOHANG)
        if done:
            status = os.waitstatus_to_exitcode(result)
        while select.select([terminal], [], [], 0.02)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:  # all is read, and nobody writes any more
                break
        return done
    try:
        wait_for(ended, timeout, f"the end of the demo; seen: {seen[-2000:]!r}")
    finally:
        if status is None:
            os.kill(pid, signal.SIGKILL)
        os.close(terminal)
    return seen.decode(errors="replace"), status


def left_of(folder):
    """The processes that have the folder in their command line."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(folder) in command:
                found.append(f"{entry.name} {command}")
    return found


def nothing_is_left(folder):
    assert left_of(folder) == []
    assert [path.name for path in folder.iterdir()] == []


@pytest.mark.parametrize("presses", [1, 2, 5])
def test_ctrl_c_ends_everything(folder, presses):
    pid, terminal = start_demo(folder)
    guide = read_until(terminal, "Ctrl-C stops everything")
    page = re.search(r"http://127\.0\.0\.1:[0-9]+/", guide)[0]
    with urllib.request.urlopen(page, timeout=30) as answer:  # the page that the guide names is there
        assert b"<title>" in answer.read()
    for _ in range(presses):
        os.write(terminal, b"\x03")
        pause(random.uniform(0, 0.2), "people press at any pace")
    seen, status = drain_until_exit(pid, terminal)
    assert status == 130
    assert "What to try next" in seen
    after = seen[seen.index("What to try next"):]
    assert max(len(line) for line in after.splitlines()) <= 80, after
    nothing_is_left(folder)


def test_ctrl_c_at_any_moment(folder, seed):
    dice = random.Random(seed)
    for round_number in range(REPEATS):
        pid, terminal = start_demo(folder, *(["--raw"] if round_number % 2 else []))
        pause(dice.uniform(0, 4), "the moment is the input")
        os.write(terminal, b"\x03" * dice.randint(1, 3))
        _, status = drain_until_exit(pid, terminal)
        # Before bash has set its traps, the signal itself ends it.
        assert status in (130, -signal.SIGINT), round_number
        nothing_is_left(folder)


def test_it_stops_by_itself(folder):
    ended = subprocess.run([ROOT / "scripts/demo", "--raw", "--seconds", "5"], capture_output=True, text=True, timeout=120,
                           env={**os.environ, "DEMO_BINARY": BINARY, "TMPDIR": str(folder)})
    assert ended.returncode == 0, ended.stderr
    assert "bl2mqtt/house/availability" in ended.stdout
    nothing_is_left(folder)


@pytest.mark.parametrize("args, message", [
    (["--config", "nofile"], "there is no file nofile"),
    (["--config"], "--config needs a file"),
    (["--seconds", "soon"], "--seconds needs a whole number"),
    (["--seconds"], "--seconds needs"),
    (["--fast"], "unknown option --fast"),
])
def test_a_wrong_option_is_refused_before_anything_is_built(folder, args, message):
    # Without DEMO_BINARY: what came before the refusal would install or build, which this PATH cannot.
    ended = subprocess.run([ROOT / "scripts/demo", *args], capture_output=True, text=True, timeout=30, cwd=folder,
                           env={"PATH": "/usr/bin:/bin", "TMPDIR": str(folder)})
    assert ended.returncode == 2
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
