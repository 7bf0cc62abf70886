# SPDX-License-Identifier: MIT
"""`bl2mqtt find`: meters of all kinds on the broker, with lines to paste and --adopt."""

import json

import pytest
import yaml

from harness import run, wait_for, write_config

MESSAGES = (
    ("em-attic/sensor/cf_a/state", "1000"), ("em-attic/sensor/cf_b/state", "2000"),
    ("ordinary/sensor/energy/state", "1.275"), ("ordinary2/sensor/energy_b/state", "1.275"),
    ("weather/sensor/temperature/state", "21"),
    ("tele/plug/SENSOR", '{"Time":"x","ENERGY":{"Total":1.5,"Power":52}}'),
    ("tele/dual/SENSOR", '{"Time":"x","ENERGY":{"Total":[1,2],"Power":[52,5]}}'),
    ("tele/thermo/SENSOR", '{"Time":"x","DS18B20":{"Temperature":21}}'),
    ("zigbee2mqtt/Pool House", '{"power_a":1,"power_b":2,"energy_a":1,"energy_b":2,"energy_flow_a":"consuming",'
                               '"timestamp_a":"2026-05-19T08:20:31Z","linkquality":40}'),
    ("zigbee2mqtt/clamp", '{"power":1,"energy":1,"linkquality":40}'),
    ("zigbee2mqtt/lamp", '{"state":"ON","linkquality":40}'),
    ("shellies/shellyem3-A4CF12/emeter/0/power", "1"), ("shellies/shellyem3-A4CF12/emeter/2/power", "1"),
    ("shellies/shellyem-B929CC/emeter/1/power", "1"),
    ("proem50/status/em1:0", '{"id":0,"act_power":598.9}'),
    ("home/pro3em/status/em:0", '{"id":0,"a_act_power":1}'),
)
EXPECTED = {
    "em-attic": ("esphome", "", "ab"), "ordinary": ("mqtt", "esphome", "a"), "ordinary2": ("mqtt", "esphome-dual", "ab"),
    "plug": ("mqtt", "tasmota", "a"), "dual": ("mqtt", "tasmota-dual", "ab"),
    "zigbee2mqtt/Pool House": ("mqtt", "zigbee2mqtt-pj1203a", "ab"),
    "zigbee2mqtt/clamp": ("mqtt", "zigbee2mqtt-ts0601-clamp", "a"),
    "shellies/shellyem3-A4CF12": ("mqtt", "shelly-3em", "abc"), "shellies/shellyem-B929CC": ("mqtt", "shelly-em", "ab"),
    "proem50": ("mqtt", "shelly-pro-em", "ab"), "home/pro3em": ("mqtt", "shelly-pro-3em", "abc"),
}


@pytest.fixture
def meters(broker):
    """All of them, as the broker keeps them."""
    for topic, payload in MESSAGES:
        broker.publish(topic, payload, retain=True)


def find(config, *args):
    result = run("--config", config, "find", "--minutes", 0.05, *args, timeout=60)
    assert result.returncode == 0, result.stderr
    return result


def test_every_kind(folder, broker, meters):
    config = write_config(folder, broker.url, [])
    found = json.loads(find(config, "--json").stdout)["modules"]
    got = {m["topic"]: (m["driver"], m["mapping"], "".join(m["channels"])) for m in found if "mapping" in m}
    assert got == EXPECTED
    lines = "devices:\n" + "".join(m["config"] for m in found if "mapping" in m)
    (folder / "all.yaml").write_text(lines)
    checked = run("--config", folder / "all.yaml", "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert len(yaml.safe_load(lines)["devices"]) == len(EXPECTED)
    text = find(config).stdout
    assert "zigbee2mqtt-pj1203a" in text and "long gone" in text


def test_adopt(folder, broker, meters, spawn):
    config = write_config(folder, broker.url, [])
    subscriber = broker.subscribe("bl2mqtt/#")
    spawn("--config", config, "run")
    subscriber.wait("bl2mqtt/bridge/state", lambda s: s["state"] == "online")
    found = find(config, "--adopt", "tele" if False else "plug")
    assert "plug is the device plug now" in found.stderr
    broker.publish("tele/plug/SENSOR", '{"ENERGY":{"Total":1.5,"Power":52,"Voltage":230}}')
    wait_for(lambda: [s for s in subscriber.payloads("bl2mqtt/plug") if json.loads(s)["power"] == 52]
             or broker.publish("tele/plug/SENSOR", '{"ENERGY":{"Total":1.5,"Power":52,"Voltage":230}}'),
             20, "the adopted meter's power", every=0.5)
    again = json.loads(find(config, "--json").stdout)["modules"]
    assert [m["configured"] for m in again if m["topic"] == "plug"] == [True]
