# SPDX-License-Identifier: MIT
"""Wall clocks that jump, and one that begins in 1970: energy goes by what the chips counted."""

import signal
import time

import pytest

import house
from harness import preloaded, wait_for, write_config

DAY_S = 86400
INTERVAL_S = 0.25


@pytest.fixture
def chips(folder):
    started = {name: house.meter(folder / f"usb-{name}") for name in "ab"}
    yield started
    for chip in started.values():
        chip.close()


@pytest.fixture
def clock(folder):
    path = folder / "offset"

    def set_clock(seconds):
        (folder / "offset.new").write_text(str(int(seconds)))
        (folder / "offset.new").rename(path)

    set_clock.environment = preloaded("shift_clock", SHIFT_CLOCK_FILE=path)
    return set_clock


def begin(folder, broker, spawn, env):
    config = write_config(folder, broker.url, [house.house(folder)])
    watch = broker.subscribe("bl2mqtt/#", "homeassistant/#")
    process = spawn("--config", config, "run", env=env)
    watch.wait("bl2mqtt/house", lambda s: s["energy_a"] is not None and s["energy_b"] is not None, 15)
    return config, watch, process


def rows(stored):
    return stored.query("SELECT count(*) FROM reading")[0][0]


def wait_rows(stored, more):
    wanted = rows(stored) + more
    wait_for(lambda: rows(stored) >= wanted, 15, f"{more} more readings", every=0.1)


def finish(folder, watch, process, chips, stored):
    house.settle(chips, folder)
    watch.wait("bl2mqtt/house")
    assert process.stop() == 0
    house.judge_states(watch.messages, house.announced_keys(watch.messages))
    stored.assert_consistent()


def test_the_clock_jumps(folder, broker, spawn, chips, clock):
    stored = house.Stored(folder)
    _, watch, process = begin(folder, broker, spawn, clock.environment)
    began = time.monotonic()
    for name, chip in chips.items():
        house.load(chip, {"a": 15000, "b": -9000}[name])
    for offset in (DAY_S, 0, -DAY_S, -DAY_S - 2, 0):
        clock(offset)
        wait_rows(stored, 10)
    took = time.monotonic() - began
    finish(folder, watch, process, chips, stored)
    # Each reading is there once, also where the clock passed the same time twice.
    polled = (time.monotonic() - began) / INTERVAL_S * 2
    assert took / INTERVAL_S * 2 * 0.9 < rows(stored) < polled + 10
    days = {at // (DAY_S * 1000) for at, *_ in stored.rows("a")}
    assert len(days) >= 3


def test_the_clock_begins_in_1970(folder, broker, spawn, chips, clock):
    stored = house.Stored(folder)
    wrong = -int(time.time()) + 100
    clock(wrong)
    config, watch, process = begin(folder, broker, spawn, clock.environment)
    for name, chip in chips.items():
        house.load(chip, {"a": 15000, "b": -9000}[name])
    wait_rows(stored, 6)
    process.signal(signal.SIGKILL)  # and once more in 1970
    process.stop()
    process = spawn("--config", config, "run", env=clock.environment)
    wait_rows(stored, 6)
    clock(0)  # the network has told the time
    wait_rows(stored, 6)
    process.signal(signal.SIGKILL)
    process.stop()
    clock(wrong)
    process = spawn("--config", config, "run", env=clock.environment)
    wait_rows(stored, 6)
    clock(0)
    wait_rows(stored, 4)
    finish(folder, watch, process, chips, stored)
    assert min(at for at, *_ in stored.rows("a")) < DAY_S * 1000
