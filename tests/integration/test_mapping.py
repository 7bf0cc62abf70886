# SPDX-License-Identifier: MIT
"""Meters on MQTT that a mapping describes (driver: mqtt), against a real broker; and `bl2mqtt mapping`."""

import json

import jsonschema
import pytest
import yaml

from harness import ROOT, run, wait_for, write_config

FILES = sorted((ROOT / "schema/mappings").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file(path):
    mapping = yaml.safe_load(path.read_text())
    jsonschema.validate(mapping, json.loads((ROOT / "schema/mapping.schema.json").read_text()))
    assert mapping["name"] == path.stem
    assert path.stem in (ROOT / "docs/mappings.md").read_text()
    result = run("mapping", "test", path, "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["own_tests"] == len(mapping["tests"])


def test_list():
    listed = json.loads(run("mapping", "list", "--json").stdout)
    assert [m["name"] for m in listed] == [path.stem for path in FILES]
    assert "10 Wh" in run("mapping", "list").stdout


def test_try_messages(folder):
    messages = ("zigbee2mqtt/pool {\"power_a\":130.8,\"energy_flow_a\":\"producing\"}\n"
                "zigbee2mqtt/other {\"power_a\":1}\n"
                "zigbee2mqtt/pool {\"power_a\":\"many\"}\n")
    result = run("mapping", "test", "zigbee2mqtt-pj1203a", "--topic", "zigbee2mqtt/pool", "--json", stdin=messages)
    answer = json.loads(result.stdout)
    assert result.returncode == 0 and answer["messages"] == 3
    assert answer["other_messages"] == 1 and answer["bad_values"] == 1
    assert answer["readings"] == [{"message": 1, "channel": "a", "power": -130.8}]
    text = run("mapping", "test", "zigbee2mqtt-pj1203a", "--topic", "zigbee2mqtt/pool", stdin=messages).stdout
    assert "power -130.8" in text
    (folder / "wrong.yaml").write_text((ROOT / "schema/mappings/tasmota.yaml").read_text().replace("power: 52", "power: 53"))
    wrong = run("mapping", "test", folder / "wrong.yaml")
    assert wrong.returncode == 5 and "power of channel a is 52, expected 53" in wrong.stderr
    (folder / "broken.yaml").write_text("name: x\n")
    assert run("mapping", "test", folder / "broken.yaml").returncode == 2
    assert run("mapping", "test", "nothing").returncode == 2


def device(mapping="zigbee2mqtt-pj1203a", topic="zigbee2mqtt/pool", channels="ab", **more):
    return {"id": "pool", "driver": "mqtt", "mapping": str(mapping), "topic": topic,
            "channels": {name: {} for name in channels}, "report_interval": "1s", **more}


def service(folder, broker, spawn, *devices):
    config = write_config(folder, broker.url, list(devices))
    subscriber = broker.subscribe("bl2mqtt/#")
    process = spawn("--config", config, "run")
    subscriber.wait("bl2mqtt/bridge/state", lambda s: s["state"] == "online", 20)
    subscriber.wait("bl2mqtt/bridge/health", timeout=20)  # published behind the subscriptions
    return process, subscriber


def z2m(stamp, a=100.0, b=20.0, flow_a="consuming", **more):
    return {"voltage": 231.2, "ac_frequency": 50.01, "power_a": a, "power_b": b, "energy_flow_a": flow_a,
            "energy_flow_b": "consuming", "current_a": 0.5, "current_b": 0.1, "timestamp_a": f"2026-05-19T08:20:{stamp:02}Z",
            "timestamp_b": f"2026-05-19T08:20:{stamp:02}Z", "energy_a": 10.0, "energy_b": 5.0,
            "energy_produced_a": 1.0, "energy_produced_b": 0.0, **more}


def test_zigbee(folder, broker, spawn):
    _, subscriber = service(folder, broker, spawn, device())
    broker.publish("zigbee2mqtt/pool", json.dumps(z2m(1, flow_a="producing")))
    state = subscriber.wait("bl2mqtt/pool", lambda s: s["power_a"] is not None)
    assert state["power_a"] == -100 and state["power_b"] == 20 and state["voltage_a"] == pytest.approx(231.2)
    assert state["energy_a"] == 0
    broker.publish("zigbee2mqtt/pool", json.dumps(z2m(2, energy_a=10.02, energy_produced_a=1.01)))
    state = subscriber.wait("bl2mqtt/pool", lambda s: s["energy_a"] == 0.02)
    assert state["energy_produced_a"] == 0.01 and state["energy_b"] == 0
    # repeated, and a glitch: neither moves anything
    broker.publish("zigbee2mqtt/pool", json.dumps(z2m(2, energy_a=99)))
    broker.publish("zigbee2mqtt/pool", json.dumps(z2m(3, energy_a=0)))
    broker.publish("zigbee2mqtt/pool", json.dumps(z2m(4, a=105, energy_a=10.03)))
    state = subscriber.wait("bl2mqtt/pool", lambda s: s["power_a"] == 105 and s["energy_a"] == 0.03)
    assert state["energy_produced_a"] == 0.01
    broker.publish("zigbee2mqtt/pool/availability", '{"state":"offline"}', retain=True)
    subscriber.wait("bl2mqtt/pool/availability", lambda s: s["state"] == "offline")


def test_totals_survive_a_restart(folder, broker, spawn):
    process, subscriber = service(folder, broker, spawn, device(energy_start="meter"))
    broker.publish("zigbee2mqtt/pool", json.dumps(z2m(1)))
    subscriber.wait("bl2mqtt/pool", lambda s: s["energy_a"] == 10 and s["energy_produced_a"] == 1)
    wait_for(lambda: list(folder.glob("data/history.db")), what="the history")
    assert process.stop() == 0
    process, subscriber = service(folder, broker, spawn, device(energy_start="meter"))
    broker.publish("zigbee2mqtt/pool", json.dumps(z2m(2, energy_a=10.05, energy_produced_a=1.02)))
    state = subscriber.wait("bl2mqtt/pool", lambda s: s["energy_a"] == 10.05)
    assert state["energy_produced_a"] == 1.02


def test_totals_after_a_kill(folder, broker, spawn):
    """The previous process may have published more than it stored; the first message says what was counted, also of a
    meter whose counter stands, or that never feeds back."""
    grid = {"id": "grid", "driver": "virtual", "channels": {"net": {"sum": ["pool/a"]}}, "report_interval": "1s"}
    process, subscriber = service(folder, broker, spawn, device("tasmota", "t", "a"), grid)
    def send(total):
        broker.publish("tele/t/SENSOR", json.dumps({"ENERGY": {"TotalStartTime": "2026-01-01T00:00:00", "Total": total, "Power": 100}}))
    send(10)
    subscriber.wait("bl2mqtt/pool", lambda s: s["energy"] == 0)
    send(10.02)
    subscriber.wait("bl2mqtt/pool", lambda s: s["energy"] == 0.02)
    subscriber.wait("bl2mqtt/grid", lambda s: s["energy"] == 0.02)
    for total, energy in ((10.02, 0.02), (10.05, 0.05)):
        process.kill()
        process, subscriber = service(folder, broker, spawn, device("tasmota", "t", "a"), grid)
        send(total)
        for name in ("pool", "grid"):
            subscriber.wait(f"bl2mqtt/{name}", lambda s, energy=energy: s["energy"] == energy)


def test_a_sum_is_no_channel(folder, broker, spawn):
    _, subscriber = service(folder, broker, spawn, device("tasmota-dual", "t"))
    broker.publish("tele/t/SENSOR", '{"ENERGY":{"Total":467.034,"Power":[152,493],"Voltage":230}}')
    event = subscriber.wait("bl2mqtt/bridge/event", lambda e: "SetOption129" in e["message"])
    assert "pool" in json.dumps(event)
    state = subscriber.wait("bl2mqtt/pool", lambda s: s["power_a"] == 152 and s["power_b"] == 493)
    assert state["voltage_b"] == 230 and not state["energy_a"]


def test_one_value_a_topic(folder, broker, spawn):
    _, subscriber = service(folder, broker, spawn, device("shelly-em", "shellies/x"))
    for topic, value in (("power", -351.2), ("voltage", 229.9), ("total", 1000), ("total_returned", 50)):
        broker.publish(f"shellies/x/emeter/0/{topic}", value)
    state = subscriber.wait("bl2mqtt/pool", lambda s: s["power_a"] is not None and s["voltage_a"] is not None)
    assert state["power_a"] == pytest.approx(-351.2)
    assert state["power_b"] is None


def test_own_file(folder, broker, spawn):
    path = folder / "mine.yaml"
    path.write_text("name: mine\ntitle: Mine\nchannels: [a]\n"
                    "values: [{topic: \"{base}/watt\", is: power, unit: kW}]\n")
    _, subscriber = service(folder, broker, spawn, device(path, "my/meter", "a"))
    broker.publish("my/meter/watt", "1.25")
    subscriber.wait("bl2mqtt/pool", lambda s: s["power"] == 1250)


def test_check(folder, broker):
    for more, words in (({"mapping": "nothing"}, "no mapping"), ({"channels": {"z": {}}}, "no such channel"),
                        ({"topic": "bl2mqtt/x"}, "own")):
        config = write_config(folder, broker.url, [{**device(), **more}])
        result = run("--config", config, "check")
        assert result.returncode == 2 and words in result.stdout + result.stderr
