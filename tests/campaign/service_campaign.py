#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The running service under random faults: real binary, real mosquitto, real SQLite, two simulated chips
whose truth is known. A short run of this is part of the integration tests.

    tests/campaign/service_campaign.py [--seconds 3600] [--seed N] [--binary build/release/bridge/bl2mqtt]

Needs the libraries of tests/integration/preload, from the binary's own build or from build/asan.

While it runs, the lines are disturbed (junk, flips, also such that the checksum still fits, truncation,
silence, late answers), chips restart, adapters are pulled, the broker is stopped, killed and frozen, the
disk stalls, and the service is killed and stopped and started again. At the end:

  - no published total was ever lower than one before, over the whole run;
  - every state message had every announced key, each null or physical;
  - the stored totals are what the chips counted, to the count. Across a chip restart what was counted
    after the last credited reading may be missing, and no more than that;
  - no energy that was never counted;
  - the database is sound, and its readings add up to its totals.
"""

import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import campaign_main  # noqa: E402
import harness  # noqa: E402
import house  # noqa: E402
from harness import Broker, Process, preloaded, wait_for, write_config  # noqa: E402

INTERVAL_MS = 150
STALL_MS = 1500
NOISE = {"junk_before": 0.2, "bit_flip": 0.2, "double_flip": 0.1, "truncate": 0.2, "silence": 0.2, "late": 0.15}
CHIP_RESET = 1 << 4  # READING_CHIP_RESET of drivers/reading.h
# Limits that bridge/meter/energy.h states: a restart is not seen when the counter is soon past where it
# was, nor when the service is killed between noticing it and the next credit.
LOW_COUNTER = 60
# A reading is credited with the one after it; one of them may be damaged, one waits to be committed.
ROWS_LOST = 8


class Restart:
    """A chip restart, and what was true at that moment."""

    def __init__(self, wall_ms, counted):
        self.wall_ms, self.counted = wall_ms, counted


class Campaign:
    def __init__(self, folder, seed):
        self.folder = pathlib.Path(folder)
        self.dice = random.Random(seed)
        self.stored = house.Stored(self.folder)
        self.stall = self.folder / "stall"
        self.tally = {}
        self.floor, self.keys, self.judged = {}, set(), 0
        self.restarts = {"a": [], "b": []}
        self.service = self.watch = None
        self.broker = Broker(self.folder)
        self.chips = {"a": house.meter(self.folder / "usb-a", 0xFFFFFF - 30, seed=seed % 1000 + 1),
                      "b": house.meter(self.folder / "usb-b", 7, seed=seed % 1000 + 2)}
        self.config = write_config(self.folder, self.broker.url,
                                   [house.house(self.folder, f"{INTERVAL_MS}ms")], bridge={"log_level": "info"})

    def close(self):
        if self.service is not None:
            self.service.kill()
        if self.watch is not None:
            self.watch.close()
        for chip in self.chips.values():
            chip.close()
        if self.broker.process is not None:
            self.broker.process.signal(signal.SIGCONT)
        self.broker.stop()

    def count(self, what):
        self.tally[what] = self.tally.get(what, 0) + 1

    # ---- what is done to it ----

    def start(self):
        self.service = Process([harness.BINARY, "--config", self.config, "run"],
                               env=preloaded("slow_fsync", SLOW_FSYNC_MS=STALL_MS, SLOW_FSYNC_FILE=self.stall))

    def any_chip(self):
        return self.dice.choice(list(self.chips.items()))

    def noise(self):
        _, chip = self.any_chip()
        name = self.dice.choice(list(NOISE))
        chip.tell(f"fault {name} {self.dice.uniform(0, NOISE[name]):.3f}")

    def load(self):
        """Channel a consumes, b does both."""
        name, chip = self.any_chip()
        watts = self.dice.choice([0, self.dice.uniform(1, 300), self.dice.uniform(3000, 18000)])
        house.load(chip, round(watts if name == "a" else watts * self.dice.choice([1, -1])))

    def silence(self):
        _, chip = self.any_chip()
        chip.tell("silence on")
        self.wait(self.dice.uniform(0.2, 1.5))
        chip.tell("silence off")

    def unplug(self):
        _, chip = self.any_chip()
        chip.tell("unplug")
        self.wait(self.dice.uniform(0.1, 1.5))
        chip.tell("replug")

    def restart_chip(self):
        name, chip = self.any_chip()
        if chip.truth()["counter"] < LOW_COUNTER:
            return self.load()
        self.count("chip restart")
        before_ms = time.time() * 1000
        chip.tell("reset")
        self.restarts[name].append(Restart(before_ms, house.counted(chip)))

    def restarts_noticed(self):
        """The readings that say so, and the two after them, are stored."""
        for name, restarts in self.restarts.items():
            if restarts and len(self.stored.rows(name)) < (self.noticed(name, restarts[-1]) or 1 << 60) + 3:
                return False
        return True

    def noticed(self, name, restart):
        """Place of the first reading after the restart, which says so."""
        for place, (at, _, _, _, flags) in enumerate(self.stored.rows(name)):
            if at >= restart.wall_ms and flags & CHIP_RESET:
                return place
        return None

    def kill(self):
        self.service.signal(signal.SIGKILL)
        self.service.stop(signal.SIGKILL)
        self.wait(self.dice.uniform(0, 1))
        self.start()

    def stop(self):
        status = self.service.stop()
        assert status == 0, f"exit {status}\n{self.service.output}"
        self.wait(self.dice.uniform(0, 1))
        self.start()

    def reload(self):
        self.service.signal(signal.SIGHUP)

    def broker_away(self):
        self.broker.stop(self.dice.choice([signal.SIGTERM, signal.SIGKILL]))
        self.wait(self.dice.uniform(0, 2))
        self.broker.start()

    def broker_frozen(self):
        self.broker.process.signal(signal.SIGSTOP)
        self.wait(self.dice.uniform(0.2, 3))
        self.broker.process.signal(signal.SIGCONT)

    def disk_stalls(self):
        self.stall.touch()
        self.wait(self.dice.uniform(0.3, 1.5))
        self.stall.unlink()

    # ---- the run ----

    def wait(self, seconds):
        time.sleep(seconds)

    ROUGH = ("kill", "stop", "reload", "restart_chip")  # not right after a chip's restart
    WEIGHTS = {"noise": 6, "load": 4, "silence": 1, "unplug": 1, "restart_chip": 1, "kill": 1.5, "stop": 0.7,
               "reload": 0.4, "broker_away": 0.7, "broker_frozen": 0.7, "disk_stalls": 1}

    def begin(self):
        """The channels are first seen without load, so that all that the chips count is theirs."""
        self.watch = self.broker.subscribe("bl2mqtt/#", "homeassistant/#")
        self.start()
        self.watch.wait("bl2mqtt/house", lambda s: s["energy_a"] is not None and s["energy_b"] is not None, 15)
        wait_for(lambda: house.announced_keys(self.watch.messages), 10, "discovery")
        self.keys = house.announced_keys(self.watch.messages)
        # Where a channel's total begins is safe with the first commit; a kill before that moves it.
        wait_for(lambda: self.stored.query("SELECT sum(known) FROM total") == [(2,)], 10, "the first totals to be stored")
        assert len(self.keys) > 20
        for chip in self.chips.values():
            house.load(chip, 12000)

    def judge(self):
        """What has arrived since the last time; long runs do not keep it."""
        messages = list(self.watch.messages)
        self.judged += house.judge_states(messages, self.keys, self.floor)
        del self.watch.messages[:len(messages)]

    def run(self, seconds):
        self.begin()
        end = time.monotonic() + seconds
        # Each fault once, in random order, and then as the dice want.
        deck = list(self.WEIGHTS)
        self.dice.shuffle(deck)
        while time.monotonic() < end:
            choice = deck.pop() if deck else self.dice.choices(list(self.WEIGHTS), list(self.WEIGHTS.values()))[0]
            if choice in self.ROUGH and not self.restarts_noticed():
                deck.insert(0, choice)
                choice = "noise"
            if choice != "restart_chip":
                self.count(choice.replace("_", " "))
            getattr(self, choice)()
            self.wait(self.dice.uniform(0.05, 0.5))
            if not self.service.running():
                raise AssertionError(f"the service is gone\n{self.service.output[-3000:]}")
            self.judge()
        self.finish()

    def finish(self):
        for chip in self.chips.values():
            for name in NOISE:
                chip.tell(f"fault {name} 0")
        try:
            house_settled(self)
        except AssertionError:
            self.explain()
            raise
        status = self.service.stop()
        assert status == 0, f"exit {status}\n{self.service.output[-3000:]}"
        self.judge()
        self.stored.assert_consistent()
        self.figures()

    def explain(self):
        """What a person needs who is to find out why the totals are not the truth."""
        for name, chip in self.chips.items():
            print(f"channel {name}: {chip.truth()}")
            for restart in self.restarts[name]:
                place = self.noticed(name, restart)
                print(f"channel {name}: restarted at {restart.wall_ms:.0f} ms, {restart.counted} counted until then; "
                      f"noticed by reading {place}")
                for row in self.stored.rows(name)[max(0, (place or 0) - 6):(place or 0) + 4]:
                    print(f"  {row}")
        for row in self.stored.query("SELECT key >> 15, key & 32767, kind, message FROM event ORDER BY key"):
            print(f"event {row}")

    def lost(self, name):
        """Counts that the restarts of a chip cost, each judged by itself."""
        lost = 0
        rows = self.stored.rows(name)
        for restart in self.restarts[name]:
            place = self.noticed(name, restart)
            if place is None:
                return None
            loss = restart.counted - lost - sum(row[2] + row[3] for row in rows[:place + 1])
            since_ms = restart.wall_ms - rows[max(0, place - ROWS_LOST)][0]
            most = 20 * since_ms / 1000 + 3
            assert 0 <= loss <= most, f"channel {name}: {loss} counts lost by a restart, at most {most:.0f} may be"
            lost += loss
        return lost

    def figures(self):
        rows = self.stored.query("SELECT count(*) FROM reading")[0][0]
        totals = self.stored.totals()
        print("figure: " + ", ".join(f"{name} {count}" for name, count in sorted(self.tally.items())))
        print(f"figure: {self.judged} state messages judged, {rows} readings stored")
        for name, chip in self.chips.items():
            truth = chip.truth()
            print(f"figure: channel {name}: counted {house.counted(chip)}, stored {sum(totals[name])}, "
                  f"lost across {len(self.restarts[name])} chip restarts {self.lost(name)}, "
                  f"{truth['faults']} of {truth['answers']} answers damaged")


def house_settled(campaign):
    """Waits until the stored totals are the truth less what the restarts cost."""
    def expected(name, counts):
        return counts - (campaign.lost(name) or 0)
    return house.settle(campaign.chips, campaign.folder, expected, timeout=20)


def main():
    parser = campaign_main.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    options = parser.parse_args()
    with campaign_main.campaign(Campaign, options, "bl2mqtt-campaign-") as campaign:
        campaign.run(options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
