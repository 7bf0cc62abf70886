# SPDX-License-Identifier: MIT
"""What Home Assistant sees: the retained topics of a real broker, after each change."""

import json

import pytest
import yaml

import discovery_rules
from harness import run, wait_for
from test_requests import GARAGE, HOUSE, Bridge


def entities(broker, device, bridge="test"):
    """key -> component of what the broker keeps for a device now, in either mode."""
    watch = broker.subscribe("homeassistant/#", "bl2mqtt/bridge/state")
    try:
        wait_for(lambda: watch.payloads("bl2mqtt/bridge/state"), what="what the broker keeps")
        found = {}
        for topic, payload in {m["topic"]: m["payload"] for m in watch.messages}.items():  # the last one of each
            parts = topic.split("/")
            if not payload or f"bl2mqtt_{bridge}_{device}" not in parts:
                continue
            body = json.loads(payload)
            if parts[1] == "device":
                assert not found, "announced in both modes"
                found = {k: dict(c, device=body["device"]) for k, c in body["components"].items()}
            else:
                found[parts[3]] = dict(body, platform=parts[1])
        return found
    finally:
        watch.close()


@pytest.mark.parametrize("mode", ["device", "component"])
def test_overrides_hold_live_and_an_excluded_entity_goes(folder, broker, spawn, mode):
    excluded = {**GARAGE, "homeassistant": {"exclude": ["last_seen"], "name": "Box", "entities": [
        {"property": "power", "name": "Pump", "icon": "mdi:heat-pump", "enabled": False, "precision": 0}]}}
    bridge = Bridge(folder, broker, spawn, HOUSE, excluded, homeassistant={"discovery": mode})
    found = wait_for(lambda: entities(broker, "garage"), what="the announcement")
    wait_for(lambda: len(entities(broker, "garage")) > 15, what="all of it")
    found = entities(broker, "garage")
    assert "last_seen" not in found and found["power"]["name"] == "Pump" and found["power"]["icon"] == "mdi:heat-pump"
    assert found["power"]["enabled_by_default"] is False and found["power"]["suggested_display_precision"] == 0
    assert found["power"]["device"]["name"] == "Box"
    bridge.watch.wait("bl2mqtt/garage", lambda s: s["power"] is not None and "last_seen" in s)
    # live: one goes, one comes back, one is as usual again
    answer = bridge.good("device/options", {"id": "garage", "options": {"homeassistant": {
        "exclude": ["power_factor", "reset_energy"], "name": None, "entities": None}}})
    assert not answer["restart_required"] and "devices.garage.homeassistant.exclude" in answer["changed"]
    wait_for(lambda: not {"power_factor", "reset_energy"} & set(entities(broker, "garage")), 20, "what is gone")
    found = wait_for(lambda: (f := entities(broker, "garage")) and "last_seen" in f and f, 20, "what is back")
    assert found["power"]["name"] == "Power" and "icon" not in found["power"] and found["power"]["device"]["name"] == "Garage"
    # Home Assistant only drops what is taken back by name: an empty topic, or the platform alone
    gone = [m for m in bridge.watch.messages if m["topic"].endswith("/power_factor/config") and not m["payload"]] if mode == "component" else \
        [m for m in bridge.watch.messages if m["topic"].endswith("_garage/config")
         and json.loads(m["payload"])["components"].get("power_factor") == {"platform": "sensor"}]
    assert gone
    if mode == "device":
        for message in bridge.watch.messages:
            if message["topic"].startswith("homeassistant/") and message["payload"]:
                assert not discovery_rules.check(message["topic"], message["payload"])
    # wrong ones are refused with their place, and nothing changes
    text = bridge.config.read_text()
    bridge.bad("device/options", {"id": "garage", "options": {"homeassistant": {"exclude": ["powre"]}}}, "Did you mean power?")
    assert bridge.config.read_text() == text
    # not announced at all, and again
    bridge.good("device/options", {"id": "garage", "options": {"homeassistant": False}})
    wait_for(lambda: not entities(broker, "garage"), 20, "nothing of it")
    assert entities(broker, "house") and run("--config", bridge.config, "check").returncode == 0
    bridge.good("device/options", {"id": "garage", "options": {"homeassistant": None}})
    wait_for(lambda: len(entities(broker, "garage")) > 15, 20, "all of it")


class HomeAssistant:
    """As it keeps its registry: an entity is a unique id, first seen under an entity id, and lost when its discovery topic is
    emptied. It watches all the time."""

    def __init__(self, broker):
        self.watch, self.taken = broker.subscribe("homeassistant/#"), 0
        self.registry, self.lost, self.topics = {}, [], {}

    def look(self):
        messages = self.watch.messages
        while self.taken < len(messages):
            self.take(messages[self.taken])
            self.taken += 1
        return self.registry

    def take(self, message):
        parts, payload = message["topic"].split("/"), message["payload"]
        if not payload:
            for unique in self.topics.pop(message["topic"], {}):
                self.lost.append(unique)
                del self.registry[unique]
            return
        body = json.loads(payload)
        components = body["components"].values() if parts[1] == "device" else [body]
        kept = self.topics.setdefault(message["topic"], {})
        for component in components:
            if "unique_id" in component:
                unique = component["unique_id"]
                assert unique not in self.registry or unique in kept, f"{unique} from two topics"
                kept[unique] = True
                entry = self.registry.setdefault(unique, {"entity_id": component["default_entity_id"]})
                entry["state_topic"] = component.get("state_topic", body.get("state_topic"))
                entry["command_topic"] = component.get("command_topic")
                entry["device"] = body["device"]["identifiers"]


@pytest.mark.parametrize("mode", ["device", "component"])
def test_entities_outlive_another_id(folder, broker, spawn, mode):
    there = HomeAssistant(broker)
    bridge = Bridge(folder, broker, spawn, HOUSE, GARAGE, homeassistant={"discovery": mode})
    unique = "bl2mqtt_test_garage_power"
    wait_for(lambda: unique in there.look() and there.registry.get("bl2mqtt_test_garage_report_interval"), 20, "its entities")
    ids = {k: v["entity_id"] for k, v in there.registry.items() if "_garage_" in k}

    def reads(topic):
        mine = [v for k, v in there.look().items() if k in ids]
        return len(mine) == len(ids) and {v["state_topic"] for v in mine} == {topic}

    for old, new in (("garage", "shed"), ("shed", "hut")):
        assert bridge.good("device/rename", {"from": old, "to": new, "id": True}) == {"from": old, "to": new}
        wait_for(lambda new=new: reads(f"bl2mqtt/{new}"), 20, "the new topics")
        bridge.watch.wait(f"bl2mqtt/{old}/availability", lambda a: a == "", 30)
    assert not there.lost and {k: v["entity_id"] for k, v in there.registry.items() if k in ids} == ids
    assert there.registry["bl2mqtt_test_garage_report_interval"]["command_topic"] == "bl2mqtt/hut/set"
    broker.publish("bl2mqtt/hut/set", '{"report_interval": 7 }')
    bridge.watch.wait("bl2mqtt/hut", lambda s: s and s["report_interval"] == 7)
    # Home Assistant had left the old topics before they were emptied
    order = [(m["topic"], m["payload"]) for m in bridge.watch.messages]
    emptied = order.index(("bl2mqtt/garage/availability", ""))
    assert any(t.startswith("homeassistant/") and "bl2mqtt/shed" in p for t, p in order[:emptied])
    # a device that gets the old id is another one, with a bridge in between that was killed
    bridge.process.kill()
    (folder / "data/preferences.json").unlink()  # what was announced remembers it as well
    bridge.watch.clear()
    spawn("--config", bridge.config, "run").wait_line("Connected")
    bridge.watch.wait("bl2mqtt/bridge/info")  # it listens to requests by now
    assert bridge.good("device/add", {**GARAGE, "name": "Second"}) == {"id": "garage"}
    other = "bl2mqtt_test_garage__2_power"
    wait_for(lambda: other in there.look() and there.registry[other]["state_topic"] == "bl2mqtt/garage", 20, "the second one")
    assert there.registry[other]["entity_id"] == "sensor.garage_2_power"
    assert reads("bl2mqtt/hut") and not there.lost
    # each goes by itself, and what is left on the broker is exactly what stands in the registry
    bridge.good("device/remove", {"id": "hut"})
    wait_for(lambda: not set(ids) & set(there.look()) and other in there.registry, 20, "the first one to go")
    assert set(there.lost) == set(ids)
    wait_for(lambda: not entities(broker, "garage") and len(entities(broker, "garage__2")) == len(ids), 20, "one device on the broker")
    # ... and its id is free again
    bridge.good("device/remove", {"id": "garage"})
    wait_for(lambda: other not in there.look(), 20, "the second one to go")
    bridge.good("device/add", GARAGE)
    wait_for(lambda: unique in there.look() and there.registry[unique]["state_topic"] == "bl2mqtt/garage", 20, "the id to be free")


def written(bridge, device):
    return next(d for d in yaml.safe_load(bridge.config.read_text())["devices"] if d["id"] == device)


def test_what_home_assistant_sends_is_carried_out(folder, broker, spawn):
    """Each entity that can be set or pressed, with what Home Assistant would publish for it."""
    bridge = Bridge(folder, broker, spawn, HOUSE, {**GARAGE, "report_interval": "1s"})
    wait_for(lambda: "reset_energy" in entities(broker, "garage"), 20, "the device's entities")
    own, theirs = wait_for(lambda: entities(broker, "bridge"), 20, "the bridge's"), entities(broker, "garage")
    bridge.watch.wait("bl2mqtt/garage", lambda s: (s["energy"] or 0) > 0, 40)

    def send(component, value=None, on=None):
        """A select's or number's template renders its value; a switch and a button have fixed payloads."""
        if "payload_press" in component:
            payload = component["payload_press"]
        elif on is not None:
            payload = component["payload_on" if on else "payload_off"]
        else:
            payload = component["command_template"].replace("{{ value }}", str(value))
        broker.publish(component["command_topic"], payload)

    commands = {k for k, c in {**own, **theirs}.items() if "command_topic" in c}
    settings = {"report_interval", "min_interval", "max_interval", "output", "retain"}
    assert commands == {"restart", "backup", "log_level", "permit_join", "reset_energy"} | settings
    assert [k for k in settings if theirs[k].get("enabled_by_default", True)] == ["report_interval"]
    assert theirs["reset_energy"]["enabled_by_default"] is False and "enabled_by_default" not in own["log_level"]
    for level in own["log_level"]["options"]:
        send(own["log_level"], level)
        bridge.watch.wait("bl2mqtt/bridge/info", lambda i, level=level: i["log_level"] == level)
        wait_for(lambda level=level: f'"log_level": {level}' in bridge.config.read_text().replace(f'"{level}"', level), 20, "the file")
    send(theirs["report_interval"], 3)
    bridge.watch.wait("bl2mqtt/garage", lambda s: s["report_interval"] == 3)
    wait_for(lambda: written(bridge, "garage")["report_interval"] == "3s", 20, "the file")
    for key, value, state in (("min_interval", 0.5, 0.5), ("max_interval", 90, 90), ("output", "both", "both")):
        send(theirs[key], value)
        bridge.watch.wait("bl2mqtt/garage", lambda s, key=key, state=state: s and s[key] == state)
    bridge.watch.wait("bl2mqtt/garage/power")  # each value on a topic of its own
    assert theirs["output"]["options"] == ["json", "both"]
    for on in (True, False):
        send(theirs["retain"], on=on)
        wait_for(lambda on=on: written(bridge, "garage").get("retain") is on, 20, "the file")
        bridge.watch.wait("bl2mqtt/garage", lambda s, on=on: s and s["retain"] is on)
    mine = written(bridge, "garage")
    assert {k: mine[k] for k in settings} == {"report_interval": "3s", "min_interval": "500ms", "max_interval": "90s",
                                              "output": "both", "retain": False}
    bridge.good("device/energy/set", {"id": "garage", "channel": "a", "energy": 5000})
    bridge.watch.wait("bl2mqtt/garage", lambda s: s and (s["energy"] or 0) >= 5000)
    bridge.watch.clear()
    send(theirs["reset_energy"])
    bridge.watch.wait("bl2mqtt/garage", lambda s: s and s["energy"] is not None and s["energy"] < 100)
    send(own["permit_join"], on=True)
    bridge.watch.wait("bl2mqtt/bridge/info", lambda i: i["permit_join"] is True)
    send(own["permit_join"], on=False)
    wait_for(lambda: json.loads(bridge.watch.payloads("bl2mqtt/bridge/info")[-1])["permit_join"] is False, 20, "its end")
    send(own["backup"])
    assert bridge.watch.wait("bl2mqtt/bridge/response/backup", timeout=40)["status"] == "ok"
    send(own["restart"])
    assert bridge.watch.wait("bl2mqtt/bridge/response/restart")["status"] == "ok"


def test_the_bridge_has_the_price_while_there_is_one(folder, broker, spawn):
    bridge = Bridge(folder, broker, spawn, GARAGE)
    own = wait_for(lambda: entities(broker, "bridge"), 20, "the bridge's entities")
    assert not {"price", "feed_in", "co2_g_per_kwh"} & set(own)
    assert own["restart_required"]["platform"] == "binary_sensor" and own["restart_required"]["enabled_by_default"] is False
    bridge.good("options", {"options": {"tariffs": [{"currency": "CHF", "price": 0.3, "feed_in": 0.1}]}})
    own = wait_for(lambda: (e := entities(broker, "bridge")) and "price" in e and e, 20, "the price's entity")
    assert own["price"]["unit_of_measurement"] == own["feed_in"]["unit_of_measurement"] == "CHF/kWh"
    price = bridge.watch.wait(own["price"]["state_topic"], bool)
    assert price["price"] == 0.3 and price["feed_in"] == 0.1
    for message in bridge.watch.messages:
        if message["topic"].startswith("homeassistant/") and message["payload"]:
            assert not discovery_rules.check(message["topic"], message["payload"])
    bridge.good("options", {"options": {"tariffs": None}})
    wait_for(lambda: "price" not in entities(broker, "bridge"), 20, "its end")
