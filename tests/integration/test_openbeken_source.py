# SPDX-License-Identifier: MIT
"""OpenBeken modules through a real broker: readings, totals, availability, what a hostile client does."""

import sqlite3

import pytest

from harness import decode, pause, run, wait_for, write_config
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


def counters(broker):
    """{channel: counter} as the bridge had them last, in milliwatt hours."""
    watch = broker.subscribe("bl2mqtt/bridge/response/device/raw")
    broker.publish("bl2mqtt/bridge/request/device/raw", "workshop")
    answer = watch.wait("bl2mqtt/bridge/response/device/raw", lambda a: a["status"] == "ok")
    watch.close()
    registers = {name: channel["registers"] for name, channel in answer["data"]["channels"].items()}
    return {name: row["value"] for name, rows in registers.items() for row in rows if row["name"] == "energy"}


def test_both_channels_and_the_total(folder, broker, spawn, module):
    watch = broker.subscribe("bl2mqtt/#", "cmnd/#", "utilities/sensor9/0/get")
    start(spawn, folder, broker)
    for probe in (1, 2):  # twice, and only then it is asked
        wait_for(lambda: watch.payloads("utilities/sensor9/0/get").count("") == probe, what="the probe")
        assert watch.payloads("cmnd/utilities/sensor9/Status") == []
        module.say("0", "0")
    watch.wait("cmnd/utilities/sensor9/Status", lambda payload: str(payload) == "8", timeout=2)
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
        wait_for(lambda a=a, b=b: counters(broker) == {"a": a * 1000, "b": b * 1000}, 5, "both counters")
        pause(1.3, "two numbers within a second would be two seconds to the bridge")

    def totals():
        rows = query(folder, "SELECT c.channel, t.imported, t.exported FROM channel c "
                             "JOIN total t ON t.channel = c.number")
        return {name: (imported, exported) for name, imported, exported in rows}
    # from the first of three numbers that agree to the last but one
    wait_for(lambda: totals().get("a") == (12355000 - 12346846, 0), 5, "the total of a")
    wait_for(lambda: totals().get("b") == (0, 14000 - 5650), 5, "the total of b")


def test_offline_and_back(folder, broker, spawn, module):
    module.announce("OBK_Sensor9", "kWh")
    watch = broker.subscribe("bl2mqtt/#")
    start(spawn, folder, broker, workshop(channels={"a": {}}))
    watch.wait("bl2mqtt/workshop/availability", lambda s: s["state"] == "offline")
    watch.wait("bl2mqtt/bridge/state", lambda s: s["state"] == "online")
    pause(0.5, "the bridge takes in what the broker kept")
    module.values(voltage="230.0", energy="5.001")  # kWh, as its retained announcement says
    watch.wait("bl2mqtt/workshop/availability", lambda s: s["state"] == "online")
    wait_for(lambda: query(folder, "SELECT energy FROM reading WHERE energy IS NOT NULL") == [(5001000,)], 5,
             "the counter in milliwatt hours")


def test_hostile_messages_leave_no_trace(folder, broker, spawn, module):
    process = start(spawn, folder, broker)
    watch = broker.subscribe("bl2mqtt/#")
    watch.wait("bl2mqtt/bridge/health")
    process.wait_line("Running")
    pause(0.5, "the subscriptions stand")
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
    pause(1.5, "a reading of what was retained would have been made by then")
    module.values(power="5.00")
    state = watch.wait("bl2mqtt/workshop", lambda s: s.get("power_a") == 5)
    assert state["voltage_a"] is None


def test_find_lists_what_is_there_and_leaves_no_trace(folder, broker, spawn, module):
    config = write_config(folder, broker.url, [{"id": "sensor9", "driver": "simulator", "channels": {"a": {}}}])
    watch = broker.subscribe("#")
    module.announce("OBK_Sensor9", "kWh")
    module.say("voltage", "230.0", retain=True)
    single = Module(broker.port, "obk2B7F00AA")
    single.raw("obk2B7F00AA/build", "OpenBK7231N_1.18 Nov 22 2026")
    Module(broker.port, "nobody").raw("nobody/state", "1")  # says connected, as many do
    watch.wait("utilities/sensor9/voltage/get")  # the broker has it, so it will be a retained one

    def said():  # again and again: the subscriber may not have been there the first time
        single.raw("obk2B7F00AA/build", "OpenBK7231N_1.18 Nov 22 2026")
        return watch.payloads("obk2B7F00AA/build")

    wait_for(said, 20, "the module's version", every=0.3)
    process = spawn("--config", config, "openbeken", "find", "--minutes", "0.05", "--json")
    process.wait_line("Listening")
    watch.wait("bl2mqtt/bridge/find", lambda payload: payload == "")  # its birth
    pause(1, "the search takes in what the broker kept")
    module.values("_b", voltage="230.3")
    single.values(power="5.00")
    wait_for(lambda: not process.running(), 15, "the end of the search")
    answer = decode(process.output.split("\n", 1)[1])
    modules = {found["topic"]: found for found in answer["modules"]}
    assert set(modules) == {"utilities/sensor9", "obk2B7F00AA"}
    twin = modules["utilities/sensor9"]
    assert twin["online"] and twin["chip_a"] and twin["chip_b"] and not twin["configured"]
    assert (twin["energy_unit"], twin["announcements"], twin["chipset"]) == ("kWh", 2, "BK7231N")
    assert twin["config"] == ('  - id: sensor9_2\n    driver: openbeken\n    topic: "utilities/sensor9"\n'
                              '    channels: {a: {}, b: {}}\n')
    assert any("counted twice" in note for note in twin["notes"])
    assert any("flag 7" in note for note in twin["notes"]), process.output
    assert modules["obk2B7F00AA"]["config"].count("channels: {a: {}}") == 1
    # the lines make a good configuration
    (folder / "bridge.yaml").write_text(f"mqtt: {{server: '{broker.url}'}}\ndevices:\n" +
                                        "".join(found["config"] for found in modules.values()))
    result = run("check", cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    late = broker.subscribe("#")
    late.catch_up()
    assert late.payloads("bl2mqtt/bridge/find") == []


def test_announcements_are_removed_on_request(folder, broker, spawn, module):
    module.announce("OBK_Sensor9")
    other = Module(broker.port, "obk1")
    other.announce("OBK_Other")
    process = start(spawn, folder, broker, {"id": "d", "driver": "simulator", "channels": {"a": {}}})
    process.wait_line("Connected")
    watch = broker.subscribe("bl2mqtt/bridge/response/#")
    watch.catch_up()
    broker.publish("bl2mqtt/bridge/request/openbeken/clear_announcements",
                   {"topic": "utilities/sensor9", "transaction": 7})
    broker.publish("bl2mqtt/bridge/request/permit_join", {"time": 1})
    refused = watch.wait("bl2mqtt/bridge/response/permit_join")
    assert refused["status"] == "error" and "already" in refused["error"]
    answer = watch.wait("bl2mqtt/bridge/response/openbeken/clear_announcements")
    assert answer["status"] == "ok" and answer["transaction"] == 7 and answer["data"]["cleared"] == 2

    broker.publish("bl2mqtt/bridge/request/permit_join", {"time": 3, "transaction": "x"})
    answer = watch.wait("bl2mqtt/bridge/response/permit_join", lambda a: a.get("transaction") == "x")
    modules = {found["topic"]: found for found in answer["data"]["modules"]}
    assert set(modules) == {"obk1"}, (answer, process.output)
    assert "driver: openbeken" in modules["obk1"]["config"]
    left = broker.subscribe("homeassistant/sensor/#")
    left.catch_up()
    assert {m["topic"].split("/")[2] for m in left.messages} == {"OBK_Other_sensor_0", "OBK_Other_sensor_3"}
    process.stop()


def test_find_without_a_broker(folder):
    config = write_config(folder, "mqtt://127.0.0.1:1", [{"id": "d", "driver": "simulator", "channels": {"a": {}}}])
    result = run("--config", config, "openbeken", "find", "--minutes", "0.02")
    assert result.returncode == 3 and "did not answer" in result.stderr
    assert run("openbeken", "find", "--minutes", "0").returncode == 2
    assert run("openbeken", "find", "x").returncode == 2
    assert "Usage" in run("openbeken", "find", "--help").stdout


def test_home_assistant_gets_firmware_and_address(folder, broker, spawn):
    known = {"driver": "openbeken", "channels": {"a": {}}}
    process = start(spawn, folder, broker, {"id": "one", "topic": "m/1", **known},
                    {"id": "two", "topic": "m/2", "host": "192.0.2.7:8080", **known})
    process.wait_line("Connected")
    watch = broker.subscribe("homeassistant/device/#")
    config = "homeassistant/device/bl2mqtt_test_{}/config"
    assert watch.wait(config.format("two"))["device"]["configuration_url"] == "http://192.0.2.7:8080/"
    assert "configuration_url" not in watch.wait(config.format("one"))["device"]
    broker.publish("m/1/build", "OpenBK7231N 1.18.21 Nov 22 2026 10:00:00")
    for bad in ("javascript:alert(1)", "192.0.2.1:80", "evil.example", "192.0.2.1/x", ""):
        broker.publish("m/1/ip", bad)
    broker.publish("m/1/ip", "192.0.2.8")
    device = watch.wait(config.format("one"), lambda c: "configuration_url" in c["device"], 20)["device"]
    assert device["configuration_url"] == "http://192.0.2.8/" and device["sw_version"] == "1.18.21"
    for _ in range(50):  # a stranger
        broker.publish("m/1/ip", "192.0.2.9")
        broker.publish("m/1/ip", "192.0.2.8")
    assert len(watch.payloads(config.format("one"))) < 6
    process.stop()
