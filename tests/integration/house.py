# SPDX-License-Identifier: MIT
"""A two-channel meter of simulated chips whose truth is known, and what may never be seen of it:
shared by the tests that break the running service on purpose."""

import json
import sqlite3
import time

from harness import STARVATION, SimulatedMeter, decode, preloaded, wait_for

# Factors of the 80 A example board; the simulated chips are given the same.
VOLTAGE, CURRENT, POWER = 15883.34, 128118.87, 317.931
CALIBRATION = {"voltage": VOLTAGE, "current": CURRENT, "power": POWER}
FACTORS = ("--calibration", f"{VOLTAGE},{CURRENT},{POWER}")
KWH_PER_COUNT = 419430.4 / (3.6e6 * POWER)
CHANNEL_BITS = 15

# What 230 V mains and an 80 A installation can make; the names are those of the state message.
PHYSICAL = {"voltage": (0, 345), "current": (0, 120), "power": (-22081, 22081), "power_apparent": (0, 41400),
            "power_reactive": (0, 41400), "power_factor": (-100, 100), "ac_frequency": (40, 70),
            "energy": (0, 100), "energy_produced": (0, 100)}


def meter(link, first_count=0, seed=1):
    """A fast chip (9600 baud) without load."""
    return SimulatedMeter(link, *FACTORS, "--baud", 9600, "--voltage", 230, "--current", 0, "--power", 0,
                          "--first-count", first_count, "--seed", seed)


def load(chip, watts):
    """A constant load; 13.7 kW make ten counts a second."""
    chip.tell(f"load 230 {abs(watts) / 230 * 1.01:.3f} {watts}")


def house(folder, interval="250ms", channels="ab", **more):
    device = {"id": "house", "name": "House meter", "driver": "bl0942", "interval": interval,
              "report_interval": "250ms",
              "channels": {name: {"port": f"{folder}/usb-{name}", "baud": 9600, "calibration": CALIBRATION}
                           for name in channels}}
    device.update(more)
    return device


def counted(chip):
    truth = chip.truth()
    return truth["counts_imported"] + truth["counts_exported"]


def count_on(chip, more, before=0):
    """The chip's counter jumps, as if it had counted some while nobody looked; before: what it jumped already.
    Returns by how much it really did, as it goes on counting while it is told to."""
    chip.tell(f"count {(chip.truth()['counter'] + more) % (1 << 24)}")
    truth = chip.truth()
    return (truth["counter"] - truth["counts_imported"] - truth["counts_exported"] - before) % (1 << 24)


class Clock:
    """The clocks of the machine as the service sees them."""

    def __init__(self, folder):
        self.files = {name: folder / name for name in ("offset", "boot", "unsynchronised")}
        self.environment = preloaded("shift_clock", SHIFT_CLOCK_FILE=self.files["offset"],
                                     SHIFT_CLOCK_BOOT_FILE=self.files["boot"],
                                     SHIFT_CLOCK_UNSYNC_FILE=self.files["unsynchronised"])

    def _write(self, name, seconds):
        new = self.files[name].with_suffix(".new")
        new.write_text(str(int(seconds)))
        new.rename(self.files[name])

    def __call__(self, seconds):
        """The wall clock is wrong by so much."""
        self._write("offset", seconds)

    def up_for(self, seconds):
        """The machine was started so long ago."""
        self._write("boot", seconds - time.clock_gettime(time.CLOCK_BOOTTIME))

    def suspend(self, seconds):
        """So much time has passed without the machine."""
        for name in ("boot", "offset"):
            before = int(self.files[name].read_text()) if self.files[name].exists() else 0
            self._write(name, before + seconds)

    def synchronised(self, yes):
        if yes:
            self.files["unsynchronised"].unlink(missing_ok=True)
        else:
            self.files["unsynchronised"].touch()


class Stored:
    """The history as another program sees it."""

    def __init__(self, folder):
        self.path = folder / "data/history.db"

    def query(self, sql, *values):
        db = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=5)
        try:
            return db.execute(sql, values).fetchall()
        finally:
            db.close()

    def number(self, channel):
        return self.query("SELECT number FROM channel WHERE channel = ?", channel)[0][0]

    def totals(self):
        """{channel: (imported, exported)}, in counts."""
        return {name: (imported, exported) for name, imported, exported in self.query(
            "SELECT c.channel, t.imported, t.exported FROM channel c JOIN total t ON t.channel = c.number")}

    def rows(self, channel):
        """[(stamp in ms, counter, imported, exported, flags)] in the order of their stamps."""
        return self.query("SELECT key >> 15, energy, imported, exported, flags FROM reading "
                          "WHERE key & 32767 = ? ORDER BY key", self.number(channel))

    def newest_ms(self):
        return self.query("SELECT coalesce(max(key) >> 15, 0) FROM reading")[0][0]

    def distances(self, channel, since_ms=0):
        """Of the readings, in ms; without the time for which this machine let the processes wait for a processor."""
        STARVATION.look()
        stamps = [row[0] for row in self.rows(channel) if row[0] >= since_ms]
        return [max(0, round(later - earlier - STARVATION.between(earlier, later)))
                for earlier, later in zip(stamps, stamps[1:])]

    def assert_consistent(self):
        """The file is sound, and what the readings credited is what the totals say."""
        assert self.query("PRAGMA integrity_check") == [("ok",)]
        credited = dict((number, (imported, exported)) for number, imported, exported in self.query(
            "SELECT key & 32767, sum(imported), sum(exported) FROM reading GROUP BY key & 32767"))
        for number, imported, exported in self.query("SELECT channel, imported, exported FROM total"):
            assert credited.get(number, (0, 0)) == (imported, exported), number


def settle(chips, folder, expected=None, timeout=10.0):
    """Takes the load away and waits until the stored totals are the chips' truth, to the count.
    expected: counts per channel as a function of the chips' own; default: all that they counted."""
    stored = Stored(folder)
    for chip in chips.values():
        load(chip, 0)

    def truth():
        return {name: (expected or (lambda _, counts: counts))(name, counted(chip)) for name, chip in chips.items()}

    def arrived():
        wanted = truth()
        return wanted if wanted == {name: sum(total) for name, total in stored.totals().items()} else None

    try:
        return wait_for(arrived, timeout, "the stored totals to be the truth", every=0.1)
    except AssertionError as error:
        raise AssertionError(f"{error}: stored {stored.totals()}, true {truth()}") from None


def percentile(values, percent):
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


def forbid_constant(word):
    raise AssertionError(f"{word} in a state message")


def announced_keys(messages):
    """The keys of the state message that the discovery messages name, over the whole run."""
    keys = set()
    for message in messages:
        if not message["topic"].startswith("homeassistant/") or not message["payload"]:
            continue
        config = decode(message["payload"])
        if not isinstance(config, dict) or config.get("state_topic") != "bl2mqtt/house":
            continue
        for component in config["components"].values():
            template = component.get("value_template", "")
            if template:
                keys.add(template.split("value_json")[1].split("'")[1])
    return keys


def judge_states(messages, keys, floor=None, most_kwh=None):
    """Every state message in order of arrival: complete, physical, and no total ever lower than
    before. floor carries the maximum totals on from one call to the next. most_kwh: what a channel can have
    counted in all, where that is known. Returns how many."""
    floor = {} if floor is None else floor
    physical = dict(PHYSICAL)
    if most_kwh is not None:
        physical["energy"] = physical["energy_produced"] = (0, most_kwh)
    states = [m for m in messages if m["topic"] == "bl2mqtt/house"]
    for message in states:
        state = json.loads(message["payload"], parse_constant=forbid_constant)
        missing = keys - set(state)
        assert not missing, f"{missing} missing in {state}"
        for key, value in state.items():
            name = key[:-2] if key[-2:] in ("_a", "_b") else key
            if name in physical and value is not None:
                low, high = physical[name]
                scale = 1 if key != name else 2  # a sum over two channels
                assert low * scale <= value <= high * scale, f"{key} is {value}: {state}"
            if name in ("energy", "energy_produced") and value is not None:
                assert value >= floor.get(key, 0), f"{key} fell from {floor[key]} to {value}"
                floor[key] = value
    return len(states)
