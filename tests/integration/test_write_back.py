# SPDX-License-Identifier: MIT
"""What is set over MQTT stands in bridge.yaml afterwards, and nothing else in the file has changed."""

import difflib
import json
import os
import stat
import threading
import time

import yaml

from harness import pause, wait_for
from test_requests import Bridge

RICH = """\
# The house of the Miller family.   Second line, with trailing blanks:   
bridge:
  id: test            # do not change
  data_dir: {data}
  log_level: info     # debug only for a while

mqtt:
  server: {url}


history: {{commit_interval: 1s, clock_wait: 0s}}   # in one line

web:
  listen: off
  password: !secret web_password   # in secrets.yaml

devices:
  # the first one
  - id: house
    name: House       # for people
    driver: simulator
    interval: 200ms

    channels:
      a: {{}}           # main
      # b: {{}}         not yet
  - id: garage        # the second one
    driver: simulator
    report_interval: 10s   # slow
    interval: 200ms
    channels: {{a: {{}}}}
# the end
"""


class Secrets(yaml.SafeLoader):
    pass


Secrets.add_constructor("!secret", lambda loader, node: f"!secret {node.value}")


def parsed(bridge):
    return yaml.load(bridge.config.read_text(), Secrets)  # noqa: S506, a subclass of the safe loader


def device(bridge, name):
    return next(d for d in parsed(bridge)["devices"] if d["id"] == name)


def rich(folder, broker, spawn):
    (folder / "secrets.yaml").write_text("web_password: none\n")
    text = RICH.format(data=folder / "data", url=broker.url)
    bridge = Bridge(folder, broker, spawn, text=text)
    bridge.config.chmod(0o600)
    bridge.watch.wait("bl2mqtt/garage", lambda s: s["power"] is not None)
    return bridge, text


def changed_lines(before, after):
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0))[2:]
    return [line for line in lines if not line.startswith("@@")]


def test_set_and_log_level_change_one_line_each(folder, broker, spawn):
    bridge, before = rich(folder, broker, spawn)
    broker.publish("bl2mqtt/garage/set", {"report_interval": 7})
    bridge.watch.wait("bl2mqtt/garage", lambda s: s["report_interval"] == 7)
    wait_for(lambda: device(bridge, "garage")["report_interval"] == "7s", what="the file")
    assert bridge.good("log_level", "warning") == {"level": "warning"}
    assert changed_lines(before, bridge.config.read_text()) == [
        "-  log_level: info     # debug only for a while", "+  log_level: warning     # debug only for a while",
        "-    report_interval: 10s   # slow", "+    report_interval: 7s   # slow"]
    broker.publish("bl2mqtt/house/set/report_interval", "9")
    wait_for(lambda: device(bridge, "house").get("report_interval") == "9s", what="a new key")
    assert len(changed_lines(before, bridge.config.read_text())) == 5
    assert stat.S_IMODE(os.stat(bridge.config).st_mode) == 0o600
    # It holds after a kill, from the file alone: nothing overrides what a person writes there later.
    assert wait_for(lambda: "report_interval" not in (folder / "data/preferences.json").read_text(), what="no second place") is not None
    bridge.process.kill()
    bridge.config.write_text(bridge.config.read_text().replace("report_interval: 7s", "report_interval: 8s"))
    bridge.watch.clear()
    spawn("--config", bridge.config, "run")
    bridge.watch.wait("bl2mqtt/garage", lambda s: s["report_interval"] == 8)
    bridge.watch.wait("bl2mqtt/house", lambda s: s["report_interval"] == 9)
    bridge.watch.wait("bl2mqtt/bridge/info", lambda i: i["log_level"] == "warning")


class Writes(threading.Thread):
    """Counts how often a file was replaced."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.seen, self.end = path, [], False
        self.start()

    def run(self):
        while not self.end:
            status = os.stat(self.path)
            mark = status.st_ino, status.st_mtime_ns
            if not self.seen or self.seen[-1] != mark:
                self.seen.append(mark)
            pause(0.002, "before it looks again")

    def stop(self):
        self.end = True
        self.join()
        return len(self.seen) - 1


def test_a_burst_is_written_once_a_second(folder, broker, spawn):
    bridge, before = rich(folder, broker, spawn)
    writes, began = Writes(bridge.config), time.monotonic()
    for n in range(300):
        broker.publish(("bl2mqtt/garage/set", "bl2mqtt/house/set")[n % 2], {"report_interval": 1 + n})
        if n % 30 == 0:
            broker.publish("bl2mqtt/bridge/request/log_level", {"level": ("error", "warning")[n // 30 % 2], "transaction": n})
    wait_for(lambda: device(bridge, "house").get("report_interval") == "300s", 20, "the last value of the one")
    wait_for(lambda: device(bridge, "garage")["report_interval"] == "299s", 20, "the last value of the other")
    for n in range(0, 300, 30):
        answer = bridge.watch.wait("bl2mqtt/bridge/response/log_level", lambda a, n=n: a.get("transaction") == n)
        assert answer["status"] == "ok"
    seconds = time.monotonic() - began
    assert parsed(bridge)["bridge"]["log_level"] == "warning"
    count = writes.stop()
    assert 1 <= count <= seconds + 2, (count, seconds)
    # a value never goes back: what holds is the last one
    bridge.watch.wait("bl2mqtt/house", lambda s: s["report_interval"] == 300)
    assert len(changed_lines(before, bridge.config.read_text())) == 5
    assert bridge.good("health_check") == {"healthy": True}


def test_a_file_that_cannot_be_written_is_said_and_the_value_holds(folder, broker, spawn):
    bridge, _ = rich(folder, broker, spawn)
    bridge.config.rename(folder / "elsewhere.yaml")
    broker.publish("bl2mqtt/garage/set", {"report_interval": 7})
    bridge.watch.wait("bl2mqtt/garage", lambda s: s["report_interval"] == 7)
    bridge.watch.wait("bl2mqtt/bridge/logging", lambda m: "garage/set could not be written" in m["message"])
    bridge.bad("log_level", "debug", "holds until the next start")
    bridge.watch.wait("bl2mqtt/bridge/info", lambda i: i["log_level"] == "debug")
    (folder / "elsewhere.yaml").rename(bridge.config)
    wait_for(lambda: "report_interval" in (folder / "data/preferences.json").read_text(), what="where it is kept instead")
    bridge.process.kill()
    bridge.watch.clear()
    spawn("--config", bridge.config, "run")
    bridge.watch.wait("bl2mqtt/garage", lambda s: s["report_interval"] == 7)


def test_fifty_edits_change_only_their_lines(folder, broker, spawn):
    """By every way there is; what each changes is known, so the whole diff is."""
    bridge, before = rich(folder, broker, spawn)
    assert "!secret web_password" in before
    for n in range(10):
        bridge.good("options", {"options": {"bridge": {"log_level": ("debug", "error")[n % 2]}}})
        bridge.good("device/options", {"id": "house", "options": {"interval": f"{201 + n}ms"}})
        bridge.good("device/rename", {"from": "house", "to": f"Home-{n}"})
        bridge.good("log_level", ("warning", "error")[n % 2])
        bridge.good("options", {"options": {"devices": {"garage": {"report_interval": f"{20 + n}s"}}}})
    assert changed_lines(before, bridge.config.read_text()) == [
        "-  log_level: info     # debug only for a while", "+  log_level: error     # debug only for a while",
        "-    name: House       # for people", '+    name: Home-9       # for people',
        "-    interval: 200ms", "+    interval: 210ms",
        "-    report_interval: 10s   # slow", "+    report_interval: 29s   # slow"]
    # what comes and goes leaves no trace
    bridge.good("device/add", {"id": "attic", "driver": "simulator", "channels": {"a": {}}})
    bridge.good("device/disable", {"id": "garage"})
    bridge.good("device/enable", {"id": "garage"})
    bridge.good("device/remove", {"id": "attic"})
    bridge.good("options", {"options": {"bridge": {"log_level": "info"}, "devices": {"garage": {"report_interval": "10s"},
                                        "house": {"name": "House", "interval": "200ms"}}}})
    assert bridge.config.read_text() == before
    assert json.dumps(parsed(bridge)).count("!secret") == 1
