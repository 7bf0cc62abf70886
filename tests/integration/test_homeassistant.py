# SPDX-License-Identifier: MIT
"""What Home Assistant is told, as it would see it: the retained topics of a real broker, after each change."""

import json

import pytest

import discovery_rules
from harness import run, wait_for
from test_requests import GARAGE, HOUSE, Bridge


def entities(broker, device, bridge="test"):
    """key -> component of what the broker keeps for a device now, in either mode."""
    watch = broker.subscribe("homeassistant/#", "bl2mqtt/bridge/state")
    try:
        wait_for(lambda: watch.payloads("bl2mqtt/bridge/state"), what="what the broker keeps")
        found = {}
        for message in watch.messages:
            parts, payload = message["topic"].split("/"), message["payload"]
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
        "exclude": ["power_factor", "ac_frequency"], "name": None, "entities": None}}})
    assert not answer["restart_required"] and "devices.garage.homeassistant.exclude" in answer["changed"]
    wait_for(lambda: not {"power_factor", "ac_frequency"} & set(entities(broker, "garage")), 20, "what is gone")
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
