# SPDX-License-Identifier: MIT
"""Every request of the table, with what it answers and what it refuses, against the running service."""

import json
import os
import signal
import sqlite3
import subprocess
import time

import jsonschema
import pytest

from harness import ROOT, SimulatedMeter, run, wait_for, write_config

HOUSE = {"id": "house", "name": "House", "driver": "simulator", "channels": {"a": {}, "b": {}}, "interval": "200ms"}
GARAGE = {"id": "garage", "name": "Garage", "driver": "simulator", "channels": {"a": {}}, "interval": "200ms"}


class Bridge:
    """A service under test that is asked over MQTT."""

    def __init__(self, folder, broker, spawn, *devices, text=None, **sections):
        self.folder, self.broker = folder, broker
        self.config = write_config(folder, broker.url, list(devices), **sections)
        if text is not None:
            self.config.write_text(text)
        self.process = spawn("--config", self.config, "run")
        self.watch = broker.subscribe("bl2mqtt/#", "homeassistant/#")
        self.watch.wait("bl2mqtt/bridge/state", lambda s: s["state"] == "online")
        self.process.wait_line("Connected")
        self.asked = 0

    def ask(self, name, body=None, timeout=20):
        """The answer to a request; body: an object, or a text that is sent as it is."""
        self.asked += 1
        if isinstance(body, str):
            before = len(self.watch.payloads(f"bl2mqtt/bridge/response/{name}"))
            self.broker.publish(f"bl2mqtt/bridge/request/{name}", body)
            payloads = wait_for(lambda: self.watch.payloads(f"bl2mqtt/bridge/response/{name}")[before:], timeout, name)
            answer = json.loads(payloads[0])
        else:
            body = {**(body or {}), "transaction": f"t{self.asked}"}
            self.broker.publish(f"bl2mqtt/bridge/request/{name}", body)
            answer = self.watch.wait(f"bl2mqtt/bridge/response/{name}",
                                     lambda a: a.get("transaction") == body["transaction"], timeout)
        jsonschema.validate(answer, json.loads((ROOT / "schema/mqtt/response.json").read_text()))
        return answer

    def good(self, name, body=None, timeout=20):
        answer = self.ask(name, body, timeout)
        assert answer["status"] == "ok", answer
        return answer["data"]

    def bad(self, name, body, words):
        answer = self.ask(name, body)
        assert answer["status"] == "error" and words in answer["error"], (name, body, answer)

    def devices(self, condition):
        return self.watch.wait("bl2mqtt/bridge/devices", condition)


@pytest.fixture
def bridge(folder, broker, spawn):
    return Bridge(folder, broker, spawn, HOUSE, GARAGE)


REFUSED = [  # request, payload, words of the sentence
    ("nonsense", {}, 'no request "nonsense"'),
    ("device/nonsense", "not JSON", "no request"),
    ("health_check", '{"transaction":', "not valid JSON"),
    ("health_check", '{"transaction": []}', "transaction"),
    ("restart", "{", "not valid JSON"),
    ("restart", '{"a":1,"a":2}', "not valid JSON"),
    ("log_level", "", '"level"'),
    ("log_level", "loud", "error|warning|info|debug"),
    ("log_level", {"level": 7}, "error|warning|info|debug"),
    ("log_level", {"levle": "debug"}, '"level" may be meant'),
    ("options", {}, '"options"'),
    ("options", {"options": 5}, "object"),
    ("options", {"options": {"bridge": {"log_level": "loud"}}}, "log_level"),
    ("options", {"options": {"bridge": {"colour": "red"}}}, "colour"),
    ("options", {"options": {"devices": {"attic": {"name": "x"}}}}, "attic"),
    ("ports", "{", "not valid JSON"),
    ("ports", '{"transaction": {}}', "transaction"),
    ("scan", {}, '"port"'),
    ("scan", {"port": "/dev/none"}, "/dev/none"),
    ("scan", {"port": "/dev/null", "baud": 1}, "4800"),
    ("permit_join", {"time": -1}, "0 to 3600"),
    ("permit_join", {"time": "long"}, "0 to 3600"),
    ("permit_join", "perhaps", "true, false"),
    ("mqtt/test", {"mqtt": 5}, "object"),
    ("mqtt/test", "{", "not valid JSON"),
    ("restore/check", {}, "only taken over HTTP"),
    ("restore/check", "{", "not valid JSON"),
    ("restore", {}, "only taken over HTTP"),
    ("restore", {"history": "yes"}, "true or false"),
    ("restore/state", {}, "only taken over HTTP"),
    ("restore/state", "{", "not valid JSON"),
    ("flash/profiles", '{"transaction": 1.5}', "transaction"),
    ("flash/profiles", "{", "not valid JSON"),
    ("flash/start", {"port": "/dev/null"}, '"job"'),
    ("flash/start", "{", "not valid JSON"),
    ("flash/cancel", {}, "only taken over HTTP"),
    ("flash/cancel", "{", "not valid JSON"),
    ("backup", {"include_config": "yes"}, "true or false"),
    ("backup", "{", "not valid JSON"),
    ("device/add", {}, "channels"),
    ("device/add", {"id": "house", "driver": "simulator", "channels": {"a": {}}}, "already"),
    ("device/add", {"id": "x", "driver": "steam", "channels": {"a": {}}}, "driver"),
    ("device/add", {"id": "x", "driver": "simulator", "channels": {}}, "channels"),
    ("device/add", {"id": "x", "driver": "simulator", "channels": {"a": {}}, "colour": "red"}, "colour"),
    ("device/add", {"id": "Not an id", "driver": "simulator", "channels": {"a": {}}}, "id"),
    ("device/add", {"id": "bridge", "driver": "simulator", "channels": {"a": {}}}, "already"),
    ("device/adopt", {}, "topic"),
    ("device/adopt", {"topic": "a/#"}, "topic"),
    ("device/remove", {}, '"id"'),
    ("device/remove", {"id": "attic"}, 'no device "attic"'),
    ("device/rename", {"from": "house"}, '"to"'),
    ("device/rename", {"from": "attic", "to": "x"}, 'no device "attic"'),
    ("device/rename", {"from": "house", "to": "Garage"}, "Garage"),
    ("device/rename", {"from": "house", "to": "a\nb"}, "name"),
    ("device/enable", {}, '"id"'),
    ("device/enable", {"id": "attic"}, 'no device "attic"'),
    ("device/disable", {"id": ""}, '"id"'),
    ("device/disable", {"id": "attic"}, 'no device "attic"'),
    ("device/options", {"id": "house"}, '"options"'),
    ("device/options", {"id": "attic", "options": {}}, 'no device "attic"'),
    ("device/options", {"id": "house", "options": {"interval": "soon"}}, "interval"),
    ("device/options", {"id": "house", "options": {"id": "other"}}, "device/rename"),
    ("device/calibrate", {"id": "house"}, '"channel"'),
    ("device/calibrate", {"id": "house", "channel": "c", "voltage": 230}, '"c"'),
    ("device/calibrate", {"id": "attic", "channel": "a", "voltage": 230}, 'no device "attic"'),
    ("device/calibrate", {"id": "house", "channel": "a"}, "voltage"),
    ("device/calibration/set", {"id": "house", "channel": "a"}, "factors"),
    ("device/calibration/set", {"id": "house", "channel": "c", "voltage": 15000}, '"c"'),
    ("device/calibration/set", {"id": "house", "channel": "a", "voltage": 0}, "from 1 to"),
    ("device/calibration/set", {"id": "house", "channel": "a", "voltage": 17000}, "contradict"),
    ("device/energy/set", {"id": "house", "channel": "a"}, "energy"),
    ("device/energy/set", {"id": "house", "channel": "a", "energy": -1}, "from 0 to"),
    ("device/energy/set", {"id": "attic", "channel": "a", "energy": 1}, 'no device "attic"'),
    ("device/raw", {}, '"id"'),
    ("device/raw", {"id": "attic"}, 'no device "attic"'),
    ("device/update", {}, '"id"'),
    ("device/update", {"id": "house"}, "openbeken.images"),
    ("history/energy", {}, '"device"'),
    ("history/energy", {"device": "attic"}, "attic"),
    ("history/energy", {"device": "house", "from": "whenever"}, "whenever"),
    ("history/energy", {"device": "house", "from": "2026-01-02", "to": "2026-01-01"}, "before"),
    ("history/power", {"device": "attic", "channel": "a"}, "attic"),
    ("history/power", {"device": "house", "channel": "c"}, "c"),
    ("history/cost", {"device": "house", "bucket": "hour"}, "day|month|year"),
    ("history/cost", {"device": "attic"}, "tariffs"),
    ("history/gaps", {"device": "attic"}, "attic"),
    ("history/gaps", {"min": "x"}, "min"),
    ("history/events", {"device": "attic"}, "attic"),
    ("history/events", {"to": "never"}, "never"),
    ("history/voltage", {"device": "attic"}, "attic"),
    ("history/voltage", {"device": "house", "bucket": "month"}, "day|week"),
    ("history/recalibrate", {"id": "house", "channel": "a"}, "since"),
    ("history/recalibrate", {"device": "attic", "channel": "a", "since": "2026-01-01", "power": 300}, "attic"),
    ("homeassistant/refresh", "{", "not valid JSON"),
    ("homeassistant/refresh", '{"transaction": 1.5}', "transaction"),
    ("openbeken/provision", {}, '"host"'),
    ("openbeken/provision", {"host": 5}, "host"),
    ("homeassistant/backfill", {"dry_run": 5}, "dry_run"),
    ("homeassistant/backfill", {}, "not configured"),
    ("homeassistant/purge", "{", "not valid JSON"),
    ("homeassistant/purge", '{"transaction": 1.5}', "transaction"),
    ("openbeken/clear_announcements", {}, '"topic"'),
    ("openbeken/clear_announcements", {"topic": 5}, '"topic"'),
]


def test_what_is_refused(bridge):
    before = bridge.config.read_text()
    info = bridge.watch.wait("bl2mqtt/bridge/info")
    names = [name for name, _, _ in REFUSED]
    seldom = [name for name in info["request_schema"] if names.count(name) < 2]
    assert not seldom, "requests of the table that this test leaves out, or that fail in one way only"
    for name, body, words in REFUSED:
        bridge.bad(name, body, words)
    assert bridge.config.read_text() == before
    assert bridge.good("health_check") == {"healthy": True} and bridge.process.running()


ZIGBEE2MQTT = [  # request, payload as its clients send it, data of the answer (None: any), in this order
    ("health_check", "", {"healthy": True}),
    ("health_check", "{}", {"healthy": True}),
    ("health_check", '{"extra": [1, {}], "more": null}', {"healthy": True}),
    ("health_check", "now", {"healthy": True}),
    ("log_level", "debug", {"level": "debug"}),
    ("log_level", '"info"', {"level": "info"}),
    ("log_level", " WARNING\n", {"level": "warning"}),
    ("log_level", '{"level": "debug", "namespaces": {}}', {"level": "debug"}),
    ("log_level", '{"value": "info"}', {"level": "info"}),
    ("permit_join", "false", {}),
    ("permit_join", "0", {}),
    ("permit_join", '{"value": false}', {}),
    ("permit_join", '{"time": 0, "device": null}', {}),
    ("permit_join", '{"value": false, "time": 254, "device": "0x00158d"}', {}),
    ("options", '{"options": {}}', {"changed": [], "restart_required": False}),
    ("device/rename", '{"from": "House", "to": "Home", "homeassistant_rename": true}', {"from": "House", "to": "Home"}),
    ("device/rename", '{"from": "house", "to": "House", "last": false}', {"from": "house", "to": "House"}),
    ("device/options", '{"id": "garage", "options": {}, "qos": 1}', None),
    ("device/disable", "garage", {"id": "garage"}),
    ("device/enable", '"garage"', {"id": "garage"}),
    ("backup", "", None),
    ("backup", "please", None),
    ("device/remove", "garage", {"id": "garage"}),
    ("device/remove", '{"id": "house", "block": true, "force": true, "extra": 0}', {"id": "house"}),
    ("restart", "", {}),
]


def test_a_device_is_named_by_either_key(bridge):
    """The options of the commands say device, the requests for a device say id."""
    bridge.watch.wait("bl2mqtt/house", lambda state: state["power"] is not None, 20)
    for name, rest in (("history/recalibrate", {"channel": "a", "since": "2026-01-01", "power": 300, "dry_run": True}),
                       ("history/energy", {}), ("device/energy/set", {"channel": "a", "energy": 5}), ("device/disable", {}),
                       ("device/enable", {})):
        answers = [bridge.ask(name, {key: "house", **rest}) for key in ("device", "id")]
        assert all(answer["status"] == "ok" for answer in answers), (name, answers)


def test_what_zigbee2mqtt_sends_is_accepted(bridge):
    for name, payload, data in ZIGBEE2MQTT:
        answer = bridge.ask(name, payload)
        assert answer["status"] == "ok" and data in (None, answer["data"]), (name, payload, answer)
    assert any('no key "more"' in line or 'no key "extra"' in line for line in bridge.process.lines)


@pytest.mark.parametrize("payload", [{"time": 254, "device": "Coordinator"}, {"value": True}, {"value": 100}])
def test_a_search_as_zigbee2mqtt_begins_and_ends_it(bridge, payload):
    """It is answered when it ends, which another request asks for."""
    bridge.broker.publish("bl2mqtt/bridge/request/permit_join", {**payload, "transaction": "begin"})
    wait_for(lambda: "running already" in bridge.ask("permit_join", payload).get("error", ""), what="the search")
    assert bridge.good("permit_join", {"time": 0}) == {}
    answer = bridge.watch.wait("bl2mqtt/bridge/response/permit_join", lambda a: a.get("transaction") == "begin")
    assert answer["status"] == "ok" and answer["data"]["modules"] == [], answer


def test_answers_are_as_quick_after_a_search_as_before(bridge):
    """A search has a connection of its own: it must leave the locks of the bridge's own one alone. What is sent would
    wait for the MQTT library's turn of a second then, each time."""
    bridge.good("permit_join", {"time": 1})
    bridge.good("health_check")
    took = []
    for _ in range(12):  # one after the other: one of them is quick on any machine
        since = time.monotonic()
        bridge.good("health_check")
        took.append(time.monotonic() - since)
    assert min(took) < 0.7, took


def test_settings_are_live_and_written_back(bridge):
    bridge.config.write_text("# mine\n" + bridge.config.read_text())
    assert bridge.good("options", {"options": {"bridge": {"log_level": "warning"}}}) == {
        "changed": ["bridge.log_level"], "restart_required": False}
    bridge.watch.wait("bl2mqtt/bridge/info", lambda i: i["log_level"] == "warning" and not i["restart_required"])
    text = bridge.config.read_text()
    assert text.startswith("# mine\n") and '"log_level": "warning"' in text
    assert bridge.good("options", {"options": {"mqtt": {"keepalive": "30s"}}})["restart_required"]
    bridge.watch.wait("bl2mqtt/bridge/info", lambda i: i["restart_required"] and i["config"]["mqtt"]["keepalive"] == "30s")
    assert bridge.good("device/options", {"id": "house", "options": {"interval": "500ms"}}) == {
        "changed": ["devices.house.interval"], "restart_required": False}
    assert bridge.good("device/options", {"id": "house", "options": {"interval": "500ms"}})["changed"] == []
    assert bridge.process.running() and bridge.good("health_check")


def test_a_device_comes_changes_and_goes(bridge):
    added = {"id": "attic", "name": "Attic", "driver": "simulator", "channels": {"a": {}}, "interval": "200ms"}
    assert bridge.good("device/add", added) == {"id": "attic"}
    bridge.devices(lambda d: [x["friendly_name"] for x in d] == ["House", "Garage", "Attic"])
    bridge.watch.wait("bl2mqtt/attic", lambda s: s and s["power"] is not None)
    bridge.watch.wait("bl2mqtt/attic/availability", lambda a: a["state"] == "online")
    bridge.watch.wait("homeassistant/device/bl2mqtt_test_attic/config", lambda c: c["device"]["name"] == "Attic")
    assert "3 devices" in run("--config", bridge.config, "check").stdout
    # its name
    assert bridge.good("device/rename", {"from": "Attic", "to": "Loft"}) == {"from": "Attic", "to": "Loft"}
    bridge.devices(lambda d: [x["friendly_name"] for x in d] == ["House", "Garage", "Loft"])
    bridge.watch.wait("homeassistant/device/bl2mqtt_test_attic/config", lambda c: c and c["device"]["name"] == "Loft")
    # disabled and enabled
    assert bridge.good("device/disable", {"id": "attic"}) == {"id": "attic"}
    bridge.devices(lambda d: d[-1]["disabled"])
    bridge.watch.wait("bl2mqtt/attic/availability", lambda a: a["state"] == "offline")
    wait_for(lambda: json.loads(bridge.watch.payloads("bl2mqtt/attic")[-1])["power"] is None, what="no values")
    bridge.watch.clear()
    assert bridge.good("device/enable", {"id": "attic"}) == {"id": "attic"}
    bridge.watch.wait("bl2mqtt/attic/availability", lambda a: a["state"] == "online")
    bridge.watch.wait("bl2mqtt/attic", lambda s: s["power"] is not None)
    assert "disabled" not in bridge.config.read_text()
    # a kill forgets nothing
    bridge.process.kill()
    assert "3 devices" in run("--config", bridge.config, "check").stdout


def test_a_removed_device_leaves_nothing_on_the_broker(folder, broker, bridge):
    bridge.watch.wait("homeassistant/device/bl2mqtt_test_garage/config")
    bridge.watch.wait("bl2mqtt/garage", lambda s: s["power"] is not None)
    bridge.good("device/energy/set", {"id": "garage", "channel": "a", "energy": 777})
    energy = bridge.watch.wait("bl2mqtt/garage", lambda s: (s["energy"] or 0) >= 777)["energy"]
    assert bridge.good("device/remove", {"id": "garage"}) == {"id": "garage"}
    bridge.devices(lambda d: [x["id"] for x in d] == ["house"])
    # Home Assistant lets go of it before its topics are emptied.
    gone = bridge.watch.wait("homeassistant/device/bl2mqtt_test_garage/config", lambda c: c == "") == ""
    bridge.watch.wait("bl2mqtt/garage/availability", lambda a: a == "", timeout=20)
    order = [m["topic"] for m in bridge.watch.messages if m["payload"] == ""]
    assert gone and order.index("homeassistant/device/bl2mqtt_test_garage/config") < order.index("bl2mqtt/garage/availability")
    late = broker.subscribe("#")
    wait_for(lambda: late.payloads("bl2mqtt/house/availability"), what="what the broker keeps")
    assert not [m["topic"] for m in late.messages if "garage" in m["topic"]]
    # It may come back, with its total.
    bridge.watch.clear()
    assert bridge.good("device/add", GARAGE) == {"id": "garage"}
    state = bridge.watch.wait("bl2mqtt/garage", lambda s: s and s["power"] is not None and s["energy"] is not None)
    assert state["energy"] >= energy


def test_an_id_changes_and_the_history_follows(folder, bridge):
    bridge.watch.wait("bl2mqtt/garage", lambda s: s["power"] is not None)
    bridge.good("device/energy/set", {"id": "garage", "channel": "a", "energy": 777})
    bridge.watch.wait("bl2mqtt/garage", lambda s: (s["energy"] or 0) >= 777)
    wait_for(lambda: len(polls(folder, "garage")) > 5, what="its history")
    before = polls(folder, "garage")
    bridge.bad("device/rename", {"from": "garage", "to": "house", "id": True}, "house")
    bridge.bad("device/rename", {"from": "garage", "to": "Not an id", "id": True}, "id")
    assert bridge.good("device/rename", {"from": "Garage", "to": "shed", "id": True}) == {"from": "garage", "to": "shed"}
    bridge.devices(lambda d: [(x["id"], x["friendly_name"]) for x in d] == [("house", "House"), ("shed", "Garage")])
    state = bridge.watch.wait("bl2mqtt/shed", lambda s: s and s["power"] is not None and s["energy"] is not None)
    assert state["energy"] >= 777
    wait_for(lambda: polls(folder, "shed")[:len(before)] == before, what="the history under its new id")
    bridge.watch.wait("homeassistant/device/bl2mqtt_test_garage/config", lambda c: c and c["state_topic"] == "bl2mqtt/shed")
    bridge.watch.wait("bl2mqtt/garage/availability", lambda a: a == "", timeout=20)
    answer = run("--config", bridge.config, "history", "energy", "--device", "shed", "--json")
    assert answer.returncode == 0 and bridge.process.stop() == 0
    assert "garage" not in bridge.config.read_text()


def polls(folder, device):
    with sqlite3.connect(f"file:{folder}/data/history.db?mode=ro", uri=True) as db:
        return [t for (t,) in db.execute(
            "SELECT r.key >> 15 FROM reading r JOIN channel c ON c.number = r.key & 32767 "
            "WHERE c.device = ? AND c.channel = 'a' ORDER BY r.key", (device,))]


def test_history_over_mqtt_is_the_commands(folder, bridge):
    assert not bridge.good("options", {"options": {"tariffs": [{"currency": "EUR", "price": 0.3}]}})["restart_required"]
    wait_for(lambda: len(polls(folder, "house")) > 5, what="readings in the history")
    span = {"from": "2026-01-01", "to": "2027-06-01"}
    for name in "energy", "power", "cost", "gaps", "events", "voltage":
        body = {"device": "house", "channel": "a", **({"from": "today", "to": "now"} if name == "power" else span)}
        command = run("--config", bridge.config, "history", name, "--device", "house", "--channel", "a",
                      "--from", body["from"], "--to", body["to"], "--json")
        data = bridge.good(f"history/{name}", body)
        if name == "cost":
            data, command = data["rows"], json.loads(command.stdout)["rows"]
        else:
            command = json.loads(command.stdout)
        assert isinstance(data, list), name
        if name in ("gaps", "events"):
            assert [d.get("kind") for d in data][:3] == [d.get("kind") for d in command][:3]
        else:
            assert data and [set(d) for d in data][:1] == [set(d) for d in command][:1]
    # more than 256 KiB is an error that names another way
    bridge.bad("history/energy", {"device": "house", "from": "2024-01-01", "to": "2026-01-01", "bucket": "hour"}, "/api/v1/history/energy")


def test_ports_and_scan(folder, broker, spawn):
    meter = SimulatedMeter(folder / "usb", addresses=(0, 1))
    try:
        bridge = Bridge(folder, broker, spawn, GARAGE)
        assert "ports" in bridge.good("ports")
        found = bridge.good("scan", {"port": meter.link}, timeout=60)
        assert [c["address"] for c in found["chips"]] == [0, 1]
        assert json.loads(run("scan", "--port", meter.link, "--json", timeout=60).stdout)["chips"][0].keys() == found["chips"][0].keys()
    finally:
        meter.close()


def test_calibration_measures_answers_and_applies(bridge):
    bridge.watch.wait("bl2mqtt/garage", lambda s: s["power"] is not None)
    body = {"id": "garage", "channel": "a", "voltage": 230, "seconds": 3}
    data = bridge.good("device/calibrate", body, timeout=40)
    assert set(data["old"]) == {"voltage", "current", "power"} and not data["stored"]
    steps = [e for p in bridge.watch.payloads("bl2mqtt/bridge/event") if (e := json.loads(p))["type"].startswith("calibrat")]
    assert [e["type"] for e in steps[:1] + steps[-1:]] == ["calibrating", "calibration_measured"] and len(steps) >= 3
    progress = [e["data"]["elapsed"] for e in steps[:-1]]
    assert progress == sorted(progress) and progress[0] == 0 and progress[-1] <= 3 == steps[0]["data"]["seconds"]
    assert {(e["device"], e["channel"]) for e in steps} == {("garage", "a")}
    bridge.bad("device/calibrate", {"id": "garage", "channel": "a", "power": 0.1, "seconds": 3}, ".")
    bridge.watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "calibration_failed" and e["message"])
    data = bridge.good("device/calibrate", {**body, "apply": True}, timeout=40)
    assert data["stored"] and abs(data["new"]["voltage"] / data["old"]["voltage"] - 1) < 0.2
    bridge.watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "calibrated" and e["device"] == "garage")


def test_the_rest(folder, bridge):
    bridge.watch.wait("bl2mqtt/garage", lambda s: s["power"] is not None)
    assert bridge.good("device/energy/set", {"id": "garage", "channel": "a", "energy": 1234.5}) == {"id": "garage", "channel": "a"}
    bridge.watch.wait("bl2mqtt/garage", lambda s: s["energy"] is not None and s["energy"] >= 1234.5)
    assert bridge.good("device/calibration/set", {"id": "garage", "channel": "a", "voltage": 17000, "force": True})["voltage"] == 17000
    backup = bridge.good("backup")
    assert os.path.getsize(backup["path"]) == backup["bytes"] > 0
    with_config = bridge.good("backup", {"include_config": True})
    assert "garage" in open(with_config["config"], encoding="utf-8").read()
    assert bridge.good("openbeken/clear_announcements", {"topic": "plug"})["cleared"] == 0
    assert bridge.good("permit_join", {"time": 1})["modules"] == []
    bridge.watch.wait("homeassistant/device/bl2mqtt_test_garage/config")
    bridge.watch.clear()
    assert bridge.good("homeassistant/refresh") == {}
    bridge.watch.wait("homeassistant/device/bl2mqtt_test_garage/config")
    assert bridge.good("homeassistant/purge") == {"removed": 0}
    assert bridge.good("restart") == {}
    bridge.process.wait_line("Loading the configuration again on request")


def test_get_and_set_of_one_key(broker, bridge):
    bridge.watch.wait("bl2mqtt/garage", lambda s: s["power"] is not None)
    broker.publish("bl2mqtt/garage/set/report_interval", "600")
    bridge.watch.wait("bl2mqtt/garage", lambda s: s["report_interval"] == 600)
    count = len(bridge.watch.payloads("bl2mqtt/garage"))
    broker.publish("bl2mqtt/garage/get", '{"state": ""}')
    wait_for(lambda: len(bridge.watch.payloads("bl2mqtt/garage")) > count, 5, "the state")


def test_channels_come_and_go(bridge):
    """Live, and more of them than the service began with."""
    for count, channels in enumerate(("ab", "b", "abc", "a", "cdef", "abcdef")):
        config = json.loads(bridge.config.read_text())
        config["devices"][1]["channels"] = {name: {} for name in channels}
        bridge.config.write_text(json.dumps(config))
        bridge.process.signal(signal.SIGHUP)
        state = bridge.watch.wait("bl2mqtt/garage", lambda s: isinstance(s, dict) and all(s.get(f"energy_{c}") is not None for c in channels)
                                  and not any(f"energy_{c}" in s for c in set("abcdef") - set(channels)))
        assert state["energy"] is not None and bridge.good("health_check") == {"healthy": True}, (count, state)


def test_a_commit_is_published_though_the_report_interval_is_long(folder, broker, spawn):
    bridge = Bridge(folder, broker, spawn, {**GARAGE, "report_interval": "1h"})
    bridge.watch.wait("bl2mqtt/garage", lambda s: s["power"] is not None and s["energy"] is not None)
    states = wait_for(lambda: len({json.loads(p)["energy"] for p in bridge.watch.payloads("bl2mqtt/garage")}) > 3, 30, "totals")
    assert states


def test_a_stop_while_the_service_begins_anew_is_not_lost(bridge):
    for _ in range(3):
        bridge.broker.publish("bl2mqtt/bridge/request/restart", "")
    subprocess.run(["kill", "-TERM", str(bridge.process.pid)], check=True)
    start = time.monotonic()
    wait_for(lambda: not bridge.process.running(), 15, "the stop")
    assert time.monotonic() - start < 15
