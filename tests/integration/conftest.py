# SPDX-License-Identifier: MIT
import pathlib
import random
import tempfile

import pytest

from beken_module import Module
from harness import BINARY, Broker, Process


@pytest.fixture
def folder():
    """A short-named scratch folder (unix paths and tty names have limits)."""
    with tempfile.TemporaryDirectory(prefix="bl2mqtt-test-") as path:
        yield pathlib.Path(path)


@pytest.fixture
def spawn():
    """spawn("run", ...) starts the binary in the background; all are killed at the end."""
    started = []

    def start(*args, env=None, cwd=None, program=BINARY):
        process = Process([program, *args], env=env, cwd=cwd)
        started.append(process)
        return process

    yield start
    for process in reversed(started):
        process.kill()


@pytest.fixture
def module(folder):
    """module(chip, **faults) starts a simulated module; all are stopped and checked at the end."""
    started = []

    def start(chip="BK7231N", **options):
        options.setdefault("args", ("--power-cycle-on-open",))
        options.setdefault("seed", len(started) + 1)
        started.append(Module(folder, chip, **options))
        return started[-1]

    yield start
    try:
        for one in started:
            if one.running():
                one.stop()
    finally:
        for one in started:
            one.close()


@pytest.fixture
def broker(folder):
    instance = Broker(folder)
    yield instance
    instance.stop()


@pytest.fixture
def seed(request):
    """A fresh seed per run unless TEST_SEED is set; printed, so that a failure can be repeated."""
    import os
    value = int(os.environ.get("TEST_SEED", random.randrange(1 << 31)))
    print(f"seed {value} (repeat with TEST_SEED={value})")
    return value
