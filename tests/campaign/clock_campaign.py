#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The running service under clocks that are set at random: steps forward and back by seconds to days, sleep,
starts in 1970 before the network has told the time, and kills in between. A short run is part of the
integration tests.

    tests/campaign/clock_campaign.py [--seconds 600] [--seed N] [--binary build/asan/bridge/bl2mqtt]

At the end:

  - the stored totals are what the chips counted, to the count: no phantom energy, none lost;
  - the readings add up to the totals, and no reading is stored twice: there are no more than answers of the
    chip, and no fewer than that less what each kill may cost;
  - no published total was ever lower than one before.
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
from harness import Broker, Process, wait_for, write_config  # noqa: E402

INTERVAL_MS = 200
COMMIT_S = 1
# Answers per kill that are never stored: what waited for its commit, asked for and not yet taken included.
LOST_BY_KILL = COMMIT_S * 1000 // INTERVAL_MS + 6
SET_UP = 10  # answers to a start: the chip is found and set up, the first reading is only a beginning
RATE = 15  # counts a second that the chips can make; 20 are possible


class Campaign:
    def __init__(self, folder, seed):
        self.folder = pathlib.Path(folder)
        self.dice = random.Random(seed)
        self.clock = house.Clock(self.folder)
        self.stored = house.Stored(self.folder)
        self.tally = {}
        self.allowed = 0  # answers that may be missing, per channel
        self.service = self.watch = None
        self.broker = Broker(self.folder)
        self.chips = {name: house.meter(self.folder / f"usb-{name}", seed=seed % 1000 + i)
                      for i, name in enumerate("ab")}
        self.slept = {name: 0 for name in self.chips}  # counts of the time asleep
        self.config = write_config(self.folder, self.broker.url, [house.house(self.folder, f"{INTERVAL_MS}ms")],
                                   # What a clock months ahead lets be deleted is not what this is about.
                                   history={"clock_wait": "10m", "commit_interval": f"{COMMIT_S}s",
                                            "keep": {"raw": "forever"}})

    def close(self):
        if self.service is not None:
            self.service.kill()
        if self.watch is not None:
            self.watch.close()
        for chip in self.chips.values():
            chip.close()
        self.broker.stop()

    def start(self):
        self.allowed += SET_UP
        self.service = Process([harness.BINARY, "--config", self.config, "run"], env=self.clock.environment)

    def offset(self):
        size = self.dice.choice([5, 600, 7200, 86400, 30 * 86400])
        return self.dice.randint(-size, size)

    # ---- what is done to it ----

    def step(self):
        self.clock(self.offset())

    def right(self):
        self.clock(0)

    def sleep(self):
        seconds = self.dice.choice([30, 600, 7200])
        for name, chip in self.chips.items():
            self.slept[name] += house.count_on(chip, self.dice.randint(0, seconds * RATE), self.slept[name])
        self.clock.suspend(seconds)

    def kill(self):
        self.service.signal(signal.SIGKILL)
        self.service.stop(signal.SIGKILL)
        self.allowed += LOST_BY_KILL
        self.start()

    def stop(self):
        status = self.service.stop()
        assert status == 0, f"exit {status}\n{self.service.output}"
        self.allowed += 3  # asked for and not taken
        self.start()

    def late_clock(self):
        """A stop, and a start in 1970 or at a wrong time, which the network corrects after a while. This machine starts
        in no time, so what the chips counted in hours asleep must be in before: no clock could explain it after."""
        so_far = {name: house.counted(chip) + self.slept[name] for name, chip in self.chips.items()}
        wait_for(lambda: all(sum(total) >= so_far[name] for name, total in self.stored.totals().items()), 15,
                 "the counts so far to be stored", every=0.1)
        status = self.service.stop()
        assert status == 0, f"exit {status}\n{self.service.output}"
        self.allowed += 3
        self.clock(self.dice.choice([-int(time.time()) + 100, self.offset()]))
        self.clock.up_for(self.dice.randint(5, 60))
        self.clock.synchronised(False)
        self.start()
        waited = self.dice.uniform(0.2, 3)
        time.sleep(waited)
        if self.dice.random() < 0.3:  # lost: what waited for its stamp
            self.allowed += LOST_BY_KILL + int(waited * 1000 / INTERVAL_MS)
            self.kill()
            time.sleep(1)
        self.clock(self.offset() if self.dice.random() < 0.3 else 0)
        self.clock.synchronised(True)
        # Without this the next start would be another boot with the same boot id. (To the service that runs it
        # looks as if the machine had been asleep.)
        self.clock.up_for(time.clock_gettime(time.CLOCK_BOOTTIME) + 86400)

    def run(self, seconds):
        self.watch = self.broker.subscribe("bl2mqtt/#", "homeassistant/#")
        self.start()
        self.watch.wait("bl2mqtt/house", lambda s: s["energy_a"] is not None and s["energy_b"] is not None, 15)
        wait_for(lambda: self.stored.query("SELECT sum(known) FROM total") == [(2,)], 10, "the first totals")
        for name, chip in self.chips.items():
            house.load(chip, {"a": 12000, "b": -9000}[name])
        actions = {self.step: 5, self.right: 2, self.sleep: 2, self.kill: 1, self.stop: 1, self.late_clock: 2}
        deck = list(actions)
        self.dice.shuffle(deck)
        end = time.monotonic() + seconds
        while time.monotonic() < end or deck:
            action = deck.pop() if deck else self.dice.choices(list(actions), list(actions.values()))[0]
            self.tally[action.__name__] = self.tally.get(action.__name__, 0) + 1
            action()
            time.sleep(self.dice.uniform(0.1, 1))
            assert self.service.running(), self.service.output[-3000:]
        self.finish()

    def finish(self):
        self.clock(0)
        house.settle(self.chips, self.folder, lambda name, counts: counts + self.slept[name], timeout=20)
        status = self.service.stop()
        assert status == 0, f"exit {status}\n{self.service.output[-3000:]}"
        self.stored.assert_consistent()
        most_kwh = max(sum(total) for total in self.stored.totals().values()) * house.KWH_PER_COUNT + 0.001
        judged = house.judge_states(self.watch.messages, house.announced_keys(self.watch.messages), most_kwh=most_kwh)
        print("figure: " + ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in sorted(self.tally.items())))
        for name, chip in self.chips.items():
            answers, rows = chip.truth()["answers"], len(self.stored.rows(name))
            print(f"figure: channel {name}: {answers} answers, {rows} readings stored, {self.allowed} may be missing; "
                  f"counted {house.counted(chip) + self.slept[name]}, stored {sum(self.stored.totals()[name])}")
            assert rows <= answers, "readings were stored twice"
            assert rows >= answers - self.allowed, "readings are missing"
        print(f"figure: {judged} states judged, {self.events()}")

    def events(self):
        return dict(self.stored.query("SELECT kind, count(*) FROM event WHERE kind IN ('clock_stepped', 'suspended', "
                                      "'clock_awaited', 'clock_set', 'clock_unsynchronised') GROUP BY kind"))


def main():
    parser = campaign_main.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    options = parser.parse_args()
    with campaign_main.campaign(Campaign, options, "bl2mqtt-clocks-") as campaign:
        campaign.run(options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
