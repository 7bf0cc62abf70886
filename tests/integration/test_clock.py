# SPDX-License-Identifier: MIT
"""Wall clocks that jump, begin in 1970, are set late or never, and a machine that sleeps: energy goes by what
the chips counted. Last, a short run of tests/campaign/clock_campaign.py."""

import json
import os
import pathlib
import signal
import sys
import time

import pytest

import house
from harness import pause, run, wait_for, write_config

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "campaign"))

from clock_campaign import Campaign  # noqa: E402

DAY_S = 86400
INTERVAL_S = 0.25
COMMIT_S = 0.3


@pytest.fixture
def clock(folder):
    return house.Clock(folder)


def begin(folder, broker, spawn, env, **history):
    history.setdefault("commit_interval", f"{COMMIT_S * 1000:.0f}ms")
    config = write_config(folder, broker.url, [house.house(folder)], history=history)
    watch = broker.subscribe("bl2mqtt/#", "homeassistant/#")
    process = spawn("--config", config, "run", env=env)
    watch.wait("bl2mqtt/house", lambda s: s["energy_a"] is not None and s["energy_b"] is not None, 15)
    return config, watch, process


def rows(stored):
    return stored.query("SELECT count(*) FROM reading")[0][0]


def wait_rows(stored, more):
    wanted = rows(stored) + more
    wait_for(lambda: rows(stored) >= wanted, 15, f"{more} more readings", every=0.1)


def finish(folder, watch, process, chips, stored, expected=None):
    house.settle(chips, folder, expected)
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
        since = int((time.time() + offset) * 1000)
        clock(offset)
        # Rows of this time: those that were on their way when the clock jumped are none.
        wait_for(lambda since=since: stored.query("SELECT count(*) FROM reading WHERE key >> 15 BETWEEN ? AND ?", since,
                                                  since + 60000)[0][0] >= 6, 15, "6 readings after the jump", every=0.1)
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


def events(stored):
    return [kind for kind, in stored.query("SELECT kind FROM event ORDER BY key")]


def test_readings_wait_for_the_clock(folder, broker, spawn, chips, clock):
    """No battery, no network yet: nothing is stored until the time is known, and then all of it is, as if
    the clock had been right from the beginning; also what it was set to and corrected by meanwhile."""
    stored = house.Stored(folder)
    clock(-int(time.time()) + 100)
    clock.up_for(30)
    clock.synchronised(False)
    began_ms = time.time() * 1000
    config, watch, process = begin(folder, broker, spawn, clock.environment, clock_wait="10m")
    for name, chip in chips.items():
        house.load(chip, {"a": 15000, "b": -9000}[name])
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "clock_awaited", 10)
    pause(3 * COMMIT_S, "nothing may be stored meanwhile")
    clock(-3600)  # somebody's guess
    pause(3 * COMMIT_S, "nor now")
    assert stored.query("SELECT count(*) FROM reading") == [(0,)]
    # Totals do not wait, and a question about the device says why there are no readings of it yet.
    watch.wait("bl2mqtt/house", lambda s: (s["energy_a"] or 0) > 0, 20)
    asked = run("history", "energy", "--database", stored.path, "--device", "house", "--json", env=clock.environment)
    assert asked.returncode == 0 and "wait in memory" in asked.stderr, asked.stderr
    assert {row["energy_kwh"] for row in json.loads(asked.stdout)} == {None}
    clock(0)
    clock.synchronised(True)
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "clock_set", 10)
    wait_rows(stored, 6)
    finish(folder, watch, process, chips, stored)
    now_ms = time.time() * 1000
    for name in "ab":
        stamps = [row[0] for row in stored.rows(name)]
        assert began_ms < stamps[0] < began_ms + 3000 and stamps[-1] < now_ms
        assert max(stored.distances(name)) < 3 * INTERVAL_S * 1000
    assert events(stored)[0] in ("started", "clock_awaited") and "clock_set" in events(stored)
    assert "clock_stepped" not in events(stored)
    for since_ms, in stored.query("SELECT valid_from_ms FROM calibration"):
        assert began_ms < since_ms < now_ms
    # The next start finds the clock set and does not wait.
    before = rows(stored)
    process = spawn("--config", config, "run", env=clock.environment)
    wait_rows(stored, 4)
    assert process.stop() == 0 and rows(stored) > before


def test_nobody_sets_the_clock(folder, broker, spawn, chips, clock):
    """A machine without network: its readings are stamped after a time, with a word on it."""
    stored = house.Stored(folder)
    clock(-int(time.time()) + 100)
    clock.up_for(36)
    clock.synchronised(False)
    config, watch, process = begin(folder, broker, spawn, clock.environment, clock_wait="40s")
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "clock_unsynchronised", 10)
    wait_rows(stored, 4)
    assert process.stop() == 0
    assert "clock_awaited" in events(stored)
    assert max(row[0] for row in stored.rows("a")) < DAY_S * 1000
    assert max(stored.distances("a")) < 3 * INTERVAL_S * 1000
    # Later it is known that nobody will: no waiting.
    clock.up_for(100)
    process = spawn("--config", config, "run", env=clock.environment)
    wait_rows(stored, 4)
    # A stop does not throw away what still waits.
    assert process.stop() == 0
    clock.up_for(5)
    before = rows(stored)
    process = spawn("--config", config, "run", env=clock.environment)
    process.wait_line("not set yet")
    pause(3 * COMMIT_S, "nothing may be stored meanwhile")
    assert rows(stored) == before
    assert process.stop() == 0
    assert rows(stored) > before
    stored.assert_consistent()


def test_the_machine_sleeps(folder, broker, spawn, chips, clock):
    stored = house.Stored(folder)
    config, watch, process = begin(folder, broker, spawn, clock.environment)
    for name, chip in chips.items():
        house.load(chip, {"a": 15000, "b": -9000}[name])
    wait_rows(stored, 6)
    # 39000 counts would be possible in that hour.
    meanwhile = {name: house.count_on(chip, 20000) for name, chip in chips.items()}
    clock.suspend(3600)
    wait_rows(stored, 6)
    finish(folder, watch, process, chips, stored, lambda name, counts: counts + meanwhile[name])
    assert events(stored).count("suspended") == 1 and "clock_stepped" not in events(stored)
    (asleep,) = [d for d in stored.distances("a") if d > 60000]
    assert 3595000 < asleep < 3605000
    now = time.time() + 7200
    gaps = run("--config", config, "history", "gaps", "--from", time.strftime("%FT%T", time.localtime(now - 14400)),
               "--to", time.strftime("%FT%T", time.localtime(now)), "--json", env=clock.environment)
    reasons = [gap["reason"] for gap in json.loads(gaps.stdout)]
    assert reasons.count("suspended") == 2, gaps.stdout  # one of each channel


def test_random_clocks(folder, seed):
    campaign = Campaign(folder, seed)
    try:
        campaign.run(float(os.environ.get("TEST_CAMPAIGN_SECONDS", "8")))
    finally:
        campaign.close()
