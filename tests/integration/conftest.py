# SPDX-License-Identifier: MIT
import pathlib
import random
import signal
import tempfile

import pytest

import beken_module
import house
from harness import BINARY, Broker, Process, Subscriber
from obk_module import ObkModule

# A job that a shell started in the background ignores Ctrl-C, and so would every program that is started here.
signal.signal(signal.SIGINT, signal.default_int_handler)


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
    """module(chip, **faults) starts a simulated BK7231 in its boot ROM; all are stopped at the end."""
    started = []

    def start(chip="BK7231N", **options):
        options.setdefault("args", ("--power-cycle-on-open",))
        options.setdefault("seed", len(started) + 1)
        started.append(beken_module.Module(folder, chip, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture(scope="session", autouse=True)
def bootloaders():
    """Whatever the tests of this session did: nothing may have been erased or programmed below 0x11000 of
    a BK7231T, by any of the simulated modules, those that were killed included."""
    yield
    census = beken_module.CENSUS
    assert census.operations == 0, f"{census.operations} operations on a BK7231T's bootloader: {census.culprits}"
    assert census.counted == census.started, f"{census.started - census.counted} BK7231T were not counted"


@pytest.fixture(autouse=True)
def no_subscriber_stays():
    yield
    for subscriber in list(Subscriber.running):
        subscriber.close()


@pytest.fixture
def broker(folder):
    instance = Broker(folder)
    yield instance
    instance.stop()


@pytest.fixture
def chips(folder):
    """The two chips of house.house(folder), without load."""
    started = {name: house.meter(folder / f"usb-{name}") for name in "ab"}
    yield started
    for chip in started.values():
        chip.close()


@pytest.fixture
def seed(request):
    """A fresh seed per run unless TEST_SEED is set; printed, so that a failure can be repeated."""
    import os
    value = int(os.environ.get("TEST_SEED", random.randrange(1 << 31)))
    print(f"seed {value} (repeat with TEST_SEED={value})")
    return value


@pytest.fixture
def obk():
    """obk(**options): a simulated module that starts fast and whose chips answer 80 times a second."""
    started = []

    def start(**options):
        options = {"speed": 80, "boot_s": 0.3, "restart_s": 0.2, **options}
        started.append(ObkModule(**options))
        return started[-1]

    yield start
    for each in started:
        each.close()
