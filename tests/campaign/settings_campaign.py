#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The running service reconfigured all the time, while it measures: real binary, real mosquitto, real SQLite.

    tests/campaign/settings_campaign.py [--changes 200] [--seed N] [--binary build/release/bridge/bl2mqtt]

Devices come, go, change their name, id, intervals, channels, output, calibration and alarms, tariffs and the log level
change, by request, by <device>/set and by SIGHUP after an edit. Two devices are never touched: a meter of two simulated
chips on ptys, and a sum of them. At the end:

  - no reading of the meter is missing: its distances in time, less what the machine withheld, are those of its interval;
  - it was never offline, and its stored totals are what the chips counted;
  - the broker keeps exactly the topics that the devices that are left have, and no entity is announced twice;
  - the memory, after every 20 changes at the configuration it began with, stays as it was.

Prints how late polls were, and the memory. Lateness and memory are only judged with --judge, on a release build: a
sanitizer's are its own.
"""

import json
import pathlib
import random
import re
import signal
import sys
import time

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import campaign_main  # noqa: E402
import harness  # noqa: E402
import house  # noqa: E402
from harness import Broker, Process, Starvation, decode, wait_for, write_config  # noqa: E402

INTERVAL_MS = 250
MOST_LATE_MS = 20
MOST_KB = 1024
ROUND = 20  # changes, after which everything is as it was
BASE = ("d0", "d1", "d2", "d3")  # besides the meter
BRIDGE_TOPICS = {f"bl2mqtt/bridge/{name}" for name in ("state", "info", "devices", "health")}


def simulator(name, **more):
    return {"id": name, "driver": "simulator", "interval": "200ms", "channels": {"a": {}}, **more}


class Campaign:
    def __init__(self, folder, seed):
        self.folder, self.dice = pathlib.Path(folder), random.Random(seed)
        self.stored = house.Stored(self.folder)
        self.broker = Broker(self.folder)
        self.chips = {name: house.meter(self.folder / f"usb-{name}", seed=seed % 1000 + n) for n, name in enumerate("ab")}
        devices = [house.house(self.folder, f"{INTERVAL_MS}ms", report_interval="1s"),
                   {"id": "sum", "driver": "virtual", "channels": {"all": {"sum": ["house/a", "-house/b"], "balance": True}}}]
        self.config = write_config(self.folder, self.broker.url, devices + [simulator(name) for name in BASE],
                                   bridge={"log_level": "warning"})
        self.starved = {name: Starvation() for name in self.chips}
        for name, starved in self.starved.items():
            starved.watch(self.chips[name].pid)
        self.service = self.watch = None
        self.first = {}  # present id: the one that Home Assistant knows
        self.asked = self.changes = 0
        self.tally, self.memory = {}, []

    def close(self):
        if self.service is not None:
            self.service.kill()
        if self.watch is not None:
            self.watch.close()
        for chip in self.chips.values():
            chip.close()
        self.broker.stop()

    # ---- asking ----

    def ask(self, name, body):
        self.asked += 1
        mark = f"t{self.asked}"
        self.broker.publish(f"bl2mqtt/bridge/request/{name}", {**body, "transaction": mark})
        answer = self.watch.wait(f"bl2mqtt/bridge/response/{name}", lambda a: a.get("transaction") == mark, 30)
        assert answer["status"] == "ok", (name, body, answer)
        return answer["data"]

    def options(self, device, **options):
        return self.ask("device/options", {"id": device, "options": options})

    def one(self):
        return self.dice.choice(sorted(self.first))

    # ---- what is done ----

    def add(self):
        name = f"n{self.changes}"
        channels = {c: {} for c in "abc"[:self.dice.randint(1, 3)]}
        self.ask("device/add", simulator(name, channels=channels))
        self.first[name] = name

    def remove(self):
        if len(self.first) < 3:
            return self.add()
        name = self.one()
        self.ask("device/remove", {"id": name})
        del self.first[name]

    def rename(self):
        self.ask("device/rename", {"from": self.one(), "to": f"Name {self.changes}"})

    def rename_id(self):
        name, to = self.one(), f"r{self.changes}"
        self.ask("device/rename", {"from": name, "to": to, "id": True})
        self.first[to] = self.first.pop(name)

    def interval(self):
        self.options(self.one(), interval=f"{self.dice.randint(100, 900)}ms")

    def publishing(self):
        self.options(self.one(), report_interval=self.dice.choice([None, "1s", "10s"]), min_interval="1s",
                     max_interval=f"{self.dice.randint(10, 90)}s", deadband={"power": self.dice.randint(1, 50)})

    def set(self):
        name, value = self.one(), self.dice.randint(1, 3600)
        self.broker.publish(f"bl2mqtt/{name}/set", {"report_interval": value, "retain": self.dice.random() < 0.5})
        wait_for(lambda: self.written(name).get("report_interval") == f"{value}s", 20, "what was set to be written")

    def output(self):
        self.options(self.one(), output=self.dice.choice(["json", "attributes", "both"]), retain=self.dice.random() < 0.5)

    def channels(self):
        self.options(self.one(), channels={"a": {}, self.dice.choice("bcd"): {}})

    def calibration(self):
        self.ask("device/calibration/set", {"id": self.one(), "channel": "a", "voltage": 15883.34 * self.dice.uniform(0.9, 1.1),
                                            "force": True})

    def alarms(self):
        self.options(self.one(), alarms=[{"name": "high", "when": f"power_a > {self.dice.randint(1, 3000)}", "for": "2s"}]
                     if self.dice.random() < 0.3 else None)

    def entities(self):
        self.options(self.one(), homeassistant=self.dice.choice([{"enabled": False}, {"exclude": ["last_seen"]}, None]))

    def disable(self):
        name = self.one()
        self.ask("device/disable", {"id": name})
        self.ask("device/enable", {"id": name})

    def tariffs(self):
        self.ask("options", {"options": {"tariffs": [{"currency": "EUR", "price": self.dice.randint(10, 50) / 100}]
                                         if self.dice.random() < 0.7 else None}})

    def log_level(self):
        self.ask("log_level", {"level": self.dice.choice(["error", "warning"])})

    def edit(self):
        """By hand, and SIGHUP."""
        name, text = f"Edited {self.changes}", self.config.read_text()
        document = json.loads(json.dumps(self.document()))
        target = self.one()
        for device in document["devices"]:
            if device["id"] == target:
                device["name"] = name
        assert text == self.config.read_text()
        self.config.write_text(json.dumps(document, indent=2))
        self.service.signal(signal.SIGHUP)
        self.watch.wait("bl2mqtt/bridge/devices", lambda d: d and name in [x["friendly_name"] for x in d], 30)

    WEIGHTS = {"add": 4, "remove": 3, "rename": 2, "rename_id": 2, "interval": 2, "publishing": 2, "set": 2, "output": 2,
               "channels": 1, "calibration": 2, "alarms": 1, "entities": 2, "disable": 1, "tariffs": 2, "log_level": 1,
               "edit": 1}

    def document(self):
        return yaml.safe_load(self.config.read_text())

    def written(self, device):
        return next((d for d in self.document()["devices"] if d["id"] == device), {})

    # ---- the run ----

    def start(self):
        self.service = Process([harness.BINARY, "--config", self.config, "run"])
        for starved in self.starved.values():
            starved.watch(self.service.pid)
        self.watch = self.broker.subscribe("bl2mqtt/bridge/#", "bl2mqtt/house", "bl2mqtt/house/#", "bl2mqtt/sum/availability")
        self.watch.wait("bl2mqtt/house", lambda s: s["energy_a"] is not None and s["energy_b"] is not None, 20)
        self.watch.wait("bl2mqtt/sum/availability", lambda a: a["state"] == "online", 20)
        self.first = {name: name for name in BASE}
        for n, chip in enumerate(self.chips.values()):
            house.load(chip, 9000 - 3000 * n)

    def as_it_was(self):
        """All devices but the untouched ones go, and those of the beginning come; tariffs as well."""
        for name in sorted(self.first):
            self.ask("device/remove", {"id": name})
        for name in BASE:
            self.ask("device/add", simulator(name))
        self.ask("options", {"options": {"tariffs": None}})
        self.first = {name: name for name in BASE}
        self.quiet()
        self.memory.append(self.resident_kb())

    def resident_kb(self):
        """The minimum of some: what a moment needs is given back."""
        lowest = None
        for _ in harness.during(3, every=0.2):
            text = pathlib.Path(f"/proc/{self.service.pid}/status").read_text()
            now = int(re.search(r"VmRSS:\s+(\d+)", text)[1])
            lowest = now if lowest is None else min(lowest, now)
        return lowest

    def kept(self):
        """What the broker keeps: {topic: payload}."""
        fresh = self.broker.subscribe("#")
        try:
            fresh.catch_up()
            return {m["topic"]: m["payload"] for m in fresh.messages if m["retain"] and m["payload"]}
        finally:
            fresh.close()

    def expected(self):
        topics = set(BRIDGE_TOPICS) | {"homeassistant/device/bl2mqtt_test_bridge/config"}
        document = self.document()
        if document.get("tariffs"):
            topics.add("bl2mqtt/bridge/price")
        for device in document["devices"]:
            name, of = device["id"], device.get("homeassistant")
            json_output = device.get("output", "json") != "attributes"
            topics.add(f"bl2mqtt/{name}/availability")
            if device.get("retain") and json_output:
                topics.add(f"bl2mqtt/{name}")
            if json_output and of is not False and (of or {}).get("enabled", True):
                topics.add(f"homeassistant/device/bl2mqtt_test_{self.first.get(name, name)}/config")
        return topics

    def quiet(self):
        try:
            wait_for(lambda: set(self.kept()) == self.expected(), 60, "the broker to keep what stands for a device, and no more",
                     every=0.5)
        except AssertionError as error:
            kept, expected = set(self.kept()), self.expected()
            raise AssertionError(f"{error}: left over {kept - expected}, missing {expected - kept}") from None

    def run(self, changes):
        self.start()
        self.as_it_was()  # also what is only needed once
        self.memory.clear()
        self.watch.clear()
        self.began_ms = time.time() * 1000
        deck = list(self.WEIGHTS)
        self.dice.shuffle(deck)
        while self.changes < changes:
            self.changes += 1
            choice = deck.pop() if deck else self.dice.choices(list(self.WEIGHTS), list(self.WEIGHTS.values()))[0]
            self.tally[choice] = self.tally.get(choice, 0) + 1
            getattr(self, choice)()
            assert self.service.running(), self.service.output[-3000:]
            if self.changes % ROUND == 0:
                self.quiet()
                self.as_it_was()
        self.quiet()

    def finish(self, judge):
        self.ended_ms = time.time() * 1000
        self.quiet()
        self.once()
        offline = [m for m in self.watch.messages if m["topic"] in ("bl2mqtt/house/availability", "bl2mqtt/sum/availability")
                   and decode(m["payload"]) != {"state": "online"}]
        assert not offline, offline
        self.settle()
        assert self.service.stop() == 0
        late = self.lateness()
        print("figure: " + ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in sorted(self.tally.items())))
        print(f"figure: {len(late)} polls of an untouched meter, late by p50 {house.percentile(late, 50)} ms, "
              f"p99 {house.percentile(late, 99)} ms, at most {max(late)} ms")
        print(f"figure: RSS after every {ROUND} changes: {', '.join(f'{kb / 1024:.2f}' for kb in self.memory)} MB")
        # An interval more is a reading that is missing.
        assert max(late) < INTERVAL_MS * 0.9, "a reading is missing"
        if judge:
            assert max(late) <= MOST_LATE_MS, max(late)
            assert max(self.memory) - min(self.memory) <= MOST_KB, self.memory

    def settle(self):
        """The stored totals are the chips', to the count."""
        for chip in self.chips.values():
            house.load(chip, 0)

        def totals():
            return {name: total for name, total in self.stored.query(
                "SELECT c.channel, t.imported + t.exported FROM channel c JOIN total t ON t.channel = c.number WHERE c.device = 'house'")}

        wait_for(lambda: totals() == {name: house.counted(chip) for name, chip in self.chips.items()}, 20, "the totals of the chips")

    def once(self):
        """No entity is announced under two topics."""
        seen = {}
        for topic, payload in self.kept().items():
            if topic.startswith("homeassistant/"):
                for component in decode(payload)["components"].values():
                    unique = component.get("unique_id")
                    assert unique is None or unique not in seen, (unique, topic, seen[unique])
                    seen[unique] = topic
        print(f"figure: {len(self.kept())} retained topics, {len(seen)} entities, each once")

    def lateness(self):
        """How much later than an interval after the one before each reading came, less what the machine withheld, in ms."""
        return [max(0, distance - INTERVAL_MS) for channel in self.chips for distance in self.distances(channel)]

    def distances(self, channel):
        """In ms; without the time for which the service or the chip waited for a processor."""
        starved = self.starved[channel]
        starved.look()
        number = self.stored.query("SELECT number FROM channel WHERE device = 'house' AND channel = ?", channel)[0][0]
        stamps = [row[0] for row in self.stored.query("SELECT key >> 15 FROM reading WHERE key & 32767 = ? ORDER BY key", number)]
        stamps = [stamp for stamp in stamps if self.began_ms <= stamp <= self.ended_ms]
        assert len(stamps) > (self.ended_ms - self.began_ms) / INTERVAL_MS * 0.9
        return [round(later - earlier - starved.between(earlier, later)) for earlier, later in zip(stamps, stamps[1:])]


def main():
    parser = campaign_main.parser(__doc__)
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--judge", action="store_true", help="lateness and memory, too")
    options = parser.parse_args()
    with campaign_main.campaign(Campaign, options, "bl2mqtt-settings-") as campaign:
        campaign.run(options.changes)
        campaign.finish(options.judge)
    return 0


if __name__ == "__main__":
    sys.exit(main())
