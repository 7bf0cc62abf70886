# SPDX-License-Identifier: MIT
"""A simulated BK7231 on a pty for tests of the flasher: its flash, its faults, its counters, and somebody
who switches it off and on when asked."""

import hashlib
import json
import pathlib
import signal
import subprocess
import threading

from harness import BINARY, pause, run
from simulator import Simulator


class Census:
    """Every simulated BK7231T of this process, and what was done to its bootloader."""

    def __init__(self):
        self.started = self.counted = self.operations = 0
        self.culprits = []

    def count(self, module, flash):
        operations = flash["bootloader_erases"] + flash["bootloader_programs"]
        self.counted += 1
        self.operations += operations
        if operations:
            self.culprits.append(str(module.port))


CENSUS = Census()


class Module(Simulator):
    """flash: initial contents as bytes, None for what the simulator makes up. doomed: a test that overwrites
    a BK7231T's bootloader on purpose; any other is counted at its end, however it ends."""

    KIND = "module"

    def __init__(self, folder, chip="BK7231N", speed=40, seed=1, flash=None, args=(), doomed=False,
                 **faults):
        self.folder = pathlib.Path(folder)
        self.chip = chip
        self.port = self.folder / f"{chip}-{seed}"
        self.lock = threading.Lock()
        self.counts = chip == "BK7231T" and not doomed
        options = ["--chip", chip, "--link", self.port, "--speed", speed, "--seed", seed, *args]
        if flash is not None:
            path = self.folder / f"{chip}-{seed}.flash"
            path.write_bytes(flash)
            options += ["--flash", path]
        for name, value in faults.items():
            options += ["--fault", f"{name.replace('_', '-')}={value}"]
        super().__init__(*options)
        CENSUS.started += self.counts

    def tell(self, command):
        with self.lock:
            self.send(command)
            return self.answer()

    def flash(self):
        """The flash's contents now."""
        path = self.folder / f"{self.port.name}.dump"
        self.tell(f"dump {path}")
        return path.read_bytes()

    def stop(self, number=signal.SIGTERM):
        """Ends it; returns its counters."""
        stats = self.count()
        super().stop(number)
        self.close()
        assert not CENSUS.culprits, f"a BK7231T's bootloader was touched: {CENSUS.culprits}"
        return stats

    def count(self):
        stats = self.tell("stats")
        if self.counts:
            self.counts = False
            CENSUS.count(self, stats["flash"])
        return stats

    def close(self):
        if self.counts and self.running():
            self.count()
        super().close()

    def running(self):
        return self.process.poll() is None


class Person(threading.Thread):
    """Reads what the flasher says and does what it asks for: switches the module off and on."""

    def __init__(self, stream, module):
        super().__init__(daemon=True)
        self.stream, self.module, self.words = stream, module, []
        self.start()

    def run(self):
        for line in self.stream:
            self.words.append(line)
            if line.startswith("Waiting for the module"):
                pause(0.5, "a person takes a moment")
                self.module.tell("power-cycle")


def attended(module, *args, timeout=300):
    """Runs the binary while a Person looks after the module; CompletedProcess with text."""
    process = subprocess.Popen([BINARY, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               stdin=subprocess.DEVNULL, text=True)
    person = Person(process.stderr, module)
    try:
        output = process.stdout.read()
        status = process.wait(timeout)
    finally:
        process.kill()
        process.stdout.close()
    person.join(5)
    process.stderr.close()
    return subprocess.CompletedProcess(args, status, output, "".join(person.words))


def operations(stats):
    """Erases and programs, those that protection swallowed included."""
    flash = stats["flash"]
    return flash["erases_4k"] + flash["erases_64k"] + flash["erases_chip"] + flash["programs"] + flash["ignored"]


def write_backup(path, flash, chip, flash_id):
    """A backup file with its facts, as the flasher makes them, without the time that takes."""
    rf = 0x1E0000 if chip == "BK7231T" else 0x1D0000
    mac = ":".join(f"{byte:02x}" for byte in flash[rf + 0x24:rf + 0x2A])
    facts = {"chip": chip, "flash_id": flash_id, "mac": mac, "sha256": hashlib.sha256(flash).hexdigest(),
             "time": "2026-11-24T12:00:00+00:00"}
    path = pathlib.Path(path)
    path.write_bytes(flash)
    pathlib.Path(f"{path}.json").write_text(json.dumps(facts))


def flash(module, command, *args, **options):
    return run("flash", command, *args, "--port", module.port, "--progress", "none", "--timeout", 15,
               timeout=90, **options)


def answer(module, command, *args):
    result = flash(module, command, *args, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def put(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


def refusal(result, sim, word):
    """Exit 4, one line that says why, nothing erased or programmed."""
    words = [line for line in result.stderr.splitlines() if line.startswith("bl2mqtt flash ")]
    assert result.returncode == 4, result.stderr
    assert len(words) == 1 and word in words[0] and words[0].endswith("."), result.stderr
    assert operations(sim.stop()) == 0
