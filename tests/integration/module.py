# SPDX-License-Identifier: MIT
"""A simulated BK7231 on a pty for tests, with its flash, its faults and its counters."""

import hashlib
import json
import pathlib
import signal
import subprocess
import threading
import time

from harness import BINARY, wait_for


class Module:
    """`bl2mqtt simulate module` in the background. flash: initial contents as bytes, or None for what
    the simulator makes up. A T must never have been touched below 0x11000: stop() asserts it."""

    def __init__(self, folder, chip="BK7231N", speed=20, seed=1, flash=None, args=(), **faults):
        self.folder = pathlib.Path(folder)
        self.chip = chip
        self.port = self.folder / f"{chip}-{seed}"
        self.flash_path = self.folder / f"{chip}-{seed}.flash"
        self.stats_path = self.folder / f"{chip}-{seed}.stats"
        self.flash_path.unlink(missing_ok=True)
        if flash is not None:
            self.flash_path.write_bytes(flash)
        command = [BINARY, "simulate", "module", "--chip", chip, "--link", self.port, "--speed", speed,
                   "--seed", seed, "--flash", self.flash_path, "--stats", self.stats_path,
                   "--control", "-", *args]
        for name, value in faults.items():
            command += ["--fault", f"{name.replace('_', '-')}={value}"]
        self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.process.stdout.readline()

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def flash(self):
        """The flash's contents now."""
        path = self.folder / "dump"
        path.unlink(missing_ok=True)
        self.tell(f"dump {path}")
        wait_for(lambda: path.exists() and path.stat().st_size >= 0x200000, what="the simulator's dump")
        return path.read_bytes()

    def stop(self):
        """Ends it; returns its counters."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()
        stats = json.loads(self.stats_path.read_text())
        if self.chip == "BK7231T":
            assert stats["flash"]["bootloader_erases"] == 0, "a T's bootloader was erased"
            assert stats["flash"]["bootloader_programs"] == 0, "a T's bootloader was written"
        return stats

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()



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
                time.sleep(0.5)
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
    """Erases and programs, protected ones included."""
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
