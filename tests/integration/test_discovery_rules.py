# SPDX-License-Identifier: MIT
"""The checker itself: a payload that Home Assistant's own schemas accepted passes, and each mistake
that they refuse is found."""

import copy
import json
import pathlib

import pytest

from discovery_rules import check, check_state

EXAMPLE = json.loads((pathlib.Path(__file__).parent / "data/ha_device_example.json").read_text())
TOPIC = "homeassistant/device/bl2mqtt_obk_c8478c0a1b2c/config"
STATE = json.loads("""{"voltage":231.4,"ac_frequency":50.01,"power":1312.4,"power_a":1523.6,"power_b":-211.2,
"current_a":6.612,"current_b":0.934,"power_apparent_a":1530.0,"power_apparent_b":216.1,
"power_reactive_a":139.8,"power_reactive_b":45.8,"power_factor_a":100,"power_factor_b":-98,
"energy":4711.203,"energy_a":4711.203,"energy_b":0.0,"energy_produced":812.950,"energy_produced_a":0.0,
"energy_produced_b":812.950,"energy_flow_a":"consuming","energy_flow_b":"producing","report_interval":5,
"rssi":-61,"last_seen":"2026-11-22T08:45:12+00:00","uptime":86412,"frame_errors":3,"data_problem":false}""")
STATES = {"bl2mqtt/house_meter": STATE, "bl2mqtt/bridge/state": {"state": "online"},
          "bl2mqtt/house_meter/availability": {"state": "online"}}


def test_accepted_example():
    assert check(TOPIC, EXAMPLE) == []
    assert check(TOPIC, json.dumps(EXAMPLE)) == []
    assert check(TOPIC, "") == []
    assert check_state(TOPIC, EXAMPLE, STATES) == []


def without(path):
    def change(payload):
        for key in path[:-1]:
            payload = payload[key]
        del payload[path[-1]]
    return change


def setting(*path_and_value):
    *path, value = path_and_value

    def change(payload):
        for key in path[:-1]:
            payload = payload[key]
        payload[path[-1]] = value
    return change


MISTAKES = [
    (without(["o"]), "required key not provided: origin"),
    (without(["dev"]), "required key not provided: device"),
    (without(["cmps"]), "required key not provided: components"),
    (without(["o", "name"]), "required key not provided: name"),
    (setting("o", "foo", 1), "extra keys not allowed: foo"),
    (setting("dev", "foo", 1), "extra keys not allowed: foo"),
    (setting("~", "x"), "extra keys not allowed: ~"),
    (setting("name", "x"), "extra keys not allowed: name"),
    (setting("retain", True), "extra keys not allowed: retain"),
    (setting("exp_aft", 60), "extra keys not allowed: expire_after"),
    (setting("o", "url", "example.org"), "invalid url: support_url"),
    (setting("dev", "cu", "192.168.1.1"), "invalid url: configuration_url"),
    (lambda p: (p["dev"].pop("ids"), p["dev"].pop("cns")), "at least one identifying value"),
    (setting("dev", "cns", [["mac"]]), "length 2"),
    (without(["cmps", "power_a", "p"]), "required key not provided: platform"),
    (setting("cmps", "power_a", "p", "sensors"), "unknown platform"),
    (without(["cmps", "power_a", "uniq_id"]), "required key not provided: unique_id"),
    (setting("cmps", "power_a", "uniq_id", "bl2mqtt_obk_c8478c0a1b2c_power_b"), "has the unique_id of"),
    (setting("qos", 3), "qos must be"),
    (setting("avty_t", "x"), "exclude each other"),
    (without(["avty", 1, "t"]), "required key not provided: topic"),
    (setting("avty", 0, "foo", 1), "extra keys not allowed: foo"),
    (setting("cmps", "power_a", "dev_cla", "watt"), "bad device_class"),
    (setting("cmps", "power_a", "stat_cla", "total_rising"), "bad state_class"),
    (setting("cmps", "power_reactive_a", "unit_of_meas", "VAR"), "is not valid together with device class"),
    (setting("cmps", "energy_a", "unit_of_meas", "kwh"), "is not valid together with device class"),
    (setting("cmps", "energy_a", "stat_cla", "measurement"), "is impossible with device class"),
    (setting("cmps", "energy_a", "lrst_val_tpl", "{{ 1 }}"), "cannot be used with state class"),
    (setting("cmps", "energy_flow_a", "ops", []), "an empty options list"),
    (setting("cmps", "power_a", "ops", ["x"]), "must be used together with device class enum"),
    (setting("cmps", "power_a", "exp_aft", -1), "expire_after must be at least 0"),
    (setting("cmps", "power_a", "sug_dsp_prc", -1), "suggested_display_precision"),
    (setting("cmps", "power_a", "en", "nope"), "invalid boolean value"),
    (setting("cmps", "power_a", "ent_cat", "config"), "the entity category is set to config"),
    (setting("cmps", "power_a", "ent_cat", "other"), "bad entity_category"),
    (setting("cmps", "frame_errors", "ic", "alert"), "prefix:name"),
    (setting("cmps", "power_a", "val_tpl", "{{ value_json['power_a' }}"), "invalid template"),
    (setting("stat_t", ""), "state_topic must not be empty"),
    (setting("stat_t", "a/b+/c"), "entire level"),
    (setting("cmps", "report_interval", "cmd_t", "a/+/c"), "wildcards cannot be used"),
    (setting("cmps", "report_interval", "max", 1), "'max' must be > 'min'"),
    (setting("cmps", "report_interval", "step", 0.0001), "step must be at least"),
    (without(["cmps", "report_interval", "cmd_t"]), "required key not provided: command_topic"),
    (setting("cmps", "power_a", "def_ent_id", "number.x"), "bad default_entity_id"),
    (setting("cmps", "power_a", "unit", "W"), "extra keys not allowed: unit"),
]


@pytest.mark.parametrize("change, words", MISTAKES, ids=[words for _, words in MISTAKES])
def test_mistake_is_found(change, words):
    payload = copy.deepcopy(EXAMPLE)
    change(payload)
    problems = check(TOPIC, payload)
    assert any(words in problem for problem in problems), problems


@pytest.mark.parametrize("topic", ["homeassistant/device/a b/config", "homeassistant/device/config",
                                   "homeassistant/sensor/a/b/c/config", "homeassistant/device/ä/config"])
def test_bad_topic(topic):
    assert check(topic, EXAMPLE)


def test_bad_json():
    assert check(TOPIC, "{") and check(TOPIC, "[]") and check(TOPIC, "nan")
    assert check(TOPIC, '{"components":1}') and check(TOPIC, '{"components":{"a":1}}')


@pytest.mark.parametrize("key, value", [("power_a", "nan"), ("power_a", True), ("energy_flow_a", "sideways"),
                                        ("last_seen", "2026-11-22 08:45"), ("data_problem", None),
                                        ("data_problem", "maybe")])
def test_bad_value(key, value):
    states = copy.deepcopy(STATES)
    states["bl2mqtt/house_meter"][key] = value
    assert check_state(TOPIC, EXAMPLE, states)


def test_missing_value():
    states = copy.deepcopy(STATES)
    del states["bl2mqtt/house_meter"]["power_b"]
    assert check_state(TOPIC, EXAMPLE, states) == ["power_b: bl2mqtt/house_meter lacks power_b"]
    states = copy.deepcopy(STATES)
    states["bl2mqtt/house_meter"]["power_b"] = None
    assert check_state(TOPIC, EXAMPLE, states) == []


UPDATE = {"p": "update", "uniq_id": "x_update", "stat_t": "bl2mqtt/house_meter", "val_tpl": "{{ value_json['update'] | tojson }}",
          "cmd_t": "bl2mqtt/bridge/request/device/update", "payload_install": "{}", "dev_cla": "firmware"}
GOOD = {"installed_version": "1.18.0", "latest_version": "1.18.300", "in_progress": True, "update_percentage": 42}


@pytest.mark.parametrize("change, good", [
    ({}, True), ({"update_percentage": None, "in_progress": False}, True), ({"installed_version": None}, False),
    ({"update_percentage": 101}, False), ({"in_progress": "no"}, False), ({"progress": 1}, False)])
def test_state_of_an_update(change, good):
    payload = copy.deepcopy(EXAMPLE)
    payload["cmps"]["update"] = UPDATE
    assert check(TOPIC, payload) == []
    states = copy.deepcopy(STATES)
    states["bl2mqtt/house_meter"]["update"] = {**GOOD, **change}
    assert (check_state(TOPIC, payload, states) == []) is good


def test_update_that_cannot_be():
    for change in ({"dev_cla": "problem"}, {"payload_install": None}):
        payload = copy.deepcopy(EXAMPLE)
        payload["cmps"]["update"] = {k: v for k, v in {**UPDATE, **change}.items() if v is not None}
        assert check(TOPIC, payload)
