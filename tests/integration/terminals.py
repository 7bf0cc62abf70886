# SPDX-License-Identifier: MIT
"""README's terminal blocks, from real runs on simulators: what its reader will see.

    python3 tests/integration/terminals.py            prints them
    python3 tests/integration/terminals.py --write    writes them into README.md

test_readme.py holds README to them, numbers aside. Needs TEST_BINARY, as the tests do."""

import os
import pathlib
import pty
import re
import select
import shlex
import subprocess
import sys
import tempfile
import time

import house
from beken_module import Module
from harness import BINARY, ROOT, Broker, Process, wait_for, write_config

README = ROOT / "README.md"
BLOCK = re.compile(r"^```\n((?:\$ .*\n)(?:.*\n)*?)```$", re.M)
PORT = "/dev/ttyUSB0"


def blocks(text):
    """The terminal blocks of a document, in their order."""
    return [match.group(1) for match in BLOCK.finditer(text)]


def commands(block):
    return [line[2:] for line in block.splitlines() if line.startswith("$ ")]


def on_a_terminal(arguments, folder, asked=None, timeout=120):
    """Runs the program on a terminal of 80 columns; returns what stays on it: of a line that was drawn again
    and again, its last state. asked() does what the program asks for, once: switches a module off and on."""
    master, slave = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "dumb", "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen([BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, cwd=folder, env=environment)
    os.close(slave)
    output, deadline = b"", time.monotonic() + timeout
    try:
        while time.monotonic() < deadline:
            if not select.select([master], [], [], 0.2)[0]:
                continue
            try:
                piece = os.read(master, 4096)
            except OSError:  # the last one who had the terminal closed it
                break
            output += piece
            if asked is not None and b"switch its power off and on" in output:
                asked()
                asked = None
        assert process.wait(max(1, deadline - time.monotonic())) == 0, output.decode()
    finally:
        process.kill()
        process.wait()
        os.close(master)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.decode()).replace("\r\n", "\n")
    return "".join(line.split("\r")[-1].rstrip() + "\n" for line in text.removesuffix("\n").split("\n"))


def run_block(block, folder, port=None, asked=None, quick=()):
    """The block again, its commands run anew. port stands in for README's /dev/ttyUSB0; quick: options that README does
    not show, so that a test need not wait."""
    parts = []
    for command in commands(block):
        program, *arguments = shlex.split(command)
        assert program == "bl2mqtt", command
        arguments = [str(port) if argument == PORT else argument for argument in arguments]
        output = on_a_terminal([*arguments, *quick], folder, asked).replace(str(port), PORT)
        parts.append(f"$ {command}\n{output}")
    return "\n".join(parts)


def calibration(block, folder, quick=False):
    """A heater on a chip whose voltage is 1.5 % off, while the service runs."""
    chip = house.SimulatedMeter(folder / "chip", "--calibration", "15643.26,128118.87,317.931", "--voltage", 231.2, "--current", 4.33,
                                "--power", 1001, "--seed", 7)
    broker = Broker(folder)
    service = None
    try:
        config = write_config(folder, broker.url, [{
            "id": "house", "driver": "bl0942", "interval": "250ms" if quick else "1s",
            "channels": {"a": {"port": str(folder / "chip"), "calibration": house.CALIBRATION}}}])
        service = Process([BINARY, "--config", config, "run"])
        watch = broker.subscribe("#")
        watch.wait("bl2mqtt/house", lambda state: state and "power" in str(state), 30)
        watch.close()
        return run_block(block, folder, quick=("--seconds", "6") if quick else ())
    finally:
        if service is not None:
            service.kill()
        broker.stop()
        chip.close()


def flashing(block, folder, quick=False):
    """A BK7231N as it was bought, whose power is switched when the command asks for it."""
    module = Module(folder, "BK7231N", speed=40 if quick else 1, args=())
    try:
        wait_for(module.port.exists, 10, "the module's port")
        return run_block(block, folder, port=module.port, asked=lambda: module.tell("power-cycle"))
    finally:
        module.stop()


#: README's blocks are these, in this order.
SCENES = (calibration, flashing)


def main():
    text = README.read_text()
    found = blocks(text)
    assert len(found) == len(SCENES), f"README.md has {len(found)} terminal blocks, not {len(SCENES)}"
    for block, scene in zip(found, SCENES):
        with tempfile.TemporaryDirectory(prefix="bl2mqtt-test-") as name:
            new = scene(block, pathlib.Path(name))
        print(new)
        if re.search(r"\d retr(y|ies)$", new, re.M):
            sys.exit("The machine was busy, so that something was sent twice: try again.")
        text = text.replace(block, new)
    if "--write" in sys.argv[1:]:
        README.write_text(text)


if __name__ == "__main__":
    main()
