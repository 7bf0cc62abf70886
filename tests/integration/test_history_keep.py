# SPDX-License-Identifier: MIT
"""What the running service deletes when it is old, by clocks that are right, far ahead, and set by nobody."""

import time

import house
from harness import during, wait_for, write_config
from test_history import make_history

DAY_MS = 86400000
STEP_MS = 300000
DEVICES = [{"id": "garden", "driver": "simulator", "interval": "100ms", "channels": {"a": {}}}]


class Bench:
    """A history of twenty days, and a service that is to keep five of them."""

    def __init__(self, folder, broker, spawn):
        self.spawn, self.stored, self.clock = spawn, house.Stored(folder), house.Clock(folder)
        self.now_ms = int(time.time() * 1000)
        self.begin_ms = self.now_ms - 20 * DAY_MS
        (folder / "data").mkdir()
        make_history(self.stored.path, {1: ("house", "a")},
                     [(at, 1, 500, 1, 0) for at in range(self.begin_ms, self.now_ms, STEP_MS)])
        self.config = write_config(folder, broker.url, DEVICES,
                                   history={"commit_interval": "200ms", "keep": {"raw": "5d"}})

    def count(self, table="reading"):
        return self.stored.query(f"SELECT count(*) FROM {table} WHERE key & 32767 = 1")[0][0]

    def oldest_days(self):
        """How old the oldest reading is."""
        return (self.now_ms - self.stored.query("SELECT min(key) >> 15 FROM reading")[0][0]) / DAY_MS

    def run_for_two_hours(self, ahead_s=0, synchronised=True, until=lambda: False):
        """The first deleting is an hour after the start; *until* ends the waiting for it."""
        self.clock(ahead_s)
        self.clock.up_for(10000)
        self.clock.synchronised(synchronised)
        process = self.spawn("--config", self.config, "run", env={"TZ": "UTC", **self.clock.environment})
        process.wait_line("garden a is online", 15)
        # Rows are only deleted once they are in the rows of the next level.
        wait_for(lambda: self.count("rollup_quarter") >= 20 * 96 - 1, 20, "the quarters of the hour")
        self.clock.up_for(10000 + 7200)
        for _ in during(3, every=0.1):
            if until():
                break
        assert process.stop() == 0


def test_clocks(folder, broker, spawn):
    bench = Bench(folder, broker, spawn)
    all_of_them = bench.count()
    bench.run_for_two_hours(ahead_s=400 * 86400)
    assert bench.count() == all_of_them, "a clock that is ahead has deleted"
    assert bench.count("rollup_quarter") >= 20 * 96 - 1

    bench.run_for_two_hours(synchronised=False, until=lambda: bench.oldest_days() < 18.1)
    assert 17.9 < bench.oldest_days() < 18.1, "not two days, by a clock that nobody sets"
    bench.run_for_two_hours(synchronised=True, until=lambda: bench.oldest_days() < 5.1)
    assert 4.9 < bench.oldest_days() < 5.1
    assert abs(bench.count() - 5 * DAY_MS / STEP_MS) <= 2
    assert bench.count("rollup_quarter") >= 20 * 96 - 1, "quarters are kept forever"
