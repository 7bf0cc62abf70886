# SPDX-License-Identifier: MIT
"""A chip restarts just below its counter's wrap, and the service is killed before it has credited that; and
what it costs the disk to remember when a chip restarts all the time."""

import os
import random
import signal
import sqlite3
import time

import house
from harness import during, pause, wait_for, write_config

BELOW_TOP = (1 << 24) - 20
ROUNDS = int(os.environ.get("TEST_ROUNDS", "2"))
FLUSH_PAUSE_S = 5  # for so long after a restart another one is not put on disk at once


def wait_baseline(stored, counter):
    """The stored baselines of all channels are this counter."""
    wait_for(lambda: {row[0] for row in stored.query("SELECT counter FROM total WHERE known")} == {counter}, 15,
             f"the counters to be {counter} on disk", every=0.1)


def test_a_restart_outlives_a_kill(folder, broker, spawn, seed):
    dice = random.Random(seed)
    stored = house.Stored(folder)
    chips = {name: house.meter(folder / f"usb-{name}", BELOW_TOP, seed + i) for i, name in enumerate("ab")}
    try:
        config = write_config(folder, broker.url, [house.house(folder)])
        process = spawn("--config", config, "run")
        watch = broker.subscribe("bl2mqtt/house")
        watch.wait("bl2mqtt/house", lambda state: state["energy_a"] == 0 and state["energy_b"] == 0, timeout=15)
        for _ in range(ROUNDS):
            for chip in chips.values():
                chip.tell(f"count {BELOW_TOP}")
            wait_baseline(stored, BELOW_TOP)
            waits = [dice.uniform(0, 1), dice.uniform(0, 1)]
            for chip, wait in zip(chips.values(), waits):
                chip.tell("reset")
                house.load(chip, 5000)  # a counter that could as well have wrapped
                pause(wait / 2, "the moment of the kill is the input")
            process.signal(signal.SIGKILL)
            pause(1.5, "the chips count while nobody reads them")
            process = spawn("--config", config, "run")
            pause(1.5, "and while somebody does")
            counted_again = time.monotonic()
            for name, total in stored.totals().items():
                assert sum(total) <= house.counted(chips[name]), (name, waits)
            # Everything before the restart was stored, and the counter shows the rest: not one is missing.
            house.settle(chips, folder)
            # The next round sets the counter to just below its top, which no real one reaches so soon after a restart.
            pause(max(0.0, counted_again + FLUSH_PAUSE_S + 0.5 - time.monotonic()), "so long no other is stored at once")
        assert process.stop() == 0
        stored.assert_consistent()
    finally:
        for chip in chips.values():
            chip.close()


def test_a_chip_that_restarts_all_the_time_does_not_wear_the_disk_out(folder, broker, spawn):
    chip = house.meter(folder / "usb-a", 1000)
    try:
        config = write_config(folder, broker.url, [house.house(folder, channels="a")],
                              history={"commit_interval": "60s"})
        process = spawn("--config", config, "run")
        watch = broker.subscribe("bl2mqtt/house")
        watch.wait("bl2mqtt/house", lambda state: state["energy"] is not None, timeout=15)
        chip.tell("reset")  # the first commit of this minute that holds a state
        db = sqlite3.connect(f"file:{folder}/data/history.db?mode=ro", uri=True)
        versions, resets = set(), 0
        for left in during(6):
            if resets < 6 - int(left):
                chip.tell("reset")
                resets += 1
            versions.add(db.execute("PRAGMA data_version").fetchone())
        db.close()
        assert process.output.count("restarted: its MODE register") >= 3
        assert 2 <= len(versions) <= 4, versions  # as it was; one at once, one after 5 s, and an event's or the like
        assert process.stop() == 0
    finally:
        chip.close()
