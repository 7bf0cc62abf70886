# SPDX-License-Identifier: MIT
"""A simulator under the control of a test, without anything of the bridge or the flasher in between, and
the host's side of its pty."""

import contextlib
import json
import os
import signal
import subprocess
import termios

from harness import BINARY


class Simulator:
    """`bl2mqtt simulate KIND --json --control -`; what it printed at first is in start."""

    KIND = ""

    def __init__(self, *args):
        command = [BINARY, "simulate", self.KIND, "--json", "--control", "-", *map(str, args)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, bufsize=1)
        self.start = self.answer()

    def send(self, *commands):
        self.process.stdin.write("".join(command + "\n" for command in commands))
        self.process.stdin.flush()

    def answer(self):
        return json.loads(self.process.stdout.readline())

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(10)

    def close(self):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(OSError):
                pipe.close()


@contextlib.contextmanager
def starter(kind):
    """start(*args) for a class of simulators; all that were started are closed at the end."""
    started = []

    def start(*args):
        started.append(kind(*args))
        return started[-1]

    try:
        yield start
    finally:
        for one in started:
            one.close()


def open_tty(path):
    return os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)


def make_raw(fd, speed):
    """speed: termios.B..."""
    settings = termios.tcgetattr(fd)
    settings[0] = settings[1] = settings[3] = 0
    settings[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
    settings[4] = settings[5] = speed
    termios.tcsetattr(fd, termios.TCSANOW, settings)
