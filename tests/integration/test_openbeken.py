# SPDX-License-Identifier: MIT
"""OpenBeken modules through a real broker: readings, totals, availability, what a hostile client does."""

import sqlite3
import time

import pytest

from harness import wait_for, write_config
from module_messages import Module


def workshop(**more):
    return {"id": "workshop", "driver": "openbeken", "topic": "utilities/sensor9", "report_interval": "100ms",
            "channels": {"a": {}, "b": {}}, **more}


@pytest.fixture
def module(broker):
    instance = Module(broker.port, "utilities/sensor9")
    yield instance
    instance.die()


def start(spawn, folder, broker, *devices, **sections):
    config = write_config(folder, broker.url, list(devices) or [workshop()], **sections)
    return spawn("--config", config, "run")


def query(folder, sql):
    with sqlite3.connect(f"file:{folder}/data/history.db?mode=ro", uri=True) as db:
        return db.execute(sql).fetchall()


def test_both_channels_and_the_total(folder, broker, spawn, module):
    watch = broker.subscribe("bl2mqtt/#", "cmnd/#")
    start(spawn, folder, broker)
    asked = time.monotonic()
    watch.wait("cmnd/utilities/sensor9/Status", lambda payload: str(payload) == "8", timeout=8)
    assert time.monotonic() - asked < 7
    module.status8(1500.5, 230, 6.570001, "49.950050", 12346.846)
    state = watch.wait("bl2mqtt/workshop", lambda s: s.get("power_a") is not None)
    assert (state["voltage_a"], state["current_a"], state["power_a"]) == (230.0, 6.57, 1500.5)
    assert state["power_b"] is None

    module.values(voltage="229.9", current="6.600", power="1510.00", frequency="49.97", energy="12346.900")
    module.values("_b", voltage="230.3", current="2.000", power="-430.00", frequency="50.00", energy="5.650")
    state = watch.wait("bl2mqtt/workshop", lambda s: s.get("power_b") is not None and s["power_a"] == 1510)
    assert (state["power_b"], state["ac_frequency_a"], state["ac_frequency_b"]) == (-430.0, 49.97, 50.0)
    assert state["power"] == 1080.0
    watch.wait("bl2mqtt/workshop/availability", lambda s: s["state"] == "online")

    for a, b in ((12349, 8), (12352, 11), (12355, 14), (12358, 17)):
        module.values(energy=f"{a}.000")
        module.values("_b", energy=f"{b}.000")
        time.sleep(1.3)  # two numbers within a second would be two seconds to the bridge

    def totals():
        rows = query(folder, "SELECT c.channel, t.imported, t.exported FROM channel c "
                             "JOIN total t ON t.channel = c.number")
        return {name: (imported, exported) for name, imported, exported in rows}
    # from the second of three numbers that agree to the last but one
    wait_for(lambda: totals().get("a") == (12355000 - 12346900, 0), 5, "the total of a")
    wait_for(lambda: totals().get("b") == (0, 14000 - 8000), 5, "the total of b")


def test_offline_and_back(folder, broker, spawn, module):
    module.announce("OBK_Sensor9", "kWh")
    watch = broker.subscribe("bl2mqtt/#")
    start(spawn, folder, broker, workshop(channels={"a": {}}))
    watch.wait("bl2mqtt/workshop/availability", lambda s: s["state"] == "offline")
    watch.wait("bl2mqtt/bridge/state", lambda s: s["state"] == "online")
    time.sleep(0.5)
    module.values(voltage="230.0", energy="5.001")  # kWh, as its retained announcement says
    watch.wait("bl2mqtt/workshop/availability", lambda s: s["state"] == "online")
    wait_for(lambda: query(folder, "SELECT energy FROM reading WHERE energy IS NOT NULL") == [(5001000,)], 5,
             "the counter in milliwatt hours")


def test_hostile_messages_leave_no_trace(folder, broker, spawn, module):
    process = start(spawn, folder, broker)
    watch = broker.subscribe("bl2mqtt/#")
    watch.wait("bl2mqtt/bridge/health")
    process.wait_line("Running")
    time.sleep(0.5)
    bad = ["nan", "inf", "-inf", "1e999", "0x1p4", "0xFF", "1,5", " 1", "1 ", "--1", "1.2.3", "9" * 65536,
           b"230\x00", b"\xff\xfe", "{" * 65000, "[" * 65000, '{"a":' * 10000, "true", "NaN", "1e-999999999"]
    topics = ["voltage/get", "power_b/get", "energycounter/get", "138/get", "connected", "uptime", "voltage"]
    for topic in topics:
        for payload in bad:
            module.raw(f"utilities/sensor9/{topic}", payload)
    for payload in bad:
        module.raw("tele/utilities/sensor9/SENSOR", payload)
        module.raw("stat/utilities/sensor9/STATUS8", payload)
        module.raw("homeassistant/sensor/x_sensor_3/config", payload)
    for topic in ("utilities/sensor9/" + "x" * 60000, "utilities/sensor9/+x/get".replace("+", "%"),
                  "utilities/sensor9//get", "utilities/sensor9/get/get/get", "utilities/sensor9"):
        module.raw(topic, "1")
    module.say("voltage", "230.5", retain=True)
    module.values(power="77.00")
    state = watch.wait("bl2mqtt/workshop", lambda s: s.get("power_a") == 77)
    assert state["voltage_b"] is None and state["energy_a"] is None
    assert state["frame_errors"] > 50
    event = watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "messages_bad")
    assert "utilities/sensor9" in event["message"]
    assert process.running()
    wait_for(lambda: query(folder, "SELECT count(*) FROM reading") != [(0,)], 5, "the one good reading")
    assert query(folder, "SELECT voltage, current, power, energy FROM reading ORDER BY key DESC LIMIT 1") in (
        [(230500, None, 77000, None)], [(None, None, 77000, None)])
    assert process.stop() == 0


def test_retained_readings_are_not_taken_for_new(folder, broker, spawn, module):
    module.say("voltage", "229.0", retain=True)  # flag 7
    module.say("energycounter", "77.0", retain=True)
    process = start(spawn, folder, broker)
    watch = broker.subscribe("bl2mqtt/workshop")
    process.wait_line("Running")
    time.sleep(1.5)
    module.values(power="5.00")
    state = watch.wait("bl2mqtt/workshop", lambda s: s.get("power_a") == 5)
    assert state["voltage_a"] is None
